"""Evaluation: every method on the same cases, scored in the same way."""

from __future__ import annotations

import concurrent.futures
import math
import multiprocessing
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np

from ..errors import DataError
from .cases import Case
from .methods import Method, model_method, zero_predictor
from .report import check_page, write_page
from .scores import Evaluation, Found, Tally, Worst

__all__ = ["Evaluation", "evaluate", "evaluate_models"]


def evaluate(
    methods: dict[str, Method],
    cases: Iterable[Case],
    *,
    border: int = 32,
    worst: int = 5,
    workers: int = 1,
    report: Callable[[str], None] | None = None,
) -> Evaluation:
    """Run methods on cases.

    Parameters
    ----------
    methods : dict
        Name to method. Pictures of the worst cases are of the first. The zero
        predictor is put last by itself.
    cases : iterable of Case
        Taken one by one; none is kept but the worst.
    border : int
        Rows and columns left out at every border, pixels: at least half of the
        largest window of all methods.
    worst : int
        Worst cases to keep.
    workers : int
        Processes that measure, one case each at a time; more than one needs
        methods that can be pickled, as those of :func:`model_method`.
    report : callable, optional
        Called with a line of text for each case.

    Returns
    -------
    Evaluation
        Errors of each method on each group of cases, CPU seconds, and the worst cases.

    Raises
    ------
    DataError
        There is no case, or one that is smaller than its border.

    Examples
    --------
    >>> import numpy as np
    >>> from xsubpix.training.cases import Case
    >>> from xsubpix.training.methods import model_method
    >>> rng = np.random.default_rng(0)
    >>> image = rng.normal(size=(96, 96)).astype("f4")
    >>> case = Case("still", "noise", image, image, np.zeros((2, 96, 96), "f4"), "0", None)
    >>> result = evaluate({"phase": model_method("phase:window=16,step=4")}, [case], border=16)
    >>> result.scores["phase"]["still"].mean < 1e-3
    True
    """
    methods = {**methods, "zero predictor": zero_predictor}
    tallies: dict[str, dict[str, Tally]] = {name: {} for name in methods}
    seconds, pixels = dict.fromkeys(methods, 0.0), 0
    counts: dict[str, int] = {}
    kept: list[Worst] = []
    for case, results in _measured(methods, _checked(cases, border), workers):
        counts[case.group] = counts.get(case.group, 0) + 1
        correlation = case.local_correlation()
        pixels += case.pre.size
        line = []
        for k, (name, (found, spent)) in enumerate(zip(methods, results, strict=True)):
            seconds[name] += spent
            tally = tallies[name].setdefault(case.group, Tally(border))
            error = tally.add(case, found, correlation)
            line.append(f"{name} {error:.3f}")
            if k == 0:
                kept.append(Worst(case, found, error))
                kept.sort(key=lambda w: -w.error if math.isfinite(w.error) else 0.0)
                del kept[worst:]
        if report is not None:
            report(f"{case.group}, {case.label}: " + ", ".join(line))
    if not counts:
        raise DataError("nothing to evaluate on: give a database (--data) or pairs (--real).")
    return Evaluation(
        {
            name: {group: tally.scores() for group, tally in groups.items()}
            for name, groups in tallies.items()
        },
        {name: 1e6 * spent / pixels for name, spent in seconds.items()},
        kept,
        border,
        counts,
    )


def _checked(cases: Iterable[Case], border: int) -> Iterator[Case]:
    """Pass cases on, or refuse one that is smaller than its border."""
    for case in cases:
        if min(case.pre.shape) <= 2 * border + 8:
            raise DataError(
                f"{case.label} has {case.pre.shape[0]} x {case.pre.shape[1]} px, and border="
                f"{border} leaves nothing of it: give a smaller border."
            )
        yield case


_Timed: TypeAlias = list[tuple[Found, float]]


def _measured(
    methods: dict[str, Method], cases: Iterator[Case], workers: int
) -> Iterator[tuple[Case, _Timed]]:
    """Each case with what every method found and the CPU seconds that it took, in order."""
    run = list(methods.values())
    if workers == 1:
        for case in cases:
            yield case, _run_methods(run, case.pre, case.post)
        return
    # A fresh interpreter each: threads of torch and OpenCV do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(workers, context) as pool:
        ahead: deque[tuple[Case, concurrent.futures.Future[_Timed]]] = deque()
        for case in cases:
            ahead.append((case, pool.submit(_run_methods, run, case.pre, case.post)))
            while len(ahead) > workers:
                first, future = ahead.popleft()
                yield first, future.result()
        for first, future in ahead:
            yield first, future.result()


def _run_methods(methods: list[Method], pre: np.ndarray, post: np.ndarray) -> _Timed:
    """Run methods on one pair: what each found and the CPU seconds that it took."""
    out = []
    for method in methods:
        start = time.process_time()
        found = method(pre, post)
        out.append((found, time.process_time() - start))
    return out


def evaluate_models(
    models: Sequence[str],
    cases: Iterable[Case],
    folder: str | os.PathLike[str] | None = None,
    *,
    border: int = 32,
    workers: int = 1,
    report: Callable[[str], None] | None = None,
    overwrite: bool = False,
    update: bool = False,
) -> Evaluation:
    """Evaluate models by name and write the page; see :func:`evaluate` and :func:`write_page`."""
    if folder is not None:  # before the work
        check_page(Path(folder), overwrite or update)
    methods = {_shown(model): model_method(model) for model in models}
    result = evaluate(methods, cases, border=border, workers=workers, report=report)
    if folder is not None:
        write_page(result, Path(folder), overwrite=overwrite, update=update)
    return result


def _shown(model: str) -> str:
    """Name of a model in the tables: the function's, if a Python file holds it."""
    path, _, function = model.partition(":")
    return function if path.endswith(".py") else model
