"""The command line of the networks: ``xsubpix train`` and ``xsubpix evaluate``."""

from __future__ import annotations

import argparse
import itertools
import os
import sys
from pathlib import Path
from typing import Any

__all__ = ["add_parsers"]

#: What shipped weights are compared with when no model is named.
_COMPARED = ("cosi-corr:window=32", "cosi-corr:window=64", "deepflow", "dis")


def add_parsers(commands: Any) -> None:
    """Add ``train`` and ``evaluate`` to the commands."""
    train = commands.add_parser(
        "train",
        help="train a network",
        description="Train a network as configured in a TOML file, or continue a run that was "
        "stopped. Writes weights.safetensors, progress.csv, curves.png, samples.png and "
        "checkpoint.pt. Several processes: torchrun --nproc-per-node N -m xsubpix train ...",
    )
    train.add_argument("config", type=Path, metavar="CONFIG.toml", help="configuration")
    train.add_argument(
        "--out", type=Path, required=True, metavar="FOLDER", help="folder of the run"
    )
    train.add_argument(
        "--finetune", metavar="MODEL",
        help="start from the weights of a model of the package, or from a file of weights",
    )  # fmt: skip
    train.add_argument(
        "--stop-at", type=int, metavar="STEP", help="stop at this step, to continue later"
    )
    train.add_argument("--device", default="auto", help="auto, cpu, cuda, ... (default: auto)")
    train.add_argument(
        "--threads", type=int, help="threads of PyTorch (default: one for each core)"
    )
    train.add_argument(
        "--workers", type=int, default=1,
        help="processes that make samples; 0: in the training process (default: 1)",
    )  # fmt: skip
    train.add_argument("--quiet", action="store_true", help="do not show progress")
    train.set_defaults(run=_train)

    test = commands.add_parser(
        "evaluate",
        help="compare models on samples whose displacement is known",
        description="Run models on the test samples of a database and on real pairs, and print "
        "their errors; with --out, write a page with tables and figures. A method given as "
        "FILE.py:NAME is code: that file is run with your rights, so name files that you trust.",
    )
    test.add_argument(
        "models", nargs="*", metavar="MODEL",
        help="name of a model, or a file of weights; parameters follow a colon, as in "
        "cosi-corr:window=64. A method of another package is FILE.py:NAME; NAME is a function "
        "that returns a function of two images (default: the networks of the package, "
        f"{', '.join(_COMPARED)})",
    )  # fmt: skip
    test.add_argument(
        "--data", type=Path, metavar="DB.zarr", help="database, whose test samples are used"
    )
    test.add_argument(
        "--samples", type=int, default=100, help="how many samples of the database (default: 100)"
    )
    test.add_argument(
        "--side", type=int, default=512, help="side of the samples, pixels (default: 512)"
    )
    test.add_argument(
        "--border",
        type=int,
        default=32,
        help="width of the border that is left out, pixels (default: 32)",
    )
    test.add_argument(
        "--real", type=Path, metavar="FOLDER",
        help="folder of real pairs (default: the environment variable XSUBPIX_DATA)",
    )  # fmt: skip
    test.add_argument("--out", type=Path, metavar="FOLDER", help="write networks.rst and figures")
    test.add_argument("--overwrite", action="store_true", help="replace an earlier page")
    test.add_argument(
        "--update",
        action="store_true",
        help="renew the rows of these models in an earlier page, and keep its other rows",
    )
    test.add_argument("--workers", type=int, default=1, help="processes that measure (default: 1)")
    test.add_argument(
        "--seed", type=int, default=0, help="seed of samples and ruptures (default: 0)"
    )
    test.add_argument("--quiet", action="store_true", help="do not show progress")
    test.set_defaults(run=_evaluate)


def _train(options: argparse.Namespace) -> int:
    from ..devices import set_threads
    from ..estimators.network import weights_path
    from ..training.config import TrainConfig
    from ..training.loop import train

    config = TrainConfig.from_file(options.config)
    if options.threads:
        set_threads(options.threads)
    start = weights_path(options.finetune) if options.finetune else None
    try:
        path = train(
            config,
            options.out,
            device=options.device,
            start=start,
            stop_at=options.stop_at,
            workers=options.workers,
            progress=not options.quiet,
        )
    except KeyboardInterrupt:
        print(
            f"stopped: the same command goes on from the last checkpoint in {options.out}",
            file=sys.stderr,
        )
        return 130
    print(path)
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    from ..networks.cards import shipped_models
    from ..training.cases import database_cases, null_cases, pairs_in, real_cases
    from ..training.evaluate import evaluate_models
    from ..training.report import text_table

    cases: list[Any] = []
    if options.data is not None:
        cases.append(
            database_cases(options.data, options.samples, side=options.side, seed=options.seed)
        )
    folder = options.real or (os.environ.get("XSUBPIX_DATA") or None)
    if folder is not None:
        dates, acquisitions = pairs_in(folder)
        cases += [
            real_cases(dates, seed=options.seed),
            null_cases("nothing moved, two dates", dates),
            null_cases("nothing moved, second acquisitions", acquisitions),
        ]
    models = options.models or [*shipped_models(), *_COMPARED]
    say = None if options.quiet else lambda text: print(text, file=sys.stderr, flush=True)
    result = evaluate_models(
        models,
        itertools.chain.from_iterable(cases),
        options.out,
        border=options.border,
        workers=max(1, options.workers),
        report=say,
        overwrite=options.overwrite,
        update=options.update,
    )
    print(text_table(result))
    return 0
