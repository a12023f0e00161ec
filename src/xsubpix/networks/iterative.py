"""Iterative refinement around any network, as in MicroFlow."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import nn

from .base import Flow, FlowNetwork
from .warping import warp_back

__all__ = ["Iterative"]


class Iterative(FlowNetwork):
    """A chain of networks; each measures what the ones before it have left.

    ``d_i = d_(i-1) + g_i(pre, warp(post, d_(i-1)))``, with bicubic warping and no
    gradient through earlier flows.

    Parameters
    ----------
    backbone : str
        Architecture of the networks; see :func:`xsubpix.networks.available_networks`.
    iterations : int
        Number of networks in the chain.
    shared : bool
        Whether all have the same weights; separate ones were better in the paper.
    **config
        Keywords of the backbone, such as `width`.

    References
    ----------
    Bertrand Montagnon, Giffard-Roisin et al. (2025), *MicroFlow: domain-specific
    optical flow for ground deformation estimation in seismic events*,
    arXiv:2504.13452. Written from the paper's description.

    Examples
    --------
    >>> network = Iterative("geoflownet", iterations=2, width=0.1)
    >>> len(network.networks)
    2
    """

    name: ClassVar[str] = "microflow"
    description: ClassVar[str] = "iterations around a backbone (MicroFlow, 2025)"
    multiple: ClassVar[int] = 64
    context: ClassVar[int] = 64

    def __init__(
        self,
        backbone: str = "geoflownet",
        iterations: int = 3,
        shared: bool = False,
        **config: Any,
    ) -> None:
        from .registry import build_network

        super().__init__(backbone=backbone, iterations=iterations, shared=shared, **config)
        self.iterations = iterations
        self.networks = nn.ModuleList(
            [build_network(backbone, **config) for _ in range(1 if shared else iterations)]
        )

    def forward(self, pre: torch.Tensor, post: torch.Tensor) -> list[Flow]:
        """See :meth:`FlowNetwork.forward`; one flow an iteration, at full resolution."""
        flow = torch.zeros_like(torch.cat((pre, post), 1))
        out = []
        for k in range(self.iterations):
            flow = flow.detach()
            with torch.no_grad():
                moved = warp_back(post, flow)
            rest = self.networks[k % len(self.networks)](pre, moved)[-1]
            flow = flow + rest.flow.float()
            out.append(Flow(flow, rest.log_spread, 1))
        return out
