"""The plan of a database: its settings and its scenes, all that its frames follow from."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from .._version import __version__
from ..errors import DataError
from .layout import SPLITS, STORE_VERSION, crop_corners
from .reading import PlannedScene, plan_scene
from .scenes import SceneSource, check_overlaps, digest_of, grid_of

__all__ = ["SCALINGS", "Plan", "Settings", "make_plan"]

#: Factors of the displacement: very small, small, large, largest.
SCALINGS = (0.06, 0.15, 0.4, 1.0)

_MECHANISMS = ("strike-slip", "oblique-reverse", "oblique-normal", "reverse", "normal")


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of a database: numbers, sizes and ranges.

    Parameters
    ----------
    faults : (int, int, int)
        Faults, one a frame, of training, validation and test.
    scalings : tuple of float
        Factors of one displacement, above 0 up to 1.
    amplitude : (float, float)
        Range of the largest horizontal displacement of a frame at the factor 1,
        pixels; drawn log-uniformly. Across a strike-slip fault the ground jumps
        by about twice that.
    frame, crop : int
        Sides of a frame and of its nine crops, pixels.
    seed : int
        Seed of all that is random.
    dates : int
        Second dates a frame: 4 shows each factor at its own, 1 all at the same.
    correlation : (float, float)
        Range of the mean local correlation that simulated second dates aim at.
    cloudy : float
        Share of simulated second dates with clouds.
    mechanisms : tuple of str
        Kinds of faults, drawn with even odds; see
        :func:`xsubpix.rupture.draw_fault`.
    max_missing : float
        Largest share of a frame's pixels that may be missing.
    min_correlation : float
        Lowest mean local correlation of windows of two real dates.
    complexity : float
        How rough the ruptures are, 0 (clean breaks) to 2; see
        :func:`xsubpix.rupture.draw_fault`.

    Raises
    ------
    DataError
        A value is out of bounds.

    Notes
    -----
    Ruptures that follow the scaling laws move the ground by 0.006 to 0.32
    pixels of 15 m (median 0.04; ``natural_amplitude`` in the tables). The
    defaults stretch that to jumps of 0.06 to 3 px: the range in which
    displacement is measured in practice, also with smaller pixels.

    Examples
    --------
    >>> from xsubpix.database import Settings
    >>> Settings(faults=(1000, 100, 100), seed=3).scalings
    (0.06, 0.15, 0.4, 1.0)
    """

    faults: tuple[int, int, int]
    scalings: tuple[float, ...] = SCALINGS
    amplitude: tuple[float, float] = (0.5, 1.5)
    frame: int = 1024
    crop: int = 512
    seed: int = 0
    dates: int = 4
    correlation: tuple[float, float] = (0.6, 0.95)
    cloudy: float = 0.15
    mechanisms: tuple[str, ...] = ("strike-slip",)
    max_missing: float = 0.05
    min_correlation: float = 0.9
    complexity: float = 0.0

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, list):
                object.__setattr__(self, field.name, tuple(value))
        crop_corners(self.frame, self.crop)
        if self.crop < 32:
            raise DataError(f"crop={self.crop}: give 32 pixels or more.")
        if len(self.faults) != 3 or min(self.faults) < 0 or not sum(self.faults):
            raise DataError(
                f"faults={self.faults}: give three numbers, of training, validation and test, "
                "for instance 10000,2000,2000."
            )
        if not self.scalings or not all(0 < f <= 1 for f in self.scalings):
            raise DataError(f"scalings={self.scalings}: give factors above 0 and up to 1.")
        low, high = self.amplitude
        if not (0 < low <= high <= 32 and math.isfinite(high)):
            raise DataError(
                f"amplitude={self.amplitude}: give two numbers of pixels, 0 < low <= high <= 32."
            )
        if not 1 <= self.dates <= len(self.scalings):
            raise DataError(f"dates={self.dates}: give 1 to {len(self.scalings)}, one a factor.")
        low, high = self.correlation
        if not 0 <= low <= high < 1:
            raise DataError(
                f"correlation={self.correlation}: give two numbers, 0 <= low <= high < 1."
            )
        if not self.mechanisms or set(self.mechanisms) - set(_MECHANISMS):
            raise DataError(f"mechanisms={self.mechanisms}: choose of {', '.join(_MECHANISMS)}.")
        if not 0 <= self.max_missing < 1:
            raise DataError(f"max_missing={self.max_missing}: give 0 or more, below 1.")
        if not 0 <= self.complexity <= 2:
            raise DataError(f"complexity={self.complexity}: give a number from 0 to 2.")
        if self.seed < 0:
            raise DataError(f"seed={self.seed}: give 0 or more.")

    def to_dict(self) -> dict[str, Any]:
        """Settings as a mapping, ready for JSON."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(self).items()
        }

    def count(self, split: str) -> int:
        """Frames of a split."""
        return self.faults[SPLITS.index(split)]


@dataclasses.dataclass(frozen=True)
class Plan:
    """Settings and scenes: two equal plans make the same database.

    Attributes
    ----------
    settings : Settings
    scenes : tuple of PlannedScene
        Sorted by name, each with its split.

    Examples
    --------
    >>> from xsubpix.database import SceneSource, Settings, make_plan
    >>> scenes = [SceneSource("scene.tif", split="train")]
    >>> plan = make_plan(scenes, Settings((1, 0, 0), frame=128, crop=64))
    >>> [scene.source.name for scene in plan.scenes]
    ['scene']
    """

    settings: Settings
    scenes: tuple[PlannedScene, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plan as a mapping, ready for JSON; without paths, which differ between machines."""
        return {
            "version": __version__,
            "store_version": STORE_VERSION,
            "settings": self.settings.to_dict(),
            "scenes": [scene.to_dict() for scene in self.scenes],
        }


def used_scenes(scenes: Sequence[SceneSource], settings: Settings) -> list[SceneSource]:
    """Scenes of the splits that have faults."""
    return [scene for scene in scenes if settings.count(scene.split or "train")]


def make_plan(scenes: Sequence[SceneSource], settings: Settings) -> Plan:
    """Look at all scenes and check that they can make what is asked for.

    Parameters
    ----------
    scenes : sequence of SceneSource
        With their splits (:func:`xsubpix.database.scenes.split_scenes`).
    settings : Settings

    Returns
    -------
    Plan

    Raises
    ------
    DataError
        A split has faults but no scenes, two splits share ground, or see
        :func:`xsubpix.database.reading.plan_scene`.

    Examples
    --------
    >>> from xsubpix.database import SceneSource, Settings, make_plan
    >>> scenes = [SceneSource("scene.tif", split="train")]
    >>> plan = make_plan(scenes, Settings((1, 0, 0), frame=128, crop=64))
    >>> plan.settings.faults
    (1, 0, 0)
    """
    for split in SPLITS:
        if settings.count(split) and not any(s.split == split for s in scenes):
            raise DataError(
                f"{settings.count(split)} faults for {split}, but no scene is in that split: name "
                f"its locations, or set its faults to 0."
            )
    grids = [grid_of(scene.path) for scene in scenes]
    check_overlaps(scenes, grids, [digest_of(scene.path) for scene in scenes])
    planned = [
        plan_scene(scene, grids[scenes.index(scene)], settings.frame, settings.min_correlation)
        for scene in used_scenes(scenes, settings)
    ]
    return Plan(settings, tuple(planned))
