"""A displacement Dataset as it comes in, brought to the form that everything here works on."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import xarray as xr

from .errors import DataError
from .grid import image_dims, with_grid_mapping
from .missing import Missing, declared_missing, is_missing

__all__ = ["checked_field"]

# Variables whose values have a valid range of their own making: nothing is left out by it.
_RANGED = ("quality", "flags")
_NODATA_BIT = np.uint8(1)


def checked_field(
    disp: xr.Dataset, *needed: str, what: str = "disp", squeeze: bool = True
) -> xr.Dataset:
    """Bring a Dataset of fields to one form: CRS along, NaN for missing, one image each.

    The grid mapping becomes a coordinate; values that are declared missing (``_FillValue``,
    ``missing_value``, ``nodata``, the valid range) become NaN; further dimensions of size 1
    go; flags that became real numbers are whole again.

    Parameters
    ----------
    disp : xarray.Dataset
    *needed : str
        Variables that have to be there.
    what : str
        What to call it in messages.
    squeeze : bool
        Whether dimensions of size 1 go.

    Returns
    -------
    xarray.Dataset
        `disp` itself where nothing is to be done; lazy where it is.

    Raises
    ------
    DataError
        It is no Dataset or lacks a variable; a declared value is no number; flags are
        averages, which are none.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> east = (("band", "y", "x"), [[[1.0, -9999.0]]], {"_FillValue": -9999.0})
    >>> checked_field(xr.Dataset({"east": east}), "east").east.values
    array([[ 1., nan]])
    """
    if not isinstance(disp, xr.Dataset) or not set(needed) <= set(disp.data_vars):
        have = list(disp.data_vars) if isinstance(disp, xr.Dataset) else type(disp).__name__
        names = " and ".join(repr(name) for name in sorted(needed))
        raise DataError(f"{what} has {have}; a Dataset with {names or 'fields'} is needed.")
    disp = with_grid_mapping(disp)
    if squeeze:
        disp = _squeezed(disp, *needed)
    new: dict[Any, xr.Variable] = {}
    for name, array in disp.data_vars.items():
        if name == "flags":
            if array.dtype.kind == "f":
                new[name] = _replaced(array, _whole_flags, np.dtype(np.uint8))
        elif array.dtype.kind == "f":
            nodata = declared_missing(array, f"{what}.{name}", bounds=name not in _RANGED)
            if nodata is not None:
                new[name] = _replaced(array, functools.partial(_nan_for, nodata), array.dtype)
        elif array.dtype.kind in "iu" and name in needed:
            nodata = declared_missing(array, f"{what}.{name}")
            if nodata is not None:
                real = functools.partial(_nan_for, nodata)
                new[name] = _replaced(array, real, np.dtype(np.float32))
    return disp.assign(new) if new else disp


def _squeezed(disp: xr.Dataset, *needed: str) -> xr.Dataset:
    """Dataset without dimensions of size 1 other than rows and columns."""
    fields = [disp[name] for name in needed[:1]] or list(disp.data_vars.values())
    first = next((field for field in fields if field.ndim > 2), None)
    extra = [] if first is None else [dim for dim in first.dims if first.sizes[dim] == 1]
    if first is None or not extra:
        return disp
    grid_dims = image_dims(first, "disp")
    return disp.isel({dim: 0 for dim in extra if dim not in grid_dims})


def _replaced(array: xr.DataArray, function: Any, dtype: np.dtype) -> xr.Variable:
    """Variable with a function applied to its values, lazily where they are."""
    data = array.variable.data
    if hasattr(data, "dask"):
        data = data.map_blocks(function, dtype=dtype, meta=np.empty((0,) * data.ndim, dtype))
    else:
        data = function(np.asarray(data))
    said = ("_FillValue", "missing_value", "nodata")
    attrs, encoding = (
        {k: v for k, v in source.items() if k not in said}
        for source in (array.attrs, array.encoding)
    )
    return xr.Variable(array.dims, data, attrs, encoding)


def _nan_for(nodata: float | Missing, values: np.ndarray) -> np.ndarray:
    dtype = values.dtype if values.dtype.kind == "f" else np.dtype(np.float32)
    return np.where(is_missing(values, nodata), dtype.type(np.nan), values).astype(dtype)


def _whole_flags(values: np.ndarray) -> np.ndarray:
    """Flags of whole numbers; what is NaN is flagged ``nodata``."""
    known = np.isfinite(values)
    rest = values[known]
    if rest.size and not ((rest == np.rint(rest)) & (rest >= 0) & (rest <= 255)).all():
        wrong = rest[(rest != np.rint(rest)) | (rest < 0) | (rest > 255)][0]
        raise DataError(
            f"disp.flags holds {float(wrong):g}: averages of flags are no flags. Bring the "
            "field to the other grid without them, and the flags by the nearest value or "
            "disp.flags.coarsen(...).reduce(numpy.bitwise_or.reduce)."
        )
    return np.where(known, np.nan_to_num(values), _NODATA_BIT).astype(np.uint8)
