"""Grids: where an image's pixels are, and what a pixel of displacement measures.

A :class:`Grid` gathers what xarray, rioxarray and CF scatter over names,
coordinates, attributes and encodings: which dimensions are rows and columns,
the affine transform, the CRS. It is an immutable value. Only this module turns
pixels into metres, and only this module builds labelled output.
"""

from __future__ import annotations

import dataclasses
import math
import sys
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from ..errors import DimensionError, GridError

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    import pyproj

__all__ = ["Grid", "image_dims", "labelled"]

# Same grid: corners agree to this, in pixels. A shift of a thousandth of a
# pixel is below what any correlator sees.
SAME_GRID_TOLERANCE = 1e-3
# Regular spacing: no coordinate is farther than this from its place, in pixels
# (widened to the rounding of the coordinates' own data type).
SPACING_TOLERANCE = 1e-2

# "east" and "north" are not among them: so the components of displacement are called.
_X_NAMES = ("x", "lon", "longitude", "easting", "eastings", "xc", "rlon", "col", "column")
_Y_NAMES = ("y", "lat", "latitude", "northing", "northings", "yc", "rlat", "row", "line")
_X_STANDARD = {"projection_x_coordinate", "longitude", "grid_longitude"}
_Y_STANDARD = {"projection_y_coordinate", "latitude", "grid_latitude"}
_KILOMETRES = {"km", "kilometre", "kilometer", "kilometres", "kilometers"}


@dataclasses.dataclass(frozen=True)
class Grid:
    """A regular grid of pixels.

    Parameters
    ----------
    dims : (str, str)
        Names of the row and the column dimension.
    shape : (int, int)
        Rows and columns.
    transform : tuple of 6 float
        Affine coefficients ``(a, b, c, d, e, f)``, from (column, row) of a
        pixel's corner to the CRS: ``x = a col + b row + c``,
        ``y = d col + e row + f``. Pixel ``(0, 0)`` spans 0 to 1 in both, as in
        rasterio. Rows may run either way, and the grid may be rotated.
    crs : pyproj.CRS or None
        Coordinate reference system.
    metres_per_unit : float or None
        Metres in one unit of a projected CRS; None where it is geographic, or
        where there is no CRS (displacements then have the coordinates' unit).
    """

    dims: tuple[Hashable, Hashable]
    shape: tuple[int, int]
    transform: tuple[float, float, float, float, float, float]
    crs: pyproj.CRS | None = None
    metres_per_unit: float | None = None

    # ------------------------------------------------------------ construction

    @classmethod
    def from_dataarray(cls, image: xr.DataArray, what: str = "image") -> Grid:
        """Read the grid of an image.

        Parameters
        ----------
        image : xarray.DataArray
            One image: two spatial dimensions in either order, any further
            ones of size 1.
        what : str
            What to call it in messages.

        Raises
        ------
        DimensionError
            The dimensions are not those of one image.
        GridError
            Coordinates are not evenly spaced, not finite, or contradict the
            transform; the CRS cannot be read.
        """
        y_dim, x_dim = image_dims(image, what)
        shape = (image.sizes[y_dim], image.sizes[x_dim])
        crs, mapping = _find_crs(image, what)
        transform = _find_transform(image, y_dim, x_dim, mapping, what)
        return cls((y_dim, x_dim), shape, transform, crs, _unit(image, x_dim, crs, what))

    def coarsen(self, step: int) -> Grid:
        """The grid of blocks of ``step`` x ``step`` pixels, from the same corner.

        A remainder of rows or columns smaller than `step` has no block.
        """
        a, b, c, d, e, f = self.transform
        return dataclasses.replace(
            self,
            shape=(self.shape[0] // step, self.shape[1] // step),
            transform=(a * step, b * step, c, d * step, e * step, f),
        )

    # ------------------------------------------------------------- comparison

    def offset_from(self, other: Grid) -> float:
        """Largest distance of the four corners from another grid's, in pixels."""
        here, there = self.corners(), other.corners()
        a, b, _, d, e, _ = self.transform
        shift = np.linalg.solve(np.array([[a, b], [d, e]]), (there - here).T)
        return float(np.hypot(*shift).max())

    def corners(self) -> np.ndarray:
        """CRS coordinates of the outer corners, shape (4, 2)."""
        rows, cols = self.shape
        a, b, c, d, e, f = self.transform
        corner = np.array([(0, 0), (cols, 0), (0, rows), (cols, rows)], dtype=float)
        return corner @ np.array([[a, d], [b, e]]) + (c, f)

    def check_same_crs(self, other: Grid, names: tuple[str, str] = ("pre", "post")) -> None:
        """Raise GridError unless `other` has the same CRS, or neither has one."""
        if _same_crs(self.crs, other.crs):
            return
        mine, theirs = names
        fix = f"Bring them to one grid: {theirs}.rio.reproject_match({mine})."
        if self.crs is None or other.crs is None:
            bare, full = (mine, theirs) if self.crs is None else (theirs, mine)
            fix = f"Name it: {bare} = {bare}.rio.write_crs({full}.rio.crs)."
        raise GridError(
            f"{mine} and {theirs} have different CRSs: {_crs_name(self.crs)} and "
            f"{_crs_name(other.crs)}. {fix}"
        )

    def check_same(self, other: Grid, names: tuple[str, str] = ("pre", "post")) -> None:
        """Raise GridError unless `other` is the same grid to 1e-3 px."""
        self.check_same_crs(other, names)
        mine, theirs = names
        fix = f"Bring them to one grid: {theirs}.rio.reproject_match({mine})."
        if self.shape != other.shape:
            raise GridError(
                f"{mine} and {theirs} have different shapes (rows, columns): {self.shape} and "
                f"{other.shape}. {fix}"
            )
        offset = self.offset_from(other)
        if not offset <= SAME_GRID_TOLERANCE:
            raise GridError(
                f"{mine} and {theirs} lie on different grids: corners differ by up to "
                f"{offset:.6g} px (tolerance {SAME_GRID_TOLERANCE} px); transforms "
                f"{_six(self.transform)} and {_six(other.transform)}. {fix}"
            )

    # ------------------------------------------------------- pixels and metres

    @property
    def units(self) -> str:
        """Units of a displacement on this grid: ``"m"``, or ``"1"`` without CRS."""
        return "1" if self.crs is None else "m"

    def jacobian(self, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
        """Displacement in metres (or the coordinates' unit) of one pixel.

        Parameters
        ----------
        rows, cols : numpy.ndarray, 1-D
            Pixel centres, pixel (0, 0) at 0.

        Returns
        -------
        numpy.ndarray
            Shape (2, 2, r, c), float64, with r, c equal to 1 where nothing
            changes along that dimension: d(east, north) / d(dx, dy).

        Notes
        -----
        On a geographic CRS a degree measures, at latitude phi on the
        ellipsoid, M(phi) pi/180 to the north and N(phi) cos(phi) pi/180 to the
        east, M and N being the radii of curvature of the meridian and of the
        prime vertical.
        """
        a, b, _, d, e, f = self.transform
        linear = np.array([[a, b], [d, e]])[:, :, None, None]
        if self.crs is None or self.metres_per_unit is not None:
            return linear * (self.metres_per_unit or 1.0)
        ellipsoid = self.crs.get_geod()
        assert ellipsoid is not None  # a geographic CRS always has one
        to_radians = self.crs.axis_info[0].unit_conversion_factor
        col = np.asarray(cols, float)[None, :] if d else np.zeros((1, 1))
        latitude = to_radians * (d * (col + 0.5) + e * (np.asarray(rows, float)[:, None] + 0.5) + f)
        w2 = 1.0 - ellipsoid.es * np.sin(latitude) ** 2
        north = ellipsoid.a * (1.0 - ellipsoid.es) / w2**1.5
        east = ellipsoid.a / np.sqrt(w2) * np.cos(latitude)
        return linear * to_radians * np.stack([east, north])[:, None]

    def to_metres(
        self, dx: np.ndarray, dy: np.ndarray, rows: np.ndarray, cols: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Turn pixels (right, down) into (east, north), float32.

        Parameters
        ----------
        dx, dy : numpy.ndarray
            Displacement in pixels of this grid, shape (rows, cols).
        rows, cols : numpy.ndarray, 1-D
            Pixel centres of the rows and columns given.

        Returns
        -------
        east, north : numpy.ndarray of float32
            Along +x and +y of the CRS; metres, or the coordinates' unit.
        """
        jac = self.jacobian(rows, cols)
        east = jac[0, 0] * dx + jac[0, 1] * dy
        north = jac[1, 0] * dx + jac[1, 1] * dy
        return east.astype(np.float32), north.astype(np.float32)

    def to_pixels(
        self, east: np.ndarray, north: np.ndarray, rows: np.ndarray, cols: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Turn (east, north) into pixels (right, down), float32; inverse of `to_metres`."""
        jac = self.jacobian(rows, cols)
        det = jac[0, 0] * jac[1, 1] - jac[0, 1] * jac[1, 0]
        dx = (jac[1, 1] * east - jac[0, 1] * north) / det
        dy = (jac[0, 0] * north - jac[1, 0] * east) / det
        return dx.astype(np.float32), dy.astype(np.float32)

    def length_to_metres(
        self, length: np.ndarray, rows: np.ndarray, cols: np.ndarray
    ) -> np.ndarray:
        """Turn a length in pixels, of no direction, into metres (float32).

        The scale is the root of the pixel's area.
        """
        jac = self.jacobian(rows, cols)
        det = jac[0, 0] * jac[1, 1] - jac[0, 1] * jac[1, 0]
        return (np.sqrt(np.abs(det)) * length).astype(np.float32)


# ---------------------------------------------------------------------- output


def labelled(
    image: xr.DataArray,
    grid: Grid,
    variables: Mapping[str, tuple[Any, Mapping[str, Any]]],
    attrs: Mapping[str, Any],
    *,
    step: int = 1,
    coords: Mapping[Hashable, Any] | None = None,
) -> xr.Dataset:
    """Build a Dataset on an image's grid: the only maker of labelled output.

    Parameters
    ----------
    image : xarray.DataArray
        Where the coordinates come from; none of its attributes, name or
        encoding, and no other coordinate, is passed on.
    grid : Grid
        The image's grid (not coarsened).
    variables : mapping
        Name to (array of shape ``grid.coarsen(step).shape``, attributes).
    attrs : mapping
        Attributes of the Dataset.
    step : int
        Pixels of the image in one of the output, along each dimension.
    coords : mapping, optional
        Further (scalar) coordinates.

    Returns
    -------
    xarray.Dataset
        Dimensions in the image's order. Where step is 1 the coordinates are
        the image's own, bit for bit, so that xarray aligns the two. At larger
        steps they are the blocks' centres, in pixels counted from 0 where the
        image has no coordinates.
    """
    y_dim, x_dim = grid.dims
    coarse = grid.coarsen(step)
    out_coords: dict[Hashable, Any] = {}
    for dim in grid.dims:
        if dim in image.coords:
            out_coords[dim] = _coarse_coordinate(image[dim].variable, step)
    for name in _two_dimensional_coords(image, y_dim, x_dim) or ():
        variable = image[name].variable.transpose(y_dim, x_dim)
        out_coords[name] = _coarse_coordinate(variable, step)
    mapping = _find_crs(image, "image")[1] or "spatial_ref"
    if step > 1 and not out_coords and mapping not in image.coords:
        # Without coordinates a coarser field would not know its place in the image.
        for dim in grid.dims:
            out_coords[dim] = _coarse_coordinate(
                xr.Variable((dim,), np.arange(image.sizes[dim])), step
            )
    has_place = grid.crs is not None or mapping in image.coords or len(out_coords) > 0
    out_coords.update(coords or {})
    ds = xr.Dataset(
        {name: ((y_dim, x_dim), array, dict(a)) for name, (array, a) in variables.items()},
        coords=out_coords,
        attrs=dict(attrs),
    )
    if has_place:
        import rioxarray  # noqa: F401  (registers .rio)

        if grid.crs is not None:
            ds = ds.rio.write_crs(grid.crs.to_wkt(), grid_mapping_name=mapping)
        else:
            ds = ds.assign_coords({mapping: xr.Variable((), np.int64(0))})
            for name in variables:
                ds[name].encoding["grid_mapping"] = mapping
        a, b, c, d, e, f = coarse.transform
        ds[mapping].attrs["GeoTransform"] = " ".join(repr(float(v)) for v in (c, a, b, f, d, e))
    order = [dim for dim in image.dims if dim in grid.dims]
    return ds if order == [y_dim, x_dim] else ds.transpose(*order)


def _coarse_coordinate(variable: xr.Variable, step: int) -> xr.Variable:
    """Mean of each block of `step` values along every dimension; a copy at step 1."""
    values = np.array(variable.values)
    if step > 1:
        for axis, size in enumerate(values.shape):
            kept = np.take(values, np.arange(size // step * step), axis=axis)
            shape = (*values.shape[:axis], size // step, step, *values.shape[axis + 1 :])
            values = kept.reshape(shape).mean(axis=axis + 1)
    return xr.Variable(variable.dims, values, dict(variable.attrs))


# ------------------------------------------------------------------ dimensions


def image_dims(image: xr.DataArray, what: str = "image") -> tuple[Hashable, Hashable]:
    """Names of the row and the column dimension of an image.

    Found by name (y/x, lat/lon, northing/easting, ..., in any case), by the CF
    attributes ``axis`` and ``standard_name`` of the coordinates, or, for an
    array whose dimensions were never named, by position.

    Raises
    ------
    DimensionError
        They cannot be found, or another dimension is longer than 1.
    """
    y_dim = _find_dim(image, _Y_NAMES, "Y", _Y_STANDARD)
    x_dim = _find_dim(image, _X_NAMES, "X", _X_STANDARD)
    if y_dim is None and x_dim is None and image.dims == ("dim_0", "dim_1"):
        y_dim, x_dim = image.dims
    if y_dim is None or x_dim is None:
        lost = " and ".join(
            w for w, d in (("rows (y)", y_dim), ("columns (x)", x_dim)) if d is None
        )
        raise DimensionError(
            f"{what} has dimensions {_sizes(image)}: cannot tell which are its {lost}. "
            f"Rename them, e.g. {what}.rename(NAME='y', NAME='x')."
        )
    for dim in image.dims:
        if dim not in (y_dim, x_dim) and image.sizes[dim] != 1:
            raise DimensionError(
                f"{what} has {image.sizes[dim]} values along {dim!r} ({_sizes(image)}): one image "
                f"has two dimensions. Choose one: {what}.isel({dim}=0)."
            )
    return y_dim, x_dim


def _sizes(image: xr.DataArray) -> str:
    return "(" + ", ".join(f"{dim}: {n}" for dim, n in image.sizes.items()) + ")"


def _find_dim(
    image: xr.DataArray, names: tuple[str, ...], axis: str, standard: set[str]
) -> Hashable | None:
    by_name = {str(dim).lower(): dim for dim in image.dims}
    for name in names:
        if name in by_name:
            return by_name[name]
    for dim in image.dims:
        attrs = image.coords[dim].attrs if dim in image.coords else {}
        if attrs.get("axis") == axis or attrs.get("standard_name") in standard:
            return dim
    return None


# ------------------------------------------------------------------- transform


def _two_dimensional_coords(
    image: xr.DataArray, y_dim: Hashable, x_dim: Hashable
) -> tuple[Hashable, Hashable] | None:
    """Names of 2-D (x, y) coordinates, as rioxarray gives rotated images."""
    names = ("xc", "yc")
    if all(name in image.coords and set(image[name].dims) == {y_dim, x_dim} for name in names):
        return names
    return None


def _find_transform(
    image: xr.DataArray, y_dim: Hashable, x_dim: Hashable, mapping: Hashable | None, what: str
) -> tuple[float, float, float, float, float, float]:
    written = _written_transform(image, mapping, what)
    two = _two_dimensional_coords(image, y_dim, x_dim)
    if two is not None:
        return _fit_affine(image, y_dim, x_dim, two, what)
    have = [dim for dim in (y_dim, x_dim) if dim in image.coords]
    if not have:
        # Without any place, coordinates count pixels from the first one's centre, as
        # xarray's own default index does.
        return written or (1.0, 0.0, -0.5, 0.0, 1.0, -0.5)
    if len(have) == 1:
        raise GridError(
            f"{what} has coordinates along {have[0]!r} only (dimensions {_sizes(image)}). Give "
            "both, or none: .drop_vars()."
        )
    if written is not None and (written[1] or written[3]):
        raise GridError(
            f"{what} has one-dimensional coordinates {x_dim!r}, {y_dim!r} and a rotated transform "
            f"{_six(written)}: they contradict each other. Drop one, e.g. "
            f"{what}.drop_vars([{x_dim!r}, {y_dim!r}])."
        )
    c, a = _spacing(image, x_dim, written and written[0], what)
    f, e = _spacing(image, y_dim, written and written[4], what)
    if np.isnan(a) or np.isnan(e):
        # One row or column: its size is that of the other side, the usual square pixel.
        side = 1.0 if math.isnan(a) and math.isnan(e) else abs(e if math.isnan(a) else a)
        a, e = (side if math.isnan(a) else a), (-side if math.isnan(e) else e)
    return (a, 0.0, c - a / 2, 0.0, e, f - e / 2)


def _written_transform(
    image: xr.DataArray, mapping: Hashable | None, what: str
) -> tuple[float, float, float, float, float, float] | None:
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
                return (a, b, c, d, e, f)
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
) -> tuple[float, float, float, float, float, float]:
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
    return (float(a), float(b), float(c0), float(d), float(e), float(f))


# -------------------------------------------------------------------------- CRS


def _find_crs(image: xr.DataArray, what: str) -> tuple[pyproj.CRS | None, Hashable | None]:
    """CRS and the name of the coordinate that holds it, under any name.

    Arithmetic drops ``encoding["grid_mapping"]`` but keeps the coordinate, so
    every scalar coordinate with a CRS in its attributes is looked at.
    """
    declared = [image.encoding.get("grid_mapping"), image.attrs.get("grid_mapping"), "spatial_ref"]
    scalars = [name for name, c in image.coords.items() if c.ndim == 0]
    for name in [*declared, *scalars]:
        if name is None or name not in image.coords:
            continue
        attrs = image.coords[name].attrs
        text = attrs.get("crs_wkt") or attrs.get("spatial_ref")
        if text or "grid_mapping_name" in attrs:
            return _parse_crs(text or attrs, what), name
    first = next((name for name in declared if name is not None and name in image.coords), None)
    if isinstance(image.attrs.get("crs"), str | int):
        return _parse_crs(image.attrs["crs"], what), first
    if "rioxarray" not in sys.modules:
        return None, first
    # A CRS given by rio.set_crs, and not written, lives in rioxarray's accessor only.
    hidden = getattr(image.rio, "_crs", None)
    return (_parse_crs(hidden.to_wkt(), what) if hidden else None), first


def _parse_crs(source: Any, what: str) -> pyproj.CRS:
    import pyproj

    try:
        with warnings.catch_warnings():
            # "+init=" and PROJ strings lose detail in theory; not in what we use.
            warnings.simplefilter("ignore")
            crs = (
                pyproj.CRS.from_user_input(source)
                if isinstance(source, str | int)
                else pyproj.CRS.from_cf(dict(source))
            )
    except (pyproj.exceptions.CRSError, KeyError) as error:
        raise GridError(
            f"cannot read the CRS of {what}: {error}. Write it: {what}.rio.write_crs('EPSG:...')."
        ) from error
    return crs


def _unit(image: xr.DataArray, x_dim: Hashable, crs: pyproj.CRS | None, what: str) -> float | None:
    """Metres in one unit of the coordinates; None on a geographic or unknown CRS."""
    if crs is None or crs.is_geographic:
        return None
    # A compound CRS (map and height) counts as vertical too; its first part is the map.
    if crs.is_geocentric or (crs.is_vertical and not crs.is_compound):
        raise GridError(
            f"the CRS of {what}, {_crs_name(crs)}, is no map or longitude-latitude system. "
            f"Reproject: {what}.rio.reproject(CRS)."
        )
    if x_dim in image.coords and image[x_dim].attrs.get("units") in _KILOMETRES:
        return 1000.0
    return float(crs.axis_info[0].unit_conversion_factor) if crs.axis_info else 1.0


def _same_crs(one: pyproj.CRS | None, two: pyproj.CRS | None) -> bool:
    if one is None or two is None:
        return one is two
    if one == two or one.equals(two, ignore_axis_order=True):
        return True
    # The same CRS written by two programs can differ in names alone.
    codes = one.to_authority(min_confidence=70), two.to_authority(min_confidence=70)
    return codes[0] is not None and codes[0] == codes[1]


def _crs_name(crs: pyproj.CRS | None) -> str:
    if crs is None:
        return "no CRS"
    code = crs.to_authority()
    return ":".join(code) if code else (crs.name or crs.to_wkt())


def _six(transform: tuple[float, ...]) -> str:
    return "(" + ", ".join(f"{v:.10g}" for v in transform) + ")"
