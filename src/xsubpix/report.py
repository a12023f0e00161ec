"""A field on one page: maps, statistics, profiles and offsets, in one self-contained HTML file."""

from __future__ import annotations

import base64
import html
import importlib.metadata
import io
import os
import platform
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from ._version import __version__
from .atomic import replace_file
from .displacement import offsets, profile, statistics, summary
from .displacement.field import Field
from .displacement.flagged import is_unsure, unsure_share, without_unsure
from .displacement.traces import Trace, read_trace
from .errors import DataError
from .files.writing import new_target, removed_at_exit, writing_errors_named
from .plot import plot_displacement, plot_offsets, plot_profile
from .plot.style import draw_trace, new_figure, show_field

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["report"]

# Profiles across the trace, at these shares of its length within the field.
_ACROSS = (0.25, 0.5, 0.75)
# Stations along the trace, about.
_STATIONS = 12
# Reach of the fits beyond the gap, pixels.
_REACH = 30
_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 1100px; margin: 2em auto; padding: 0 1em }
h1, h2 { line-height: 1.15 }
table { border-collapse: collapse; margin: .6em 0 }
td, th { padding: .2em .8em; border-bottom: 1px solid #ddd; text-align: left; vertical-align: top }
img { max-width: 100% }
.warn { background: #fff3cd; padding: .5em 1em }
.note { color: #555 }
"""


def report(
    disp: xr.Dataset,
    path: str | os.PathLike[str],
    *,
    trace: Any = None,
    title: str = "Displacement of the ground",
    spacing: float | None = None,
    half_length: float | None = None,
    stable: xr.DataArray | None = None,
    overwrite: bool = False,
) -> None:
    """Write a report of a field: one HTML file that needs no network.

    The field, its sigma and flags, statistics of stable ground, and with a trace profiles
    across it and offsets along it, with intervals; parameters and versions.

    Parameters
    ----------
    disp : xarray.Dataset
        ``east`` and ``north``; more if present. A lazy field is computed.
    path : str or path
        ``*.html``.
    trace : trace, optional
        Trace of the fault, as :func:`xsubpix.read_trace` takes it.
    title : str
        Heading.
    spacing : float, optional
        Distance between stations along the trace, metres; None: twelve stations.
    half_length : float, optional
        How far the fits of the offsets reach on either side, metres; None: thirty pixels
        beyond the gap. Ground beyond it is taken to be stable.
    stable : xarray.DataArray of bool, optional
        True on stable ground.
    overwrite : bool
        Replace an existing file.

    Raises
    ------
    DataError, DimensionError, GridError
        `disp` is not a displacement field.
    FileError
        The trace cannot be read, or the report not be written.
    SubpixError
        matplotlib is not installed.

    Examples
    --------
    >>> from xsubpix.tutorial import example_earthquake, procedural_scene
    >>> post, truth = example_earthquake(procedural_scene((64, 64)))
    >>> xsubpix.report(truth, "report.html")
    """
    target = new_target(path, overwrite, (".html", ".htm"))
    field = Field.of(disp.compute() if isinstance(disp, xr.Dataset) else disp)
    line = None if trace is None else read_trace(trace, field.grid)
    pixel = field.plane.pixel
    gap = max(1.5, field.blur_pixels) * pixel
    reach = gap + _REACH * pixel if half_length is None else half_length
    parts = [*_overview(field, line), *_errors(field, line, stable, reach)]
    if line is not None:
        parts += _along(field, line, spacing, reach)
    parts += _versions(field.disp)
    page = (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}'
        f"</title><style>{_STYLE}</style></head><body><h1>{html.escape(title)}</h1>"
        f"{''.join(parts)}</body></html>"
    )
    part = target.with_name(f".{target.name}.partial")
    with writing_errors_named(target), removed_at_exit(part):
        part.write_text(page, encoding="utf-8")
        replace_file(part, target)


# ----------------------------------------------------------------------------- parts


def _overview(field: Field, line: Trace | None) -> list[str]:
    disp = field.disp
    short = summary(disp)
    unsure = unsure_share(disp)
    parts = []
    if unsure > 0.3:
        parts.append(
            f'<p class="warn"><b>{unsure:.0%} of this field is flagged as unsure</b>'
            " and left out of all that follows.</p>"
        )
    figure = plot_displacement(disp, trace=line)
    parts += ["<h2>Field</h2>", _picture(figure, "East, north and vectors"), short._repr_html_()]
    maps = [name for name in ("sigma", "quality", "flags") if name in disp]
    if maps:
        parts += ["<h2>Uncertainty and flags</h2>", _picture(_maps(field, maps, line), "Maps")]
    return parts


def _maps(field: Field, names: list[str], line: Trace | None) -> Figure:
    """Sigma, quality and what is flagged, side by side."""
    figure = new_figure((4.6 * len(names), 3.9))
    axes = figure.subplots(1, len(names), squeeze=False)[0]
    # What a model says of values that are not to be believed is not to be believed either.
    sure = without_unsure(field.disp, False, ["sigma", "quality"])[0]
    for ax, name in zip(axes, names, strict=True):
        values = sure[name]
        if name == "flags":
            unsure = is_unsure(field.disp)
            values = values > 0 if unsure is None else unsure
            mesh = show_field(ax, values.astype(np.float32), cmap="Greys", vmin=0, vmax=1)
            ax.set_title("flagged as unsure (black)")
        else:
            finite = values.values[np.isfinite(values.values)]
            top = float(np.percentile(finite, 98)) if finite.size else 1.0
            mesh = show_field(ax, values, cmap="viridis", vmin=0, vmax=top or 1.0)
            ax.set_title(name)
            unit = str(values.attrs.get("units", "1"))
            figure.colorbar(mesh, ax=ax, shrink=0.8, label="" if unit == "1" else unit)
        draw_trace(ax, line, field.grid)
    return figure


def _errors(
    field: Field, line: Trace | None, stable: xr.DataArray | None, reach: float
) -> list[str]:
    ground = "all ground" if line is None and stable is None else "stable ground"
    beyond = "" if line is None else f", beyond {reach:.4g} {field.unit} of the trace"
    head = f"<h2>Statistics of {ground}{beyond}</h2>"
    try:
        found = statistics(
            field.disp, stable=stable, trace=line, buffer=None if line is None else reach
        )
    except DataError as error:
        return [head, f"<p>{html.escape(str(error))}</p>"]
    columns = list(next(iter(found.table.values())))
    named = {"nugget": "\u221anugget", "sill": "\u221asill"}
    rows = [[name, *(f"{row[c]:.4g}" for c in columns)] for name, row in found.table.items()]
    means = [
        [f"{side} x {side} pixels", *(f"{e:.3g}" for e in errors.values())]
        for side in (1, 10, 30, 100)
        for errors in [found.mean_error((side * found.pixel) ** 2)]
    ]
    return [
        head,
        f"<p>{found.count} values, {field.unit}; {found.flagged:.1%} of all are flagged as "
        "unsure and left out.</p>",
        _table(["", *(f"{named.get(c, c)} ({field.unit})" for c in columns)], rows),
        *_still_rising(found, field.unit),
        "<p>One-sigma error of the mean over a square of</p>",
        _table(["", *found.table], means),
        _picture(_variogram(found, field.unit), "Variogram of stable ground"),
    ]


def _still_rising(found: Any, unit: str) -> list[str]:
    """A note where errors seem alike over more than the variogram reaches: that is motion."""
    farthest = float(found.variogram.distance.max())
    names = [
        name
        for name, row in found.table.items()
        if row["range"] > farthest and row["sill"] > row["nugget"]
    ]
    if not names:
        return []
    return [
        f'<p class="note">The variogram of {" and ".join(names)} still rises at {farthest:.4g} '
        f"{unit}, its largest distance: this ground moved, or a trend is left. Errors of means "
        "are then too large; name stable ground, or detrend first.</p>"
    ]


def _variogram(found: Any, unit: str) -> Figure:
    figure = new_figure((6.5, 3.4))
    ax = figure.subplots()
    for k, name in enumerate(found.table):
        data = found.variogram
        ax.plot(data.distance, data[f"{name}_gamma"], "o", color=f"C{k}", ms=4, label=name)
        ax.plot(data.distance, data[f"{name}_fitted"], "-", color=f"C{k}", lw=1.2)
    ax.set(xlabel=f"distance ({unit})", ylabel=f"semivariance ({unit}²)", xscale="log")
    ax.set_ylim(bottom=0)
    ax.legend(frameon=False)
    return figure


def _along(field: Field, line: Trace, spacing: float | None, reach: float) -> list[str]:
    """Offsets along the trace, and profiles across it."""
    disp, pixel = field.disp, field.plane.pixel
    step = max(line.length / _STATIONS, 8 * pixel) if spacing is None else spacing
    parts = ["<h2>Offsets along the trace</h2>"]
    try:
        found = offsets(disp, line, spacing=step, half_length=reach)
    except DataError as error:
        parts.append(f"<p>{html.escape(str(error))}</p>")
    else:
        parts.append(_picture(plot_offsets(found), "Offsets with intervals"))
        rows = [
            [f"{float(s.distance):.0f}", *(_interval(s, c) for c in ("parallel", "perpendicular")),
             f"{float(s.zone_width):.3g}", str(int(s.n_values))]
            for s in (found.isel(station=k) for k in range(found.sizes["station"]))
            if np.isfinite(s.parallel)
        ]  # fmt: skip
        percent = f"{100 * found.attrs['confidence']:g} %"
        head = [
            f"distance ({field.unit})", f"parallel, right-lateral + ({percent})",
            f"perpendicular, opening + ({percent})", f"zone width ({field.unit})", "values",
        ]  # fmt: skip
        parts.append(_table(head, rows))
        parts.append(
            f'<p class="note">Fits from {found.attrs["gap"]:.4g} to {reach:.4g} {field.unit} on '
            f"either side, order {found.attrs['order']}.</p>"
        )
    parts.append("<h2>Profiles across the trace</h2>")
    for share in _ACROSS:
        point, tangent = line.at(np.array([share * line.length]))
        across = np.array([tangent[0, 1], -tangent[0, 0]]) * 2 * reach
        ends = np.stack([point[0] - across, point[0] + across])
        ends = np.column_stack(field.plane.to_crs(ends[:, 0], ends[:, 1]))
        try:
            stacked = profile(disp, ends, width=step, spacing=pixel)
        except DataError:
            continue
        title = f"at {share * line.length:.0f} {field.unit} along the trace"
        parts.append(_picture(plot_profile(stacked, title=title), title))
    return parts


def _interval(station: xr.Dataset, name: str) -> str:
    value, low, high = (float(station[f"{name}{end}"]) for end in ("", "_low", "_high"))
    return f"{value:.3g} ({low:.3g} to {high:.3g})"


def _versions(disp: xr.Dataset) -> list[str]:
    rows = [[str(name), str(value)] for name, value in disp.attrs.items()]
    packages = [["xsubpix", __version__], ["Python", platform.python_version()]]
    packages += [[name, importlib.metadata.version(name)] for name in ("numpy", "xarray", "torch")]
    return [
        "<h2>Parameters and versions</h2>", _table(["attribute of the field", ""], rows),
        _table(["this report was made by", ""], packages),
    ]  # fmt: skip


# ----------------------------------------------------------------------------- HTML


def _table(head: list[str], rows: list[list[str]]) -> str:
    top = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table><tr>{top}</tr>{body}</table>"


def _picture(figure: Figure, words: str) -> str:
    """A figure within the page."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return f'<p><img alt="{html.escape(words)}" src="data:image/png;base64,{data}"></p>'
