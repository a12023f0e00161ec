"""The command line of what is shown: ``xsubpix demo``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

__all__ = ["add_parser"]


def add_parser(commands: Any) -> None:
    """Add the command ``demo`` to the sub-parsers of the command line."""
    demo = commands.add_parser(
        "demo", help="make an earthquake on a satellite image and measure it",
        description="Move the ground of a satellite image by a synthetic earthquake, measure the "
        "displacement with three models, and write a picture and a GeoTIFF. About two minutes.",
    )  # fmt: skip
    demo.add_argument(
        "folder",
        nargs="?",
        type=Path,
        default=Path("xsubpix-demo"),
        metavar="FOLDER",
        help="where to write demo.png and demo.tif (default: xsubpix-demo)",
    )
    demo.add_argument(
        "--size", type=int, default=512, help="side of the scene, pixels (default: 512)"
    )
    demo.add_argument(
        "--step", type=int, help="distance between values, pixels (default: each model's own)"
    )
    demo.add_argument("--overwrite", action="store_true", help="replace an earlier demo")
    demo.set_defaults(run=_demo)


def _demo(options: argparse.Namespace) -> int:
    from ..demo import run_demo

    print(run_demo(options.folder, options.size, options.step, overwrite=options.overwrite))
    return 0
