"""Views of a pair: what a network says of it turned and mirrored, averaged."""

from __future__ import annotations

from typing import NamedTuple

import torch

from .base import FlowNetwork

__all__ = ["VIEWS", "View", "mean_of_views"]


class View(NamedTuple):
    """A symmetry of the square: rows and columns swapped, then some reversed."""

    transpose: bool
    reverse: tuple[int, ...]
    #: Of dx and dy, once they were swapped back.
    signs: tuple[float, float]

    def apply(self, image: torch.Tensor) -> torch.Tensor:
        """An image ``(n, 1, h, w)`` as this view has it."""
        out = image.transpose(2, 3) if self.transpose else image
        return (out.flip(self.reverse) if self.reverse else out).contiguous()

    def inside(
        self, part: tuple[int, int, int, int], shape: tuple[int, ...]
    ) -> tuple[int, int, int, int]:
        """Where a part (first and last row and column) of an image comes to lie."""
        top, bottom, left, right = part
        height, width = shape[-2:]
        if self.transpose:
            top, bottom, left, right = left, right, top, bottom
            height, width = width, height
        if 2 in self.reverse:
            top, bottom = height - bottom, height - top
        if 3 in self.reverse:
            left, right = width - right, width - left
        return top, bottom, left, right

    def undo(self, field: torch.Tensor) -> torch.Tensor:
        """A field of this view, back in its place; components as they are."""
        out = field.flip(self.reverse) if self.reverse else field
        return out.transpose(2, 3) if self.transpose else out


VIEWS = (
    View(False, (), (1.0, 1.0)),
    View(False, (2, 3), (-1.0, -1.0)),
    View(True, (), (1.0, 1.0)),
    View(False, (3,), (-1.0, 1.0)),
)


def mean_of_views(
    network: FlowNetwork,
    pre: torch.Tensor,
    post: torch.Tensor,
    inside: tuple[int, int, int, int],
    views: int,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Predict the flow from several views and average.

    Parameters
    ----------
    network : FlowNetwork
    pre, post : torch.Tensor
        Normalised images ``(n, 1, h, w)``.
    inside : tuple of int
        First and last row and column (exclusive) of what is asked for.
    views : int
        How many of :data:`VIEWS`.

    Returns
    -------
    flow : torch.Tensor of float32
        Shape ``(n, 2, rows, cols)``, pixels.
    log_spread : torch.Tensor of float32 or None
        Mean over the views, shape ``(n, 1, rows, cols)``.
    """
    flows, logs = [], []
    for view in VIEWS[:views]:
        one, two = view.apply(pre), view.apply(post)
        last = network.middle(one, two, view.inside(inside, pre.shape))
        signs = torch.tensor(view.signs, device=pre.device).reshape(1, 2, 1, 1)
        flow = view.undo(last.flow.float())
        flows.append((flow.flip(1) if view.transpose else flow) * signs)
        if last.log_spread is not None:
            logs.append(view.undo(last.log_spread.float()))
    return torch.stack(flows).mean(0), torch.stack(logs).mean(0) if logs else None
