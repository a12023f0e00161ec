"""Fields side by side along ``pair`` or ``time``: taken one by one, and put together again."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Iterator
from typing import Any, Concatenate, ParamSpec

import numpy as np
import xarray as xr

from .errors import DimensionError
from .stack import STACKED

__all__ = ["field_stack_dim", "fields_of", "labels_of", "over_stack"]

_Parameters = ParamSpec("_Parameters")


def field_stack_dim(disp: object) -> Hashable | None:
    """Dimension along which fields are stacked, ``pair`` or ``time``; None for one field.

    Raises
    ------
    DimensionError
        There are both.

    Examples
    --------
    >>> moved = xr.DataArray(np.ones((2, 3, 4)), dims=("pair", "y", "x"))
    >>> field_stack_dim(xr.Dataset({"east": moved, "north": moved}))
    'pair'
    """
    if not isinstance(disp, xr.Dataset):
        return None
    first = next((v for v in disp.data_vars.values() if v.ndim > 2), None)
    if first is None:
        return None
    found = [dim for dim in STACKED if first.sizes.get(dim, 1) > 1]
    if len(found) == 2:
        raise DimensionError(
            f"disp has both dimensions, {dict(first.sizes)}: choose one of a kind, "
            "disp.isel(time=0)."
        )
    return found[0] if found else None


def fields_of(disp: xr.Dataset, dim: Hashable) -> Iterator[xr.Dataset]:
    """The fields of a stack, each with its times as scalar coordinates.

    Examples
    --------
    >>> moved = xr.DataArray(np.ones((2, 3, 4)), dims=("pair", "y", "x"))
    >>> [part.east.dims for part in fields_of(xr.Dataset({"east": moved}), "pair")]
    [('y', 'x'), ('y', 'x')]
    """
    for k in range(disp.sizes[dim]):
        part = disp.isel({dim: k})
        if dim == "time" and "time" in part.coords and "secondary_time" not in part.coords:
            part = part.assign_coords(secondary_time=((), part["time"].values))
        yield part


def labels_of(disp: xr.Dataset, dim: Hashable) -> list[str]:
    """A short name for each field of a stack: its dates, its coordinate or its number.

    Examples
    --------
    >>> when = np.array(["2020-01-01", "2020-02-01"], "datetime64[ns]")
    >>> labels_of(xr.Dataset(coords={"time": when}), "time")
    ['2020-01-01', '2020-02-01']
    """
    ends = [disp.coords.get(name) for name in ("reference_time", "secondary_time")]
    if dim in disp.coords:
        names = [_short(value) for value in disp[dim].values]
    elif all(end is not None and end.dims == (dim,) for end in ends):
        times = zip(*(end.values for end in ends if end is not None), strict=True)
        names = [" to ".join(map(_short, both)) for both in times]
    else:
        names = [str(k) for k in range(disp.sizes[dim])]
    return names if len(set(names)) == len(names) else [f"{k}: {n}" for k, n in enumerate(names)]


def _short(value: Any) -> str:
    """A date, with its time of day where it has one; anything else as text."""
    if not isinstance(value, np.datetime64):
        return str(value)
    text = str(value.astype("datetime64[s]"))
    return text.removesuffix("T00:00:00")


def over_stack(
    function: Callable[Concatenate[xr.Dataset, _Parameters], xr.Dataset],
) -> Callable[Concatenate[xr.Dataset, _Parameters], xr.Dataset]:
    """Let a function of one field take a stack too, field by field.

    Named arguments that have the stack's dimension, such as a mask a pair, are taken along.
    Attributes in which the results differ hold a line for each.

    Examples
    --------
    >>> @over_stack
    ... def halve(disp):
    ...     assert disp.east.dims == ("y", "x")
    ...     return disp / 2
    >>> moved = xr.DataArray(np.ones((2, 3, 4)), dims=("pair", "y", "x"))
    >>> halve(xr.Dataset({"east": moved})).east.sizes
    Frozen({'pair': 2, 'y': 3, 'x': 4})
    """

    @functools.wraps(function)
    def on_all(
        disp: xr.Dataset, *args: _Parameters.args, **options: _Parameters.kwargs
    ) -> xr.Dataset:
        dim = field_stack_dim(disp)
        if dim is None:
            return function(disp, *args, **options)
        parts = []
        for k, part in enumerate(fields_of(disp, dim)):
            own: Any = {
                name: value.isel({dim: k})
                if isinstance(value, xr.DataArray) and dim in value.dims
                else value
                for name, value in options.items()
            }
            parts.append(function(part, *args, **own))
        return _together(disp, dim, parts)

    return on_all


def _together(disp: xr.Dataset, dim: Hashable, parts: list[xr.Dataset]) -> xr.Dataset:
    """Fields as one stack, in place of the one they come from."""
    along = [name for name in parts[0].data_vars if name not in disp or dim in disp[name].dims]
    own = [name for name, c in disp.coords.items() if dim in c.dims]
    bare = [part.drop_vars(own, errors="ignore") for part in parts]
    out = xr.concat(
        bare, dim=dim, data_vars=along, coords="minimal", compat="override",
        combine_attrs="override", join="override",
    )  # fmt: skip
    for name in out.data_vars:
        out[name].encoding = dict(parts[0][name].encoding)
    out = out.drop_vars([c for c in out.coords if c not in disp.coords and c not in disp.dims])
    out = out.assign_coords({name: disp.coords[name] for name in own})
    for key in dict.fromkeys(key for part in parts for key in part.attrs):
        values: list[Any] = [part.attrs.get(key) for part in parts]
        if any(not np.array_equal(value, values[0]) for value in values[1:]):
            lines = zip(labels_of(disp, dim), values, strict=True)
            out.attrs[key] = "\n".join(f"{label}: {value}" for label, value in lines)
    return out
