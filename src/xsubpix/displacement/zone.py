"""The width of a fault zone, from the passage of one side's motion to the other's."""

from __future__ import annotations

import math

import numpy as np

__all__ = ["fit_zone"]

# Between its 10th and its 90th percentile a normal distribution is so wide.
_WIDTH_OF_80_PERCENT = 2 * 1.2815515655446004
_BINS = 81


def fit_zone(
    distance: np.ndarray, share: np.ndarray, reach: float, near: float
) -> tuple[float, float]:
    """Fit a cumulative normal distribution to the passage from 0 to 1.

    Parameters
    ----------
    distance : numpy.ndarray, shape (n,)
        Distance to the right of the trace, metres.
    share : numpy.ndarray, shape (n,)
        0 where the ground moves as the left side, 1 as the right; noisy; NaN left out.
    reach : float
        Farthest distance, metres.
    near : float
        Distance from the centre within which motion is on the fault, metres.

    Returns
    -------
    width, off_fault : float
        Metres between 10 and 90 % of the passage; share of it beyond `near` from
        its centre, 0 to 1. NaN where there is nothing to fit.
    """
    from scipy.optimize import least_squares
    from scipy.special import ndtr

    valid = np.isfinite(share)
    if valid.sum() < 8:
        return math.nan, math.nan
    edges = np.linspace(-reach, reach, _BINS + 1)
    index = np.clip(np.digitize(distance[valid], edges) - 1, 0, _BINS - 1)
    values = share[valid]
    bins = [np.flatnonzero(index == k) for k in range(_BINS)]
    filled = [b for b in bins if b.size]
    at = np.array([distance[valid][b].mean() for b in filled])
    medians = np.array([np.median(values[b]) for b in filled])
    weight = np.sqrt([b.size for b in filled])

    def misfit(p: np.ndarray) -> np.ndarray:
        return weight * (ndtr((at - p[0]) / math.exp(p[1])) - medians)

    fits = [
        least_squares(
            misfit,
            [0.0, math.log(start)],
            bounds=([-0.5 * reach, math.log(1e-3 * reach)], [0.5 * reach, math.log(reach)]),
            loss="soft_l1",
            f_scale=0.1 * float(weight.max()),
        )
        for start in (0.02 * reach, 0.2 * reach)
    ]
    best = min(fits, key=lambda fit: fit.cost)
    deviation = math.exp(best.x[1])
    return _WIDTH_OF_80_PERCENT * deviation, float(2 * ndtr(-near / deviation))
