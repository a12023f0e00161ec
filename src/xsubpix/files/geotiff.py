"""Files: images in, displacement out, block by block, all or nothing."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import uuid
from collections.abc import Hashable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from .._version import __version__
from ..errors import DataError, FileError
from ..grid import Grid

if TYPE_CHECKING:
    import dask.array
    import rasterio.io

__all__ = ["open_image", "to_cog"]

# GDAL's own block cache; its default, a twentieth of the machine's memory, is
# more than all else we use.
CACHE_BYTES = 64 * 2**20
# Side of what is read at once, pixels.
CHUNK = 2048


def open_image(path: str | os.PathLike[str], band: int | None = None) -> xr.DataArray:
    """Open one band of a raster file lazily.

    Parameters
    ----------
    path : str or path
        Anything GDAL reads.
    band : int, optional
        Counted from 1; may be left out where the file has one only.

    Returns
    -------
    xarray.DataArray
        Dimensions y, x, a dask array in the file's blocks and data type, the
        declared nodata value in its attributes.

    Raises
    ------
    FileError
        The file cannot be read, or the band is not there or must be named.
    """
    import rasterio.errors
    import rioxarray

    if os.path.exists(path):
        # Workers of a cluster have working directories of their own.
        path = os.path.abspath(path)
    try:
        opened = rioxarray.open_rasterio(path, cache=False, lock=False)
    except (rasterio.errors.RasterioError, OSError, ValueError) as error:
        raise FileError(f"cannot read {os.fspath(path)}: {error}") from error
    if not isinstance(opened, xr.DataArray):
        raise FileError(f"{os.fspath(path)} holds several rasters. Name one: 'DRIVER:file:name'.")
    count = opened.sizes["band"]
    if band is None and count > 1:
        names = opened.attrs.get("long_name", ())
        listed = f" ({', '.join(map(str, names))})" if isinstance(names, tuple) else ""
        raise FileError(
            f"{os.fspath(path)} has {count} bands{listed}: say which, from 1 to {count} (band=)."
        )
    if band is not None and (not isinstance(band, int) or not 1 <= band <= count):
        raise FileError(f"{os.fspath(path)} has no band {band!r}; it has 1 to {count}.")
    image = opened.isel(band=(band or 1) - 1, drop=True)
    return image.copy(data=_lazy_pixels(image.variable, os.fspath(path), band or 1))


def _lazy_pixels(image: xr.Variable, path: str, band: int) -> dask.array.Array:
    import dask.array as da
    from dask.base import tokenize

    try:
        changed = os.stat(path).st_mtime_ns
    except OSError:  # not a file of this machine
        changed = None
    sizes: tuple[int, ...] = image.shape
    return da.from_array(
        _Pixels(image, path, 0 if changed is None else band),
        chunks=tuple(min(n, CHUNK) for n in sizes), lock=False,
        name=f"open_image-{tokenize(path, changed, band, sizes)}",
        meta=np.empty((0, 0), image.dtype),
    )  # fmt: skip


class _Pixels:
    """The pixels of a file, read where they are asked for; errors name the file."""

    ndim = 2

    def __init__(self, image: xr.Variable, path: str, band: int) -> None:
        # No band: a file whose bytes are out of our reach.
        self.image, self.path, self.band = image, path, band
        self.shape, self.dtype = image.shape, image.dtype

    def __getitem__(self, key: tuple[slice, slice]) -> np.ndarray:
        import rasterio.errors

        from .checksums import check_tiles

        rows, cols = (range(n)[part] for n, part in zip(self.shape, key, strict=True))
        try:
            if self.band:
                check_tiles(self.path, self.band, rows, cols)
            return np.asarray(self.image[key])
        except (rasterio.errors.RasterioError, OSError) as error:
            raise FileError(
                f"cannot read {self.path} in rows {rows.start} to {rows.stop - 1}, columns "
                f"{cols.start} to {cols.stop - 1}: {_first_cause(error)}. The file is damaged or "
                "out of reach: get it anew."
            ) from error


def _first_cause(error: BaseException) -> str:
    """What GDAL said first, in a line; what comes last is 'see previous exception'."""
    while (before := error.__cause__ or error.__context__) is not None:
        error = before
    return " ".join(str(error).split()).rstrip(".")


def to_cog(
    disp: xr.Dataset,
    path: str | os.PathLike[str],
    *,
    overwrite: bool = True,
    resume: bool = False,
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
        On a grid with a row and a column dimension.
    path : str or path
        Usually ``*.tif``.
    overwrite : bool
        Whether an existing file may be replaced.
    resume : bool
        Keep what is finished when the writing is stopped, in hidden files beside
        `path` (``.NAME.partial`` and ``.NAME.journal``), and go on from there when
        the same field is written to the same place again. Without, what is
        unfinished is removed.

    Raises
    ------
    FileError
        The folder is not there, the file exists, it cannot be written, there is no
        room, another process is writing it, or an image cannot be read.
    DataError
        There is nothing to write, or it does not fit one file of real numbers.
    """
    import rasterio

    target = Path(path)
    if not target.parent.is_dir():
        raise FileError(f"cannot write {target}: there is no folder {target.parent}. Make it.")
    if target.is_dir() or (target.exists() and not overwrite):
        raise FileError(f"cannot write {target}: it exists. Choose another name, or overwrite.")
    names = _writable(disp)
    grid = Grid.from_dataarray(disp[names[0]], "disp")
    profile: dict[str, Any] = {
        "driver": "GTiff", "dtype": "float32", "nodata": np.nan, "count": len(names),
        "height": grid.shape[0], "width": grid.shape[1], "tiled": True, "blockxsize": 256,
        "blockysize": 256, "compress": "deflate", "zlevel": 1, "bigtiff": "if_safer",
        "transform": grid.transform,
        "crs": None if grid.crs is None else grid.crs.to_wkt(),
    }  # fmt: skip
    arrays = [disp[name].transpose(*grid.dims).data for name in names]
    if resume and all(hasattr(array, "dask") for array in arrays):
        _write_resumable(disp, names, arrays, grid, profile, target)
        return
    stem = target.parent / f".{target.name}.{uuid.uuid4().hex[:8]}"
    raw, cog = Path(f"{stem}.partial"), Path(f"{stem}.cog")
    with (
        _errors_named(target),
        _removed_at_exit(raw, cog, Path(f"{raw}.aux.xml"), Path(f"{cog}.aux.xml")),
        rasterio.Env(GDAL_CACHEMAX=CACHE_BYTES),
        _quiet_about_placelessness(grid),
    ):
        with rasterio.open(raw, "w", **profile) as out:
            _tag(out, disp, names)
            _store(out, arrays, target)
        _optimise(raw, cog)
        os.replace(cog, target)


_KEPT = " What is finished is kept beside it; the same call goes on from there."


def _write_resumable(
    disp: xr.Dataset,
    names: list[Hashable],
    arrays: list[Any],
    grid: Grid,
    profile: dict[str, Any],
    target: Path,
) -> None:
    """Write lazy arrays through a file with a journal, then make that the COG."""
    import rasterio
    from dask.base import tokenize

    from ..blocks import compute_blocks
    from .journal import BlockFile

    arrays = [array.rechunk(arrays[0].chunks) for array in arrays]
    # The names of dask's arrays say what is computed from what.
    token = tokenize(
        [array.name for array in arrays], arrays[0].chunks, list(map(str, names)), __version__
    )
    file = BlockFile(target.parent / f".{target.name}.partial", token)
    cog = target.parent / f".{target.name}.cog"

    def put(key: tuple[int, int], row: int, col: int, blocks: Sequence[np.ndarray]) -> None:
        with _errors_named(target, _KEPT):
            file.put(key, row, col, blocks)

    with (
        _errors_named(target, _KEPT),
        rasterio.Env(GDAL_CACHEMAX=CACHE_BYTES),
        _quiet_about_placelessness(grid),
        file.opened(profile, lambda out: _tag(out, disp, names)),
    ):
        with _reading_errors_named(_KEPT):
            compute_blocks(arrays, put, done=file.done)
        with _removed_at_exit(cog, Path(f"{cog}.aux.xml")):
            _optimise(file.path, cog)
            os.replace(cog, target)
        file.remove()


@contextlib.contextmanager
def _errors_named(target: Path, goes_on: str = "") -> Iterator[None]:
    """Turn the errors of writing into ours."""
    import rasterio.errors

    try:
        yield
    except (rasterio.errors.RasterioError, OSError) as error:
        raise FileError(f"cannot write {target}: {_first_cause(error)}.{goes_on}") from error


@contextlib.contextmanager
def _reading_errors_named(goes_on: str = "") -> Iterator[None]:
    """Turn the errors of reading what a field is computed from into ours."""
    import rasterio.errors

    try:
        yield
    except (rasterio.errors.RasterioError, OSError) as error:
        raise FileError(
            f"cannot read what the field is computed from: {_first_cause(error)}.{goes_on}"
        ) from error


def _optimise(raw: Path, cog: Path) -> None:
    """Copy a GeoTIFF to a Cloud Optimized one, with overviews."""
    import rasterio.shutil

    try:
        rasterio.shutil.copy(
            raw, cog, driver="COG", compress="deflate", predictor="3", bigtiff="if_safer",
            overview_resampling="nearest", num_threads="all_cpus",
        )  # fmt: skip
    except Exception as error:  # GDAL's own, of classes that rasterio keeps to itself
        raise OSError(_first_cause(error)) from error


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
        kept = {
            key: attrs[key] for key in ("long_name", "comment", "flag_meanings") if key in attrs
        }
        if "flag_masks" in attrs:
            kept["flag_masks"] = " ".join(map(str, np.ravel(attrs["flag_masks"])))
        out.update_tags(k, **kept)


def _store(out: rasterio.io.DatasetWriter, arrays: list[Any], target: Path) -> None:
    """Write the bands: those in memory at once, the lazy ones block by block."""
    from rasterio.windows import Window

    from ..blocks import compute_blocks

    lazy = []
    for band, array in enumerate(arrays, 1):
        if hasattr(array, "dask"):
            lazy.append((band, array))
        else:
            out.write(np.asarray(array, np.float32), band)
    if not lazy:
        return
    lock = threading.Lock()

    def put(key: tuple[int, int], row: int, col: int, blocks: Sequence[np.ndarray]) -> None:
        with _errors_named(target), lock:
            for (band, _), block in zip(lazy, blocks, strict=True):
                window = Window(col, row, block.shape[1], block.shape[0])
                out.write(np.asarray(block, np.float32), band, window=window)

    first = lazy[0][1]
    with _reading_errors_named():
        compute_blocks([array.rechunk(first.chunks) for _, array in lazy], put)


@contextlib.contextmanager
def _quiet_about_placelessness(grid: Grid) -> Iterator[None]:
    """Silence rasterio where a field without coordinates has no place by nature."""
    import warnings

    import rasterio.errors

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        yield


@contextlib.contextmanager
def _removed_at_exit(*paths: Path) -> Iterator[None]:
    """Remove temporary files, also when the process is told to stop (SIGTERM)."""

    def stop(number: int, frame: Any) -> None:
        raise SystemExit(128 + number)

    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM) if main else None
    replace = main and before is signal.SIG_DFL
    if replace:
        signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        if replace:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        for path in paths:
            path.unlink(missing_ok=True)
