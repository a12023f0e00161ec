"""Results of any model compared with the images once more: what they get from there."""

from __future__ import annotations

import dataclasses

import numpy as np

from ..networks.cards import UNMATCHED_SIGMA
from .base import Estimate, Estimator, Flag
from .doubt import doubts
from .image_sigma import sigma_from_images
from .likeness import fine_detail

__all__ = ["second_look"]


def second_look(
    estimator: Estimator, estimate: Estimate, pre: np.ndarray, post: np.ndarray
) -> Estimate:
    """Flags of what nothing in the images supports, and a sigma where the model has none.

    Parameters
    ----------
    estimator : Estimator
        What made the results: its attributes say what is looked at.
    estimate : Estimate
        Results, arrays of shape (n, tile, tile).
    pre, post : numpy.ndarray of float32
        Tiles of both images, shape (n, h, w), NaN for missing.

    Returns
    -------
    Estimate
        With the flags of :func:`~xsubpix.estimators.doubt.doubts`, and for models that state no
        sigma that of :func:`~xsubpix.estimators.image_sigma.sigma_from_images`: flagged
        ``out_of_range`` where it is above half a pixel, since nothing was found to match.

    Examples
    --------
    >>> from xsubpix.estimators import create
    >>> one, two = np.random.default_rng(0).normal(size=(2, 1, 168, 168)).astype("f4")
    >>> still = Estimate.missing((1, 8, 8)).mapped(np.zeros_like)
    >>> model = create("phase", window=32, step=8)
    >>> found = second_look(model, still, one[:, :128, :128], two[:, :128, :128])
    >>> bool((found.flags & Flag.NOT_CONVERGED != 0).all())
    True
    """
    tiles = zip(pre, post, estimate.dx, estimate.dy, estimate.sigma, strict=True)
    found = [_of_one_tile(estimator, *tile) for tile in tiles]
    sigma, flags = (np.stack(part) for part in zip(*found, strict=True))
    return dataclasses.replace(estimate, sigma=sigma, flags=estimate.flags | flags)


def _of_one_tile(
    estimator: Estimator,
    pre: np.ndarray,
    post: np.ndarray,
    dx: np.ndarray,
    dy: np.ndarray,
    sigma: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Sigma and further flags of the results of one tile."""
    halo, step, detail = estimator.halo, estimator.step, fine_detail(pre, post)
    flags = np.zeros(dx.shape, np.uint8)
    if not estimator.states_sigma:
        sigma = sigma_from_images(pre, post, dx, dy, halo=halo, step=step, detail=detail)
        flags[sigma > UNMATCHED_SIGMA] = Flag.OUT_OF_RANGE
    if estimator.judged:
        flags |= doubts(
            pre, post, dx, dy, halo=halo, step=step, detail=detail, search=_searched(estimator),
            patterns=not estimator.bears_patterns, reach=estimator.likeness_reach,
            support=estimator.support,
        )  # fmt: skip
    return sigma, flags


def _searched(estimator: Estimator) -> float | None:
    """Pixels within which a rival is one: what was asked for, or what the model derives.

    A default that is a number is the model's, and no knowledge of how far ground moved.
    """
    defaults = {f.name: f.default for f in dataclasses.fields(estimator)}
    search = getattr(estimator, "search", None)
    if search is not None and search == defaults.get("search"):
        return None
    return search or getattr(estimator, "reach", None)
