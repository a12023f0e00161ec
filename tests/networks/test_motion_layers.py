"""Layers beside large steps: each side's flow, and which pixels move with it."""

import numpy as np
import torch
from scipy import ndimage
from tests.textures import tensor, texture

import xsubpix.networks.motion_layers as layers_of
from xsubpix.networks.motion_layers import separate_layers
from xsubpix.networks.warping import spline_coefficients, spline_filters


def coefficients(image: np.ndarray) -> torch.Tensor:
    return spline_coefficients(tensor(image), spline_filters())


def test_layers_sharpen_a_ramp():
    """What is left of a rupture's sharpness by coarse levels is a ramp, which no step mends."""
    image = texture(96, 96)
    moved, truth = image.copy(), np.zeros((2, 96, 96), np.float32)
    moved[:48], moved[48:] = np.roll(image[:48], 6, 1), np.roll(image[48:], -6, 1)
    truth[0, :48], truth[0, 48:] = 6, -6
    ramp = ndimage.uniform_filter1d(truth, 24, axis=1)
    chosen = separate_layers(tensor(image), coefficients(moved), torch.from_numpy(ramp)[None], 24)
    before, after = (
        np.abs(f[0] - truth[0])[32:64, 20:-20].mean() for f in (ramp, chosen[0].numpy())
    )
    assert before > 2
    assert float(after) < 0.15 * before


def test_ground_that_shears_is_left():
    """A glacier's margin is a ramp: a step would be made of what is none."""
    rows = np.indices((96, 96))[0].astype(np.float32)
    dx = 6 * np.tanh((rows - 48) / 16).astype(np.float32)
    image = texture(96, 120)
    moved = np.stack(
        [np.interp(np.arange(120) - dx[k, 0], np.arange(120), image[k]) for k in range(96)]
    ).astype(np.float32)
    flow = torch.from_numpy(np.stack((dx, 0 * dx)))[None]
    wide = torch.nn.functional.pad(flow, (12, 12, 0, 0), mode="replicate")
    chosen = separate_layers(tensor(image), coefficients(moved), wide, 24)
    changed = ((chosen - wide).abs() > 0.1).any(1)[0, :, 20:-20]
    assert float(changed.float().mean()) < 0.02


def test_without_steps_it_is_the_flow_itself():
    """Elsewhere than at large ruptures nothing may change, not even the last digit."""
    image = texture(64, 64)
    flow = torch.from_numpy(ndimage.gaussian_filter(texture(64, 64, 3), 6))[None, None]
    flow = flow.expand(1, 2, 64, 64).contiguous()
    assert separate_layers(tensor(image), coefficients(image), flow, 24) is flow


def sheared(height: int, width: int, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Image, the same where its upper half has moved to one side, the lower to the other; flow."""
    image = texture(height, width, 4)
    moved, truth = image.copy(), np.zeros((2, height, width), np.float32)
    half = height // 2
    moved[:half], moved[half:] = np.roll(image[:half], n, 1), np.roll(image[half:], -n, 1)
    truth[0, :half], truth[0, half:] = n, -n
    return image, moved, truth


def test_layers_follow_their_own_pixels():
    """Both sides are found too small by windows that see both: each must get its own back."""
    image, moved, truth = sheared(128, 192, 8)
    # Each side is 2 px short over a band of 30 px, as after windows of 48 px.
    distance = np.abs(np.indices((128, 192))[0] - 63.5)
    short = truth * np.where(distance < 30, 0.75, 1).astype(np.float32)
    ramp = ndimage.uniform_filter1d(short, 17, axis=1)
    found = separate_layers(tensor(image), coefficients(moved), torch.from_numpy(ramp)[None], 24)
    error = np.abs(found[0, 0].numpy() - truth[0])[40:88, 24:-24]
    assert np.abs(ramp[0] - truth[0])[40:88, 24:-24].mean() > 2.5
    assert error.mean() < 0.6
    assert np.median(error) < 0.4


def test_a_step_says_nothing_of_ground_far_away():
    """What is cut out around steps must not change with what else lies in the image."""
    image, moved, truth = sheared(128, 256, 6)
    ramp = ndimage.uniform_filter1d(truth, 16, axis=1)
    whole = separate_layers(tensor(image), coefficients(moved), torch.from_numpy(ramp)[None], 24)
    part = np.s_[..., 64:]
    fewer = separate_layers(
        tensor(image[part]),
        coefficients(moved[part]),
        torch.from_numpy(ramp[part].copy())[None],
        24,
    )
    torch.testing.assert_close(whole[..., 160:], fewer[..., 96:], atol=0.01, rtol=0)
    assert torch.equal(whole[0, :, 0], torch.from_numpy(ramp)[:, 0])


def test_the_cut_changes_nothing(monkeypatch):
    """Only what lies around steps is computed: it must be what the whole image would give."""
    image, moved, truth = sheared(256, 160, 6)
    ramp = torch.from_numpy(ndimage.uniform_filter1d(truth, 16, axis=1))[None]
    cut = separate_layers(tensor(image), coefficients(moved), ramp, 24)
    monkeypatch.setattr(layers_of, "_MARGIN", 10_000)
    whole = separate_layers(tensor(image), coefficients(moved), ramp, 24)
    torch.testing.assert_close(cut, whole, atol=0.01, rtol=0)


def test_batches_are_measured_one_by_one():
    """In training, the samples of a batch have their steps in different places."""
    pairs = [sheared(96, 128, n) for n in (6, 0)]
    images = torch.cat([tensor(image) for image, _, _ in pairs])
    source = torch.cat([coefficients(moved) for _, moved, _ in pairs])
    flow = torch.stack(
        [torch.from_numpy(ndimage.uniform_filter1d(truth, 16, axis=1)) for _, _, truth in pairs]
    )
    both = separate_layers(images, source, flow, 24)
    alone = separate_layers(images[:1], source[:1], flow[:1], 24)
    torch.testing.assert_close(both[:1], alone, atol=1e-4, rtol=0)
    assert torch.equal(both[1], flow[1])
