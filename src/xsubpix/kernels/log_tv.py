"""Weighted total variation, reweighted: a field of few, sharp jumps (plain arrays)."""

from __future__ import annotations

import numpy as np

__all__ = ["log_tv"]

#: Gradient, in units of the noise, below which all counts alike.
EPSILON = 0.5
_PASSES = 3
_ITERATIONS = 60


def log_tv(field: np.ndarray, sigma: np.ndarray, strength: float) -> np.ndarray:
    r"""Minimise data misfit plus the log of the gradient, by reweighted total variation.

    .. math:: \sum_x \frac{|d - d_0|^2}{2 \sigma^2}
        + \lambda \sum_x \log\left(\frac{|\nabla d|}{\sigma} + \epsilon\right)

    The log is majorised by its tangent: each pass minimises total variation with
    weights :math:`\lambda / (|\nabla d| + \epsilon \sigma)` from the pass before
    (Candes, Wakin & Boyd 2008); the first takes the gradient for that of noise
    alone, so that it prefers no place. One length of gradient for both components, so
    that they jump together.

    Parameters
    ----------
    field : numpy.ndarray
        Components, shape (2, rows, cols); NaN is missing, and stays.
    sigma : numpy.ndarray
        Noise of one component, shape (rows, cols), above zero, same unit.
    strength : float
        :math:`\lambda`.

    Returns
    -------
    numpy.ndarray of float32
        Shape (2, rows, cols).
    """
    known = np.isfinite(field).all(0) & (sigma > 0)
    if not known.any():
        return field.astype(np.float32)
    scale = np.where(known, sigma, 1.0).astype(np.float32)
    unit = np.float32(np.median(scale[known]))
    scale /= unit
    data = np.where(known, field / unit, 0.0).astype(np.float32)
    fidelity = np.where(known, scale**-2, 0.0).astype(np.float32)
    # Differences to the right and down, only between values that are there.
    across = np.zeros_like(scale)
    down = np.zeros_like(scale)
    across[:, :-1] = known[:, :-1] & known[:, 1:]
    down[:-1] = known[:-1] & known[1:]
    links = np.stack([across, down])
    out = data
    weight = np.float32(strength) / (scale * np.float32(1.0 + EPSILON))
    for _ in range(_PASSES):
        out = _weighted_tv(data, fidelity, weight, links, out)
        slope = np.sqrt((_gradient(out, links) ** 2).sum((0, 1)))
        weight = np.float32(strength) / (slope + np.float32(EPSILON) * scale)
    return np.where(known, out * unit, np.nan).astype(np.float32)


def _gradient(u: np.ndarray, links: np.ndarray) -> np.ndarray:
    """Forward differences, shape (2 directions, 2 components, rows, cols)."""
    out = np.zeros((2, *u.shape), np.float32)
    out[0, ..., :-1] = u[..., 1:] - u[..., :-1]
    out[1, :, :-1] = u[:, 1:] - u[:, :-1]
    return out * links[:, None]


def _divergence(p: np.ndarray, links: np.ndarray) -> np.ndarray:
    """Minus the adjoint of `_gradient`."""
    p = p * links[:, None]
    out = p[0] + p[1]
    out[..., 1:] -= p[0, ..., :-1]
    out[:, 1:] -= p[1, :, :-1]
    return out


def _weighted_tv(
    data: np.ndarray, fidelity: np.ndarray, weight: np.ndarray, links: np.ndarray, start: np.ndarray
) -> np.ndarray:
    """Minimum of sum fidelity |u - data|^2 / 2 + sum weight |grad u| (Chambolle & Pock 2011).

    Steps shrink as the problem's convexity allows (their algorithm 2); the norm
    of the gradient squared is at most 8.
    """
    primal, dual = np.float32(0.35), np.float32(0.35)
    u = start.copy()
    ahead = u.copy()
    p = np.zeros((2, *u.shape), np.float32)
    convexity = np.float32(0.5 * np.median(fidelity[fidelity > 0]))
    for _ in range(_ITERATIONS):
        p += dual * _gradient(ahead, links)
        size = np.sqrt((p**2).sum((0, 1)))
        p /= np.maximum(1.0, size / np.maximum(weight, 1e-12))
        before = u
        u = u + primal * _divergence(p, links)
        u = (u + primal * fidelity * data) / (1.0 + primal * fidelity)
        theta = 1.0 / np.sqrt(1.0 + convexity * primal)
        primal, dual = primal * theta, dual / theta
        ahead = u + theta * (u - before)
    return u
