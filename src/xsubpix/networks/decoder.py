"""Decoder of the published networks: a flow at a coarse scale, refined scale by scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from .base import Flow, FlowNetwork
from .layers import concat, deconv, flow_head, upsample_flow

__all__ = ["DecoderNetwork", "FlowDecoder"]


class FlowDecoder(nn.Module):
    """Flows at halving scales, each from the encoder's features and the flow before.

    Where the finest of them is not at full resolution, it is brought there by
    bilinear interpolation.

    Parameters
    ----------
    deepest : int
        Channels of the encoder's deepest features.
    skips : sequence of int
        Channels of the encoder's other features, coarse to fine.
    ups : sequence of int
        Channels of the transposed convolutions to the scales of `skips`.
    coarsest : int
        Input pixels a pixel of the deepest features, a power of two.
    smooth : bool
        Put a 3 x 3 convolution before each flow but the first, and biases on all
        flows, as FlowNet-SD does.

    References
    ----------
    Dosovitskiy, Fischer, Ilg et al. (2015), *FlowNet: learning optical flow with
    convolutional networks*, doi:10.1109/ICCV.2015.316; with `smooth` Ilg, Mayer,
    Saikia et al. (2017), *FlowNet 2.0*, doi:10.1109/CVPR.2017.179.

    Examples
    --------
    >>> import torch
    >>> decoder = FlowDecoder(16, (8, 4), (8, 4), coarsest=8)
    >>> features = [torch.zeros(1, c, n, n) for c, n in ((4, 32), (8, 16), (16, 8))]
    >>> [flow.scale for flow in decoder(features)]
    [8, 4, 2, 1]
    """

    def __init__(
        self,
        deepest: int,
        skips: Sequence[int],
        ups: Sequence[int],
        *,
        coarsest: int = 64,
        smooth: bool = False,
    ) -> None:
        super().__init__()
        self.coarsest = coarsest
        joined = [skip + up + 2 for skip, up in zip(skips, ups, strict=True)]
        inputs = [deepest, *joined]
        self.deconvs = nn.ModuleList([deconv(a, b) for a, b in zip(inputs, ups, strict=False)])
        self.inter = nn.ModuleList(
            [nn.Conv2d(a, b, 3, 1, 1) for a, b in zip(joined, ups, strict=True)] if smooth else []
        )
        seen = [deepest, *ups] if smooth else inputs
        self.heads = nn.ModuleList([flow_head(n, bias=smooth) for n in seen])
        self.doubles = nn.ModuleList([upsample_flow(bias=smooth) for _ in ups])

    def forward(self, features: Sequence[torch.Tensor]) -> list[Flow]:
        """Predict flows from the features of an encoder.

        Parameters
        ----------
        features : sequence of torch.Tensor
            From fine to coarse: each of twice the resolution of the next.

        Returns
        -------
        list of Flow
            From the coarsest to full resolution.
        """
        *skips, x = features
        flow = self.heads[0](x)
        scale = self.coarsest
        out = [Flow(flow, None, scale)]
        for k, skip in enumerate(reversed(skips)):
            x = concat(skip, self.deconvs[k](x), self.doubles[k](flow))
            flow = self.heads[k + 1](self.inter[k](x) if len(self.inter) else x)
            scale //= 2
            out.append(Flow(flow, None, scale))
        if scale > 1:
            flow = F.interpolate(
                flow.float(), scale_factor=scale, mode="bilinear", align_corners=False
            )
            out.append(Flow(flow, None, 1))
        return out


class DecoderNetwork(FlowNetwork):
    """Base of the networks whose flows are those of one decoder.

    Attributes
    ----------
    refine : FlowDecoder
        Last in order, so that first weights are drawn in the order of the layers.
    """

    refine: FlowDecoder

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **options: Any
    ) -> None:
        """Take weights from files in which the decoder's layers are the network's own."""
        for part, _ in self.refine.named_children():
            for name in [name for name in state_dict if name.startswith(f"{prefix}{part}.")]:
                state_dict[f"{prefix}refine.{name[len(prefix) :]}"] = state_dict.pop(name)
        super()._load_from_state_dict(state_dict, prefix, *args, **options)
