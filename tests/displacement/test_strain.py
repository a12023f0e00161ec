"""Strain: exact on planes with gaps, of the right sign, and with errors that hold."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

import xsubpix
from xsubpix import ModelError


def plane(shape, gradient, pixel=20.0, north_up=True):
    """East and north of a constant gradient ((east_x, east_y), (north_x, north_y))."""
    y, x = np.mgrid[: shape[0], : shape[1]] * pixel
    y = -y if north_up else y
    (a, b), (c, d) = gradient
    return a * x + b * y, c * x + d * y


@pytest.mark.parametrize("north_up", [True, False])
@given(st.integers(0, 10_000))
def test_planes_are_exact_whatever_is_missing(field, north_up, seed):
    """Else gaps and borders bias the gradient, or rows that run north flip it."""
    rng = np.random.default_rng(seed)
    gradient = rng.normal(size=(2, 2)) * 1e-3
    east, north = plane((30, 34), gradient, north_up=north_up)
    gaps = rng.random(east.shape) < 0.4
    east[gaps] = np.nan
    disp = field(east, north, north_up=north_up)
    got = xsubpix.strain(disp, scale=50.0)
    # In corners with gaps there is too little to fit.
    fitted = got.east_x.notnull().values
    assert fitted[3:-3, 3:-3][~gaps[3:-3, 3:-3]].all()
    for name, value in zip(("east_x", "east_y", "north_x", "north_y"), gradient.flat, strict=True):
        np.testing.assert_allclose(got[name].values[fitted], value, atol=3e-6)
    assert bool(got.east_x.isnull().values[gaps].all())
    (a, b), (c, d) = gradient
    shear, invariant = np.hypot((a - d) / 2, (b + c) / 2), np.sqrt(a * a + d * d + (b + c) ** 2 / 2)
    for name, value in {
        "dilatation": a + d, "curl": c - b, "max_shear": shear, "second_invariant": invariant,
    }.items():  # fmt: skip
        np.testing.assert_allclose(got[name].values[fitted], value, atol=5e-6)


def test_is_the_derivative_of_the_gaussian(field):
    """Else the scale is not what it says."""
    east = np.random.default_rng(0).normal(size=(60, 70))
    got = xsubpix.strain(field(east), scale=40.0).isel(y=slice(10, -10), x=slice(10, -10))
    want = gaussian_filter(east, 2.0, order=(0, 1), truncate=4.0)[10:-10, 10:-10] / 20.0
    np.testing.assert_allclose(got.east_x, want, atol=2e-3 * want.std())


def test_a_fault_has_the_height_that_is_promised(field):
    """Else the documentation's D / (2.5 scale) is wrong."""
    north = np.where(np.arange(80) < 40, 1.0, -1.0) * np.ones((60, 1))
    got = xsubpix.strain(field(0 * north, north), scale=60.0)
    peak = float(np.abs(got.curl).isel(y=30).max())
    assert peak == pytest.approx(2.0 / (np.sqrt(2 * np.pi) * 60.0), rel=0.03)
    assert float(got.curl.isel(y=30, x=40)) < 0  # right-lateral: clockwise


def test_turning_the_axes_changes_no_invariant(field):
    """Else dilatation, shear and invariant depend on the map."""
    gradient = np.array([[1.0, 2.0], [-0.5, 0.3]]) * 1e-3
    turn = np.array([[0.8, -0.6], [0.6, 0.8]])
    results = [
        xsubpix.strain(field(*plane((20, 20), g)), scale=40.0).mean()
        for g in (gradient, turn @ gradient @ turn.T)
    ]
    for name in ("dilatation", "curl", "max_shear", "second_invariant"):
        assert float(results[0][name]) == pytest.approx(float(results[1][name]), rel=1e-4)


# Pixels that are missing in all fields have no scatter.
@pytest.mark.filterwarnings("ignore:Degrees of freedom:RuntimeWarning")
@pytest.mark.parametrize("gaps", [0.0, 0.4])
def test_errors_hold(field, gaps):
    """Else the stated uncertainty is a guess: against the scatter of 120 fields."""
    rng = np.random.default_rng(1)
    east, north = plane((45, 45), [[2e-3, 1e-3], [-1e-3, 3e-3]])
    missing = rng.random(east.shape) < gaps
    sigma = rng.uniform(0.05, 0.15, east.shape)
    base = field(east, north, sigma=sigma.astype("f4"))
    found = []
    for _ in range(120):
        e, n = np.stack([east, north]) + rng.normal(size=(2, *east.shape)) * sigma
        disp = base.copy()
        disp["east"] = base.east.copy(data=np.where(missing, np.nan, e).astype("f4"))
        disp["north"] = base.north.copy(data=n.astype("f4"))
        found.append(xsubpix.strain(disp, scale=70.0).isel(y=slice(6, 39), x=slice(6, 39)))
    every = xr.concat(found, "draw")
    for name in ("east_x", "east_y", "north_x", "north_y", "dilatation", "curl", "max_shear",
                 "second_invariant"):  # fmt: skip
        scatter = every[name].std("draw")
        stated = every[f"{name}_sigma"].mean("draw")
        ratio = float((stated / scatter).mean())
        assert ratio == pytest.approx(1.0, abs=0.05), name


def test_errors_that_are_alike_count_once(field):
    """Else overlapping windows promise too much."""
    rng = np.random.default_rng(2)
    sigma = np.full((60, 60), 0.1, "f4")
    found = []
    for _ in range(40):
        noise = gaussian_filter(rng.normal(size=(60, 60)), 1.0, mode="wrap")
        disp = field(0.1 * noise / noise.std(), sigma=sigma)
        disp.attrs |= {"model_error_length": 16.0, "model_blur": 16.0, "model_step": 4}
        found.append(xsubpix.strain(disp, scale=160.0).isel(y=slice(15, 45), x=slice(15, 45)))
    every = xr.concat(found, "draw")
    ratio = float(every.east_x_sigma.mean() / every.east_x.std())
    assert 0.85 < ratio < 1.5
    own = xsubpix.strain(disp, scale=160.0, error_length=20.0)
    assert float(own.east_x_sigma.mean()) * 4 == pytest.approx(
        float(xsubpix.strain(disp, scale=160.0).east_x_sigma.mean()), rel=1e-3
    )


def test_degrees_are_metres(field):
    """Else strain on a geographic grid is per degree."""
    disp = field(np.zeros((40, 40)), pixel=2e-4, crs="EPSG:4326", origin=(10.0, 60.0))
    metres = (disp.x - 10.0) * 111_412.84 * np.cos(np.radians(60.0)) * 1.0007
    disp["east"] = disp.east.copy(
        data=(1e-3 * metres + 0 * disp.y).transpose("y", "x").astype("f4")
    )
    got = xsubpix.strain(disp, scale=40.0)
    np.testing.assert_allclose(got.east_x, 1e-3, rtol=3e-3)
    np.testing.assert_allclose(got.east_y, 0.0, atol=2e-6)


def test_lazy_is_lazy_and_equal(field):
    """Else a scene is computed at once, or chunks leave seams."""
    e, n = np.random.default_rng(3).normal(size=(2, 300, 280)).astype("f4")
    e[100:130, 100:160] = np.nan
    disp = field(e, n, sigma=np.full(e.shape, 0.3, "f4"))
    lazy = xsubpix.strain(disp.chunk({"y": 70, "x": 111}), scale=60.0)
    assert all(hasattr(v.data, "dask") for v in lazy.data_vars.values())
    xr.testing.assert_identical(lazy.compute(), xsubpix.strain(disp, scale=60.0))
    assert all(v.dtype == np.float32 for v in lazy.data_vars.values())
    turned = xsubpix.strain(disp.transpose("x", "y"), scale=60.0)
    xr.testing.assert_identical(turned.transpose("y", "x"), lazy.compute())


@pytest.mark.parametrize("scale", [0.0, 5.0, -3, 1e7])
def test_scales_without_sense_are_named(field, scale):
    """Else raw differences, or a smear, are called strain."""
    with pytest.raises(ModelError, match="scale="):
        xsubpix.strain(field(np.zeros((20, 20))), scale=scale)
