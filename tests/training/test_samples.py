"""Samples: crops, symmetries and their signs, reproducible by number."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from scipy import ndimage

from xsubpix.errors import DataError
from xsubpix.training.samples import (
    Augmentation,
    Frame,
    Sample,
    draw_batch,
    draw_sample,
    symmetry,
)

PLAIN = Augmentation(shift=0, gamma=0, noise=0, invert=0, blur=0, missing=0)


class MovedFrames:
    """Frames moved by a smooth field that differs from place to place."""

    def __init__(self, side=120):
        self.side = side

    def __len__(self):
        return 5

    def draw(self, index, rng):
        noise = np.random.default_rng(index).normal(size=(self.side, self.side))
        pre = ndimage.gaussian_filter(noise, 2.0)
        rows, cols = np.indices(pre.shape)
        dx = 1.5 * np.sin(rows / 40) + 0.5
        dy = np.cos(cols / 50) - 0.3
        # Backward field that is good enough for a smooth displacement: post(x + d) = pre(x).
        u, v = dx, dy
        for _ in range(12):
            u = ndimage.map_coordinates(dx, (rows - v, cols - u), order=1, mode="nearest")
            v = ndimage.map_coordinates(dy, (rows - v, cols - u), order=1, mode="nearest")
        post = ndimage.map_coordinates(pre, (rows - v, cols - u), order=3, mode="nearest")
        return Frame(*(a.astype(np.float32) for a in (pre, post)), np.stack((dx, dy)).astype("f4"))


def residual(sample):
    """How badly post brought back along the flow fits pre, of pre's deviation."""
    pre, post, flow = sample
    rows, cols = np.indices(pre.shape)
    back = ndimage.map_coordinates(post, (rows + flow[1], cols + flow[0]), order=3)
    inner = (slice(8, -8), slice(8, -8))
    return float((back - pre)[inner].std() / pre[inner].std())


@pytest.mark.parametrize("turn", range(8))
def test_symmetries_keep_the_truth_true(turn):
    """A wrong sign of a flipped component teaches the network the wrong motion."""
    sample = MovedFrames().draw(0, np.random.default_rng(0))
    assert residual(symmetry(sample, turn)) < 0.02
    wrong = symmetry(sample, turn)
    assert residual(Sample(wrong.pre, wrong.post, -wrong.flow)) > 0.2


def test_symmetries_are_eight():
    """Two equal ones would leave an orientation unseen."""
    sample = MovedFrames().draw(1, np.random.default_rng(0))
    assert len({symmetry(sample, turn).pre.tobytes() for turn in range(8)}) == 8


@given(st.integers(0, 2**32))
def test_shifted_crops_keep_the_truth_true(number):
    """The offset between the two crops is part of the displacement."""
    rng = np.random.default_rng(number)
    augmentation = Augmentation(shift=4, gamma=0, noise=0, invert=0, blur=0, missing=0)
    assert residual(draw_sample(MovedFrames(), rng, 64, augmentation)) < 0.05


def test_a_number_is_a_sample():
    """Training could not go on where it stopped, nor be split over processes."""
    frames, augmentation = [MovedFrames(), MovedFrames(140)], Augmentation()
    whole = draw_batch(frames, [1, 2], range(10, 16), 3, 64, augmentation)
    parts = [draw_batch(frames, [1, 2], [k], 3, 64, augmentation) for k in range(10, 16)]
    for a, b in zip(whole, zip(*parts, strict=True), strict=True):
        np.testing.assert_array_equal(a, np.concatenate(b))
    other = draw_batch(frames, [1, 2], range(10, 16), 4, 64, augmentation)
    assert not np.array_equal(other.pre, whole.pre)


def test_small_frames_are_refused():
    """An index error deep in NumPy says nothing of the crop."""
    with pytest.raises(DataError, match="crop=128"):
        draw_sample(MovedFrames(120), np.random.default_rng(0), 128, PLAIN)
    with pytest.raises(DataError, match="noise"):
        Augmentation(noise=-1)
