"""Flows that pixels are offered: of the correlation volume, and of neighbours."""

import numpy as np
import pytest
import torch
from scipy import ndimage
from tests.textures import tensor, texture

from xsubpix.networks.candidates import mismatch, neighbouring_flows
from xsubpix.networks.first_flow import first_flow
from xsubpix.networks.normalise import gradient_direction


@pytest.mark.parametrize(("dx", "dy"), [(0, 0), (5, -3), (-8, 8), (1, 0)])
def test_first_flow_finds_a_shift(dx, dy):
    """Without it, displacements beyond what a level of the network corrects are lost."""
    image = texture(128, 160)
    moved = np.roll(image, (dy, dx), (0, 1))
    flow = first_flow(tensor(image), tensor(moved), 8)
    assert flow.shape == (1, 2, 32, 40)
    inner = flow[0, :, 4:-4, 4:-4]
    assert float((inner[0] - dx).abs().max()) < 0.6
    assert float((inner[1] - dy).abs().max()) < 0.6


def test_first_flow_keeps_sides_apart():
    """A mean over both sides of a rupture would be the flow of neither."""
    image = texture(192, 192)
    moved = image.copy()
    moved[:96], moved[96:] = np.roll(image[:96], 6, 1), np.roll(image[96:], -6, 1)
    flow = first_flow(tensor(image), tensor(moved), 8)[0, 0, :, 4:-4]
    assert float((flow[:22] - 6).abs().max()) < 0.6
    assert float((flow[26:] + 6).abs().max()) < 0.6


def test_first_flow_of_nothing_is_none():
    """Where images hold nothing, a displacement made of nothing would mislead every level."""
    empty = torch.zeros(1, 1, 40, 40)
    assert float(first_flow(empty, empty, 8).abs().max()) < 1e-5
    changed = first_flow(tensor(texture(64, 64, 1)), empty[..., :1, :1].expand(1, 1, 64, 64), 8)
    assert float(changed.abs().max()) < 1e-5


def test_first_flow_in_noise_is_mostly_small():
    """Other ground at the second date has no peak: neighbours then decide, not chance."""
    image = texture(192, 192)
    noisy = np.roll(image, 4, 1) + 1.2 * texture(192, 192, 5)
    flow = first_flow(tensor(image), tensor(noisy), 8)[0, :, 4:-4, 4:-4]
    assert float(((flow[0] - 4).abs() > 1).float().mean()) < 0.02


def test_first_flow_does_not_mind_another_sun():
    """Grey values turn around where slopes look away from the sun; the directions of edges,
    their sign apart, do so only in part: the windows must find the shift all the same."""
    image = texture(192, 192)
    lit = ndimage.gaussian_filter(np.random.default_rng(3).standard_normal((192, 192)), 12)
    other = np.roll(image, 4, 1) * np.exp(30 * lit).clip(0.1, 10) + 0.5 * texture(192, 192, 7)
    flow = first_flow(tensor(image), tensor(other), 8)[0, :, 4:-4, 4:-4]
    assert float(((flow[0] - 4).abs() > 1).float().mean()) < 0.02


def test_mismatch_tells_which_flow_is_right():
    """The U-Net chooses between neighbours' flows by it."""
    image, other = tensor(texture(48, 48)), tensor(texture(48, 48, 3))

    def seen(part: torch.Tensor) -> torch.Tensor:
        return torch.cat((part, gradient_direction(part)), 1)

    assert float(mismatch(seen(image), seen(image)).abs().max()) == 0
    right = mismatch(seen(image), seen(image + 0.3 * other))
    wrong = mismatch(seen(image), seen(other))
    assert float((wrong > right).float().mean()) > 0.99


def test_neighbouring_flows_are_those_of_both_sides():
    """Each pixel beside a step is offered the flow beyond it."""
    flow = torch.zeros(1, 2, 64, 64)
    flow[:, 0, :, 32:] = 5.0
    most, least = neighbouring_flows(flow)
    assert float(most[0, 0, 30, 28]) == 5
    assert float(least[0, 0, 30, 35]) == 0
    assert float(most[0, 0, 30, 4]) == 0
