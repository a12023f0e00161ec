"""CF NetCDF: a field, profiles or offsets written, a field read back."""

from __future__ import annotations

import os
from typing import Literal

import xarray as xr

from ..errors import DataError, ModelError
from .base import Format, Source
from .cf import SUFFIXES, write_dataset
from .its_live import velocities

__all__ = ["FORMAT", "to_netcdf"]


def to_netcdf(
    disp: xr.Dataset,
    path: str | os.PathLike[str],
    *,
    names: Literal["xsubpix", "its-live"] = "xsubpix",
    overwrite: bool = False,
) -> None:
    """Write a displacement field, or what was made from one, as CF NetCDF.

    Parameters
    ----------
    disp : xarray.Dataset
        On a grid, or profiles or offsets along a line. A lazy one is computed and
        written block by block.
    path : str or path
        Usually ``*.nc``. The file appears under its name only when it is whole.
    names : {"xsubpix", "its-live"}
        ``"its-live"``: velocities ``vx``, ``vy``, ``v`` in metres a year of 365 days,
        their errors, the variables ``mapping`` and ``img_pair_info``, as in the
        granules of ITS_LIVE and autoRIFT (float32 in place of rounded integers). Needs the
        times of both images.
    overwrite : bool
        Replace an existing file; never one that `disp` is still to be computed from.

    Raises
    ------
    FileError
        The folder is not there, the file exists, its name has another ending than
        NetCDF's, `disp` reads it, or it cannot be written.
    DataError
        This is not a Dataset, or has no times that velocities need.
    ModelError
        Unknown `names`.
    SubpixError
        Neither netCDF4 nor h5netcdf is installed.

    Examples
    --------
    >>> from xsubpix.tutorial import example_earthquake, procedural_scene
    >>> post, truth = example_earthquake(procedural_scene((64, 64)))
    >>> xsubpix.to_netcdf(truth, "truth.nc")
    >>> xsubpix.open_displacement("truth.nc").sizes["x"]
    64
    """
    if names not in ("xsubpix", "its-live"):
        raise ModelError(f"names={names!r}: give 'xsubpix' or 'its-live'.")
    if not isinstance(disp, xr.Dataset):
        raise DataError(f"disp is a {type(disp).__name__}; an xarray.Dataset is needed.")
    write_dataset(velocities(disp) if names == "its-live" else disp, path, overwrite=overwrite)


def _recognises(source: Source) -> bool:
    return source.dataset is not None and {"east", "north"} <= set(source.dataset.data_vars)


def _read(source: Source) -> xr.Dataset:
    assert source.dataset is not None
    return source.dataset


FORMAT: Format = Format(
    "CF NetCDF", "variables 'east' and 'north'", _recognises, _read, to_netcdf,
    suffixes=SUFFIXES,
)  # fmt: skip
