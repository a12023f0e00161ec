"""A measured field, and what it means that it came back from a file."""

import numpy as np
import pytest

import xsubpix


@pytest.fixture
def disp(pair, utm):
    """A measured field on a UTM grid, with times."""
    pre, post = (
        utm(image.values).assign_coords(time=np.datetime64(day, "ns"))
        for image, day in zip(pair, ("2020-01-31T10:30:00", "2020-02-16T10:30:00"), strict=True)
    )
    return xsubpix.correlate(pre, post, model="phase", window=16, step=4)


def _same_field(one, two, names):
    for name in names:
        np.testing.assert_allclose(one[name].values, two[name].values, rtol=1e-6, err_msg=name)
    a, b = (xsubpix.Grid.from_dataarray(d["east"]) for d in (one, two))
    a.check_same(b)


@pytest.fixture(scope="session")
def same_field():
    """``same_field(a, b, names)``: assert equal variables on the same grid."""
    return _same_field
