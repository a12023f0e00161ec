"""Components: signs, angles, sides of a fault, and where true north is."""

import pickle

import numpy as np
import pyproj
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import xsubpix
from xsubpix import DataError, ModelError


def random(shape=(12, 15), seed=0):
    return np.random.default_rng(seed).normal(size=(2, *shape))


def test_magnitude_and_azimuth(field):
    """Else north counts from the x axis, or angles run the wrong way round."""
    disp = field(np.array([[0.0, 3.0, 0.0, -1.0]]), np.array([[2.0, 0.0, -1.0, 0.0]]))
    np.testing.assert_allclose(xsubpix.magnitude(disp).values[0], [2, 3, 1, 1])
    np.testing.assert_allclose(xsubpix.azimuth(disp).values[0], [0, 90, 180, 270])
    assert xsubpix.azimuth(disp).attrs["units"] == "degree"
    assert xsubpix.magnitude(disp).rio.crs.to_epsg() == 32611


@given(st.floats(0, 360), st.integers(0, 100))
def test_rotation_keeps_lengths_and_comes_back(strike, seed):
    """Else a rotation scales or mirrors the field."""
    east, north = random(seed=seed)
    disp = xr.Dataset({"east": (("y", "x"), east), "north": (("y", "x"), north)})
    got = xsubpix.rotate(disp, strike)
    np.testing.assert_allclose(
        np.hypot(got.parallel, got.perpendicular), np.hypot(east, north), rtol=1e-5
    )
    s, c = np.sin(np.radians(strike)), np.cos(np.radians(strike))
    np.testing.assert_allclose(got.parallel * s + got.perpendicular * c, east, atol=1e-5)


def test_a_straight_trace_is_its_strike(field):
    """Else the two ways to name a fault disagree."""
    disp = field(*random(), sigma=np.full((12, 15), 0.1, "f4"))
    x0, y0 = 500150.0, 3999880.0
    s, c = np.sin(np.radians(65)), np.cos(np.radians(65))
    trace = np.array([[x0 - 500 * s, y0 - 500 * c], [x0 + 500 * s, y0 + 500 * c]])
    by_trace, by_strike = xsubpix.rotate(disp, trace), xsubpix.rotate(disp, 65.0)
    for name in ("parallel", "perpendicular", "sigma"):
        np.testing.assert_allclose(by_trace[name], by_strike[name], atol=1e-5)
    x, y = np.meshgrid(disp.x, disp.y)
    np.testing.assert_allclose(by_trace.distance, (x - x0) * c - (y - y0) * s, atol=1e-2)
    np.testing.assert_allclose(by_trace.strike, 65.0, atol=1e-4)


@pytest.mark.parametrize("clockwise", [True, False])
def test_a_curved_trace_has_its_local_strike(field, clockwise):
    """Else one strike is used for a fault that bends: here a quarter of a circle."""
    n, pixel, radius = 80, 20.0, 1000.0
    angle = np.radians(np.linspace(-30, 120, 151))
    if clockwise:
        angle = angle[::-1]
    centre = np.array([5e5, 4e6 - n * pixel])
    trace = centre + radius * np.column_stack([np.cos(angle), np.sin(angle)])
    disp = field(np.zeros((n, n)), pixel=pixel)
    x, y = np.meshgrid(disp.x - centre[0], disp.y - centre[1])
    r = np.hypot(x, y)
    # The ground turns about the centre, counter-clockwise.
    disp["east"] = ("y", "x"), (-y / r).astype("f4")
    disp["north"] = ("y", "x"), (x / r).astype("f4")
    got = xsubpix.rotate(disp, trace).where(r > 300)
    sign = -1.0 if clockwise else 1.0
    assert float(np.abs(got.parallel - sign).max()) < 1e-3
    assert float(np.abs(got.perpendicular).max()) < 0.03
    # The outside lies to the right of a counter-clockwise walk.
    np.testing.assert_allclose(got.distance, (sign * (r - radius)) + 0 * got.parallel, atol=0.5)


def test_right_lateral_is_negative_to_the_right(field):
    """Else the sign of slip is lost: the documentation promises this one."""
    north = np.where(np.arange(20) < 10, 1.0, -1.0) * np.ones((10, 1))
    disp = field(np.zeros((10, 20)), north)
    x = 5e5 + 200
    for trace in ([[x, 3.9e6], [x, 4.1e6]], [[x, 4.1e6], [x, 3.9e6]]):
        got = xsubpix.rotate(disp, trace)
        assert float(got.parallel.where(got.distance > 0).max()) == pytest.approx(-1.0)
        assert float(got.parallel.where(got.distance < 0).min()) == pytest.approx(1.0)


@pytest.mark.parametrize("north_up", [True, False])
def test_to_pixels_undoes_metres(field, north_up):
    """Else rows that run north get the wrong sign."""
    east, north = random()
    disp = field(east, north, north_up=north_up)
    got = xsubpix.to_pixels(disp)
    np.testing.assert_allclose(got.dx, east / 20, rtol=1e-5)
    np.testing.assert_allclose(got.dy, north / 20 * (-1 if north_up else 1), rtol=1e-5)


@pytest.mark.parametrize(
    ("crs", "origin"),
    [("EPSG:32611", (8e5, 5e6)), ("EPSG:32711", (2e5, 6e6)), ("EPSG:3413", (-1e6, -2e6))],
)
def test_true_north_is_that_of_the_ellipsoid(field, crs, origin):
    """Else the convergence has the wrong sign: motion toward true north must end up there."""
    shape, pixel = (70, 130), 100.0
    disp = field(np.zeros(shape), pixel=pixel, crs=crs, origin=origin)
    x, y = np.meshgrid(disp.x, disp.y)
    convert = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    lon, lat = convert.transform(x, y)
    x1, y1 = convert.transform(lon, lat + 1e-5, direction="INVERSE")
    length = np.hypot(x1 - x, y1 - y)
    disp["east"] = ("y", "x"), ((x1 - x) / length).astype("f4")
    disp["north"] = ("y", "x"), ((y1 - y) / length).astype("f4")
    got = xsubpix.true_north(disp)
    np.testing.assert_allclose(got.true_north, 1.0, atol=1e-5)
    np.testing.assert_allclose(got.true_east, 0.0, atol=3e-5)
    if crs == "EPSG:32611":
        # East of the central meridian, north of the equator: grid north leans east.
        assert 0 < float(got.convergence.mean()) < 5


def test_true_north_needs_a_crs(field):
    """Else a field without a map is turned by nothing, silently."""
    with pytest.raises(DataError, match="no CRS"):
        xsubpix.true_north(field(*random(), crs=None))


def test_line_of_sight(field):
    """Else subsidence moves the ground toward the satellite."""
    one = np.ones((2, 2), "f4")
    disp = field(one, 0 * one, up=-one)
    got = xsubpix.line_of_sight(disp, incidence=30.0, azimuth=90.0)
    np.testing.assert_allclose(got, 0.5 - np.sqrt(0.75), rtol=1e-5)
    flat = xsubpix.line_of_sight(disp.drop_vars("up"), incidence=30.0, azimuth=270.0)
    np.testing.assert_allclose(flat, -0.5, rtol=1e-5)
    assert "without" in flat.attrs["comment"]
    with pytest.raises(ModelError, match="incidence"):
        xsubpix.line_of_sight(disp, incidence=91.0, azimuth=0.0)


def test_all_are_lazy_and_the_same(field):
    """Else a scene is computed when only its rotation is asked for."""
    disp = field(*random((300, 270)), crs="EPSG:32611")
    lazy = disp.chunk({"y": 100, "x": 90})
    trace = [[5e5, 4e6], [502000, 3998000], [505000, 3997000]]
    calls = [
        xsubpix.magnitude,
        xsubpix.azimuth,
        xsubpix.to_pixels,
        xsubpix.true_north,
        lambda d: xsubpix.rotate(d, trace, smoothing=500.0),
        lambda d: xsubpix.line_of_sight(d, incidence=35.0, azimuth=100.0),
    ]
    for call in calls:
        got = call(lazy)
        variables = got.data_vars.values() if isinstance(got, xr.Dataset) else [got]
        assert all(hasattr(v.data, "dask") for v in variables)
        again = call(lazy)
        assert set(again.__dask_graph__()) == set(got.__dask_graph__()), "random names of tasks"
        pickle.dumps(dict(got.__dask_graph__()))
        xr.testing.assert_identical(got.compute(), call(disp))


def test_transposed_fields_and_missing_values(field):
    """Else dimensions come out in another order, or gaps are filled."""
    east, north = random()
    east[3, 4] = np.nan
    disp = field(east, north)
    got = xsubpix.rotate(disp.transpose("x", "y"), 30.0)
    assert got.parallel.dims == ("x", "y")
    xr.testing.assert_allclose(got.transpose("y", "x"), xsubpix.rotate(disp, 30.0))
    assert bool(got.parallel.isnull()[4, 3])
    assert int(got.parallel.isnull().sum()) == 1
