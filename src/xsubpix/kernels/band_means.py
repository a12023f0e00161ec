"""One field from those of several bands: weights, what falls out, and what errors share."""

from __future__ import annotations

import numpy as np

__all__ = ["combine_fields"]

# A band farther from the median of the others than so many deviations falls out. Errors have long
# tails: with four, too many bands that are right fell out (benchmarks/bench_bands.py).
LIMIT = 6.0
# A value farther from its surroundings than so many deviations falls out, where few bands are sure.
LIMIT_AROUND = 4.0
# Share of sure values around a place below which one band is trusted no less than another.
LEAST_SHARE = 0.03
# Median of the squared length of a two-dimensional normal scatter, in variances of a component.
_MEDIAN_SQUARE = 2 * np.log(2)


def combine_fields(
    east: np.ndarray, north: np.ndarray, sigma: np.ndarray, sure: np.ndarray, *, window: int
) -> tuple[np.ndarray, ...]:
    r"""Combine the fields of several bands into one.

    With :math:`p_i` the share of the sure values of band i in the window, :math:`m_i` the median
    of the other bands, weighted by :math:`p_i^2`,

    .. math:: w_i = p_i^2 \sigma_i^{-2} \big(1 - (|d_i - m_i| / 6 \tau_i)^2\big)_+^2, \quad
        \tau_i^2 = f (\sigma_i^2 + \mathrm{var}\,m_i),

    Tukey's biweight: a band that is six deviations off falls out. The factor f, one or more,
    is what the bands at this place have in the median: sigma that is too small by much does
    not drop them all. Of three bands, whose other two have no median, :math:`m_i` is the
    median of all.

    Haze makes several bands wrong in one way: their flags say so, and by :math:`p_i` they do
    not outvote the others. Where fewer than three bands are sure, :math:`m_i` is the mean of the
    places in the window where three are, and its variance is added to :math:`\sigma_i^2`. Of
    the sure bands those that leave their surroundings fall out; where all do, of all bands;
    where all of these do, none.

    The differences of bands tell what they do not share: if errors of any two correlate by
    :math:`\rho`, then :math:`|d_i - d_j|^2` has the mean
    :math:`2 (1 - \rho) (\sigma_i^2 + \sigma_j^2)`. So
    :math:`u = 1 - \rho` is the median of this ratio over all pairs of bands that count,
    averaged over the window, and the variance of the weighted mean, with weights of sum 1,

    .. math:: \sigma^2 = (1 - \rho) \sum_i w_i^2 \sigma_i^2 + \rho \big(\sum_i w_i \sigma_i\big)^2.

    Where bands differ by more than their sigma says (u > 1), :math:`\rho = 0` and the variance
    is u times that of independent bands.

    Parameters
    ----------
    east, north, sigma : numpy.ndarray
        Shape ``(bands, rows, columns)``; one unit. NaN is missing.
    sure : numpy.ndarray of bool
        Same shape: values that count; where no band is sure, all that are known do.
    window : int
        Side of the windows over which shares and shared errors are averaged, values, odd.

    Returns
    -------
    east, north, sigma : numpy.ndarray of float64
        Shape ``(rows, columns)``.
    shared : numpy.ndarray of float64
        The correlation rho, 0 to 1; NaN where fewer than two bands count.
    weights : numpy.ndarray of float64
        Shape ``(bands, rows, columns)``, of sum 1 where there is a value.
    """
    known = np.isfinite(east) & np.isfinite(north)
    trust = _trust(known, sure, window)
    sure = known & sure
    used = np.where(sure.any(0), sure, known)
    everything = np.where(known, np.stack((east, north)).astype(np.float64), np.nan)
    field = np.where(used, everything, np.nan)
    own = _own_variance(sigma, field, used)
    count = used.sum(0)
    square = ((field - _centres(field, trust, count)) ** 2).sum(0)
    # Variance of a median of n - 1 normal values: pi / 2 of that of their mean.
    mean_variance = np.where(used, own, 0.0).sum(0) / np.maximum(count, 1)
    of_median = np.where(count > 2, np.pi / 2, 1.0) * mean_variance / np.maximum(count - 1, 1)
    ratio = np.where(used, square / (own + of_median), np.nan)
    typical = np.maximum(_median(ratio[None], trust)[0] / _MEDIAN_SQUARE, 1.0)
    bisquare = _bisquare(ratio / np.nan_to_num(typical, nan=1.0), LIMIT)
    # Of two bands nobody knows which is wrong; where all contradict each other, neither.
    judged = (count > 2) & (np.where(used, bisquare, 0.0).sum(0) > 0)
    weight = np.where(used, np.where(judged, bisquare, 1.0) / own, 0.0) * trust
    firm = sure.sum(0) >= min(3, len(sure))
    if firm.any() and not firm.all():
        near = _like_surroundings(everything, own, weight, firm, window) * trust / own
        for part in (near, near * sure):
            weight = np.where(~firm & (part.sum(0) > 0), part, weight)
    total = weight.sum(0)
    any_used = total > 0
    weight = weight / np.where(any_used, total, 1.0)
    mean = np.where(any_used, (weight * np.nan_to_num(everything)).sum(1), np.nan)
    apart = _unshared(everything, own, weight > 0, window)
    deviation = np.sqrt(own)
    rho = np.clip(1.0 - apart, 0.0, 1.0)
    independent = np.maximum(1.0 - rho, np.where(apart > 1.0, apart, 0.0))
    alone = np.isnan(apart)  # one band, whose own sigma it is
    rho, independent = np.where(alone, 0.0, rho), np.where(alone, 1.0, independent)
    total_variance = independent * (weight**2 * own).sum(0)
    total_variance += rho * (weight * deviation).sum(0) ** 2
    spread = np.where(any_used, np.sqrt(total_variance), np.nan)
    return mean[0], mean[1], spread, np.where(alone, np.nan, rho), weight


def _own_variance(sigma: np.ndarray, field: np.ndarray, used: np.ndarray) -> np.ndarray:
    """Variance of each value by its model; the bands' scatter where a model states none."""
    variance = np.where(np.isfinite(sigma) & (sigma > 0), sigma, np.nan).astype(np.float64) ** 2
    count = used.sum(0)
    mean = np.nansum(field, 1) / np.maximum(count, 1)
    scatter = np.nansum((field - mean[:, None]) ** 2, (0, 1)) / 2 / np.maximum(count - 1, 1)
    floor = np.where(scatter > 0, scatter, 1.0)
    return np.where(np.isfinite(variance), variance, floor)


def _trust(known: np.ndarray, sure: np.ndarray, window: int) -> np.ndarray:
    """Square of the share of each band's values around a place that are sure."""
    share = _window_mean(np.where(known, sure, np.nan).astype(np.float64), window)
    return np.maximum(np.nan_to_num(share), LEAST_SHARE) ** 2


def _bisquare(ratio: np.ndarray, limit: float) -> np.ndarray:
    """Tukey's weight of a squared distance in variances; 0 where there is none."""
    return np.nan_to_num(np.maximum(1.0 - ratio / limit**2, 0.0) ** 2)


def _like_surroundings(
    field: np.ndarray, own: np.ndarray, weight: np.ndarray, firm: np.ndarray, window: int
) -> np.ndarray:
    """Tukey's weight of each value by its distance from the mean of firm places around it."""
    total = np.where(firm, weight.sum(0), np.nan)
    mean = (weight * np.nan_to_num(field)).sum(1) / np.where(total > 0, total, np.nan)
    centre = _window_mean(mean, window)
    scatter = (_window_mean(mean**2, window) - centre**2).sum(0) / 2
    square = ((field - centre[:, None]) ** 2).sum(0)
    return _bisquare(square / (own + np.maximum(scatter, 0.0)), LIMIT_AROUND)


def _centres(field: np.ndarray, trust: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Median of all other bands at each value, of all where there are three."""
    out = np.full(field.shape, np.nan)
    for k in range(field.shape[1] if field.shape[1] > 1 else 0):
        out[:, k] = _median(np.delete(field, k, axis=1), np.delete(trust, k, axis=0))
    return np.where(count == 3, _median(field, trust)[:, None], out)


def _median(field: np.ndarray, trust: np.ndarray) -> np.ndarray:
    """Weighted median over the bands, ``(n, bands, rows, columns)`` to ``(n, rows, columns)``.

    Of the values at which half of the weight is reached and passed, the mean.
    """
    order = np.argsort(field, axis=1)  # NaN last
    ordered = np.take_along_axis(field, order, axis=1)
    weight = np.where(np.isfinite(field), trust, 0.0)
    reached = np.cumsum(np.take_along_axis(weight, order, axis=1), axis=1)
    half = reached[:, -1:] / 2
    # Sums of equal weights are equal but for rounding.
    indices = ((reached >= share * half).argmax(1)[:, None] for share in (1 - 1e-9, 1 + 1e-9))
    one, two = (np.take_along_axis(ordered, index, axis=1)[:, 0] for index in indices)
    return (one + two) / 2


def _unshared(field: np.ndarray, own: np.ndarray, counts: np.ndarray, window: int) -> np.ndarray:
    """Share of the variance that bands do not have in common; NaN where one band counts."""
    ratios = []
    for i in range(len(own)):
        for j in range(i):
            both = counts[i] & counts[j]
            square = ((field[:, i] - field[:, j]) ** 2).sum(0)
            ratios.append(np.where(both, square / (2 * (own[i] + own[j])), np.nan))
    if not ratios:
        return np.full(own.shape[1:], np.nan)
    return _window_mean(np.stack(ratios), window, together=True)


def _window_mean(values: np.ndarray, window: int, *, together: bool = False) -> np.ndarray:
    """Mean of what is finite around each place, of each layer or of all together."""
    from scipy.ndimage import uniform_filter

    known = np.isfinite(values)
    filled = np.where(known, values, 0.0)
    share = known.astype(np.float64)
    if together:
        filled, share = filled.sum(0), share.sum(0)
    size = (1,) * (filled.ndim - 2) + (window, window)
    total, number = (uniform_filter(part, size, mode="constant") for part in (filled, share))
    there = number > 0.5 / window**2
    return np.where(there, total / np.where(there, number, 1.0), np.nan)
