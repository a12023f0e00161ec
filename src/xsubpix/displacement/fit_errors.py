"""Errors of linear fits to values whose noise is correlated in space (plain arrays).

Neighbouring values of a correlator share most of their windows: a thousand of
them may be worth thirty. What a fit's residuals say of their own correlation gives the
error of the fit, without a model of the noise.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

__all__ = ["Noise", "Sample", "estimate_noise"]

# Correlation below which noise counts as independent, and farthest lag looked at.
_FLOOR = 0.05
_FARTHEST = 48
# The residuals' correlation converges to the noise's in so many rounds.
_ROUNDS = 4
_FEW = 6


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
        from scipy.fft import irfft2, next_fast_len, rfft2

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

    def absorbed(self, sample: Sample, lag: int) -> np.ndarray:
        """Sums of products, by lag, that the residuals of a fit lack: (2 lag + 1, 2 lag + 1).

        With R the correlation of the noise and H the fit's projection, residuals have
        the covariance (I - H) R (I - H)^T; this is R minus that, summed over all pairs of
        values at each lag.
        """
        parts = [
            sample.lagged(x, missing, lag)
            for x, missing in zip(sample.design.T, self._missing(sample), strict=True)
        ]
        return np.sum(parts, axis=0)

    def _missing(self, sample: Sample) -> np.ndarray:
        """2 R A^T - X A R A^T, transposed, of a fit X with estimator A: shape (p, n)."""
        spread = np.stack([self.smeared(sample, a) for a in sample.estimator])
        return 2.0 * spread - (sample.design @ (spread @ sample.estimator.T)).T

    def smeared(self, sample: Sample, values: np.ndarray) -> np.ndarray:
        """The correlation matrix times values at the pixels of a sample."""
        from scipy.signal import fftconvolve

        grid = sample.grid(values)
        out = fftconvolve(grid, self.correlation, mode="same") if self.lag else grid
        return out[sample.rows - sample.rows.min(), sample.cols - sample.cols.min()]

    def absorbed_share(self, sample: Sample) -> float:
        """Share of the noise's variance that the fit takes up, so residuals lack it."""
        absorbed = float((sample.design.T * self._missing(sample)).sum())
        return min(absorbed / len(sample.residuals), 0.9)

    def scale(self, sample: Sample) -> float:
        """Standard deviation of the noise, from the residuals of a fit."""
        variance = float(np.mean(sample.residuals**2))
        return float(np.sqrt(variance / (1.0 - self.absorbed_share(sample))))


def estimate_noise(samples: Sequence[Sample]) -> Noise:
    """Correlation of the noise, pooled over the residuals of many fits.

    Means over rings of lags, up to where they fall below 0.05. A fit takes up part of
    the noise, mostly what is correlated over long distances; how much at each
    lag follows from the correlation itself, so it is added back in rounds.

    Parameters
    ----------
    samples : sequence of Sample
        One or more.

    Returns
    -------
    Noise
    """
    lag = int(min(_FARTHEST, max(np.ptp(s.rows) + np.ptp(s.cols) for s in samples) // 3 + 1))
    y, x = np.indices((2 * lag + 1, 2 * lag + 1)) - lag
    ring = np.rint(np.hypot(y, x)).astype(int)
    inside = ring <= lag

    def rings(products: np.ndarray) -> np.ndarray:
        return np.bincount(ring[inside], products[inside], lag + 1)

    total, count = np.zeros(lag + 1), np.zeros(lag + 1)
    for s in samples:
        unit = s.residuals / (np.sqrt(np.mean(s.residuals**2)) or 1.0)
        ones = np.ones_like(unit)
        total += rings(s.lagged(unit, unit, lag))
        count += rings(s.lagged(ones, ones, lag))
    # What fits take up is much the same for all: some say it.
    few = samples[:: max(1, len(samples) // _FEW)]
    share = len(samples) / len(few)
    seen = count > 0.5
    noise = Noise(np.ones((1, 1)))
    for _ in range(_ROUNDS):
        absorbed = share * np.sum([rings(noise.absorbed(s, lag)) for s in few], axis=0)
        scale = (count[0] - absorbed[0]) / (total[0] or 1.0)
        profile = np.divide(scale * total + absorbed, count, out=np.zeros(lag + 1), where=seen)
        below = np.flatnonzero(profile < _FLOOR)
        radius = max(1, int(below[0]) if below.size else lag)
        profile[radius:], profile[0] = 0.0, 1.0
        full = np.where(inside, profile[np.minimum(ring, lag)], 0.0)
        cut = slice(lag - radius + 1, lag + radius)
        noise = Noise(full[cut, cut])
    return noise
