"""Blocks of lazy arrays, computed on threads or on a cluster, handed on as they arrive."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from .cluster import Arrivals, cluster_errors_named

if TYPE_CHECKING:
    import dask.array
    from dask.highlevelgraph import HighLevelGraph
    from distributed import Client, Future

__all__ = ["Callbacks", "Put", "compute_blocks", "current_client"]

#: ``put(key, row, col, blocks)``: number of a block, its first row and column, and
#: its part of every array.
Put: TypeAlias = Callable[[tuple[int, int], int, int, Sequence[np.ndarray]], None]

# Blocks along each side of a patch, at least: what neighbouring blocks share is made
# once a patch, and two patches are in flight at most.
PATCH = 6


def compute_blocks(
    arrays: Sequence[dask.array.Array],
    put: Put,
    *,
    done: frozenset[tuple[int, int]] | set[tuple[int, int]] = frozenset(),
    goes_on: str = "",
) -> None:
    """Compute two-dimensional arrays block by block, and hand each block on.

    Where a :class:`distributed.Client` is current, blocks are computed on its cluster,
    a patch of neighbours at a time, so that neither the scheduler nor this process
    holds more than two patches; what a lost worker had is computed again. Otherwise
    they are computed on threads of this process, or one after the other where dask's
    scheduler is set to ``"synchronous"``. `put` runs in this process.

    Parameters
    ----------
    arrays : sequence of dask.array.Array
        On the same chunks. Their blocks at one place are computed together, once.
    put : callable
        Takes what was computed, see :data:`Put`; on threads, several at a time.
    done : set of (int, int)
        Blocks to leave out.
    goes_on : str
        What errors of the cluster say of the work that is done.

    Raises
    ------
    ClusterError
        The cluster was closed or lost, or its workers died.
    """
    from dask.highlevelgraph import HighLevelGraph

    rows, cols = ([0, *np.cumsum(chunks).tolist()] for chunks in arrays[0].chunks)
    todo = [
        (i, j) for i in range(len(rows) - 1) for j in range(len(cols) - 1) if (i, j) not in done
    ]
    if not todo:
        return
    client = current_client()

    def hand_on(i: int, j: int, *blocks: np.ndarray) -> None:
        put((i, j), rows[i], cols[j], blocks)

    gather: Callable[..., Any] = _together if client is not None else hand_on
    name = f"subpix-block-{arrays[0].name}"
    layer: dict[Hashable, Any] = {
        (name, i, j): (gather, i, j, *((array.name, i, j) for array in arrays)) for i, j in todo
    }
    graph = HighLevelGraph.from_collections(name, layer, dependencies=list(arrays))
    if client is None:
        keys = list(layer)
        _local_get()(graph.cull(set(keys)), keys)
    else:
        with cluster_errors_named(client, goes_on):
            _on_cluster(client, graph, name, todo, hand_on)


def current_client() -> Client | None:
    """The client of dask.distributed that computations go to, if there is one."""
    import dask

    if "distributed" not in sys.modules:
        return None
    from distributed import Client

    chosen = dask.config.get("scheduler", None)
    if isinstance(chosen, Client):
        client = chosen
    elif chosen in (None, "distributed", "dask.distributed"):
        try:
            client = Client.current(allow_global=True)
        except ValueError:
            return None
    else:
        return None
    # One that is awaited cannot be waited for.
    return None if client.asynchronous else client


def _local_get() -> Callable[..., Any]:
    """Dask's function for work in this process: on threads, unless one at a time is asked for."""
    import dask.local
    import dask.threaded

    chosen = dask.config.get("scheduler", None)
    one_by_one = chosen in ("synchronous", "sync", "single-threaded", dask.local.get_sync)
    return dask.local.get_sync if one_by_one else dask.threaded.get


def _together(row: int, col: int, *blocks: np.ndarray) -> tuple[np.ndarray, ...]:
    return blocks


def _on_cluster(
    client: Client,
    graph: HighLevelGraph,
    name: str,
    todo: Sequence[tuple[int, int]],
    hand_on: Callable[..., None],
) -> None:
    patches = _patches(todo, max(PATCH, math.ceil(math.sqrt(sum(client.nthreads().values())))))
    most = max(map(len, patches))
    waiting = iter(patches)
    blocks_of: dict[Hashable, tuple[int, int]] = {}
    held: dict[Hashable, Future] = {}
    arriving = Arrivals(client)
    with Callbacks(todo) as callbacks:
        try:
            while True:
                if len(held) <= most and (patch := next(waiting, None)) is not None:
                    for block, future in zip(
                        patch, _submitted(client, graph, name, patch), strict=True
                    ):
                        blocks_of[future.key], held[future.key] = block, future
                        arriving.add(future)
                    continue
                if not held:
                    return
                future = arriving.next()
                block = blocks_of[future.key]
                hand_on(*block, *future.result())
                held.pop(future.key).release()
                callbacks.finished(block)
        finally:
            # What has failed is remembered as long as somebody wants it, a traceback say.
            arriving.clear()
            for future in held.values():
                future.release()


def _submitted(
    client: Client, graph: HighLevelGraph, name: str, patch: Sequence[tuple[int, int]]
) -> list[Future]:
    """Futures of some blocks: the scheduler gets what these need, and no more."""
    keys = [(name, i, j) for i, j in patch]
    # A patch before the next: by default, what is sent within a minute has the same rank.
    part = graph.cull(set(keys))
    return list(client.get(part, keys, sync=False, fifo_timeout="0s"))


def _patches(todo: Sequence[tuple[int, int]], side: int) -> list[list[tuple[int, int]]]:
    """Blocks in squares of `side` blocks, row by row of squares."""
    patches: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for i, j in todo:
        patches.setdefault((i // side, j // side), []).append((i, j))
    return [patches[key] for key in sorted(patches)]


class Callbacks:
    """Tell dask's callbacks, such as ``ProgressBar``, of work that is not done by dask's threads.

    Parameters
    ----------
    todo : sequence
        Names of the blocks that are to be done.
    """

    def __init__(self, todo: Sequence[Hashable]) -> None:
        self.state: dict[str, set[Hashable]] = {
            "waiting": set(todo), "ready": set(), "running": set(), "finished": set(),
        }  # fmt: skip
        self._context: Any = None
        self._callbacks: list[Any] = []

    def __enter__(self) -> Callbacks:
        from dask.callbacks import local_callbacks

        self._context = local_callbacks()
        self._callbacks = list(self._context.__enter__())
        for start, start_state, *_ in self._callbacks:
            if start:
                start({})
            if start_state:
                start_state({}, self.state)
        return self

    def finished(self, block: Hashable) -> None:
        """A block is done."""
        self.state["waiting"].discard(block)
        self.state["finished"].add(block)
        for *_, posttask, _finish in self._callbacks:
            if posttask:
                posttask(block, None, {}, self.state, None)

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        for *_, finish in self._callbacks:
            if finish:
                finish({}, self.state, kind is not None)
        self._context.__exit__(None, None, None)
