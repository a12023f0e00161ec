"""Velocities and steps of time series, and pairs of stacks."""

import numpy as np
import pytest
import xarray as xr

import xsubpix
from xsubpix import DataError, ModelError

WHEN = np.datetime64("2019-06-01", "ns") + np.arange(24) * np.timedelta64(30, "D")


@pytest.fixture
def moving():
    """0.8 m a year east, a step of 3 m north at an earthquake, noise of 0.1 m."""
    rng = np.random.default_rng(0)
    years = (np.arange(24) * 30 / 365.25)[:, None, None]
    east = 0.8 * years + rng.normal(0, 0.1, (24, 30, 40))
    north = np.where(np.datetime64("2020-06-15") <= WHEN, 3.0, 0.0)[:, None, None] + rng.normal(
        0, 0.1, (24, 30, 40)
    )
    east[:, 0, 0] = np.nan
    dims = ("time", "y", "x")
    data = {"east": (dims, east, {"units": "m"}), "north": (dims, north, {"units": "m"})}
    y, x = 4e6 - 20.0 * np.arange(30), 5e5 + 20.0 * np.arange(40)
    return xr.Dataset(data, {"time": WHEN, "y": y, "x": x}).rio.write_crs(32611)


def test_velocity_and_step_with_errors_that_hold(moving):
    """Else an earthquake is a fast creep."""
    got = moving.subpix.velocity(step="2020-06-15")
    assert float(got.east_velocity.mean()) == pytest.approx(0.8, abs=0.02)
    assert float(got.north_step.mean()) == pytest.approx(3.0, abs=0.02)
    for name, true in (("east_velocity", 0.8), ("north_step", 3.0)):
        score = ((got[name] - true) / got[f"{name}_sigma"]).std()
        assert 0.85 < float(score) < 1.25
    assert np.isnan(got.east_velocity[0, 0])
    assert got.rio.crs.to_epsg() == 32611
    assert got.east_velocity.attrs["units"] == "m year-1"
    lazy = moving.chunk({"time": 5, "y": 10}).subpix.velocity(step="2020-06-15")
    assert lazy.chunks
    xr.testing.assert_allclose(lazy.compute(), got)


def test_what_velocity_refuses(moving):
    """Else a step before the first date is fitted."""
    with pytest.raises(DataError, match="within the series"):
        xsubpix.velocity(moving, step="2010-01-01")
    with pytest.raises(ModelError, match="no date"):
        xsubpix.velocity(moving, step="yesterday")
    with pytest.raises(DataError, match="along 'time'"):
        xsubpix.velocity(moving.isel(time=0))


def test_pairs_by_span_season_and_redundancy():
    """Else pairs are made by hand, and summers meet winters."""
    stack = xr.DataArray(np.zeros((24, 2, 3)), {"time": WHEN[::-1]}, ("time", "y", "x"))
    pre, post = xsubpix.pairs(stack, redundancy=3)
    assert pre.dims == ("pair", "y", "x")
    assert pre.sizes["pair"] == 3 * 24 - 6
    assert (post.time > pre.time).all()
    pre, post = xsubpix.pairs(stack, season=20, redundancy=5, shortest=60)
    span = (post.time - pre.time).values / np.timedelta64(1, "D")
    assert ((span > 340) & (span < 390)).all()
    pre, post = xsubpix.pairs(stack, longest=31)
    assert pre.sizes["pair"] == 23
    with pytest.raises(DataError, match="twice"):
        xsubpix.pairs(xr.concat([stack, stack[:1]], "time"))
    with pytest.raises(DataError, match="allow more"):
        xsubpix.pairs(stack, shortest=5000)


def test_pairs_that_go_back_warn(scene, utm):
    """Else a stack in reverse gives displacement of the other sign."""
    pre = utm(scene((64, 72)))
    stack = xr.concat([pre, pre, pre], xr.Variable("time", WHEN[:3]))
    with pytest.warns(xsubpix.SubpixWarning, match="back in time"):
        xsubpix.correlate(stack[[2, 1]], stack[[1, 0]], model="phase", window=16, step=16)
