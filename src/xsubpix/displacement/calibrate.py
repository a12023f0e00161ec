"""Sigma that follows the pair: a floor for what the images' own misfit leaves in a field."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import xarray as xr

from ..errors import DataError
from ..kernels.robust import huber_fit, nmad, polynomial_terms
from .field import Field, whole
from .stable import stable_ground

__all__ = ["calibrate_sigma"]

# About how many values are looked at: more add nothing but time.
_SAMPLES = 1_000_000
# Fewest values of stable ground, or of a block, from which a scatter is told.
_FEWEST = 30
# Side of the blocks of a field without a mask, in lengths over which errors are alike, and the
# fewest of them along the field's shorter side.
_BLOCK, _ACROSS = 3.0, 4
_SMALLEST = 12


def calibrate_sigma(disp: xr.Dataset, stable: xr.DataArray | None = None) -> xr.Dataset:
    r"""Add the scatter on ground that did not move to sigma, in quadrature.

    An estimator's sigma is that of the noise in a window. It does not include how well two
    images lie on each other (relief, jitter, registration, changed ground), which is often
    half of the variance. On stable ground the field shows it:

    .. math:: \sigma'^2 = \sigma^2 + f^2, \quad
        f^2 = \max\big(0, s^2 - \mathrm{median}(\sigma^2)\big),

    with s the robust scatter (NMAD) of a component, both together as the root of their mean
    square, about its median.

    Parameters
    ----------
    disp : xarray.Dataset
        ``east``, ``north``, ``sigma``; flagged values are left out.
    stable : xarray.DataArray of bool, optional
        True on stable ground, on the field's grid. None: s is taken from the field itself,
        as the median over blocks of three error lengths, in each about a plane. Faults
        may cross less than half of the blocks; what varies over longer distances than a
        block is not in it.

    Returns
    -------
    xarray.Dataset
        `disp` with another ``sigma``; where it had none, the floor. Lazy if `disp` is: one
        task then sees the whole field, not the images. The scalar coordinate ``sigma_floor``
        is f in the unit of the field; so is, of an eager field, the attribute of that name.
        The attribute ``sigma_floor_method`` says how it was found.

    Raises
    ------
    DataError
        ``sigma`` is absent, `stable` is no mask, or fewer than 30 values are on stable ground.
    DimensionError, GridError
        The field is on no usable grid, or the mask on another.

    References
    ----------
    Hampel, F. R. (1974). The influence curve and its role in robust estimation. Journal of
    the American Statistical Association 69, 383-393.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xsubpix
    >>> rng = np.random.default_rng(0)
    >>> east, north = rng.normal(0, 0.5, (2, 60, 60))
    >>> fields = {"east": east, "north": north, "sigma": np.full((60, 60), 0.3)}
    >>> disp = xr.Dataset({name: (("y", "x"), part) for name, part in fields.items()})
    >>> found = xsubpix.calibrate_sigma(disp)
    >>> round(found.attrs["sigma_floor"], 1), round(float(found.sigma.mean()), 1)
    (0.4, 0.5)
    """
    field = Field.of(disp, "sigma")
    mask = stable_ground(field, stable, None, None)
    rows, cols = field.grid.shape
    every = max(1, round(math.sqrt(rows * cols / _SAMPLES)))
    names = ["east", "north", "sigma", *(["flags"] if "flags" in disp else [])]
    arrays = [field.array(name)[::every, ::every] for name in names]
    if mask is not None:
        arrays.append(mask[::every, ::every])
    block = _block_side(field, every)
    measure = _Floor("flags" in disp, mask is not None, block)
    if mask is None:
        words = f"robust, from the field itself: {block * every} px blocks, each about a plane"
    else:
        words = "robust, from stable ground that was named"
    attrs: dict[str, Any] = {"sigma_floor_method": words}
    lazy = field.lazy or any(hasattr(array, "dask") for array in arrays)
    sigma = field.array("sigma")
    floor: Any
    if lazy:
        import dask.array as da

        floor = whole(measure, arrays, (1, 1))[0, 0]
        parts = [da.asarray(field.array(name)) for name in ("sigma", "east", "north")]
        new = da.map_blocks(
            _with_floor, *parts, floor, dtype=np.float32, meta=np.empty((0, 0), np.float32)
        )
    else:
        floor = measure(*arrays)[0, 0]
        new = _with_floor(sigma, field.array("east"), field.array("north"), floor)
        attrs["sigma_floor"] = float(floor)
    out = field.replaced({"sigma": new}, attrs)
    described = {"long_name": "floor of sigma", "units": field.grid.units, "comment": words}
    return out.assign_coords(sigma_floor=xr.Variable((), floor, described))


def _with_floor(sigma: np.ndarray, east: np.ndarray, north: np.ndarray, floor: Any) -> np.ndarray:
    """Sigma and floor in quadrature; the floor alone where there is a value without sigma."""
    known = np.where(np.isfinite(sigma), sigma, np.float32(0.0))
    there = np.isfinite(sigma) | (np.isfinite(east) & np.isfinite(north))
    return np.where(there, np.hypot(known, floor), np.nan).astype(np.float32)


def _block_side(field: Field, every: int) -> int:
    """Side of the blocks of a field without a mask, in values that are looked at."""
    wanted = _BLOCK * field.error_length_pixels / every
    most = min(field.grid.shape) / every / _ACROSS
    return max(_SMALLEST, math.ceil(min(max(wanted, 2 * _SMALLEST), most)))


@dataclasses.dataclass(frozen=True)
class _Floor:
    """The floor from arrays (rows, columns): east, north, sigma, flags, mask."""

    flagged: bool
    masked: bool
    block: int

    def __call__(self, *arrays: np.ndarray) -> np.ndarray:
        east, north, sigma = (np.asarray(a, float) for a in arrays[:3])
        good = np.isfinite(east) & np.isfinite(north)
        if self.flagged:
            good &= arrays[3] == 0
        if self.masked:
            good &= np.asarray(arrays[-1], bool)
        count = int(good.sum())
        if count < _FEWEST:
            raise DataError(
                f"disp has {count} unflagged values on stable ground: {_FEWEST} or more tell its "
                "scatter. Give a wider mask."
            )
        if self.masked:
            excess = _excess(east[good], north[good], sigma[good])
        else:
            excess = self._of_blocks(east, north, sigma, good)
        return np.array([[math.sqrt(max(excess, 0.0))]], np.float32)

    def _of_blocks(
        self, east: np.ndarray, north: np.ndarray, sigma: np.ndarray, good: np.ndarray
    ) -> float:
        found = []
        for row in range(0, good.shape[0], self.block):
            for col in range(0, good.shape[1], self.block):
                box = slice(row, row + self.block), slice(col, col + self.block)
                inside = good[box]
                if inside.sum() < max(_FEWEST, 0.3 * self.block**2):
                    continue
                y, x = np.nonzero(inside)
                design = polynomial_terms(x / self.block - 0.5, y / self.block - 0.5, 1).T
                parts = [huber_fit(design, part[box][inside]).residuals for part in (east, north)]
                found.append(_excess(parts[0], parts[1], sigma[box][inside]))
        if not found:
            return _excess(east[good], north[good], sigma[good])
        return float(np.median(found))


def _excess(east: np.ndarray, north: np.ndarray, sigma: np.ndarray) -> float:
    """Variance of a component, beyond that of sigma."""
    known = sigma[np.isfinite(sigma)]
    own = float(np.median(known**2)) if known.size else 0.0
    return 0.5 * (nmad(east) ** 2 + nmad(north) ** 2) - own
