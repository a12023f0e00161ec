"""The tile lattice: one pure function over a whole scene, on NumPy or dask.

Tiles lie on a lattice fixed to the array's origin, not on dask's chunks, and
every tile has the same shape: what sticks out of the array is NaN. So the same
function sees the same numbers whatever the chunking, and its results are the
same bit for bit. Several tiles make a block, the unit of work of dask and of
the NumPy loop: memory holds a few blocks per worker, whatever the scene.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from .blocks import Callbacks

if TYPE_CHECKING:
    import dask.array

    Array: TypeAlias = np.ndarray | dask.array.Array

LINUX = hasattr(os, "sched_getaffinity")

__all__ = ["BlockFunction", "Lattice", "map_blocks"]

# A block's side in input pixels, about: enough work to hide dask's 1 ms a
# task, little enough that memory stays small and a progress bar moves.
BLOCK_PIXELS = 256

#: ``function(blocks, row, col, rows, cols) -> outputs``. `blocks` are float
#: arrays with halo, `row, col` the first output, `rows, cols` how many; each
#: output is an array (rows, cols).
BlockFunction: TypeAlias = Callable[[list[np.ndarray], int, int, int, int], tuple[np.ndarray, ...]]
Condition: TypeAlias = Callable[[np.ndarray], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Lattice:
    """Tiles over an array of `shape`, and blocks of tiles.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns of the input.
    step : int
        Input pixels an output, along each dimension.
    halo : int
        Input pixels that a tile needs beyond its own on each side.
    tile : int
        Outputs along each side of a tile.
    block_pixels : int
        About how many input pixels a block has a side.
    """

    shape: tuple[int, int]
    step: int
    halo: int
    tile: int
    block_pixels: int = BLOCK_PIXELS

    @property
    def out_shape(self) -> tuple[int, int]:
        """Rows and columns of the output."""
        return (self.shape[0] // self.step, self.shape[1] // self.step)

    @property
    def block(self) -> int:
        """Outputs along each side of a block: a whole number of tiles."""
        return self.tile * max(1, self.block_pixels // (self.tile * self.step))

    @property
    def tile_side(self) -> int:
        """Input pixels along each side of a tile, halo included."""
        return self.tile * self.step + 2 * self.halo

    def out_chunks(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Chunks of the output: the blocks, the last one cut."""
        rows, cols = (_cut(n, self.block) for n in self.out_shape)
        return rows, cols

    def in_chunks(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Chunks of the input that match the output's; a remainder joins the last."""
        chunks = []
        for outs, size in zip(self.out_chunks(), self.shape, strict=True):
            ins = [n * self.step for n in outs]
            ins[-1] += size - sum(ins)
            chunks.append(tuple(ins))
        return chunks[0], chunks[1]

    def blocks(self) -> Iterator[tuple[int, int, int, int]]:
        """First output and size ``(row, col, rows, cols)`` of every block."""
        for row in range(0, self.out_shape[0], self.block):
            for col in range(0, self.out_shape[1], self.block):
                yield (
                    row,
                    col,
                    min(self.block, self.out_shape[0] - row),
                    min(self.block, self.out_shape[1] - col),
                )

    def span(self, first: int, count: int) -> tuple[int, int]:
        """Input pixels [start, stop) that `count` outputs from `first` need.

        Whole tiles, halo included: may reach beyond the array on either side.
        """
        tiles = math.ceil(count / self.tile) * self.tile
        return first * self.step - self.halo, (first + tiles) * self.step + self.halo

    def tiles(self, block: np.ndarray) -> np.ndarray:
        """Cut a block with halo into tiles: a view (tiles down, across, side, side)."""
        side, hop = self.tile_side, self.tile * self.step
        views = np.lib.stride_tricks.sliding_window_view(block, (side, side))
        return views[::hop, ::hop]

    def join(self, tiles: np.ndarray, down: int, across: int) -> np.ndarray:
        """Put tile outputs (down * across, tile, tile) back together."""
        t = self.tile
        grid = tiles.reshape(down, across, t, t)
        return grid.transpose(0, 2, 1, 3).reshape(down * t, across * t)


def map_blocks(
    function: BlockFunction,
    arrays: Sequence[Array],
    lattice: Lattice,
    dtypes: Sequence[Any],
    *,
    conditions: Sequence[Condition],
    name: str,
) -> tuple[Array, ...]:
    """Run a function over all blocks of one or more arrays of the same shape.

    Parameters
    ----------
    function : BlockFunction
        Pure; picklable where dask is to send it to other processes.
    arrays : sequence of numpy.ndarray or dask.array.Array
        All of ``lattice.shape``. If any is a dask array, nothing is computed.
    lattice : Lattice
    dtypes : sequence
        One for each output.
    conditions : sequence of callable
        For each array, turns raw pixels into floats with NaN for missing.
    name : str
        Stem of the names of dask's tasks.

    Returns
    -------
    tuple of numpy.ndarray or dask.array.Array
        Arrays of ``lattice.out_shape``.
    """
    if any(hasattr(array, "dask") for array in arrays):
        return _map_dask(function, arrays, lattice, dtypes, conditions, name)
    outputs = tuple(np.empty(lattice.out_shape, dtype) for dtype in dtypes)

    def work(block: tuple[int, int, int, int]) -> None:
        row, col, rows, cols = block
        spans = lattice.span(row, rows), lattice.span(col, cols)
        raw = [_read(np.asarray(array), spans) for array in arrays]
        for output, part in zip(outputs, _run(function, raw, conditions, block), strict=True):
            output[row : row + rows, col : col + cols] = part

    blocks = list(lattice.blocks())
    workers = min(len(blocks), len(os.sched_getaffinity(0)) if LINUX else os.cpu_count() or 1)
    with Callbacks(blocks) as callbacks:
        if workers == 1:
            for block in blocks:
                work(block)
                callbacks.finished(block)
        else:
            with ThreadPoolExecutor(workers) as pool:
                # Their results are waited for in order, which raises what a block raised.
                for block, _ in zip(blocks, pool.map(work, blocks), strict=True):
                    callbacks.finished(block)
    return outputs


def _read(
    array: np.ndarray, spans: tuple[tuple[int, int], tuple[int, int]]
) -> tuple[np.ndarray, tuple[tuple[int, int], ...]]:
    """The part of the array inside the spans, and how much of them lies outside."""
    inside = tuple(
        slice(max(0, a), max(0, min(b, n))) for (a, b), n in zip(spans, array.shape, strict=True)
    )
    outside = tuple(
        (s.start - a, b - max(s.stop, s.start)) for (a, b), s in zip(spans, inside, strict=True)
    )
    return array[inside], outside


def _run(
    function: BlockFunction,
    raw: Sequence[tuple[np.ndarray, tuple[tuple[int, int], ...]]],
    conditions: Sequence[Condition],
    block: tuple[int, int, int, int],
) -> tuple[np.ndarray, ...]:
    """Condition, pad with NaN, call."""
    pixels = [
        np.pad(condition(part), outside, constant_values=np.nan)
        for (part, outside), condition in zip(raw, conditions, strict=True)
    ]
    return function(pixels, *block)


# ------------------------------------------------------------------------ dask


def _map_dask(
    function: BlockFunction,
    arrays: Sequence[Array],
    lattice: Lattice,
    dtypes: Sequence[Any],
    conditions: Sequence[Condition],
    name: str,
) -> tuple[Array, ...]:
    """The dask path: chunks follow the blocks, a task gathers a block's neighbours.

    Written as a graph, not with ``map_overlap``, which rechunks behind one's
    back where an edge chunk is thinner than the halo, and ties results to the
    chunks.
    """
    import dask.array as da
    from dask.base import tokenize
    from dask.highlevelgraph import HighLevelGraph

    in_chunks = lattice.in_chunks()
    sources = []
    for array in arrays:
        lazy: Any = array if hasattr(array, "dask") else da.from_array(array, chunks=in_chunks)
        # "tasks": the distributed shuffle holds the whole array before it goes on.
        sources.append(lazy.rechunk(in_chunks, method="tasks"))
    names = [source.name for source in sources]
    token = tokenize(function, list(conditions), lattice, names, list(dtypes))
    all_name = f"{name}-all-{token}"
    bounds = [np.concatenate([[0], np.cumsum(c)]) for c in in_chunks]
    out_chunks = lattice.out_chunks()
    # Bound beforehand: in a graph, a tuple that starts with a callable is a task.
    run = functools.partial(_task, function, tuple(conditions))
    layer: dict[tuple[Any, ...], Any] = {}
    for i, rows in enumerate(out_chunks[0]):
        row = i * lattice.block
        down = lattice.span(row, rows)
        for j, cols in enumerate(out_chunks[1]):
            col = j * lattice.block
            across = lattice.span(col, cols)
            ys, xs = _touched(bounds[0], down), _touched(bounds[1], across)
            spans = (
                (down[0] - int(bounds[0][ys[0]]), down[1] - int(bounds[0][ys[0]])),
                (across[0] - int(bounds[1][xs[0]]), across[1] - int(bounds[1][xs[0]])),
            )
            keys = [[[(source.name, y, x) for x in xs] for y in ys] for source in sources]
            layer[(all_name, i, j)] = (run, keys, spans, (row, col, rows, cols))
    graph = HighLevelGraph.from_collections(all_name, layer, dependencies=sources)
    outputs = []
    for k, dtype in enumerate(dtypes):
        pick_name = f"{name}-{k}-{token}"
        picks = {
            (pick_name, i, j): (_pick, (all_name, i, j), k)
            for i in range(len(out_chunks[0]))
            for j in range(len(out_chunks[1]))
        }
        layers = {**graph.layers, pick_name: picks}
        dependencies = {**graph.dependencies, pick_name: {all_name}}
        outputs.append(
            da.Array(HighLevelGraph(layers, dependencies), pick_name, out_chunks, dtype=dtype)
        )
    return tuple(outputs)


def _task(
    function: BlockFunction,
    conditions: tuple[Condition, ...],
    chunks: list[list[list[np.ndarray]]],
    spans: tuple[tuple[int, int], tuple[int, int]],
    block: tuple[int, int, int, int],
) -> tuple[np.ndarray, ...]:
    """One block: `chunks` are the neighbours of each array, `spans` relative to their first."""
    return _run(function, [_gather(neighbours, spans) for neighbours in chunks], conditions, block)


def _gather(
    chunks: list[list[np.ndarray]], spans: tuple[tuple[int, int], tuple[int, int]]
) -> tuple[np.ndarray, tuple[tuple[int, int], ...]]:
    """Copy the part of a patchwork of chunks that the spans cover, and no more."""
    heights = [row[0].shape[0] for row in chunks]
    widths = [chunk.shape[1] for chunk in chunks[0]]
    size = (sum(heights), sum(widths))
    start = [max(0, a) for a, _ in spans]
    stop = [min(b, n) for (_, b), n in zip(spans, size, strict=True)]
    part = np.empty((stop[0] - start[0], stop[1] - start[1]), chunks[0][0].dtype)
    top = 0
    for row, height in zip(chunks, heights, strict=True):
        left = 0
        for chunk, width in zip(row, widths, strict=True):
            y0, y1 = max(top, start[0]), min(top + height, stop[0])
            x0, x1 = max(left, start[1]), min(left + width, stop[1])
            if y0 < y1 and x0 < x1:
                part[y0 - start[0] : y1 - start[0], x0 - start[1] : x1 - start[1]] = chunk[
                    y0 - top : y1 - top, x0 - left : x1 - left
                ]
            left += width
        top += height
    outside = tuple((s - a, b - e) for (a, b), s, e in zip(spans, start, stop, strict=True))
    return part, outside


def _pick(outputs: tuple[np.ndarray, ...], k: int) -> np.ndarray:
    return outputs[k]


def _touched(bounds: np.ndarray, span: tuple[int, int]) -> list[int]:
    """Indices of the chunks that a span of pixels touches."""
    first = int(np.searchsorted(bounds, max(span[0], 0), side="right")) - 1
    last = int(np.searchsorted(bounds, min(span[1], bounds[-1]), side="left")) - 1
    return list(range(first, last + 1))


def _cut(size: int, length: int) -> tuple[int, ...]:
    full, rest = divmod(size, length)
    return (length,) * full + ((rest,) if rest else ())
