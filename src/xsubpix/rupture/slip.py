"""Slip on a fault plane: tapered at its edges and uneven at every scale.

References
----------
Mai, P. M., & Beroza, G. C. (2002). A spatial random field model to
characterize complexity in earthquake slip. Journal of Geophysical Research,
107(B11), 2308.
"""

from __future__ import annotations

import math

import numpy as np

__all__ = ["correlation_lengths", "cosine_ramp", "depth_taper", "von_karman_field"]

_MODES = 600


def correlation_lengths(length: float, width: float) -> tuple[float, float]:
    """Return the correlation lengths of slip along strike and along dip.

    Mai & Beroza (2002): ``a_x = 2.0 + L / 3`` and ``a_z = 1.0 + W / 3``, in
    kilometres. The constants are dropped for faults too small for them.

    Parameters
    ----------
    length, width : float
        Size of the rupture, metres.

    Returns
    -------
    along, down : float
        Metres.
    """
    return min(2e3 + length / 3, length / 2), min(1e3 + width / 3, width / 2)


def von_karman_field(
    along: np.ndarray,
    down: np.ndarray,
    *,
    correlation_length: tuple[float, float],
    hurst: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return a Gaussian random field with a von Karman spectrum, at any points.

    Power spectral density ``P(k) ~ (1 + k^2)^-(H + 1)`` with
    ``k^2 = (a_x k_x)^2 + (a_z k_z)^2`` (Mai & Beroza 2002): flat above the
    correlation lengths, self-affine with Hurst exponent H below them. The
    field is a sum of cosines of random phase whose wave vectors are drawn from
    P itself, by inversion of its radial distribution
    ``1 - (1 + k^2)^-H``; it needs no grid, and the same draw can be looked at
    more closely in one place than in another.

    Parameters
    ----------
    along, down : numpy.ndarray
        Positions on the fault plane, metres; broadcast against each other.
    correlation_length : tuple of float
        Correlation lengths ``(a_x, a_z)`` along and down, metres.
    hurst : float
        Hurst exponent; Mai & Beroza found about 0.75.
    rng : numpy.random.Generator
        Source of wave vectors and phases.

    Returns
    -------
    numpy.ndarray
        Expected mean 0 and variance 1.
    """
    # One draw in each of equal slices of probability: every scale is present
    # in every field, where independent draws could miss the large ones.
    probability = (np.arange(_MODES) + rng.random(_MODES)) / _MODES
    radius = np.sqrt((1 - probability) ** (-1 / hurst) - 1)
    direction = rng.uniform(0, 2 * math.pi, _MODES)
    phase = rng.uniform(0, 2 * math.pi, _MODES)
    k_along = radius * np.cos(direction) / correlation_length[0]
    k_down = radius * np.sin(direction) / correlation_length[1]
    along, down = np.broadcast_arrays(along, down)
    angle = along[..., None] * k_along + down[..., None] * k_down + phase
    return np.cos(angle).sum(axis=-1) * math.sqrt(2 / _MODES)


def cosine_ramp(value: np.ndarray, start: float, end: float) -> np.ndarray:
    """Rise from 0 at `start` to 1 at `end` as half a cosine; constant outside.

    Parameters
    ----------
    value : numpy.ndarray
        Where to evaluate.
    start, end : float
        Ends of the ramp, in the same unit; ``end < start`` makes it fall. Two
        equal ends make a step.

    Returns
    -------
    numpy.ndarray
        Between 0 and 1.
    """
    if start == end:
        return (np.asarray(value) >= start).astype(float)
    fraction = np.clip((np.asarray(value, float) - start) / (end - start), 0, 1)
    return 0.5 - 0.5 * np.cos(math.pi * fraction)


def depth_taper(fraction: np.ndarray, *, surface: float) -> np.ndarray:
    """Return the share of slip that reaches each depth.

    Falls to nothing over the lowest 40 % of the width, and to `surface` over
    the uppermost 20 % (the shallow slip deficit: Fialko et al. 2005, Nature,
    435, 295-299).

    Parameters
    ----------
    fraction : numpy.ndarray
        Position down dip, 0 at the top edge and 1 at the bottom edge.
    surface : float
        Share at the top edge, 0 (a buried rupture) to 1.

    Returns
    -------
    numpy.ndarray
        Between 0 and 1, the shape of `fraction`.
    """
    top = surface + (1 - surface) * cosine_ramp(fraction, 0.0, 0.2)
    return top * cosine_ramp(fraction, 1.0, 0.6)
