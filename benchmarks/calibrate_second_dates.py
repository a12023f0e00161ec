"""Simulated second dates against real ones: local correlation and what is not common.

Real: six bands of two Landsat pairs, two and three years apart, and all pairs of
53 Sentinel-2 dates of one place, each with its misregistration removed.
Simulated: :class:`xsubpix.second_date.SecondDate` applied to the first
dates of the same pairs (both directions of time for the stack), by bands and as
single images, aimed at the real pair's mean correlation; for the time between
dates, at nothing but the days.

Draws ``docs/_static/second_dates.png`` and prints, for each statistic, the real
median and the 5, 50 and 95 % of the simulated, with a cross where the real lies
outside.

    python benchmarks/calibrate_second_dates.py [draws]
"""

from __future__ import annotations

import dataclasses
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import rasterio
import scipy.ndimage
import xarray as xr

from xsubpix.database.pairs import measure_misregistration, resample_quintic
from xsubpix.database.statistics import local_correlation, residual_spectrum
from xsubpix.second_date import SecondDate

DATA = Path(os.environ.get("XSUBPIX_DATA", "../shared/data"))
FIGURE = Path(__file__).parents[1] / "docs" / "_static" / "second_dates.png"
LANDSAT = {"nanjing": ("20000503", "20020712"), "taizhou": ("20000317", "20030206")}
COVERS = ("water", "green", "bare", "mixed")
GAPS = ((0, 12), (12, 35), (35, 80), (80, 200), (200, 500), (500, 2000))
LEVELS = ((0.2, 0.5), (0.5, 0.8), (0.8, 1.0))
CORRELATIONS = ("5 %", "25 %", "50 %", "75 %", "95 %")
EDGE = 6  # pixels cut off where resampling had nothing


def statistics(
    first: np.ndarray, second: np.ndarray, cover: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """What is compared: local correlation, uncommon power, how far tiles' shifts scatter."""
    rho = local_correlation(first, second, 32)[16:-15:8, 16:-15:8]
    spectrum = residual_spectrum(first, second)
    found = {
        "correlation": np.nanquantile(rho, (0.05, 0.25, 0.5, 0.75, 0.95)),
        "mean": np.array([np.nanmean(rho)]),
        "frequency": spectrum.frequency,
        "uncommon": spectrum.residual / spectrum.total,
        "residual": spectrum.residual,
    }
    shift = measure_misregistration(first, second, tile=32, degree=2)
    found["scatter"] = np.array([shift.scatter if shift else np.nan])
    if cover is not None:
        here = cover[16:-15:8, 16:-15:8]
        found["cover"] = np.array(
            [
                np.nanmean(rho[here == k]) if (here == k).sum() > 20 else np.nan
                for k in range(len(COVERS))
            ]
        )
    return found


def land_cover(red: np.ndarray, nir: np.ndarray) -> np.ndarray:
    """Index in COVERS of the cover of more than 60 % of the 32-pixel window.

    Relative to the scene, for the counts are not calibrated: water is darker than
    0.45 of the median near infrared, green the greener half of the land.
    """
    water = nir < 0.45 * np.median(nir)
    index = (nir - red) / (nir + red + 1)
    green = (index >= np.median(index[~water])) & ~water
    cover = np.full(red.shape, len(COVERS) - 1)
    for k, mask in enumerate((water, green, ~green & ~water)):
        cover[scipy.ndimage.uniform_filter(mask.astype(np.float32), 32) > 0.6] = k
    return cover


def landsat_pairs() -> Iterator[tuple[str, int, np.ndarray, np.ndarray, np.ndarray]]:
    """Name, band, all bands of the first date, the registered second, land cover."""
    inner = np.s_[EDGE:-EDGE, EDGE:-EDGE]
    for name, dates in LANDSAT.items():
        images = []
        for date in dates:
            with rasterio.open(DATA / "two_dates" / f"{name}_{date}.tif") as source:
                images.append(source.read().astype(np.float32))
        cover = land_cover(images[0][2], images[0][3])
        for band, (first, second) in enumerate(zip(*images, strict=True)):
            shift = measure_misregistration(first, second)
            registered = resample_quintic(second, *shift.field())
            yield name, band, images[0][:, *inner], registered[inner], cover[inner]


def stack() -> tuple[np.ndarray, np.ndarray]:
    """Days and registered images ``(date, band, h, w)`` of the Sentinel-2 stack."""
    with xr.open_dataset(DATA / "stack" / "sentinel2_romania.nc") as data:
        days = data.time.values.astype("datetime64[D]").astype(int)
        images = np.stack([data[b].values.astype(np.float32) for b in ("B3", "B4", "B8")], 1)
    n = len(days)
    pairs = [(i, j) for i in range(n) for j in range(i + 1, min(n, i + 16))]
    shifts = np.array([_shift(images[i, 2], images[j, 2]) for i, j in pairs])
    # One shift a date from many pairs: a changed pair is outvoted by those around it.
    design = np.zeros((len(pairs) + 1, n))
    design[np.arange(len(pairs)), [i for i, _ in pairs]] = -1
    design[np.arange(len(pairs)), [j for _, j in pairs]] = 1
    design[-1] = 1
    known = np.vstack([shifts, [[0, 0]]])
    weight = np.append(np.isfinite(shifts).all(axis=1).astype(float), 1.0)
    known = np.nan_to_num(known)
    usable = weight.copy()
    for _ in range(20):
        place = np.linalg.lstsq(design * weight[:, None], known * weight[:, None], rcond=None)[0]
        error = np.hypot(*(known - design @ place).T)
        scale = 4 * np.median(error[usable > 0]) / 1.177
        weight = usable * np.clip(1 - (error / scale) ** 2, 0, None)
        weight[-1] = 1.0
    full = np.ones(images.shape[2:])
    registered = [
        [resample_quintic(band, dx * full, dy * full) for band in image]
        for image, (dx, dy) in zip(images, place, strict=True)
    ]
    return days, np.array(registered)[:, :, EDGE:-EDGE, EDGE:-EDGE]


def simulate(
    rng: np.random.Generator, bands: np.ndarray, band: int, aim: float, spread: float, *without: str
) -> np.ndarray:
    """A second date of one band, from all bands or from it alone, aimed near `aim`."""
    reach = (max(aim - spread, 0.0), float(np.clip(aim + spread, 0.0, 0.99)))
    if rng.random() < 0.5:
        drawn = SecondDate.random(rng, reach)
        image = bands[band]
    else:
        drawn = SecondDate.random(rng, reach, bands=len(bands))
        mix = tuple(float(k == band) for k in range(len(bands)))
        drawn = dataclasses.replace(drawn, before_mix=mix)
        image = bands
    return drawn.without(*without).apply(image)


class Table:
    """Prints real values beside the simulated range, and counts those within."""

    def __init__(self) -> None:
        self.within: dict[str, list[bool]] = {}
        print(f"{'':34s}   real |   sim 5 %  50 %   95 %")

    def row(self, kind: str, label: str, real: float, simulated: np.ndarray) -> None:
        """Print one statistic: the real value, the simulated quantiles."""
        low, middle, high = np.nanquantile(simulated, (0.05, 0.5, 0.95))
        inside = bool(low <= real <= high)
        self.within.setdefault(kind, []).append(inside)
        mark = "" if inside else "  x"
        print(
            f"{kind + ' ' + label:34s} {real:6.2f} |   {low:6.2f} {middle:6.2f} {high:6.2f}{mark}"
        )

    def close(self) -> None:
        """Print how many real values lay within."""
        for kind, inside in self.within.items():
            print(f"within the simulated 5-95 %: {kind}: {sum(inside)} of {len(inside)}")


def main(draws: int = 20) -> None:
    rng = np.random.default_rng(20)
    table = Table()
    figure, axes = plt.subplots(2, 3, figsize=(13, 7.4), layout="constrained")
    years = compare_landsat(rng, draws, table, axes[0])
    compare_stack(rng, draws, table, axes[1], years)
    table.close()
    figure.suptitle("Second dates: real (black) and simulated (orange: 5, 50, 95 %)")
    FIGURE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(FIGURE, dpi=80)
    ground = rng.normal(size=(6, 1024, 1024)).astype(np.float32).cumsum(1).cumsum(2)
    for image in (ground[0], ground):
        start = time.process_time()
        for _ in range(5):
            SecondDate.random(rng, bands=6 if image.ndim == 3 else 1).apply(image)
        print(f"{image.shape}: {(time.process_time() - start) / 5:.2f} CPU s a second date")
    print(f"{FIGURE.name}: {FIGURE.stat().st_size / 1000:.0f} kB")


def compare_landsat(rng, draws: int, table: Table, axes) -> list[float]:
    """First row of the figure; returns the real pairs' mean correlations."""
    quantiles, covers, spectra = axes
    real, simulated = [], []
    for name, band, bands, second, cover in landsat_pairs():
        found = statistics(bands[band], second, cover)
        made = [
            statistics(
                bands[band],
                simulate(rng, bands, band, found["mean"][0], 0.04, "cloud"),
                cover,
            )
            for _ in range(max(draws // 4, 2))
        ]
        real.append((name, found))
        simulated += [(name, m) for m in made]
    frequency = real[0][1]["frequency"]
    for name in LANDSAT:
        r = [f for n, f in real if n == name]
        s = [f for n, f in simulated if n == name]
        for key, labels in (
            ("correlation", CORRELATIONS),
            ("cover", COVERS),
            ("scatter", ("of 32 px tiles, px",)),
        ):
            ours, theirs = (np.array([f[key] for f in group]) for group in (r, s))
            for k, label in enumerate(labels):
                if np.isfinite(ours[:, k]).any():
                    table.row(key, f"{name} {label}", float(np.nanmedian(ours[:, k])), theirs[:, k])
        for key in ("uncommon", "residual"):
            ours, theirs = (np.array([f[key] for f in group]) for group in (r, s))
            for k in range(0, len(frequency), 3):
                label = f"{name} {frequency[k]:.2f} c/px"
                table.row(key, label, float(np.median(ours[:, k])), theirs[:, k])
    for axis, key, labels, what in (
        (quantiles, "correlation", CORRELATIONS, "quantile of windows"),
        (covers, "cover", COVERS, "land cover of the window"),
    ):
        x = np.arange(len(labels))
        _range(axis, x, np.array([f[key] for _, f in simulated]), bars=True)
        for _, found in real:
            axis.plot(x - 0.15, found[key], "k.", alpha=0.7)
        axis.set(xticks=x, xticklabels=labels, xlabel=what, ylabel="local correlation, 32 px")
        axis.set_title("Landsat, 2-3 years: 6 bands x 2 places", fontsize=10)
    _range(spectra, frequency, np.array([f["uncommon"] for _, f in simulated]))
    for _, found in real:
        spectra.plot(frequency, found["uncommon"], "k-", lw=0.7, alpha=0.7)
    spectra.set(xlabel="cycles / px", ylabel="uncommon share of power", ylim=(0, 1.4))
    spectra.set_title("Landsat: residual of local fit", fontsize=10)
    return [float(found["mean"][0]) for _, found in real]


def compare_stack(rng, draws: int, table: Table, axes, years: list[float]) -> None:
    """Second row: by time between dates (with the Landsat pairs), by correlation."""
    days, images = stack()
    n = len(days)
    order = [(i, j) for i in range(n) for j in range(n) if i != j]
    rng.shuffle(order)
    groups: dict[tuple[float, float], list] = {level: [] for level in LEVELS}
    means: dict[tuple[int, int], list] = {gap: [] for gap in GAPS}
    for k, (i, j) in enumerate(order):
        band = 1 + k % 2
        gap = next((g for g in GAPS if g[0] <= abs(days[j] - days[i]) < g[1]), None)
        if gap is None or len(means[gap]) >= 60:
            continue
        found = statistics(images[i, band], images[j, band])
        means[gap].append(found["mean"][0])
        level = next((v for v in LEVELS if v[0] <= found["mean"][0] < v[1]), None)
        if level is not None and len(groups[level]) < 2 * draws:
            second = simulate(rng, images[i], band, found["mean"][0], 0.02)
            groups[level].append((found, statistics(images[i, band], second)))

    # One place that was being cleared is not the world: the other two count as much as it does.
    last = means[GAPS[-1]]
    means[GAPS[-1]] = last + years * max(len(last) // max(len(years), 1), 1)
    x = np.arange(len(GAPS))
    made = []
    for gap, real in means.items():
        aimed = []
        for _ in range(2 * draws):
            drawn = SecondDate.random(
                rng, (0.0, 0.99), days=float(rng.uniform(max(gap[0], 4), gap[1]))
            )
            first = images[rng.integers(n), 1 + rng.integers(2)]
            aimed.append(np.nanmean(local_correlation(first, drawn.apply(first))))
        made.append(aimed)
        for q in (0.25, 0.5, 0.75):
            label = f"{gap[0]}-{gap[1]} d, {q:.0%} of pairs"
            table.row("gap", label, float(np.quantile(real, q)), np.array(aimed))
    _range(axes[0], x, np.array(made).T, bars=True)
    axes[0].boxplot(
        list(means.values()),
        positions=x - 0.2,
        widths=0.2,
        whis=(5, 95),
        showfliers=False,
        medianprops={"color": "k"},
    )
    axes[0].set(
        xticks=x,
        xticklabels=[f"{a}-{b}" for a, b in GAPS],
        xlabel="days between dates",
        ylabel="mean local correlation of a pair",
    )
    axes[0].set_title("By time between dates (last: with Landsat)", fontsize=10)

    for level, found in groups.items():
        real, simulated = ([pair[k] for pair in found] for k in range(2))
        if not real:
            continue
        name = f"{level[0]:.1f}-{level[1]:.1f}"
        frequency = real[0]["frequency"]
        for key, labels in (
            ("correlation", CORRELATIONS),
            ("scatter", ("of 32 px tiles, px",)),
            ("uncommon", [f"{f:.2f} c/px" for f in frequency]),
            ("residual", [f"{f:.2f} c/px" for f in frequency]),
        ):
            ours, theirs = (np.array([f[key] for f in group]) for group in (real, simulated))
            for k in range(0, len(labels), 1 if len(labels) < 6 else 3):
                table.row(
                    key, f"rho {name} {labels[k]}", float(np.median(ours[:, k])), theirs[:, k]
                )
        if level == LEVELS[1]:
            continue
        axis = axes[1] if level == LEVELS[0] else axes[2]
        _range(axis, frequency, np.array([f["uncommon"] for f in simulated]))
        ours = np.quantile([f["uncommon"] for f in real], (0.1, 0.5, 0.9), axis=0)
        axis.plot(frequency, ours[1], "k-")
        axis.plot(frequency, ours[[0, 2]].T, "k:")
        axis.set(xlabel="cycles / px", ylabel="uncommon share of power", ylim=(0, 1.4))
        axis.set_title(f"Sentinel-2, pairs of correlation {name} (dots: 10, 90 %)", fontsize=10)


def _range(axis, x: np.ndarray, values: np.ndarray, bars: bool = False) -> None:
    low, middle, high = np.nanquantile(values, (0.05, 0.5, 0.95), axis=0)
    if bars:
        axis.errorbar(
            x + 0.15, middle, (middle - low, high - middle), fmt="o", color="C1", capsize=4
        )
    else:
        axis.fill_between(x, low, high, color="C1", alpha=0.3)
        axis.plot(x, middle, color="C1")


def _shift(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    shift = measure_misregistration(first, second, degree=0, search=3.0)
    if shift is None:
        return np.nan, np.nan
    return shift.coefficients_x[0], shift.coefficients_y[0]


if __name__ == "__main__":
    main(*(int(a) for a in sys.argv[1:2]))
