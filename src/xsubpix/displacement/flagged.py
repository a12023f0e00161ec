"""Values that a field's own flags call unsure: which they are, and what is left without them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from ..errors import DataError, ModelError
from ..estimators import Flag
from .field import Field

__all__ = [
    "UNSURE", "bits", "is_unsure", "left_out", "sure_field", "unsure_names",
    "unsure_share", "without_unsure",
]  # fmt: skip

#: Flags of values that are not to be believed.
UNSURE = tuple(name for name, bit in Flag.MEANINGS.items() if bit & Flag.UNSURE)


def bits(flags: xr.DataArray, names: Sequence[str]) -> np.uint8:
    """Bits of named flags, together.

    Raises
    ------
    DataError
        The flags have no names.
    ModelError
        A name is none of them.
    """
    meanings = str(flags.attrs.get("flag_meanings", "")).split()
    masks = np.ravel(flags.attrs.get("flag_masks", ()))
    if not meanings or len(meanings) != len(masks):
        raise DataError(
            "disp.flags has no flag_meanings and flag_masks that belong together, so its bits have "
            "no names. Use disp.where((disp.flags & BITS) == 0)."
        )
    known = dict(zip(meanings, masks, strict=True))
    wrong = [name for name in names if name not in known]
    if wrong:
        raise ModelError(f"flags={wrong[0]!r}: the flags of disp are {', '.join(meanings)}.")
    return np.uint8(sum(int(known[name]) for name in set(names)))


def unsure_names(disp: xr.Dataset) -> list[str]:
    """Names of the flags of a field that say a value is unsure."""
    if "flags" not in disp:
        return []
    meanings = str(disp["flags"].attrs.get("flag_meanings", "")).split()
    if len(meanings) != np.size(disp["flags"].attrs.get("flag_masks", ())):
        return []
    return [name for name in UNSURE if name in meanings]


def is_unsure(disp: xr.Dataset) -> xr.DataArray | None:
    """Mask of values with a flag of :data:`UNSURE`.

    Parameters
    ----------
    disp : xarray.Dataset
        Of any dimensions.

    Returns
    -------
    xarray.DataArray of bool or None
        None where the field has no such flags.
    """
    names = unsure_names(disp)
    if not names:
        return None
    flags = disp["flags"]
    return (flags.astype(np.uint8) & bits(flags, names)) != 0


def unsure_share(disp: xr.Dataset) -> float:
    """Share of the values of ``east`` that are flagged as unsure, of those there are; eager."""
    return without_unsure(disp, False, ["east"])[1] or 0.0


def without_unsure(
    disp: xr.Dataset, keep_unsure: bool, names: Sequence[str]
) -> tuple[xr.Dataset, float | None]:
    """A field whose unsure values are missing, and their share of those there were.

    Parameters
    ----------
    disp : xarray.Dataset
        Of any dimensions; lazy or not.
    keep_unsure : bool
        True leaves all as it is.
    names : sequence of str
        Variables to leave them out of.

    Returns
    -------
    disp : xarray.Dataset
    share : float or None
        Of the values of ``east``, or the first of the names; None where nobody asked, and
        NaN for a lazy field.
    """
    unsure = None if keep_unsure else is_unsure(disp)
    if unsure is None:
        return disp, None
    out = disp.copy()
    share: float = float("nan")
    for k, name in enumerate(
        n for n in names if n in disp and set(unsure.dims) == set(disp[n].dims)
    ):
        old = disp[name].variable
        away = unsure.variable.transpose(*old.dims)
        lazy = any(hasattr(v.data, "dask") for v in (old, away))
        if not lazy and k == 0:
            had = np.isfinite(old.values)
            share = float((had & away.values).sum() / max(int(had.sum()), 1))
        out[name] = xr.Variable(
            old.dims, _blank(old.data, away.data, lazy), old.attrs, old.encoding
        )
    return out, share


def _blank(values: Any, away: Any, lazy: bool) -> Any:
    if lazy:
        import dask.array as da

        return da.where(away, np.float32(np.nan), values)
    return np.where(away, np.float32(np.nan), values)


def sure_field(field: Field, keep_unsure: bool) -> tuple[Field, float | None]:
    """The same for a field taken apart: its components, ``sigma`` and other lengths."""
    disp, share = without_unsure(field.disp, keep_unsure, field.lengths)
    return dataclasses.replace(field, disp=disp), share


def left_out(disp: xr.Dataset, share: float | None) -> dict[str, str]:
    """Attribute ``left_out`` of a product: how many values, and by which flags."""
    if share is None:
        return {}
    many = "values" if np.isnan(share) else f"{share:.2%} of the values"
    return {"left_out": f"{many}, flagged {' or '.join(unsure_names(disp))}"}
