"""Images of a frame: the first date, and the second ones with the ground moved."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import scipy.ndimage
from scipy.spatial import cKDTree

from ..second_date import SecondDate
from ..warp import invert_displacement, sample_quintic
from .layout import QUANTUM

if TYPE_CHECKING:
    from .plan import Settings
    from .reading import PlannedScene

__all__ = ["MARGIN", "FrameImages", "frame_images"]

#: Ground around a frame that what moves into it comes from, and that the spline's prefilter
#: feels, pixels: 14 px beyond its support leave 1e-5.
MARGIN = 18


class FrameImages(NamedTuple):
    """Images of a frame.

    Attributes
    ----------
    pre : numpy.ndarray of float32
        First date, ``(size, size)``; NaN is missing.
    posts : list of numpy.ndarray of float32
        Second date at each factor of the displacement.
    dates : list of SecondDate
        Simulated second dates, factor k at number k modulo theirs; empty for real ones.
    correlations : list of float
        Mean local correlation at each factor before the ground moved: aimed at, or
        measured on two real dates.
    """

    pre: np.ndarray
    posts: list[np.ndarray]
    dates: list[SecondDate]
    correlations: list[float]


def frame_images(
    settings: Settings,
    scene: PlannedScene,
    row: int,
    column: int,
    codes: np.ndarray,
    rng: np.random.Generator,
) -> FrameImages:
    """Make the images of a frame.

    Parameters
    ----------
    settings : Settings
    scene : PlannedScene
        Scene of one date or of two.
    row, column : int
        First pixel of the frame in its scene.
    codes : numpy.ndarray of int16
        Displacement at factor 1, ``(2, size, size)``, in steps of 1/1000 pixel.
    rng : numpy.random.Generator
        Draws the simulated second dates.
    """
    # The factors as the store holds them: what a reader multiplies is what moved the ground.
    moves = [codes * (QUANTUM * float(np.float32(f))) for f in settings.scalings]
    origins = [_origins(dx, dy) for dx, dy in moves]
    if scene.source.post is not None:
        return _real_dates(settings.frame, scene, row, column, origins)
    return _simulated_dates(settings, scene, row, column, origins, rng)


def _real_dates(
    size: int,
    scene: PlannedScene,
    row: int,
    column: int,
    origins: list[tuple[np.ndarray, np.ndarray]],
) -> FrameImages:
    """Images of a scene of two dates, the second one registered and moved."""
    pre = scene.read_pre(row, column, size, 0).bands[0]
    window = next(w for w in scene.windows if (w.row, w.column) == (row, column))
    shift_x, shift_y = window.shift.field()
    patch = scene.read_post(row, column, size, MARGIN + math.ceil(window.shift.size))
    posts = []
    for rows, columns in origins:
        # One resampling for both, the rupture and what registers the second date.
        drift_y, drift_x = (
            scipy.ndimage.map_coordinates(s, [rows, columns], order=1, mode="nearest")
            for s in (shift_y, shift_x)
        )
        posts.append(
            sample_quintic(
                patch.bands[0], rows + drift_y + patch.top, columns + drift_x + patch.left
            )
        )
    return FrameImages(pre, posts, [], [window.correlation] * len(posts))


def _simulated_dates(
    settings: Settings,
    scene: PlannedScene,
    row: int,
    column: int,
    origins: list[tuple[np.ndarray, np.ndarray]],
    rng: np.random.Generator,
) -> FrameImages:
    """Images of a scene of one date, the second ones drawn."""
    size = settings.frame
    patch = scene.read_pre(row, column, size, MARGIN)
    inner = np.s_[patch.top : patch.top + size, patch.left : patch.left + size]
    before: np.ndarray | None = None
    bands = patch.bands
    if scene.source.multispectral is not None:
        before = bands[0]
        bands = scene.read_multispectral(row - patch.top, column - patch.left, before.shape)
    dates = [
        SecondDate.random(rng, settings.correlation, bands=len(bands), cloudy=settings.cloudy)
        for _ in range(settings.dates)
    ]
    # There is one first date.
    dates = [dataclasses.replace(d, before_mix=dates[0].before_mix) for d in dates]
    first = (dates[0].before(bands) if before is None else before)[inner]
    grounds = [date.change_surface(bands, before) for date in dates]
    posts = []
    for k, (rows, columns) in enumerate(origins):
        moved = sample_quintic(grounds[k % len(dates)], rows + patch.top, columns + patch.left)
        posts.append(dates[k % len(dates)].acquire(moved))
    aims = [dates[k % len(dates)].correlation for k in range(len(origins))]
    return FrameImages(first, posts, dates, aims)


def _origins(dx: np.ndarray, dy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns that the ground at each pixel came from, also in cracks.

    Where a rupture opens, no ground of the first date is at the second. Missing pixels there would
    tell a network where the trace is, as no real image does: the ground beside is continued.
    """
    rows, columns = invert_displacement(dx, dy)
    opened = ~np.isfinite(rows)
    if opened.any():
        beside = np.argwhere(scipy.ndimage.binary_dilation(opened, np.ones((3, 3))) & ~opened)
        holes = np.argwhere(opened)
        # Not kernels.nearest: of pixels equally near it takes others, and stores would change.
        nearest = beside[cKDTree(beside).query(holes)[1]]
        offset = (holes - nearest).T
        rows[opened] = rows[tuple(nearest.T)] + offset[0]
        columns[opened] = columns[tuple(nearest.T)] + offset[1]
    return rows, columns
