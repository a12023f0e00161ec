"""An image taken apart: pixels, grid, nodata and time."""

from __future__ import annotations

import dataclasses
import math
import os
import warnings
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from .errors import DataError, SubpixWarning
from .grid import Grid, image_dims
from .missing import Missing, declared_missing, is_missing

if TYPE_CHECKING:
    from .lattice import Array

__all__ = ["Image", "condition", "condition_linear", "time_of"]


# Numbers above the first, where there are some below the second, are fill values.
LARGEST, USUAL = 1e19, 1e15
# Values farther from the others than so many times their spread are brought to there.
FARTHEST = 100.0


@dataclasses.dataclass(frozen=True)
class Image:
    """One image, checked and taken apart.

    Attributes
    ----------
    data : numpy.ndarray or dask.array.Array
        Pixels (rows, columns), in the data type they came in.
    grid : Grid
        Where they are.
    nodata : float, Missing or None
        Declared value of missing pixels, or several, or a valid range. NaN and infinity are
        missing anyway.
    time : numpy.datetime64 or None
        When it was taken.

    Examples
    --------
    >>> pre = xr.DataArray(np.ones((2, 3), "u2"), dims=("lat", "lon"), attrs={"_FillValue": 0})
    >>> image = Image.from_dataarray(pre)
    >>> image.nodata, image.grid.dims, image.lazy
    (0.0, ('lat', 'lon'), False)
    """

    data: Array
    grid: Grid
    nodata: float | Missing | None
    time: np.datetime64 | None

    @classmethod
    def from_dataarray(cls, image: xr.DataArray, what: str = "image") -> Image:
        """Check a DataArray and take it apart.

        Raises
        ------
        DimensionError, GridError
            As :meth:`Grid.from_dataarray`.
        DataError
            It is no DataArray, is empty, holds what is not a real number, or
            declares a nodata value that is not one.
        """
        if not isinstance(image, xr.DataArray):
            hint = " Choose a variable: ds['NAME']." if isinstance(image, xr.Dataset) else ""
            if isinstance(image, str | os.PathLike):
                hint = f" Open it: xsubpix.open_image({os.fspath(image)!r})."
            raise DataError(
                f"{what} is a {type(image).__name__}; an xarray.DataArray is needed.{hint}"
            )
        if image.dtype.kind not in "buif":
            hint = f" Take {what}.real or abs({what})." if image.dtype.kind == "c" else ""
            raise DataError(
                f"{what} holds {image.dtype}; real numbers are needed.{hint or ' Use astype.'}"
            )
        y_dim, x_dim = image_dims(image, what)
        if image.size == 0:
            raise DataError(f"{what} is empty: sizes {dict(image.sizes)}.")
        grid = Grid.from_dataarray(image, what)
        extra = {dim: 0 for dim in image.dims if dim not in (y_dim, x_dim)}
        data = image.isel(extra).transpose(y_dim, x_dim).data
        if hasattr(data, "dask"):
            if any(math.isnan(n) for sizes in data.chunks for n in sizes):
                raise DataError(
                    f"{what} has chunks of unknown size. Call compute_chunk_sizes() on its data."
                )
        elif not isinstance(data, np.ndarray):
            raise DataError(
                f"{what} holds a {type(data).__module__}.{type(data).__name__}; NumPy or dask "
                f"arrays are needed. Try {what}.as_numpy()."
            )
        _warn_of_mask(image, what)
        return cls(data, grid, declared_missing(image, what), time_of(image))

    @property
    def lazy(self) -> bool:
        """True where the pixels are a dask array, False where they are in memory."""
        return hasattr(self.data, "dask")


def _warn_of_mask(image: xr.DataArray, what: str) -> None:
    """Warn where an image was opened without the mask that its file has."""
    source = image.encoding.get("source")
    # rioxarray notes the data type of the file; a second one where it applied the mask.
    opened_plainly = "rasterio_dtype" in image.encoding and "dtype" not in image.encoding
    if not opened_plainly or not isinstance(source, str) or not os.path.isfile(source):
        return
    import rasterio.errors
    from rasterio.enums import MaskFlags

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        try:
            with rasterio.open(source) as raster:
                masked = any(MaskFlags.per_dataset in flags for flags in raster.mask_flag_enums)
        except rasterio.errors.RasterioError:  # no longer there, or no longer whole
            return
    if masked:
        warnings.warn(
            f"{what} comes from {source}, whose mask or alpha band says which pixels are missing, "
            "and was opened without it: give rioxarray.open_rasterio masked=True, or use "
            "xsubpix.open_image.",
            SubpixWarning,
            stacklevel=3,
        )


def time_of(image: xr.DataArray) -> np.datetime64 | None:
    """Scalar datetime coordinate, ``time`` before any other; None if there is none."""
    found = {
        name: c.values.reshape(())[()]
        for name, c in image.coords.items()
        if c.size == 1 and c.dtype.kind == "M"
    }
    if not found:
        return None
    time = found.get("time", next(iter(found.values())))
    return None if np.isnat(time) else time


def condition_linear(pixels: np.ndarray, nodata: float | Missing | None) -> np.ndarray:
    """Turn a tile of any real data type into float64 with NaN for missing pixels.

    Missing are NaN, infinity, the declared nodata values, and real numbers beyond
    1e19 among others of the usual size: the fill values of NetCDF, GDAL and climate
    models that nobody declared.

    Examples
    --------
    >>> condition_linear(np.array([[0, 7]], "u2"), 0.0)
    array([[nan,  7.]])
    """
    x = pixels.astype(np.float64)
    missing = is_missing(pixels, nodata)
    if pixels.dtype.kind == "f":
        missing |= ~np.isfinite(x)
        size = np.abs(x)
        large = size > LARGEST
        if large.any() and ((size > 0) & (size < USUAL)).any():
            missing |= large
    x[missing] = np.nan
    return x


def condition(pixels: np.ndarray, nodata: float | Missing | None) -> np.ndarray:
    """Turn a tile of any real data type into float32 with NaN for missing pixels.

    Values whose size float32 sums would not bear, or that hide a small signal
    on a large constant, are first shifted and scaled by powers of two, in
    double precision: no estimator depends on gain or offset. Single values that
    would leave no digits to all others are brought nearer.

    Examples
    --------
    >>> condition(np.array([[-1.0, 2.0**30, 3 * 2.0**30]]), -1.0)
    array([[nan, 0.5, 1.5]], dtype=float32)
    """
    x = condition_linear(pixels, nodata)
    if np.isnan(x).all():
        return x.astype(np.float32)
    low, high = float(np.nanmin(x)), float(np.nanmax(x))
    if high - low > 1e6:
        usual = np.nanpercentile(x, (5, 95))
        spread = float(usual[1] - usual[0])
        if high - low > FARTHEST * spread > 0:
            x = np.clip(x, usual[0] - FARTHEST * spread, usual[1] + FARTHEST * spread)
            low, high = float(np.nanmin(x)), float(np.nanmax(x))
    half_range, centre = high / 2 - low / 2, high / 2 + low / 2
    if abs(centre) > 1e3 * half_range:
        x = x - centre
    if half_range > 0 and not 1e-4 < half_range < 1e6:
        x = np.ldexp(x, -math.frexp(half_range)[1])
    return x.astype(np.float32)
