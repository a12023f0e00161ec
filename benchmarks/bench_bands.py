"""Six bands of a pair, combined: errors beside those of the band average and of single bands.

Nanjing (Landsat-5) and Taizhou (Landsat-7), two and three years apart, the second date moved
by an elastic rupture with an offset of 1 px. All methods are judged alike: without a border of
32 px and without the constant of the pair, which no displacement has.
``python benchmarks/bench_bands.py [--models unet] [--towns nanjing,taizhou] [--side 512]
[--out FOLDER]``; with a folder, writes ``bands.json`` there.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator

import numpy as np
import xarray as xr
from common import DATA, write_figures

import xsubpix
from xsubpix.bands import correlate_bands
from xsubpix.training.cases import Case, Pair, real_cases

OFFSET, BORDER, NEAR = 1.0, 32, 16
TOWNS = ("nanjing", "taizhou")
MODELS = {"unet": {}, "cosi-corr": {"window": 32, "step": 8}}


def bands_of(town: str, side: int) -> list[np.ndarray]:
    """Middle of both dates, each (bands, rows, columns)."""
    import rasterio

    dates = []
    for path in sorted((DATA / "two_dates").glob(f"{town}_*.tif")):
        with rasterio.open(path) as source:
            image = source.read().astype(np.float32)
        rows, cols = ((n - min(n, side)) // 2 for n in image.shape[1:])
        dates.append(image[:, rows : rows + side, cols : cols + side])
    return dates


def cases_of(town: str, side: int) -> Iterator[Case]:
    """Every band of a town, then their average, moved by one rupture."""
    pre, post = bands_of(town, side)
    for images in (*zip(pre, post, strict=True), (pre.mean(0), post.mean(0))):
        yield next(real_cases([Pair(town, *images)], jumps=(OFFSET,)))


def errors(field: xr.Dataset, case: Case) -> tuple[float, float, np.ndarray]:
    """Mean end-point error, the same near the trace, and the errors of both components."""
    step = int(field.attrs["model_step"])
    rows, cols = field.east.shape
    cut = (slice(None), slice(0, rows * step), slice(0, cols * step))
    truth, distance = (
        values[cut].reshape(-1, rows, step, cols, step).mean((2, 4))
        for values in (case.flow, np.abs(case.trace.distance)[None])
    )
    away = np.stack([field.east, field.north]) - truth
    inner = (slice(None),) + (slice(BORDER // step, -(BORDER // step)),) * 2
    away, near = away[inner], distance[inner][0] < NEAR
    away = away - np.nanmedian(away, (1, 2), keepdims=True)
    length = np.hypot(*away)
    return float(np.nanmean(length)), float(np.nanmean(length[near])), away


def main() -> None:
    """Print a table for each model and town."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--towns", default=",".join(TOWNS))
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--out", metavar="FOLDER")
    options = parser.parse_args()
    for model in options.models.split(","):
        for town in options.towns.split(","):
            begun = time.process_time()
            *cases, average = cases_of(town, options.side)
            fields: list[xr.Dataset] = []

            def measure(
                pre: xr.DataArray,
                post: xr.DataArray,
                model: str = model,
                fields: list[xr.Dataset] = fields,
            ) -> xr.Dataset:
                fields.append(xsubpix.correlate(pre, post, model=model, **MODELS.get(model, {})))
                return fields[-1]

            pre, post = (
                xr.DataArray(np.stack([getattr(c, when) for c in cases]), dims=("band", "y", "x"))
                for when in ("pre", "post")
            )
            combined = correlate_bands(pre, post, "combine", measure)
            mixed = measure(
                *(xr.DataArray(i, dims=("y", "x")) for i in (average.pre, average.post))
            )
            single = [errors(f, c)[:2] for f, c in zip(fields, cases, strict=False)]
            mean, mean_near, _ = errors(mixed, average)
            best, best_near = min(single)
            bands = np.mean(single, axis=0)
            epe, near, away = errors(combined, average)
            step = int(combined.attrs["model_step"])
            edge = slice(BORDER // step, -(BORDER // step))
            sigma = combined.sigma.values[edge, edge]
            held = [100 * np.nanmean(np.abs(away) < k * sigma) for k in (1, 2)]
            shared = float(combined.shared_error[edge, edge].median())
            print(f"\n{model}, {town}: EPE px, near the trace px")
            for k, (a, b) in enumerate(single, 1):
                print(f"  band {k}   {a:.3f} {b:.3f}")
            print(f"  average  {mean:.3f} {mean_near:.3f}")
            print(f"  combine  {epe:.3f} {near:.3f}")
            print(
                f"  combine / average {epe / mean:.2f} (0.85), near {near / mean_near:.2f} (0.80); "
                f"/ best band {epe / best:.2f} (0.92), near {near / best_near:.2f}; / mean of the "
                f"bands {epe / bands[0]:.2f}, near {near / bands[1]:.2f}"
            )
            print(
                f"  sigma holds {held[0]:.0f}, {held[1]:.0f} %; errors of two bands correlate by "
                f"{shared:.2f}; {time.process_time() - begun:.0f} CPU s",
                flush=True,
            )
            ratios = {
                "average": epe / mean, "near": near / mean_near, "best": epe / best,
                "best near": near / best_near, "shared": shared,
            }  # fmt: skip
            write_figures(options.out, "bands", {f"{model}, {town}": ratios})


if __name__ == "__main__":
    main()
