"""The mean of what moves alike: noise leaves, the ground stays."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from xsubpix.networks.edge_avoiding import REACH, edge_avoiding_mean

SIDE = 2 * REACH + 40
INNER = (..., slice(REACH, -REACH), slice(REACH, -REACH))


def noise(spread, seed=0):
    return spread * torch.randn(1, 2, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))


def mean(flow, spread, valid=None):
    spread = torch.as_tensor(spread).expand(1, 1, SIDE, SIDE)
    return edge_avoiding_mean(
        flow, spread.log(), torch.ones_like(spread) if valid is None else valid
    )


def test_noise_leaves_still_ground():
    """Else second dates leave their noise in a field."""
    flow = noise(0.05)
    assert mean(flow, 0.05)[INNER].std() < 0.2 * flow.std()


@pytest.mark.parametrize("dim", [2, 3])
def test_a_step_stays(dim):
    """Else offsets at a rupture come out too small, by what noise would hide."""
    step = torch.zeros(1, 2, SIDE, SIDE)
    step.narrow(dim, SIDE // 2, SIDE - SIDE // 2).fill_(1.0)
    wrong = noise(0.03)
    left = (mean(step + wrong, 0.03) - step)[INNER]
    assert left.abs().mean() < 0.3 * wrong.abs().mean()
    assert left.abs().max() < wrong.abs().max()


def test_a_small_step_in_smooth_noise():
    """Else offsets of three sigma, which can be measured, are smeared as noise is."""
    wrong = F.avg_pool2d(noise(1.0), 9, 1, 4)
    wrong *= 0.05 / wrong.std()
    step = torch.zeros(1, 2, SIDE, SIDE)
    step[..., SIDE // 2 :] = 3 * 0.05
    found = (mean(wrong + step, 0.05) - mean(wrong, 0.05))[INNER].mean((0, 1, 2)) / step.max()
    assert found[found.numel() // 2 - 2] < 0.1
    assert found[found.numel() // 2 + 1] > 0.9


@settings(max_examples=10, deadline=None)
@given(slope=st.floats(-0.05, 0.05), spread=st.floats(0.005, 0.2))
def test_a_slope_stays(slope, spread):
    """Else strained ground is bent: far neighbours on both sides have the same say."""
    ramp = slope * torch.arange(SIDE, dtype=torch.float32).expand(1, 2, SIDE, SIDE)
    assert (mean(ramp, spread) - ramp)[INNER].abs().max() < 1e-3 * max(spread, abs(slope))


def test_what_differs_by_more_than_noise_stays():
    """Else ground that waves is flattened: a wave of many spreads keeps its size."""
    wave = 0.5 * torch.cos(torch.arange(SIDE) * (2 * torch.pi / 16)).expand(1, 2, SIDE, SIDE)
    found = mean(wave, 0.005)[INNER]
    assert (found * wave[INNER]).sum() / wave[INNER].square().sum() > 0.97


def test_missing_pixels_have_no_say():
    """Else what a network makes of missing ground leaks out of it."""
    flow, valid = torch.zeros(1, 2, SIDE, SIDE), torch.ones(1, 1, SIDE, SIDE)
    flow[..., 80:100, 80:100], valid[..., 80:100, 80:100] = 0.05, 0.0
    found = mean(flow, 0.05, valid)
    assert torch.equal(found[..., :80, :], torch.zeros_like(found[..., :80, :]))
    assert torch.isfinite(mean(flow, 0.05, torch.zeros_like(valid))).all()


def test_who_is_surer_counts_for_more():
    """Else a patch that matches badly spoils the ground around it."""
    flow, spread = torch.zeros(1, 2, SIDE, SIDE), torch.full((1, 1, SIDE, SIDE), 0.02)
    flow[..., 80:84, 80:84], spread[..., 80:84, 80:84] = 0.15, 0.5
    found = mean(flow, spread)
    assert found[..., 70:79, 70:79].abs().max() < 1e-3
    assert found[..., 80:84, 80:84].abs().max() < 0.03


def test_sides_of_a_large_step_stay_apart():
    """Else the ground beside a rupture of many pixels is a mean of both of its sides."""
    step, spread = torch.zeros(1, 2, SIDE, SIDE), torch.full((1, 1, SIDE, SIDE), 0.02)
    step[..., SIDE // 2 :] = 1.0
    spread[..., SIDE // 2 - 8 : SIDE // 2 + 8] = 1.0
    assert (mean(step, spread) - step).abs().max() < 0.01


def test_small_fields():
    """Else a tile of a few pixels fails."""
    flow = torch.ones(1, 2, 1, 3)
    assert torch.allclose(
        edge_avoiding_mean(flow, torch.zeros(1, 1, 1, 3), torch.ones(1, 1, 1, 3)), flow
    )
