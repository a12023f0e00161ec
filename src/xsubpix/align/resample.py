"""One image on another's pixels: where each pixel lies, and one resampling from the original.

A :class:`GridMap` goes from pixels of a target grid, through a polynomial motion and the
two coordinate systems, to pixels of a source image. :class:`Resampling` samples the
source there, averaged first where the target's pixels are larger.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ..image import condition_linear
from ..kernels.motion import Motion
from ..kernels.nearest import fill_nearest
from ..kernels.spline import HALFWAY_REACH, PREFILTER_REACH, SUPPORT, sample_quintic
from ..lattice import LINUX, _gather, _touched

if TYPE_CHECKING:
    import pyproj

    from ..grid import Grid
    from ..image import Image
    from ..lattice import Array
    from ..missing import Missing

__all__ = ["GridMap", "Resampling", "read_windows", "resample"]

# First row and column, rows and columns, of the target or of the source.
Window: TypeAlias = tuple[int, int, int, int]

# Nodes a side at which a map is computed, and what the polynomial through them may
# be wrong by, pixels; else every pixel is transformed.
NODES = 5
LARGEST_ERROR = 1e-4
# Pixels that are wider by less are not averaged.
SAME_SIZE = 1.02
# Half the taps of the averaging filter.
TAPS = 12
# Source pixels along a side of what is sampled at once, about.
BLOCK = 512


@dataclasses.dataclass(frozen=True)
class GridMap:
    """Positions of the pixels of a target grid in a source image.

    Parameters
    ----------
    target, source : Grid
        Both with a CRS, or neither.
    motion : Motion
        Ground at a pixel x of the target is found in the source, brought to the
        target's grid, at x + motion(x).
    factor : int
        The pixels asked for are blocks of `factor` x `factor` pixels of the target.
    """

    target: Grid
    source: Grid
    motion: Motion
    factor: int = 1

    def points(self, rows: np.ndarray, cols: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Source pixels (rows, columns) of target pixels, one by one.

        Not finite where the ground lies off one of the maps.
        """
        half = (self.factor - 1) / 2
        rows, cols = np.broadcast_arrays(self.factor * rows + half, self.factor * cols + half)
        dx, dy = self.motion(rows, cols)
        x, y = self.target.at(rows + dy, cols + dx)
        x, y = self._transformed(x, y)
        return self.source.index(x, y)

    def block(self, rows: np.ndarray, cols: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Source pixels of all target pixels in the given rows and columns, (r, c).

        By a polynomial through 5 x 5 places: the ground is smooth over a block.
        """
        nodes = [_chebyshev(float(i[0]), float(i[-1])) for i in (rows, cols)]
        known = self.points(nodes[0][:, None], nodes[1][None, :])
        if not np.isfinite(known).all():
            return self.points(rows[:, None], cols[None, :])
        down, across = (_lagrange(n, i) for n, i in zip(nodes, (rows, cols), strict=True))
        # Where the polynomial is farthest from the nodes.
        midpoints = [(n[1:] + n[:-1]) / 2 for n in nodes]
        exact = self.points(midpoints[0][:, None], midpoints[1][None, :])
        between = [_lagrange(n, i) for n, i in zip(nodes, midpoints, strict=True)]
        error = [
            np.abs(between[0] @ k @ between[1].T - e) for k, e in zip(known, exact, strict=True)
        ]
        if not np.max(error) < LARGEST_ERROR:
            return self.points(rows[:, None], cols[None, :])
        found_rows, found_cols = (down @ k @ across.T for k in known)
        return found_rows, found_cols

    def scale(self) -> tuple[float, float]:
        """Height and width of a target pixel, in source pixels (median over the target)."""
        rows, cols = (np.linspace(0, n / self.factor - 1, 5) for n in self.target.shape)
        at = [
            np.stack(self.points(rows[:, None] + down, cols[None, :] + right))
            for down, right in ((0, 0), (1, 0), (0, 1))
        ]
        size = np.hypot(at[1] - at[0], at[2] - at[0]).reshape(2, -1)
        size = size[:, np.isfinite(size).all(0)]
        if size.size == 0:
            return math.nan, math.nan
        height, width = np.median(size, axis=1).tolist()
        return height, width

    def jacobian(self, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
        """Source pixels a target pixel, d(row, column) / d(row, column), shape (..., 2, 2)."""
        half = 0.5
        down = np.subtract(self.points(rows + half, cols), self.points(rows - half, cols))
        right = np.subtract(self.points(rows, cols + half), self.points(rows, cols - half))
        return np.moveaxis(np.stack([down, right], axis=1), (0, 1), (-2, -1))

    def _transformed(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        one, two = self.target.crs, self.source.crs
        if one is None or two is None or one == two:
            return x, y
        unit = _unit(self.target)
        x, y = _transformer(one, two).transform(x * unit, y * unit)
        unit = _unit(self.source)
        x, y = np.asarray(x) / unit, np.asarray(y) / unit
        if two.is_geographic:
            # Longitudes as the source counts them: -180 to 180, or 0 to 360.
            turn = 2 * np.pi / two.axis_info[0].unit_conversion_factor
            centre = float(self.source.corners()[:, 0].mean())
            x = centre + (x - centre + turn / 2) % turn - turn / 2
        return x, y


@functools.lru_cache(maxsize=16)
def _transformer(one: pyproj.CRS, two: pyproj.CRS) -> pyproj.Transformer:
    import pyproj

    return pyproj.Transformer.from_crs(one, two, always_xy=True)


def _unit(grid: Grid) -> float:
    """Units of the CRS in one unit of the coordinates: kilometres of a CRS in metres."""
    if grid.crs is None or grid.metres_per_unit is None or not grid.crs.axis_info:
        return 1.0
    return grid.metres_per_unit / float(grid.crs.axis_info[0].unit_conversion_factor)


def _chebyshev(first: float, last: float) -> np.ndarray:
    """Nodes between two pixels, the ends included."""
    cosines = -np.cos(np.pi * np.arange(NODES) / (NODES - 1))
    return (first + last) / 2 + max(last - first, 1.0) / 2 * cosines


def _lagrange(nodes: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Weight of each node at each place, shape (places, nodes)."""
    others = ~np.eye(nodes.size, dtype=bool)
    factors = (places[:, None, None] - nodes) / np.where(others, nodes[:, None] - nodes, 1.0)
    return np.where(others, factors, 1.0).prod(axis=2)


@dataclasses.dataclass(frozen=True)
class Resampling:
    """Values of a source image at the pixels of a map's target.

    Parameters
    ----------
    map : GridMap
    size : (float, float)
        Height and width of a target pixel in source pixels; above 1, averaged over.
    nodata : float, Missing or None
        Declared value of missing pixels.
    oversample : {1, 2}
        See :func:`xsubpix.warp_quintic`.
    """

    map: GridMap
    size: tuple[float, float]
    nodata: float | Missing | None
    oversample: int = 1

    @classmethod
    def of(cls, image: Image, map: GridMap, oversample: int = 1) -> Resampling:
        """The resampling of an image along a map."""
        height, width = map.scale()
        return cls(map, (height, width), image.nodata, oversample)

    @property
    def shrink(self) -> tuple[int, int]:
        """Source pixels, down and across, that are averaged in blocks before all else."""
        down, across = (max(1, int(n // 4)) if math.isfinite(n) else 1 for n in self.size)
        return down, across

    @property
    def averages(self) -> bool:
        """True where pixels of the target are larger than those of the source."""
        return max(self.size) > SAME_SIZE

    @property
    def block(self) -> int:
        """Target pixels along a side of what is sampled at once."""
        largest = max((n for n in self.size if math.isfinite(n)), default=1.0)
        return max(32, int(BLOCK / max(1.0, largest)))

    def places(self, target: Window) -> tuple[np.ndarray, np.ndarray]:
        """Source pixels of a window of the target."""
        row, col, rows, cols = target
        return self.map.block(np.arange(row, row + rows), np.arange(col, col + cols))

    def source(self, target: Window) -> Window:
        """Window of the source that a window of the target needs; empty if none."""
        window = []
        reach = math.ceil((SUPPORT + PREFILTER_REACH) / self.oversample) + 1
        reach += (TAPS if self.averages else 0) + (self.oversample - 1) * HALFWAY_REACH
        for at, size, shrink in zip(
            self.places(target), self.map.source.shape, self.shrink, strict=True
        ):
            known = at[np.isfinite(at)]
            if known.size == 0:
                return 0, 0, 0, 0
            # Blocks are counted from the source's first pixel.
            first = max(0, (math.floor(known.min()) // shrink - reach) * shrink)
            last = min(size, (math.floor(known.max()) // shrink + 2 + reach) * shrink)
            if first >= last:
                return 0, 0, 0, 0
            window.append((first, last - first))
        (row, rows), (col, cols) = window
        return row, col, rows, cols

    def __call__(self, pixels: np.ndarray, source: Window, target: Window) -> np.ndarray:
        """Sample a window of the source, as it was read, at a window of the target; float32."""
        if pixels.size == 0:
            return np.full(target[2:], np.nan, np.float32)
        values = condition_linear(pixels, self.nodata)
        at = list(self.places(target))
        for axis in (0, 1):
            shrink = self.shrink[axis]
            at[axis] = (at[axis] - source[axis] - (shrink - 1) / 2) / shrink
            at[axis][~np.isfinite(at[axis])] = -1e6
        values = _averaged(values, self.shrink, self.size)
        if min(values.shape) < 2:
            return np.full(target[2:], np.nan, np.float32)
        return sample_quintic(values, at[0], at[1], oversample=self.oversample)


def _averaged(image: np.ndarray, shrink: tuple[int, int], size: tuple[float, float]) -> np.ndarray:
    r"""An image averaged over boxes of `size` pixels, in blocks of `shrink`.

    A pixel is an average over its own area, so averaging over w pixels multiplies the
    spectrum at f cycles a pixel by sinc(w f) / sinc(f): for whole w the plain mean,
    for others a filter of 25 taps.
    """
    import scipy.ndimage

    down, across = shrink
    if shrink != (1, 1):
        rows, cols = image.shape[0] // down, image.shape[1] // across
        image = image[: rows * down, : cols * across].reshape(rows, down, cols, across)
        image = image.mean(axis=(1, 3))
    widths = [s / n for s, n in zip(size, shrink, strict=True)]
    if not max(widths) > SAME_SIZE:
        return image
    missing = ~np.isfinite(image)
    if missing.all():
        return image
    if missing.any():
        image = fill_nearest(image, missing)
    for axis, width in enumerate(widths):
        if width > SAME_SIZE:
            image = scipy.ndimage.correlate1d(image, _taps(width), axis=axis, mode="mirror")
            if missing.any():
                reach = 2 * math.ceil((width - 1) / 2) + 1
                missing = scipy.ndimage.maximum_filter1d(missing, reach, axis=axis, mode="mirror")
    image[missing] = np.nan
    return image


@functools.lru_cache(maxsize=32)
def _taps(width: float) -> np.ndarray:
    """Weights of the filter that averages over `width` pixels."""
    frequency = np.arange(-512, 512) / 1024
    wanted = np.sinc(width * frequency) / np.sinc(frequency)
    offset = np.arange(-TAPS, TAPS + 1)
    taps = np.cos(2 * np.pi * offset[:, None] * frequency) @ wanted / frequency.size
    taps *= np.kaiser(2 * TAPS + 1, 4.0)
    return np.asarray(taps / taps.sum())


# ---------------------------------------------------------------- windows and blocks


def resample(array: Array, resampling: Resampling, target: Window, name: str) -> Array:
    """Resample a window of the target, block by block; lazy if the source is.

    Blocks are counted from the window's first pixel: results do not depend on the
    source's chunks.

    Parameters
    ----------
    array : numpy.ndarray or dask.array.Array
        The source, (rows, columns).
    resampling : Resampling
    target : (int, int, int, int)
        First row and column, rows and columns.
    name : str
        Stem of the names of dask's tasks.

    Returns
    -------
    numpy.ndarray or dask.array.Array of float32
    """
    row, col, rows, cols = target
    side = resampling.block
    cuts = [[min(side, n - i) for i in range(0, n, side)] for n in (rows, cols)]
    blocks = [
        [(row + i * side, col + j * side, r, c) for j, c in enumerate(cuts[1])]
        for i, r in enumerate(cuts[0])
    ]
    if hasattr(array, "dask"):
        return _resample_lazily(array, resampling, blocks, name)
    out = np.empty((rows, cols), np.float32)

    def work(block: Window) -> None:
        source = resampling.source(block)
        pixels = np.asarray(array[_slices(source)])
        r, c = block[0] - row, block[1] - col
        out[r : r + block[2], c : c + block[3]] = resampling(pixels, source, block)

    _on_threads(work, [block for line in blocks for block in line])
    return out


def _on_threads(work: Any, items: Sequence[Any]) -> None:
    workers = min(len(items), len(os.sched_getaffinity(0)) if LINUX else os.cpu_count() or 1)
    if workers <= 1:
        for item in items:
            work(item)
        return
    with ThreadPoolExecutor(workers) as pool:
        # list() raises what an item raised.
        list(pool.map(work, items))


def _slices(window: Window) -> tuple[slice, slice]:
    row, col, rows, cols = window
    return slice(row, row + rows), slice(col, col + cols)


def _resample_lazily(
    array: Any, resampling: Resampling, blocks: list[list[Window]], name: str
) -> Any:
    import dask.array as da
    from dask.base import tokenize
    from dask.highlevelgraph import HighLevelGraph

    name = f"{name}-{tokenize(array.name, resampling, blocks)}"
    layer: dict[tuple[Any, ...], Any] = {}
    for i, line in enumerate(blocks):
        for j, block in enumerate(line):
            source = resampling.source(block)
            keys, spans = _chunks_of(array, source)
            run = functools.partial(_resample_task, resampling, source, block)
            layer[(name, i, j)] = (run, keys, spans)
    graph = HighLevelGraph.from_collections(name, layer, dependencies=[array])
    chunks = tuple(line[0][2] for line in blocks), tuple(block[3] for block in blocks[0])
    return da.Array(graph, name, chunks, dtype=np.float32)


def _resample_task(
    resampling: Resampling, source: Window, block: Window, chunks: Any, spans: Any
) -> np.ndarray:
    pixels = _gather(chunks, spans)[0] if chunks else np.empty((0, 0))
    return resampling(pixels, source, block)


def _chunks_of(array: Any, window: Window) -> tuple[list[list[tuple[Any, ...]]], Any]:
    """Keys of the chunks under a window, and the window relative to the first of them."""
    if window[2] == 0 or window[3] == 0:
        return [], ()
    spans, index = [], []
    for first, count, sizes in zip(window[:2], window[2:], array.chunks, strict=True):
        bounds = np.concatenate([[0], np.cumsum(sizes)])
        index.append(_touched(bounds, (first, first + count)))
        start = first - int(bounds[index[-1][0]])
        spans.append((start, start + count))
    keys = [[(array.name, i, j) for j in index[1]] for i in index[0]]
    return keys, (spans[0], spans[1])


def read_windows(array: Array, windows: Sequence[Window]) -> list[np.ndarray]:
    """Read small parts of an image; of a lazy one all together, each chunk once.

    Parameters
    ----------
    array : numpy.ndarray or dask.array.Array
        (rows, columns).
    windows : sequence of (int, int, int, int)
        First row and column, rows and columns; inside of the array.
    """
    if not hasattr(array, "dask"):
        return [np.asarray(array[_slices(window)]) for window in windows]
    import dask
    from dask.base import tokenize
    from dask.delayed import Delayed
    from dask.highlevelgraph import HighLevelGraph

    lazy: Any = array
    name = f"subpix-windows-{tokenize(lazy.name, list(windows))}"
    layer: dict[Any, Any] = {}
    for k, window in enumerate(windows):
        keys, spans = _chunks_of(lazy, window)
        layer[f"{name}-{k}"] = (_part, keys, spans) if keys else (_part, [], ())
    graph = HighLevelGraph.from_collections(name, layer, dependencies=[lazy])
    parts = dask.compute(*(Delayed(key, graph, layer=name) for key in layer))
    return list(parts)


def _part(chunks: Any, spans: Any) -> np.ndarray:
    return _gather(chunks, spans)[0] if chunks else np.empty((0, 0))
