"""Writing that survives a kill: blocks go into a file whose journal says which are there.

The file is an uncompressed GeoTIFF, made whole and empty at first, so that a
disk that is too small is noticed before anything is computed. Blocks are written
to their places by the operating system itself, and a block's line of the journal
after it: whatever stops the process, what the journal names is in the file.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FileError
from .locks import lock_or_refuse, open_without_links

__all__ = ["BlockFile"]

_HEADER = "xsubpix journal 1"
_COPY = "copied"


class BlockFile:
    """A raster of several float32 bands that is filled block by block.

    Parameters
    ----------
    path : pathlib.Path
        Of the raster, made by :meth:`opened`; its journal has the suffix
        ``.journal`` instead of its own.
    token : str
        Of the work: a file of other work is not gone on with.

    Notes
    -----
    One process at a time: the journal is locked while it is open.
    """

    def __init__(self, path: Path, token: str) -> None:
        self.path, self.token = path, token
        self.journal = path.with_suffix(".journal")
        self.done: set[tuple[int, int]] = set()
        self._lock = threading.Lock()
        self._raster: int | None = None
        self._log: Any = None
        self._offset = 0
        self._shape = (0, 0, 0)

    @contextlib.contextmanager
    def opened(
        self, profile: dict[str, Any], describe: Callable[[Any], None] = lambda out: None
    ) -> Iterator[BlockFile]:
        """Open the file, going on with what an earlier process left of the same work.

        Parameters
        ----------
        profile : dict
            For ``rasterio.open``.
        describe : callable
            Writes tags into the open raster. They are in the file from the first: a
            directory that is written anew at the end may not fit on the disk any more.

        Raises
        ------
        FileError
            Another process writes it, or there is no room for it.
        """
        with open_without_links(self.journal) as log:
            lock_or_refuse(log, self.path)
            try:
                lines = log.read().split("\n")
                if lines[:2] == [_HEADER, self.token] and self.path.exists():
                    # The last line may have been cut by a kill: it has no newline behind it.
                    for line in lines[2:-1]:
                        row, _, col = line.partition(" ")
                        if row.isdigit() and col.isdigit():
                            self.done.add((int(row), int(col)))
                    if lines[-1]:  # what is written next is a line of its own
                        log.seek(0)
                        log.truncate(len("\n".join(lines[:-1])) + 1)
                        log.seek(0, os.SEEK_END)
                else:
                    log.seek(0)
                    log.truncate()
                    log.flush()
                    self._create(profile, describe)
                    log.write(f"{_HEADER}\n{self.token}\n")
                    log.flush()
                self._find_offsets()
                self._log = log
                self._raster = os.open(self.path, os.O_RDWR)
                yield self
            finally:
                if self._raster is not None:
                    os.close(self._raster)
                self._raster = self._log = None
                if not self.done:  # there is nothing to go on with
                    with contextlib.suppress(PermissionError):  # Windows, of an open file
                        self.remove()

    def put(self, key: tuple[int, int], row: int, col: int, bands: Sequence[np.ndarray]) -> None:
        """Write one block of all bands, then its line of the journal."""
        assert self._raster is not None
        _, _, columns = self._shape
        for band, values in enumerate(bands):
            pixels = np.ascontiguousarray(values, np.float32)
            for k, line in enumerate(pixels):
                at = self._offset + 4 * ((band * self._shape[1] + row + k) * columns + col)
                data = memoryview(line).cast("B")
                while data:
                    written = os.pwrite(self._raster, data, at)
                    data, at = data[written:], at + written
        with self._lock:
            self._log.write(f"{key[0]} {key[1]}\n")
            self._log.flush()
            self.done.add(key)

    def note_copy(self, copy: Path) -> None:
        """Note the file that is to be renamed to the result; renaming keeps its number."""
        with self._lock:
            self._log.write(f"{_COPY} {copy.stat().st_ino}\n")
            self._log.flush()

    def has_become(self, target: Path) -> bool:
        """Test if an earlier process made `target` of the same work, and had to clear up only."""
        try:
            lines = self.journal.read_text().split("\n")
            number = target.stat().st_ino
        except OSError:
            return False
        return lines[:2] == [_HEADER, self.token] and f"{_COPY} {number}" in lines[2:-1]

    def remove(self, *, keep_journal: bool = False) -> None:
        """Remove file and journal; a journal that is kept still tells what was made."""
        files = (self.path, Path(f"{self.path}.aux.xml"), self.journal)
        for path in files[: 2 if keep_journal else 3]:
            path.unlink(missing_ok=True)

    def _create(self, profile: dict[str, Any], describe: Callable[[Any], None]) -> None:
        import rasterio

        count, height, width = (profile[k] for k in ("count", "height", "width"))
        need = 4 * count * height * width
        # The copy with its overviews, and what GDAL keeps of these meanwhile, come on top.
        room = need + 2 * need
        stat = os.statvfs(self.path.parent) if hasattr(os, "statvfs") else None
        if stat is not None and stat.f_bavail * stat.f_frsize < room:
            free = stat.f_bavail * stat.f_frsize
            raise FileError(
                f"{self.path.parent} has {free / 2**20:.0f} MiB left, and {room / 2**20:.0f} MiB "
                "are needed while the result is written: make room, or write elsewhere."
            )
        plain = {
            **{k: v for k, v in profile.items() if k not in ("compress", "zlevel", "predictor")},
            "tiled": False, "blockysize": 1, "interleave": "band", "sparse_ok": False,
        }  # fmt: skip
        plain.pop("blockxsize", None)
        self.path.unlink(missing_ok=True)
        with rasterio.open(self.path, "w", **plain) as out:
            describe(out)
        # GDAL closes a file that found no room without a word.
        if (size := self.path.stat().st_size) < need:
            self.remove()
            raise OSError(
                errno.ENOSPC, f"room for {size} bytes only, and {need} are needed while the "
                "result is written",
            )  # fmt: skip
        # Room for all of it, or an error now.
        with self.path.open("r+b") as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, self.path.stat().st_size)

    def _find_offsets(self) -> None:
        """Offset of the first row; all rows of all bands follow each other."""
        import rasterio

        with rasterio.open(self.path) as file:
            count, height, width = file.count, file.height, file.width
            first, last = (
                file.get_tag_item(f"BLOCK_OFFSET_0_{row}", "TIFF", bidx=band)
                for band, row in ((1, 0), (count, height - 1))
            )
        self._shape, self._offset = (count, height, width), int(first)
        if int(last) - int(first) != 4 * width * (count * height - 1):
            raise FileError(f"{self.path} is not laid out row by row; remove it and begin again.")
