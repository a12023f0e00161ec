"""Frame of the networks whose one small U-Net is shared by the levels of an image pyramid."""

from __future__ import annotations

import math
import threading
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, cast

import torch
import torch.nn.functional as F
from torch import nn

from .base import Flow, FlowNetwork, scaled
from .box import Box
from .views import ORDERED_VIEWS, Channels, View
from .warping import double

__all__ = ["BLOCK", "PyramidNetwork", "Workspace", "convolutions"]

#: Pixels of a level that the U-Net halves to its deepest layer.
BLOCK = 16


class PyramidNetwork(FlowNetwork):
    """Base of the networks that correct a flow level by level.

    At each level `post` is brought back by the flow so far, and a U-Net with the same
    weights at all levels returns what is left of the flow, and its spread. The flow is
    detached between levels. The U-Net works on blocks of 2 x 2 pixels: they become
    channels before its first convolution and pixels again after its last.

    A subclass says what the U-Net sees (:meth:`observe`), how the images become a pyramid
    (:meth:`pyramid`), and how far each step sees (:meth:`contexts`).

    Parameters
    ----------
    width : float
        Multiplies the channels 32, 64, 96, 128 of the U-Net's levels.
    levels : sequence of int
        Reductions of the images, powers of two, in the order in which they are
        gone through.

    Attributes
    ----------
    channels, outputs : int
        Numbers a pixel that the U-Net takes, and that it returns: the change of dx and
        dy, the logarithm of the spread, and more where a subclass reads it.
    """

    channels: ClassVar[int]
    outputs: ClassVar[int] = 3
    #: Meaning of the numbers that the U-Net takes, and of those that it returns.
    seen: ClassVar[Channels] = Channels()
    returned: ClassVar[Channels] = Channels(vectors=((0, 1),))
    multiple: ClassVar[int] = 64
    #: Pixels around what is asked for that :meth:`denoised` sees.
    denoised_over: ClassVar[int] = 0

    def __init__(self, width: float, levels: Sequence[int]) -> None:
        super().__init__(width=width, levels=list(levels))
        self.levels = tuple(levels)
        c1, c2, c3, c4 = (scaled(c, width) for c in (32, 64, 96, 128))
        self.enter = convolutions(4 * self.channels, c1)
        pairs = ((c1, c2), (c2, c3), (c3, c4))
        self.down = nn.ModuleList([convolutions(a, b, 2) for a, b in pairs])
        self.up = nn.ModuleList([convolutions(b + a, a) for a, b in reversed(pairs)])
        self.leave = nn.Conv2d(c1, 4 * self.outputs, 3, padding=1)
        self._workspace = Workspace()
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, a=0.1)
                assert module.bias is not None
                nn.init.zeros_(module.bias)
        # The first flows are small, and spread as far as flows are likely to be wrong.
        with torch.no_grad():
            self.leave.weight *= 0.1

    # What the networks differ by.

    @abstractmethod
    def pyramid(self, images: Any) -> Sequence[torch.Tensor]:
        """Levels 1, 1/2, 1/4 ... of what :meth:`inputs` returned."""

    @abstractmethod
    def contexts(self) -> list[int]:
        """Pixels of the input around what is asked for that each step sees."""

    @abstractmethod
    def observe(
        self, pre: torch.Tensor, post: torch.Tensor, source: torch.Tensor, flow: torch.Tensor
    ) -> tuple[list[torch.Tensor], torch.Tensor | None]:
        """Input of the U-Net at one level, and what :meth:`change` needs beside its output.

        Parameters
        ----------
        pre, post : torch.Tensor
            Images of the level, shape ``(n, c, h, w)``.
        source : torch.Tensor
            Result of :meth:`source` for `post`.
        flow : torch.Tensor
            Flow so far, shape ``(n, 2, h, w)``, pixels of the level.
        """

    def first(
        self, pre: Sequence[torch.Tensor], post: Sequence[torch.Tensor], box: Box
    ) -> torch.Tensor:
        """Flow that the first step begins with, pixels of its level: none.

        Parameters
        ----------
        pre, post : sequence of torch.Tensor
            Pyramids, shape ``(n, c, h, w)`` each level.
        box : Box
            Part of the images that the first step sees.
        """
        return pre[0].new_zeros((len(pre[0]), 2, *box.reduced(self.levels[0]).shape))

    def source(self, post: torch.Tensor) -> torch.Tensor:
        """Form of `post` that is sampled, made once a level: as it is."""
        return post

    def source_within(self, source: torch.Tensor, box: Box) -> torch.Tensor:
        """Part of :meth:`source` that shows a box of the level."""
        return source[box.slices]

    def sharpened(
        self, pre: torch.Tensor, source: torch.Tensor, flow: torch.Tensor, level: int
    ) -> torch.Tensor:
        """Flow that a level begins with, pixels of it: as it came from the level before."""
        return flow

    def first_convolution(self, images: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """Convolve blocks of 2 x 2 pixels of images ``(n, c, h, w)``: half of their resolution.

        Weights ``(out, 4 c, 3, 3)``; the bias is that of the layer.
        """
        return F.conv2d(F.pixel_unshuffle(images, 2), weight, self._first.bias, padding=1)

    def denoised(
        self, pre: torch.Tensor, post: torch.Tensor, flow: torch.Tensor, log_spread: torch.Tensor
    ) -> torch.Tensor:
        """Flow of the last step without noise: as it is. Images of full resolution."""
        return flow

    def change(self, output: torch.Tensor, beside: torch.Tensor | None) -> torch.Tensor:
        """Change of the flow, pixels of the level, from what the U-Net returned."""
        return output[:, :2]

    # What they share.

    def forward(self, pre: Any, post: Any) -> list[Flow]:
        """See :meth:`FlowNetwork.forward`."""
        one, two = self.pyramid(pre), self.pyramid(post)
        return self._steps(one, two, [Box.whole(one[0].shape)] * len(self.levels))

    def predict_box(
        self,
        pre: tuple[torch.Tensor, ...],
        post: tuple[torch.Tensor, ...],
        box: Box,
        views: int = 1,
    ) -> Flow:
        """See :meth:`FlowNetwork.predict_box`.

        A step at a quarter of the resolution needs four times the context of one at
        full resolution, and costs a sixteenth: every step sees no more around the
        part that is asked for than it needs.
        """
        one, two = (self.pyramid(self.inputs(images)) for images in (pre, post))
        # Whole blocks of the U-Net's deepest layer at each level.
        boxes = [
            box.grown(context, one[0].shape, multiple=BLOCK * level)
            for context, level in zip(self.contexts(), self.levels, strict=True)
        ]
        last = self._steps(one, two, boxes, ORDERED_VIEWS[:views])[-1]
        assert last.log_spread is not None
        # The context that the last step saw is no good flow, but better than none.
        around = box.grown(self.denoised_over, one[0].shape)
        wide, here = around.within(boxes[-1]).slices, box.within(around).slices
        log_spread = last.log_spread[wide]
        pre_around, post_around = (levels[0][around.slices] for levels in (one, two))
        flow = self.denoised(pre_around, post_around, last.flow[wide], log_spread)
        return Flow(flow[here], log_spread[here], 1)

    def _steps(
        self,
        pre: Sequence[torch.Tensor],
        post: Sequence[torch.Tensor],
        boxes: list[Box],
        views: Sequence[View] = ORDERED_VIEWS[:1],
    ) -> list[Flow]:
        """All steps, each on its box of the images; a box lies within the one before."""
        outer = boxes[0]
        at = self.levels[0]
        flow = self.first(pre, post, outer)
        out = []
        source: torch.Tensor | None = None
        known = 0
        # Where a level is gone through twice, first half as many: the second time corrects what
        # they leave. Others than then, if there are any, so that one's bias is not the other's.
        few = (ORDERED_VIEWS[len(views) :] or views)[: (len(views) + 1) // 2]
        of_steps = [
            few if level == after and len(views) > 1 else views
            for level, after in zip(self.levels, (*self.levels[1:], None), strict=True)
        ]
        for level, box, shown in zip(self.levels, boxes, of_steps, strict=True):
            # Cut first, so that no more is doubled than is needed.
            flow = flow[box.within(outer).reduced(at).slices].detach()
            while at > level:
                flow, at = double(flow), at // 2
            here = box.reduced(level).slices
            one, two = (images[level.bit_length() - 1][here] for images in (pre, post))
            with torch.no_grad():
                if source is None or known != level:
                    source, known = self.source(two), level
                    flow = self.sharpened(one, source, flow, level)
                else:
                    source = self.source_within(source, box.within(outer).reduced(level))
                inputs, beside = self.observe(one, two, source, flow)
            outer = box
            change, log_spread = self._corrected(inputs, beside, shown)
            flow = flow + change
            out.append(Flow(flow * float(level), log_spread + math.log(level), level))
        return out

    def _corrected(
        self, inputs: list[torch.Tensor], beside: torch.Tensor | None, views: Sequence[View]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Change of the flow at one level, and its log spread: means of views; pixels of it."""
        kind = inputs[0].device.type
        if torch.is_autocast_enabled(kind):
            # As the first convolution would, but before the copies: half of the bytes.
            for k, part in enumerate(inputs):
                inputs[k] = part.to(torch.get_autocast_dtype(kind))
        # Channels last before blocks become channels: torch is twice as fast in that order.
        x = torch.cat(inputs, 1).contiguous(memory_format=torch.channels_last)
        # The caller's, too: they are the largest arrays of a step.
        inputs.clear()
        height, width = x.shape[-2:]
        if height % BLOCK or width % BLOCK:
            x = F.pad(x, (0, -width % BLOCK, 0, -height % BLOCK))
        change = log_spread = torch.zeros(())
        for view in views:
            output = self._seen(x, view)[..., :height, :width]
            change = change + self.change(output, beside)
            log_spread = log_spread + output[:, 2:3].clamp(-8.0, 6.0)
        return change / len(views), log_spread / len(views)

    @property
    def _first(self) -> nn.Conv2d:
        return cast(nn.Conv2d, self.enter[0])

    def _seen(self, x: torch.Tensor, view: View) -> torch.Tensor:
        """Output of the U-Net for a view of its input, turned back; float32."""
        first, last, bias = self._first.weight, self.leave.weight, self.leave.bias
        assert bias is not None
        if view is not ORDERED_VIEWS[0]:
            x = view.turned(x).contiguous(memory_format=torch.channels_last)
            first = _exchanged(first, self.seen, view, self.channels, 1)
            last, bias = (
                _exchanged(part, self.returned, view, self.outputs, 0) for part in (last, bias)
            )
        x = self.enter[1:](self.first_convolution(x, first))
        skips = [x]
        for down in self.down:
            skips.append(down(skips[-1]))
        x = skips.pop()
        for up in self.up:
            wide = F.interpolate(x, scale_factor=2, mode="nearest")
            x = up(self._workspace.joined(wide, skips.pop()))
        # In bfloat16, rounding here is most of what neighbouring tiles would differ by.
        with torch.autocast(x.device.type, enabled=False):
            output = F.pixel_shuffle(F.conv2d(x.float(), last, bias, padding=1), 2)
        return view.undo(output)


def _exchanged(
    weights: torch.Tensor, channels: Channels, view: View, count: int, dim: int
) -> torch.Tensor:
    """Weights of so many channels of blocks of 2 x 2 pixels, for those that a view has."""
    blocks = weights.unflatten(dim, (count, 4))
    return channels.exchanged(blocks, view, dim).flatten(dim, dim + 1)


class Workspace(threading.local):
    """Memory for the largest array of a step, a thread's own, taken once.

    The C library gives what is larger than 32 MB back to the system each time, and the
    next array of that size is made of fresh pages: a tenth of the time of a tile.
    """

    def __init__(self) -> None:
        self._memory = torch.empty(0)

    def __reduce__(self) -> tuple[type, tuple[()]]:
        """Copies of a network have their own."""
        return type(self), ()

    def joined(self, one: torch.Tensor, two: torch.Tensor) -> torch.Tensor:
        """``torch.cat((one, two), 1)``, valid until the next call where nothing is learned."""
        if torch.is_grad_enabled() or one.device.type != "cpu" or one.dtype != two.dtype:
            return torch.cat((one, two), 1)
        n, channels, height, width = one.shape
        shape = (n, height, width, channels + two.shape[1])
        size = math.prod(shape)
        if self._memory.dtype != one.dtype or self._memory.numel() < size:
            # Outside of inference mode: it is written to in any mode.
            with torch.inference_mode(False):
                self._memory = torch.empty(size, dtype=one.dtype)
        out = self._memory[:size].view(shape).permute(0, 3, 1, 2)
        out[:, :channels], out[:, channels:] = one, two
        return out


def convolutions(channels: int, out: int, stride: int = 1) -> nn.Sequential:
    """Two 3 x 3 convolutions, the first of which may take every second pixel."""
    return nn.Sequential(
        nn.Conv2d(channels, out, 3, stride, 1),
        nn.LeakyReLU(0.1, inplace=True),
        nn.Conv2d(out, out, 3, 1, 1),
        nn.LeakyReLU(0.1, inplace=True),
    )
