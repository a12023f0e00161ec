"""What estimators with one tapered window an output have in common."""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ..checks import whole_number
from .base import Estimate, Estimator, Flag

if TYPE_CHECKING:
    import torch

    from .spectrum import PlaneFit
    from .windows import Fit, Pair

__all__ = ["WindowEstimator", "values_and_flags"]

# Windows that, put side by side, have this side, pixels, stay in the processor's cache.
TILE = 512


@dataclasses.dataclass(frozen=True)
class WindowEstimator(Estimator):
    """Base of the estimators that measure each output in one window of its own.

    It resolves the device, goes through the tiles, and applies the rule of
    missing data: a window needs half of its pixels valid in both images.

    Parameters
    ----------
    window : int
        Side of the windows, pixels, 8 to 512.
    search : int, optional
        Largest displacement looked for along each axis, pixels.
    """

    window: int = 32
    search: int | None = None

    #: Pixels along the side of all windows of a tile, put side by side.
    side_by_side: ClassVar[int] = TILE

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "window", whole_number("window", self.window, 8, 512))

    @property
    def support(self) -> int:
        """Half a window."""
        return (self.window + 1) // 2

    @property
    def tile(self) -> int:
        """As many windows as are worked on together, in at most 512 pixels of image."""
        return max(1, min(self.side_by_side // self.window, 512 // self.step))

    @property
    def _search(self) -> int:
        assert self.search is not None  # set in __post_init__ of the subclasses
        return self.search

    def __call__(self, pre: np.ndarray, post: np.ndarray) -> Estimate:
        """See :meth:`Estimator.__call__`."""
        import torch

        from ..devices import one_thread, torch_device

        device = torch_device(self.device)
        with one_thread(), torch.inference_mode():
            parts = [
                self._measure_tile(one, two, device) for one, two in zip(pre, post, strict=True)
            ]
        return Estimate(*(np.stack(field) for field in zip(*parts, strict=True)))

    def _measure_tile(
        self, pre: np.ndarray, post: np.ndarray, device: torch.device
    ) -> tuple[np.ndarray, ...]:
        """Arrays (tile, tile) in the order of Estimate."""
        import torch

        from . import windows

        pair = windows.Pair(pre, post, self.window, self.step, self.halo, device)
        rows, cols = pair.origins(self.tile)
        valid = pair.joint_count(rows, cols)
        measurable = 2 * valid >= self.window**2
        out = torch.full((4, rows.numel()), torch.nan, device=device)
        flags = torch.zeros(rows.numel(), dtype=torch.uint8, device=device)
        flags[~measurable] |= int(Flag.NODATA)
        which = measurable.nonzero()[:, 0]
        if which.numel():
            out[:, which], bits = self._measure(pair, which, valid[which] == self.window**2)
            flags[which] |= bits
        dx, dy, sigma, quality = out.reshape(4, self.tile, self.tile).cpu().numpy()
        return dx, dy, sigma, quality, flags.reshape(self.tile, self.tile).cpu().numpy()

    @abstractmethod
    def _measure(
        self, pair: Pair, which: torch.Tensor, whole: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Measure some windows of a tile.

        Parameters
        ----------
        pair : Pair
            The tile.
        which : torch.Tensor of int64
            Numbers of the outputs to measure, shape (n,), row by row.
        whole : torch.Tensor of bool
            Whether nothing is missing in their windows.

        Returns
        -------
        values : torch.Tensor
            dx, dy, sigma, quality, shape (4, n).
        flags : torch.Tensor of uint8
            Shape (n,).
        """


def values_and_flags(
    fit: Fit | PlaneFit, out_of_range: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """What :meth:`WindowEstimator._measure` returns, from a fit: NaN where it is not sound."""
    import torch

    bits = torch.zeros(out_of_range.numel(), dtype=torch.uint8, device=out_of_range.device)
    bits[~fit.converged] |= int(Flag.NOT_CONVERGED)
    bits[out_of_range] |= int(Flag.OUT_OF_RANGE)
    bits[~fit.sound] = int(Flag.LOW_TEXTURE)
    values = torch.stack([fit.shift[:, 1], fit.shift[:, 0], fit.sigma, fit.quality])
    return values.masked_fill(~fit.sound, torch.nan), bits
