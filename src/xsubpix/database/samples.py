"""Samples as a lazy Dataset, whatever they are stored in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import xarray as xr

__all__ = ["FIELDS", "SampleReader", "samples_dataset"]

#: The four images of a sample, and what they are.
FIELDS: dict[str, dict[str, str]] = {
    "pre": {"long_name": "image before", "units": "counts of the image"},
    "post": {"long_name": "image after", "units": "counts of the image"},
    "dx": {
        "long_name": "displacement to the right",
        "units": "pixel",
        "comment": "positive toward growing columns: where the ground of pre went by post",
    },
    "dy": {
        "long_name": "displacement down",
        "units": "pixel",
        "comment": "positive toward growing rows: where the ground of pre went by post",
    },
}


class SampleReader(Protocol):
    """Reader of samples: pre, post, dx and dy, each at several factors."""

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Samples, factors, rows and columns."""

    def read(self, field: str, sample: int, scaling: int) -> np.ndarray:
        """One of :data:`FIELDS`, float32, shape ``(rows, columns)``; NaN is missing."""


def samples_dataset(
    reader: SampleReader, coords: Mapping[str, Any], attrs: Mapping[str, Any]
) -> xr.Dataset:
    """Build the Dataset of a reader's samples, one dask chunk an image.

    Parameters
    ----------
    reader : SampleReader
        Can be pickled.
    coords, attrs : mapping
        Coordinates and attributes of the Dataset.

    Returns
    -------
    xarray.Dataset
        ``pre``, ``post``, ``dx``, ``dy``: float32, dimensions ``sample``,
        ``scaling``, ``y``, ``x``. Nothing is read before it is asked for.
    """
    import dask.array as da

    samples, scalings, rows, columns = reader.shape
    chunks = ((1,) * samples, (1,) * scalings, (rows,), (columns,))

    def variable(field: str) -> tuple[tuple[str, ...], Any, dict[str, str]]:
        def block(block_id: tuple[int, ...] = (0, 0, 0, 0)) -> np.ndarray:
            return reader.read(field, block_id[0], block_id[1])[None, None]

        array = da.map_blocks(
            block,
            chunks=chunks,
            dtype=np.float32,
            meta=np.empty((0, 0, 0, 0), np.float32),
            name=f"samples-{field}-" + da.core.tokenize(reader, field),
        )
        return ("sample", "scaling", "y", "x"), array, dict(FIELDS[field])

    return xr.Dataset({f: variable(f) for f in FIELDS}, coords=dict(coords), attrs=dict(attrs))
