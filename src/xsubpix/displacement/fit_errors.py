"""Errors of linear fits to values whose noise is correlated in space (plain arrays).

Neighbouring values of a correlator share most of their windows: a thousand of
them may be worth thirty. What a fit's residuals say of their own correlation gives the
error of the fit, without a model of the noise.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from scipy.fft import irfft2, next_fast_len, rfft2

__all__ = ["Noise", "Sample", "estimate_noise"]

# Correlation below which noise counts as independent, and farthest lag looked at.
_FLOOR = 0.05
_FARTHEST = 48
# Bias of the residuals' own correlation shrinks by each round.
_ROUNDS = 3


@dataclasses.dataclass(frozen=True)
class Sample:
    """A linear fit to values on pixels: all that its error needs.

    Attributes
    ----------
    rows, cols : numpy.ndarray of int, shape (n,)
    design : numpy.ndarray, shape (n, p)
    estimator : numpy.ndarray, shape (p, n)
        Error of the coefficients = estimator @ residuals, to first order.
    residuals : numpy.ndarray, shape (n,)
        As they count in a robust fit: Huber's psi over the mean of its slope.
    """

    rows: np.ndarray
    cols: np.ndarray
    design: np.ndarray
    estimator: np.ndarray
    residuals: np.ndarray

    def grid(self, values: np.ndarray) -> np.ndarray:
        """Values at their pixels, zero elsewhere."""
        row, col = self.rows - self.rows.min(), self.cols - self.cols.min()
        out = np.zeros((row.max() + 1, col.max() + 1))
        out[row, col] = values
        return out

    def lagged(self, one: np.ndarray, two: np.ndarray, lag: int) -> np.ndarray:
        """Sums of products at all lags up to `lag`: shape (2 lag + 1, 2 lag + 1)."""
        a, b = self.grid(one), self.grid(two)
        lag_y, lag_x = (min(lag, n - 1) for n in a.shape)
        shape = [
            next_fast_len(n + m + 1, real=True)
            for n, m in zip(a.shape, (lag_y, lag_x), strict=True)
        ]
        product = irfft2(np.conj(rfft2(a, shape)) * rfft2(b, shape), shape)
        out = np.zeros((2 * lag + 1, 2 * lag + 1))
        at_y, at_x = np.arange(-lag_y, lag_y + 1), np.arange(-lag_x, lag_x + 1)
        out[np.ix_(at_y + lag, at_x + lag)] = product[np.ix_(at_y, at_x)]
        return out


@dataclasses.dataclass(frozen=True)
class Noise:
    """Isotropic correlation of noise by distance in pixels.

    Attributes
    ----------
    correlation : numpy.ndarray, shape (2 lag + 1, 2 lag + 1)
        1 at the centre.
    """

    correlation: np.ndarray

    @property
    def lag(self) -> int:
        """Farthest lag, pixels."""
        return len(self.correlation) // 2

    @property
    def area(self) -> float:
        """Pixels that are worth one independent value."""
        return max(1.0, float(self.correlation.sum()))

    def covariance(self, sample: Sample, one: np.ndarray, two: np.ndarray) -> float:
        """Covariance of two linear forms of unit noise at the pixels of a sample."""
        return float((sample.lagged(one, two, self.lag) * self.correlation).sum())

    def lost(self, sample: Sample) -> float:
        """Share of the noise's variance that the fit takes up, so residuals lack it."""
        taken = sum(
            self.covariance(sample, x, a)
            for x, a in zip(sample.design.T, sample.estimator, strict=True)
        )
        return min(taken / len(sample.residuals), 0.9)

    def scale(self, sample: Sample) -> float:
        """Standard deviation of the noise, from the residuals of a fit."""
        variance = float(np.mean(sample.residuals**2))
        return float(np.sqrt(variance / (1.0 - self.lost(sample))))


def estimate_noise(samples: Sequence[Sample]) -> Noise:
    """Correlation of the noise, pooled over the residuals of many fits.

    Means over rings of lags, up to where they fall below 0.05. Residuals sum to
    about zero over each fit, which lowers all their correlations by the share that the
    fit took up: that is added back, in rounds.

    Parameters
    ----------
    samples : sequence of Sample
        One or more.

    Returns
    -------
    Noise
    """
    lag = int(min(_FARTHEST, max(np.ptp(s.rows) + np.ptp(s.cols) for s in samples) // 3 + 1))
    size = 2 * lag + 1
    products, pairs = np.zeros((size, size)), np.zeros((size, size))
    for s in samples:
        unit = s.residuals / (np.sqrt(np.mean(s.residuals**2)) or 1.0)
        ones = np.ones_like(unit)
        products += s.lagged(unit, unit, lag)
        pairs += s.lagged(ones, ones, lag)
    y, x = np.indices((size, size)) - lag
    ring = np.rint(np.hypot(y, x)).astype(int)
    inside = ring <= lag
    total = np.bincount(ring[inside], products[inside], lag + 1)
    count = np.bincount(ring[inside], pairs[inside], lag + 1)
    measured = np.divide(total, count, out=np.zeros(lag + 1), where=count > 0.5)
    measured = measured / (measured[0] or 1.0)
    noise = Noise(np.ones((1, 1)))
    for _ in range(_ROUNDS):
        lost = float(np.mean([noise.lost(s) for s in samples[:: max(1, len(samples) // 16)]]))
        corrected = measured * (1.0 - lost) + lost
        below = np.flatnonzero(corrected < _FLOOR + lost)
        radius = int(below[0]) if below.size else lag
        profile = np.where(np.arange(lag + 1) < radius, corrected, 0.0)
        profile[0] = 1.0
        full = np.where(inside, profile[np.minimum(ring, lag)], 0.0)
        cut = slice(lag - radius, lag + radius + 1)
        noise = Noise(full[cut, cut])
    return noise
