"""Holes filled with the nearest value."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from xsubpix.kernels.nearest import fill_nearest, nearest_valid


def test_distance_is_that_of_a_search_over_all_pixels(rng):
    """Else holes are filled from farther away than need be."""
    missing = rng.random((40, 50)) < 0.7
    rows, cols = np.indices(missing.shape)
    found = nearest_valid(missing)
    distance = np.hypot(found[0] - rows, found[1] - cols)
    tree = cKDTree(np.argwhere(~missing))
    expected = tree.query(np.stack([rows, cols], -1).reshape(-1, 2))[0].reshape(missing.shape)
    np.testing.assert_allclose(distance, expected, atol=1e-9)


def test_values_that_are_there_stay(rng):
    """Else data are changed, not filled."""
    values = rng.normal(size=(20, 30)).astype("f4")
    values[5:9, 10:20] = np.nan
    filled = fill_nearest(values)
    known = np.isfinite(values)
    assert np.isfinite(filled).all()
    assert filled.dtype == np.float32
    np.testing.assert_array_equal(filled[known], values[known])
    assert set(filled[~known]) <= set(values[known])


def test_several_fields_share_their_holes(rng):
    """Else the components of a vector come from different pixels."""
    values = rng.normal(size=(2, 12, 12))
    values[1, 3:6, 3:6] = np.nan
    filled = fill_nearest(values)
    pairs = {tuple(v) for v in values[:, np.isfinite(values).all(0)].T}
    assert {tuple(v) for v in filled.reshape(2, -1).T} <= pairs


@pytest.mark.parametrize("values", [np.ones((3, 4)), np.full((3, 4), np.nan)])
def test_nothing_and_everything_missing(values):
    """Else an empty tile is an error."""
    assert fill_nearest(values) is values
