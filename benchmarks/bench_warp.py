"""Quintic warp: position error against exact Fourier shifts, and round trips.

    python benchmarks/bench_warp.py

Peer: the same sampling by cubic splines and by linear interpolation (scipy.ndimage).
"""

from __future__ import annotations

import time

import numpy as np
import scipy.ndimage
import xarray as xr
from common import chips_of_test_split

from xsubpix.rupture import Fault, displacement_on_grid
from xsubpix.warp import sample_quintic, warp_quintic


def band_limited(image: np.ndarray, limit: float) -> np.ndarray:
    """An image made periodic by a taper, without frequencies above `limit` x Nyquist."""
    taper = np.hanning(image.shape[0])[:, None] * np.hanning(image.shape[1])
    spectrum = np.fft.fft2((image - image.mean()) * taper)
    radius = [np.abs(np.fft.fftfreq(n)) * 2 for n in image.shape]
    return np.fft.ifft2(spectrum * (np.maximum.outer(*radius) <= limit)).real


def spectral(image: np.ndarray, dy: float, dx: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The image moved exactly, and the derivatives of the moved one."""
    fy, fx = np.fft.fftfreq(image.shape[0])[:, None], np.fft.fftfreq(image.shape[1])
    spectrum = np.fft.fft2(image) * np.exp(-2j * np.pi * (fy * dy + fx * dx))
    return tuple(np.fft.ifft2(spectrum * k).real for k in (1.0, 2j * np.pi * fy, 2j * np.pi * fx))


def position_error(got: np.ndarray, image: np.ndarray, dy: float, dx: float) -> tuple[float, float]:
    """Displacement that explains the error best, and RMS error over RMS gradient, pixels."""
    inner = (slice(32, -32),) * 2
    true, gy, gx = (a[inner] for a in spectral(image, dy, dx))
    error = got[inner] - true
    a = np.array([[np.sum(gy * gy), np.sum(gy * gx)], [np.sum(gy * gx), np.sum(gx * gx)]])
    shift = np.linalg.lstsq(a, [np.sum(gy * error), np.sum(gx * error)], rcond=None)[0]
    gradient = np.sqrt(np.mean(gy**2 + gx**2))
    return float(np.hypot(*shift)), float(np.sqrt(np.mean(error**2)) / gradient)


def spline(order: int, image: np.ndarray, dy: float, dx: float) -> np.ndarray:
    """The peer: a shift by splines of another order."""
    return scipy.ndimage.shift(image, (dy, dx), order=order, mode="mirror")


def shifts() -> None:
    """Sinusoids and a real chip, moved by known sub-pixel amounts."""
    print("Position error against the exact Fourier shift, px (worst of 10 sub-pixel shifts):")
    print("displacement that explains the error best | RMS error over RMS gradient")
    names = ("oversample=2", "quintic", "cubic", "linear")
    print(f"{'image':<22} " + " ".join(f"{name:>17}" for name in names))
    rng = np.random.default_rng(0)
    rows, cols = np.indices((256, 256))
    images = {}
    for part in (0.2, 0.4, 0.6, 0.8):
        cycles = round(part * 128) / 256
        images[f"sinusoid {part:.1f} Nyquist"] = np.sin(2 * np.pi * cycles * cols) + np.sin(
            2 * np.pi * cycles * rows
        )
    name, chip = chips_of_test_split(1)[0]
    for part in (0.5, 0.8):
        images[f"{name[:11]} to {part:.1f}"] = band_limited(chip, part)
    for name, image in images.items():
        worst = np.zeros((4, 2))
        for dy, dx in rng.uniform(-1, 1, (10, 2)):
            labelled = xr.DataArray(image, dims=("y", "x"))
            field = (np.full(image.shape, dx), np.full(image.shape, dy))
            results = [warp_quintic(labelled, field, oversample=k).values for k in (2, 1)]
            results += [spline(order, image, dy, dx) for order in (3, 1)]
            errors = [position_error(got, image, dy, dx) for got in results]
            worst = np.maximum(worst, errors)
        print(f"{name:<22} " + " ".join(f"{a:8.5f} {b:8.5f}" for a, b in worst))
    print("wanted: position error <= 0.01 px up to 0.8 of Nyquist\n")


def round_trip() -> None:
    """Forward, then backward, by a rupture: what is left off the trace."""
    name, chip = chips_of_test_split(1)[0]
    print("Round trip forward, backward, by a strike-slip rupture; RMS over RMS gradient, px")
    for limit, oversample in ((0.5, 1), (0.5, 2), (0.8, 1), (0.8, 2), (1.0, 2)):
        image = band_limited(chip, limit)
        n = image.shape[0]
        fault = Fault.straight(
            7.5 * n, 7.5 * n, strike=30.0, length=40e3, width=12e3, slip=30.0, taper=0.2
        )
        east, north, _ = displacement_on_grid(fault, (15.0, 0, 0, 0, -15.0, 15.0 * n), image.shape)
        dx, dy = east / 15.0, -north / 15.0
        labelled = xr.DataArray(image, dims=("y", "x"))
        start = time.process_time()
        there = warp_quintic(labelled, (dx, dy), oversample=oversample)
        seconds = time.process_time() - start
        back = warp_quintic(there, (dx, dy), direction="backward", oversample=oversample).values
        x, y = np.meshgrid(15.0 * (np.arange(n) + 0.5), 15.0 * (n - np.arange(n) - 0.5))
        strike = np.deg2rad(30.0)
        across = (x - 7.5 * n) * np.cos(strike) - (y - 7.5 * n) * np.sin(strike)
        far = (np.abs(across) > 15.0 * 10) & np.isfinite(back)
        far[:24] = far[-24:] = False
        far[:, :24] = far[:, -24:] = False
        _, gy, gx = spectral(image, 0, 0)
        gradient = np.sqrt(np.mean((gy**2 + gx**2)[far]))
        left = np.sqrt(np.mean((back - image)[far] ** 2)) / gradient
        jump = np.ptp(np.hypot(dx, dy) * np.sign(dx))
        print(
            f"{name} to {limit:.1f} Nyquist, oversample={oversample}, jump {jump:.2f} px: "
            f"{left:.5f}   ({seconds:.1f} CPU s a warp)"
        )
    print("wanted: <= 0.002\n")


def main() -> None:
    """Run all parts."""
    shifts()
    round_trip()
    image = np.random.default_rng(0).normal(size=(1024, 1024))
    rows, cols = (i + 0.3 for i in np.indices(image.shape).astype(float))
    start = time.process_time()
    sample_quintic(image, rows, cols)
    print(f"sampling 1024 x 1024: {time.process_time() - start:.2f} CPU s")


if __name__ == "__main__":
    main()
