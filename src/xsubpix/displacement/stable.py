"""Stable ground: where a field should be zero, so that what is there can be taken away."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from ..checks import real_number
from ..errors import DataError, GridError, ModelError
from ..grid import Grid, Plane
from .field import Field
from .traces import Trace, read_trace

if TYPE_CHECKING:
    from ..lattice import Array

__all__ = ["stable_ground"]


def stable_ground(
    field: Field, mask: xr.DataArray | None, trace: Any, buffer: float | None
) -> Array | None:
    """Mask of ground taken to be stable, (rows, columns) of bool; None: everywhere.

    Raises
    ------
    DataError, GridError
        The mask is no mask on the field's grid.
    ModelError
        A trace without a buffer, or the reverse.
    """
    stable: Array | None = None
    if mask is not None:
        if not isinstance(mask, xr.DataArray) or mask.dtype.kind not in "bui":
            kind = mask.dtype if isinstance(mask, xr.DataArray) else type(mask).__name__
            raise DataError(
                f"mask is {kind}: give a DataArray of bool, true on stable ground, such as "
                "disp.quality > 0.5."
            )
        grid = Grid.from_dataarray(mask, "mask")
        if grid.shape != field.grid.shape:
            raise GridError(
                f"mask has shape {grid.shape} (rows, columns) and disp {field.grid.shape}. Bring "
                "it to the field's grid: mask.rio.reproject_match(disp)."
            )
        stable = mask.transpose(*grid.dims).data.astype(bool)
    if (trace is None) != (buffer is None):
        given, missing = ("buffer", "trace") if trace is None else ("trace", "buffer")
        raise ModelError(
            f"{given} was given and {missing} not: ground nearer to the trace than the "
            "buffer (metres) is left out, so both are needed."
        )
    if trace is not None:
        line = read_trace(trace, field.grid)
        metres = real_number("buffer", buffer, 0.0)
        (far,) = field.map(_Beyond(field.plane, line, metres), ["east"], 1, dtype=np.bool_)
        stable = far if stable is None else stable & far
    return stable


@dataclasses.dataclass(frozen=True)
class _Beyond:
    """Mask of pixels farther from a trace than a buffer."""

    plane: Plane
    trace: Trace
    buffer: float

    def __call__(
        self, blocks: list[np.ndarray], rows: np.ndarray, cols: np.ndarray
    ) -> tuple[np.ndarray]:
        from scipy.spatial import cKDTree

        x, y = self.plane.at(rows[:, None], cols[None, :])
        at = np.column_stack([np.ravel(x), np.ravel(y)])
        reach = self.buffer + self.trace.spacing
        away = cKDTree(self.trace.points).query(at, distance_upper_bound=reach)[0]
        return ((away > self.buffer).reshape(blocks[0].shape),)
