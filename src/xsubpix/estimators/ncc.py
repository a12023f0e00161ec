"""Normalised cross-correlation at sub-pixel candidates, compiled (numba).

The inner loops of :mod:`xsubpix.estimators.micmac`. This module needs numba;
it is imported by the estimator when it runs, not with the package.

Displacements are whole numbers of ``1 / PHASES`` pixel, so that the second
image is interpolated once for each fractional phase in use and every window
then reads plain rows of memory.
"""

from __future__ import annotations

import math

import numba
import numpy as np

__all__ = ["LANES", "PHASES", "TAPS", "correlation_volume", "sinc_kernels"]

#: Displacement units to the pixel: the finest step of the search is 1/20 px.
PHASES = 20
#: Half-width of the interpolation kernel, pixels.
TAPS = 5
#: Longest window row; rows are padded to it with weight zero, so that they
#: fill vector registers.
LANES = 16
#: Output rows that share one table of interpolated images; bounds its memory.
STRIP = 32

# Reassociation lets sums run in vector lanes; NaN never reaches the loops.
_FAST = {"reassoc", "contract", "nsz", "arcp"}


def sinc_kernels(phases: int = PHASES, taps: int = TAPS) -> np.ndarray:
    """Apodised-sinc interpolation kernels, one a sub-pixel phase.

    ``k(t) = sinc(t) (0.5 + 0.5 cos(pi t / (taps + 0.5)))`` for
    ``|t| <= taps``, scaled to unit sum so that constants stay constant
    (Rosu et al. 2015 interpolate with an apodised sinc of size 5; the
    apodisation here is Hann's).

    Parameters
    ----------
    phases : int
        Number of phases to the pixel.
    taps : int
        Half-width, pixels.

    Returns
    -------
    numpy.ndarray of float32
        Shape ``(phases, 2 * taps)``. Row `k` holds the weights of pixels
        ``floor(x) - taps + 1 ... floor(x) + taps`` for the value at ``x``
        whose fraction is ``k / phases``.
    """
    offsets = np.arange(-taps + 1, taps + 1)
    t = np.arange(phases)[:, None] / phases - offsets[None, :]
    window = 0.5 + 0.5 * np.cos(np.pi * t / (taps + 0.5))
    kernels = np.sinc(t) * np.where(np.abs(t) <= taps, window, 0.0)
    return (kernels / kernels.sum(axis=1, keepdims=True)).astype(np.float32)


@numba.njit(cache=True, nogil=True, fastmath=_FAST)
def _interpolate(image, top, rows, kernels, used, table):  # pragma: no cover - compiled
    """Fill ``table[phase_y * PHASES + phase_x]`` for the phases in `used`.

    Row ``r`` of the table is row ``top + r`` of `image` moved by the phase.
    """
    width = image.shape[1]
    reach = kernels.shape[1] // 2
    across = np.empty((rows + 2 * reach, width), np.float32)
    for px in range(PHASES):
        if not used[:, px].any():
            continue
        for r in range(rows + 2 * reach):
            source = image[top + r - reach + 1]
            target = across[r]
            target[:] = 0.0
            for k in range(2 * reach):
                weight = kernels[px, k]
                if weight != 0.0:
                    first = reach - 1
                    for x in range(first, width - reach):
                        target[x] += weight * source[x - first + k]
        for py in range(PHASES):
            if not used[py, px]:
                continue
            out = table[py * PHASES + px]
            for r in range(rows):
                target = out[r]
                target[:] = 0.0
                for k in range(2 * reach):
                    weight = kernels[py, k]
                    if weight != 0.0:
                        source = across[r + k]
                        for x in range(width):
                            target[x] += weight * source[x]


@numba.njit(cache=True, nogil=True, fastmath=_FAST)
def _ncc_clean(window, inside, norm, image, row, col, mean):  # pragma: no cover - compiled
    """NCC of a whole window; `window` has zero mean, and zeros in the padding."""
    side, lanes = window.shape
    total = np.float32(0.0)
    square = np.float32(0.0)
    cross = np.float32(0.0)
    for r in range(side):
        line = image[row + r, col : col + lanes]
        own = window[r]
        for k in range(lanes):
            value = line[k] - mean
            weighted = inside[k] * value
            total += weighted
            square += weighted * value
            cross += own[k] * value
    variance = square - total * total / np.float32(side * side)
    if not variance > np.float32(1e-10) * (square + np.float32(1e-30)) or norm <= 0.0:
        return np.float32(0.0)
    return cross / math.sqrt(variance * norm)


@numba.njit(cache=True, nogil=True)
def _ncc_masked(
    first, first_ok, frow, fcol, image, second_ok, row, col, srow, scol, side, least
):  # pragma: no cover - compiled
    """NCC over the pixels valid in both windows; 0 when fewer than `least` are."""
    count = 0
    sf = 0.0
    sg = 0.0
    sff = 0.0
    sgg = 0.0
    sfg = 0.0
    for r in range(side):
        for k in range(side):
            if first_ok[frow + r, fcol + k] and second_ok[srow + r, scol + k]:
                f = float(first[frow + r, fcol + k])
                g = float(image[row + r, col + k])
                count += 1
                sf += f
                sg += g
                sff += f * f
                sgg += g * g
                sfg += f * g
    if count < least:
        return np.float32(0.0)
    vf = sff - sf * sf / count
    vg = sgg - sg * sg / count
    if not (vf > 1e-10 * (sff + 1e-30) and vg > 1e-10 * (sgg + 1e-30)):
        return np.float32(0.0)
    return np.float32((sfg - sf * sg / count) / math.sqrt(vf * vg))


@numba.njit(cache=True, nogil=True)
def _phases_in_use(centre_x, centre_y, unit, radius, used):  # pragma: no cover - compiled
    """Mark the phases (y, x) of all candidates in `used`; range of their whole rows."""
    low, high = 1 << 30, -(1 << 30)
    rows, cols = centre_x.shape
    for y in range(rows):
        for x in range(cols):
            cy, cx = centre_y[y, x], centre_x[y, x]
            low = min(low, (cy - radius) * unit // PHASES)
            high = max(high, (cy + radius) * unit // PHASES)
            for j in range(-radius, radius + 1):
                py = (cy + j) * unit % PHASES
                for i in range(-radius, radius + 1):
                    used[py, (cx + i) * unit % PHASES] = True
    return low, high


@numba.njit(cache=True, nogil=True)
def _centred_window(image, row, col, window):  # pragma: no cover - compiled
    """Copy a window less its mean into `window`; its sum of squares, 0 where it is flat."""
    side = window.shape[0]
    level = np.float32(0.0)
    for r in range(side):
        for k in range(side):
            level += image[row + r, col + k]
    level /= side * side
    norm = np.float32(0.0)
    square = np.float32(0.0)
    for r in range(side):
        for k in range(side):
            value = image[row + r, col + k] - level
            window[r, k] = value
            norm += value * value
            square += image[row + r, col + k] ** 2
    if norm <= np.float32(1e-10) * square:
        norm = np.float32(0.0)
    return norm


@numba.njit(cache=True, nogil=True)
def correlation_volume(
    first,
    first_ok,
    second,
    second_ok,
    second_mean,
    clean,
    inset,
    side,
    unit,
    radius,
    centre_x,
    centre_y,
    kernels,
):  # pragma: no cover - compiled
    """Correlate every window with its candidates.

    Parameters
    ----------
    first, second : numpy.ndarray of float32
        Images, shape ``(h, w)``, without NaN, of the same order as 1.
    first_ok, second_ok : numpy.ndarray of bool
        Where they hold data. An interpolated pixel holds data where its
        nearest pixel does.
    second_mean : numpy.ndarray of float32
        A local mean of `second` (h, w), subtracted before sums are made:
        it does not change the result but saves digits.
    clean : numpy.ndarray of bool
        Shape ``(h - 2 inset, w - 2 inset)``: no missing pixel within reach.
    inset : int
        Position of output (0, 0) in the images, rows and columns; must hold
        half a window, the largest displacement and the kernel.
    side : int
        Window, pixels, odd, less than ``LANES``.
    unit : int
        Spacing of the candidates, in 1 / ``PHASES`` pixel.
    radius : int
        Candidates to each side of the centre.
    centre_x, centre_y : numpy.ndarray of int32
        Middle of the candidates, in units of `unit`; shape of `clean`.
    kernels : numpy.ndarray
        From :func:`sinc_kernels`.

    Returns
    -------
    numpy.ndarray of float32
        Shape ``(rows, n, columns)``, ``n = (2 radius + 1)^2``: the NCC at
        candidate ``(j, i)`` (y, x) in entry ``j * (2 radius + 1) + i``; 0
        where a window is flat or less than a quarter of it is valid.
    """
    rows, cols = clean.shape
    width = second.shape[1]
    half = side // 2
    across = 2 * radius + 1
    volume = np.empty((rows, across * across, cols), np.float32)
    inside = np.zeros(LANES, np.float32)
    inside[:side] = 1.0
    window = np.zeros((side, LANES), np.float32)
    least = max(6, side * side // 4)
    for start in range(0, rows, STRIP):
        stop = min(start + STRIP, rows)
        used = np.zeros((PHASES, PHASES), np.bool_)
        low, high = _phases_in_use(centre_x[start:stop], centre_y[start:stop], unit, radius, used)
        top = inset + start - half + low
        height = (stop - start) + side + high - low
        # Padded on the right: the lanes beyond a window are read, with weight 0.
        table = np.zeros((PHASES * PHASES, height, width + LANES), np.float32)
        _interpolate(second, top, height, kernels, used, table[:, :, :width])
        for y in range(start, stop):
            for x in range(cols):
                row, col = inset + y - half, inset + x - half
                whole = clean[y, x]
                norm = np.float32(0.0)
                mean = second_mean[inset + y, inset + x]
                if whole:
                    norm = _centred_window(first, row, col, window)
                entry = 0
                for j in range(-radius, radius + 1):
                    uy = (centre_y[y, x] + j) * unit
                    dy, py = uy // PHASES, uy % PHASES
                    for i in range(-radius, radius + 1):
                        ux = (centre_x[y, x] + i) * unit
                        dx, px = ux // PHASES, ux % PHASES
                        image = table[py * PHASES + px]
                        if whole:
                            value = _ncc_clean(
                                window, inside, norm, image, row + dy - top, col + dx, mean
                            )
                        else:
                            value = _ncc_masked(
                                first, first_ok, row, col, image, second_ok,
                                row + dy - top, col + dx,
                                row + dy + (2 * py >= PHASES), col + dx + (2 * px >= PHASES),
                                side, least,
                            )  # fmt: skip
                        volume[y, entry, x] = value
                        entry += 1
    return volume
