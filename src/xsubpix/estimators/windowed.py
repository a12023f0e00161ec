"""Base of the estimators that measure each output in one tapered window."""

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

__all__ = ["WindowEstimator", "outputs_of_fit"]

# Windows that, put side by side, have this side, pixels, stay in the processor's cache.
TILE = 512


@dataclasses.dataclass(frozen=True, kw_only=True)
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
        object.__setattr__(self, "window", whole_number("window", self.window, 8, 512))
        super().__post_init__()

    @property
    def default_step(self) -> int:
        """Quarter of a window, pixels: tapered windows nearer to each other tell little more."""
        return self.window // 4

    @property
    def blur(self) -> float:
        """Half a window, pixels: farther from a fault, a window sees one side only."""
        return self.window / 2

    @property
    def error_length(self) -> float:
        """Half a window, pixels: what the taper leaves of it."""
        return self.window / 2

    @property
    def support(self) -> int:
        """Half a window."""
        return (self.window + 1) // 2

    @property
    def tile(self) -> int:
        """Outputs a tile side: windows worked on together, in at most 512 pixels of image."""
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
        return Estimate.stacked(parts)

    def _measure_tile(self, pre: np.ndarray, post: np.ndarray, device: torch.device) -> Estimate:
        """Estimate of one tile, arrays (tile, tile)."""
        from . import windows

        pair = windows.Pair(pre, post, self.window, self.step, self.halo, device)
        rows, cols = pair.origins(self.tile)
        valid = pair.joint_count(rows, cols)
        measurable = 2 * valid >= self.window**2
        which = measurable.nonzero()[:, 0]
        estimate = Estimate.missing((self.tile**2,), self.outputs)
        if which.numel():
            found = self._measure(pair, which, valid[which] == self.window**2)
            part = Estimate.of({name: values.cpu().numpy() for name, values in found.items()})
            estimate.put((which.cpu().numpy(),), part)
        return estimate.mapped(lambda array: array.reshape(self.tile, self.tile))

    @abstractmethod
    def _measure(
        self, pair: Pair, which: torch.Tensor, whole: torch.Tensor
    ) -> dict[str, torch.Tensor]:
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
        dict of str to torch.Tensor
            Shape (n,) each, one for each of :attr:`outputs`.
        """


def outputs_of_fit(fit: Fit | PlaneFit, out_of_range: torch.Tensor) -> dict[str, torch.Tensor]:
    """Outputs of a fit, each of shape (n,): NaN and ``low_texture`` where it has no contrast."""
    import torch

    flags = torch.zeros(out_of_range.numel(), dtype=torch.uint8, device=out_of_range.device)
    flags[~fit.converged] |= int(Flag.NOT_CONVERGED)
    flags[out_of_range] |= int(Flag.OUT_OF_RANGE)
    flags[~fit.textured] = int(Flag.LOW_TEXTURE)
    values = {
        "dx": fit.shift[:, 1],
        "dy": fit.shift[:, 0],
        "sigma": fit.sigma,
        "quality": fit.quality,
    }
    found = {name: value.masked_fill(~fit.textured, torch.nan) for name, value in values.items()}
    return {**found, "flags": flags}
