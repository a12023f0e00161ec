"""Accuracy, sharpness, seams and cost of the dense matchers on real chips.

Landsat-7 panchromatic chips moved by known amounts: rigid shifts by the
Fourier theorem, a strike-slip offset by a quintic spline. A 32 px border is
left out. Prints, beside each other in the same run: `micmac`, OpenCV's
methods, a window correlator of 32 px and the zero predictor.

    python benchmarks/bench_micmac.py [--full] [--seams]

The images are found in ``XSUBPIX_DATA`` (default ``../shared/data``).
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np
import rasterio
from scipy import ndimage

from xsubpix.estimators import Estimate, Estimator, available_models, create

BORDER = 32
DISTANCES = ((0, 2), (2, 4), (4, 8), (8, 16), (16, 32))
DENSE = ("deepflow", "dis", "tvl1")


def chip(number: int) -> np.ndarray:
    folder = Path(os.environ.get("XSUBPIX_DATA", "../shared/data")) / "landsat7"
    (path,) = folder.glob(f"P*_{number:02d}_pan.tif")
    with rasterio.open(path) as source:
        return source.read(1).astype(np.float32)


def second_detectors(number: int) -> tuple[np.ndarray, np.ndarray]:
    """The same ground by two instruments: panchromatic 2 x 2 means, and mixed 30 m bands."""
    folder = Path(os.environ.get("XSUBPIX_DATA", "../shared/data")) / "landsat7"
    (path,) = folder.glob(f"P*_{number:02d}_ms.tif")
    with rasterio.open(path) as source:
        bands = source.read().astype(np.float32)
    pan = chip(number)
    pan = pan.reshape(pan.shape[0] // 2, 2, -1, 2).mean(axis=(1, 3))
    return pan, 0.4 * bands[:3].mean(axis=0) + 0.6 * bands[3]


def shifted(image: np.ndarray, dx: float, dy: float) -> np.ndarray:
    spectrum = ndimage.fourier_shift(np.fft.fft2(image.astype(np.float64)), (dy, dx))
    return np.fft.ifft2(spectrum).real.astype(np.float32)


def strike_slip(image: np.ndarray, jump: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Image after a straight vertical fault in its middle; dy, and distance to the trace."""
    rows, cols = np.mgrid[: image.shape[0], : image.shape[1]].astype(np.float64)
    offset = cols - (image.shape[1] / 2 - 0.5)
    dy = np.where(offset < 0, jump / 2, -jump / 2)
    moved = ndimage.map_coordinates(image.astype(np.float64), [rows - dy, cols], order=5)
    return moved.astype(np.float32), dy, abs(offset)


def run(estimator: Estimator, pre: np.ndarray, post: np.ndarray, first: int = 0) -> Estimate:
    """Whole images on a lattice of tiles whose origin lies `first` pixels outside."""
    halo, step, tile = estimator.halo, estimator.step, estimator.tile
    side = tile * step
    rows, cols = (-(-(n + first) // side) for n in pre.shape)
    pads = tuple(
        (halo + first, halo + n * side - m - first)
        for n, m in zip((rows, cols), pre.shape, strict=True)
    )
    images = [np.pad(i.astype(np.float32), pads, constant_values=np.nan) for i in (pre, post)]
    lines = []
    for i in range(rows):
        line = []
        for j in range(cols):
            place = np.s_[
                None, i * side : (i + 1) * side + 2 * halo, j * side : (j + 1) * side + 2 * halo
            ]
            line.append(estimator(images[0][place], images[1][place]))
        lines.append({k: np.concatenate([e[k] for e in line], axis=2)[0] for k in line[0].arrays()})
    start, stops = first // step, [(first + n) // step for n in pre.shape]
    joined = Estimate.of({k: np.concatenate([line[k] for line in lines]) for k in lines[0]})
    return joined.mapped(lambda field: field[start : stops[0], start : stops[1]])


def timed(estimator: Estimator, pre: np.ndarray, post: np.ndarray) -> tuple[Estimate, float]:
    start = time.process_time()
    estimate = run(estimator, pre, post)
    return estimate, time.process_time() - start


def warm_up() -> None:
    """Compile, so that no figure holds the compiler's time."""
    noise = np.random.default_rng(0).normal(size=(48, 48)).astype(np.float32)
    for name in ("micmac", *DENSE):
        run(create(name), noise, noise)


def rigid(numbers: list[int]) -> None:
    print("\nRigid shifts, noise-free: error per component, px")
    print(
        f"{'dx':>6} {'dy':>6} {'chip':>5}   {'micmac rms':>10} {'bias x':>8} {'bias y':>8}"
        f"   {'deepflow rms':>12} {'bias x':>8}   {'dis rms':>8} {'bias x':>8}"
    )
    worst_rms, worst_bias = 0.0, 0.0
    for number in numbers:
        for dx in (0.0, 0.1, 0.2, 0.3, 0.4, 0.5):
            dy = 0.05 - dx
            image = chip(number)
            place = (slice(240, 560),) * 2
            pre, post = image[place], shifted(image, dx, dy)[place]
            cells = []
            for name in ("micmac", "deepflow", "dis"):
                found = run(create(name), pre, post)
                inner = (slice(BORDER, -BORDER),) * 2
                x, y = found.dx[inner] - dx, found.dy[inner] - dy
                cells.append((np.sqrt((x**2 + y**2).mean() / 2), x.mean(), y.mean()))
            (rms, bias_x, bias_y), flow, inverse = cells
            worst_rms, worst_bias = max(worst_rms, rms), max(worst_bias, abs(bias_x), abs(bias_y))
            print(
                f"{dx:6.2f} {dy:6.2f} {number:5d}   {rms:10.4f} {bias_x:8.4f} {bias_y:8.4f}"
                f"   {flow[0]:12.4f} {flow[1]:8.4f}   {inverse[0]:8.4f} {inverse[1]:8.4f}",
                flush=True,
            )
    print(
        f"micmac, worst: rms {worst_rms:.4f} px (wanted <= 0.03), "
        f"bias {worst_bias:.4f} px (wanted <= 0.005)"
    )


def fault(number: int, jump: float, detectors: bool) -> None:
    what = "pan against multispectral (30 m)" if detectors else "noise-free"
    print(
        f"\nStrike-slip offset of {jump} px, chip {number}, {what}: "
        "mean end-point error by distance to the trace, px"
    )
    pre, base = second_detectors(number) if detectors else (chip(number), chip(number))
    moved, dy, distance = strike_slip(base, jump)
    half = 150
    middle = base.shape[1] // 2
    place = (slice(middle - half, middle + half),) * 2
    pre, post, dy, distance = (a[place] for a in (pre, moved, dy, distance))
    head = " ".join(f"{f'{a}-{b}':>7}" for a, b in DISTANCES)
    print(f"{'':22} {head} {'near':>7} {'far':>7} {'CPU s':>7}")
    window = "cosi-corr" if "cosi-corr" in available_models() else "phase"
    models: list[tuple[str, Estimator | None]] = [
        ("zero", None),
        (f"{window} window 32", create(window, window=32, step=2)),
        *((name, create(name)) for name in DENSE),
        (
            "micmac as published",
            create("micmac", schedule="published", window=9, gamma=2.0, regularisation=1.0),
        ),
        ("micmac window 9", create("micmac", window=9)),
        ("micmac", create("micmac")),
    ]
    near_errors = {}
    for name, estimator in models:
        if estimator is None:
            dx, found, seconds, step = np.zeros_like(dy), np.zeros_like(dy), 0.0, 1
        else:
            estimate, seconds = timed(estimator, pre, post)
            dx, found, step = estimate.dx, estimate.dy, estimator.step
        inner = (slice(BORDER // step, -(BORDER // step)),) * 2
        # A block of an even step that straddles nothing: the trace lies between blocks.
        truth = dy[::step, ::step]
        apart = distance.reshape(len(distance), -1, step).mean(axis=2)[::step]
        x, y, apart = dx[inner], (found - truth)[inner], apart[inner]
        if detectors and estimator is not None:
            # The two instruments' half pixel of misregistration is not of interest.
            x, y = x - np.nanmedian(x), y - np.nanmedian(y)
        error = np.hypot(x, y)
        bins = [np.nanmean(error[(apart >= a) & (apart < b)]) for a, b in DISTANCES]
        near, far = np.nanmean(error[apart < 16]), np.nanmean(error[apart >= 32])
        near_errors[name] = near
        cells = " ".join(f"{value:7.3f}" for value in (*bins, near, far))
        print(f"{name:22} {cells} {seconds:7.1f}", flush=True)
    peer = models[1][0]
    ratio = near_errors["micmac"] / near_errors[peer]
    print(f"micmac / {peer}, near the trace: {ratio:.2f} (wanted <= 0.6)")


def cost(number: int) -> None:
    print("\nCost of 512 x 512 at full resolution, white noise at correlation 0.9, CPU s")
    rng = np.random.default_rng(1)
    image = chip(number)
    noise = image.std() * np.sqrt(1 / 0.9 - 1)
    pair = [
        (i + noise * rng.standard_normal(i.shape))[100:612, 100:612]
        for i in (image, shifted(image, 0.3, -0.7))
    ]
    inner = (slice(BORDER, -BORDER),) * 2
    for name in ("micmac", *DENSE):
        found, seconds = timed(create(name), *pair)
        x, y = found.dx[inner] - 0.3, found.dy[inner] + 0.7
        rms = np.sqrt((x**2 + y**2).mean() / 2)
        line = f"{name:10} {seconds:6.1f}   error {rms:.4f} px"
        if name == "micmac":
            scaled = abs(np.stack([x, y])) / found.sigma[inner]
            line += f", within 1 sigma {np.mean(scaled < 1):.0%}, 2 sigma {np.mean(scaled < 2):.0%}"
        print(line, flush=True)


def seams(number: int) -> None:
    print(
        "\nSeams: the same pixels on two lattices half a tile apart, difference in px, "
        "within 8 px of a seam"
    )
    image = chip(number)
    pan, bands = second_detectors(number)
    cases = {
        "noise-free offset 1 px": (
            image[200:600, 200:600],
            strike_slip(image, 1.0)[0][200:600, 200:600],
        ),
        "pan against ms": (pan, strike_slip(bands, 1.0)[0]),
    }
    for title, (pre, post) in cases.items():
        for name in ("micmac", *DENSE):
            estimator = create(name)
            a, b = run(estimator, pre, post), run(estimator, pre, post, first=128)
            difference = np.hypot(a.dx - b.dx, a.dy - b.dy)
            strip = difference[BORDER:-BORDER, 248:264]
            print(
                f"{title:24} {name:10} rms {np.sqrt((strip**2).mean()):.4f}  "
                f"95 % {np.quantile(strip, 0.95):.4f}  largest {strip.max():.3f}",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--full", action="store_true", help="all six test chips")
    parser.add_argument("--seams", action="store_true", help="only the differences at seams")
    options = parser.parse_args()
    if options.seams:
        seams(7)
        return
    warm_up()
    cost(7)
    rigid([7, 8, 9, 10, 11, 12] if options.full else [7])
    for number in (7, 10, 12) if options.full else (7,):
        fault(number, 1.0, detectors=False)
        fault(number, 1.0, detectors=True)


if __name__ == "__main__":
    main()
