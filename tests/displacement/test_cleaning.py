"""Cleaning: trends, stripes and noise go, the earthquake stays, and each step says what it did."""

import json
import pickle

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import xsubpix
from xsubpix import DataError, GridError, ModelError


def ramp(shape, coefficients):
    """A quadratic surface in pixels from the centre, over 100."""
    y, x = np.mgrid[: shape[0], : shape[1]] / 100.0
    terms = [np.ones_like(x), x, y, x * x, x * y, y * y]
    return sum(c * t for c, t in zip(coefficients, terms, strict=False))


def noise(shape, seed=0, scale=0.1):
    return np.random.default_rng(seed).normal(0, scale, (2, *shape))


# ---------------------------------------------------------------------- detrend


@pytest.mark.parametrize("order", [0, 1, 2])
@given(st.integers(0, 1000))
def test_surfaces_of_an_order_are_removed(order, seed):
    """Else a term of the polynomial is missing, or the sign of the removal is wrong."""
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(8, 40, 2))
    terms = (1, 3, 6)[order]
    east, north = (ramp(shape, rng.normal(size=terms)) for _ in range(2))
    disp = xr.Dataset({"east": (("y", "x"), east), "north": (("y", "x"), north)})
    got = xsubpix.detrend(disp, order)
    assert float(np.abs(got.to_array()).max()) < 1e-4


def test_outliers_and_the_fault_do_not_move_the_plane(field):
    """Else a plane leans toward the deformation it should leave alone."""
    shape = (100, 120)
    east, north = ramp(shape, [2.0, 0.5, -1.0]) + noise(shape)
    side = np.where(np.arange(120) < 40, 3.0, -1.0)
    near = np.abs(np.arange(120) - 39.5) < 25
    quake = np.where(near, side, 0.0) * np.ones((100, 1))
    wrong = np.random.default_rng(1).random(shape) < 0.03
    disp = field(east + np.where(wrong, 50.0, 0.0), north + quake)
    x = 5e5 + 20.0 * 40
    got = xsubpix.detrend(disp, trace=[[x, 3.9e6], [x, 4.1e6]], buffer=520.0)
    left = np.stack([got.east.values, got.north.values - quake]) - noise(shape)
    assert np.abs(left[0][~wrong]).max() < 0.03
    assert np.abs(left[1]).max() < 0.03


def test_a_mask_says_where(field):
    """Else unstable ground takes part in the fit."""
    shape = (60, 60)
    east = ramp(shape, [1.0, 1.0])
    moving = np.zeros(shape, bool)
    moving[:, :40] = True
    disp = field(east + np.where(moving, 5.0, 0.0))
    got = xsubpix.detrend(disp, mask=xr.DataArray(~moving, dims=("y", "x")))
    np.testing.assert_allclose(got.east, np.where(moving, 5.0, 0.0), atol=1e-4)
    with pytest.raises(DataError, match="too few"):
        xsubpix.detrend(disp, 2, mask=xr.DataArray(np.zeros(shape, bool), dims=("y", "x")))
    with pytest.raises(GridError, match="shape"):
        xsubpix.detrend(disp, mask=xr.DataArray(np.ones((60, 59), bool), dims=("y", "x")))
    with pytest.raises(DataError, match="bool"):
        xsubpix.detrend(disp, mask=disp.east)
    with pytest.raises(ModelError, match="both"):
        xsubpix.detrend(disp, buffer=100.0)


def test_the_surface_can_be_put_back(field):
    """Else what was removed is not what the attributes say."""
    shape = (30, 50)
    disp = field(ramp(shape, [1.0, 2.0, 3.0]), ramp(shape, [0.0, -1.0, 1.0, 2.0, 0.5]))
    got = xsubpix.detrend(disp, 2)
    surface = json.loads(got.attrs["detrend_surface"])
    x, y = np.meshgrid(disp.x, disp.y)
    u, v = ((c - c0) / surface["scale"] for c, c0 in zip((x, y), surface["centre"], strict=True))
    for name in ("east", "north"):
        again = sum(
            k * eval(term, {"x": u, "y": v})
            for k, term in zip(surface[name], surface["terms"], strict=True)
        )
        np.testing.assert_allclose(got[name] + again, disp[name], atol=1e-5)
    assert "RMS east" in got.attrs["detrend"]
    assert "-> " in got.attrs["detrend"]


# --------------------------------------------------------------------- destripe


@pytest.mark.parametrize("angle", ["along", "across", 0.0, 90.0, 10.0, 155.0])
def test_stripes_go_and_the_rest_stays(field, angle):
    """Else stripes are sought in the wrong direction."""
    shape = (90, 100)
    y, x = np.mgrid[:90, :100]
    degrees = {"along": 0.0, "across": 90.0}.get(angle, angle)
    turn = np.radians(degrees)
    across = x * np.cos(turn) + y * np.sin(turn)
    stripes = np.where(across % 30 < 15, 0.7, -0.7)
    disp = field(stripes + noise(shape)[0], noise(shape)[1])
    got = xsubpix.destripe(disp, angle)
    left = got.east.values - noise(shape)[0]
    at_seam = np.abs((across % 15) - 7.5) > 6.3
    assert np.std(left[~at_seam]) < 0.1
    assert np.std(left) < 0.25
    assert "RMS east" in got.attrs["destripe"]


def test_long_waves_stay_if_asked(field):
    """Else slow deformation across the stripes is taken with them."""
    slow = 2.0 * np.sin(2 * np.pi * np.arange(200) / 200)
    fast = 0.5 * (-1.0) ** (np.arange(200) // 3)
    disp = field((slow + fast) * np.ones((40, 1)))
    got = xsubpix.destripe(disp, wavelength=600.0)
    left = got.east.values[:, 20:-20] - slow[20:-20]
    assert np.std(left) < 0.1


def test_deformation_is_left_out_of_the_stripes(field):
    """Else the offset of a fault along the stripes is removed as one."""
    north = np.where(np.arange(100) < 50, 1.0, -1.0) * (np.arange(80)[:, None] < 40)
    x = 5e5 + 20.0 * 50
    stable = xr.DataArray((np.arange(80)[:, None] >= 40) & np.ones(100, bool), dims=("y", "x"))
    disp = field(noise((80, 100))[0], north)
    got = xsubpix.destripe(disp, mask=stable)
    np.testing.assert_allclose(got.north, north, atol=1e-6)
    with pytest.raises(DataError, match="no strip"):
        xsubpix.destripe(disp, trace=[[x, 3.9e6], [x, 4.1e6]], buffer=1e5)
    with pytest.raises(ModelError, match="'along', 'across' or degrees"):
        xsubpix.destripe(disp, "sideways")


# ---------------------------------------------------------------------- denoise


def broken(shape=(80, 90)):
    """Ground broken by a fault of six times the noise, and the noise."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    north = np.where(x + 0.3 * y < 0.6 * shape[1], 0.3, -0.3)
    return np.zeros(shape), north, np.abs(x + 0.3 * y - 0.6 * shape[1]) < 3


@pytest.mark.parametrize(("method", "gain", "kept"), [("median", 3, 0.5), ("nlm", 7, 1.0),
                                                       ("log-tv", 10, 1.0)])  # fmt: skip
@pytest.mark.parametrize("sigma", [True, False])
def test_noise_falls_and_the_fault_stays(field, method, gain, kept, sigma):
    """Else a filter blurs the fault, or does nothing."""
    east, north, near = broken()
    e, n = np.stack([east, north]) + noise(east.shape)
    extra = {"sigma": np.full(east.shape, 0.1, "f4")} if sigma else {}
    got = xsubpix.denoise(field(e, n, **extra), method)
    error = np.stack([got.east.values - east, got.north.values - north])
    assert np.std(error[:, ~near]) < 0.1 / gain
    assert np.std(error[:, near]) < 0.1 / kept
    assert "RMS east" in got.attrs["denoise"]
    assert "taken" in got.attrs["denoise"]


def test_sigma_weighs(field):
    """Else noisy neighbours spoil good values."""
    shape = (60, 60)
    sigma = np.where(np.arange(60) % 2, 1.0, 0.05) * np.ones((60, 1))
    e, n = noise(shape, scale=1.0) * sigma
    got = xsubpix.denoise(field(e, n, sigma=sigma.astype("f4")), "nlm")
    assert float(got.east.std()) < 0.03


@pytest.mark.parametrize("method", ["median", "nlm", "log-tv"])
def test_missing_values_stay_and_do_not_spread(field, method):
    """Else gaps are invented, or eat their surroundings."""
    e, n = noise((40, 50))
    gaps = np.random.default_rng(2).random((40, 50)) < 0.3
    e[gaps], n[gaps] = np.nan, np.nan
    got = xsubpix.denoise(field(e, n), method)
    np.testing.assert_array_equal(np.isnan(got.east), gaps)
    assert float(got.east.std()) < 0.06
    empty = xsubpix.denoise(field(e * np.nan, n * np.nan), method)
    assert bool(empty.east.isnull().all())


def test_denoising_scales_with_the_field(field):
    """Else the result depends on the unit."""
    east, north, _ = broken((40, 45))
    e, n = np.stack([east, north]) + noise(east.shape)
    for method in ("nlm", "log-tv"):
        one = xsubpix.denoise(field(e, n), method)
        two = xsubpix.denoise(field(1000 * e, 1000 * n), method)
        np.testing.assert_allclose(two.north / 1000, one.north, atol=2e-3)


# ------------------------------------------------------------------------- mask


def test_mask(field):
    """Else the wrong side of a bound is left out."""
    shape = (10, 10)
    quality = np.linspace(0, 1, 100).reshape(shape).astype("f4")
    sigma = quality[::-1].copy()
    flags = (np.arange(100).reshape(shape) % 4).astype(np.uint8)
    disp = field(noise(shape)[0], quality=quality, sigma=sigma, flags=flags)
    disp.flags.attrs = {"flag_masks": np.array([1, 2], np.uint8), "flag_meanings": "edge doubt"}
    got = xsubpix.mask(disp, quality=0.5)
    np.testing.assert_array_equal(got.east.notnull(), quality > 0.5)
    np.testing.assert_array_equal(
        xsubpix.mask(disp, sigma=0.3).sigma.notnull(), disp.sigma < np.float32(0.3)
    )
    np.testing.assert_array_equal(xsubpix.mask(disp, flags="doubt").east.isnull(), flags >= 2)
    both = xsubpix.mask(disp, flags=("edge", "doubt"))
    np.testing.assert_array_equal(both.east.notnull(), flags == 0)
    assert "left out" in got.attrs["mask"]
    assert "quality > 0.5" in got.attrs["mask"]
    for options, message in (({}, "nothing to mask"), ({"flags": "rain"}, "edge, doubt"),
                             ({"quality": 2}, "quality=2")):  # fmt: skip
        with pytest.raises(ModelError, match=message):
            xsubpix.mask(disp, **options)
    with pytest.raises(DataError, match="sigma"):
        xsubpix.mask(disp.drop_vars("sigma"), sigma=1.0)


# ------------------------------------------------------------------ all of them


CALLS = {
    "detrend": lambda d: xsubpix.detrend(d, 2, trace=[[5e5, 3.9e6], [5.05e5, 4.1e6]], buffer=500.0),
    "destripe": lambda d: xsubpix.destripe(d, 12.0, mask=d.quality > 0.2),
    "median": lambda d: xsubpix.denoise(d, "median"),
    "nlm": lambda d: xsubpix.denoise(d, "nlm", radius=2),
    "log-tv": lambda d: xsubpix.denoise(d),
    "noise": lambda d: xsubpix.denoise(d.drop_vars("sigma"), noise=0.3),
    "mask": lambda d: xsubpix.mask(d, quality=0.3),
}


@pytest.mark.parametrize("name", CALLS)
def test_lazy_is_lazy_and_equal(field, name):
    """Else a scene is computed at once, or chunks leave seams."""
    # More than a tile of what works by tiles; a trend is fitted to all of them at once.
    shape = (160, 150) if name == "detrend" else (290, 270)
    e, n = noise(shape) + ramp(shape, [0.1, 0.2])
    quality = np.random.default_rng(3).random(shape).astype("f4")
    disp = field(e, n, quality=quality, sigma=np.full(shape, np.nan, "f4"))
    call = CALLS[name]
    chunks = {"y": shape[0] // 3 + 4, "x": shape[1] // 3 - 10}
    lazy = call(disp.chunk(chunks))
    assert hasattr(lazy.east.data, "dask")
    again = call(disp.chunk(chunks))
    assert set(lazy.east.data.dask) == set(again.east.data.dask), "tasks have random names"
    assert len(pickle.dumps(lazy.east.data.dask)) < 3 * disp.nbytes + 200_000
    eager = call(disp)
    assert not hasattr(eager.east.data, "dask")
    np.testing.assert_allclose(lazy.east.values, eager.east.values, atol=1e-6)
    np.testing.assert_allclose(lazy.north.values, eager.north.values, atol=1e-6)
    assert lazy.east.dtype == eager.east.dtype == np.float32


@pytest.mark.parametrize("name", CALLS)
def test_all_else_is_kept(field, name):
    """Else attributes, flags, coordinates or the input itself change."""
    shape = (40, 50)
    e, n = noise(shape)
    disp = field(e, n, quality=np.ones(shape, "f4"), sigma=np.full(shape, 0.1, "f4"))
    disp = disp.assign_attrs(model="phase")
    before = disp.copy(deep=True)
    got = CALLS[name](disp)
    xr.testing.assert_identical(disp, before)
    assert got.attrs["model"] == "phase"
    assert len(set(got.attrs) - set(disp.attrs)) in (1, 2)
    assert got.east.attrs == disp.east.attrs
    assert got.rio.crs == disp.rio.crs
    xr.testing.assert_identical(got.quality, disp.quality)
    turned = CALLS[name](disp.transpose("x", "y"))
    assert turned.east.dims == ("x", "y")
    np.testing.assert_allclose(turned.east.T, got.east, atol=1e-6)
