"""Layers that the published networks share."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["concat", "conv", "deconv", "flow_head", "initialise", "upsample_flow"]

SLOPE = 0.1


def conv(channels: int, out: int, stride: int = 1, kernel: int = 3) -> nn.Sequential:
    """Convolution with bias, padded to keep the size (or halve it), and LeakyReLU(0.1)."""
    return nn.Sequential(
        nn.Conv2d(channels, out, kernel, stride, kernel // 2),
        nn.LeakyReLU(SLOPE, inplace=True),
    )


def deconv(channels: int, out: int) -> nn.Sequential:
    """Transposed 4 x 4 convolution of stride 2 without bias, and LeakyReLU(0.1)."""
    return nn.Sequential(
        nn.ConvTranspose2d(channels, out, 4, 2, 1, bias=False),
        nn.LeakyReLU(SLOPE, inplace=True),
    )


def flow_head(channels: int, *, bias: bool = False) -> nn.Conv2d:
    """Convolution to the two components of a flow."""
    return nn.Conv2d(channels, 2, 3, 1, 1, bias=bias)


def upsample_flow(*, bias: bool = False) -> nn.ConvTranspose2d:
    """Learned doubling of a flow's grid: transposed 4 x 4 convolution of stride 2."""
    return nn.ConvTranspose2d(2, 2, 4, 2, 1, bias=bias)


def initialise(network: nn.Module) -> None:
    """Kaiming's normal weights for LeakyReLU(0.1), zero biases."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(module.weight, a=SLOPE)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def concat(*parts: torch.Tensor) -> torch.Tensor:
    """Join tensors along the channels."""
    return torch.cat(parts, 1)
