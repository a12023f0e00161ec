"""Both sides of a step of the displacement: what each is measured with, and who gets which.

A first guess that is interpolated between nodes stretches the ground beside a fault. Either
side has nodes of its own in the neighbourhood: the smallest and the largest guess around a
place go on beyond the fault as if the other side moved along, and what is measured with one of
them is right on one side. The images say where: brought back by the right result, `post` looks
like `pre`. Single pixels are often led by noise, so the choice is made for all of them together,
and each change from a pixel to the next has its price.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..kernels.local_correlation import LocalMean

__all__ = ["beside_changes", "cheapest_labels", "likeness", "smallest_and_largest"]

# Nodes to each side among whose guesses the extreme ones are looked for, and which of them
# counts as extreme, as a share: single nodes may be wrong.
_REACH, _EXTREME = 3, 0.12
# Side of the windows whose correlation judges, pixels: larger ones see both sides of a fault.
_WINDOW = 7
# Steps (rows, columns) of the lines along which labels are compared.
_LINES = ((1, 0), (1, 1), (1, -1), (0, 1))


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


def likeness(pre: np.ndarray, post: np.ndarray, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
    """Correlation of `pre` with `post` brought back, in windows of 7 pixels.

    Parameters
    ----------
    pre : numpy.ndarray
        Shape (h, w); NaN is missing.
    post : numpy.ndarray
        Image to bring back, any shape; NaN is missing.
    rows, cols : numpy.ndarray
        Where the pixels of `pre` went in `post`, shape (h, w); NaN where that is not known.

    Returns
    -------
    numpy.ndarray of float32
        Shape (h, w), 0 to 1; 0 where an image has no contrast or is missing.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.random.default_rng(0).normal(size=(20, 20))
    >>> rows, cols = np.indices((20, 20), dtype=float)
    >>> [bool(likeness(image, image, rows, cols + n)[10, 8] > 0.5) for n in (0, 5)]
    [True, False]
    """
    data = np.isfinite(post)
    flat = np.where(data, post, post[data].mean() if data.any() else 0.0)
    at = [np.nan_to_num(i, nan=-9.0) for i in (rows, cols)]
    back = ndimage.map_coordinates(flat, at, output=np.float64, order=1, mode="nearest")
    known = np.isfinite(pre) & np.isfinite(rows) & np.isfinite(cols)
    if not known.any():
        return np.zeros(pre.shape, np.float32)
    one, two = (np.where(known, i - i[known].mean(), 0.0) for i in (pre, back))
    moments = LocalMean(known, _WINDOW).moments(one.astype(np.float64), two)
    product = moments.variance_a * moments.variance_b
    faint = 1e-12 * (float(np.var(one)) * float(np.var(two)) + 1e-300)
    rho = moments.covariance / np.sqrt(np.maximum(product, faint))
    found: np.ndarray = np.where((product > faint) & known, np.clip(rho, 0.0, 1.0), 0.0)
    return found.astype(np.float32)


def cheapest_labels(costs: np.ndarray, change: float) -> np.ndarray:
    """Return the label of each pixel that is cheapest with those of its neighbours.

    Dynamic programming along lines in eight directions, in which the cost of a path is that of
    its labels and `change` for each place at which they change (Potts 1952); the costs of the
    best paths through each label are summed (Hirschmueller 2008).

    Parameters
    ----------
    costs : numpy.ndarray of float32
        Shape (labels, h, w).
    change : float
        Price of a change, in the unit of `costs`.

    Returns
    -------
    numpy.ndarray of int
        Shape (h, w).

    References
    ----------
    Potts, R. B. (1952). Some generalized order-disorder transformations. Mathematical
    Proceedings of the Cambridge Philosophical Society 48, 106-109. Hirschmueller, H. (2008).
    Stereo processing by semiglobal matching and mutual information. IEEE Transactions on
    Pattern Analysis and Machine Intelligence 30, 328-341.

    Examples
    --------
    >>> import numpy as np
    >>> costs = np.zeros((2, 5, 5), np.float32)
    >>> costs[1], costs[0, 2, 2] = 0.5, 1.0
    >>> int(cheapest_labels(costs, 0.0).sum()), int(cheapest_labels(costs, 0.5).sum())
    (1, 0)
    """
    total = np.zeros_like(costs)
    for down, right in _LINES:
        # Lines advance row by row; those along rows column by column.
        turned = down == 0
        volume = costs.transpose(0, 2, 1) if turned else costs
        out = total.transpose(0, 2, 1) if turned else total
        shift = 0 if turned else right
        for sense in (1, -1):
            out += _paths(volume[:, ::sense], shift * sense, change)[:, ::sense]
    return total.argmin(0)


def _paths(costs: np.ndarray, shift: int, change: float) -> np.ndarray:
    """Costs of the best paths that come from the row above, `shift` columns to the left."""
    path = costs.astype(np.float32, copy=True)
    for row in range(1, costs.shape[1]):
        before = path[:, row - 1]
        arrival = np.minimum(before - before.min(0), change)
        if shift == 0:
            path[:, row] += arrival
        elif shift > 0:
            path[:, row, shift:] += arrival[:, :-shift]
        else:
            path[:, row, :shift] += arrival[:, -shift:]
    return path


def beside_changes(labels: np.ndarray, reach: int) -> np.ndarray:
    """Pixels that have another label within `reach` pixels, shape (h, w).

    Examples
    --------
    >>> import numpy as np
    >>> beside_changes(np.array([[0, 0, 0, 1, 1]]), 1).tolist()
    [[False, False, True, True, False]]
    """
    side = 2 * reach + 1
    high, low = (f(labels, side) for f in (ndimage.maximum_filter, ndimage.minimum_filter))
    return np.asarray(high != low)
