"""From stepped matches to continuous displacement and its uncertainty (numba).

The last part of :mod:`xsubpix.estimators.micmac`: dynamic programming leaves
multiples of 1/20 px; the shape of the correlation's peak says where between
them the displacement lies, and how well that is known.

This module needs numba; it is imported by the estimator when it runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numba
import numpy as np

from ..kernels.matrices import determinant_2x2, solve_2x2
from .ncc import PHASES

__all__ = ["Peaks", "read_peaks", "settle"]

#: Spacing of the correlations from which a peak's shape is read, units.
PROBE = 2
# Reach of the neighbourhood, pixels, and the standard deviation of its weights.
_RADIUS = 5
_SPREAD = 3.0
# Neighbours that differ by more belong to another block of ground, pixels.
_SAME_BLOCK = 0.11
# What the steps leave open: standard deviation of the continuous displacement
# about the local mean of the stepped one, and its bound, pixels.
_STEP_SIGMA = 0.03
_STEP_BOUND = 0.1
# What neighbours leave of one window's uncertainty, and what the regularisation takes off
# it, per pixel and cost; both from known shifts of real images, see MicMac.
_CALIBRATION = 0.48
_POOLING = 3.75
# Correlations differ from 1 by interpolation and rounding, if by nothing else.
_LEAST_RESIDUAL = 1e-4

_solve = numba.njit(cache=True)(solve_2x2)
_determinant = numba.njit(cache=True)(determinant_2x2)


class Peaks(NamedTuple):
    """Quadratic model of ``1 - NCC`` at the match of each pixel.

    All have shape ``(rows, columns)`` and type float32.

    Attributes
    ----------
    dx, dy : numpy.ndarray
        Matched displacement, pixels, in steps of 1/20.
    correlation : numpy.ndarray
        NCC there.
    gx, gy : numpy.ndarray
        Gradient, 1 / pixel.
    hxx, hxy, hyy : numpy.ndarray
        Hessian, 1 / pixel squared; zero where it is not positive definite or
        the correlation is not one to trust.
    """

    dx: np.ndarray
    dy: np.ndarray
    correlation: np.ndarray
    gx: np.ndarray
    gy: np.ndarray
    hxx: np.ndarray
    hxy: np.ndarray
    hyy: np.ndarray


def read_peaks(
    correlate: Callable[[int, int, np.ndarray, np.ndarray], np.ndarray],
    centre_x: np.ndarray,
    centre_y: np.ndarray,
    least_correlation: float,
) -> Peaks:
    """Fit a quadratic to 3 x 3 correlations around each match.

    Parameters
    ----------
    correlate : callable
        ``(unit, radius, centre_x, centre_y)`` to a volume of correlations,
        as :func:`xsubpix.estimators.ncc.correlation_volume`.
    centre_x, centre_y : numpy.ndarray of int32
        Matches, in 1 / ``PHASES`` pixel.
    least_correlation : float
        Peaks that are not above it are taken for no information.

    Returns
    -------
    Peaks
    """
    h = PROBE / PHASES
    across = 2 * PROBE + 1
    volume = correlate(1, PROBE, centre_x, centre_y)
    rows, _, cols = volume.shape
    e = 1.0 - volume.reshape(rows, across, across, cols)[:, ::PROBE, ::PROBE]
    over_y, over_x = e.sum(axis=1), e.sum(axis=2)
    gx = (over_y[:, 2] - over_y[:, 0]) / (6 * h)
    gy = (over_x[:, 2] - over_x[:, 0]) / (6 * h)
    hxx = (over_y[:, 0] + over_y[:, 2] - 2 * over_y[:, 1]) / (3 * h * h)
    hyy = (over_x[:, 0] + over_x[:, 2] - 2 * over_x[:, 1]) / (3 * h * h)
    hxy = (e[:, 0, 0] + e[:, 2, 2] - e[:, 0, 2] - e[:, 2, 0]) / (4 * h * h)
    correlation = np.ascontiguousarray(1.0 - e[:, 1, 1])
    good = (hxx > 0) & (hyy > 0) & (hxx * hyy > hxy * hxy) & (correlation > least_correlation)
    shape = [np.where(good, a, np.float32(0.0)) for a in (gx, gy, hxx, hxy, hyy)]
    dx, dy = ((c / PHASES).astype(np.float32) for c in (centre_x, centre_y))
    return Peaks(dx, dy, correlation, *shape)


def settle(
    peaks: Peaks, window: int, search: float, stiffness: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Displacement without the steps of 1/20 px, and its uncertainty.

    Each pixel takes the displacement that best fits the peaks of its
    neighbourhood (Gaussian weights, only neighbours whose match is within
    0.11 px, so that an offset across a fault stays sharp), held to the mean
    of their matches by a prior of 0.03 px, about what the steps leave open:

    ``d = m + (J + I / s^2)^-1 J (d_J - m)``

    with ``J`` the mean information of the peaks, ``d_J`` their weighted
    optimum and ``m`` the mean match. The information of one peak is that of
    its window alone, for independent residuals (Cramer-Rao):
    ``J = (n - 3) H / (2 (1 - NCC))``, ``H`` the Hessian of ``1 - NCC`` and
    ``n`` the pixels of the window. Where correlations are sharp the steps
    vanish; where noise decides, the regularised match stays.

    Parameters
    ----------
    peaks : Peaks
        From :func:`read_peaks`.
    window : int
        Side of the correlation window, pixels.
    search : float
        Half range of the search, pixels: the uncertainty where nothing is
        known.
    stiffness : float
        Cost of a difference of one pixel between neighbours in the dynamic
        programming.

    Returns
    -------
    dx, dy, sigma : numpy.ndarray of float32
        Pixels. With `s_1`, 0.48 times the root mean square of the two
        components of ``(J + I / search^2)^-1``, the uncertainty of one window,
        `sigma` is ``s_1 / (1 + 3.75 stiffness s_1)``: the less a window knows,
        the more neighbours the regularisation makes it share with.
    """
    return _settle(*peaks, float(window * window - 3), search, _POOLING * stiffness)


@numba.njit(cache=True, nogil=True)
def _settle(
    dx, dy, correlation, gx, gy, hxx, hxy, hyy, freedom, search, pooling
):  # pragma: no cover - compiled
    rows, cols = dx.shape
    out_x = np.empty((rows, cols), np.float32)
    out_y = np.empty((rows, cols), np.float32)
    sigma = np.empty((rows, cols), np.float32)
    span = np.arange(-_RADIUS, _RADIUS + 1)
    bell = np.exp(-(span**2) / (2.0 * _SPREAD**2))
    prior = 1.0 / _STEP_SIGMA**2
    least_information = 1.0 / search**2
    for y in range(rows):
        for x in range(cols):
            own_x, own_y = dx[y, x], dy[y, x]
            weights, mx, my = 0.0, 0.0, 0.0
            jxx, jxy, jyy, bx, by = 0.0, 0.0, 0.0, 0.0, 0.0
            for r in range(max(0, y - _RADIUS), min(rows, y + _RADIUS + 1)):
                for c in range(max(0, x - _RADIUS), min(cols, x + _RADIUS + 1)):
                    ax, ay = dx[r, c] - own_x, dy[r, c] - own_y
                    if abs(ax) > _SAME_BLOCK or abs(ay) > _SAME_BLOCK:
                        continue
                    w = bell[r - y + _RADIUS] * bell[c - x + _RADIUS]
                    weights += w
                    mx += w * ax
                    my += w * ay
                    w *= freedom / (2.0 * max(1.0 - correlation[r, c], _LEAST_RESIDUAL))
                    xx, xy, yy = w * hxx[r, c], w * hxy[r, c], w * hyy[r, c]
                    jxx += xx
                    jxy += xy
                    jyy += yy
                    bx += xx * ax + xy * ay - w * gx[r, c]
                    by += xy * ax + yy * ay - w * gy[r, c]
            mx, my = mx / weights, my / weights
            jxx, jxy, jyy = jxx / weights, jxy / weights, jyy / weights
            bx, by = bx / weights + prior * mx, by / weights + prior * my
            sx, sy = _solve(jxx + prior, jxy, jxy, jyy + prior, bx, by)
            out_x[y, x] = own_x + min(max(sx, -_STEP_BOUND), _STEP_BOUND)
            out_y[y, x] = own_y + min(max(sy, -_STEP_BOUND), _STEP_BOUND)
            determinant = _determinant(jxx + least_information, jxy, jxy, jyy + least_information)
            variance = (jxx + jyy + 2.0 * least_information) / (2.0 * determinant)
            alone = _CALIBRATION * math.sqrt(variance)
            sigma[y, x] = alone / (1.0 + pooling * alone)
    return out_x, out_y, sigma
