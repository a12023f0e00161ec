"""What training minimises."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F

from ..networks.base import Flow

__all__ = ["Loss", "end_point_error", "flow_loss", "near_jumps", "pooled"]

# Keeps the gradient of the end-point error finite at 0, pixels.
_SMOOTH = 1e-3
# A change between neighbours that is a fault, and how far what is near to it reaches, pixels.
JUMP, NEAR = 0.03, 8


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


def near_jumps(target: torch.Tensor) -> torch.Tensor:
    """1 within 8 px of where a flow jumps by more than 0.03 px between neighbours, else 0.

    Shape ``(n, 1, h, w)``. Between unknown values there is no jump.
    """
    across = F.pad((target[..., 1:] - target[..., :-1]).abs(), (0, 1))
    down = F.pad((target[..., 1:, :] - target[..., :-1, :]).abs(), (0, 0, 0, 1))
    jump = torch.maximum(across, down).nan_to_num(0.0).amax(1, keepdim=True) > JUMP
    return F.max_pool2d(jump.to(target.dtype), 2 * NEAR + 1, 1, NEAR)


def end_point_error(flow: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Length of the difference of two flows, shape ``(n, 1, h, w)``."""
    return ((flow - target).square().sum(1, keepdim=True) + _SMOOTH**2).sqrt()


def flow_loss(
    predictions: list[Flow],
    target: torch.Tensor,
    *,
    decay: float = 0.7,
    spread_weight: float = 0.05,
    near_weight: float = 0.0,
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
    near_weight : float
        What pixels within 8 px of a jump of the truth weigh more: ``1 +
        near_weight``. They are few, and what faults are measured by.

    Returns
    -------
    Loss
    """
    zero = target.new_zeros(())
    total, epe, spread = zero, zero, zero
    near = near_weight * near_jumps(target)
    for k, prediction in enumerate(predictions):
        truth, known = pooled(target, prediction.scale)
        count = known.sum().clamp_min(1)
        error = end_point_error(prediction.flow.float(), truth)
        epe = torch.where(known, error, 0.0).sum() / count
        part = epe
        if near_weight:
            weight = 1 + (near if prediction.scale == 1 else F.avg_pool2d(near, prediction.scale))
            weight = torch.where(known, weight, 0.0)
            part = torch.where(known, error * weight, 0.0).sum() / weight.sum().clamp_min(1)
        if prediction.log_spread is not None:
            log_b = prediction.log_spread.float()
            unlikely = error.detach() * torch.exp(-log_b) + 2 * log_b
            spread = torch.where(known, unlikely, 0.0).sum() / count
            part = part + spread_weight * spread
        total = total + decay ** (len(predictions) - 1 - k) * part
    return Loss(total, epe, spread)
