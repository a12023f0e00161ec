"""Results of any model compared with the images once more: what they get from there."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import scipy.ndimage

from .base import Estimate, Estimator, Flag
from .doubt import doubts
from .image_sigma import sigma_from_images
from .likeness import Detail, fine_detail

__all__ = ["looks_again", "second_look"]

# A sigma from the images above this says that nothing was matched, pixels. It is coarser than
# that of a network, which has a limit of its own.
_UNMATCHED_SIGMA = 0.5
# Ground around outputs that comparisons see, and what they call usual, beside where it went,
# pixels: the 64 that blocks reach over, and as much again as half of a block; or what lies
# around the windows of large ones.
_AROUND, _AROUND_WINDOWS = 96, 32


def looks_again(estimator: Estimator) -> bool:
    """True if results of an estimator are compared with the images once more.

    Examples
    --------
    >>> from xsubpix.estimators import create
    >>> looks_again(create("phase"))
    True
    """
    sigma = not estimator.states_sigma or estimator.least_sigma != "nowhere"
    return sigma or estimator.judged


def second_look(
    estimator: Estimator, estimate: Estimate, pre: np.ndarray, post: np.ndarray
) -> Estimate:
    """Flags of what nothing in the images supports, and the sigma that they tell.

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
        ``out_of_range`` where it is above half a pixel, since nothing was found to match. The
        sigma of others is not below it where :attr:`Estimator.least_sigma` says so.

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
    # The context of networks is four times the tile, and nothing here depends on it.
    farthest = np.fmax(np.abs(dx), np.abs(dy)).max(initial=0.0, where=np.isfinite(dx + dy))
    around = max(_AROUND, estimator.support + _AROUND_WINDOWS)
    cut = max(0, estimator.halo - around - math.ceil(farthest))
    pre, post = (image[cut : len(image) - cut, cut : len(image) - cut] for image in (pre, post))
    halo, step, detail = estimator.halo - cut, estimator.step, fine_detail(pre, post)
    flags = np.zeros(dx.shape, np.uint8)
    near = _least_sigma_counts(estimator, detail, halo, dx.shape)
    if not estimator.states_sigma or near.any():
        from_images = sigma_from_images(pre, post, dx, dy, halo=halo, step=step, detail=detail)
        if estimator.states_sigma:
            sigma = np.where(near, np.fmax(sigma, from_images), sigma)
        else:
            sigma = from_images
            flags[sigma > _UNMATCHED_SIGMA] = Flag.OUT_OF_RANGE
    if estimator.judged:
        flags |= doubts(
            pre, post, dx, dy, halo=halo, step=step, detail=detail, search=_searched(estimator),
            patterns=not estimator.bears_patterns, reach=estimator.likeness_reach,
            support=estimator.support,
        )  # fmt: skip
    return sigma, flags


def _least_sigma_counts(
    estimator: Estimator, detail: Detail, halo: int, shape: tuple[int, ...]
) -> np.ndarray:
    """Outputs whose sigma is not below what the images say."""
    if estimator.least_sigma != "holes":
        return np.full(shape, estimator.least_sigma == "everywhere")
    both = detail[0][1] & detail[1][1]
    at = halo + estimator.step * np.arange(shape[0]) + estimator.step // 2
    whole = scipy.ndimage.minimum_filter(both, 2 * estimator.support + 1, mode="nearest")
    return ~whole[np.ix_(at, at)]


def _searched(estimator: Estimator) -> float | None:
    """Pixels within which a rival is one: what was asked for, or what the model derives.

    A default that is a number is the model's, and no knowledge of how far ground moved.
    """
    defaults = {f.name: f.default for f in dataclasses.fields(estimator)}
    search = getattr(estimator, "search", None)
    if search is not None and search == defaults.get("search"):
        return None
    return search or getattr(estimator, "reach", None)
