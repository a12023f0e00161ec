"""Total variation and non-local means."""

import numpy as np
import pytest

from xsubpix.kernels.log_tv import log_tv
from xsubpix.kernels.non_local_means import non_local_means


@pytest.mark.parametrize(
    "smooth",
    [lambda f, s: log_tv(f, s, 1.0), lambda f, s: non_local_means(f, s, 5, 1.0)],
    ids=["log_tv", "non_local_means"],
)
def test_a_jump_stays_and_noise_goes(rng, smooth):
    """Else the offset of a fault is smoothed away with the noise."""
    truth = np.zeros((2, 40, 40))
    truth[:, :, 20:] = [[[2.0]], [[-1.0]]]
    field = truth + rng.normal(0, 0.2, truth.shape)
    field[:, 5:8, 5:8] = np.nan
    found = smooth(field, np.full((40, 40), 0.2))
    assert np.isnan(found[:, 5:8, 5:8]).all()
    known = np.isfinite(found)
    assert np.std((found - truth)[known]) < 0.1
    jump = np.nanmean(found[0, :, 21]) - np.nanmean(found[0, :, 18])
    assert jump == pytest.approx(2.0, abs=0.15)
