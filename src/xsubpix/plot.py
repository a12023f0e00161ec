"""Pictures of pairs and displacement fields (matplotlib, the extra ``plot``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from .errors import SubpixError
from .grid import Grid

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["plot_comparison"]

# Displacement: a perceptual diverging map; error: a sequential one.
DIVERGING, SEQUENTIAL = "RdBu_r", "magma"


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
        The measured displacement.
    truth : xarray.Dataset, optional
        The true displacement: its end-point error is shown; without it, the
        quality.
    title : str, optional
        Above the panel.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    SubpixError
        matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise SubpixError("plots need matplotlib: pip install 'xsubpix[plot]'.") from error

    grid = Grid.from_dataarray(disp["east"], "disp")
    unit = "m" if grid.units == "m" else "unit of the grid"
    figure = Figure(figsize=(17.5, 3.9), layout="constrained", dpi=110)
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, 5, sharex=True, sharey=True)
    both = np.concatenate([np.ravel(pre.values), np.ravel(post.values)]).astype(float)
    low, high = np.nanpercentile(both, [2, 98])
    for ax, image, name in zip(axes, (pre, post), ("pre", "post"), strict=False):
        mesh = _show(ax, image, cmap="gray", vmin=low, vmax=high)
        ax.set_title(f"image {name}")
        figure.colorbar(mesh, ax=ax, shrink=0.8, label=str(image.attrs.get("units", "")))
    reference = truth if truth is not None else disp
    sizes = np.abs(np.concatenate([np.ravel(reference[c].values) for c in ("east", "north")]))
    limit = float(np.nanpercentile(sizes, 99.5)) or 1.0
    for ax, name in zip(axes[2:4], ("east", "north"), strict=True):
        mesh = _show(ax, disp[name], cmap=DIVERGING, vmin=-limit, vmax=limit)
        ax.set_title(f"displacement {name}")
        figure.colorbar(mesh, ax=ax, shrink=0.8, label=unit, extend="both")
    if truth is not None:
        from .displacement import epe

        mesh = _show(axes[4], epe(disp, truth), cmap=SEQUENTIAL, vmin=0, vmax=limit / 2)
        axes[4].set_title("end-point error")
        figure.colorbar(mesh, ax=axes[4], shrink=0.8, label=unit, extend="max")
    else:
        mesh = _show(axes[4], disp["quality"], cmap="viridis", vmin=0, vmax=1)
        axes[4].set_title("quality")
        figure.colorbar(mesh, ax=axes[4], shrink=0.8)
    if title:
        figure.suptitle(title)
    return figure


def _show(ax: Any, field: xr.DataArray, **style: Any) -> Any:
    """Draw a field with its rows and columns where they are, kilometres if in metres."""
    grid = Grid.from_dataarray(field, "field")
    values = field.transpose(*grid.dims).values
    a, b, c, d, e, f = grid.transform
    rows, cols = grid.shape
    kilometres = grid.metres_per_unit is not None
    scale = 1e-3 * (grid.metres_per_unit or 1.0) if kilometres else 1.0
    # Kilometres from the corner: seven-figure coordinates say little in a picture.
    corners = grid.corners() * scale
    origin = corners.min(0) if kilometres else np.zeros(2)
    if b or d:
        col, row = np.meshgrid(np.arange(cols + 1), np.arange(rows + 1))
        x = (a * col + b * row + c) * scale - origin[0]
        y = (d * col + e * row + f) * scale - origin[1]
        mesh = ax.pcolormesh(x, y, values, rasterized=True, **style)
    else:
        extent = (
            c * scale - origin[0], (c + a * cols) * scale - origin[0],
            (f + e * rows) * scale - origin[1], f * scale - origin[1],
        )  # fmt: skip
        mesh = ax.imshow(values, extent=extent, interpolation="none", **style)
        if grid.crs is None and e > 0:
            ax.set_ylim(max(extent[2:]), min(extent[2:]))
        else:
            ax.set_ylim(min(extent[2:]), max(extent[2:]))
        ax.set_xlim(min(extent[:2]), max(extent[:2]))
    ax.set_aspect("equal")
    ax.set_xlabel("x (km from corner)" if kilometres else str(grid.dims[1]))
    if ax.get_subplotspec() is not None and ax.get_subplotspec().is_first_col():
        ax.set_ylabel("y (km from corner)" if kilometres else str(grid.dims[0]))
    return mesh
