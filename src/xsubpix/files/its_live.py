"""Granules of ITS_LIVE and autoRIFT: velocities in metres a year."""

from __future__ import annotations

import os
from collections.abc import Hashable
from typing import Any

import numpy as np
import xarray as xr

from ..displacement.field import Field
from ..errors import DataError, FileError
from ..grid import Grid, labelled
from .base import Format, Source
from .cf import SUFFIXES, mapping_of, write_dataset

__all__ = ["FORMAT", "is_cube", "pair_of_cube", "velocities"]

# Days in the year of autoRIFT's metres a year.
YEAR = 365.0
_DAY = np.timedelta64(86_400, "s")
_TIMES = ("reference_time", "secondary_time")


def velocities(disp: xr.Dataset) -> xr.Dataset:
    """Field under the names, and in the units, of an ITS_LIVE granule: metres a year."""
    field = Field.of(disp)
    missing = [t for t in _TIMES if t not in disp.coords]
    if missing or field.grid.crs is None:
        what = "CRS" if field.grid.crs is None else " and no ".join(missing)
        raise DataError(
            f"disp has no {what}: velocities need both times and a CRS. Add them, e.g. "
            "disp.assign_coords(reference_time=np.datetime64('2020-01-31'))."
        )
    times = [disp[t].values for t in _TIMES]
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
    out = out.rename({mapping_of(out): "mapping"})
    for variable in out.data_vars:
        out[variable].encoding["grid_mapping"] = "mapping"
    out = out.drop_vars(_TIMES)
    center = times[0] + (times[1] - times[0]) / 2
    stamps = [_stamp(t) for t in (*times, center)]
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
    """Date and time as autoRIFT writes them: 20170221T20:41:33."""
    text = str(np.datetime_as_string(time, unit="s"))
    return text[:10].replace("-", "") + text[10:]


def _read(source: Source) -> xr.Dataset:
    """Displacement in metres from velocities in metres a year."""
    opened = source.dataset
    assert opened is not None
    info = opened["img_pair_info"].attrs if "img_pair_info" in opened else {}
    times = [
        _time(info.get(f"acquisition_date_img{k}", info.get(f"acquisition_img{k}"))) for k in (1, 2)
    ]
    days = info.get("date_dt")
    if days is None and None not in times:
        days = (times[1] - times[0]) / np.timedelta64(1, "D")  # type: ignore[operator]
    if days is None:
        raise FileError(
            f"{source.path} has no time between its images (img_pair_info: date_dt), so velocities "
            "cannot be turned into displacement. A cube or mosaic? Take a granule of one pair."
        )
    scale = np.float32(float(days) / YEAR)
    vx = opened["vx"]
    grid = Grid.from_dataarray(vx, "vx")
    data = {
        n: opened[n].transpose(*grid.dims).data.astype(np.float32) * scale for n in ("vx", "vy")
    }
    variables: dict[str, tuple[Any, dict[str, Any]]] = {
        name: (
            data[source],
            {
                "long_name": f"displacement toward grid +{axis}",
                "units": grid.units,
                "comment": f"positive along +{axis}; velocity times {float(days):g} days",
            },
        )
        for name, source, axis in (("east", "vx", "x"), ("north", "vy", "y"))
    }
    errors = [float(opened[n].attrs.get(f"{n}_error", "nan")) for n in ("vx", "vy")]
    attrs = {"long_name": "one-sigma uncertainty of each component", "units": grid.units}
    if "v_error" in opened:
        sigma = opened["v_error"].transpose(*grid.dims).data.astype(np.float32) * abs(scale)
        variables["sigma"] = sigma, attrs
    elif np.isfinite(errors).all():
        typical = np.float32(np.sqrt(np.mean(np.square(errors)))) * abs(scale)
        # A number for the scene: known where there is a value.
        variables["sigma"] = data["vx"] * np.float32(0) + typical, attrs
    coords: dict[Hashable, Any] = {
        name: xr.Variable((), t) for name, t in zip(_TIMES, times, strict=True) if t is not None
    }
    kept = {k: opened.attrs[k] for k in ("source", "references") if k in opened.attrs}
    title = {"title": "Ground displacement, read from velocities", "Conventions": "CF-1.11"}
    return labelled(vx, grid, variables, {**title, **kept}, coords=coords)


def is_cube(opened: xr.Dataset) -> bool:
    """Tell a cube of many pairs, along ``mid_date``, from a granule of one."""
    return "vx" in opened and "mid_date" in opened["vx"].dims


def pair_of_cube(opened: xr.Dataset, pair: int | None) -> xr.Dataset:
    """One pair of a cube, as a granule has it.

    Raises
    ------
    FileError
        No pair was named, or there is none of that number.
    """
    count = opened.sizes["mid_date"]
    if pair is None and count == 1:
        pair = 0
    if not isinstance(pair, int) or not -count <= pair < count:
        raise FileError(
            f"the cube has {count} pairs, and pair={pair!r}: name one, from 0 to {count - 1}. "
            "cube.date_dt and cube.acquisition_date_img1 tell what they are."
        )
    one = opened.isel(mid_date=pair).drop_vars("mid_date", errors="ignore")
    info: dict[str, Any] = {}
    for k in (1, 2):
        name = f"acquisition_date_img{k}"
        if name in one:
            info[name] = str(np.datetime_as_string(one[name].values.astype("M8[s]")))
    if "date_dt" in one:
        value = one["date_dt"].values
        day = np.timedelta64(1, "D")
        info["date_dt"] = float(value / day if value.dtype.kind == "m" else value)
    out = one[["vx", "vy", *(n for n in ("v_error",) if n in one and one[n].ndim == 2)]]
    for name in ("vx", "vy"):
        error = next((one[n] for n in (f"{name}_error", "v_error") if n in one), None)
        if error is not None and error.ndim == 0:
            out[name].attrs[f"{name}_error"] = float(error)
    mapping = opened["vx"].encoding.get("grid_mapping", opened["vx"].attrs.get("grid_mapping"))
    if mapping in one.variables:
        out = out.assign_coords({mapping: one[mapping]})
    return out.assign(img_pair_info=xr.Variable((), np.int8(0), info))


def _time(text: Any) -> np.datetime64 | None:
    """Date from the text of autoRIFT: 20170221, 20170221T20:41:33.1, or ISO."""
    if text is None:
        return None
    text = str(text).rstrip("Z")
    day, rest = (text[:10], text[10:]) if "-" in text[:10] else (text[:8], text[8:])
    if "-" not in day:
        day = f"{day[:4]}-{day[4:6]}-{day[6:8]}"
    try:
        return np.datetime64(f"{day}{rest}", "ns")
    except ValueError:
        return None


def _recognises(source: Source) -> bool:
    return source.dataset is not None and {"vx", "vy"} <= set(source.dataset.data_vars)


def _write(disp: xr.Dataset, path: str | os.PathLike[str], *, overwrite: bool) -> None:
    write_dataset(velocities(disp), path, overwrite=overwrite)


FORMAT: Format = Format(
    "ITS_LIVE", "variables 'vx' and 'vy'", _recognises, _read, _write, suffixes=SUFFIXES
)
