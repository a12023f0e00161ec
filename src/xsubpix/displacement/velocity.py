"""Velocity of the ground, and its step at an event, from a time series."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from ..errors import DataError, ModelError
from ..grid import find_crs

__all__ = ["velocity"]

# Days in a year of the velocities.
_YEAR = 365.25
# Variance of a normal matrix beyond which a pixel's dates cannot tell its terms apart.
_LOOSE = 1e12


def velocity(disp: xr.Dataset, *, step: Any = None) -> xr.Dataset:
    r"""Fit a velocity, and a step at a known date, to a time series.

    .. math:: d(t) = c + v t + s H(t - t_0)

    Parameters
    ----------
    disp : xarray.Dataset
        ``east``, ``north`` along ``time``, as :func:`xsubpix.series` gives; NaN is missing.
    step : datetime, optional
        Date of an event, such as an earthquake, within the series.

    Returns
    -------
    xarray.Dataset
        Lazy if `disp` is: ``east_velocity``, ``north_velocity`` (unit of the field a year)
        with ``east_velocity_sigma``, ``north_velocity_sigma``; with an event ``east_step``,
        ``north_step`` and their ``*_sigma``; ``n_dates``. NaN where there are too few
        dates.

    Raises
    ------
    DataError
        This is not a time series, or the event is not within it.
    ModelError
        `step` is no date.

    Notes
    -----
    Least squares for each pixel; errors follow from the residuals, as if those of different
    dates were independent.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xsubpix
    >>> when = np.datetime64("2020-01-01", "ns") + np.arange(5) * np.timedelta64(73, "D")
    >>> moved = 2.0 * (np.arange(5) * 73 / 365.25).reshape(5, 1, 1)
    >>> disp = xr.Dataset({n: (("time", "y", "x"), moved) for n in ("east", "north")})
    >>> round(float(xsubpix.velocity(disp.assign_coords(time=when)).east_velocity[0, 0]), 3)
    2.0
    """
    ready = isinstance(disp, xr.Dataset) and {"east", "north"} <= set(disp.data_vars)
    if not ready or "time" not in disp["east"].dims or "time" not in disp.coords:
        have = dict(disp.sizes) if isinstance(disp, xr.Dataset) else type(disp).__name__
        raise DataError(f"disp has {have}: 'east' and 'north' along 'time' are needed, see series.")
    times = disp["time"].values
    years = (times - times.min()) / np.timedelta64(1, "D") / _YEAR
    design = [np.ones_like(years), years]
    if step is not None:
        try:
            event = np.datetime64(step).astype(times.dtype)
        except (TypeError, ValueError) as error:
            raise ModelError(f"step={step!r} is no date: give '2023-02-06'.") from error
        after = (times >= event).astype(float)
        if after.all() or not after.any():
            raise DataError(
                f"step={step!r} is not within the series, {str(times.min())[:10]} to "
                f"{str(times.max())[:10]}: there are dates on one side only."
            )
        design.append(after)
    matrix = np.stack(design, axis=1)
    unit = str(disp["east"].attrs.get("units", "1"))
    mapping = find_crs(disp["east"], "disp")[1]
    out = xr.Dataset(attrs={**disp.attrs, "title": "Velocity of the ground"})
    for name in ("east", "north"):
        field = disp[name]
        field = field.chunk({"time": -1}) if field.chunks is not None else field
        fitted = xr.apply_ufunc(
            _fitted, field, input_core_dims=[["time"]], output_core_dims=[[]] * 5,
            kwargs={"design": matrix}, dask="parallelized", output_dtypes=[np.float32] * 5,
        )  # fmt: skip
        rate = f"{unit} year-1" if unit != "1" else "year-1"
        kept = {f"{name}_velocity": (fitted[0], rate), f"{name}_velocity_sigma": (fitted[1], rate)}
        if step is not None:
            kept |= {f"{name}_step": (fitted[2], unit), f"{name}_step_sigma": (fitted[3], unit)}
        for key, (values, units) in kept.items():
            out[key] = values.assign_attrs(units=units, long_name=key.replace("_", " "))
            if mapping:
                out[key].encoding["grid_mapping"] = mapping
        out["n_dates"] = fitted[4].assign_attrs(units="1", long_name="dates used")
    return out


def _fitted(values: np.ndarray, *, design: np.ndarray) -> tuple[np.ndarray, ...]:
    """Velocity, step and their errors of pixels (..., time), and the dates of each."""
    shape = values.shape[:-1]
    flat = values.reshape(-1, values.shape[-1]).astype(float)
    known = np.isfinite(flat)
    weight = known.astype(float)
    data = np.where(known, flat, 0.0)
    terms = design.shape[1]
    normal = np.einsum("ti,nt,tj->nij", design, weight, design) + 1e-14 * np.eye(terms)
    right = np.einsum("ti,nt->ni", design, data)
    inverse = np.linalg.inv(normal)
    solution = np.einsum("nij,nj->ni", inverse, right)
    misfit = (data - solution @ design.T) * weight
    count = known.sum(1)
    freedom = count - terms
    variance = (misfit**2).sum(1) / np.maximum(freedom, 1)
    spread = np.diagonal(inverse, axis1=1, axis2=2)
    loose = (spread > _LOOSE).any(1) | (freedom < 0)
    sigma = np.sqrt(np.maximum(variance[:, None] * spread, 0))
    sigma[freedom < 1] = np.nan
    solution[loose], sigma[loose] = np.nan, np.nan
    last = 2 if terms > 2 else 1
    found = (solution[:, 1], sigma[:, 1], solution[:, last], sigma[:, last], count)
    return tuple(v.reshape(shape).astype(np.float32) for v in found)
