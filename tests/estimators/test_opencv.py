"""OpenCV's optical flow behind the estimator contract."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy import ndimage

pytest.importorskip("cv2", reason="the OpenCV estimators need OpenCV")

import cv2

from xsubpix.errors import ModelError
from xsubpix.estimators import Flag, create

if not hasattr(cv2, "optflow"):
    pytest.skip("OpenCV is installed without its contributed modules", allow_module_level=True)

MODELS = ["deepflow", "dis", "tvl1"]
SIDE = 128
INNER = (slice(24, -24),) * 2


def texture(seed=0):
    """A periodic image with a natural spectrum, of order 100."""
    rng = np.random.default_rng(seed)
    f = np.hypot(*np.meshgrid(np.fft.fftfreq(SIDE), np.fft.fftfreq(SIDE), indexing="ij"))
    f[0, 0] = 1.0
    image = np.fft.ifft2(np.fft.fft2(rng.standard_normal((SIDE, SIDE))) / f**1.2).real
    return (100 + 20 * image / image.std()).astype(np.float32)


def moved(image, dx, dy):
    """The image after its ground has moved by (dx, dy): exact, periodic."""
    spectrum = ndimage.fourier_shift(np.fft.fft2(image.astype(np.float64)), (dy, dx))
    return np.fft.ifft2(spectrum).real.astype(np.float32)


def measure(estimator, pre, post):
    """Run one tile that holds the small images in its corner and NaN elsewhere."""
    size = estimator.tile * estimator.step + 2 * estimator.halo
    first, second = (np.full((1, size, size), np.nan, np.float32) for _ in range(2))
    rows, cols = pre.shape
    h = estimator.halo
    first[0, h : h + rows, h : h + cols] = pre
    second[0, h : h + rows, h : h + cols] = post
    estimate = estimator(first, second)
    n, m = rows // estimator.step, cols // estimator.step
    return type(estimate)(*(field[0, :n, :m] for field in estimate))


@pytest.mark.parametrize("model", MODELS)
def test_signs_and_accuracy(model):
    """A flow with the wrong sign, swapped axes, or gross errors on an easy pair."""
    pre = texture()
    estimate = measure(create(model), pre, moved(pre, 0.8, -0.5))
    assert abs(np.median(estimate.dx[INNER]) - 0.8) < 0.06
    assert abs(np.median(estimate.dy[INNER]) + 0.5) < 0.06
    error = np.hypot(estimate.dx - 0.8, estimate.dy + 0.5)[INNER] / np.sqrt(2)
    sigma = estimate.sigma[INNER]
    assert 0.3 < np.sqrt(np.mean(error**2)) / np.sqrt(np.mean(sigma**2)) < 2
    assert estimate.dx.dtype == estimate.quality.dtype == np.float32
    assert np.median(estimate.quality[INNER]) > 0.97
    noisy = moved(pre, 0.8, -0.5) + np.random.default_rng(0).normal(0, 25, pre.shape)
    assert np.median(measure(create(model), pre, noisy).sigma[INNER]) > 1.05 * np.median(sigma)
    assert (estimate.flags[INNER] == 0).all()


@pytest.mark.parametrize("model", MODELS)
def test_missing_pixels(model):
    """Values where too little is valid, none where enough is, or holes that pull the flow."""
    pre = texture(1)
    post = moved(pre, 0.6, 0.3)
    pre[50:70, 60:70] = np.nan
    post[100:, :20] = np.nan
    post[3, 3] = np.inf
    estimate = measure(create(model), pre, post)
    valid = np.isfinite(pre) & np.isfinite(post)
    lost = ndimage.uniform_filter(valid.astype(float), 9, mode="constant") < 0.5
    for values in (estimate.dx, estimate.dy, estimate.quality):
        np.testing.assert_array_equal(np.isnan(values), lost)
    np.testing.assert_array_equal(estimate.flags == Flag.NODATA, lost)
    assert np.nanmedian(abs(estimate.dx[INNER] - 0.6)) < 0.1


@pytest.mark.parametrize("model", MODELS)
def test_empty_flat_and_tiny_tiles(model):
    """A crash or a warning on tiles without data, without contrast, or with a few pixels."""
    nothing = np.full((40, 40), np.nan, np.float32)
    estimate = measure(create(model), nothing, nothing)
    assert (estimate.flags == Flag.NODATA).all()
    assert np.isnan(estimate.dx).all()
    flat = np.full((40, 40), 5.0, np.float32)
    estimate = measure(create(model), flat, flat)
    assert (estimate.flags[6:-6, 6:-6] == Flag.LOW_TEXTURE).all()
    assert np.isnan(estimate.dx).all()
    tiny = texture(2)[:12, :12]
    estimate = measure(create(model), tiny, tiny)
    assert np.isfinite(estimate.dx[4:-4, 4:-4]).all()


@pytest.mark.parametrize("step", [2, 3])
def test_step_samples_the_centres_of_blocks(step):
    """Outputs that belong to another place than the middle of their block."""
    pre = texture(3)
    post = moved(pre, 0.5, 0.2)
    # The same extent of image, so that the flow is the same.
    dense = measure(create("dis"), pre, post)
    coarse = measure(create("dis", step=step), pre, post)
    low, high = (step - 1) // 2, step // 2
    n = SIDE // step
    for name in ("dx", "dy", "quality"):
        values = getattr(dense, name).astype(np.float64)
        corners = [values[i::step, j::step][:n, :n] for i in {low, high} for j in {low, high}]
        inner = (slice(4, -4),) * 2
        expected = np.mean(corners, axis=0)[inner]
        np.testing.assert_allclose(getattr(coarse, name)[inner], expected, atol=1e-5)


@pytest.mark.parametrize("model", ["deepflow", "dis"])
def test_threads_do_not_change_the_result(model):
    """Numbers that depend on OpenCV's threads, or a process left with another setting."""
    pre = texture(4)
    post = moved(pre, -0.4, 0.7)
    estimator = create(model)
    before = cv2.getNumThreads()
    try:
        results = []
        for threads in (1, 4):
            cv2.setNumThreads(threads)
            kept = cv2.getNumThreads()
            with ThreadPoolExecutor(3) as pool:
                jobs = [pool.submit(measure, estimator, pre, post) for _ in range(3)]
                results += [job.result() for job in jobs]
            assert cv2.getNumThreads() == kept
        for other in results[1:]:
            np.testing.assert_array_equal(other.dx, results[0].dx)
            np.testing.assert_array_equal(other.dy, results[0].dy)
    finally:
        cv2.setNumThreads(before)


def test_radiometry_is_scaled():
    """A flow that depends on the images' unit, or fails on one with another gain."""
    pre = texture(5)
    post = moved(pre, 0.4, 0.4)
    plain = measure(create("deepflow"), pre, post)
    scaled = measure(create("deepflow"), pre * 1e-6, post * 1e4 + 3)
    assert abs(scaled.dx - plain.dx)[INNER].max() < 0.05


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"window": 8}, "window=8"),
        ({"device": "cuda"}, "device='cuda'"),
        ({"search": 3}, "no parameter 'search'"),
    ],
)
def test_parameters_out_of_bounds_are_refused_by_name(options, told):
    """A bad parameter that fails late, or without saying which it was."""
    with pytest.raises(ModelError, match=told):
        create("deepflow", **options)


def test_opencv_is_asked_for_by_name(monkeypatch):
    """A bare ImportError or AttributeError when OpenCV or its contributed part is absent."""
    pre = texture(6)
    estimator = create("deepflow")
    monkeypatch.delattr(cv2, "optflow")
    with pytest.raises(ModelError, match=r"pip install 'xsubpix\[opencv\]'"):
        measure(estimator, pre, pre)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"pip install 'xsubpix\[opencv\]'"):
        create("deepflow")


def test_opencv_loads_on_the_first_call_only():
    """The registry or an estimator's construction importing OpenCV."""
    code = (
        "import sys; from xsubpix.estimators import create; create('dis'); "
        "assert 'cv2' not in sys.modules, 'cv2 was imported'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
