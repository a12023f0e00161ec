"""Displacement in other programs' files: CF NetCDF, ITS_LIVE, COSI-Corr."""

from __future__ import annotations

import os
import uuid
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xarray as xr

from .._version import __version__
from ..errors import DataError, FileError, ModelError, SubpixError
from ..grid import Grid
from .geotiff import _quiet_about_placelessness, _removed_at_exit, _store

if TYPE_CHECKING:
    import pyproj

__all__ = ["to_cosi_corr", "to_netcdf"]

# Days in the year of autoRIFT's metres a year.
YEAR = 365.0
_STEPS = ("outlier_filter", "mask", "detrend", "destripe", "denoise")
_DAY = np.timedelta64(86_400, "s")


def to_netcdf(
    disp: xr.Dataset,
    path: str | os.PathLike[str],
    *,
    names: Literal["xsubpix", "its-live"] = "xsubpix",
    overwrite: bool = True,
) -> None:
    """Write a displacement field, or what was made from one, as CF NetCDF.

    Parameters
    ----------
    disp : xarray.Dataset
        On a grid, or profiles or offsets along a line. A lazy one is computed and
        written block by block.
    path : str or path
        Usually ``*.nc``. The file appears under its name only when it is whole.
    names : {"xsubpix", "its-live"}
        ``"its-live"``: velocities ``vx``, ``vy``, ``v`` in metres a year of 365 days,
        their errors, the variables ``mapping`` and ``img_pair_info``, as in the
        granules of ITS_LIVE and autoRIFT (float32 in place of rounded integers). Needs the
        times of both images.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    FileError
        The folder is not there, the file exists, or it cannot be written.
    DataError
        This is no Dataset, or has no times that velocities need.
    ModelError
        Unknown `names`.
    SubpixError
        Neither netCDF4 nor h5netcdf is installed.
    """
    if names not in ("xsubpix", "its-live"):
        raise ModelError(f"names={names!r}: give 'xsubpix' or 'its-live'.")
    if not isinstance(disp, xr.Dataset):
        raise DataError(f"disp is a {type(disp).__name__}; an xarray.Dataset is needed.")
    target = new_target(path, overwrite)
    engine = _netcdf_engine()
    out = _its_live(disp) if names == "its-live" else disp.copy()
    out = _conforming(out)
    encoding: dict[Hashable, dict[str, Any]] = {}
    for name, variable in out.data_vars.items():
        if variable.ndim == 0:
            continue
        encoding[name] = {"zlib": True, "complevel": 1, "shuffle": True}
        if variable.dtype.kind == "f":
            encoding[name]["_FillValue"] = variable.dtype.type(np.nan)
        if "grid_mapping" in variable.encoding:
            encoding[name]["grid_mapping"] = variable.encoding["grid_mapping"]
    for name in out.coords:
        encoding[name] = {"_FillValue": None}
        if out[name].dtype.kind == "M":
            epoch = {"units": "seconds since 1970-01-01", "dtype": "float64"}
            encoding[name] |= {**epoch, "calendar": "proleptic_gregorian"}
    part = target.parent / f".{target.name}.{uuid.uuid4().hex[:8]}.partial"
    try:
        with _removed_at_exit(part):
            out.to_netcdf(part, engine=engine, format="NETCDF4", encoding=encoding)
            os.replace(part, target)
    except OSError as error:
        raise FileError(f"cannot write {target}: {error}") from error


def to_cosi_corr(disp: xr.Dataset, path: str | os.PathLike[str], *, overwrite: bool = True) -> None:
    """Write a displacement field as COSI-Corr does: bands East/West, North/South, SNR.

    Parameters
    ----------
    disp : xarray.Dataset
        ``east``, ``north`` and, for the third band, ``quality`` (1 where there is none).
        A lazy one is written block by block.
    path : str or path
        ``*.tif`` makes a GeoTIFF, anything else an ENVI file with its ``.hdr``.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    FileError
        The folder is not there, the file exists, or it cannot be written.
    DataError, DimensionError, GridError
        This is no displacement field.

    Notes
    -----
    Both have east and north positive. On a grid without CRS the values have the
    coordinates' unit.
    """
    import rasterio
    import rasterio.errors

    from ..displacement.field import Field

    field = Field.of(disp)
    target = new_target(path, overwrite)
    tiff = target.suffix.lower() in (".tif", ".tiff")
    profile: dict[str, Any] = {
        "driver": "GTiff" if tiff else "ENVI", "dtype": "float32", "nodata": np.nan, "count": 3,
        "height": field.grid.shape[0], "width": field.grid.shape[1],
        "transform": field.grid.transform,
        "crs": None if field.grid.crs is None else field.grid.crs.to_wkt(),
    }  # fmt: skip
    if tiff:
        profile |= {"tiled": True, "compress": "deflate", "bigtiff": "if_safer"}
    arrays = [field.array("east"), field.array("north")]
    arrays.append(field.array("quality") if "quality" in disp else arrays[0] * 0 + np.float32(1))
    stem = f".{target.stem}.{uuid.uuid4().hex[:8]}"
    part = target.parent / f"{stem}{target.suffix or '.partial'}"
    header = part.with_suffix(".hdr")
    aside = Path(f"{part}.aux.xml")
    try:
        with _removed_at_exit(part, header, aside):
            with _quiet_about_placelessness(field.grid), rasterio.open(part, "w", **profile) as out:
                for k, name in enumerate(("East/West", "North/South", "SNR"), 1):
                    out.set_band_description(k, name)
                    if tiff:
                        out.set_band_unit(k, "1" if k == 3 else field.grid.units)
                _store(out, arrays, target)
            if header.exists():
                os.replace(header, target.with_suffix(".hdr"))
            os.replace(part, target)
    except (rasterio.errors.RasterioError, OSError) as error:
        raise FileError(f"cannot write {target}: {error}") from error


def new_target(path: str | os.PathLike[str], overwrite: bool) -> Path:
    target = Path(path)
    if not target.parent.is_dir():
        raise FileError(f"cannot write {target}: there is no folder {target.parent}. Make it.")
    if target.is_dir() or (target.exists() and not overwrite):
        raise FileError(f"cannot write {target}: it exists. Choose another name, or overwrite.")
    return target


# -------------------------------------------------------------------------- NetCDF


def _netcdf_engine() -> Literal["netcdf4", "h5netcdf"]:
    import importlib.util

    if importlib.util.find_spec("netCDF4"):
        return "netcdf4"
    if importlib.util.find_spec("h5netcdf"):
        return "h5netcdf"
    raise SubpixError("NetCDF needs netCDF4: pip install 'xsubpix[netcdf]'.")


def _conforming(disp: xr.Dataset) -> xr.Dataset:
    """What CF asks for beyond what the field already says."""
    out = disp.copy()
    crs, mapping = crs_of(out), _mapping(out)
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
        attrs = {**crs.to_cf(), **_kept(out[mapping].attrs)}
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
    """What was there, and what was done to the field, a line each."""
    lines = str(attrs.get("history", "")).splitlines()
    lines += [f"{step}: {attrs[step]}" for step in _STEPS if step in attrs]
    lines.append(f"written by xsubpix {__version__}")
    return "\n".join(dict.fromkeys(lines))


def _kept(attrs: dict[str, Any]) -> dict[str, Any]:
    return {k: attrs[k] for k in ("spatial_ref", "GeoTransform") if k in attrs}


def _plain(value: Any) -> Any:
    """An attribute as NetCDF holds it."""
    return int(value) if isinstance(value, bool | np.bool_) else value


def _axes(disp: xr.Dataset) -> tuple[Hashable, Hashable] | None:
    for variable in disp.data_vars.values():
        if variable.ndim == 2:
            return Grid.from_dataarray(variable, "disp").dims
    return None


def _mapping(disp: xr.Dataset) -> Hashable | None:
    for name, coordinate in disp.coords.items():
        attrs = coordinate.attrs
        if coordinate.ndim == 0 and ({"crs_wkt", "spatial_ref", "grid_mapping_name"} & set(attrs)):
            return name
    return None


def crs_of(disp: xr.Dataset) -> pyproj.CRS | None:
    import pyproj

    name = _mapping(disp)
    if name is None:
        return None
    attrs = disp[name].attrs
    text = attrs.get("crs_wkt") or attrs.get("spatial_ref")
    return pyproj.CRS.from_user_input(text) if text else pyproj.CRS.from_cf(dict(attrs))


def _its_live(disp: xr.Dataset) -> xr.Dataset:
    """The field under the names, and in the units, of an ITS_LIVE granule."""
    from ..displacement.field import Field

    field = Field.of(disp)
    lacking = [t for t in ("reference_time", "secondary_time") if t not in disp.coords]
    if lacking or field.grid.crs is None:
        what = "CRS" if field.grid.crs is None else " and no ".join(lacking)
        raise DataError(
            f"disp has no {what}: velocities need both times and a CRS. Add them, e.g. "
            "disp.assign_coords(reference_time=np.datetime64('2020-01-31'))."
        )
    times = [disp[t].values for t in ("reference_time", "secondary_time")]
    days = float((times[1] - times[0]) / _DAY)
    if days == 0:
        raise DataError(f"disp has one time, {times[0]}, for both images: no velocity in that.")
    rate = np.float32(YEAR / days)
    variables: dict[str, Any] = {}
    arrays = {"vx": field.array("east") * rate, "vy": field.array("north") * rate}
    for name, axis in (("vx", "x"), ("vy", "y")):
        variables[name] = arrays[name], {
            "standard_name": f"land_ice_surface_{axis}_velocity", "units": "meter/year",
            "description": f"velocity component in {axis} direction",
        }  # fmt: skip
    variables["v"] = np.sqrt(arrays["vx"] ** 2 + arrays["vy"] ** 2), {
        "standard_name": "land_ice_surface_velocity", "units": "meter/year",
        "description": "velocity magnitude",
    }  # fmt: skip
    if "sigma" in disp:
        variables["v_error"] = field.array("sigma") * abs(rate), {
            "standard_name": "velocity_error", "units": "meter/year",
            "description": "one-sigma error of each velocity component",
        }  # fmt: skip
    out = field.new(variables, {"title": "xsubpix surface velocities"})
    out = out.rename({_mapping(out): "mapping"})
    for variable in out.data_vars:
        out[variable].encoding["grid_mapping"] = "mapping"
    out = out.drop_vars(["reference_time", "secondary_time"])
    middle = times[0] + (times[1] - times[0]) / 2
    stamps = [_stamp(t) for t in (*times, middle)]
    info = {
        "acquisition_date_img1": stamps[0], "acquisition_date_img2": stamps[1],
        "date_center": stamps[2], "date_dt": days, "standard_name": "image_pair_information",
    }  # fmt: skip
    out["img_pair_info"] = xr.Variable((), np.int8(0), info)
    # CF knows neither: they are names that readers of ITS_LIVE look for.
    for name in ("v", "v_error", "img_pair_info"):
        if name in out:
            out[name].attrs["long_name"] = out[name].attrs.pop("standard_name").replace("_", " ")
    return out


def _stamp(time: np.datetime64) -> str:
    text = str(np.datetime_as_string(time, unit="s"))
    return text[:10].replace("-", "") + text[10:]
