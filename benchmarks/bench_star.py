"""Resolution against noise: the wavelength at which a method finds half of the amplitude.

    python benchmarks/bench_star.py [--models unet micmac ...] [--chips 2] [--out docs/benchmarks]

The star of the DIC Challenge 2.0 (Reu et al. 2022, doi:10.1007/s11340-021-00806-6) on real
texture: the ground moves by dy = 0.5 cos(2 pi y / L), with L growing from 8 px at the left to
160 px at the right. In each group of columns the found field is projected on the true one; printed
is the wavelength at which half of the amplitude is found, and the noise: the standard deviation
(NMAD) of the field of the unmoved pair, less its median over 65 px, which is how the images lie on
each other. Three pairs: one image twice with 3 % noise, panchromatic against multispectral, and two
dates (Nanjing and Taizhou); ``XSUBPIX_DATA`` holds the images. With a folder, writes ``star.json``
and ``star.png`` there; ``--models`` with no name draws the picture again.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from common import DATA, write_figures
from scipy import ndimage

import xsubpix

MODELS: dict[str, dict[str, Any]] = {
    "unet": {},
    "unet-smooth": {},
    "geoflownet": {},
    "flownet-sd": {},
    "window-cnn": {},
    "phase": {"window": 32, "step": 1},
    "cosi-corr": {"window": 32, "step": 1},
    "micmac": {},
    "deepflow": {},
    "dis": {},
}
AMPLITUDE, SHORTEST, LONGEST = 0.5, 8.0, 160.0
GOALS = {"twice": (14, 0.010), "pan / MS": (28, 0.02), "two dates": (50, 0.03)}
SHOWN = {
    "twice": "one image, with noise", "pan / MS": "two instruments, one instant",
    "two dates": "two dates",
}  # fmt: skip
RIM = 24


def band(name: str, number: int) -> np.ndarray:
    """One band of a development image."""
    return np.asarray(xsubpix.open_image(DATA / name, band=number).values, np.float32)


def pairs(chips: int) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Kind, first image and second image, unmoved, on one grid."""
    rng = np.random.default_rng(0)
    names = sorted(p.stem[:-4] for p in (DATA / "landsat7").glob("P090R083_*_pan.tif"))[:chips]
    for name in names:
        pan = band(f"landsat7/{name}_pan.tif", 1)
        noise = 0.03 * pan.std() * rng.standard_normal((2, *pan.shape)).astype(np.float32)
        yield "twice", pan + noise[0], pan + noise[1]
    for name in names:
        pan = band(f"landsat7/{name}_pan.tif", 1)
        # Panchromatic blocks lie on the pixels of the other detectors from one pixel earlier on.
        blocks = np.pad(pan, ((1, 0), (1, 0)), mode="edge")[:-1, :-1]
        rows, cols = (n // 2 for n in blocks.shape)
        coarse = blocks[: 2 * rows, : 2 * cols].reshape(rows, 2, cols, 2).mean((1, 3))
        colours = [band(f"landsat7/{name}_ms.tif", k) for k in (1, 2, 3, 4)]
        yield "pan / MS", coarse, 0.4 * np.mean(colours[:3], axis=0) + 0.6 * colours[3]
    for place, dates, number in (
        ("nanjing", ("20000503", "20020712"), 5),
        ("nanjing", ("20000503", "20020712"), 3),
        ("taizhou", ("20000317", "20030206"), 4),
    ):
        yield ("two dates", *(band(f"two_dates/{place}_{date}.tif", number) for date in dates))


def wavelengths(width: int) -> np.ndarray:
    """Wavelength of each column, pixels: grows geometrically."""
    return SHORTEST * (LONGEST / SHORTEST) ** (np.arange(width) / (width - 1))


def star(shape: tuple[int, int]) -> np.ndarray:
    """Displacement dy of the ground at the pixels of the first image, pixels."""
    y = np.arange(shape[0])[:, None] - shape[0] / 2
    return AMPLITUDE * np.cos(2 * np.pi * y / wavelengths(shape[1])[None, :])


def moved(image: np.ndarray) -> np.ndarray:
    """The second image once the ground has moved: the ground at y is found at y + dy."""
    rows, cols = np.indices(image.shape, dtype=np.float64)
    length = wavelengths(image.shape[1])[None, :]
    y, source = rows - image.shape[0] / 2, rows - image.shape[0] / 2
    for _ in range(20):
        source = y - AMPLITUDE * np.cos(2 * np.pi * source / length)
    at = [source + image.shape[0] / 2, cols]
    return ndimage.map_coordinates(image.astype(np.float64), at, order=5, mode="mirror").astype(
        np.float32
    )


def measure(model: str, options: dict[str, Any]) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Function of two images that returns dx and dy, pixels."""

    def run(pre: np.ndarray, post: np.ndarray) -> np.ndarray:
        images = (xr.DataArray(image, dims=("y", "x")) for image in (pre, post))
        found = xsubpix.correlate(*images, model=model, **options)
        return np.stack((found.east.values, found.north.values))

    return run


def gains(found: np.ndarray, truth: np.ndarray, groups: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """Wavelength and share of the amplitude that is found, for groups of columns."""
    inner = slice(RIM, -RIM)
    f, t = found[inner], truth[inner]
    known = np.isfinite(f)
    product = np.where(known, f * t, 0).sum(0)
    power = np.where(known, t * t, 0).sum(0)
    edges = np.linspace(RIM, found.shape[1] - RIM, groups + 1).astype(int)
    length = wavelengths(found.shape[1])
    out = []
    for first, last in itertools.pairwise(edges):
        total = power[first:last].sum()
        gain = product[first:last].sum() / total if total > 0 else np.nan
        out.append((np.exp(np.log(length[first:last]).mean()), gain))
    return np.array(out).T[0], np.array(out).T[1]


def half_wavelength(length: np.ndarray, gain: np.ndarray) -> float | None:
    """Wavelength at which the gain rises through one half for the last time; None if never."""
    below = np.flatnonzero(~(gain >= 0.5))
    if not below.size:
        return float(length[0])
    k = int(below[-1])
    if k == len(gain) - 1:
        return None
    share = (0.5 - gain[k]) / (gain[k + 1] - gain[k])
    return float(length[k] * (length[k + 1] / length[k]) ** share)


def noise(found: np.ndarray) -> float:
    """Spread (NMAD) of a field that should be still, less its median over 65 px."""
    values = []
    for part in found[:, RIM:-RIM, RIM:-RIM]:
        coarse = ndimage.median_filter(np.nan_to_num(part)[::4, ::4], 17, mode="nearest")
        smooth = ndimage.zoom(coarse, 4, order=1)[: part.shape[0], : part.shape[1]]
        part = part[: smooth.shape[0], : smooth.shape[1]]
        values.append(part - smooth)
    rest = np.concatenate([v[np.isfinite(v)] for v in values])
    return float(1.4826 * np.median(np.abs(rest - np.median(rest))))


def figures(
    run: Callable[[np.ndarray, np.ndarray], np.ndarray], chips: int = 2
) -> dict[str, dict[str, Any]]:
    """Half wavelength and noise of a method, for each kind of pair."""
    table: dict[str, list[tuple[Any, ...]]] = {}
    for kind, pre, post in pairs(chips):
        length, gain = gains(run(pre, moved(post))[1], star(pre.shape))
        still = run(pre, post)
        table.setdefault(kind, []).append((length, gain, noise(still), float(np.nanstd(still))))
    out = {}
    for kind, rows in table.items():
        lengths = np.mean([row[0] for row in rows], axis=0)
        mean = np.mean([row[1] for row in rows], axis=0)
        out[kind] = {
            "half": half_wavelength(lengths, mean),  # None: longer than any of the star
            "noise": float(np.mean([row[2] for row in rows])),
            "std": float(np.mean([row[3] for row in rows])),
            "wavelengths": lengths.round(1).tolist(),
            "gains": mean.round(3).tolist(),
        }
    return out


def main() -> None:
    """Print the table; write it and the curves."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="*", default=list(MODELS))
    parser.add_argument("--chips", type=int, default=2)
    parser.add_argument("--out", metavar="FOLDER")
    options = parser.parse_args()
    print("wavelength at which half of the amplitude is found (px), noise of the unmoved pair (px)")
    print(f"{'':>24}" + "".join(f"{kind:>20}" for kind in GOALS))
    print(f"{'wanted':>24}" + "".join(f"{a:>12} {b:7.3f}" for a, b in GOALS.values()))
    table = {}
    for model in options.models:
        try:
            table[model] = figures(measure(model, MODELS.get(model, {})), options.chips)
        except xsubpix.ModelError as error:
            print(f"{model:>24}: {error}")
            continue
        row = (table[model][kind] for kind in GOALS)
        cells = "".join(
            ("      beyond" if cell["half"] is None else f"{cell['half']:12.1f}")
            + f" {cell['noise']:7.4f}"
            for cell in row
        )
        print(f"{model:>24}{cells}", flush=True)
        write_figures(options.out, "star", table)
    if options.out:
        draw(Path(options.out))


def draw(folder: Path) -> None:
    """Draw the share of the amplitude that each method finds, from the file of figures."""
    from matplotlib.figure import Figure

    from xsubpix.plot import method_style

    table = json.loads((folder / "star.json").read_text(encoding="utf-8"))
    figure = Figure(figsize=(11, 3.8), layout="constrained", dpi=110)
    axes = figure.subplots(1, len(GOALS), sharey=True)
    for k, (axis, kind) in enumerate(zip(axes, GOALS, strict=True)):
        for model, row in table.items():
            style = {**method_style(model), "markersize": 3.5}
            axis.plot(row[kind]["wavelengths"], row[kind]["gains"], label=model, **style)
        axis.axhline(0.5, color="0.6", lw=0.8)
        axis.set(xscale="log", xlabel="wavelength of the motion (px)", ylim=(-0.1, 1.2))
        axis.set_xticks([8, 16, 32, 64, 128], [8, 16, 32, 64, 128])
        axis.minorticks_off()
        axis.set_title(f"{'abc'[k]}  {SHOWN[kind]}", loc="left", fontsize=11)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("amplitude found over true")
    axes[-1].legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5))
    figure.savefig(folder / "star.png")


if __name__ == "__main__":
    main()
