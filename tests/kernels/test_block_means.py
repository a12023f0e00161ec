"""Sums, means and correlations of blocks."""

import numpy as np
import pytest

from xsubpix.kernels.block_means import block_correlation, block_mean, block_sum, in_blocks


def test_blocks_are_cut_where_they_lie(rng):
    """Else rows and columns are mixed up."""
    values = rng.normal(size=(3, 11, 17))
    blocks = in_blocks(values, 5)
    assert blocks.shape == (3, 2, 5, 3, 5)
    np.testing.assert_array_equal(blocks[1, 1, :, 2], values[1, 5:10, 10:15])
    np.testing.assert_allclose(block_sum(values, 5)[2, 0, 1], values[2, :5, 5:10].sum())


def test_mean_is_of_what_is_there(rng):
    """Else holes count as zeros, or take their block with them."""
    values = rng.normal(size=(8, 12)).astype("f4")
    values[:2, :4] = np.nan
    values[4:7, :4] = np.nan
    mean = block_mean(values, 4)
    assert mean[0, 0] == pytest.approx(values[2:4, :4].mean(), abs=1e-6)
    assert np.isnan(mean[1, 0])
    assert np.isfinite(block_mean(values, 4, least_share=0.25)).all()
    assert np.isnan(block_mean(np.full((4, 4), np.nan), 4, least_share=0.0)).all()


def test_correlation_is_that_of_numpy(rng):
    """Else databases record a wrong correlation."""
    a = rng.normal(size=(16, 24)) + 1e4
    b = a + rng.normal(size=a.shape)
    a[0, 0] = np.nan
    b[8:, 8:16] = 2.0
    rho = block_correlation(a, b, 8)
    assert np.isnan(rho[0, 0])
    assert np.isnan(rho[1, 1])
    expected = np.corrcoef(a[:8, 16:].ravel(), b[:8, 16:].ravel())[0, 1]
    assert rho[0, 2] == pytest.approx(expected, abs=1e-12)
