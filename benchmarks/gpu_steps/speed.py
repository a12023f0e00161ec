"""Million pixels a second of the network, and its share of the card's convolution rate."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from xsubpix import devices
from xsubpix.estimators import create
from xsubpix.estimators.network import _loaded

from .common import Rows, Settings, forget_memory, pair, row, seconds_of

RATE, SHARE = 40.0, 0.6


def steps(settings: Settings) -> Rows:
    """Windows, batches, host threads and compilers; then the CPU of this machine."""
    card = convolution_rate(settings.device)
    yield row("a large convolution", card / 1e12, "TFLOP/s")
    best, share = 0.0, 0.0
    for window in settings.windows:
        for count, threads in ((1, 1), (settings.tiles, 1), (settings.tiles, 2)):
            estimator = create(
                settings.model(), device=settings.device, tile_size=window, ensemble=1
            )
            label = f"window {window}, {count} tiles, {threads} host threads, one view"
            rate, flops, memory = measured(settings, estimator, count, threads)
            best, share = max(best, rate), max(share, flops / card)
            yield row(label, rate, "Mpx/s")
            if settings.cuda:
                yield row(label, memory, "GiB")
    window = settings.windows[-1]
    for mode in ("default", "reduce-overhead"):
        estimator = create(settings.model(), device=settings.device, tile_size=window, ensemble=1)
        with compiled(estimator, settings, mode):
            rate, flops, _ = measured(settings, estimator, 1, 1)
        best, share = max(best, rate), max(share, flops / card)
        yield row(f"window {window}, torch.compile ({mode}), one view", rate, "Mpx/s")
    estimator = create(settings.model(), device=settings.device, tile_size=window)
    rate, flops, _ = measured(settings, estimator, 1, 1)
    share = max(share, flops / card)
    yield row(f"window {window}, {estimator.ensemble} views, the default", rate, "Mpx/s")
    if settings.cuda:
        cpu = create("unet", device="cpu", tile_size=512, ensemble=1)
        rate, _, _ = measured(settings, cpu, 1, 1)
        yield row("CPU of this machine, one thread, one view", rate, "Mpx/s")
        yield row("GPU over one thread of the CPU", best / rate, "times")
    yield row("best", best, "Mpx/s", f">= {RATE:g}", best >= RATE if settings.cuda else None)
    yield row(
        "share of the convolution rate", share, "", f">= {SHARE:g}",
        share >= SHARE if settings.cuda else None,
    )  # fmt: skip


def tiles_of(estimator: Any, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of tiles as the lattice cuts them, all of them with data everywhere."""
    side = estimator.tile * estimator.step + 2 * estimator.halo
    pre, post = (np.nan_to_num(image, nan=1000.0) for image in pair(side))
    return tuple(np.repeat(image[None], count, 0) for image in (pre, post))  # type: ignore


def measured(
    settings: Settings, estimator: Any, count: int, threads: int
) -> tuple[float, float, float]:
    """Mpx/s, FLOP/s in convolutions and GiB; as many tiles at once as fit."""
    pre, post = tiles_of(estimator, count)
    forget_memory()
    estimator(pre[:1], post[:1])
    with FlopCounterMode(display=False) as counter:
        estimator(pre[:1], post[:1])
    work = [(pre, post)] * threads
    with ThreadPoolExecutor(threads) as pool:
        # Once to warm up: every thread has memory and a queue of its own.
        if settings.cuda:
            list(pool.map(lambda tiles: estimator(*tiles), work))
        took = seconds_of(
            estimator.device,
            lambda: list(pool.map(lambda tiles: estimator(*tiles), work)),
            2 if settings.cuda else 1,
        )
    tiles = count * threads
    memory = torch.cuda.max_memory_allocated() / 2**30 if settings.cuda else float("nan")
    pixels = tiles * (estimator.tile * estimator.step) ** 2
    return pixels / took / 1e6, tiles * counter.get_total_flops() / took, memory


@contextlib.contextmanager
def compiled(estimator: Any, settings: Settings, mode: str) -> Iterator[None]:
    """The estimator's network, compiled; on the CPU its graph is only captured."""
    network = _loaded(estimator.weights, estimator.digest, estimator_device(estimator))
    options: dict[str, Any] = {"mode": mode} if settings.cuda else {"backend": "eager"}
    network.predict_box = torch.compile(network.predict_box, **options)
    try:
        yield
    finally:
        del network.predict_box


def estimator_device(estimator: Any) -> str:
    """Name under which the estimator keeps its network."""
    return str(devices.torch_device(estimator.device))


def convolution_rate(device: str) -> float:
    """FLOP/s of a large convolution, channels last, bfloat16."""
    side, channels = (256, 256) if device.startswith("cuda") else (64, 64)
    count = 8 if device.startswith("cuda") else 1
    layer = torch.nn.Conv2d(channels, channels, 3, padding=1, device=device).bfloat16()
    layer = layer.to(memory_format=torch.channels_last)
    x = torch.randn(count, channels, side, side, device=device).bfloat16()
    x = x.contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        end = time.perf_counter() + 0.5
        while time.perf_counter() < end:
            layer(x)
        took = seconds_of(device, lambda: [layer(x) for _ in range(10)], 3) / 10
    return 2 * 9 * channels**2 * count * side**2 / took
