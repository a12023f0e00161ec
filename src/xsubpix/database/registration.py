"""The misregistration of two images: measured robustly, removed by quintic splines."""

from __future__ import annotations

import dataclasses

import numpy as np
import scipy.fft

from ..errors import GridError
from ..kernels.matrices import determinant_2x2, solve_2x2
from ..kernels.robust import biweight_fit, polynomial_terms
from ..kernels.spline import sample_quintic

__all__ = [
    "Misregistration",
    "check_same_grid",
    "measure_misregistration",
    "resample_quintic",
]


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

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> ground = rng.normal(size=(256, 256)).cumsum(0).cumsum(1)
    >>> found = measure_misregistration(ground[:, 1:], ground[:, :-1])
    >>> dx, dy = found.field()  # moved one pixel right
    >>> round(float(dx.mean()), 1)
    1.0
    """
    check_same_grid(pre, post)
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
    first, corner_x, corner_y = first[textured], corner_x[textured], corner_y[textured]
    dx, dy, _ = _phase_correlate(first, second[textured], search)
    # Tapers that stay in place hold a shift back: the second tile is cut again, displaced by
    # the whole pixels found, as far as the image goes.
    column = np.clip(corner_x + np.rint(dx).astype(int), 0, post.shape[1] - tile)
    row = np.clip(corner_y + np.rint(dy).astype(int), 0, post.shape[0] - tile)
    second = np.lib.stride_tricks.sliding_window_view(post, view)[row, column]
    textured = second.std(axis=(1, 2)) > 0
    if not textured.any():
        return None
    first, row, column = first[textured], row[textured], column[textured]
    corner_x, corner_y = corner_x[textured], corner_y[textured]
    dx, dy, peak = _phase_correlate(first, second[textured], search)
    dx += column - corner_x
    dy += row - corner_y

    # Random phases give a mean cosine of 1 / sqrt(2 n) a place, and the search takes the best.
    band = int((_band(tile) > 0).sum())
    floor = np.sqrt(np.log(1 + (2 * search + 1) ** 2) / band)
    good = (peak > 1.5 * floor) & (np.abs(dx) <= search) & (np.abs(dy) <= search)
    if not good.any():
        return None
    x = corner_x[good] + (tile - 1) / 2
    y = corner_y[good] + (tile - 1) / 2
    tiles = int(good.sum())
    while degree and tiles < 3 * (degree + 1) * (degree + 2) // 2:
        degree -= 1
    terms = _polynomial(x, y, pre.shape, degree)
    coefficients, scatter = biweight_fit(terms, np.stack([dx[good], dy[good]], 1), peak[good])
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
    return sample_quintic(image, y, x)


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
        determinant = determinant_2x2(hxx, hxy, hxy, hyy)
        # Away from a maximum Newton would climb down: such tiles keep the pixel they have.
        concave = (hxx < 0) & (determinant > 0)
        hxx, hxy, hyy = (np.where(concave, h, k) for h, k in ((hxx, 1.0), (hxy, 0.0), (hyy, 1.0)))
        ascent = solve_2x2(hxx, hxy, hxy, hyy, gradient_x, gradient_y)
        move_x, move_y = (np.where(concave, -move, 0.0) for move in ascent)
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


def _polynomial(x: np.ndarray, y: np.ndarray, shape: tuple[int, ...], degree: int) -> np.ndarray:
    """Terms 1, x, y, x^2, ... on coordinates scaled to -1..1, along a last axis."""
    rows, columns = shape[0], shape[1]
    u = 2 * np.asarray(x, np.float64) / max(columns - 1, 1) - 1
    v = 2 * np.asarray(y, np.float64) / max(rows - 1, 1) - 1
    return np.ascontiguousarray(np.moveaxis(polynomial_terms(u, v, degree), 0, -1))


def check_same_grid(pre: np.ndarray, post: np.ndarray) -> None:
    """Refuse arrays that are not two scenes ``(h, w)`` of one shape (GridError)."""
    if pre.ndim != 2 or pre.shape != post.shape:
        raise GridError(
            f"Shapes {pre.shape} and {post.shape}: give two scenes (h, w) on the same grid, for "
            "instance after post.rio.reproject_match(pre)."
        )
