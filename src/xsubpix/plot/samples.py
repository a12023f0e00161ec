"""A field at points beside what was measured there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from ..errors import DataError
from .style import letter, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["plot_sample"]


def plot_sample(found: xr.Dataset, *, title: str | None = None, figure: Any = None) -> Figure:
    """Draw what a field says at points, against what was given there where it was.

    Parameters
    ----------
    found : xarray.Dataset
        From :func:`xsubpix.sample`.
    title : str, optional
        Title above the figure.
    figure : matplotlib.figure.Figure or SubFigure, optional
        Where to draw, e.g. ``plt.figure()``. None: a figure of its own.

    Returns
    -------
    matplotlib.figure.Figure
        East and north: field against given value, with the scatter within the radius and the
        given error, the line of equality, and the median and NMAD of the differences. Points
        without given values stand side by side.

    Raises
    ------
    DataError
        These are no values at points.
    SubpixError
        matplotlib is not installed.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xsubpix
    >>> pixel = {"y": -30.0 * np.arange(40), "x": 30.0 * np.arange(60)}
    >>> moved = (("y", "x"), np.full((40, 60), 1.5))
    >>> disp = xr.Dataset({"east": moved, "north": moved}, pixel)
    >>> table = {"x": [600.0], "y": [-600.0], "east": [1.2], "north": [1.5]}
    >>> figure = xsubpix.sample(disp, table).subpix.plot()  # needs matplotlib
    """
    if not isinstance(found, xr.Dataset) or "east_scatter" not in found:
        have = list(found.data_vars) if isinstance(found, xr.Dataset) else type(found).__name__
        raise DataError(f"found has {have}: give what sample(disp, points) returns.")
    figure = new_figure((7.6, 3.9 if title else 3.6), figure)
    for k, (ax, name) in enumerate(zip(figure.subplots(1, 2), ("east", "north"), strict=True)):
        unit = found[name].attrs.get("units", "1")
        label = f"{name} ({'unit of the grid' if unit == '1' else unit})"
        if f"{name}_given" in found:
            _against_given(ax, found, name)
            ax.set(xlabel=f"given {label}", ylabel=f"field {label}")
        else:
            _side_by_side(ax, found, name)
            ax.set_ylabel(f"field {label}")
        letter(ax, k)
    if title:
        figure.suptitle(title)
    return figure


def _against_given(ax: Any, found: xr.Dataset, name: str) -> None:
    """One component, field over given value."""
    given, field = found[f"{name}_given"].values, found[name].values
    sigma = found.get(f"{name}_given_sigma")
    ax.errorbar(
        given, field, yerr=found[f"{name}_scatter"].values,
        xerr=None if sigma is None else sigma.values,
        fmt="o", ms=4, lw=1, color="#0072B2", ecolor="0.6",
    )  # fmt: skip
    known = np.isfinite(given) & np.isfinite(field)
    if not known.any():
        ax.set_title("no values at these points", fontsize="medium")
        return
    both = np.concatenate([given[known], field[known]])
    margin = 0.08 * float(np.ptp(both)) or 1.0
    ends = [float(both.min()) - margin, float(both.max()) + margin]
    ax.plot(ends, ends, color="black", lw=0.8, zorder=0)
    ax.set(xlim=ends, ylim=ends, aspect="equal")
    away = (field - given)[known]
    scatter = 1.4826 * np.median(np.abs(away - np.median(away)))
    ax.set_title(
        f"{name}: {known.sum()} points, median {np.median(away):.3g}, NMAD {scatter:.3g}",
        fontsize="medium",
    )
    if "station" in found.coords:
        for k in np.flatnonzero(known):
            ax.annotate(
                str(found["station"].values[k]), (given[k], field[k]), xytext=(4, 3),
                textcoords="offset points", fontsize="x-small", color="0.3",
            )  # fmt: skip


def _side_by_side(ax: Any, found: xr.Dataset, name: str) -> None:
    """One component of points without given values, by their names or numbers."""
    at = np.arange(found.sizes["point"])
    ax.errorbar(
        at, found[name].values, yerr=found[f"{name}_scatter"].values, fmt="o", ms=4, lw=1,
        color="#0072B2", ecolor="0.6",
    )  # fmt: skip
    names = found["station"].values if "station" in found.coords else at
    ax.set_xticks(at[:: max(1, len(at) // 12)])
    ax.set_xticklabels([str(n) for n in names[:: max(1, len(at) // 12)]], rotation=45, ha="right")
    ax.set_title(name, fontsize="medium")
