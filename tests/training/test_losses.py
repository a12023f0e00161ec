"""What training minimises."""

import numpy as np
import pytest
import torch

from xsubpix.networks.base import Flow
from xsubpix.training.losses import flow_loss, gain_error, near_jumps, pooled


def test_loss_at_the_truth_and_away():
    """Unknown pixels must not count, and scales must be compared with pooled truth."""
    target = torch.zeros(1, 2, 8, 8)
    target[:, 0] = 2.0
    target[:, :, :, 4:] = torch.nan
    right = [Flow(torch.full((1, 2, 4, 4), 0.0) + target[:, :, :4, :1], None, 2)]
    assert float(flow_loss(right, target).total) < 2e-3
    off = [Flow(torch.zeros(1, 2, 8, 8), None, 1)]
    assert float(flow_loss(off, target).epe) == pytest.approx(2.0, abs=1e-3)
    mean, known = pooled(target, 2)
    assert known[0, 0].tolist() == [[True, True, False, False]] * 4
    assert float(mean[0, 0, 0, 0]) == 2.0


def test_spread_is_fitted_without_moving_the_flow():
    """A network could lower its loss by calling hard places uncertain."""
    flow = torch.ones(1, 2, 4, 4, requires_grad=True)
    log_b = torch.zeros(1, 1, 4, 4, requires_grad=True)
    loss = flow_loss([Flow(flow, log_b, 1)], torch.zeros(1, 2, 4, 4), spread_weight=1.0)
    loss.spread.backward()
    assert flow.grad is None
    # d/dlog b of r / b + 2 log b vanishes at b = r / 2.
    best = torch.full((1, 1, 4, 4), float(np.log(np.sqrt(2) / 2)), requires_grad=True)
    flow_loss([Flow(flow, best, 1)], torch.zeros(1, 2, 4, 4)).spread.backward()
    assert float(best.grad.abs().max()) < 1e-3


def test_places_near_jumps_weigh_more():
    """Faults are few pixels, and would be smoothed for the sake of the rest."""
    target = torch.zeros(1, 2, 40, 40)
    target[:, 1, :, 20:] = 0.5
    near = near_jumps(target)
    assert near[0, 0, 5].tolist() == [1.0 if 11 <= k <= 27 else 0.0 for k in range(40)]
    far_wrong, near_wrong = target.clone(), target.clone()
    far_wrong[..., :2] += 1
    near_wrong[..., 20:22] += 1
    losses = [
        float(flow_loss([Flow(f, None, 1)], target, near_weight=4.0).total)
        for f in (far_wrong, near_wrong)
    ]
    assert losses[1] == pytest.approx(5 * losses[0], rel=0.05)


def step_of(offset, side=128):
    """A flow that jumps across the middle column."""
    flow = torch.zeros(1, 2, side, side)
    flow[:, 1] = torch.where(torch.arange(side) < side // 2 + 5, -offset / 2, offset / 2)
    return flow


@pytest.mark.parametrize("offset", [0.3, 3.0])
def test_gain_error_is_the_share_that_an_offset_lacks(offset):
    """Whoever makes offsets smaller, by noise or by habit, is to be told by how much."""
    truth = step_of(offset)
    known = torch.ones(1, 1, 128, 128, dtype=torch.bool)
    assert float(gain_error(truth, truth, known)) == 0
    assert float(gain_error(0.7 * truth, truth, known)) == pytest.approx(0.3, rel=0.12)
    assert float(gain_error(1.3 * truth, truth, known)) == pytest.approx(0.3, rel=0.12)
    # A shift of the whole is not its business, nor is what is unknown.
    assert float(gain_error(truth + 0.4, truth, known)) == pytest.approx(0, abs=1e-3)
    known[..., 100:] = False
    wrong = torch.where(known, truth, 50.0)
    wrong[..., 100:] += 9
    assert float(gain_error(wrong, torch.where(known, truth, torch.nan), known)) < 1e-4
    # Noise is as good as nothing over a square, and where nothing moves there is no gain.
    noise = 0.1 * torch.randn(truth.shape, generator=torch.Generator().manual_seed(0))
    assert float(gain_error(truth + noise, truth, known)) < 0.1 * 0.3 / offset
    assert float(gain_error(noise, torch.zeros_like(truth), known)) < 0.2


def test_gain_moves_a_flow_towards_its_truth():
    """A gradient of the wrong sign would make offsets vanish."""
    truth = step_of(1.0)
    flow = (0.5 * truth).requires_grad_()
    flow_loss([Flow(flow, None, 1)], truth, gain_weight=1.0).total.backward()
    assert float((flow.grad * truth).sum()) < 0
    far = flow_loss([Flow(0.5 * truth, None, 1)], truth, gain_weight=1.0).total
    assert float(far) > float(flow_loss([Flow(0.5 * truth, None, 1)], truth).total) + 0.4


def test_what_cannot_be_found_is_for_the_spread_alone():
    """Chasing displacements out of reach would ruin the flow; not knowing them is right."""
    target = torch.zeros(1, 2, 8, 8)
    target[:, 0, :, :4] = 30.0
    flow = torch.zeros(1, 2, 8, 8, requires_grad=True)
    log_b = torch.zeros(1, 1, 8, 8, requires_grad=True)
    loss = flow_loss([Flow(flow, log_b, 1)], target, near_weight=2.0, gain_weight=1.0)
    assert float(loss.epe.detach()) < 0.01
    loss.total.backward()
    assert float(flow.grad[..., :4].abs().max()) == 0
    assert (log_b.grad[..., :4] < 0).all()  # the spread is to grow there
    assert (log_b.grad[..., 4:] > 0).all()
