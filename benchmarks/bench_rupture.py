"""Rupture fields: accuracy, work and time against all triangles at every pixel.

Draws random faults on a 1024 x 1024 grid, makes the field by adaptive sampling,
and compares it with the dense sum of triangular dislocations (cutde) at random
pixels, half of them within 5 pixels of the trace (where it is buried: of its
projection).

    python benchmarks/bench_rupture.py [--faults 20] [--pixels 5000]
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from xsubpix.rupture import Fault, GridSampler, backend_name, displacement_at, random_fault

SIZE = 1024
PIXEL = 15.0  # metres, Landsat's panchromatic band
WEST, NORTH = 500e3, 4e6
AFFINE = (PIXEL, 0.0, WEST, 0.0, -PIXEL, NORTH)
EXTENT = (WEST, NORTH - SIZE * PIXEL, WEST + SIZE * PIXEL, NORTH)
MECHANISMS = ("strike-slip", "strike-slip", "strike-slip", "oblique-reverse", "normal")


def pixels_to_compare(fault: Fault, count: int, rng: np.random.Generator) -> np.ndarray:
    """Rows and columns, shape ``(2, count)``; the first half within 5 pixels of the trace."""
    half = count // 2
    near: list[np.ndarray] = []
    found = 0
    while found < half:
        trace = fault.traces[rng.integers(len(fault.traces))]
        edge = rng.integers(len(trace) - 1, size=4 * count)
        share = rng.random((4 * count, 1))
        on_trace = trace[edge] * (1 - share) + trace[edge + 1] * share
        radius, angle = 5 * np.sqrt(rng.random(4 * count)), rng.uniform(0, 2 * np.pi, 4 * count)
        row = np.floor((NORTH - on_trace[:, 1]) / PIXEL + radius * np.sin(angle))
        column = np.floor((on_trace[:, 0] - WEST) / PIXEL + radius * np.cos(angle))
        inside = (row >= 0) & (row < SIZE) & (column >= 0) & (column < SIZE)
        near.append(np.stack([row, column])[:, inside].astype(int))
        found += near[-1].shape[1]
    anywhere = rng.integers(0, SIZE, (2, count - half))
    return np.concatenate([np.concatenate(near, axis=1)[:, :half], anywhere], axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--faults", type=int, default=20)
    parser.add_argument("--pixels", type=int, default=5000)
    options = parser.parse_args()
    print(f"cutde runs on: {backend_name()}; {options.faults} faults, {SIZE} x {SIZE} pixels")
    print("fault triangles  blind  max error  rms error  fewer pairs  CPU s  dense CPU s (est.)")
    worst, fewest, seconds, dense_seconds = 0.0, np.inf, [], []
    for seed in range(options.faults):
        rng = np.random.default_rng(10_000 + seed)
        fault = random_fault(
            seed, EXTENT, pixel_size=PIXEL, mechanism=MECHANISMS[seed % len(MECHANISMS)]
        )
        start = time.process_time()
        sampler = GridSampler(fault, AFFINE)
        field = sampler((0, SIZE, 0, SIZE))
        seconds.append(time.process_time() - start)
        if not np.all(np.isfinite(field)):
            raise SystemExit(f"fault {seed}: the field is not finite everywhere")

        row, column = pixels_to_compare(fault, options.pixels, rng)
        x, y = WEST + (column + 0.5) * PIXEL, NORTH - (row + 0.5) * PIXEL
        start = time.process_time()
        dense = np.stack(displacement_at(fault, x, y))
        dense_seconds.append((time.process_time() - start) * SIZE**2 / options.pixels)
        largest = np.linalg.norm(field, axis=0).max()
        error = np.linalg.norm(field[:, row, column] - dense, axis=0) / largest
        triangles = len(sampler.mesh.triangles)
        fewer = triangles * SIZE**2 / sampler.evaluations
        worst, fewest = max(worst, float(error.max())), min(fewest, fewer)
        print(
            f"{seed:5d} {triangles:9d}  {'yes' if fault.is_blind else 'no':>5}  "
            f"{error.max():9.5f}  {np.sqrt(np.mean(error**2)):9.5f}  {fewer:10.0f}x  "
            f"{seconds[-1]:5.2f}  {dense_seconds[-1]:10.0f}",
            flush=True,
        )
    print(f"largest error / largest displacement: {worst:.5f} (wanted: 0.003 or less)")
    print(f"pairs of triangle and pixel, dense / ours: {fewest:.0f} or more (wanted: 20)")
    print(
        f"CPU seconds a field: mean {np.mean(seconds):.2f}, longest {np.max(seconds):.2f} "
        f"(wanted: 3); dense cutde, estimated from {options.pixels} pixels: "
        f"mean {np.mean(dense_seconds):.0f}"
    )


if __name__ == "__main__":
    main()
