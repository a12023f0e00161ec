"""Builder of labelled output: arrays on an image's grid as a Dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from .coordinates import two_dimensional_coords

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from .grid import Grid

__all__ = ["labelled"]


def labelled(
    image: xr.DataArray,
    grid: Grid,
    variables: Mapping[str, tuple[Any, Mapping[str, Any]]],
    attrs: Mapping[str, Any],
    *,
    step: int = 1,
    coords: Mapping[Hashable, Any] | None = None,
) -> xr.Dataset:
    """Build a Dataset on an image's grid: the only maker of labelled output.

    Parameters
    ----------
    image : xarray.DataArray
        Where the coordinates come from; none of its attributes, name or
        encoding, and no other coordinate, is passed on.
    grid : Grid
        The image's grid (not coarsened).
    variables : mapping
        Name to (array of shape ``grid.coarsen(step).shape``, attributes).
    attrs : mapping
        Attributes of the Dataset.
    step : int
        Pixels of the image in one of the output, along each dimension.
    coords : mapping, optional
        Further (scalar) coordinates.

    Returns
    -------
    xarray.Dataset
        Dimensions in the image's order. Where step is 1 the coordinates are
        the image's own, bit for bit, so that xarray aligns the two. At larger
        steps they are the blocks' centres, in pixels counted from 0 where the
        image has no coordinates.

    Examples
    --------
    >>> from xsubpix import Grid
    >>> image = xr.DataArray(np.ones((2, 3)), dims=("y", "x"), coords={"y": [5, 4], "x": [0, 1, 2]})
    >>> grid = Grid.from_dataarray(image)
    >>> disp = labelled(image, grid, {"east": (np.zeros((2, 3)), {"units": "1"})}, {})
    >>> disp.east.x.values
    array([0, 1, 2])
    """
    y_dim, x_dim = grid.dims
    coarse = grid.coarsen(step)
    out_coords: dict[Hashable, Any] = {}
    for dim in grid.dims:
        if dim in image.coords:
            out_coords[dim] = _coarse_coordinate(image[dim].variable, step)
    for name in two_dimensional_coords(image, y_dim, x_dim) or ():
        variable = image[name].variable.transpose(y_dim, x_dim)
        out_coords[name] = _coarse_coordinate(variable, step)
    mapping = grid.grid_mapping or "spatial_ref"
    if step > 1 and not out_coords and mapping not in image.coords:
        # Without coordinates a coarser field would not know where in the image it lies.
        for dim in grid.dims:
            out_coords[dim] = _coarse_coordinate(
                xr.Variable((dim,), np.arange(image.sizes[dim])), step
            )
    is_located = grid.crs is not None or mapping in image.coords or len(out_coords) > 0
    out_coords.update(coords or {})
    ds = xr.Dataset(
        {name: ((y_dim, x_dim), array, dict(a)) for name, (array, a) in variables.items()},
        coords=out_coords,
        attrs=dict(attrs),
    )
    if is_located:
        import rioxarray  # noqa: F401  (registers .rio)

        if grid.crs is not None:
            ds = ds.rio.write_crs(grid.crs.to_wkt(), grid_mapping_name=mapping)
        else:
            ds = ds.assign_coords({mapping: xr.Variable((), np.int64(0))})
            for name in variables:
                ds[name].encoding["grid_mapping"] = mapping
        gdal = coarse.transform.to_gdal()
        ds[mapping].attrs["GeoTransform"] = " ".join(repr(float(v)) for v in gdal)
    order = [dim for dim in image.dims if dim in grid.dims]
    return ds if order == [y_dim, x_dim] else ds.transpose(*order)


def _coarse_coordinate(variable: xr.Variable, step: int) -> xr.Variable:
    """Mean of each block of `step` values along every dimension; a copy at step 1."""
    values = np.array(variable.values)
    if step > 1:
        for axis, size in enumerate(values.shape):
            kept = np.take(values, np.arange(size // step * step), axis=axis)
            shape = (*values.shape[:axis], size // step, step, *values.shape[axis + 1 :])
            values = kept.reshape(shape).mean(axis=axis + 1)
    return xr.Variable(variable.dims, values, dict(variable.attrs))
