"""The command line of databases: ``xsubpix database build`` and ``xsubpix database info``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

__all__ = ["add_parser"]


def add_parser(commands: Any) -> None:
    """Add the command ``database`` to the sub-parsers of the command line."""
    database = commands.add_parser(
        "database", help="make a database of synthetic ruptures, or describe one"
    )
    verbs = database.add_subparsers(dest="verb", required=True, metavar="VERB")

    _add_build(verbs)
    _add_info(verbs)


def _add_build(verbs: Any) -> None:
    """Add ``database build``."""
    build = verbs.add_parser(
        "build",
        help="build a database, or continue one that was stopped",
        description="Put synthetic ruptures on satellite images. Each frame holds an image before, "
        "images after at several factors of one displacement, and the displacement. If the command "
        "is stopped, run it again and it continues. The same seed, scenes and version give the "
        "same bytes, whatever the number of workers.",
        epilog="example: xsubpix database build scenes/*_pan.tif --multispectral _pan:_ms "
        "--location 'P[0-9]+R[0-9]+' --validation P091R083 --test P090R083 --out db.zarr "
        "--faults 10000,2000,2000",
    )
    build.add_argument(
        "scenes",
        nargs="+",
        metavar="SCENE",
        help="FILE, PAN+MS (panchromatic and multispectral of one instant), PRE,POST (two dates "
        "on one grid) or LIST.toml (tables [[scene]]: path, multispectral, post, band, location, "
        "split, source, licence)",
    )
    build.add_argument(
        "--out", type=Path, required=True, metavar="DB.zarr", help="database to write"
    )
    build.add_argument(
        "--faults", type=_integers, required=True, metavar="N,N,N",
        help="number of faults (one a frame) for training, validation and test",
    )  # fmt: skip
    _add_split_options(build)
    _add_image_options(build)
    _add_displacement_options(build)
    build.add_argument(
        "--workers", type=int, help="processes or threads (default: one for each core)"
    )
    build.add_argument(
        "--scheduler", choices=("processes", "threads", "synchronous"), default="processes",
        help="scheduler of dask (default: processes)",
    )  # fmt: skip
    build.add_argument("--quiet", action="store_true", help="no progress bar")
    build.set_defaults(run=_build)


def _add_info(verbs: Any) -> None:
    """Add ``database info``."""
    info = verbs.add_parser("info", help="print statistics of a database")
    info.add_argument("database", type=Path, metavar="DB.zarr")
    info.add_argument("--checksum", action="store_true", help="also print a SHA-256 of all arrays")
    info.set_defaults(run=_info)


def _add_split_options(build: argparse.ArgumentParser) -> None:
    """Add the options that deal locations to training, validation and test."""
    split = build.add_argument_group("splits, by location")
    split.add_argument(
        "--location", metavar="REGEX",
        help="the part of a file's name that it matches is the location of the scene; scenes of "
        "one location stay in one split (default: each scene is a location)",
    )  # fmt: skip
    for name in ("train", "validation", "test"):
        split.add_argument(
            f"--{name}", nargs="+", default=[], metavar="GLOB",
            help=f"locations or scenes for {name}"
            + (" (default: all that are in no other)" if name == "train" else ""),
        )  # fmt: skip


def _add_image_options(build: argparse.ArgumentParser) -> None:
    """Add the options of scenes and their second dates."""
    images = build.add_argument_group("images")
    images.add_argument(
        "--multispectral", type=_replacement, metavar="OLD:NEW",
        help="the bands of a scene are in the file whose name has NEW for OLD, as in _pan:_ms",
    )  # fmt: skip
    images.add_argument("--band", type=int, help="band, counted from 1 (default: a mixture of all)")
    images.add_argument(
        "--source", default="", help="where the scenes come from, for the datasheet"
    )
    images.add_argument("--licence", default="", help="their licence, for the datasheet")
    images.add_argument(
        "--min-correlation", type=float, default=0.9, metavar="R",
        help="least correlation of windows of two real dates (default: 0.9)",
    )  # fmt: skip
    images.add_argument(
        "--correlation", type=_floats, default=(0.6, 0.95), metavar="LOW,HIGH",
        help="correlation of simulated second dates (default: 0.6,0.95)",
    )  # fmt: skip
    images.add_argument(
        "--dates", type=int, metavar="N",
        help="second dates for each frame (default: one for each factor)",
    )  # fmt: skip


def _add_displacement_options(build: argparse.ArgumentParser) -> None:
    """Add the options of ruptures, frames and crops."""
    ground = build.add_argument_group("displacement")
    ground.add_argument(
        "--scalings", type=_floats, default=(0.06, 0.15, 0.4, 1.0), metavar="F,F,...",
        help="factors of each frame's displacement (default: 0.06,0.15,0.4,1)",
    )  # fmt: skip
    ground.add_argument(
        "--amplitude", type=_floats, default=(0.5, 1.5), metavar="LOW,HIGH",
        help="largest displacement at factor 1, pixels; a strike-slip fault jumps by twice that "
        "(default: 0.5,1.5)",
    )  # fmt: skip
    ground.add_argument(
        "--mechanisms", default="strike-slip", metavar="NAME,...",
        help="strike-slip, oblique-reverse, oblique-normal, reverse, normal "
        "(default: strike-slip)",
    )  # fmt: skip
    ground.add_argument(
        "--complexity", type=float, default=0.0, metavar="C",
        help="roughness of the ruptures: 0 clean breaks, 1 as real ones, with shear off the trace, "
        "splays, strands and cracks, up to 2 (default: 0)",
    )  # fmt: skip
    ground.add_argument(
        "--frame", type=int, default=1024, help="side of frames, pixels (default: 1024)"
    )
    ground.add_argument(
        "--crop", type=int, default=512, help="side of crops, pixels (default: 512)"
    )
    ground.add_argument("--seed", type=int, default=0, help="seed of all random draws (default: 0)")


def _build(options: argparse.Namespace) -> int:
    from ..database.build import build_database
    from ..database.plan import Settings
    from ..database.scenes import scenes_from_names

    scenes = scenes_from_names(
        options.scenes,
        multispectral=options.multispectral,
        band=options.band,
        location=options.location,
        source=options.source,
        licence=options.licence,
    )
    settings = Settings(
        faults=options.faults,
        scalings=options.scalings,
        amplitude=options.amplitude,
        frame=options.frame,
        crop=options.crop,
        seed=options.seed,
        dates=options.dates or len(options.scalings),
        correlation=options.correlation,
        mechanisms=tuple(options.mechanisms.split(",")),
        min_correlation=options.min_correlation,
        complexity=options.complexity,
    )
    patterns = {name: getattr(options, name) for name in ("train", "validation", "test")}
    try:
        report = build_database(
            scenes,
            options.out,
            settings,
            split={name: globs for name, globs in patterns.items() if globs},
            workers=options.workers,
            scheduler=options.scheduler,
            progress=not options.quiet,
        )
    except KeyboardInterrupt:
        print("\nstopped: the same command goes on where it was", file=sys.stderr)
        return 130
    each = f", {report.cpu_seconds / report.made:.2f} CPU s each" if report.made else ""
    print(
        f"{report.path}: {report.made} frames made{each}, {report.found} found; "
        f"{report.seconds:.0f} s"
    )
    return 0


def _info(options: argparse.Namespace) -> int:
    from ..database.datasheet import describe
    from ..database.layout import SPLITS
    from ..database.reader import database_table
    from ..database.store import checksum, read_attributes, stored_bytes

    plan = read_attributes(options.database)["plan"]
    print(f"{options.database}: xsubpix {plan['version']}, seed {plan['settings']['seed']}")
    for split, count in zip(SPLITS, plan["settings"]["faults"], strict=True):
        if count:
            print("\n".join(["", split, *describe(database_table(options.database, split))]))
    size = stored_bytes(options.database)
    listed = ", ".join(f"{name} {n / 2**20:.1f}" for name, n in size.items())
    print(f"\n{sum(size.values()) / 2**20:.1f} MiB: {listed} MiB")
    if options.checksum:
        print(f"sha256 {checksum(options.database)}")
    return 0


def _integers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


def _floats(text: str) -> tuple[float, ...]:
    return tuple(float(part) for part in text.split(","))


def _replacement(text: str) -> tuple[str, str]:
    old, colon, new = text.partition(":")
    if not (old and colon):
        raise argparse.ArgumentTypeError(f"{text!r}: give OLD:NEW, as in _pan:_ms.")
    return old, new
