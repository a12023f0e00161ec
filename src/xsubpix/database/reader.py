"""Reading a database: samples as a lazy Dataset, or one by one; what was drawn for each frame."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ..errors import FileError
from ..rupture import Fault
from ..second_date import SecondDate
from .layout import COLUMNS, JITTER_VERSION, QUANTUM, SPLITS, crop_corners
from .samples import samples_dataset
from .store import (
    check_files,
    damage_named,
    open_array,
    open_split,
    read_attributes,
    read_column,
    read_images,
)

__all__ = [
    "DatabaseReader",
    "database_table",
    "open_database",
    "read_displacement",
    "read_fault",
    "read_second_dates",
    "read_table",
]


@dataclasses.dataclass(frozen=True)
class DatabaseReader:
    """Samples of one split, read one image at a time.

    Parameters
    ----------
    path : str
        Path of the store.
    split : str
        ``"train"``, ``"validation"`` or ``"test"``.
    crops : bool
        True: a sample is one of the nine crops of a frame (sample number
        ``9 * frame + crop``); False: a whole frame.
    decode : bool
        Whether images are given in counts, float32 with NaN for missing, or as
        the codes that are stored (float32 too, 0 for missing).

    Examples
    --------
    >>> reader = DatabaseReader("db.zarr", "train", crops=False)
    >>> reader.shape, reader.read("post", sample=0, scaling=1).shape
    ((1, 2, 128, 128), (128, 128))
    """

    path: str
    split: str
    crops: bool = True
    decode: bool = True

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Samples, factors, rows and columns."""
        frames, scalings, size, _ = open_array(self.path, self.split, "post").shape
        side = self._crop if self.crops else size
        return frames * (9 if self.crops else 1), scalings, side, side

    @property
    def _crop(self) -> int:
        attributes = open_split(self.path, self.split).attrs
        # Stores of version 1 and 2 call it a window.
        return int(str(attributes.get("crop", attributes.get("window"))))

    def read(self, field: str, sample: int, scaling: int) -> np.ndarray:
        """One image of a sample: ``pre``, ``post``, ``dx`` or ``dy``.

        Returns
        -------
        numpy.ndarray of float32
            Shape ``(rows, columns)``: counts, or pixels of displacement.
        """
        frame, here = sample, (slice(None), slice(None))
        if self.crops:
            frame, k = divmod(sample, 9)
            size = open_array(self.path, self.split, "pre").shape[-1]
            row, column = crop_corners(size, self._crop)[k]
            here = (slice(row, row + self._crop), slice(column, column + self._crop))
        if field in ("dx", "dy"):
            flow = _read_displacement(self.path, self.split, frame, scaling, here)
            return flow[int(field == "dy")]
        index: tuple[Any, ...] = (frame, *here) if field == "pre" else (frame, scaling, *here)
        codes = read_images(self.path, self.split, field, index)
        if not self.decode:
            return codes.astype(np.float32)
        entry = frame if field == "pre" else (frame, scaling)
        scale, offset = (
            float(read_column(self.path, self.split, f"{field}_{what}")[entry])
            for what in ("scale", "offset")
        )
        image = ((codes.astype(np.float64) - 1) * scale + offset).astype(np.float32)
        image[codes == 0] = np.nan
        return image


def open_database(
    path: str | os.PathLike[str],
    split: str = "train",
    *,
    crops: bool = True,
    decode: bool = True,
) -> xr.Dataset:
    """Open a split of a database, lazily.

    Parameters
    ----------
    path : str or path
        Path of the store.
    split : str
        ``"train"``, ``"validation"`` or ``"test"``.
    crops : bool
        True: a sample is one of the nine crops of a frame; False: a whole frame.
    decode : bool
        Whether images are given in counts with NaN for missing, or as the
        codes that are stored, with 0 for missing.

    Returns
    -------
    xarray.Dataset
        ``pre``, ``post`` (counts), ``dx``, ``dy`` (pixels to the right and
        down: where the ground of `pre` went by `post`, see
        :func:`read_displacement`), float32, dimensions
        ``sample``, ``scaling``, ``y``, ``x``, one dask chunk an image.
        Coordinates: ``factor`` of each scaling, and the table: ``frame``,
        ``crop``, ``scene``, ``correlation``, ``largest``, ... of each sample.

    Raises
    ------
    FileError
        There is no database, it is not complete, or lacks the split.

    See Also
    --------
    DatabaseReader : the same samples one by one, for training loops.
    database_table, read_fault, read_second_dates : what was drawn for each frame.

    Examples
    --------
    >>> from xsubpix.database import open_database
    >>> samples = open_database("db.zarr", "train")  # lazy: nine crops of each frame
    >>> dict(samples.pre.sizes)
    {'sample': 9, 'scaling': 2, 'y': 64, 'x': 64}
    """
    with damage_named(path):
        return _opened(path, split, crops, decode)


def _opened(path: str | os.PathLike[str], split: str, crops: bool, decode: bool) -> xr.Dataset:
    """Samples of a split with their table, lazily."""
    table = database_table(path, split)
    reader = DatabaseReader(os.fspath(path), split, crops, decode)
    samples = reader.shape[0]
    per_frame = 9 if crops else 1
    frame = np.arange(samples) // per_frame
    crop = np.arange(samples) % per_frame
    coords: dict[str, Any] = {
        "factor": table["factor"].variable,
        "frame": ("sample", frame),
    }
    if crops:
        coords["crop"] = ("sample", crop)
    for name in COLUMNS:
        if "_scale" in name or "_offset" in name:
            continue
        variable = table[name].variable
        if "crop" not in variable.dims:
            picked = variable.isel(frame=xr.Variable("sample", frame))
        elif crops:
            picked = variable.isel(
                frame=xr.Variable("sample", frame), crop=xr.Variable("sample", crop)
            )
        else:
            continue
        coords[name] = picked
    attrs = {
        "title": f"xsubpix database, {split}",
        "version": read_attributes(path)["plan"]["version"],
    }
    return samples_dataset(reader, coords, attrs)


def database_table(path: str | os.PathLike[str], split: str = "train") -> xr.Dataset:
    """Return what was drawn for each frame of a split, in memory.

    Parameters
    ----------
    path : str or path
        Path of the store.
    split : str
        ``"train"``, ``"validation"`` or ``"test"``.

    Returns
    -------
    xarray.Dataset
        :data:`COLUMNS`, dimensions ``frame``, ``scaling``, ``crop``, with the
        scenes' names, and ``factor`` as a coordinate.

    Raises
    ------
    FileError
        There is no database, it is not complete, or lacks the split.

    Examples
    --------
    >>> from xsubpix.database import database_table
    >>> database_table("db.zarr", "train").factor.values
    array([0.5, 1. ], dtype=float32)
    """
    attributes = read_attributes(path)
    if not attributes.get("complete"):
        raise FileError(
            f"{os.fspath(path)} is not complete: give the command that began it again, and it "
            "goes on where it stopped."
        )
    if split not in SPLITS or not (Path(path) / split).is_dir():
        there = ", ".join(s for s in SPLITS if (Path(path) / s).is_dir())
        raise FileError(f"{os.fspath(path)} has no split {split!r}; it has {there}.")
    with damage_named(path):
        check_files(path, split)
        return read_table(path, split)


def read_table(path: str | os.PathLike[str], split: str) -> xr.Dataset:
    """Return the table of a split, also of a store that is not called complete yet."""
    group = open_split(os.fspath(path), split)
    variables = {
        name: xr.Variable(
            column.dims,
            read_column(os.fspath(path), split, name),
            {"units": column.units, "long_name": column.long_name},
        )
        for name, column in COLUMNS.items()
    }
    names = np.asarray(group.attrs["scene_names"])
    variables["scene"] = xr.Variable(
        ("frame",), names[variables["scene"].values], {"long_name": "scene"}
    )
    return xr.Dataset(
        variables, coords={"factor": ("scaling", read_column(os.fspath(path), split, "factor"))}
    )


def read_fault(path: str | os.PathLike[str], split: str, frame: int) -> Fault:
    """Read the fault of a frame, with the slip that was drawn.

    Its coordinates are metres to the right and up from the frame's lower left
    corner. The displacement of the store is its field times ``amplitude /
    natural_amplitude`` and the sample's factor.

    Parameters
    ----------
    path : str or path
        Path of the store.
    split : {"train", "validation", "test"}
    frame : int
        Number of the frame in its split, from 0.

    Returns
    -------
    xsubpix.rupture.Fault

    Examples
    --------
    >>> from xsubpix.database import read_fault
    >>> fault = read_fault("db.zarr", "train", 0)  # metres from the frame's lower left corner
    >>> 0 < fault.dip <= 90
    True
    """
    return Fault.from_json(_text(path, split, "fault", frame))


def read_second_dates(path: str | os.PathLike[str], split: str, frame: int) -> list[SecondDate]:
    """Read the simulated second dates of a frame; factor k is seen at number k modulo theirs.

    Empty where the second date is a real one.

    Parameters
    ----------
    path, split, frame
        See :func:`read_fault`.

    Returns
    -------
    list of xsubpix.second_date.SecondDate

    Examples
    --------
    >>> from xsubpix.database import read_second_dates
    >>> [type(date).__name__ for date in read_second_dates("db.zarr", "train", 0)]
    ['SecondDate']
    """
    return [
        SecondDate.from_dict(date) for date in json.loads(_text(path, split, "second_dates", frame))
    ]


def read_displacement(
    path: str | os.PathLike[str], split: str, frame: int, scaling: int
) -> np.ndarray:
    """Read the displacement between the two images of a frame: what is to be measured.

    That of the ground, and where the second date is simulated, that of its misplaced
    detectors (:class:`~xsubpix.second_date.DetectorJitter`), which is in the image too. The
    store holds the ground's alone, at factor 1.

    Parameters
    ----------
    path, split, frame
        See :func:`read_fault`.
    scaling : int
        Number of the factor.

    Returns
    -------
    numpy.ndarray of float32
        Shape ``(2, rows, columns)``: dx to the right and dy down, pixels, where the ground
        of the first image went by the second.

    Notes
    -----
    Stores of version 3 and before move lines of detectors by less than their record says,
    fine detail by about 60 % of it: their displacement is the ground's.

    Examples
    --------
    >>> from xsubpix.database import read_displacement
    >>> read_displacement("db.zarr", "train", 0, scaling=1).shape
    (2, 128, 128)
    """
    return _read_displacement(os.fspath(path), split, frame, scaling, (slice(None), slice(None)))


def _read_displacement(
    path: str, split: str, frame: int, scaling: int, here: tuple[slice, slice]
) -> np.ndarray:
    """Read :func:`read_displacement` of a part of the frame, and no more."""
    codes = read_images(path, split, "displacement", (frame, slice(None), *here))
    factor = float(read_column(path, split, "factor")[scaling])
    dates = read_jittered_dates(path, split, frame)
    size = open_array(path, split, "displacement").shape[-1]
    return decode_displacement(codes, factor, dates, scaling, size, here)


def read_jittered_dates(path: str, split: str, frame: int) -> list[SecondDate]:
    """Read the second dates whose jitter is in the images; none of stores of before."""
    if read_attributes(path)["plan"].get("store_version", 1) < JITTER_VERSION:
        return []
    return read_second_dates(path, split, frame)


def decode_displacement(
    codes: np.ndarray,
    factor: float,
    dates: Sequence[SecondDate],
    scaling: int,
    size: int,
    here: tuple[slice, slice] = (slice(None), slice(None)),
) -> np.ndarray:
    """See :func:`read_displacement`: of what is stored and :func:`read_jittered_dates`.

    `codes` are those of a part of a frame of `size` pixels a side.
    """
    flow = (codes * (QUANTUM * factor)).astype(np.float32)
    if not dates:
        return flow
    lines = dates[scaling % len(dates)].displacement((size, size))
    # A pixel of the first image is seen by the detectors where its ground went to.
    seen = [
        np.clip(np.rint(at[here] + moved), 0, size - 1).astype(int)
        for at, moved in zip(np.indices((size, size)), flow[::-1], strict=True)
    ]
    return flow + lines[:, *seen]


def _text(path: str | os.PathLike[str], split: str, name: str, frame: int) -> str:
    return (
        np.asarray(open_array(os.fspath(path), split, name)[frame]).tobytes().rstrip(b"\0").decode()
    )
