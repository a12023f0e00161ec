"""A format of files, described, and a file that is opened once for all of them."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import xarray as xr

from .bands import Raster, open_raster
from .variables import open_variables

__all__ = ["Format", "Source"]

_NETCDF = (".nc", ".nc4", ".cdf", ".netcdf")


class Source:
    """A file of unknown format, opened when a format first looks into it.

    Parameters
    ----------
    path : pathlib.Path
        File that is there.
    dataset : xarray.Dataset, optional
        What is open already; nothing is read from the path then.
    virtual : str, optional
        Name of a file that GDAL alone can reach, ``/vsi...``.

    Attributes
    ----------
    error : Exception or None
        Why GDAL or xarray could not open it.
    """

    def __init__(
        self, path: Path, dataset: xr.Dataset | None = None, virtual: str | None = None
    ) -> None:
        self.path = path
        self.error: Exception | None = None
        self._opened, self._virtual = dataset, virtual

    @functools.cached_property
    def raster(self) -> Raster | None:
        """Bands and tags, of what GDAL reads; None of NetCDF and of what GDAL cannot read."""
        netcdf = self.path.suffix.lower() in _NETCDF and self._virtual is None
        if netcdf or self._opened is not None:
            return None
        try:
            return open_raster(self._virtual or self.path)
        except (OSError, ValueError) as error:
            self.error = error
            return None

    @functools.cached_property
    def dataset(self) -> xr.Dataset | None:
        """Variables of a NetCDF file, lazy; None of other files."""
        if self._opened is not None:
            return self._opened
        if self.path.suffix.lower() not in _NETCDF or self._virtual is not None:
            return None
        try:
            return open_variables(self.path)
        except (OSError, ValueError) as error:
            self.error = error
            return None

    @property
    def contents(self) -> str:
        """Bands or variables, in words for an error."""
        if self.raster is not None:
            return f"bands {list(self.raster.names)}"
        return f"variables {list(self.dataset.data_vars)}" if self.dataset is not None else ""


@dataclasses.dataclass(frozen=True)
class Format:
    """One format of files: what identifies it, what reads it, what writes it.

    Parameters
    ----------
    name : str
        For people.
    holds : str
        What a file of this format has, for the error that lists what can be read.
    recognises : callable, optional
        ``recognises(source)`` answers whether a :class:`Source` is of this format.
    read : callable, optional
        ``read(source)`` returns the displacement field, lazy.
    write : callable, optional
        ``write(disp, path, *, overwrite)`` writes one.
    suffixes : tuple of str
        Endings of the names that are written, with the dot.
    """

    name: str
    holds: str
    recognises: Callable[[Source], bool] | None = None
    read: Callable[[Source], xr.Dataset] | None = None
    write: Callable[..., Any] | None = None
    suffixes: tuple[str, ...] = ()
