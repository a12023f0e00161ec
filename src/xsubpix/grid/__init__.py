"""Grids: where an image's pixels are, and what a pixel of displacement measures.

A :class:`Grid` gathers what xarray, rioxarray and CF scatter over names,
coordinates, attributes and encodings: which dimensions are rows and columns,
the affine transform, the CRS and where it is written. It is an immutable value.
Only this package turns pixels into metres, and only this package builds labelled
output.
"""

from .coordinates import image_dims
from .crs import crs_name, find_crs, with_grid_mapping
from .grid import SAME_GRID_TOLERANCE, Grid, is_placed
from .labelled import labelled
from .plane import Plane

__all__ = [
    "SAME_GRID_TOLERANCE", "Grid", "Plane", "crs_name", "find_crs", "image_dims", "is_placed",
    "labelled", "with_grid_mapping",
]  # fmt: skip
