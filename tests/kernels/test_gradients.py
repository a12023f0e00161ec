"""Local planes under Gaussian weights."""

import numpy as np
import pytest

from xsubpix.kernels.gradients import local_gradients


def test_slopes_of_a_plane_through_holes_and_at_borders(rng):
    """Else strain is made where data end."""
    y, x = np.mgrid[:30, :40].astype(float)
    field = 100.0 + 0.02 * x - 0.01 * y
    field[rng.random(field.shape) < 0.3] = np.nan
    found = local_gradients([field], np.full(field.shape, 0.1), (2.0, 3.0))
    known = np.isfinite(field)
    np.testing.assert_allclose(found.x[0][known], 0.02, atol=1e-10)
    np.testing.assert_allclose(found.y[0][known], -0.01, atol=1e-10)
    assert np.isnan(found.x[0][~known]).all()


def test_errors_are_those_of_many_noises(rng):
    """Else the errors of strain are too small."""
    sigma, slopes = np.full((25, 25), 0.5), []
    for _ in range(400):
        slopes.append(local_gradients([rng.normal(0, 0.5, sigma.shape)], sigma, (2.0, 2.0)))
    spread = np.std([s.x[0][12, 12] for s in slopes])
    assert spread == pytest.approx(np.sqrt(slopes[0].xx[12, 12]), rel=0.15)
