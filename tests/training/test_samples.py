"""Samples: crops, symmetries and their signs, reproducible by number."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from scipy import ndimage

from xsubpix.errors import DataError
from xsubpix.training.ruptures import Rupture, draw_rupture, put_rupture
from xsubpix.training.samples import (
    BEYOND,
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


@pytest.mark.parametrize("seed", range(6))
def test_ruptures_keep_the_truth_true(seed):
    """A wrong inverse or order of the two displacements teaches what is not in the images."""
    sample = MovedFrames(160).draw(0, np.random.default_rng(0))
    rupture = draw_rupture(np.random.default_rng(seed), 160)
    post, flow = put_rupture(sample.post, sample.flow, rupture)
    more = np.abs(flow - sample.flow).max()
    assert 0.02 < more < 2.1
    # Beside a sharp trace linear interpolation between both sides fits nothing.
    slopes = np.abs(np.gradient(flow, axis=(1, 2))).max((0, 1))
    calm = slopes < 0.1
    rows, cols = np.indices(post.shape)
    back = ndimage.map_coordinates(post, (rows + flow[1], cols + flow[0]), order=3)
    calm = ndimage.binary_erosion(calm, iterations=6)
    calm[:8] = calm[-8:] = calm[:, :8] = calm[:, -8:] = False
    assert calm.mean() > 0.3
    assert (back - sample.pre)[calm].std() < 0.03 * sample.pre.std()


def test_a_rupture_has_its_offset():
    """Offsets drawn and offsets seen must be the same ones."""
    rupture = Rupture(
        32, 32, strike=0.0, motion=0.0, wave=0.0, length=50.0, phase=0.0, offset=1.5,
        zone=0.0, decay=np.inf, centre=0.0, half=np.inf,
    )  # fmt: skip
    post, flow = put_rupture(np.ones((64, 64), np.float32), np.zeros((2, 64, 64), "f4"), rupture)
    np.testing.assert_allclose(flow[0, 40] - flow[0, 20], 1.5)
    np.testing.assert_allclose(flow[1], 0, atol=1e-6)
    np.testing.assert_allclose(post, 1, atol=1e-5)


def test_ruptures_are_drawn_only_when_asked_for():
    """Configurations of before would silently give other samples."""
    frames = MovedFrames(160)
    batches = [
        draw_batch([frames], [1.0], range(3), 7, 96, Augmentation(rupture=share))
        for share in (0.0, 0.0, 1.0)
    ]
    np.testing.assert_array_equal(batches[0].flow, batches[1].flow)
    assert np.abs(batches[2].flow - batches[0].flow).max() > 0.02


@pytest.mark.parametrize("number", range(8))
def test_unmatched_samples_are_beyond_reach(number):
    """Truth within reach would ask a network to find what it is to call unknown."""
    frames = MovedFrames(200)
    asked = Augmentation(shift=2, gamma=0, noise=0, invert=0, blur=0, missing=0, unmatched=1.0)
    sample = draw_sample(frames, np.random.default_rng(number), 96, asked)
    assert np.abs(sample.flow).max(0).min() > BEYOND
    assert sample.post.shape == (96, 96)
    # The truth stays the truth: where the ground of `pre` is in `post`, it is that far away.
    moved = np.round(np.median(sample.flow, axis=(1, 2))).astype(int)
    whole = moved.reshape(2, 1, 1).astype(np.float32)
    back = ndimage.shift(sample.post, -moved[::-1], order=0, cval=np.nan)
    overlap = tuple(slice(max(0, -m) + 8, 96 - max(0, m) - 8) for m in moved[::-1])
    part = Sample(
        sample.pre[overlap], back[overlap], (sample.flow - whole)[:, overlap[0], overlap[1]]
    )
    if min(part.pre.shape) > 24:
        assert residual(part) < 0.05


def test_frames_without_room_have_no_unmatched_samples():
    """Better a sample like any other than an endless search for a place."""
    one = draw_sample(
        MovedFrames(100), np.random.default_rng(0), 96, Augmentation(shift=2, unmatched=1.0)
    )
    assert np.abs(one.flow).max() < BEYOND
