"""Flows of its neighbours that a pixel is offered beside a step."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from ..kernels.local_correlation_torch import box_mean_torch

__all__ = ["EVERY", "enlarged", "extreme_flows", "mismatch", "neighbouring_flows", "thinned"]

# Side of the square in which images are compared under a flow, pixels.
_SQUARE = 7
# Neighbours to either side whose flow a pixel is offered, and by how much flows must differ.
_NEIGHBOURS, _DIFFERENT = 2, 1.0

#: Distance of the pixels whose flows are looked at, pixels of a level.
EVERY = 4


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
    few = thinned(flow)
    if min(few.shape[-2:]) < 1:
        return None
    span, *ends = extreme_flows(few, _NEIGHBOURS)
    different = span > _DIFFERENT
    # On a GPU the question would stop its queue; there the answer is always computed.
    if flow.device.type == "cpu" and not bool(different.any()):
        return None
    near = enlarged(different.to(flow.dtype), height, width) > 0
    most, least = (torch.where(near, enlarged(end, height, width), flow) for end in ends)
    return most, least


def extreme_flows(
    flow: torch.Tensor, reach: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Flows where the component that varies more around a pixel is largest, and least.

    Parameters
    ----------
    flow : torch.Tensor
        Shape ``(n, 2, h, w)``.
    reach : int
        Rows and columns to either side that are looked at.

    Returns
    -------
    span, most, least : torch.Tensor
        Difference of that component, shape ``(n, 1, h, w)``; and the flows there,
        ``(n, 2, h, w)``.
    """
    side = 2 * reach + 1
    largest, largest_at = F.max_pool2d(flow, side, 1, reach, return_indices=True)
    smallest, smallest_at = F.max_pool2d(-flow, side, 1, reach, return_indices=True)
    spans = largest + smallest
    which = (spans[:, 1:] > spans[:, :1]).long()

    def taken(places: torch.Tensor) -> torch.Tensor:
        at = places.gather(1, which).flatten(2).expand(-1, 2, -1)
        return flow.flatten(2).gather(2, at).view_as(flow)

    return spans.amax(1, keepdim=True), taken(largest_at), taken(smallest_at)


def thinned(flow: torch.Tensor) -> torch.Tensor:
    """Values of every fourth pixel of every fourth row."""
    return flow[..., EVERY // 2 :: EVERY, EVERY // 2 :: EVERY].contiguous()


def enlarged(values: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Values that were :func:`thinned`, at all pixels of so many rows and columns."""
    fine = F.interpolate(values, scale_factor=EVERY, mode="nearest")
    padding = (0, max(0, width - fine.shape[-1]), 0, max(0, height - fine.shape[-2]))
    return F.pad(fine, padding, mode="replicate")[..., :height, :width]
