"""Causes of change on the ground between two dates.

All work on a :class:`~xsubpix.second_date.scene.Scene`, whose images have zero mean
and unit deviation. Their fields are scaled to the same mean local variance, so that
weights of causes mean what they say.
"""

from __future__ import annotations

import dataclasses
from typing import Self

import numpy as np
import scipy.fft
import scipy.ndimage

from .effects import Cause, Conditions, log_uniform
from .landcover import parcels
from .noise import coloured_noise
from .scene import Scene, draw_mix

__all__ = [
    "BandMixing",
    "BlobsAndLines",
    "FieldChange",
    "ForeignGround",
    "Growth",
    "LandCoverChange",
    "NewSun",
]


@dataclasses.dataclass(frozen=True)
class BandMixing(Cause):
    """Other weights of the bands, as of another detector or another season of all plants.

    Attributes
    ----------
    after_mix : tuple of float
        Weights of the bands at the second date; empty for one band.

    Examples
    --------
    >>> import numpy as np
    >>> from xsubpix.second_date import BandMixing, Conditions
    >>> drawn = BandMixing.draw(np.random.default_rng(0), Conditions(correlation=0.8, bands=3))
    >>> drawn.to_dict()["effect"]
    'mixing'
    """

    name = "mixing"
    shape = (1.0, 1.0)

    after_mix: tuple[float, ...] = ()

    @classmethod
    def draw(cls, rng: np.random.Generator, conditions: Conditions) -> Self:
        """Draw weight and mixture; a single band has no other mixture."""
        weight = cls.draw_weight(rng, conditions)
        return cls(weight if conditions.bands > 1 else 0.0, draw_mix(rng, conditions.bands))

    def apply(self, scene: Scene, rng: np.random.Generator) -> np.ndarray:
        """Difference of the two mixtures."""
        after = np.tensordot(np.array(self.after_mix, np.float32), scene.bands, 1)
        return np.asarray(after / max(float(after.std()), 1e-6) - scene.image)


@dataclasses.dataclass(frozen=True)
class LandCoverChange(Cause):
    """New level and new contrast of each land cover.

    ``sum_k m_k (o_k + g_k . (z - c_k))`` over the classes k with memberships m_k
    and centres c_k, bands z.

    Attributes
    ----------
    reversal : float
        Share of classes, 0 to 1, whose gain turns the contrast within them round.

    Examples
    --------
    >>> import numpy as np
    >>> from xsubpix.second_date import LandCoverChange, Conditions
    >>> drawn = LandCoverChange.draw(np.random.default_rng(0), Conditions(correlation=0.8, bands=3))
    >>> drawn.to_dict()["effect"]
    'land cover'
    """

    name = "land cover"
    shape = (0.5, 0.7)

    reversal: float

    @classmethod
    def draw(cls, rng: np.random.Generator, conditions: Conditions) -> Self:
        """Draw weight and reversal."""
        return cls(cls.draw_weight(rng, conditions), rng.uniform(0.0, 0.6) * conditions.change)

    def apply(self, scene: Scene, rng: np.random.Generator) -> np.ndarray:
        """Change by land cover, softened as a function of an image is sharper than the image."""
        cover = scene.cover
        classes, bands = cover.band_centres.shape
        level = rng.normal(0, 0.8, classes)
        gain = rng.normal(0, 0.6 / np.sqrt(bands), (classes, bands))
        turned = rng.random(classes) < self.reversal
        gain[turned] -= 2 * np.asarray(scene.mix)
        constant = (level - (gain * cover.band_centres).sum(axis=1)).astype(np.float32)
        field = np.tensordot(constant, cover.membership, 1)
        for band, weights in zip(scene.bands, gain.T.astype(np.float32), strict=True):
            field += np.tensordot(weights, cover.membership, 1) * band
        return scipy.ndimage.gaussian_filter(field, 0.5 * scene.spread, truncate=3.0)


@dataclasses.dataclass(frozen=True)
class FieldChange(Cause):
    """Parcels ploughed, sown, grown or cut: new levels with sharp edges, some reversed.

    Attributes
    ----------
    size : (float, float)
        Length and breadth of fields, pixels.
    angle : float
        Direction of their rows, radians from the columns' axis.
    reversal : float
        Share of changed parcels, 0 to 1, whose inner contrast is turned round.

    Examples
    --------
    >>> import numpy as np
    >>> from xsubpix.second_date import FieldChange, Conditions
    >>> drawn = FieldChange.draw(np.random.default_rng(0), Conditions(correlation=0.8, bands=3))
    >>> drawn.to_dict()["effect"]
    'fields'
    """

    name = "fields"
    shape = (0.4, 1.2)

    size: tuple[float, float]
    angle: float
    reversal: float

    @classmethod
    def draw(cls, rng: np.random.Generator, conditions: Conditions) -> Self:
        """Draw weight, size and direction of fields, and reversal."""
        weight = cls.draw_weight(rng, conditions)
        length = log_uniform(rng, 8, 150)
        return cls(
            weight,
            size=(length, length * rng.uniform(0.3, 1.0)),
            angle=rng.uniform(0, np.pi),
            reversal=rng.uniform(0.0, 0.6) * conditions.change,
        )

    def apply(self, scene: Scene, rng: np.random.Generator) -> np.ndarray:
        """Change by parcel."""
        parcel = parcels(scene.cover, self.size, self.angle, rng)
        changed = rng.random(4096) < rng.uniform(0.2, 0.9)
        level = (rng.normal(0, 1, 4096) * changed).astype(np.float32)
        turned = (rng.random(4096) < self.reversal) & changed
        gain = np.where(turned, -2.0, rng.normal(0, 0.4, 4096) * changed).astype(np.float32)
        detail = scene.image - scipy.ndimage.uniform_filter(scene.image, 15)
        field = level[parcel] + gain[parcel] * detail
        return scipy.ndimage.gaussian_filter(field, scene.spread, truncate=3.0)


@dataclasses.dataclass(frozen=True)
class ForeignGround(Cause):
    """Real ground from elsewhere: a band of the image itself, turned by half and displaced.

    Nothing synthetic has the spectrum, the edges and the sparseness of ground;
    ground from another place has, and shares nothing with what it is laid over.

    Examples
    --------
    >>> import numpy as np
    >>> from xsubpix.second_date import ForeignGround, Conditions
    >>> drawn = ForeignGround.draw(np.random.default_rng(0), Conditions(correlation=0.8, bands=3))
    >>> drawn.to_dict()["effect"]
    'foreign ground'
    """

    name = "foreign ground"
    shape = (0.3, 0.8)

    def apply(self, scene: Scene, rng: np.random.Generator) -> np.ndarray:
        """Ground from elsewhere, or its negative."""
        source = scene.bands[rng.integers(len(scene.bands))]
        height, width = source.shape
        roll = (
            int(rng.integers(height // 8, height - height // 8)),
            int(rng.integers(width // 8, width - width // 8)),
        )
        field = np.roll(source[::-1, ::-1], roll, axis=(0, 1))
        return np.asarray(field * np.float32(rng.choice([-1, 1])))


@dataclasses.dataclass(frozen=True)
class Growth(Cause):
    """Texture that comes and goes within land covers: coloured noise, stronger in some.

    Examples
    --------
    >>> import numpy as np
    >>> from xsubpix.second_date import Growth, Conditions
    >>> drawn = Growth.draw(np.random.default_rng(0), Conditions(correlation=0.8, bands=3))
    >>> drawn.to_dict()["effect"]
    'growth'
    """

    name = "growth"
    shape = (0.4, 1.0)

    def apply(self, scene: Scene, rng: np.random.Generator) -> np.ndarray:
        """Coloured noise times a level for each land cover."""
        noise = coloured_noise(scene.image.shape, rng.uniform(0.4, 1.8), rng)
        noise = scipy.ndimage.gaussian_filter(noise, scene.spread, truncate=3.0)
        if rng.random() < 0.4:
            # Trees and clearings have a size: a spectrum with a peak.
            noise -= scipy.ndimage.gaussian_filter(noise, rng.uniform(1.5, 5.0), truncate=2.5)
        level = np.exp(rng.normal(0, 0.8, len(scene.cover.centres))).astype(np.float32)
        return np.asarray(noise * np.tensordot(level, scene.cover.membership, 1))


@dataclasses.dataclass(frozen=True)
class BlobsAndLines(Cause):
    """Ground that was built on, cleared or flooded: patches and straight tracks, sharp edges.

    Examples
    --------
    >>> import numpy as np
    >>> from xsubpix.second_date import BlobsAndLines, Conditions
    >>> drawn = BlobsAndLines.draw(np.random.default_rng(0), Conditions(correlation=0.8, bands=3))
    >>> drawn.to_dict()["effect"]
    'blobs and lines'
    """

    name = "blobs and lines"
    shape = (0.2, 0.6)

    def apply(self, scene: Scene, rng: np.random.Generator) -> np.ndarray:
        """Patches, and up to three tracks."""
        height, width = scene.image.shape
        size = np.exp(rng.uniform(np.log(1.5), np.log(8)))
        noise = scipy.ndimage.gaussian_filter(
            rng.standard_normal((height, width), dtype=np.float32), size, truncate=2.5
        )
        noise /= max(float(noise.std()), 1e-12)
        share = np.exp(rng.uniform(np.log(0.01), np.log(0.35)))
        level = np.float32(np.quantile(noise[::4, ::4], 1 - share))
        # The noise climbs by about 1 / size a pixel: edges one pixel wide.
        patch = np.clip((noise - level) * np.float32(size) + np.float32(0.5), 0, 1)
        field = patch * _patch_levels(height, width, rng)

        y = np.arange(height, dtype=np.float32)[:, None]
        x = np.arange(width, dtype=np.float32)[None, :]
        for _ in range(rng.integers(0, 4)):
            angle = rng.uniform(0, np.pi)
            normal_x, normal_y = np.float32(-np.sin(angle)), np.float32(np.cos(angle))
            through = rng.uniform(0, width) * normal_x + rng.uniform(0, height) * normal_y
            half = np.float32(rng.uniform(0.4, 1.5))
            distance = np.abs(x * normal_x + y * normal_y - np.float32(through))
            field += np.float32(rng.normal(0, 1.5)) * np.clip(half + 0.5 - distance, 0, 1)
        return scipy.ndimage.gaussian_filter(field, scene.spread, truncate=3.0)


@dataclasses.dataclass(frozen=True)
class NewSun(Cause):
    """Difference that another azimuth of the sun makes to the shading of relief.

    Linear shape from shading (Pentland 1990): to first order, shading is the
    slope toward the sun, so its spectrum at a new azimuth is the old one times
    ``(u1 . k) / (u0 . k)``. The ratio is real: contrasts weaken, strengthen and
    reverse by direction, and nothing is displaced. It is bounded where the old
    sun lit along the slopes.

    Attributes
    ----------
    azimuths : (float, float)
        Directions to the sun at both dates, radians from the columns' axis.

    Examples
    --------
    >>> import numpy as np
    >>> from xsubpix.second_date import NewSun, Conditions
    >>> drawn = NewSun.draw(np.random.default_rng(0), Conditions(correlation=0.8, bands=3))
    >>> drawn.to_dict()["effect"]
    'sun'
    """

    name = "sun"
    shape = (0.5, 0.4)

    azimuths: tuple[float, float]

    @classmethod
    def draw(cls, rng: np.random.Generator, conditions: Conditions) -> Self:
        """Draw weight and azimuths."""
        weight = cls.draw_weight(rng, conditions)
        before = rng.uniform(0, 2 * np.pi)
        return cls(weight, (before, float(before + rng.uniform(0.2, 1.3) * rng.choice([-1, 1]))))

    def apply(self, scene: Scene, rng: np.random.Generator) -> np.ndarray:
        """New shading minus the old one; nothing is random."""
        height, width = scene.image.shape
        rows = scipy.fft.next_fast_len(height, real=True)
        columns = scipy.fft.next_fast_len(width, real=True)
        spectrum = scipy.fft.rfft2(scene.image, (rows, columns))
        ky = scipy.fft.fftfreq(rows).astype(np.float32)[:, None]
        kx = scipy.fft.rfftfreq(columns).astype(np.float32)[None, :]
        old, new = (np.float32(np.cos(a)) * kx + np.float32(np.sin(a)) * ky for a in self.azimuths)
        square = kx**2 + ky**2
        ratio = old * new / (old**2 + np.float32(0.15) * square + np.float32(1e-12))
        # Relief is in wavelengths of 4 px and more; what is coarser than 100 px is land cover.
        band = np.exp(-square * np.float32(4.0**2 / 2)) * (square > 1e-4)
        spectrum *= (ratio - 1) * band
        change = scipy.fft.irfft2(spectrum, (rows, columns))[:height, :width]
        return np.asarray(change, np.float32)


def _patch_levels(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Level of each patch: bright or dark, from cells much larger than a patch."""
    cell = 24
    coarse = rng.normal(0, 1.5, (height // cell + 1, width // cell + 1)).astype(np.float32)
    return np.repeat(np.repeat(coarse, cell, 0), cell, 1)[:height, :width]
