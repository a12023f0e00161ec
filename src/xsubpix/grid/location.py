"""Coordinates that cannot be those of a CRS: refused before they become metres."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ..errors import GridError
from .coordinates import two_dimensional_coords
from .crs import crs_name
from .points import transform_points

if TYPE_CHECKING:
    from collections.abc import Hashable

    import pyproj
    import xarray as xr
    from affine import Affine

__all__ = ["check_location", "is_located"]

# Beyond a turn and a half, numbers are no longitudes.
_LONGITUDES = 540.0
# Pixels of maps are not that small: the coordinates are degrees.
_SMALLEST_PIXEL = 1e-3
_POLE = 90.0 + 1e-6


def is_located(
    image: xr.DataArray, y_dim: Hashable, x_dim: Hashable, mapping: Hashable | None
) -> bool:
    """Tell an image whose file says that it has no transform from others.

    An image without coordinates that names a CRS, and nothing else, is taken at its word: its
    unit is the pixel.
    """
    if y_dim in image.coords or x_dim in image.coords or mapping is None:
        return True
    if two_dimensional_coords(image, y_dim, x_dim) is not None:
        return True
    attrs = image.coords[mapping].attrs
    written = attrs.get("GeoTransform")
    if written is None:
        return "gcps" not in attrs
    words = written.split() if isinstance(written, str) else list(written)
    return [abs(float(word)) for word in words] != [0.0, 1.0, 0.0, 0.0, 0.0, 1.0]


def check_location(
    crs: pyproj.CRS,
    transform: Affine,
    shape: tuple[int, int],
    metres_per_unit: float | None,
    located: bool,
    what: str,
) -> None:
    """Refuse a grid whose numbers cannot be coordinates of its CRS.

    Parameters
    ----------
    crs, transform, shape, metres_per_unit
        As of :class:`~xsubpix.grid.Grid`.
    located : bool
        Whether coordinates or a transform say where it is.
    what : str
        What to call it in messages.

    Raises
    ------
    GridError
        There is no transform; latitudes beyond 90 degrees, longitudes that are none; a map
        with pixels of degrees; axes that run west or south.
    """
    name = crs_name(crs)
    if not located:
        raise GridError(
            f"{what} has a CRS, {name}, but neither coordinates nor an affine transform that say "
            "where its pixels are (control points alone are none). Warp it to a map first, "
            f"gdalwarp -tps -t_srs EPSG:..., or drop the CRS: {what}.drop_vars('spatial_ref')."
        )
    toward = {axis.direction.lower() for axis in crs.axis_info[:2]}
    # Both axes of a polar map run north, or south, along their meridians.
    if toward & {"west", "south"} and len(toward) > 1:
        raise GridError(
            f"the axes of {name}, the CRS of {what}, run {' and '.join(sorted(toward))}: east and "
            f"north would be negative. Reproject it: {what}.rio.reproject('EPSG:...')."
        )
    rows, cols = (np.array([0.5, n - 0.5]) for n in shape)
    x, y = transform_points(transform, cols[None, :], rows[:, None])
    x, y = (v.ravel() for v in np.broadcast_arrays(x, y))
    if crs.is_geographic:
        degrees = math.degrees(float(crs.axis_info[0].unit_conversion_factor))
        farthest, widest = degrees * float(np.abs(y).max()), degrees * float(np.abs(x).max())
        if farthest > _POLE or widest > _LONGITUDES:
            raise GridError(
                f"{what} has coordinates up to x {float(x[np.abs(x).argmax()]):.10g}, "
                f"y {float(y[np.abs(y).argmax()]):.10g}, which are no longitudes and latitudes, "
                f"and the geographic CRS {name}. Write the CRS that they are in: "
                f"{what}.rio.write_crs('EPSG:...')."
            )
        return
    side = (metres_per_unit or 1.0) * math.sqrt(abs(transform.determinant))
    if side < _SMALLEST_PIXEL and max(float(np.abs(x).max()), float(np.abs(y).max())) <= 360:
        raise GridError(
            f"{what} has pixels of {side:.3g} m around x {float(x[0]):.10g}, y {float(y[0]):.10g}: "
            f"they look like degrees, and its CRS is the map {name}. Write the CRS that they are "
            f"in: {what}.rio.write_crs('EPSG:4326')."
        )
