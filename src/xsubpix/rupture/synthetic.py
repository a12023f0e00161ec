"""A synthetic rupture on an image's grid, labelled."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from ..errors import ModelError
from ..grid import Plane, labelled
from ..image import Image
from .fault import Fault
from .sampling import GridSampler

if TYPE_CHECKING:
    from ..lattice import Array

__all__ = ["synthetic_rupture"]

# Rows and columns of a lazy block: the largest cell of the sampler, so that no
# cell is evaluated by two tasks.
_BLOCK = 1024


def synthetic_rupture(
    image: xr.DataArray,
    fault: Fault | None = None,
    *,
    seed: int | np.random.Generator | None = None,
    poisson: float = 0.25,
    **overrides: Any,
) -> xr.Dataset:
    """Displacement of the ground by an earthquake that did not happen.

    Parameters
    ----------
    image : xarray.DataArray
        Image that gives the grid; its pixel values are not used.
    fault : xsubpix.rupture.Fault, optional
        The rupture, in metres along the grid's x and y. On a geographic grid,
        metres east and north of the grid's centre. None: drawn at random.
    seed : int or numpy.random.Generator, optional
        Source of the random draw.
    poisson : float
        Poisson's ratio of the elastic half-space.
    **overrides
        Parameters that are given instead of drawn: ``strike``, ``dip``, ``length``, ``slip``,
        ..., and ``complexity`` (0, a clean break, to 2; 1 as rough as real ruptures, with shear off
        the trace, splays, parallel strands, cracks and gaps); see
        :func:`xsubpix.rupture.draw_fault`.

    Returns
    -------
    xarray.Dataset
        ``east``, ``north``, ``up``, float32, on the image's grid (metres, or
        the coordinates' unit without CRS), lazy if the image is. The attribute
        ``fault`` holds the fault as JSON (:meth:`xsubpix.rupture.Fault.from_json`
        reads it), ``fault_trace`` its trace as WKT, in the fault's coordinates.

    Raises
    ------
    DimensionError, GridError, DataError
        The image has no usable grid.
    ModelError
        Both a fault and overrides were given.
    FaultError
        An override is out of bounds.

    Notes
    -----
    Triangular dislocations in a homogeneous elastic half-space, after
    Nikkhoo & Walter (2015), by the library cutde. No pixel is missing; the
    jump falls between pixels.

    References
    ----------
    Nikkhoo, M. & Walter, T. R. (2015). Triangular dislocation: an analytical,
    artefact-free solution. Geophysical Journal International 201, 1119-1141.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xsubpix
    >>> pixel = {"y": -30.0 * np.arange(64), "x": 30.0 * np.arange(64)}
    >>> image = xr.DataArray(np.random.default_rng(0).random((64, 64)), pixel, ("y", "x"))
    >>> truth = xsubpix.synthetic_rupture(image, seed=7)
    >>> list(truth.data_vars), truth.east.shape
    (['east', 'north', 'up'], (64, 64))
    >>> rough = xsubpix.synthetic_rupture(image, seed=7, top_depth=0.0, complexity=1.0)
    >>> fault = xsubpix.Fault.from_json(rough.attrs["fault"])
    >>> 0 < fault.off_trace_share < 1
    True
    """
    source = Image.from_dataarray(image, "image")
    grid = source.grid
    plane = Plane.of(grid)
    affine = plane.affine[:6]
    if fault is None:
        rows, cols = grid.shape
        x, y = plane.at(*np.array([(0, 0), (0, cols), (rows, 0), (rows, cols)]).T - 0.5)
        extent = (x.min(), y.min(), x.max(), y.max())
        overrides.setdefault("pixel_size", plane.pixel)
        fault = Fault.random(np.random.default_rng(seed), extent, **overrides)
    elif overrides or seed is not None:
        given = ", ".join([*overrides, *(["seed"] if seed is not None else [])])
        raise ModelError(
            f"fault and {given} were given: these only shape a random fault. Drop one."
        )
    sample = functools.partial(_sample, fault, affine, poisson)
    fields: tuple[Array, ...]
    if source.lazy:
        fields = _lazy(sample, grid.shape)
    else:
        fields = tuple(sample((0, grid.shape[0], 0, grid.shape[1])))
    variables = {
        name: (
            field,
            {
                "long_name": f"ground displacement, {toward}",
                "units": grid.units,
                "comment": f"positive {toward}; synthetic: an elastic half-space",
            },
        )
        for name, toward, field in zip(
            ("east", "north", "up"), ("toward grid +x", "toward grid +y", "up"), fields, strict=True
        )
    }
    attrs = {
        "Conventions": "CF-1.11",
        "title": "Synthetic rupture",
        "fault": json.dumps(fault.to_dict()),
        "fault_trace": fault.trace_wkt,
        "poisson_ratio": poisson,
    }
    return labelled(image, grid, variables, attrs)


def _sample(
    fault: Fault,
    affine: tuple[float, float, float, float, float, float],
    poisson: float,
    window: tuple[int, int, int, int],
) -> np.ndarray:
    return GridSampler(fault, affine, poisson)(window)


def _lazy(sample: Any, shape: tuple[int, int]) -> tuple[Array, ...]:
    import dask.array as da

    def block(block_info: Any = None) -> np.ndarray:
        (_, rows, cols) = block_info[None]["array-location"]
        return sample((*rows, *cols))

    chunks = ((3,), *(da.core.normalize_chunks(_BLOCK, (n,))[0] for n in shape))
    stack = da.map_blocks(
        block, chunks=chunks, dtype=np.float32, meta=np.empty((0, 0, 0), np.float32),
        name="subpix-rupture-" + da.core.tokenize(sample, shape),
    )  # fmt: skip
    return stack[0], stack[1], stack[2]
