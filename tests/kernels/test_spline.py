"""Quintic splines between pixels and around holes."""

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from xsubpix.kernels.spline import sample_quintic


@pytest.fixture
def image(rng):
    """A smooth image."""
    y, x = np.mgrid[:40, :50]
    return (np.sin(y / 4) + np.cos(x / 5) + 0.01 * x).astype("f4")


def test_without_holes_it_is_scipy(image):
    """Else the numbers of the published databases are not those of the method they name."""
    rows, cols = np.ogrid[3.3:36, 2.2:47]
    expected = map_coordinates(
        image.astype(float), np.broadcast_arrays(rows, cols), order=5, mode="mirror"
    )
    for missing in ("support", "nearest"):
        found = sample_quintic(image, rows, cols, missing=missing)
        np.testing.assert_array_equal(found, expected.astype("f4"))


def test_a_hole_takes_the_spline_s_support_with_it(image):
    """Else values rest on pixels that nobody measured."""
    image[20, 25] = np.nan
    rows, cols = np.mgrid[10:30, 15:35] + 0.5
    lost = np.isnan(sample_quintic(image, rows, cols))
    expected = (np.abs(rows - 20) < 3) & (np.abs(cols - 25) < 3)
    np.testing.assert_array_equal(lost, expected)


def test_a_hole_keeps_its_size_by_the_nearest_pixel(image):
    """Else windows around holes shrink by six pixels before they are matched."""
    image[20, 25] = np.nan
    rows, cols = np.mgrid[10:30, 15:35] + 0.3
    found = sample_quintic(image, rows, cols, missing="nearest")
    assert np.argwhere(np.isnan(found)).tolist() == [[10, 10]]


def test_outside_is_missing(image):
    """Else the reflection beyond the border passes for data."""
    rows = np.array([[-0.6, -0.4, 0.0, 39.0, 39.4, 39.6, np.nan]])
    cols = np.full(rows.shape, 20.0)
    assert np.isnan(sample_quintic(image, rows, cols)).tolist() == [[1, 1, 0, 0, 1, 1, 1]]
    nearest = sample_quintic(image, rows, cols, missing="nearest")
    assert np.isnan(nearest).tolist() == [[1, 0, 0, 0, 0, 1, 1]]


def test_all_missing():
    """Else an empty tile is an error."""
    image = np.full((8, 9), np.nan)
    assert np.isnan(sample_quintic(image, np.zeros((2, 1)), np.zeros((1, 3)))).all()


def test_half_way_samples_hold_the_finest_waves():
    """Else the second date of a pair is smoother than the first."""
    x = np.arange(80)
    image = np.tile(np.cos(0.8 * np.pi * x), (80, 1))
    rows, cols = np.mgrid[20:60, 20:60] + 0.5
    truth = np.cos(0.8 * np.pi * cols)
    errors = [np.abs(sample_quintic(image, rows, cols, oversample=n) - truth).max() for n in (1, 2)]
    assert errors[1] < 0.01 < errors[0]
