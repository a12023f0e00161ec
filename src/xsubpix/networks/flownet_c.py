"""FlowNet-C: features of both images apart, then compared."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import nn

from .base import Flow, scaled
from .correlation import correlation_layer
from .decoder import DecoderNetwork, FlowDecoder
from .layers import concat, conv, initialise

__all__ = ["FlowNetC"]


class FlowNetC(DecoderNetwork):
    """Siamese towers to 1/8, a correlation layer, then the rest of FlowNet-S.

    The correlation layer looks 20 pixels of 1/8 resolution far in steps of 2:
    441 displacements.

    Parameters
    ----------
    width : float
        Multiplies the numbers of channels; not the 441 displacements.

    References
    ----------
    Dosovitskiy, Fischer, Ilg et al. (2015), *FlowNet: learning optical flow with
    convolutional networks*, doi:10.1109/ICCV.2015.316.

    Examples
    --------
    >>> import torch
    >>> network = FlowNetC(width=0.1).eval()
    >>> pre, post = torch.rand(2, 1, 1, 64, 64)
    >>> network(pre, post)[-1].flow.shape
    torch.Size([1, 2, 64, 64])
    """

    name: ClassVar[str] = "flownet-c"
    description: ClassVar[str] = "FlowNet-C (Dosovitskiy et al. 2015)"
    multiple: ClassVar[int] = 64
    context: ClassVar[int] = 320

    def __init__(self, width: float = 1.0) -> None:
        super().__init__(width=width)
        c32, c64, c128, c256, c512, c1024 = (
            scaled(c, width) for c in (32, 64, 128, 256, 512, 1024)
        )
        self.conv1 = conv(1, c64, 2, 7)
        self.conv2 = conv(c64, c128, 2, 5)
        self.conv3 = conv(c128, c256, 2, 5)
        self.redirect = conv(c256, c32, 1, 1)
        self.conv3_1 = conv(441 + c32, c256)
        ends = ((c256, c512), (c512, c512), (c512, c1024))
        self.down = nn.ModuleList([nn.Sequential(conv(a, b, 2), conv(b, b)) for a, b in ends])
        self.refine = FlowDecoder(c1024, (c512, c512, c256, c128), (c512, c256, c128, c64))
        initialise(self)

    def forward(self, pre: torch.Tensor, post: torch.Tensor) -> list[Flow]:
        """See :meth:`FlowNetwork.forward`; flows at 1/64 to 1/4, and 1."""
        quarters, eighths = [], []
        for image in (pre, post):
            x = image.contiguous(memory_format=torch.channels_last)
            quarters.append(self.conv2(self.conv1(x)))
            eighths.append(self.conv3(quarters[-1]))
        match = F.leaky_relu(correlation_layer(*eighths), 0.1)
        skips = [quarters[0], self.conv3_1(concat(self.redirect(eighths[0]), match))]
        for down in self.down:
            skips.append(down(skips[-1]))
        return self.refine(skips)
