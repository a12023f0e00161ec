"""Ruptures on labelled grids: places, signs, laziness, what the attributes hold."""

import json

import numpy as np
import pytest
import xarray as xr

import xsubpix
from xsubpix import Fault
from xsubpix.rupture import displacement_at


def image(shape=(60, 80), pixel=30.0, ascending=False, crs="EPSG:32611"):
    y = 4e6 - pixel * np.arange(shape[0])
    x = 5e5 + pixel * np.arange(shape[1])
    out = xr.DataArray(
        np.zeros(shape, "uint8"), dims=("y", "x"), coords={"y": y[::-1] if ascending else y, "x": x}
    )
    return out.rio.write_crs(crs) if crs else out


def vertical_fault():
    """Right-lateral, striking north through the middle of the image."""
    return Fault.straight(
        5e5 + 30 * 39.5, 4e6 - 30 * 29.5, strike=0.0, length=30e3, width=10e3, slip=2.0
    )


@pytest.mark.parametrize("ascending", [False, True])
def test_right_lateral_moves_the_east_side_south(ascending):
    """Else the field is mirrored: by the rows' direction, or by cutde's sign of slip."""
    disp = image(ascending=ascending).subpix.synthetic_rupture(vertical_fault())
    assert float(disp.north.isel(x=-1).mean()) < -0.3
    assert float(disp.north.isel(x=0).mean()) > 0.3
    assert bool(disp.to_array().notnull().all())


def test_values_are_those_of_the_fault_at_the_pixels_centres():
    """Else the grid is shifted by half a pixel, or read from the wrong corner."""
    pre, fault = image(), vertical_fault()
    disp = pre.subpix.synthetic_rupture(fault)
    x, y = np.meshgrid(pre.x, pre.y)
    for name, true in zip(("east", "north", "up"), displacement_at(fault, x, y), strict=True):
        assert np.abs(disp[name].values - true).max() < 0.003 * 2.0


@pytest.mark.parametrize("chunks", [{"y": 7, "x": 80}, {"y": 33, "x": 41}])
def test_lazy_is_the_same_and_lazy(chunks):
    """Else a scene of 15,000 pixels is computed at once, or its blocks do not fit."""
    pre = image()
    eager = pre.subpix.synthetic_rupture(seed=3)
    lazy = pre.chunk(chunks).subpix.synthetic_rupture(seed=3)
    again = pre.chunk(chunks).subpix.synthetic_rupture(seed=3)
    assert hasattr(lazy.east.data, "dask")
    assert lazy.east.data.name == again.east.data.name
    for name in ("east", "north", "up"):
        assert np.array_equal(lazy[name].values, eager[name].values)


def test_seeds_draw_and_overrides_hold():
    """Else a database cannot be made again, or asked for left-lateral faults."""
    pre = image()
    one, same, other = (pre.subpix.synthetic_rupture(seed=s) for s in (1, 1, 2))
    assert one.identical(same)
    assert not one.identical(other)
    fault = Fault.from_dict(
        json.loads(pre.subpix.synthetic_rupture(seed=1, sense="left", dip=90.0).attrs["fault"])
    )
    assert fault.dip == 90.0
    assert abs(fault.rake) < 90


def test_attributes_give_the_fault_back():
    """Else the truth of a training sample is lost."""
    fault = vertical_fault()
    attrs = image().subpix.synthetic_rupture(fault).attrs
    assert Fault.from_json(attrs["fault"]) == fault
    assert attrs["fault_trace"].startswith("LINESTRING")


def test_feet_and_degrees():
    """Else metres are wrong on a grid in feet or degrees."""
    feet = image(pixel=100.0, crs="EPSG:2229").subpix.synthetic_rupture(seed=0)
    assert feet.east.attrs["units"] == "m"
    degrees = xr.DataArray(
        np.zeros((40, 40)),
        dims=("lat", "lon"),
        coords={"lat": 35 - 3e-4 * np.arange(40), "lon": -118 + 3e-4 * np.arange(40)},
    ).rio.write_crs("EPSG:4326")
    fault = Fault.straight(0.0, 0.0, strike=0.0, length=30e3, width=10e3, slip=2.0)
    disp = degrees.subpix.synthetic_rupture(fault)
    # The jump lies in the middle of the grid, and is that of the slip.
    middle = disp.north.isel(lat=20)
    step = middle.diff("lon")
    assert int(np.argmax(np.abs(step.values))) == 19
    assert float(abs(step).max()) == pytest.approx(2.0, rel=0.05)


def test_fault_and_seed_together_are_refused():
    """Else one of the two is silently ignored."""
    with pytest.raises(xsubpix.ModelError, match="seed"):
        image().subpix.synthetic_rupture(vertical_fault(), seed=1)
