"""Two images, the displacement between them, and its error, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from ..displacement.flagged import left_out, without_unsure
from ..field_input import checked_field
from ..grid import Grid
from .style import DIVERGING, SEQUENTIAL, new_figure, settle, show_field

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["plot_comparison"]


def plot_comparison(
    pre: xr.DataArray,
    post: xr.DataArray,
    disp: xr.Dataset,
    truth: xr.Dataset | None = None,
    *,
    title: str | None = None,
) -> Figure:
    """One panel: the two images, east and north, and what is known of the error.

    Parameters
    ----------
    pre, post : xarray.DataArray
        The images.
    disp : xarray.Dataset
        The measured displacement; values flagged as unsure are grey.
    truth : xarray.Dataset, optional
        The true displacement: its end-point error is shown; without it, the
        quality.
    title : str, optional
        Title above the panel.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    SubpixError
        matplotlib is not installed.

    Examples
    --------
    >>> from xsubpix.plot import plot_comparison
    >>> from xsubpix.tutorial import example_earthquake, procedural_scene
    >>> pre = procedural_scene((64, 64))
    >>> post, truth = example_earthquake(pre)
    >>> figure = plot_comparison(pre, post, truth, truth)
    """
    disp = checked_field(disp, "east", "north")
    grid = Grid.from_dataarray(disp["east"], "disp")
    disp, share = without_unsure(disp, False, ["east", "north", "sigma"])
    unit = "m" if grid.units == "m" else "unit of the grid"
    figure = new_figure((17.5, 3.9))
    axes = figure.subplots(1, 5, sharex=True, sharey=True)
    both = np.concatenate([np.ravel(pre.values), np.ravel(post.values)]).astype(float)
    low, high = np.nanpercentile(both, [2, 98])
    for ax, image, name in zip(axes, (pre, post), ("pre", "post"), strict=False):
        mesh = show_field(ax, image, cmap="gray", vmin=low, vmax=high)
        ax.set_title(f"image {name}")
        figure.colorbar(mesh, ax=ax, shrink=0.8, label=str(image.attrs.get("units", "")))
    reference = truth if truth is not None else disp
    sizes = np.abs(np.concatenate([np.ravel(reference[c].values) for c in ("east", "north")]))
    limit = float(np.nanpercentile(sizes, 99.5)) or 1.0
    for ax, name in zip(axes[2:4], ("east", "north"), strict=True):
        mesh = show_field(ax, disp[name], cmap=DIVERGING, vmin=-limit, vmax=limit)
        ax.set_title(f"displacement {name}")
        figure.colorbar(mesh, ax=ax, shrink=0.8, label=unit, extend="both")
    if truth is not None:
        from ..displacement import epe

        mesh = show_field(axes[4], epe(disp, truth), cmap=SEQUENTIAL, vmin=0, vmax=limit / 2)
        axes[4].set_title("end-point error")
        figure.colorbar(mesh, ax=axes[4], shrink=0.8, label=unit, extend="max")
    else:
        mesh = show_field(axes[4], disp["quality"], cmap="viridis", vmin=0, vmax=1)
        axes[4].set_title("quality")
        figure.colorbar(mesh, ax=axes[4], shrink=0.8)
    if share:
        text = left_out(disp, share)["left_out"].replace("_", " ")
        figure.supxlabel(f"grey: {text}", fontsize="small", color="0.3")
    if title:
        figure.suptitle(title)
    settle(figure)
    return figure
