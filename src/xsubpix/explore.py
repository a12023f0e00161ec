"""Looking at a field: one HTML page that needs no server, no network and no Python."""

from __future__ import annotations

import html
import os
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from .checks import whole_number
from .displacement.field import Field
from .displacement.traces import read_trace
from .errors import DataError, FileError, SubpixError
from .grid import Grid, Plane

__all__ = ["Explorer", "explore"]

_LABELS = {
    "east": "east", "north": "north", "up": "up", "magnitude": "length", "sigma": "sigma",
    "quality": "quality",
}  # fmt: skip
# Of the frames of the maps, pixels on the screen.
_WIDTH, _HEIGHT = 440, 440

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
const name = names[this.active];
fields.data = {...fields.data, shown: [fields.data[name][0]]};
const limits = bounds[name];
mapper.low = limits[0];
mapper.high = limits[1];
mapper.palette = limits[0] < 0 ? diverging : sequential;
for (const axis of axes) axis.axis_label = labels[name];
row.data = {...row.data, value: row.data.value.map(() => NaN)};
col.data = {...col.data, value: col.data.value.map(() => NaN)};
"""
_BLINK = """
if (window.xsubpixBlink) { clearInterval(window.xsubpixBlink); window.xsubpixBlink = null; }
if (this.active) {
  window.xsubpixBlink = setInterval(() => { slider.value = slider.value > 0.5 ? 0 : 1; }, 600);
}
"""


class Explorer:
    """A page to look at; shows itself in a notebook.

    Attributes
    ----------
    page : str
        The whole of it, as HTML.
    """

    def __init__(self, page: str) -> None:
        self.page = page

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the page to one file, which any browser opens without a network.

        Raises
        ------
        FileError
            It cannot be written.
        """
        try:
            Path(path).write_text(self.page, encoding="utf-8")
        except OSError as error:
            raise FileError(f"cannot write {os.fspath(path)}: {error}") from error

    def __repr__(self) -> str:
        return f"Explorer of {len(self.page) / 1e6:.1f} MB; save it: .save('field.html')"

    def _repr_html_(self) -> str:
        # A frame of its own: no extension of the notebook is needed.
        return (
            f'<iframe srcdoc="{html.escape(self.page, quote=True)}" width="100%" '
            f'height="{_HEIGHT + 420}" style="border:none"></iframe>'
        )


def explore(
    disp: xr.Dataset,
    pre: xr.DataArray | None = None,
    post: xr.DataArray | None = None,
    *,
    trace: Any = None,
    max_size: int = 700,
) -> Explorer:
    """Make a page to look at a displacement field, and at the images it came from.

    Components and quality by choice, values in metres under the pointer, profiles along
    the row and the column it is on; the two images fade into each other, or blink. All
    maps move together.

    Parameters
    ----------
    disp : xarray.Dataset
        ``east`` and ``north``; ``up``, ``sigma``, ``quality`` where there. A lazy one
        is computed.
    pre, post : xarray.DataArray, optional
        The images, on any grid in the same CRS.
    trace : trace, optional
        Of the fault, drawn over the maps, as :func:`xsubpix.read_trace` takes it.
    max_size : int
        Rows or columns of a map on the page at most; larger ones are thinned by block means.

    Returns
    -------
    Explorer
        ``.save("field.html")`` writes one self-contained file.

    Raises
    ------
    DataError, DimensionError, GridError
        This is no displacement field, or the images are no images.
    ModelError
        `max_size` is out of its bounds.
    SubpixError
        bokeh is not installed: ``pip install 'xsubpix[explore]'``.
    """
    try:
        import bokeh.embed
        import bokeh.resources
    except ImportError as error:
        raise SubpixError("explore needs bokeh: pip install 'xsubpix[explore]'.") from error
    field = Field.of(disp).loaded()
    whole_number("max_size", max_size, 16, 4000)
    if (pre is None) != (post is None):
        raise DataError("pre and post go together: give both images, or none.")
    frame = _Frame(field.grid)
    maps = _fields_panel(field, frame, max_size)
    figures = [maps["figure"]]
    panels = [[maps["tools"], maps["figure"]]]
    if pre is not None and post is not None:
        images = _images_panel({"pre": pre, "post": post}, field.grid, frame, max_size)
        images["figure"].x_range = maps["figure"].x_range
        images["figure"].y_range = maps["figure"].y_range
        figures.append(images["figure"])
        panels.append([images["tools"], images["figure"]])
    if trace is not None:
        line = read_trace(trace, field.grid)
        for figure in figures:
            for segment in line.segments:
                x, y = frame.of_plane(segment[:, 0], segment[:, 1])
                figure.line(x, y, color="black", line_width=1.5)
    from bokeh.layouts import column, row

    layout = column(row(*(column(*panel) for panel in panels)), row(maps["across"], maps["along"]))
    page = bokeh.embed.file_html(layout, bokeh.resources.INLINE, title="Displacement, by xsubpix")
    return Explorer(page)


class _Frame:
    """Where things are on the page: kilometres from the corner, degrees, or pixels.

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
        """Place of an image's lower left corner, width and height on the page."""
        if not self.upright:
            rows, cols = self.grid.shape
            return {"x": 0.0, "y": 0.0, "dw": float(cols), "dh": float(rows)}
        x, y = self.of_crs(grid.corners()[:, 0], grid.corners()[:, 1])
        return {
            "x": float(x.min()), "y": float(y.min()),
            "dw": float(np.ptp(x)), "dh": float(np.ptp(y)),
        }  # fmt: skip

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
    """The box of a thinned map, whose last blocks may stick out of the whole one."""
    step = max(1, -(-max(shape) // size))
    high, wide = (-(-n // step) * step / n for n in shape)
    grown = dict(box)
    grown["dw"], grown["dh"] = box["dw"] * wide, box["dh"] * high
    return grown


def _fields_panel(field: Field, frame: _Frame, size: int) -> dict[str, Any]:
    """The displacement map with its choice of variable, and the two profiles."""
    from bokeh.models import (
        ColorBar,
        ColumnDataSource,
        CustomJS,
        HoverTool,
        LinearColorMapper,
        RadioButtonGroup,
        Span,
    )
    from bokeh.palettes import Magma256
    from bokeh.plotting import figure

    blue_red = _palette()
    unit = "m" if field.grid.units == "m" else "unit of the grid"
    grid = field.grid
    arrays = {n: np.asarray(field.array(n), np.float32) for n in field.components}
    arrays["magnitude"] = np.hypot(arrays["east"], arrays["north"])
    for name in ("sigma", "quality"):
        if name in field.disp and np.isfinite(values := np.asarray(field.array(name))).any():
            arrays[name] = values
    thin = {name: frame.upward(_thin(a, size), grid) for name, a in arrays.items()}
    bounds = {name: _bounds(name, a) for name, a in thin.items()}
    rows, cols = thin["east"].shape
    box = _thinned_box(frame.box(grid), grid.shape, size)
    if not frame.upright or grid.transform.e < 0:
        # Blocks start at the first row, the top: what sticks out does so at the bottom.
        box["y"] -= box["dh"] - frame.box(grid)["dh"]
    names = list(thin)
    source = ColumnDataSource(
        {
            **{name: [a] for name, a in thin.items()},
            **{k: [v] for k, v in box.items()},
            "shown": [thin["east"]], "rows": [rows], "cols": [cols],
        }
    )  # fmt: skip
    low, high = bounds["east"]
    mapper = LinearColorMapper(palette=blue_red, low=low, high=high, nan_color="#d9d9d9")
    shown = figure(
        frame_width=_WIDTH, frame_height=_HEIGHT, match_aspect=frame.units != "degrees",
        title="displacement",
        tools="pan,wheel_zoom,box_zoom,reset,save", active_scroll="wheel_zoom",
        x_axis_label=f"x ({frame.units})", y_axis_label=f"y ({frame.units})",
    )  # fmt: skip
    picture = shown.image(
        image="shown", x="x", y="y", dw="dw", dh="dh", source=source, color_mapper=mapper
    )
    # The trace may reach far beyond the field.
    shown.x_range.renderers = shown.y_range.renderers = [picture]
    tips = [(_LABELS[n], f"@{n}{{0.000}}" + ("" if n == "quality" else f" {unit}")) for n in names]
    shown.add_tools(HoverTool(renderers=[picture], tooltips=[("x, y", "$x, $y"), *tips]))
    shown.add_layout(ColorBar(color_mapper=mapper), "right")
    vertical, horizontal = (
        Span(dimension=d, line_color="black", line_dash="dotted", location=None)
        for d in ("height", "width")
    )
    shown.add_layout(vertical)
    shown.add_layout(horizontal)
    profiles, sources, marks = [], [], []
    for axis, count, start, length in (("x", cols, "x", "dw"), ("y", rows, "y", "dh")):
        at = box[start] + (np.arange(count) + 0.5) * box[length] / count
        middle = thin["east"][rows // 2] if axis == "x" else thin["east"][:, cols // 2]
        curve = ColumnDataSource({"at": at, "value": middle})
        plot = figure(
            frame_width=_WIDTH, frame_height=170, title=f"along {axis}, under the pointer",
            tools="pan,wheel_zoom,reset,save", x_axis_label=f"{axis} ({frame.units})",
            y_axis_label=f"east ({unit})",
        )  # fmt: skip
        plot.line("at", "value", source=curve, color="#0072B2", line_width=1.5)
        mark = Span(dimension="height", line_color="black", line_dash="dotted", location=None)
        plot.add_layout(mark)
        profiles.append(plot)
        sources.append(curve)
        marks.append(mark)
    follow = CustomJS(
        args={
            "fields": source, "row": sources[0], "col": sources[1], "vertical": vertical,
            "horizontal": horizontal, "marks": marks,
        },
        code=_PROFILE,
    )  # fmt: skip
    shown.js_on_event("mousemove", follow)
    choice = RadioButtonGroup(labels=[_LABELS[n] for n in names], active=0, height=50)
    labels = {n: _LABELS[n] if n == "quality" else f"{_LABELS[n]} ({unit})" for n in names}
    choose = CustomJS(
        args={
            "names": names, "fields": source, "bounds": {k: list(v) for k, v in bounds.items()},
            "mapper": mapper, "diverging": blue_red, "sequential": list(Magma256),
            "labels": labels, "axes": [p.yaxis[0] for p in profiles], "row": sources[0],
            "col": sources[1],
        },
        code=_CHOOSE,
    )  # fmt: skip
    choice.js_on_change("active", choose)
    return {"figure": shown, "tools": choice, "across": profiles[0], "along": profiles[1]}


def _images_panel(
    images: dict[str, xr.DataArray], grid: Grid, frame: _Frame, size: int
) -> dict[str, Any]:
    """The two images, one over the other, with a slider between them and a blink."""
    from bokeh.layouts import row
    from bokeh.models import CustomJS, LinearColorMapper, Slider, Toggle
    from bokeh.plotting import figure

    from .image import Image, condition

    shown = figure(
        frame_width=_WIDTH, frame_height=_HEIGHT, match_aspect=frame.units != "degrees",
        title="images",
        tools="pan,wheel_zoom,box_zoom,reset,save", active_scroll="wheel_zoom",
        x_axis_label=f"x ({frame.units})", y_axis_label=f"y ({frame.units})",
    )  # fmt: skip
    pictures = []
    for name, image in images.items():
        checked = Image.from_dataarray(image, name)
        grid.check_same_crs(checked.grid, ("disp", name))
        values = _thin(condition(np.asarray(checked.data), checked.nodata), size)
        finite = values[np.isfinite(values)]
        low, high = np.percentile(finite, [2, 98]) if finite.size else (0.0, 1.0)
        whole = frame.box(checked.grid)
        box = _thinned_box(whole, checked.grid.shape, size)
        if not frame.upright or checked.grid.transform.e < 0:
            box["y"] -= box["dh"] - whole["dh"]
        greys = [f"#{k:02x}{k:02x}{k:02x}" for k in range(256)]
        mapper = LinearColorMapper(
            palette=greys, low=float(low), high=float(max(high, low + 1e-9)),
            nan_color="#00000000",
        )  # fmt: skip
        pictures.append(
            shown.image(image=[frame.upward(values, checked.grid)], color_mapper=mapper, **box)
        )
    pictures[1].glyph.global_alpha = 0.0
    slider = Slider(
        start=0, end=1, step=0.01, value=0, title="pre (0) to post (1)", width=380, height=50
    )
    slider.js_on_change(
        "value",
        CustomJS(args={"glyph": pictures[1].glyph}, code="glyph.global_alpha = this.value;"),
    )
    blink = Toggle(label="blink", active=False, width=80, height=32)
    blink.js_on_change("active", CustomJS(args={"slider": slider}, code=_BLINK))
    return {"figure": shown, "tools": row(slider, blink)}


def _palette() -> list[str]:
    """Blue, white, red in 256 steps: ColorBrewer's RdBu, reversed, interpolated."""
    stops = np.array(
        [(5, 48, 97), (33, 102, 172), (67, 147, 195), (146, 197, 222), (209, 229, 240),
         (247, 247, 247), (253, 219, 199), (244, 165, 130), (214, 96, 77), (178, 24, 43),
         (103, 0, 31)]
    )  # fmt: skip
    at = np.linspace(0, len(stops) - 1, 256)
    rgb = np.column_stack([np.interp(at, np.arange(len(stops)), stops[:, k]) for k in range(3)])
    return [f"#{r:02x}{g:02x}{b:02x}" for r, g, b in np.rint(rgb).astype(int)]


def _bounds(name: str, values: np.ndarray) -> tuple[float, float]:
    """Limits of the colours: symmetric for what has a sign."""
    finite = values[np.isfinite(values)]
    if name == "quality":
        return 0.0, 1.0
    top = float(np.percentile(np.abs(finite), 98)) if finite.size else 0.0
    top = top or 1.0
    return (0.0, top) if name in ("magnitude", "sigma") else (-top, top)
