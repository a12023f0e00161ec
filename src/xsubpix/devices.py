"""Devices: which one to work on, batches that fit into its memory, copies without waiting.

Estimators, networks, training and warping share this module. On the CPU every function
does the plain thing, one item at a time.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
import torch

from .errors import ModelError

__all__ = [
    "elements_at_once", "has_bfloat16", "in_batches", "items_that_fit", "memory_learned",
    "one_thread", "own_stream", "set_threads", "to_device", "to_host", "torch_device",
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

# Bytes that a pixel of some work took, at most so far.
_bytes_per_pixel: dict[Hashable, float] = {}
_thread_streams = threading.local()


def torch_device(name: str) -> torch.device:
    """Device of a name, ``"auto"`` resolved, checked to be there.

    Parameters
    ----------
    name : str
        ``"auto"`` (CUDA where there is one, else the CPU), ``"cpu"``, ``"cuda"``,
        ``"cuda:1"``, ``"mps"``.

    Raises
    ------
    ModelError
        torch finds no such device.

    Examples
    --------
    >>> from xsubpix.devices import torch_device
    >>> torch_device("cpu")
    device(type='cpu')
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise ModelError(f"device={name!r}, but torch finds no CUDA device. Use device='auto'.")
    if name.startswith("mps") and not torch.backends.mps.is_available():
        raise ModelError(f"device={name!r}, but torch finds no such device. Use device='auto'.")
    try:
        return torch.device(name)
    except RuntimeError as error:
        raise ModelError(f"device={name!r}: {error}") from error


def set_threads(count: int) -> None:
    """Set the number of threads of torch in this process."""
    torch.set_num_threads(count)


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Keep torch to the calling thread.

    Blocks run in parallel already; threads within threads would only wait for
    each other. torch keeps this number for each calling thread.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


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


def elements_at_once(device: torch.device) -> int:
    """Number of elements of windows to work on together."""
    if device.type != "cuda":
        return ELEMENTS
    return max(ELEMENTS, min(ELEMENTS_GPU, int(SHARE * _free_bytes(device) / (4 * ARRAYS))))


def items_that_fit(device: torch.device, work: Hashable, pixels: int) -> int:
    """Number of items of so many pixels that fit into the free memory; 1 on the CPU.

    What a pixel needs is learned from the first item, see :func:`memory_learned`.
    """
    need = _bytes_per_pixel.get(work)
    if device.type != "cuda" or not need:
        return 1
    return max(1, int(SHARE * _free_bytes(device) / (need * pixels)))


@contextlib.contextmanager
def memory_learned(device: torch.device, work: Hashable, pixels: int) -> Iterator[None]:
    """Remember how much memory some work takes a pixel."""
    if device.type != "cuda":
        yield
        return
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    yield
    need = (torch.cuda.max_memory_allocated(device) - before) / pixels
    _bytes_per_pixel[work] = max(need, _bytes_per_pixel.get(work, 0.0))


def _free_bytes(device: torch.device) -> int:
    """Free bytes of a GPU, those that torch keeps for later among them."""
    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


@contextlib.contextmanager
def own_stream(device: torch.device) -> Iterator[None]:
    """Give the calling thread a queue of its own.

    One thread's copies and another's computations then go on at the same time.
    """
    if device.type != "cuda":
        yield
        return
    streams = _thread_streams.__dict__.setdefault("streams", {})
    if device not in streams:
        streams[device] = torch.cuda.Stream(device)
    # Weights were copied by the default stream.
    streams[device].wait_stream(torch.cuda.default_stream(device))
    with torch.cuda.stream(streams[device]):
        yield


def to_device(array: np.ndarray, device: torch.device) -> torch.Tensor:
    """A float32 tensor; to a GPU through pinned memory, without waiting."""
    tensor = torch.from_numpy(np.ascontiguousarray(array, np.float32))
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def to_host(tensor: torch.Tensor) -> np.ndarray:
    """An array; waits for this thread's work alone."""
    if tensor.device.type != "cuda":
        return tensor.cpu().numpy()
    host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    host.copy_(tensor, non_blocking=True)
    torch.cuda.current_stream(tensor.device).synchronize()
    return host.numpy()


def has_bfloat16(device: torch.device) -> bool:
    """Tell a GPU that computes in bfloat16 itself (from Ampere on); older ones pretend, slowly."""
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)
