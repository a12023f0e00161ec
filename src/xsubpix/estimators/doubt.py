"""Results that nothing supports: ground that repeats itself, other ground, patterns of holes.

What is said here is found from the images and the result alone, the same for every model:
blocks of 32 pixels of the first image are compared with the second one, around the place
where the model says that they went.
"""

from __future__ import annotations

import itertools

import numpy as np
import scipy.fft
import scipy.ndimage

from .base import Flag
from .likeness import Detail, fine_detail, flat_in_one, unlike

__all__ = ["doubts"]

#: Side of the blocks, and how far around the found place they are compared, pixels.
BLOCK, REACH = 32, 16
#: Distance of the blocks, pixels: each stands for the ground between it and the next ones.
EVERY = 48
#: Another place that is as good as this share of the found one makes it one of several.
RIVAL = 0.9
#: Correlations below which a block does not resemble what it was matched with: of the images
#: as they are, and of what is left without a mean over 9 pixels. Both have to be low.
UNLIKE, UNLIKE_FINE = 0.5, 0.2
#: Holes at the same place of both images make a pattern where they are this share of a
#: block, and this share of what is left touches one.
HOLES, EDGES = 0.1, 0.25
# Lags within which a peak is the found one, pixels.
_OWN = 2
# Values that say where a block went.
_ENOUGH = 500
# Reach of less shows no peak.
_LEAST_REACH = 6
# Peaks of less are no repetition, but what any texture has.
_LEAST_RIVAL = 0.5
# The only found place of ground that is compared with itself.
_STILL = np.zeros((1, 2), int)


def doubts(
    pre: np.ndarray,
    post: np.ndarray,
    dx: np.ndarray,
    dy: np.ndarray,
    *,
    halo: int,
    step: int,
    search: float | None = None,
    patterns: bool = True,
    reach: float | None = 0.0,
    support: int = 0,
    detail: Detail | None = None,
) -> np.ndarray:
    """Flags of the outputs of one tile that nothing supports.

    Parameters
    ----------
    pre, post : numpy.ndarray of float32
        Tile of both images, shape (h, w), NaN for missing.
    dx, dy : numpy.ndarray
        Result, input pixels, shape (tile, tile); NaN for missing.
    halo, step : int
        Geometry of the tile, see :class:`~xsubpix.estimators.base.Estimator`.
    search : float, optional
        Largest displacement that the model looks for: what lies beyond is no rival.
    patterns : bool
        Whether patterns of missing pixels are looked for.
    reach : float or None
        Distance over which results of the model depend on each other, pixels; None for
        a model whose own sigma tells where windows resemble nothing.
    support : int
        Reach of the window that makes one output's value, pixels.
    detail : Detail, optional
        :func:`~xsubpix.estimators.likeness.fine_detail` of the images, found where not given.

    Returns
    -------
    numpy.ndarray of uint8
        ``ambiguous`` where the ground repeats itself: another place fits nearly as well.
        ``not_converged`` where it resembles nothing at the found place, in a block or in the
        window around an output (:func:`~xsubpix.estimators.likeness.unlike`), near ground that
        is flat in one image alone (:func:`~xsubpix.estimators.likeness.flat_in_one`), or
        where missing pixels make a pattern in both images, which can be taken for ground.

    Examples
    --------
    >>> rows = np.sin(np.arange(96) * 2 * np.pi / 8)  # furrows, 8 pixels apart
    >>> field = (rows[:, None] * np.sin(np.arange(96) * 2 * np.pi / 8)).astype("f4")
    >>> still = np.zeros((4, 4), "f4")
    >>> int(doubts(field, field, still, still, halo=32, step=8)[0, 0]) == int(Flag.AMBIGUOUS)
    True
    """
    flags = np.zeros(dx.shape, np.uint8)
    known = np.isfinite(dx) & np.isfinite(dy)
    if not known.any():
        return flags
    detail = fine_detail(pre, post) if detail is None else detail
    valid_pre, valid_post = (valid for _, valid in detail)
    if reach is not None:
        other = unlike(pre, post, dx, dy, halo=halo, step=step, reach=reach, detail=detail)
        flags[other] |= Flag.NOT_CONVERGED
    flat = flat_in_one(pre, post, dx, dy, halo=halo, step=step, support=support, detail=detail)
    flags[flat] |= Flag.NOT_CONVERGED
    if patterns and not (valid_pre | valid_post).all():
        flags |= _sampled(_pattern(valid_pre, valid_post), halo, step, dx.shape)
    fine = [values for values, _ in detail]
    whole = [
        np.where(valid, image, 0.0)
        for image, valid in zip((pre, post), (valid_pre, valid_post), strict=True)
    ]
    whole = [image - image.mean() for image in whole]
    both: np.ndarray = valid_pre & valid_post
    starts, block_of = zip(
        *(_blocks(np.asarray(both.any(1 - axis)), halo, step, dx.shape[0]) for axis in (0, 1)),
        strict=True,
    )
    bounds = [
        [
            slice(int(a), int(b))
            for a, b in itertools.pairwise(
                np.searchsorted(block_of[axis], np.arange(len(starts[axis]) + 1))
            )
        ]
        for axis in (0, 1)
    ]
    for i, row in enumerate(starts[0]):
        for j, col in enumerate(starts[1]):
            part = bounds[0][i], bounds[1][j]
            here = known[part]
            if not here.any():
                continue
            found = np.stack([dy[part][here], dx[part][here]], axis=1)
            found = found[:: max(1, len(found) // _ENOUGH)]
            flags[part] |= _judged(fine, whole, valid_pre, valid_post, row, col, found, search)
    flags[~known] = 0
    return flags


def _blocks(has_data: np.ndarray, halo: int, step: int, count: int) -> tuple[list[int], np.ndarray]:
    """First pixels of the blocks along one side of a tile, and the block of each output.

    Blocks at the border of an image are moved to where it has data.
    """
    there = np.flatnonzero(has_data)
    low, high = (int(there[0]), int(there[-1]) + 1) if there.size else (0, has_data.size)
    centre = halo + step * np.arange(count) + (step - 1) / 2
    number = max(1, round((centre[-1] - centre[0] + step) / EVERY))
    block_of = np.minimum(((centre - centre[0]) / EVERY).astype(int), number - 1)
    starts = []
    for k in range(number):
        middle = float(centre[block_of == k].mean()) if (block_of == k).any() else centre[0]
        start = round(middle - BLOCK / 2)
        starts.append(max(low + _LEAST_REACH, min(start, high - BLOCK - _LEAST_REACH)))
    return starts, block_of


def _judged(
    fine: list[np.ndarray],
    whole: list[np.ndarray],
    valid_pre: np.ndarray,
    valid_post: np.ndarray,
    row: int,
    col: int,
    found: np.ndarray,
    search: float | None,
) -> np.uint8:
    """Flags of one block, whose outputs have the displacements `found` (n, 2)."""
    none = np.uint8(0)
    shift = np.rint(np.median(found, axis=0)).astype(int)
    last = fine[0].shape[0] - BLOCK
    own = slice(row, row + BLOCK), slice(col, col + BLOCK)
    # Holes would be compared with each other: a block needs nearly all of its pixels.
    if min(row, col) < 0 or max(row, col) > last or valid_pre[own].mean() < 0.9:
        return none
    there = _surroundings(valid_post, row + shift[0], col + shift[1])
    surface = None if there is None else _correlations(fine[0][own], fine[1][there])
    if there is not None and surface is not None:
        best = _nearest_peak(surface)
        if best < UNLIKE_FINE:
            raw = _correlations(whole[0][own], whole[1][there])
            unlike_too = raw is not None and _nearest_peak(raw) < UNLIKE
            return Flag.NOT_CONVERGED if unlike_too else none
        # Ground on the other side of a fault went elsewhere, and is found there.
        spread = np.unique(np.rint(found - shift).astype(int), axis=0)[:64]
        if _highest_rival(surface, spread, shift, search) > max(_LEAST_RIVAL, RIVAL * best):
            return Flag.AMBIGUOUS
    if there is None or there[0].stop - there[0].start < BLOCK + REACH:
        # It went to the border, where few places can be compared. Ground that resembles
        # itself elsewhere may have gone anywhere.
        around = _surroundings(valid_pre, row, col)
        itself = None if around is None else _correlations(fine[0][own], fine[0][around])
        if itself is not None and _highest_rival(itself, _STILL, shift, search) > RIVAL:
            return Flag.AMBIGUOUS
    return none


def _nearest_peak(surface: np.ndarray) -> float:
    """Highest correlation around the found place."""
    middle = surface.shape[0] // 2
    near = slice(middle - _OWN, middle + _OWN + 1)
    return float(surface[near, near].max())


def _highest_rival(
    surface: np.ndarray, spread: np.ndarray, shift: np.ndarray, search: float | None
) -> float:
    """Highest peak of a surface of correlations that is none of the found places.

    Those are `spread` (n, 2), lags; `shift` is what lag 0 is, within `search`.
    """
    reach = surface.shape[0] // 2
    lags = np.arange(-reach, reach + 1)
    peaks = surface == scipy.ndimage.maximum_filter(surface, 3, mode="constant", cval=np.inf)
    peaks[[0, -1]] = peaks[:, [0, -1]] = False
    for dy, dx in spread:
        peaks &= ~((np.abs(lags - dy) <= _OWN)[:, None] & (np.abs(lags - dx) <= _OWN)[None, :])
    if search is not None:
        beyond = [np.abs(lags + s) > search + 1 for s in shift]
        peaks &= ~(beyond[0][:, None] | beyond[1][None, :])
    return float(surface[peaks].max(initial=-1.0))


def _surroundings(valid: np.ndarray, top: int, left: int) -> tuple[slice, slice] | None:
    """Pixels around a block, as far as nearly all of them are there; None without any."""
    height, width = valid.shape
    widest = min(REACH, top, left, height - BLOCK - top, width - BLOCK - left)
    if widest < _OWN:
        return None
    for reach in (widest, min(_LEAST_REACH, widest), _OWN):
        around = (
            slice(top - reach, top + BLOCK + reach), slice(left - reach, left + BLOCK + reach)
        )  # fmt: skip
        if valid[around].mean() >= 0.9:
            return around
    return None


def _correlations(template: np.ndarray, image: np.ndarray) -> np.ndarray | None:
    """Normalised correlation of a block at every lag up to REACH; None without contrast."""
    template = template - template.mean()
    energy = float((template**2).sum())
    size = scipy.fft.next_fast_len(image.shape[0], real=True)
    spectrum = scipy.fft.rfft2(image, (size, size))
    product = scipy.fft.rfft2(template, (size, size)).conj() * spectrum
    lags = image.shape[0] - BLOCK + 1
    covariance = scipy.fft.irfft2(product, (size, size))[:lags, :lags]
    total, squares = (_box_sums(x) for x in (image, image**2))
    energies = squares - total**2 / BLOCK**2
    floor = 1e-8 * max(float(squares.max()), 1e-30)
    if energy <= floor or float(energies.max()) <= floor:
        return None
    usable = energies > floor
    return np.where(usable, covariance / np.sqrt(energy * np.where(usable, energies, 1.0)), 0.0)


def _box_sums(image: np.ndarray) -> np.ndarray:
    """Sums over all blocks of an image, double precision."""
    total = np.pad(image.astype(np.float64), ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    n = BLOCK
    return total[n:, n:] - total[:-n, n:] - total[n:, :-n] + total[:-n, :-n]


def _pattern(valid_pre: np.ndarray, valid_post: np.ndarray) -> np.ndarray:
    """Pixels around which holes at the same place of both images make a pattern."""
    holes = ~valid_pre & ~valid_post
    touching = scipy.ndimage.binary_dilation(holes) & ~holes
    share, edges = (
        scipy.ndimage.uniform_filter(mask.astype(np.float64), BLOCK, mode="nearest")
        for mask in (holes, touching)
    )
    left = np.maximum(1.0 - share, 1e-6)
    return (share >= HOLES) & (edges >= EDGES * left)


def _sampled(pattern: np.ndarray, halo: int, step: int, shape: tuple[int, ...]) -> np.ndarray:
    """Flag of a mask of pixels at the outputs."""
    at = halo + step * np.arange(shape[0]) + step // 2
    return np.where(pattern[np.ix_(at, at)], Flag.NOT_CONVERGED, np.uint8(0)).astype(np.uint8)
