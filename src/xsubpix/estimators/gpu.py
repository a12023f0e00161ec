"""What a GPU needs: batches that fit into its memory, copies that nobody waits for.

On the CPU every function here does the plain thing, one item at a time.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
import torch

__all__ = [
    "elements_at_once", "fitting", "has_bfloat16", "in_batches", "own_stream", "to_device",
    "to_host", "weighed",
]  # fmt: skip

T = TypeVar("T")

# Elements of the windows worked on together. On the CPU their arrays stay in the
# processor's cache, which makes transforms and sums several times faster; a GPU wants
# enough of them to fill it, ...
ELEMENTS, ELEMENTS_GPU = 2**18, 2**24
# ... of whose size window correlators hold so many arrays, of four bytes an element.
ARRAYS = 64
# Share of the free memory that is made use of: the allocator loses some between pieces.
SHARE = 0.7

_NEEDS: dict[Hashable, float] = {}
_OWN = threading.local()


def in_batches(run: Callable[..., T], arrays: Sequence[Any], size: int) -> list[T]:
    """Call a function on consecutive parts of arrays; parts of half the size without memory.

    Parameters
    ----------
    run : callable
        Takes a part of every array.
    arrays : sequence of numpy.ndarray or torch.Tensor
        Of the same length.
    size : int
        Length of the parts to begin with.

    Raises
    ------
    torch.OutOfMemoryError
        There is no memory for a part of length 1.
    """
    done: list[T] = []
    first, count = 0, len(arrays[0])
    while first < count or not done:
        last = min(count, first + max(1, size))
        try:
            done.append(run(*(array[first:last] for array in arrays)))
        except torch.OutOfMemoryError:
            if last - first <= 1:
                raise
            size = (last - first) // 2
        else:
            first = last
            continue
        # Not above: the traceback holds what was being worked on.
        torch.cuda.empty_cache()
    return done


def elements_at_once(place: torch.device) -> int:
    """Elements of windows to work on together."""
    if place.type != "cuda":
        return ELEMENTS
    return max(ELEMENTS, min(ELEMENTS_GPU, int(SHARE * _free(place) / (4 * ARRAYS))))


def fitting(place: torch.device, work: Hashable, pixels: int) -> int:
    """Items of so many pixels that fit into the memory that is free; 1 on the CPU.

    What a pixel needs is learned from the first item, see :func:`weighed`.
    """
    need = _NEEDS.get(work)
    if place.type != "cuda" or not need:
        return 1
    return max(1, int(SHARE * _free(place) / (need * pixels)))


@contextlib.contextmanager
def weighed(place: torch.device, work: Hashable, pixels: int) -> Iterator[None]:
    """Remember how much memory some work takes a pixel."""
    if place.type != "cuda":
        yield
        return
    torch.cuda.reset_peak_memory_stats(place)
    before = torch.cuda.memory_allocated(place)
    yield
    need = (torch.cuda.max_memory_allocated(place) - before) / pixels
    _NEEDS[work] = max(need, _NEEDS.get(work, 0.0))


def _free(place: torch.device) -> int:
    """Bytes that are free on a GPU, those that torch keeps for later among them."""
    free, _ = torch.cuda.mem_get_info(place)
    return free + torch.cuda.memory_reserved(place) - torch.cuda.memory_allocated(place)


@contextlib.contextmanager
def own_stream(place: torch.device) -> Iterator[None]:
    """Give the calling thread a queue of its own.

    One thread's copies and another's computations then go on at the same time.
    """
    if place.type != "cuda":
        yield
        return
    streams = _OWN.__dict__.setdefault("streams", {})
    if place not in streams:
        streams[place] = torch.cuda.Stream(place)
    # Weights were put there by the default one.
    streams[place].wait_stream(torch.cuda.default_stream(place))
    with torch.cuda.stream(streams[place]):
        yield


def to_device(array: np.ndarray, place: torch.device) -> torch.Tensor:
    """A float32 tensor; to a GPU through pinned memory, without waiting."""
    tensor = torch.from_numpy(np.ascontiguousarray(array, np.float32))
    if place.type != "cuda":
        return tensor.to(place)
    return tensor.pin_memory().to(place, non_blocking=True)


def to_host(tensor: torch.Tensor) -> np.ndarray:
    """An array; waits for this thread's work alone."""
    if tensor.device.type != "cuda":
        return tensor.cpu().numpy()
    host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    host.copy_(tensor, non_blocking=True)
    torch.cuda.current_stream(tensor.device).synchronize()
    return host.numpy()


def has_bfloat16(place: torch.device) -> bool:
    """Whether a GPU computes in bfloat16 itself (from Ampere on); older ones pretend, slowly."""
    return place.type == "cuda" and torch.cuda.get_device_capability(place) >= (8, 0)
