"""Profiles: the values of a swath stacked onto its axis, with what they scatter by."""

from __future__ import annotations

import itertools
from typing import Any, Literal

import numpy as np
import xarray as xr

from ..checks import real_number
from ..errors import DataError, ModelError
from ..kernels.robust import nmad
from .field import Field
from .flagged import left_out, sure_field
from .traces import Trace, read_trace

__all__ = ["profile"]

# The median of normal noise errs so much more than its mean.
_MEDIAN_ERROR = 1.2533
_SIGNS = {
    "along": "positive toward the end of the line",
    "right": "positive to the line's right",
    "east": "positive along +x",
    "north": "positive along +y",
    "up": "positive upward",
}


def profile(
    disp: xr.Dataset,
    line: Any,
    *,
    width: float,
    spacing: float | None = None,
    statistic: Literal["median", "mean"] = "median",
    error_length: float | None = None,
    keep_unsure: bool = False,
) -> xr.Dataset:
    """Stack the values of a swath onto its axis.

    Parameters
    ----------
    disp : xarray.Dataset
        ``east``, ``north``; also ``up`` if present.
    line : line
        The axis, from its start: two points or more, as
        :func:`xsubpix.read_trace` takes it. To see motion along a fault, draw the line
        across the fault: see ``right``.
    width : float
        Width of the swath across its axis, metres.
    spacing : float, optional
        Length of the bins along the axis, metres; one pixel by default.
    statistic : {"median", "mean"}
        Statistic that stands for the values of a bin.
    error_length : float, optional
        Side of the square in which errors are about the same, metres. None: that of
        the model (``model_error_length``), else one pixel.
    keep_unsure : bool
        Use values flagged as unsure too, see :func:`xsubpix.mask`;
        by default they are left out, and the attribute ``left_out`` says how many.

    Returns
    -------
    xarray.Dataset
        In memory, along ``distance`` (metres from the line's start; bins' middles),
        with ``x``, ``y`` (CRS). With c one of ``along`` (positive toward the line's
        end), ``right`` (positive to its right), ``east``, ``north`` and ``up``:

        ``c``
            The stacked value, NaN where a bin holds none.
        ``c_sigma``
            Its one-sigma error: the scatter of the bin's values, over the root of
            how many of them are independent.
        ``c_scatter``
            The values' own robust standard deviation: noise, and what changes along
            the fault.
        ``n_values``
            Values in the bin.

    Raises
    ------
    DataError
        No value lies in the swath, or `disp` is not a field, or `line` not a line.
    DimensionError, GridError, FileError
        The field is on no usable grid; the line cannot be read.
    ModelError
        A parameter is out of bounds.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xsubpix
    >>> pixel = {"y": -30.0 * np.arange(40), "x": 30.0 * np.arange(60)}
    >>> x = np.broadcast_to(pixel["x"], (40, 60))
    >>> step = np.where(x < 900, -1.0, 1.0)  # 2 m across a fault at x = 885
    >>> disp = xr.Dataset({"east": (("y", "x"), 0 * step), "north": (("y", "x"), step)}, pixel)
    >>> line = xsubpix.profile(disp, [(0.0, -600.0), (1770.0, -600.0)], width=300.0)
    >>> float(line.north[3]), float(line.north[-3])
    (-1.0, 1.0)
    """
    field, share = sure_field(Field.of(disp).loaded(), keep_unsure)
    pixel = field.plane.pixel
    width = real_number("width", width, 0.0, above=True)
    step = pixel if spacing is None else real_number("spacing", spacing, 0.0, above=True)
    if statistic not in ("median", "mean"):
        raise ModelError(f"statistic={statistic!r}: give 'median' or 'mean'.")
    error_length_pixels = field.error_length_pixels
    if error_length is not None:
        error_length_pixels = max(1.0, real_number("error_length", error_length, 0.0) / pixel)
    axis = read_trace(line, field.grid)
    skipped = left_out(field.disp, share)
    distance, values = _swath(field, axis, width, "".join(skipped.values()))
    count = max(1, int(np.ceil(axis.length / step - 1e-9)))
    index = np.minimum((distance / step).astype(int), count - 1)
    order = np.argsort(index, kind="stable")
    bounds = np.searchsorted(index[order], np.arange(count + 1))
    bins = [order[i:j] for i, j in itertools.pairwise(bounds)]
    # Values of one error: a square of them, cut to the bin where it is shorter.
    values_per_error = error_length_pixels * min(error_length_pixels, max(1.0, step / pixel))
    unit = field.grid.units
    variables: dict[str, Any] = {}
    for name, v in values.items():
        stacked = np.array([_stack(v[b], statistic, values_per_error) for b in bins]).T
        kinds = ("displacement", "one-sigma error", "scatter of single values")
        for suffix, kind, array in zip(("", "_sigma", "_scatter"), kinds, stacked, strict=True):
            attrs = {"long_name": f"{name}, {kind}", "units": unit, "comment": _SIGNS[name]}
            variables[f"{name}{suffix}"] = ("distance", array, attrs)
    number_of = [int(np.isfinite(values["east"][b]).sum()) for b in bins]
    described = {"long_name": "values in the bin", "units": "1"}
    variables["n_values"] = ("distance", number_of, described)
    centres = (np.arange(count) + 0.5) * step
    point, _ = axis.at(centres)
    x, y = field.plane.to_crs(point[:, 0], point[:, 1])
    out = xr.Dataset(
        variables,
        coords={
            "distance": (
                "distance", centres, {"long_name": "distance along the line", "units": unit}
            ),
            "x": ("distance", x, {"long_name": "x in the CRS of the field"}),
            "y": ("distance", y, {"long_name": "y in the CRS of the field"}),
        },
        attrs={
            "Conventions": "CF-1.11", "title": "Swath profile of displacement", "width": width,
            "spacing": step, "statistic": statistic, "error_length_pixels": error_length_pixels,
            **skipped,
        },
    )  # fmt: skip
    if field.grid.crs is not None:
        import rioxarray  # noqa: F401  (registers .rio)

        out = out.rio.write_crs(field.grid.crs.to_wkt())
    return out


def _swath(
    field: Field, axis: Trace, width: float, skipped: str
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Distances along an axis of all values in its swath, metres, and the values by name."""
    at = axis.pixels_within(field.plane, field.grid.shape, width / 2 + field.plane.pixel)
    x, y = field.plane.at(*np.unravel_index(at, field.grid.shape))
    distance, beside, tangent = axis.locate(x, y)
    inside = (np.abs(beside) <= width / 2) & (distance >= 0) & (distance <= axis.length)
    at, distance, tangent = at[inside], distance[inside], tangent[inside]
    values = {name: np.asarray(field.array(name)).flat[at] for name in field.components}
    if not any(np.isfinite(v).any() for v in values.values()):
        raise DataError(
            f"disp has no value within {width / 2:g} {field.unit} of the line"
            f"{f' ({skipped})' if skipped else ''}. Check that the "
            "line's coordinates are in the CRS of the field, and widen the swath."
        )
    east, north = values["east"], values["north"]
    return distance, {
        "along": east * tangent[:, 0] + north * tangent[:, 1],
        "right": east * tangent[:, 1] - north * tangent[:, 0],
        **values,
    }


def _stack(
    values: np.ndarray, statistic: str, values_per_error: float
) -> tuple[float, float, float]:
    """Stacked value, its error, and the scatter of single values."""
    finite = values[np.isfinite(values)].astype(float)
    if finite.size == 0:
        return np.nan, np.nan, np.nan
    mean = float(finite.mean() if statistic == "mean" else np.median(finite))
    if finite.size < 3:
        return mean, np.nan, np.nan
    scatter = float(finite.std(ddof=1)) if statistic == "mean" else nmad(finite)
    independent = max(1.0, finite.size / values_per_error)
    factor = 1.0 if statistic == "mean" else _MEDIAN_ERROR
    return mean, factor * scatter / np.sqrt(independent), scatter
