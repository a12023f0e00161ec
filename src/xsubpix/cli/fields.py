"""The command line of what is done with a field: cleaned, measured, drawn, reported."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import FileError

__all__ = ["add_parsers"]

_EXAMPLES = {
    "detrend": "xsubpix detrend disp.tif flat.tif --trace fault.geojson --depth 12000",
    "destripe": "xsubpix destripe disp.tif clean.tif --angle 192 --trace fault.geojson",
    "offsets": "xsubpix offsets disp.tif offsets.csv --trace fault.geojson --spacing 500 "
    "--half-length 2000",
    "profile": "xsubpix profile disp.tif profile.csv --line 500100,4000200,512000,4003000 "
    "--width 1000",
    "plot": "xsubpix plot disp.tif disp.png --trace fault.geojson --scale-bar",
    "report": "xsubpix report disp.tif report.html --trace fault.geojson",
}


def add_parsers(commands: Any) -> None:
    """Add the commands of products to the sub-parsers of the command line."""
    trend = _parser(
        commands,
        "detrend",
        _detrend,
        "subtract a polynomial surface from a field",
        "GeoTIFF to write",
    )
    trend.add_argument(
        "--order",
        type=int,
        default=1,
        choices=(0, 1, 2),
        help="order of the polynomial (default: 1)",
    )
    stripes = _parser(
        commands, "destripe", _destripe, "remove stripes from a field", "GeoTIFF to write"
    )
    stripes.add_argument(
        "--angle",
        default="along",
        type=_angle,
        help="direction of the stripes: along, across, or degrees from grid north (default: along)",
    )
    stripes.add_argument(
        "--wavelength", type=float, metavar="METRES", help="remove shorter waves only"
    )
    for parser in (trend, stripes):
        _add_trace(parser)
        parser.add_argument(
            "--buffer", type=float, metavar="METRES", help="width around it to leave out"
        )
        parser.add_argument(
            "--depth",
            type=float,
            metavar="METRES",
            help="depth of slip: fit the fault's two sides too",
        )
        parser.add_argument("--style", action="store_true", help="also write styles for QGIS")

    table = "table (*.csv), points (*.gpkg, *.geojson) or figure (*.png, *.pdf) to write"
    off = _parser(commands, "offsets", _offsets, "measure offsets along a fault", table)
    _add_trace(off, required=True)
    off.add_argument(
        "--spacing", type=float, required=True, metavar="METRES", help="distance between stations"
    )
    off.add_argument(
        "--half-length", type=float, required=True, metavar="METRES",
        help="how far the fits reach on either side",
    )  # fmt: skip
    off.add_argument(
        "--width", type=float, metavar="METRES",
        help="length of trace that a station takes in (default: the spacing)",
    )  # fmt: skip
    off.add_argument(
        "--gap", type=float, metavar="METRES",
        help="ground nearer to the trace that is left out (default: the blur of the model)",
    )  # fmt: skip
    line = _parser(commands, "profile", _profile, "stack the values of a swath onto a line", table)
    line.add_argument(
        "--line", required=True, type=_line, metavar="X,Y,X,Y",
        help="axis in the CRS of the field, or a file",
    )  # fmt: skip
    line.add_argument(
        "--width", type=float, required=True, metavar="METRES", help="width of the swath"
    )
    line.add_argument(
        "--spacing", type=float, metavar="METRES", help="distance between points on the line"
    )

    draw = _parser(commands, "plot", _plot, "draw a field", "figure to write: *.png, *.pdf, *.svg")
    _add_trace(draw)
    draw.add_argument(
        "--vmax", type=float, help="value at the end of the colours, in the unit of the field"
    )
    draw.add_argument("--cmap", help="colour map of matplotlib")
    draw.add_argument("--backdrop", metavar="FILE", help="image or hillshade to draw below")
    draw.add_argument("--scale-bar", action="store_true", help="draw a scale bar and a north arrow")
    draw.add_argument("--title", help="title of the figure")
    words = "write a report of a field, one HTML page"
    page = _parser(commands, "report", _report, words, "*.html", optional=True)
    _add_trace(page)
    page.add_argument("--title", default="Displacement of the ground", help="title of the page")
    page.add_argument("--spacing", type=float, metavar="METRES", help="distance between stations")
    page.add_argument("--half-length", type=float, metavar="METRES", help="how far the fits reach")


def _parser(
    commands: Any,
    name: str,
    run: Callable[[argparse.Namespace], int],
    words: str,
    out: str,
    optional: bool = False,
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=words, description=f"{words[0].upper()}{words[1:]}.",
        epilog=f"example: {_EXAMPLES[name]}",
    )  # fmt: skip
    parser.add_argument(
        "field", metavar="DISP", help="displacement field, in any format that is known"
    )
    if optional:
        parser.add_argument(
            "out", metavar="OUT", nargs="?", type=Path, help=f"{out} (default: DISP.html)"
        )
    else:
        parser.add_argument("out", metavar="OUT", type=Path, help=out)
    parser.add_argument("--keep-unsure", action="store_true", help="use flagged values too")
    parser.add_argument("--overwrite", action="store_true", help="replace OUT if it exists")
    parser.set_defaults(run=run)
    return parser


def _add_trace(parser: argparse.ArgumentParser, required: bool = False) -> None:
    parser.add_argument(
        "--trace", required=required, metavar="FILE",
        help="fault: GeoJSON, GeoPackage, shapefile",
    )  # fmt: skip


def _angle(text: str) -> float | str:
    return text if text in ("along", "across") else float(text)


def _line(text: str) -> Any:
    if Path(text).exists():
        return text
    numbers = [float(part) for part in text.split(",")]
    if len(numbers) < 4 or len(numbers) % 2:
        raise argparse.ArgumentTypeError(f"{text!r}: give X,Y,X,Y in the CRS of the field.")
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def _open(options: argparse.Namespace) -> Any:
    from ..files import open_displacement

    return open_displacement(options.field)


def _detrend(options: argparse.Namespace) -> int:
    from ..displacement import detrend
    from ..files import to_cog

    flat = detrend(
        _open(options).load(), options.order, trace=options.trace, buffer=options.buffer,
        depth=options.depth, keep_unsure=options.keep_unsure,
    )  # fmt: skip
    to_cog(flat, options.out, overwrite=options.overwrite, style=options.style)
    print(flat.attrs["detrend"])
    return 0


def _destripe(options: argparse.Namespace) -> int:
    from ..displacement import destripe
    from ..files import to_cog

    clean = destripe(
        _open(options).load(), options.angle, wavelength=options.wavelength, trace=options.trace,
        buffer=options.buffer, depth=options.depth, keep_unsure=options.keep_unsure,
    )  # fmt: skip
    to_cog(clean, options.out, overwrite=options.overwrite, style=options.style)
    print(clean.attrs["destripe"])
    return 0


def _offsets(options: argparse.Namespace) -> int:
    from ..displacement import offsets
    from ..plot import plot_offsets

    found = offsets(
        _open(options), options.trace, spacing=options.spacing, half_length=options.half_length,
        width=options.width, gap=options.gap, keep_unsure=options.keep_unsure,
    )  # fmt: skip
    return _write_table(found, plot_offsets, options)


def _profile(options: argparse.Namespace) -> int:
    from ..displacement import profile
    from ..plot import plot_profile

    stacked = profile(
        _open(options), options.line, width=options.width, spacing=options.spacing,
        keep_unsure=options.keep_unsure,
    )  # fmt: skip
    return _write_table(stacked, plot_profile, options)


def _write_table(table: Any, draw: Callable[[Any], Any], options: argparse.Namespace) -> int:
    """Write a table as its name's ending says, and print what was left out."""
    from ..files import to_points
    from ..files.points import SUFFIXES
    from ..files.writing import new_target

    ending = options.out.suffix.lower()
    if ending == ".csv":
        target = new_target(options.out, options.overwrite)
        flat = table.drop_vars("spatial_ref", errors="ignore").to_dataframe()
        target.write_text(flat.to_csv(), encoding="utf-8")
    elif ending in (".png", ".pdf", ".svg"):
        draw(table).savefig(new_target(options.out, options.overwrite))
    elif ending in SUFFIXES:
        to_points(table, options.out, overwrite=options.overwrite)
    else:
        raise FileError(
            f"{options.out}: give a name that ends in .csv, .gpkg, .geojson, .png, .pdf or .svg."
        )
    if "left_out" in table.attrs:
        print(f"left out: {table.attrs['left_out']}")
    return 0


def _plot(options: argparse.Namespace) -> int:
    from ..files import open_image
    from ..files.writing import new_target
    from ..plot import plot_displacement

    target = new_target(options.out, options.overwrite, (".png", ".pdf", ".svg"))
    backdrop = None if options.backdrop is None else open_image(options.backdrop)
    figure = plot_displacement(
        _open(options), trace=options.trace, vmax=options.vmax, cmap=options.cmap,
        backdrop=backdrop, scale_bar=options.scale_bar, north_arrow=options.scale_bar,
        title=options.title, keep_unsure=options.keep_unsure,
    )  # fmt: skip
    figure.savefig(target, dpi=150)
    return 0


def _report(options: argparse.Namespace) -> int:
    from ..report import report

    out = options.out or Path(options.field).with_suffix(".html")
    report(
        _open(options), out, trace=options.trace, title=options.title, spacing=options.spacing,
        half_length=options.half_length, overwrite=options.overwrite,
    )  # fmt: skip
    print(out)
    return 0
