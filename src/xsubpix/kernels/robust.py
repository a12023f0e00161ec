"""Linear fits that outliers do not move."""

from __future__ import annotations

import dataclasses

import numpy as np

__all__ = ["Fit", "huber_fit", "nmad"]

#: Residuals beyond so many deviations weigh less: 95 % efficient on normal noise (Huber 1964).
HUBER = 1.345
_ROUNDS = 30
# Deviation of normal noise from its median absolute deviation.
_NORMAL = 1.4826


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
    """Normalised median absolute deviation about the median, NaN left out."""
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
