"""One device shared: without memory, by threads, by processes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import dask
import numpy as np
import torch

import xsubpix
from xsubpix.estimators import create
from xsubpix.estimators import network as network_module

from .agreement import MOST, apart
from .common import Row, Rows, Settings, below, forget_memory, row
from .scene import open_pair
from .speed import tiles_of

# Windows meet within this, pixels: a tile in parts is measured with less around it.
MOST_IN_PARTS = 0.05


def out_of_memory(settings: Settings) -> Rows:
    """Fill the card, so that a batch, then a single tile, does not fit; the result must stand."""
    estimator = create(
        settings.model(), device=settings.device, tile_size=settings.windows[-1], ensemble=1
    )
    tiles = tiles_of(estimator, 2)
    forget_memory()
    expected = estimator(*tiles)
    need = torch.cuda.max_memory_allocated() if settings.cuda else 0
    pixels = tiles[0][0].size
    for what, share, most in (
        ("half of a batch fits", 1.5, MOST),
        ("half of a tile fits", 0.8, MOST_IN_PARTS),
    ):
        forget_memory()
        failures = [0]
        # A batch of two is tried, whatever is known of the memory that a tile takes.
        with filled(settings, share * need, share * pixels, failures), batches_of_two():
            try:
                got = estimator(*tiles)
            except Exception as error:
                yield row(what, f"failed: {type(error).__name__}: {error}"[:200], ok=False)
                continue
        yield row(f"{what}: out of memory", failures[0], "times", ">= 1", failures[0] >= 1)
        for name in ("dx", "dy"):
            value = apart(getattr(got, name), getattr(expected, name))
            yield below(f"{what}: change of {name}", value, most, "px")


@contextlib.contextmanager
def filled(settings: Settings, left: float, pixels: float, failures: list[int]) -> Iterator[None]:
    """Leave so many bytes of the card; the CPU pretends to have room for so many pixels."""
    if settings.cuda:
        before = torch.cuda.memory_stats().get("num_ooms", 0)
        free, _ = torch.cuda.mem_get_info()
        filler = torch.empty(max(0, int(free - left)), dtype=torch.uint8, device=settings.device)
        try:
            yield
        finally:
            failures[0] = torch.cuda.memory_stats().get("num_ooms", 0) - before
            del filler
            forget_memory()
        return
    measure = network_module._measure

    def limited(network: Any, device: Any, pre: np.ndarray, *rest: Any) -> np.ndarray:
        if pre.size > pixels:
            failures[0] += 1
            raise torch.OutOfMemoryError("pretended")
        return measure(network, device, pre, *rest)

    network_module._measure = limited
    try:
        yield
    finally:
        network_module._measure = measure


@contextlib.contextmanager
def batches_of_two() -> Iterator[None]:
    """Begin with two tiles at once."""
    from xsubpix import devices

    kept = devices.items_that_fit
    devices.items_that_fit = lambda device, work, pixels: 2
    try:
        yield
    finally:
        devices.items_that_fit = kept


def lazily(settings: Settings, **scheduler: Any) -> tuple[np.ndarray, float]:
    """Displacement of the lazy pair and the seconds that it took."""
    side = min(settings.scene, 4096)
    images = [
        image.isel(y=slice(side), x=slice(side)) for image in open_pair(settings, settings.scene)
    ]
    disp = xsubpix.correlate(
        *images, model=settings.model(), device=settings.device, tile_size=settings.windows[0],
        ensemble=1,
    )  # fmt: skip
    start = time.perf_counter()
    with dask.config.set(**scheduler):
        fields = dask.compute(disp.east.data, disp.north.data)
    return np.stack(fields) / 15.0, time.perf_counter() - start


def compared(settings: Settings, got: np.ndarray, expected: np.ndarray, what: str) -> Row:
    """Bit for bit on the CPU, to 1e-3 px on a GPU."""
    return below(f"{what}: change", apart(got, expected), MOST if settings.cuda else 0.0, "px")


def streams(settings: Settings) -> Rows:
    """Threads of dask, each with a queue of its own, against one thread."""
    lazily(settings, scheduler="synchronous")
    expected, alone = lazily(settings, scheduler="synchronous")
    for threads in (2, 4):
        got, together = lazily(settings, scheduler="threads", num_workers=threads)
        yield compared(settings, got, expected, f"{threads} threads")
        yield row(f"{threads} threads", alone / together, "times as fast as one")


def cluster(settings: Settings) -> Rows:
    """Two processes of a LocalCluster on one device."""
    from distributed import Client, LocalCluster

    expected, alone = lazily(settings, scheduler="synchronous")
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as workers,
        Client(workers) as client,
    ):
        for _ in range(2 if settings.cuda else 1):
            got, together = lazily(settings, scheduler=client)
    yield compared(settings, got, expected, "two processes")
    yield row("two processes", alone / together, "times as fast as one")
