"""Ground that second dates are made of."""

from collections.abc import Callable

import numpy as np
import pytest
import scipy.ndimage


def make_fields(shape=(192, 192), bands=6, seed=0) -> np.ndarray:
    """Parcels of several covers with texture, seen by detectors that weigh them differently."""
    rng = np.random.default_rng(seed)
    seeds = rng.normal(size=(24, *shape))
    cover = scipy.ndimage.gaussian_filter(seeds, (0, 9, 9)).argmax(axis=0)
    texture = scipy.ndimage.gaussian_filter(rng.normal(size=shape), 1.2)
    texture /= texture.std()
    levels = rng.uniform(20, 120, (bands, 24))
    strength = rng.uniform(-8, 8, (bands, 24))
    image = levels[:, cover] + strength[:, cover] * texture
    image = scipy.ndimage.gaussian_filter(image, (0, 0.5, 0.5))
    return (image + rng.normal(0, 0.7, image.shape)).astype(np.float32)


@pytest.fixture(scope="session")
def fields() -> Callable[..., np.ndarray]:
    """See :func:`make_fields`."""
    return make_fields
