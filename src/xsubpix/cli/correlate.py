"""The command line of measuring: ``xsubpix correlate``."""

from __future__ import annotations

import argparse
import contextlib
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import SubpixError
from .scenes import add_alignment, add_scenes, alignment, found, scenes

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["add_parser"]


def add_parser(commands: Any) -> None:
    """Add the command ``correlate`` to the sub-parsers of the command line."""
    measure = commands.add_parser(
        "correlate",
        help="measure the displacement between two GeoTIFFs",
        description="Measure the displacement of the ground between two images and write it as a "
        "Cloud Optimized GeoTIFF with the bands east, north, sigma, quality and flags (float32, "
        "metres, nodata NaN). If POST lies on another grid, it is resampled onto that of PRE. "
        "If the command is stopped, run it again and it continues.",
        epilog="example: xsubpix correlate before.tif after.tif disp.tif --align",
    )
    add_scenes(measure)
    measure.add_argument("out", metavar="OUT", help="GeoTIFF to write")
    measure.add_argument("--band", type=int, help="band of both images, from 1")
    measure.add_argument(
        "--bands", choices=("combine",),
        help="measure all bands of the images, and combine them to one field",
    )  # fmt: skip
    measure.add_argument(
        "--model", default="unet", help="name of a model, or a file of weights (default: unet)"
    )
    measure.add_argument("--window", type=int, help="side of the correlation windows, pixels")
    measure.add_argument(
        "--tile-size", type=int, help="side of a network's tiles, pixels; larger is faster on a GPU"
    )
    measure.add_argument(
        "--step", type=int, help="distance between values, pixels (default: the model's own)"
    )
    measure.add_argument(
        "--search", type=_search, metavar="LENGTH",
        help="largest displacement to look for, in pixels (20) or as a length (300m, '0.3 km')",
    )  # fmt: skip
    measure.add_argument("--device", help="auto, cpu, cuda, cuda:1, ... (default: auto)")
    measure.add_argument(
        "--scheduler", metavar="ADDRESS",
        help="compute on a cluster of dask.distributed: tcp://host:8786, or the scheduler's "
        "file, *.json (default: threads of this process)",
    )  # fmt: skip
    measure.add_argument(
        "--exclude", action="append", metavar="FILE",
        help="polygons, or a raster of classes such as SCL or QA_PIXEL, to leave out; may be "
        "repeated",
    )  # fmt: skip
    measure.add_argument(
        "--exclude-values", type=lambda text: text.split(","), metavar="VALUES",
        help="classes to leave out: numbers or names, 3,8,9 or cloud,cloud_shadow",
    )  # fmt: skip
    measure.add_argument(
        "--stable", action="append", metavar="FILE",
        help="ground that did not move: polygons, or a raster of 0 and 1 or of classes; sigma "
        "gets a floor, the scatter there; may be repeated",
    )  # fmt: skip
    measure.add_argument(
        "--stable-values", type=lambda text: text.split(","), metavar="VALUES",
        help="classes that are stable ground, as for --exclude-values",
    )  # fmt: skip
    measure.add_argument(
        "--align", action="store_true",
        help="first remove the shift between the two images, in the same resampling",
    )  # fmt: skip
    add_alignment(measure.add_argument_group("with --align"))
    measure.add_argument("--style", action="store_true", help="also write styles for QGIS")
    measure.add_argument("--overwrite", action="store_true", help="replace OUT if it exists")
    measure.add_argument("--quiet", action="store_true", help="no progress bar")
    measure.set_defaults(run=_correlate)


def _search(text: str) -> float | str:
    """Pixels as a number; lengths, and what is neither, are for correlate to read."""
    try:
        pixels = float(text)
    except ValueError:
        return text
    return int(pixels) if pixels.is_integer() else pixels


def _correlate(options: argparse.Namespace) -> int:
    from ..correlate import correlate
    from ..exclude import read_mask
    from ..files import open_pair, to_cog

    pre, post = open_pair(
        scenes(options.pre), scenes(options.post), band="all" if options.bands else options.band,
        align=alignment(options) if options.align else False,
    )  # fmt: skip
    if options.align and not options.quiet:
        print(found(post), file=sys.stderr)
    stable = None
    if options.stable or options.stable_values:
        one = pre.isel(band=0) if options.bands and "band" in pre.dims else pre
        stable = read_mask(options.stable, options.stable_values, one, "stable")
    disp = correlate(
        pre, post, model=options.model, window=options.window, step=options.step,
        search=options.search, device=options.device, tile_size=options.tile_size,
        bands=options.bands, exclude=options.exclude, exclude_values=options.exclude_values,
        stable=stable,
    )  # fmt: skip
    with contextlib.nullcontext() if options.scheduler is None else _cluster(options.scheduler):
        to_cog(
            disp, options.out, overwrite=options.overwrite, resume=True, style=options.style,
            progress=not options.quiet,
        )  # fmt: skip
    return 0


def _cluster(address: str) -> Client:
    """Connect to a scheduler; computations then go there."""
    try:
        from distributed import Client
    except ImportError as error:
        raise SubpixError(
            "--scheduler needs distributed: pip install 'xsubpix[distributed]'."
        ) from error
    # Its traceback of a scheduler that is gone stands beside our one line.
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
    try:
        if address.endswith(".json"):
            if not Path(address).is_file():  # Client would wait for it, without end
                raise FileNotFoundError("there is no such file")
            return Client(scheduler_file=address)
        return Client(address)
    except (OSError, ValueError) as error:
        raise SubpixError(f"no scheduler at {address}: {error}.") from error
