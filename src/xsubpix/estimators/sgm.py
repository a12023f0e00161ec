"""Semi-global matching of a two-component displacement, compiled (numba).

Dynamic programming along straight lines in many directions, the costs of all
of them added at each pixel before the best candidate is taken (Hirschmueller
2008; Pierrot-Deseilligny & Paparoditis 2006 for the many-direction form; Rosu
et al. 2015 for its use on ground displacement).

This module needs numba; it is imported by the estimator when it runs.
"""

from __future__ import annotations

import math

import numba
import numpy as np

__all__ = ["aggregate", "best_candidate"]

# Cost of each step beyond the steepest slope allowed: as much as the worst
# correlation. Finite, so that two pixels whose candidates lie too far apart
# for any legal transition still have a best one.
_TOO_STEEP = np.float32(1.0)

# Nothing in the loops is NaN or infinite: minima may be vector instructions.
_FAST = {"nnan", "nsz", "contract"}


@numba.njit(cache=True, nogil=True, fastmath=_FAST)
def _penalties(here, there, weight, steepest, most, out):  # pragma: no cover - compiled
    """Cost ``out[k]`` of the step from ``there - k + reach`` to `here`, every pixel."""
    reach = out.shape[0] // 2
    for k in range(out.shape[0]):
        row = out[k, : here.size]
        for x in range(here.size):
            step = np.float32(abs(here[x] - there[x] + np.int32(k - reach)))
            over = step - steepest
            price = weight * step
            price = price if price < most else most
            row[x] = price + _TOO_STEEP * (over if over > 0 else np.float32(0.0))


@numba.njit(cache=True, nogil=True, fastmath=_FAST)
def _cheapest_arrival(costs, first, stride, x0, penalties, lag, out):  # pragma: no cover
    """``out = min over q of costs[first + q stride] + penalties[lag - q]``, every pixel.

    `costs` is read from column `x0` on.
    """
    width = out.size
    across = (penalties.shape[0] + 1) // 2
    x1 = x0 + width
    if across == 5:
        # The common case in one pass over the pixels: five times less traffic.
        c0, c1 = costs[first, x0:x1], costs[first + stride, x0:x1]
        c2, c3 = costs[first + 2 * stride, x0:x1], costs[first + 3 * stride, x0:x1]
        c4 = costs[first + 4 * stride, x0:x1]
        p0, p1, p2 = penalties[lag], penalties[lag - 1], penalties[lag - 2]
        p3, p4 = penalties[lag - 3], penalties[lag - 4]
        for x in range(width):
            low = c0[x] + p0[x]
            value = c1[x] + p1[x]
            low = value if value < low else low
            value = c2[x] + p2[x]
            low = value if value < low else low
            value = c3[x] + p3[x]
            low = value if value < low else low
            value = c4[x] + p4[x]
            out[x] = value if value < low else low
        return
    for q in range(across):
        c, p = costs[first + q * stride, x0:x1], penalties[lag - q]
        if q == 0:
            for x in range(width):
                out[x] = c[x] + p[x]
        else:
            for x in range(width):
                value = c[x] + p[x]
                out[x] = value if value < out[x] else out[x]


@numba.njit(cache=True, nogil=True, fastmath=_FAST)
def _lowest(costs, x0, out):  # pragma: no cover - compiled
    """Cheapest candidate of every pixel, from column `x0` on."""
    out[:] = costs[0, x0 : x0 + out.size]
    for e in range(1, costs.shape[0]):
        source = costs[e, x0 : x0 + out.size]
        for x in range(out.size):
            out[x] = source[x] if source[x] < out[x] else out[x]


@numba.njit(cache=True, nogil=True, fastmath=_FAST)
def _add(values, target):  # pragma: no cover - compiled
    """``target += values``."""
    for x in range(target.size):
        target[x] += values[x]


@numba.njit(cache=True, nogil=True, fastmath=_FAST)
def _sweep(
    cost, centre_x, centre_y, shifts, backward, weight, steepest, most, total
):  # pragma: no cover - compiled
    """Add to `total` the path costs along one orientation, in one sense.

    Every pixel has one predecessor, in the row swept before it; all columns
    of a row advance together, which is what makes the inner loops vector code.
    """
    rows, entries, cols = cost.shape
    across = int(math.sqrt(entries) + 0.5)
    path = np.empty((entries, cols), np.float32)
    ahead = np.empty((entries, cols), np.float32)
    half_way = np.empty((entries, cols), np.float32)
    lowest = np.empty(cols, np.float32)
    along_x = np.empty((2 * across - 1, cols), np.float32)
    along_y = np.empty((2 * across - 1, cols), np.float32)
    for n in range(rows):
        y = rows - 1 - n if backward else n
        here = cost[y]
        x0, x1 = cols, cols
        if n > 0:
            previous = y + 1 if backward else y - 1
            # The column of the predecessor is x + shift.
            shift = shifts[previous] - shifts[y]
            x0, x1 = max(0, -shift), min(cols, cols - shift)
            width = x1 - x0
            _lowest(path, x0 + shift, lowest[:width])
            there = slice(x0 + shift, x1 + shift)
            _penalties(
                centre_x[y, x0:x1], centre_x[previous, there], weight, steepest, most, along_x
            )
            _penalties(
                centre_y[y, x0:x1], centre_y[previous, there], weight, steepest, most, along_y
            )
            # The penalty is a sum over the components: minimise over x, then over y.
            for j in range(across):
                for i in range(across):
                    out = half_way[j * across + i, :width]
                    lag = i + across - 1
                    _cheapest_arrival(path, j * across, 1, x0 + shift, along_x, lag, out)
            for j in range(across):
                for i in range(across):
                    out = ahead[j * across + i, x0:x1]
                    lag = j + across - 1
                    _cheapest_arrival(half_way, i, across, 0, along_y, lag, out)
                    own = here[j * across + i, x0:x1]
                    for x in range(width):
                        out[x] += own[x] - lowest[x]
        # Lines that enter here, at an end or through a side of the area.
        for e in range(entries):
            ahead[e, :x0] = here[e, :x0]
            ahead[e, x1:] = here[e, x1:]
            _add(ahead[e], total[y, e])
        path, ahead = ahead, path


def aggregate(
    cost: np.ndarray,
    centre_x: np.ndarray,
    centre_y: np.ndarray,
    *,
    directions: int,
    weight: float,
    steepest: int,
    most: float,
    azimuth: float | None = None,
    anisotropy: float = 0.0,
) -> np.ndarray:
    """Sum of the path costs of every candidate over all directions.

    Along each line the cost of a path is the sum of its candidates' costs and
    of ``weight * |step|`` in x and in y, each `most` at most, between neighbours; the cost
    given to a candidate is that of the best path through it, less that of the
    best path of the pixel (which changes no decision and keeps sums small).

    Parameters
    ----------
    cost : numpy.ndarray of float32
        Shape ``(rows, n, columns)``, ``n`` a square number of candidates,
        ordered (y, x).
    centre_x, centre_y : numpy.ndarray of int32
        Middle candidate of each pixel, in steps; shape ``(rows, columns)``.
    directions : int
        Orientations of the lines, spread evenly over 180 degrees; each is
        swept both ways.
    weight : float
        Cost of a difference of one step between neighbours.
    steepest : int
        Largest difference allowed, steps.
    most : float
        Largest cost of a difference in one component.
    azimuth : float, optional
        Strike of a fault, degrees clockwise from the image's up.
    anisotropy : float
        With an azimuth, the weight becomes
        ``weight * (1 + anisotropy * cos(2 phi))``, ``phi`` the angle between
        line and strike: stiffer along the fault, softer across it.

    Returns
    -------
    numpy.ndarray of float32
        Shape of `cost`.
    """
    rows, _, cols = cost.shape
    total = np.zeros_like(cost)
    turned = np.ascontiguousarray(cost.transpose(2, 1, 0))
    turned_total = np.zeros_like(turned)
    turned_x = np.ascontiguousarray(centre_x.T)
    turned_y = np.ascontiguousarray(centre_y.T)
    for k in range(directions):
        angle = math.pi * k / directions
        right, down = math.cos(angle), math.sin(angle)
        stiffness = weight
        if azimuth is not None:
            # Strike and line as angles from "right", counted towards "down".
            phi = angle - math.radians(azimuth - 90.0)
            stiffness = weight * (1.0 + anisotropy * math.cos(2.0 * phi))
        if abs(down) >= abs(right) - 1e-9:
            shifts = np.floor(np.arange(rows) * (right / down) + 0.5).astype(np.int64)
            target = (cost, centre_x, centre_y, shifts, total)
        else:
            shifts = np.floor(np.arange(cols) * (down / right) + 0.5).astype(np.int64)
            target = (turned, turned_x, turned_y, shifts, turned_total)
        volume, along_x, along_y, shifts, out = target
        for backward in (False, True):
            _sweep(
                volume,
                along_x,
                along_y,
                shifts,
                backward,
                np.float32(stiffness),
                np.float32(steepest),
                np.float32(most),
                out,
            )
    total += turned_total.transpose(2, 1, 0)
    # Each orientation counted the pixel's own cost in both senses.
    total -= np.float32(directions) * cost
    return total


@numba.njit(cache=True, nogil=True)
def best_candidate(total):  # pragma: no cover - compiled
    """Offsets (x, y), in steps, of the cheapest candidate; the nearest to the centre of equals.

    Parameters
    ----------
    total : numpy.ndarray of float32
        Shape ``(rows, n, columns)``.

    Returns
    -------
    tuple of numpy.ndarray of int32
        Shape ``(rows, columns)`` each.
    """
    rows, entries, cols = total.shape
    across = int(math.sqrt(entries) + 0.5)
    radius = across // 2
    best_x = np.zeros((rows, cols), np.int32)
    best_y = np.zeros((rows, cols), np.int32)
    for y in range(rows):
        for x in range(cols):
            least = total[y, entries // 2, x]
            # Rounding must not move a pixel that has no information at all.
            margin = np.float32(1e-5) * (np.float32(1.0) + abs(least))
            chosen = entries // 2
            distance = 0
            for e in range(entries):
                value = total[y, e, x]
                j, i = e // across - radius, e % across - radius
                apart = i * i + j * j
                if value < least - margin or (value < least + margin and apart < distance):
                    least = value
                    chosen = e
                    distance = apart
            best_x[y, x] = chosen % across - radius
            best_y[y, x] = chosen // across - radius
    return best_x, best_y
