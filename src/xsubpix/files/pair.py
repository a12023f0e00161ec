"""Two scenes as they are downloaded, on one grid, cropped to what they share."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import xarray as xr
from affine import Affine

from ..align import align as align_image
from ..align import regrid
from ..errors import DataError, GridError
from ..grid import SAME_GRID_TOLERANCE, Grid, labelled
from ..grid.crs import crs_name, same_crs
from ..image import Image, condition_linear
from .images import band_numbers, open_image

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

__all__ = ["Scene", "open_pair"]

#: A file, a URL that GDAL reads, an open image, or several of them to be mosaicked.
Scene: TypeAlias = "str | os.PathLike[str] | xr.DataArray | Sequence[str | os.PathLike[str]]"

# Points along each side of an extent that is brought to another CRS.
_ALONG = 21
# What the two must share at least, pixels a side.
_LEAST = 16


def open_pair(
    pre: Scene,
    post: Scene,
    *,
    band: int | Sequence[int] | str | None = None,
    align: bool | Mapping[str, Any] = False,
) -> tuple[xr.DataArray, xr.DataArray]:
    """Open two scenes on one grid, cropped to what they share.

    Parameters
    ----------
    pre : str, path, xarray.DataArray or sequence of them
        Image before: a file, a URL that GDAL reads (``/vsicurl/https://...``), an open
        image, or several files of one date to be mosaicked, the first on top. Its pixels
        (those of its first file) are the pixels of both results.
    post : str, path, xarray.DataArray or sequence of them
        Image after, likewise; any CRS, UTM zone, pixel size and extent.
    band : int, sequence of int or "all", optional
        Band of all files, counted from 1. Several, or ``"all"`` that the first file has, are
        opened along a dimension ``band``, for ``correlate(..., bands="combine")``.
    align : bool or mapping
        True, or the options of :func:`xsubpix.align`: also remove the shift between the
        two, in the same single resampling.

    Returns
    -------
    pre, post : xarray.DataArray
        Lazy, on one grid. Images that already share a lattice of pixels are cut,
        not resampled, and keep their data type. Otherwise `post`, and mosaics, are float32
        with NaN where there is nothing, as :func:`xsubpix.regrid` makes them.

    Raises
    ------
    FileError
        A file cannot be read, or its band must be named.
    GridError
        The two share no ground, or one has a CRS and the other none.
    DataError
        Nothing to open; with `align`, they cannot be registered.

    Examples
    --------
    >>> from xsubpix.tutorial import procedural_scene
    >>> scene = procedural_scene((96, 128))
    >>> scene[:80].rio.to_raster("before.tif")
    >>> scene[16:, 32:].rio.to_raster("after.tif")
    >>> pre, post = xsubpix.open_pair("before.tif", "after.tif")
    >>> pre.shape, bool((pre == post).all())
    ((64, 96), True)
    """
    if band is not None and not isinstance(band, int):
        return _open_bands(pre, post, band, align)
    one, two = _opened(pre, band, "pre"), _opened(post, band, "post")
    grid, other = Grid.from_dataarray(one, "pre"), Grid.from_dataarray(two, "post")
    if (grid.crs is None) != (other.crs is None):
        grid.check_same_crs(other)
    rows, cols = _shared(grid, other)
    one = one if (rows, cols) == _all_of(grid) else _cut(one, grid, rows, cols)
    if align is not False:
        options = {} if align is True else dict(align)
        return one, align_image(two, one, **options)
    offset = _lattice_offset(grid, other)
    if offset is None:
        return one, regrid(two, one)
    moved = slice(rows.start + offset[0], rows.stop + offset[0])
    beside = slice(cols.start + offset[1], cols.stop + offset[1])
    return one, two if (moved, beside) == _all_of(other) else _cut(two, other, moved, beside)


def _open_bands(
    pre: Scene, post: Scene, band: Sequence[int] | str, align: bool | Mapping[str, Any]
) -> tuple[xr.DataArray, xr.DataArray]:
    """Several bands of two scenes along ``band``; each is aligned by itself."""
    if isinstance(band, str):
        if band != "all":
            raise DataError(f"band={band!r}: give numbers, counted from 1, or 'all'.")
        file: Any = pre
        while not isinstance(file, str | os.PathLike | xr.DataArray):
            if not file:
                raise DataError("pre is an empty list: give a file, or the files of a mosaic.")
            file = file[0]
        if isinstance(file, xr.DataArray):
            raise DataError("band='all' is of files; pre is open. Give its bands to correlate.")
        band = band_numbers(file)
    pairs = [open_pair(pre, post, band=k, align=align) for k in band]
    if not pairs:
        raise DataError("band is an empty list: give numbers, counted from 1, or 'all'.")
    numbers = xr.Variable("band", np.array(band))
    one, two = (
        xr.concat(images, numbers, coords="minimal", compat="override", join="override",
                  combine_attrs="override")
        for images in zip(*pairs, strict=True)
    )  # fmt: skip
    return one, two


def _opened(scene: Scene, band: int | None, what: str) -> xr.DataArray:
    if isinstance(scene, xr.DataArray):
        return scene
    if isinstance(scene, str | os.PathLike):
        return open_image(scene, band=band)
    parts = [_opened(part, band, what) for part in scene]
    if not parts:
        raise DataError(f"{what} is an empty list: give a file, or the files of a mosaic.")
    return parts[0] if len(parts) == 1 else _mosaic(parts, what)


# ------------------------------------------------------------------------- lattices


def _all_of(grid: Grid) -> tuple[slice, slice]:
    return slice(0, grid.shape[0]), slice(0, grid.shape[1])


def _lattice_offset(grid: Grid, other: Grid) -> tuple[int, int] | None:
    """Row and column of `other` at pixel (0, 0) of `grid`; None on another lattice."""
    if not same_crs(grid.crs, other.crs):
        return None
    ends = [np.array([0, n - 1]) for n in grid.shape]
    rows, cols = np.meshgrid(*ends, indexing="ij")
    there = np.stack(other.index(*grid.at(rows, cols)))
    shift = there - np.stack([rows, cols])
    whole = np.rint(shift[:, :1, :1])
    if not np.abs(shift - whole).max() <= SAME_GRID_TOLERANCE:
        return None
    row, col = whole.ravel().astype(int).tolist()
    return row, col


def _outline(grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """CRS coordinates of points along the outer sides of a grid."""
    along = np.linspace(0, 1, _ALONG)
    zero, one = np.zeros(_ALONG), np.ones(_ALONG)
    down = np.concatenate([zero, one, along, along]) * grid.shape[0] - 0.5
    right = np.concatenate([along, along, zero, one]) * grid.shape[1] - 0.5
    return grid.at(down, right)


def _bounds(grid: Grid, other: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Extent of `other` in pixels of `grid`: (first, last) of rows and of columns."""
    x, y = _outline(other)
    if not same_crs(grid.crs, other.crs):
        import pyproj

        assert grid.crs is not None
        assert other.crs is not None
        to = pyproj.Transformer.from_crs(other.crs, grid.crs, always_xy=True)
        x, y = to.transform(x, y)
    known = np.isfinite(x) & np.isfinite(y)
    if not known.any():
        raise GridError("post lies off the map of pre. Reproject: post.rio.reproject(pre.rio.crs).")
    rows, cols = grid.index(np.asarray(x)[known], np.asarray(y)[known])
    return np.array([rows.min(), rows.max()]) + 0.5, np.array([cols.min(), cols.max()]) + 0.5


def _shared(grid: Grid, other: Grid) -> tuple[slice, slice]:
    """Rows and columns of a grid that another covers, as far as their extents tell."""
    parts = []
    extents = _bounds(grid, other)
    for (low, high), size in zip(extents, grid.shape, strict=True):
        first = max(0, math.floor(low + SAME_GRID_TOLERANCE))
        last = min(size, math.ceil(high - SAME_GRID_TOLERANCE))
        parts.append(slice(first, last))
    if min(p.stop - p.start for p in parts) < min(_LEAST, *grid.shape, *other.shape):
        listed = ", ".join(f"{low:.0f} to {high:.0f}" for low, high in extents)
        raise GridError(
            f"pre ({crs_name(grid.crs)}) and post ({crs_name(other.crs)}) share no ground: in rows "
            f"and columns of pre, which has {grid.shape}, post spans {listed}. Take scenes that "
            "overlap."
        )
    return parts[0], parts[1]


def _cut(image: xr.DataArray, grid: Grid, rows: slice, cols: slice) -> xr.DataArray:
    """Part of an image, with the transform of its own corner."""
    part = image.isel({grid.dims[0]: rows, grid.dims[1]: cols})
    mapping = grid.grid_mapping
    if mapping is None or "GeoTransform" not in image.coords.get(mapping, image).attrs:
        return part
    corner = grid.transform @ Affine.translation(cols.start, rows.start)
    variable = part[mapping].variable.copy()
    variable.attrs["GeoTransform"] = " ".join(repr(float(v)) for v in corner.to_gdal())
    encoding = dict(part.encoding)
    part = part.assign_coords({mapping: variable})
    part.encoding = encoding
    return part


# -------------------------------------------------------------------------- mosaics


def _mosaic(parts: list[xr.DataArray], what: str) -> xr.DataArray:
    """Images of one date on the lattice of the first, the first on top; float32, lazy."""
    import dask.array as da

    grids = [Grid.from_dataarray(part, what) for part in parts]
    first = grids[0]
    low, high = np.zeros(2), np.array(first.shape, float)
    for grid in grids[1:]:
        if (grid.crs is None) != (first.crs is None):
            first.check_same_crs(grid, (f"the first file of {what}", "another"))
        ends = np.array(_bounds(first, grid))
        low, high = np.minimum(low, ends[:, 0]), np.maximum(high, ends[:, 1])
    start = np.floor(low + SAME_GRID_TOLERANCE).astype(int)
    shape = np.ceil(high - SAME_GRID_TOLERANCE).astype(int) - start
    whole = dataclasses.replace(
        first,
        shape=(int(shape[0]), int(shape[1])),
        transform=first.transform @ Affine.translation(int(start[1]), int(start[0])),
    )
    canvas = _canvas(parts[0], whole)
    pixels: Any = None
    for part, grid in zip(parts, grids, strict=True):
        offset = _lattice_offset(whole, grid)
        if offset is None:
            mine = regrid(part.chunk(), canvas).data
        else:
            mine = _on_canvas(Image.from_dataarray(part, what), whole.shape, offset)
        pixels = mine if pixels is None else da.where(da.isfinite(pixels), pixels, mine)
    time = Image.from_dataarray(parts[0], what).time
    coords: dict[Hashable, Any] = {} if time is None else {"time": time}
    out = labelled(canvas, whole, {"mosaic": (pixels, {})}, {}, coords=coords)
    return out["mosaic"].rename(None)


def _canvas(image: xr.DataArray, grid: Grid) -> xr.DataArray:
    """An image of nothing on a grid."""
    import dask.array as da
    import rioxarray  # noqa: F401  (registers .rio)

    nothing = da.full(grid.shape, np.nan, np.float32, chunks=2048)
    out = xr.DataArray(nothing, dims=grid.dims)
    if grid.dims[0] in image.coords and not grid.is_rotated:
        rows, cols = (np.arange(n) for n in grid.shape)
        x, y = grid.at(np.zeros(1), cols)[0], grid.at(rows, np.zeros(1))[1]
        out = out.assign_coords({grid.dims[0]: y, grid.dims[1]: x})
        for dim in grid.dims:
            out[dim].attrs = dict(image[dim].attrs)
    mapping = str(grid.grid_mapping or "spatial_ref")
    if grid.crs is not None:
        out = out.rio.write_crs(grid.crs.to_wkt(), grid_mapping_name=mapping)
    if grid.crs is not None or grid.is_rotated:
        out = out.rio.write_transform(grid.transform, grid_mapping_name=mapping)
    return out


def _on_canvas(image: Image, shape: tuple[int, int], offset: tuple[int, int]) -> Any:
    """Pixels of an image at their places in a larger array; NaN around and where missing."""
    import dask.array as da

    pixels = da.asarray(image.data).map_blocks(
        _known, image.nodata, dtype=np.float32, meta=np.empty((0, 0), np.float32)
    )
    around = [
        (-before, total + before - size)
        for before, total, size in zip(offset, shape, pixels.shape, strict=True)
    ]
    return da.pad(pixels, around, constant_values=np.nan).rechunk(2048)


def _known(pixels: np.ndarray, nodata: float | None) -> np.ndarray:
    return condition_linear(pixels, nodata).astype(np.float32)
