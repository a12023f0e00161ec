"""CF conventions in NetCDF: grid mappings, axes, history, encoding; all or nothing."""

from __future__ import annotations

import errno
import importlib.util
import os
import uuid
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xarray as xr

from .._version import __version__
from ..atomic import replace_file
from ..errors import SubpixError
from ..grid import Grid, find_crs, with_grid_mapping
from ..stack import STACKED
from .sources import files_read_by, sources_unchanged
from .writing import new_target, removed_at_exit, writing_errors_named

if TYPE_CHECKING:
    import pyproj

__all__ = ["crs_of", "mapping_of", "write_dataset"]

#: Endings of names.
SUFFIXES = (".nc", ".nc4", ".cdf", ".netcdf")

_STEPS = ("outlier_filter", "mask", "detrend", "destripe", "denoise")


def write_dataset(disp: xr.Dataset, path: str | os.PathLike[str], *, overwrite: bool) -> None:
    """Write a Dataset as NetCDF under CF conventions, all or nothing.

    Parameters
    ----------
    disp : xarray.Dataset
        On a grid, or along a line.
    path : str or path
        File to be.
    overwrite : bool
        Replace an existing file.

    Raises
    ------
    FileError
        The folder is not there, the file exists, its name has another ending than
        NetCDF's, the field reads it, or it cannot be written.
    SubpixError
        Neither netCDF4 nor h5netcdf is installed.
    """
    sources = files_read_by(disp)
    target = new_target(path, overwrite, SUFFIXES, sources=sources)
    engine = _netcdf_engine()
    out = _with_conventions(with_grid_mapping(disp))
    part = target.parent / f".{target.name}.{uuid.uuid4().hex[:8]}.partial"
    with writing_errors_named(target), removed_at_exit(part):
        try:
            with sources_unchanged(sources):
                out.to_netcdf(part, engine=engine, format="NETCDF4", encoding=_encoding(out))
        except RuntimeError as error:  # HDF5's, where the disk is full
            if "NetCDF" not in str(error):
                raise
            raise OSError(errno.EIO, f"{error}; is the disk full?") from error
        _check_written(part, out)
        replace_file(part, target)


def _netcdf_engine() -> Literal["netcdf4", "h5netcdf"]:
    if importlib.util.find_spec("netCDF4"):
        return "netcdf4"
    if importlib.util.find_spec("h5netcdf"):
        return "h5netcdf"
    raise SubpixError("NetCDF needs netCDF4: pip install 'xsubpix[netcdf]'.")


def _check_written(path: Path, disp: xr.Dataset) -> None:
    """Open a file anew and read the last values of each variable: all of it is there."""
    with xr.open_dataset(path, chunks=None, cache=False, decode_cf=False) as back:
        for name, variable in disp.variables.items():
            if name not in back.variables or back[name].shape != variable.shape:
                raise OSError(errno.ENOSPC, f"variable {name!r} was not written whole")
            back[name].isel(dict.fromkeys(variable.dims, -1)).load()


def _encoding(disp: xr.Dataset) -> dict[Hashable, dict[str, Any]]:
    """Compression, missing values, grid mapping and times on disk."""
    encoding: dict[Hashable, dict[str, Any]] = {}
    for name, variable in disp.data_vars.items():
        if variable.ndim == 0:
            continue
        encoding[name] = {"zlib": True, "complevel": 1, "shuffle": True, "fletcher32": True}
        if variable.dtype.kind == "f":
            encoding[name]["_FillValue"] = variable.dtype.type(np.nan)
        if "grid_mapping" in variable.encoding:
            encoding[name]["grid_mapping"] = variable.encoding["grid_mapping"]
    for name in disp.coords:
        encoding[name] = {"_FillValue": None}
        if disp[name].dtype.kind == "M":
            epoch = {"units": "seconds since 1970-01-01", "dtype": "float64"}
            encoding[name] |= {**epoch, "calendar": "proleptic_gregorian"}
    return encoding


def _with_conventions(disp: xr.Dataset) -> xr.Dataset:
    """Field with what CF-1.11 asks for: axes, units, grid mapping, history."""
    out = disp.copy()
    crs, mapping = crs_of(out), mapping_of(out)
    dims = _axes(out)
    kinds = {
        True: (("latitude", "degrees_north"), ("longitude", "degrees_east")),
        False: (("projection_y_coordinate", "m"), ("projection_x_coordinate", "m")),
    }
    # Of a grid its dimensions, of profiles and offsets the coordinates along the line.
    places = zip(dims or ("y", "x"), kinds[crs is not None and crs.is_geographic], strict=True)
    for name, (standard, unit) in places:
        if name not in out.coords or crs is None:
            continue
        old = out[name].attrs
        own = {"standard_name": standard, "units": old.get("units") or unit}
        if dims is not None:
            own["axis"] = "XY"[standard in ("latitude", "projection_y_coordinate")]
        out[name] = out[name].assign_attrs({"long_name": standard.replace("_", " "), **old, **own})
    for name, coordinate in out.coords.items():
        if coordinate.dtype.kind == "M":
            # Two times: neither is the axis, but both are times. NumPy leaves leap seconds out.
            more = {"standard_name": "time", "units_metadata": "leap_seconds: unknown"}
            out[name] = coordinate.assign_attrs(more)
    if mapping is not None and crs is not None:
        # A scalar of 32 bits: CF came late to longer integers.
        attrs = {**crs.to_cf(), **_gdal_attrs(out[mapping].attrs)}
        out[mapping] = xr.Variable((), np.int32(0), attrs)
        for name, variable in out.data_vars.items():
            if variable.ndim:
                out[name].encoding["grid_mapping"] = mapping
                out[name].attrs.pop("grid_mapping", None)
    out.attrs = {k: _plain(v) for k, v in out.attrs.items()}
    out.attrs["Conventions"] = "CF-1.11"
    out.attrs["history"] = _history(out.attrs)
    return out


def _history(attrs: Mapping[Any, Any]) -> str:
    """Earlier history, then the steps done to the field, a line each."""
    lines = str(attrs.get("history", "")).splitlines()
    lines += [f"{step}: {attrs[step]}" for step in _STEPS if step in attrs]
    lines.append(f"written by xsubpix {__version__}")
    return "\n".join(dict.fromkeys(lines))


def _gdal_attrs(attrs: dict[str, Any]) -> dict[str, Any]:
    """Attributes of a grid mapping that GDAL reads and CF does not know."""
    return {k: attrs[k] for k in ("spatial_ref", "GeoTransform") if k in attrs}


def _plain(value: Any) -> Any:
    """Attribute of a type that NetCDF holds."""
    return int(value) if isinstance(value, bool | np.bool_) else value


def _axes(disp: xr.Dataset) -> tuple[Hashable, Hashable] | None:
    """Row and column dimension; None of profiles and offsets."""
    for variable in disp.data_vars.values():
        away = [dim for dim in STACKED if dim in variable.dims]
        if variable.ndim - len(away) == 2:
            return Grid.from_dataarray(variable.isel(dict.fromkeys(away, 0)), "disp").dims
    return None


def mapping_of(disp: xr.Dataset) -> Hashable | None:
    """Name of the scalar coordinate that is the grid mapping."""
    for name, coordinate in disp.coords.items():
        attrs = coordinate.attrs
        if coordinate.ndim == 0 and ({"crs_wkt", "spatial_ref", "grid_mapping_name"} & set(attrs)):
            return name
    return None


def crs_of(disp: xr.Dataset) -> pyproj.CRS | None:
    """CRS of the grid mapping, None where there is none."""
    return find_crs(with_grid_mapping(disp), "disp")[0]
