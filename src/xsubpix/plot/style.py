"""Common parts of all pictures: figures, maps in kilometres, limits, traces, letters."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from ..errors import SubpixError
from ..grid import Grid

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..displacement.traces import Trace

__all__ = [
    "DIVERGING",
    "SEQUENTIAL",
    "MapAxes",
    "draw_north",
    "draw_scale_bar",
    "draw_trace",
    "letter",
    "limit_of",
    "new_figure",
    "settle",
    "show_field",
]

#: Displacement: a perceptual diverging map; error: a sequential one. Both can be
#: told apart by colour-blind readers, and zero is white.
DIVERGING, SEQUENTIAL = "RdBu_r", "magma"
#: Ground without a value.
MISSING = "0.85"


def new_figure(size: tuple[float, float], figure: Any = None, dpi: int = 110) -> Figure:
    """An empty figure of a size (inches), or the one given, made that large.

    It is made outside of pyplot, so that nothing is shown twice or kept behind
    one's back, and a notebook shows it as a picture.

    Raises
    ------
    SubpixError
        matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure, SubFigure
    except ImportError as error:
        raise SubpixError("plots need matplotlib: pip install 'xsubpix[plot]'.") from error
    if figure is not None:
        if not isinstance(figure, SubFigure):
            figure.set_size_inches(size)
            figure.set_layout_engine("constrained")
        return figure

    class Picture(Figure):
        def _repr_png_(self) -> bytes:
            buffer = io.BytesIO()
            self.savefig(buffer, format="png")
            return buffer.getvalue()

    figure = Picture(figsize=size, layout="constrained", dpi=dpi)
    FigureCanvasAgg(figure)
    return figure


class MapAxes:
    """Position of a grid in a picture: kilometres from its corner, where it is in metres.

    Parameters
    ----------
    grid : Grid
    from_corner : bool
        False: coordinates of the CRS, in kilometres.
    """

    def __init__(self, grid: Grid, from_corner: bool = True) -> None:
        self.grid = grid
        self.from_corner = from_corner
        #: Whether axes are in kilometres.
        self.kilometres = grid.metres_per_unit is not None
        self.scale = 1e-3 * (grid.metres_per_unit or 1.0) if self.kilometres else 1.0
        # Seven-figure coordinates say little in a picture.
        corners = grid.corners() * self.scale
        moved = self.kilometres and from_corner
        self.origin = corners.min(0) if moved else np.zeros(2)
        #: How much longer a unit of y is drawn than one of x: degrees of latitude.
        self.aspect = 1.0
        if grid.crs is not None and not self.kilometres:
            latitude = (
                float(grid.corners()[:, 1].mean()) * grid.crs.axis_info[0].unit_conversion_factor
            )
            self.aspect = 1.0 / max(float(np.cos(latitude)), 0.01)
        self.low, self.high = corners.min(0) - self.origin, corners.max(0) - self.origin

    def from_crs(self, x: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
        """Coordinates in the picture, from those of the CRS."""
        return (
            np.asarray(x, float) * self.scale - self.origin[0],
            np.asarray(y, float) * self.scale - self.origin[1],
        )

    def label(self, axis: int) -> str:
        """Label of the x (0) or y (1) axis."""
        if self.kilometres:
            if not self.from_corner:
                return f"{('easting', 'northing')[axis]} (km)"
            return f"{'xy'[axis]} (km from corner)"
        if self.grid.crs is not None:
            return ("longitude", "latitude")[axis] + " (degrees)"
        return str(self.grid.dims[1 - axis])


def show_field(
    ax: Any,
    field: xr.DataArray,
    *,
    frame: MapAxes | None = None,
    missing: Any = MISSING,
    **style: Any,
) -> Any:
    """Draw a field with its rows and columns where they are, kilometres if in metres.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    field : xarray.DataArray
    frame : MapAxes, optional
        Of the picture; None: that of the field.
    missing : colour
        Of ground without a value.
    **style
        Of ``imshow``, or ``pcolormesh`` on a rotated grid.
    """
    import matplotlib
    from matplotlib.ticker import MaxNLocator

    grid = Grid.from_dataarray(field, "field")
    map_axes = MapAxes(grid) if frame is None else frame
    # Ground without a value is grey; what is off a rotated grid stays white.
    style["cmap"] = matplotlib.colormaps[style.pop("cmap")].with_extremes(bad=missing)
    values = field.transpose(*grid.dims).values
    rows, cols = grid.shape
    if grid.is_rotated:
        col, row = np.meshgrid(np.arange(cols + 1), np.arange(rows + 1))
        x, y = map_axes.from_crs(*grid.at(row - 0.5, col - 0.5))
        mesh = ax.pcolormesh(x, y, np.ma.masked_invalid(values), rasterized=True, **style)
    else:
        x, y = grid.at(np.array([-0.5, rows - 0.5]), np.array([-0.5, cols - 0.5]))
        (left, right), (top, bottom) = map_axes.from_crs(x, y)
        extent = (left, right, bottom, top)
        mesh = ax.imshow(values, extent=extent, interpolation="none", **style)
        ax.set_xlim(map_axes.low[0], map_axes.high[0])
        ends = map_axes.low[1], map_axes.high[1]
        # Without a CRS rows count downward, as in an image.
        ax.set_ylim(*(ends[::-1] if grid.crs is None and grid.transform.e > 0 else ends))
    ax.set_aspect(map_axes.aspect)
    if not map_axes.kilometres:
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_locator(MaxNLocator(4))
        ax.ticklabel_format(useOffset=False, style="plain")
    ax.set_xlabel(map_axes.label(0))
    spec = ax.get_subplotspec()
    if spec is not None and spec.is_first_col():
        ax.set_ylabel(map_axes.label(1))
    return mesh


def limit_of(arrays: list[np.ndarray], share: float = 98.0) -> float:
    """Symmetric limit that holds a share (%) of all values, rounded up to two digits."""
    sizes = np.abs(np.concatenate([np.ravel(a) for a in arrays]).astype(float))
    sizes = sizes[np.isfinite(sizes)]
    if sizes.size == 0 or not sizes.any():
        return 1.0
    limit = float(np.percentile(sizes, share)) or float(sizes.max())
    unit = 10.0 ** (np.floor(np.log10(limit)) - 1)
    return float(np.ceil(limit / unit - 1e-9) * unit)


def draw_trace(
    ax: Any, trace: Trace | None, grid: Grid, frame: MapAxes | None = None, **style: Any
) -> None:
    """Draw a trace, thin and dark, with a light edge that shows on any ground."""
    if trace is None:
        return
    import matplotlib.patheffects as effects

    from ..grid import Plane

    plane, map_axes = Plane.of(grid), frame or MapAxes(grid)
    bounds = ax.get_xlim(), ax.get_ylim()
    halo = [effects.Stroke(linewidth=2.6, foreground="white"), effects.Normal()]
    for segment in trace.segments:
        x, y = map_axes.from_crs(*plane.to_crs(segment[:, 0], segment[:, 1]))
        ax.plot(x, y, **{"color": "black", "lw": 1.0, "path_effects": halo, **style})
    ax.set_xlim(bounds[0])
    ax.set_ylim(bounds[1])


def draw_scale_bar(ax: Any, frame: MapAxes) -> None:
    """A bar of a round length in the lower left corner; only where the axes are kilometres."""
    if not frame.kilometres:
        return
    from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar

    width = abs(frame.high[0] - frame.low[0]) / 4
    power = 10.0 ** np.floor(np.log10(width))
    length = float(power * max(k for k in (1, 2, 5) if k * power <= width))
    words = f"{length:g} km" if length >= 1 else f"{1000 * length:g} m"
    bar = AnchoredSizeBar(
        ax.transData, length, words, "lower left", pad=0.3, borderpad=0.5, sep=3,
        frameon=True, size_vertical=0.012 * abs(frame.high[1] - frame.low[1]),
    )  # fmt: skip
    bar.patch.set(alpha=0.8, edgecolor="none")
    ax.add_artist(bar)


def draw_north(ax: Any, grid: Grid) -> None:
    """An arrow toward true north in the upper right corner; only where there is a CRS."""
    if grid.crs is None:
        return
    turn = np.radians(_grid_convergence(grid))
    at, step = np.array([0.93, 0.84]), 0.1 * np.array([np.sin(turn), np.cos(turn)])
    ax.annotate(
        "N", xy=at + step, xytext=at, xycoords="axes fraction", ha="center", va="center",
        fontsize="small", zorder=10,
        arrowprops={"arrowstyle": "-|>", "color": "black", "lw": 1.2},
        bbox={"boxstyle": "circle,pad=0.15", "facecolor": "white", "edgecolor": "none",
              "alpha": 0.85},
    )  # fmt: skip


def _grid_convergence(grid: Grid) -> float:
    """Degrees clockwise from up in the picture to true north, at the centre of a grid."""
    if grid.crs is None or grid.crs.is_geographic:
        return 0.0
    import pyproj

    to = pyproj.Transformer.from_crs(grid.crs, grid.crs.geodetic_crs, always_xy=True)
    x, y = grid.at((grid.shape[0] - 1) / 2, (grid.shape[1] - 1) / 2)
    lon, lat = to.transform(float(x), float(y))
    east, north = to.transform(lon, lat + 1e-3, direction="INVERSE")
    return float(np.degrees(np.arctan2(east - float(x), north - float(y))))


def letter(ax: Any, k: int) -> None:
    """The panel's letter, above its upper left corner, where it covers nothing."""
    ax.text(
        0.0, 1.02, "abcdefghij"[k], transform=ax.transAxes, va="bottom", ha="left", weight="bold"
    )


def settle(figure: Any) -> None:
    """Lay a figure out once, so that its first picture is like the next ones.

    Maps of a fixed aspect change their margins when they are first laid out.
    """
    from matplotlib.figure import Figure

    # A part of a figure is laid out with the whole.
    if isinstance(figure, Figure):
        engine = figure.get_layout_engine()
        if engine is not None:
            engine.execute(figure)
