"""Outliers: values taken out of a displacement field, only when asked."""

from __future__ import annotations

import dataclasses

import numpy as np
import xarray as xr

from ..checks import real_number, whole_number
from ..field_input import checked_field
from ..grid import Grid
from ..kernels.median_test import local_median, normalised_deviation
from ..lattice import Lattice, map_blocks
from .field import Field

__all__ = ["filter_outliers"]

# Scatter that good neighbours have at least, pixels of the field's grid.
LEAST_SCATTER = 0.01


def filter_outliers(
    disp: xr.Dataset,
    *,
    quality: float | None = None,
    deviation: float | None = 3.0,
    radius: int = 2,
    noise: float | None = None,
) -> xr.Dataset:
    r"""Remove values of low quality and values that disagree with their neighbours.

    Parameters
    ----------
    disp : xarray.Dataset
        ``east`` and ``north``; also ``sigma``, ``quality``, ... if present.
    quality : float, optional
        Keep values whose ``quality`` is above this, 0 to 1, as in :func:`xsubpix.mask`;
        the others are removed first. Each model defines its own scale. None: all are kept,
        and ``quality`` is not needed.
    deviation : float, optional
        Remove values whose distance from the median of their neighbours exceeds
        `deviation` times that of the neighbours (the normalised median test). 2 is
        the published, strict value. None: no such test.
    radius : int
        Largest distance of a neighbour in rows and in columns, 1 to 5.
    noise : float, optional
        Expected scatter of good values, unit of the field, above zero; added to that of
        the neighbours. None: the median of their ``sigma``, and
        at least 1 % of the grid's pixel.

    Returns
    -------
    xarray.Dataset
        `disp` with ``east``, ``north`` and ``sigma`` missing where a value was
        removed; ``quality``, ``flags`` and everything else are unchanged. Lazy if
        `disp` is. The attribute ``outlier_filter`` says what was done; for an eager field
        also the share removed, and RMS and NMAD before and after.

    Raises
    ------
    DataError
        ``east`` or ``north`` is absent, or ``quality`` where it is asked for.
    GridError, DimensionError
        The field is on no usable grid.
    ModelError
        A parameter is out of bounds.

    Notes
    -----
    .. math:: |u - m| > k \, (\mathrm{median}_i |u_i - m| + \epsilon),

    with m the median of the neighbours :math:`u_i`, component by component, k `deviation`
    and :math:`\epsilon` `noise`. A fault is no outlier: next to it, neighbours
    are as far from their median as the value is. A value without any neighbour
    stays.

    References
    ----------
    Westerweel, J. & Scarano, F. (2005). Universal outlier detection for PIV
    data. Experiments in Fluids 39, 1096-1100.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xsubpix
    >>> east = np.zeros((9, 9), np.float32)
    >>> east[4, 4] = 7.0
    >>> disp = xr.Dataset({"east": (("y", "x"), east), "north": (("y", "x"), 0 * east)})
    >>> int(xsubpix.filter_outliers(disp).east.isnull().sum())
    1
    """
    disp = checked_field(disp, "east", "north", *(() if quality is None else ("quality",)))
    if quality is not None:
        real_number("quality", quality, 0.0, 1.0)
    if deviation is not None:
        real_number("deviation", deviation, 0.0, above=True)
    if noise is not None:
        real_number("noise", noise, 0.0, above=True)
    radius = whole_number("radius", radius, 1, 5)
    grid = Grid.from_dataarray(disp["east"], "disp")
    arrays = [disp[name].transpose(*grid.dims).data for name in ("east", "north")]
    like = arrays[0]
    for name in ("sigma", "quality"):
        # Missing where there is none: it has no say then.
        arrays.append(disp[name].transpose(*grid.dims).data if name in disp else np.nan * like)
    (good,) = map_blocks(
        _OutlierTest(grid, quality, deviation, radius, noise),
        arrays,
        Lattice(grid.shape, step=1, halo=radius, tile=256),
        [np.bool_],
        conditions=[_as_float] * 4,
        name="subpix-filter",
    )
    mask = xr.DataArray(good, dims=grid.dims)
    out = disp.copy()
    for name in ("east", "north", "sigma"):
        if name in disp:
            field = disp[name]
            kept = field.variable.where(mask.variable.transpose(*field.dims))
            out[name] = xr.Variable(field.dims, kept.data, field.attrs, field.encoding)
    asked = {"quality": quality, "deviation": deviation, "radius": radius, "noise": noise}
    text = ", ".join(f"{k}={v}" for k, v in asked.items() if v is not None)
    whole = Field(disp, grid)
    if not whole.lazy:
        before, after = ({k: d[k].values for k in ("east", "north")} for d in (disp, out))
        had = np.isfinite(before["east"])
        gone = had & ~np.isfinite(after["east"])
        text += f"; left out {gone.sum() / max(had.sum(), 1):.2%} of values"
        text += whole.removed(before, after)
    out.attrs["outlier_filter"] = text
    return out


@dataclasses.dataclass(frozen=True)
class _OutlierTest:
    """A block of east, north, sigma, quality to what stays."""

    grid: Grid
    quality: float | None
    deviation: float | None
    radius: int
    noise: float | None

    def __call__(
        self, blocks: list[np.ndarray], row: int, col: int, rows: int, cols: int
    ) -> tuple[np.ndarray]:
        east, north, sigma, quality = blocks
        missing = ~(np.isfinite(east) & np.isfinite(north))
        if self.quality is not None:
            # Before the test of neighbours, which then are the better ones.
            missing |= ~(quality > self.quality)
        east, north = (np.where(missing, np.nan, field) for field in (east, north))
        inner = np.s_[self.radius : self.radius + rows, self.radius : self.radius + cols]
        valid = ~missing
        if self.deviation is not None:
            noise = self._noise(np.where(missing, np.nan, sigma), row, col)
            far = normalised_deviation(east, north, self.radius, noise) > self.deviation
            valid &= ~far
        return (valid[inner],)

    def _noise(self, sigma: np.ndarray, row: int, col: int) -> np.ndarray | float:
        if self.noise is not None:
            return self.noise
        rows, cols = (
            first - self.radius + np.arange(n)
            for first, n in zip((row, col), sigma.shape, strict=True)
        )
        least = self.grid.length_to_metres(np.full(sigma.shape, LEAST_SCATTER), rows, cols)
        return np.fmax(least, local_median(sigma, self.radius))


def _as_float(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32)
