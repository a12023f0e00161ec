"""Means and correlations around each pixel."""

import numpy as np
import pytest

from xsubpix.kernels.local_correlation import LocalMean, box_mean, local_correlation


def test_box_mean_is_that_of_the_square(rng):
    """Else windows are shifted, or their border invents values."""
    values = rng.normal(size=(9, 11))
    assert box_mean(values, 5)[4, 6] == pytest.approx(values[2:7, 4:9].mean(), abs=1e-12)
    assert box_mean(values, 5)[0, 0] == pytest.approx(values[:3, :3].sum() / 25, abs=1e-12)


def test_local_mean_is_of_known_pixels(rng):
    """Else missing pixels count as zero."""
    values = rng.normal(size=(9, 11))
    known = rng.random(values.shape) > 0.4
    mean = LocalMean(known, 5)
    part = np.s_[2:7, 4:9]
    inside = values[part][known[part]]
    holed = np.where(known, values, np.nan)
    assert mean(holed)[4, 6] == pytest.approx(inside.mean(), abs=1e-12)
    assert mean.variance(holed)[4, 6] == pytest.approx(inside.var(), abs=1e-12)
    assert mean.share[4, 6] == pytest.approx(known[part].mean(), abs=1e-12)


def test_moments_of_a_pair(rng):
    """Else variance and covariance are not of the same pixels."""
    a, b = rng.normal(size=(2, 12, 12))
    part = np.s_[2:7, 4:9]
    moments = LocalMean(np.ones(a.shape, bool), 5).moments(a, b)
    found = [m[4, 6] for m in moments]
    expected = np.cov(a[part].ravel(), b[part].ravel(), bias=True)
    np.testing.assert_allclose(found, [expected[0, 0], expected[1, 1], expected[0, 1]], atol=1e-12)


def test_torch_gives_the_correlation_of_numpy(rng):
    """Else networks report another quality than correlators."""
    torch = pytest.importorskip("torch")
    from xsubpix.kernels.local_correlation_torch import local_correlation_torch

    a = rng.normal(size=(40, 50)).astype("f4")
    b = (a + 0.5 * rng.normal(size=a.shape)).astype("f4")
    known = rng.random(a.shape) > 0.1
    a[:, 30:] = 0.0
    tensors = [torch.tensor(np.where(known, x, 0.0).astype("f4"))[None, None] for x in (a, b)]
    share = torch.tensor(known.astype("f4"))[None, None]
    rho, textured = (x[0, 0].numpy() for x in local_correlation_torch(*tensors, share, 9, 1e-3))
    holed = [np.where(known, x, np.nan) for x in (a, b)]
    inner = np.s_[4:-4, 4:-4]
    expected = local_correlation(*holed, 9)
    np.testing.assert_allclose(rho[inner][:, :20], expected[inner][:, :20], atol=1e-5)
    assert (textured[:, 36:] == 0).all()
    assert (rho[:, 36:] == 0).all()
