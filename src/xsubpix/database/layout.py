"""Layout of a database: its splits, the crops of a frame, the columns of its table.

Constants and what follows from them alone: plan, frames, store and reader all build on it.
"""

from __future__ import annotations

from typing import NamedTuple

from ..errors import DataError

__all__ = [
    "COLUMNS",
    "JITTER_VERSION",
    "QUANTUM",
    "SPLITS",
    "STORE_VERSION",
    "TEXTS",
    "Column",
    "crop_corners",
]

#: Splits of a database, in the order of their numbers of faults.
SPLITS = ("train", "validation", "test")

#: Version of what is drawn and stored. 1 is what has no version: second dates with one random
#: stream, in flat records. 2: each effect of a second date has a stream of its own.
#: 3: the nine crops of a frame are called so, no longer windows; and a hole takes 6 x 6 pixels
#: of a registered second scene with it, no longer 7 x 7, which may choose other places.
#: 4: misplaced detectors move lines by splines, no longer by a Taylor expansion to first order.
STORE_VERSION = 4

#: First version whose images have the jitter of detectors as large as the table says.
JITTER_VERSION = 4

#: Step of the stored displacement, pixels.
QUANTUM = 1e-3

#: Columns of text: JSON in UTF-8, padded with zeros.
TEXTS = ("fault", "second_dates")


class Column(NamedTuple):
    """A column of the table: its dimensions, type, unit and meaning."""

    dims: tuple[str, ...]
    dtype: str
    units: str
    long_name: str


_FRAME, _BY_SCALING, _BY_CROP = ("frame",), ("frame", "scaling"), ("frame", "crop")

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
        ("frame", "crop", "scaling"),
        "float32",
        "1",
        "mean correlation of pre and post in cells of 32 px, the ground moved",
    ),
    "largest": Column(_BY_CROP, "float32", "pixel", "largest displacement at factor 1"),
    "largest_step": Column(
        _BY_CROP, "float32", "pixel", "largest difference of neighbouring pixels at factor 1"
    ),
    "trace": Column(_BY_CROP, "uint8", "1", "1 where the fault breaks the surface in the crop"),
    "pre_scale": Column(_FRAME, "float64", "1", "image = (code - 1) * scale + offset"),
    "pre_offset": Column(_FRAME, "float64", "1", "image = (code - 1) * scale + offset"),
    "post_scale": Column(_BY_SCALING, "float64", "1", "image = (code - 1) * scale + offset"),
    "post_offset": Column(_BY_SCALING, "float64", "1", "image = (code - 1) * scale + offset"),
}


def crop_corners(frame: int, crop: int) -> list[tuple[int, int]]:
    """First rows and columns of a frame's nine crops, a 3 x 3 grid, row by row.

    Raises
    ------
    DataError
        The frame is not larger than the crop by an even number of pixels.
    """
    stride, rest = divmod(frame - crop, 2)
    if rest or stride < 1 or crop < 1:
        raise DataError(
            f"frame={frame} and crop={crop}: nine crops need a frame that is larger than "
            "a crop by an even number of pixels, for instance 1024 and 512."
        )
    return [(i * stride, j * stride) for i in range(3) for j in range(3)]
