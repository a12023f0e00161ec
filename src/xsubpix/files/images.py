"""One band of an image, read block by block; damage is noticed and named."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from ..errors import FileError
from .bands import without_georeference_warnings
from .pixels import check_plain_file, describe_raster, lazy_band
from .writing import first_cause

if TYPE_CHECKING:
    import rasterio.io

__all__ = ["band_numbers", "open_image"]

# Side of what is read at once, pixels.
CHUNK = 2048


def open_image(path: str | os.PathLike[str], *, band: int | None = None) -> xr.DataArray:
    """Open one band of a raster file lazily.

    Parameters
    ----------
    path : str or path
        Anything GDAL reads.
    band : int, optional
        Band, counted from 1. Needed only if the file has several, not counting alpha.

    Returns
    -------
    xarray.DataArray
        Dimensions y, x, a dask array in the file's blocks and data type, the nodata value
        of the band in its attributes. Real numbers with NaN where a mask or an alpha band
        says that pixels are missing.

    Raises
    ------
    FileError
        The file cannot be read, or the band is not there or must be named. While pixels are
        computed: the file is damaged, or was changed since it was opened.

    Examples
    --------
    >>> from xsubpix.tutorial import procedural_scene
    >>> procedural_scene((32, 48)).rio.to_raster("pre.tif")
    >>> pre = xsubpix.open_image("pre.tif")
    >>> pre.shape, pre.rio.crs.to_epsg()
    ((32, 48), 32618)
    """
    import rasterio.errors
    import rioxarray

    check_plain_file(path)
    name = os.fspath(path)
    if os.path.exists(path):
        # Workers of a cluster have working directories of their own.
        path = os.path.abspath(path)
    try:
        with without_georeference_warnings(), rasterio.open(path) as raster:
            described = describe_raster(raster, path)
            chosen = _chosen_band(raster, name, band) if raster.count else 0
        opened = rioxarray.open_rasterio(path, cache=False, lock=False)
    except (rasterio.errors.RasterioError, OSError, ValueError) as error:
        if isinstance(error, FileError):
            raise
        raise FileError(f"cannot read {name}: {_why(path, error)}") from error
    if not isinstance(opened, xr.DataArray):
        raise FileError(f"{name} holds several rasters. Name one: 'DRIVER:file:name'.")
    image = opened.isel(band=chosen - 1, drop=True)
    data = lazy_band(
        image.variable, os.fspath(path), chosen, CHUNK,
        states=described.states, masked=described.masked[chosen - 1],
    )  # fmt: skip
    image = image.copy(data=data)
    nodata = described.nodata[chosen - 1]
    if described.masked[chosen - 1]:
        nodata = np.nan if nodata is None else nodata
    for source in (image.attrs, image.encoding):
        source.pop("_FillValue", None)  # rioxarray's is that of the first band
    image.encoding.pop("rasterio_dtype", None)  # a mask made them real numbers
    if nodata is not None:
        image.attrs["_FillValue"] = nodata
    return image


def band_numbers(path: str | os.PathLike[str]) -> list[int]:
    """Numbers of the bands of a raster file, from 1; alpha bands left out.

    Raises
    ------
    FileError
        The file cannot be read.
    """
    import rasterio.errors
    from rasterio.enums import ColorInterp

    check_plain_file(path)
    try:
        with without_georeference_warnings(), rasterio.open(path) as raster:
            uses = raster.colorinterp
    except (rasterio.errors.RasterioError, OSError) as error:
        raise FileError(f"cannot read {os.fspath(path)}: {_why(path, error)}") from error
    return [k for k, use in enumerate(uses, 1) if use != ColorInterp.alpha]


def _chosen_band(raster: rasterio.io.DatasetReader, name: str, band: int | None) -> int:
    """Number of the band to open: the one asked for, or the only one that is no alpha band."""
    from rasterio.enums import ColorInterp

    count = raster.count
    if band is not None:
        if not isinstance(band, int) or isinstance(band, bool) or not 1 <= band <= count:
            raise FileError(f"{name} has no band {band!r}; it has 1 to {count}.")
        return band
    bands = [k for k, use in enumerate(raster.colorinterp, 1) if use != ColorInterp.alpha]
    if len(bands) == 1:
        return bands[0]
    listed = (
        f" ({', '.join(filter(None, raster.descriptions))})" if any(raster.descriptions) else ""
    )
    raise FileError(f"{name} has {count} bands{listed}: say which, from 1 to {count} (band=).")


def _why(path: str | os.PathLike[str], error: Exception) -> str:
    """Reason why a file could not be opened, in words of its own where GDAL's are none."""
    if os.path.isdir(path):
        return "it is a folder. Name a file in it."
    return first_cause(error) + "."
