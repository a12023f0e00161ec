"""Effects of the air: haze, clouds and their shadows."""

from __future__ import annotations

import dataclasses
from typing import Self

import numpy as np
import scipy.ndimage

from .effects import AcquisitionEffect, Conditions, ImageStatistics, log_uniform
from .noise import coloured_noise, smooth_field

__all__ = ["Cloud", "Haze"]


@dataclasses.dataclass(frozen=True)
class Haze(AcquisitionEffect):
    """Veil over an image: ``t * image + (1 - t) * bright`` with a smooth transmission t.

    The single-scattering haze model of Koschmieder, as used in dehazing (He et
    al. 2011).

    Attributes
    ----------
    strength : float
        Largest loss of contrast, 0 to 1.

    Examples
    --------
    >>> import numpy as np
    >>> from xsubpix.second_date import Haze, Conditions
    >>> drawn = Haze.draw(np.random.default_rng(0), Conditions(correlation=0.8, bands=3))
    >>> drawn.to_dict()["effect"]
    'haze'
    """

    name = "haze"

    strength: float

    @classmethod
    def draw(cls, rng: np.random.Generator, conditions: Conditions) -> Self:
        """Draw the strength; rarer where the days are given, whose correlations include haze."""
        hazy = rng.random() < (0.4 if conditions.days is None else 0.2)
        return cls(rng.uniform(0, 0.6) * conditions.damping * hazy)

    def apply(
        self, image: np.ndarray, statistics: ImageStatistics, rng: np.random.Generator
    ) -> np.ndarray:
        """Veiled image."""
        if self.strength <= 0:
            return image
        bright = statistics.median + 1.5 * statistics.deviation
        field = smooth_field(image.shape, 3.2, rng, coarse=16)
        # Half of the area is about clear: haze comes in banks.
        veil = np.clip(field * np.float32(0.5) + np.float32(0.2), 0, 1) * np.float32(self.strength)
        return np.asarray(image + veil * (np.float32(bright) - image))


@dataclasses.dataclass(frozen=True)
class Cloud(AcquisitionEffect):
    """Clouds with soft edges, and their shadows beside them.

    Attributes
    ----------
    cover : float
        Share of the area under cloud, 0 to 1.
    shadow : (float, float)
        Offset of the shadow from its cloud, pixels to the right and down.

    Examples
    --------
    >>> import numpy as np
    >>> from xsubpix.second_date import Cloud, Conditions
    >>> drawn = Cloud.draw(np.random.default_rng(0), Conditions(correlation=0.8, bands=3))
    >>> drawn.to_dict()["effect"]
    'cloud'
    """

    name = "cloud"

    cover: float
    shadow: tuple[float, float]

    @classmethod
    def draw(cls, rng: np.random.Generator, conditions: Conditions) -> Self:
        """Draw cover and shadow; rarer where the days are given, whose correlations include it."""
        odds = conditions.cloudy * (1.0 if conditions.days is None else 0.3)
        cover = log_uniform(rng, 0.005, 0.25) * (rng.random() < odds)
        distance, direction = rng.uniform(10, 80), rng.uniform(0, 2 * np.pi)
        shadow = (distance * float(np.cos(direction)), distance * float(np.sin(direction)))
        return cls(cover, shadow)

    def apply(
        self, image: np.ndarray, statistics: ImageStatistics, rng: np.random.Generator
    ) -> np.ndarray:
        """Clouded and shaded image."""
        if self.cover <= 0:
            return image
        bright = statistics.median + 6 * statistics.deviation
        dark = statistics.low - 0.5 * statistics.deviation
        field = coloured_noise(image.shape, 3.0, rng)
        level = np.quantile(field[::4, ::4], 1 - min(self.cover, 1.0))
        # 0.5 of the field's deviation from first wisp to opaque: tens of pixels for large clouds.
        depth = np.clip((field - np.float32(level)) / np.float32(0.5), 0, 1)
        opacity = 1 - np.exp(-5 * depth)
        offset = (self.shadow[1], self.shadow[0])
        cast = scipy.ndimage.shift(depth, offset, order=1, mode="grid-wrap")
        shade = np.float32(0.6) * (1 - np.exp(-4 * cast))
        shaded = image + shade * (np.float32(dark) - image)
        return np.asarray(shaded + opacity.astype(np.float32) * (np.float32(bright) - shaded))
