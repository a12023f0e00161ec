"""Displacement fields as figures for a paper."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from ..checks import real_number
from ..displacement.field import Field
from ..displacement.flagged import left_out, without_unsure
from ..displacement.traces import read_trace
from ..errors import DataError, GridError, ModelError
from ..field_input import checked_field
from ..field_stack import field_stack_dim, fields_of, labels_of
from ..grid import Grid
from ..image import Image, condition_linear
from .arrows import draw_arrows
from .style import (
    DIVERGING,
    MISSING,
    SEQUENTIAL,
    MapAxes,
    draw_north,
    draw_scale_bar,
    draw_trace,
    letter,
    limit_of,
    new_figure,
    settle,
    show_field,
)

if TYPE_CHECKING:
    from collections.abc import Hashable

    from matplotlib.figure import Figure

__all__ = ["plot_displacement", "plot_error"]

_TITLES = {
    "east": "east", "north": "north", "up": "up", "parallel": "fault-parallel",
    "perpendicular": "fault-perpendicular", "true_east": "true east", "true_north": "true north",
    "dx": "along columns", "dy": "along rows",
}  # fmt: skip
# Which pairs make a vector along the axes of the CRS, whose arrows can be drawn.
_VECTORS = (("east", "north"),)
_ARROWS = 16
# Fields of a stack that are drawn.
_MOST_FIELDS = 40
# How opaque colours are over a backdrop, and its longer side at most, pixels.
_OPACITY, _BACKDROP = 0.6, 1500


def plot_displacement(
    disp: xr.Dataset,
    *,
    trace: Any = None,
    components: tuple[str, ...] | None = None,
    limit: float | None = None,
    vmin: float | None = None,
    vmax: float | None = None,
    cmap: str | None = None,
    arrows: int | None = _ARROWS,
    backdrop: xr.DataArray | None = None,
    map_coordinates: bool = False,
    scale_bar: bool = False,
    north_arrow: bool = False,
    title: str | None = None,
    keep_unsure: bool = False,
    figure: Any = None,
) -> Figure:
    """Draw the components of a displacement field, and its vectors.

    Parameters
    ----------
    disp : xarray.Dataset
        ``east`` and ``north``, or what :func:`xsubpix.rotate` and the like made of them.
        Stacks along ``pair`` or ``time`` become small maps on one scale of colours.
    trace : trace, optional
        Trace of the fault, drawn over the maps; as :func:`xsubpix.read_trace` takes it.
    components : sequence of str, optional
        Variables to draw. None: the two horizontal ones, and ``up`` if present.
    limit : float, optional
        Limit of the colours, unit of the field, the same on both sides of zero and for
        all components. None: what 98 % of the values lie within.
    vmin, vmax : float, optional
        Limits of the colours that need not be symmetric; one alone is that of both sides.
    cmap : str, optional
        Colour map of matplotlib. None: a diverging one, white at zero.
    backdrop : xarray.DataArray, optional
        Image or hillshade in the CRS of the field, drawn in grey below the colours.
    map_coordinates : bool
        Axes in the coordinates of the CRS, kilometres, and not from the field's corner.
    scale_bar, north_arrow : bool
        Draw them on the first map: where it is in metres; toward true north.
    arrows : int, optional
        Arrows across the longer side of a last panel, each the median of its surroundings.
        None: no such panel; stacks have none.
    title : str, optional
        Title above the figure.
    keep_unsure : bool
        Draw values flagged as unsure too, see :func:`xsubpix.mask`;
        by default they are grey, and a line below the maps says how many there are.
    figure : matplotlib.figure.Figure or SubFigure, optional
        Where to draw, e.g. ``plt.figure()``. None: a figure of its own.

    Returns
    -------
    matplotlib.figure.Figure
        Not shown; ``figure.savefig("field.pdf")`` writes it.

    Raises
    ------
    DataError
        No such components, or more than 40 fields in a stack.
    DimensionError, GridError
        The field is on no usable grid.
    ModelError
        A parameter is out of bounds.
    SubpixError
        matplotlib is not installed.

    Examples
    --------
    >>> from xsubpix.tutorial import example_earthquake, procedural_scene
    >>> post, truth = example_earthquake(procedural_scene((64, 64)))
    >>> from xsubpix.plot import plot_displacement
    >>> figure = plot_displacement(truth)
    >>> figure.savefig("truth.png")
    """
    disp = checked_field(disp)
    names = _components(disp, components)
    if limit is not None:
        real_number("limit", limit, 0.0, above=True)
    if arrows is not None and not 2 <= arrows <= 200:
        raise ModelError(f"arrows={arrows!r}: give None or a whole number from 2 to 200.")
    dim = field_stack_dim(disp)
    first = disp[names[0]] if dim is None else disp[names[0]].isel({dim: 0})
    grid = Grid.from_dataarray(first, "disp")
    line = None if trace is None else read_trace(trace, grid)
    unit = _unit(disp, names[0], grid)
    # At once: what is measured is measured one time.
    disp = disp[list(dict.fromkeys([*names, *_drawn_too(disp)]))].compute()
    disp, share = without_unsure(
        disp, keep_unsure, [str(n) for n in disp.data_vars if n != "flags"]
    )
    panels = _panels(disp, dim, names)
    fields = [field.transpose(*grid.dims) for _, field in panels]
    bound = limit_of([f.values for f in fields]) if limit is None else float(limit)
    low, high = _limits(vmin, vmax, bound)
    frame = MapAxes(grid, from_corner=not map_coordinates)
    below = None if backdrop is None else _backdrop(backdrop, grid)
    vector = next((pair for pair in _VECTORS if set(pair) <= set(disp.data_vars)), None)
    with_arrows = (
        arrows is not None and dim is None and vector is not None and set(vector) <= set(names)
    )
    count = len(panels) + with_arrows
    shape = (1, count) if dim is None else _multiples(grid, count, len(names))
    width, height = _size(grid, shape[1])
    if dim is not None:
        width, height = 0.6 * width + 0.8, 0.62 * (height - 0.4) * shape[0] + 0.7
    figure = new_figure((width, height + (0.4 if title else 0.0)), figure)
    axes = figure.subplots(*shape, squeeze=False, sharex=True, sharey=True).ravel()
    for ax in axes[count:]:
        ax.remove()
    axes = axes[:count]
    for k, (ax, (heading, _), field) in enumerate(zip(axes, panels, fields, strict=False)):
        if below is not None:
            show_field(ax, below, frame=frame, cmap="gray")
        mesh = show_field(
            ax, field, frame=frame, cmap=cmap or DIVERGING, vmin=low, vmax=high,
            alpha=None if below is None else _OPACITY,
            missing=MISSING if below is None else (0, 0, 0, 0),
        )  # fmt: skip
        ax.set_title(heading, fontsize="medium" if dim is None else "small")
        draw_trace(ax, line, grid, frame)
        if dim is None:
            letter(ax, k)
        elif k + shape[1] < count:  # nothing below it
            ax.set_xlabel("")
    if scale_bar:
        draw_scale_bar(axes[0], frame)
    if north_arrow:
        draw_north(axes[0], grid)
    values = np.concatenate([f.values.ravel() for f in fields])
    beyond = bool((values < low).any() or (values > high).any())
    figure.colorbar(
        mesh, ax=axes[: len(panels)], label=f"displacement ({unit})", shrink=0.85, pad=0.02,
        extend="both" if beyond else "neither",
    )  # fmt: skip
    if with_arrows and arrows is not None:
        draw_arrows(axes[-1], disp, frame, unit, arrows)
        draw_trace(axes[-1], line, grid, frame)
        letter(axes[-1], count - 1)
    _say_left_out(figure, disp, share)
    if title:
        figure.suptitle(title)
    settle(figure)
    return figure


def plot_error(
    disp: xr.Dataset,
    truth: xr.Dataset,
    *,
    trace: Any = None,
    keep_unsure: bool = False,
    figure: Any = None,
) -> Figure:
    """Draw the error of a measured field against a known one.

    Parameters
    ----------
    disp : xarray.Dataset
        Measured ``east`` and ``north``.
    truth : xarray.Dataset
        True ones, on the same grid or a finer one.
    trace : trace, optional
        Trace of the fault, drawn over the maps.
    keep_unsure : bool
        Draw and count values that are flagged as unsure too.
    figure : matplotlib.figure.Figure or SubFigure, optional
        Where to draw, e.g. ``plt.figure()``. None: a figure of its own.

    Returns
    -------
    matplotlib.figure.Figure
        Errors of east and north, end-point error, and its distribution.

    Raises
    ------
    DataError, DimensionError, GridError
        The fields cannot be compared.
    SubpixError
        matplotlib is not installed.

    Examples
    --------
    >>> from xsubpix.tutorial import example_earthquake, procedural_scene
    >>> post, truth = example_earthquake(procedural_scene((64, 64)))
    >>> from xsubpix.plot import plot_error
    >>> figure = plot_error(truth + 0.1, truth)
    """
    import dask

    from ..displacement.compare import epe, error_of

    measured, known = Field.of(disp), Field.of(truth, what="truth")
    disp, truth, grid = measured.disp, known.disp, measured.grid
    line = None if trace is None else read_trace(trace, grid)
    drawn = ["east", "north", *(["flags"] if "flags" in disp else [])]
    disp, truth = dask.compute(disp[drawn], truth[["east", "north"]])
    disp, share = without_unsure(disp, keep_unsure, ["east", "north"])
    errors = [error_of(disp, truth, name).transpose(*grid.dims) for name in ("east", "north")]
    length = epe(disp, truth).transpose(*grid.dims)
    unit = _unit(disp, "east", grid)
    bound = limit_of([e.values for e in errors], 95.0)
    width, height = _size(grid, 4)
    figure = new_figure((width + 1.0, height), figure)
    axes = figure.subplots(1, 4)
    for k, (ax, error, name) in enumerate(zip(axes, errors, ("east", "north"), strict=False)):
        mesh = show_field(ax, error, cmap=DIVERGING, vmin=-bound, vmax=bound)
        ax.set_title(f"error {name}")
        letter(ax, k)
    figure.colorbar(mesh, ax=axes[:2], label=unit, shrink=0.85, extend="both", pad=0.02)
    mesh = show_field(axes[2], length, cmap=SEQUENTIAL, vmin=0, vmax=bound)
    axes[2].set_title("end-point error")
    figure.colorbar(mesh, ax=axes[2], label=unit, shrink=0.85, extend="max", pad=0.02)
    letter(axes[2], 2)
    for ax in axes[:3]:
        draw_trace(ax, line, grid, color="0.1")
    finite = np.sort(length.values[np.isfinite(length.values)])
    ax = axes[3]
    if finite.size:
        ax.plot(finite, np.linspace(0, 100, finite.size), color="black")
        median, mean = float(np.median(finite)), float(finite.mean())
        ax.axvline(median, color="0.5", ls="--", lw=1, label=f"median {median:.3g} {unit}")
        ax.axvline(mean, color="0.5", ls=":", lw=1, label=f"mean {mean:.3g} {unit}")
        ax.legend(frameon=False, loc="lower right")
        ax.set_xlim(0, max(2.5 * bound, mean))
    ax.set(xlabel=f"end-point error ({unit})", ylabel="values below (%)", ylim=(0, 100))
    ax.set_title("distribution")
    letter(ax, 3)
    _say_left_out(figure, disp, share)
    settle(figure)
    return figure


def _panels(
    disp: xr.Dataset, dim: Hashable | None, names: list[str]
) -> list[tuple[str, xr.DataArray]]:
    """Heading and field of each map."""
    if dim is None:
        return [(_TITLES.get(name, name), disp[name]) for name in names]
    labels = labels_of(disp, dim)
    if len(labels) > _MOST_FIELDS:
        every = -(-len(labels) // _MOST_FIELDS)
        raise DataError(
            f"disp has {len(labels)} fields along {dim!r}, and {_MOST_FIELDS} are drawn at most: "
            f"choose some, disp.isel({dim}=slice(None, None, {every}))."
        )
    return [
        (f"{label}\n{_TITLES.get(name, name)}", part[name])
        for label, part in zip(labels, fields_of(disp, dim), strict=True)
        for name in names
    ]


def _multiples(grid: Grid, count: int, names: int) -> tuple[int, int]:
    """Rows and columns of small maps: the components of a field stay side by side."""
    width, height = _size(grid, 1)
    across = np.sqrt(1.5 * count * (height - 0.9) / (width - 1.9)) / names
    fields = int(np.clip(round(across), 1, count // names))
    return -(-count // (fields * names)), fields * names


def _components(disp: xr.Dataset, asked: tuple[str, ...] | None) -> list[str]:
    if not isinstance(disp, xr.Dataset):
        raise DataError(f"disp is a {type(disp).__name__}; an xarray.Dataset is needed.")
    pairs = (("east", "north"), ("parallel", "perpendicular"), ("true_east", "true_north"),
             ("dx", "dy"))  # fmt: skip
    if asked is not None:
        names = [asked] if isinstance(asked, str) else list(asked)
    else:
        found = next((list(p) for p in pairs if set(p) <= set(disp.data_vars)), [])
        names = found + (["up"] if found and "up" in disp else [])
    absent = [name for name in names if name not in disp]
    if absent or not names:
        raise DataError(
            f"disp has {list(disp.data_vars)}, not {absent or 'a pair of components'}: say which "
            "to draw, components=('NAME', ...)."
        )
    return names


def _drawn_too(disp: xr.Dataset) -> list[str]:
    vectors = [name for pair in _VECTORS for name in pair if set(pair) <= set(disp.data_vars)]
    return [*vectors, *(["flags"] if "flags" in disp else [])]


def _limits(vmin: float | None, vmax: float | None, bound: float) -> tuple[float, float]:
    """Limits of the colours; symmetric unless both are given."""
    if vmin is None and vmax is None:
        return -bound, bound
    if vmin is None or vmax is None:
        size = abs(vmax if vmin is None else vmin)  # type: ignore[arg-type]
        vmin, vmax = -size, size
    if not vmin < vmax:
        raise ModelError(f"vmin={vmin!r} and vmax={vmax!r}: give two limits, the lower one first.")
    return float(vmin), float(vmax)


def _backdrop(image: xr.DataArray, grid: Grid) -> xr.DataArray:
    """The part of an image under a field, thinned, between 0 and 1."""
    own = Grid.from_dataarray(image, "backdrop")
    grid.check_same_crs(own, ("disp", "backdrop"))
    x, y = grid.corners().T
    rows, cols = own.index(x, y)
    parts = []
    for at, size in ((rows, own.shape[0]), (cols, own.shape[1])):
        first, last = max(0, int(at.min())), min(size, int(np.ceil(at.max())) + 1)
        if last - first < 2:
            raise GridError(
                "backdrop does not lie under disp: in its rows and columns disp spans "
                f"{rows.min():.0f} to {rows.max():.0f} and {cols.min():.0f} to {cols.max():.0f}."
            )
        parts.append(slice(first, last, max(1, (last - first) // _BACKDROP)))
    part = image.isel(dict(zip(own.dims, parts, strict=True)))
    values = condition_linear(np.asarray(part.values), Image.from_dataarray(image).nodata)
    low, high = np.nanpercentile(values, [2, 98])
    return part.copy(data=((values - low) / max(high - low, 1e-12)).clip(0, 1))


def _say_left_out(figure: Figure, disp: xr.Dataset, share: float | None) -> None:
    """Say below the maps how many values are drawn grey."""
    if share:
        text = left_out(disp, share)["left_out"].replace("_", " ")
        figure.supxlabel(f"grey: {text}", fontsize="small", color="0.3")


def _unit(disp: xr.Dataset, name: str, grid: Grid) -> str:
    unit = str(disp[name].attrs.get("units", grid.units))
    if name in ("dx", "dy"):
        return "px"
    return "unit of the grid" if unit == "1" else unit


def _size(grid: Grid, panels: int) -> tuple[float, float]:
    """Figure size in inches for maps side by side, 3.4 inches high or 4.2 wide each."""
    low, high = grid.corners().min(0), grid.corners().max(0)
    aspect = float((high[0] - low[0]) / max(high[1] - low[1], 1e-300)) / MapAxes(grid).aspect
    height = float(np.clip(4.0 / aspect, 2.0, 3.6))
    return panels * float(np.clip(height * aspect, 1.6, 6.0)) + 1.9, height + 0.9
