"""Pictures (matplotlib, the extra ``plot``): figures to save or to show in a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import xarray as xr

from .comparison import plot_comparison
from .fields import plot_displacement, plot_error
from .lines import plot_offsets, plot_profile, plot_training
from .methods import method_style
from .samples import plot_sample

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "Plotter",
    "method_style",
    "plot_comparison",
    "plot_displacement",
    "plot_error",
    "plot_offsets",
    "plot_profile",
    "plot_sample",
    "plot_training",
]


class Plotter:
    """``disp.subpix.plot``: call it, or one of its methods.

    Parameters
    ----------
    disp : xarray.Dataset
        A displacement field, a profile or offsets.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xsubpix
    >>> moved = xr.DataArray(np.ones((8, 8)), dims=("y", "x"))
    >>> disp = xr.Dataset({"east": 3.0 * moved, "north": 4.0 * moved})
    >>> figure = disp.subpix.plot.error(disp)  # needs matplotlib
    """

    def __init__(self, disp: xr.Dataset) -> None:
        self._disp = disp

    def __call__(self, **options: Any) -> Figure:
        """Draw what this is.

        Offsets by :func:`~xsubpix.plot.plot_offsets`, a profile by
        :func:`~xsubpix.plot.plot_profile`, values at points by
        :func:`~xsubpix.plot.plot_sample`, a field by
        :func:`~xsubpix.plot.plot_displacement`, with their options.
        """
        if "parallel_low" in self._disp.variables:
            return plot_offsets(self._disp, **options)
        if "along_scatter" in self._disp.variables:
            return plot_profile(self._disp, **options)
        if "east_scatter" in self._disp.variables:
            return plot_sample(self._disp, **options)
        return plot_displacement(self._disp, **options)

    def error(
        self,
        truth: xr.Dataset,
        *,
        trace: Any = None,
        keep_unsure: bool = False,
        figure: Any = None,
    ) -> Figure:
        """Draw the error against a known field; see :func:`~xsubpix.plot.plot_error`."""
        return plot_error(self._disp, truth, trace=trace, keep_unsure=keep_unsure, figure=figure)
