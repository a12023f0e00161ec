"""Bands of rasters: written block by block, read as the variables of a field."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import threading
import warnings
from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from ..blocks import compute_blocks
from ..errors import FileError
from ..grid import Grid, labelled
from ..missing import is_missing
from .pixels import Description, check_plain_file, describe_raster, lazy_band
from .writing import reading_errors_named, writing_errors_named

if TYPE_CHECKING:
    import rasterio.io

__all__ = [
    "Raster", "field_from_bands", "open_raster", "raster_profile", "without_georeference_warnings",
    "write_bands",
]  # fmt: skip

# GDAL's own block cache; its default, a twentieth of the machine's memory, is
# more than all else we use.
CACHE_BYTES = 64 * 2**20
_CHUNK = 2048
_TIMES = ("reference_time", "secondary_time")
# Tags that GDAL writes, or that say how a file is laid out.
_GDAL_TAGS = ("AREA_OR_POINT", "OVR_RESAMPLING_ALG")
_BAND_TAGS = ("long_name", "comment", "flag_meanings")


@contextlib.contextmanager
def without_georeference_warnings() -> Iterator[None]:
    """Silence rasterio about rasters without a place: fields without coordinates have none."""
    import rasterio.errors

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        yield


# -------------------------------------------------------------------------- writing


def raster_profile(grid: Grid, count: int) -> dict[str, Any]:
    """Keywords of ``rasterio.open`` for `count` bands of float32 on a grid."""
    return {
        "dtype": "float32", "nodata": np.nan, "count": count, "height": grid.shape[0],
        "width": grid.shape[1], "transform": grid.transform,
        "crs": None if grid.crs is None else grid.crs.to_wkt(),
    }  # fmt: skip


def write_bands(out: rasterio.io.DatasetWriter, arrays: list[Any], target: Path) -> None:
    """Write all bands: those in memory at once, the lazy ones block by block.

    Parameters
    ----------
    out : rasterio.io.DatasetWriter
        Open for writing, with as many bands as there are arrays.
    arrays : list of array
        (rows, columns), of numpy or dask.
    target : pathlib.Path
        What errors call the file.
    """
    from rasterio.windows import Window

    lazy = []
    for band, array in enumerate(arrays, 1):
        if hasattr(array, "dask"):
            lazy.append((band, array))
        else:
            out.write(np.asarray(array, np.float32), band)
    if not lazy:
        return
    lock = threading.Lock()

    def put(key: tuple[int, int], row: int, col: int, blocks: Sequence[np.ndarray]) -> None:
        with writing_errors_named(target), lock:
            for (band, _), block in zip(lazy, blocks, strict=True):
                window = Window(col, row, block.shape[1], block.shape[0])
                out.write(np.asarray(block, np.float32), band, window=window)

    first = lazy[0][1]
    with reading_errors_named():
        compute_blocks([array.rechunk(first.chunks) for _, array in lazy], put)


# -------------------------------------------------------------------------- reading


@dataclasses.dataclass(frozen=True)
class Raster:
    """Bands of a raster file, lazy, with what the file says of them.

    Parameters
    ----------
    pixels : xarray.DataArray
        (band, y, x).
    names, units : tuple of str
        One a band; empty where the file says nothing.
    tags : mapping
        Tags of the file.
    band_tags : tuple of mapping
        Tags of each band.
    described : Description
        Nodata, masks, scales and states.
    path : str
        File.
    """

    pixels: xr.DataArray
    names: tuple[str, ...]
    units: tuple[str, ...]
    tags: Mapping[str, str]
    band_tags: tuple[Mapping[str, str], ...]
    described: Description
    path: str


def open_raster(path: str | Path) -> Raster:
    """Open a raster file lazily.

    Raises
    ------
    OSError, ValueError
        GDAL cannot read it, or it holds several rasters.
    """
    import rasterio
    import rasterio.errors
    import rioxarray

    virtual = str(path).startswith("/vsi")
    if not virtual:
        check_plain_file(path)
    try:
        with without_georeference_warnings(), rasterio.open(path) as source:
            names = tuple(name or "" for name in source.descriptions)
            units = tuple(unit or "" for unit in source.units)
            tags, band_tags = source.tags(), tuple(source.tags(k) for k in source.indexes)
            described = describe_raster(source, path)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "(Scales|Offsets) differ across bands")
            warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
            pixels = rioxarray.open_rasterio(path, cache=False, lock=False)
    except rasterio.errors.RasterioError as error:
        raise OSError(str(error)) from error
    if not isinstance(pixels, xr.DataArray):
        raise ValueError("it holds several rasters, not a displacement field")
    return Raster(pixels, names, units, tags, band_tags, described,
                  str(path) if virtual else os.path.abspath(path))  # fmt: skip


def field_from_bands(
    raster: Raster, bands: Mapping[str, int], attrs: Mapping[str, Any] | None = None
) -> xr.Dataset:
    """Displacement field whose variables are bands of a raster.

    Parameters
    ----------
    raster : Raster
        The file.
    bands : mapping of str to int
        Band, from 0, of each variable.
    attrs : mapping, optional
        Attributes of the field (default: the tags of the file).

    Returns
    -------
    xarray.Dataset
        Lazy; float32 with NaN for nodata, and flags of uint8.
    """
    first = raster.pixels.isel(band=0, drop=True)
    grid = Grid.from_dataarray(first, "disp")
    if grid.crs is not None and grid.crs.type_name.startswith("Engineering"):
        # What GDAL makes of an ENVI file without a map: a place, but no CRS.
        grid = dataclasses.replace(grid, crs=None, metres_per_unit=None)
    variables = {name: _variable(raster, grid, name, k) for name, k in bands.items()}
    if attrs is None:
        attrs = {k: v for k, v in raster.tags.items() if k not in (*_GDAL_TAGS, *_TIMES)}
    times: dict[Hashable, Any] = {
        name: xr.Variable((), np.datetime64(raster.tags[name], "ns"))
        for name in _TIMES
        if name in raster.tags
    }
    return labelled(first, grid, variables, dict(attrs), coords=times)


def _variable(raster: Raster, grid: Grid, name: str, band: int) -> tuple[Any, dict[str, Any]]:
    """Data and attributes of one band."""
    described = raster.described
    masked = described.masked[band]
    data = lazy_band(
        raster.pixels.isel(band=band, drop=True).transpose(*grid.dims).variable, raster.path,
        band + 1, _CHUNK, states=described.states, masked=masked,
    )  # fmt: skip
    unit = raster.units[band] or ("1" if name == "quality" else grid.units)
    attrs: dict[str, Any] = {"units": unit}
    if name == "flags":
        attrs = {"standard_name": "quality_flag"}
        data = data.map_blocks(_as_flags, dtype=np.uint8)
    else:
        plain = (described.nodata[band], described.scales[band], described.offsets[band])
        data = data.map_blocks(_real_values, *plain, dtype=np.float32)
    tags = raster.band_tags[band]
    attrs |= {k: tags[k] for k in _BAND_TAGS if k in tags}
    if "flag_masks" in tags:
        masks = [int(mask) for mask in tags["flag_masks"].split()]
        attrs["flag_masks"] = np.array(masks, np.min_scalar_type(max(masks, default=0)))
    return data.astype(np.uint8 if name == "flags" else np.float32), attrs


def _as_flags(values: np.ndarray) -> np.ndarray:
    """Flags as whole numbers; what is missing is flagged ``nodata``."""
    known = np.isfinite(values)
    rest = np.where(known, values, 1)
    if ((rest != np.rint(rest)) | (rest < 0) | (rest > 255)).any():
        raise FileError(
            "the band 'flags' holds values that are no flags, such as averages of some: read it "
            "again from the file that was written, without resampling."
        )
    return rest.astype(np.uint8)


def _real_values(
    values: np.ndarray, nodata: float | None, scale: float, offset: float
) -> np.ndarray:
    """Values that a band means: nodata is NaN, and packed numbers are unpacked."""
    missing = is_missing(values, nodata)
    real = (
        values.astype(np.float32)
        if (scale, offset) == (1.0, 0.0)
        else (values * float(scale) + float(offset)).astype(np.float32)
    )
    return np.where(missing, np.float32(np.nan), real)
