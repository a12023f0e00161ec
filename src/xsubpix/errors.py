"""Errors of xsubpix.

All are subclasses of :class:`ValueError`. Each message gives the values that
clash and the call that mends them.
"""

from __future__ import annotations

import sysconfig
import traceback
from pathlib import Path

__all__ = [
    "DataError",
    "DimensionError",
    "FaultError",
    "FileError",
    "GridError",
    "ModelError",
    "SubpixError",
]


class SubpixError(ValueError):
    """Base class of every error that xsubpix raises on bad input."""

    def _render_traceback_(self) -> list[str]:
        """Traceback for a notebook: the lines of the user's code, and the message.

        IPython asks an exception for it. What is left out, the lines of xsubpix and of
        the packages around it, tells nobody what is wrong with the input; scripts
        show it all.
        """
        others = (str(Path(__file__).parent), sysconfig.get_path("purelib"))
        frames = [
            frame
            for frame in traceback.extract_tb(self.__traceback__)
            if not frame.filename.startswith(others)
        ]
        where = [line.rstrip() for line in traceback.format_list(frames)]
        return [*where, f"{type(self).__name__}: {self}"]


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


class FaultError(SubpixError):
    """A fault's geometry, slip or serialised form cannot be used."""
