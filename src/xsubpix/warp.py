"""Warping: what an image looks like once the ground has moved.

Resampling is by quintic B-splines with their prefilter: the published
databases of synthetic ruptures are made so, at a precision of 1/100 px.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import math
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import xarray as xr

from .errors import DataError, GridError
from .field_input import checked_field
from .grid import Grid, is_placed, labelled
from .image import Image, condition_linear
from .kernels.spline import HALFWAY_REACH, PREFILTER_REACH, SUPPORT, sample_quintic
from .lattice import Lattice, map_blocks

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from .lattice import Array

__all__ = ["invert_displacement", "sample_quintic", "warp_quintic"]

Direction: TypeAlias = Literal["forward", "backward"]

# The inverse field is found to this residual, pixels: a tenth of the
# precision that the warp is to have.
RESIDUAL = 1e-3
# Side of the box in which the ground's opening is measured, pixels.
CRACK_BOX = 8


def warp_quintic(
    image: xr.DataArray,
    disp: xr.Dataset | tuple[ArrayLike, ArrayLike],
    *,
    direction: Direction = "forward",
    max_displacement: float | None = None,
    oversample: int = 2,
    device: str = "auto",
) -> xr.DataArray:
    r"""Resample an image as if the ground had moved, with quintic B-splines.

    Parameters
    ----------
    image : xarray.DataArray
        One image, as for :func:`xsubpix.correlate`.
    disp : xarray.Dataset or (dx, dy)
        Displacement: ``east`` and ``north`` (metres, or the coordinates' unit
        without CRS) on the image's grid or on another regular grid that covers
        it, interpolated linearly; or two arrays of the image's shape (rows,
        columns), in pixels to the right and down.
    direction : {"forward", "backward"}
        ``"forward"`` moves the ground at x to x + d(x): the second image of an
        earthquake, so that ``correlate(image, warped)`` gives `disp`.
        ``"backward"`` samples `image` at x + d(x): it undoes a measured `disp`.
    max_displacement : float, optional
        Bound on the displacement's size along either axis, pixels. Needed to
        stay lazy where `disp` is lazy; otherwise its maximum is computed.
    oversample : {1, 2}
        2: quintic splines on samples half a pixel apart, made by a windowed
        sinc of 24 pixels: detail of up to 0.8 of the Nyquist frequency is
        placed to 0.001 px. 1: splines on the image as it is, 0.005 px at 0.6
        of Nyquist, 0.04 px at 0.8, in half of the time.
    device : str
        ``"cpu"``: SciPy. ``"cuda"``, ``"cuda:1"``, ...: torch-interpol, equal to
        1e-6 of the image's range. ``"auto"``: a GPU where there is one and
        torch-interpol is installed, otherwise the CPU. The field is inverted on the
        CPU in either case.

    Returns
    -------
    xarray.DataArray of float32
        On the image's grid, lazy if `image` or `disp` is. NaN where the
        image, within the six pixels of the spline, or the displacement is
        missing, and where the ground came from outside of the image or the
        inverse was not found.

    Raises
    ------
    DimensionError, GridError, DataError
        Image or displacement cannot be used, or do not belong together.
    ModelError
        The device is not there, or torch-interpol is not installed.

    Notes
    -----
    Forward, the field is inverted by a damped fixed point, x <- y - d(x) with
    d linear between pixels, until \|x + d(x) - y\| is below 1e-3 px. Pixels
    that do not get there (ground torn open, folded) are missing.

    References
    ----------
    Unser, M., Aldroubi, A. & Eden, M. (1993). B-spline signal processing.
    IEEE Transactions on Signal Processing 41, 821-848.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xsubpix
    >>> pixel = {"y": -30.0 * np.arange(64), "x": 30.0 * np.arange(64)}
    >>> image = xr.DataArray(np.random.default_rng(0).random((64, 64)), pixel, ("y", "x"))
    >>> truth = xr.Dataset({"east": image * 0 + 30.0, "north": image * 0})  # a pixel to the right
    >>> moved = xsubpix.warp_quintic(image, truth)
    >>> bool(abs(moved[10, 20] - image[10, 19]) < 1e-5)
    True
    """
    if direction not in ("forward", "backward"):
        raise DataError(f"direction={direction!r}: give 'forward' or 'backward'.")
    if oversample not in (1, 2):
        raise DataError(f"oversample={oversample!r}: give 1 or 2.")
    if device == "auto" and importlib.util.find_spec("interpol") is None:
        device = "cpu"
    if device != "cpu":
        from .devices import torch_device

        device = str(torch_device(device))
    source = Image.from_dataarray(image, "image")
    grid = source.grid
    components, in_pixels = _components(disp, image, grid)
    reach = _bound(components, grid, in_pixels) if max_displacement is None else max_displacement
    if not (math.isfinite(reach) and reach >= 0):
        raise DataError(
            f"the displacement reaches {reach!r} px: give finite values, and max_displacement >= 0."
        )
    halo = math.ceil(reach) + SUPPORT + PREFILTER_REACH + (oversample - 1) * HALFWAY_REACH
    lattice = Lattice(grid.shape, step=1, halo=halo, tile=256)
    (warped,) = map_blocks(
        _Warp(lattice, grid, direction, in_pixels, oversample, device),
        [source.data, *components],
        lattice,
        [np.float32],
        conditions=[
            functools.partial(condition_linear, nodata=source.nodata),
            _as_float,
            _as_float,
        ],
        name="subpix-warp",
    )
    attrs = {
        "long_name": f"image warped by a displacement ({direction})",
        "comment": "quintic B-spline resampling; units of the image",
    }
    return labelled(image, grid, {"warped": (warped, attrs)}, {})["warped"].rename(None)


@dataclasses.dataclass(frozen=True)
class _Warp:
    """A block of image and displacement to the warped block."""

    lattice: Lattice
    grid: Grid
    direction: Direction
    in_pixels: bool
    oversample: int = 1
    device: str = "cpu"

    def __call__(
        self, blocks: list[np.ndarray], row: int, col: int, rows: int, cols: int
    ) -> tuple[np.ndarray]:
        halo = self.lattice.halo
        # Cut at the image's border: there the spline is reflected, and the
        # displacement continued, not where the block's padding ends.
        spans = [
            (max(0, halo - first), min(size, whole - first + halo))
            for first, size, whole in zip((row, col), blocks[0].shape, self.grid.shape, strict=True)
        ]
        image, dx, dy = (b[slice(*spans[0]), slice(*spans[1])] for b in blocks)
        (top, _), (left, _) = spans
        if not self.in_pixels:
            at_rows = np.arange(image.shape[0]) + row - halo + top
            at_cols = np.arange(image.shape[1]) + col - halo + left
            dx, dy = self.grid.to_pixels(dx, dy, at_rows, at_cols)
        inner = (
            slice(halo - top, halo - top + rows),
            slice(halo - left, halo - left + cols),
        )
        if self.direction == "forward":
            y, x = invert_displacement(dx, dy, inner)
        else:
            y, x = np.ogrid[inner]
            y, x = y + dy[inner], x + dx[inner]
        return (sample_quintic(image, y, x, oversample=self.oversample, device=self.device),)


def invert_displacement(
    dx: np.ndarray, dy: np.ndarray, inner: tuple[slice, slice] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Origin of the ground: places x with x + d(x) = y for every pixel y.

    Parameters
    ----------
    dx, dy : numpy.ndarray
        Displacement (h, w), pixels right and down; NaN is missing.
    inner : (slice, slice), optional
        Rows and columns wanted.

    Returns
    -------
    rows, cols : numpy.ndarray of float64
        Places in pixels of the array; NaN where no place was found with a
        residual below 1e-3 px.

    Notes
    -----
    Fixed point x <- x + a (y - d(x) - x), with the damping a lowered from 1 to
    1/8 for pixels that do not settle: next to a trace that opens by J px, where
    d is steep, it converges for a < 2 / (1 + J). Across a strike-slip trace
    the field changes in a direction along which it does not move, and two
    steps suffice.
    """
    inner = inner or (slice(0, dx.shape[0]), slice(0, dx.shape[1]))
    field = np.stack([dy, dx]).astype(np.float64)
    missing = np.asarray(~np.isfinite(field).all(0))
    field[:, missing] = 0.0
    goal = np.mgrid[inner].astype(np.float64)
    shape = goal.shape[1:]
    goal = goal.reshape(2, -1)
    source = goal - field[:, inner[0], inner[1]].reshape(2, -1)
    left = np.arange(goal.shape[1])
    for damping, steps in ((1.0, 12), (0.5, 24), (0.25, 40), (0.125, 60)):
        for _ in range(steps):
            rest = goal[:, left] - source[:, left] - _linear(field, source[:, left])
            active = np.hypot(*rest) > RESIDUAL
            left, rest = left[active], rest[:, active]
            if left.size == 0:
                break
            source[:, left] += damping * rest
    rest = goal - source - _linear(field, source)
    found = np.hypot(rest[0], rest[1]) <= RESIDUAL
    if missing.any():
        found &= _linear(missing[None].astype(float), source)[0] < 1e-6
    source[:, ~found] = np.nan
    cell = tuple(
        np.clip(np.floor(np.nan_to_num(p)).astype(int), 0, n - 1)
        for p, n in zip(source, missing.shape, strict=True)
    )
    source[:, ~_is_ground(field)[cell]] = np.nan
    rows, cols = source.reshape(2, *shape)
    return rows, cols


def _is_ground(field: np.ndarray) -> np.ndarray:
    """Pixels between which and their next ones the ground stays ground.

    Not where it opens by more than a pixel within a pixel (a crack, in which
    there is nothing to see) or closes so (one side hides the other). Opening is
    the flux of the field out of a box: along a sloping trace, pixels of a
    strike-slip field seem to open and close in turn, boxes do not.
    """
    import scipy.ndimage

    down = np.diff(field, axis=1, append=field[:, -1:])
    across = np.diff(field, axis=2, append=field[:, :, -1:])
    area = (1 + down[0]) * (1 + across[1]) - down[1] * across[0]
    jump = np.maximum(np.hypot(*down), np.hypot(*across))
    opening = CRACK_BOX * scipy.ndimage.uniform_filter(down[0] + across[1], CRACK_BOX)
    torn = ((area > 2) | (area <= 0)) & (np.abs(opening) > np.maximum(1.0, 0.5 * jump))
    return ~torn


def _linear(field: np.ndarray, source: np.ndarray) -> np.ndarray:
    import scipy.ndimage

    return np.stack(
        [scipy.ndimage.map_coordinates(f, source, order=1, mode="nearest") for f in field]
    )


def _as_float(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float64)


def _components(
    disp: xr.Dataset | tuple[ArrayLike, ArrayLike], image: xr.DataArray, grid: Grid
) -> tuple[list[Array], bool]:
    """The two components on the image's grid, and whether they are in pixels."""
    if isinstance(disp, xr.Dataset):
        disp = checked_field(disp, "east", "north")
        there = Grid.from_dataarray(disp["east"], "disp")
        if there.shape == grid.shape and there.offset_from(grid) < 1e-3:
            grid.check_same(there, ("image", "disp"))
        else:
            grid.check_same_crs(there, ("image", "disp"))
            if is_placed(disp["east"], there) and is_placed(image, grid):
                grid.check_shared_ground(there, ("image", "disp"))
            disp = _on_grid(disp, there, image, grid)
        y_dim, x_dim = Grid.from_dataarray(disp["east"], "disp").dims
        return [disp[name].transpose(y_dim, x_dim).data for name in ("east", "north")], False
    if not (isinstance(disp, tuple) and len(disp) == 2):
        raise DataError(
            f"disp is a {type(disp).__name__}; give a Dataset with 'east' and 'north', or (dx, dy)."
        )
    arrays: list[Any] = [
        (d.data if isinstance(d, xr.DataArray) else d if hasattr(d, "dask") else np.asarray(d))
        for d in disp
    ]
    for name, given in zip(("dx", "dy"), disp, strict=True):
        if isinstance(given, xr.DataArray):
            own = Grid.from_dataarray(given, name)
            if own.shape == grid.shape and is_placed(given, own):
                grid.check_same(own, ("image", name))
    for name, array in zip(("dx", "dy"), arrays, strict=True):
        if array.shape != grid.shape:
            raise GridError(
                f"{name} has shape {array.shape}, the image {grid.shape} (rows, columns). "
                "Give one value a pixel; numpy.full_like makes a constant field."
            )
    return arrays, True


def _on_grid(disp: xr.Dataset, there: Grid, image: xr.DataArray, grid: Grid) -> xr.Dataset:
    """Interpolate a displacement linearly to the image's pixels."""
    dims = dict(zip(there.dims, grid.dims, strict=True))
    if any(d not in disp.coords for d in there.dims) or any(
        d not in image.coords for d in grid.dims
    ):
        raise GridError(
            f"disp has shape {there.shape}, the image {grid.shape}, and one of them has no "
            "coordinates to interpolate by. Give both coordinates, or disp on the image's grid."
        )
    if (disp_crs := there.crs) != grid.crs:
        grid.check_same(dataclasses.replace(grid, crs=disp_crs), ("image", "disp"))
    gaps = there.offset_from(grid)
    pixel, coarse = grid.pixel_side, there.pixel_side
    # A coarser field may miss a remainder of less than a block at the far edges.
    if gaps * coarse > 2.0 * max(coarse, pixel) and not _covers(there, grid, coarse):
        raise GridError(
            f"disp covers {_extent(there)}, not all of the image: {_extent(grid)}. "
            "Compute it on the image's extent."
        )
    fields = disp[["east", "north"]].transpose(*there.dims)
    target = {t: xr.Variable((t,), image[g].values) for t, g in dims.items()}
    return fields.interp(target, method="linear", kwargs={"fill_value": "extrapolate"})


def _covers(there: Grid, grid: Grid, slack: float) -> bool:
    own, theirs = grid.corners(), there.corners()
    return bool(
        (theirs.min(0) <= own.min(0) + slack).all() and (theirs.max(0) >= own.max(0) - slack).all()
    )


def _extent(grid: Grid) -> str:
    corners = grid.corners()
    return " to ".join(
        "(" + ", ".join(f"{v:.6g}" for v in c) + ")" for c in (corners.min(0), corners.max(0))
    )


def _bound(components: list[Array], grid: Grid, in_pixels: bool) -> float:
    """Largest displacement along either axis, pixels."""
    if in_pixels:
        sizes = [float(np.asarray(_nanmax(abs(c)))) for c in components]
        return max(sizes)
    east, north = (float(np.asarray(_nanmax(abs(c)))) for c in components)
    # The smallest pixel of the grid, for a bound that holds everywhere.
    jac = grid.jacobian(np.array([0, grid.shape[0] - 1]), np.array([0, grid.shape[1] - 1]))
    scale = np.abs(np.linalg.inv(np.moveaxis(jac, (0, 1), (-2, -1)))).max(axis=(0, 1))
    return float((scale @ np.array([east, north])).max())


def _nanmax(array: Array) -> Array:
    if hasattr(array, "dask"):
        import dask.array as da

        return da.nanmax(da.where(da.isfinite(array), array, 0)).compute()
    return np.max(np.where(np.isfinite(array), array, 0), initial=0)
