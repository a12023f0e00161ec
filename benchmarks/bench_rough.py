"""Ruptures as rough as real ones: errors of networks and correlators, and their ratio to micmac's.

    python benchmarks/bench_rough.py [--models unet micmac ...] [--pairs 2] [--out docs/benchmarks]

Real second dates, and clean pairs (the first image twice, 3 % noise), of ``XSUBPIX_DATA`` are moved
by ruptures with shear off the trace, strands, cracks and gaps (``complexity``, seeds that no
training uses), with largest offsets of 0.3, 1 and 3 px. Printed: the mean end-point error over the
image and within 16 px of what breaks the surface, pixels, and in brackets over micmac's, which is
always measured. Nothing is left out but 16 px at the image's border and what is missing.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import xarray as xr
from common import DATA, write_figures

import xsubpix
from xsubpix.rupture import Fault, random_fault
from xsubpix.rupture.sampling import displacement_on_grid
from xsubpix.training.cases import Case, Pair, Trace, pairs_in

MODELS: dict[str, dict[str, Any]] = {
    "micmac": {},
    "unet": {},
    "unet-smooth": {},
    "deepflow": {},
    "cosi-corr": {"window": 32, "step": 4},
}
JUMPS = (0.3, 1.0, 3.0)
PIXEL, RIM, NEAR, NOISE = 15.0, 16, 16, 0.03
# Beyond the seeds of databases and of training.
FIRST_SEED = 9_000_000


def rupture(number: int, shape: tuple[int, int], complexity: float) -> tuple[np.ndarray, Fault]:
    """Displacement (dx, dy), pixels, of a rupture with strands that crosses an image."""
    height, width = shape
    extent = (0.0, 0.0, PIXEL * width, PIXEL * height)
    fault = random_fault(
        FIRST_SEED + number, extent, pixel_size=PIXEL, complexity=complexity, top_depth=0.0,
        length=2 * PIXEL * max(shape), step_overs=number % 2,
    )  # fmt: skip
    affine = (PIXEL, 0.0, 0.0, 0.0, -PIXEL, PIXEL * height)
    east, north, _ = displacement_on_grid(fault, affine, shape)
    return np.stack((east, -north)) / PIXEL, fault


def moved(pair: Pair, number: int, complexity: float) -> Iterator[tuple[str, str, Case]]:
    """Kind, offset and case of a pair: its second date, and its first image once more."""
    height, width = pair.pre.shape
    flow, fault = rupture(number, (height, width), complexity)
    lines = [
        np.stack((line[:, 0] / PIXEL - 0.5, height - 0.5 - line[:, 1] / PIXEL), 1)
        for line in (*fault.traces, *fault.strand_traces)
    ]
    trace = Trace.of_lines(lines, (height, width))
    rng = np.random.default_rng(number)
    for jump in JUMPS:
        scaled = flow * (jump / 2 / np.quantile(np.hypot(*flow), 0.999))
        for kind in ("two dates", "clean"):
            ground = pair.post if kind == "two dates" else pair.pre
            post = xsubpix.warp_quintic(xr.DataArray(ground, dims=("y", "x")), tuple(scaled))
            truth, image = scaled, post.values
            if kind == "two dates":
                truth = scaled + pair.misregistration()
            else:
                image = image + NOISE * np.nanstd(ground) * rng.standard_normal(ground.shape)
            case = Case(kind, pair.name, pair.pre, image.astype("f4"), truth, f"{jump:g}", trace)
            yield kind, f"{jump:g}", case


def errors(model: str, case: Case) -> tuple[float, float]:
    """Mean end-point error over the image, and near the trace, pixels."""
    options = MODELS.get(model, {})
    pre, post = (xr.DataArray(i, dims=("y", "x")) for i in (case.pre, case.post))
    found = xsubpix.correlate(pre, post, model=model, **options)
    step = int(found.attrs["model_step"])
    height, width = (n // step * step for n in case.pre.shape)

    def blocks(values: np.ndarray) -> np.ndarray:
        # The truth under an output is that of its block's middle.
        return values[..., step // 2 : height : step, step // 2 : width : step]

    error = np.hypot(found.east - blocks(case.flow)[0], found.north - blocks(case.flow)[1]).values
    assert case.trace is not None
    rim = -(-RIM // step)
    inner = np.s_[rim:-rim, rim:-rim]
    error, away = error[inner], np.abs(blocks(case.trace.distance)[inner])
    return float(np.nanmean(error)), float(np.nanmean(error[away <= NEAR]))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--pairs", type=int, default=0, help="how many (default: all)")
    parser.add_argument("--complexity", type=float, default=1.0)
    parser.add_argument("--side", type=int, default=384, help="of the images, pixels")
    parser.add_argument("--out", metavar="FOLDER", help="write rough.json there")
    options = parser.parse_args()
    models = ["micmac", *(m for m in options.models if m != "micmac")]
    dates, _ = pairs_in(DATA)
    # One band of each place first.
    towns = [pair.name.split()[0] for pair in dates]
    order = sorted(range(len(dates)), key=lambda k: towns[:k].count(towns[k]))
    found: dict[tuple[str, str, str], list[tuple[float, float]]] = {}
    for number, k in enumerate(order[: options.pairs or None]):
        box = np.s_[: options.side, : options.side]
        pair = dates[k]
        tilt = None if pair.tilt is None else pair.tilt[:, *box]
        pair = dataclasses.replace(pair, pre=pair.pre[box], post=pair.post[box], tilt=tilt)
        for kind, jump, case in moved(pair, number, options.complexity):
            for model in models:
                found.setdefault((kind, jump, model), []).append(errors(model, case))
    print("mean error (px) over the image and within 16 px of the trace, in brackets over micmac's")
    for kind, goal in (("two dates", 0.7), ("clean", 1.0)):
        print(f"{kind}, unet wanted at {goal} of micmac or less")
        for model in models:
            cells, figures = [], {}
            for jump in JUMPS:
                own, base = (
                    np.mean(found[kind, f"{jump:g}", name], axis=0) for name in (model, "micmac")
                )
                figures[f"{jump:g}"] = {"mean": own[0], "near": own[1], "ratio": own[0] / base[0]}
                cells.append(
                    f"  {jump:g} px: {own[0]:.3f} ({own[0] / base[0]:.2f}) "
                    f"{own[1]:.3f} ({own[1] / base[1]:.2f})"
                )
            print(f"{model:>12}" + "".join(cells), flush=True)
            write_figures(options.out, "rough", {f"{model}, {kind}": figures})


if __name__ == "__main__":
    main()
