"""Scenes on the command line: files, URLs, mosaics, and how they are brought together."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["add_alignment", "add_scenes", "alignment", "found", "scenes"]


def add_scenes(parser: argparse.ArgumentParser) -> None:
    """Add the two scenes and their band to a command."""
    listed = "; several files of one date, separated by commas, are joined"
    parser.add_argument("pre", metavar="PRE", help=f"image before: a file or URL{listed}")
    parser.add_argument("post", metavar="POST", help="image after, on any grid: as PRE")


def add_alignment(parser: Any) -> None:
    """Add the options of an alignment to a command."""
    parser.add_argument(
        "--order", type=int, choices=(0, 1, 2), default=0,
        help="what to remove: a shift (0), an affine (1) or a quadratic motion (2) (default: 0)",
    )  # fmt: skip
    parser.add_argument(
        "--align-search", type=float, default=100.0, metavar="PIXELS",
        help="largest shift to look for, pixels of PRE (default: 100)",
    )  # fmt: skip
    parser.add_argument(
        "--align-trace", metavar="FILE", help="fault; the ground around it is left out"
    )
    parser.add_argument(
        "--align-buffer", type=float, metavar="METRES", help="how far around the fault to leave out"
    )


def alignment(options: argparse.Namespace) -> dict[str, Any]:
    """Options of :func:`xsubpix.align` from those of the command line."""
    return {
        "order": options.order, "search": options.align_search,
        "trace": options.align_trace, "buffer": options.align_buffer,
    }  # fmt: skip


def scenes(text: str) -> str | list[str]:
    """One file or URL, or the files of a mosaic, from an argument."""
    parts = [part for part in text.split(",") if part]
    return parts if len(parts) > 1 else text


def found(aligned: xr.DataArray) -> str:
    """A line that says what motion an alignment took away."""
    attrs = aligned.attrs
    x, y = attrs["registration_x"][0], attrs["registration_y"][0]
    return (
        f"aligned: {x:+.3f} px right, {y:+.3f} px down, order {attrs['registration_order']}, from "
        f"{attrs['registration_places']} places, residual NMAD {attrs['registration_nmad']:.3f} px"
    )
