"""Fits that outliers do not move."""

import numpy as np
import pytest

from xsubpix.kernels.robust import biweight_fit, huber_fit, nmad, polynomial_terms


def plane(rng, outliers):
    """A plane with noise of 0.1 in two components, a share of it outliers."""
    u, v = rng.uniform(-1, 1, (2, 2000))
    design = polynomial_terms(u, v, 1).T
    truth = np.array([[1.0, -2.0], [0.5, 0.3], [-0.4, 0.2]])
    values = design @ truth + rng.normal(0, 0.1, (2000, 2))
    values[: int(outliers * 2000)] += 3.0
    return design, values, truth


def test_terms_are_in_their_order():
    """Else coefficients that a file holds are read as others."""
    u, v = np.array([2.0]), np.array([[3.0], [5.0]])
    assert polynomial_terms(u, v, 2)[:, 0, 0].tolist() == [1, 2, 3, 4, 6, 9]
    assert polynomial_terms(u, v, 2).shape == (6, 2, 1)


@pytest.mark.parametrize("outliers", [0.0, 0.2])
def test_planes_are_found_through_outliers(rng, outliers):
    """Else a landslide tilts the scene."""
    design, values, truth = plane(rng, outliers)
    coefficients, scatter = biweight_fit(design, values, np.ones(2000))
    np.testing.assert_allclose(coefficients, truth, atol=0.02)
    assert scatter == pytest.approx(0.1, rel=0.3)
    fit = huber_fit(design, values[:, 0])
    np.testing.assert_allclose(fit.coefficients, truth[:, 0], atol=0.02 + 0.3 * outliers)


def test_weights_count(rng):
    """Else tiles without a peak have a say."""
    design, values, truth = plane(rng, 0.6)
    weights = np.where(np.arange(2000) < 1200, 0.0, 1.0)
    start = values.copy()
    start[:1200] -= 3.0  # the median starts where the good ones are
    coefficients, _ = biweight_fit(design, np.where(weights[:, None] > 0, values, start), weights)
    np.testing.assert_allclose(coefficients, truth, atol=0.03)


def test_nmad_is_the_deviation_of_normal_noise(rng):
    """Else scatter is reported too small by a third."""
    values = rng.normal(5.0, 2.0, 100_000)
    values[:1000] = 1e6
    values[1000:2000] = np.nan
    assert nmad(values) == pytest.approx(2.0, rel=0.03)
    assert np.isnan(nmad(np.array([np.nan])))
