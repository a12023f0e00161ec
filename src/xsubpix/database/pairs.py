"""Real pairs: windows of stable ground seen at two dates.

Two co-registered scenes hold windows where the ground has not moved and the
surface has changed little. Those are the best second dates there are: their
differences are real. This module finds them, says why the other windows were
refused, and removes what misregistration is left, so that the only
displacement in a sample is the one that is put there.
"""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np

from ..errors import DataError
from ..kernels.spline import PREFILTER_REACH, SUPPORT
from .registration import (
    Misregistration,
    check_same_grid,
    measure_misregistration,
    resample_quintic,
)
from .statistics import local_correlation

__all__ = [
    "Misregistration",
    "PairSearch",
    "Rejection",
    "StablePair",
    "find_stable_pairs",
    "measure_misregistration",
    "resample_quintic",
    "texture",
]


@dataclasses.dataclass(frozen=True)
class StablePair:
    """A window of stable ground at two dates, registered.

    Attributes
    ----------
    row, column : int
        First row and column of the window in the scenes.
    pre, post : numpy.ndarray of float32
        Shape ``(size, size)``, units of the scenes; `post` is resampled on the
        ground of `pre`. NaN is missing.
    correlation : float
        Mean local correlation of the two, after registration.
    misregistration : Misregistration
        The shift that was removed from `post`.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> ground = rng.normal(size=(256, 256)).cumsum(0).cumsum(1)
    >>> found = find_stable_pairs(ground, ground + 0.01 * rng.normal(size=ground.shape), 256)
    >>> found.accepted[0].row, found.accepted[0].pre.shape
    (0, (256, 256))
    """

    row: int
    column: int
    pre: np.ndarray
    post: np.ndarray
    correlation: float
    misregistration: Misregistration


@dataclasses.dataclass(frozen=True)
class Rejection:
    """Reason for which one window was refused.

    Attributes
    ----------
    row, column : int
        First row and column of the window in the scenes.
    reason : str
        ``"missing data"``, ``"low texture"``, ``"misregistration"`` or
        ``"low correlation"``.
    value, limit : float
        What was measured and what was asked for.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> ground = rng.normal(size=(256, 256)).cumsum(0).cumsum(1)
    >>> found = find_stable_pairs(ground, ground + 0.01 * rng.normal(size=ground.shape), 256)
    >>> found.rejected
    ()
    """

    row: int
    column: int
    reason: str
    value: float
    limit: float


@dataclasses.dataclass(frozen=True)
class PairSearch:
    """Result of :func:`find_stable_pairs`.

    Attributes
    ----------
    accepted : tuple of StablePair
    rejected : tuple of Rejection

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> ground = rng.normal(size=(256, 256)).cumsum(0).cumsum(1)
    >>> found = find_stable_pairs(ground, ground + 0.01 * rng.normal(size=ground.shape), 256)
    >>> found.summary().split(" windows")[0]
    '1 of 1'
    """

    accepted: tuple[StablePair, ...]
    rejected: tuple[Rejection, ...]

    def summary(self) -> str:
        """One line: how many windows were kept, how many refused and why."""
        counts = Counter(r.reason for r in self.rejected)
        reasons = ", ".join(f"{reason} {n}" for reason, n in sorted(counts.items()))
        total = len(self.accepted) + len(self.rejected)
        return f"{len(self.accepted)} of {total} windows accepted; rejected: {reasons or 'none'}"


def find_stable_pairs(
    pre: np.ndarray,
    post: np.ndarray,
    size: int = 1024,
    *,
    stride: int | None = None,
    min_correlation: float = 0.9,
    window: int = 32,
    max_missing: float = 0.01,
    min_texture: float = 0.3,
    max_misregistration: float = 2.0,
    degree: int = 2,
) -> PairSearch:
    """Find windows of stable ground in two scenes of one grid.

    Each window of a regular lattice is tested for missing data, texture,
    misregistration and, once that is removed, mean local correlation. The first
    test that fails is the reason given.

    Parameters
    ----------
    pre, post : numpy.ndarray
        Scenes on one grid, shape ``(h, w)``, any radiometric unit. NaN is
        missing.
    size : int
        Side of the windows, pixels.
    stride : int, optional
        Distance of neighbouring windows, pixels; default `size`, no overlap.
    min_correlation : float
        Lowest mean local correlation of an accepted pair; 0.9 is that of
        FaultDeform (doi 10.57745/G02ZXZ).
    window : int
        Side of the windows of the local correlation, pixels.
    max_missing : float
        Largest share of pixels missing in either image.
    min_texture : float
        Lowest :func:`texture` of either image.
    max_misregistration : float
        Largest shift that is still corrected, pixels.
    degree : int
        Degree of the polynomial shift that is removed; 0 is one constant.

    Returns
    -------
    PairSearch

    Raises
    ------
    GridError
        If the shapes differ or are not two-dimensional.
    DataError
        If `size` is larger than the scenes.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> ground = rng.normal(size=(256, 256)).cumsum(0).cumsum(1)
    >>> found = find_stable_pairs(ground, ground + 0.01 * rng.normal(size=ground.shape), 256)
    >>> len(found.accepted), bool(found.accepted[0].correlation > 0.9)
    (1, True)
    """
    check_same_grid(pre, post)
    if not 2 * window <= size <= min(pre.shape):
        raise DataError(
            f"size={size} does not fit scenes of shape {pre.shape}: give "
            f"{2 * window} to {min(pre.shape)}."
        )
    step = stride or size
    accepted: list[StablePair] = []
    rejected: list[Rejection] = []
    for row in range(0, pre.shape[0] - size + 1, step):
        for column in range(0, pre.shape[1] - size + 1, step):
            here = np.s_[row : row + size, column : column + size]
            first = pre[here].astype(np.float32)
            second = post[here].astype(np.float32)

            missing = float(np.mean(~np.isfinite(first) | ~np.isfinite(second)))
            if missing > max_missing:
                rejected.append(Rejection(row, column, "missing data", missing, max_missing))
                continue
            detail = min(texture(first, window), texture(second, window))
            if detail < min_texture:
                rejected.append(Rejection(row, column, "low texture", detail, min_texture))
                continue
            shift = measure_misregistration(
                first, second, degree=degree, search=max_misregistration + 1.0
            )
            if shift is None or shift.size > max_misregistration:
                value = shift.size if shift else float("nan")
                rejected.append(
                    Rejection(row, column, "misregistration", value, max_misregistration)
                )
                continue
            second = _registered(post, row, column, shift)
            rho = local_correlation(first, second, window)
            correlation = float(np.nanmean(rho)) if np.isfinite(rho).any() else float("nan")
            if not correlation >= min_correlation:
                rejected.append(
                    Rejection(row, column, "low correlation", correlation, min_correlation)
                )
                continue
            accepted.append(StablePair(row, column, first, second, correlation, shift))
    return PairSearch(tuple(accepted), tuple(rejected))


def texture(image: np.ndarray, window: int = 32) -> float:
    """Share of the local variance that neighbouring pixels have in common.

    The mean over windows of the correlation of the image with itself one pixel
    to the right: 0 for a constant and for white noise, 0.6 to 0.95 for ground.
    Unit-free.

    Parameters
    ----------
    image : numpy.ndarray
        Shape ``(h, w)``; NaN is missing.
    window : int
        Side of the windows, pixels.

    Returns
    -------
    float
    """
    rho = local_correlation(image[:, :-1], image[:, 1:], window)
    return float(np.mean(np.nan_to_num(rho)))


def _registered(scene: np.ndarray, row: int, column: int, shift: Misregistration) -> np.ndarray:
    """A window of `scene` resampled by `shift`, with the scene's pixels around it as margin."""
    size = shift.shape[0]
    margin = int(np.ceil(shift.size)) + SUPPORT + PREFILTER_REACH
    top, left = min(margin, row), min(margin, column)
    around = scene[row - top : row + size + margin, column - left : column + size + margin]
    bottom = around.shape[0] - size - top
    right = around.shape[1] - size - left
    dx, dy = (np.pad(c, ((top, bottom), (left, right)), mode="edge") for c in shift.field())
    out = resample_quintic(around.astype(np.float32), dx, dy)
    return np.ascontiguousarray(out[top : top + size, left : left + size])
