"""Stable ground: where a field should be zero, so that what is there can be taken away."""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from ..checks import real_number
from ..errors import DataError, ModelError
from ..grid import Grid, Plane, is_placed
from ..image import Image
from ..missing import is_missing
from .field import Field
from .traces import Trace, read_trace

if TYPE_CHECKING:
    from ..lattice import Array

__all__ = ["buffer_in_metres", "stable_ground"]


def buffer_in_metres(buffer: float | None, trace: Any) -> float | None:
    """Buffer around a trace, checked before the trace is read.

    Raises
    ------
    ModelError
        A buffer without a trace, or one below 0.
    """
    if buffer is None:
        return None
    if trace is None:
        raise ModelError(
            f"buffer={buffer!r} was given and trace not: ground nearer to the trace than the "
            "buffer (metres) is left out, so both are needed."
        )
    return real_number("buffer", buffer, 0.0)


def stable_ground(
    field: Field, mask: xr.DataArray | None, trace: Any, buffer: float | None
) -> Array | None:
    """Mask of ground taken to be stable, (rows, columns) of bool; None: everywhere.

    Raises
    ------
    DataError, GridError
        The mask is no mask on the field's grid: of another shape, in other places or in
        another CRS.
    """
    stable: Array | None = None
    if mask is not None:
        if not isinstance(mask, xr.DataArray) or mask.dtype.kind not in "bui":
            kind = mask.dtype if isinstance(mask, xr.DataArray) else type(mask).__name__
            raise DataError(
                f"mask is {kind}: give a DataArray of bool, true on stable ground, such as "
                "disp.quality > 0.5."
            )
        stable = _on_field(mask, field.grid)
    if trace is not None and buffer is not None:
        line = read_trace(trace, field.grid)
        (far,) = field.map(_Beyond(field.plane, line, buffer), ["east"], 1, dtype=np.bool_)
        stable = far if stable is None else stable & far
    return stable


def _on_field(mask: xr.DataArray, here: Grid) -> Array:
    """Mask on the pixels of a field, (rows, columns) of bool, matched by its coordinates.

    Rows and columns that run the other way are turned. A mask without coordinates and CRS
    can be matched by position only, and has to have the field's shape.
    """
    image = Image.from_dataarray(mask, "mask")
    there = image.grid
    values: Any = image.data
    if image.nodata is not None:
        import dask.array as da

        missing = functools.partial(is_missing, nodata=image.nodata)
        if image.lazy:
            values = da.where(values.map_blocks(missing, dtype=bool), 0, values)
        else:
            values = np.where(missing(values), 0, values)
    if there.shape == here.shape and not is_placed(mask, there):
        return values.astype(bool)
    (a, e), (own_a, own_e) = (g.transform[0:5:4] for g in (here, there))
    if not here.is_rotated and not there.is_rotated and there.shape == here.shape:
        flips = (own_e * e < 0, own_a * a < 0)
        values = values[tuple(slice(None, None, -1) if flip else slice(None) for flip in flips)]
        there = there.turned(*flips)
    if there.crs is None:  # its coordinates are the field's, as far as they agree
        there = dataclasses.replace(there, crs=here.crs, metres_per_unit=here.metres_per_unit)
    here.check_same(there, ("disp", "mask"))
    return values.astype(bool)


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
