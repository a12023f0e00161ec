"""The motion that remains between two images once their grids are matched, measured.

Coarse to fine: reduced images are correlated over the whole search, places that agree
on a motion are kept (:mod:`xsubpix.kernels.motion`), and windows on a grid of places are
then cut from the original pixels along that motion and measured again, until nothing
changes.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import xarray as xr

from ..correlate import correlate
from ..errors import DataError, GridError
from ..estimators.phase import Phase
from ..image import condition_linear
from ..kernels.motion import Motion, MotionFit, fit_motion, number_of_terms
from .resample import GridMap, Resampling, Window, read_windows, resample

if TYPE_CHECKING:
    from ..image import Image

__all__ = ["Registration", "Stable", "measure_registration"]

#: ``stable(rows, cols) -> bool``: whether pixels of the reference may be used.
Stable = Callable[[np.ndarray, np.ndarray], np.ndarray]

# The coarsest images are reduced until the search is at most so many of their pixels,
# as long as they keep so many on their shorter side.
TOP_SEARCH, TOP_SIDE = 16, 96
# Windows of the coarse level and their distance, reduced pixels.
COARSE_WINDOW, COARSE_STEP = 32, 16
# Pixels beyond which a window does not look around the motion known so far.
FINE_SEARCH = 8
# Standard deviation of the smoothing of both images before windows are measured, pixels. What
# pixels fold of finer ground moves the other way: means of 2 x 2 pixels of Landsat-7 were
# found 0.09 px short of a shift of 0.43.
SMOOTHED = 1.0
# Pixels that differ by no more over half a window are taken as they are.
LARGEST_STRAIN = 0.6
# Places a side of the longer side, at most.
PLACES = 16
# The motion has settled when no place moves by more, pixels; rounds until it must have.
SETTLED, ROUNDS = 0.005, 8
# Matches of less correlation are not believed.
LEAST_QUALITY = 0.3
# Of the places that have contrast, so many must agree, and so many for each coefficient.
LEAST_SHARE, LEAST_PLACES, PLACES_A_TERM = 0.15, 6, 3
# Scatter of the places about the motion beyond which they agree on nothing, pixels.
LARGEST_SCATTER = 0.7


@dataclasses.dataclass(frozen=True)
class Registration:
    """A motion, and what it rests on.

    Attributes
    ----------
    motion : Motion
        Pixels of the reference.
    places, measured : int
        Windows that agree with it, and windows with enough contrast and data.
    nmad : float
        Normalised median absolute deviation of their residuals, pixels a component.
    rounds : int
        Measurements until the motion settled.
    """

    motion: Motion
    places: int
    measured: int
    nmad: float
    rounds: int


class _Matches(NamedTuple):
    """Displacements measured at places of the reference, pixels; only those believed."""

    rows: np.ndarray
    cols: np.ndarray
    shift: np.ndarray  # (n, 2), dx and dy
    weight: np.ndarray
    measured: int


def measure_registration(
    image: Image,
    reference: Image,
    *,
    order: int,
    search: float,
    window: int,
    stable: Stable | None = None,
) -> Registration:
    """Measure the polynomial motion from a reference to an image on any grid.

    Parameters
    ----------
    image, reference : Image
    order : {0, 1, 2}
    search : float
        Largest shift looked for along each axis, pixels of the reference.
    window : int
        Side of the windows of the last level, pixels.
    stable : callable, optional
        Pixels of the reference that may be used.

    Returns
    -------
    Registration

    Raises
    ------
    GridError
        The two share no ground.
    DataError
        Too few places agree on a motion.
    """
    shape = reference.grid.shape
    area = shared_area(image, reference, margin=math.ceil(search))
    start = None
    for factor in _factors(area, search):
        matches = _coarse(image, reference, area, factor, search, stable)
        start = _agreed(matches, 1, shape, tolerance=1.0 * factor, least_order=0)
        if start is not None:
            break
    else:
        raise _no_match(matches, search, start)
    motion = start.motion

    identity = GridMap(reference.grid, image.grid, Motion.none(shape))
    # A reference of finer pixels is averaged to those of the image.
    finest = max(1, round(1 / max(*identity.scale(), 1e-3)))
    fine = _Fine(image, reference, area, finest, window, stable)
    rounds = 0
    while True:
        rounds += 1
        matches = fine.measure(motion)
        fit = _agreed(matches, max(order, 1), shape, tolerance=1.0 * finest, least_order=order)
        if fit is None:
            raise _no_match(matches, search, _agreed(matches, order, shape, finest, order))
        last, motion = motion, fit.motion
        at = matches.rows[fit.agreeing], matches.cols[fit.agreeing]
        change = np.hypot(*(np.subtract(motion(*at), last(*at))))
        if change.max() < SETTLED * finest or rounds == ROUNDS:
            break
    if fit.motion.order != order:
        agreed = _agreed(matches, order, shape, tolerance=2.0 * finest, least_order=order)
        if agreed is None:
            raise _no_match(matches, search, agreed)
        fit = agreed
    if fit.nmad > LARGEST_SCATTER * finest and order > 0:
        raise _no_match(matches, search, fit)
    return Registration(fit.motion, int(fit.agreeing.sum()), matches.measured, fit.nmad, rounds)


def shared_area(image: Image, reference: Image, margin: int) -> Window:
    """Part of the reference under an image, with a margin; first row, column, and size."""
    back = GridMap(image.grid, reference.grid, Motion.none(image.grid.shape))
    height, width = image.grid.shape
    rows, cols = (np.linspace(-0.5, n - 0.5, 21) for n in (height, width))
    at = np.stack(back.points(rows[:, None], cols[None, :])).reshape(2, -1)
    at = at[:, np.isfinite(at).all(0)]
    area = []
    for k, size in enumerate(reference.grid.shape):
        low, high = (at[k].min(), at[k].max()) if at.size else (math.nan, math.nan)
        if not (high > 0 and low < size - 1):
            raise GridError(
                "image and reference share no ground: on the reference's grid the image lies in "
                f"{'rows' if k == 0 else 'columns'} {low:.0f} to {high:.0f}, and the reference has "
                f"0 to {size - 1}. Choose scenes of one place, or check their CRSs."
            )
        first, last = max(0, math.floor(low) - margin), min(size, math.ceil(high) + 1 + margin)
        area.append((first, last - first))
    (row, rows_), (col, cols_) = area
    return row, col, rows_, cols_


def _factors(area: Window, search: float) -> list[int]:
    """Reductions to try for the coarse level, the likeliest first."""
    wanted = 2 ** max(0, math.ceil(math.log2(max(search, 1) / TOP_SEARCH)))
    possible = 2 ** max(0, math.floor(math.log2(max(1.0, min(area[2:]) / TOP_SIDE))))
    factor = min(wanted, possible)
    return [factor] if factor < 4 else [factor, factor // 2]


def _coarse(
    image: Image,
    reference: Image,
    area: Window,
    factor: int,
    search: float,
    stable: Stable | None,
) -> _Matches:
    """Displacements all over reduced images."""
    shape = reference.grid.shape
    none = Motion.none(shape)
    row, col, rows, cols = (n // factor for n in area)
    if min(rows, cols) < COARSE_WINDOW // 2:
        raise DataError(
            f"image and reference share {area[2]} x {area[3]} pixels of the reference, search "
            f"included: too few for windows of {COARSE_WINDOW // 2} pixels. Give larger images."
        )
    reduced = []
    for one in (reference, image):
        resampling = Resampling.of(one, GridMap(reference.grid, one.grid, none, factor))
        array = resample(one.data, resampling, (row, col, rows, cols), "subpix-align-coarse")
        reduced.append(np.array(array))
    if stable is not None:
        half = (factor - 1) / 2
        at = [factor * np.arange(i, i + n) + half for i, n in ((row, rows), (col, cols))]
        reduced[0][~stable(at[0][:, None], at[1][None, :])] = np.nan
    window = COARSE_WINDOW if min(rows, cols) >= 2 * COARSE_WINDOW else COARSE_WINDOW // 2
    step = min(COARSE_STEP, window // 2)
    phase = Phase(window=window, step=step, search=math.ceil(search / factor) + 1, device="cpu")
    found = correlate(*(xr.DataArray(r, dims=("y", "x")) for r in reduced), model=phase)
    centres = [
        factor * (step * np.arange(n) + (step - 1) / 2 + first) + (factor - 1) / 2
        for n, first in zip(found["east"].shape, (row, col), strict=True)
    ]
    shift = factor * np.stack([found["east"].values, found["north"].values], axis=-1)
    at_rows, at_cols = np.meshgrid(*centres, indexing="ij")
    return _believed(found, at_rows, at_cols, shift)


def _believed(found: xr.Dataset, rows: np.ndarray, cols: np.ndarray, shift: np.ndarray) -> _Matches:
    """Matches of some correlation and without flags, but for the edge."""
    flags = found["flags"].values & ~np.uint8(2)
    quality, sigma = found["quality"].values, found["sigma"].values
    # Places with data and contrast: those that could have agreed.
    measured = int(((flags & 5) == 0).sum())
    good = (flags == 0) & (quality > LEAST_QUALITY) & np.isfinite(shift).all(-1)
    good &= np.isfinite(sigma)
    # No window is known so well that it may outvote a hundred others.
    weight = 1 / (sigma[good] ** 2 + 0.05**2)
    return _Matches(rows[good], cols[good], shift[good].astype(float), weight, measured)


def _agreed(
    matches: _Matches, order: int, shape: tuple[int, int], tolerance: float, least_order: int
) -> MotionFit | None:
    """The motion that enough places agree on, of the highest order that they bear; or None."""
    for degree in range(order, least_order - 1, -1):
        least = max(LEAST_PLACES, PLACES_A_TERM * number_of_terms(degree))
        if matches.rows.size < least:
            continue
        fit = fit_motion(
            matches.rows, matches.cols, matches.shift, matches.weight,
            order=degree, shape=shape, tolerance=tolerance,
        )  # fmt: skip
        if fit.agreeing.sum() >= max(least, LEAST_SHARE * matches.measured):
            return fit
    return None


@dataclasses.dataclass(frozen=True)
class _Fine:
    """Windows on a grid of places, cut from the original pixels.

    They are put side by side into two mosaics of cells, so that one call measures all.
    """

    image: Image
    reference: Image
    area: Window
    factor: int
    window: int
    stable: Stable | None
    corners: np.ndarray = dataclasses.field(init=False, repr=False)
    mosaic: np.ndarray = dataclasses.field(init=False, repr=False)

    def __post_init__(self) -> None:
        row, col, rows, cols = (n // self.factor for n in self.area)
        # Half a window inside of the area, farther apart than half a window.
        reach = self.window
        longest = max(rows, cols)
        counts = [
            max(1, min(math.ceil(PLACES * n / longest), 1 + 2 * max(0, n - reach) // self.window))
            for n in (rows, cols)
        ]
        centres = [
            first + np.linspace(min(n, reach) / 2, n - min(n, reach) / 2, count)
            for first, n, count in zip((row, col), (rows, cols), counts, strict=True)
        ]
        corners = np.stack(np.meshgrid(*centres, indexing="ij"), axis=-1) - self.cell / 2
        object.__setattr__(self, "corners", np.rint(corners).astype(int))
        shape = self.reference.grid.shape
        if self.factor > 1:
            mosaic = self._mosaic(self.reference, Motion.none(shape))
        else:
            mosaic = self._whole(self.reference, np.zeros(self.corners.shape))
        if self.stable is not None:
            mosaic[~self._cells_of(self._stable_cell)] = np.nan
        object.__setattr__(self, "mosaic", self._smoothed(mosaic))

    @property
    def cell(self) -> int:
        """Side of a cell: a window and its search on both sides."""
        return self.window + 2 * FINE_SEARCH + self.window // 4

    def measure(self, motion: Motion) -> _Matches:
        """Displacements at all places, looked for around a motion."""
        grid_map = GridMap(self.reference.grid, self.image.grid, motion, self.factor)
        centres = self.corners + (self.cell - 1) / 2
        ahead = grid_map.jacobian(centres[..., 0], centres[..., 1])
        offsets = np.rint(np.stack(grid_map.points(centres[..., 0], centres[..., 1]), -1) - centres)
        # Pixels of the same size and direction need no interpolation: whole ones are taken.
        strain = np.abs(ahead - np.eye(2)).max(axis=(-2, -1)) * self.window / 2
        whole = bool((strain < LARGEST_STRAIN)[np.isfinite(strain)].all())
        moved = self._whole(self.image, offsets) if whole else self._mosaic(self.image, motion)
        moved = self._smoothed(moved)
        phase = Phase(window=self.window, step=self.cell, search=FINE_SEARCH, device="cpu")
        found = correlate(*(xr.DataArray(m, dims=("y", "x")) for m in (self.mosaic, moved)),
                          model=phase)  # fmt: skip
        rest = np.stack([found["north"].values, found["east"].values], axis=-1).astype(float)
        seen = centres + offsets + rest
        if not whole:
            seen = np.stack(grid_map.points(*np.moveaxis(centres + rest, -1, 0)), axis=-1)
        # From pixels of the image back to those of the reference, at this place.
        known = np.stack(grid_map.points(centres[..., 0], centres[..., 1]), axis=-1)
        rest = (np.linalg.pinv(np.nan_to_num(ahead)) @ (seen - known)[..., None])[..., 0]
        at = self.factor * centres + (self.factor - 1) / 2
        before = np.stack(motion(at[..., 0], at[..., 1]), axis=-1)
        shift = before + self.factor * rest[..., ::-1]
        return _believed(found, at[..., 0], at[..., 1], shift)

    def _whole(self, one: Image, offsets: np.ndarray) -> np.ndarray:
        """All cells of an image displaced by whole pixels, side by side."""
        first = np.nan_to_num(self.corners + offsets, nan=-1e6).astype(int).reshape(-1, 2)
        inside = [np.clip([i, i + self.cell], 0, n).T for i, n in
                  zip(first.T, one.grid.shape, strict=True)]  # fmt: skip
        windows = [
            (int(r[0]), int(c[0]), int(r[1] - r[0]), int(c[1] - c[0]))
            for r, c in zip(*inside, strict=True)
        ]
        cells = iter(zip(read_windows(one.data, windows), windows, first, strict=True))

        def cell(_: np.ndarray) -> np.ndarray:
            pixels, (row, col, rows, cols), corner = next(cells)
            out = np.full((self.cell, self.cell), np.nan)
            row, col = row - corner[0], col - corner[1]
            if rows and cols:
                out[row : row + rows, col : col + cols] = condition_linear(pixels, one.nodata)
            return out

        return self._cells_of(cell)

    def _mosaic(self, one: Image, motion: Motion) -> np.ndarray:
        """All cells of an image along a motion, side by side."""
        grid_map = GridMap(self.reference.grid, one.grid, motion, self.factor)
        resampling = Resampling.of(one, grid_map, oversample=2)
        targets: list[Window] = [
            (int(row), int(col), self.cell, self.cell) for row, col in self.corners.reshape(-1, 2)
        ]
        sources = [resampling.source(target) for target in targets]
        pixels = read_windows(one.data, sources)
        cells = iter(zip(pixels, sources, targets, strict=True))
        return self._cells_of(lambda _: resampling(*next(cells)))

    def _smoothed(self, mosaic: np.ndarray) -> np.ndarray:
        """Each cell of a mosaic without its finest waves; missing pixels stay missing."""
        from scipy.ndimage import gaussian_filter

        down, across = self.corners.shape[:2]
        cells = mosaic.reshape(down, self.cell, across, self.cell)
        known = np.isfinite(cells)
        sigma = (0, SMOOTHED, 0, SMOOTHED)
        # About each cell's mean, so that sums of large numbers lose nothing.
        count = known.sum((1, 3), keepdims=True)
        mean = np.where(known, cells, 0.0).sum((1, 3), keepdims=True) / np.maximum(count, 1)
        away = np.where(known, cells - mean, 0.0)
        total = gaussian_filter(away, sigma, mode="nearest")
        share = gaussian_filter(known.astype(float), sigma, mode="nearest")
        smooth = total / np.where(known, share, 1.0) + mean
        return np.where(known, smooth, np.nan).reshape(mosaic.shape)

    def _stable_cell(self, corner: np.ndarray) -> np.ndarray:
        assert self.stable is not None
        half = (self.factor - 1) / 2
        rows, cols = (self.factor * (n + np.arange(self.cell)) + half for n in corner)
        return self.stable(rows[:, None], cols[None, :])

    def _cells_of(self, function: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """Cells made one by one, in the order of the places, put side by side."""
        down, across = self.corners.shape[:2]
        cells = np.stack([function(corner) for corner in self.corners.reshape(-1, 2)])
        cells = cells.reshape(down, across, self.cell, self.cell)
        return cells.transpose(0, 2, 1, 3).reshape(down * self.cell, across * self.cell)


def _no_match(matches: _Matches, search: float, fit: MotionFit | None) -> DataError:
    """The error of a scene that cannot be registered."""
    agreeing = 0 if fit is None else int(fit.agreeing.sum())
    least = max(LEAST_PLACES, math.ceil(LEAST_SHARE * matches.measured))
    scatter = "" if fit is None else f", with a scatter of {fit.nmad:.2g} px about it"
    return DataError(
        f"image cannot be registered on reference: of {matches.measured} places with contrast and "
        f"data, {matches.rows.size} found a match within {search:g} px, and {agreeing} agree on "
        f"one motion{scatter}; at least {least} must. Give a larger search=, a band or a date that "
        "looks more alike, a lower order=, or a smaller part without cloud."
    )
