"""The normalised median test."""

import numpy as np
import pytest

from xsubpix.kernels.median_test import local_median, normalised_deviation


def test_an_outlier_stands_out_and_missing_values_do_not_spread(rng):
    """Else good matches fall with the bad ones."""
    dx, dy = rng.normal(0, 0.1, (2, 20, 20))
    dx[10, 10] += 5.0
    dy[4, 4] = np.nan
    deviation = normalised_deviation(dx, dy, 2, 0.1)
    assert deviation[10, 10] > 15
    assert np.argwhere(np.isnan(deviation)).tolist() == [[4, 4]]
    deviation[10, 10] = 0
    assert np.nanmax(deviation) < 4


def test_median_is_of_the_neighbours_only(rng):
    """Else a value vouches for itself."""
    values = rng.normal(size=(9, 9)).astype("f4")
    around = np.delete(values[3:6, 4:7].ravel(), 4)
    assert local_median(values, 1)[4, 5] == pytest.approx(np.median(around), abs=1e-6)
