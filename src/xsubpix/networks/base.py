"""Base of all networks: tensors in, flows and their spread out."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, NamedTuple

import torch
from torch import nn

from .box import Box
from .normalise import normalise

__all__ = ["Flow", "FlowNetwork", "scaled"]


class Flow(NamedTuple):
    """One prediction of a network.

    Attributes
    ----------
    flow : torch.Tensor
        Shape ``(n, 2, h / scale, w / scale)``: dx to the right and dy down,
        in pixels of the input whatever the scale.
    log_spread : torch.Tensor or None
        Shape ``(n, 1, h / scale, w / scale)``: natural logarithm of the scale b
        of the end-point error, pixels of the input, whose density is taken to
        be ``exp(-r / b) / (2 pi b^2)``.
    scale : int
        Input pixels a pixel of the prediction.

    Examples
    --------
    >>> import torch
    >>> Flow(torch.zeros(1, 2, 64, 64), None, 1).flow.shape
    torch.Size([1, 2, 64, 64])
    """

    flow: torch.Tensor
    log_spread: torch.Tensor | None
    scale: int


class FlowNetwork(nn.Module):
    """Base of the networks.

    Subclasses take normalised images and return their predictions from first
    to last; the last is at full resolution. They are built from keywords that
    ``json`` can write (:attr:`config`), among them `width`, which multiplies
    the numbers of channels.

    Attributes
    ----------
    name : str
        In the registry.
    multiple : int
        Sides of the input are multiples of it, pixels.
    alignment : int
        Tiles begin on multiples of it, pixels, so that the network's coarsest pixels are
        the same ground in all of them.
    context : int
        Pixels beyond which other pixels change the result by less than 0.002 px,
        measured (``benchmarks/bench_networks.py``).

    Examples
    --------
    >>> import torch
    >>> from xsubpix.networks import build_network
    >>> network = build_network("window-cnn", width=0.25).eval()
    >>> pre, post = torch.rand(2, 1, 1, 32, 32)
    >>> network(pre, post)[-1].flow.shape
    torch.Size([1, 2, 32, 32])
    """

    name: ClassVar[str] = ""
    multiple: ClassVar[int] = 16
    alignment: ClassVar[int] = 64
    context: ClassVar[int] = 64
    #: Views of a pair that are averaged by default.
    views: ClassVar[int] = 2
    #: They are averaged at each step, by :meth:`predict_box` itself.
    averages_views: ClassVar[bool] = False
    #: The paper or the idea, in a line.
    description: ClassVar[str] = ""

    def __init__(self, **config: Any) -> None:
        super().__init__()
        self.config: dict[str, Any] = config

    def prepare(self, images: torch.Tensor, box: Box | None = None) -> tuple[torch.Tensor, ...]:
        """Normalise images, once for each reduction of them that the network sees.

        Parameters
        ----------
        images : torch.Tensor of float32
            Shape ``(n, h, w)``, any radiometric unit; NaN is missing. h and w are
            multiples of :attr:`multiple`.
        box : Box, optional
            Part that :meth:`predict_box` will be asked for; what it does not see need
            not be normalised.

        Returns
        -------
        tuple of torch.Tensor of float32
            Shape ``(n, 2, h / r, w / r)`` each, r = 1, 2, 4 ...: normalised values, 0
            where missing, and 1 where there is a value. Most networks see the images
            at r = 1 alone.
        """
        return (torch.cat(normalise(images), 1),)

    def inputs(self, prepared: tuple[torch.Tensor, ...]) -> Any:
        """Input of :meth:`forward` for what :meth:`prepare` returned."""
        return prepared[0][:, :1]

    @abstractmethod
    def forward(self, pre: torch.Tensor, post: torch.Tensor) -> list[Flow]:
        """Predict the flow between normalised images.

        Parameters
        ----------
        pre, post : torch.Tensor of float32
            Shape ``(n, 1, h, w)``, as :func:`xsubpix.networks.normalise`
            returns them; h and w are multiples of :attr:`multiple`.

        Returns
        -------
        list of Flow
            From first (or coarsest) to last.
        """

    def predict_box(
        self,
        pre: tuple[torch.Tensor, ...],
        post: tuple[torch.Tensor, ...],
        box: Box,
        views: int = 1,
    ) -> Flow:
        """Predict the flow in a box of the images, of which the rest is context.

        Parameters
        ----------
        pre, post : tuple of torch.Tensor
            What :meth:`prepare` returned.
        box : Box
            Rows and columns that are asked for, pixels.
        views : int
            Views of the pair to average, where the network does so
            (:attr:`averages_views`).

        Returns
        -------
        Flow
            The last prediction, at these rows and columns.
        """
        last = self(self.inputs(pre), self.inputs(post))[-1]
        spread = None if last.log_spread is None else last.log_spread[box.slices]
        return Flow(last.flow[box.slices], spread, 1)

    def count_parameters(self) -> int:
        """Number of weights that are trained."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)


def scaled(channels: int, width: float, least: int = 4) -> int:
    """`channels` times `width`, a multiple of 4 where it is more than `least`."""
    if width == 1:
        return channels
    return max(least, 4 * round(channels * width / 4))
