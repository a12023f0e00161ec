"""Networks on a scene: CPU seconds, memory and seams, beside correlators on the same pair.

    python benchmarks/bench_networks.py [--model MODEL] [--side 1024] [--only cost seams reach]

The pair is a real one of two dates (``XSUBPIX_DATA``), mirrored at its borders to the side
that is asked for; without it, a procedural scene seen again in another season. Printed: CPU
seconds and peak memory of every model, each in a process of its own, and by how much the
network's result changes with the size of its tiles: what a seam would show; and what is said
of displacements beyond the reach of a model that is not told to search, on a chip of the test
split and its moved copy with noise.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import time
from typing import Any

import numpy as np
import xarray as xr
from common import DATA, chips_of_test_split

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
        images = [xsubpix.open_image(path, band=5).values.astype(np.float32) for path in paths]
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


def cost(model: str, side: int) -> None:
    """Print CPU seconds and memory, beside the peers."""
    context = multiprocessing.get_context("spawn")
    print(f"{side} x {side} px; wanted of the network: <= 4 CPU s, <= 1.5 GB")
    runs = [(model, {"ensemble": n}) for n in (2, 1, 4)] + list(PEERS.items())
    for name, given in runs:
        ours, theirs = context.Pipe()
        process = context.Process(target=measured, args=(name, given, side, theirs))
        process.start()
        theirs.close()
        try:
            seconds, memory = ours.recv()
        except EOFError:
            print(f"{name:>12} {given}: not installed")
            continue
        process.join()
        print(f"{name:>12} {given}: {seconds:5.2f} CPU s, peak {memory:.2f} GiB", flush=True)


def seams(model: str, side: int) -> None:
    """Print by how much the result changes with the tiles."""
    pre, post = pair(side)
    fields = {
        tile: xsubpix.correlate(pre, post, model=model, tile_size=tile)
        for tile in (512, 256, 2 * side)
    }
    base = fields.pop(512)
    print("change of the result with the tiles (a seam at each border of a tile):")
    for tile, field in fields.items():
        length = np.hypot(field.east - base.east, field.north - base.north).values
        print(
            f"  {tile} against 512 px: rms {np.sqrt(np.nanmean(length**2)):.5f}, 99.9 % below "
            f"{np.nanquantile(length, 0.999):.4f}, largest {np.nanmax(length):.4f} px",
            flush=True,
        )


def reach(model: str) -> None:
    """Print what is said of displacements of 1 to 60 px along both axes, without ``search=``."""
    chip = chips_of_test_split(1)[0][1].astype(np.float32)
    noise = np.random.default_rng(0).normal(0, 0.2 * chip.std(), chip.shape).astype(np.float32)
    side = min(512, min(chip.shape) - 72)
    first = xr.DataArray(chip[64 : 64 + side, 64 : 64 + side], dims=("y", "x"))
    print(
        "displacements along both axes: median error, median sigma (px), share flagged, share of "
        "errors above 0.5 px and 3 sigma that are not"
    )
    for name, options in ((model, {}), *PEERS.items()):
        for moved in (1, 3, 4, 5, 6, 8, 15, 30, 60):
            second = (chip + noise)[64 - moved :, 64 - moved :][:side, :side]
            try:
                found = xsubpix.correlate(
                    first, xr.DataArray(second, dims=("y", "x")), model=name, **options
                )
            except xsubpix.ModelError:
                print(f"{name:>12}: not installed")
                break
            # Rows go down here: towards the south, as the ground went.
            error = np.hypot(found.east - moved, np.abs(found.north) - moved)
            # What came in from outside along two sides cannot be found.
            rim = slice(moved // options.get("step", 1), None)
            error, found = error[rim, rim], found.isel(y=rim, x=rim)
            flagged = found.flags != 0
            silent = (error > 0.5) & (error > 3 * found.sigma) & ~flagged
            print(
                f"{name:>12} {moved:3d} px: {float(error.median()):7.3f} "
                f"{float(found.sigma.median()):7.3f} {100 * float(flagged.mean()):5.1f} % "
                f"{100 * float(silent.mean()):5.1f} %",
                flush=True,
            )


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="unet")
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--only", nargs="+", default=["cost", "seams", "reach"])
    options = parser.parse_args()
    if "cost" in options.only:
        cost(options.model, options.side)
    if "seams" in options.only:
        seams(options.model, options.side)
    if "reach" in options.only:
        reach(options.model)


if __name__ == "__main__":
    main()
