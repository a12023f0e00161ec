"""Window CNN: a small network that sees one pair of windows at a time."""

from __future__ import annotations

import itertools
from typing import ClassVar

import torch
from torch import nn

from .base import Flow, FlowNetwork, scaled
from .layers import concat, initialise

__all__ = ["WindowCNN"]

_SIDE = 16


class WindowCNN(FlowNetwork):
    """The displacement at the centre of a pair of 16 x 16 windows.

    A stack of convolutions without padding reduces a pair of windows to one
    vector, the displacement of its centre. Written without strides, the same
    weights slide over an image at the cost of one pass, and the result at a
    pixel depends on its window alone: the windows are rows and columns -7 to 8
    about it. Half a pixel between that window's centre and the pixel is part of
    what is learned.

    Only the idea of the paper is public; the layers are ours.

    Parameters
    ----------
    width : float
        Multiplies the numbers of channels.

    References
    ----------
    Montagnon, Giffard-Roisin, Dalla Mura, Marchandon, Pathier & Hollingsworth
    (2023), *Sub-pixel displacement estimation with deep learning*, IGARSS,
    doi:10.1109/IGARSS52108.2023.10282747.

    Examples
    --------
    >>> import torch
    >>> network = WindowCNN(width=0.1).eval()
    >>> pre, post = torch.rand(2, 1, 1, 64, 64)
    >>> network(pre, post)[-1].flow.shape
    torch.Size([1, 2, 64, 64])
    """

    name: ClassVar[str] = "window-cnn"
    description: ClassVar[str] = "CNN on 16 x 16 windows (idea of Montagnon et al. 2023)"
    multiple: ClassVar[int] = 1
    context: ClassVar[int] = 16 + 24

    def __init__(self, width: float = 1.0) -> None:
        super().__init__(width=width)
        channels = [2, *(scaled(c, width) for c in (32, 48, 64, 96, 128))]
        # 16 -> 14 -> 12 -> 10 -> 8 -> 6 with kernels of 3, then one of 6.
        layers: list[nn.Module] = []
        for a, b in itertools.pairwise(channels):
            layers += [nn.Conv2d(a, b, 3), nn.LeakyReLU(0.1, inplace=True)]
        last, head = channels[-1], scaled(256, width)
        layers += [nn.Conv2d(last, head, 6), nn.LeakyReLU(0.1, inplace=True)]
        self.layers = nn.Sequential(*layers)
        self.flow = nn.Conv2d(head, 2, 1)
        initialise(self)

    def windows(self, pre: torch.Tensor, post: torch.Tensor) -> torch.Tensor:
        """Displacement of pairs of windows ``(n, 1, 16, 16)``: shape ``(n, 2)``."""
        return self.flow(self.layers(concat(pre, post))).flatten(1)

    def forward(self, pre: torch.Tensor, post: torch.Tensor) -> list[Flow]:
        """See :meth:`FlowNetwork.forward`; one flow at full resolution."""
        before = _SIDE // 2 - 1
        pad = (before, _SIDE - 1 - before, before, _SIDE - 1 - before)
        x = nn.functional.pad(concat(pre, post), pad)
        x = x.contiguous(memory_format=torch.channels_last)
        return [Flow(self.flow(self.layers(x)), None, 1)]
