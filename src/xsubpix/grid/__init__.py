"""Grids: where an image's pixels are, and what a pixel of displacement measures."""

from .grid import SAME_GRID_TOLERANCE, Grid, image_dims, labelled

__all__ = ["SAME_GRID_TOLERANCE", "Grid", "image_dims", "labelled"]
