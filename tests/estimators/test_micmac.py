"""MicMac-like dense matching: signs, accuracy, missing data, parameters."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

pytest.importorskip("numba", reason="model 'micmac' needs numba")

from xsubpix.errors import ModelError
from xsubpix.estimators import Flag, create
from xsubpix.estimators import ncc as ncc_kernels
from xsubpix.estimators import sgm as sgm_kernels
from xsubpix.estimators.micmac import MicMac

SIDE = 96
INNER = slice(16, -16)


def texture(seed=0, side=SIDE + 32, slope=1.2):
    """A periodic image with a natural spectrum, of order 100, nothing near Nyquist's corner."""
    rng = np.random.default_rng(seed)
    f = np.hypot(*np.meshgrid(np.fft.fftfreq(side), np.fft.fftfreq(side), indexing="ij"))
    f[0, 0] = 1.0
    image = np.fft.ifft2(np.fft.fft2(rng.standard_normal((side, side))) / f**slope).real
    return (100 + 20 * image / image.std()).astype(np.float32)


def moved(image, dx, dy):
    """The image after its ground has moved by (dx, dy): exact, periodic."""
    spectrum = ndimage.fourier_shift(np.fft.fft2(image.astype(np.float64)), (dy, dx))
    return np.fft.ifft2(spectrum).real.astype(np.float32)


def crop(image):
    return image[16 : 16 + SIDE, 16 : 16 + SIDE]


def measure(estimator, pre, post):
    """Run one tile that holds the small images in its middle and NaN around."""
    size = estimator.tile * estimator.step + 2 * estimator.halo
    first, second = (np.full((1, size, size), np.nan, np.float32) for _ in range(2))
    rows, cols = pre.shape
    h = estimator.halo
    first[0, h : h + rows, h : h + cols] = pre
    second[0, h : h + rows, h : h + cols] = post
    estimate = estimator(first, second)
    n, m = rows // estimator.step, cols // estimator.step
    return type(estimate)(*(field[0, :n, :m] for field in estimate))


def rms(values):
    return float(np.sqrt(np.mean(np.square(values))))


@pytest.mark.parametrize(("dx", "dy"), [(1, 0), (0, 1), (-2, 1)])
def test_whole_pixels_and_their_sign(dx, dy):
    """A wrong sign or swapped axes: dx is to the right, dy down, from pre to post."""
    pre = texture()
    estimate = measure(MicMac(), crop(pre), crop(np.roll(pre, (dy, dx), (0, 1))))
    np.testing.assert_allclose(estimate.dx[INNER, INNER], dx, atol=0.01)
    np.testing.assert_allclose(estimate.dy[INNER, INNER], dy, atol=0.01)
    assert (estimate.flags[INNER, INNER] == 0).all()
    assert (estimate.quality[INNER, INNER] > 0.999).all()


@settings(max_examples=8, deadline=None)
@given(
    dx=st.floats(-1.9, 1.9, allow_nan=False),
    dy=st.floats(-1.9, 1.9, allow_nan=False),
    seed=st.integers(0, 3),
)
def test_sub_pixel_shifts(dx, dy, seed):
    """Steps of 1/20 px left in the result, or a bias towards some sub-pixel phase."""
    pre = texture(seed)
    estimate = measure(MicMac(), crop(pre), crop(moved(pre, dx, dy)))
    for measured, true in ((estimate.dx, dx), (estimate.dy, dy)):
        error = measured[INNER, INNER] - true
        assert rms(error) < 0.01
        assert abs(error.mean()) < 0.004


def test_an_offset_stays_sharp():
    """A fault blurred by more than the 9 x 9 window, or its offset lost away from it."""
    pre = texture(2)
    up, down = crop(moved(pre, 0, -0.5)), crop(moved(pre, 0, 0.5))
    post = np.where(np.arange(SIDE) < SIDE // 2, up, down)
    truth = np.where(np.arange(SIDE) < SIDE // 2, -0.5, 0.5)
    estimate = measure(MicMac(), crop(pre), post)
    error = abs(estimate.dy - truth)[INNER]
    near = abs(np.arange(SIDE) - (SIDE // 2 - 0.5))
    assert error[:, (near > 4) & (near < 32)].mean() < 0.02
    assert error[:, near < 16].mean() < 0.08


def test_a_large_offset_is_no_ramp():
    """An offset of pixels that takes several pixels of ground, as with a bound on the slope."""
    pre = texture(5)
    up, down = crop(np.roll(pre, 1, 0)), crop(np.roll(pre, -2, 0))
    side = np.arange(SIDE) < SIDE // 2
    near = abs(np.arange(SIDE) - (SIDE // 2 - 0.5)) < 8
    error = {}
    for schedule in ("robust", "published"):
        found = measure(MicMac(schedule=schedule), crop(pre), np.where(side, down, up))
        error[schedule] = abs(found.dy - np.where(side, -2, 1))[INNER][:, near].mean()
    assert error["robust"] < 0.25
    assert error["robust"] < 0.6 * error["published"]


def test_a_real_image():
    """Aliased detail of a real sensor that pulls displacements towards some sub-pixel phase."""
    folder = Path(os.environ.get("XSUBPIX_DATA", "../shared/data"))
    path = folder / "landsat7" / "P090R083_07_pan.tif"
    if not path.exists():
        pytest.skip(f"{path} is not there; set XSUBPIX_DATA to the folder of real images")
    with rasterio.open(path) as chip:
        pre = chip.read(1).astype(np.float32)
    post = moved(pre, 0.25, -0.6)
    place = (slice(300, 300 + SIDE),) * 2
    estimate = measure(MicMac(), pre[place], post[place])
    for measured, true in ((estimate.dx, 0.25), (estimate.dy, -0.6)):
        error = measured[INNER, INNER] - true
        assert rms(error) < 0.01
        assert abs(error.mean()) < 0.005


@pytest.mark.parametrize(("gain", "offset"), [(1e-5, 0.0), (1e4, 0.0), (-3.0, 7.0)])
def test_linear_radiometry_does_not_matter(gain, offset):
    """Correlation that depends on the unit of the images, or fails for small or large values."""
    pre = texture(1)
    post = crop(moved(pre, 0.3, -0.4))
    plain = measure(MicMac(), crop(pre), post)
    scaled = measure(MicMac(), gain * crop(pre) + offset, gain * post + offset)
    assert rms((scaled.dx - plain.dx)[INNER, INNER]) < 2e-3
    assert abs(scaled.dx - plain.dx)[INNER, INNER].max() < 0.02
    assert scaled.dx.dtype == np.float32


def test_missing_pixels():
    """Results where too little is valid, none where enough is, or far-reaching damage."""
    pre = texture(3)
    before, after = crop(pre).copy(), crop(moved(pre, 0.3, -0.4)).copy()
    clean = measure(MicMac(), before, after)
    before[30:50, 40:44] = np.nan
    after[60:, 70:] = np.nan
    after[10, 10] = np.inf
    estimate = measure(MicMac(), before, after)
    valid = np.isfinite(before) & np.isfinite(after)
    lost = ndimage.uniform_filter(valid.astype(float), MicMac().window, mode="constant") < 0.5
    for values in (estimate.dx, estimate.dy, estimate.sigma, estimate.quality):
        np.testing.assert_array_equal(np.isnan(values), lost)
    np.testing.assert_array_equal(estimate.flags == Flag.NODATA, lost)
    touched = ndimage.binary_dilation(~valid, np.ones((3, 3)), iterations=13)
    far = ~touched
    far[:, :16] = far[:, -16:] = far[:16] = far[-16:] = False
    assert far.any()
    assert abs(estimate.dx - clean.dx)[far].max() < 0.02
    assert rms((estimate.dx - 0.3)[~lost]) < 0.05


def test_nothing_at_all():
    """An exception, a warning or invented values when a tile is empty or a window is."""
    size = np.full((SIDE, SIDE), np.nan, np.float32)
    estimate = measure(MicMac(), size, size)
    assert np.isnan(estimate.dx).all()
    assert (estimate.flags == Flag.NODATA).all()
    flat = np.full((SIDE, SIDE), 7.0, np.float32)
    estimate = measure(MicMac(), flat, flat)
    inside = (slice(8, -8),) * 2
    assert np.isnan(estimate.dx[inside]).all()
    assert (estimate.flags[inside] == Flag.LOW_TEXTURE).all()
    assert (estimate.quality[inside] == 0).all()


@pytest.mark.parametrize("step", [2, 3])
def test_step_samples_the_centres_of_blocks(step):
    """Outputs that belong to another place than the middle of their block."""
    pre = texture(4)
    ramp = 0.005 * np.arange(SIDE)
    rows, cols = np.mgrid[:SIDE, :SIDE].astype(float)
    spline = ndimage.spline_filter(pre.astype(float), 5)
    places = [rows + 16, cols + 16 - ramp[None, :]]
    post = ndimage.map_coordinates(spline, places, order=5, prefilter=False).astype(np.float32)
    dense = measure(MicMac(), crop(pre), post)
    coarse = measure(MicMac(step=step), crop(pre), post)
    low, high = (step - 1) // 2, step // 2
    for name in ("dx", "dy", "quality", "sigma"):
        values = getattr(dense, name).astype(np.float64)
        corners = [values[i::step, j::step] for i in {low, high} for j in {low, high}]
        inner = (slice(4, -4),) * 2
        expected = np.mean(corners, axis=0)[inner]
        np.testing.assert_allclose(getattr(coarse, name)[inner], expected, atol=1e-5)
    centres = ramp.reshape(-1, step).mean(axis=1)
    assert rms((coarse.dx - centres)[8:-8, 8:-8]) < 0.01


def test_a_block_larger_than_the_tile_costs_no_more():
    """Memory that grows with the step: only the middle of a large block is matched."""
    pre = texture(5)
    estimator = MicMac(step=500)
    size = 500 + 2 * estimator.halo
    tiled = np.tile(pre, (6, 6))[:size, :size]
    estimate = estimator(tiled[None], moved(np.tile(pre, (6, 6)), 0.5, 0.2)[None, :size, :size])
    assert estimate.dx.shape == (1, 1, 1)
    np.testing.assert_allclose([estimate.dx[0, 0, 0], estimate.dy[0, 0, 0]], [0.5, 0.2], atol=0.01)


def test_the_same_tile_gives_the_same_bits():
    """Results that depend on the run or on the batch a tile comes in."""
    estimator = MicMac()
    size = estimator.tile + 2 * estimator.halo
    pre = np.full((2, size, size), np.nan, np.float32)
    post = pre.copy()
    place = slice(100, 100 + SIDE)
    for k in range(2):
        pre[k, place, place] = crop(texture(k))
        post[k, place, place] = crop(moved(texture(k), 0.2, 0.1))
    both = estimator(pre, post)
    second = estimator(pre[1:], post[1:])
    for a, b in zip(both, second, strict=True):
        np.testing.assert_array_equal(a[1:], b)


def test_shifts_beyond_the_search_are_flagged():
    """A displacement out of reach passed off as a measurement."""
    pre = texture(6)
    estimate = measure(MicMac(), crop(pre), crop(np.roll(pre, 7, 1)))
    told = estimate.flags[INNER, INNER] & (Flag.OUT_OF_RANGE | Flag.NOT_CONVERGED) > 0
    assert told.mean() > 0.8
    found = measure(MicMac(search=8), crop(pre), crop(np.roll(pre, 7, 1)))
    np.testing.assert_allclose(found.dx[20:-20, 20:-28], 7, atol=0.02)


def test_sigma_covers_the_error():
    """An uncertainty smaller than the errors it stands for, or far too large."""
    pre = texture(7, slope=0.8)
    rng = np.random.default_rng(7)
    noise = 20 * np.sqrt(1 / 0.9 - 1)
    first = crop(pre) + noise * rng.standard_normal((SIDE, SIDE))
    second = crop(moved(pre, 0.3, -0.6)) + noise * rng.standard_normal((SIDE, SIDE))
    estimate = measure(MicMac(), first, second)
    sigma = estimate.sigma[INNER, INNER]
    errors = np.stack([estimate.dx - 0.3, estimate.dy + 0.6])[:, INNER, INNER] / sigma
    assert np.isfinite(sigma).all()
    assert (abs(errors) < 1).mean() > 0.6
    assert (abs(errors) < 2).mean() > 0.9
    assert rms(errors) > 0.2


def test_azimuth_is_a_line_without_a_sense():
    """A strike that counts differently from its opposite, or that does nothing."""
    pre = texture(8)
    post = np.where(np.arange(SIDE) < 48, crop(moved(pre, 0, -0.3)), crop(moved(pre, 0, 0.3)))
    stiff = MicMac(schedule="published", window=9, regularisation=8)
    along, opposite, across = (
        measure(dataclasses.replace(stiff, azimuth=a), crop(pre), post) for a in (0, 180, 90)
    )
    assert rms((along.dy - opposite.dy)[INNER, INNER]) < 2e-3
    truth = np.where(np.arange(SIDE) < 48, -0.3, 0.3)
    assert rms((along.dy - across.dy)[INNER, INNER]) > 1e-3
    assert rms((along.dy - truth)[INNER, INNER]) < rms((across.dy - truth)[INNER, INNER])


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"window": 8}, "window=8"),
        ({"schedule": "loose"}, "schedule='loose'"),
        ({"window": 17}, "window=17"),
        ({"search": 9}, "search=9"),
        ({"directions": 2}, "directions=2"),
        ({"gamma": 9}, "gamma=9"),
        ({"regularisation": -1.0}, "regularisation=-1.0"),
        ({"azimuth": "north"}, "azimuth='north'"),
        ({"device": "cuda"}, "device='cuda'"),
        ({"step": 0}, "step=0"),
    ],
)
def test_parameters_out_of_bounds_are_refused_by_name(options, told):
    """A bad parameter that fails late, or without saying which it was."""
    with pytest.raises(ModelError, match=told):
        create("micmac", **options)


def test_numba_is_asked_for_by_name(monkeypatch):
    """A bare ImportError, or a failure inside a lazy graph, when numba is absent."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"pip install 'xsubpix\[micmac\]'"):
        MicMac()


def test_numba_loads_on_the_first_call_only():
    """The estimator's construction, or the registry, importing the compiler."""
    code = (
        "import sys; from xsubpix.estimators import create; create('micmac'); "
        "assert 'numba' not in sys.modules, 'numba was imported'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_sinc_kernels_keep_constants_and_whole_pixels():
    """Interpolation that changes the mean, or moves an image by its own rounding."""
    kernels = ncc_kernels.sinc_kernels()
    np.testing.assert_allclose(kernels.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(kernels[0], np.eye(10)[4], atol=1e-6)
    np.testing.assert_allclose(kernels[10], kernels[10, ::-1], atol=1e-6)


@pytest.mark.parametrize("holes", [False, True])
def test_correlations_are_pearson_s(holes):
    """An NCC that is not the correlation coefficient of the two windows."""
    rng = np.random.default_rng(0)
    first, second = rng.standard_normal((2, 60, 60)).astype(np.float32)
    ok = np.ones((60, 60), bool)
    if holes:
        ok[28, 26:30] = False
    inset, side = 20, 9
    shape = (20, 20)
    volume = ncc_kernels.correlation_volume(
        first,
        ok,
        second,
        np.ones_like(ok),
        np.zeros_like(second),
        np.full(shape, not holes),
        inset,
        side,
        ncc_kernels.PHASES,
        1,
        np.full(shape, 1, np.int32),
        np.full(shape, -1, np.int32),
        ncc_kernels.sinc_kernels(),
    )
    for row, col, j, i in ((7, 6, 0, 0), (10, 12, -1, 1), (8, 9, 1, -1)):
        y, x = inset + row - 4, inset + col - 4
        a = first[y : y + 9, x : x + 9]
        b = second[y + j - 1 : y + j + 8, x + i + 1 : x + i + 10]
        use = ok[y : y + 9, x : x + 9]
        expected = np.corrcoef(a[use], b[use])[0, 1]
        entry = (j + 1) * 3 + i + 1
        np.testing.assert_allclose(volume[row, entry, col], expected, atol=2e-5)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**16), across=st.sampled_from([3, 5]))
def test_path_costs_are_the_best_of_all_paths(seed, across):
    """Dynamic programming that misses the optimum: checked against every path of a short line."""
    rng = np.random.default_rng(seed)
    length, entries = 3, across * across
    cost = rng.random((length, entries, 1)).astype(np.float32)
    centre_x, centre_y = rng.integers(-1, 2, (2, length, 1)).astype(np.int32)
    weight, steepest, most = 0.3, 2, 0.8
    total = np.zeros_like(cost)
    for backward in (False, True):
        sgm_kernels._sweep(
            cost,
            centre_x,
            centre_y,
            np.zeros(length, np.int64),
            backward,
            np.float32(weight),
            np.float32(steepest),
            np.float32(most),
            total,
        )
    total -= cost

    offsets = np.arange(across) - across // 2
    y = centre_y + np.repeat(offsets, across)
    x = centre_x + np.tile(offsets, across)

    def transition(p, q):
        steps = [abs(v[p][:, None] - v[q][None, :]) for v in (x, y)]
        return sum(np.minimum(weight * s, most) + np.maximum(s - steepest, 0) for s in steps)

    paths = (
        cost[0, :, 0][:, None, None]
        + transition(0, 1)[:, :, None]
        + cost[1, :, 0][None, :, None]
        + transition(1, 2)[None]
        + cost[2, :, 0]
    )
    for n, others in enumerate(((1, 2), (0, 2), (0, 1))):
        best = paths.min(axis=others)
        np.testing.assert_allclose(
            total[n, :, 0] - total[n, :, 0].min(), best - best.min(), atol=1e-5
        )
