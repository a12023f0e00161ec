"""Variograms of noise on a grid: how unlike values are by their distance (plain arrays)."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np

__all__ = ["Variogram", "empirical_variogram", "fit_variogram"]

# Median of squared differences of normal values over their mean, Dowd (1984).
_DOWD = 2.198
# Least pairs in a ring that is believed.
_LEAST = 30


@dataclasses.dataclass(frozen=True)
class Variogram:
    r"""Exponential or Gaussian variogram with a nugget.

    .. math:: \gamma(d) = n + s \, (1 - e^{-3 (d / r)^p})

    Attributes
    ----------
    nugget, sill, reach : float
        n and s, squared unit of the values, and r, at which 95 % of the sill is reached,
        unit of the distances.
    power : float
        p: 1 exponential, 2 Gaussian.
    """

    nugget: float
    sill: float
    reach: float
    power: float = 1.0

    def __call__(self, distance: np.ndarray) -> np.ndarray:
        """Half the mean square difference of values so far apart."""
        return np.asarray(self.nugget + self.covariance(np.zeros(())) - self.covariance(distance))

    def covariance(self, distance: np.ndarray) -> np.ndarray:
        """Covariance of what is correlated; without the nugget."""
        scaled = (np.asarray(distance) / self.reach) ** self.power
        return np.asarray(self.sill * np.exp(-3.0 * scaled))


def empirical_variogram(
    rows: np.ndarray,
    cols: np.ndarray,
    values: np.ndarray,
    edges: np.ndarray,
    *,
    seed: int = 0,
    pairs: int = 20_000,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    r"""Robust variogram of values at pixels, from random pairs in rings of distance.

    .. math:: 2 \gamma = 2.198 \; \mathrm{median}(|v_i - v_j|)^2

    Parameters
    ----------
    rows, cols : numpy.ndarray of int, shape (n,)
    values : numpy.ndarray, shape (n,)
        Finite.
    edges : numpy.ndarray, shape (k + 1,)
        Bounds of the rings, pixels.
    seed : int
        Of the pairs drawn.
    pairs : int
        Drawn in each ring.

    Returns
    -------
    distance, gamma, count : numpy.ndarray, shape (k,)
        Mean distance, NaN where fewer than 30 pairs fell on values, and pairs.

    References
    ----------
    Dowd, P. A. (1984). The variogram and kriging: robust and resistant estimators. In
    Geostatistics for natural resources characterization, 91-106.
    """
    rng = np.random.default_rng(seed)
    shape = int(rows.max()) + 1, int(cols.max()) + 1
    index = np.full(shape, -1, np.int64)
    index[rows, cols] = np.arange(rows.size)
    distance, gamma, count = (np.full(len(edges) - 1, np.nan) for _ in range(3))
    for k, (low, high) in enumerate(itertools.pairwise(edges)):
        one = rng.integers(0, rows.size, pairs)
        length, turn = rng.uniform(low, high, pairs), rng.uniform(0, 2 * math.pi, pairs)
        down = np.rint(rows[one] + length * np.sin(turn)).astype(int)
        right = np.rint(cols[one] + length * np.cos(turn)).astype(int)
        within = (down >= 0) & (down < shape[0]) & (right >= 0) & (right < shape[1])
        one, down, right = one[within], down[within], right[within]
        two = index[down, right]
        known = (two >= 0) & (two != one)
        one, two = one[known], two[known]
        count[k] = one.size
        if one.size < _LEAST:
            continue
        apart = np.hypot(rows[one] - rows[two], cols[one] - cols[two])
        distance[k] = apart.mean()
        gamma[k] = 0.5 * _DOWD * float(np.median(np.abs(values[one] - values[two]))) ** 2
    return distance, gamma, count


def fit_variogram(distance: np.ndarray, gamma: np.ndarray, count: np.ndarray) -> Variogram:
    """Fit the better of an exponential and a Gaussian variogram, weighted by the rings' pairs."""
    from scipy.optimize import least_squares

    good = np.isfinite(gamma) & (count > 0)
    if good.sum() < 3:
        level = float(np.nanmean(gamma[good])) if good.any() else math.nan
        return Variogram(level, 0.0, 1.0)
    d, g = distance[good], gamma[good]
    top = float(g.max()) or 1e-12
    weight = np.sqrt(count[good] / count[good].max()) / (0.1 * top + g)

    def misfit(p: np.ndarray, power: float) -> np.ndarray:
        return weight * (p[0] + p[1] * (1 - np.exp(-3 * (d / p[2]) ** power)) - g)

    starts = [float(d[0]) * 2, float(np.median(d)), float(d[-1])]
    fits = [
        (
            power,
            least_squares(
                misfit,
                [0.2 * top, 0.8 * top, reach],
                args=(power,),
                bounds=([0.0, 0.0, 0.3 * float(d[0])], [2 * top, 4 * top, 3 * float(d[-1])]),
            ),
        )
        for power in (1.0, 2.0)
        for reach in starts
    ]
    power, best = min(fits, key=lambda fit: fit[1].cost)
    nugget, sill, reach = (float(v) for v in best.x)
    return Variogram(nugget, sill, reach, power)
