"""A regular grid of pixels as one immutable value; pixels to metres and back."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

import numpy as np
from affine import Affine

from ..errors import GridError
from .coordinates import find_transform, image_dims, six_numbers
from .crs import crs_name, find_crs, metres_in_unit, same_crs
from .location import check_location, is_located
from .points import inverse_points, transform_points
from .scale import Scale, map_scale

if TYPE_CHECKING:
    from collections.abc import Hashable

    import pyproj
    import xarray as xr
    from numpy.typing import ArrayLike

__all__ = ["SAME_GRID_TOLERANCE", "Grid", "is_placed"]

# Same grid: corners agree to this, in pixels. A shift of a thousandth of a
# pixel is below what any correlator sees.
SAME_GRID_TOLERANCE = 1e-3


@dataclasses.dataclass(frozen=True)
class Grid:
    """A regular grid of pixels.

    Parameters
    ----------
    dims : (str, str)
        Names of the row and the column dimension.
    shape : (int, int)
        Rows and columns.
    transform : affine.Affine
        From (column, row) of a pixel's corner to the CRS: ``x = a col + b row + c``,
        ``y = d col + e row + f``. Pixel ``(0, 0)`` spans 0 to 1 in both, as in
        rasterio. Rows may run either way, and the grid may be rotated. Six numbers
        ``(a, b, c, d, e, f)`` are taken too.
    crs : pyproj.CRS or None
        Coordinate reference system.
    metres_per_unit : float or None
        Metres in one unit of a projected CRS; None where it is geographic, or
        where there is no CRS (displacements then have the coordinates' unit).
    grid_mapping : hashable or None
        Name of the coordinate that holds CRS and transform; None where there is
        none. Grids that differ in it alone are equal.

    Examples
    --------
    >>> grid = Grid(("y", "x"), (100, 200), Affine(10, 0, 5e5, 0, -10, 4e6))
    >>> x, y = grid.at(0, 0)
    >>> float(x), float(y)
    (500005.0, 3999995.0)
    >>> row, col = grid.index(500005.0, 3999985.0)
    >>> float(row), float(col)
    (1.0, 0.0)
    """

    dims: tuple[Hashable, Hashable]
    shape: tuple[int, int]
    transform: Affine
    crs: pyproj.CRS | None = None
    metres_per_unit: float | None = None
    grid_mapping: Hashable | None = dataclasses.field(default=None, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.transform, Affine):
            object.__setattr__(self, "transform", Affine(*self.transform))

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
            transform; the CRS cannot be read, did not come along, or has no ground where the
            coordinates are; the image is placed by control points only.
        """
        y_dim, x_dim = image_dims(image, what)
        shape = (image.sizes[y_dim], image.sizes[x_dim])
        crs, mapping = find_crs(image, what)
        transform = find_transform(image, y_dim, x_dim, mapping, what)
        unit = metres_in_unit(image, x_dim, crs, what)
        grid = cls((y_dim, x_dim), shape, transform, crs, unit, mapping)
        if crs is not None:
            located = is_located(image, y_dim, x_dim, mapping)
            check_location(crs, transform, shape, unit, located, what)
        return grid

    def turned(self, rows: bool, cols: bool) -> Grid:
        """Same pixels, with the rows or the columns counted from the other end."""
        a, b, c, d, e, f = self.transform[:6]
        down, across = self.shape
        if rows:
            b, c, e, f = -b, c + b * down, -e, f + e * down
        if cols:
            a, c, d, f = -a, c + a * across, -d, f + d * across
        return dataclasses.replace(self, transform=Affine(a, b, c, d, e, f))

    def coarsen(self, step: int) -> Grid:
        """Grid of blocks of ``step`` x ``step`` pixels, from the same corner.

        A remainder of rows or columns smaller than `step` has no block.
        """
        a, b, c, d, e, f = self.transform[:6]
        return dataclasses.replace(
            self,
            shape=(self.shape[0] // step, self.shape[1] // step),
            transform=Affine(a * step, b * step, c, d * step, e * step, f),
        )

    # ------------------------------------------------------- pixels and the CRS

    @property
    def matrix(self) -> np.ndarray:
        """Transform as a matrix (3, 3), from (column, row, 1) to (x, y, 1)."""
        return np.reshape(tuple(self.transform), (3, 3))

    @property
    def is_rotated(self) -> bool:
        """True where rows or columns run oblique to the axes of the CRS."""
        return bool(self.transform.b or self.transform.d)

    @property
    def pixel_side(self) -> float:
        """Side of a square of one pixel's area, in the unit of the CRS."""
        return math.sqrt(abs(self.transform.determinant))

    def at(self, rows: ArrayLike, cols: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """CRS coordinates (x, y) of pixel centres, pixel (0, 0) at 0.

        Parameters
        ----------
        rows, cols : array_like
            May be fractional; they broadcast.
        """
        return transform_points(self.transform, np.asarray(cols) + 0.5, np.asarray(rows) + 0.5)

    def index(self, x: ArrayLike, y: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """Fractional (row, column) of points in the CRS; inverse of `at`."""
        col, row = inverse_points(self.transform, x, y)
        return row - 0.5, col - 0.5

    def matrix_to(self, other: Grid) -> np.ndarray:
        """Matrix (3, 3) from (column, row, 1) of this grid to those of another.

        Both count from a pixel's corner; the CRS has to be the same.
        """
        return np.linalg.inv(other.matrix) @ self.matrix

    # ------------------------------------------------------------- comparison

    def offset_from(self, other: Grid) -> float:
        """Largest distance of the four corners from another grid's, in pixels of this one."""
        here, there = self.corners(), other.corners()
        shift = np.linalg.solve(self.matrix[:2, :2], (there - here).T)
        return float(np.hypot(*shift).max())

    def corners(self) -> np.ndarray:
        """CRS coordinates of the outer corners, shape (4, 2)."""
        rows, cols = self.shape
        a, b, c, d, e, f = self.transform[:6]
        corner = np.array([(0, 0), (cols, 0), (0, rows), (cols, rows)], dtype=float)
        return corner @ np.array([[a, d], [b, e]]) + (c, f)

    def check_same_crs(self, other: Grid, names: tuple[str, str] = ("pre", "post")) -> None:
        """Raise GridError unless `other` has the same CRS, or neither has one."""
        if same_crs(self.crs, other.crs):
            return
        mine, theirs = names
        fix = f"Bring them to one grid: {theirs}.rio.reproject_match({mine})."
        if self.crs is None or other.crs is None:
            bare, full = (mine, theirs) if self.crs is None else (theirs, mine)
            fix = f"Name it: {bare} = {bare}.rio.write_crs({full}.rio.crs)."
        raise GridError(
            f"{mine} and {theirs} have different CRSs: {crs_name(self.crs)} and "
            f"{crs_name(other.crs)}. {fix}"
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
                f"{six_numbers(self.transform)} and {six_numbers(other.transform)}. {fix}"
            )

    def check_shared_ground(self, other: Grid, names: tuple[str, str]) -> None:
        """Raise GridError unless the outlines of two grids of one CRS overlap.

        Outlines are compared in pixels of this grid, by their upright bounds.
        """
        corners = np.stack(self.index(*other.corners().T), axis=1) + 0.5
        low, high = corners.min(0), corners.max(0)
        if (low < self.shape).all() and (high > 0).all():
            return
        boxes = []
        for grid in (self, other):
            (x0, y0), (x1, y1) = grid.corners().min(0), grid.corners().max(0)
            boxes.append(f"x {x0:.10g} to {x1:.10g}, y {y0:.10g} to {y1:.10g}")
        mine, theirs = names
        raise GridError(
            f"{mine} and {theirs} share no ground: {mine} spans {boxes[0]}, {theirs} {boxes[1]} "
            f"({crs_name(self.crs)}). Give one of the same ground."
        )

    # ------------------------------------------------------- pixels and metres

    @property
    def units(self) -> str:
        """Units of a displacement on this grid: ``"m"``, or ``"1"`` without CRS."""
        return "1" if self.crs is None else "m"

    @property
    def scale(self) -> Scale | None:
        """Ground metres a unit of the CRS, where they are not the map's, or degrees are turned."""
        if self.crs is None or (self.metres_per_unit is None and not self.crs.is_derived):
            return None
        unit = self.metres_per_unit or math.radians(1.0) * 6_371_000.0
        return map_scale(self.crs, self.transform, self.shape, unit)

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
        prime vertical. On a map that stretches the ground by more than 1 % (Web Mercator
        off the equator, polar maps) a unit measures what the ellipsoid says, along each axis.
        """
        linear = self.matrix[:2, :2, None, None]
        if self.crs is None:
            return linear
        if (scale := self.scale) is not None:
            return linear * scale.at(np.asarray(rows, float), np.asarray(cols, float))[:, None]
        if self.metres_per_unit is not None:
            return linear * self.metres_per_unit
        ellipsoid = self.crs.get_geod()
        assert ellipsoid is not None  # a geographic CRS always has one
        to_radians = self.crs.axis_info[0].unit_conversion_factor
        # Where rows are parallels, the latitude of one column is that of all.
        col = np.asarray(cols, float)[None, :] if self.transform.d else np.zeros((1, 1))
        latitude = to_radians * self.at(np.asarray(rows, float)[:, None], col)[1]
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


def is_placed(image: xr.DataArray, grid: Grid) -> bool:
    """Tell an image that says where it lies from one whose pixels are only counted.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> image = xr.DataArray(np.ones((2, 3)), dims=("y", "x"))
    >>> is_placed(image, Grid.from_dataarray(image))
    False
    """
    counted = Affine(1.0, 0.0, -0.5, 0.0, 1.0, -0.5)
    return grid.crs is not None or grid.transform != counted or grid.dims[0] in image.coords
