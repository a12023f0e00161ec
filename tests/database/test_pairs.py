"""Local statistics, registration and the search for stable pairs."""

import os
from pathlib import Path

import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given, settings
from hypothesis import strategies as st

from xsubpix.database.pairs import find_stable_pairs, texture
from xsubpix.database.registration import measure_misregistration, resample_quintic
from xsubpix.database.statistics import local_correlation, residual_spectrum
from xsubpix.errors import DataError, GridError, SubpixError

DATA = Path(os.environ.get("XSUBPIX_DATA", "../shared/data"))


def ground(shape, seed=0, smooth=1.0):
    """Texture with a spectrum like that of ground, seen through optics."""
    rng = np.random.default_rng(seed)
    image = sum(
        scipy.ndimage.gaussian_filter(rng.normal(size=shape), smooth * 2**k, mode="wrap") * 2**k
        for k in range(4)
    )
    return (100 + 20 * image / image.std()).astype(np.float32)


def moved(image, dx, dy):
    """The image after its ground went (dx, dy): exact for a periodic one."""
    spectrum = scipy.ndimage.fourier_shift(np.fft.fft2(image.astype(float)), (dy, dx))
    return np.fft.ifft2(spectrum).real.astype(np.float32)


def test_local_correlation_is_that_of_numpy():
    """If it failed, thresholds on correlation would mean something else than they say."""
    a, b = ground((60, 70)), ground((60, 70), 1) + ground((60, 70))
    a[30, 30] = np.nan
    rho = local_correlation(a, b, 9)
    for row, column in ((20, 40), (31, 28), (55, 66)):
        here = np.s_[row - 4 : row + 5, column - 4 : column + 5]
        valid = np.isfinite(a[here])
        expected = np.corrcoef(a[here][valid], b[here][valid])[0, 1]
        assert rho[row, column] == pytest.approx(expected, abs=1e-5)


@settings(max_examples=20, deadline=None)
@given(
    gain=st.floats(1e-3, 1e3),
    offset=st.floats(-1e5, 1e5),
    window=st.integers(4, 40),
    sign=st.sampled_from([-1, 1]),
)
def test_local_correlation_ignores_units(gain, offset, window, sign):
    """If it failed, counts and reflectances of one scene would select different windows."""
    a, b = ground((64, 64)).astype(float), ground((64, 64), 1).astype(float)
    rho = local_correlation(a, b, window)
    again = local_correlation(sign * gain * a + offset, b, window)
    np.testing.assert_allclose(again, sign * rho, atol=2e-3)
    assert np.nanmax(np.abs(rho)) <= 1


def test_missing_and_flat_windows_are_nan():
    """If it failed, correlation would be invented under missing data or for flat water."""
    a, b = ground((128, 128)), ground((128, 128), 1)
    a[:, :64] = np.nan
    b[:64, 64:] = 7.0
    rho = local_correlation(a, b, 16)
    assert np.isnan(rho[:, :50]).all()
    assert np.isnan(rho[10:50, 80:]).all()
    assert np.isfinite(rho[80:, 80:]).all()


@pytest.mark.parametrize(
    ("a", "b", "window", "error"),
    [
        (np.zeros((9, 9)), np.zeros((9, 8)), 4, GridError),
        (np.zeros(9), np.zeros(9), 4, GridError),
        (np.zeros((9, 9)), np.zeros((9, 9)), 10, DataError),
    ],
)
def test_unusable_input_is_refused(a, b, window, error):
    """If it failed, wrong input would surface as a numpy error far from its cause."""
    with pytest.raises(error, match="give") as caught:
        local_correlation(a, b, window)
    assert isinstance(caught.value, SubpixError)


def test_residual_spectrum_separates_common_from_uncommon():
    """If it failed, the calibration of second dates would be measured with a bent ruler."""
    a = ground((256, 256))
    same = residual_spectrum(a, 3 * a - 5)
    assert same.residual.max() < 1e-9
    noise = np.random.default_rng(3).normal(size=a.shape)
    other = residual_spectrum(a, noise)
    # White noise has its variance everywhere, but for what leaves with the mean.
    np.testing.assert_allclose(other.total[1:], 1.0, rtol=0.1)
    np.testing.assert_allclose(other.residual, other.total, rtol=0.1)
    half = residual_spectrum(a, a + a.std() * noise)
    share = half.residual / half.total
    assert share[0] < 0.3 < 0.9 < share[-1]


def test_residual_spectrum_refuses_what_has_no_texture():
    """If it failed, an empty selection would give NaN without a word."""
    with pytest.raises(DataError, match="smaller window"):
        residual_spectrum(np.ones((64, 64)), ground((64, 64)))


@settings(max_examples=10, deadline=None)
@given(dx=st.floats(-2.5, 2.5), dy=st.floats(-2.5, 2.5))
def test_misregistration_has_the_sign_and_size_of_the_shift(dx, dy):
    """If it failed, registration would double the shift or leave some of it."""
    pre = ground((192, 224))
    shift = measure_misregistration(pre, moved(pre, dx, dy))
    assert shift.coefficients_x[0] == pytest.approx(dx, abs=0.01)
    assert shift.coefficients_y[0] == pytest.approx(dy, abs=0.01)


def test_misregistration_outvotes_changed_and_reversed_ground():
    """If it failed, fields that changed between the dates would pull the scene along."""
    pre = ground((384, 384))
    post = moved(pre, 0.4, -0.3)
    post[:, :130] = 200 - post[:, :130]
    post[:130, 130:] = ground((384, 384), 5)[:130, 130:]
    shift = measure_misregistration(pre, post, degree=0)
    assert shift.coefficients_x[0] == pytest.approx(0.4, abs=0.02)
    assert shift.coefficients_y[0] == pytest.approx(-0.3, abs=0.02)


def test_misregistration_follows_a_slope_and_resampling_removes_it():
    """If it failed, a tilted or stretched scene would leave displacement in stable pairs."""
    pre = ground((400, 400))
    y, x = np.mgrid[:400, :400]
    post = resample_quintic(pre, -(0.5 + 0.002 * (x - 200)), -0.001 * (y - 200))
    shift = measure_misregistration(pre, np.nan_to_num(post, nan=100.0))
    dx, dy = shift.field()
    inner = np.s_[40:-40, 40:-40]
    np.testing.assert_allclose(dx[inner], (0.5 + 0.002 * (x - 200))[inner], atol=0.02)
    np.testing.assert_allclose(dy[inner], (0.001 * (y - 200))[inner], atol=0.02)
    back = resample_quintic(post, dx, dy)
    assert np.nanmean(local_correlation(pre, back)[inner]) > 0.995


def test_no_texture_gives_no_misregistration():
    """If it failed, a shift would be invented for constant or missing images."""
    assert measure_misregistration(np.zeros((128, 128)), np.zeros((128, 128))) is None
    nothing = np.full((128, 128), np.nan)
    assert measure_misregistration(nothing, nothing) is None


def test_resampling_keeps_missing_data_within_the_support():
    """If it failed, holes would be filled with inventions or grow without end."""
    image = ground((80, 80))
    truth = image.copy()
    image[40, 40] = np.nan
    half = np.full((80, 80), 0.5)
    out = resample_quintic(image, half, np.zeros((80, 80)))
    reference = resample_quintic(truth, half, np.zeros((80, 80)))
    lost = np.isnan(out)
    assert lost[40, 39:41].all()
    assert lost[:, :79].sum() <= 49
    assert lost[:, 79].all()  # half a pixel beyond the last column
    np.testing.assert_allclose(out[5:30, 5:70], reference[5:30, 5:70], atol=1e-4)
    assert np.isnan(resample_quintic(np.full((8, 8), np.nan), half[:8, :8], half[:8, :8])).all()


def test_search_accepts_stable_windows_and_says_why_it_refuses_the_others():
    """If it failed, bad pairs would enter the database, or good ones be lost silently."""
    pre = ground((512, 768))
    post = moved(pre, 0.3, 0.2)
    rng = np.random.default_rng(1)
    post += rng.normal(0, 1, post.shape).astype(np.float32)
    post[:256, 256:512] = ground((256, 256), 9)  # other ground
    post[:256, 512:][100:, 50:] = np.nan
    pre[256:, :256] = 50.0
    post[256:, 256:512] = moved(pre, 6.0, 0.0)[256:, 256:512]
    found = find_stable_pairs(pre, post, 256, max_misregistration=1.5)
    assert [(p.row, p.column) for p in found.accepted] == [(0, 0), (256, 512)]
    reasons = {(r.row, r.column): r.reason for r in found.rejected}
    assert reasons[0, 512] == "missing data"
    assert reasons[256, 0] == "low texture"
    assert reasons[0, 256] in {"low correlation", "misregistration"}
    assert reasons[256, 256] in {"low correlation", "misregistration"}
    for pair in found.accepted:
        assert pair.correlation > 0.95
        assert pair.pre.dtype == pair.post.dtype == np.float32
        left = measure_misregistration(pair.pre[8:-8, 8:-8], pair.post[8:-8, 8:-8])
        assert left.size < 0.03
        # Pixels come from beyond the window, where the scene has them.
        assert np.isfinite(pair.post[8:-8, 8:-8]).all()
    assert "2 of 6 windows accepted" in found.summary()
    assert "missing data 1" in found.summary()


def test_search_refuses_scenes_that_do_not_fit():
    """If it failed, an empty result would look like unstable ground."""
    scene = ground((128, 128))
    with pytest.raises(GridError, match="same grid"):
        find_stable_pairs(scene, scene[:-1], 64)
    with pytest.raises(DataError, match="size=1024"):
        find_stable_pairs(scene, scene)


def test_texture_orders_constant_noise_and_ground():
    """If it failed, water and noise would pass as ground."""
    noise = np.random.default_rng(0).normal(size=(128, 128))
    assert texture(np.ones((128, 128))) == 0
    assert abs(texture(noise)) < 0.1
    assert texture(ground((128, 128))) > 0.6


@pytest.mark.skipif(not (DATA / "two_dates").is_dir(), reason="XSUBPIX_DATA has no two_dates")
def test_real_pair_is_registered():
    """If it failed, the shift of a well-registered real pair would be overestimated."""
    rasterio = pytest.importorskip("rasterio")
    images = []
    for date in ("20000503", "20020712"):
        with rasterio.open(DATA / "two_dates" / f"nanjing_{date}.tif") as source:
            images.append(source.read(5).astype(np.float32))
    shift = measure_misregistration(*images)
    assert shift.size < 0.1
    found = find_stable_pairs(*images, 400, min_correlation=0.6)
    assert len(found.accepted) + len(found.rejected) == 4
    assert found.accepted
    assert {r.reason for r in found.rejected} <= {"low correlation"}
