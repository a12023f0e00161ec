"""Mean of a field over the surroundings that move alike: noise leaves, steps stay."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["KERNEL", "LARGEST", "alike_mean"]

#: Weights of a value, of its neighbours and of theirs: a cubic B-spline.
KERNEL = (3 / 8, 1 / 4, 1 / 16)
#: Largest sigma that is taken for noise, pixels of the images. Beside a rupture of many pixels
#: it is larger, because no model knows which side a pixel is on: there, a mean would be of both.
LARGEST = 0.15


def alike_mean(
    east: np.ndarray,
    north: np.ndarray,
    sigma: np.ndarray,
    distances: Sequence[int],
    *,
    largest: float = np.inf,
) -> tuple[np.ndarray, np.ndarray]:
    r"""Mean over neighbours whose displacement is the same within its errors.

    A neighbour counts with the weight

    .. math:: w = b\,\sigma_j^{-2} \exp\big(-|d_i - d_j|^2 / (\tau_i^2 + \tau_j^2)\big), \quad
        \tau = \min(\sigma, \tau_\mathrm{max}),

    b that of a cubic B-spline, along columns and then along rows, for one distance after the
    other. Noise is averaged where the ground moves alike, and ground that differs by more than
    its errors, beyond a rupture, has no say.

    Parameters
    ----------
    east, north, sigma : numpy.ndarray
        Shape ``(rows, columns)``; one unit. Where one of them is missing (NaN), nothing is
        changed and nothing counts.
    distances : sequence of int
        Distances of the neighbours, values; each reaches twice as far.
    largest : float
        Largest sigma by which differences are judged, unit of `sigma`.

    Returns
    -------
    east, north : numpy.ndarray of float64
        Shape ``(rows, columns)``.

    References
    ----------
    Dammertz et al. (2010), *Edge-avoiding à-trous wavelet transform for fast global
    illumination filtering*, doi:10.2312/EGGH/HPG10/067-075.

    Examples
    --------
    >>> import numpy as np
    >>> step = np.zeros((32, 32))
    >>> step[:, 16:] = 1.0
    >>> noisy = step + np.random.default_rng(0).normal(0, 0.05, step.shape)
    >>> east, _ = alike_mean(noisy, 0 * step, 0 * step + 0.05, (1, 2, 4))
    >>> bool(abs(east - step).mean() < 0.4 * abs(noisy - step).mean())
    True
    """
    field = np.stack([east, north]).astype(np.float64)
    known = np.isfinite(field).all(0) & (sigma > 0)
    variance = np.where(known, sigma, 1.0).astype(np.float64) ** 2
    precision = known / variance
    tolerance = np.minimum(variance, largest**2)
    mean = np.where(known, field, 0.0)
    for distance in distances:
        for axis in (1, 2):
            mean = _mean_along(mean, precision, tolerance, distance, axis)
    out = np.where(known, mean, field)
    return out[0], out[1]


def _mean_along(
    field: np.ndarray, precision: np.ndarray, tolerance: np.ndarray, distance: int, axis: int
) -> np.ndarray:
    """Mean over five values of a line, so far apart."""
    weighted = field * precision
    total, weight = KERNEL[0] * weighted, KERNEL[0] * precision
    for k in (1, 2):
        count = field.shape[axis] - k * distance
        if count < 1:
            break
        inner: list[slice] = [slice(None)] * 3
        inner[axis] = slice(0, count)
        first = tuple(inner)
        inner[axis] = slice(field.shape[axis] - count, None)
        second = tuple(inner)
        # Two values are as alike seen from the one as from the other.
        different = ((field[second] - field[first]) ** 2).sum(0)
        alike = KERNEL[k] * np.exp(-different / (tolerance[second[1:]] + tolerance[first[1:]]))
        for one, other in ((first, second), (second, first)):
            total[one] += alike * weighted[other]
            weight[one[1:]] += alike * precision[other[1:]]
    return np.where(weight > 0, total / np.where(weight > 0, weight, 1.0), field)
