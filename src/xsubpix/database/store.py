"""The database on disk: Zarr version 3, one shard a frame.

Layout::

    db.zarr/                  attributes: plan (versions, settings, scenes), complete
      README.md               the datasheet
      train/ validation/ test/
        pre           uint16  (frame, y, x)             code 0 is missing
        post          uint16  (frame, scaling, y, x)    code 0 is missing
        displacement  int16   (frame, component, y, x)  dx, dy at factor 1, 1/1000 px
        factor        float32 (scaling)
        ...                   the table: one array a column, see COLUMNS

The first date is stored once a frame, and so is the displacement: the ground at
factor f was moved by exactly ``f * displacement / 1000`` pixels, the quantised
field, so that nothing is lost by storing one of four.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataError, FileError, SubpixError
from .frames import Frame
from .layout import COLUMNS, QUANTUM, SPLITS, STORE_VERSION, TEXTS

if TYPE_CHECKING:
    import zarr

    from .plan import Settings

__all__ = [
    "check_files",
    "checksum",
    "create_store",
    "damage_named",
    "open_array",
    "open_split",
    "read_attributes",
    "read_column",
    "read_images",
    "stored_bytes",
    "write_frame",
    "write_table",
]

# ---------------------------------------------------------------------- writing


def create_store(path: Path, settings: Settings) -> None:
    """Make an empty store: groups and image arrays, no attributes yet."""
    zarr = _zarr()
    root = zarr.open_group(path, mode="a", zarr_format=3)
    size, scalings = settings.frame, len(settings.scalings)
    # Crops begin at multiples of the stride: they are made of whole chunks.
    chunk = np.gcd(settings.crop, (size - settings.crop) // 2)
    chunk = int(chunk) if chunk >= 32 else size
    for split in SPLITS:
        count = settings.count(split)
        if not count:
            continue
        group = root.create_group(split, overwrite=True)
        group.attrs.update({"crop": settings.crop, "frame": size})
        for name, extra, dtype in (
            ("pre", (), "uint16"),
            ("post", (scalings,), "uint16"),
            ("displacement", (2,), "int16"),
        ):
            _create(
                group,
                name,
                (count, *extra, size, size),
                dtype,
                {
                    "pre": ("frame", "y", "x"),
                    "post": ("frame", "scaling", "y", "x"),
                    "displacement": ("frame", "component", "y", "x"),
                }[name],
                chunks=(1, *(1 for _ in extra), chunk, chunk),
                shards=(1, *extra, size, size),
            )
        group["displacement"].attrs.update(
            {
                "long_name": "displacement of the ground at factor 1, without what misplaced "
                "detectors of a simulated second date add",
                "units": "pixel",
                "scale_factor": QUANTUM,
                "components": ["dx (right)", "dy (down)"],
            }
        )
        factor = _create(group, "factor", (scalings,), "float32", ("scaling",))
        factor[:] = np.asarray(settings.scalings, np.float32)


def write_frame(path: Path, split: str, number: int, frame: Frame) -> None:
    """Write the images of a frame, one file an array."""
    for name in ("pre", "post", "displacement"):
        # zarr 3.0 leaves half a file where the disk is full, and then cannot read it.
        shutil.rmtree(path / split / name / "c" / str(number), ignore_errors=True)
        open_array(path, split, name, "r+")[number] = getattr(frame, name)


def write_table(path: Path, split: str, records: list[dict[str, Any]], scenes: list[str]) -> None:
    """Write the table of a split, a record a frame."""
    group = _zarr().open_group(path / split, mode="r+")
    group.attrs["scene_names"] = scenes
    for name, column in COLUMNS.items():
        values = [record[name] for record in records]
        if name == "scene":
            values = [scenes.index(value) for value in values]
        data = np.asarray(values, column.dtype)
        array = _create(group, name, data.shape, column.dtype, column.dims)
        array[...] = data
        array.attrs.update({"units": column.units, "long_name": column.long_name})
    for name in TEXTS:
        texts = [record[name].encode() for record in records]
        longest = max(map(len, texts))
        data = np.frombuffer(b"".join(t.ljust(longest, b"\0") for t in texts), np.uint8)
        data = data.reshape(len(texts), longest)
        chunks = (min(len(texts), 256), longest)
        array = _create(group, name, data.shape, "uint8", ("frame", f"{name}_byte"), chunks=chunks)
        array[...] = data
        array.attrs["long_name"] = f"{name}: JSON in UTF-8, padded with zeros"


def _create(
    group: zarr.Group,
    name: str,
    shape: tuple[int, ...],
    dtype: str,
    dims: tuple[str, ...],
    *,
    chunks: tuple[int, ...] | None = None,
    shards: tuple[int, ...] | None = None,
) -> zarr.Array:
    from zarr.codecs import BloscCodec, Crc32cCodec

    return group.create_array(
        name,
        shape=shape,
        dtype=dtype,
        chunks=chunks or shape,
        shards=shards,
        # A checksum behind each chunk: damaged images would be learned from.
        compressors=(
            BloscCodec(
                cname="zstd", clevel=5, shuffle="bitshuffle", typesize=np.dtype(dtype).itemsize
            ),
            Crc32cCodec(),
        ),
        # A file that is not there is lost, and no array of zeros.
        config={"write_empty_chunks": True},
        fill_value=0,
        dimension_names=dims,
        overwrite=True,
    )


# ---------------------------------------------------------------------- reading


def read_attributes(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Attributes of a store: ``plan`` and ``complete``.

    Raises
    ------
    FileError
        There is no store of ours, or one that a newer version has written.
    """
    try:
        metadata = json.loads((Path(path) / "zarr.json").read_text())
        attributes = metadata["attributes"]
        attributes["plan"]["settings"]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise FileError(
            f"{os.fspath(path)} is no database of xsubpix ({type(error).__name__}: {error}). Make "
            "one: xsubpix database build SCENES... --out db.zarr."
        ) from error
    version = attributes["plan"].get("store_version", 1)
    if version > STORE_VERSION:
        raise FileError(
            f"{os.fspath(path)} is a database of store version {version}, and this version of "
            f"xsubpix reads up to {STORE_VERSION}: pip install --upgrade xsubpix."
        )
    return attributes


def checksum(path: str | os.PathLike[str]) -> str:
    """SHA-256 over the names and bytes of all files of all arrays.

    Two stores have the same checksum if and only if they hold the same bytes
    under the same names. When they were written, and by how many workers, is of
    no consequence; nor are the datasheet and the attributes of the whole.

    Parameters
    ----------
    path : str or path
        Path of the store.

    Returns
    -------
    str
        64 hexadecimal digits.

    Examples
    --------
    >>> from xsubpix.database import checksum
    >>> len(checksum("db.zarr"))  # SHA-256 in hexadecimal
    64
    """
    digest = hashlib.sha256()
    for file in _array_files(Path(path)):
        digest.update(file.relative_to(path).as_posix().encode() + b"\0")
        with file.open("rb") as opened:
            digest.update(hashlib.file_digest(opened, "sha256").digest())
    return digest.hexdigest()


def stored_bytes(path: str | os.PathLike[str]) -> dict[str, int]:
    """Bytes on disk of each array, and ``table`` for the rest, over all splits.

    Examples
    --------
    >>> from xsubpix.database import stored_bytes
    >>> sorted(stored_bytes("db.zarr"))
    ['displacement', 'post', 'pre', 'table']
    """
    total = {"pre": 0, "post": 0, "displacement": 0, "table": 0}
    for file in _array_files(Path(path)):
        name = file.relative_to(path).parts[1]
        total[name if name in total else "table"] += file.stat().st_size
    return total


def _array_files(path: Path) -> list[Path]:
    return sorted(
        file
        for split in SPLITS
        for file in (path / split).rglob("*")
        if file.is_file() and file.suffix != ".partial"
    )


@contextlib.contextmanager
def damage_named(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn the errors of reading a damaged store into one of ours."""
    try:
        yield
    except SubpixError:
        raise
    except Exception as error:  # zarr's, json's, NumPy's, of what the bytes became
        words = " ".join(str(error).split())[:300]
        raise FileError(
            f"{os.fspath(path)} is damaged ({type(error).__name__}: {words}). Get it anew, or "
            "build it again."
        ) from error


# Handles are cheap to keep and dear to make: a training loop reads millions of crops.
def open_split(path: str | os.PathLike[str], split: str) -> zarr.Group:
    """Open a split's group for reading."""
    file = Path(path) / split / "zarr.json"
    with damage_named(path):
        return _cached_group(str(file.parent), file.stat().st_mtime_ns)


@functools.lru_cache(maxsize=64)
def _cached_group(path: str, stamp: int) -> zarr.Group:
    return _zarr().open_group(path, mode="r")


def open_array(path: str | os.PathLike[str], split: str, name: str, mode: str = "r") -> zarr.Array:
    """Open an array of a split; FileError where there is none."""
    file = Path(path) / split / name / "zarr.json"
    try:
        stamp = file.stat().st_mtime_ns
    except OSError as error:
        raise FileError(f"{os.fspath(path)} has no array {split}/{name}.") from error
    with damage_named(path):
        return _cached_array(str(file.parent), mode, stamp)


@functools.lru_cache(maxsize=256)
def _cached_array(path: str, mode: str, stamp: int) -> zarr.Array:
    return _zarr().open_array(path, mode=mode)


def read_images(
    path: str | os.PathLike[str], split: str, name: str, index: tuple[Any, ...]
) -> np.ndarray:
    """Codes of one frame's images, checked.

    Parameters
    ----------
    path, split, name
        As of :func:`open_array`.
    index : tuple
        The frame's number, then what of it.

    Raises
    ------
    FileError
        The frame's file is gone or damaged.
    """
    array = open_array(path, split, name)
    frame = int(index[0])
    key = array.metadata.encode_chunk_key((frame, *(0,) * (array.ndim - 1)))
    file = Path(path) / split / name / key
    try:
        if not file.is_file():
            raise FileNotFoundError("there is no such file")
        return np.asarray(array[index])
    except (OSError, ValueError, RuntimeError) as error:
        raise FileError(
            f"cannot read {file}: {' '.join(str(error).split())}. The database is not whole: get "
            "it anew, or build it again."
        ) from error


def check_files(path: str | os.PathLike[str], split: str) -> None:
    """Refuse a split whose frames are not all there.

    Raises
    ------
    FileError
        Files of frames are gone.
    """
    for name in ("pre", "post", "displacement"):
        array = open_array(path, split, name)
        folder = Path(path) / split / name
        tail = (0,) * (array.ndim - 1)
        keys = (array.metadata.encode_chunk_key((k, *tail)) for k in range(array.shape[0]))
        if lost := [key for key in keys if not (folder / key).is_file()]:
            raise FileError(
                f"{os.fspath(path)} is not whole: {len(lost)} of {array.shape[0]} files of "
                f"{split}/{name} are gone, {folder / lost[0]} first. Get it anew, or build it "
                "again."
            )


def read_column(path: str | os.PathLike[str], split: str, name: str) -> np.ndarray:
    """Return a column of the table, read once and kept; not to be written to."""
    file = Path(path) / split / name / "zarr.json"
    with damage_named(path):
        return _cached_column(str(file.parent), file.stat().st_mtime_ns)


@functools.lru_cache(maxsize=256)
def _cached_column(path: str, stamp: int) -> np.ndarray:
    values = np.asarray(_cached_array(path, "r", stamp)[...])
    values.flags.writeable = False
    return values


def _zarr() -> Any:
    try:
        import zarr
    except ImportError as error:
        raise DataError(
            "databases need the package zarr, version 3: pip install 'xsubpix[database]'."
        ) from error
    if int(zarr.__version__.split(".")[0]) < 3:
        raise DataError(
            f"databases need zarr 3, and {zarr.__version__} is installed: "
            "pip install 'xsubpix[database]'."
        )
    return zarr
