"""Contract of an effect: one cause of the difference between two dates.

An effect is a frozen dataclass that draws its parameters and applies them. It has
a name, and by this name two random streams of its own, one to draw and one to
apply: a new effect, or one more number drawn by an old one, changes nothing that
another effect draws. There are three kinds, in the order of a second date:

- :class:`Cause`: a change of the ground, a field added to the first date;
- :class:`GroundEffect`: what is done to that change, to what the two dates have in
  common, or to their sum, before the ground moves;
- :class:`AcquisitionEffect`: what air and instrument do after it has moved.

A new effect is a file with one class, and a line of
:data:`xsubpix.second_date.registry.EFFECTS`.
"""

from __future__ import annotations

import abc
import dataclasses
from typing import Any, ClassVar, Literal, Self

import numpy as np

from .scene import Scene
from .sharpness import noise_level

__all__ = [
    "AcquisitionEffect",
    "Cause",
    "Conditions",
    "Effect",
    "GroundEffect",
    "ImageStatistics",
    "log_uniform",
    "stream",
]


def stream(seed: int, name: str) -> np.random.Generator:
    """Random generator of one purpose, independent of those of all other names.

    Examples
    --------
    >>> first, again, other = (stream(3, name).random() for name in ("haze", "haze", "cloud"))
    >>> first == again, first == other
    (True, False)
    """
    return np.random.default_rng([seed, *name.encode()])


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw a number whose logarithm is uniform."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


@dataclasses.dataclass(frozen=True)
class Conditions:
    """Conditions from which the parameters of a second date are drawn.

    Attributes
    ----------
    correlation : float
        Mean local correlation of the two dates that is aimed at, 0 to 1.
    bands : int
        Number of bands of the image.
    days : float or None
        Time between the dates; None where it is not known.
    cloudy : float
        Share of dates with clouds.

    Examples
    --------
    >>> round(Conditions(correlation=0.78).change, 2)
    0.5
    """

    correlation: float
    bands: int = 1
    days: float | None = None
    cloudy: float = 0.15

    @property
    def change(self) -> float:
        """Degree of change, from 0 (a stable pair) to 1.

        Stable pairs differ by air, sun and instrument, others by what grows: as
        measured, the uncommon part of the former is haze and noise, of the latter
        a second image.
        """
        return float(np.clip((0.98 - self.correlation) / 0.4, 0.0, 1.0))

    @property
    def damping(self) -> float:
        """Factor on the effects of air and instrument: below 1 for very stable pairs."""
        return float(np.clip((1.0 - self.correlation) / 0.1, 0.25, 1.0))


@dataclasses.dataclass(frozen=True)
class ImageStatistics:
    """Statistics of the ground before it is seen, in the image's units.

    Attributes
    ----------
    low, median, deviation : float
        Quantile 0.01, median, and standard deviation of the middle 98 %.
    finest : float
        White noise that would explain the finest detail
        (:func:`xsubpix.second_date.sharpness.noise_level`).

    Examples
    --------
    >>> import numpy as np
    >>> image = np.random.default_rng(0).normal(100.0, 5.0, (96, 96)).astype("f4")
    >>> round(ImageStatistics.of(image).median)
    100
    """

    low: float
    median: float
    deviation: float
    finest: float

    @classmethod
    def of(cls, image: np.ndarray) -> Self:
        """Measure a complete image ``(h, w)``."""
        sample = image[::3, ::3]
        low, median, high = (float(q) for q in np.quantile(sample, (0.01, 0.5, 0.99)))
        deviation = max(float(np.clip(sample, low, high).std()), 1e-6 * max(abs(median), 1e-30))
        return cls(low, median, deviation, noise_level(image))


@dataclasses.dataclass(frozen=True)
class Effect(abc.ABC):
    """One cause of the difference between two dates.

    Attributes
    ----------
    name : str
        Name in records, and of the random streams.

    Examples
    --------
    >>> import numpy as np
    >>> from xsubpix.second_date import Conditions, Haze
    >>> haze = Haze.draw(np.random.default_rng(0), Conditions(correlation=0.8))
    >>> haze.to_dict()["effect"]
    'haze'
    """

    name: ClassVar[str]

    @classmethod
    @abc.abstractmethod
    def draw(cls, rng: np.random.Generator, conditions: Conditions) -> Self:
        """Draw the parameters from the effect's own stream."""

    def to_dict(self) -> dict[str, Any]:
        """Record of name and parameters, ready for JSON."""
        values = {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in dataclasses.asdict(self).items()
        }
        return {"effect": self.name, **values}


@dataclasses.dataclass(frozen=True)
class Cause(Effect):
    """Change of the ground.

    Attributes
    ----------
    weight : float
        Variance of the change relative to that of the other causes; 0 is none.
    shape : (float, float)
        Shape of the gamma distribution that weights are drawn from, for stable
        pairs and for pairs that have changed much.

    Examples
    --------
    >>> from xsubpix.second_date import Cause, Growth
    >>> issubclass(Growth, Cause)
    True
    """

    shape: ClassVar[tuple[float, float]]

    weight: float

    @classmethod
    def draw_weight(cls, rng: np.random.Generator, conditions: Conditions) -> float:
        """Draw the weight."""
        stable, changed = cls.shape
        return float(rng.gamma((1 - conditions.change) * stable + conditions.change * changed))

    @classmethod
    def draw(cls, rng: np.random.Generator, conditions: Conditions) -> Self:
        """Draw the weight; a cause of more parameters draws those too."""
        return cls(cls.draw_weight(rng, conditions))

    @abc.abstractmethod
    def apply(self, scene: Scene, rng: np.random.Generator) -> np.ndarray:
        """Field of the change ``(h, w)``, float32, of any scale.

        Parameters
        ----------
        scene : Scene
            The image in standard deviations.
        rng : numpy.random.Generator
            The effect's own stream.
        """


@dataclasses.dataclass(frozen=True)
class GroundEffect(Effect):
    """Effect on the ground before it moves.

    Attributes
    ----------
    stage : {"common", "change", "ground"}
        Image that it is applied to: what the two dates have in common, the sum of
        all changes, or the ground that both make.

    Examples
    --------
    >>> from xsubpix.second_date import EFFECTS, GroundEffect
    >>> sorted({effect.stage for effect in EFFECTS if issubclass(effect, GroundEffect)})
    ['change', 'common', 'ground']
    """

    stage: ClassVar[Literal["common", "change", "ground"]]

    @abc.abstractmethod
    def apply(self, image: np.ndarray, scene: Scene, rng: np.random.Generator) -> np.ndarray:
        """Changed image ``(h, w)``, float32, in standard deviations of the first date.

        Parameters
        ----------
        image : numpy.ndarray of float32
            Image of the effect's stage, ``(h, w)``.
        scene : Scene
            The first date and its land covers.
        rng : numpy.random.Generator
            The effect's own stream.
        """


@dataclasses.dataclass(frozen=True)
class AcquisitionEffect(Effect):
    """Effect of air or instrument, after the ground has moved.

    Examples
    --------
    >>> import numpy as np
    >>> from xsubpix.second_date import Haze, ImageStatistics
    >>> image = np.random.default_rng(0).normal(100.0, 5.0, (96, 96)).astype("f4")
    >>> hazy = Haze(0.2).apply(image, ImageStatistics.of(image), np.random.default_rng(1))
    >>> hazy.shape
    (96, 96)
    """

    @abc.abstractmethod
    def apply(
        self, image: np.ndarray, statistics: ImageStatistics, rng: np.random.Generator
    ) -> np.ndarray:
        """Changed image ``(h, w)``, float32, in its own units.

        Parameters
        ----------
        image : numpy.ndarray of float32
            Complete image ``(h, w)``.
        statistics : ImageStatistics
            Statistics of the ground before any effect.
        rng : numpy.random.Generator
            The effect's own stream.
        """

    def smoothed(self, image: np.ndarray) -> np.ndarray:
        """Image as the effect's optics show it; the strength of the change allows for that."""
        return image

    def noise_variance(self, finest: float, deviation: float) -> float:
        """Variance of the independent noise that the effect adds to an image.

        Parameters
        ----------
        finest, deviation : float
            Finest detail and standard deviation of the image, in one unit.
        """
        return 0.0

    def displacement(self, shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
        """Displacement that the effect puts into an image, pixels.

        Parameters
        ----------
        shape : (int, int)
            Rows and columns.
        rng : numpy.random.Generator
            The effect's own stream, as it is given to :meth:`apply`.

        Returns
        -------
        numpy.ndarray of float32
            ``(2, h, w)``: dx to the right, dy down; what is seen at a pixel comes
            from there minus the displacement. Zero for most effects.
        """
        return np.zeros((2, *shape), np.float32)
