"""What the dense matchers share: one value a pixel, and its sampling at blocks."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from .base import Estimate, Flag

__all__ = ["DenseField", "box_mean", "core_of_block", "sample_blocks"]


class DenseField(NamedTuple):
    """A result at every pixel of a square area; see :class:`Estimate`."""

    dx: np.ndarray
    dy: np.ndarray
    sigma: np.ndarray
    quality: np.ndarray
    flags: np.ndarray

    @classmethod
    def empty(cls, shape: tuple[int, ...]) -> DenseField:
        """A field of missing values."""

        def missing() -> np.ndarray:
            return np.full(shape, np.nan, np.float32)

        nodata = np.full(shape, Flag.NODATA, np.uint8)
        return cls(missing(), missing(), missing(), missing(), nodata)

    def put(self, box: tuple[slice, ...], part: DenseField) -> None:
        """Write `part` into `box`, missing where it is flagged ``nodata``."""
        missing = part.flags == Flag.NODATA
        for mine, given in zip(self[:4], part[:4], strict=True):
            mine[box] = np.where(missing, np.float32(np.nan), given)
        self.flags[box] = part.flags


def core_of_block(step: int, tile: int) -> tuple[int, int]:
    """What to leave out of a tile of one large block, whose middle alone is asked for.

    Parameters
    ----------
    step, tile : int
        As in :class:`~xsubpix.estimators.base.Estimator`.

    Returns
    -------
    cut : int
        Pixels to remove on each side of the tile.
    step : int
        Side of the block that is left, 1 or 2; `step` where ``tile > 1``.
    """
    if tile > 1 or step <= 2:
        return 0, step
    left = 2 - step % 2
    return (step - left) // 2, left


def sample_blocks(fields: list[DenseField], border: int, step: int) -> Estimate:
    """Values of dense fields at the centres of blocks of ``step`` x ``step`` pixels.

    An odd step takes the block's middle pixel, an even one the mean of its
    four middle pixels, of those that have a value if at least two have, with
    the flags of all of them.

    Parameters
    ----------
    fields : list of DenseField
        One a tile, all of the same side.
    border : int
        Pixels to leave out on each side; the rest is a multiple of `step`.
    step : int
        Side of a block, pixels.

    Returns
    -------
    Estimate
        Arrays of shape ``(len(fields), tile, tile)``.
    """
    low, high = (step - 1) // 2, step // 2
    corners = sorted({(i, j) for i in (low, high) for j in (low, high)})

    def gather(name: str) -> np.ndarray:
        whole = np.stack([getattr(field, name) for field in fields])
        inner = whole[:, border : whole.shape[1] - border, border : whole.shape[2] - border]
        return np.stack([inner[:, i::step, j::step] for i, j in corners])

    flags = gather("flags")
    missing = flags == Flag.NODATA
    lost = 2 * missing.sum(axis=0) > len(corners)
    merged = np.bitwise_or.reduce(np.where(missing, np.uint8(0), flags), axis=0)

    def mean(name: str) -> np.ndarray:
        values = gather(name)
        known = np.isfinite(values) & ~missing
        count = known.sum(axis=0)
        total = np.where(known, values, np.float32(0)).sum(axis=0)
        average = total / np.maximum(count, 1)
        return np.where(lost | (count == 0), np.nan, average).astype(np.float32)

    return Estimate(
        mean("dx"),
        mean("dy"),
        mean("sigma"),
        mean("quality"),
        np.where(lost, Flag.NODATA, merged).astype(np.uint8),
    )


def box_mean(values: np.ndarray, side: int) -> np.ndarray:
    """Mean over a centred square window, in double precision; zero beyond the array."""
    return ndimage.uniform_filter(values.astype(np.float64), side, mode="constant")
