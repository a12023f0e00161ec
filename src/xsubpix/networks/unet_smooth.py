"""The U-Net of the first releases: for small motion of smooth, elastic ground."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import nn

from .base import Flow, FlowNetwork, scaled
from .box import Box
from .normalise import gradient_direction
from .unet import Workspace, convolutions
from .warping import double, warp_back

__all__ = ["SmoothUNet"]

# Pixels of the input around what is asked for that each step sees. What lies beyond
# changes the result by less than 0.001 px rms on changed ground (``benchmarks/bench_networks.py``).
_CONTEXTS = (448, 256, 192, 128)


class SmoothUNet(FlowNetwork):
    """A small U-Net that corrects a flow, at 1/4, 1/2, 1 and 1 of the resolution.

    It learned from elastic ruptures of up to 4 px alone. Where the ground is elastic and
    moved by less, its field is smoother than that of ``unet``, and its error on real
    second dates two thirds as large; what is rough is blurred, and larger motion is wrong.

    At each level `post` is brought back by the flow so far (bicubic) and the U-Net sees
    `pre`, `post`, the directions of their gradients and the flow.

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

    name: ClassVar[str] = "unet-smooth"
    description: ClassVar[str] = "U-Net for small motion of elastic ground"
    multiple: ClassVar[int] = 64
    context: ClassVar[int] = 448

    def __init__(self, width: float = 1.0, levels: tuple[int, ...] = (4, 2, 1, 1)) -> None:
        super().__init__(width=width, levels=list(levels))
        self.levels = tuple(levels)
        c1, c2, c3, c4 = (scaled(c, width) for c in (32, 64, 96, 128))
        self.enter = convolutions(4 * 8, c1)
        pairs = ((c1, c2), (c2, c3), (c3, c4))
        self.down = nn.ModuleList([convolutions(a, b, 2) for a, b in pairs])
        self.up = nn.ModuleList([convolutions(b + a, a) for a, b in reversed(pairs)])
        self.leave = nn.Conv2d(c1, 4 * 3, 3, padding=1)
        self._workspace = Workspace()
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
        return self._steps(pre, post, [Box.whole(pre.shape)] * len(self.levels))

    def predict_box(
        self, pre: tuple[torch.Tensor, ...], post: tuple[torch.Tensor, ...], box: Box
    ) -> Flow:
        """See :meth:`FlowNetwork.predict_box`.

        A step at a quarter of the resolution needs four times the context of one at
        full resolution, and costs a sixteenth: every step sees no more around the
        part that is asked for than it needs.
        """
        one, two = self.inputs(pre), self.inputs(post)
        boxes = []
        for k, level in enumerate(self.levels):
            context = _CONTEXTS[k] if k < len(_CONTEXTS) else _CONTEXTS[-1]
            # Whole blocks of the U-Net's deepest layer at this level.
            boxes.append(box.grown(context, one.shape, multiple=16 * level))
        last = self._steps(one, two, boxes)[-1]
        assert last.log_spread is not None
        here = box.within(boxes[-1]).slices
        return Flow(last.flow[here], last.log_spread[here], 1)

    def _steps(self, pre: torch.Tensor, post: torch.Tensor, boxes: list[Box]) -> list[Flow]:
        """All steps, each on its box of the images; a box lies within the one before."""
        before, after = {1: pre}, {1: post}
        for images in (before, after):
            reduction = 1
            while reduction < max(self.levels):
                images[2 * reduction] = F.avg_pool2d(images[reduction], 2)
                reduction *= 2
        outer = boxes[0]
        at = self.levels[0]
        flow = pre.new_zeros((len(pre), 2, *outer.reduced(at).shape))
        out = []
        for level, box in zip(self.levels, boxes, strict=True):
            # Cut first, so that no more is doubled than is needed.
            flow = flow[box.within(outer).reduced(at).slices].detach()
            outer = box
            while at > level:
                flow, at = double(flow), at // 2
            here = box.reduced(level).slices
            with torch.no_grad():
                moved = warp_back(after[level][here], flow)
            rest, log_spread = self._residual(before[level][here], moved, flow)
            flow = flow + rest
            out.append(Flow(flow * float(level), log_spread + math.log(level), level))
        return out

    def _residual(
        self, pre: torch.Tensor, moved: torch.Tensor, flow: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Rest of the flow at one level and its spread; pixels of the level."""
        both = torch.cat((pre, moved), 1)
        parts = [both, gradient_direction(both), flow]
        kind = both.device.type
        if torch.is_autocast_enabled(kind):
            # As the first convolution would, but before the copies: half of the bytes.
            parts = [part.to(torch.get_autocast_dtype(kind)) for part in parts]
        # Channels last before blocks become channels: torch is twice as fast in that order.
        x = torch.cat(parts, 1).contiguous(memory_format=torch.channels_last)
        x = self.enter(F.pixel_unshuffle(x, 2))
        skips = [x]
        for down in self.down:
            skips.append(down(skips[-1]))
        x = skips.pop()
        for up in self.up:
            wide = F.interpolate(x, scale_factor=2, mode="nearest")
            x = up(self._workspace.joined(wide, skips.pop()))
        # In bfloat16, rounding here is most of what neighbouring windows would differ by.
        with torch.autocast(kind, enabled=False):
            y = F.pixel_shuffle(self.leave(x.float()), 2)
        return y[:, :2], y[:, 2:].clamp(-8.0, 6.0)
