"""A fault trace proposed from the displacement itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from ..checks import real_number
from ..errors import DataError
from ..grid import Plane
from ..kernels.robust import nmad
from ..kernels.vertices import vertex_offset
from .field import Field
from .flagged import left_out, sure_field
from .strain import strain
from .trace_sources import import_shapely

if TYPE_CHECKING:
    from shapely.geometry import LineString

__all__ = ["detect_trace"]

# A step sideways costs this share of the typical strength of the ridge per pixel.
_BEND = 0.15
# The ridge ends where it falls below this many robust deviations above the median of the field.
_ABOVE = 4.0


def detect_trace(
    disp: xr.Dataset,
    *,
    scale: float | None = None,
    min_length: float | None = None,
    keep_unsure: bool = False,
) -> LineString:
    """Propose a fault trace: the ridge of the field's gradient.

    Parameters
    ----------
    disp : xarray.Dataset
        ``east`` and ``north``. Clean it first (:func:`xsubpix.filter_outliers`,
        :func:`xsubpix.denoise`): false matches have gradients too.
    scale : float, optional
        Gaussian scale of the gradient, metres; see :func:`xsubpix.strain`. Four pixels by
        default.
    min_length : float, optional
        Shortest trace to propose, metres; ten times `scale` by default.
    keep_unsure : bool
        Use values flagged as unsure too, see :func:`xsubpix.mask`.

    Returns
    -------
    shapely.LineString
        In the coordinates of the CRS, without a preferred direction; what
        :func:`xsubpix.rotate` and :func:`xsubpix.offsets` take.

    Raises
    ------
    DataError
        Nothing stands out as a line, or `disp` is not a displacement field.
    DimensionError, GridError
        The field is on no usable grid.
    ModelError
        A parameter is out of bounds.
    SubpixError
        shapely is not installed.

    Notes
    -----
    The length of the gradient tensor is read on axes along the direction in which its
    strongest tenth of a per cent lies. The path from end to end that gathers most of it at
    little bending is found by dynamic programming, put onto the ridge to a fraction of a
    pixel, and cut where the ridge ends. It is one trace, the graph of an offset over a
    chord: no branches, no hairpins. Look at it before you measure along it.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xsubpix
    >>> pixel = {"y": -30.0 * np.arange(40), "x": 30.0 * np.arange(60)}
    >>> x = np.broadcast_to(pixel["x"], (40, 60))
    >>> step = np.where(x < 900, -1.0, 1.0)  # 2 m across a fault at x = 885
    >>> disp = xr.Dataset({"east": (("y", "x"), 0 * step), "north": (("y", "x"), step)}, pixel)
    >>> trace = xsubpix.detect_trace(disp, scale=60.0)
    >>> type(trace).__name__
    'LineString'
    """
    from scipy.ndimage import gaussian_filter1d, map_coordinates

    shapely = import_shapely()
    field, share = sure_field(Field.of(disp).loaded(), keep_unsure)
    plane = field.plane
    scale = 4 * plane.pixel if scale is None else real_number("scale", scale, 0.0, above=True)
    least = 10 * scale if min_length is None else real_number("min_length", min_length, 0.0)
    gradient = strain(field.disp[["east", "north"]], scale=scale)
    parts = [gradient[k].transpose(*field.grid.dims).values for k in
             ("east_x", "east_y", "north_x", "north_y")]  # fmt: skip
    strength = np.sqrt(sum(np.square(p, dtype=float) for p in parts))
    known = np.isfinite(strength)
    if known.sum() < 100:
        raise DataError(
            "disp has fewer than a hundred values with a gradient: no trace in that."
            + "".join(f" {t} were left out." for t in left_out(disp, share).values())
        )
    median = float(np.median(strength[known]))
    spread = nmad(strength[known])
    strength = np.where(known, strength, median)
    centre, direction = _direction(strength, plane)
    normal = np.array([direction[1], -direction[0]])
    rows, cols = field.grid.shape
    x, y = plane.at(np.array([0, 0, rows - 1, rows - 1]), np.array([0, cols - 1, 0, cols - 1]))
    corners = np.column_stack([x, y]) - centre
    step = plane.pixel
    s, d = (
        np.arange((corners @ axis).min(), (corners @ axis).max() + step, step)
        for axis in (direction, normal)
    )
    points = centre + s[:, None, None] * direction + d[None, :, None] * normal
    index = np.stack(plane.index(points[..., 0], points[..., 1]))
    turned = map_coordinates(strength, index, order=1, mode="constant", cval=median)
    path = _best_path(turned - median)
    height = turned[np.arange(len(s)), path]
    across = d[0] + step * _onto_ridge(turned, path)
    # Ends: the longest stretch above the noise, small dips bridged.
    smooth = gaussian_filter1d(height, max(1.0, scale / step))
    floor = max(median + _ABOVE * spread, 0.15 * float(np.quantile(smooth, 0.98)))
    row, col = index[:, np.arange(len(s)), path]
    inside = (np.abs(row - (rows - 1) / 2) < rows / 2) & (np.abs(col - (cols - 1) / 2) < cols / 2)
    first, last = _longest(inside & (smooth > floor))
    if (last - first) * step < least:
        raise DataError(
            f"nothing longer than {(last - first) * step:.4g} {field.unit} stands out as a line "
            f"(min_length={least:g}). Clean the field (filter_outliers, denoise), take a larger "
            "scale, or draw the trace by hand."
        )
    bend = gaussian_filter1d(across[first:last], max(1.0, scale / step))
    line = centre + s[first:last, None] * direction + bend[:, None] * normal
    out = shapely.LineString(np.column_stack(plane.to_crs(line[:, 0], line[:, 1])))
    return out.simplify(0.25 * field.grid.pixel_side)


def _direction(strength: np.ndarray, plane: Plane) -> tuple[np.ndarray, np.ndarray]:
    """Middle and main direction of the strongest pixels, robust to a few far ones."""
    count = min(strength.size // 4, max(50, strength.size // 1000, 2 * max(strength.shape)))
    strongest = np.argpartition(strength.ravel(), -count)[-count:]
    rows, cols = np.unravel_index(strongest, strength.shape)
    points = np.column_stack(plane.at(rows, cols))
    centre, direction = points.mean(0), np.array([1.0, 0.0])
    weight = np.ones(count)
    for _ in range(10):
        centre = np.average(points, axis=0, weights=weight)
        away = points - centre
        direction = np.linalg.eigh((away * weight[:, None]).T @ away)[1][:, 1]
        distance = np.abs(away @ np.array([direction[1], -direction[0]]))
        typical = np.median(distance) + 1e-9 * (distance.max() + 1.0)
        weight = 1.0 / (1.0 + (distance / (2.0 * typical)) ** 2)
    return centre, direction


def _best_path(reward: np.ndarray) -> np.ndarray:
    """Column in each row of the path that gathers most, moving by one at most a row."""
    rows, cols = reward.shape
    cost = _BEND * float(np.quantile(reward.max(1), 0.75))
    total = reward[0].copy()
    came = np.zeros((rows, cols), np.int8)
    for i in range(1, rows):
        choices = np.full((3, cols), -np.inf)
        choices[0, 1:] = total[:-1] - cost
        choices[1] = total
        choices[2, :-1] = total[1:] - cost
        best = choices.argmax(0)
        came[i] = best - 1
        total = choices[best, np.arange(cols)] + reward[i]
    path = np.empty(rows, int)
    path[-1] = int(total.argmax())
    for i in range(rows - 1, 0, -1):
        path[i - 1] = path[i] + came[i, path[i]]
    return path


def _onto_ridge(turned: np.ndarray, path: np.ndarray) -> np.ndarray:
    """Fractional columns of the ridge next to a path: the top of a parabola."""
    rows = np.arange(len(path))
    inner = np.clip(path, 1, turned.shape[1] - 2)
    samples = (turned[rows, inner + k] for k in (-1, 0, 1))
    return inner + np.asarray(vertex_offset(*samples))


def _longest(above: np.ndarray) -> tuple[int, int]:
    """First and end of the longest run, gaps of a tenth of the whole bridged."""
    marks = np.flatnonzero(above)
    if marks.size == 0:
        return 0, 0
    breaks = np.flatnonzero(np.diff(marks) > max(3, len(above) // 10))
    starts = np.concatenate([[0], breaks + 1])
    ends = np.concatenate([breaks, [marks.size - 1]])
    runs = [(int(marks[a]), int(marks[b]) + 1) for a, b in zip(starts, ends, strict=True)]
    return max(runs, key=lambda run: run[1] - run[0])
