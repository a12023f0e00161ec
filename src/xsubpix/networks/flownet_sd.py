"""FlowNet-SD: the branch of FlowNet 2.0 for small displacements."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import nn

from .base import Flow, FlowNetwork, scaled
from .layers import concat, conv, deconv, flow_head, initialise, upsample_flow

__all__ = ["FlowNetSD"]


class FlowNetSD(FlowNetwork):
    """Encoder and decoder of 3 x 3 kernels; flow at a quarter of the resolution.

    The last flow is brought to full resolution by bilinear interpolation.

    Parameters
    ----------
    width : float
        Multiplies the numbers of channels.

    References
    ----------
    Ilg, Mayer, Saikia et al. (2017), *FlowNet 2.0*, doi:10.1109/CVPR.2017.179.
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
        ups = (c512, c256, c128, c64)
        skips = (c512, c512, c256, c128)
        joined = [skip + up + 2 for skip, up in zip(skips, ups, strict=True)]
        self.deconvs = nn.ModuleList(
            [deconv(a, b) for a, b in zip([c1024, *joined], ups, strict=False)]
        )
        self.inter = nn.ModuleList(
            [nn.Conv2d(a, b, 3, 1, 1) for a, b in zip(joined, ups, strict=True)]
        )
        self.heads = nn.ModuleList([flow_head(n, bias=True) for n in (c1024, *ups)])
        self.doubles = nn.ModuleList([upsample_flow(bias=True) for _ in ups])
        initialise(self)

    def forward(self, pre: torch.Tensor, post: torch.Tensor) -> list[Flow]:
        """See :meth:`FlowNetwork.forward`; flows at 1/64 to 1/4, and 1."""
        x = concat(pre, post).contiguous(memory_format=torch.channels_last)
        skips = [self.conv1(self.enter(x))]
        for down in self.down:
            skips.append(down(skips[-1]))
        x = skips.pop()
        flow = self.heads[0](x)
        out = [Flow(flow, None, 64)]
        for k, deconvolve in enumerate(self.deconvs):
            x = concat(skips.pop(), deconvolve(x), self.doubles[k](flow))
            flow = self.heads[k + 1](self.inter[k](x))
            out.append(Flow(flow, None, 32 >> k))
        whole = F.interpolate(flow.float(), scale_factor=4, mode="bilinear", align_corners=False)
        out.append(Flow(whole, None, 1))
        return out
