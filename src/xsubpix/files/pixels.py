"""Pixels of a raster's bands, read where they are asked for; damage and change are noticed."""

from __future__ import annotations

import dataclasses
import os
import stat
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from ..errors import FileError
from .checksums import check_tiles
from .writing import first_cause

if TYPE_CHECKING:
    from collections.abc import Iterable

    import dask.array
    import rasterio.io
    import xarray as xr

__all__ = [
    "Description", "FileState", "check_plain_file", "check_size", "check_unchanged",
    "describe_raster", "file_state", "file_states", "has_mask", "lazy_band",
]  # fmt: skip

#: What tells one state of a file from another: path, inode, bytes, time of the last change.
FileState: TypeAlias = tuple[str, int, int, int]

# Larger rasters than this are no images of ground: coordinates alone would fill the memory.
_LONGEST_SIDE, _MOST_PIXELS = 10_000_000, 2**40
# What other programs write beside an image that is as it was.
_BESIDE = (".aux.xml", ".ovr")


def check_plain_file(path: str | os.PathLike[str]) -> None:
    """Refuse pipes, devices and sockets, which would be waited for without end.

    Raises
    ------
    FileError
        It is no plain file and no folder. What is not on this machine passes.
    """
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        kind = "pipe" if stat.S_ISFIFO(mode) else "device or a socket"
        raise FileError(
            f"cannot read {os.fspath(path)}: it is a {kind}, and files are read in any order. Save "
            "it to a plain file first."
        )


def check_size(raster: rasterio.io.DatasetReader, path: str | os.PathLike[str]) -> None:
    """Refuse rasters that are too large to be an image, before anything is made of their size.

    Raises
    ------
    FileError
        A side or the number of pixels is beyond the bounds.
    """
    rows, cols = raster.shape
    if max(rows, cols) > _LONGEST_SIDE or rows * cols > _MOST_PIXELS:
        raise FileError(
            f"cannot read {os.fspath(path)}: it says that it has {rows} x {cols} pixels, and "
            f"{_LONGEST_SIDE} a side or {_MOST_PIXELS:.0e} in all are the most. Cut it: "
            "gdal_translate -srcwin COLUMN ROW COLUMNS ROWS."
        )


def file_states(raster: rasterio.io.DatasetReader) -> tuple[FileState, ...]:
    """States of the files that a raster is read from; none of what is not on this machine."""
    found = []
    for name in raster.files or [raster.name]:
        if not name.endswith(_BESIDE) and (state := file_state(name)) is not None:
            found.append(state)
    return tuple(found)


@dataclasses.dataclass(frozen=True)
class Description:
    """Facts of a raster that a reader of its bands needs.

    Attributes
    ----------
    states : tuple of FileState
        Of its files; empty where they are out of our reach.
    masked : tuple of bool
        Whether each band has a mask or an alpha band.
    nodata : tuple of float or None
        Nodata value of each band.
    scales, offsets : tuple of float
        What turns stored values into those meant: ``scale * stored + offset``.
    """

    states: tuple[FileState, ...]
    masked: tuple[bool, ...]
    nodata: tuple[float | None, ...]
    scales: tuple[float, ...]
    offsets: tuple[float, ...]


def describe_raster(raster: rasterio.io.DatasetReader, path: str | os.PathLike[str]) -> Description:
    """Describe an open raster.

    Raises
    ------
    FileError
        It is too large, see :func:`check_size`.
    """
    check_size(raster, path)
    return Description(
        states=file_states(raster) if os.path.isfile(path) else (),
        masked=tuple(has_mask(raster, k) for k in raster.indexes),
        nodata=tuple(raster.nodatavals),
        scales=tuple(raster.scales),
        offsets=tuple(raster.offsets),
    )


def file_state(path: str | os.PathLike[str]) -> FileState | None:
    """State of a file now; None where there is none."""
    try:
        now = os.stat(path)
    except OSError:
        return None
    return os.path.abspath(path), now.st_ino, now.st_size, now.st_mtime_ns


def has_mask(raster: rasterio.io.DatasetReader, band: int) -> bool:
    """Tell whether a mask band or an alpha band says which pixels of a band are missing."""
    from rasterio.enums import MaskFlags

    return MaskFlags.per_dataset in raster.mask_flag_enums[band - 1]


def lazy_band(
    variable: xr.Variable,
    path: str,
    band: int,
    chunk: int,
    *,
    states: tuple[FileState, ...],
    masked: bool,
) -> dask.array.Array:
    """Pixels of a band as a dask array.

    Parameters
    ----------
    variable : xarray.Variable
        Its pixels, (rows, columns), as rioxarray opens them.
    path : str
        File.
    band : int
        From 1.
    chunk : int
        Side of the chunks, pixels.
    states : tuple of FileState
        Of the files when they were opened; empty where they are out of our reach.
    masked : bool
        Whether the band has a mask: its pixels are real numbers then, NaN for missing.
    """
    import dask.array as da
    from dask.base import tokenize

    sizes: tuple[int, ...] = variable.shape
    dtype = np.result_type(variable.dtype, np.float32) if masked else variable.dtype
    return da.from_array(
        _Pixels(variable, path, band, dtype, states, masked),
        chunks=tuple(min(n, chunk) for n in sizes), lock=False,
        name=f"open_image-{tokenize(path, states, band, sizes, masked)}",
        meta=np.empty((0, 0), dtype),
    )  # fmt: skip


class _Pixels:
    """The pixels of a file, read where they are asked for; errors name the file."""

    ndim = 2

    def __init__(
        self, image: xr.Variable, path: str, band: int, dtype: np.dtype,
        states: tuple[FileState, ...], masked: bool,
    ) -> None:  # fmt: skip
        self.image, self.path, self.band = image, path, band
        self.shape, self.dtype = image.shape, dtype
        self.states, self.masked = states, masked

    def __getitem__(self, key: tuple[slice, slice]) -> np.ndarray:
        import rasterio.errors

        rows, cols = (range(n)[part] for n, part in zip(self.shape, key, strict=True))
        try:
            if self.states:
                self._check_unchanged()
                check_tiles(self.path, self.band, rows, cols)
            values = np.asarray(self.image[key])
            if self.masked:
                values = np.where(self._valid(rows, cols), values, self.dtype.type(np.nan))
            self._check_unchanged()
            return values.astype(self.dtype, copy=False)
        except (rasterio.errors.RasterioError, OSError) as error:
            self._check_unchanged()
            raise FileError(
                f"cannot read {self.path} in rows {rows.start} to {rows.stop - 1}, columns "
                f"{cols.start} to {cols.stop - 1}: {first_cause(error)}. The file is damaged or "
                "out of reach: get it anew."
            ) from error

    def _valid(self, rows: range, cols: range) -> np.ndarray:
        """Mask of the pixels that are there, as GDAL sees them."""
        import rasterio
        from rasterio.windows import Window

        window = Window(cols.start, rows.start, len(cols), len(rows))
        with rasterio.open(self.path) as raster:
            valid: np.ndarray = raster.read_masks(self.band, window=window) > 0
        return valid

    def _check_unchanged(self) -> None:
        check_unchanged(self.states)


def check_unchanged(states: Iterable[FileState]) -> None:
    """Refuse files that are not as they were.

    Raises
    ------
    FileError
        One is gone, or was changed or replaced.
    """
    for state in states:
        if (now := file_state(state[0])) != state:
            what = "is gone" if now is None else "was changed or replaced"
            raise FileError(
                f"{state[0]} {what} after it was opened: what was read before is of the old "
                "file. Open it anew, once it is whole, and begin again."
            )
