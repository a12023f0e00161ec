"""Noise taken from a field, the fault left sharp."""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Any, Literal

import numpy as np
import xarray as xr

from ..checks import real_number, whole_number
from ..errors import ModelError
from ..kernels.log_tv import log_tv
from ..kernels.median_test import local_median
from ..kernels.non_local_means import non_local_means
from .field import Field, rms, whole

__all__ = ["denoise"]

# Lambda that suits white noise: a step of six deviations keeps its place, ground without
# any comes out at a 25th of the noise.
_SUITED = 2.0
METHODS = ("log-tv", "nlm", "median")


def denoise(
    disp: xr.Dataset,
    method: Literal["log-tv", "nlm", "median"] = "log-tv",
    *,
    strength: float = 1.0,
    radius: int | None = None,
    noise: float | None = None,
) -> xr.Dataset:
    r"""Reduce the noise of a field.

    Parameters
    ----------
    disp : xarray.Dataset
        ``east`` and ``north``, and ``sigma`` where there is one.
    method : {"log-tv", "nlm", "median"}
        ``"log-tv"``: few, sharp jumps between smooth ground; the fault stays as sharp
        as it is. ``"nlm"``: the mean of places that look alike, weighted by
        1/sigma**2. ``"median"``: of the neighbours; removes single outliers, and
        rounds corners.
    strength : float
        Amount of smoothing: 1 suits the noise, 0.3 is cautious, 3 is bold. No effect on
        the median.
    radius : int, optional
        Median: largest distance of a neighbour in rows and columns, 1 to 7, by default 2.
        Non-local means: largest distance of the places compared, 1 to 20, by default 7.
    noise : float, optional
        One-sigma noise of a component, unit of the field. None: ``sigma``, and where
        that is missing, what the field's own second differences suggest.

    Returns
    -------
    xarray.Dataset
        `disp` with smoothed ``east`` and ``north``; what was missing still is, and everything
        else (``sigma`` too) is unchanged. Lazy if `disp` is. The attribute ``denoise``
        says what was done, for an eager field with the RMS before, after, and of
        what was removed.

    Raises
    ------
    DataError, DimensionError, GridError
        `disp` is not a displacement field.
    ModelError
        Unknown method, or a parameter is out of bounds.

    Notes
    -----
    Log-TV minimises, over both components d at once,

    .. math:: \sum_x \frac{|d - d_0|^2}{2 \sigma^2}
        + \lambda \sum_x \log\left(\frac{|\nabla d|}{\sigma} + \epsilon\right)

    by three passes of weighted total variation, each by the primal-dual method of
    Chambolle & Pock (2011), on blocks that overlap by 32 pixels. Non-local means
    (Buades et al. 2005) compares patches of 5 x 5 pixels in units of their noise.

    References
    ----------
    Buades, A., Coll, B. & Morel, J.-M. (2005). A non-local algorithm for image
    denoising. IEEE Conference on Computer Vision and Pattern Recognition 2, 60-65.

    Candes, E. J., Wakin, M. B. & Boyd, S. P. (2008). Enhancing sparsity by reweighted
    l1 minimization. Journal of Fourier Analysis and Applications 14, 877-905.

    Chambolle, A. & Pock, T. (2011). A first-order primal-dual algorithm for convex
    problems with applications to imaging. Journal of Mathematical Imaging and Vision
    40, 120-145.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xsubpix
    >>> noise = np.random.default_rng(0).normal(size=(2, 48, 48))
    >>> disp = xr.Dataset({"east": (("y", "x"), noise[0]), "north": (("y", "x"), noise[1])})
    >>> quiet = xsubpix.denoise(disp, method="median")
    >>> bool(quiet.east.std() < 0.5 * disp.east.std())
    True
    """
    if method not in METHODS:
        raise ModelError(f"method={method!r}: give one of {', '.join(map(repr, METHODS))}.")
    field = Field.of(disp)
    strength = real_number("strength", strength, 0.0, above=True)
    given = None if noise is None else real_number("noise", noise, 0.0, above=True)
    arrays = {name: field.array(name) for name in ("east", "north")}
    work: Any
    if method == "median":
        reach = whole_number("radius", 2 if radius is None else radius, 1, 7)
        work, halo, extra = _Median(reach), reach, []
        text = f"median of neighbours, radius {reach}"
    else:
        # Errors alike over c pixels make clumps that hold against c times the pull.
        if method == "log-tv":
            work, halo = _LogTV(_SUITED * strength * field.error_length_pixels), 32
            text = f"log-TV, strength {strength:g}"
        else:
            reach = whole_number("radius", 7 if radius is None else radius, 1, 20)
            work, halo = _NonLocal(reach, strength), reach + 2
            text = f"non-local means, strength {strength:g}, radius {reach}"
        extra = [_noise(field, given)]
    cleaned = field.map(work, ["east", "north"], 2, halo=halo, extra=extra)
    out = dict(zip(arrays, cleaned, strict=True))
    if not field.lazy:
        text += field.removed(arrays, out)
        taken = ", ".join(f"{rms(arrays[k] - out[k]):.4g} from {k}" for k in out)
        text += f", taken {taken}"
    return field.replaced(out, {"denoise": text})


@dataclasses.dataclass(frozen=True)
class _Median:
    radius: int

    def __call__(self, blocks: list[np.ndarray], *_: np.ndarray) -> tuple[np.ndarray, ...]:
        return tuple(
            # A value without any neighbour stays.
            np.where(np.isnan(b), b, np.where(np.isnan(m := local_median(b, self.radius)), b, m))
            for b in blocks
        )


@dataclasses.dataclass(frozen=True)
class _LogTV:
    strength: float

    def __call__(self, blocks: list[np.ndarray], *_: np.ndarray) -> tuple[np.ndarray, ...]:
        east, north, sigma = blocks
        return tuple(log_tv(np.stack([east, north]), sigma, self.strength))


@dataclasses.dataclass(frozen=True)
class _NonLocal:
    radius: int
    strength: float

    def __call__(self, blocks: list[np.ndarray], *_: np.ndarray) -> tuple[np.ndarray, ...]:
        east, north, sigma = blocks
        return tuple(non_local_means(np.stack([east, north]), sigma, self.radius, self.strength))


def _noise(field: Field, given: float | None) -> Any:
    """One-sigma noise of each pixel, (rows, columns)."""
    east, north = (field.array(name) for name in ("east", "north"))
    if given is not None:
        return _full(field, given)
    lag = 1 if field.error_length_pixels <= 1 else math.ceil(2 * field.error_length_pixels)
    sigma = field.array("sigma")
    if not field.lazy:
        guess = _guess(east, north, lag)
        return np.where(np.isfinite(sigma) & (sigma > 0), sigma, np.float32(guess))
    import dask.array as da

    guess = whole(functools.partial(_guess_block, lag), [east, north], (1, 1))
    return da.where(da.isfinite(sigma) & (sigma > 0), sigma, guess)


def _full(field: Field, value: float) -> Any:
    if field.lazy:
        import dask.array as da

        return da.full(field.grid.shape, np.float32(value), chunks="auto")
    return np.full(field.grid.shape, np.float32(value))


def _guess_block(lag: int, east: np.ndarray, north: np.ndarray) -> np.ndarray:
    return np.full((1, 1), _guess(east, north, lag))


def _guess(east: np.ndarray, north: np.ndarray, lag: int) -> np.float32:
    """Noise from second differences at a lag, which no plane and few faults contribute to."""
    from ..kernels.robust import nmad

    found = []
    for values in (east, north):
        n = min(lag, (min(values.shape) - 1) or 1)
        along = values[n:] - values[:-n]
        found.append(nmad(along[:, n:] - along[:, :-n]) / 2.0)
    guess = np.nanmax(found) if np.isfinite(found).any() else 0.0
    # A field without noise has none to take: the smallest number that divides.
    return np.float32(max(guess, 1e-6))
