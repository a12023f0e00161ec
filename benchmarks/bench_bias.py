"""Bias by the fraction of a pixel: rigid shifts of real chips without noise.

    python benchmarks/bench_bias.py [--models unet phase ...] [--chips 3] [--out docs/benchmarks]

Chips of the test split are shifted to the right and down by 0, 0.1 ... 0.9 px, exactly, in the
Fourier domain; printed is the mean error of each shift along its direction, and the standard
deviation of the errors (within 1.4826 MAD, so that single places without texture do not decide).
A method that locks to pixels shows an S: too small below half a pixel, too large above, or the
other way. Wanted of networks: means within 0.003 px, deviations up to 0.006 px.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import xarray as xr
from common import chips_of_test_split, fourier_shift, write_figures

import xsubpix

MODELS: dict[str, dict[str, Any]] = {
    "unet": {},
    "unet-smooth": {},
    "geoflownet": {},
    "flownet-sd": {},
    "window-cnn": {},
    "phase": {"window": 32, "step": 4},
    "cosi-corr": {"window": 32, "step": 4},
    "micmac": {},
    "deepflow": {},
}
SHIFTS = np.arange(10) / 10
RIM = 40


def errors(model: str, options: dict[str, Any], chip: np.ndarray, shift: float) -> np.ndarray:
    """Errors along both axes away from the border, pixels."""
    post = fourier_shift(chip, shift, shift)
    images = (xr.DataArray(i.astype(np.float32), dims=("y", "x")) for i in (chip, post))
    found = xsubpix.correlate(*images, model=model, **options)
    rim = -(-RIM // int(options.get("step", 1)))
    inner = (slice(rim, -rim), slice(rim, -rim))
    parts = [part.values[inner] - shift for part in (found.east, found.north)]
    both = np.concatenate([part.ravel() for part in parts])
    return both[np.isfinite(both)]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--chips", type=int, default=3)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--out", metavar="FOLDER", help="write bias.json there")
    options = parser.parse_args()
    chips = [chip[: options.side, : options.side] for _, chip in chips_of_test_split(options.chips)]
    print("mean error (thousandths of a pixel) by shift (px); largest; NMAD of the errors (px)")
    print(f"{'':>12}" + "".join(f"{shift:7.1f}" for shift in SHIFTS) + "   largest    NMAD")
    for model in options.models:
        means, spreads = [], []
        for shift in SHIFTS:
            found = np.concatenate(
                [errors(model, MODELS.get(model, {}), chip, float(shift)) for chip in chips]
            )
            spread = 1.4826 * np.median(np.abs(found - np.median(found)))
            near = np.abs(found - np.median(found)) < max(10 * spread, 0.01)
            means.append(float(found[near].mean()))
            spreads.append(float(spread))
        cells = "".join(f"{1000 * mean:7.1f}" for mean in means)
        print(
            f"{model:>12}{cells} {1000 * max(map(abs, means)):9.1f} {max(spreads):7.4f}", flush=True
        )
        found = {"largest": max(map(abs, means)), "nmad": max(spreads), "means": means}
        write_figures(options.out, "bias", {model: found})


if __name__ == "__main__":
    main()
