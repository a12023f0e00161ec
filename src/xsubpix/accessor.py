"""The ``.subpix`` accessors: public functions as methods of images and fields."""

from __future__ import annotations

from typing import Any

import xarray as xr

from . import displacement, files, plot
from .align import align as _align
from .align import regrid as _regrid
from .correlate import correlate as _correlate
from .database.own_pair import training_samples as _training_samples
from .errors import DataError
from .explore import explore as _explore
from .methods import as_method
from .report import report as _report
from .rupture import synthetic_rupture as _synthetic_rupture
from .warp import warp_quintic as _warp_quintic

__all__ = ["DisplacementAccessor", "ImageAccessor"]


class WrongObjectError(DataError, AttributeError):
    """A method of images is asked of a field, or the reverse."""


def _methods(accessor: type) -> list[str]:
    """Public names of an accessor."""
    return sorted(name for name in vars(accessor) if not name.startswith("_"))


@xr.register_dataarray_accessor("subpix")
class ImageAccessor:
    """Methods of an image, ``pre.subpix``: functions of the same names that take one first.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xsubpix
    >>> ground = np.random.default_rng(0).normal(size=(64, 64)).cumsum(0).cumsum(1)
    >>> pre, post = (xr.DataArray(g, dims=("y", "x")) for g in (ground[:, 1:], ground[:, :-1]))
    >>> disp = pre.subpix.correlate(post, model="phase", step=8)
    >>> round(float(disp.east[3, 3]), 2)
    1.0
    """

    def __init__(self, image: xr.DataArray) -> None:
        self._object = image

    def __getattr__(self, name: str) -> Any:
        """Say of what the methods of fields are."""
        if name in _methods(DisplacementAccessor):
            raise WrongObjectError(
                f"{name} takes a displacement field, a Dataset with 'east' and 'north', and this "
                "is a DataArray: correlate two images first, pre.subpix.correlate(post)."
            )
        raise AttributeError(f"images have no method {name!r}: {', '.join(_methods(type(self)))}.")

    align = as_method(_align)
    correlate = as_method(_correlate)
    regrid = as_method(_regrid)
    synthetic_rupture = as_method(_synthetic_rupture)
    training_samples = as_method(_training_samples)
    warp_quintic = as_method(_warp_quintic)


@xr.register_dataset_accessor("subpix")
class DisplacementAccessor:
    """Methods of a field, ``disp.subpix``: functions of the same names that take one first.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xsubpix
    >>> moved = xr.DataArray(np.ones((8, 8)), dims=("y", "x"))
    >>> disp = xr.Dataset({"east": 3.0 * moved, "north": 4.0 * moved})
    >>> float(disp.subpix.magnitude().max())  # xsubpix.magnitude(disp)
    5.0
    """

    def __init__(self, disp: xr.Dataset) -> None:
        self._object = disp

    def __getattr__(self, name: str) -> Any:
        """Say of what the methods of images are."""
        if name in _methods(ImageAccessor):
            raise WrongObjectError(
                f"{name} takes an image, a DataArray, and this is a Dataset with "
                f"{list(self.__dict__['_object'].data_vars)}: choose one, ds['NAME'].subpix.{name}."
            )
        raise AttributeError(f"fields have no method {name!r}: {', '.join(_methods(type(self)))}.")

    # Components
    magnitude = as_method(displacement.magnitude)
    azimuth = as_method(displacement.azimuth)
    rotate = as_method(displacement.rotate)
    to_pixels = as_method(displacement.to_pixels)
    true_north = as_method(displacement.true_north)
    line_of_sight = as_method(displacement.line_of_sight)

    # Cleaning
    mask = as_method(displacement.mask)
    filter_outliers = as_method(displacement.filter_outliers)
    detrend = as_method(displacement.detrend)
    destripe = as_method(displacement.destripe)
    denoise = as_method(displacement.denoise)
    calibrate_sigma = as_method(displacement.calibrate_sigma)

    # Faults
    profile = as_method(displacement.profile)
    offsets = as_method(displacement.offsets)
    detect_trace = as_method(displacement.detect_trace)
    strain = as_method(displacement.strain)
    series = as_method(displacement.series)
    velocity = as_method(displacement.velocity)

    # Models of slip
    quadtree = as_method(displacement.quadtree)
    sample = as_method(displacement.sample)

    # Looking
    summary = as_method(displacement.summary)
    statistics = as_method(displacement.statistics)
    explore = as_method(_explore)
    report = as_method(_report)
    epe = as_method(displacement.epe)

    @property
    def plot(self) -> plot.Plotter:
        """Figures: ``plot()`` draws what this is, ``plot.error(truth)`` its error.

        Examples
        --------
        >>> import numpy as np, xarray as xr, xsubpix
        >>> moved = xr.DataArray(np.ones((8, 8)), dims=("y", "x"))
        >>> disp = xr.Dataset({"east": 3.0 * moved, "north": 4.0 * moved})
        >>> disp.subpix.plot().savefig("disp.png")  # needs matplotlib
        """
        return plot.Plotter(self._object)

    # Writing
    to_cog = as_method(files.to_cog)
    to_netcdf = as_method(files.to_netcdf)
    to_cosi_corr = as_method(files.to_cosi_corr)
    to_kite = as_method(files.to_kite)
    to_points = as_method(files.to_points)
