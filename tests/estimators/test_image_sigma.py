"""Sigma of models that state none."""

import numpy as np
import pytest

import xsubpix
from xsubpix.estimators.image_sigma import FACTOR, sigma_from_images

SIZE, OUTPUTS = (176, 176), (24, 24)
GEOMETRY = {"halo": 40, "step": 4}


def sigma(pre, post, dx, dy):
    fields = (np.full(OUTPUTS, 1.0, "f4") * part for part in (dx, dy))
    return sigma_from_images(pre, post, *fields, **GEOMETRY)


@pytest.mark.parametrize("off", [0.0, 0.2, 0.5, 1.0])
def test_a_result_that_is_off_gets_a_sigma_as_large(scene, off):
    """`window-cnn` was 40 % too small on noisy ground, and had no sigma that says so."""
    noise = np.random.default_rng(0).normal(0, 6, (2, *SIZE)).astype("f4")
    pre, post = scene(SIZE) + noise[0], scene(SIZE, (1.3, -0.7)) + noise[1]
    found = sigma(pre, post, 1.3 - off, -0.7) / FACTOR
    # Farther than a pixel, the peak is out of sight, and taken for farther than it is.
    assert 0.7 * off < np.sqrt(2) * np.median(found) < 1.6 * off + 0.17


def test_what_leaves_its_surroundings(scene):
    """Single values of the border are off where the images of a window fit on the whole."""
    pre, post = scene(SIZE), scene(SIZE)
    scatter = np.where(np.random.default_rng(1).random(OUTPUTS) < 0.1, 1.0, 0.0)
    rough = sigma(pre, post, scatter.astype("f4"), 0.0)
    assert (rough[scatter > 0] > 0.2).all()
    assert np.median(rough) > 2 * np.median(sigma(pre, post, 0.0, 0.0))


def test_missing_results_and_images(scene):
    """A hole has no sigma, and takes none away from what lies beside it."""
    pre, post = scene(SIZE), scene(SIZE)
    pre[60:100, 60:100] = np.nan
    dx = np.zeros(OUTPUTS, "f4")
    dx[6:14, 6:14] = np.nan
    found = sigma(pre, post, dx, 0.0)
    assert (np.isfinite(found) == np.isfinite(dx)).all()
    assert np.nanmax(found) < 0.2
    nothing = np.full(OUTPUTS, np.nan, "f4")
    assert np.isnan(sigma(pre, post, nothing, nothing)).all()
    assert np.isfinite(sigma(0 * post, 0 * post, 0.0, 0.0)).all()


def test_networks_without_a_spread_have_one(scene, image, identical):
    """NaN was counted as certain, or the value left out by what weighs with it."""
    pre, post = image(scene((128, 128))), image(scene((128, 128), (1.3, -0.7)))
    options = {"model": "window-cnn", "step": 4, "tile_size": 64}
    disp = xsubpix.correlate(pre, post, **options)
    off = np.maximum(abs(disp.east - 1.3), abs(disp.north + 0.7)).values
    assert (off < 5 * disp.sigma.values).all()
    assert float((off < 2 * disp.sigma.values).mean()) > 0.9
    identical(disp, xsubpix.correlate(pre.chunk({"y": 50, "x": 37}), post, **options))
    far = xsubpix.correlate(pre, image(scene((128, 128), (9.0, 0.0))), search=16, **options)
    assert (far.sigma.notnull() == far.east.notnull()).all()
    assert float(far.sigma.notnull().mean()) > 0.9
