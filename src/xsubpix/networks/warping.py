"""Bringing the second image back along a flow, inside of networks."""

from __future__ import annotations

import torch
import torch.nn.functional as F

__all__ = ["double", "warp_back"]


def warp_back(images: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
    """Sample images at ``(x + dx, y + dy)``, bicubic; the border's value beyond the border.

    Parameters
    ----------
    images : torch.Tensor of float32
        Shape ``(n, c, h, w)``.
    flow : torch.Tensor of float32
        Shape ``(n, 2, h, w)``: dx to the right and dy down, pixels.

    Returns
    -------
    torch.Tensor of float32
        Shape ``(n, c, h, w)``: what lay at each place of ``pre``, if it moved by `flow`.
    """
    height, width = images.shape[-2:]
    rows = torch.arange(height, dtype=flow.dtype, device=flow.device)[None, :, None]
    cols = torch.arange(width, dtype=flow.dtype, device=flow.device)[None, None, :]
    x = (cols + flow[:, 0]) * (2 / max(width - 1, 1)) - 1
    y = (rows + flow[:, 1]) * (2 / max(height - 1, 1)) - 1
    return F.grid_sample(
        images, torch.stack((x, y), -1), mode="bicubic", padding_mode="border", align_corners=True
    )


def double(flow: torch.Tensor) -> torch.Tensor:
    """A flow on a grid of twice the size, in its pixels: places and lengths double."""
    return 2 * F.interpolate(flow, scale_factor=2, mode="bilinear", align_corners=False)
