"""Real pairs: windows of stable ground seen at two dates.

Two co-registered scenes hold windows where the ground has not moved and the
surface has changed little. Those are the best second dates there are: their
differences are real. This module finds them, says why the other windows were
refused, and removes what misregistration is left, so that the only
displacement in a sample is the one that is put there.
"""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np
import scipy.fft
import scipy.ndimage

from ..errors import DataError, GridError
from .statistics import local_correlation

__all__ = [
    "Misregistration",
    "PairSearch",
    "Rejection",
    "StablePair",
    "find_stable_pairs",
    "measure_misregistration",
    "resample_quintic",
    "texture",
]

# Samples that a quintic spline's value needs on each side, and how far its recursive prefilter
# still feels a pixel (20 px: 1e-8 of it).
_SUPPORT = 3
_PREFILTER = 20


@dataclasses.dataclass(frozen=True)
class Misregistration:
    """A smooth shift of the ground from one image to another.

    Attributes
    ----------
    coefficients_x, coefficients_y : tuple of float
        Polynomial coefficients of the shift to the right and down, pixels, in
        the order 1, x, y, x^2, xy, y^2, ... of coordinates scaled to -1..1.
    degree : int
        Total degree of the polynomial.
    shape : tuple of int
        Shape ``(h, w)`` of the images.
    scatter : float
        Robust standard deviation of the tiles' shifts about the polynomial,
        pixels per component.
    tiles : int
        Tiles that the fit used; its standard error is about
        ``scatter / sqrt(tiles)``.
    """

    coefficients_x: tuple[float, ...]
    coefficients_y: tuple[float, ...]
    degree: int
    shape: tuple[int, int]
    scatter: float
    tiles: int

    def field(self) -> tuple[np.ndarray, np.ndarray]:
        """Shift at each pixel: ``dx`` to the right, ``dy`` down, float64 pixels."""
        rows, columns = self.shape
        y, x = np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij")
        terms = _polynomial(x, y, self.shape, self.degree)
        return terms @ np.array(self.coefficients_x), terms @ np.array(self.coefficients_y)

    @property
    def size(self) -> float:
        """Largest length of the shift over the image, pixels."""
        return float(np.hypot(*self.field()).max())


@dataclasses.dataclass(frozen=True)
class StablePair:
    """A window of stable ground at two dates, registered.

    Attributes
    ----------
    row, column : int
        First row and column of the window in the scenes.
    pre, post : numpy.ndarray of float32
        Shape ``(size, size)``, units of the scenes; `post` is resampled on the
        ground of `pre`. NaN is missing.
    correlation : float
        Mean local correlation of the two, after registration.
    misregistration : Misregistration
        The shift that was removed from `post`.
    """

    row: int
    column: int
    pre: np.ndarray
    post: np.ndarray
    correlation: float
    misregistration: Misregistration


@dataclasses.dataclass(frozen=True)
class Rejection:
    """Why one window was refused.

    Attributes
    ----------
    row, column : int
        First row and column of the window in the scenes.
    reason : str
        ``"missing data"``, ``"low texture"``, ``"misregistration"`` or
        ``"low correlation"``.
    value, limit : float
        What was measured and what was asked for.
    """

    row: int
    column: int
    reason: str
    value: float
    limit: float


@dataclasses.dataclass(frozen=True)
class PairSearch:
    """What :func:`find_stable_pairs` found.

    Attributes
    ----------
    accepted : tuple of StablePair
    rejected : tuple of Rejection
    """

    accepted: tuple[StablePair, ...]
    rejected: tuple[Rejection, ...]

    def summary(self) -> str:
        """One line: how many windows were kept, how many refused and why."""
        counts = Counter(r.reason for r in self.rejected)
        reasons = ", ".join(f"{reason} {n}" for reason, n in sorted(counts.items()))
        total = len(self.accepted) + len(self.rejected)
        return f"{len(self.accepted)} of {total} windows accepted; rejected: {reasons or 'none'}"


def find_stable_pairs(
    pre: np.ndarray,
    post: np.ndarray,
    size: int = 1024,
    *,
    stride: int | None = None,
    min_correlation: float = 0.9,
    window: int = 32,
    max_missing: float = 0.01,
    min_texture: float = 0.3,
    max_misregistration: float = 2.0,
    degree: int = 1,
) -> PairSearch:
    """Find windows of stable ground in two scenes of one grid.

    Each window of a regular lattice is tested for missing data, texture,
    misregistration and, once that is removed, mean local correlation. The first
    test that fails is the reason given.

    Parameters
    ----------
    pre, post : numpy.ndarray
        Scenes on one grid, shape ``(h, w)``, any radiometric unit. NaN is
        missing.
    size : int
        Side of the windows, pixels.
    stride : int, optional
        Distance of neighbouring windows, pixels; default `size`, no overlap.
    min_correlation : float
        Lowest mean local correlation of an accepted pair; 0.9 is that of
        FaultDeform (doi 10.57745/G02ZXZ).
    window : int
        Side of the windows of the local correlation, pixels.
    max_missing : float
        Largest share of pixels missing in either image.
    min_texture : float
        Lowest :func:`texture` of either image.
    max_misregistration : float
        Largest shift that is still corrected, pixels.
    degree : int
        Degree of the polynomial shift that is removed; 0 is one constant.

    Returns
    -------
    PairSearch

    Raises
    ------
    GridError
        If the shapes differ or are not two-dimensional.
    DataError
        If `size` is larger than the scenes.
    """
    _check_same_grid(pre, post)
    if not 2 * window <= size <= min(pre.shape):
        raise DataError(
            f"size={size} does not fit scenes of shape {pre.shape}: give "
            f"{2 * window} to {min(pre.shape)}."
        )
    step = stride or size
    accepted: list[StablePair] = []
    rejected: list[Rejection] = []
    for row in range(0, pre.shape[0] - size + 1, step):
        for column in range(0, pre.shape[1] - size + 1, step):
            here = np.s_[row : row + size, column : column + size]
            first = pre[here].astype(np.float32)
            second = post[here].astype(np.float32)

            missing = float(np.mean(~np.isfinite(first) | ~np.isfinite(second)))
            if missing > max_missing:
                rejected.append(Rejection(row, column, "missing data", missing, max_missing))
                continue
            detail = min(texture(first, window), texture(second, window))
            if detail < min_texture:
                rejected.append(Rejection(row, column, "low texture", detail, min_texture))
                continue
            shift = measure_misregistration(
                first, second, degree=degree, search=max_misregistration + 1.0
            )
            if shift is None or shift.size > max_misregistration:
                value = shift.size if shift else float("nan")
                rejected.append(
                    Rejection(row, column, "misregistration", value, max_misregistration)
                )
                continue
            second = _registered(post, row, column, shift)
            rho = local_correlation(first, second, window)
            correlation = float(np.nanmean(rho)) if np.isfinite(rho).any() else float("nan")
            if not correlation >= min_correlation:
                rejected.append(
                    Rejection(row, column, "low correlation", correlation, min_correlation)
                )
                continue
            accepted.append(StablePair(row, column, first, second, correlation, shift))
    return PairSearch(tuple(accepted), tuple(rejected))


def texture(image: np.ndarray, window: int = 32) -> float:
    """Share of the local variance that neighbouring pixels have in common.

    The mean over windows of the correlation of the image with itself one pixel
    to the right: 0 for a constant and for white noise, 0.6 to 0.95 for ground.
    Unit-free.

    Parameters
    ----------
    image : numpy.ndarray
        Shape ``(h, w)``; NaN is missing.
    window : int
        Side of the windows, pixels.

    Returns
    -------
    float
    """
    rho = local_correlation(image[:, :-1], image[:, 1:], window)
    return float(np.mean(np.nan_to_num(rho)))


def measure_misregistration(
    pre: np.ndarray,
    post: np.ndarray,
    *,
    tile: int = 64,
    degree: int = 1,
    search: float = 4.0,
) -> Misregistration | None:
    """Measure the smooth shift of the ground between two images.

    Tiles that overlap by half are tapered (Hann) and phase-correlated below 0.35
    cycles per pixel; the peak within `search` is refined by Newton's method on
    the band-limited correlation, whose values between pixels are exact. A
    polynomial is fitted to the tiles' shifts by reweighted least squares
    (Tukey's biweight), each tile weighted by its peak, so that tiles where the
    surface changed or its contrast reversed have no say.

    Parameters
    ----------
    pre, post : numpy.ndarray
        Images on one grid, shape ``(h, w)``; NaN is missing, and tiles that
        hold any are left out.
    tile : int
        Side of the tiles, pixels; reduced to fit small images.
    degree : int
        Degree of the polynomial; reduced where too few tiles are good.
    search : float
        Largest shift looked for, pixels per component.

    Returns
    -------
    Misregistration or None
        Sign: where the ground of `pre` went in `post`. None where no tile
        shows a peak that stands out.

    Raises
    ------
    GridError
        If the shapes differ or are not two-dimensional.
    """
    _check_same_grid(pre, post)
    tile = min(tile, *pre.shape)
    step = max(tile // 2, 1)
    rows = np.arange(0, pre.shape[0] - tile + 1, step)
    columns = np.arange(0, pre.shape[1] - tile + 1, step)
    corner_y, corner_x = (c.ravel() for c in np.meshgrid(rows, columns, indexing="ij"))
    view = (tile, tile)
    first = np.lib.stride_tricks.sliding_window_view(pre, view)[corner_y, corner_x]
    second = np.lib.stride_tricks.sliding_window_view(post, view)[corner_y, corner_x]
    textured = (first.std(axis=(1, 2)) > 0) & (second.std(axis=(1, 2)) > 0)  # NaN compares False
    if not textured.any():
        return None
    dx, dy, peak = _phase_correlate(first[textured], second[textured], search)

    # Random phases give a mean cosine of 1 / sqrt(2 n) a place, and the search takes the best.
    band = int((_band(tile) > 0).sum())
    floor = np.sqrt(np.log(1 + (2 * search + 1) ** 2) / band)
    good = (peak > 1.5 * floor) & (np.abs(dx) <= search) & (np.abs(dy) <= search)
    if not good.any():
        return None
    x = corner_x[textured][good] + (tile - 1) / 2
    y = corner_y[textured][good] + (tile - 1) / 2
    tiles = int(good.sum())
    while degree and tiles < 3 * (degree + 1) * (degree + 2) // 2:
        degree -= 1
    terms = _polynomial(x, y, pre.shape, degree)
    coefficients, scatter = _robust_fit(terms, np.stack([dx[good], dy[good]], 1), peak[good])
    return Misregistration(
        tuple(coefficients[:, 0].tolist()),
        tuple(coefficients[:, 1].tolist()),
        degree,
        (pre.shape[0], pre.shape[1]),
        scatter,
        tiles,
    )


def resample_quintic(image: np.ndarray, dx: np.ndarray, dy: np.ndarray) -> np.ndarray:
    """Sample an image at ``(column + dx, row + dy)`` by a quintic B-spline.

    Parameters
    ----------
    image : numpy.ndarray
        Shape ``(h, w)``; NaN is missing.
    dx, dy : numpy.ndarray
        Offsets to the right and down, pixels, shape ``(h, w)``.

    Returns
    -------
    numpy.ndarray of float32
        NaN outside of the image and where one of the 6 x 6 pixels under the
        spline is missing.
    """
    rows, columns = image.shape
    y = np.arange(rows)[:, None] + dy
    x = np.arange(columns)[None, :] + dx
    missing = ~np.isfinite(image)
    values = np.asarray(image, np.float64)
    if missing.any():
        if missing.all():
            return np.full(image.shape, np.nan, np.float32)
        # The nearest value under the holes keeps the prefilter from ringing around them.
        nearest = scipy.ndimage.distance_transform_edt(
            missing, return_distances=False, return_indices=True
        )
        values = values[tuple(nearest)]
    out = scipy.ndimage.map_coordinates(values, [y, x], order=5, mode="mirror").astype(np.float32)
    lost = (y < 0) | (y > rows - 1) | (x < 0) | (x > columns - 1)
    if missing.any():
        near = scipy.ndimage.maximum_filter(missing, 2 * _SUPPORT + 1)
        lost |= scipy.ndimage.map_coordinates(
            near.astype(np.uint8), [np.rint(y), np.rint(x)], order=0, mode="nearest"
        ).astype(bool)
    out[lost] = np.nan
    return out


def _registered(
    scene: np.ndarray, row: int, column: int, shift: Misregistration
) -> np.ndarray:
    """A window of `scene` resampled by `shift`, with the scene's pixels around it as margin."""
    size = shift.shape[0]
    margin = int(np.ceil(shift.size)) + _SUPPORT + _PREFILTER
    top, left = min(margin, row), min(margin, column)
    around = scene[row - top : row + size + margin, column - left : column + size + margin]
    bottom = around.shape[0] - size - top
    right = around.shape[1] - size - left
    dx, dy = (np.pad(c, ((top, bottom), (left, right)), mode="edge") for c in shift.field())
    out = resample_quintic(around.astype(np.float32), dx, dy)
    return np.ascontiguousarray(out[top : top + size, left : left + size])


def _phase_correlate(
    first: np.ndarray, second: np.ndarray, search: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Shift of each of a batch of tiles ``(n, t, t)``; dx, dy and the peak's height, 0 to 1."""
    side = first.shape[-1]
    taper = np.sin(np.pi * (np.arange(side) + 0.5) / side) ** 2
    window = np.outer(taper, taper)
    band = _band(side)
    cross = []
    for tiles in (first, second):
        tiles = tiles.astype(np.float64)
        mean = (tiles * window).sum(axis=(1, 2), keepdims=True) / window.sum()
        cross.append(scipy.fft.fft2((tiles - mean) * window))
    product = cross[1] * np.conj(cross[0])
    product *= band / np.maximum(np.abs(product), np.finfo(float).tiny)
    surface = scipy.fft.ifft2(product).real * (side**2 / band.sum())

    lag = scipy.fft.fftfreq(side, 1 / side)
    inside = np.abs(lag) <= search
    bounded = np.where(inside[:, None] & inside[None, :], surface, -np.inf)
    best = bounded.reshape(len(first), -1).argmax(axis=1)
    dy, dx = lag[best // side].copy(), lag[best % side].copy()

    kept = band > 0
    angular = 2 * np.pi * scipy.fft.fftfreq(side)
    ky, kx = (k[kept] for k in np.meshgrid(angular, angular, indexing="ij"))
    spectrum = product[:, kept] / band.sum()
    for _ in range(5):
        turned = spectrum * np.exp(1j * (dx[:, None] * kx + dy[:, None] * ky))
        gradient_x, gradient_y = -turned.imag @ kx, -turned.imag @ ky
        hxx, hxy, hyy = (-turned.real @ k for k in (kx * kx, kx * ky, ky * ky))
        determinant = hxx * hyy - hxy**2
        # Away from a maximum Newton would climb down: such tiles keep the pixel they have.
        concave = (hxx < 0) & (determinant > 0)
        determinant = np.where(concave, determinant, 1.0)
        move_x = np.where(concave, (hxy * gradient_y - hyy * gradient_x) / determinant, 0.0)
        move_y = np.where(concave, (hxy * gradient_x - hxx * gradient_y) / determinant, 0.0)
        dx += np.clip(move_x, -0.5, 0.5)
        dy += np.clip(move_y, -0.5, 0.5)
    turned = spectrum * np.exp(1j * (dx[:, None] * kx + dy[:, None] * ky))
    return dx, dy, turned.real.sum(axis=1)


def _band(side: int) -> np.ndarray:
    """Weight of the frequencies of a tile: a smooth low pass without the taper's own lobe."""
    frequency = np.hypot(scipy.fft.fftfreq(side)[:, None], scipy.fft.fftfreq(side)[None, :])
    band = np.clip((0.35 - frequency) / 0.15, 0.0, 1.0)
    band[frequency < 1.5 / side] = 0.0
    return band


def _polynomial(
    x: np.ndarray, y: np.ndarray, shape: tuple[int, ...], degree: int
) -> np.ndarray:
    """Terms 1, x, y, x^2, ... on coordinates scaled to -1..1, along a last axis."""
    rows, columns = shape[0], shape[1]
    u = 2 * np.asarray(x, np.float64) / max(columns - 1, 1) - 1
    v = 2 * np.asarray(y, np.float64) / max(rows - 1, 1) - 1
    terms = [u ** (n - p) * v**p for n in range(degree + 1) for p in range(n + 1)]
    return np.stack(terms, axis=-1)


def _robust_fit(
    terms: np.ndarray, shifts: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, float]:
    """Reweighted least squares of two components at once, from their medians."""
    coefficients = np.zeros((terms.shape[1], 2))
    coefficients[0] = np.median(shifts, axis=0)
    scatter = 0.0
    for _ in range(20):
        length = np.hypot(*(shifts - terms @ coefficients).T)
        # The median length of a two-dimensional normal scatter is 1.177 of its sigma.
        scatter = max(float(np.median(length)) / 1.177, 1e-4)
        robust = weight * np.clip(1 - (length / (4.0 * scatter)) ** 2, 0, None) ** 2
        root = np.sqrt(robust)[:, None]
        coefficients = np.linalg.lstsq(root * terms, root * shifts, rcond=None)[0]
    return coefficients, scatter


def _check_same_grid(pre: np.ndarray, post: np.ndarray) -> None:
    if pre.ndim != 2 or pre.shape != post.shape:
        raise GridError(
            f"Shapes {pre.shape} and {post.shape}: give two scenes (h, w) on the same grid, for "
            "instance after post.rio.reproject_match(pre)."
        )
