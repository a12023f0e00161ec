"""Frames: one fault at one place of one scene, seen at a first and at four second dates.

Arrays and numbers only. A frame is a function of the plan and of its number:
nothing else goes in, so that it comes out the same wherever and whenever it is
made.
"""

from __future__ import annotations

import dataclasses
import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.ndimage
from scipy.spatial import cKDTree

from ..errors import DataError
from ..rupture import Fault, GridSampler
from ..second_date import SecondDate
from ..warp import invert_displacement, sample_quintic
from .layout import QUANTUM, SPLITS, window_corners

if TYPE_CHECKING:
    from .plan import Plan
    from .reading import PlannedScene

__all__ = ["Frame", "encode_image", "make_frame"]

# Pixels of ground around a frame that what moves into it comes from, and that the spline's
# prefilter feels: 14 px beyond its support leave 1e-5.
_MARGIN = 18
# Windows of the measured correlation, pixels.
_CELL = 32
# Places tried before a split is said to hold too little data.
_ATTEMPTS = 200


@dataclasses.dataclass(frozen=True)
class Frame:
    """One frame as it is stored.

    Attributes
    ----------
    pre : numpy.ndarray of uint16
        Shape ``(size, size)``; 0 is missing.
    post : numpy.ndarray of uint16
        Shape ``(scalings, size, size)``.
    displacement : numpy.ndarray of int16
        Shape ``(2, size, size)``: dx to the right and dy down at the factor 1,
        in steps of :data:`QUANTUM` pixels.
    record : dict
        What the tables of the store hold about it (ready for JSON).
    """

    pre: np.ndarray
    post: np.ndarray
    displacement: np.ndarray
    record: dict[str, Any]


def make_frame(plan: Plan, split: str, number: int) -> Frame:
    """Make one frame.

    Parameters
    ----------
    plan : Plan
        Settings and scenes.
    split : str
        ``"train"``, ``"validation"`` or ``"test"``.
    number : int
        Of the frame in its split.

    Returns
    -------
    Frame

    Raises
    ------
    DataError
        No place with enough data was found, or a displacement does not fit
        16 bits.
    """
    settings = plan.settings
    size = settings.frame
    # One stream a purpose: what one draws does not move the others.
    seeds = np.random.SeedSequence(settings.seed, spawn_key=(SPLITS.index(split), number)).spawn(3)
    place_rng, fault_rng, date_rng = (np.random.default_rng(s) for s in seeds)

    scene, row, column, missing = _draw_place(plan, split, place_rng)
    pixel = scene.pixel_size
    fault = Fault.random(
        fault_rng,
        (0.0, 0.0, size * pixel, size * pixel),
        pixel_size=pixel,
        mechanism=str(fault_rng.choice(settings.mechanisms)),
    )
    field = GridSampler(fault, (pixel, 0.0, 0.0, 0.0, -pixel, size * pixel))((0, size, 0, size))
    low, high = settings.amplitude
    amplitude = float(np.exp(fault_rng.uniform(math.log(low), math.log(high))))
    codes, natural = _scaled(field[:2] / pixel * np.array([1, -1])[:, None, None], amplitude)

    pre, posts, dates, aims = _images(plan, scene, row, column, codes, date_rng)
    pre_codes, *pre_scale = encode_image(pre)
    encoded = [encode_image(post) for post in posts]
    steps = np.zeros((size, size), np.float32)
    for axis, here in ((1, np.s_[:-1, :]), (2, np.s_[:, :-1])):
        jump = np.hypot(*np.diff(codes.astype(np.float32), axis=axis))
        steps[here] = np.maximum(steps[here], jump)
    windows = [
        np.s_[r : r + settings.window, c : c + settings.window]
        for r, c in window_corners(size, settings.window)
    ]
    length = np.hypot(*codes.astype(np.float32))
    cells = [_cell_correlation(pre, post) for post in posts]
    record = {
        "scene": scene.source.name,
        "row": row,
        "column": column,
        "pixel_size": pixel,
        "missing": missing,
        "amplitude": amplitude,
        "natural_amplitude": natural,
        "magnitude": fault.magnitude,
        "mean_slip": fault.mean_slip,
        "strike": fault.strike,
        "dip": fault.dip,
        "rake": fault.rake,
        "length": fault.length,
        "top_depth": fault.top_depth,
        "aimed_correlation": aims,
        "correlation": [[_mean_of_cells(cell, w) for cell in cells] for w in windows],
        "largest": [QUANTUM * float(length[w].max()) for w in windows],
        "largest_step": [QUANTUM * float(steps[w].max()) for w in windows],
        "trace": [_holds_trace(fault, w, size, pixel) for w in windows],
        "pre_scale": pre_scale[0],
        "pre_offset": pre_scale[1],
        "post_scale": [scale for _, scale, _ in encoded],
        "post_offset": [offset for *_, offset in encoded],
        "fault": json.dumps(fault.to_dict(), separators=(",", ":")),
        "second_dates": json.dumps(dates, separators=(",", ":")),
    }
    return Frame(pre_codes, np.stack([code for code, *_ in encoded]), codes, record)


def encode_image(image: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Turn an image into integers: ``image = (code - 1) * scale + offset``, code 0 is missing.

    Whole numbers are kept as they are. Others are rounded to a power of two
    that is between 1/64 and 1/128 of the image's standard deviation: noise of
    less than 0.5 % of it, a fiftieth of what two dates have.

    Parameters
    ----------
    image : numpy.ndarray of float32
        NaN is missing.

    Returns
    -------
    codes : numpy.ndarray of uint16
    scale, offset : float
    """
    valid = np.isfinite(image)
    if not valid.any():
        return np.zeros(image.shape, np.uint16), 1.0, 0.0
    values = image[valid].astype(np.float64)
    low, high = float(values.min()), float(values.max())
    scale = 1.0
    if high - low > 65532 or not (values == np.rint(values)).all():
        spread = max(float(values.std()) / 64, 1e-30)
        scale = 2.0 ** math.floor(math.log2(spread))
        while (high - low) / scale > 65532:
            scale *= 2
    # A multiple of the step, and zero where that will do: counts stay recognisable.
    small = low >= 0 and high <= 65533 * scale
    offset = 0.0 if small else scale * math.floor(low / scale)
    codes = np.zeros(image.shape, np.uint16)
    codes[valid] = np.rint((values - offset) / scale).astype(np.int64) + 1
    return codes, scale, offset


def _draw_place(
    plan: Plan, split: str, rng: np.random.Generator
) -> tuple[PlannedScene, int, int, float]:
    """Draw a scene, a first row and column in it; the share of missing pixels there."""
    size = plan.settings.frame
    scenes = [scene for scene in plan.scenes if scene.source.split == split]
    for _ in range(_ATTEMPTS):
        scene = scenes[rng.integers(len(scenes))]
        if scene.windows:
            window = scene.windows[rng.integers(len(scene.windows))]
            row, column = window.row, window.column
        else:
            row, column = (_draw_start(side, size, rng) for side in scene.shape)
        patch = scene.read_pre(row, column, size, 0)
        missing = float(np.mean(~np.isfinite(patch.bands).all(axis=0)))
        if missing <= plan.settings.max_missing:
            return scene, row, column, missing
    raise DataError(
        f"no frame of {size} px with less than {plan.settings.max_missing:.0%} missing was found "
        f"in {_ATTEMPTS} places of {', '.join(s.source.name for s in scenes)}: take smaller "
        "frames, or raise max_missing."
    )


def _draw_start(side: int, size: int, rng: np.random.Generator) -> int:
    """First row or column, with the margin inside of the scene where that is possible."""
    margin = _MARGIN if side >= size + 2 * _MARGIN else 0
    return int(rng.integers(margin, side - size - margin + 1))


def _scaled(field: np.ndarray, amplitude: float) -> tuple[np.ndarray, float]:
    """Codes of a displacement whose largest length is made `amplitude`; what it was."""
    natural = float(np.hypot(*field).max())
    codes = np.rint(field * (amplitude / natural / QUANTUM))
    if np.abs(codes).max() > np.iinfo(np.int16).max:
        raise DataError(
            f"a displacement of {amplitude:.3g} px does not fit 16 bits in steps of {QUANTUM} px: "
            f"keep the amplitude below {np.iinfo(np.int16).max * QUANTUM:.0f}."
        )
    return codes.astype(np.int16), natural


def _images(
    plan: Plan,
    scene: PlannedScene,
    row: int,
    column: int,
    codes: np.ndarray,
    rng: np.random.Generator,
) -> tuple[np.ndarray, list[np.ndarray], list[dict[str, Any]], list[float]]:
    """The first date, the second ones, how they were drawn, and the correlations aimed at."""
    settings, size = plan.settings, plan.settings.frame
    # The factors as the store holds them: what a reader multiplies is what moved the ground.
    moves = [codes * (QUANTUM * float(np.float32(f))) for f in settings.scalings]
    places = [_origins(dx, dy) for dx, dy in moves]

    if scene.source.post is not None:
        pre = scene.read_pre(row, column, size, 0).bands[0]
        window = next(w for w in scene.windows if (w.row, w.column) == (row, column))
        shift_x, shift_y = window.shift.field()
        patch = scene.read_post(row, column, size, _MARGIN + math.ceil(window.shift.size))
        posts = []
        for rows, columns in places:
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
        return pre, posts, [], [window.correlation] * len(posts)

    patch = scene.read_pre(row, column, size, _MARGIN)
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
    for k, (rows, columns) in enumerate(places):
        moved = sample_quintic(grounds[k % len(dates)], rows + patch.top, columns + patch.left)
        posts.append(dates[k % len(dates)].acquire(moved))
    aims = [dates[k % len(dates)].correlation for k in range(len(places))]
    return first, posts, [date.to_dict() for date in dates], aims


def _origins(dx: np.ndarray, dy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the ground at each pixel came from, also in cracks.

    Where a rupture opens, no ground of the first date is at the second. Missing pixels there would
    tell a network where the trace is, as no real image does: the ground beside is continued.
    """
    rows, columns = invert_displacement(dx, dy)
    lost = ~np.isfinite(rows)
    if lost.any():
        beside = np.argwhere(scipy.ndimage.binary_dilation(lost, np.ones((3, 3))) & ~lost)
        holes = np.argwhere(lost)
        nearest = beside[cKDTree(beside).query(holes)[1]]
        offset = (holes - nearest).T
        rows[lost] = rows[tuple(nearest.T)] + offset[0]
        columns[lost] = columns[tuple(nearest.T)] + offset[1]
    return rows, columns


def _cell_correlation(pre: np.ndarray, post: np.ndarray) -> np.ndarray:
    """Correlation in cells of 32 px that do not overlap; NaN where one pixel is missing."""
    side = pre.shape[0] // _CELL
    cells = []
    for image in (pre, post):
        cut = image[: side * _CELL, : side * _CELL].reshape(side, _CELL, side, _CELL)
        cells.append(cut - cut.mean(axis=(1, 3), keepdims=True, dtype=np.float64))
    a, b = cells
    power = (a * a).sum(axis=(1, 3)) * (b * b).sum(axis=(1, 3))
    return (a * b).sum(axis=(1, 3)) / np.sqrt(np.where(power > 0, power, np.nan))


def _mean_of_cells(cells: np.ndarray, window: tuple[slice, slice]) -> float:
    """Mean of what a window holds; 0 where all is flat or missing."""
    rows, columns = (slice(s.start // _CELL, max(s.stop // _CELL, 1)) for s in window)
    inside = cells[rows, columns]
    return float(np.nanmean(inside)) if np.isfinite(inside).any() else 0.0


def _holds_trace(fault: Fault, window: tuple[slice, slice], size: int, pixel: float) -> bool:
    """Whether the fault breaks the surface in a window."""
    if fault.is_blind:
        return False
    for trace in fault.traces:
        length = np.hypot(*np.diff(trace, axis=0).T)
        count = np.maximum(np.ceil(length / pixel), 1).astype(int)
        along = [
            a + (b - a) * (np.arange(n)[:, None] / n)
            for a, b, n in zip(trace[:-1], trace[1:], count, strict=True)
        ]
        columns, rows = (np.concatenate(along) / pixel).T
        rows = size - rows
        inside = (rows >= window[0].start) & (rows < window[0].stop)
        inside &= (columns >= window[1].start) & (columns < window[1].stop)
        if inside.any():
            return True
    return False
