"""Large displacements: a coarse first guess for every estimator, in one place.

Window correlators, dense matchers and networks measure displacements of some
pixels. Glaciers and landslides move tens of pixels. :class:`CoarseToFine`
finds the large part on reduced images, brings `post` to within a pixel or so
of `pre`, and lets any estimator measure the rest.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from scipy import ndimage

from ..checks import whole_number
from ..errors import ModelError
from ..kernels.block_means import block_mean
from ..kernels.median_test import normalised_deviation
from ..kernels.nearest import fill_nearest
from ..kernels.spline import sample_quintic
from .base import Estimate, Estimator, Flag, Output
from .phase import Phase
from .sides import beside_jumps, sharpened, smallest_and_largest

__all__ = ["CoarseToFine"]

# The coarsest level is reduced until the search is at most so many of its pixels.
TOP_SEARCH = 16
# Below, what the level above left is looked for this far, reduced pixels.
NEXT_SEARCH = 4
# Windows of every level and their distance, reduced pixels.
WINDOW, STEP = 24, 8
# First guesses with less correlation, or that deviate more from their neighbours', fall.
LEAST_QUALITY, LARGEST_DEVIATION = 0.3, 3.0
# Scatter of good neighbours, reduced pixels.
SCATTER = 0.25
# Guesses that differ by less over a tile are one whole number of pixels: such a
# displacement needs no interpolation.
RIGID = 1.0
# Where guesses of one neighbourhood differ by more, pixels, they are of two sides of a step.
DIFFERENT = 3.0
# Results within so many pixels of a jump of the guess by more than the other are ambiguous.
BESIDE, APART = 2, 1.0
# Pixels of `post` beyond the largest displacement: reach of the quintic spline and its
# prefilter, to 1e-3 of the contrast.
MARGIN = 8
# Side of the area that has a first guess of its own, pixels, about.
AREA = 256


@dataclasses.dataclass(frozen=True, kw_only=True)
class CoarseToFine(Estimator):
    """Any estimator, with a first guess from coarser images.

    1. Both images are averaged over blocks of k x k pixels, k the power of two
       that leaves at most 16 reduced pixels of `search`, and matched by the
       windows of :class:`~xsubpix.estimators.phase.Phase` (24 reduced pixels,
       every 8).
    2. Matches that are flagged, correlate by less than 0.3, or deviate from
       their neighbours (normalised median test) are replaced by their nearest
       good neighbour, and a 3 x 3 median is taken.
    3. `post` is brought back by the guess, k is halved and the rest, up to 4
       reduced pixels, is measured; and so on down to k = 2.
    4. `post` is brought back by the last guess: by a whole number of pixels
       where the guess varies by less than a pixel over the tile, otherwise by
       a quintic spline along the guess, which takes the strain of the flow
       from the windows too. `fine` measures what is left.

    An interpolated guess stretches the ground beside a fault. Where guesses of one
    neighbourhood differ by more than 3 px, step 3 therefore also tries the smallest and the
    largest guess of the nodes within 3 nodes of each, among which either side of a fault has
    its own, and keeps what correlates best; and before step 4 the guess is made to jump
    where the images say (:func:`~xsubpix.networks.motion_layers.separate_layers`), so that windows
    that see both sides find the same rest on both. Results within 2 px of a jump are flagged
    ``ambiguous``. Models with a :attr:`~xsubpix.estimators.base.Estimator.near_guess`
    measure such tiles with that.

    Parameters
    ----------
    fine : Estimator
        Measures the rest; `step` and `device` are its own.
    search : int
        Largest displacement along each axis, pixels, up to 1024. What exceeds
        it is flagged ``out_of_range``.

    Notes
    -----
    ``quality``, ``sigma`` and all other flags are those of `fine`. The result
    of a tile depends on nothing but the tile, halo included.

    Examples
    --------
    >>> import xsubpix
    >>> from xsubpix.estimators import create
    >>> from xsubpix.estimators.pyramid import CoarseToFine
    >>> model = CoarseToFine(fine=create("phase", window=32), search=100)
    >>> model.name
    'phase'
    """

    fine: Estimator
    search: int

    def __post_init__(self) -> None:
        if not isinstance(self.fine, Estimator) or isinstance(self.fine, CoarseToFine):
            raise ModelError(f"fine={self.fine!r}: give an estimator that is not coarse to fine.")
        for name in ("step", "device"):
            given, own = getattr(self, name), getattr(self.fine, name)
            if given not in (own, getattr(Estimator, name)):
                raise ModelError(f"{name}={given!r}, but fine has {name}={own!r}: give it to fine.")
            object.__setattr__(self, name, own)
        super().__post_init__()
        object.__setattr__(self, "search", whole_number("search", self.search, 1, 1024))

    @property
    def name(self) -> str:  # type: ignore[override]
        """Name of the fine estimator."""
        return self.fine.name

    @property
    def description(self) -> str:  # type: ignore[override]
        """Description of the fine estimator, and of its first guess."""
        return f"{self.fine.description}; first guess coarse to fine, by phase correlation"

    @property
    def outputs(self) -> tuple[Output, ...]:
        """Table of outputs of the fine estimator."""
        return self.fine.outputs

    @property
    def likeness_reach(self) -> float | None:
        """The fine estimator's, pixels."""
        return self.fine.likeness_reach

    @property
    def states_sigma(self) -> bool:  # type: ignore[override]
        """Origin of the fine estimator's `sigma`: its own, or the images."""
        return self.fine.states_sigma

    @property
    def least_sigma(self) -> str:  # type: ignore[override]
        """True if the fine estimator's `sigma` is not below what the images say."""
        return self.fine.least_sigma

    @property
    def bears_patterns(self) -> bool:  # type: ignore[override]
        """Indifference of the fine estimator to patterns of missing pixels."""
        return self.fine.bears_patterns

    def parameters(self) -> dict[str, object]:
        """The parameters of the fine estimator, and the search."""
        own = self.fine.parameters()
        # Its own search is around the first guess.
        if "search" in own:
            own["fine_search"] = own["search"]
        return {**own, "search": self.search}

    @property
    def halo(self) -> int:
        """The fine estimator's, the search, and the reach of the interpolation."""
        return self.fine.halo + self.search + MARGIN

    @property
    def support(self) -> int:
        """The fine estimator's."""
        return self.fine.support

    @property
    def default_step(self) -> int:
        """The fine estimator's, pixels."""
        return self.fine.step

    @property
    def blur(self) -> float:
        """The fine estimator's, pixels."""
        return self.fine.blur

    @property
    def error_length(self) -> float:
        """The fine estimator's, pixels."""
        return self.fine.error_length

    @property
    def mean_over(self) -> int:
        """The fine estimator's, pixels."""
        return self.fine.mean_over

    @property
    def tile(self) -> int:
        """Several tiles of the fine estimator, about 256 pixels together."""
        return self.fine.tile * self._across

    @property
    def _across(self) -> int:
        return max(1, AREA // (self.fine.tile * self.step))

    def __call__(self, pre: np.ndarray, post: np.ndarray) -> Estimate:
        """See :meth:`Estimator.__call__`."""
        parts = [self._measure(one, two) for one, two in zip(pre, post, strict=True)]
        return Estimate.stacked(parts)

    def _measure(self, pre: np.ndarray, post: np.ndarray) -> Estimate:
        """Estimate of one tile, arrays (tile, tile)."""
        guess = _guess(pre, post, self.search, self.device)
        found = self._measured_from(pre, post, guess)
        beyond = np.maximum(np.abs(found.dx), np.abs(found.dy)) > self.search
        found.flags[beyond] |= Flag.OUT_OF_RANGE
        return found

    def _measured_from(self, pre: np.ndarray, post: np.ndarray, guess: _Guess) -> Estimate:
        """Estimate of one tile with a given guess, arrays (tile, tile)."""
        stepped = bool(_sides(guess))
        fine = (stepped and self.fine.near_guess) or self.fine
        rim = self.halo - fine.halo
        inner = slice(rim, pre.shape[0] - rim)
        # Layers see the halo, too.
        seen = slice(0, pre.shape[0]) if stepped else inner
        dx, dy = (_at_pixels(field, guess, seen) for field in (guess.dx, guess.dy))
        if stepped:
            ramp = dx, dy
            dx, dy = sharpened(pre, post, dx, dy)
            jumps = beside_jumps(ramp, (dx, dy), BESIDE, APART)[inner, inner].astype(np.uint8)
            dx, dy = dx[inner, inner], dy[inner, inner]
        rigid = [float(np.ptp(field)) < RIGID for field in (dy, dx)]
        if all(rigid):
            whole = [round(float(np.median(field))) for field in (dy, dx)]
            dy, dx = (np.full_like(field, n) for field, n in zip((dy, dx), whole, strict=True))
            moved = tuple(slice(inner.start + n, inner.stop + n) for n in whole)
            near = post[moved]
        else:
            rows, cols = np.ogrid[inner, inner]
            near = sample_quintic(post, rows + dy, cols + dx, missing="nearest")
        found = self._fine(fine, pre[inner, inner], near)

        # pre(x) = post(y + guess(y)) at y = x + rest: the guess belongs to y.
        centre = fine.halo + np.arange(self.tile) * self.step + (self.step - 1) / 2
        at = [centre[:, None] + np.nan_to_num(found.dy), centre[None, :] + np.nan_to_num(found.dx)]
        for rest, field in ((found.dx, dx), (found.dy, dy)):
            rest += ndimage.map_coordinates(field, at, order=1, mode="nearest")
        if stepped:
            unsure = ndimage.map_coordinates(jumps, at, order=0, mode="nearest") > 0
            found.flags[unsure & (found.flags != Flag.NODATA)] |= Flag.AMBIGUOUS
        return found

    def _fine(self, fine: Estimator, pre: np.ndarray, post: np.ndarray) -> Estimate:
        """Estimate of a fine estimator on all its tiles, joined."""
        hop, side = fine.tile * self.step, fine.tile * self.step + 2 * fine.halo
        batches = []
        for image in (pre, post):
            views = np.lib.stride_tricks.sliding_window_view(image, (side, side))[::hop, ::hop]
            batches.append(np.array(views).reshape(-1, side, side))
        n, t = self.tile // fine.tile, fine.tile
        return fine(*batches).mapped(
            lambda field: np.array(
                field.reshape(n, n, t, t).transpose(0, 2, 1, 3).reshape(n * t, n * t)
            )
        )


# ------------------------------------------------------------------ first guess


@dataclasses.dataclass(frozen=True)
class _Guess:
    """Displacement at nodes over a tile, pixels."""

    dx: np.ndarray
    dy: np.ndarray
    spacing: int  # of the nodes, pixels; the first lies in the middle of the first cell


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Level(Phase):
    """Phase correlation at as many nodes a side as asked for."""

    nodes: int = 1

    @property
    def tile(self) -> int:
        return self.nodes


def _guess(pre: np.ndarray, post: np.ndarray, search: int, device: str) -> _Guess:
    """Displacement of a tile, coarse to fine."""
    factor = max(2, 2 ** math.ceil(math.log2(search / TOP_SEARCH))) if search > TOP_SEARCH else 2
    reach = math.ceil(search / factor) + 1
    none = np.zeros((1, 1), np.float32)
    guess = _Guess(none, none, spacing=pre.shape[0])
    while factor >= 2:
        guess = _next_guess(block_mean(pre, factor), block_mean(post, factor), guess, factor, reach,
                            search, device)  # fmt: skip
        factor //= 2
        reach = NEXT_SEARCH
    return guess


def _next_guess(
    pre: np.ndarray,
    post: np.ndarray,
    guess: _Guess,
    factor: int,
    reach: int,
    search: int,
    device: str,
) -> _Guess:
    """Improve a guess with images reduced by `factor`, sides of a step one by one."""
    spacing, count = factor * STEP, -(-pre.shape[0] // STEP)
    level = _Level(window=WINDOW, step=STEP, search=reach, device=device, nodes=count)
    nodes = spacing * (np.arange(count) + 0.5) - 0.5
    best = np.full((count, count), -np.inf)
    found = np.full((2, count, count), np.nan, np.float32)
    for before in (guess, *_sides(guess)):
        rest = _matched(level, pre, post, before, factor)
        good = (rest.flags[0] == 0) & (rest.quality[0] > LEAST_QUALITY)
        total = [
            factor * field + _interpolated(known, before.spacing, nodes)
            for field, known in ((rest.dx[0], before.dx), (rest.dy[0], before.dy))
        ]
        good &= (np.abs(total) <= search + spacing).all(axis=0)
        better = good & (rest.quality[0] > best)
        best[better] = rest.quality[0][better]
        found[:, better] = np.array(total)[:, better]
    deviation = normalised_deviation(found[0], found[1], 2, SCATTER * factor)
    # Where no neighbour is good, there is nothing to agree with.
    good = np.isfinite(found[0]) & np.isfinite(found[1]) & (deviation < LARGEST_DEVIATION)
    if not good.any():
        return guess
    dx, dy = (
        np.clip(ndimage.median_filter(field, 3, mode="nearest"), -search, search)
        for field in fill_nearest(found, ~good)
    )
    return _Guess(dx.astype(np.float32), dy.astype(np.float32), spacing)


def _matched(
    level: _Level, pre: np.ndarray, post: np.ndarray, guess: _Guess, factor: int
) -> Estimate:
    """Displacement that is left beyond a guess, reduced pixels, shape (1, n, n)."""
    size = pre.shape[0]
    # Centres of reduced pixels, in pixels.
    position = factor * np.arange(size) + (factor - 1) / 2
    dy, dx = (_interpolated(f, guess.spacing, position) for f in (guess.dy, guess.dx))
    if np.any(dy) or np.any(dx):
        rows, cols = np.ogrid[:size, :size]
        post = sample_quintic(post, rows + dy / factor, cols + dx / factor, missing="nearest")
    pad = level.halo, level.halo + level.nodes * STEP - size
    tiles = (np.pad(image, pad, constant_values=np.nan)[None] for image in (pre, post))
    return level(*tiles)


def _sides(guess: _Guess) -> list[_Guess]:
    """Guesses that go on beyond a step of the guess; none where it has no step."""
    if guess.dx.size == 1:
        return []
    smallest, largest = smallest_and_largest(guess.dx, guess.dy)
    if np.max(np.abs(np.subtract(smallest, largest))) <= DIFFERENT:
        return []
    return [_Guess(dx, dy, guess.spacing) for dx, dy in (smallest, largest)]


def _at_pixels(field: np.ndarray, guess: _Guess, inner: slice) -> np.ndarray:
    return _interpolated(field, guess.spacing, np.arange(inner.start, inner.stop))


def _interpolated(field: np.ndarray, spacing: int, position: np.ndarray) -> np.ndarray:
    """Linear between nodes, constant beyond; `position` serves as rows and as columns."""
    at = (np.asarray(position, np.float64) + 0.5) / spacing - 0.5
    grid = np.meshgrid(at, at, indexing="ij")
    return ndimage.map_coordinates(field, grid, output=np.float32, order=1, mode="nearest")
