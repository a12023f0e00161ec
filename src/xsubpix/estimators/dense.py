"""Shared parts of the dense matchers: one value a pixel, and its sampling at blocks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .base import OUTPUTS, Estimate, Flag, Output

__all__ = ["core_of_block", "sample_blocks"]


def core_of_block(step: int, tile: int) -> tuple[int, int]:
    """Core of a tile of one large block, whose middle alone is asked for.

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


def sample_blocks(
    fields: Sequence[Estimate], border: int, step: int, outputs: Sequence[Output] = OUTPUTS
) -> Estimate:
    """Values of dense fields at the centres of blocks of ``step`` x ``step`` pixels.

    An odd step takes the block's middle pixel, an even one the mean of its
    four middle pixels, of those that have a value if at least two have, with
    the bits of all of them.

    Parameters
    ----------
    fields : sequence of Estimate
        One a tile, all of the same side, with a value at every pixel.
    border : int
        Pixels to leave out on each side; the rest is a multiple of `step`.
    step : int
        Side of a block, pixels.
    outputs : sequence of Output
        Table of outputs of the estimator.

    Returns
    -------
    Estimate
        Arrays of shape ``(len(fields), tile, tile)``.

    Examples
    --------
    >>> import numpy as np
    >>> from xsubpix.estimators import Estimate
    >>> field = Estimate.missing((8, 8)).mapped(np.zeros_like)
    >>> sample_blocks([field], border=2, step=2).dx.shape
    (1, 2, 2)
    """
    low, high = (step - 1) // 2, step // 2
    corners = sorted({(i, j) for i in (low, high) for j in (low, high)})

    def gather(name: str) -> np.ndarray:
        whole = np.stack([field[name] for field in fields])
        inner = whole[:, border : whole.shape[1] - border, border : whole.shape[2] - border]
        return np.stack([inner[:, i::step, j::step] for i, j in corners])

    missing = gather("flags") == Flag.NODATA
    mostly_missing = 2 * missing.sum(axis=0) > len(corners)

    def mean(values: np.ndarray) -> np.ndarray:
        known = np.isfinite(values) & ~missing
        count = known.sum(axis=0)
        total = np.where(known, values, values.dtype.type(0)).sum(axis=0)
        average = total / np.maximum(count, 1)
        return np.where(mostly_missing | (count == 0), np.nan, average)

    sampled = {}
    for output in outputs:
        values = gather(output.name)
        if output.kind == "bits":
            bits = np.bitwise_or.reduce(np.where(missing, values.dtype.type(0), values), axis=0)
            found = np.where(mostly_missing, output.missing, bits)
        else:
            found = mean(values)
        sampled[output.name] = found.astype(output.dtype)
    return Estimate.of(sampled)
