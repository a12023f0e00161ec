"""Fault traces and other lines on the ground: read from anywhere, asked where a pixel lies."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

import numpy as np
import xarray as xr

from ..errors import DataError, GridError
from ..grid import Grid, Plane, crs_name
from ..rupture import Fault
from .trace_pieces import walked_in_order
from .trace_sources import read_lines

__all__ = ["Trace", "read_trace"]

# Side of the blocks that are looked at before their pixels.
_BLOCK = 32
# Most points on which a trace is sampled: some hundred bytes each.
_MOST_POINTS = 10_000_000
# Beyond this, in any unit, no map lies.
_FARTHEST = 1e15


@dataclasses.dataclass(frozen=True, eq=False)
class Trace:
    """One or more lines on a plane in metres, walked in the order given.

    Parameters
    ----------
    segments : tuple of numpy.ndarray
        Vertices (x, y), shape (n, 2) each, n of 2 or more.
    spacing : float
        Distance of the points on which the lines are sampled, metres.
    smoothing : float
        Length over which the direction is averaged, metres; 0 takes the line
        as it is drawn.

    Examples
    --------
    >>> import numpy as np, xsubpix
    >>> line = np.array([(0.0, 0.0), (0.0, 300.0), (400.0, 300.0)])
    >>> trace = xsubpix.Trace((line,), spacing=15.0)
    >>> trace.length
    700.0
    >>> along, right, tangent = trace.locate(np.array([10.0]), np.array([100.0]))
    >>> float(along[0]), float(right[0])  # 100 m along the trace, 10 m to its right
    (100.0, 10.0)
    """

    segments: tuple[np.ndarray, ...]
    spacing: float
    smoothing: float = 0.0
    #: Points on the lines, their distances from the start, and the directions
    #: there: over a stretch of `smoothing`, and of the line as drawn.
    points: np.ndarray = dataclasses.field(init=False, repr=False)
    along: np.ndarray = dataclasses.field(init=False, repr=False)
    tangent: np.ndarray = dataclasses.field(init=False, repr=False)
    edge: np.ndarray = dataclasses.field(init=False, repr=False)

    def __post_init__(self) -> None:
        points, along, tangent, edge, start = [], [], [], [], 0.0
        for segment in self.segments:
            step = np.hypot(*np.diff(segment, axis=0).T)
            own = np.concatenate([[0.0], np.cumsum(step)])
            count = max(2, int(np.ceil(own[-1] / self.spacing)) + 1)
            distance = np.unique(np.concatenate([np.linspace(0.0, own[-1], count), own]))
            line = np.column_stack([np.interp(distance, own, segment[:, k]) for k in (0, 1)])
            points.append(line)
            along.append(start + distance)
            tangent.append(_tangents(line, distance, self.smoothing))
            edge.append(_tangents(line, distance, 0.0))
            start += own[-1]
        object.__setattr__(self, "points", np.concatenate(points))
        object.__setattr__(self, "along", np.concatenate(along))
        object.__setattr__(self, "tangent", np.concatenate(tangent))
        object.__setattr__(self, "edge", np.concatenate(edge))

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        """Key that distinguishes two traces in a graph."""
        return ("Trace", [s.tolist() for s in self.segments], self.spacing, self.smoothing)

    @property
    def length(self) -> float:
        """Metres along all lines."""
        return float(self.along[-1])

    def at(self, distance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Points (n, 2) and unit directions (n, 2) at distances from the start, metres."""
        point = [np.interp(distance, self.along, self.points[:, k]) for k in (0, 1)]
        tangent = np.column_stack(
            [np.interp(distance, self.along, self.tangent[:, k]) for k in (0, 1)]
        )
        return np.column_stack(point), tangent / np.hypot(*tangent.T)[:, None]

    def pixels_within(self, plane: Plane, shape: tuple[int, int], reach: float) -> np.ndarray:
        """Flat indices of a grid's pixels within reach of the trace, increasing.

        Blocks of pixels are looked at first, so that a scene far larger than what
        surrounds the trace costs nothing.
        """
        from scipy.spatial import cKDTree

        tree = cKDTree(self.points)
        rows, cols = (np.arange(0, n, _BLOCK) for n in shape)
        half = (_BLOCK - 1) / 2
        x, y = np.broadcast_arrays(*plane.at(rows[:, None] + half, cols[None, :] + half))
        (a, d), (b, e) = plane.steps
        # From a block's middle to its farthest corner.
        radius = half * max(np.hypot(a + b, d + e), np.hypot(a - b, d - e))
        middles = np.column_stack([x.ravel(), y.ravel()])
        bound = reach + radius + self.spacing
        close = np.isfinite(tree.query(middles, distance_upper_bound=bound)[0])
        inside = np.zeros(shape, bool)
        for i, j in zip(*np.nonzero(close.reshape(x.shape)), strict=True):
            inside[rows[i] : rows[i] + _BLOCK, cols[j] : cols[j] + _BLOCK] = True
        at = np.flatnonzero(inside)
        here = np.column_stack(plane.at(*np.unravel_index(at, shape)))
        away = tree.query(here, distance_upper_bound=reach + self.spacing)[0]
        return at[np.isfinite(away)]

    def locate(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Position of points relative to the nearest point of the trace.

        Parameters
        ----------
        x, y : numpy.ndarray
            Plane coordinates, metres, any shape.

        Returns
        -------
        along, right : numpy.ndarray
            Metres from the start, along the trace (beyond 0 and the length past
            its tips), and to its right (negative to its left).
        tangent : numpy.ndarray
            Unit direction (x, y) of the trace there, smoothed, shape (..., 2).
        """
        from scipy.spatial import cKDTree

        at = np.stack(np.broadcast_arrays(x, y), axis=-1)
        nearest = cKDTree(self.points).query(at.reshape(-1, 2))[1].reshape(at.shape[:-1])
        # Sides and distances are those of the line as drawn, however smooth its strike.
        edge = self.edge[nearest]
        away = at - self.points[nearest]
        ahead = (away * edge).sum(-1)
        right = away[..., 0] * edge[..., 1] - away[..., 1] * edge[..., 0]
        return self.along[nearest] + ahead, right, self.tangent[nearest]


def _tangents(line: np.ndarray, distance: np.ndarray, smoothing: float) -> np.ndarray:
    """Unit directions at the points of one line, over a stretch of `smoothing` metres."""
    half = max(smoothing / 2, 1e-6 * distance[-1])
    # A chord whose ends stay on the line: at tips it is shorter, not turned back.
    before, after = (np.clip(distance + d, 0, distance[-1]) for d in (-half, half))
    chord = np.column_stack(
        [np.interp(after, distance, x) - np.interp(before, distance, x) for x in line.T]
    )
    return chord / np.maximum(np.hypot(*chord.T), 1e-300)[:, None]


def read_trace(
    trace: Any, grid: Grid | xr.DataArray | xr.Dataset, *, smoothing: float = 0.0
) -> Trace:
    """Read a trace and bring it to the plane in metres under a grid.

    Parameters
    ----------
    trace : array_like, shapely geometry, Fault, GeoDataFrame, dict, str or path
        Vertices (n, 2) or a sequence of such arrays, a LineString or
        MultiLineString, or WKT, all in the coordinates of the grid's CRS; an
        :class:`xsubpix.Fault`; GeoJSON (a dict or a file: longitude and latitude
        unless it names a CRS); another vector file (GeoPackage, shapefile), in
        its CRS, read by geopandas. Pieces that were drawn both ways are turned and ordered,
        so that all of them are walked in the direction in which most of them were drawn.
    grid : Grid, xarray.DataArray or xarray.Dataset
        Grid of the field; or the field itself, or an image on its grid.
    smoothing : float
        Length over which the direction is averaged, metres.

    Returns
    -------
    Trace

    Raises
    ------
    DataError
        This is not a line, or a line without length.
    GridError
        The line is farther from the field than the field is long.
    FileError
        The file cannot be read.
    SubpixError
        geopandas is needed and not there.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xsubpix
    >>> pixel = {"y": -30.0 * np.arange(64), "x": 30.0 * np.arange(64)}
    >>> image = xr.DataArray(np.random.default_rng(0).random((64, 64)), pixel, ("y", "x"))
    >>> trace = xsubpix.read_trace([(0.0, 0.0), (300.0, -400.0)], image)
    >>> float(trace.length)
    500.0
    """
    if isinstance(grid, xr.Dataset):
        grid = grid["east"]
    if isinstance(grid, xr.DataArray):
        grid = Grid.from_dataarray(grid)
    plane = Plane.of(grid)
    if isinstance(trace, Trace):
        _check_near(list(trace.segments), plane, grid, trace.segments[0])
        return dataclasses.replace(trace, smoothing=smoothing or trace.smoothing)
    if isinstance(trace, Fault):
        # A fault's coordinates are those of the plane by definition.
        lines = list(trace.traces)
        return _checked(lines, plane, grid, smoothing, lines[0])
    lines, crs = read_lines(trace)
    if crs is not None and grid.crs is not None:
        lines = [_reproject(line, crs, grid.crs) for line in lines]
    elif crs is not None and isinstance(trace, str | os.PathLike):
        raise DataError(
            f"the trace in {os.fspath(trace)} has a CRS, and the field has none. Name the field's: "
            "disp = disp.rio.write_crs(...)."
        )
    if not all((np.abs(line) < _FARTHEST).all() for line in lines):
        raise DataError("the trace has coordinates that are not finite, or lie off its map.")
    flat = [np.column_stack(plane.from_crs(line[:, 0], line[:, 1])) for line in lines]
    return _checked(flat, plane, grid, smoothing, lines[0])


def _checked(
    lines: list[np.ndarray], plane: Plane, grid: Grid, smoothing: float, given: np.ndarray
) -> Trace:
    """Trace of lines on the plane, in one direction; `given` is the first one in the grid's CRS."""
    clean = []
    for line in lines:
        if not np.isfinite(line).all():
            raise DataError("the trace has coordinates that are not finite, or lie off its map.")
        moved = np.concatenate([[True], np.hypot(*np.diff(line, axis=0).T) > 0])
        if moved.sum() >= 2:
            clean.append(line[moved])
    if not clean:
        raise DataError("the trace has no length: give a line of two different points or more.")
    _check_near(clean, plane, grid, given)
    ordered = tuple(walked_in_order(clean))
    spacing = plane.pixel / 2
    length = sum(float(np.hypot(*np.diff(line, axis=0).T).sum()) for line in ordered)
    if not length <= _MOST_POINTS * spacing:
        raise DataError(
            f"the trace is {length:.4g} {'m' if grid.crs is not None else 'units'} long, "
            f"{length / plane.pixel:.2g} pixels of the field: more than {_MOST_POINTS // 2:,} are "
            "not followed. Look for a vertex that lies elsewhere, or cut the trace to the field."
        )
    return Trace(ordered, spacing=spacing, smoothing=float(smoothing))


def _check_near(lines: list[np.ndarray], plane: Plane, grid: Grid, given: np.ndarray) -> None:
    """Refuse a trace that is farther from a field than the field is long.

    Raises
    ------
    GridError
        With both extents; coordinates that look like degrees are said to.
    """
    rows, cols = grid.shape
    corners = np.column_stack(
        plane.at(np.array([0, 0, rows - 1, rows - 1]), np.array([0, cols - 1, 0, cols - 1]))
    )
    low, high = corners.min(0), corners.max(0)
    reach = float(np.hypot(*(high - low))) + 2 * plane.pixel
    apart = min(
        float(np.hypot(*np.maximum(0.0, np.maximum(low - line.max(0), line.min(0) - high))))
        for line in lines
    )
    if apart <= reach:
        return
    box = grid.corners()
    (x0, y0), (x1, y1) = box.min(0), box.max(0)
    hint = "Give one of this ground, in the CRS of the field or with one of its own."
    if grid.metres_per_unit is not None and np.abs(given).max() <= 360:
        hint = (
            "Its numbers look like degrees: give GeoJSON or a GeoDataFrame, which have a CRS, or "
            "bring them to that of the field."
        )
    raise GridError(
        f"the trace is {apart:.4g} {'m' if grid.crs is not None else 'units'} away from the field: "
        f"it begins at x {given[0, 0]:.10g}, y {given[0, 1]:.10g}, and the field spans x {x0:.10g} "
        f"to {x1:.10g}, y {y0:.10g} to {y1:.10g} ({crs_name(grid.crs)}). {hint}"
    )


def _reproject(line: np.ndarray, source: Any, target: Any) -> np.ndarray:
    import pyproj

    try:
        transformer = pyproj.Transformer.from_crs(source, target, always_xy=True)
    except pyproj.exceptions.CRSError as error:
        raise DataError(
            f"cannot read the CRS of the trace, {source!r}: {' '.join(str(error).split())}."
        ) from error
    return np.column_stack(transformer.transform(line[:, 0], line[:, 1]))
