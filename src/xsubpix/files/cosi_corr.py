"""COSI-Corr's three bands, East/West, North/South and SNR: GeoTIFF or ENVI."""

from __future__ import annotations

import os
import re
import uuid
from pathlib import Path

import numpy as np
import xarray as xr

from ..atomic import replace_file
from ..displacement.field import Field
from ..errors import FileError
from .bands import field_from_bands, raster_profile, without_georeference_warnings, write_bands
from .base import Format, Source
from .sources import files_read_by, sources_unchanged
from .verifying import check_written
from .writing import new_target, removed_at_exit, writing_errors_named

__all__ = ["FORMAT", "to_cosi_corr"]

#: Endings of names; what is no GeoTIFF's is ENVI's.
SUFFIXES = (".tif", ".tiff", ".img", ".dat", ".bin", ".envi", "")


def to_cosi_corr(
    disp: xr.Dataset, path: str | os.PathLike[str], *, overwrite: bool = False
) -> None:
    """Write a displacement field as COSI-Corr does: bands East/West, North/South, SNR.

    Parameters
    ----------
    disp : xarray.Dataset
        ``east``, ``north`` and, for the third band, ``quality`` (1 where there is none).
        A lazy one is written block by block.
    path : str or path
        ``*.tif`` makes a GeoTIFF; ``*.img``, ``*.dat``, ``*.bin``, ``*.envi`` or no ending an
        ENVI file with its ``.hdr``.
    overwrite : bool
        Replace an existing file, or header; never one that `disp` is still to be computed
        from.

    Raises
    ------
    FileError
        The folder is not there, the file exists, its name is that of another format,
        `disp` reads it, or it cannot be written.
    DataError, DimensionError, GridError
        `disp` is not a displacement field.

    Notes
    -----
    Both have east and north positive. On a grid without CRS the values have the
    coordinates' unit.

    Examples
    --------
    >>> from xsubpix.tutorial import example_earthquake, procedural_scene
    >>> post, truth = example_earthquake(procedural_scene((64, 64)))
    >>> xsubpix.to_cosi_corr(truth, "truth.dat")
    >>> list(xsubpix.open_displacement("truth.dat").data_vars)
    ['east', 'north', 'quality']
    """
    import rasterio

    field = Field.of(disp)
    sources = files_read_by(disp)
    target = new_target(path, overwrite, SUFFIXES, sources=sources)
    tiff = target.suffix.lower() in (".tif", ".tiff")
    if not tiff:
        new_target(target.with_suffix(".hdr"), overwrite, sources=sources)
    profile = raster_profile(field.grid, 3) | {"driver": "GTiff" if tiff else "ENVI"}
    if tiff:
        profile |= {"tiled": True, "compress": "deflate", "bigtiff": "if_safer"}
    arrays = [field.array("east"), field.array("north")]
    arrays.append(field.array("quality") if "quality" in disp else arrays[0] * 0 + np.float32(1))
    stem = f".{target.stem}.{uuid.uuid4().hex[:8]}"
    part = target.parent / f"{stem}{target.suffix or '.partial'}"
    header = part.with_suffix(".hdr")
    aside = Path(f"{part}.aux.xml")
    with writing_errors_named(target), removed_at_exit(part, header, aside):
        with without_georeference_warnings(), rasterio.open(part, "w", **profile) as out:
            for k, name in enumerate(("East/West", "North/South", "SNR"), 1):
                out.set_band_description(k, name)
                if tiff:
                    out.set_band_unit(k, "1" if k == 3 else field.grid.units)
            with sources_unchanged(sources):
                write_bands(out, arrays, target)
        check_written(part, 3, field.grid.shape)
        if header.exists():
            replace_file(header, target.with_suffix(".hdr"))
        replace_file(part, target)


# "East/West (m)", "E/W", "EW"; the same for north; "SNR", "Signal to noise".
_NAMES = (
    re.compile(r"e(ast)?[\s/_-]*w(est)?\b"),
    re.compile(r"n(orth)?[\s/_-]*s(outh)?\b"),
    re.compile(r"snr\b|signal\b"),
)


def _recognises(source: Source) -> bool:
    """Tell by the names of the bands: three bands without names may be a photograph."""
    names = () if source.raster is None else source.raster.names
    return len(names) == 3 and all(
        pattern.match(name.strip().lower()) for pattern, name in zip(_NAMES, names, strict=True)
    )


def _read(source: Source) -> xr.Dataset:
    if source.raster is None or len(source.raster.names) < 2:
        raise FileError(
            f"{source.path} has {source.contents or 'no bands'}; COSI-Corr's East/West, "
            "North/South and SNR are needed."
        )
    title = {"title": "Ground displacement, read from COSI-Corr's bands"}
    bands = dict(zip(("east", "north", "quality"), range(len(source.raster.names)), strict=False))
    disp = field_from_bands(source.raster, bands, title)
    for name, toward in (("east", "grid +x"), ("north", "grid +y")):
        disp[name].attrs["long_name"] = f"displacement toward {toward}"
    return disp


FORMAT: Format = Format(
    "COSI-Corr", "three bands East/West, North/South, SNR", _recognises, _read, to_cosi_corr,
    suffixes=SUFFIXES,
)  # fmt: skip
