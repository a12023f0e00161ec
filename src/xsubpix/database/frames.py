"""Frames: one fault in one part of one scene, seen at a first and at four second dates.

Arrays and numbers only. A frame is a function of the plan and of its number:
nothing else goes in, so that it comes out the same wherever and whenever it is
made.
"""

from __future__ import annotations

import dataclasses
import json
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..errors import DataError
from ..rupture import Fault, GridSampler
from .frame_images import MARGIN, FrameImages, frame_images
from .frame_statistics import cell_correlation, holds_trace, largest_steps, mean_of_cells
from .layout import QUANTUM, SPLITS, crop_corners

if TYPE_CHECKING:
    from .plan import Plan, Settings
    from .reading import PlannedScene

__all__ = ["Frame", "encode_image", "make_frame"]

# Positions tried before a split is said to hold too little data.
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

    Examples
    --------
    >>> from xsubpix.database import SceneSource, Settings, make_frame, make_plan
    >>> settings = Settings((1, 0, 0), frame=128, crop=64)
    >>> plan = make_plan([SceneSource("scene.tif", split="train")], settings)
    >>> frame = make_frame(plan, "train", 0)
    >>> frame.pre.shape, frame.post.shape, frame.displacement.shape
    ((128, 128), (4, 128, 128), (2, 128, 128))
    """

    pre: np.ndarray
    post: np.ndarray
    displacement: np.ndarray
    record: dict[str, Any]


class _Site(NamedTuple):
    """Scene and first pixel of a frame, and the share of its pixels that are missing."""

    scene: PlannedScene
    row: int
    column: int
    missing: float


class _Rupture(NamedTuple):
    """Fault, codes of its displacement at factor 1, and its largest lengths in pixels."""

    fault: Fault
    codes: np.ndarray
    amplitude: float
    natural_amplitude: float


def make_frame(plan: Plan, split: str, number: int) -> Frame:
    """Make one frame.

    Parameters
    ----------
    plan : Plan
        Settings and scenes.
    split : str
        ``"train"``, ``"validation"`` or ``"test"``.
    number : int
        Number of the frame in its split.

    Returns
    -------
    Frame

    Raises
    ------
    DataError
        No part of a scene with enough data was found, or a displacement does not fit
        16 bits.

    Examples
    --------
    >>> from xsubpix.database import SceneSource, Settings, make_frame, make_plan
    >>> scenes = [SceneSource("scene.tif", split="train")]
    >>> plan = make_plan(scenes, Settings((1, 0, 0), frame=128, crop=64))
    >>> make_frame(plan, "train", 0).record["scene"]
    'scene'
    """
    # One stream a purpose: what one draws does not move the others.
    key = (SPLITS.index(split), number)
    seeds = np.random.SeedSequence(plan.settings.seed, spawn_key=key).spawn(3)
    site_rng, fault_rng, date_rng = (np.random.default_rng(s) for s in seeds)
    site = _draw_site(plan, split, site_rng)
    rupture = _draw_rupture(plan.settings, site.scene.pixel_size, fault_rng)
    images = frame_images(plan.settings, site.scene, site.row, site.column, rupture.codes, date_rng)
    pre, *pre_scale = encode_image(images.pre)
    posts = [encode_image(post) for post in images.posts]
    record = {
        **_site_record(site),
        **_rupture_record(rupture),
        **_crop_record(plan.settings, site.scene.pixel_size, rupture, images),
        "aimed_correlation": images.correlations,
        "pre_scale": pre_scale[0],
        "pre_offset": pre_scale[1],
        "post_scale": [scale for _, scale, _ in posts],
        "post_offset": [offset for *_, offset in posts],
        "second_dates": json.dumps(
            [date.to_dict() for date in images.dates], separators=(",", ":")
        ),
    }
    return Frame(pre, np.stack([code for code, *_ in posts]), rupture.codes, record)


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


def _draw_site(plan: Plan, split: str, rng: np.random.Generator) -> _Site:
    """Draw a scene, and a first row and column in it."""
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
            return _Site(scene, row, column, missing)
    raise DataError(
        f"no frame of {size} px with less than {plan.settings.max_missing:.0%} missing was found "
        f"in {_ATTEMPTS} parts of {', '.join(s.source.name for s in scenes)}: take smaller "
        "frames, or raise max_missing."
    )


def _draw_start(side: int, size: int, rng: np.random.Generator) -> int:
    """Draw a first row or column, with the margin inside of the scene where that is possible."""
    margin = MARGIN if side >= size + 2 * MARGIN else 0
    return int(rng.integers(margin, side - size - margin + 1))


def _draw_rupture(settings: Settings, pixel: float, rng: np.random.Generator) -> _Rupture:
    """Draw a fault and the largest length of its displacement."""
    size = settings.frame
    fault = Fault.random(
        rng,
        (0.0, 0.0, size * pixel, size * pixel),
        pixel_size=pixel,
        mechanism=str(rng.choice(settings.mechanisms)),
        complexity=settings.complexity,
    )
    field = GridSampler(fault, (pixel, 0.0, 0.0, 0.0, -pixel, size * pixel))((0, size, 0, size))
    low, high = settings.amplitude
    amplitude = float(np.exp(rng.uniform(math.log(low), math.log(high))))
    codes, natural = _scaled(field[:2] / pixel * np.array([1, -1])[:, None, None], amplitude)
    return _Rupture(fault, codes, amplitude, natural)


def _scaled(field: np.ndarray, amplitude: float) -> tuple[np.ndarray, float]:
    """Codes of a displacement scaled to a largest length of `amplitude`, and the length before."""
    natural = float(np.hypot(*field).max())
    codes = np.rint(field * (amplitude / natural / QUANTUM))
    if np.abs(codes).max() > np.iinfo(np.int16).max:
        raise DataError(
            f"a displacement of {amplitude:.3g} px does not fit 16 bits in steps of {QUANTUM} px: "
            f"keep the amplitude below {np.iinfo(np.int16).max * QUANTUM:.0f}."
        )
    return codes.astype(np.int16), natural


def _site_record(site: _Site) -> dict[str, Any]:
    """Columns that say where a frame was cut."""
    return {
        "scene": site.scene.source.name,
        "row": site.row,
        "column": site.column,
        "pixel_size": site.scene.pixel_size,
        "missing": site.missing,
    }


def _rupture_record(rupture: _Rupture) -> dict[str, Any]:
    """Columns that say how the ground was ruptured."""
    fault = rupture.fault
    return {
        "amplitude": rupture.amplitude,
        "natural_amplitude": rupture.natural_amplitude,
        "magnitude": fault.magnitude,
        "mean_slip": fault.mean_slip,
        "strike": fault.strike,
        "dip": fault.dip,
        "rake": fault.rake,
        "length": fault.length,
        "top_depth": fault.top_depth,
        "fault": json.dumps(fault.to_dict(), separators=(",", ":")),
    }


def _crop_record(
    settings: Settings, pixel: float, rupture: _Rupture, images: FrameImages
) -> dict[str, Any]:
    """Columns with a value for each of the nine crops."""
    crops = [
        np.s_[r : r + settings.crop, c : c + settings.crop]
        for r, c in crop_corners(settings.frame, settings.crop)
    ]
    length = np.hypot(*rupture.codes.astype(np.float32))
    steps = largest_steps(rupture.codes)
    cells = [cell_correlation(images.pre, post) for post in images.posts]
    return {
        "correlation": [[mean_of_cells(cell, crop) for cell in cells] for crop in crops],
        "largest": [QUANTUM * float(length[crop].max()) for crop in crops],
        "largest_step": [QUANTUM * float(steps[crop].max()) for crop in crops],
        "trace": [holds_trace(rupture.fault, crop, settings.frame, pixel) for crop in crops],
    }
