"""Statistics of stable ground, against noise of known size and reach."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from xsubpix import DataError, ModelError


@pytest.fixture(scope="module")
def noisy(field):
    """Noise of 0.3 m correlated over some pixels, and 0.1 m that is not; pixels of 20 m."""
    rng = np.random.default_rng(0)

    def draw():
        smooth = gaussian_filter(rng.normal(size=(220, 260)), 4.0)
        return 0.5 + 0.3 * smooth / smooth.std() + rng.normal(0, 0.1, smooth.shape)

    return field(draw(), draw())


def test_size_and_reach_of_known_noise(noisy):
    """Else intervals of what is derived are too narrow."""
    found = noisy.subpix.statistics()
    for row in found.table.values():
        assert row["median"] == pytest.approx(0.5, abs=0.1)
        assert row["nmad"] == pytest.approx(np.hypot(0.3, 0.1), rel=0.15)
        assert np.hypot(row["nugget"], row["sill"]) == pytest.approx(0.31, rel=0.25)
        assert 100 < row["range"] < 600
    assert found.count == 220 * 260
    assert found.flagged == 0.0
    assert "error of the mean over 10 x 10 pixels" in repr(found)


def test_errors_of_means_hold(noisy):
    """Else a mean over an area is believed too much."""
    side = 20
    predicted = noisy.subpix.statistics().mean_error((side * 20.0) ** 2)
    for name in ("east", "north"):
        blocks = noisy[name].coarsen(y=side, x=side, boundary="trim").mean()
        assert predicted[name] == pytest.approx(float(blocks.std()), rel=0.4)


def test_the_ground_that_is_used(noisy, field):
    """Else what moved is counted as noise."""
    moved = noisy.copy(deep=True)
    moved["east"][:, :120] += 30.0
    stable = (moved.east < 15).drop_vars("spatial_ref")
    assert moved.subpix.statistics(stable=stable).table["east"]["nmad"] < 0.4
    line = [[5e5, 3.9e6], [5e5, 4.1e6]]
    near = moved.subpix.statistics(trace=line, buffer=2500.0)
    assert near.table["east"]["rms"] < 1.0
    with pytest.raises(DataError, match="too few"):
        moved.subpix.statistics(stable=stable & False)
    with pytest.raises(ModelError, match="belong together"):
        moved.subpix.statistics(trace=line)


def test_scikit_gstat_agrees(noisy):
    """Else the variogram is one of its own kind."""
    skgstat = pytest.importorskip("skgstat")
    found = noisy.subpix.statistics()
    rng = np.random.default_rng(1)
    at = rng.integers(0, noisy.east.size, 2000)
    rows, cols = np.unravel_index(at, noisy.east.shape)
    other = skgstat.Variogram(
        np.column_stack([cols, rows]) * 20.0, noisy.east.values.flat[at], model="exponential",
        estimator="dowd", use_nugget=True, maxlag=1500, n_lags=16,
    )  # fmt: skip
    _, sill, nugget = other.parameters
    row = found.table["east"]
    assert row["nugget"] ** 2 + row["sill"] ** 2 == pytest.approx(sill + nugget, rel=0.3)
