"""Displacement through time: a network of pairs to one field a date."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from ..errors import DataError, ModelError
from ..field_input import checked_field
from ..grid import find_crs
from .flagged import left_out, without_unsure

__all__ = ["series"]

# A network's largest number of dates in a batch of pixels: memory of n^2 a pixel.
_BATCH_NUMBERS = 4_000_000
# Dates whose variance comes out larger than this many times the largest weight's are
# connected to no other.
_LARGEST_VARIANCE = 1e6
# Rounds of reweighting, and where Huber's loss turns linear, in robust deviations.
_ROUNDS, _HUBER = 8, 1.5


def series(
    disp: xr.Dataset,
    *,
    reference: Any = None,
    weights: str = "sigma",
    robust: bool = True,
    keep_unsure: bool = False,
) -> xr.Dataset:
    r"""Displacement at every date, from the displacements of pairs of dates.

    Parameters
    ----------
    disp : xarray.Dataset
        ``east``, ``north`` and, if present, ``sigma``, with a dimension ``pair`` and its
        coordinates ``reference_time`` and ``secondary_time``, as
        :func:`xsubpix.correlate` gives for stacks. NaN is missing.
    reference : datetime, optional
        Date at which the displacement is zero; by default the first.
    weights : {"sigma", "none"}
        ``"sigma"``: pairs are weighted by ``1 / sigma**2``, or equally without ``sigma``.
    robust : bool
        Reduce the weight of pairs that fit badly (Huber's weights, iterated).
    keep_unsure : bool
        Use values flagged as unsure too, see :func:`xsubpix.mask`;
        by default they are left out, and the attribute ``left_out`` says how many.

    Returns
    -------
    xarray.Dataset
        Lazy if `disp` is. With the dimension ``time``, the dates of all pairs:

        ``east``, ``north`` : float32
            Displacement since `reference`; NaN at dates that no chain of pairs
            ties to it.
        ``sigma`` : float32
            One standard deviation of each component, scaled by how well the
            pairs fit.

        and without: ``closure``, the root mean square by which pairs and dates
        disagree (of each component, pairs weighted as in the fit), and ``quality``,
        the share of pairs that were used.

    Raises
    ------
    DataError
        There are no pairs, no times, or the reference is none of the dates.
    ModelError
        Unknown `weights`.

    Notes
    -----
    Weighted least squares for each pixel of ``d(pair) = x(secondary) -
    x(reference)``, as for the small baselines of radar interferometry (Berardino
    et al. 2002, doi:10.1109/TGRS.2002.803792) and for optical images (Bontemps et
    al. 2018, doi:10.1016/j.rse.2018.02.023).

    Examples
    --------
    >>> import numpy as np, xarray as xr, xsubpix
    >>> when = np.array(["2020-01-01", "2020-02-01", "2020-03-01"], "datetime64[ns]")
    >>> moved = np.array([1.0, 2.0, 3.0]).reshape(3, 1, 1)  # of pairs 0-1, 1-2, 0-2
    >>> disp = xr.Dataset({name: (("pair", "y", "x"), moved) for name in ("east", "north")})
    >>> disp["reference_time"] = ("pair", when[[0, 1, 0]])
    >>> disp["secondary_time"] = ("pair", when[[1, 2, 2]])
    >>> disp = disp.set_coords(["reference_time", "secondary_time"])
    >>> xsubpix.series(disp).east[:, 0, 0].values
    array([0., 1., 3.], dtype=float32)
    """
    if weights not in ("sigma", "none"):
        raise ModelError(f"weights={weights!r}: give 'sigma' or 'none'.")
    disp = checked_field(disp, "east", "north", squeeze=False)
    disp, share = without_unsure(disp, keep_unsure, ("east", "north", "sigma"))
    times, first, second = _network(disp)
    origin = 0
    if reference is not None:
        found = np.flatnonzero(times == _date(reference, times.dtype))
        if not len(found):
            raise DataError(
                f"reference={reference!r} is none of the {len(times)} dates, {times[0]} to "
                f"{times[-1]}."
            )
        origin = int(found[0])
    spread = disp["sigma"] if "sigma" in disp and weights == "sigma" else None
    if spread is None:
        spread = xr.full_like(disp["east"], np.nan)
    # Of a copy: apply_ufunc of older xarrays takes the attributes off the coordinates it is given.
    fields = [_one_chunk(v.copy(deep=False), "pair") for v in (disp["east"], disp["north"], spread)]
    east, north, sigma, closure, quality = xr.apply_ufunc(
        _invert,
        *fields,
        input_core_dims=[["pair"]] * 3,
        output_core_dims=[["time"], ["time"], ["time"], [], []],
        kwargs={
            "first": first, "second": second, "dates": len(times), "origin": origin,
            "robust": robust,
        },
        dask="parallelized",
        output_dtypes=[np.float32] * 5,
        dask_gufunc_kwargs={"output_sizes": {"time": len(times)}},
        keep_attrs=False,
    )  # fmt: skip
    units = disp["east"].attrs.get("units", "1")
    grid_mapping = find_crs(disp["east"], "disp")[1]
    described = {
        "east": (east, "displacement toward grid east since the reference date", units),
        "north": (north, "displacement toward grid north since the reference date", units),
        "sigma": (sigma, "one-sigma uncertainty of each displacement component", units),
        "closure": (closure, "root mean square misfit of the pairs", units),
        "quality": (quality, "share of the pairs that were used", "1"),
    }
    out = xr.Dataset(attrs={**disp.attrs, "title": "Displacement time series"})
    out.attrs |= left_out(disp, share)
    for name, (field, label, unit) in described.items():
        if "time" in field.dims:
            field = field.transpose("time", ...)
        field.attrs = {"long_name": label, "units": unit}
        if grid_mapping:
            field.encoding["grid_mapping"] = grid_mapping
        out[name] = field
    out = out.assign_coords(
        time=("time", times, {"long_name": "date of the images"}),
        reference_time=((), times[origin], {"long_name": "date of no displacement"}),
    )
    # All of them, with the attributes that apply_ufunc drops: the CRS is one.
    names = ("time", "reference_time")
    kept = {k: v for k, v in disp.coords.items() if "pair" not in v.dims and k not in names}
    return out.assign_coords(kept)


def _network(disp: xr.Dataset) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All dates, sorted, and the indices of each pair's first and second."""
    names = ("reference_time", "secondary_time")
    if "pair" not in disp.dims or any(name not in disp.coords for name in names):
        raise DataError(
            f"disp has the dimensions {tuple(disp.dims)}; a dimension 'pair' with the coordinates "
            "reference_time and secondary_time is needed, as correlate gives for stacks with times."
        )
    one, two = (disp[name].values for name in names)
    if one.shape != (disp.sizes["pair"],) or two.shape != one.shape:
        raise DataError("reference_time and secondary_time need one value for each pair.")
    if np.isnat(one).any() or np.isnat(two).any():
        raise DataError("a pair has no time: fill reference_time and secondary_time.")
    if (one == two).any():
        k = int(np.flatnonzero(one == two)[0])
        raise DataError(
            f"pair {k} of disp has one date, {str(one[k])[:19]}, for both of its images, which "
            "says nothing of other dates: leave it out, disp.isel(pair=...)."
        )
    times = np.unique(np.concatenate((one, two)))
    return times, np.searchsorted(times, one), np.searchsorted(times, two)


def _date(reference: Any, dtype: np.dtype) -> np.datetime64:
    """A date as NumPy has it, from text, a datetime or a DataArray of one."""
    try:
        return (
            np.datetime64(np.asarray(reference).reshape(()).item(), "ns").astype(dtype)
            if (isinstance(reference, xr.DataArray | np.ndarray))
            else np.datetime64(reference).astype(dtype)
        )
    except (TypeError, ValueError) as error:
        raise DataError(
            f"reference={reference!r} is no date: give one such as '2020-01-31'."
        ) from error


def _one_chunk(field: xr.DataArray, dim: str) -> xr.DataArray:
    return field.chunk({dim: -1}) if field.chunks is not None else field


def _invert(
    east: np.ndarray,
    north: np.ndarray,
    sigma: np.ndarray,
    *,
    first: np.ndarray,
    second: np.ndarray,
    dates: int,
    origin: int,
    robust: bool,
) -> tuple[np.ndarray, ...]:
    """Pixels ``(..., pair)`` to dates ``(..., time)``; see :func:`series`."""
    shape, pairs = east.shape[:-1], east.shape[-1]
    flat = [v.reshape(-1, pairs) for v in (east, north, sigma)]
    out = [np.full((len(flat[0]), dates), np.nan, np.float32) for _ in range(3)]
    closure, quality = (np.full(len(flat[0]), np.nan, np.float32) for _ in range(2))
    size = max(1, _BATCH_NUMBERS // (dates * dates))
    for start in range(0, len(flat[0]), size):
        part = slice(start, start + size)
        x, y, s = (v[part] for v in flat)
        found = _solve(x, y, s, first, second, dates, origin, robust)
        for target, values in zip((*out, closure, quality), found, strict=True):
            target[part] = values
    return (
        *(v.reshape(*shape, dates) for v in out),
        closure.reshape(shape),
        quality.reshape(shape),
    )


def _solve(
    east: np.ndarray,
    north: np.ndarray,
    sigma: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    dates: int,
    origin: int,
    robust: bool,
) -> tuple[np.ndarray, ...]:
    """Pixels ``(n, pair)`` to dates ``(n, time)``, closure and share of pairs used, ``(n,)``."""
    known = np.isfinite(east) & np.isfinite(north)
    data = np.where(known, np.stack((east, north)), 0.0).astype(np.float64)
    base = _base_weights(known, sigma)
    design = _design(first, second, dates, origin)
    weight = base
    for _ in range(_ROUNDS if robust else 1):
        normal = np.einsum("pi,np,pj->nij", design, weight, design, optimize=True)
        # A date without a pair gets a variance of 1e9, and no more numbers than that.
        normal += 1e-9 * np.eye(dates - 1)
        right = np.einsum("pi,np,cnp->nic", design, weight, data, optimize=True)
        solution = np.linalg.solve(normal, right)
        misfit = data - np.einsum("pi,nic->cnp", design, solution, optimize=True)
        length = np.hypot(*misfit)
        used = weight > 0
        scale = 1.2 * _median(np.where(used, length, np.nan))
        if robust:
            limit = np.maximum(_HUBER * scale[:, None], 1e-9)
            weight = base * np.minimum(1.0, limit / np.maximum(length, 1e-12))
    covariance = np.linalg.inv(normal)
    variance = np.diagonal(covariance, axis1=1, axis2=2)
    freedom = np.maximum(used.sum(1) - (dates - 1), 1)
    power = (weight * length**2).sum(1) / 2 / freedom
    unconnected = variance > _LARGEST_VARIANCE
    values = np.where(unconnected[None], np.nan, np.moveaxis(solution, 2, 0))
    deviation = np.where(unconnected, np.nan, np.sqrt(variance * power[:, None]))
    any_used = used.any(1)
    at_origin = np.where(any_used, 0.0, np.nan)
    total = np.where(any_used, weight.sum(1), 1.0)
    closure = np.sqrt((weight * length**2 / 2).sum(1) / total)
    return (
        *(np.insert(field, origin, at_origin, axis=1) for field in (*values, deviation)),
        np.where(any_used, closure, np.nan),
        used.mean(1),
    )


def _base_weights(known: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Weight of each pair before reweighting: ``1 / sigma**2``, or 1 where no sigma is known.

    Of mean 1 in each pixel, so that dates without a pair stand out by their variance.
    """
    has_sigma = known & np.isfinite(sigma) & (sigma > 0)
    inverse = np.where(
        has_sigma, 1.0 / np.where(has_sigma, sigma, 1.0).astype(np.float64) ** 2, 0.0
    )
    mean = inverse.sum(1) / np.maximum(has_sigma.sum(1), 1)
    any_sigma = has_sigma.any(1)
    relative = inverse / np.where(any_sigma, mean, 1.0)[:, None]
    return np.where(any_sigma[:, None], relative, known.astype(np.float64))


def _design(first: np.ndarray, second: np.ndarray, dates: int, origin: int) -> np.ndarray:
    """Matrix ``(pair, time)`` from dates, without the origin, to pairs: +1 second, -1 first."""
    index = np.full(dates, -1)
    index[np.delete(np.arange(dates), origin)] = np.arange(dates - 1)
    design = np.zeros((len(first), dates - 1))
    rows = np.arange(len(first))
    for column, sign in ((second, 1.0), (first, -1.0)):
        there = index[column] >= 0
        np.add.at(design, (rows[there], index[column][there]), sign)
    return design


def _median(values: np.ndarray) -> np.ndarray:
    """Median of each row's numbers, 0 where there is none."""
    filled = np.sort(np.where(np.isfinite(values), values, np.inf), axis=1)
    count = np.isfinite(values).sum(1)
    median = np.take_along_axis(filled, np.maximum(count - 1, 0)[:, None] // 2, axis=1)[:, 0]
    return np.where(count > 0, median, 0.0)
