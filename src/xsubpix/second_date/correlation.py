"""Correlation of real pairs by the time between their dates."""

from __future__ import annotations

import numpy as np

__all__ = ["CORRELATION_AT_GAP", "correlation_at_gap"]

#: Mean local correlation (32 px) of real pairs by the days between them: quantiles 0.05, 0.25,
#: 0.5, 0.75, 0.95 of the pairs of ``sentinel2_romania.nc`` (bands B3, B4, B8, misregistration
#: removed), to 500 days; beyond that, where that place was being cleared, joined with the six
#: bands of ``nanjing`` and ``taizhou``.
CORRELATION_AT_GAP: dict[int, tuple[float, float, float, float, float]] = {
    6: (0.52, 0.81, 0.95, 0.98, 0.99),
    22: (0.46, 0.71, 0.87, 0.95, 0.98),
    52: (0.37, 0.59, 0.74, 0.87, 0.94),
    125: (0.20, 0.34, 0.58, 0.70, 0.82),
    320: (0.18, 0.36, 0.50, 0.64, 0.79),
    900: (0.12, 0.28, 0.45, 0.60, 0.75),
}


def correlation_at_gap(days: float, rng: np.random.Generator) -> float:
    """Draw the mean local correlation of a pair that is `days` apart.

    Parameters
    ----------
    days : float
        Time between the dates, days; positive.
    rng : numpy.random.Generator

    Returns
    -------
    float
        From the quantiles of :data:`CORRELATION_AT_GAP`, interpolated in the
        logarithm of the days, and held at both ends.

    Examples
    --------
    >>> import numpy as np
    >>> 0.18 <= correlation_at_gap(320.0, np.random.default_rng(0)) <= 0.79
    True
    """
    gaps = np.log(list(CORRELATION_AT_GAP))
    table = np.array(list(CORRELATION_AT_GAP.values()))
    quantiles = [np.interp(np.log(max(days, 1e-3)), gaps, column) for column in table.T]
    return float(np.interp(rng.uniform(0.05, 0.95), (0.05, 0.25, 0.5, 0.75, 0.95), quantiles))
