"""Scores of methods: errors by set, distance, size and correlation; offsets; calibration."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np
from scipy import ndimage

from .cases import Case

__all__ = [
    "METRICS", "Collected", "Evaluation", "Found", "GroupScores", "Metric", "Tally", "Worst",
]  # fmt: skip

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
    """A method's result for a case, on a grid of rows and columns.

    Attributes
    ----------
    rows, cols : numpy.ndarray
        Rows and columns of the values, 1-D, input pixels.
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
class Collected:
    """All that one method found on the cases of one set, one value a pixel.

    Attributes
    ----------
    error, distance, correlation : numpy.ndarray of float32
        Where there is a result: end-point error and distance from the trace (infinite
        where there is none), pixels; local correlation of the images.
    sigma : numpy.ndarray of float32
        At the same pixels; empty without sigma.
    ratio : numpy.ndarray of float32
        Error of each component over sigma; empty without sigma.
    sizes : dict
        Size of the displacement to the mean errors of the cases of that size, pixels.
    squares, missing : list of float
        Mean square of each component's error, and share of pixels without a value,
        of every case.
    offsets : dict
        Part of the profiles that is fitted, to the size and the offset found over
        true of every case that has one.
    """

    error: np.ndarray
    distance: np.ndarray
    correlation: np.ndarray
    sigma: np.ndarray
    ratio: np.ndarray
    sizes: dict[str, list[float]]
    squares: list[float]
    missing: list[float]
    offsets: dict[tuple[float, float], list[tuple[str, float]]]

    def offset_ratios(self, fit: tuple[float, float] = FITS[0]) -> dict[str, list[float]]:
        """Offsets found over true of one part of the profiles, by size of the displacement."""
        found: dict[str, list[float]] = {}
        for size, ratio in self.offsets[fit]:
            found.setdefault(size, []).append(ratio)
        return found

    def share_within(self, factor: float) -> float:
        """Share of the components' errors within so many sigma; NaN without sigma."""
        known = np.isfinite(self.ratio)
        return float((self.ratio[known] <= factor).mean()) if known.any() else math.nan


#: A number, or one for each class.
Score: TypeAlias = float | dict[str, float]


@dataclasses.dataclass(frozen=True)
class Metric:
    """One score of a method on a set: how it is computed, and how a page shows it.

    Attributes
    ----------
    name : str
        Key of the score; attribute of :class:`GroupScores`.
    heading : str
        Heading of its column; of its table where it has one number for each class.
    measure : callable
        From :class:`Collected` to a number, or to a dict with one for each class.
    by_class : bool
        Whether it has one number for each class, and a table of its own.
    percent : bool
        Whether it is shown in per cent.
    note : str
        What a reader of the page must know of it.

    Examples
    --------
    >>> import numpy as np
    >>> Metric("p90", "90 %", lambda found: float(np.quantile(found.error, 0.9))).heading
    '90 %'
    """

    name: str
    heading: str
    measure: Callable[[Collected], Score]
    by_class: bool = False
    percent: bool = False
    note: str = ""


#: All scores, in the order of the page. A new one is one entry here.
METRICS: tuple[Metric, ...] = (
    Metric("mean", "mean", lambda c: float(c.error.mean())),
    Metric("median", "median", lambda c: float(np.median(c.error))),
    Metric("near", "< 8 px", lambda c: _mean(c.error[c.distance < 8])),
    Metric(
        "offset",
        "offset",
        lambda c: _mean([value for _, value in c.offsets[FITS[0]]]),
        note="*offset* is the offset across the trace from stacked profiles over the true one "
        "(lines fitted 2 to 24 px from the trace; offsets of 0.1 px or more)",
    ),
    Metric(
        "rms",
        "RMS",
        lambda c: math.sqrt(float(np.mean(c.squares))),
        note="*RMS* is the root mean square error of each component",
    ),
    Metric("missing", "missing", lambda c: float(np.mean(c.missing)), percent=True),
    Metric(
        "inside_68",
        "in 68 %",
        lambda c: c.share_within(1.0),
        percent=True,
        note="*in 68 %* and *in 95 %* are the shares of errors within 1 and 1.96 sigma",
    ),
    Metric("inside_95", "in 95 %", lambda c: c.share_within(1.96), percent=True),
    Metric(
        "by_distance",
        "By distance from the trace",
        lambda c: _by_class(c.error, c.distance, DISTANCES, "{0:g}-{1:g} px"),
        by_class=True,
    ),
    Metric(
        "by_size",
        "By size of the displacement",
        lambda c: {size: float(np.mean(errors)) for size, errors in sorted(c.sizes.items())},
        by_class=True,
    ),
    Metric(
        "by_correlation",
        "By local correlation",
        lambda c: _by_class(c.error, c.correlation, CORRELATIONS, "{0:g}-{1:g}"),
        by_class=True,
    ),
    Metric(
        "sigma_by_correlation",
        "Mean sigma that a method states, by local correlation",
        lambda c: _sigma_by_correlation(c),
        by_class=True,
    ),
    Metric(
        "offset_by_fit",
        "Offset across the trace, found over true, by the part fitted",
        lambda c: {
            f"{first:g}-{last:g} px": _mean([value for _, value in ratios])
            for (first, last), ratios in c.offsets.items()
        },
        by_class=True,
    ),
    Metric(
        "offset_by_size",
        "Offset across the trace within 24 px, found over true, by size",
        lambda c: {
            size: _mean(ratios)
            for size, ratios in sorted(c.offset_ratios().items(), key=lambda item: float(item[0]))
        },
        by_class=True,
    ),
)


@dataclasses.dataclass(frozen=True)
class GroupScores:
    """Scores of one method on one set: an attribute for each of :data:`METRICS`.

    Errors are end-point errors in pixels, means over all pixels of a set.

    Attributes
    ----------
    values : dict
        Name of the metric to its score: a number, or a dict from class to number.

    Examples
    --------
    >>> GroupScores({"mean": 0.1, "missing": 0.0}).mean
    0.1
    """

    values: dict[str, Score]

    def __getattr__(self, name: str) -> Any:
        """One score by its name."""
        # Copies and pickles ask before there are any values.
        values = self.__dict__.get("values", {})
        if name not in values:
            raise AttributeError(f"no score {name!r}; there are {', '.join(values)}")
        return values[name]


@dataclasses.dataclass(frozen=True)
class Worst:
    """One of the cases that a method was worst at.

    Attributes
    ----------
    case : Case
    found : Found
    error : float
        Mean end-point error, pixels.
    """

    case: Case
    found: Found
    error: float


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Scores of all methods.

    Attributes
    ----------
    scores : dict
        Method, then set, to its scores.
    seconds : dict
        Method to CPU seconds for a million pixels of input.
    worst : list of Worst
        Worst cases of the first method, the worst first.
    border : int
        Rows and columns left out, pixels.
    counts : dict
        Set to its number of cases.

    Examples
    --------
    >>> scores = {"unet": {"faults": GroupScores({"mean": 0.1})}}
    >>> Evaluation(scores, {"unet": 40.0}, [], 32, {"faults": 9}).scores["unet"]["faults"].mean
    0.1
    """

    scores: dict[str, dict[str, GroupScores]]
    seconds: dict[str, float]
    worst: list[Worst]
    border: int
    counts: dict[str, int]


class Tally:
    """Collects errors of one method on the cases of one set.

    Parameters
    ----------
    border : int
        Rows and columns left out at the border, pixels: half of the largest
        window of all methods that are compared, the same for all.
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
        """Take in a result and return the mean end-point error of its case, pixels."""
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
        """Compute all scores of what was taken in."""
        collected = Collected(
            error=_joined(self._errors),
            distance=_joined(self._distances),
            correlation=_joined(self._correlations),
            sigma=_joined(self._sigmas),
            ratio=_joined(self._ratios),
            sizes=self._sizes,
            squares=self._squares,
            missing=self._missing,
            offsets=self._offsets,
        )
        return GroupScores({metric.name: metric.measure(collected) for metric in METRICS})


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    """Arrays one after the other; an empty one of none."""
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def _sigma_by_correlation(collected: Collected) -> dict[str, float]:
    """Mean sigma by class of correlation; nothing without sigma."""
    if not collected.sigma.size:
        return {}
    known = np.isfinite(collected.sigma)
    values = collected.sigma[known], collected.correlation[known]
    return _by_class(*values, CORRELATIONS, "{0:g}-{1:g}")


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


def _by_class(
    error: np.ndarray, values: np.ndarray, edges: Iterable[float], label: str
) -> dict[str, float]:
    """Mean error where the values lie between neighbouring edges, by the label of both."""
    return {
        label.format(low, high): _mean(error[(values >= low) & (values < high)])
        for low, high in itertools.pairwise(edges)
    }


def _mean(values: Sequence[float] | np.ndarray) -> float:
    """Mean of numbers; NaN of none."""
    return float(np.mean(values)) if len(values) else math.nan
