"""Metres of ground in one metre of a map, where a projection stretches it."""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING

import numpy as np

from ..errors import GridError
from .crs import crs_name
from .points import transform_points

if TYPE_CHECKING:
    import pyproj
    from affine import Affine

__all__ = ["Scale", "map_scale"]

#: Maps whose metres are the ground's within this are taken as they are: UTM's differ by 0.001
#: in a zone, those of most national grids by less.
SAME_METRES = 0.01
# Points a side at which a projection is asked; between them it is as good as linear.
_NODES = 33
# Length over which it is measured, metres.
_STEP = 20.0


@dataclasses.dataclass(frozen=True, eq=False)
class Scale:
    """Ground metres for one unit of x and of y, at nodes on a grid.

    Attributes
    ----------
    rows, cols : numpy.ndarray, 1-D
        Pixels of the nodes.
    x, y : numpy.ndarray, shape (rows, cols)
        Metres a unit.
    """

    rows: np.ndarray
    cols: np.ndarray
    x: np.ndarray
    y: np.ndarray

    def at(self, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
        """Metres a unit of x and of y at pixels, shape (2, rows, cols)."""
        down, across = (
            _weights(nodes, np.asarray(index, float))
            for nodes, index in ((self.rows, rows), (self.cols, cols))
        )
        return np.stack([down @ values @ across.T for values in (self.x, self.y)])


def _weights(nodes: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Weights (index, nodes) of linear interpolation; constant beyond the nodes."""
    if nodes.size == 1:
        return np.ones((index.size, 1))
    return np.stack([np.interp(index, nodes, unit) for unit in np.eye(nodes.size)], axis=1)


@functools.lru_cache(maxsize=64)
def map_scale(
    crs: pyproj.CRS, transform: Affine, shape: tuple[int, int], unit: float
) -> Scale | None:
    """Ground metres of a map's units over a grid, from the ellipsoid.

    Parameters
    ----------
    crs : pyproj.CRS
        A map, or longitudes and latitudes on a turned globe.
    transform : affine.Affine
        From (column, row) of a pixel's corner to the CRS.
    shape : (int, int)
        Rows and columns.
    unit : float
        Metres in one unit of a map; of degrees, about so many.

    Returns
    -------
    Scale or None
        None where a unit is `unit` metres of ground, to 1 %, in all places.

    Raises
    ------
    GridError
        The grid lies where the CRS has no ground.

    Notes
    -----
    Geodesic lengths of 20 m along each axis of the map. On a conformal map both are the same;
    on others they are those of the axes, which may not be at right angles on the ground.
    """
    import pyproj

    rows, cols = (np.unique(np.linspace(0, n - 1, min(n, _NODES))) for n in shape)
    x, y = transform_points(transform, cols[None, :] + 0.5, rows[:, None] + 0.5)
    x, y = np.broadcast_arrays(x, y)
    base = crs.source_crs if crs.is_derived and crs.source_crs is not None else crs.geodetic_crs
    geod = crs.get_geod()
    if base is None or geod is None:
        return None
    convert = pyproj.Transformer.from_crs(crs, base, always_xy=True)
    half = _STEP / unit / 2
    found = []
    for dx, dy in ((half, 0.0), (0.0, half)):
        ends = [convert.transform(x + k * dx, y + k * dy) for k in (-1, 1)]
        lon, lat = (np.array([end[i] for end in ends]) for i in (0, 1))
        known = np.isfinite(lon).all(0) & np.isfinite(lat).all(0)
        lengths = np.full(x.shape, np.nan)
        lengths[known] = geod.inv(lon[0][known], lat[0][known], lon[1][known], lat[1][known])[2]
        found.append(lengths / (2 * half))
    if not np.isfinite(found).any():
        corners = f"x {x.min():.10g} to {x.max():.10g}, y {y.min():.10g} to {y.max():.10g}"
        raise GridError(
            f"the grid spans {corners}, where {crs_name(crs)} has no ground. Write the CRS that "
            "the coordinates are in: .rio.write_crs(..., inplace=False)."
        )
    off = max(float(np.nanmax(np.abs(values / unit - 1))) for values in found)
    if off <= SAME_METRES:
        return None
    return Scale(rows, cols, found[0], found[1])
