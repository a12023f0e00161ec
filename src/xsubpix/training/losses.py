"""Losses that training minimises."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F

from ..networks.base import Flow
from .samples import BEYOND

__all__ = ["Loss", "end_point_error", "flow_loss", "gain_error", "near_jumps", "pooled"]

# Keeps the gradient of the end-point error finite at 0, pixels; and that of its powers.
_SMOOTH, _SOFT = 1e-3, 1e-2
# Errors that predictions of these reductions and below cannot mend, and the largest that
# the spread is fitted to, pixels.
_FAR, _FINE, _LARGEST = 4.0, 2, 16.0
# A change between neighbours that is a fault, and how far what is near to it reaches, pixels.
JUMP, NEAR = 0.03, 8
# Sides of the squares in which the gain is looked at, and changes of the truth in them that
# are too small to tell a gain by, pixels.
_SQUARES, _FAINT = (32, 64, 128), 0.05


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
    side = 2 * NEAR + 1
    rows = F.max_pool2d(jump.to(target.dtype), (side, 1), 1, (NEAR, 0))
    return F.max_pool2d(rows, (1, side), 1, (0, NEAR))


def end_point_error(flow: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Length of the difference of two flows, shape ``(n, 1, h, w)``."""
    return ((flow - target).square().sum(1, keepdim=True) + _SMOOTH**2).sqrt()


def gain_error(flow: torch.Tensor, target: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Measure how much smaller or larger than the truth a flow's changes are.

    In squares of 32, 64 and 128 px: the size of the slope of the line of error
    on truth, both less their means there. Whoever lowers the error of single
    pixels makes displacements smaller where the images are noisy, and the more
    so, the smaller they are; across a fault this is a bias of its offset.
    Over a square the noise averages out and the bias stays.

    Parameters
    ----------
    flow, target : torch.Tensor
        Shape ``(n, 2, h, w)``, pixels.
    known : torch.Tensor of bool
        Shape ``(n, 1, h, w)``.

    Returns
    -------
    torch.Tensor
        Scalar, a mean over the squares in which the truth changes: 0 is a gain of 1.
    """
    share = known.to(flow.dtype)
    truth = torch.where(known, target, 0.0)
    error = torch.where(known, flow - target, 0.0)
    parts = torch.cat(
        (share, truth, error, (truth * error).sum(1, True), truth.square().sum(1, True)), 1
    )
    total, weight = flow.new_zeros(()), flow.new_zeros(())
    for side in _SQUARES:
        down, across = (n // side for n in flow.shape[-2:])
        # Not avg_pool2d: it adds the 16384 values of a square one by one, in single precision.
        means = parts[..., : down * side, : across * side].unflatten(-2, (down, side))
        means = means.unflatten(-1, (across, side)).mean((-3, -1))
        there = means[:, :1].clamp_min(1e-6)
        means = means[:, 1:] / there
        mean, wrong = means[:, :2], means[:, 2:4]
        covariance = means[:, 4:5] - (mean * wrong).sum(1, True)
        variance = (means[:, 5:] - mean.square().sum(1, True)).clamp_min(0)
        half = there >= 0.5
        weighed = variance + _FAINT**2
        total = total + torch.where(half, covariance.abs() / weighed, 0.0).sum()
        weight = weight + torch.where(half, variance / weighed, 0.0).sum()
    return total / weight.clamp_min(1.0)


def flow_loss(
    predictions: list[Flow],
    target: torch.Tensor,
    *,
    decay: float = 0.7,
    spread_weight: float = 0.05,
    near_weight: float = 0.0,
    gain_weight: float = 0.0,
    power: float = 1.0,
    reach: float = BEYOND,
    far_weight: float = 1.0,
) -> Loss:
    """Weighted end-point errors of all predictions, and the likelihood of their spread.

    Prediction i of n weighs ``decay ** (n - i)``. The spread b is fitted by the
    negative log-likelihood ``r / b + 2 ln b`` of the density
    ``exp(-r / b) / (2 pi b^2)`` of the end-point error r. No gradient passes
    through r there: a network cannot lower its error where it is easy at the
    cost of where it is hard, which the joint likelihood rewards.

    Displacements beyond `reach` count for the spread alone, and errors count for it up
    to `reach` or 16 px: of what cannot be found, a network learns to say that it does
    not know.

    Parameters
    ----------
    predictions : list of Flow
    target : torch.Tensor
        Shape ``(n, 2, h, w)``, dx and dy in pixels; NaN is unknown.
    decay, spread_weight : float
    near_weight : float
        What pixels within 8 px of a jump of the truth weigh more: ``1 +
        near_weight``. They are few, and what faults are measured by.
    gain_weight : float
        Weight of :func:`gain_error` of the predictions at full resolution.
    power : float
        Exponent of the end-point errors: below 1, errors of many pixels do not drown
        those of hundredths.
    reach : float
        Largest displacement along an axis that is asked for, pixels.
    far_weight : float
        Weight of errors above 4 px away from jumps, in the predictions at full and half
        resolution, which cannot mend them.

    Returns
    -------
    Loss

    Examples
    --------
    >>> import torch
    >>> from xsubpix.networks.base import Flow
    >>> still = Flow(torch.zeros(1, 2, 8, 8), None, 1)
    >>> loss = flow_loss([still], torch.full((1, 2, 8, 8), 3.0))
    >>> round(float(loss.epe), 2)
    4.24
    """
    zero = target.new_zeros(())
    total, epe, spread = zero, zero, zero
    near = near_weight * near_jumps(target)
    for k, prediction in enumerate(predictions):
        scale = prediction.scale
        truth, known = pooled(target, scale)
        flow = prediction.flow.float()
        error = end_point_error(flow, truth)
        asked = known & (truth.abs().amax(1, keepdim=True) <= reach)
        epe = torch.where(asked, error, 0.0).sum() / asked.sum().clamp_min(1)
        part = epe
        if near_weight or power != 1 or far_weight != 1:
            weight = torch.ones_like(error)
            if near_weight:
                weight = 1 + (near if scale == 1 else F.avg_pool2d(near, scale))
            if far_weight != 1 and scale <= _FINE:
                far = (error.detach() > _FAR) & (weight < 1 + near_weight / 4)
                weight = weight * torch.where(far, far_weight, 1.0)
            weight = torch.where(asked, weight, 0.0)
            cost = error if power == 1 else (error.square() + _SOFT**2).pow(power / 2)
            part = torch.where(asked, cost * weight, 0.0).sum() / weight.sum().clamp_min(1)
        if gain_weight and scale == 1:
            part = part + gain_weight * gain_error(flow, truth, asked)
        if prediction.log_spread is not None:
            log_b = prediction.log_spread.float()
            unlikely = (
                error.detach().clamp_max(min(reach, _LARGEST)) * torch.exp(-log_b) + 2 * log_b
            )
            spread = torch.where(known, unlikely, 0.0).sum() / known.sum().clamp_min(1)
            part = part + spread_weight * spread
        total = total + decay ** (len(predictions) - 1 - k) * part
    return Loss(total, epe, spread)
