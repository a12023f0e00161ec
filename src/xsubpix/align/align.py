"""An image brought onto another's grid and registration, by one resampling."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from ..checks import real_number, whole_number
from ..displacement.traces import Trace, read_trace
from ..errors import DataError, GridError, ModelError
from ..grid import Grid, Plane, labelled
from ..image import Image
from ..kernels.motion import Motion
from ..missing import is_missing
from .registration import Registration, Stable, measure_registration
from .resample import GridMap, Resampling, resample

if TYPE_CHECKING:
    from collections.abc import Hashable

__all__ = ["align", "regrid"]


def align(
    image: xr.DataArray,
    reference: xr.DataArray,
    *,
    order: int = 0,
    search: float = 100.0,
    mask: xr.DataArray | None = None,
    trace: Any = None,
    buffer: float | None = None,
    window: int = 64,
    oversample: int = 2,
) -> xr.DataArray:
    r"""Bring an image onto another's grid and registration, by one resampling.

    Parameters
    ----------
    image : xarray.DataArray
        The image to be moved: any CRS, UTM zone, pixel size and extent that shares ground
        with `reference`; data types and missing values as for :func:`xsubpix.correlate`.
    reference : xarray.DataArray
        The image that stays, and whose grid the result has.
    order : {0, 1, 2}
        What is taken away, measured between the two once their grids are matched: a
        shift, an affine motion (with rotation and scale), or a quadratic one. What is
        taken away is lost to :func:`xsubpix.correlate` after it; across an earthquake, a
        shift is the safest.
    search : float
        Largest shift looked for along each axis, pixels of `reference`, 1 to 1024.
    mask : xarray.DataArray of bool, optional
        True on ground that may be used, as in :func:`xsubpix.detrend`; on any grid and in
        any CRS. What it does not cover is left out.
    trace : array_like, shapely geometry, Fault, GeoDataFrame, dict, str or path, optional
        A fault, as in :func:`xsubpix.offsets`; ground within `buffer` of it is left out.
    buffer : float, optional
        Metres; goes with `trace`.
    window : int
        Side of the windows that are matched, pixels of `reference`, 16 to 256.
    oversample : {1, 2}
        Of the resampling, see :func:`xsubpix.warp_quintic`: 2 keeps the finest
        contrast at its place to 0.001 px, 1 to 0.04 px in half of the time.

    Returns
    -------
    xarray.DataArray
        float32, on the grid of `reference`, NaN where `image` has nothing, with its
        scalar time. Lazy if `image` is, though the motion is measured at once: the
        attributes tell it.

        ``registration_order``; ``registration_x``, ``registration_y``, the coefficients
        of the motion to the right and down, pixels of `reference`, in the order 1, u, v,
        u^2, u v, v^2, where u and v run from -1 to 1 over the columns and rows of
        `reference`: where the ground of `reference` lay in `image` once the grids were
        matched; ``registration_places``, how many windows agree with it;
        ``registration_nmad``, the normalised median absolute deviation of their
        residuals, pixels a component, and ``registration_error``, the standard error of
        the motion that follows.

    Raises
    ------
    DataError
        The image cannot be registered: too few places agree on one motion.
    DimensionError, GridError
        An image or the mask cannot be used; the two share no ground; one has a CRS and
        the other none.
    ModelError
        A parameter out of its bounds; a trace without a buffer, or the reverse.

    Notes
    -----
    1. Both images, averaged to pixels of up to 8 of `reference`, are matched over the whole
       search by :class:`~xsubpix.estimators.phase.Phase`. The shift or affine motion that
       most windows agree with is kept (random sample consensus), and refined by least
       squares with Tukey's biweight.
    2. On a grid of up to 16 x 16 places, windows of `image` are sampled along that motion
       from the original pixels, and what is left is measured; again, until no place
       moves by 0.005 px. Order 0 is the robust mean of the same places.
    3. `image` is sampled once, from the original pixels, by quintic B-splines, at
       places that are the grids' map (pyproj) and the motion together. Where pixels of
       `reference` are larger, it is averaged over their area first.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xsubpix
    >>> ground = np.random.default_rng(0).normal(size=(200, 200)).cumsum(0).cumsum(1)
    >>> pre = xr.DataArray(ground[:, 3:], dims=("y", "x"))
    >>> post = xr.DataArray(ground[:, :-3], dims=("y", "x"))  # three pixels too far right
    >>> aligned = xsubpix.align(post, pre)
    >>> round(aligned.registration_x[0], 2)
    3.0
    >>> bool(abs(aligned - pre).max() < 0.1 * pre.std())
    True
    """
    one, two = Image.from_dataarray(image, "image"), Image.from_dataarray(reference, "reference")
    _check(one.grid, two.grid, order, search, window, oversample)
    stable = _stable(mask, trace, buffer, two.grid)
    found = measure_registration(one, two, order=order, search=search, window=window, stable=stable)
    attrs = _attributes(found)
    return _resampled(one, reference, two.grid, found.motion, oversample, attrs)


def regrid(image: xr.DataArray, reference: xr.DataArray, *, oversample: int = 2) -> xr.DataArray:
    """Bring an image onto another's grid by their coordinates alone.

    Parameters
    ----------
    image : xarray.DataArray
        The image to be brought there, as for :func:`align`.
    reference : xarray.DataArray
        Image or field whose grid is taken.
    oversample : {1, 2}
        See :func:`align`.

    Returns
    -------
    xarray.DataArray
        float32, on the grid of `reference`, NaN where `image` has nothing; lazy if
        `image` is.

    Raises
    ------
    DimensionError, GridError, DataError
        As :func:`align`.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xsubpix
    >>> pixel = {"y": -30.0 * np.arange(64), "x": 30.0 * np.arange(64)}
    >>> image = xr.DataArray(np.random.default_rng(0).random((64, 64)), pixel, ("y", "x"))
    >>> coarse = image[::2, ::2].rio.write_crs(32611)
    >>> xsubpix.regrid(image.rio.write_crs(32611), coarse).shape
    (32, 32)
    """
    one, two = Image.from_dataarray(image, "image"), Grid.from_dataarray(reference, "reference")
    _check(one.grid, two, 0, 1.0, 64, oversample)
    return _resampled(one, reference, two, Motion.none(two.shape), oversample, {})


def _check(one: Grid, two: Grid, order: int, search: float, window: int, oversample: int) -> None:
    if (one.crs is None) != (two.crs is None):
        two.check_same_crs(one, ("reference", "image"))
    if order not in (0, 1, 2) or isinstance(order, bool):
        raise ModelError(f"order={order!r}: give 0 (a shift), 1 (affine) or 2 (quadratic).")
    real_number("search", search, 1, 1024)
    whole_number("window", window, 16, 256)
    if oversample not in (1, 2):
        raise ModelError(f"oversample={oversample!r}: give 1 or 2.")


def _resampled(
    image: Image,
    reference: xr.DataArray,
    grid: Grid,
    motion: Motion,
    oversample: int,
    attrs: dict[str, Any],
) -> xr.DataArray:
    """The one resampling, labelled."""
    resampling = Resampling.of(image, GridMap(grid, image.grid, motion), oversample)
    pixels = resample(image.data, resampling, (0, 0, *grid.shape), "subpix-align")
    comment = "quintic B-spline resampling from the original pixels, once; units of the image"
    if resampling.averages:
        height, width = resampling.size
        comment += f"; averaged over {height:.4g} x {width:.4g} of its pixels (rows, columns)"
    described = {"long_name": "image on the grid of another", "comment": comment, **attrs}
    coords: dict[Hashable, Any] = {} if image.time is None else {"time": image.time}
    out = labelled(reference, grid, {"aligned": (pixels, described)}, {}, coords=coords)
    return out["aligned"].rename(None)


def _attributes(found: Registration) -> dict[str, Any]:
    from .._version import __version__

    motion = found.motion
    return {
        "registration_order": motion.order,
        "registration_x": list(motion.x),
        "registration_y": list(motion.y),
        "registration_comment": "motion of the ground from the reference to the image on its grid, "
        "removed: pixels to the right (x) and down (y); coefficients of 1, u, v, u^2, u v, v^2, "
        "with u and v from -1 to 1 over the columns and rows of the reference",
        "registration_places": found.places,
        "registration_nmad": found.nmad,
        "registration_error": found.nmad / math.sqrt(found.places),
        "xsubpix_version": __version__,
    }


# -------------------------------------------------------------------- stable ground


def _stable(
    mask: xr.DataArray | None, trace: Any, buffer: float | None, grid: Grid
) -> Stable | None:
    """Mask of the pixels of the reference that may be used; None: all."""
    parts: list[Stable] = []
    if mask is not None:
        parts.append(_Mask.of(mask, grid))
    if (trace is None) != (buffer is None):
        given, missing = ("buffer", "trace") if trace is None else ("trace", "buffer")
        raise ModelError(
            f"{given} was given and {missing} not: ground nearer to the trace than the buffer "
            "(metres) is left out, so both are needed."
        )
    if trace is not None and buffer is not None:
        parts.append(_Beyond.of(trace, buffer, grid))
    if not parts:
        return None

    def stable(rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
        found = np.ones(np.broadcast_shapes(rows.shape, cols.shape), bool)
        for part in parts:
            found &= part(rows, cols)
        return found

    return stable


@dataclasses.dataclass(frozen=True)
class _Mask:
    """A mask on a grid of its own, looked up at the nearest of its pixels."""

    map: GridMap
    true: np.ndarray

    @classmethod
    def of(cls, mask: xr.DataArray, grid: Grid) -> _Mask:
        if not isinstance(mask, xr.DataArray) or mask.dtype.kind not in "bui":
            kind = mask.dtype if isinstance(mask, xr.DataArray) else type(mask).__name__
            raise DataError(
                f"mask is {kind}: give a DataArray of bool, true on ground that may be used."
            )
        own = Image.from_dataarray(mask, "mask")
        if (own.grid.crs is None) != (grid.crs is None):
            grid.check_same_crs(own.grid, ("reference", "mask"))
        true = np.asarray(own.data)
        true = np.where(is_missing(true, own.nodata), 0, true)
        found = cls(GridMap(grid, own.grid, Motion.none(grid.shape)), true.astype(bool))
        rows, cols = (np.linspace(0, n - 1, min(n, 200)) for n in grid.shape)
        if not found(rows, cols).any():
            share = float(found.true.mean())
            raise GridError(
                "mask leaves nothing of the reference to be used: "
                f"{share:.0%} of its own {own.grid.shape[0]} x {own.grid.shape[1]} pixels are "
                "true, and none of them on the reference. Give one of the same ground, true where "
                "it may be used."
            )
        return found

    def __call__(self, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
        at = self.map.block(rows.ravel(), cols.ravel())
        index = [np.nan_to_num(np.rint(i), nan=-1.0, posinf=-1.0, neginf=-1.0) for i in at]
        inside = np.ones(index[0].shape, bool)
        for i, size in zip(index, self.true.shape, strict=True):
            inside &= (i >= 0) & (i < size)
        first, second = (
            np.clip(i, 0, n - 1).astype(int) for i, n in zip(index, self.true.shape, strict=True)
        )
        return np.asarray(inside & self.true[first, second])


@dataclasses.dataclass(frozen=True)
class _Beyond:
    """Mask of pixels farther from a fault than a buffer."""

    plane: Plane
    trace: Trace
    buffer: float

    @classmethod
    def of(cls, trace: Any, buffer: float, grid: Grid) -> _Beyond:
        line = read_trace(trace, grid)
        metres = real_number("buffer", buffer, 0.0)
        plane = Plane.of(grid)
        corners = [plane.at(np.array(r), np.array(c)) for r in (0, grid.shape[0] - 1)
                   for c in (0, grid.shape[1] - 1)]  # fmt: skip
        low, high = np.min(corners, axis=0), np.max(corners, axis=0)
        near = (line.points > low - metres).all(1) & (line.points < high + metres).all(1)
        if not near.any():
            raise GridError(
                "the trace lies "
                f"({', '.join(f'{v:.6g}' for v in line.points.min(0))}) to "
                f"({', '.join(f'{v:.6g}' for v in line.points.max(0))}), off the reference, which "
                f"lies ({', '.join(f'{v:.6g}' for v in low)}) to "
                f"({', '.join(f'{v:.6g}' for v in high)}) and farther from it than the buffer of "
                f"{metres:g} m. Give it in the coordinates of the reference, or with its CRS."
            )
        return cls(plane, line, metres)

    def __call__(self, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
        from scipy.spatial import cKDTree

        x, y = np.broadcast_arrays(*self.plane.at(rows, cols))
        reach = self.buffer + self.trace.spacing
        at = np.column_stack([x.ravel(), y.ravel()])
        away = cKDTree(self.trace.points).query(at, distance_upper_bound=reach)[0]
        return np.asarray((away > self.buffer).reshape(x.shape))
