"""A floor of sigma from stable ground, or from the field itself."""

import numpy as np
import pytest
import scipy.ndimage
import xarray as xr

import xsubpix
from xsubpix.errors import DataError, GridError


def smooth(shape, scale, rms, seed):
    """A smooth random field."""
    field = scipy.ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), scale)
    return rms * field / field.std()


@pytest.fixture(scope="module")
def pair(scene):
    """A pair with a fault whose images do not lie well on each other, and where it is stable."""
    ground = scene((260, 260), seed=3)
    pre = xr.DataArray(ground, dims=("y", "x"))
    x = np.arange(260) + np.zeros((260, 1))
    moving = (np.abs(x - 60) < 40) * np.where(x < 60, -0.6, 0.6)
    misfit = [smooth(ground.shape, 12, 0.08, seed) for seed in (1, 2)]
    post = xsubpix.warp_quintic(pre, (misfit[0], misfit[1] + moving))
    noise = np.random.default_rng(5).normal(0, 0.05 * ground.std(), ground.shape)
    return pre, post + noise, xr.DataArray(x > 130, dims=("y", "x"))


def coverage(disp, stable):
    """Share of values on stable ground within one sigma."""
    good = stable & (disp.flags.values == 0)
    parts = [disp[k].values[good] for k in ("east", "north")]
    sigma = disp.sigma.values[good]
    return np.mean([np.abs(p - np.median(p)) < sigma for p in parts])


def test_sigma_holds_on_stable_ground(pair):
    """Else sigma says what a window's noise is, and the field is wrong by more."""
    pre, post, stable = pair
    options = {"model": "phase", "window": 16, "step": 4}
    bare = xsubpix.correlate(pre, post, **options)
    found = xsubpix.correlate(pre, post, stable=stable, **options)
    itself = xsubpix.correlate(pre, post, stable=True, **options)
    there = stable.values[2::4, 2::4]
    assert coverage(bare, there) < 0.5
    assert 0.6 < coverage(found, there) < 0.76
    assert coverage(itself, there) > 0.55
    assert 0.05 < found.attrs["sigma_floor"] < 0.1
    assert 0.6 * found.attrs["sigma_floor"] < itself.attrs["sigma_floor"] < 0.12
    assert "stable ground" in found.attrs["sigma_floor_method"]
    assert "field itself" in itself.attrs["sigma_floor_method"]
    assert "sigma_floor" not in bare.attrs
    np.testing.assert_array_equal(found.east, bare.east)
    np.testing.assert_allclose(
        found.sigma, np.hypot(bare.sigma, found.attrs["sigma_floor"]), rtol=1e-5
    )


def test_lazy_is_eager(pair):
    """Else a scene larger than memory gets another floor, or is computed at once."""
    pre, post, stable = (part[:120, :] for part in pair)
    options = {"model": "phase", "window": 16, "step": 4, "stable": stable}
    eager = xsubpix.correlate(pre, post, **options)
    lazy = xsubpix.correlate(pre.chunk(64), post.chunk(64), **options)
    assert hasattr(lazy.sigma.data, "dask")
    computed = lazy.compute()
    np.testing.assert_array_equal(computed.sigma, eager.sigma)
    assert float(computed.sigma_floor) == pytest.approx(eager.attrs["sigma_floor"])


def test_models_without_sigma_get_the_floor():
    """Else a dense matcher's field stays without any uncertainty."""
    rng = np.random.default_rng(1)
    disp = xr.Dataset({k: (("y", "x"), rng.normal(0, 0.2, (80, 80))) for k in ("east", "north")})
    disp["sigma"] = (("y", "x"), np.full((80, 80), np.nan, np.float32))
    disp["east"][0, 0] = np.nan
    found = disp.subpix.calibrate_sigma()
    assert found.attrs["sigma_floor"] == pytest.approx(0.2, rel=0.05)
    assert np.isnan(found.sigma[0, 0])
    np.testing.assert_allclose(found.sigma[1:], found.attrs["sigma_floor"], rtol=1e-6)


def test_wrong_masks_are_named(pair):
    """Else a floor comes from anywhere."""
    pre, post, stable = (part[:120, :120] for part in pair)
    with pytest.raises(DataError, match="stable is str"):
        xsubpix.correlate(pre, post, model="phase", step=8, stable="rock")
    with pytest.raises(GridError, match="shape"):
        xsubpix.correlate(pre, post, model="phase", step=8, stable=stable[:50])
    with pytest.raises(DataError, match="0 unflagged values on stable ground"):
        xsubpix.correlate(pre, post, model="phase", step=8, stable=stable & False)
    with pytest.raises(DataError, match="sigma"):
        xsubpix.calibrate_sigma(xr.Dataset(dict.fromkeys(("east", "north"), stable * 1.0)))
