"""What scale costs: laziness, window correlators against bare FFTs, networks against convolutions.

    python benchmarks/bench_scale.py [--size 4096] [--network-size 1024] [--only lazy fft network]

One thread and process-wide CPU seconds unless said otherwise. "Wanted" are this project's
own bounds.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import common
import numpy as np


def timed(function: Callable[[], Any]) -> tuple[float, float]:
    """Wall and CPU seconds of a call."""
    wall, cpu = time.perf_counter(), time.process_time()
    function()
    return time.perf_counter() - wall, time.process_time() - cpu


def pair(size: int) -> tuple[np.ndarray, np.ndarray]:
    """A real chip, mirrored to a size, and the same moved by (1, 2) pixels, with noise."""
    chip = common.chips_of_test_split(1)[0][1]
    rng = np.random.default_rng(0)
    whole = np.pad(chip, [(0, max(0, size + 8 - n)) for n in chip.shape], mode="symmetric")
    post = whole[1 : size + 1, 2 : size + 2] + rng.normal(size=(size, size))
    return whole[:size, :size].astype(np.float32), post.astype(np.float32)


# ------------------------------------------------------------------------- laziness


def laziness(size: int, model: str, options: dict[str, Any], repeats: int) -> None:
    """Dask's threaded scheduler against a loop over the same blocks of the same arrays."""
    import dask
    import xarray as xr

    import xsubpix
    from xsubpix import lattice as module

    images = [xr.DataArray(pixels, dims=("y", "x")) for pixels in pair(size)]
    chunks = {"y": 2048, "x": 2048}
    # What importing and loading take is not laziness.
    small = [image[:256, :256] for image in images]
    xsubpix.correlate(*small, model=model, **options)
    xsubpix.correlate(*(image.chunk(128) for image in small), model=model, **options).compute()

    def lazy(workers: int) -> None:
        disp = xsubpix.correlate(*(im.chunk(chunks) for im in images), model=model, **options)
        with dask.config.set(scheduler="threads", num_workers=workers):
            disp.compute()

    def loop(workers: int) -> None:
        cores = os.sched_getaffinity(0)
        shown = list(range(workers))
        # The loop takes as many threads as it sees processors.
        module.os.sched_getaffinity = lambda pid: shown  # type: ignore[assignment]
        try:
            xsubpix.correlate(*images, model=model, **options)
        finally:
            module.os.sched_getaffinity = lambda pid: cores  # type: ignore[assignment]

    for workers in (1, 2):
        best: dict[str, tuple[float, float]] = {}
        for _ in range(repeats):
            for name, function in (("loop", loop), ("dask", lazy)):
                took = timed(lambda run=function, n=workers: run(n))
                known = best.get(name, took)
                best[name] = (min(known[0], took[0]), min(known[1], took[1]))
        wall, cpu = (best["dask"][k] / best["loop"][k] for k in (0, 1))
        print(
            f"{model} {options}, {size} x {size}, {workers} threads: loop {best['loop'][0]:.1f} s "
            f"({best['loop'][1]:.1f} CPU s), dask {best['dask'][0]:.1f} s ({best['dask'][1]:.1f} "
            f"CPU s): {wall:.2f} in wall time, {cpu:.2f} in CPU time (wanted: at most 1.15)",
            flush=True,
        )


# ------------------------------------------------------------------------- bare FFTs


def bare_fft(count: int, window: int, planes: int) -> float:
    """CPU seconds of real transforms of `count` windows, in batches that stay in the cache."""
    import torch

    from xsubpix.devices import ELEMENTS

    batch = max(1, ELEMENTS // window**2)
    data = torch.randn(batch, window, window)
    batches = -(-count // batch)

    def work() -> None:
        for _ in range(batches):
            spectrum = torch.fft.rfft2(data)
            for _ in range(planes - 2):
                torch.fft.rfft2(data)
            torch.fft.irfft2(spectrum, s=(window, window))

    with torch.inference_mode():
        torch.set_num_threads(1)
        work()
        return min(timed(work)[1] for _ in range(2)) * count / (batches * batch)


def correlators(size: int) -> None:
    """Cost of the window correlators against three transforms a pair of windows."""
    from xsubpix.estimators.registry import create
    from xsubpix.lattice import Lattice

    pre, post = pair(size)
    for model, options, says in (
        ("phase", {"window": 32, "step": 4}, ""),
        ("phase", {"window": 32, "step": 4, "refine": False}, " (as published)"),
        ("phase", {"window": 64, "step": 8}, ""),
        ("cosi-corr", {"window": 32, "step": 4}, ""),
        ("cosi-corr", {"window": 32, "step": 8}, ""),
        ("cosi-corr", {"window": 64, "step": 8}, ""),
    ):
        estimator = create(model, **options)
        lattice = Lattice(pre.shape, estimator.step, estimator.halo, estimator.tile)
        halo, side = estimator.halo, lattice.tile_side
        hop = lattice.tile * lattice.step
        starts = range(0, size - side + 1, hop)
        tiles = [(i, j) for i in starts for j in starts]

        def work(estimator: Any = estimator, tiles: Any = tiles, side: int = side) -> None:
            for i, j in tiles:
                part = (slice(i, i + side), slice(j, j + side))
                estimator(pre[part][None].copy(), post[part][None].copy())

        work()
        count = len(tiles) * lattice.tile**2
        cost = min(timed(work)[1] for _ in range(2))
        window = int(options["window"])
        bare = bare_fft(count, window, 3)
        print(
            f"{model} {options}{says}: {1e6 * cost / count:.1f} us a window of {window}, "
            f"halo {halo}; three transforms of it {1e6 * bare / count:.1f} us: "
            f"{cost / bare:.1f} times (wanted: at most 2)",
            flush=True,
        )


# ------------------------------------------------------------------------- networks


def convolution_rate() -> float:
    """FLOP/s of a representative convolution, bfloat16, channels last, one thread."""
    import torch

    with torch.inference_mode():
        torch.set_num_threads(1)
        layer = (
            torch.nn.Conv2d(64, 64, 3, padding=1).bfloat16().to(memory_format=torch.channels_last)
        )
        x = torch.randn(1, 64, 256, 256).bfloat16().to(memory_format=torch.channels_last)
        for _ in range(3):
            layer(x)
        took = min(timed(lambda: [layer(x) for _ in range(10)])[1] for _ in range(3)) / 10
    return 2 * 64 * 64 * 9 * 256 * 256 / took


def network(size: int, ensemble: int) -> None:
    """Where the time of the default model goes."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from xsubpix.estimators.registry import create

    estimator = create("unet", ensemble=ensemble)
    side = estimator.tile + 2 * estimator.halo
    pre, post = pair(max(size, side))
    part = (slice(0, side), slice(0, side))
    tiles = pre[part][None].copy(), post[part][None].copy()
    torch.set_num_threads(1)
    estimator(*tiles)
    counter = FlopCounterMode(display=False)
    with counter:
        estimator(*tiles)
    flops = counter.get_total_flops()
    took = min(timed(lambda: estimator(*tiles))[1] for _ in range(2))
    rate = convolution_rate()
    kinds = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=kinds) as profile:
        # The profiler's times are those of the clock.
        wall = timed(lambda: estimator(*tiles))[0]
    own = sorted(
        ((event.key, event.self_cpu_time_total / 1e6) for event in profile.key_averages()),
        key=lambda item: -item[1],
    )
    in_torch = sum(seconds for _, seconds in own)
    convolutions = sum(seconds for key, seconds in own if "convolution" in key)
    print(
        f"unet, ensemble {ensemble}, a tile of {estimator.tile} (+ {2 * estimator.halo}): "
        f"{took:.2f} CPU s, {1e6 * took / estimator.tile**2:.1f} us a pixel; "
        f"{flops / 1e9:.0f} GFLOP in convolutions"
    )
    print(
        f"  {flops / took / 1e9:.0f} GFLOP/s in all, a large convolution {rate / 1e9:.0f}: "
        f"{100 * flops / took / rate:.0f} % of it (wanted: at least 50)"
    )
    print(
        f"  convolutions are {100 * convolutions / wall:.0f} % of the time, what is outside of "
        f"torch's operators {100 * (wall - in_torch) / wall:.0f} %; in them, "
        f"{flops / (took * convolutions / wall) / 1e9:.0f} GFLOP/s"
    )
    for key, seconds in own[:12]:
        print(f"  {100 * seconds / wall:5.1f} %  {key}")


def main() -> None:
    """Print all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", type=int, default=2048)
    parser.add_argument("--network-size", type=int, default=1024)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--ensemble", type=int, default=2)
    parser.add_argument("--only", nargs="+", default=["lazy", "fft", "network"])
    options = parser.parse_args()
    if "fft" in options.only:
        correlators(min(options.size, 1088))
    if "network" in options.only:
        network(options.network_size, options.ensemble)
    if "lazy" in options.only:
        laziness(options.size, "cosi-corr", {"window": 32, "step": 8}, options.repeats)
        laziness(options.network_size, "unet", {"ensemble": 1}, options.repeats)


if __name__ == "__main__":
    main()
