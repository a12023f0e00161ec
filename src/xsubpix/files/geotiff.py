"""GeoTIFF: a field written as a Cloud Optimized one, and read back."""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from .._version import __version__
from ..atomic import replace_file
from ..blocks import compute_blocks
from ..errors import DataError
from ..field_input import checked_field
from ..field_stack import field_stack_dim, fields_of, labels_of
from ..grid import Grid
from ..progress import progress_bar, say
from .bands import (
    CACHE_BYTES,
    field_from_bands,
    raster_profile,
    without_georeference_warnings,
    write_bands,
)
from .base import Format, Source
from .journal import BlockFile
from .qgis import MAP_BANDS, with_map_bands, write_styles
from .sources import files_read_by, sources_unchanged, states_of
from .verifying import check_written
from .writing import (
    first_cause,
    new_target,
    reading_errors_named,
    removed_at_exit,
    writing_errors_named,
)

if TYPE_CHECKING:
    import rasterio.io

__all__ = ["FORMAT", "to_cog"]

#: Endings of names.
SUFFIXES = (".tif", ".tiff")

_RESUMABLE = " What is finished is kept beside it; the same call goes on from there."


def to_cog(
    disp: xr.Dataset,
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    resume: bool = False,
    style: bool = False,
    progress: bool = False,
) -> None:
    """Write a displacement field as a Cloud Optimized GeoTIFF.

    Bands, all float32 with nodata NaN: the Dataset's two-dimensional variables
    in order (east, north, sigma, quality, flags), each with its name as
    description, and units, long name and comment as tags. A lazy Dataset is
    computed and written block by block: on threads of this process or, where a
    :class:`distributed.Client` is current, on its cluster, from which this process
    gets a bounded number of blocks at a time and writes them. The file appears under
    its name only when it is whole; whatever stops the writing leaves an earlier file
    as it was.

    Parameters
    ----------
    disp : xarray.Dataset
        On a grid with a row and a column dimension. Stacks along ``pair`` or ``time`` are
        written to a file for each field.
    path : str or path
        Usually ``*.tif``. Files of stacks get the field's dates, or its number, behind
        the name: ``disp_20200101_20200206.tif``, ``disp_000.tif``.
    overwrite : bool
        Replace an existing file; never one that `disp` is still to be computed from.
    resume : bool
        Keep what is finished when the writing is stopped, in hidden files beside
        `path` (``.NAME.partial`` and ``.NAME.journal``), and go on from there when
        the same field is written to the same place again. Without, what is
        unfinished is removed.
    style : bool
        Write styles for QGIS beside it, and the bands ``magnitude`` and ``opacity`` that
        they need: ``NAME.qml`` for east, which QGIS takes by itself, ``NAME_north.qml`` and
        ``NAME_magnitude.qml``. Colours are centred on zero, unsure values transparent.
    progress : bool
        Show dask's progress bar on standard error, where that is a terminal or a notebook,
        and, after a stop, a line that says how much is there already.

    Raises
    ------
    FileError
        The folder is not there, the file exists, its name has another ending than a
        GeoTIFF's, `disp` reads it, it cannot be written, there is no room, another
        process is writing it, or an image cannot be read.
    DataError
        There is nothing to write, or it does not fit one file of real numbers.

    Examples
    --------
    >>> from xsubpix.tutorial import example_earthquake, procedural_scene
    >>> post, truth = example_earthquake(procedural_scene((64, 64)))
    >>> xsubpix.to_cog(truth, "truth.tif")
    >>> list(xsubpix.open_displacement("truth.tif").data_vars)
    ['east', 'north', 'up']
    """
    dim = field_stack_dim(disp)
    if dim is not None:
        _write_stack(
            disp, dim, path,
            overwrite=overwrite, resume=resume, style=style, progress=progress,
        )  # fmt: skip
        return
    journal = _write_cog(disp, path, overwrite, resume, style, progress)
    if journal is not None:
        journal.unlink(missing_ok=True)


def stack_paths(disp: xr.Dataset, dim: Hashable, path: str | os.PathLike[str]) -> list[Path]:
    """Paths of the files of a stack, a field each."""
    names = [re.sub(r"[-:]", "", label.replace(" to ", "_")) for label in labels_of(disp, dim)]
    if not all(re.fullmatch(r"[\w.]+", name) for name in names) or len(set(names)) < len(names):
        names = [f"{k:03d}" for k in range(len(names))]
    names = [f"{int(name):03d}" if name.isdigit() and len(name) < 3 else name for name in names]
    return [Path(path).with_name(f"{Path(path).stem}_{n}{Path(path).suffix}") for n in names]


def _write_stack(
    disp: xr.Dataset,
    dim: Hashable,
    path: str | os.PathLike[str],
    *,
    overwrite: bool,
    resume: bool,
    style: bool,
    progress: bool,
) -> None:
    """Write a file for each field; journals tell which are finished until all are."""
    paths = stack_paths(disp, dim, path)
    if not resume:  # before anything is computed
        for part in paths:
            new_target(part, overwrite, SUFFIXES, sources=files_read_by(disp))
    journals = [
        _write_cog(part, target, overwrite, resume, style, progress)
        for part, target in zip(fields_of(disp, dim), paths, strict=True)
    ]
    for journal in journals:
        if journal is not None:
            journal.unlink(missing_ok=True)


def _write_cog(
    disp: xr.Dataset,
    path: str | os.PathLike[str],
    overwrite: bool,
    resume: bool,
    style: bool,
    progress: bool,
) -> Path | None:
    """Write one field; the journal that tells so, where there is one."""
    import rasterio

    if style:
        journal = _write_cog(with_map_bands(disp), path, overwrite, resume, False, progress)
        write_styles(path)
        return journal
    disp = checked_field(disp) if isinstance(disp, xr.Dataset) else disp
    names = _writable(disp)
    grid = Grid.from_dataarray(disp[names[0]], "disp")
    profile = raster_profile(grid, len(names)) | {
        "driver": "GTiff", "tiled": True, "blockxsize": 256, "blockysize": 256,
        "compress": "deflate", "zlevel": 1, "bigtiff": "if_safer",
    }  # fmt: skip
    arrays = [disp[name].transpose(*grid.dims).data for name in names]
    if resume and all(hasattr(array, "dask") for array in arrays):
        return _write_resumable(disp, names, arrays, grid, profile, path, overwrite, progress)
    sources = files_read_by(disp)
    target = new_target(path, overwrite, SUFFIXES, sources=sources)
    stem = target.parent / f".{target.name}.{uuid.uuid4().hex[:8]}"
    raw, cog = Path(f"{stem}.partial"), Path(f"{stem}.cog")
    with (
        writing_errors_named(target),
        removed_at_exit(raw, cog, Path(f"{raw}.aux.xml"), Path(f"{cog}.aux.xml")),
        rasterio.Env(GDAL_CACHEMAX=CACHE_BYTES),
        without_georeference_warnings(),
    ):
        with rasterio.open(raw, "w", **profile) as out:
            _tag(out, disp, names)
            with sources_unchanged(sources), progress_bar(progress):
                write_bands(out, arrays, target)
        check_written(raw, len(names), grid.shape)
        _optimise(raw, cog)
        check_written(cog, len(names), grid.shape)
        replace_file(cog, target)
    return None


def _write_resumable(
    disp: xr.Dataset,
    names: list[Hashable],
    arrays: list[Any],
    grid: Grid,
    profile: dict[str, Any],
    path: str | os.PathLike[str],
    overwrite: bool,
    progress: bool,
) -> Path:
    """Write lazy arrays through a file with a journal, then make that the COG.

    Returns the journal, which is still there.
    """
    import rasterio
    from dask.base import tokenize

    arrays = [array.rechunk(arrays[0].chunks) for array in arrays]
    # The names of dask's arrays say what is computed from what.
    sources = files_read_by(disp)
    token = tokenize(
        [array.name for array in arrays], arrays[0].chunks, list(map(str, names)), __version__,
        states_of(sources),
    )  # fmt: skip
    target = Path(os.path.realpath(path)) if os.path.islink(path) else Path(path)
    file = BlockFile(target.parent / f".{target.name}.partial", token)
    if file.has_become(target):  # stopped after the last step, before it was cleared up
        file.remove(keep_journal=True)
        return file.journal
    new_target(path, overwrite, SUFFIXES, sources=sources)
    cog = target.parent / f".{target.name}.cog"

    def put(key: tuple[int, int], row: int, col: int, blocks: Sequence[np.ndarray]) -> None:
        with writing_errors_named(target, _RESUMABLE):
            file.put(key, row, col, blocks)

    with (
        writing_errors_named(target, _RESUMABLE),
        rasterio.Env(GDAL_CACHEMAX=CACHE_BYTES),
        without_georeference_warnings(),
        file.opened(profile, lambda out: _tag(out, disp, names)),
    ):
        if progress and file.done:
            say(f"resuming: {len(file.done)} of {arrays[0].npartitions} blocks are there")
        with (
            reading_errors_named(_RESUMABLE),
            sources_unchanged(sources),
            progress_bar(progress),
        ):
            compute_blocks(arrays, put, done=file.done, goes_on=_RESUMABLE)
        cog.unlink(missing_ok=True)  # what a kill left, or a link that leads elsewhere
        with removed_at_exit(cog, Path(f"{cog}.aux.xml")):
            _optimise(file.path, cog)
            check_written(cog, len(names), grid.shape)
            file.note_copy(cog)
            replace_file(cog, target)
        file.remove(keep_journal=True)
    return file.journal


def _optimise(raw: Path, cog: Path) -> None:
    """Copy a GeoTIFF to a Cloud Optimized one, with overviews."""
    import rasterio.shutil

    try:
        rasterio.shutil.copy(
            raw, cog, driver="COG", compress="deflate", predictor="3", bigtiff="if_safer",
            overview_resampling="nearest", num_threads="all_cpus",
        )  # fmt: skip
    except Exception as error:  # GDAL's own, of classes that rasterio keeps to itself
        raise OSError(first_cause(error)) from error


def _writable(disp: xr.Dataset) -> list[Hashable]:
    """Names of the two-dimensional variables, all real and on the same dimensions."""
    if not isinstance(disp, xr.Dataset):
        hint = " Use .to_dataset(name='NAME')." if isinstance(disp, xr.DataArray) else ""
        raise DataError(f"disp is a {type(disp).__name__}; an xarray.Dataset is needed.{hint}")
    fields = {name: v for name, v in disp.data_vars.items() if v.ndim == 2}
    if not fields:
        raise DataError(f"disp has no two-dimensional variable; it has {list(disp.data_vars)}.")
    first = next(iter(fields.values()))
    for name, field in fields.items():
        if field.dtype.kind not in "buif":
            raise DataError(
                f"variable {name!r} of disp holds {field.dtype}; real numbers are needed. "
                f"Drop it: disp.drop_vars({name!r})."
            )
        if set(field.dims) != set(first.dims):
            raise DataError(
                f"variables {first.name!r} and {name!r} of disp have different dimensions: "
                f"{first.dims} and {field.dims}. Write them to two files: disp[['NAME']]."
            )
    return list(fields)


def _tag(out: rasterio.io.DatasetWriter, disp: xr.Dataset, names: list[Hashable]) -> None:
    tags = {k: str(v) for k, v in disp.attrs.items()}
    for when in ("reference_time", "secondary_time"):
        if when in disp.coords:
            tags[when] = str(np.datetime_as_string(disp[when].values, unit="s"))
    out.update_tags(**tags)
    for k, name in enumerate(names, 1):
        attrs = disp[name].attrs
        out.set_band_description(k, str(name))
        out.set_band_unit(k, str(attrs.get("units", "")))
        tags = {
            key: attrs[key] for key in ("long_name", "comment", "flag_meanings") if key in attrs
        }
        if "flag_masks" in attrs:
            tags["flag_masks"] = " ".join(map(str, np.ravel(attrs["flag_masks"])))
        out.update_tags(k, **tags)


def _recognises(source: Source) -> bool:
    return source.raster is not None and {"east", "north"} <= set(source.raster.names)


def _read(source: Source) -> xr.Dataset:
    raster = source.raster
    assert raster is not None
    return field_from_bands(
        raster, {name: k for k, name in enumerate(raster.names) if name not in MAP_BANDS}
    )


FORMAT: Format = Format(
    "GeoTIFF", "bands 'east' and 'north'", _recognises, _read, to_cog, suffixes=SUFFIXES
)
