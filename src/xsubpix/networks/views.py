"""Views of a pair: predictions for it turned and mirrored, averaged."""

from __future__ import annotations

import functools
from typing import NamedTuple

import torch

from .base import FlowNetwork
from .box import Box

__all__ = ["ORDERED_VIEWS", "VIEWS", "Channels", "View", "mean_of_views"]


class View(NamedTuple):
    """A symmetry of the square: rows and columns swapped, then some reversed."""

    transpose: bool
    reverse: tuple[int, ...]
    #: Of dx and dy, once they were swapped back.
    signs: tuple[float, float]

    def apply(self, image: torch.Tensor) -> torch.Tensor:
        """Turn and mirror images ``(n, c, h, w)``."""
        return self.turned(image).contiguous()

    def turned(self, image: torch.Tensor) -> torch.Tensor:
        """Turn and mirror images ``(n, c, h, w)``; the order of their memory may be any."""
        out = image.transpose(2, 3) if self.transpose else image
        return out.flip(self.reverse) if self.reverse else out

    def box(self, box: Box, shape: tuple[int, ...]) -> Box:
        """Box of the view that shows a box of an image of this shape."""
        top, bottom, left, right = box
        height, width = shape[-2:]
        if self.transpose:
            top, bottom, left, right = left, right, top, bottom
            height, width = width, height
        if 2 in self.reverse:
            top, bottom = height - bottom, height - top
        if 3 in self.reverse:
            left, right = width - right, width - left
        return Box(top, bottom, left, right)

    def undo(self, field: torch.Tensor) -> torch.Tensor:
        """Turn a field of this view back; components as they are."""
        out = field.flip(self.reverse) if self.reverse else field
        return out.transpose(2, 3) if self.transpose else out


VIEWS = (
    View(False, (), (1.0, 1.0)),
    View(False, (2, 3), (-1.0, -1.0)),
    View(True, (), (1.0, 1.0)),
    View(False, (3,), (-1.0, 1.0)),
)

#: Views in which both components of a flow keep their order of size, or both reverse it.
ORDERED_VIEWS = (*VIEWS[:3], View(True, (2, 3), (-1.0, -1.0)))


class Channels(NamedTuple):
    """Meaning of the channels of a field, which says how a view of :data:`ORDERED_VIEWS` has them.

    Channels that stand in none of the two are the same numbers at other places.
    """

    #: Channels of dx and of dy.
    vectors: tuple[tuple[int, int], ...] = ()
    #: Channels of the larger and of the smaller of two.
    ordered: tuple[tuple[int, int], ...] = ()

    def exchanged(self, field: torch.Tensor, view: View, dim: int = 1) -> torch.Tensor:
        """Field with its channels in the order, and of the sign, of a view; or back from it.

        Weights may be exchanged instead of the field that they are multiplied by: they are few.

        Parameters
        ----------
        field : torch.Tensor
            Any shape.
        view : View
            One of :data:`ORDERED_VIEWS`.
        dim : int
            Dimension of the channels.
        """
        order, signs = _exchange(self, view, field.shape[dim], field.device)
        shape = [-1 if k == dim else 1 for k in range(field.ndim)]
        return field.index_select(dim, order) * signs.view(shape).to(field.dtype)


@functools.lru_cache(maxsize=64)
def _exchange(
    channels: Channels, view: View, count: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Order of the channels in a view, and their signs: copied to a device once a process."""
    order = list(range(count))
    signs = [1.0] * count
    reverse = view.signs[0] < 0
    for one, other in channels.ordered if reverse else ():
        order[one], order[other] = order[other], order[one]
    for x, y in channels.vectors:
        if view.transpose:
            order[x], order[y] = order[y], order[x]
        if reverse:
            signs[x] = signs[y] = -1.0
    # Kept for whoever comes next, in inference mode or not.
    with torch.inference_mode(False):
        return torch.tensor(order, device=device), torch.tensor(signs, device=device)


def mean_of_views(
    network: FlowNetwork,
    pre: torch.Tensor,
    post: torch.Tensor,
    box: Box,
    views: int,
) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor, torch.Tensor]:
    """Predict the flow from several views and average.

    Parameters
    ----------
    network : FlowNetwork
    pre, post : torch.Tensor
        Images ``(n, h, w)``, any radiometric unit; NaN is missing.
    box : Box
        Rows and columns that are asked for.
    views : int
        Number of :data:`VIEWS` to average, from the first; networks that average views
        themselves do so at each step.

    Returns
    -------
    flow : torch.Tensor of float32
        Shape ``(n, 2, rows, cols)``, pixels.
    log_spread : torch.Tensor of float32 or None
        Mean over the views, shape ``(n, 1, rows, cols)``.
    pre, post : torch.Tensor of float32
        Images of the first view at full resolution, shape ``(n, 2, h, w)``: normalised
        values and 1 where there is one (:meth:`FlowNetwork.prepare`).
    """
    flows, logs = [], []
    first, second = (network.prepare(image, box) for image in (pre, post))
    if network.averages_views:
        last = network.predict_box(first, second, box, views)
        flow = last.flow.float()
        spread = None if last.log_spread is None else last.log_spread.float()
        return flow, spread, first[0], second[0]
    for view in VIEWS[:views]:
        one, two = (tuple(view.apply(level) for level in levels) for levels in (first, second))
        last = network.predict_box(one, two, view.box(box, pre.shape))
        flow = view.undo(last.flow.float())
        dx, dy = (flow.flip(1) if view.transpose else flow).split(1, 1)
        # Numbers of Python: an array of signs would be a copy to the device, each time.
        flows.append(torch.cat((dx * view.signs[0], dy * view.signs[1]), 1))
        if last.log_spread is not None:
            logs.append(view.undo(last.log_spread.float()))
    log_spread = torch.stack(logs).mean(0) if logs else None
    return torch.stack(flows).mean(0), log_spread, first[0], second[0]
