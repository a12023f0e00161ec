"""Page to look at a field: HTML that needs no server, no network and no Python."""

from __future__ import annotations

import html
import math
import os
import uuid
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from .atomic import replace_file
from .checks import real_number, whole_number
from .displacement.field import Field
from .displacement.flagged import is_unsure, unsure_names, unsure_share
from .displacement.traces import read_trace
from .errors import DataError, ModelError, SubpixError
from .files.writing import new_target, removed_at_exit, writing_errors_named
from .grid import Grid, Plane
from .image import Image, condition

__all__ = ["Explorer", "explore"]

_LABELS = {
    "east": "east", "north": "north", "up": "up", "magnitude": "length", "sigma": "sigma",
    "quality": "quality",
}  # fmt: skip
# Height of the frame in a notebook, and of the profiles, pixels on the screen.
_HEIGHT, _PROFILE_HEIGHT = 860, 220
# Tools over a map: on a second line where a window is narrow, so that none covers another.
_TOOLS: dict[str, Any] = {
    "sizing_mode": "stretch_width", "min_height": 40, "styles": {"flex-wrap": "wrap"},
}  # fmt: skip

# Rows of an image run upward in Bokeh; the values under the pointer make two profiles.
_PROFILE = """
const data = fields.data, n = data.rows[0], m = data.cols[0];
const span = (start, size, count, at) => Math.floor((at - start) / size * count);
const j = span(data.x[0], data.dw[0], m, cb_obj.x), i = span(data.y[0], data.dh[0], n, cb_obj.y);
if (i < 0 || j < 0 || i >= n || j >= m) return;
const values = data.shown[0];
const across = [], along = [];
for (let k = 0; k < m; k++) across.push(values[i * m + k]);
for (let k = 0; k < n; k++) along.push(values[k * m + j]);
row.data = {...row.data, value: across};
col.data = {...col.data, value: along};
vertical.location = cb_obj.x;
horizontal.location = cb_obj.y;
marks[0].location = cb_obj.x;
marks[1].location = cb_obj.y;
"""
_CHOOSE = """
const name = names[choice.active];
const values = fields.data[name][0], unsure = fields.data.unsure[0];
const shown = new values.constructor(values, values.shape);
if (!keep.active) for (let k = 0; k < shown.length; k++) if (unsure[k]) shown[k] = NaN;
fields.data = {...fields.data, shown: [shown]};
if (cb_obj === choice) {
  const limits = bounds[name];
  mapper.palette = limits[0] < 0 ? diverging : sequential;
  [low.value, high.value] = limits;
  [mapper.low, mapper.high] = limits;
  bar.title = labels[name];
}
for (const axis of axes) axis.axis_label = labels[name];
row.data = {...row.data, value: row.data.value.map(() => NaN)};
col.data = {...col.data, value: col.data.value.map(() => NaN)};
"""
_LIMIT = "if (low.value < high.value) { mapper.low = low.value; mapper.high = high.value; }"
_NAMES = """
const set = names.filter((name, k) => value & masks[k]);
return set.length ? set.join(", ").replaceAll("_", " ") : "none";
"""
_BLINK = """
if (window.xsubpixBlink) { clearInterval(window.xsubpixBlink); window.xsubpixBlink = null; }
if (this.active) {
  window.xsubpixBlink = setInterval(() => { slider.value = slider.value > 0.5 ? 0 : 1; }, 600);
}
"""


class Explorer:
    """Page to look at, which shows itself in a notebook.

    Attributes
    ----------
    page : str
        HTML of the whole page.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xsubpix
    >>> moved = xr.DataArray(np.ones((8, 8)), dims=("y", "x"))
    >>> xsubpix.explore(xr.Dataset({"east": moved, "north": moved})).save("disp.html")
    """

    def __init__(self, page: str) -> None:
        self.page = page

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write the page to one file, which any browser opens without a network.

        Parameters
        ----------
        path : str or path
            ``*.html``.
        overwrite : bool
            Replace an existing file.

        Raises
        ------
        FileError
            The folder is not there, the file exists, its name has another ending, or it
            cannot be written.
        """
        target = new_target(path, overwrite, (".html", ".htm"))
        part = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.partial")
        with writing_errors_named(target), removed_at_exit(part):
            part.write_text(self.page, encoding="utf-8")
            replace_file(part, target)

    def __repr__(self) -> str:
        return f"Explorer of {len(self.page) / 1e6:.1f} MB; save it: .save('field.html')"

    def _repr_html_(self) -> str:
        # A frame of its own: no extension of the notebook is needed.
        return (
            f'<iframe srcdoc="{html.escape(self.page, quote=True)}" width="100%" '
            f'height="{_HEIGHT}" style="border:none"></iframe>'
        )


def explore(
    disp: xr.Dataset,
    pre: xr.DataArray | None = None,
    post: xr.DataArray | None = None,
    *,
    trace: Any = None,
    vmin: float | None = None,
    vmax: float | None = None,
    keep_unsure: bool = False,
    max_size: int = 700,
) -> Explorer:
    """Make a page to look at a displacement field, and at the images it came from.

    Components and quality by choice, values and the names of flags under the pointer,
    profiles along the row and the column it is on; limits of the colours can be typed in;
    the two images fade into each other, or blink. All maps move together, and the page is as
    large as its window.

    Parameters
    ----------
    disp : xarray.Dataset
        ``east`` and ``north``; ``up``, ``sigma``, ``quality`` where there. A lazy one
        is computed.
    pre, post : xarray.DataArray, optional
        The images, on any grid in the same CRS.
    trace : trace, optional
        Trace of the fault, drawn over the maps, as :func:`xsubpix.read_trace` takes it.
    vmin, vmax : float, optional
        Limits of the colours of the components at first, unit of the field; one alone is
        that of both sides. None: what 98 % of the values lie within.
    keep_unsure : bool
        Draw values flagged ``low_texture``, ``not_converged`` or ``out_of_range`` at first
        too; by default they are grey until the button for them is pressed.
    max_size : int
        Rows or columns of a map on the page at most; larger ones are thinned by block means.

    Returns
    -------
    Explorer
        ``.save("field.html")`` writes one self-contained file.

    Raises
    ------
    DataError, DimensionError, GridError
        `disp` is not a displacement field, or the images are no images.
    ModelError
        `max_size` or a limit is out of bounds.
    SubpixError
        bokeh is not installed: ``pip install 'xsubpix[explore]'``.

    Examples
    --------
    >>> from xsubpix.tutorial import example_earthquake, procedural_scene
    >>> pre = procedural_scene((64, 64))
    >>> post, truth = example_earthquake(pre)
    >>> page = xsubpix.explore(truth, pre, post)
    >>> page.save("field.html")
    """
    try:
        import bokeh.embed
        import bokeh.resources
    except ImportError as error:
        raise SubpixError("explore needs bokeh: pip install 'xsubpix[explore]'.") from error
    field = Field.of(disp).loaded()
    whole_number("max_size", max_size, 16, 4000)
    limits = _own_limits(vmin, vmax)
    if (pre is None) != (post is None):
        raise DataError("pre and post go together: give both images, or none.")
    frame = _Frame(field.grid)
    maps, profiles = _fields_panel(field, frame, max_size, limits, keep_unsure)
    panels = [maps]
    if pre is not None and post is not None:
        images = _images_panel({"pre": pre, "post": post}, field.grid, frame, max_size)
        images.figure.x_range = maps.figure.x_range
        images.figure.y_range = maps.figure.y_range
        panels.append(images)
    if trace is not None:
        line = read_trace(trace, field.grid)
        for figure, _ in panels:
            for segment in line.segments:
                x, y = frame.of_plane(segment[:, 0], segment[:, 1])
                figure.line(x, y, color="black", line_width=1.5)
    from bokeh.layouts import column, row

    both, wide = {"sizing_mode": "stretch_both"}, {"sizing_mode": "stretch_width"}
    tools = row(*(panel.tools for panel in panels), **wide)
    figures = row(*(panel.figure for panel in panels), **both)
    layout = column(tools, figures, row(*profiles, **wide), **both)
    page = bokeh.embed.file_html(layout, bokeh.resources.INLINE, title="Displacement, by xsubpix")
    return Explorer(page)


class _Frame:
    """Coordinates on the page: kilometres from the corner, degrees, or pixels.

    A rotated grid is drawn by its rows and columns: maps of pixels cannot be turned.
    """

    def __init__(self, grid: Grid) -> None:
        self.grid, self.plane = grid, Plane.of(grid)
        self.upright = not grid.is_rotated
        self.kilometres = self.upright and grid.metres_per_unit is not None
        self.scale = 1e-3 * (grid.metres_per_unit or 1.0) if self.kilometres else 1.0
        self.origin = grid.corners().min(0) if self.kilometres else np.zeros(2)
        unit = "km from corner" if self.kilometres else "degrees" if grid.crs else "grid"
        self.units = unit if self.upright else "pixels"
        self.a, self.e = grid.transform.a, grid.transform.e

    def of_crs(self, x: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
        if not self.upright:
            return self.of_plane(*self.plane.from_crs(np.asarray(x), np.asarray(y)))
        return (np.asarray(x) - self.origin[0]) * self.scale, (
            np.asarray(y) - self.origin[1]
        ) * self.scale

    def of_plane(self, x: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
        if self.upright:
            return self.of_crs(*self.plane.to_crs(x, y))
        row, col = self.plane.index(x, y)
        return col + 0.5, self.grid.shape[0] - row - 0.5

    def box(self, grid: Grid) -> dict[str, float]:
        """Lower left corner, width and height of an image on the page."""
        if not self.upright:
            rows, cols = self.grid.shape
            return {"x": 0.0, "y": 0.0, "dw": float(cols), "dh": float(rows)}
        x, y = self.of_crs(grid.corners()[:, 0], grid.corners()[:, 1])
        return {
            "x": float(x.min()), "y": float(y.min()),
            "dw": float(np.ptp(x)), "dh": float(np.ptp(y)),
        }  # fmt: skip

    def thin_box(self, grid: Grid, size: int) -> dict[str, float]:
        """Box of a thinned map, whose last blocks may reach beyond the whole one."""
        box = self.box(grid)
        thin = _thinned_box(box, grid.shape, size)
        if not self.upright or grid.transform[4] < 0:
            # Blocks start at the first row, the top: what is over lies at the bottom.
            thin["y"] -= thin["dh"] - box["dh"]
        return thin

    def upward(self, values: np.ndarray, grid: Grid) -> np.ndarray:
        """Rows from the bottom of the page to its top, columns from left to right."""
        a, e = grid.transform.a, grid.transform.e
        if not self.upright or e < 0:
            values = values[::-1]
        return np.ascontiguousarray(values[:, ::-1] if self.upright and a < 0 else values)


def _thin(values: np.ndarray, size: int) -> np.ndarray:
    """Block means, NaN left out, so that no side is longer than `size`."""
    step = max(1, -(-max(values.shape) // size))
    if step == 1:
        return values.astype(np.float32)
    rows, cols = (-(-n // step) * step for n in values.shape)
    padded = np.full((rows, cols), np.nan, np.float32)
    padded[: values.shape[0], : values.shape[1]] = values
    blocks = padded.reshape(rows // step, step, cols // step, step)
    known = np.isfinite(blocks)
    count = known.sum((1, 3))
    total = np.where(known, blocks, 0).sum((1, 3))
    return np.where(count, total / np.maximum(count, 1), np.nan).astype(np.float32)


def _thinned_box(box: dict[str, float], shape: tuple[int, int], size: int) -> dict[str, float]:
    """Box of a thinned map, whose last blocks may reach beyond the whole one."""
    step = max(1, -(-max(shape) // size))
    high, wide = (-(-n // step) * step / n for n in shape)
    return {**box, "dw": box["dw"] * wide, "dh": box["dh"] * high}


class _Panel(NamedTuple):
    """Figure and the tools over it."""

    figure: Any
    tools: Any


def _fields_panel(
    field: Field, frame: _Frame, size: int, limits: tuple[float, float] | None, keep_unsure: bool
) -> tuple[_Panel, list[Any]]:
    """Map of the displacement with its choice of variable, and two profiles."""
    thin = _thin_variables(field, frame, size)
    flags = _thin_flags(field, frame, size)
    source = _field_source(thin, flags, field.grid, frame, size, keep_unsure)
    hidden = (flags["unsure"] > 0) & (not keep_unsure)
    bounds = {name: _bounds(name, values[~hidden]) for name, values in thin.items()}
    if limits is not None:
        bounds |= dict.fromkeys(field.components, limits)
    figure, mapper, bar = _field_map(field, frame, thin, source, bounds["east"])
    profiles, curves, marks = _profiles(field, frame, source)
    _link_pointer(figure, source, curves, marks)
    tools = _tools(field, bounds, source, mapper, bar, profiles, curves, keep_unsure)
    return _Panel(figure, tools), profiles


def _own_limits(vmin: float | None, vmax: float | None) -> tuple[float, float] | None:
    """Limits that were asked for; symmetric where one is."""
    given = [
        None if limit is None else real_number(name, limit, -math.inf)
        for name, limit in (("vmin", vmin), ("vmax", vmax))
    ]
    one, two = given
    if one is None or two is None:
        alone = one if two is None else two
        return None if alone is None else (-abs(alone), abs(alone))
    if not one < two:
        raise ModelError(f"vmin={vmin!r} and vmax={vmax!r}: give two limits, the lower one first.")
    return one, two


def _thin_variables(field: Field, frame: _Frame, size: int) -> dict[str, np.ndarray]:
    """Variables to choose from, thinned, rows upward."""
    arrays = {n: np.asarray(field.array(n), np.float32) for n in field.components}
    arrays["magnitude"] = np.hypot(arrays["east"], arrays["north"])
    for name in ("sigma", "quality"):
        if name in field.disp and np.isfinite(values := np.asarray(field.array(name))).any():
            arrays[name] = values
    return {name: frame.upward(_thin(a, size), field.grid) for name, a in arrays.items()}


def _thin_flags(field: Field, frame: _Frame, size: int) -> dict[str, np.ndarray]:
    """Flags that any value of a block has, and blocks of which half or more are unsure."""
    shape = field.grid.shape
    flags = np.zeros(shape, np.uint8)
    if "flags" in field.disp:
        flags = np.asarray(field.array("flags")).astype(np.uint8)
    mask = is_unsure(field.disp)
    unsure = np.zeros(shape) if mask is None else mask.transpose(*field.grid.dims).values
    step = max(1, -(-max(shape) // size))
    padded = np.pad(flags, [(0, -n % step) for n in shape])
    blocks = padded.reshape(padded.shape[0] // step, step, padded.shape[1] // step, step)
    thin = {
        "flags": np.bitwise_or.reduce(np.bitwise_or.reduce(blocks, axis=3), axis=1),
        "unsure": (_thin(unsure.astype(np.float32), size) >= 0.5).astype(np.uint8),
    }
    return {name: frame.upward(values, field.grid) for name, values in thin.items()}


def _field_source(
    thin: dict[str, np.ndarray],
    flags: dict[str, np.ndarray],
    grid: Grid,
    frame: _Frame,
    size: int,
    keep_unsure: bool,
) -> Any:
    """Data of the page: all variables, the one that is shown, and where they lie."""
    from bokeh.models import ColumnDataSource

    rows, cols = thin["east"].shape
    hidden = (flags["unsure"] > 0) & (not keep_unsure)
    shown = np.where(hidden, np.float32(np.nan), thin["east"])
    return ColumnDataSource(
        {
            **{name: [a] for name, a in {**thin, **flags}.items()},
            **{k: [v] for k, v in frame.thin_box(grid, size).items()},
            "shown": [shown], "rows": [rows], "cols": [cols],
        }
    )  # fmt: skip


def _map_figure(frame: _Frame, title: str) -> Any:
    """Empty map."""
    from bokeh.plotting import figure

    return figure(
        sizing_mode="stretch_both", min_width=200, min_height=200,
        match_aspect=frame.units != "degrees", min_border_left=60,
        title=title, tools="pan,wheel_zoom,box_zoom,reset,save", active_scroll="wheel_zoom",
        x_axis_label=f"x ({frame.units})", y_axis_label=f"y ({frame.units})",
    )  # fmt: skip


def _field_map(
    field: Field,
    frame: _Frame,
    thin: dict[str, np.ndarray],
    source: Any,
    limits: tuple[float, float],
) -> tuple[Any, Any, Any]:
    """Map of the chosen variable with values under the pointer, its colours, and their bar."""
    from bokeh.models import ColorBar, CustomJSHover, HoverTool, LinearColorMapper

    low, high = limits
    mapper = LinearColorMapper(palette=_blue_red(), low=low, high=high, nan_color="#d9d9d9")
    share = unsure_share(field.disp)
    unsure = f": {share:.0%} of the values are flagged as unsure" if share > 0.005 else ""
    figure = _map_figure(frame, f"displacement{unsure}")
    picture = figure.image(
        image="shown", x="x", y="y", dw="dw", dh="dh", source=source, color_mapper=mapper
    )
    # The trace may reach far beyond the field.
    figure.x_range.renderers = figure.y_range.renderers = [picture]
    unit = _unit(field)
    tips = [(_LABELS[n], f"@{n}{{0.000}}" + ("" if n == "quality" else f" {unit}")) for n in thin]
    formatters = {}
    if "flags" in field.disp:
        attrs = field.disp["flags"].attrs
        names = str(attrs.get("flag_meanings", "")).split()
        masks = np.ravel(attrs.get("flag_masks", ())).tolist()
        if names and len(names) == len(masks):
            tips.append(("flags", "@flags{custom}"))
            formatters["@flags"] = CustomJSHover(args={"names": names, "masks": masks}, code=_NAMES)
    figure.add_tools(
        HoverTool(renderers=[picture], tooltips=[("x, y", "$x, $y"), *tips], formatters=formatters)
    )
    bar = ColorBar(color_mapper=mapper, title=f"east ({unit})")
    figure.add_layout(bar, "right")
    return figure, mapper, bar


def _profiles(field: Field, frame: _Frame, source: Any) -> tuple[list[Any], list[Any], list[Any]]:
    """Profiles along x and y: figures, their curves, and marks of the pointer."""
    from bokeh.models import ColumnDataSource
    from bokeh.plotting import figure

    box = {k: source.data[k][0] for k in ("x", "y", "dw", "dh")}
    east = source.data["shown"][0]
    rows, cols = east.shape
    plots, curves, marks = [], [], []
    for axis, count, start, length in (("x", cols, "x", "dw"), ("y", rows, "y", "dh")):
        at = box[start] + (np.arange(count) + 0.5) * box[length] / count
        values = east[rows // 2] if axis == "x" else east[:, cols // 2]
        curve = ColumnDataSource({"at": at, "value": values})
        plot = figure(
            sizing_mode="stretch_width", height=_PROFILE_HEIGHT,
            title=f"along {axis}, under the pointer",
            tools="pan,wheel_zoom,reset,save", x_axis_label=f"{axis} ({frame.units})",
            y_axis_label=f"east ({_unit(field)})",
        )  # fmt: skip
        plot.line("at", "value", source=curve, color="#0072B2", line_width=1.5)
        plots.append(plot)
        curves.append(curve)
        marks.append(_pointer_mark(plot, "height"))
    return plots, curves, marks


def _pointer_mark(figure: Any, dimension: str) -> Any:
    """Dotted line that follows the pointer; ``"height"`` makes an upright one."""
    from bokeh.models import Span

    mark = Span(dimension=dimension, line_color="black", line_dash="dotted", location=None)
    figure.add_layout(mark)
    return mark


def _link_pointer(figure: Any, source: Any, curves: list[Any], marks: list[Any]) -> None:
    """Make the profiles those of the row and the column under the pointer."""
    from bokeh.models import CustomJS

    vertical, horizontal = (_pointer_mark(figure, d) for d in ("height", "width"))
    follow = CustomJS(
        args={
            "fields": source, "row": curves[0], "col": curves[1], "vertical": vertical,
            "horizontal": horizontal, "marks": marks,
        },
        code=_PROFILE,
    )  # fmt: skip
    figure.js_on_event("mousemove", follow)


def _tools(
    field: Field, bounds: dict[str, tuple[float, float]], source: Any, mapper: Any, bar: Any,
    profiles: list[Any], curves: list[Any], keep_unsure: bool,
) -> Any:  # fmt: skip
    """Buttons that choose the variable of map and profiles, and limits of its colours."""
    from bokeh.layouts import row
    from bokeh.models import CustomJS, Div, RadioButtonGroup, Spinner, Toggle
    from bokeh.palettes import Magma256

    unit = _unit(field)
    choice = RadioButtonGroup(labels=[_LABELS[n] for n in bounds], active=0, height=32)
    low, high = (
        Spinner(value=float(f"{value:.3g}"), width=90, height=32, step=float(f"{step:.1g}"))
        for value, step in zip(bounds["east"], [abs(bounds["east"][1]) / 10] * 2, strict=True)
    )
    limit = CustomJS(args={"mapper": mapper, "low": low, "high": high}, code=_LIMIT)
    keep = Toggle(label="unsure values", active=keep_unsure, width=110, height=32)
    keep.visible = bool(unsure_names(field.disp))
    choose = CustomJS(
        args={
            "names": list(bounds), "fields": source, "choice": choice, "keep": keep,
            "bounds": {name: list(pair) for name, pair in bounds.items()},
            "low": low, "high": high, "bar": bar,
            "mapper": mapper, "diverging": _blue_red(), "sequential": list(Magma256),
            "labels": {
                n: _LABELS[n] if n == "quality" else f"{_LABELS[n]} ({unit})" for n in bounds
            },
            "axes": [p.yaxis[0] for p in profiles], "row": curves[0], "col": curves[1],
        },
        code=_CHOOSE,
    )  # fmt: skip
    for spinner in (low, high):
        spinner.js_on_change("value", limit)
    for button in (choice, keep):
        button.js_on_change("active", choose)
    words = [Div(text=word, height=32, styles={"line-height": "32px"}) for word in ("from", "to")]
    return row(choice, row(words[0], low, words[1], high), keep, **_TOOLS)


def _images_panel(images: dict[str, xr.DataArray], grid: Grid, frame: _Frame, size: int) -> _Panel:
    """Two images, one over the other, with a slider between them and a blink."""
    from bokeh.layouts import row
    from bokeh.models import CustomJS, Slider, Toggle

    figure = _map_figure(frame, "images")
    pictures = [
        _draw_image(figure, Image.from_dataarray(image, name), name, grid, frame, size)
        for name, image in images.items()
    ]
    pictures[1].glyph.global_alpha = 0.0
    slider = Slider(
        start=0, end=1, step=0.01, value=0, title="pre (0) to post (1)", width=300, height=40
    )
    slider.js_on_change(
        "value",
        CustomJS(args={"glyph": pictures[1].glyph}, code="glyph.global_alpha = this.value;"),
    )
    blink = Toggle(label="blink", active=False, width=80, height=32)
    blink.js_on_change("active", CustomJS(args={"slider": slider}, code=_BLINK))
    return _Panel(figure, row(slider, blink, **_TOOLS))


def _draw_image(figure: Any, image: Image, name: str, grid: Grid, frame: _Frame, size: int) -> Any:
    """Draw one image in grey, from its 2nd to its 98th percentile."""
    from bokeh.models import LinearColorMapper
    from bokeh.palettes import Greys256

    grid.check_same_crs(image.grid, ("disp", name))
    grid.check_shared_ground(image.grid, ("disp", name))
    values = _thin(condition(np.asarray(image.data), image.nodata), size)
    finite = values[np.isfinite(values)]
    low, high = np.percentile(finite, [2, 98]) if finite.size else (0.0, 1.0)
    mapper = LinearColorMapper(
        palette=list(Greys256), low=float(low), high=float(max(high, low + 1e-9)),
        nan_color="#00000000",
    )  # fmt: skip
    box = frame.thin_box(image.grid, size)
    return figure.image(image=[frame.upward(values, image.grid)], color_mapper=mapper, **box)


def _unit(field: Field) -> str:
    """Unit of the displacement, in words."""
    return "m" if field.grid.units == "m" else "unit of the grid"


def _blue_red() -> list[str]:
    """Blue, white, red in 256 steps: ColorBrewer's RdBu."""
    from bokeh.palettes import RdBu11, interp_palette

    return list(interp_palette(RdBu11, 256))


def _bounds(name: str, values: np.ndarray) -> tuple[float, float]:
    """Limits of the colours: symmetric for what has a sign."""
    finite = values[np.isfinite(values)]
    if name == "quality":
        return 0.0, 1.0
    top = float(np.percentile(np.abs(finite), 98)) if finite.size else 0.0
    top = top or 1.0
    return (0.0, top) if name in ("magnitude", "sigma") else (-top, top)
