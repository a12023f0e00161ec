"""The U-Net of the first releases: for small motion of smooth, elastic ground."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F

from .normalise import gradient_direction
from .pyramid import PyramidNetwork
from .warping import warp_back

__all__ = ["SmoothUNet"]

# Pixels of the input around what is asked for that each step sees. What lies beyond
# changes the result by less than 0.001 px rms on changed ground (``benchmarks/bench_networks.py``).
_CONTEXTS = (448, 256, 192, 128)


class SmoothUNet(PyramidNetwork):
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
    context: ClassVar[int] = 448
    channels: ClassVar[int] = 8

    def __init__(self, width: float = 1.0, levels: tuple[int, ...] = (4, 2, 1, 1)) -> None:
        super().__init__(width, levels)

    def pyramid(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Means of blocks of normalised images; see :meth:`PyramidNetwork.pyramid`."""
        levels = [images]
        while 2 ** len(levels) <= max(self.levels):
            levels.append(F.avg_pool2d(levels[-1], 2))
        return levels

    def contexts(self) -> list[int]:
        """See :meth:`PyramidNetwork.contexts`."""
        return [_CONTEXTS[min(k, len(_CONTEXTS) - 1)] for k in range(len(self.levels))]

    def observe(
        self, pre: torch.Tensor, post: torch.Tensor, source: torch.Tensor, flow: torch.Tensor
    ) -> tuple[list[torch.Tensor], None]:
        """Images, the directions of their gradients and the flow."""
        both = torch.cat((pre, warp_back(source, flow)), 1)
        return [both, gradient_direction(both), flow], None
