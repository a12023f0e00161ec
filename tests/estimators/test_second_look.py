"""Sigma and flags that results of any model have from the images."""

import dataclasses

import numpy as np
import pytest

from xsubpix.estimators import Estimate, Flag, create
from xsubpix.estimators.phase import Phase
from xsubpix.estimators.pyramid import CoarseToFine
from xsubpix.estimators.second_look import looks_again, second_look


@dataclasses.dataclass(frozen=True, kw_only=True)
class Still(Phase):
    """What says that nothing moved, and is certain."""

    judged = False
    least_sigma = "everywhere"


def looked_at(model, pre, post):
    side = model.tile * model.step + 2 * model.halo
    still = Estimate.missing((1, model.tile, model.tile)).mapped(np.zeros_like)
    return second_look(model, still, pre[None, :side, :side], post[None, :side, :side])


@pytest.mark.parametrize(("where", "least"), [("everywhere", 0.3), ("nowhere", 0.0)])
def test_a_sigma_that_is_too_small(scene, where, least, monkeypatch):
    """Smoothness carries a result into changed ground, and noise alone says nothing of it."""
    monkeypatch.setattr(Still, "least_sigma", where)
    model = Still(window=16, step=8)
    pre, post = scene((640, 640)), scene((640, 640), (0.5, 0.0))
    found = looked_at(model, pre, post).sigma
    assert (np.median(found) > least) == (where == "everywhere")
    assert looks_again(model) == (where == "everywhere")
    # A first guess changes nothing of it.
    assert CoarseToFine(fine=model, search=20).least_sigma == where


def test_holes_that_a_model_fills_in(scene, monkeypatch):
    """`micmac` was 0.2 px off among missing pixels at random, and said 0.01."""
    monkeypatch.setattr(Still, "least_sigma", "holes")
    model = Still(window=16, step=8)
    pre, post = scene((640, 640)), scene((640, 640), (0.5, 0.0))
    rows = model.halo + model.step * np.arange(model.tile) + model.step // 2
    pre[rows[20] : rows[20] + 3] = np.nan
    found = looked_at(model, pre, post).sigma[0]
    reach = model.support // model.step
    assert (found[20 - reach + 1 : 20 + reach] > 0.2).all()
    assert (found[: 20 - reach - 1] == 0).all()


def test_what_a_model_says_itself_stays(scene):
    """A sigma is made larger, never smaller, and no right value is flagged for it."""
    if pytest.importorskip("cv2"):
        model = create("dis", step=8)
    pre, post = scene((640, 640)), scene((640, 640), (0.2, 0.0))
    side = model.tile * model.step + 2 * model.halo
    sigma = np.full((1, model.tile, model.tile), 5.0, np.float32)
    still = dataclasses.replace(Estimate.missing(sigma.shape).mapped(np.zeros_like), sigma=sigma)
    found = second_look(model, still, pre[None, :side, :side], post[None, :side, :side])
    assert (found.sigma == 5.0).all()
    assert not (found.flags & Flag.OUT_OF_RANGE).any()


def test_ground_far_from_the_results_says_nothing_of_them(scene):
    """Networks have a context four times the tile: a city in it made farmland flat."""
    model = create("unet", tile_size=64, device="cpu")
    side = 2 * model.halo + model.tile
    pre, post = scene((side, side)), scene((side, side), (0.5, 0.0))
    near = slice(model.halo - 100, model.halo + model.tile + 100)
    # Flat in one image alone, were it not for the grain that everything else has.
    pre[near, near] *= 0.02
    alone = [np.full_like(image, np.nan) for image in (pre, post)]
    for image, part in zip((pre, post), alone, strict=True):
        part[near, near] = image[near, near]
    first, second = looked_at(model, pre, post), looked_at(model, *alone)
    np.testing.assert_array_equal(first.flags, second.flags)
    np.testing.assert_array_equal(first.sigma, second.sigma)
