"""Displacement fields read from files: ours, COSI-Corr's, autoRIFT's and ITS_LIVE's."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from affine import Affine

from ..errors import FileError
from ..grid import Grid, labelled
from .netcdf import YEAR

if TYPE_CHECKING:
    from collections.abc import Hashable

__all__ = ["open_displacement"]

_NETCDF = (".nc", ".nc4", ".cdf", ".netcdf")
_TIMES = ("reference_time", "secondary_time")
# Tags that GDAL writes, or that say how a file is laid out.
_GDAL_TAGS = ("AREA_OR_POINT", "OVR_RESAMPLING_ALG")
_CHUNKS = {"x": 2048, "y": 2048}


def open_displacement(path: str | os.PathLike[str]) -> xr.Dataset:
    """Open a displacement field lazily, whichever program wrote it.

    Parameters
    ----------
    path : str or path
        A GeoTIFF of :func:`xsubpix.to_cog`; COSI-Corr's three bands (East/West,
        North/South, SNR; GeoTIFF or ENVI); CF NetCDF of :func:`xsubpix.to_netcdf`; a
        granule of ITS_LIVE or autoRIFT (``vx``, ``vy``).

    Returns
    -------
    xarray.Dataset
        ``east``, ``north`` in metres on the file's grid, and what else there is of
        ``up``, ``sigma``, ``quality``, ``flags``; lazy. COSI-Corr's SNR is ``quality``.
        Velocities are multiplied by the time between the images (a year of 365 days,
        as autoRIFT counts); their error, one number for the scene or ``v_error``, is
        ``sigma``.

    Raises
    ------
    FileError
        The file cannot be read, or holds no displacement that is known here.
    """
    where = Path(path)
    if not where.exists():
        raise FileError(f"cannot read {where}: there is no such file.")
    return _from_netcdf(where) if where.suffix.lower() in _NETCDF else _from_raster(where)


# -------------------------------------------------------------------------- rasters


def _from_raster(path: Path) -> xr.Dataset:
    import rasterio
    import rasterio.errors
    import rioxarray

    from .geotiff import _quiet_about_placelessness

    try:
        with _quiet_about_placelessness(Grid(("y", "x"), (1, 1), Affine.identity())):
            with rasterio.open(path) as source:
                names = [name or "" for name in source.descriptions]
                tags = source.tags()
                band_tags = [source.tags(k) for k in source.indexes]
                units = [unit or "" for unit in source.units]
            opened = rioxarray.open_rasterio(path, chunks=_CHUNKS, lock=False)
    except (rasterio.errors.RasterioError, OSError, ValueError) as error:
        raise FileError(f"cannot read {path}: {error}") from error
    if not isinstance(opened, xr.DataArray):
        raise FileError(f"{path} holds several rasters, not a displacement field.")
    if {"east", "north"} <= set(names):
        known = dict(zip(names, range(len(names)), strict=True))
        foreign = False
    elif _is_cosi_corr(names):
        known, foreign = {"east": 0, "north": 1, "quality": 2}, True
    else:
        raise FileError(
            f"{path} has bands {names}: neither 'east' and 'north', nor the three of COSI-Corr "
            "(East/West, North/South, SNR). Open them with open_image and put them into a Dataset."
        )
    first = opened.isel(band=0, drop=True)
    grid = Grid.from_dataarray(first, "disp")
    if grid.crs is not None and grid.crs.type_name.startswith("Engineering"):
        # What GDAL makes of an ENVI file without a map: a place, but no CRS.
        grid = dataclasses.replace(grid, crs=None, metres_per_unit=None)
    nodata = opened.rio.nodata
    variables: dict[str, tuple[Any, dict[str, Any]]] = {}
    for name, k in known.items():
        data = opened.isel(band=k, drop=True).transpose(*grid.dims).data
        attrs: dict[str, Any] = {"units": units[k] or ("1" if name == "quality" else grid.units)}
        if name == "flags":
            attrs = {"standard_name": "quality_flag"}
            data = data.map_blocks(_whole, dtype=np.uint8)
        elif nodata is not None and not np.isnan(nodata):
            data = data.map_blocks(_without, np.float32(nodata), dtype=np.float32)
        variables[name] = data.astype(np.uint8 if name == "flags" else np.float32), {
            **attrs, **_band_attrs(band_tags[k]),
        }  # fmt: skip
    attrs = {k: v for k, v in tags.items() if k not in (*_GDAL_TAGS, *_TIMES)}
    if foreign:
        attrs = {"title": "Ground displacement, read from COSI-Corr's bands"}
        for name, toward in (("east", "grid +x"), ("north", "grid +y")):
            variables[name][1]["long_name"] = f"displacement toward {toward}"
    times: dict[Hashable, Any] = {
        name: xr.Variable((), np.datetime64(tags[name], "ns")) for name in _TIMES if name in tags
    }
    return labelled(first, grid, variables, attrs, coords=times)


def _is_cosi_corr(names: list[str]) -> bool:
    if len(names) != 3:
        return False
    lower = [name.lower() for name in names]
    if not any(lower):
        return True
    # "East/West (m)", "E/W", "EW"; the same for north; "SNR", "Signal to noise".
    starts = ("e", "n", "s")
    return all(name.startswith(start) for name, start in zip(lower, starts, strict=True))


def _band_attrs(tags: dict[str, str]) -> dict[str, Any]:
    kept: dict[str, Any] = {
        k: tags[k] for k in ("long_name", "comment", "flag_meanings") if k in tags
    }
    if "flag_masks" in tags:
        kept["flag_masks"] = np.array(tags["flag_masks"].split(), np.uint8)
    return kept


def _whole(values: np.ndarray) -> np.ndarray:
    return np.nan_to_num(values).astype(np.uint8)


def _without(values: np.ndarray, nodata: np.float32) -> np.ndarray:
    return np.where(values == nodata, np.float32(np.nan), values).astype(np.float32)


# -------------------------------------------------------------------------- NetCDF


def _from_netcdf(path: Path) -> xr.Dataset:
    try:
        opened = xr.open_dataset(path, chunks={}, decode_coords="all")
    except (OSError, ValueError) as error:
        raise FileError(f"cannot read {path}: {error}") from error
    if {"east", "north"} <= set(opened.data_vars):
        return opened
    if {"vx", "vy"} <= set(opened.data_vars):
        return _from_velocity(opened, path)
    raise FileError(
        f"{path} holds {list(opened.data_vars)}: neither 'east' and 'north' nor 'vx' and 'vy'. "
        "Rename its variables: ds.rename(NAME='east', NAME='north')."
    )


def _from_velocity(opened: xr.Dataset, path: Path) -> xr.Dataset:
    """Displacement in metres from velocities in metres a year."""
    info = opened["img_pair_info"].attrs if "img_pair_info" in opened else {}
    times = [
        _time(info.get(f"acquisition_date_img{k}", info.get(f"acquisition_img{k}"))) for k in (1, 2)
    ]
    days = info.get("date_dt")
    if days is None and None not in times:
        days = (times[1] - times[0]) / np.timedelta64(1, "D")  # type: ignore[operator]
    if days is None:
        raise FileError(
            f"{path} has no time between its images (img_pair_info: date_dt), so velocities cannot "
            "be turned into displacement. A cube or mosaic? Take a granule of one pair."
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


def _time(text: Any) -> np.datetime64 | None:
    """A date as autoRIFT writes it: 20170221, 20170221T20:41:33.1, or ISO."""
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
