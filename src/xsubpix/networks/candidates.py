"""Flows of its neighbours that a pixel is offered beside a step."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from ..kernels.local_correlation_torch import box_mean_torch
from .normalise import gradient_direction
from .warping import warp_spline

__all__ = ["choose_side", "mismatch", "neighbouring_flows"]

# Side of the square in which images are compared under a flow, pixels.
_SQUARE = 7
# Distance of the neighbours whose flow a pixel is offered, two to either side, pixels of a
# level, and by how much flows must differ there.
_NEIGHBOURS, _DIFFERENT = 4, 1.0
# Sides of a step: by how many pixels they differ at least; how much better a side must match
# than the flow of the pixel itself; how much a mismatch counts, and the neighbours' choice;
# rounds of asking them; how clear the choice is in the end.
_STEP, _OWN, _SHARP, _TOGETHER, _ASKED, _CLEAR = 3.0, 0.1, 16.0, 3.0, 3, 8.0


def mismatch(pre: torch.Tensor, moved: torch.Tensor) -> torch.Tensor:
    """Mean square around each pixel of what two images and their gradients differ by.

    Parameters
    ----------
    pre, moved : torch.Tensor
        Shape ``(n, 3, h, w)``: normalised images, 0 where missing, and the directions of
        their gradients (:func:`~xsubpix.networks.normalise.gradient_direction`).

    Returns
    -------
    torch.Tensor
        Shape ``(n, 1, h, w)``; of images that have nothing in common about 2.
    """
    return box_mean_torch((pre - moved).square_().mean(1, keepdim=True), _SQUARE)


def neighbouring_flows(flow: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor] | None:
    """The two most different flows within some pixels of each pixel.

    Of the component (dx or dy) that varies more around a pixel, the flows of the
    neighbours where it is largest and where it is least, of every fourth pixel of
    every fourth row.

    Parameters
    ----------
    flow : torch.Tensor
        Shape ``(n, 2, h, w)``, pixels.

    Returns
    -------
    two torch.Tensor, or None
        Shape ``(n, 2, h, w)`` each; the pixel's own flow where flows around it differ
        by less than a pixel. None where they do so nowhere.
    """
    height, width = flow.shape[-2:]
    few = flow[..., _NEIGHBOURS // 2 :: _NEIGHBOURS, _NEIGHBOURS // 2 :: _NEIGHBOURS].contiguous()
    if min(few.shape[-2:]) < 1:
        return None
    most, most_at = F.max_pool2d(few, 5, 1, 2, return_indices=True)
    least, least_at = F.max_pool2d(-few, 5, 1, 2, return_indices=True)
    spans = most + least
    different = spans.amax(1, keepdim=True) > _DIFFERENT
    # On a GPU the question would stop its queue; there the answer is always computed.
    if flow.device.type == "cpu" and not bool(different.any()):
        return None
    which = (spans[:, 1:] > spans[:, :1]).long()

    near = _enlarged(different.to(flow.dtype), height, width) > 0
    out = []
    for places in (most_at, least_at):
        at = places.gather(1, which).flatten(2)
        taken = torch.gather(few.flatten(2), 2, at.expand(-1, 2, -1)).view_as(few)
        out.append(torch.where(near, _enlarged(taken, height, width), flow))
    return out[0], out[1]


def choose_side(
    pre: torch.Tensor, source: torch.Tensor, flow: torch.Tensor, radius: int
) -> torch.Tensor:
    """Flow where pixels near a large step have that side's whose image matches best.

    Coarse levels leave a ramp between the two sides of a rupture, as wide as their pixels.
    Each pixel is offered the two most different flows at `radius` around it, which lie
    beyond the ramp. It keeps its own unless windows of 3/4 `radius` match clearly better
    under one of them; neighbours that choose alike are preferred, by some rounds of the
    mean-field approximation of a Potts model.

    Parameters
    ----------
    pre : torch.Tensor
        Shape ``(n, 1, h, w)``: normalised first images, 0 where missing.
    source : torch.Tensor
        Coefficients of the second images, of
        :func:`~xsubpix.networks.warping.spline_coefficients`.
    flow : torch.Tensor
        Shape ``(n, 2, h, w)``, pixels.
    radius : int
        Distance of the flows that are offered, pixels, a multiple of 4.

    Returns
    -------
    torch.Tensor
        Shape ``(n, 2, h, w)``; the same tensor where no flows differ by 3 px.
    """
    sides = _sides(flow, radius)
    if sides is None:
        return flow
    one, other, near = sides
    window = radius * 3 // 4 // 2 * 2 + 1
    direction = gradient_direction(pre)

    def wrong(candidate: torch.Tensor) -> torch.Tensor:
        moved = gradient_direction(warp_spline(source, candidate))
        return box_mean_torch((direction - moved).square_().mean(1, keepdim=True), window)

    mismatches = torch.cat((wrong(flow) - _OWN, wrong(one), wrong(other)), 1)
    likely = -_SHARP * mismatches
    # A flow between the sides speaks for the one that it is nearer to.
    step = one - other
    part = ((flow - other) * step).sum(1, keepdim=True)
    part = (part / step.square().sum(1, keepdim=True).clamp_min(1e-6)).clamp_(0, 1)
    belief = torch.softmax(likely, 1)
    for _ in range(_ASKED):
        own = belief[:, :1]
        both = torch.cat((belief[:, 1:2] + own * part, belief[:, 2:] + own * (1 - part)), 1)
        around = box_mean_torch(both, window)
        here = around[:, :1] * part + around[:, 1:] * (1 - part)
        belief = torch.softmax(likely + _TOGETHER * torch.cat((here, around), 1), 1)
    # A little of each rather than a choice outright: what neighbouring tiles differ by stays
    # small.
    share = torch.softmax(_CLEAR * belief, 1) * near
    return flow + share[:, 1:2] * (one - flow) + share[:, 2:] * (other - flow)


def _sides(
    flow: torch.Tensor, radius: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None:
    """Two most different flows at a distance of each pixel, and how clearly they differ."""
    height, width = flow.shape[-2:]
    few = flow[..., _NEIGHBOURS // 2 :: _NEIGHBOURS, _NEIGHBOURS // 2 :: _NEIGHBOURS]
    if min(few.shape[-2:]) < 1:
        return None
    far = radius // _NEIGHBOURS
    rows, cols = few.shape[-2:]
    padded = F.pad(few, (far,) * 4, mode="replicate")
    around = torch.stack(
        [
            padded[..., i : i + rows, j : j + cols]
            for i in (0, far, 2 * far)
            for j in (0, far, 2 * far)
            if (i, j) != (far, far)
        ],
        1,
    )
    most, least = around.max(1), around.min(1)
    spans = most.values - least.values
    near = (spans.amax(1, keepdim=True) - _STEP).clamp_(0, 1)
    # On a GPU the question would stop its queue; there the answer is always computed.
    if flow.device.type == "cpu" and not bool((near > 0).any()):
        return None
    which = (spans[:, 1:] > spans[:, :1]).long()

    def taken(indices: torch.Tensor) -> torch.Tensor:
        at = indices.gather(1, which)[:, None].expand(-1, -1, 2, -1, -1)
        return _enlarged(around.gather(1, at)[:, 0], height, width)

    return taken(most.indices), taken(least.indices), _enlarged(near, height, width)


def _enlarged(values: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Values of every fourth pixel of every fourth row, at all pixels."""
    fine = F.interpolate(values, scale_factor=_NEIGHBOURS, mode="nearest")
    padding = (0, max(0, width - fine.shape[-1]), 0, max(0, height - fine.shape[-2]))
    return F.pad(fine, padding, mode="replicate")[..., :height, :width]
