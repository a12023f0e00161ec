"""Scores of methods: errors by set, distance, size and correlation; offsets; calibration."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterable

import numpy as np
from scipy import ndimage

from .cases import Case

__all__ = ["DISTANCES", "Found", "GroupScores", "Tally"]

#: Edges of the classes of distance from the trace, pixels.
DISTANCES = (0, 2, 4, 8, 16, 32, math.inf)
#: Edges of the classes of local correlation.
CORRELATIONS = (-1, 0.3, 0.5, 0.7, 0.8, 0.9, 1.01)
#: Stacked profiles: straight lines are fitted from the first to the last of these distances
#: from the trace, pixels. The nearest part shows what is blurred at the fault itself, the
#: farther ones what is left to who leaves a gap there, as one does with window correlators.
FITS = ((2.0, 24.0), (8.0, 48.0), (16.0, 64.0))
# Profiles of smaller offsets say nothing of a bias in per cent, pixels.
_SMALLEST_OFFSET = 0.1


@dataclasses.dataclass(frozen=True)
class Found:
    """A method's result for a case, on a grid of places.

    Attributes
    ----------
    rows, cols : numpy.ndarray
        Places of the values, 1-D, input pixels.
    dx, dy : numpy.ndarray
        Shape ``(len(rows), len(cols))``, pixels; NaN where nothing was found.
    sigma : numpy.ndarray or None
        One standard deviation of each component, pixels.
    """

    rows: np.ndarray
    cols: np.ndarray
    dx: np.ndarray
    dy: np.ndarray
    sigma: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class GroupScores:
    """Scores of one method on one set; pixels.

    Attributes
    ----------
    mean, median : float
        Of the end-point error; `mean` over all values, `median` too.
    near : float
        Mean within 8 px of the trace.
    rms : float
        Root mean square of each component's error.
    missing : float
        Share of places without a value.
    by_distance, by_correlation, by_size : dict
        Class to mean end-point error.
    offset : float
        Mean ratio of the offset found to the true one, by stacked profiles, the
        lines fitted within 24 px of the trace.
    offset_by_fit, offset_by_size : dict
        The same by what part of the profiles is fitted, and (within 24 px) by the
        displacement's size.
    sigma_by_correlation : dict
        Class to mean sigma; empty without sigma.
    inside_68, inside_95 : float
        Share of components' errors within 1 and 1.96 sigma; NaN without sigma.
    """

    mean: float
    median: float
    near: float
    rms: float
    missing: float
    by_distance: dict[str, float]
    by_correlation: dict[str, float]
    by_size: dict[str, float]
    offset: float
    offset_by_fit: dict[str, float]
    offset_by_size: dict[str, float]
    sigma_by_correlation: dict[str, float]
    inside_68: float
    inside_95: float


class Tally:
    """Collects errors of one method on the cases of one set.

    Parameters
    ----------
    border : int
        Rows and columns left out at the border, pixels: half of the largest
        window of all methods that are compared, for all alike.
    """

    def __init__(self, border: int) -> None:
        self.border = border
        self._errors: list[np.ndarray] = []
        self._distances: list[np.ndarray] = []
        self._correlations: list[np.ndarray] = []
        self._sizes: dict[str, list[float]] = {}
        self._squares: list[float] = []
        self._missing: list[float] = []
        self._offsets: dict[tuple[float, float], list[tuple[str, float]]] = {f: [] for f in FITS}
        self._ratios: list[np.ndarray] = []
        self._sigmas: list[np.ndarray] = []

    def add(self, case: Case, found: Found, correlation: np.ndarray) -> float:
        """Take in a result; the mean end-point error of this case."""
        height, width = case.pre.shape
        keep_rows = (found.rows >= self.border) & (found.rows <= height - 1 - self.border)
        keep_cols = (found.cols >= self.border) & (found.cols <= width - 1 - self.border)
        inner = np.ix_(keep_rows, keep_cols)
        rows, cols = found.rows[keep_rows], found.cols[keep_cols]

        def at(field: np.ndarray) -> np.ndarray:
            places = np.meshgrid(rows, cols, indexing="ij")
            return ndimage.map_coordinates(field, places, order=1, mode="nearest")

        wrong_x = found.dx[inner] - at(case.flow[0])
        wrong_y = found.dy[inner] - at(case.flow[1])
        error = np.hypot(wrong_x, wrong_y)
        known = np.isfinite(error)
        whole = error.copy()
        error = error[known]
        self._errors.append(error.astype(np.float32))
        distance = np.full(whole.shape, np.inf)
        if case.trace is not None:
            distance = np.abs(at(case.trace.distance))
        self._distances.append(distance[known].astype(np.float32))
        self._correlations.append(at(correlation)[known].astype(np.float32))
        self._sizes.setdefault(case.size, []).append(float(error.mean()))
        self._squares.append(float((error**2).mean() / 2))
        self._missing.append(1 - float(known.mean()))
        if found.sigma is not None:
            sigma = found.sigma[inner][known]
            self._sigmas.append(sigma.astype(np.float32))
            for wrong in (wrong_x, wrong_y):
                self._ratios.append(_ratio(wrong[known], sigma))
        if case.trace is not None:
            for fit, ratios in self._offsets.items():
                ratio = _offset_ratio(case, found, inner, at, fit)
                if ratio is not None:
                    ratios.append((case.size, ratio))
        return float(error.mean())

    def scores(self) -> GroupScores:
        """All scores of what was taken in."""
        error = np.concatenate(self._errors)
        distance = np.concatenate(self._distances)
        correlation = np.concatenate(self._correlations)
        ratio = np.concatenate(self._ratios) if self._ratios else np.array([np.nan])
        told = np.isfinite(ratio)
        near = self._offsets[FITS[0]]
        return GroupScores(
            mean=float(error.mean()),
            median=float(np.median(error)),
            near=_mean(error[distance < 8]),
            rms=math.sqrt(float(np.mean(self._squares))),
            missing=float(np.mean(self._missing)),
            by_distance=_classes(error, distance, DISTANCES, "{0:g}-{1:g} px"),
            by_correlation=_classes(error, correlation, CORRELATIONS, "{0:g}-{1:g}"),
            by_size={size: float(np.mean(v)) for size, v in sorted(self._sizes.items())},
            offset=_mean(np.array([value for _, value in near])),
            offset_by_fit={
                f"{first:g}-{last:g} px": _mean(np.array([value for _, value in values]))
                for (first, last), values in self._offsets.items()
            },
            offset_by_size={
                size: _mean(np.array([value for s, value in near if s == size]))
                for size in sorted({s for s, _ in near}, key=float)
            },
            sigma_by_correlation=self._told(correlation),
            inside_68=float((ratio[told] <= 1).mean()) if told.any() else math.nan,
            inside_95=float((ratio[told] <= 1.96).mean()) if told.any() else math.nan,
        )

    def _told(self, correlation: np.ndarray) -> dict[str, float]:
        """Mean sigma by class of correlation."""
        if not self._sigmas:
            return {}
        sigma = np.concatenate(self._sigmas)
        told = np.isfinite(sigma)
        return _classes(sigma[told], correlation[told], CORRELATIONS, "{0:g}-{1:g}")


def _ratio(wrong: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Error over sigma; 0 where both are 0, as of an image against itself."""
    least = np.finfo(np.float32).tiny
    ratio = np.abs(wrong) / np.maximum(sigma, least)
    return np.minimum(ratio, 1e6).astype(np.float32)


def _offset_ratio(
    case: Case, found: Found, inner: tuple, at: object, fit: tuple[float, float]
) -> float | None:
    """Offset found over true offset, both from lines through stacked profiles."""
    trace = case.trace
    assert trace is not None
    assert callable(at)
    side = at(trace.distance)
    usable = at(trace.inside.astype(np.float32)) > 0.99
    along = [at(trace.along[k]) for k in (0, 1)]
    true = along[0] * at(case.flow[0]) + along[1] * at(case.flow[1])
    seen = along[0] * found.dx[inner] + along[1] * found.dy[inner]
    usable &= np.isfinite(seen)
    offsets = []
    for field in (true, seen):
        ends = []
        for sign in (1, -1):
            part = usable & (sign * side >= fit[0]) & (sign * side <= fit[1])
            if part.sum() < 200:
                return None
            _slope, value = np.polyfit(side[part], field[part], 1)
            ends.append(value)
        offsets.append(ends[0] - ends[1])
    if abs(offsets[0]) < _SMALLEST_OFFSET:
        return None
    return float(offsets[1] / offsets[0])


def _classes(
    error: np.ndarray, values: np.ndarray, edges: Iterable[float], label: str
) -> dict[str, float]:
    edges = list(edges)
    return {
        label.format(low, high): _mean(error[(values >= low) & (values < high)])
        for low, high in itertools.pairwise(edges)
    }


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else math.nan
