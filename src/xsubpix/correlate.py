"""From two labelled images to a labelled displacement field."""

from __future__ import annotations

import dataclasses
import functools
import math
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from ._version import __version__
from .bands import correlate_bands, is_multiband
from .errors import DataError, ModelError
from .estimators import Estimate, Estimator, Flag, Output
from .estimators.registry import create_searching
from .estimators.second_look import looks_again, second_look
from .exclude import blank, read_exclude
from .grid import Grid, labelled
from .image import Image, condition
from .lattice import Lattice, map_blocks
from .progress import progress_bar
from .stack import correlate_stack, is_stack

if TYPE_CHECKING:
    import os
    from collections.abc import Hashable

__all__ = ["correlate"]


def correlate(
    pre: xr.DataArray,
    post: xr.DataArray,
    *,
    model: str | os.PathLike[str] | Estimator = "unet",
    window: int | None = None,
    step: int | None = None,
    search: float | str | None = None,
    stable: xr.DataArray | bool | None = None,
    device: str = "auto",
    exclude: Any = None,
    exclude_values: Any = None,
    bands: str | None = None,
    progress: bool = False,
    **options: Any,
) -> xr.Dataset:
    """Measure the displacement of the ground between two images.

    Parameters
    ----------
    pre : xarray.DataArray
        Image before. Dimensions y/x, lat/lon, northing/easting, ..., in any order;
        further dimensions must have size 1, but for ``pair`` or ``time``: stacks are
        correlated pair by pair, and one image with each of a stack; and ``band`` where
        `bands` says what is done with several. Any real
        data type; NaN, infinities and the declared nodata value (``_FillValue``) are
        missing, and so are real numbers beyond 1e19 among smaller ones: fill values that
        nobody declared.
    post : xarray.DataArray
        Image after, on the same grid; dimensions, data type and missing pixels as of the
        image before.
    model : str, path or Estimator
        How to measure; see :func:`xsubpix.available_models`. The default,
        ``"unet"``, is the network of this package
        (:class:`xsubpix.estimators.network.Network`); ``"phase"``, ``"cosi-corr"`` and
        ``"micmac"`` are the classical correlators. A path that ends in
        ``.safetensors`` is a network of one's own.
    window : int, optional
        Side of the correlation windows, pixels; networks have none (`tile_size` is what
        they measure at once). None: the model's default.
    step : int, optional
        Distance of neighbouring measurements, pixels. None: the model's own, 1 for
        networks and dense models, a quarter of a window for ``"phase"`` and
        ``"cosi-corr"``. The output has one value for each block of `step` x `step`
        pixels, at the block's centre.
    search : float or str, optional
        Largest displacement looked for along each axis: a number of pixels, or
        a length with its unit, ``"300 m"`` or ``"0.3 km"`` (on a grid with a CRS). None:
        the model's default, some pixels. What exceeds the range of the model itself
        (an eighth of an initial window for ``"cosi-corr"``, half a window for ``"phase"``,
        4 px for the dense models) is found from coarse to fine, see
        :class:`xsubpix.estimators.pyramid.CoarseToFine`.
    stable : xarray.DataArray of bool or True, optional
        True on ground that did not move, on the grid of `pre` or of the result: ``sigma``
        then gets a floor, what the pair leaves there, see
        :func:`xsubpix.calibrate_sigma`. ``True``: the floor comes from the field itself.
        None: ``sigma`` is the model's own.
    device : str, optional
        ``"auto"`` (a GPU where there is one), ``"cpu"``, ``"cuda"``, ``"cuda:1"``.
    exclude : DataArray, polygons, str, path or list of them, optional
        What is missing in both images: polygons (GeoJSON, shapely, a GeoDataFrame or a
        file of them), a raster of bool, or a raster of classes; on any grid and in any CRS.
    exclude_values : int, str or sequence of them, optional
        Classes that are left out: numbers, or names of Sentinel-2's SCL (rasters of one
        byte: ``"cloud"``, ``"cloud_shadow"``, ``"cirrus"``, ``"snow"``, ``"water"``) and of
        Landsat's QA_PIXEL bits (two bytes: the same, and ``"dilated_cloud"``).
    bands : {"each", "combine"}, optional
        Images with a dimension ``band`` are measured band by band: a field each, along
        ``band``, or all combined to one (:func:`xsubpix.bands.correlate_bands`): weighted by
        sigma, a band that disagrees with the others falls out, and sigma knows that bands
        share most of their error, by how much their fields differ. None: one band only.
    progress : bool
        Show dask's progress bar on standard error while images in memory are measured, where
        that is a terminal or a notebook. Lazy images show it when they are computed,
        ``with dask.diagnostics.ProgressBar(): disp.compute()``.
    **options
        Further parameters of the model.

    Returns
    -------
    xarray.Dataset
        On the grid of `pre`, lazy if either image is a dask array:

        ``east``, ``north`` : float32
            Displacement along +x and +y of the CRS, in metres: where the
            ground seen at a place in `pre` went by `post`. Without CRS in the
            unit of the coordinates, and without coordinates in pixels along
            increasing column and row; ``units`` is then ``"1"``.
        ``sigma`` : float32
            One-sigma uncertainty of each component, same unit; NaN where the
            model has none.
        ``quality`` : float32
            0 to 1, defined by each model.
        ``flags`` : uint8
            CF flags: ``nodata``, ``edge`` (the window reaches beyond the
            image), ``low_texture``, ``not_converged``, ``out_of_range``, ``ambiguous``
            (the ground repeats itself, and another place fits nearly as well).

        and what further outputs a model declares of itself; of combined bands ``bands_used``,
        their number, and ``shared_error``, the correlation of the errors of two.

        Stacks give a first dimension ``pair``.

        Attributes name the model, its parameters and the version, and say as numbers,
        in pixels of the images, its step (``model_step``), within what distance of a fault
        it blurs (``model_blur``) and over what length its errors are alike
        (``model_error_length``); of networks that end with a mean of what moves alike, over
        what distance (``model_mean_over``). Scalar coordinates ``reference_time``,
        ``secondary_time`` are there when both or one of the images have a time.

    Raises
    ------
    DimensionError, GridError, DataError
        An image cannot be used, or the two are not on the same grid.
    ModelError
        Unknown model or parameter, or a parameter is out of bounds.

    Notes
    -----
    A result is missing exactly where its window has less than half of its
    pixels valid in both images. Results do not depend on the chunking: bit for
    bit on the CPU.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xsubpix
    >>> ground = np.random.default_rng(0).normal(size=(64, 64)).cumsum(0).cumsum(1)
    >>> pre = xr.DataArray(ground[:, 1:], dims=("y", "x"))
    >>> post = xr.DataArray(ground[:, :-1], dims=("y", "x"))  # moved one pixel right
    >>> disp = xsubpix.correlate(pre, post, model="phase", step=8)
    >>> round(float(disp.east[3, 3]), 2)
    1.0
    """
    # An estimator object keeps its device unless another one is named.
    named = None if device == "auto" else device
    options |= {"window": window, "step": step, "device": named}
    measure_one = functools.partial(
        correlate,
        model=model,
        search=search,
        exclude=exclude,
        exclude_values=exclude_values,
        progress=progress,
        **options,
    )
    if is_stack(pre) or is_stack(post):
        return correlate_stack(
            pre, post, functools.partial(measure_one, stable=stable, bands=bands)
        )
    if bands == "combine" and stable is not None:
        # The floor is that of the combined field.
        found = correlate_bands(pre, post, bands, measure_one)
        first = pre.isel(band=0) if is_multiband(pre) else pre
        return _with_floor(found, stable, Grid.from_dataarray(first, "pre"))
    if bands is not None:
        return correlate_bands(pre, post, bands, functools.partial(measure_one, stable=stable))
    one, two = Image.from_dataarray(pre, "pre"), Image.from_dataarray(post, "post")
    one.grid.check_same(two.grid)
    excluded = read_exclude(exclude, exclude_values, one.grid)
    if excluded is not None:
        one, two = (dataclasses.replace(i, data=blank(i.data, excluded)) for i in (one, two))
    pixels = _search_pixels(search, one.grid)
    try:
        estimator = create_searching(model, pixels, **options)
    except ModelError as error:
        if isinstance(search, str):
            raise ModelError(
                f"{error} search={search!r} is {pixels} px on these images."
            ) from error
        raise
    step = estimator.step
    if min(one.grid.shape) < step:
        raise DataError(
            f"step={step} is more than the image has pixels: {one.grid.shape}. Take a smaller step."
        )
    out_grid = one.grid.coarsen(step)
    lattice = Lattice(one.grid.shape, step, estimator.halo, estimator.tile)
    measure = _Measure(estimator, lattice, out_grid)
    with progress_bar(progress):
        arrays = map_blocks(
            measure,
            [one.data, two.data],
            lattice,
            [np.dtype(output.dtype) for output in estimator.outputs],
            conditions=[functools.partial(condition, nodata=image.nodata) for image in (one, two)],
            name="subpix-correlate",
        )
    variables = {
        output.label: (array, _variable_attrs(output, one.grid))
        for output, array in zip(estimator.outputs, arrays, strict=True)
    }
    times = {"reference_time": one.time, "secondary_time": two.time}
    coords: dict[Hashable, Any] = {
        name: xr.Variable((), time, {"long_name": f"time of the {what} image"})
        for (name, time), what in zip(times.items(), ("pre", "post"), strict=True)
        if time is not None
    }
    found = labelled(pre, one.grid, variables, _attrs(estimator), step=step, coords=coords)
    return _with_floor(found, stable, one.grid)


def _with_floor(found: xr.Dataset, stable: xr.DataArray | bool | None, grid: Grid) -> xr.Dataset:
    """Add the floor of sigma that a pair leaves on stable ground, where that was asked for."""
    if stable is None or stable is False:
        return found
    # Not with the module: products build on fields, not fields on products.
    from .displacement.calibrate import calibrate_sigma

    return calibrate_sigma(found, _mask_of_outputs(stable, grid, int(found.attrs["model_step"])))


def _mask_of_outputs(stable: xr.DataArray | bool, grid: Grid, step: int) -> xr.DataArray | None:
    """Mask on the grid of the result, from one there or on the grid of the images."""
    if stable is True:
        return None
    if not isinstance(stable, xr.DataArray):
        raise DataError(
            f"stable is {type(stable).__name__}: give a DataArray of bool, true on ground that did "
            "not move, or True to take the floor of sigma from the field itself."
        )
    if step > 1 and Grid.from_dataarray(stable, "stable").shape == grid.shape:
        windows = dict.fromkeys(grid.dims, step)
        return stable.astype(bool).coarsen(windows, boundary="trim").min().astype(bool)
    return stable


def _search_pixels(search: float | str | None, grid: Grid) -> float | None:
    """The search range in pixels, from pixels or a length such as ``"300 m"``."""
    if not isinstance(search, str):
        return search
    match = re.fullmatch(r"\s*(\d+\.?\d*|\.\d+)\s*(m|km|px)\s*", search)
    if match is None:
        raise ModelError(
            f"search={search!r}: give pixels, search=20, or a length with its unit, "
            "search='300 m' or '0.3 km'."
        )
    length = float(match[1]) * (1000.0 if match[2] == "km" else 1.0)
    if match[2] == "px":
        return math.ceil(length)
    if grid.crs is None:
        raise ModelError(
            f"search={search!r}, but the images have no CRS that says what a metre is: give "
            "pixels, search=20, or name the CRS, pre = pre.rio.write_crs(...)."
        )
    ends = [np.array([0, n - 1]) for n in grid.shape]
    # The shortest side of any pixel, so that no displacement is left out.
    side = np.linalg.norm(grid.jacobian(*ends), axis=0).min()
    return math.ceil(length / side)


@dataclasses.dataclass(frozen=True)
class _Measure:
    """A block of two images to the variables of the Dataset: pure, picklable."""

    estimator: Estimator
    lattice: Lattice
    out_grid: Grid

    def __call__(
        self, blocks: list[np.ndarray], row: int, col: int, rows: int, cols: int
    ) -> tuple[np.ndarray, ...]:
        pre, post = (self.lattice.tiles(block) for block in blocks)
        down, across = pre.shape[:2]
        side = self.lattice.tile_side
        # One row of tiles at a time: copies of tiles, halo included, add up. Always
        # copies, since a view would be read-only, and its tiles overlap.
        parts = [
            self._measured(*(np.array(x[i]).reshape(-1, side, side) for x in (pre, post)))
            for i in range(down)
        ]
        found = {
            o.name: self.lattice.join(np.concatenate([p[o.name] for p in parts]), down, across)
            for o in self.estimator.outputs
        }
        found = {name: array[:rows, :cols] for name, array in found.items()}
        at_rows, at_cols = np.arange(row, row + rows), np.arange(col, col + cols)
        self._to_grid(found, at_rows, at_cols)
        edge = self._edge(at_rows, 0)[:, None] | self._edge(at_cols, 1)
        found["flags"] = found["flags"] | np.where(edge, Flag.EDGE, np.uint8(0))
        return tuple(found[o.name].astype(o.dtype, copy=False) for o in self.estimator.outputs)

    def _measured(self, pre: np.ndarray, post: np.ndarray) -> Estimate:
        """Estimate of some tiles, compared with the images once more."""
        estimator = self.estimator
        # Estimators may write into what they are given.
        needed = looks_again(estimator)
        images = (pre.copy(), post.copy()) if needed else (pre, post)
        estimate = estimator(pre, post)
        return second_look(estimator, estimate, *images) if needed else estimate

    def _to_grid(self, found: dict[str, np.ndarray], rows: np.ndarray, cols: np.ndarray) -> None:
        """Turn displacements and lengths from input pixels into the unit of the grid."""
        # The coarse grid's pixel is `step` input pixels wide.
        step = np.float32(self.lattice.step)
        found["dx"], found["dy"] = self.out_grid.to_metres(
            found["dx"] / step, found["dy"] / step, rows, cols
        )
        for output in self.estimator.outputs:
            if output.kind == "length":
                length = found[output.name] / step
                found[output.name] = self.out_grid.length_to_metres(length, rows, cols)

    def _edge(self, index: np.ndarray, axis: int) -> np.ndarray:
        """Outputs whose windows reach beyond the image, as booleans."""
        centre = index * self.lattice.step + (self.lattice.step - 1) / 2
        reach = self.estimator.support - 0.5
        return (centre < reach - 0.5) | (centre > self.lattice.shape[axis] - 0.5 - reach)


def _variable_attrs(output: Output, grid: Grid) -> dict[str, Any]:
    """Attributes of a variable: name, unit, and the sign in words."""
    attrs: dict[str, Any] = {"long_name": output.long_name}
    if output.kind in ("displacement", "length"):
        attrs["units"] = grid.units
    elif output.kind == "number":
        attrs["units"] = output.units
    if output.kind == "displacement":
        axis, cardinal = ("x", "east") if output.name == "dx" else ("y", "north")
        if grid.crs is not None:
            unit, along = "metres", f"the {axis} axis of the CRS (grid, not true, {cardinal})"
        else:
            unit, along = "the unit of the coordinates (pixels without any)", f"{axis} ({cardinal})"
        attrs["comment"] = (
            f"positive along +{axis}, {along}; where the ground seen here in the pre image lies in "
            f"the post image, minus here; in {unit}"
        )
    return {**attrs, **output.attrs}


def _attrs(estimator: Estimator) -> dict[str, Any]:
    parameters = {k: v for k, v in estimator.parameters().items() if v is not None}
    return {
        "Conventions": "CF-1.11",
        "title": "Ground displacement from two optical images",
        "model": estimator.name,
        "model_description": estimator.description,
        "model_parameters": ", ".join(f"{k}={v}" for k, v in parameters.items()),
        # Numbers that products read, pixels of the images.
        "model_step": estimator.step,
        "model_blur": float(estimator.blur),
        "model_error_length": float(estimator.error_length),
        **({"model_mean_over": estimator.mean_over} if estimator.mean_over else {}),
        "source": f"xsubpix {__version__}",
        "xsubpix_version": __version__,
    }
