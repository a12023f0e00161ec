"""Vertices of parabolas."""

import numpy as np
import pytest

from xsubpix.kernels.vertices import vertex_height, vertex_offset


def samples(offset, height=2.0, bend=3.0):
    """A parabola with its vertex at `offset`, at -1, 0 and 1."""
    return [height - bend * (x - np.asarray(offset)) ** 2 for x in (-1, 0, 1)]


def test_a_parabola_is_found_exactly():
    """Else peaks are pulled toward whole samples."""
    offset = np.linspace(-0.5, 0.5, 11)
    before, peak, after = samples(offset)
    np.testing.assert_allclose(vertex_offset(before, peak, after), offset, atol=1e-12)
    np.testing.assert_allclose(peak + vertex_height(before, peak, after), 2.0, atol=1e-12)


def test_it_stays_within_half_a_sample():
    """Else a sample that is no peak throws the vertex far away."""
    before, peak, after = samples(np.array([0.9, -3.0]))
    np.testing.assert_array_equal(vertex_offset(before, peak, after), [0.5, -0.5])
    hollow = vertex_offset(*(np.array([v]) for v in (1.0, 0.0, 2.0)))
    np.testing.assert_array_equal(hollow, 0.5)
    flat = np.zeros(2, np.float32)
    np.testing.assert_array_equal(vertex_offset(flat, flat, flat), 0.0)


def test_torch_gives_the_numbers_of_numpy():
    """Else correlators and products disagree about a peak."""
    torch = pytest.importorskip("torch")
    values = [np.asarray(v, "f4") for v in samples([-0.3, 0.2, 0.7])]
    found = vertex_offset(*(torch.tensor(v) for v in values))
    np.testing.assert_array_equal(found.numpy(), vertex_offset(*values))
