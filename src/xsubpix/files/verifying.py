"""Rasters read again after they were written: GDAL closes a file that found no room in silence."""

from __future__ import annotations

import errno
import itertools
from pathlib import Path
from typing import TYPE_CHECKING

from .bands import without_georeference_warnings

if TYPE_CHECKING:
    import rasterio.io

__all__ = ["check_written"]


def check_written(path: Path, count: int, shape: tuple[int, int]) -> None:
    """Open a raster anew, and see that it is whole.

    All blocks of a GeoTIFF, and of its overviews, have to lie within the file, and the
    last one of each band has to be readable; other rasters need the bytes of their pixels.

    Parameters
    ----------
    path : pathlib.Path
        File that was closed.
    count : int
        Bands.
    shape : (int, int)
        Rows and columns.

    Raises
    ------
    OSError
        It is not whole: the disk is full.
    rasterio.errors.RasterioError
        It cannot be read.
    """
    import rasterio

    size = path.stat().st_size
    with without_georeference_warnings(), rasterio.open(path) as file:
        if (file.count, *file.shape) != (count, *shape):
            raise _incomplete(path, size)
        tiff = file.driver in ("GTiff", "COG")
        if not tiff and size < 4 * count * shape[0] * shape[1]:
            raise _incomplete(path, size)
        levels = [None, *range(len(file.overviews(1)))] if tiff else [None]
        for level in levels:
            _check_level(path, file, level, size, tiff)


def _check_level(
    path: Path, file: rasterio.io.DatasetReader, level: int | None, size: int, tiff: bool
) -> None:
    """Blocks of one resolution, and the pixels of the last one of each band."""
    import rasterio
    from rasterio.windows import Window

    options = {} if level is None else {"overview_level": level}
    with without_georeference_warnings(), rasterio.open(path, **options) as opened:
        rows, cols = opened.shape
        for band, (high, wide) in zip(opened.indexes, opened.block_shapes, strict=True):
            down, across = -(-rows // high), -(-cols // wide)
            for i, j in itertools.product(range(down if tiff else 0), range(across)):
                offset, length = (
                    int(file.get_tag_item(f"BLOCK_{what}_{j}_{i}", "TIFF", band, level) or 0)
                    for what in ("OFFSET", "SIZE")
                )
                if offset <= 0 or length <= 0 or offset + length > size:
                    raise _incomplete(path, size)
            row, col = (down - 1) * high, (across - 1) * wide
            opened.read(band, window=Window(col, row, cols - col, rows - row))


def _incomplete(path: Path, size: int) -> OSError:
    return OSError(errno.ENOSPC, f"{path.name} is not whole: there was room for {size} bytes only")
