"""Components of displacement fields and their comparison."""

from __future__ import annotations

import numpy as np
import xarray as xr

from ..errors import DataError
from ..grid import Grid

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
        The grids cannot be compared (different CRSs).
    """
    for what, ds in (("disp", disp), ("truth", truth)):
        if not isinstance(ds, xr.Dataset) or not {"east", "north"} <= set(ds.data_vars):
            have = list(ds.data_vars) if isinstance(ds, xr.Dataset) else type(ds).__name__
            raise DataError(f"{what} has {have}; a Dataset with 'east' and 'north' is needed.")
    here = Grid.from_dataarray(disp["east"], "disp")
    there = Grid.from_dataarray(truth["east"], "truth")
    same = here.shape == there.shape and here.offset_from(there) < 1e-3
    if same:
        here.check_same(there, ("disp", "truth"))
    squared: xr.DataArray | float = 0.0
    for name in ("east", "north"):
        true = truth[name].transpose(*there.dims)
        if not same:
            true = true.interp(
                {t: disp[h] for h, t in zip(here.dims, there.dims, strict=True)}, method="linear"
            )
        # By position: coordinates that differ by rounding must not empty the result.
        squared = squared + (disp[name].transpose(*here.dims).variable - true.variable.data) ** 2
    out = disp["east"].transpose(*here.dims).copy(data=np.sqrt(squared.data))
    out = out.transpose(*disp["east"].dims).rename("epe")
    out.attrs = {"long_name": "end-point error", "units": here.units}
    return out
