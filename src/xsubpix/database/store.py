"""The database on disk: Zarr version 3, one shard a frame.

Layout::

    db.zarr/                  attributes: plan (version, settings, scenes), complete
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

import dataclasses
import functools
import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xarray as xr

from ..errors import DataError, FileError
from ..rupture import Fault
from ..training.radiometry import SecondDate
from .frames import QUANTUM, Frame, window_corners
from .samples import samples_dataset
from .scenes import SPLITS

if TYPE_CHECKING:
    import zarr

    from .plan import Settings

__all__ = [
    "COLUMNS",
    "DatabaseReader",
    "checksum",
    "create_store",
    "database_table",
    "open_database",
    "read_attributes",
    "read_fault",
    "read_second_dates",
    "stored_bytes",
    "write_frame",
    "write_table",
]

#: What is drawn as a text: JSON in UTF-8, padded with zeros.
TEXTS = ("fault", "second_dates")


class Column(NamedTuple):
    """A column of the table: its dimensions, type, unit and meaning."""

    dims: tuple[str, ...]
    dtype: str
    units: str
    long_name: str


_FRAME, _BY_SCALING, _BY_WINDOW = ("frame",), ("frame", "scaling"), ("frame", "window")

#: The table, a row a frame.
COLUMNS: dict[str, Column] = {
    "scene": Column(_FRAME, "int32", "1", "index of the scene in the attribute scene_names"),
    "row": Column(_FRAME, "int32", "pixel", "first row of the frame in its scene"),
    "column": Column(_FRAME, "int32", "pixel", "first column of the frame in its scene"),
    "pixel_size": Column(_FRAME, "float64", "m", "side of a pixel"),
    "missing": Column(_FRAME, "float32", "1", "share of missing pixels in the first date"),
    "amplitude": Column(_FRAME, "float32", "pixel", "largest displacement at factor 1"),
    "natural_amplitude": Column(
        _FRAME, "float32", "pixel", "largest displacement of the fault as it was drawn"
    ),
    "magnitude": Column(_FRAME, "float32", "1", "moment magnitude of the fault as it was drawn"),
    "mean_slip": Column(_FRAME, "float32", "m", "mean slip of the fault as it was drawn"),
    "strike": Column(_FRAME, "float32", "degree", "strike, clockwise from up in the image"),
    "dip": Column(_FRAME, "float32", "degree", "dip"),
    "rake": Column(_FRAME, "float32", "degree", "rake"),
    "length": Column(_FRAME, "float32", "m", "length of the fault"),
    "top_depth": Column(_FRAME, "float32", "m", "depth of the fault's top"),
    "aimed_correlation": Column(
        _BY_SCALING,
        "float32",
        "1",
        "mean local correlation of the two dates before the ground moved, without clouds and haze: "
        "aimed at, or measured on two real dates",
    ),
    "correlation": Column(
        ("frame", "window", "scaling"),
        "float32",
        "1",
        "mean correlation of pre and post in cells of 32 px, the ground moved",
    ),
    "largest": Column(_BY_WINDOW, "float32", "pixel", "largest displacement at factor 1"),
    "largest_step": Column(
        _BY_WINDOW, "float32", "pixel", "largest difference of neighbouring pixels at factor 1"
    ),
    "trace": Column(_BY_WINDOW, "uint8", "1", "1 where the fault breaks the surface in the window"),
    "pre_scale": Column(_FRAME, "float64", "1", "image = (code - 1) * scale + offset"),
    "pre_offset": Column(_FRAME, "float64", "1", "image = (code - 1) * scale + offset"),
    "post_scale": Column(_BY_SCALING, "float64", "1", "image = (code - 1) * scale + offset"),
    "post_offset": Column(_BY_SCALING, "float64", "1", "image = (code - 1) * scale + offset"),
}


# ---------------------------------------------------------------------- writing


def create_store(path: Path, settings: Settings) -> None:
    """Make an empty store: groups and image arrays, no attributes yet."""
    zarr = _zarr()
    root = zarr.open_group(path, mode="a", zarr_format=3)
    size, scalings = settings.frame, len(settings.scalings)
    # Windows begin at multiples of the stride: they are made of whole chunks.
    chunk = np.gcd(settings.window, (size - settings.window) // 2)
    chunk = int(chunk) if chunk >= 32 else size
    for split in SPLITS:
        count = settings.count(split)
        if not count:
            continue
        group = root.create_group(split, overwrite=True)
        group.attrs.update({"window": settings.window, "frame": size})
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
            {"units": "pixel", "scale_factor": QUANTUM, "components": ["dx (right)", "dy (down)"]}
        )
        factor = _create(group, "factor", (scalings,), "float32", ("scaling",))
        factor[:] = np.asarray(settings.scalings, np.float32)


def write_frame(path: Path, split: str, number: int, frame: Frame) -> None:
    """Write the images of a frame, one file an array, each at once or not at all."""
    for name in ("pre", "post", "displacement"):
        _array(path, split, name, "r+")[number] = getattr(frame, name)


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
    from zarr.codecs import BloscCodec

    return group.create_array(
        name,
        shape=shape,
        dtype=dtype,
        chunks=chunks or shape,
        shards=shards,
        compressors=BloscCodec(
            cname="zstd", clevel=5, shuffle="bitshuffle", typesize=np.dtype(dtype).itemsize
        ),
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
        There is no store of ours.
    """
    try:
        metadata = json.loads((Path(path) / "zarr.json").read_text())
        attributes = metadata["attributes"]
        attributes["plan"]["settings"]
    except (OSError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise FileError(
            f"{os.fspath(path)} is no database of xsubpix ({type(error).__name__}: {error}). Make "
            "one: xsubpix database build SCENES... --out db.zarr."
        ) from error
    return attributes


@dataclasses.dataclass(frozen=True)
class DatabaseReader:
    """Samples of one split, read one image at a time.

    Parameters
    ----------
    path : str
        Of the store.
    split : str
        ``"train"``, ``"validation"`` or ``"test"``.
    windows : bool
        Whether a sample is one of the nine windows of a frame (sample number
        ``9 * frame + window``), or a whole frame.
    decode : bool
        Whether images are given in counts, float32 with NaN for missing, or as
        the codes that are stored (float32 too, 0 for missing).
    """

    path: str
    split: str
    windows: bool = True
    decode: bool = True

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Samples, factors, rows and columns."""
        frames, scalings, size, _ = _array(self.path, self.split, "post").shape
        side = self._window if self.windows else size
        return frames * (9 if self.windows else 1), scalings, side, side

    @property
    def _window(self) -> int:
        return int(str(_group(self.path, self.split).attrs["window"]))

    def read(self, field: str, sample: int, scaling: int) -> np.ndarray:
        """One image of a sample: ``pre``, ``post``, ``dx`` or ``dy``.

        Returns
        -------
        numpy.ndarray of float32
            Shape ``(rows, columns)``: counts, or pixels of displacement.
        """
        frame, here = sample, (slice(None), slice(None))
        if self.windows:
            frame, k = divmod(sample, 9)
            size = _array(self.path, self.split, "pre").shape[-1]
            row, column = window_corners(size, self._window)[k]
            here = (slice(row, row + self._window), slice(column, column + self._window))
        if field in ("dx", "dy"):
            index: tuple[Any, ...] = (frame, int(field == "dy"), *here)
            codes = np.asarray(_array(self.path, self.split, "displacement")[index])
            factor = float(_column(self.path, self.split, "factor")[scaling])
            return (codes * (QUANTUM * factor)).astype(np.float32)
        index = (frame, *here) if field == "pre" else (frame, scaling, *here)
        codes = np.asarray(_array(self.path, self.split, field)[index])
        if not self.decode:
            return codes.astype(np.float32)
        place = frame if field == "pre" else (frame, scaling)
        scale, offset = (
            float(_column(self.path, self.split, f"{field}_{what}")[place])
            for what in ("scale", "offset")
        )
        image = ((codes.astype(np.float64) - 1) * scale + offset).astype(np.float32)
        image[codes == 0] = np.nan
        return image


def open_database(
    path: str | os.PathLike[str],
    split: str = "train",
    *,
    windows: bool = True,
    decode: bool = True,
) -> xr.Dataset:
    """Open a split of a database, lazily.

    Parameters
    ----------
    path : str or path
        Of the store.
    split : str
        ``"train"``, ``"validation"`` or ``"test"``.
    windows : bool
        Whether a sample is one of the nine windows of a frame, or a whole frame.
    decode : bool
        Whether images are given in counts with NaN for missing, or as the
        codes that are stored, with 0 for missing.

    Returns
    -------
    xarray.Dataset
        ``pre``, ``post`` (counts), ``dx``, ``dy`` (pixels to the right and
        down: where the ground of `pre` went by `post`), float32, dimensions
        ``sample``, ``scaling``, ``y``, ``x``, one dask chunk an image.
        Coordinates: ``factor`` of each scaling, and the table: ``frame``,
        ``window``, ``scene``, ``correlation``, ``largest``, ... of each sample.

    Raises
    ------
    FileError
        There is no database, it is not complete, or lacks the split.

    See Also
    --------
    DatabaseReader : the same samples one by one, for training loops.
    database_table, read_fault, read_second_dates : what was drawn for each frame.
    """
    table = database_table(path, split)
    reader = DatabaseReader(os.fspath(path), split, windows, decode)
    samples = reader.shape[0]
    per_frame = 9 if windows else 1
    frame = np.arange(samples) // per_frame
    window = np.arange(samples) % per_frame
    coords: dict[str, Any] = {
        "factor": table["factor"].variable,
        "frame": ("sample", frame),
    }
    if windows:
        coords["window"] = ("sample", window)
    for name in COLUMNS:
        if "_scale" in name or "_offset" in name:
            continue
        variable = table[name].variable
        if "window" not in variable.dims:
            picked = variable.isel(frame=xr.Variable("sample", frame))
        elif windows:
            picked = variable.isel(
                frame=xr.Variable("sample", frame), window=xr.Variable("sample", window)
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
        Of the store.
    split : str
        ``"train"``, ``"validation"`` or ``"test"``.

    Returns
    -------
    xarray.Dataset
        :data:`COLUMNS`, dimensions ``frame``, ``scaling``, ``window``, with the
        scenes' names, and ``factor`` as a coordinate.

    Raises
    ------
    FileError
        There is no database, it is not complete, or lacks the split.
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
    return read_table(path, split)


def read_table(path: str | os.PathLike[str], split: str) -> xr.Dataset:
    """Return the table of a split, also of a store that is not called complete yet."""
    group = _group(os.fspath(path), split)
    variables = {
        name: xr.Variable(
            column.dims,
            _column(os.fspath(path), split, name),
            {"units": column.units, "long_name": column.long_name},
        )
        for name, column in COLUMNS.items()
    }
    names = np.asarray(group.attrs["scene_names"])
    variables["scene"] = xr.Variable(
        ("frame",), names[variables["scene"].values], {"long_name": "scene"}
    )
    return xr.Dataset(
        variables, coords={"factor": ("scaling", _column(os.fspath(path), split, "factor"))}
    )


def read_fault(path: str | os.PathLike[str], split: str, frame: int) -> Fault:
    """Read the fault of a frame, with the slip that was drawn.

    Its coordinates are metres to the right and up from the frame's lower left
    corner. The displacement of the store is its field times ``amplitude /
    natural_amplitude`` and the sample's factor.
    """
    return Fault.from_json(_text(path, split, "fault", frame))


def read_second_dates(path: str | os.PathLike[str], split: str, frame: int) -> list[SecondDate]:
    """Read the simulated second dates of a frame; factor k is seen at number k modulo theirs.

    Empty where the second date is a real one.
    """
    return [
        SecondDate.from_dict(date) for date in json.loads(_text(path, split, "second_dates", frame))
    ]


def _text(path: str | os.PathLike[str], split: str, name: str, frame: int) -> str:
    return np.asarray(_array(os.fspath(path), split, name)[frame]).tobytes().rstrip(b"\0").decode()


def checksum(path: str | os.PathLike[str]) -> str:
    """SHA-256 over the names and bytes of all files of all arrays.

    Two stores have the same checksum if and only if they hold the same bytes
    under the same names. When they were written, and by how many workers, is of
    no consequence; nor are the datasheet and the attributes of the whole.
    """
    digest = hashlib.sha256()
    for file in _array_files(Path(path)):
        digest.update(file.relative_to(path).as_posix().encode() + b"\0")
        with file.open("rb") as opened:
            digest.update(hashlib.file_digest(opened, "sha256").digest())
    return digest.hexdigest()


def stored_bytes(path: str | os.PathLike[str]) -> dict[str, int]:
    """Bytes on disk of each array, and ``table`` for the rest, over all splits."""
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


# Handles are cheap to keep and dear to make: a training loop reads millions of windows.
def _group(path: str | os.PathLike[str], split: str) -> zarr.Group:
    return _zarr().open_group(Path(path) / split, mode="r")


def _array(path: str | os.PathLike[str], split: str, name: str, mode: str = "r") -> zarr.Array:
    file = Path(path) / split / name / "zarr.json"
    try:
        stamp = file.stat().st_mtime_ns
    except OSError as error:
        raise FileError(f"{os.fspath(path)} has no array {split}/{name}.") from error
    return _kept_array(str(file.parent), mode, stamp)


@functools.lru_cache(maxsize=256)
def _kept_array(path: str, mode: str, stamp: int) -> zarr.Array:
    return _zarr().open_array(path, mode=mode)


def _column(path: str | os.PathLike[str], split: str, name: str) -> np.ndarray:
    file = Path(path) / split / name / "zarr.json"
    return _kept_column(str(file.parent), file.stat().st_mtime_ns)


@functools.lru_cache(maxsize=256)
def _kept_column(path: str, stamp: int) -> np.ndarray:
    values = np.asarray(_kept_array(path, "r", stamp)[...])
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
