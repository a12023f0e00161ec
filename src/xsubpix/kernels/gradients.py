"""Gradients of noisy fields with gaps, at a stated scale (plain arrays)."""

from __future__ import annotations

import dataclasses

import numpy as np

from .matrices import determinant_2x2, solve_2x2

__all__ = ["Gradients", "local_gradients", "reach"]

# The Gaussian is cut where its weight is 0.0003.
_CUT = 4.0
#: Least share of the Gaussian's weight that must fall on values.
LEAST_SHARE = 0.2


def reach(scale: float) -> int:
    """Pixels that a gradient at this scale (pixels) needs on each side."""
    return int(np.ceil(_CUT * scale))


@dataclasses.dataclass(frozen=True)
class Gradients:
    """Slopes along columns (x) and rows (y), and their covariance.

    Attributes
    ----------
    x, y : list of numpy.ndarray
        One for each field, unit per pixel, shape (rows, cols).
    xx, xy, yy : numpy.ndarray
        Variances and covariance of the slopes of a field whose values have
        independent errors; NaN where those are unknown.
    """

    x: list[np.ndarray]
    y: list[np.ndarray]
    xx: np.ndarray
    xy: np.ndarray
    yy: np.ndarray


def local_gradients(
    fields: list[np.ndarray], sigma: np.ndarray, scale: tuple[float, float]
) -> Gradients:
    r"""Slopes of the plane that fits best around each pixel, under Gaussian weights.

    Minimises sum_j g(x_j - x) (u_j - a - b . (x_j - x))^2 over the values that are
    there. On a field without gaps b is its derivative convolved with the Gaussian;
    at gaps and borders the fit stays unbiased on planes, which a derivative
    filter does not.

    Parameters
    ----------
    fields : list of numpy.ndarray
        Shape (rows, cols) each, NaN where missing; a pixel counts where all are
        there.
    sigma : numpy.ndarray
        Error of one value, same unit, NaN where unknown.
    scale : (float, float)
        Standard deviation of the Gaussian along columns (x) and rows (y), pixels.

    Returns
    -------
    Gradients
        NaN where the pixel is missing, or less than a fifth of the Gaussian's
        weight falls on values.
    """
    there = np.isfinite(fields).all(0)
    weight = there.astype(float)
    kernels = [_kernels(s) for s in scale]
    m = _moments(weight, kernels, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean_x, mean_y = m[1, 0] / m[0, 0], m[0, 1] / m[0, 0]
        sxx = m[2, 0] - m[1, 0] * mean_x
        syy = m[0, 2] - m[0, 1] * mean_y
        sxy = m[1, 1] - m[1, 0] * mean_y
        det = determinant_2x2(sxx, sxy, sxy, syy)
        # A line of values has no slope across itself.
        full = (scale[0] * scale[1]) ** 2
        valid = there & (m[0, 0] >= LEAST_SHARE) & (det > 1e-2 * full * m[0, 0] ** 2)
        det = np.where(valid, det, np.nan)
        x, y = [], []
        for field in fields:
            # About the median: large constants would cost digits.
            median = np.median(field[there]) if there.any() else 0.0
            values = np.where(there, field - median, 0.0)
            b0, b1, b2 = (_pass(values, kernels, powers, 1) for powers in ((0, 0), (1, 0), (0, 1)))
            sxu, syu = b1 - mean_x * b0, b2 - mean_y * b0
            slope_x, slope_y = solve_2x2(sxx, sxy, sxy, syy, sxu, syu)
            x.append(np.where(valid, slope_x, np.nan))
            y.append(np.where(valid, slope_y, np.nan))
        # Errors: the same weights squared, and the variances of the values.
        variance = np.where(there, np.square(sigma, dtype=float), 0.0)
        unknown = there & ~np.isfinite(variance)
        q = _moments(np.where(unknown, 0.0, variance), kernels, 2)
        txx = q[2, 0] - 2 * mean_x * q[1, 0] + mean_x**2 * q[0, 0]
        tyy = q[0, 2] - 2 * mean_y * q[0, 1] + mean_y**2 * q[0, 0]
        txy = q[1, 1] - mean_x * q[0, 1] - mean_y * q[1, 0] + mean_x * mean_y * q[0, 0]
        det2 = np.where(unknown, np.nan, det**2)
        xx = (syy**2 * txx - 2 * syy * sxy * txy + sxy**2 * tyy) / det2
        yy = (sxx**2 * tyy - 2 * sxx * sxy * txy + sxy**2 * txx) / det2
        xy = ((sxx * syy + sxy**2) * txy - syy * sxy * txx - sxx * sxy * tyy) / det2
    return Gradients(x, y, xx, xy, yy)


def _kernels(scale: float) -> tuple[np.ndarray, np.ndarray]:
    """A Gaussian of unit sum, and where its samples lie."""
    at = np.arange(-reach(scale), reach(scale) + 1, dtype=float)
    g = np.exp(-0.5 * (at / scale) ** 2)
    return g / g.sum(), at


def _pass(
    values: np.ndarray,
    kernels: list[tuple[np.ndarray, np.ndarray]],
    powers: tuple[int, int],
    order: int,
) -> np.ndarray:
    """Sum of g**order x**i y**j values around each pixel, zero beyond the array."""
    from scipy.ndimage import correlate1d

    for axis, (g, at), power in zip((1, 0), kernels, powers, strict=True):
        values = correlate1d(values, g**order * at**power, axis=axis, mode="constant")
    return values


def _moments(
    values: np.ndarray, kernels: list[tuple[np.ndarray, np.ndarray]], order: int
) -> dict[tuple[int, int], np.ndarray]:
    powers = [(0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2)]
    return {p: _pass(values, kernels, p, order) for p in powers}
