"""Displacement vectors on a map."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from ..grid import Plane
from .style import MapAxes, limit_of, show_field

__all__ = ["draw_arrows"]


def draw_arrows(ax: Any, disp: xr.Dataset, map_axes: MapAxes, unit: str, across: int) -> None:
    """Length in purple, and arrows with a key, in the directions of the map."""
    grid = map_axes.grid
    parts = [disp[n].transpose(*grid.dims).values.astype(float) for n in ("east", "north")]
    length = disp["east"].transpose(*grid.dims).copy(data=np.hypot(*parts))
    top = limit_of([length.values])
    # Not in grey, which is what there is no sure value of.
    show_field(ax, length, frame=map_axes, cmap="Purples", vmin=0, vmax=1.6 * top)
    step = max(1, -(-max(grid.shape) // across))
    rows, cols = (np.arange(0, n - step // 2, step) for n in grid.shape)
    u, v, x, y = [], [], [], []
    plane = Plane.of(grid)
    for row in rows:
        for col in cols:
            block = [p[row : row + step, col : col + step] for p in parts]
            both = np.isfinite(block[0]) & np.isfinite(block[1])
            if both.sum() * 3 < both.size:
                continue
            at = (row + (block[0].shape[0] - 1) / 2, col + (block[0].shape[1] - 1) / 2)
            px, py = map_axes.from_crs(*plane.to_crs(*plane.at(*map(np.asarray, at))))
            x.append(float(px))
            y.append(float(py))
            u.append(float(np.median(block[0][both])))
            v.append(float(np.median(block[1][both])))
    ax.set_title("vectors")
    if not u:
        return
    side = step * plane.pixel * (1e-3 if map_axes.kilometres else 1.0)
    if grid.crs is not None and not map_axes.kilometres:
        side = step * abs(grid.transform.e or grid.transform.a)
    typical = float(np.percentile(np.hypot(u, v), 95)) or 1.0
    # "xy": arrows point where the ground went on this map, whichever way its axes run.
    # A metre east is more degrees of longitude than a metre north is of latitude.
    quiver = ax.quiver(
        x, y, np.multiply(u, map_axes.aspect), v, angles="xy", scale_units="xy",
        scale=typical / (0.8 * side), color="#b2182b", width=0.004, zorder=5,
    )  # fmt: skip
    unit_length = 10.0 ** np.floor(np.log10(typical))
    key = float(
        next(k * unit_length for k in (5.0, 2.0, 1.0) if k * unit_length <= typical * 1.001)
    )
    ax.quiverkey(
        quiver,
        0.80,
        1.03,
        key * map_axes.aspect,
        f"{key:g} {unit}",
        labelpos="E",
        coordinates="axes",
        labelsep=0.05,
    )
