"""FlowNet-SD: the branch of FlowNet 2.0 for small displacements."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn

from .base import Flow, scaled
from .decoder import DecoderNetwork, FlowDecoder
from .layers import concat, conv, initialise

__all__ = ["FlowNetSD"]


class FlowNetSD(DecoderNetwork):
    """Encoder and decoder of 3 x 3 kernels; flow at a quarter of the resolution.

    The last flow is brought to full resolution by bilinear interpolation.

    Parameters
    ----------
    width : float
        Multiplies the numbers of channels.

    References
    ----------
    Ilg, Mayer, Saikia et al. (2017), *FlowNet 2.0*, doi:10.1109/CVPR.2017.179.

    Examples
    --------
    >>> import torch
    >>> network = FlowNetSD(width=0.1).eval()
    >>> pre, post = torch.rand(2, 1, 1, 64, 64)
    >>> network(pre, post)[-1].flow.shape
    torch.Size([1, 2, 64, 64])
    """

    name: ClassVar[str] = "flownet-sd"
    description: ClassVar[str] = "FlowNet-SD (Ilg et al. 2017)"
    multiple: ClassVar[int] = 64
    context: ClassVar[int] = 320

    def __init__(self, width: float = 1.0) -> None:
        super().__init__(width=width)
        c64, c128, c256, c512, c1024 = (scaled(c, width) for c in (64, 128, 256, 512, 1024))
        self.enter = conv(2, c64)
        self.conv1 = nn.Sequential(conv(c64, c64, 2), conv(c64, c128))
        ends = ((c128, c128), (c128, c256), (c256, c512), (c512, c512), (c512, c1024))
        self.down = nn.ModuleList([nn.Sequential(conv(a, b, 2), conv(b, b)) for a, b in ends])
        self.refine = FlowDecoder(
            c1024, (c512, c512, c256, c128), (c512, c256, c128, c64), smooth=True
        )
        initialise(self)

    def forward(self, pre: torch.Tensor, post: torch.Tensor) -> list[Flow]:
        """See :meth:`FlowNetwork.forward`; flows at 1/64 to 1/4, and 1."""
        x = concat(pre, post).contiguous(memory_format=torch.channels_last)
        skips = [self.conv1(self.enter(x))]
        for down in self.down:
            skips.append(down(skips[-1]))
        # The features at half resolution are used by the encoder alone.
        return self.refine(skips[1:])
