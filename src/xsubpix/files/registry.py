"""The formats of files, one line each, and the reader that chooses among them."""

from __future__ import annotations

import os
from pathlib import Path

import xarray as xr

from ..errors import FileError, ModelError
from . import cosi_corr, geotiff, its_live, netcdf, points
from .base import Format, Source
from .pixels import check_plain_file
from .writing import first_cause

__all__ = ["FORMATS", "open_displacement"]

#: Asked in this order whether a file is theirs.
FORMATS: tuple[Format, ...] = (
    geotiff.FORMAT,
    cosi_corr.FORMAT,
    netcdf.FORMAT,
    its_live.FORMAT,
    points.FORMAT,
)


def open_displacement(
    path: str | os.PathLike[str] | xr.Dataset,
    *,
    format: str | None = None,
    pair: int | None = None,
) -> xr.Dataset:
    """Open a displacement field lazily, whichever program wrote it.

    Parameters
    ----------
    path : str, path or xarray.Dataset
        A GeoTIFF of :func:`xsubpix.to_cog`; COSI-Corr's three bands (East/West,
        North/South, SNR; GeoTIFF or ENVI); CF NetCDF of :func:`xsubpix.to_netcdf`; a
        granule or a cube of ITS_LIVE or autoRIFT (``vx``, ``vy``). Rasters that GDAL
        reaches by a name of its own: ``/vsizip//folder/a.zip/disp.tif``,
        ``/vsicurl/https://...``, ``/vsis3/...``. Or a Dataset that is open, of a Zarr
        store for instance.
    format : {"geotiff", "cosi-corr", "cf netcdf", "its_live"}, optional
        Format of the file, where it cannot be recognised. Three bands without names are
        read as COSI-Corr's, in metres, only if this says so. None: recognised.
    pair : int, optional
        Number of the pair to open in a cube of many pairs (dimension ``mid_date``), from 0;
        negative numbers count from the last.

    Returns
    -------
    xarray.Dataset
        ``east``, ``north`` in metres on the file's grid, and what else there is of
        ``up``, ``sigma``, ``quality``, ``flags``; lazy. COSI-Corr's SNR becomes ``quality``.
        Velocities are multiplied by the time between the images (a year of 365 days,
        as autoRIFT counts); their error, one number for the scene or ``v_error``, is
        ``sigma``.

    Raises
    ------
    FileError
        The file cannot be read, holds no displacement that is known here, or is damaged
        (while values are computed).
    ModelError
        Unknown `format`.

    Examples
    --------
    >>> from xsubpix.tutorial import example_earthquake, procedural_scene
    >>> post, truth = example_earthquake(procedural_scene((64, 64)))
    >>> xsubpix.to_cog(truth, "truth.tif")
    >>> disp = xsubpix.open_displacement("truth.tif")
    >>> disp.east.attrs["units"]
    'm'
    """
    source = _source(path)
    if source.dataset is not None and its_live.is_cube(source.dataset):
        source = Source(source.path, its_live.pair_of_cube(source.dataset, pair))
    elif pair is not None:
        raise FileError(f"pair={pair!r}, but {source.path} is no cube: leave it out.")
    if format is not None:
        readers = {f.name.lower(): f.read for f in FORMATS if f.read is not None}
        if not isinstance(format, str) or format.lower() not in readers:
            listed = ", ".join(repr(name) for name in readers)
            raise ModelError(f"format={format!r}: give one of {listed}.")
        return readers[format.lower()](source)
    for known in FORMATS:
        if known.recognises is not None and known.read is not None and known.recognises(source):
            return known.read(source)
    if source.error is not None:
        cause = first_cause(source.error)
        raise FileError(f"cannot read {source.path}: {cause}.") from source.error
    listed = "; ".join(f"{f.name} has {f.holds}" for f in FORMATS if f.read is not None)
    raise FileError(
        f"{source.path} has {source.contents}, which is no displacement field that is known here "
        f"({listed}). Say what it is, format='cosi-corr', rename its variables, "
        "ds.rename(NAME='east', NAME='north'), or open its bands with open_image and put them into "
        "a Dataset."
    )


def _source(path: str | os.PathLike[str] | xr.Dataset) -> Source:
    """Source of a path or object, checked as far as its name tells."""
    if isinstance(path, xr.Dataset):
        return Source(Path("the Dataset"), path)
    if os.fspath(path).startswith("/vsi"):
        return Source(Path(path), virtual=os.fspath(path))
    source = Source(Path(path))
    if not source.path.exists():
        raise FileError(f"cannot read {source.path}: there is no such file.")
    if source.path.is_dir():
        raise FileError(f"cannot read {source.path}: it is a folder. Name a file in it.")
    check_plain_file(source.path)
    return source
