"""Linear fits that outliers do not move: planes, polynomials and what else is linear."""

from __future__ import annotations

import dataclasses

import numpy as np

__all__ = ["Fit", "biweight_fit", "huber_fit", "nmad", "polynomial_terms"]

#: Residuals beyond so many deviations weigh less: 95 % efficient on normal noise (Huber 1964).
HUBER = 1.345
_ROUNDS = 30
# Deviation of normal noise from its median absolute deviation.
_NORMAL = 1.4826
# Median length of a two-dimensional normal scatter, in deviations: sqrt(2 ln 2).
_MEDIAN_LENGTH = 1.177
#: Residuals beyond so many deviations do not count: 93 % efficient (Beaton & Tukey 1974).
BIWEIGHT = 4.0
_BIWEIGHT_ROUNDS = 20
# Least scatter that residuals are measured by, unit of the values.
_LEAST_SCATTER = 1e-4


@dataclasses.dataclass(frozen=True)
class Fit:
    """A linear fit.

    Attributes
    ----------
    coefficients : numpy.ndarray, shape (p,)
    residuals : numpy.ndarray, shape (n,)
    influence : numpy.ndarray, shape (n,)
        Residuals as they count: cut at 1.345 deviations, and divided by the share
        that was not cut. The error of the coefficients is to first order that of a
        least-squares fit to these (Huber 1964).
    scale : float
        Robust standard deviation of the residuals.
    """

    coefficients: np.ndarray
    residuals: np.ndarray
    influence: np.ndarray
    scale: float


def nmad(values: np.ndarray) -> float:
    r"""Normalised median absolute deviation about the median.

    .. math:: 1.4826 \cdot \mathrm{median}_i |v_i - \mathrm{median}_j v_j|,

    the standard deviation of normal values (Hampel 1974).

    Parameters
    ----------
    values : numpy.ndarray
        Any shape and unit; NaN is left out.

    Returns
    -------
    float
        Same unit; NaN where there is no value.

    References
    ----------
    Hampel, F. R. (1974). The influence curve and its role in robust estimation. Journal of
    the American Statistical Association 69, 383-393.
    """
    finite = np.asarray(values, float)[np.isfinite(values)]
    if finite.size == 0:
        return float("nan")
    return _NORMAL * float(np.median(np.abs(finite - np.median(finite))))


def huber_fit(design: np.ndarray, values: np.ndarray, weights: np.ndarray | None = None) -> Fit:
    """Fit ``values ~ design @ coefficients`` under Huber's loss.

    Iteratively reweighted least squares (Holland & Welsch 1977) with the scale
    from the residuals' median absolute deviation, refreshed each round.

    Parameters
    ----------
    design : numpy.ndarray, shape (n, p)
        Of full rank, n of p or more.
    values : numpy.ndarray, shape (n,)
        Finite.
    weights : numpy.ndarray, shape (n,), optional
        Inverse variances, up to a factor.

    Returns
    -------
    Fit

    References
    ----------
    Holland, P. W. & Welsch, R. E. (1977). Robust regression using iteratively
    reweighted least-squares. Communications in Statistics 6, 813-827.
    """
    given = np.ones(values.size) if weights is None else weights / np.mean(weights)
    current, last = given, np.full(design.shape[1], np.inf)
    coefficients, residuals, scale = last, values, 0.0
    for _ in range(_ROUNDS):
        root = np.sqrt(current)
        coefficients = np.linalg.lstsq(design * root[:, None], values * root, rcond=None)[0]
        residuals = values - design @ coefficients
        standard = residuals * np.sqrt(given)
        scale = _NORMAL * float(np.median(np.abs(standard)))
        if scale == 0.0 or np.allclose(coefficients, last, rtol=1e-9, atol=1e-4 * scale):
            break
        last = coefficients
        current = given * np.minimum(1.0, HUBER * scale / np.maximum(np.abs(standard), 1e-300))
    kept = np.abs(residuals) * np.sqrt(given) <= max(HUBER * scale, 1e-300)
    influence = residuals * current / given / max(float(kept.mean()), 0.1)
    return Fit(coefficients, residuals, influence, scale)


def biweight_fit(
    design: np.ndarray, values: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, float]:
    r"""Fit ``values ~ design @ coefficients`` to two components at once, by Tukey's biweight.

    Iteratively reweighted least squares from the medians, with the weights

    .. math:: w_i \max(0, 1 - (r_i / 4 s)^2)^2,

    r the length of a residual over both components and s its scatter: what lies beyond
    4 s does not count at all.

    Parameters
    ----------
    design : numpy.ndarray
        Shape (n, p), of full rank; its first column is 1.
    values : numpy.ndarray
        Shape (n, 2), finite, any unit of the order of 1.
    weights : numpy.ndarray
        Shape (n,), not negative.

    Returns
    -------
    coefficients : numpy.ndarray
        Shape (p, 2).
    scatter : float
        Standard deviation of one component about the fit, from the median length of the
        residuals; 1e-4 at least.

    References
    ----------
    Beaton, A. E. & Tukey, J. W. (1974). The fitting of power series, meaning polynomials,
    illustrated on band-spectroscopic data. Technometrics 16, 147-185.
    """
    coefficients = np.zeros((design.shape[1], 2))
    coefficients[0] = np.median(values, axis=0)
    scatter = 0.0
    for _ in range(_BIWEIGHT_ROUNDS):
        length = np.hypot(*(values - design @ coefficients).T)
        scatter = max(float(np.median(length)) / _MEDIAN_LENGTH, _LEAST_SCATTER)
        robust = weights * np.clip(1 - (length / (BIWEIGHT * scatter)) ** 2, 0, None) ** 2
        root = np.sqrt(robust)[:, None]
        coefficients = np.linalg.lstsq(root * design, root * values, rcond=None)[0]
    return coefficients, scatter


def polynomial_terms(u: np.ndarray, v: np.ndarray, degree: int) -> np.ndarray:
    """Monomials of two coordinates, up to a total degree.

    Parameters
    ----------
    u, v : numpy.ndarray
        Coordinates, best scaled to -1 to 1; shapes that broadcast to one.
    degree : int
        0 for a constant, 1 for a plane, 2 for a quadratic surface.

    Returns
    -------
    numpy.ndarray
        Shape (terms, ...): 1, u, v, u^2, u v, v^2, ..., ``(degree + 1)(degree + 2) / 2`` terms.
    """
    u, v = np.broadcast_arrays(u, v)
    return np.stack([u ** (n - p) * v**p for n in range(degree + 1) for p in range(n + 1)])
