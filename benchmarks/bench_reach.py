"""Large ruptures: what is wrong, and what is wrong without a flag, by the size of the offset.

    python benchmarks/bench_reach.py [--models unet cosi-corr ...] [--sides 2 4 8] [--out FOLDER]

Real second dates (``XSUBPIX_DATA``) are moved by elastic strike-slip ruptures that displace the
ground by up to A px on each side; each model is called with its default options ("search" adds
``search=`` of A px and a tenth to those that need it). Printed for each A: the share of the pixels
that are wrong by more than half a pixel, the share that is so and has no flag (per cent of the
pixels that are in both images), and the mean end-point error within 16 px of the trace.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import xarray as xr
from common import DATA, write_figures

import xsubpix
from xsubpix.training.cases import Case, pairs_in, real_cases

MODELS: dict[str, dict[str, Any]] = {
    "unet": {},
    "unet-smooth": {"search": True},
    "geoflownet": {"search": True},
    "flownet-sd": {"search": True},
    "window-cnn": {"search": True},
    "phase": {"window": 32, "step": 4, "search": True},
    "cosi-corr": {"window": 32, "step": 4, "search": True},
    "micmac": {"search": True},
    "deepflow": {"search": True},
}
SIDES = (2, 4, 8, 12, 20, 40)
GOALS = {2: (2, 0.15), 4: (2, 0.2), 8: (3, 0.4), 12: (4, 0.7), 20: (6, 1.2), 40: (10, 3.0)}
RIM, NEAR = 16, 16


def cases(sides: list[int]) -> Iterator[tuple[int, Case]]:
    """Largest displacement on a side, pixels, and a moved pair, sizes in order."""
    dates, _ = pairs_in(DATA)
    made = list(real_cases(dates, [2.0 * side for side in sides]))
    for k, side in enumerate(sides):
        for case in made[k :: len(sides)]:
            yield side, case


def judge(model: str, options: dict[str, Any], side: int, case: Case) -> tuple[float, ...]:
    """Shares that are wrong, and wrong without a flag; mean error near the trace, pixels."""
    given = dict(options)
    if given.pop("search", False):
        given["search"] = math.ceil(1.1 * side) + 1
    images = (xr.DataArray(i, dims=("y", "x")) for i in (case.pre, case.post))
    found = xsubpix.correlate(*images, model=model, **given)
    step = int(given.get("step", 1))
    height, width = (n // step * step for n in case.pre.shape)

    def sampled(values: np.ndarray) -> np.ndarray:
        # The middle of each block of step x step pixels.
        return values[..., step // 2 : height : step, step // 2 : width : step]

    truth, distance = sampled(case.flow), np.abs(sampled(case.trace.distance))
    east, north, flags = (part.values for part in (found.east, found.north, found.flags))
    error = np.hypot(east - truth[0], north - truth[1])
    rows, cols = (sampled(part) for part in np.indices(case.pre.shape))
    # What has left the image cannot be found.
    there = (
        (rows + truth[1] > RIM) & (rows + truth[1] < case.pre.shape[0] - RIM)
        & (cols + truth[0] > RIM) & (cols + truth[0] < case.pre.shape[1] - RIM)
        & (np.minimum(rows, cols) >= RIM)
        & (rows < case.pre.shape[0] - RIM) & (cols < case.pre.shape[1] - RIM)
    )  # fmt: skip
    wrong = (~(error <= 0.5))[there]
    silent = ((error > 0.5) & (flags == 0))[there]
    near = there & (distance <= NEAR) & np.isfinite(error)
    return float(wrong.mean()), float(silent.mean()), float(error[near].mean())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--sides", nargs="+", type=int, default=list(SIDES))
    parser.add_argument("--out", metavar="FOLDER", help="write reach.json there")
    options = parser.parse_args()
    made = list(cases(options.sides))
    print("wrong by more than 0.5 px (%), so without a flag (%), error within 16 px (px)")
    print(f"{'':>12}" + "".join(f"{f'A = {side} px':>20}" for side in options.sides))
    goals = (f"{GOALS[s][0]:8} {0.5:4} {GOALS[s][1]:6.2f}" for s in options.sides if s in GOALS)
    print(f"{'wanted':>12}" + "".join(goals))
    for model in options.models:
        cells, figures = [], {}
        for side in options.sides:
            rows = [judge(model, MODELS.get(model, {}), side, c) for s, c in made if s == side]
            wrong, silent, near = np.mean(rows, axis=0)
            figures[str(side)] = {"wrong": wrong, "silent": silent, "near": near}
            cells.append(f"{100 * wrong:8.1f} {100 * silent:4.1f} {near:6.2f}")
        print(f"{model:>12}" + "".join(cells), flush=True)
        write_figures(options.out, "reach", {model: figures})


if __name__ == "__main__":
    main()
