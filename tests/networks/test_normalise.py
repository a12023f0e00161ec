"""The input normalisation of the networks."""

import hypothesis.strategies as st
import numpy as np
import torch
from hypothesis import given, settings

from xsubpix.networks.normalise import REACH, gradient_direction, normalise


def scene(seed=0, shape=(1, 90, 80)):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@given(st.floats(1e-5, 1e5), st.floats(-1e4, 1e4), st.integers(0, 9))
@settings(max_examples=30)
def test_gain_and_offset_do_not_matter(gain, offset, seed):
    """A network would give other displacements for reflectance than for counts."""
    image = scene(seed)
    # As large an offset as float32 pixels bear.
    changed = (gain * (image.astype(np.float64) + offset / 1e3)).astype(np.float32)
    one, two = (normalise(torch.from_numpy(i))[0] for i in (image, changed))
    torch.testing.assert_close(one, two, atol=2e-3, rtol=0)


def test_missing_pixels_reach_no_further_than_their_place():
    """A nodata value would bleed into the statistics around it."""
    image = scene()
    holed = image.copy()
    holed[0, 40:44, 30:36] = np.nan
    one, known = normalise(torch.from_numpy(holed))
    assert float(one[0, 0, 41, 33]) == 0
    assert float(known.sum()) == image.size - 24
    filled, _ = normalise(torch.from_numpy(np.where(np.isnan(holed), 1e30, holed)))
    assert not torch.allclose(filled, one)
    whole, _ = normalise(torch.from_numpy(image))
    away = np.ones(image.shape, bool)
    away[0, 40 - REACH : 44 + REACH, max(0, 30 - REACH) : 36 + REACH] = False
    # The common scale of the image cancels.
    np.testing.assert_allclose(one[0].numpy()[away], whole[0].numpy()[away], atol=1e-3)


def test_flat_images_are_zero():
    """A constant image must not become noise, nor NaN."""
    for value in (0.0, 7.0, 1e6):
        out, _ = normalise(torch.full((1, 64, 64), value))
        assert float(out.abs().max()) < 1e-3
    out, known = normalise(torch.full((1, 64, 64), torch.nan))
    assert float(out.abs().max()) == 0
    assert float(known.max()) == 0


def test_inside_has_deviation_one():
    """Levels of contrast the network was trained on."""
    out, _ = normalise(torch.from_numpy(300 + 40 * scene(1, (1, 200, 200))))
    assert abs(float(out[..., 40:-40, 40:-40].std()) - 1) < 0.05
    assert abs(float(out[..., 40:-40, 40:-40].mean())) < 0.02


def test_gradient_points_uphill():
    """x and y exchanged would turn all flows."""
    cols = torch.arange(8.0).expand(1, 1, 8, 8)
    gradient = gradient_direction(cols)
    assert float(gradient[0, 0, 4, 4]) > 0.9
    assert abs(float(gradient[0, 1, 4, 4])) < 1e-6
