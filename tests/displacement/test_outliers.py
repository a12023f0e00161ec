"""Outliers: what the filter takes out, and what it leaves."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import xsubpix


def field(east, north=None, **others):
    """A displacement field without coordinates."""
    north = np.zeros_like(east) if north is None else north
    arrays = {"east": east, "north": north, **others}
    return xr.Dataset({k: (("y", "x"), np.asarray(v, np.float32)) for k, v in arrays.items()})


def noisy(shape=(40, 50), seed=0, scale=0.02):
    return np.random.default_rng(seed).normal(0, scale, shape)


def test_outliers_go_and_nothing_else(image):
    """Else false matches stay, or good values go with them."""
    east = noisy() + np.linspace(0, 3, 50)
    wrong = np.random.default_rng(1).random(east.shape) < 0.05
    east[wrong] += 5.0
    got = xsubpix.filter_outliers(field(east, noisy(seed=2)), deviation=4.0, noise=0.05)
    gone = np.isnan(got.east.values)
    assert gone[wrong].all()
    assert gone[~wrong].mean() < 0.01
    np.testing.assert_array_equal(np.isnan(got.north.values), gone)
    np.testing.assert_array_equal(got.east.values[~gone], east.astype("f4")[~gone])


def test_a_fault_is_no_outlier():
    """Else the filter eats what the measurement is for."""
    north = noisy() + np.where(np.arange(50) < 25, 1.0, -1.0)
    got = xsubpix.filter_outliers(field(noisy(seed=3), north), noise=0.1)
    assert np.isnan(got.east.values).mean() < 0.002


def test_quality_goes_first():
    """Else bad neighbours outvote a good value."""
    east, quality = noisy(), np.ones((40, 50))
    east[10:14, 10:14] = 4.0
    east[12, 12] = 0.0
    quality[10:14, 10:14] = 0.2
    quality[12, 12] = 0.9
    got = xsubpix.filter_outliers(field(east, quality=quality), quality=0.5, noise=0.1)
    assert np.isfinite(got.east.values[12, 12])
    assert np.isnan(got.east.values[10:14, 10:14]).sum() == 15
    only = xsubpix.filter_outliers(field(east, quality=quality), quality=0.5, deviation=None)
    np.testing.assert_array_equal(np.isnan(only.east), quality < 0.5)


def test_all_else_is_kept(utm):
    """Else flags, coordinates, attributes or the input itself change."""
    east = noisy()
    east[5, 5], east[0, 0] = 9.0, np.nan
    flags = np.arange(2000).reshape(40, 50) % 32
    disp = field(east, sigma=np.full_like(east, 0.1), quality=np.ones_like(east))
    disp["flags"] = ("y", "x"), flags.astype(np.uint8), {"flag_meanings": "a b"}
    disp = disp.assign_coords(utm(np.zeros((40, 50))).coords).assign_attrs(model="phase")
    disp.east.attrs["units"] = "m"
    before = disp.copy(deep=True)
    got = disp.subpix.filter_outliers()
    xr.testing.assert_identical(disp, before)
    assert list(got.data_vars) == list(disp.data_vars)
    xr.testing.assert_identical(got.flags, disp.flags)
    xr.testing.assert_identical(got.quality, disp.quality)
    xr.testing.assert_identical(
        got.drop_vars(got.data_vars).drop_attrs(), disp.coords.to_dataset().drop_attrs()
    )
    assert np.isnan(got.sigma.values[5, 5])
    assert got.east.attrs == {"units": "m"}
    assert got.attrs["model"] == "phase"
    said = got.attrs["outlier_filter"]
    assert said.startswith("deviation=3.0, radius=2; left out 0.")
    assert "RMS east" in said
    assert "->" in said
    assert "outlier_filter" not in disp.attrs


def test_sigma_says_what_scatter_is_good():
    """Else noisy but honest values go."""
    east = noisy(scale=0.0)
    east[20, 20] = 1.0
    kept = xsubpix.filter_outliers(field(east, sigma=np.full_like(east, 0.5)))
    gone = xsubpix.filter_outliers(field(east, sigma=np.full_like(east, 0.05)))
    assert np.isfinite(kept.east.values[20, 20])
    assert np.isnan(gone.east.values[20, 20])


def test_lazy_is_lazy_and_equal():
    """Else filtering computes the field, or chunks leave seams."""
    east = noisy((300, 280))
    east[np.random.default_rng(4).random(east.shape) < 0.1] += 3
    disp = field(east, sigma=np.full_like(east, 0.05), quality=np.ones_like(east))
    lazy = xsubpix.filter_outliers(disp.chunk({"y": 37, "x": 100}), quality=0.5)
    assert all(hasattr(lazy[name].data, "dask") for name in ("east", "north", "sigma"))
    eager = xsubpix.filter_outliers(disp, quality=0.5)
    # What was left out is not known before it is computed.
    assert eager.attrs.pop("outlier_filter").startswith(lazy.attrs.pop("outlier_filter"))
    xr.testing.assert_identical(lazy.compute(), eager)


@given(st.integers(0, 1000), st.integers(1, 4), st.floats(0.5, 10))
@settings(max_examples=8)
def test_missing_values_and_any_radius(seed, radius, deviation):
    """Else gaps raise, warn or are filled."""
    rng = np.random.default_rng(seed)
    east = rng.normal(size=(9, 11))
    east[rng.random(east.shape) < 0.5] = np.nan
    got = xsubpix.filter_outliers(field(east), radius=radius, deviation=deviation)
    assert np.isnan(got.east.values[np.isnan(east)]).all()
    again = xsubpix.filter_outliers(field(7 * east + 3), radius=radius, deviation=deviation,
                                    noise=7 * 0.01)  # fmt: skip
    first = xsubpix.filter_outliers(field(east), radius=radius, deviation=deviation, noise=0.01)
    # Scaling and moving a field changes nothing (but where rounding decides).
    assert (np.isnan(again.east.values) != np.isnan(first.east.values)).mean() < 0.03


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"quality": 2.0}, "quality=2.0"),
        ({"deviation": -1}, "deviation=-1"),
        ({"noise": 0.0}, "noise=0.0"),
        ({"radius": 0}, "radius=0"),
        ({"radius": 1.5}, "radius=1.5"),
    ],
)
def test_bad_parameters_are_named(options, message):
    """Else a typing error filters all or nothing."""
    disp = field(noisy(), quality=np.ones((40, 50)))
    with pytest.raises(xsubpix.ModelError, match=message):
        xsubpix.filter_outliers(disp, **options)


def test_what_is_no_field_is_refused():
    """Else the error comes from deep inside."""
    with pytest.raises(xsubpix.DataError, match="east"):
        xsubpix.filter_outliers(xr.Dataset())
    with pytest.raises(xsubpix.DataError, match="quality"):
        xsubpix.filter_outliers(field(noisy()), quality=0.5)


def test_quality_means_what_it_means_to_mask():
    """Else a value of just that quality stays by one function and goes by the other."""
    quality = np.full((40, 50), 0.5)
    quality[0, 0], quality[1, 1] = 0.51, 0.49
    disp = field(noisy(), quality=quality)
    for name in ("east", "north"):
        kept = xsubpix.filter_outliers(disp, quality=0.5, deviation=None)[name]
        np.testing.assert_array_equal(kept, xsubpix.mask(disp, quality=0.5)[name])
