"""Ground under a grid as a plane in metres."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

import numpy as np
from affine import Affine

from .points import inverse_points, transform_points

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from .grid import Grid

__all__ = ["Plane"]


@dataclasses.dataclass(frozen=True)
class Plane:
    """Ground under a grid as a plane in metres.

    Projected grids keep their coordinates (in metres); geographic grids, and maps that stretch
    the ground by more than 1 %, get metres east and north of their centre, by the scale there;
    grids without CRS the coordinates themselves, whatever their unit.

    Parameters
    ----------
    transform : affine.Affine
        From (column, row) of a pixel's corner to the CRS, as in `Grid`.
    affine : affine.Affine
        From the same to the plane.

    Examples
    --------
    >>> import pyproj
    >>> from xsubpix import Grid
    >>> degrees = Grid(("lat", "lon"), (4, 6), (0.1, 0, 30, 0, -0.1, 38), pyproj.CRS(4326))
    >>> x, y = Plane.of(degrees).at(1.5, 2.5)
    >>> float(x), float(y)
    (0.0, 0.0)
    """

    transform: Affine
    affine: Affine

    @classmethod
    def of(cls, grid: Grid) -> Plane:
        """Build the plane under a grid."""
        unit = grid.metres_per_unit or 1.0
        affine = Affine(*(unit * v for v in grid.transform[:6]))
        if grid.crs is not None and (grid.metres_per_unit is None or grid.scale is not None):
            rows, cols = grid.shape
            centre = np.array([(rows - 1) / 2]), np.array([(cols - 1) / 2])
            (a, b), (d, e) = grid.jacobian(*centre)[:, :, 0, 0].tolist()
            affine = Affine(a, b, -(a * cols + b * rows) / 2, d, e, -(d * cols + e * rows) / 2)
        return cls(grid.transform, affine)

    @property
    def pixel(self) -> float:
        """Side of a square of one pixel's area, metres."""
        return math.sqrt(abs(self.affine.determinant))

    @property
    def steps(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Steps (x, y) of one column to the right and of one row down, metres."""
        return (self.affine.a, self.affine.d), (self.affine.b, self.affine.e)

    def at(self, rows: ArrayLike, cols: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """Plane coordinates (x, y) of pixel centres; pixel (0, 0) at 0."""
        return transform_points(self.affine, np.asarray(cols) + 0.5, np.asarray(rows) + 0.5)

    def index(self, x: ArrayLike, y: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """Fractional (row, column) of plane coordinates; inverse of `at`."""
        col, row = inverse_points(self.affine, x, y)
        return row - 0.5, col - 0.5

    def from_crs(self, x: ArrayLike, y: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """Plane coordinates of points in the CRS."""
        return transform_points(self.affine, *inverse_points(self.transform, x, y))

    def to_crs(self, x: ArrayLike, y: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """Coordinates in the CRS of points on the plane; inverse of `from_crs`."""
        return transform_points(self.transform, *inverse_points(self.affine, x, y))
