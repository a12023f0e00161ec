"""Missing values: what an array says of them in its attributes, and where they are."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import xarray as xr

from .errors import DataError

__all__ = ["Missing", "declared_missing", "is_missing"]

_FILLS = ("_FillValue", "missing_value", "nodata")


@dataclasses.dataclass(frozen=True)
class Missing:
    """Values that are missing data: some single ones, and all outside of a range.

    Attributes
    ----------
    values : tuple of float
        Fill values.
    low, high : float
        Smallest and largest value that is data.
    """

    values: tuple[float, ...] = ()
    low: float = -math.inf
    high: float = math.inf


def declared_missing(
    array: xr.DataArray, what: str = "image", *, bounds: bool = True
) -> float | Missing | None:
    """Values that an array declares as missing data, beyond NaN and infinity.

    Read are ``_FillValue``, ``missing_value`` (one value or several) and ``nodata``, and CF's
    ``valid_min``, ``valid_max`` and ``valid_range``.

    Parameters
    ----------
    array : xarray.DataArray
    what : str
        What to call it in messages.
    bounds : bool
        Whether the valid range counts.

    Returns
    -------
    float, Missing or None
        A number where one fill value is all there is; None where there is nothing.

    Raises
    ------
    DataError
        A declared value is no number.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> declared_missing(xr.DataArray(np.zeros(3), attrs={"_FillValue": -9999}))
    -9999.0
    >>> declared_missing(xr.DataArray(np.zeros(3), attrs={"missing_value": [0, 255]}))
    Missing(values=(0.0, 255.0), low=-inf, high=inf)
    """
    fills: dict[float, None] = {}
    for source in (array.attrs, array.encoding):
        # A decoded (masked) array keeps the old value in its encoding: its pixels are
        # NaN already, and a true value equal to it is data.
        if source is array.encoding and array.dtype.kind == "f":
            continue
        for key in _FILLS:
            fills.update(dict.fromkeys(_numbers(source.get(key), key, what)))
    low, high = _valid_range(array, what) if bounds else (-math.inf, math.inf)
    if low == -math.inf and high == math.inf:
        if not fills:
            return None
        if len(fills) == 1:
            return next(iter(fills))
    return Missing(tuple(fills), low, high)


def is_missing(pixels: np.ndarray, nodata: float | Missing | None) -> np.ndarray:
    """Mask of the pixels that are NaN, infinite or declared missing.

    Examples
    --------
    >>> import numpy as np
    >>> is_missing(np.array([0, 7, 300]), Missing((0.0,), high=255.0))
    array([ True, False,  True])
    """
    missing: np.ndarray = ~np.isfinite(pixels)
    if nodata is None:
        return missing
    declared = nodata if isinstance(nodata, Missing) else Missing((nodata,))
    for value in declared.values:
        missing |= pixels == np.float64(value)
        if pixels.dtype.kind == "f":
            # Compared in the array's own type too: float32's -3.4028235e38 is not the
            # double of the same name.
            with np.errstate(over="ignore"):
                missing |= pixels == np.asarray(value).astype(pixels.dtype)
    if declared.low > -math.inf:
        missing |= pixels < declared.low
    if declared.high < math.inf:
        missing |= pixels > declared.high
    return missing


def _numbers(value: Any, key: str, what: str) -> list[float]:
    """Numbers of an attribute, without NaN."""
    if value is None:
        return []
    try:
        if np.size(value) == 0:
            raise ValueError("no number")
        return [number for v in np.ravel(value) if not math.isnan(number := float(v))]
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{what} declares {key}={value!r} as nodata, which is no number. Remove or "
            f"replace it: {what} = {what}.rio.write_nodata(NUMBER)."
        ) from error


def _valid_range(array: xr.DataArray, what: str) -> tuple[float, float]:
    """Smallest and largest valid value, in the units of the array's values."""
    ends = []
    for key, index in (("valid_min", 0), ("valid_max", 1)):
        found = _numbers(array.attrs.get(key), key, what)
        if not found:
            both = _numbers(array.attrs.get("valid_range"), "valid_range", what)
            found = both[index : index + 1] if len(both) == 2 else []
        ends.append(found[0] if found else (-math.inf, math.inf)[index])
    # CF gives the range in packed values; decoding leaves it so.
    scale, offset = (
        float(np.ravel(array.encoding.get(key, default))[0])
        for key, default in (("scale_factor", 1.0), ("add_offset", 0.0))
    )
    if scale == 1.0 and offset == 0.0:
        return ends[0], ends[1]
    low, high = sorted(end * scale + offset for end in ends)
    if array.dtype == np.float32:  # decoded in single precision: bounds are data
        low, high = low - 1e-6 * abs(low), high + 1e-6 * abs(high)
    return low, high
