"""What an instrument does to the radiance it sees: optics, detectors, noise, counts."""

from __future__ import annotations

import numpy as np
import scipy.fft
import scipy.ndimage

from .atmosphere import coloured_noise

__all__ = ["blur", "detector_jitter", "noise_level", "point_spread", "sensor_noise", "stripes"]


def noise_level(image: np.ndarray) -> float:
    """Standard deviation of the white noise that would explain the finest detail.

    Immerkaer (1996), Fast noise variance estimation: the mean absolute response
    of a difference of two Laplacians, blind to planes and edges of low
    curvature. On sharp images it is an upper bound of the noise; here it stands
    for the power near Nyquist, where two real dates share next to nothing.

    Parameters
    ----------
    image : numpy.ndarray
        Shape ``(h, w)``, finite, at least 3 pixels a side.

    Returns
    -------
    float
        In the image's units.
    """
    rows = image[:-2] - 2 * image[1:-1] + image[2:]
    both = rows[:, :-2] - 2 * rows[:, 1:-1] + rows[:, 2:]
    return float(np.sqrt(np.pi / 2) / 6 * np.abs(both).mean())


def point_spread(image: np.ndarray) -> float:
    """Width of the point spread that an image was seen through, from its spectrum.

    Ground has a power spectrum near a power law; the Gaussian that bends it down
    is the instrument's. Fits ``a - b log f - (2 pi s f)^2`` to the logarithm of
    the radial power between 0.08 and 0.42 cycles per pixel, by least squares.

    Parameters
    ----------
    image : numpy.ndarray
        Shape ``(h, w)``, finite, at least 32 pixels a side.

    Returns
    -------
    float
        Standard deviation s, pixels, held within 0.3 (sharp, or noisy) and 1.2.
    """
    side = min(64, *image.shape)
    rows = np.linspace(0, image.shape[0] - side, 4).astype(int)
    columns = np.linspace(0, image.shape[1] - side, 4).astype(int)
    tiles = np.stack([image[r : r + side, c : c + side] for r in rows for c in columns])
    taper = np.sin(np.pi * (np.arange(side) + 0.5) / side) ** 2
    tiles = (tiles - tiles.mean(axis=(1, 2), keepdims=True)) * np.outer(taper, taper)
    power = (np.abs(scipy.fft.fft2(tiles)) ** 2).mean(axis=0).ravel()
    line = scipy.fft.fftfreq(side)
    frequency = np.hypot(line[:, None], line[None, :]).ravel()
    annulus = np.rint(frequency * side).astype(int)
    count = np.bincount(annulus)
    power = np.bincount(annulus, weights=power) / count
    radius = np.arange(len(count)) / side
    kept = (radius >= 0.08) & (radius <= 0.42) & (power > 0)
    if kept.sum() < 6:
        return 0.6
    f = radius[kept]
    terms = np.stack([np.ones_like(f), -np.log(f), -((2 * np.pi * f) ** 2)], axis=1)
    variance = float(np.linalg.lstsq(terms, np.log(power[kept]), rcond=None)[0][2])
    return float(np.sqrt(np.clip(variance, 0.3**2, 1.2**2)))


def blur(image: np.ndarray, sigma: float, aspect: float = 1.0) -> np.ndarray:
    """Change the modulation transfer function: blur, or sharpen by as much.

    Parameters
    ----------
    image : numpy.ndarray of float32
        Shape ``(h, w)``, finite.
    sigma : float
        Standard deviation of the Gaussian blur along rows, pixels. Negative: an
        unsharp mask adds what a blur by ``-sigma`` would take away.
    aspect : float
        Ratio of the blur along columns to that along rows.

    Returns
    -------
    numpy.ndarray of float32
    """
    if abs(sigma) < 0.05:
        return image
    width = (abs(sigma) * aspect, abs(sigma))
    smooth = scipy.ndimage.gaussian_filter(image, width, truncate=3.0, mode="mirror")
    return smooth if sigma > 0 else 2 * image - smooth


def detector_jitter(
    image: np.ndarray,
    amount: float,
    module: int,
    along_rows: bool,
    rng: np.random.Generator,
) -> np.ndarray:
    """Misplace the detectors: lines by small shifts that are alike within a module.

    Scans of a whisk broom (16 rows of Landsat TM and ETM+) and focal-plane
    modules of a push broom (hundreds of columns) each lie off a little. The mean
    over the image is zero, so no net displacement comes in. First-order Taylor
    shift, accurate where `amount` is far below a pixel.

    Parameters
    ----------
    image : numpy.ndarray of float32
        Shape ``(h, w)``, finite, at least 2 pixels a side.
    amount : float
        Standard deviation of the modules' shifts, pixels.
    module : int
        Lines in a module.
    along_rows : bool
        Whether the lines are rows.
    rng : numpy.random.Generator

    Returns
    -------
    numpy.ndarray of float32
    """
    if amount <= 0:
        return image
    lines = image.shape[0] if along_rows else image.shape[1]
    index = (np.arange(lines) + int(rng.integers(0, module))) // module
    shift = rng.normal(0.0, amount, (2, int(index.max()) + 1))[:, index]
    shift -= shift.mean(axis=1, keepdims=True)
    dy, dx = shift.astype(np.float32)[..., None] if along_rows else shift.astype(np.float32)
    down = np.empty_like(image)
    down[1:-1] = (image[2:] - image[:-2]) / 2
    down[0], down[-1] = image[1] - image[0], image[-1] - image[-2]
    right = np.empty_like(image)
    right[:, 1:-1] = (image[:, 2:] - image[:, :-2]) / 2
    right[:, 0], right[:, -1] = image[:, 1] - image[:, 0], image[:, -1] - image[:, -2]
    return image - dy * down - dx * right


def sensor_noise(
    image: np.ndarray,
    white: float,
    coloured: float,
    exponent: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Noise of an acquisition: white, half of it growing with radiance, and coloured.

    Parameters
    ----------
    image : numpy.ndarray of float32
        Shape ``(h, w)``, finite; sets the share of shot noise only.
    white, coloured : float
        Standard deviations, in the image's units.
    exponent : float
        Of the coloured part (:func:`~xsubpix.second_date.atmosphere.coloured_noise`).
    rng : numpy.random.Generator

    Returns
    -------
    numpy.ndarray of float32
        The noise alone.
    """
    noise = rng.standard_normal(image.shape, dtype=np.float32)
    mean, deviation = float(image.mean()), max(float(image.std()), 1e-12)
    # Shot noise: variance linear in radiance, here from 0.25 to 1.75 over two deviations.
    photons = np.clip(1 + 0.375 * (image - mean) / deviation, 0.25, 1.75)
    noise *= np.float32(white) * np.sqrt(photons)
    if coloured > 0:
        noise += np.float32(coloured) * coloured_noise(image.shape, exponent, rng)
    return noise.astype(np.float32)


def stripes(
    shape: tuple[int, int],
    amount: float,
    period: int,
    along_rows: bool,
    rng: np.random.Generator,
) -> np.ndarray:
    """Offsets of uncalibrated detectors, repeated each `period` lines.

    A whisk-broom scanner has a few detectors that sweep rows (Landsat-7: 16), a
    push-broom one detector a column (a period longer than the image).

    Parameters
    ----------
    shape : tuple of int
        ``(h, w)``.
    amount : float
        Standard deviation of the offsets, in the image's units.
    period : int
        Number of detectors.
    along_rows : bool
        Whether stripes run along rows.
    rng : numpy.random.Generator

    Returns
    -------
    numpy.ndarray of float32
        Shape ``(h, 1)`` or ``(1, w)``, to be added.
    """
    n = shape[0] if along_rows else shape[1]
    detector = rng.normal(0.0, amount, max(period, 1)).astype(np.float32)
    lines = detector[np.arange(n) % max(period, 1)]
    return lines[:, None] if along_rows else lines[None, :]
