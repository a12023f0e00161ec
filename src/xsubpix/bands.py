"""Images of several bands: a field each, or one field from all."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr

from .errors import DimensionError, ModelError
from .estimators import Flag
from .grid import Grid, Plane
from .kernels.alike_mean import LARGEST, alike_mean
from .kernels.band_means import combine_fields
from .lattice import Lattice, map_blocks

__all__ = ["BAND", "correlate_bands", "is_multiband"]

#: Dimension of the bands.
BAND = "band"
# Side of the squares over which shares of sure values and shared errors are averaged, values; means
# of means of means are taken, so that a block needs three times half of it around.
_WINDOW = 17
_HALO = 3 * (_WINDOW // 2)
# Data types of what comes out: these, then the number of bands and their correlation.
_TYPES = (*[np.float32] * 4, np.uint8, np.float32, np.float32)
_COMBINED = ("east", "north", "sigma", "quality", "flags")


def is_multiband(image: object) -> bool:
    """Tell an image with several bands from one with one.

    Examples
    --------
    >>> is_multiband(xr.DataArray(np.zeros((3, 4, 5)), dims=("band", "y", "x")))
    True
    """
    return isinstance(image, xr.DataArray) and image.sizes.get(BAND, 1) > 1


def correlate_bands(
    pre: xr.DataArray,
    post: xr.DataArray,
    how: str,
    correlate: Callable[[xr.DataArray, xr.DataArray], xr.Dataset],
) -> xr.Dataset:
    """Measure images band by band.

    Parameters
    ----------
    pre, post : xarray.DataArray
        With a dimension ``band`` of one size; one of them may have a single band, which is
        measured with each of the other.
    how : {"each", "combine"}
        A field for each band, or one from all.
    correlate : callable
        From a pair of single bands to their field.

    Returns
    -------
    xarray.Dataset
        ``"each"``: along a first dimension ``band``. ``"combine"``: ``east``, ``north``,
        ``sigma``, ``quality``, ``flags`` and

        ``bands_used`` : float32
            Number of bands that count at a place.
        ``shared_error`` : float32
            Correlation of the errors of two bands, 0 to 1, as their differences tell; see
            :func:`xsubpix.kernels.band_means.combine_fields`.

        Where a model ends with a mean of what moves alike, as ``unet`` does, so does the
        combination (:func:`xsubpix.kernels.alike_mean.alike_mean`): it is less noisy than any
        of the bands, whose errors had limited their own means. Lazy where the fields are.

    Raises
    ------
    DimensionError
        The two have different bands.
    ModelError
        `how` is neither.

    Examples
    --------
    >>> bands = xr.DataArray(np.zeros((3, 4, 5), "f4"), dims=("band", "y", "x"))
    >>> def difference(pre, post):
    ...     moved = post - pre
    ...     names = ("east", "north", "sigma", "quality")
    ...     return xr.Dataset(dict.fromkeys(names, moved)).assign(flags=moved.astype("u1"))
    >>> correlate_bands(bands, bands + 1, "combine", difference).east.values[0, 0]
    np.float32(1.0)
    """
    if how not in ("each", "combine"):
        raise ModelError(f"bands={how!r}: give 'each', 'combine' or None.")
    pre, post = (i.squeeze(BAND, drop=True) if i.sizes.get(BAND) == 1 else i for i in (pre, post))
    several = [image for image in (pre, post) if BAND in image.dims]
    if not several:
        return correlate(pre, post)
    _check_bands(several)
    count = several[0].sizes[BAND]
    fields = [
        correlate(*(i.isel({BAND: k}, drop=True) if BAND in i.dims else i for i in (pre, post)))
        for k in range(count)
    ]
    if how == "combine":
        return _combined(fields)
    out = xr.concat(fields, dim=BAND, coords="minimal", compat="override", combine_attrs="override")
    for name in out.data_vars:
        out[name].encoding = dict(fields[0][name].encoding)
    labels = several[0].coords.get(BAND)
    return out if labels is None else out.assign_coords({BAND: (BAND, labels.values)})


def _check_bands(several: list[xr.DataArray]) -> None:
    """Refuse two images of different bands."""
    sizes = [image.sizes[BAND] for image in several]
    if len(set(sizes)) > 1:
        raise DimensionError(
            f"pre has {sizes[0]} bands and post {sizes[1]}: choose those that both have, "
            "pre.sel(band=[...])."
        )
    labels = [image.coords[BAND].values for image in several if BAND in image.coords]
    if len(labels) == 2 and not np.array_equal(*labels):
        raise DimensionError(
            f"pre has the bands {labels[0].tolist()} and post {labels[1].tolist()}: order them "
            "alike, post.sel(band=pre.band), or drop the names, post.drop_vars('band')."
        )


def _combined(fields: list[xr.Dataset]) -> xr.Dataset:
    """One field from those of all bands."""
    first = fields[0]
    dims = first["east"].dims
    arrays = [field[name].transpose(*dims).data for name in _COMBINED for field in fields]
    shape = first["east"].shape
    mean = _Mean.of(first)
    halo = _HALO + mean.reach
    lattice = Lattice((shape[0], shape[1]), step=1, halo=halo, tile=256)
    found = map_blocks(
        _Combine(len(fields), halo, _WINDOW, mean), arrays, lattice, _TYPES,
        conditions=[_as_float] * len(arrays), name="subpix-bands",
    )  # fmt: skip
    out = first[list(_COMBINED)].copy()
    for name, array in zip(_COMBINED, found, strict=False):
        old = first[name]
        out[name] = xr.Variable(dims, array, old.attrs, old.encoding)
    encoding = {k: v for k, v in first["quality"].encoding.items() if k == "grid_mapping"}
    described: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("bands_used", "number of bands that count", {}),
        ("shared_error", "correlation of the errors of two bands",
         {"valid_range": np.array([0, 1], np.float32)}),
    )  # fmt: skip
    for (name, words, more), array in zip(described, found[len(_COMBINED) :], strict=True):
        attrs: dict[str, Any] = {"long_name": words, "units": "1", **more}
        out[name] = xr.Variable(dims, array, attrs, encoding)
    out.attrs["bands"] = (
        f"{len(fields)} bands measured one by one and combined: weights from sigma, from the "
        f"median of the others and from the share of sure values, over {_WINDOW} values"
    )
    if mean.distances:
        out.attrs["bands"] += f"; then the mean of what moves alike over {mean.reach} values"
    return out


@dataclasses.dataclass(frozen=True)
class _Mean:
    """Mean of what moves alike over the combination; of no neighbours where models have none."""

    distances: tuple[int, ...]
    largest: float

    @classmethod
    def of(cls, field: xr.Dataset) -> _Mean:
        """Read from a field how far its model takes such a mean; values, units of the field."""
        reach, step = (int(field.attrs.get(f"model_{n}", 0)) for n in ("mean_over", "step"))
        step = max(step, 1)
        distances: list[int] = []
        while 2 * (sum(distances) + 2 ** len(distances)) * step <= reach:
            distances.append(2 ** len(distances))
        if not distances:
            return cls((), 0.0)
        plane = Plane.of(Grid.from_dataarray(field["east"], "field"))
        return cls(tuple(distances), LARGEST * plane.pixel / step)

    @property
    def reach(self) -> int:
        """Values around one that have a say in its mean."""
        return 2 * sum(self.distances)


@dataclasses.dataclass(frozen=True)
class _Combine:
    """A block of the fields of all bands to one of their combination: pure, picklable."""

    bands: int
    halo: int
    window: int
    mean: _Mean

    def __call__(
        self, blocks: list[np.ndarray], row: int, col: int, rows: int, cols: int
    ) -> tuple[np.ndarray, ...]:
        h = self.halo
        parts = [
            np.stack(blocks[k * self.bands : (k + 1) * self.bands])[
                :, : rows + 2 * h, : cols + 2 * h
            ]
            for k in range(len(_COMBINED))
        ]
        east, north, sigma, quality, flags = parts
        bits = np.where(np.isfinite(flags), flags, float(Flag.NODATA)).astype(np.uint8)
        sure = (bits & Flag.UNSURE) == 0
        east, north, sigma, shared, weight = combine_fields(
            east, north, sigma, sure, window=self.window
        )
        if self.mean.distances:
            east, north = alike_mean(
                east, north, sigma, self.mean.distances, largest=self.mean.largest
            )
        counts = weight > 0
        used = counts.sum(0)
        quality = np.where(used > 0, (weight * np.nan_to_num(quality)).sum(0), np.nan)
        outputs = (east, north, sigma, quality, _flags(bits, counts, sure), used, shared)
        inner = slice(h, h + rows), slice(h, h + cols)
        return tuple(
            np.asarray(out)[inner].astype(dtype) for out, dtype in zip(outputs, _TYPES, strict=True)
        )


def _flags(bits: np.ndarray, counts: np.ndarray, sure: np.ndarray) -> np.ndarray:
    """Flags of the bands that count; ``not_converged`` where most sure ones fell out."""
    any_used = counts.any(0)
    flags = np.bitwise_or.reduce(np.where(counts, bits, np.uint8(0)), axis=0)
    # No band has a value: what most of them say.
    flags = np.where(any_used, flags & ~Flag.NODATA, np.bitwise_or.reduce(bits, axis=0))
    few = any_used & (2 * counts.sum(0) < (sure & ((bits & Flag.NODATA) == 0)).sum(0))
    return (flags | np.where(few, Flag.NOT_CONVERGED, np.uint8(0))).astype(np.uint8)


def _as_float(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32)
