"""Variables of a NetCDF file, read where they are asked for; errors name the file."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import xarray as xr

from ..errors import FileError
from .pixels import check_unchanged, file_state
from .writing import first_cause

__all__ = ["open_variables"]

_CHUNK = 2048


def open_variables(path: str | os.PathLike[str]) -> xr.Dataset:
    """Open a NetCDF file lazily.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    xarray.Dataset
        Dask arrays that raise :class:`FileError` where the file is damaged or was changed.

    Raises
    ------
    OSError
        It cannot be opened.
    """
    try:
        opened = xr.open_dataset(path, chunks=None, cache=False, decode_coords="all")
    except Exception as error:  # HDF5's, netCDF's and xarray's, of damaged headers
        raise OSError(first_cause(error)) from error
    import dask.array as da
    from dask.base import tokenize

    state = file_state(path)
    lazy: dict[Any, xr.Variable] = {}
    for name, array in opened.data_vars.items():
        if array.ndim < 2 or array.size == 0:
            continue
        variable = array.variable
        data = da.from_array(
            _Values(variable, os.fspath(path), () if state is None else (state,)),
            chunks=tuple(min(n, _CHUNK) for n in variable.shape), lock=False,
            name=f"open_displacement-{tokenize(str(name), state, os.fspath(path))}",
            meta=np.empty((0,) * variable.ndim, variable.dtype),
        )  # fmt: skip
        lazy[name] = xr.Variable(variable.dims, data, variable.attrs, variable.encoding)
    return opened.assign(lazy)


class _Values:
    """Values of a variable as an array that dask reads parts of."""

    def __init__(self, variable: xr.Variable, path: str, states: tuple[Any, ...]) -> None:
        self.variable, self.path, self.states = variable, path, states
        self.shape, self.dtype, self.ndim = variable.shape, variable.dtype, variable.ndim

    def __getitem__(self, key: tuple[slice, ...]) -> np.ndarray:
        check_unchanged(self.states)
        try:
            values = np.asarray(self.variable[key].values)
        except Exception as error:  # HDF5's, by way of netCDF4 or h5netcdf
            raise FileError(
                f"cannot read {self.path}: {first_cause(error)}. The file is damaged or out of "
                "reach: get it anew."
            ) from error
        check_unchanged(self.states)
        return values
