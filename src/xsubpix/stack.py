"""Stacks of images: which pairs they make, and the pairs' fields side by side."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable

import numpy as np
import xarray as xr

from .checks import real_number, whole_number
from .errors import DataError, DimensionError, SubpixWarning
from .image import time_of

__all__ = ["correlate_stack", "is_stack", "pairs"]

#: Dimensions along which images are paired, by position.
STACKED = ("pair", "time")
_TIMES = ("reference_time", "secondary_time")


def is_stack(image: object) -> bool:
    """Tell a stack, with a dimension ``pair`` or ``time`` longer than 1, from one image.

    Examples
    --------
    >>> is_stack(xr.DataArray([[[1.0]], [[2.0]]], dims=("time", "y", "x")))
    True
    """
    return isinstance(image, xr.DataArray) and _stack_dim(image) is not None


def correlate_stack(
    pre: xr.DataArray,
    post: xr.DataArray,
    correlate: Callable[[xr.DataArray, xr.DataArray], xr.Dataset],
) -> xr.Dataset:
    """Correlate images pair by pair along ``pair`` or ``time``.

    Parameters
    ----------
    pre, post : xarray.DataArray
        Images with a dimension ``pair`` or ``time``, of the same length; one of
        them may be a single image, which is then paired with all of the other.
    correlate : callable
        From a pair of single images to their field.

    Returns
    -------
    xarray.Dataset
        The fields along a first dimension ``pair``, with the coordinates
        ``reference_time`` and ``secondary_time`` of each pair where the images have
        times, and those of ``pair`` where it had any.

    Raises
    ------
    DimensionError
        The stacks have different lengths, or an image has both dimensions.
    DataError
        Two images of a pair have one time.

    Examples
    --------
    >>> dates = xr.DataArray(np.zeros((3, 4, 5)), dims=("time", "y", "x"))
    >>> def difference(pre, post):
    ...     return xr.Dataset({"east": post - pre})
    >>> correlate_stack(dates[0], dates[1:], difference).sizes
    Frozen({'pair': 2, 'y': 4, 'x': 5})
    """
    dims = [_stack_dim(image) for image in (pre, post)]
    sizes = [image.sizes.get(dim, 1) for image, dim in zip((pre, post), dims, strict=True)]
    if all(dims) and sizes[0] != sizes[1]:
        raise DimensionError(
            f"pre has {sizes[0]} images along {dims[0]!r}, and post {sizes[1]} along {dims[1]!r}: "
            "pairs are made by position. Choose with pre.isel(...), or align by the coordinate."
        )
    if dims == ["pair", "pair"] and "pair" in pre.coords and "pair" in post.coords:
        labels = pre["pair"].values, post["pair"].values
        if not np.array_equal(*labels):
            k = int(np.flatnonzero(labels[0] != labels[1])[0])
            one, two = (str(part[k]) for part in labels)
            raise DimensionError(
                f"pre and post have different pairs: {one!r} and {two!r} at "
                f"position {k}. Order them alike, post.sel(pair=pre.pair), or drop the coordinate."
            )
    fields = []
    for k in range(max(sizes)):
        before, after = (
            image if dim is None else image.isel({dim: k})
            for image, dim in zip((pre, post), dims, strict=True)
        )
        _check_times(before, after, k)
        fields.append(correlate(before, after))
    coords = {
        name: ("pair", np.array([f[name].values for f in fields]), fields[0][name].attrs)
        for name in _TIMES
        if all(name in f.coords for f in fields)
    }
    for image, dim in zip((pre, post), dims, strict=True):
        if dim == "pair" and "pair" in image.coords:
            coords["pair"] = ("pair", image["pair"].values, image["pair"].attrs)
            break
    out = xr.concat(
        [f.drop_vars(_TIMES, errors="ignore") for f in fields],
        dim="pair", coords="minimal", compat="override", combine_attrs="override",
    )  # fmt: skip
    for name in out.data_vars:
        out[name].encoding = dict(fields[0][name].encoding)
    return out.assign_coords(coords)


def _check_times(pre: xr.DataArray, post: xr.DataArray, number: int) -> None:
    """Refuse a pair of a stack whose images have one time: an image with itself."""
    one, two = time_of(pre), time_of(post)
    if one is not None and one == two:
        raise DataError(
            f"pair {number} of the stack has one time, {str(one)[:19]}, for pre and post: an image "
            "with itself has not moved. Pair other dates, correlate(dates[:-1], dates[1:]), or "
            "drop the times, .drop_vars('time'), if these are two images."
        )
    if one is not None and two is not None and one > two:
        warnings.warn(
            f"pair {number} of the stack goes back in time, {str(one)[:10]} to {str(two)[:10]}: "
            "its displacement is that of the way back. Sort the stack: stack.sortby('time').",
            SubpixWarning,
            stacklevel=4,
        )


def _stack_dim(image: xr.DataArray) -> Hashable | None:
    """Dimension along which images are stacked; None for one image."""
    found = [dim for dim in STACKED if image.sizes.get(dim, 1) > 1]
    if len(found) == 2:
        raise DimensionError(
            f"an image has both dimensions, {dict(image.sizes)}: choose one of a kind, "
            "image.isel(time=0), or make them one, image.stack(both=('pair', 'time'))"
            ".reset_index('both', drop=True).rename(both='pair')."
        )
    return found[0] if found else None


def pairs(
    stack: xr.DataArray,
    *,
    shortest: float = 1.0,
    longest: float | None = None,
    season: float | None = None,
    redundancy: int = 2,
) -> tuple[xr.DataArray, xr.DataArray]:
    """Choose pairs of images of a stack.

    Parameters
    ----------
    stack : xarray.DataArray
        Images along ``time``, in any order.
    shortest, longest : float, optional
        Fewest and most days between the two images of a pair.
    season : float, optional
        Largest difference of the two in the day of the year, across New Year too: with 30,
        pairs are of one season, with similar light and vegetation.
    redundancy : int
        Number of pairs that each image starts, with the next images that fit. With two or
        more, :func:`xsubpix.series` can recognise wrong pairs.

    Returns
    -------
    pre, post : xarray.DataArray
        Along ``pair``, for :func:`xsubpix.correlate`; each with its ``time``.

    Raises
    ------
    DataError
        There are no times, two are equal, or no pair fits.
    ModelError
        A parameter is out of bounds.

    Examples
    --------
    >>> when = np.array(["2020-01-01", "2020-02-01", "2021-01-05"], "datetime64[ns]")
    >>> stack = xr.DataArray(np.zeros((3, 4, 5)), {"time": when}, ("time", "y", "x"))
    >>> pre, post = pairs(stack, season=30)
    >>> [str(time)[:10] for time in post.time.values]
    ['2021-01-05', '2021-01-05']
    """
    low = real_number("shortest", shortest, 0.0)
    high = np.inf if longest is None else real_number("longest", longest, low)
    near = np.inf if season is None else real_number("season", season, 0.0, 183.0)
    count = whole_number("redundancy", redundancy, 1, 1000)
    if (
        not isinstance(stack, xr.DataArray)
        or "time" not in stack.dims
        or "time" not in stack.coords
    ):
        have = stack.dims if isinstance(stack, xr.DataArray) else type(stack).__name__
        raise DataError(
            f"stack has {have}: a dimension 'time' with its coordinate is needed, "
            "xr.concat(images, 'time')."
        )
    order = np.argsort(stack["time"].values, kind="stable")
    times = stack["time"].values[order]
    same = np.flatnonzero(np.diff(times) == np.timedelta64(0))
    if same.size:
        raise DataError(
            f"stack has the time {str(times[same[0]])[:19]} twice: keep one, "
            "stack.drop_duplicates('time'), or mosaic the two with open_pair."
        )
    days = (times - times[0]) / np.timedelta64(1, "D")
    year = days + float((times[0] - times[0].astype("M8[Y]")) / np.timedelta64(1, "D"))
    first: list[int] = []
    second: list[int] = []
    for k in range(len(times)):
        span = days[k + 1 :] - days[k]
        turn = np.abs((year[k + 1 :] - year[k] + 182.6) % 365.25 - 182.6)
        fits = np.flatnonzero((span >= low) & (span <= high) & (turn <= near))[:count]
        first += [k] * len(fits)
        second += (k + 1 + fits).tolist()
    if not first:
        raise DataError(
            f"no two of the {len(times)} images are {low:g} to {high:g} days"
            + ("" if season is None else f" and at most {near:g} days of the year")
            + " apart: allow more."
        )
    one, two = (
        stack.isel(time=xr.DataArray(order[index], dims="pair")) for index in (first, second)
    )
    return one, two
