"""Ours: one small U-Net shared by the levels of an image pyramid."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import nn

from .base import Flow, FlowNetwork, scaled
from .normalise import gradient_direction
from .warping import double, warp_back

__all__ = ["PyramidUNet"]


class PyramidUNet(FlowNetwork):
    """A small U-Net that corrects a flow, applied at 1/4, 1/2, 1 and 1 of the resolution.

    At each level `post` is brought back by the flow so far (bicubic) and the
    U-Net sees `pre`, `post`, the directions of their gradients and the flow; it
    returns what is left of the flow, and its spread. The same weights serve all
    levels: a rupture of 2 px at full resolution is one of half a pixel at a
    quarter of it. The flow is detached between levels.

    The U-Net works on blocks of 2 x 2 pixels: they become channels before its
    first convolution and pixels again after its last. No resolution is lost,
    and its widest layers run on a quarter of the pixels.

    Parameters
    ----------
    width : float
        Multiplies the channels 32, 64, 96, 128 of the U-Net's levels.
    levels : tuple of int
        Reductions of the images, in the order in which they are gone through.

    References
    ----------
    The pyramid with a shared corrector is that of Ranjan & Black (2017,
    doi:10.1109/CVPR.2017.291) with the weights shared as by Hur & Roth (2019,
    doi:10.1109/CVPR.2019.00590); the U-Net is Ronneberger et al.'s (2015,
    doi:10.1007/978-3-319-24574-4_28).
    """

    name: ClassVar[str] = "unet"
    description: ClassVar[str] = "U-Net shared by the levels of an image pyramid"
    multiple: ClassVar[int] = 64
    context: ClassVar[int] = 64

    def __init__(self, width: float = 1.0, levels: tuple[int, ...] = (4, 2, 1, 1)) -> None:
        super().__init__(width=width, levels=list(levels))
        self.levels = tuple(levels)
        c1, c2, c3, c4 = (scaled(c, width) for c in (32, 64, 96, 128))
        self.enter = _block(4 * 8, c1)
        self.down = nn.ModuleList([_block(a, b, 2) for a, b in ((c1, c2), (c2, c3), (c3, c4))])
        self.up = nn.ModuleList([_block(a + b, b) for a, b in ((c4, c3), (c3, c2), (c2, c1))])
        self.leave = nn.Conv2d(c1, 4 * 3, 3, padding=1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, a=0.1)
                assert module.bias is not None
                nn.init.zeros_(module.bias)
        # The first flows are small, and spread as far as flows are likely to be wrong.
        with torch.no_grad():
            self.leave.weight *= 0.1

    def forward(self, pre: torch.Tensor, post: torch.Tensor) -> list[Flow]:
        """See :meth:`FlowNetwork.forward`."""
        before, after = {1: pre}, {1: post}
        for images in (before, after):
            for k in range(1, max(self.levels)):
                if 2 * k <= max(self.levels) and k in images:
                    images[2 * k] = F.avg_pool2d(images[k], 2)
        flow: torch.Tensor | None = None
        at = self.levels[0]
        out = []
        for level in self.levels:
            if flow is None:
                n, _, height, width = before[level].shape
                flow = pre.new_zeros((n, 2, height, width))
            while at > level:
                flow, at = double(flow), at // 2
            flow = flow.detach()
            with torch.no_grad():
                moved = warp_back(after[level], flow)
            rest, log_spread = self.correct(before[level], moved, flow)
            flow = flow + rest
            scale = float(level)
            out.append(Flow(flow * scale, log_spread + float(torch.tensor(scale).log()), level))
        return out

    def correct(
        self, pre: torch.Tensor, moved: torch.Tensor, flow: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """What is left of the flow at one level, and its spread; pixels of the level."""
        both = torch.cat((pre, moved), 1)
        x = F.pixel_unshuffle(torch.cat((both, gradient_direction(both), flow), 1), 2)
        x = self.enter(x.contiguous(memory_format=torch.channels_last))
        skips = [x]
        for down in self.down:
            skips.append(down(skips[-1]))
        x = skips.pop()
        for up in self.up:
            x = F.interpolate(x, scale_factor=2, mode="nearest")
            x = up(torch.cat((x, skips.pop()), 1))
        y = F.pixel_shuffle(self.leave(x).float(), 2)
        return y[:, :2], y[:, 2:].clamp(-8.0, 6.0)


def _block(channels: int, out: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, out, 3, stride, 1),
        nn.LeakyReLU(0.1, inplace=True),
        nn.Conv2d(out, out, 3, 1, 1),
        nn.LeakyReLU(0.1, inplace=True),
    )
