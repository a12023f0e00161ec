"""The command line of registration: ``xsubpix align``."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from .scenes import add_alignment, add_scenes, alignment, found, scenes

__all__ = ["add_parser"]


def add_parser(commands: Any) -> None:
    """Add the command ``align`` to the sub-parsers of the command line."""
    parser = commands.add_parser(
        "align",
        help="bring one image onto the grid of another and remove the shift between them",
        description="Bring POST onto the grid and the registration of PRE in one resampling, and "
        "write it as a Cloud Optimized GeoTIFF (float32, nodata NaN).",
        epilog="example: xsubpix align before.tif after.tif aligned.tif --order 1",
    )
    add_scenes(parser)
    parser.add_argument("out", metavar="OUT", help="GeoTIFF to write")
    parser.add_argument("--band", type=int, help="band of both images, from 1")
    add_alignment(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace OUT if it exists")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.set_defaults(run=_align)


def _align(options: argparse.Namespace) -> int:
    from ..files import open_pair, to_cog

    _, aligned = open_pair(
        scenes(options.pre), scenes(options.post), band=options.band, align=alignment(options)
    )
    if not options.quiet:
        print(found(aligned), file=sys.stderr)
    image = aligned.to_dataset(name="image").assign_attrs(aligned.attrs)
    to_cog(image, options.out, overwrite=options.overwrite, progress=not options.quiet)
    return 0
