"""Values left out by what the field says of them itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from ..checks import real_number
from ..errors import ModelError
from ..field_stack import over_stack
from .field import Field
from .flagged import UNSURE, bits, unsure_names

__all__ = ["mask"]


@over_stack
def mask(
    disp: xr.Dataset,
    *,
    quality: float | None = None,
    sigma: float | None = None,
    flags: str | tuple[str, ...] | list[str] = (),
) -> xr.Dataset:
    """Leave out values that are flagged, uncertain or of low quality.

    Without arguments, it leaves out those that the field's flags call unsure.

    Parameters
    ----------
    disp : xarray.Dataset
        ``east``, ``north``, and those of ``quality``, ``sigma`` and ``flags`` that are needed.
        Stacks along ``pair`` or ``time`` are masked field by field.
    quality : float, optional
        Keep values whose ``quality`` is above this, 0 to 1.
    sigma : float, optional
        Keep values whose ``sigma`` is below this, unit of the field.
    flags : str or sequence of str
        Leave out values that carry any of these flags, by the names in
        ``disp.flags.flag_meanings``, such as ``"low_texture"``. Without any argument:
        ``low_texture``, ``not_converged``, ``out_of_range`` and ``ambiguous``.

    Returns
    -------
    xarray.Dataset
        `disp` with ``east``, ``north``, ``up``, ``sigma`` and further outputs in the
        same unit missing where a value was left out; ``quality``, ``flags``
        and everything else are unchanged. Lazy if `disp` is.
        The attribute ``mask`` says what was asked for. For an eager field it also gives the
        share of values left out, and the RMS before and after.

    Raises
    ------
    DataError
        A variable that is needed is absent.
    DimensionError, GridError
        The field is on no usable grid.
    ModelError
        No argument was given and the field has no such flags; or an argument is out of
        bounds, or is not a flag of the field.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xsubpix
    >>> dims, quality = ("y", "x"), np.array([[0.2, 0.9]])
    >>> disp = xr.Dataset({name: (dims, np.ones((1, 2))) for name in ("east", "north")})
    >>> disp["quality"] = (dims, quality)
    >>> xsubpix.mask(disp, quality=0.5).east.values
    array([[nan,  1.]])
    """
    names = [flags] if isinstance(flags, str) else list(flags)
    if not names and quality is None and sigma is None:
        names = unsure_names(disp) if isinstance(disp, xr.Dataset) else []
        if not names:
            raise ModelError(
                f"nothing to mask by: disp has no flag of {', '.join(UNSURE)}. "
                "Give quality=, sigma= or flags=."
            )
    asked: list[tuple[str, str]] = []
    if quality is not None:
        asked.append(("quality", f"quality > {real_number('quality', quality, 0.0, 1.0):g}"))
    if sigma is not None:
        asked.append(("sigma", f"sigma < {real_number('sigma', sigma, 0.0, above=True):g}"))
    if names:
        asked.append(("flags", "not " + ", ".join(names)))
    field = Field.of(disp, *(name for name, _ in asked))
    good: Any = True
    if quality is not None:
        good = good & (field.array("quality") > quality)
    if sigma is not None:
        good = good & (field.array("sigma") < sigma)
    if names:
        good = good & ((field.array("flags") & bits(field.disp["flags"], names)) == 0)
    parts = field.lengths
    before = {name: field.array(name) for name in parts}
    where = _where(field)
    after = {name: where(good, array, np.float32(np.nan)) for name, array in before.items()}
    text = " and ".join(words for _, words in asked)
    if not field.lazy:
        had = np.isfinite(before["east"])
        gone = had & ~np.isfinite(after["east"])
        text += f"; left out {gone.sum() / max(had.sum(), 1):.2%} of values"
        text += field.removed(*({k: d[k] for k in field.components} for d in (before, after)))
    return field.replaced(after, {"mask": text})


def _where(field: Field) -> Any:
    if field.lazy:
        import dask.array as da

        return da.where
    return np.where
