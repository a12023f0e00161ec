"""Errors of xsubpix.

All are subclasses of :class:`ValueError`. Each message gives the values that
clash and the call that mends them.
"""

__all__ = [
    "DataError",
    "DimensionError",
    "FileError",
    "GridError",
    "ModelError",
    "SubpixError",
]


class SubpixError(ValueError):
    """Base class of every error that xsubpix raises on bad input."""


class DimensionError(SubpixError):
    """An array's dimensions are not those of one image."""


class GridError(SubpixError):
    """Coordinates, affine transform or CRS are unusable, or two grids differ."""


class DataError(SubpixError):
    """An array's values cannot be used (data type, emptiness, unknown chunks)."""


class ModelError(SubpixError):
    """An unknown model, an unknown parameter or a parameter out of bounds."""


class FileError(SubpixError):
    """A file cannot be read or written."""
