"""FlowNet-S: the first network for optical flow."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn

from .base import Flow, scaled
from .decoder import DecoderNetwork, FlowDecoder
from .layers import concat, conv, initialise

__all__ = ["FlowNetS"]


class FlowNetS(DecoderNetwork):
    """Both images stacked, one encoder with large first kernels, one decoder.

    The last flow, at a quarter of the resolution, is brought to full resolution
    by bilinear interpolation.

    Parameters
    ----------
    width : float
        Multiplies the numbers of channels.

    References
    ----------
    Dosovitskiy, Fischer, Ilg et al. (2015), *FlowNet: learning optical flow with
    convolutional networks*, doi:10.1109/ICCV.2015.316.

    Examples
    --------
    >>> import torch
    >>> network = FlowNetS(width=0.1).eval()
    >>> pre, post = torch.rand(2, 1, 1, 64, 64)
    >>> network(pre, post)[-1].flow.shape
    torch.Size([1, 2, 64, 64])
    """

    name: ClassVar[str] = "flownet-s"
    description: ClassVar[str] = "FlowNet-S (Dosovitskiy et al. 2015)"
    multiple: ClassVar[int] = 64
    context: ClassVar[int] = 320

    def __init__(self, width: float = 1.0) -> None:
        super().__init__(width=width)
        c64, c128, c256, c512, c1024 = (scaled(c, width) for c in (64, 128, 256, 512, 1024))
        self.conv1 = conv(2, c64, 2, 7)
        self.conv2 = conv(c64, c128, 2, 5)
        self.conv3 = nn.Sequential(conv(c128, c256, 2, 5), conv(c256, c256))
        ends = ((c256, c512), (c512, c512), (c512, c1024))
        self.down = nn.ModuleList([nn.Sequential(conv(a, b, 2), conv(b, b)) for a, b in ends])
        self.refine = FlowDecoder(c1024, (c512, c512, c256, c128), (c512, c256, c128, c64))
        initialise(self)

    def forward(self, pre: torch.Tensor, post: torch.Tensor) -> list[Flow]:
        """See :meth:`FlowNetwork.forward`; flows at 1/64 to 1/4, and 1."""
        x = concat(pre, post).contiguous(memory_format=torch.channels_last)
        quarter = self.conv2(self.conv1(x))
        skips = [quarter, self.conv3(quarter)]
        for down in self.down:
            skips.append(down(skips[-1]))
        return self.refine(skips)
