"""The published database FaultDeform (doi 10.57745/G02ZXZ), as samples like ours.

Its files lie under ``train/``, ``val/`` and ``test/``, one a sample and scaling
factor: ``{id:06d}_{0..3}_sample.npy.npz``, with the keys ``int_array_1`` (the
image before), ``int_array_2`` (after), ``float_array_1`` (displacement to the
east, pixels) and ``float_array_2`` (to the north, pixels).
"""

from __future__ import annotations

import dataclasses
import os
import re
import zipfile
from pathlib import Path
from typing import Literal

import numpy as np
import xarray as xr

from ..errors import DataError, FileError
from .samples import samples_dataset

__all__ = ["FaultDeformReader", "open_faultdeform"]

_FOLDERS = {"train": "train", "validation": "val", "test": "test"}
_NAME = re.compile(r"(\d{6,})_(\d)_sample\.npy\.npz")
_KEYS = {"pre": "int_array_1", "post": "int_array_2", "dx": "float_array_1", "dy": "float_array_2"}


@dataclasses.dataclass(frozen=True)
class FaultDeformReader:
    """Samples of one split of FaultDeform, read one array at a time.

    Parameters
    ----------
    folder : str
        Holds the files themselves.
    ids : tuple of int
        Numbers of the samples.
    scalings : tuple of int
        Numbers of the factors, from 0, very small, to 3, largest.
    side : tuple of int
        Rows and columns.
    north_up : bool
        Whether positive ``float_array_2`` means toward the top of the image.

    Examples
    --------
    >>> FaultDeformReader("train", ids=(1, 2), scalings=(0, 1, 2, 3), side=(512, 512)).shape
    (2, 4, 512, 512)
    """

    folder: str
    ids: tuple[int, ...]
    scalings: tuple[int, ...]
    side: tuple[int, int]
    north_up: bool = True

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Samples, factors, rows and columns."""
        return len(self.ids), len(self.scalings), *self.side

    def read(self, field: str, sample: int, scaling: int) -> np.ndarray:
        """One image of a sample: ``pre``, ``post``, ``dx`` or ``dy``.

        Returns
        -------
        numpy.ndarray of float32
            Shape ``(rows, columns)``: counts, or pixels to the right or down.

        Raises
        ------
        FileError
            The file is damaged, lacks the array, or holds one of another shape.
        """
        path = _path(Path(self.folder), self.ids[sample], self.scalings[scaling])
        values = _load(path, _KEYS[field]).astype(np.float32)
        if values.shape != self.side:
            raise FileError(
                f"{path}: {_KEYS[field]} has shape {values.shape}, the first sample {self.side}. "
                "Keep samples of one size in a folder."
            )
        return -values if field == "dy" and self.north_up else values


def open_faultdeform(
    folder: str | os.PathLike[str],
    split: str = "train",
    *,
    north: Literal["up", "down"] = "up",
) -> xr.Dataset:
    """Open a split of FaultDeform, lazily.

    Parameters
    ----------
    folder : str or path
        Holds ``train``, ``val`` and ``test``.
    split : str
        ``"train"``, ``"validation"`` (or ``"val"``) or ``"test"``.
    north : {"up", "down"}
        Where positive north-south displacement points to in the image. The
        publication does not say; ``"up"``, toward the first row, is what north
        means on a north-up image. If methods that are right on other data have
        dy of the wrong sign here, it is ``"down"``.

    Returns
    -------
    xarray.Dataset
        As of :func:`xsubpix.database.open_database`: ``pre``, ``post``
        (counts), ``dx``, ``dy`` (pixels to the right and down), float32,
        dimensions ``sample``, ``scaling``, ``y``, ``x``, one dask chunk an
        array. Coordinates: the ``id`` of each sample, the ``number`` (0 to 3)
        of each factor.

    Raises
    ------
    FileError
        The folder holds no such files, or samples lack one of the factors.
    DataError
        `north` or `split` is none of the above.

    Examples
    --------
    >>> import os
    >>> arrays = {"int_array_1": np.ones((8, 8)), "int_array_2": np.ones((8, 8))}
    >>> arrays |= {"float_array_1": np.zeros((8, 8)), "float_array_2": np.zeros((8, 8))}
    >>> os.makedirs("data/train")
    >>> for scaling in range(4):
    ...     np.savez(f"data/train/000001_{scaling}_sample.npy.npz", **arrays)
    >>> open_faultdeform("data").pre.shape
    (1, 4, 8, 8)
    """
    if north not in ("up", "down"):
        raise DataError(f"north={north!r}: give 'up' or 'down'.")
    names = {**_FOLDERS, "val": "val"}
    if split not in names:
        raise DataError(f"split={split!r}: give 'train', 'validation' or 'test'.")
    here = Path(folder) / names[split]
    found: set[tuple[int, int]] = set()
    if here.is_dir():
        with os.scandir(here) as files:
            for file in files:
                if match := _NAME.fullmatch(file.name):
                    found.add((int(match[1]), int(match[2])))
    if not found:
        raise FileError(
            f"{here} holds no files 000000_0_sample.npy.npz: give the folder that holds train, "
            "val and test of FaultDeform."
        )
    ids = tuple(sorted({i for i, _ in found}))
    scalings = tuple(sorted({s for _, s in found}))
    if len(found) != len(ids) * len(scalings):
        missing = next((i, s) for i in ids for s in scalings if (i, s) not in found)
        raise FileError(
            f"{_path(here, *missing)} is missing, and others have the factors {list(scalings)}. "
            "Complete the folder, or move the incomplete samples out of it."
        )
    rows, columns = _load(_path(here, ids[0], scalings[0]), _KEYS["pre"]).shape
    reader = FaultDeformReader(os.fspath(here), ids, scalings, (rows, columns), north == "up")
    coords = {"id": ("sample", np.array(ids)), "number": ("scaling", np.array(scalings))}
    return samples_dataset(
        reader, coords, {"title": f"FaultDeform, {split}", "source": "doi 10.57745/G02ZXZ"}
    )


def _path(folder: Path, sample: int, scaling: int) -> Path:
    return folder / f"{sample:06d}_{scaling}_sample.npy.npz"


def _load(path: Path, key: str) -> np.ndarray:
    """One array of a file; the others are not read."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return arrays[key]
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise FileError(f"cannot read {key} of {path}: {error}") from error
