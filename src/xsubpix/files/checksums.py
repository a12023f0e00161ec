"""Checksums of a GeoTIFF's tiles, which its readers leave unread.

A deflated tile ends with a checksum of its pixels. libtiff stops as soon as it has as
many as it needs, before the checksum: a tile with damaged bytes is then read without
complaint, and holds other pixels than were written.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from ..errors import FileError

__all__ = ["check_tiles"]


def check_tiles(path: str, band: int, rows: range, cols: range) -> None:
    """Compare the deflated tiles that hold some pixels with their checksums.

    Parameters
    ----------
    path : str
        Raster on this machine. What is no GeoTIFF, or not deflated, has no checksums
        and passes.
    band : int
        From 1.
    rows, cols : range
        Of the pixels.

    Raises
    ------
    FileError
        A tile is damaged.
    """
    import rasterio

    with rasterio.open(path) as raster:
        if raster.driver not in ("GTiff", "COG") or raster.profile.get("compress") != "deflate":
            return
        high, wide = raster.block_shapes[band - 1]
        tiles = [
            (i, j, *_byte_range(raster, band, i, j))
            for i in range(rows.start // high, (rows.stop - 1) // high + 1)
            for j in range(cols.start // wide, (cols.stop - 1) // wide + 1)
        ]
    with open(path, "rb") as file:
        for i, j, offset, size in tiles:
            if size == 0:  # left out, and nodata by agreement
                continue
            file.seek(offset)
            try:
                for _ in _inflated(file.read(size)):
                    pass
            except zlib.error as error:
                raise FileError(
                    f"cannot read {path}: the tile of rows {i * high} to {(i + 1) * high - 1}, "
                    f"columns {j * wide} to {(j + 1) * wide - 1} is damaged ({error}). Get the "
                    "file anew; to use it as it is, open it with rioxarray.open_rasterio."
                ) from error


def _byte_range(raster: object, band: int, i: int, j: int) -> tuple[int, int]:
    """First byte and number of bytes of a tile; none of a tile that was left out."""
    offset, size = (
        raster.get_tag_item(f"BLOCK_{what}_{j}_{i}", "TIFF", bidx=band)  # type: ignore[attr-defined]
        for what in ("OFFSET", "SIZE")
    )
    return int(offset or 0), int(size or 0)


def _inflated(data: bytes) -> Iterator[bytes]:
    """The contents, in pieces, so that no more than one is held."""
    stream = zlib.decompressobj()
    while data and not stream.eof:
        yield stream.decompress(data, 2**20)
        data = stream.unconsumed_tail
    if not stream.eof:
        raise zlib.error("incomplete stream")
