"""Effects on the whole ground before it moves: exposure to change, staleness, stretch."""

from __future__ import annotations

import dataclasses
from typing import Self

import numpy as np

from .effects import Conditions, GroundEffect, log_uniform
from .noise import smooth_field
from .scene import Scene
from .sharpness import blur

__all__ = ["Exposure", "Staleness", "Stretch"]


@dataclasses.dataclass(frozen=True)
class Staleness(GroundEffect):
    """Loss of the first date's finest detail, which no second date shows.

    Near Nyquist the first date holds its own noise and aliasing.

    Attributes
    ----------
    sigma : float
        Standard deviation of the Gaussian low pass, pixels.

    Examples
    --------
    >>> import numpy as np
    >>> from xsubpix.second_date import Staleness, Conditions
    >>> drawn = Staleness.draw(np.random.default_rng(0), Conditions(correlation=0.8, bands=3))
    >>> drawn.to_dict()["effect"]
    'staleness'
    """

    name = "staleness"
    stage = "common"

    sigma: float

    @classmethod
    def draw(cls, rng: np.random.Generator, conditions: Conditions) -> Self:
        """Draw the low pass, weaker for stable pairs."""
        return cls(rng.uniform(0.25, 0.6) * conditions.damping**0.5)

    def apply(self, image: np.ndarray, scene: Scene, rng: np.random.Generator) -> np.ndarray:
        """Smoothed image; nothing is random."""
        return blur(image, self.sigma)


@dataclasses.dataclass(frozen=True)
class Exposure(GroundEffect):
    """Places that change more than others: by land cover and by a smooth field.

    Attributes
    ----------
    spread : float
        Standard deviation of the logarithm over land covers.

    Examples
    --------
    >>> import numpy as np
    >>> from xsubpix.second_date import Exposure, Conditions
    >>> drawn = Exposure.draw(np.random.default_rng(0), Conditions(correlation=0.8, bands=3))
    >>> drawn.to_dict()["effect"]
    'exposure'
    """

    name = "exposure"
    stage = "change"

    spread: float

    @classmethod
    def draw(cls, rng: np.random.Generator, conditions: Conditions) -> Self:
        """Draw the spread."""
        return cls(rng.uniform(0.1, 0.8))

    def apply(self, image: np.ndarray, scene: Scene, rng: np.random.Generator) -> np.ndarray:
        """Change times a factor of mean one."""
        level = rng.normal(0, self.spread, len(scene.cover.centres)).astype(np.float32)
        field = np.tensordot(level, scene.cover.membership, 1)
        field += np.float32(0.7 * self.spread) * smooth_field(image.shape, 2.5, rng)
        np.exp(field, out=field)
        return np.asarray(image * (field / field.mean()))


@dataclasses.dataclass(frozen=True)
class Stretch(GroundEffect):
    """Gain and offset of the whole image: exposure time, season, path radiance.

    Attributes
    ----------
    gain : float
        Standard deviation of the ground, in that of the first date.
    offset : float
        Addition, in standard deviations of the first date.

    Examples
    --------
    >>> import numpy as np
    >>> from xsubpix.second_date import Stretch, Conditions
    >>> drawn = Stretch.draw(np.random.default_rng(0), Conditions(correlation=0.8, bands=3))
    >>> drawn.to_dict()["effect"]
    'stretch'
    """

    name = "stretch"
    stage = "ground"

    gain: float
    offset: float

    @classmethod
    def draw(cls, rng: np.random.Generator, conditions: Conditions) -> Self:
        """Draw gain and offset."""
        return cls(log_uniform(rng, 0.6, 1.6), rng.normal(0, 0.5))

    def apply(self, image: np.ndarray, scene: Scene, rng: np.random.Generator) -> np.ndarray:
        """Image of another deviation and mean; nothing is random."""
        factor = np.float32(self.gain / max(float(image[::3, ::3].std()), 1e-6))
        return np.asarray(image * factor + np.float32(self.offset))
