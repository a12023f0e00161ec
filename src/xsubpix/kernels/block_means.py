"""Sums, means and correlations of square blocks of pixels that do not overlap."""

from __future__ import annotations

import numpy as np

__all__ = ["block_correlation", "block_mean", "block_sum", "in_blocks"]


def in_blocks(values: np.ndarray, side: int) -> np.ndarray:
    """Cut an array into square blocks.

    Parameters
    ----------
    values : numpy.ndarray
        Shape (..., h, w).
    side : int
        Side of a block, pixels. A remainder at the far sides joins no block.

    Returns
    -------
    numpy.ndarray
        Shape (..., h // side, side, w // side, side): row of blocks, row in the block, column
        of blocks, column in the block. A view where NumPy can make one.
    """
    rows, cols = (n // side for n in values.shape[-2:])
    cut = values[..., : rows * side, : cols * side]
    return cut.reshape(*values.shape[:-2], rows, side, cols, side)


def block_sum(values: np.ndarray, side: int) -> np.ndarray:
    """Add up the values of square blocks, in double precision.

    Parameters
    ----------
    values : numpy.ndarray
        Shape (..., h, w), any unit.
    side : int
        Side of a block, pixels.

    Returns
    -------
    numpy.ndarray of float64
        Shape (..., h // side, w // side), unit of `values`.
    """
    total: np.ndarray = in_blocks(values, side).sum(axis=(-3, -1), dtype=np.float64)
    return total


def block_mean(values: np.ndarray, side: int, *, least_share: float = 0.5) -> np.ndarray:
    r"""Mean of the pixels of square blocks that are not missing.

    .. math:: m = \frac{1}{|V|} \sum_{x \in V} v(x),

    V the finite pixels of the block.

    Parameters
    ----------
    values : numpy.ndarray
        Shape (..., h, w), any unit; NaN is missing.
    side : int
        Side of a block, pixels.
    least_share : float
        Share of a block that must be there, 0 to 1.

    Returns
    -------
    numpy.ndarray of float32
        Shape (..., h // side, w // side); NaN where too little, or nothing, is there.
    """
    blocks = in_blocks(values, side)
    valid = np.isfinite(blocks)
    count = valid.sum(axis=(-3, -1))
    total = np.where(valid, blocks, 0.0).sum(axis=(-3, -1), dtype=np.float64)
    enough = count >= max(least_share * side**2, 1)
    return np.where(enough, total / np.maximum(count, 1), np.nan).astype(np.float32)


def block_correlation(a: np.ndarray, b: np.ndarray, side: int) -> np.ndarray:
    r"""Correlation of two images in square blocks.

    .. math:: \rho = \frac{\sum (a - \bar a)(b - \bar b)}
        {\sqrt{\sum (a - \bar a)^2 \sum (b - \bar b)^2}}

    Parameters
    ----------
    a, b : numpy.ndarray
        Shape (h, w), any unit; NaN is missing.
    side : int
        Side of a block, pixels.

    Returns
    -------
    numpy.ndarray of float64
        Shape (h // side, w // side), -1 to 1; NaN where one pixel is missing or one image is
        constant.
    """
    departures = []
    for image in (a, b):
        blocks = in_blocks(image, side)
        departures.append(blocks - blocks.mean(axis=(1, 3), keepdims=True, dtype=np.float64))
    a, b = departures
    power = (a * a).sum(axis=(1, 3)) * (b * b).sum(axis=(1, 3))
    correlation: np.ndarray = (a * b).sum(axis=(1, 3)) / np.sqrt(np.where(power > 0, power, np.nan))
    return correlation
