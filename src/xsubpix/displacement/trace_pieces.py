"""Pieces of a trace, oriented alike and put into the order in which they are walked."""

from __future__ import annotations

import itertools
import warnings

import numpy as np

from ..errors import SubpixWarning

__all__ = ["walked_in_order"]

# Cosine of the angle between two neighbouring pieces below which neither way is the same way.
_CROSSWISE = 0.17
# Points by which a piece is known to its neighbours, and its share that makes a direction.
_POINTS, _STRETCH = 32, 0.1
# Pieces that are compared with each other: a quarter of a minute.
_MOST = 500


def walked_in_order(pieces: list[np.ndarray]) -> list[np.ndarray]:
    """Turn pieces that were drawn both ways, and order them from one end to the other.

    Each piece takes the direction of its nearest neighbour, from the nearest on; of the two
    directions of all, that stays in which most of the length was drawn. Each then follows
    the one whose end is closest to its start.

    Parameters
    ----------
    pieces : list of numpy.ndarray
        Vertices (x, y) of each, metres, shape (n, 2).

    Returns
    -------
    list of numpy.ndarray
        The same pieces, some of them reversed; the list itself where nothing is to be done.

    Warns
    -----
    SubpixWarning
        Two neighbours meet at right angles, about: which way one goes is a guess.

    Examples
    --------
    >>> first, second = np.array([[0.0, 0], [10, 0]]), np.array([[20.0, 0], [11, 0]])
    >>> [piece[0].tolist() for piece in walked_in_order([first, second])]
    [[0.0, 0.0], [11.0, 0.0]]
    """
    if len(pieces) < 2:
        return pieces
    if len(pieces) > _MOST:
        warnings.warn(
            f"the trace has {len(pieces)} pieces, and up to {_MOST} are turned to one direction: "
            "they stay as they are drawn. Take those of this field.",
            SubpixWarning,
            stacklevel=4,
        )
        return pieces
    turned = _directions(pieces)
    alike = [piece if sign > 0 else piece[::-1] for piece, sign in zip(pieces, turned, strict=True)]
    order = _order(alike)
    given = list(range(len(pieces)))
    if _gaps(alike, given) <= _gaps(alike, order) * (1 + 1e-9):
        order = given
    return [alike[k] for k in order]


def _directions(pieces: list[np.ndarray]) -> np.ndarray:
    """Sign of each piece: 1 where it stays, -1 where it is turned."""
    sampled = [_sampled(piece) for piece in pieces]
    count = len(pieces)
    signs = np.zeros(count)
    signs[0] = 1.0
    # Prim's tree: the piece nearest to those that are done is done next.
    best = [_meeting(sampled[0], other) for other in sampled]
    nearest = np.zeros(count, int)
    for _ in range(count - 1):
        waiting = np.flatnonzero(signs == 0)
        k = int(waiting[np.argmin([best[i][0] for i in waiting])])
        cosine = best[k][1]
        if abs(cosine) < _CROSSWISE:
            angle = np.degrees(np.arccos(abs(cosine)))
            warnings.warn(
                f"pieces {int(nearest[k])} and {k} of the trace meet at {angle:.0f} degrees: "
                "which way one of them goes is a guess. Draw the trace in one direction, or "
                "measure them one by one.",
                SubpixWarning,
                stacklevel=5,
            )
            signs[k] = 1.0
        else:
            signs[k] = signs[nearest[k]] * np.sign(cosine)
        for i in np.flatnonzero(signs == 0):
            other = _meeting(sampled[k], sampled[i])
            if other[0] < best[i][0]:
                best[i], nearest[i] = other, k
    lengths = np.array([np.hypot(*np.diff(piece, axis=0).T).sum() for piece in pieces])
    kept = float((signs * lengths).sum())
    return signs if kept > 0 or (kept == 0 and signs[0] > 0) else -signs


def _sampled(piece: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points along a piece, and unit directions there over a stretch of it."""
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(piece, axis=0).T))])
    places = np.linspace(0.0, along[-1], _POINTS)
    half = _STRETCH * along[-1] / 2

    def at(where: np.ndarray) -> np.ndarray:
        where = np.clip(where, 0.0, along[-1])
        return np.column_stack([np.interp(where, along, piece[:, k]) for k in (0, 1)])

    chord = at(places + half) - at(places - half)
    return at(places), chord / np.maximum(np.hypot(*chord.T), 1e-300)[:, None]


def _meeting(
    one: tuple[np.ndarray, np.ndarray], two: tuple[np.ndarray, np.ndarray]
) -> tuple[float, float]:
    """Distance of two pieces where they are closest, and the cosine of their directions there."""
    apart = np.hypot(*(one[0][:, None] - two[0][None, :]).transpose(2, 0, 1))
    i, j = np.unravel_index(int(apart.argmin()), apart.shape)
    return float(apart[i, j]), float(one[1][i] @ two[1][j])


def _order(pieces: list[np.ndarray]) -> list[int]:
    """Order in which ends and starts lie closest: the shortest joints are made first."""
    starts, ends = (np.array([piece[k] for piece in pieces]) for k in (0, -1))
    gap = np.hypot(*(ends[:, None] - starts[None, :]).transpose(2, 0, 1))
    count = len(pieces)
    after: dict[int, int] = {}
    first_of = list(range(count))  # first piece of the chain that a last one ends
    last_of = list(range(count))
    for flat in np.argsort(gap, axis=None, kind="stable"):
        i, j = divmod(int(flat), count)
        if i == j or i in after or j in after.values() or first_of[i] == j:
            continue
        after[i] = j
        head, tail = first_of[i], last_of[j]
        last_of[head], first_of[tail] = tail, head
        if len(after) == count - 1:
            break
    k = next(k for k in range(count) if k not in after.values())
    order = [k]
    while k in after:
        k = after[k]
        order.append(k)
    return order


def _gaps(pieces: list[np.ndarray], order: list[int]) -> float:
    """Length of all joints, metres."""
    return sum(
        float(np.hypot(*(pieces[j][0] - pieces[i][-1]))) for i, j in itertools.pairwise(order)
    )
