"""Errors of xsubpix.

All are subclasses of :class:`ValueError`. Each message gives the values that
clash and the call that mends them.
"""

from __future__ import annotations

import sysconfig
import traceback
from pathlib import Path

__all__ = [
    "ClusterError",
    "DataError",
    "DimensionError",
    "FaultError",
    "FileError",
    "GridError",
    "ModelError",
    "SubpixError",
    "SubpixWarning",
]


class SubpixError(ValueError):
    """Base class of every error that xsubpix raises on bad input.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xsubpix
    >>> image = xr.DataArray(np.zeros((64, 64)), dims=("y", "x"))
    >>> try:
    ...     xsubpix.correlate(image, image, model="fase")
    ... except xsubpix.SubpixError as error:
    ...     print(str(error)[:20])
    unknown model 'fase'
    """

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
    """An array's dimensions are not those of one image.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xsubpix
    >>> xsubpix.warp_quintic(xr.DataArray(np.zeros(5), dims="x"), (0.0, 0.0))
    Traceback (most recent call last):
        ...
    xsubpix.errors.DimensionError: ...
    """


class GridError(SubpixError):
    """Coordinates, affine transform or CRS are unusable, or two grids differ.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xsubpix
    >>> one, two = (xr.DataArray(np.ones((n, n)), dims=("y", "x")) for n in (64, 65))
    >>> xsubpix.correlate(one, two, model="phase")
    Traceback (most recent call last):
        ...
    xsubpix.errors.GridError: ...
    """


class DataError(SubpixError):
    """An array's values cannot be used (data type, emptiness, unknown chunks).

    Examples
    --------
    >>> import numpy as np, xarray as xr, xsubpix
    >>> xsubpix.summary(xr.Dataset())
    Traceback (most recent call last):
        ...
    xsubpix.errors.DataError: ...
    """


class ModelError(SubpixError):
    """An unknown model, an unknown parameter or a parameter out of bounds.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xsubpix
    >>> from xsubpix.estimators import create
    >>> create("phase", window=4)
    Traceback (most recent call last):
        ...
    xsubpix.errors.ModelError: window=4: give a whole number from 8 to 512.
    """


class FileError(SubpixError):
    """A file cannot be read or written.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xsubpix
    >>> xsubpix.open_image("nowhere.tif")
    Traceback (most recent call last):
        ...
    xsubpix.errors.FileError: ...
    """


class SubpixWarning(UserWarning):
    """A number may be wrong, and the input does not say.

    Examples
    --------
    >>> import warnings, xsubpix
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore", xsubpix.SubpixWarning)  # once looked into
    """


class ClusterError(SubpixError):
    """A cluster of dask.distributed was closed or lost, or its workers died.

    Examples
    --------
    >>> from xsubpix.tutorial import example_earthquake, procedural_scene
    >>> post, truth = example_earthquake(procedural_scene((64, 64)))
    >>> import xsubpix
    >>> try:
    ...     truth.chunk().subpix.to_cog("truth.tif", resume=True)
    ... except xsubpix.ClusterError:
    ...     print("The same call goes on from what is finished.")
    """


class FaultError(SubpixError):
    """A fault's geometry, slip or serialised form cannot be used.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xsubpix
    >>> from xsubpix.rupture import Fault
    >>> Fault.straight(0.0, 0.0, length=1e4, strike=0.0, width=1e4, slip=1.0, dip=120.0)
    Traceback (most recent call last):
        ...
    xsubpix.errors.FaultError: ...
    """
