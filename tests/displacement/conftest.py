"""Displacement fields on grids of all kinds."""

from collections.abc import Callable

import numpy as np
import pytest
import rioxarray  # noqa: F401  (registers .rio)
import xarray as xr


def make_field(
    east: np.ndarray,
    north: np.ndarray | None = None,
    *,
    pixel: float = 20.0,
    crs: str | None = "EPSG:32611",
    origin: tuple[float, float] = (5e5, 4e6),
    north_up: bool = True,
    **others: np.ndarray,
) -> xr.Dataset:
    """A field on a projected grid (or without CRS), float32."""
    east = np.asarray(east, np.float32)
    north = np.zeros_like(east) if north is None else np.asarray(north, np.float32)
    rows, cols = east.shape
    x = origin[0] + pixel * (np.arange(cols) + 0.5)
    y = origin[1] + pixel * (np.arange(rows) + 0.5) * (-1 if north_up else 1)
    arrays = {"east": east, "north": north, **others}
    data = {name: (("y", "x"), np.asarray(a), {"units": "m"}) for name, a in arrays.items()}
    disp = xr.Dataset(data, coords={"y": y, "x": x})
    return disp.rio.write_crs(crs) if crs else disp


@pytest.fixture(scope="session")
def field() -> Callable[..., xr.Dataset]:
    """``field(east, north, pixel=20, crs=..., sigma=...)``."""
    return make_field
