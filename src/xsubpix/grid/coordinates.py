"""Dimensions and affine transform of an image, from its names, coordinates and attributes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from affine import Affine

from ..errors import DimensionError, GridError

if TYPE_CHECKING:
    from collections.abc import Hashable

    import xarray as xr

__all__ = ["find_transform", "image_dims", "six_numbers", "two_dimensional_coords"]

# Regular spacing: no coordinate is farther than this from where it should be, in pixels
# (widened to the rounding of the coordinates' own data type).
SPACING_TOLERANCE = 1e-2

# "east" and "north" are not among them: so the components of displacement are called.
_X_NAMES = ("x", "lon", "longitude", "easting", "eastings", "xc", "rlon", "col", "column")
_Y_NAMES = ("y", "lat", "latitude", "northing", "northings", "yc", "rlat", "row", "line")
_X_STANDARD = {"projection_x_coordinate", "longitude", "grid_longitude"}
_Y_STANDARD = {"projection_y_coordinate", "latitude", "grid_latitude"}


def image_dims(image: xr.DataArray, what: str = "image") -> tuple[Hashable, Hashable]:
    """Names of the row and the column dimension of an image.

    Found by name (y/x, lat/lon, northing/easting, ..., in any case), by the CF
    attributes ``axis`` and ``standard_name`` of the coordinates, or, for an
    array whose dimensions were never named, by position.

    Raises
    ------
    DimensionError
        They cannot be found, or another dimension is longer than 1.

    Examples
    --------
    >>> import numpy as np, rioxarray, xarray as xr
    >>> pixel = {"y": -30.0 * np.arange(4), "x": 30.0 * np.arange(4)}
    >>> image = xr.DataArray(np.zeros((4, 4)), pixel, ("y", "x")).rio.write_crs("EPSG:32611")
    >>> from xsubpix.grid import image_dims
    >>> image_dims(image, "image")
    ('y', 'x')
    """
    y_dim = _find_dim(image, _Y_NAMES, "Y", _Y_STANDARD)
    x_dim = _find_dim(image, _X_NAMES, "X", _X_STANDARD)
    if y_dim is None and x_dim is None and image.dims == ("dim_0", "dim_1"):
        y_dim, x_dim = image.dims
    if y_dim is None or x_dim is None:
        unknown = " and ".join(
            w for w, d in (("rows (y)", y_dim), ("columns (x)", x_dim)) if d is None
        )
        raise DimensionError(
            f"{what} has dimensions {_sizes(image)}: cannot tell which are its {unknown}. "
            f"Rename them, e.g. {what}.rename(NAME='y', NAME='x')."
        )
    for dim, standard, axis in ((y_dim, _X_STANDARD, "X"), (x_dim, _Y_STANDARD, "Y")):
        attrs = image.coords[dim].attrs if dim in image.coords else {}
        if attrs.get("axis") == axis or attrs.get("standard_name") in standard:
            said = attrs.get("standard_name") or f"axis {axis}"
            raise DimensionError(
                f"{what} has a dimension {dim!r} whose coordinate says {said!r}: they contradict "
                f"each other. Rename the dimensions: {what}.rename({y_dim}='{x_dim}', "
                f"{x_dim}='{y_dim}')."
            )
    for dim in image.dims:
        if dim not in (y_dim, x_dim) and image.sizes[dim] != 1:
            raise DimensionError(
                f"{what} has {image.sizes[dim]} values along {dim!r} ({_sizes(image)}): one image "
                f"has two dimensions. Choose one: {what}.isel({dim}=0)."
            )
    return y_dim, x_dim


def _sizes(image: xr.DataArray) -> str:
    """Dimensions and their sizes, for messages."""
    return "(" + ", ".join(f"{dim}: {n}" for dim, n in image.sizes.items()) + ")"


def _find_dim(
    image: xr.DataArray, names: tuple[str, ...], axis: str, standard: set[str]
) -> Hashable | None:
    """Dimension of one of some names, or whose coordinate has CF attributes that say so."""
    by_name = {str(dim).lower(): dim for dim in image.dims}
    for name in names:
        if name in by_name:
            return by_name[name]
    for dim in image.dims:
        attrs = image.coords[dim].attrs if dim in image.coords else {}
        if attrs.get("axis") == axis or attrs.get("standard_name") in standard:
            return dim
    return None


def two_dimensional_coords(
    image: xr.DataArray, y_dim: Hashable, x_dim: Hashable
) -> tuple[Hashable, Hashable] | None:
    """Names of 2-D (x, y) coordinates, as rioxarray gives rotated images."""
    names = ("xc", "yc")
    if all(name in image.coords and set(image[name].dims) == {y_dim, x_dim} for name in names):
        return names
    return None


def find_transform(
    image: xr.DataArray, y_dim: Hashable, x_dim: Hashable, mapping: Hashable | None, what: str
) -> Affine:
    """Affine transform of an image, from its coordinates or its grid mapping.

    Parameters
    ----------
    image : xarray.DataArray
    y_dim, x_dim : hashable
        Dimensions of rows and columns.
    mapping : hashable or None
        Coordinate that holds the CRS.
    what : str
        What to call the image in messages.

    Returns
    -------
    affine.Affine
        From (column, row) of a pixel's corner to the CRS.

    Raises
    ------
    GridError
        Coordinates are not evenly spaced, not finite, absent along one dimension, or
        contradict the transform that is written.
    """
    written = _written_transform(image, mapping, what)
    two = two_dimensional_coords(image, y_dim, x_dim)
    if two is not None:
        return _fit_affine(image, y_dim, x_dim, two, what)
    have = [dim for dim in (y_dim, x_dim) if dim in image.coords]
    if not have:
        # Without any place, coordinates count pixels from the first one's centre, as
        # xarray's own default index does.
        return written or Affine(1.0, 0.0, -0.5, 0.0, 1.0, -0.5)
    if len(have) == 1:
        raise GridError(
            f"{what} has coordinates along {have[0]!r} only (dimensions {_sizes(image)}). Give "
            "both, or none: .drop_vars()."
        )
    if written is not None and (written.b or written.d):
        raise GridError(
            f"{what} has one-dimensional coordinates {x_dim!r}, {y_dim!r} and a rotated transform "
            f"{six_numbers(written)}: they contradict each other. Drop one, e.g. "
            f"{what}.drop_vars([{x_dim!r}, {y_dim!r}])."
        )
    c, a = _spacing(image, x_dim, written.a if written else None, what)
    f, e = _spacing(image, y_dim, written.e if written else None, what)
    if np.isnan(a) or np.isnan(e):
        # One row or column: its size is that of the other side, the usual square pixel.
        side = 1.0 if math.isnan(a) and math.isnan(e) else abs(e if math.isnan(a) else a)
        a, e = (side if math.isnan(a) else a), (-side if math.isnan(e) else e)
    return Affine(a, 0.0, c - a / 2, 0.0, e, f - e / 2)


def _written_transform(image: xr.DataArray, mapping: Hashable | None, what: str) -> Affine | None:
    """The GeoTransform that GDAL, rioxarray and we write on the grid mapping."""
    for name in (mapping, "spatial_ref"):
        if name is not None and name in image.coords:
            text = image[name].attrs.get("GeoTransform")
            if text is not None:
                try:
                    values = text.split() if isinstance(text, str) else list(text)
                    c, a, b, f, d, e = (float(v) for v in values)
                except (TypeError, ValueError):
                    a = b = c = d = e = f = math.nan
                # NaN compares False: neither unreadable nor degenerate passes.
                if not abs(a * e - b * d) > 0 or not math.isfinite(c + f):
                    raise GridError(
                        f"the GeoTransform of {what} is {text!r}: six numbers with a pixel of some "
                        f"area are needed. Drop it ({what}.drop_vars({name!r})) or write it anew "
                        f"({what}.rio.write_transform)."
                    )
                return Affine(a, b, c, d, e, f)
    return None


def _spacing(
    image: xr.DataArray, dim: Hashable, written: float | None, what: str
) -> tuple[float, float]:
    """First centre and spacing (NaN where it cannot be known) of a coordinate."""
    coordinate = image[dim].values
    if coordinate.dtype.kind not in "iuf":
        raise GridError(
            f"coordinate {dim!r} of {what} holds {coordinate.dtype}, not numbers. Drop it "
            f"({what}.drop_vars({dim!r})) or replace it."
        )
    values = coordinate.astype(float)
    if not np.isfinite(values).all():
        raise GridError(f"coordinate {dim!r} of {what} holds NaN or infinite values. Replace it.")
    if values.size == 1:
        return float(values[0]), float("nan") if written is None else written
    spacing = (values[-1] - values[0]) / (values.size - 1)
    expected = values[0] + spacing * np.arange(values.size)
    error = np.abs(values - expected)
    rounding = 0.0
    if coordinate.dtype.kind == "f":
        rounding = 4.0 * float(np.finfo(coordinate.dtype).eps) * float(np.abs(values).max())
    if spacing == 0 or error.max() > SPACING_TOLERANCE * abs(spacing) + rounding:
        worst = int(error.argmax())
        raise GridError(
            f"coordinate {dim!r} of {what} is not evenly spaced: value {float(values[worst])!r} at "
            f"index {worst}, expected {float(expected[worst])!r} at a mean spacing of "
            f"{spacing:.6g}. Sort it ({what}.sortby({dim!r})) or resample to a regular grid ("
            f"{what}.interp or {what}.rio.reproject)."
        )
    return float(values[0]), float(spacing)


def _fit_affine(
    image: xr.DataArray, y_dim: Hashable, x_dim: Hashable, two: tuple[Hashable, Hashable], what: str
) -> Affine:
    """Affine transform of 2-D coordinates, from three corners, checked at all points."""
    rows, cols = image.sizes[y_dim], image.sizes[x_dim]
    if rows < 2 or cols < 2:
        raise GridError(
            f"{what} has 2-D coordinates and {rows} x {cols} pixels: too few to find its pixel "
            "size. Select at least 2 x 2 pixels."
        )
    out = []
    for name in two:
        c = image[name].transpose(y_dim, x_dim).values.astype(float)
        by_col = (c[0, -1] - c[0, 0]) / (cols - 1)
        by_row = (c[-1, 0] - c[0, 0]) / (rows - 1)
        fitted = c[0, 0] + by_col * np.arange(cols) + by_row * np.arange(rows)[:, None]
        scale = np.hypot(by_col, by_row)
        error = float(np.abs(c - fitted).max())
        if not error <= SPACING_TOLERANCE * scale + 1e-9 * np.abs(c).max():
            raise GridError(
                f"2-D coordinate {name!r} of {what} is not an affine grid: it departs from one by "
                f"{error:.6g} (pixel {scale:.6g}). Reproject it to a regular grid: "
                f"{what}.rio.reproject(CRS)."
            )
        out.append((by_col, by_row, c[0, 0] - (by_col + by_row) / 2))
    (a, b, c0), (d, e, f) = out
    return Affine(float(a), float(b), float(c0), float(d), float(e), float(f))


def six_numbers(transform: Affine) -> str:
    """Coefficients (a, b, c, d, e, f) of a transform, for messages."""
    return "(" + ", ".join(f"{v:.10g}" for v in transform[:6]) + ")"
