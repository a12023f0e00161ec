"""Both sides of a step of the displacement: what each is measured with, and which pixel is whose.

A first guess that is interpolated between nodes stretches the ground beside a fault. Either
side has nodes of its own in the neighbourhood: the smallest and the largest guess around a
place go on beyond the fault as if the other side moved along, and what is matched with one of
them is right on one side. Once the guess is known everywhere, the images say where it jumps.
"""

from __future__ import annotations

import functools

import numpy as np
import torch
from scipy import ndimage

from ..networks.motion_layers import separate_layers
from ..networks.normalise import normalise
from ..networks.warping import spline_coefficients, spline_filters

__all__ = ["beside_jumps", "sharpened", "smallest_and_largest"]

# Nodes to each side among whose guesses the extreme ones are looked for, and which of them
# counts as extreme, as a share: single nodes may be wrong.
_REACH, _EXTREME = 3, 0.12
# Distance within which a side's guess is looked for, pixels: beyond what windows of 48 px smear;
# and how often it is improved.
_RADIUS, _TIMES = 36, 6


def smallest_and_largest(dx: np.ndarray, dy: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the smallest and the largest guess in the neighbourhood of each node.

    Guesses are ordered along the direction in which they vary most over the tile.

    Parameters
    ----------
    dx, dy : numpy.ndarray
        Guesses at nodes, shape (n, m), pixels.

    Returns
    -------
    list of (numpy.ndarray, numpy.ndarray)
        Two guesses (dx, dy), shape (n, m).

    Examples
    --------
    >>> import numpy as np
    >>> dx = np.repeat([[0.0] * 4 + [9.0] * 4], 8, axis=0)
    >>> small, large = smallest_and_largest(dx, np.zeros((8, 8)))
    >>> [float(small[0][4, k]) for k in (3, 5, 7)], float(large[0][4, 2])
    ([0.0, 0.0, 9.0], 9.0)
    """
    _, axes = np.linalg.eigh(np.cov(np.stack((dx.ravel(), dy.ravel()))))
    side = 2 * _REACH + 1
    near = [
        np.lib.stride_tricks.sliding_window_view(
            np.pad(field, _REACH, mode="edge"), (side, side)
        ).reshape(*field.shape, side * side)
        for field in (dx, dy)
    ]
    order = np.argsort(near[0] * axes[0, 1] + near[1] * axes[1, 1], axis=-1, kind="stable")
    first = int(_EXTREME * side * side)
    found = []
    for index in (first, side * side - 1 - first):
        at = order[..., index, None]
        small, large = (np.take_along_axis(field, at, -1)[..., 0] for field in near)
        found.append((small, large))
    return found


def sharpened(
    pre: np.ndarray, post: np.ndarray, dx: np.ndarray, dy: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return a guess that jumps where the images say, rather than ramps from side to side.

    Parameters
    ----------
    pre, post : numpy.ndarray
        Shape (h, w); NaN is missing.
    dx, dy : numpy.ndarray of float32
        Guess at every pixel of `pre`, shape (h, w), pixels.

    Returns
    -------
    dx, dy : numpy.ndarray of float32
        Shape (h, w), pixels; as they were but within some tens of pixels of steps of more than
        3 px (:func:`xsubpix.networks.motion_layers.separate_layers`).

    Examples
    --------
    >>> import numpy as np
    >>> from scipy import ndimage
    >>> image = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(96, 96)), 1)
    >>> image = image.astype("f4")
    >>> truth = np.where(np.arange(96)[:, None] < 48, 5, -5) + np.zeros((96, 96))
    >>> post = np.where(truth > 0, np.roll(image, 5, 1), np.roll(image, -5, 1))
    >>> ramp = ndimage.uniform_filter1d(truth, 32, axis=0).astype("f4")
    >>> dx, dy = sharpened(image, post, ramp, 0 * ramp)
    >>> [bool(np.abs(f - truth)[30:66, 12:-12].mean() < 0.5) for f in (ramp, dx)]
    [False, True]
    """
    one, two, flow = (
        torch.from_numpy(np.ascontiguousarray(part, np.float32))[None]
        for part in (pre, post, np.stack((dx, dy)))
    )
    with torch.inference_mode():
        source = spline_coefficients(normalise(two)[0], _filters())
        flow = separate_layers(normalise(one)[0], source, flow, _RADIUS, _TIMES)
    x, y = flow[0].numpy()
    return x, y


@functools.cache
def _filters() -> torch.Tensor:
    with torch.inference_mode(False):
        return spline_filters()


def beside_jumps(
    before: tuple[np.ndarray, np.ndarray],
    after: tuple[np.ndarray, np.ndarray],
    reach: int,
    least: float,
) -> np.ndarray:
    """Pixels within `reach` of which a guess jumps that did not before, shape (h, w).

    Parameters
    ----------
    before, after : tuple of numpy.ndarray
        Guess (dx, dy) as a ramp and :func:`sharpened`, shape (h, w) each, pixels.
    reach : int
        Pixels to either side.
    least : float
        Least difference that the guess has there beyond what it had as a ramp, pixels: ground
        that shears over many pixels has no jump.

    Examples
    --------
    >>> import numpy as np
    >>> ramp = np.array([[0.0, 1.0, 2.0, 3.0, 4.0]])
    >>> jump = np.array([[0.0, 0.0, 0.0, 4.0, 4.0]])
    >>> beside_jumps((ramp, 0 * ramp), (jump, 0 * ramp), 1, 1.0).tolist()
    [[False, False, True, True, False]]
    >>> bool(beside_jumps((ramp, ramp), (ramp, ramp), 1, 1.0).any())
    False
    """
    side = 2 * reach + 1

    def span(part: np.ndarray) -> np.ndarray:
        smallest = ndimage.minimum_filter(part, side, mode="nearest")
        return np.asarray(ndimage.maximum_filter(part, side, mode="nearest") - smallest)

    jumps = [span(a) - span(b) for a, b in zip(after, before, strict=True)]
    return np.asarray(np.maximum(*jumps) > least)
