"""Glaciers in sixteen days: rock that stands still, and ice that moves up to 16 px.

    python benchmarks/bench_yahtse.py [--models unet ...] [--picture yahtse.png] [--out FOLDER]

Landsat-8 panchromatic images of the Yahtse Glacier (``XSUBPIX_DATA``), default calls. Rock
outlines, eroded by 6 px, stand still: printed are the NMAD of each component there (px), and the
share of the deviations from the median within one and two sigma. Ice that moves more than
1.5 px is compared with the frequency correlator (window 64, search 24, values without a flag): the
share of the pixels on which both agree within 0.3 px.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import xarray as xr
from common import DATA, write_figures
from scipy import ndimage

import xsubpix

MODELS: dict[str, dict[str, Any]] = {"unet": {}, "micmac": {"search": 24}, "deepflow": {}}
PIXEL, STEP, RIM = 15.0, 8, 32


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--picture")
    parser.add_argument("--out", metavar="FOLDER", help="write yahtse.json there")
    options = parser.parse_args()
    folder = DATA / "two_dates"
    pre, post = (
        xsubpix.open_image(folder / f"yahtse_{day}.tif") for day in ("20160718", "20160803")
    )
    rock = xsubpix.open_image(folder / "yahtse_rock.tif").values > 0
    rock = ndimage.binary_erosion(rock, iterations=6)
    rock[:RIM], rock[-RIM:], rock[:, :RIM], rock[:, -RIM:] = False, False, False, False
    reference = xsubpix.correlate(pre, post, model="cosi-corr", window=64, step=STEP, search=24)
    good = reference.flags.values == 0
    base = np.stack((reference.east.values, reference.north.values)) / PIXEL
    fast = good & (np.hypot(*base) > 1.5)
    print(f"{int(rock.sum())} pixels of rock; {int(fast.sum())} windows on moving ice")
    print("model: NMAD east, north on rock (px); within 1 and 2 sigma (%); agreement on ice (%)")
    fields = {}
    for model in options.models:
        found = xsubpix.correlate(pre, post, model=model, **MODELS.get(model, {}))
        fields[model] = found
        flow = np.stack((found.east.values, found.north.values)) / PIXEL
        sigma = found.sigma.values / PIXEL
        spreads, ratios = [], []
        for part in flow:
            rest = np.abs(part - np.nanmedian(part[rock]))[rock]
            spreads.append(1.4826 * np.nanmedian(rest))
            ratios.append(rest / sigma[rock])
        ratio = np.concatenate(ratios)
        ratio = ratio[np.isfinite(ratio)]
        inside = [100 * float((ratio < k).mean()) if ratio.size else np.nan for k in (1, 1.96)]
        rows, cols = (slice(STEP // 2, STEP * n, STEP) for n in reference.east.shape)
        apart = np.hypot(*(flow[:, rows, cols] - base))
        flagged = found.flags.values[rows, cols] != 0
        agreed = 100 * float((apart[fast] < 0.3).mean())
        print(
            f"{model:>12}: {spreads[0]:.3f} {spreads[1]:.3f}; {inside[0]:.0f} {inside[1]:.0f}; "
            f"{agreed:.1f} ({100 * float(flagged[fast].mean()):.1f} % of them flagged)",
            flush=True,
        )
        figures = {
            "nmad_east": spreads[0], "nmad_north": spreads[1], "inside_1": inside[0],
            "inside_2": inside[1], "agreement": agreed,
        }  # fmt: skip
        write_figures(options.out, "yahtse", {model: figures})
    if options.picture:
        draw(reference, fields, options.picture)


def draw(reference: xr.Dataset, fields: dict[str, xr.Dataset], path: str) -> None:
    """Draw the speed that each model finds, pixels."""
    from matplotlib.figure import Figure

    shown = {"cosi-corr, window 64": reference, **fields}
    figure = Figure(figsize=(5 * len(shown), 8), layout="constrained")
    axes = figure.subplots(2, len(shown))
    for k, (name, field) in enumerate(shown.items()):
        speed = np.hypot(field.east, field.north).values / PIXEL
        axes[0, k].imshow(speed, vmin=0, vmax=16, cmap="viridis")
        axes[0, k].set_title(f"{name}: speed, 0 to 16 px")
        axes[1, k].imshow(field.flags.values != 0, cmap="gray")
        axes[1, k].set_title("flagged")
    figure.savefig(path, dpi=60)


if __name__ == "__main__":
    main()
