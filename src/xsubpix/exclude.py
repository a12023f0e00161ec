"""Areas that a user names, on any grid: what to leave out (clouds, water), stable ground."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from .errors import DataError, FileError, ModelError, SubpixError
from .grid import Grid
from .grid.crs import crs_name, same_crs
from .image import Image
from .vectors import geojson_crs, read_vectors

if TYPE_CHECKING:
    from .lattice import Array

__all__ = ["QA_PIXEL", "SCL", "Excluded", "blank", "read_exclude", "read_mask"]

#: Classes of Sentinel-2's scene classification (SCL), by name.
SCL: Mapping[str, tuple[int, ...]] = {
    "nodata": (0,), "saturated": (1,), "dark": (2,), "cloud_shadow": (3,), "vegetation": (4,),
    "bare": (5,), "water": (6,), "unclassified": (7,), "cloud": (8, 9), "cloud_medium": (8,),
    "cloud_high": (9,), "cirrus": (10,), "snow": (11,),
}  # fmt: skip
#: Bits of Landsat's QA_PIXEL (Collection 2), by name.
QA_PIXEL: Mapping[str, int] = {
    "fill": 0, "dilated_cloud": 1, "cirrus": 2, "cloud": 3, "cloud_shadow": 4, "snow": 5,
    "clear": 6, "water": 7,
}  # fmt: skip
# What areas are for, and an example of values, by the argument that names them.
_ROLE = {"exclude": "to be left out", "stable": "stable"}
_VALUES = {
    "exclude": "exclude_values=(3, 8, 9) or ('cloud', 'cloud_shadow')",
    "stable": "stable_values=(4, 5) or ('vegetation', 'bare')",
}


@dataclasses.dataclass(frozen=True, eq=False)
class Excluded:
    """Ground to leave out, asked for pixels of a grid.

    Attributes
    ----------
    grid : Grid
        Grid of the images.
    shapes : tuple of mapping
        Polygons as GeoJSON geometries in the CRS of the images.
    rasters : tuple of (numpy.ndarray of bool, Grid)
        Rasters that are true on what is left out.
    touched : bool
        Pixels that a polygon only touches belong to it, not only those whose centre does.
    """

    grid: Grid
    shapes: tuple[Mapping[str, Any], ...]
    rasters: tuple[tuple[np.ndarray, Grid], ...]
    touched: bool = True

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        """Key that distinguishes two of them in a graph."""
        from dask.base import tokenize

        shapes = [repr(shape) for shape in self.shapes]
        rasters = [
            (tokenize(away), grid.transform, crs_name(grid.crs)) for away, grid in self.rasters
        ]
        return ("Excluded", self.grid.transform, shapes, rasters, self.touched)

    def __call__(self, row: int, col: int, shape: tuple[int, int]) -> np.ndarray:
        """Mask of a block of pixels that begins at a row and a column."""
        away = np.zeros(shape, bool)
        if self.shapes:
            from affine import Affine
            from rasterio.features import geometry_mask

            corner = self.grid.transform @ Affine.translation(col, row)
            away |= geometry_mask(self.shapes, shape, corner, all_touched=self.touched, invert=True)
        for raster, grid in self.rasters:
            away |= _looked_up(self.grid, raster, grid, row, col, shape)
        return away


def _looked_up(
    target: Grid, raster: np.ndarray, grid: Grid, row: int, col: int, shape: tuple[int, int]
) -> np.ndarray:
    """Nearest pixels of a raster under a block of a grid; False off the raster."""
    rows, cols = np.indices(shape)
    x, y = target.at(rows + row, cols + col)
    if not same_crs(target.crs, grid.crs):
        import pyproj

        assert target.crs is not None
        assert grid.crs is not None
        to = pyproj.Transformer.from_crs(target.crs, grid.crs, always_xy=True)
        x, y = to.transform(x, y)
    places = [np.nan_to_num(i, nan=-9.0, posinf=-9.0, neginf=-9.0) for i in grid.index(x, y)]
    at = [np.floor(i + 0.5).astype(np.int64) for i in places]
    within = np.ones(shape, bool)
    for i, n in zip(at, raster.shape, strict=True):
        within &= (i >= 0) & (i < n)
    found = raster[tuple(i.clip(0, n - 1) for i, n in zip(at, raster.shape, strict=True))]
    return np.asarray(within & found)


def blank(data: Array, excluded: Excluded) -> Array:
    """An image's pixels with NaN on what is left out; lazy if they are.

    Whole numbers become floats that hold them.
    """
    dtype = np.result_type(data.dtype, np.float32)
    if not hasattr(data, "dask"):
        return _blank_block(np.asarray(data), excluded, dtype, (0, 0))
    import dask.array as da

    lazy: Any = data
    return da.map_blocks(
        _blank_chunk, lazy, excluded=excluded, out=dtype, dtype=dtype,
        meta=np.empty((0, 0), dtype),
    )  # fmt: skip


def _blank_chunk(
    pixels: np.ndarray, excluded: Excluded, out: np.dtype, block_info: Any = None
) -> np.ndarray:
    (row, _), (col, _) = block_info[0]["array-location"]
    return _blank_block(pixels, excluded, out, (row, col))


def _blank_block(
    pixels: np.ndarray, excluded: Excluded, dtype: np.dtype, first: tuple[int, int]
) -> np.ndarray:
    away = excluded(*first, pixels.shape)
    return np.where(away, np.asarray(np.nan, dtype), pixels.astype(dtype))


# ---------------------------------------------------------------------------- reading


def read_mask(areas: Any, values: Any, image: xr.DataArray, name: str) -> xr.DataArray:
    """Mask of an image's pixels that lie in some areas; lazy if the image is.

    Parameters
    ----------
    areas : DataArray, polygons, str, path or a sequence of them
    values : int, str or sequence of them, optional
        Classes of rasters that are not bool. None: rasters may hold 0 and 1 alone.
    image : xarray.DataArray
        Image on whose grid the mask is.
    name : str
        Argument that names the areas, for messages.

    Returns
    -------
    xarray.DataArray of bool
        True in the areas.

    Raises
    ------
    DataError, FileError, GridError, ModelError
        They cannot be read or used.
    """
    own = Image.from_dataarray(image, "pre")
    found = read_exclude(areas, values, own.grid, name)
    if found is None:
        raise ModelError(f"{name}_values was given and {name} not: name the class raster too.")
    inside = dataclasses.replace(found, touched=False)
    pixels: Any
    if own.lazy:
        import dask.array as da

        data: Any = own.data
        pixels = da.map_blocks(
            _chunk_inside, areas=inside, chunks=data.chunks, dtype=bool, meta=np.empty((0, 0), bool)
        )
    else:
        pixels = inside(0, 0, own.grid.shape)
    like = image.transpose(*own.grid.dims, ...).squeeze(drop=True)
    mask = xr.DataArray(pixels, dims=own.grid.dims, coords=like.coords)
    return mask if own.grid.crs is None else mask.rio.write_crs(own.grid.crs)


def _chunk_inside(areas: Excluded, block_info: Any = None) -> np.ndarray:
    (row, end), (col, last) = block_info[None]["array-location"]
    return areas(row, col, (end - row, last - col))


def read_exclude(exclude: Any, values: Any, grid: Grid, name: str = "exclude") -> Excluded | None:
    """Read what is to be left out; None where nothing is.

    Parameters
    ----------
    exclude : DataArray, polygons, str, path or a sequence of them
    values : int, str or sequence of them, optional
        Classes to leave out of rasters that are not bool.
    grid : Grid
        Grid of the images.
    name : str
        Argument that names the areas, for messages.

    Raises
    ------
    DataError, FileError, GridError, ModelError
        It cannot be read or used.
    """
    if exclude is None:
        if values is not None:
            raise ModelError(f"{name}_values was given and {name} not: name the class raster too.")
        return None
    items = list(exclude) if isinstance(exclude, list | tuple) else [exclude]
    shapes: list[Mapping[str, Any]] = []
    rasters: list[tuple[np.ndarray, Grid]] = []
    for item in items:
        if isinstance(item, str | os.PathLike) and not _is_vector(item):
            item = _open_classes(item, name)
        if isinstance(item, xr.DataArray):
            rasters.append(_read_raster(item, values, grid, name))
        else:
            shapes += _read_polygons(item, grid, name)
    return Excluded(grid, tuple(shapes), tuple(rasters))


def _is_vector(path: str | os.PathLike[str]) -> bool:
    return Path(path).suffix.lower() in (".geojson", ".json", ".gpkg", ".shp", ".fgb")


def _open_classes(path: str | os.PathLike[str], name: str) -> xr.DataArray:
    import rasterio.errors
    import rioxarray

    try:
        raster = rioxarray.open_rasterio(path)
    except (rasterio.errors.RasterioError, OSError, ValueError) as error:
        raise FileError(f"cannot read {os.fspath(path)}, {_ROLE[name]}: {error}") from error
    if not isinstance(raster, xr.DataArray) or raster.sizes["band"] != 1:
        raise FileError(
            f"{os.fspath(path)}, {_ROLE[name]}, has several bands: give one of classes."
        )
    return raster.squeeze("band", drop=True)


def _read_raster(
    raster: xr.DataArray, values: Any, grid: Grid, name: str
) -> tuple[np.ndarray, Grid]:
    own = Grid.from_dataarray(raster, name)
    if (own.crs is None) != (grid.crs is None):
        grid.check_same_crs(own, ("pre", name))
    pixels = np.asarray(raster.transpose(*own.dims).squeeze().values).reshape(own.shape)
    if pixels.dtype == bool:
        return pixels, own
    if values is None and name == "stable" and np.isin(pixels, (0, 1)).all():
        return pixels == 1, own
    if values is None:
        seen = np.unique(pixels[:: max(1, len(pixels) // 200)])[:12].tolist()
        raise ModelError(
            f"{name} is a raster of {pixels.dtype} with the values {seen}, ...: say which are "
            f"{_ROLE[name]}, {_VALUES[name]}."
        )
    if pixels.dtype.kind not in "iu":
        whole = np.nan_to_num(pixels, nan=-1.0)
        if (whole != np.rint(whole)).any():
            raise DataError(f"{name} holds {pixels.dtype} that are no classes: give bool.")
        pixels = whole.astype(np.int64)
    away = np.zeros(pixels.shape, bool)
    for value in [values] if isinstance(values, str | int) else list(values):
        away |= _is_class(pixels, value, name)
    return away, own


def _is_class(pixels: np.ndarray, value: Any, name: str) -> np.ndarray:
    """Mask of one class: a number, or a name of SCL (one byte) or QA_PIXEL (two)."""
    text = str(value).strip()
    if text.lstrip("-").isdigit():
        return pixels == int(text)
    names: Mapping[str, Any] = SCL if pixels.dtype.itemsize == 1 else QA_PIXEL
    key = text.lower().replace(" ", "_").replace("-", "_")
    if key not in names:
        kind = "Sentinel-2's SCL" if names is SCL else "Landsat's QA_PIXEL"
        raise ModelError(
            f"{name}_values={value!r}: a raster of {pixels.dtype} is read as {kind}, whose names "
            f"are {', '.join(names)}. Give one of them, or numbers."
        )
    if names is SCL:
        return np.isin(pixels, names[key])
    return (pixels.astype(np.int64) >> names[key]) & 1 == 1


def _read_polygons(source: Any, grid: Grid, name: str) -> list[Mapping[str, Any]]:
    """Polygons of a file, a GeoDataFrame, GeoJSON or shapely, in the CRS of a grid."""
    if isinstance(source, str | os.PathLike):
        document, crs = read_vectors(Path(source), f"the polygons {_ROLE[name]},")
    elif isinstance(source, Mapping):
        document, crs = source, geojson_crs(source, name)
    elif hasattr(source, "__geo_interface__"):
        document, crs = source.__geo_interface__, getattr(source, "crs", None)
    else:
        raise DataError(
            f"{name} is a {type(source).__name__}: give polygons (GeoJSON, shapely, a "
            "GeoDataFrame or a file of them) or a DataArray of bool or classes."
        )
    try:
        found = [shape for shape in _polygons(document, name) if shape["coordinates"]]
        shapes = [_checked(shape, name) for shape in found]
    except (AttributeError, KeyError, TypeError, ValueError, IndexError, RecursionError) as error:
        if isinstance(error, SubpixError):
            raise
        raise DataError(
            f"{name} is no GeoJSON of polygons: {type(error).__name__}: {str(error)[:200]}."
        ) from error
    if not shapes:
        raise DataError(f"{name} has no polygon.")
    if crs is None or grid.crs is None:
        return shapes
    import pyproj
    import pyproj.exceptions
    from rasterio.warp import transform_geom

    try:
        own = pyproj.CRS.from_user_input(crs)
    except pyproj.exceptions.CRSError as error:
        raise DataError(f"{name} has a CRS that is none: {' '.join(str(error).split())}") from error
    if same_crs(own, grid.crs):
        return shapes
    try:
        return [transform_geom(own.to_wkt(), grid.crs.to_wkt(), shape) for shape in shapes]
    except Exception as error:  # GDAL's own, of places off the map
        raise DataError(
            f"{name} has polygons in {crs_name(own)} that cannot be brought to "
            f"{crs_name(grid.crs)}: {' '.join(str(error).split())}. Look at the CRS that it names."
        ) from error


def _polygons(document: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    kind = document.get("type")
    parts: Sequence[Any] = ()
    if kind == "FeatureCollection":
        parts = [feature["geometry"] for feature in document["features"]]
    elif kind == "Feature":
        parts = [document["geometry"]]
    elif kind == "GeometryCollection":
        parts = document["geometries"]
    elif kind in ("Polygon", "MultiPolygon"):
        return [document]
    elif kind is not None:
        raise DataError(f"{name} must be polygons; this is a {kind}.")
    return [shape for part in parts if part for shape in _polygons(part, name)]


def _checked(shape: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A Polygon or MultiPolygon whose rings are rings of finite numbers; others are an error."""
    several = shape["type"] == "MultiPolygon"
    for polygon in shape["coordinates"] if several else [shape["coordinates"]]:
        for ring in polygon:
            vertices = np.array([[float(v) for v in vertex[:2]] for vertex in ring])
            if vertices.ndim != 2 or vertices.shape[1] != 2 or len(vertices) < 4:
                raise DataError(
                    f"{name} has a polygon whose ring has the shape {vertices.shape}: four "
                    "vertices [x, y] or more are needed, the last one equal to the first."
                )
            if not np.isfinite(vertices).all():
                raise DataError(f"{name} has a polygon with a vertex that is not finite.")
    return shape
