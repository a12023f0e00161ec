"""Cross-correlation of windows: changed ground, its sigma, its parameters."""

import os
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import xsubpix
from xsubpix import ModelError
from xsubpix.estimators.phase import Phase

UNSURE = 4 | 8 | 16


def measure(image, pre, post, **options):
    return xsubpix.correlate(image(pre), image(post), model="phase", **options)


def errors(disp, shift, margin=2):
    inner = disp.isel(y=slice(margin, -margin), x=slice(margin, -margin))
    return np.stack([inner.east.values - shift[0], inner.north.values - shift[1]])


def changed(seed):
    """What fields do between two dates: large blocks that grow brighter or darker."""
    blocks = np.random.default_rng(seed).normal(0, 15, (10, 10))
    return np.kron(blocks, np.ones((20, 20)))


def test_changed_fields_do_not_lead_astray(scene, image):
    """Else the peak of cross-correlation follows large features that changed."""
    shift = (0.3, -0.4)
    pre = scene((200, 200)) + changed(1)
    post = scene((200, 200), shift) + changed(2)
    disp = measure(image, pre, post, step=8)
    wrong = np.hypot(*errors(disp, shift)) > 1
    unsure = (disp.flags.values[2:-2, 2:-2] & UNSURE) > 0
    assert wrong.mean() < 0.06
    assert (wrong & ~unsure).mean() < 0.01


def test_a_real_second_date():
    """Else stable ground seen two years later has moved by pixels."""
    rasterio = pytest.importorskip("rasterio")
    folder = Path(os.environ.get("XSUBPIX_DATA", "../shared/data")) / "two_dates"
    paths = sorted(folder.glob("nanjing_*.tif"))
    if len(paths) != 2:
        pytest.skip(f"{folder} is not there; set XSUBPIX_DATA to the folder of real images")
    pair = []
    for path in paths:
        with rasterio.open(path) as source:
            pixels = source.read(5)[300:500, 300:500].astype(np.float32)
        pair.append(xr.DataArray(pixels, dims=("y", "x")))
    disp = xsubpix.correlate(*pair, model="phase", window=32, step=8).isel(
        y=slice(2, -2), x=slice(2, -2)
    )
    error = np.hypot(disp.east, disp.north)
    assert float(error.mean()) < 0.6
    wrong = (error > 1) & ((disp.flags & UNSURE) == 0)
    assert float(wrong.mean()) < 0.005


@pytest.mark.parametrize("noise", [4.0, 8.0])
@pytest.mark.parametrize("options", [{}, {"refine": False}])
def test_sigma_covers_the_errors(scene, image, noise, options):
    """Else sigma is a number without a meaning, above all in strong noise."""
    shift = (0.2, -0.1)
    rng = np.random.default_rng(1)
    pre, post = (scene((300, 300), s) + rng.normal(0, noise, (300, 300)) for s in ((0, 0), shift))
    disp = measure(image, pre, post, step=16, **options)
    got = np.abs(errors(disp, shift))
    sigma = disp.sigma.values[2:-2, 2:-2]
    assert np.isfinite(sigma).all()
    assert 0.55 < np.mean(got < sigma) < 0.85
    assert np.mean(got < 2 * sigma) > 0.88


@pytest.mark.parametrize("refine", [True, False])
def test_phase_normalization(scene, image, refine):
    """Else gain and blur of one of the images change what phase correlation finds."""
    shift = (0.4, -0.3)
    pre, post = scene((128, 128)), scene((128, 128), shift)
    disp = measure(image, pre, 7 * post, step=16, refine=refine, normalization="phase")
    # Without refinement the taper pulls towards zero.
    assert np.sqrt((errors(disp, shift) ** 2).mean()) < (0.01 if refine else 0.05)
    assert "normalization=phase" in disp.attrs["model_parameters"]


def test_bad_parameters_are_named(pair):
    """Else a typing error measures something else."""
    with pytest.raises(ModelError, match=r"normalization='Phase'.*'none' or 'phase'"):
        Phase(normalization="Phase")
    with pytest.raises(ModelError, match=r"'upsample_factor'.*window, search, refine, norm"):
        xsubpix.correlate(*pair, model="phase", upsample_factor=100)
