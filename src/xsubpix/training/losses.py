"""What training minimises."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F

from ..networks.base import Flow

__all__ = ["Loss", "end_point_error", "flow_loss", "pooled"]

# Keeps the gradient of the end-point error finite at 0, pixels.
_SMOOTH = 1e-3


class Loss(NamedTuple):
    """A loss and what one watches.

    Attributes
    ----------
    total : torch.Tensor
        Scalar, to be minimised.
    epe : torch.Tensor
        Scalar: mean end-point error of the last prediction, pixels.
    spread : torch.Tensor
        Scalar: mean negative log-likelihood of the last prediction's errors,
        0 where a network predicts no spread.
    """

    total: torch.Tensor
    epe: torch.Tensor
    spread: torch.Tensor


def pooled(target: torch.Tensor, scale: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean of the known values of a target in blocks of ``scale`` x ``scale`` pixels.

    Parameters
    ----------
    target : torch.Tensor
        Shape ``(n, 2, h, w)``; NaN is unknown.
    scale : int

    Returns
    -------
    mean : torch.Tensor
        Shape ``(n, 2, h / scale, w / scale)``, 0 where unknown.
    known : torch.Tensor of bool
        Shape ``(n, 1, h / scale, w / scale)``: at least half of a block was.
    """
    known = torch.isfinite(target).all(1, keepdim=True)
    clean = torch.where(known, target, 0.0)
    if scale == 1:
        return clean, known
    share = F.avg_pool2d(known.to(clean.dtype), scale)
    return F.avg_pool2d(clean, scale) / share.clamp_min(1e-6), share >= 0.5


def end_point_error(flow: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Length of the difference of two flows, shape ``(n, 1, h, w)``."""
    return ((flow - target).square().sum(1, keepdim=True) + _SMOOTH**2).sqrt()


def flow_loss(
    predictions: list[Flow],
    target: torch.Tensor,
    *,
    decay: float = 0.7,
    spread_weight: float = 0.05,
) -> Loss:
    """Weighted end-point errors of all predictions, and the likelihood of their spread.

    Prediction i of n weighs ``decay ** (n - i)``. The spread b is fitted by the
    negative log-likelihood ``r / b + 2 ln b`` of the density
    ``exp(-r / b) / (2 pi b^2)`` of the end-point error r. No gradient passes
    through r there: a network cannot lower its error where it is easy at the
    cost of where it is hard, which the joint likelihood rewards.

    Parameters
    ----------
    predictions : list of Flow
    target : torch.Tensor
        Shape ``(n, 2, h, w)``, dx and dy in pixels; NaN is unknown.
    decay, spread_weight : float

    Returns
    -------
    Loss
    """
    zero = target.new_zeros(())
    total, epe, spread = zero, zero, zero
    for k, prediction in enumerate(predictions):
        truth, known = pooled(target, prediction.scale)
        count = known.sum().clamp_min(1)
        error = end_point_error(prediction.flow.float(), truth)
        epe = torch.where(known, error, 0.0).sum() / count
        part = epe
        if prediction.log_spread is not None:
            log_b = prediction.log_spread.float()
            unlikely = error.detach() * torch.exp(-log_b) + 2 * log_b
            spread = torch.where(known, unlikely, 0.0).sum() / count
            part = part + spread_weight * spread
        total = total + decay ** (len(predictions) - 1 - k) * part
    return Loss(total, epe, spread)
