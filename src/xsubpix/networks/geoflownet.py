"""GeoFlowNet: the U-Net of the near-fault database's authors."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn

from .base import Flow, scaled
from .decoder import DecoderNetwork, FlowDecoder
from .layers import concat, conv, initialise

__all__ = ["GeoFlowNet"]


class GeoFlowNet(DecoderNetwork):
    """U-Net with flows at five scales and full-resolution output.

    The encoder keeps full resolution for two layers and halves it four times;
    the decoder refines the flow at each scale from the encoder's features, its
    own, and the flow of the scale before.

    Parameters
    ----------
    width : float
        Multiplies the numbers of channels; 38,002,512 weights at 1.

    References
    ----------
    Montagnon, Hollingsworth, Pathier et al. (2024), *Sub-pixel displacement
    estimation with deep learning: application to optical satellite images
    containing sharp displacements*, doi:10.1029/2024JH000174.

    Examples
    --------
    >>> import torch
    >>> network = GeoFlowNet(width=0.1).eval()
    >>> pre, post = torch.rand(2, 1, 1, 64, 64)
    >>> network(pre, post)[-1].flow.shape
    torch.Size([1, 2, 64, 64])
    """

    name: ClassVar[str] = "geoflownet"
    description: ClassVar[str] = "GeoFlowNet (Montagnon et al. 2024)"
    multiple: ClassVar[int] = 16
    context: ClassVar[int] = 128

    def __init__(self, width: float = 1.0) -> None:
        super().__init__(width=width)
        c0, c1, c2, c3, c4, c5 = (scaled(c, width) for c in (64, 128, 256, 512, 512, 1024))
        self.enter = nn.Sequential(conv(2, c0), conv(c0, c1))
        ends = ((c1, c2), (c2, c3), (c3, c4), (c4, c5))
        self.down = nn.ModuleList([nn.Sequential(conv(a, b, 2), conv(b, b)) for a, b in ends])
        ups = tuple(scaled(c, width) for c in (512, 256, 128, 64))
        self.refine = FlowDecoder(c5, (c4, c3, c2, c1), ups, coarsest=16)
        initialise(self)

    def forward(self, pre: torch.Tensor, post: torch.Tensor) -> list[Flow]:
        """See :meth:`FlowNetwork.forward`; flows at 1/16, 1/8, 1/4, 1/2 and 1."""
        x = concat(pre, post).contiguous(memory_format=torch.channels_last)
        skips = [self.enter(x)]
        for down in self.down:
            skips.append(down(skips[-1]))
        return self.refine(skips)
