"""A displacement field against a known one."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from ..errors import DataError, GridError
from ..field_input import checked_field
from ..grid import SAME_GRID_TOLERANCE, Grid

__all__ = ["epe"]


def epe(disp: xr.Dataset, truth: xr.Dataset) -> xr.DataArray:
    """End-point error: length of the difference of two displacement fields.

    Parameters
    ----------
    disp : xarray.Dataset
        Measured ``east`` and ``north``.
    truth : xarray.Dataset
        True ``east`` and ``north``, same unit, on the same grid, or on a finer
        one: it is then interpolated linearly to the centres of `disp`.

    Returns
    -------
    xarray.DataArray
        sqrt((de)**2 + (dn)**2), on the grid of `disp`, in its unit; NaN where
        either is missing.

    Raises
    ------
    DataError
        ``east`` or ``north`` is absent.
    GridError
        The grids cannot be compared: different CRSs, or axes that are not
        parallel.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xsubpix
    >>> east, north = np.full((4, 4), 3.0), np.full((4, 4), 4.0)
    >>> disp = xr.Dataset({"east": (("y", "x"), east), "north": (("y", "x"), north)})
    >>> float(xsubpix.epe(disp, 0 * disp).mean())
    5.0
    """
    squared: Any = 0.0
    for name in ("east", "north"):
        squared = squared + error_of(disp, truth, name).data ** 2
    like = error_of(disp, truth, "east")
    order = [dim for dim in disp["east"].dims if dim in like.dims]
    out = like.copy(data=np.sqrt(squared)).transpose(*order).rename("epe")
    out.attrs = {"long_name": "end-point error", "units": like.attrs["units"]}
    return out


def error_of(disp: xr.Dataset, truth: xr.Dataset, name: str) -> xr.DataArray:
    """Measured minus true value of one component, (rows, columns), as in `epe`."""
    disp, truth = (
        checked_field(ds, "east", "north", what=what)
        for what, ds in (("disp", disp), ("truth", truth))
    )
    here = Grid.from_dataarray(disp["east"], "disp")
    there = Grid.from_dataarray(truth["east"], "truth")
    here.check_same_crs(there, ("disp", "truth"))
    _check_units(disp[name], truth[name])
    same = here.shape == there.shape and here.offset_from(there) < SAME_GRID_TOLERANCE
    true = truth[name].transpose(*there.dims)
    if not same:
        true = _at_centres(true, there, here)
    measured = disp[name].transpose(*here.dims)
    # By position: coordinates that differ by rounding must not empty the result.
    out = measured.copy(data=measured.data - true.data)
    out.attrs = {"long_name": f"error of {name}", "units": here.units}
    return out


def _check_units(measured: xr.DataArray, true: xr.DataArray) -> None:
    """Refuse fields that say that they have different units."""
    units = [array.attrs.get("units") for array in (measured, true)]
    if None not in units and units[0] != units[1]:
        raise DataError(
            f"disp.{measured.name} is in {units[0]!r} and truth.{true.name} in {units[1]!r}: bring "
            "them to one unit, and say so in attrs['units']."
        )


def _at_centres(field: xr.DataArray, there: Grid, here: Grid) -> xr.DataArray:
    """Interpolate a field on the grid `there` linearly at the centres of `here`."""
    to_there = here.matrix_to(there)
    linear, origin = to_there[:2, :2], to_there[:2, 2]
    rows, cols = here.shape
    drift = max(abs(linear[0, 1]) * rows, abs(linear[1, 0]) * cols)
    if drift > SAME_GRID_TOLERANCE:
        raise GridError(
            f"the axes of disp and truth are not parallel: transforms {here.transform[:6]} and "
            f"{there.transform[:6]}. Bring them to one grid: truth.rio.reproject_match(disp)."
        )
    here.check_shared_ground(there, ("disp", "truth"))
    col = linear[0, 0] * (np.arange(cols) + 0.5) + origin[0] - 0.5
    row = linear[1, 1] * (np.arange(rows) + 0.5) + origin[1] - 0.5
    plain = xr.DataArray(
        field.data,
        dims=("r", "c"),
        coords={"r": np.arange(field.shape[0]), "c": np.arange(field.shape[1])},
    )
    return plain.interp(r=row, c=col, method="linear")
