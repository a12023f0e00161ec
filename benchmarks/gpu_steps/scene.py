"""Lazy scenes: share of the time in which the GPU computes, and what bounds it."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import numpy as np
import torch

import xsubpix
from xsubpix import devices
from xsubpix.networks.cards import read_card
from xsubpix.networks.normalise import normalise
from xsubpix.networks.registry import network_class

from .common import Rows, Settings, forget_memory, pair, replaced, row, synchronise

BUSY, MINUTE = 0.6, 60.0
# Threads of dask: one prepares its tiles while the other's are computed.
THREADS = 2


def utilisation(settings: Settings) -> Rows:
    """Busy share of the device, and the seconds of each part of the work."""
    images = open_pair(settings, settings.scene)
    options = {"device": settings.device, "tile_size": settings.windows[-1], "ensemble": 1}
    measure(images, settings, options, 0, settings.scene // 4)
    size = f"{settings.scene} x {settings.scene}"
    with busy_time(settings) as busy:
        start = time.perf_counter()
        measure(images, settings, options)
        wall = time.perf_counter() - start
    yield row(f"{size}, lazy, one view", settings.scene**2 / wall / 1e6, "Mpx/s")
    if settings.cuda:
        share = busy[0] / wall
        yield row("GPU computes", share, "of the time", f">= {BUSY:g}", share >= BUSY)
    start = time.perf_counter()
    with dask.config.set(scheduler="threads", num_workers=THREADS):
        dask.compute(*(image.data.sum() for image in images))
    parts = {"read": time.perf_counter() - start}
    with timed_parts(settings, parts):
        measure(images, settings, options, 0, settings.scene, threads=1)
    for name, seconds in parts.items():
        yield row(f"{name}, one thread at a time", seconds, "s")
    yield row("bounded by", max(parts, key=lambda name: parts[name]))


def large(settings: Settings) -> Rows:
    """A whole scene from files to a file."""
    images = open_pair(settings, settings.large_scene)
    forget_memory()
    out = Path(settings.folder) / "large.tif"
    out.unlink(missing_ok=True)
    start = time.perf_counter()
    disp = xsubpix.correlate(
        *images, model=settings.model(), device=settings.device, tile_size=settings.windows[-1]
    )
    with dask.config.set(scheduler="threads", num_workers=THREADS):
        xsubpix.to_cog(disp, out)
    wall = time.perf_counter() - start
    size = f"{settings.large_scene} x {settings.large_scene}, all views of the default, to a file"
    yield row(size, wall, "s", f"<= {MINUTE:g}", wall <= MINUTE if settings.cuda else None)
    if settings.cuda:
        yield row("peak memory of the GPU", torch.cuda.max_memory_allocated() / 2**30, "GiB")


def open_pair(settings: Settings, side: int) -> list[Any]:
    """Lazy images of tiled GeoTIFFs, which are made once."""
    import rasterio

    paths = [Path(settings.folder) / f"{name}_{side}.tif" for name in ("pre", "post")]
    if not all(path.exists() for path in paths):
        profile: dict[str, Any] = {
            "driver": "GTiff", "width": side, "height": side, "count": 1, "dtype": "uint16",
            "crs": "EPSG:32611", "transform": rasterio.Affine(15, 0, 4e5, 0, -15, 4e6), "nodata": 0,
            "tiled": True, "blockxsize": 512, "blockysize": 512,
        }  # fmt: skip
        for path, pixels in zip(paths, pair(side), strict=True):
            part = path.with_suffix(".part.tif")
            with rasterio.open(part, "w", **profile) as file:
                file.write(np.nan_to_num(pixels, nan=0.0).clip(0, 65535).astype(np.uint16), 1)
            part.rename(path)
    return [xsubpix.open_image(path) for path in paths]


def measure(
    images: list[Any],
    settings: Settings,
    options: dict[str, Any],
    first: int = 0,
    last: int | None = None,
    threads: int = THREADS,
) -> None:
    """Compute the displacement of some rows, one part of it at a time."""
    part = [image.isel(y=slice(first, last)) for image in images]
    disp = xsubpix.correlate(*part, model=settings.model(), **options)
    with dask.config.set(scheduler="threads", num_workers=threads):
        dask.compute(disp.east.data.sum(), disp.north.data.sum())


@contextlib.contextmanager
def busy_time(settings: Settings) -> Iterator[list[float]]:
    """Seconds in which a kernel or a copy ran on the GPU, from torch's profiler."""
    found = [0.0]
    if not settings.cuda:
        yield found
        return
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        yield found
    spans = sorted(
        (event.time_range.start, event.time_range.end)
        for event in profile.events()
        if event.device_type == torch.autograd.DeviceType.CUDA
    )
    until = float("-inf")
    for start, end in spans:
        found[0] += max(0.0, end - max(start, until)) / 1e6
        until = max(until, end)


@contextlib.contextmanager
def timed_parts(settings: Settings, parts: dict[str, float]) -> Iterator[None]:
    """Add up the seconds of copies, of normalisation and of the network."""
    lock = threading.Lock()

    def timed(name: str, function: Any) -> Any:
        def run(*args: Any, **kwargs: Any) -> Any:
            synchronise(settings.device)
            start = time.perf_counter()
            out = function(*args, **kwargs)
            synchronise(settings.device)
            with lock:
                parts[name] = parts.get(name, 0.0) + time.perf_counter() - start
            return out

        return run

    from xsubpix.estimators.network import weights_path

    network = network_class(read_card(weights_path(settings.model()))["architecture"])
    predict = network.predict_box
    with contextlib.ExitStack() as stack:
        for name, function in (
            ("copy in", devices.to_device),
            ("copy out", devices.to_host),
            ("normalisation", normalise),
        ):
            stack.enter_context(replaced(function, timed(name, function)))
        network.predict_box = timed("network", predict)
        try:
            yield
        finally:
            network.predict_box = predict
