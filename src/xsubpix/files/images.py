"""One band of an image, read block by block; damage is noticed and named."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from ..errors import FileError
from .checksums import check_tiles
from .writing import first_cause

if TYPE_CHECKING:
    import dask.array

__all__ = ["open_image"]

# Side of what is read at once, pixels.
CHUNK = 2048


def open_image(path: str | os.PathLike[str], *, band: int | None = None) -> xr.DataArray:
    """Open one band of a raster file lazily.

    Parameters
    ----------
    path : str or path
        Anything GDAL reads.
    band : int, optional
        Counted from 1; may be left out where the file has one only.

    Returns
    -------
    xarray.DataArray
        Dimensions y, x, a dask array in the file's blocks and data type, the
        declared nodata value in its attributes.

    Raises
    ------
    FileError
        The file cannot be read, or the band is not there or must be named.

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

    if os.path.exists(path):
        # Workers of a cluster have working directories of their own.
        path = os.path.abspath(path)
    try:
        opened = rioxarray.open_rasterio(path, cache=False, lock=False)
    except (rasterio.errors.RasterioError, OSError, ValueError) as error:
        raise FileError(f"cannot read {os.fspath(path)}: {error}") from error
    if not isinstance(opened, xr.DataArray):
        raise FileError(f"{os.fspath(path)} holds several rasters. Name one: 'DRIVER:file:name'.")
    count = opened.sizes["band"]
    if band is None and count > 1:
        names = opened.attrs.get("long_name", ())
        listed = f" ({', '.join(map(str, names))})" if isinstance(names, tuple) else ""
        raise FileError(
            f"{os.fspath(path)} has {count} bands{listed}: say which, from 1 to {count} (band=)."
        )
    if band is not None and (not isinstance(band, int) or not 1 <= band <= count):
        raise FileError(f"{os.fspath(path)} has no band {band!r}; it has 1 to {count}.")
    image = opened.isel(band=(band or 1) - 1, drop=True)
    return image.copy(data=_lazy_pixels(image.variable, os.fspath(path), band or 1))


def _lazy_pixels(image: xr.Variable, path: str, band: int) -> dask.array.Array:
    import dask.array as da
    from dask.base import tokenize

    try:
        changed = os.stat(path).st_mtime_ns
    except OSError:  # not a file of this machine
        changed = None
    sizes: tuple[int, ...] = image.shape
    return da.from_array(
        _Pixels(image, path, 0 if changed is None else band),
        chunks=tuple(min(n, CHUNK) for n in sizes), lock=False,
        name=f"open_image-{tokenize(path, changed, band, sizes)}",
        meta=np.empty((0, 0), image.dtype),
    )  # fmt: skip


class _Pixels:
    """The pixels of a file, read where they are asked for; errors name the file."""

    ndim = 2

    def __init__(self, image: xr.Variable, path: str, band: int) -> None:
        # No band: a file whose bytes are out of our reach.
        self.image, self.path, self.band = image, path, band
        self.shape, self.dtype = image.shape, image.dtype

    def __getitem__(self, key: tuple[slice, slice]) -> np.ndarray:
        import rasterio.errors

        rows, cols = (range(n)[part] for n, part in zip(self.shape, key, strict=True))
        try:
            if self.band:
                check_tiles(self.path, self.band, rows, cols)
            return np.asarray(self.image[key])
        except (rasterio.errors.RasterioError, OSError) as error:
            raise FileError(
                f"cannot read {self.path} in rows {rows.start} to {rows.stop - 1}, columns "
                f"{cols.start} to {cols.stop - 1}: {first_cause(error)}. The file is damaged or "
                "out of reach: get it anew."
            ) from error
