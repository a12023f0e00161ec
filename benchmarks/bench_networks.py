"""Networks on a scene: CPU seconds, memory and seams, beside correlators on the same pair.

    python benchmarks/bench_networks.py [--model MODEL] [--side 1024]

The pair is a real one of two dates (``XSUBPIX_DATA``), mirrored at its borders to the side
that is asked for; without it, a procedural scene seen again in another season. Printed: CPU
seconds and peak memory of every model, each in a process of its own, and by how much the
network's result changes with the size of its windows: what a seam would show.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import time
from typing import Any

import numpy as np
import xarray as xr
from common import DATA

import xsubpix
import xsubpix.tutorial

PEERS: dict[str, dict[str, Any]] = {
    "cosi-corr": {"window": 32, "step": 4},
    "deepflow": {},
    "dis": {},
}


def pair(side: int) -> tuple[xr.DataArray, xr.DataArray]:
    """Two dates of `side` x `side` pixels."""
    paths = sorted((DATA / "two_dates").glob("nanjing_*.tif"))
    if len(paths) == 2:
        images = [xsubpix.open_image(path, 5).values.astype(np.float32) for path in paths]
    else:
        pre = xsubpix.tutorial.procedural_scene((side, side))
        images = [pre.values, xsubpix.tutorial.example_earthquake(pre)[0].values]
    out = []
    for image in images:
        lack = [max(0, side - n) for n in image.shape]
        wide = np.pad(image, [(0, n) for n in lack], mode="reflect")
        out.append(xr.DataArray(wide[:side, :side], dims=("y", "x")))
    return out[0], out[1]


def measured(model: str, options: dict[str, Any], side: int, pipe: Any) -> None:
    """CPU seconds and peak memory (GiB) of a model, in a process of its own."""
    pre, post = pair(side)
    xsubpix.correlate(pre[:128, :128], post[:128, :128], model=model, **options)
    start = time.process_time()
    xsubpix.correlate(pre, post, model=model, **options)
    seconds = time.process_time() - start
    pipe.send((seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20))


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="unet")
    parser.add_argument("--side", type=int, default=1024)
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    print(f"{options.side} x {options.side} px; wanted of the network: <= 4 CPU s, <= 1.5 GB")
    runs = [(options.model, {"ensemble": n}) for n in (2, 1, 4)] + list(PEERS.items())
    for model, given in runs:
        ours, theirs = context.Pipe()
        process = context.Process(target=measured, args=(model, given, options.side, theirs))
        process.start()
        theirs.close()
        try:
            seconds, memory = ours.recv()
        except EOFError:
            print(f"{model:>12} {given}: not installed")
            continue
        process.join()
        print(f"{model:>12} {given}: {seconds:5.2f} CPU s, peak {memory:.2f} GiB")
    pre, post = pair(options.side)
    fields = {
        window: xsubpix.correlate(pre, post, model=options.model, window=window)
        for window in (512, 256, 2 * options.side)
    }
    base = fields.pop(512)
    print("change of the result with the windows (a seam at each border of a window):")
    for window, field in fields.items():
        length = np.hypot(field.east - base.east, field.north - base.north).values
        print(
            f"  {window} against 512 px: rms {np.sqrt(np.nanmean(length**2)):.5f}, 99.9 % below "
            f"{np.nanquantile(length, 0.999):.4f}, largest {np.nanmax(length):.4f} px"
        )


if __name__ == "__main__":
    main()
