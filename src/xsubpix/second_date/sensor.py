"""Effects of the instrument: optics, detectors, noise, counts."""

from __future__ import annotations

import dataclasses
from typing import Self

import numpy as np

from ..kernels.spline import sample_quintic
from .effects import AcquisitionEffect, Conditions, ImageStatistics, log_uniform
from .noise import coloured_noise
from .sharpness import blur

__all__ = ["Counts", "DetectorJitter", "Optics", "SensorNoise", "Stripes"]


@dataclasses.dataclass(frozen=True)
class Optics(AcquisitionEffect):
    """Difference of modulation transfer functions: blur, or sharpening by as much.

    Attributes
    ----------
    sigma : float
        Standard deviation of the Gaussian blur along rows, pixels; negative sharpens.
    aspect : float
        Ratio of the blur along columns to that along rows.

    Examples
    --------
    >>> import numpy as np
    >>> from xsubpix.second_date import Optics, Conditions
    >>> drawn = Optics.draw(np.random.default_rng(0), Conditions(correlation=0.8, bands=3))
    >>> drawn.to_dict()["effect"]
    'optics'
    """

    name = "optics"

    sigma: float
    aspect: float = 1.0

    @classmethod
    def draw(cls, rng: np.random.Generator, conditions: Conditions) -> Self:
        """Draw blur and aspect, less for stable pairs."""
        sigma = rng.uniform(-0.4, 0.6) * conditions.damping
        return cls(sigma, log_uniform(rng, 0.7, 1.4))

    def smoothed(self, image: np.ndarray) -> np.ndarray:
        """Image through the other optics."""
        return blur(image, self.sigma, self.aspect)

    def apply(
        self, image: np.ndarray, statistics: ImageStatistics, rng: np.random.Generator
    ) -> np.ndarray:
        """Image through the other optics; nothing is random."""
        return self.smoothed(image)


@dataclasses.dataclass(frozen=True)
class DetectorJitter(AcquisitionEffect):
    """Misplaced detectors: small shifts of lines, the same within a module.

    Scans of a whisk broom (16 rows of Landsat TM and ETM+) and focal-plane
    modules of a push broom (hundreds of columns) each lie off a little. The mean
    over the image is zero, so no net displacement comes in.

    Attributes
    ----------
    amount : float
        Standard deviation of the modules' shifts, pixels; far below 1.
    module : int
        Lines in a module.
    along_rows : bool
        Whether the lines are rows.

    Examples
    --------
    >>> jitter = DetectorJitter(amount=0.1, module=16, along_rows=True)
    >>> dx, dy = jitter.displacement((64, 48), np.random.default_rng(0))
    >>> dx.shape, bool((dx == dx[:, :1]).all()), abs(float(dx.mean())) < 1e-6
    ((64, 48), True, True)
    """

    name = "jitter"

    amount: float
    module: int = 16
    along_rows: bool = True

    @classmethod
    def draw(cls, rng: np.random.Generator, conditions: Conditions) -> Self:
        """Draw amount (none for two fifths), module and direction."""
        return cls(
            log_uniform(rng, 0.01, 0.2) * (rng.random() < 0.6),
            int(rng.choice([4, 16, 16, 32, 120])),
            bool(rng.random() < 0.6),
        )

    def displacement(self, shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
        """Displacement that the jitter puts into an image, pixels.

        Parameters
        ----------
        shape : (int, int)
            Rows and columns.
        rng : numpy.random.Generator
            The same stream gives the same field as :meth:`apply` uses.

        Returns
        -------
        numpy.ndarray of float32
            ``(2, h, w)``: dx to the right, dy down; what is seen at a pixel comes
            from there minus the displacement.
        """
        if self.amount <= 0:
            return np.zeros((2, *shape), np.float32)
        return np.array(np.broadcast_to(self._line_shifts(shape, rng), (2, *shape)))

    def apply(
        self, image: np.ndarray, statistics: ImageStatistics, rng: np.random.Generator
    ) -> np.ndarray:
        """Shifted image, by quintic splines."""
        if self.amount <= 0:
            return image
        dx, dy = self._line_shifts(image.shape, rng)
        height, width = image.shape
        rows = np.clip(np.arange(height, dtype=np.float32)[:, None] - dy, 0, height - 1)
        cols = np.clip(np.arange(width, dtype=np.float32) - dx, 0, width - 1)
        return sample_quintic(image, rows, cols)

    def _line_shifts(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """Shifts dx and dy of each line, ``(2, h, 1)`` or ``(2, 1, w)``, float32, zero mean."""
        lines = shape[0] if self.along_rows else shape[1]
        index = (np.arange(lines) + int(rng.integers(0, self.module))) // self.module
        shift = rng.normal(0.0, self.amount, (2, int(index.max()) + 1))[:, index]
        shift -= shift.mean(axis=1, keepdims=True)
        # Drawn as dy, dx.
        shift = shift[::-1].astype(np.float32)
        return shift[:, :, None] if self.along_rows else shift[:, None, :]


@dataclasses.dataclass(frozen=True)
class SensorNoise(AcquisitionEffect):
    """Noise of an acquisition: white, half of it growing with radiance, and coloured.

    Attributes
    ----------
    white : float
        White noise in units of the image's own finest detail
        (:func:`xsubpix.second_date.sharpness.noise_level`).
    floor : float
        White noise that is there in any case, in standard deviations of the image.
    grain : float
        Coloured noise, in standard deviations of the image.
    exponent : float
        Exponent of the grain's spectrum.

    Examples
    --------
    >>> import numpy as np
    >>> from xsubpix.second_date import SensorNoise, Conditions
    >>> drawn = SensorNoise.draw(np.random.default_rng(0), Conditions(correlation=0.8, bands=3))
    >>> drawn.to_dict()["effect"]
    'noise'
    """

    name = "noise"

    white: float
    floor: float
    grain: float
    exponent: float

    @classmethod
    def draw(cls, rng: np.random.Generator, conditions: Conditions) -> Self:
        """Draw all parts, less for stable pairs."""
        return cls(
            white=log_uniform(rng, 0.15, 0.9) * conditions.damping,
            floor=log_uniform(rng, 0.002, 0.02),
            grain=log_uniform(rng, 0.003, 0.04) * conditions.damping,
            exponent=rng.uniform(0.5, 2.0),
        )

    def noise_variance(self, finest: float, deviation: float) -> float:
        """Variance of all parts for an image of that finest detail and deviation."""
        return (self.white * finest) ** 2 + (self.floor**2 + self.grain**2) * deviation**2

    def apply(
        self, image: np.ndarray, statistics: ImageStatistics, rng: np.random.Generator
    ) -> np.ndarray:
        """Image with noise."""
        finest, scale = statistics.finest, statistics.deviation
        white = float(np.hypot(self.white * finest, self.floor * scale))
        noise = rng.standard_normal(image.shape, dtype=np.float32)
        mean, deviation = float(image.mean()), max(float(image.std()), 1e-12)
        # Shot noise: variance linear in radiance, here from 0.25 to 1.75 over two deviations.
        photons = np.clip(1 + 0.375 * (image - mean) / deviation, 0.25, 1.75)
        noise *= np.float32(white) * np.sqrt(photons)
        grain = self.grain * scale
        if grain > 0:
            noise += np.float32(grain) * coloured_noise(image.shape, self.exponent, rng)
        return np.asarray(image + noise.astype(np.float32))


@dataclasses.dataclass(frozen=True)
class Stripes(AcquisitionEffect):
    """Offsets of uncalibrated detectors, repeated each `period` lines.

    A whisk-broom scanner has a few detectors that sweep rows (Landsat-7: 16), a
    push-broom one detector a column (a period longer than the image). They are
    offsets of radiance: nothing is displaced.

    Attributes
    ----------
    amount : float
        Standard deviation of the offsets, in that of the image.
    period : int
        Number of detectors.
    along_rows : bool
        Whether stripes run along rows.

    Examples
    --------
    >>> import numpy as np
    >>> from xsubpix.second_date import Stripes, Conditions
    >>> drawn = Stripes.draw(np.random.default_rng(0), Conditions(correlation=0.8, bands=3))
    >>> drawn.to_dict()["effect"]
    'stripes'
    """

    name = "stripes"

    amount: float
    period: int
    along_rows: bool

    @classmethod
    def draw(cls, rng: np.random.Generator, conditions: Conditions) -> Self:
        """Draw amount (none for seven tenths), period and direction."""
        return cls(
            log_uniform(rng, 0.002, 0.04) * (rng.random() < 0.3),
            int(rng.choice([4, 6, 16, 10_000])),
            bool(rng.random() < 0.5),
        )

    def apply(
        self, image: np.ndarray, statistics: ImageStatistics, rng: np.random.Generator
    ) -> np.ndarray:
        """Striped image."""
        if self.amount <= 0:
            return image
        period = max(self.period, 1)
        n = image.shape[0] if self.along_rows else image.shape[1]
        detector = rng.normal(0.0, self.amount * statistics.deviation, period).astype(np.float32)
        lines = detector[np.arange(n) % period]
        return np.asarray(image + (lines[:, None] if self.along_rows else lines[None, :]))


@dataclasses.dataclass(frozen=True)
class Counts(AcquisitionEffect):
    """Rounding of radiance to counts.

    Attributes
    ----------
    quantum : float
        Step of the counts, in standard deviations of the image; 0 rounds nothing.

    Examples
    --------
    >>> import numpy as np
    >>> from xsubpix.second_date import Counts, Conditions
    >>> drawn = Counts.draw(np.random.default_rng(0), Conditions(correlation=0.8, bands=3))
    >>> drawn.to_dict()["effect"]
    'counts'
    """

    name = "counts"

    quantum: float

    @classmethod
    def draw(cls, rng: np.random.Generator, conditions: Conditions) -> Self:
        """Draw the step."""
        return cls(log_uniform(rng, 0.002, 0.1))

    def apply(
        self, image: np.ndarray, statistics: ImageStatistics, rng: np.random.Generator
    ) -> np.ndarray:
        """Rounded image; nothing is random."""
        step = np.float32(self.quantum * statistics.deviation)
        return np.asarray(np.rint(image / step) * step) if step > 0 else image
