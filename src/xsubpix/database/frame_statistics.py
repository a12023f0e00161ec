"""Statistics of a frame for its table: correlation, largest steps, traces."""

from __future__ import annotations

import numpy as np

from ..kernels.block_means import block_correlation
from ..rupture import Fault

__all__ = ["cell_correlation", "holds_trace", "largest_steps", "mean_of_cells"]

# Cells of the measured correlation, pixels.
_CELL = 32


def largest_steps(codes: np.ndarray) -> np.ndarray:
    """Largest difference of each pixel's displacement to the next ones, ``(h, w)``.

    Parameters
    ----------
    codes : numpy.ndarray
        Displacement ``(2, h, w)``, in any unit; the result has the same.

    Examples
    --------
    >>> import numpy as np
    >>> codes = np.zeros((2, 3, 3), np.int16)
    >>> codes[0, :, 2] = 4
    >>> largest_steps(codes)[0].tolist()
    [0.0, 4.0, 0.0]
    """
    steps = np.zeros(codes.shape[1:], np.float32)
    for axis, here in ((1, np.s_[:-1, :]), (2, np.s_[:, :-1])):
        jump = np.hypot(*np.diff(codes.astype(np.float32), axis=axis))
        steps[here] = np.maximum(steps[here], jump)
    return steps


def cell_correlation(pre: np.ndarray, post: np.ndarray) -> np.ndarray:
    """Correlation in cells of 32 px that do not overlap; NaN where one pixel is missing."""
    return block_correlation(pre, post, _CELL)


def mean_of_cells(cells: np.ndarray, window: tuple[slice, slice]) -> float:
    """Mean over the cells of a window; 0 where all is flat or missing."""
    rows, columns = (slice(s.start // _CELL, max(s.stop // _CELL, 1)) for s in window)
    inside = cells[rows, columns]
    return float(np.nanmean(inside)) if np.isfinite(inside).any() else 0.0


def holds_trace(fault: Fault, window: tuple[slice, slice], size: int, pixel: float) -> bool:
    """True where the fault breaks the surface in a window of a frame of `size` pixels."""
    if fault.is_blind:
        return False
    for trace in fault.traces:
        length = np.hypot(*np.diff(trace, axis=0).T)
        count = np.maximum(np.ceil(length / pixel), 1).astype(int)
        along = [
            a + (b - a) * (np.arange(n)[:, None] / n)
            for a, b, n in zip(trace[:-1], trace[1:], count, strict=True)
        ]
        columns, rows = (np.concatenate(along) / pixel).T
        rows = size - rows
        inside = (rows >= window[0].start) & (rows < window[0].stop)
        inside &= (columns >= window[1].start) & (columns < window[1].stop)
        if inside.any():
            return True
    return False
