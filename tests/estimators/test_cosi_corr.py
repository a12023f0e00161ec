"""The frequency correlator: exact shifts, noise, gaps, flags, parameters."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import xsubpix
from xsubpix import ModelError
from xsubpix.estimators.cosi_corr import CosiCorr

NODATA, LOW_TEXTURE, OUT_OF_RANGE = 1, 4, 16


def measure(image, pre, post, **options):
    return xsubpix.correlate(image(pre), image(post), model="cosi-corr", **options)


def errors(disp, shift, margin):
    inner = disp.isel(y=slice(margin, -margin), x=slice(margin, -margin))
    return np.stack([inner.east.values - shift[0], inner.north.values - shift[1]])


# -------------------------------------------------------------------- accuracy


def test_rigid_shifts_without_bias(scene, image):
    """Else clean pairs have errors above 0.01 px, or lean towards whole or half pixels."""
    pre = scene((160, 160), seed=1)
    for phase in np.arange(0.0, 1.0, 0.125):
        shift = (phase, 0.25 - phase)
        got = errors(measure(image, pre, scene((160, 160), shift, seed=1), step=16), shift, 2)
        assert np.sqrt((got**2).mean()) < 0.01
        assert np.abs(got.mean((1, 2))).max() < 0.005


@pytest.mark.parametrize(("window", "step"), [(16, 4), (17, 3), (24, 7), (33, 8), (32, 1)])
def test_odd_and_even_windows_and_steps(scene, image, window, step):
    """Else half a pixel is lost where a window has no middle pixel."""
    shift = (0.3, -1.4)
    pre, post = scene((96, 96)), scene((96, 96), shift)
    disp = measure(image, pre, post, window=window, step=step)
    got = errors(disp, shift, -(-window // (2 * step)) + 1)
    assert got.size > 0
    assert np.sqrt((got**2).mean()) < 0.02


@settings(max_examples=15)
@given(
    dx=st.floats(-7, 7), dy=st.floats(-7, 7), gain=st.floats(0.1, 10), offset=st.floats(-1e3, 1e3)
)
def test_any_shift_any_gain(scene, dx, dy, gain, offset):
    """Else some sub-pixel phase, sign or radiometry is measured wrongly."""
    pre, post = scene((96, 96), seed=3), scene((96, 96), (dx, dy), seed=3)
    estimator = CosiCorr(step=16, search=10)
    side = estimator.tile * 16 + 2 * estimator.halo
    tiles = [np.full((1, side, side), np.nan, np.float32) for _ in range(2)]
    at = slice(estimator.halo, estimator.halo + 96)
    tiles[0][0, at, at], tiles[1][0, at, at] = pre, gain * post + offset
    found = estimator(*tiles)
    inner = (0, slice(2, 4), slice(2, 4))
    assert np.abs(found.dx[inner] - dx).max() < 0.05
    assert np.abs(found.dy[inner] - dy).max() < 0.05


def test_noise_and_its_sigma(scene, image):
    """Else sigma does not tell the error, or noise makes outliers."""
    shift = (0.4, -0.2)
    rng = np.random.default_rng(0)
    pre, post = (scene((300, 300), s) + rng.normal(0, 6, (300, 300)) for s in ((0, 0), shift))
    disp = measure(image, pre, post, step=16)
    got = errors(disp, shift, 2)
    sigma = disp.sigma.values[2:-2, 2:-2]
    assert np.abs(got).max() < 1.0
    assert 0.55 < np.mean(np.abs(got) < sigma) < 0.9
    assert np.mean(np.abs(got) < 2 * sigma) > 0.88
    assert float(disp.quality.mean()) < float(
        measure(image, scene((300, 300)), scene((300, 300), shift), step=16).quality.mean()
    )


def test_offset_of_a_fault_is_found_on_both_sides(scene, image):
    """Else windows next to a jump keep the first guess of the other side."""
    full = scene((200, 200), seed=4)
    pre = full[8:192, 8:192]
    post = pre.copy()
    post[:, 92:] = full[8 - 4 : 192 - 4, 8 + 92 : 192]
    disp = measure(image, pre, post, step=4, search=8)
    inner = disp.isel(y=slice(8, -8))
    left, right = inner.north.values[:, 8:20], inner.north.values[:, 26:38]
    assert np.abs(left).max() < 0.1
    assert np.abs(right - 4).max() < 0.1


def test_stretched_ground_outgrows_the_shared_guess(scene, image):
    """Else windows keep the pixel of a first guess that belongs to ground 30 px away."""
    rows, cols = np.mgrid[:256, :256] - 127.5
    pre = image(scene((256, 256), seed=8))
    dx, dy = 0.04 * cols, -0.02 * rows
    post = xsubpix.warp_quintic(pre, (dx, dy))
    disp = xsubpix.correlate(pre, post, model="cosi-corr", step=8)
    inner = (slice(6, -6),) * 2
    wanted = [d.reshape(32, 8, 32, 8).mean(axis=(1, 3)) for d in (dx, dy)]
    error = np.hypot(disp.east - wanted[0], disp.north - wanted[1]).values[inner]
    assert error.max() < 0.2
    assert (disp.flags.values[inner] == 0).all()


# ------------------------------------------------- missing, flat, out of range


def test_missing_exactly_where_half_a_window_is(scene, image):
    """Else holes grow or results are invented in them."""
    pre, post = (scene((120, 120), s).astype(float) for s in ((0, 0), (0.4, 0.3)))
    one, two = np.zeros((2, 120, 120), bool)
    one[30:60, 40:80] = True
    two[np.random.default_rng(0).random((120, 120)) < 0.2] = True
    pre[one], post[two] = np.nan, np.nan
    disp = measure(image, pre, post, window=16, step=4)
    valid = np.pad(~(one | two), 16)
    for i in range(30):
        for j in range(30):
            top, left = 16 + 4 * i + 2 - 8, 16 + 4 * j + 2 - 8
            enough = 2 * valid[top : top + 16, left : left + 16].sum() >= 256
            assert bool(np.isfinite(disp.east.values[i, j])) == enough
            assert bool(disp.flags.values[i, j] & NODATA) != enough
    good = disp.flags.values == 0
    assert good.mean() > 0.4
    assert np.abs(disp.east.values[good] - 0.4).mean() < 0.1


def test_flat_ground_is_low_texture(scene, image):
    """Else a lake has a displacement."""
    pre, post = scene((96, 96)), scene((96, 96), (1.0, 0.0))
    pre[30:70, 30:70] = post[30:70, 30:70] = 50.0
    disp = measure(image, pre, post, window=16, step=8)
    assert bool(np.isnan(disp.east.values[5:7, 5:7]).all())
    assert bool((disp.flags.values[5:7, 5:7] & LOW_TEXTURE).all())


def test_stripes_fix_one_direction_only(image):
    """Else the free component of a striped field is noise without a flag."""
    stripes = np.tile(np.sin(np.arange(96) * 0.7) * 20 + 100, (96, 1)).astype("f4")
    disp = measure(image, stripes, stripes, step=16)
    assert bool((disp.flags.values[2:-2, 2:-2] & LOW_TEXTURE).all())


def test_unrelated_ground_is_out_of_range(scene, image):
    """Else chance matches look like measurements."""
    disp = measure(image, scene((200, 200), seed=1), scene((200, 200), seed=2), step=16)
    inner = disp.flags.values[2:-2, 2:-2]
    assert np.mean((inner & OUT_OF_RANGE) > 0) > 0.7


def test_displacement_beyond_search_is_flagged(scene, image):
    """Else values at the rim of the range pass for matches."""
    full = scene((160, 180), seed=6)
    disp = measure(image, full[:, :160], full[:, 10:170], step=16, search=4)
    inner = disp.flags.values[2:-2, 2:-2]
    assert np.mean((inner & OUT_OF_RANGE) > 0) > 0.9


# --------------------------------------------------------- chunks, parameters


def test_chunks_do_not_matter(pair, identical):
    """Else mosaics have seams where chunks meet."""
    pre, post = pair
    options = {"model": "cosi-corr", "window": 16, "step": 4}
    whole = xsubpix.correlate(pre, post, **options)
    lazy = xsubpix.correlate(pre.chunk(20), post.chunk({"y": 33, "x": 10}), **options)
    identical(lazy.compute(), whole)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": 7}, "window=7"),
        ({"initial": 16}, "initial=16"),
        ({"search": 32}, "search=32"),
        ({"mask": 0}, "mask=0"),
        ({"iterations": 0}, "iterations=0"),
        ({"exponent": -1}, "exponent=-1"),
    ],
)
def test_bad_parameters_are_named(options, message):
    """Else a typing error measures something else, or fails deep inside."""
    with pytest.raises(ModelError, match=message):
        CosiCorr(**options)


def test_unknown_parameter_is_refused_with_the_valid_ones(pair):
    """Else a parameter of another program is silently ignored."""
    with pytest.raises(ModelError, match=r"'robustness'.*window, search, initial, mask"):
        xsubpix.correlate(*pair, model="cosi-corr", robustness=4)
