"""Stacks: pairs by position, and the dates they are inverted for."""

import re

import dask
import numpy as np
import pytest
import xarray as xr

import xsubpix
from xsubpix.displacement.series import series
from xsubpix.errors import DataError, DimensionError, ModelError

DATES = np.array(["2020-01-01", "2020-02-01", "2020-03-01", "2020-04-01"], "datetime64[ns]")
SHIFTS = [(0.0, 0.0), (1.0, -0.5), (2.0, -1.0), (0.5, 0.25)]


@pytest.fixture
def stack(scene, utm):
    """Four dates moved by known shifts (columns, rows)."""
    images = [utm(scene((64, 72), shift)) for shift in SHIFTS]
    return xr.concat(images, dim=xr.Variable("time", DATES))


def network(stack, pairs):
    one, two = ([p[k] for p in pairs] for k in (0, 1))
    return stack.isel(time=one), stack.isel(time=two)


def test_pairs_are_those_of_single_calls(stack, identical):
    """A stack must not be measured in another way than its pairs."""
    pre, post = network(stack, [(0, 1), (1, 3)])
    whole = xsubpix.correlate(pre, post, model="phase", window=16, step=8)
    assert whole.east.dims == ("pair", "y", "x")
    for k, (i, j) in enumerate([(0, 1), (1, 3)]):
        single = xsubpix.correlate(stack[i], stack[j], model="phase", window=16, step=8)
        np.testing.assert_array_equal(whole.east[k], single.east)
        assert whole.reference_time[k] == DATES[i]
        assert whole.secondary_time[k] == DATES[j]
    assert whole.rio.crs == "EPSG:32611"
    assert whole.east.attrs["units"] == "m"


def test_stacks_are_lazy(stack, identical):
    """A year of images would be computed at once."""
    pre, post = network(stack.chunk({"time": 1, "y": 20, "x": 30}), [(0, 1), (2, 3)])
    with dask.config.set(scheduler=lambda *a, **k: pytest.fail("computed")):
        lazy = xsubpix.correlate(pre, post, model="phase", window=16, step=8)
    eager = xsubpix.correlate(pre.compute(), post.compute(), model="phase", window=16, step=8)
    identical(eager, lazy.compute())


def test_one_image_against_a_stack(stack):
    """One reference for all is the simplest network."""
    disp = xsubpix.correlate(stack[0], stack[1:], model="phase", window=16, step=8)
    assert disp.sizes["pair"] == 3
    found = disp.east.median(("y", "x")) / 10
    np.testing.assert_allclose(found, [s[0] for s in SHIFTS[1:]], atol=0.05)


def test_stacks_of_other_lengths_are_refused(stack):
    """Pairs by chance would be measured."""
    with pytest.raises(DimensionError, match="4 images along 'time', and post 3"):
        xsubpix.correlate(stack, stack[1:])


def test_the_advice_for_two_stacked_dimensions_holds(stack):
    """xarray refused what it said: a name that is a dimension already."""
    both = stack.isel(time=slice(0, 2)).expand_dims(pair=2)
    with pytest.raises(xsubpix.DimensionError, match="make them one") as caught:
        xsubpix.correlate(both, both, model="phase", window=16)
    advice = re.search(r"image(\.stack\(.*?both='pair'\))", str(caught.value))[1]
    one = eval(f"image{advice}", {"image": both})
    assert one.sizes["pair"] == 4
    disp = xsubpix.correlate(one, one, model="phase", window=16, step=16)
    assert disp.east.sizes["pair"] == one.sizes["pair"]


def test_series_recovers_the_dates(stack):
    """The sign or the order of dates wrong, and every time series would be."""
    pairs = [(0, 1), (1, 2), (0, 2), (2, 3), (1, 3)]
    disp = xsubpix.correlate(*network(stack, pairs), model="phase", window=16, step=8)
    out = series(disp)
    np.testing.assert_array_equal(out.time, DATES)
    inner = out.isel(y=slice(1, -1), x=slice(1, -1))
    np.testing.assert_allclose(
        inner.east.median(("y", "x")) / 10, [s[0] for s in SHIFTS], atol=0.03
    )
    np.testing.assert_allclose(
        inner.north.median(("y", "x")) / 10, [-s[1] for s in SHIFTS], atol=0.03
    )
    assert float(inner.closure.max()) < 0.5
    assert out.east.attrs["units"] == "m"
    other = series(disp, reference="2020-03-01").isel(y=slice(1, -1), x=slice(1, -1))
    np.testing.assert_allclose(other.east - other.east.isel(time=0), inner.east, atol=1e-3)
    assert float(abs(other.east.sel(time="2020-03-01")).max()) == 0


def made(values, pairs, sigma=None, dates=4):
    """A field of one pixel from the displacement of pairs."""
    field = np.asarray(values, np.float32)[:, None, None]
    times = DATES[:dates]
    data = {"east": field, "north": -field}
    if sigma is not None:
        data["sigma"] = np.asarray(sigma, np.float32)[:, None, None]
    return xr.Dataset(
        {k: (("pair", "y", "x"), v) for k, v in data.items()},
        coords={
            "reference_time": ("pair", times[[p[0] for p in pairs]]),
            "secondary_time": ("pair", times[[p[1] for p in pairs]]),
        },
    )


def test_missing_pairs_and_loose_dates():
    """A date that nothing ties to the others must be missing, not zero."""
    pairs = [(0, 1), (1, 2), (2, 3)]
    out = series(made([1.0, np.nan, 3.0], pairs))
    np.testing.assert_allclose(out.east[:, 0, 0], [0, 1, np.nan, np.nan], atol=1e-6)
    assert float(out.quality[0, 0]) == pytest.approx(2 / 3)
    out = series(made([np.nan] * 3, pairs))
    assert bool(out.east.isnull().all())
    assert bool(out.closure.isnull().all())


def test_weights_and_robustness():
    """One bad pair would spoil all dates."""
    pairs = [(0, 1), (0, 1), (0, 1), (0, 1), (0, 1)]
    values = [1.0, 1.02, 0.98, 1.01, 9.0]
    plain = series(made(values, pairs, dates=2), robust=False)
    robust = series(made(values, pairs, dates=2))
    assert float(plain.east[1, 0, 0]) > 2.5
    assert float(robust.east[1, 0, 0]) == pytest.approx(1.0, abs=0.05)
    weighed = series(made(values, pairs, [0.01] * 4 + [100], dates=2), robust=False)
    assert float(weighed.east[1, 0, 0]) == pytest.approx(1.0, abs=0.02)
    assert float(weighed.sigma[1, 0, 0]) < 0.1


def test_closure_is_the_misfit():
    """The one number that tells a good network from a bad one."""
    out = series(made([1.0, 1.0, 2.3], [(0, 1), (1, 2), (0, 2)], dates=3), robust=False)
    # The misclosure of 0.3 is shared by three pairs.
    assert float(out.closure[0, 0]) == pytest.approx(0.1, abs=1e-3)


def test_series_is_lazy_and_the_same():
    """A stack of scenes would be computed at once."""
    rng = np.random.default_rng(0)
    pairs = [(0, 1), (1, 2), (0, 2), (2, 3), (1, 3)]
    disp = made(rng.normal(size=5), pairs).isel(y=[0] * 7, x=[0] * 5).copy(deep=True)
    disp["east"] += xr.DataArray(rng.normal(size=(5, 7, 5)).astype("f4"), dims=("pair", "y", "x"))
    with dask.config.set(scheduler=lambda *a, **k: pytest.fail("computed")):
        lazy = series(disp.assign({k: v.chunk({"pair": 2, "y": 3}) for k, v in disp.items()}))
    xr.testing.assert_allclose(lazy.compute(), series(disp))


def test_bad_networks_are_refused():
    """A traceback of NumPy would say nothing."""
    disp = made([1.0], [(0, 1)])
    with pytest.raises(DataError, match="pair"):
        series(disp.isel(pair=0))
    with pytest.raises(DataError, match="none of the"):
        series(disp, reference="1999-01-01")
    with pytest.raises(ModelError, match="sigma"):
        series(disp, weights="yes")
