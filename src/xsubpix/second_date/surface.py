"""What changes on the ground between two dates: one kernel for each cause.

All work on a :class:`Scene`, whose images have zero mean and unit deviation,
and return a field ``(h, w)`` of float32 to be added to the first date, scaled to
the same mean local variance, so that shares of causes mean what they say.
"""

from __future__ import annotations

import dataclasses
from functools import cached_property
from typing import Self

import numpy as np
import scipy.fft
import scipy.ndimage

from ..errors import DimensionError
from .atmosphere import coloured_noise, smooth_field
from .landcover import LandCover, land_cover, parcels
from .sensor import point_spread

__all__ = [
    "Scene",
    "blobs_and_lines",
    "field_changes",
    "foreign_ground",
    "growth",
    "land_cover_changes",
    "new_sun",
    "normalised",
    "standardised",
    "strength_for",
]

# Side of the blocks whose sums make the 32-pixel windows of the local correlation.
_BLOCK = 16
# New edges and textures are seen through the image's own point spread, times this: the
# uncommon part of real pairs falls off toward Nyquist a little faster than the image itself.
_SPREAD = 1.2
# Changes beyond this many deviations are compressed: a roof that dazzles stays within counts.
_LARGEST = 5.0
# Strengths tried when a correlation is aimed at.
_STRENGTHS = np.concatenate([[0.0], np.geomspace(0.01, 30.0, 96)])


@dataclasses.dataclass(frozen=True, eq=False)
class Scene:
    """An image made ready for change: complete, and in standard deviations.

    Attributes
    ----------
    image : numpy.ndarray of float32
        First date ``(h, w)``: zero mean, unit deviation.
    bands : numpy.ndarray of float32
        The same for each band, ``(bands, h, w)``.
    missing : numpy.ndarray of bool or None
        Where any band or the first date is missing; None for nowhere.
    mean, deviation : float
        Of the first date, in its own units.
    classes : int
        Number of land covers.
    seed : tuple of int
        Of the land covers.
    """

    image: np.ndarray
    bands: np.ndarray
    missing: np.ndarray | None
    mean: float
    deviation: float
    classes: int
    seed: tuple[int, ...]

    @classmethod
    def of(
        cls,
        bands: np.ndarray,
        mix: tuple[float, ...],
        classes: int,
        seed: tuple[int, ...],
        before: np.ndarray | None = None,
    ) -> Self:
        """Fill, standardise and mix.

        Parameters
        ----------
        bands : numpy.ndarray
            Shape ``(bands, h, w)``; NaN is missing.
        mix : tuple of float
            Weights of the bands in the first date, summing to one.
        classes, seed
            Kept for the land covers.
        before : numpy.ndarray, optional
            The first date, where it is no mixture of `bands`.

        Raises
        ------
        DimensionError
            If the image is smaller than 32 pixels a side, or `before` is not on
            its grid.
        """
        shape = bands.shape[1:]
        if min(shape) < 2 * _BLOCK or (before is not None and before.shape != shape):
            raise DimensionError(
                f"Image of {shape} with a first date of "
                f"{None if before is None else before.shape}: give one grid of at least "
                f"{2 * _BLOCK} x {2 * _BLOCK} pixels."
            )
        missing = ~np.isfinite(bands).all(axis=0)
        if before is not None:
            missing |= ~np.isfinite(before)
        if missing.all():
            raise DimensionError(
                f"All pixels of the image {shape} are missing: give one with data."
            )
        hole = missing if missing.any() else None
        standard = np.empty(bands.shape, np.float32)
        scales = []
        for i, band in enumerate(bands):
            standard[i], *scale = standardised(filled(band, hole))
            scales.append(scale)
        if before is not None:
            image, mean, deviation = standardised(filled(before, hole))
        elif len(bands) == 1:
            image, (mean, deviation) = standard[0], scales[0]
        else:
            image, _, _ = standardised(np.tensordot(np.array(mix, np.float32), standard, 1))
            mean, deviation = (float(v) for v in np.array(mix) @ np.array(scales))
            if np.nanmin(bands) >= 0:
                mean = max(mean, -float(image.min()) * deviation)  # counts stay counts
        return cls(image, standard, hole, mean, deviation, classes, seed)

    @cached_property
    def cover(self) -> LandCover:
        """Soft land covers, clustered on first use."""
        return land_cover(self.bands, self.classes, np.random.default_rng(self.seed))

    @cached_property
    def spread(self) -> float:
        """Point spread for what is new on the ground, pixels (standard deviation)."""
        return _SPREAD * point_spread(self.image)

    def in_units(self, standard: np.ndarray) -> np.ndarray:
        """From standard deviations to the first date's units, missing where it is."""
        out = (standard * np.float32(self.deviation) + np.float32(self.mean)).astype(np.float32)
        if self.missing is not None:
            out[self.missing] = np.nan
        return out

    def exposure(self, spread: float, rng: np.random.Generator) -> np.ndarray:
        """How much each place changes: by its land cover and by a smooth field, mean one."""
        level = rng.normal(0, spread, len(self.cover.centres)).astype(np.float32)
        field = np.tensordot(level, self.cover.membership, 1)
        field += np.float32(0.7 * spread) * smooth_field(self.image.shape, 2.5, rng)
        np.exp(field, out=field)
        return field / field.mean()


def land_cover_changes(
    scene: Scene, mix: tuple[float, ...], reversal: float, rng: np.random.Generator
) -> np.ndarray:
    """Each land cover gets a new level and a new contrast of its own.

    ``sum_k m_k (o_k + g_k . (z - c_k))`` over the classes k with memberships m_k
    and centres c_k, bands z; a share `reversal` of the classes has a gain that
    turns the contrast within them round.

    Parameters
    ----------
    scene : Scene
    mix : tuple of float
        The first date's weights of the bands: what a reversal turns round.
    reversal : float
        Share of classes reversed, 0 to 1.
    rng : numpy.random.Generator
    """
    cover = scene.cover
    classes, bands = cover.band_centres.shape
    level = rng.normal(0, 0.8, classes)
    gain = rng.normal(0, 0.6 / np.sqrt(bands), (classes, bands))
    turned = rng.random(classes) < reversal
    gain[turned] -= 2 * np.asarray(mix)
    constant = (level - (gain * cover.band_centres).sum(axis=1)).astype(np.float32)
    field = np.tensordot(constant, cover.membership, 1)
    for band, weights in zip(scene.bands, gain.T.astype(np.float32), strict=True):
        field += np.tensordot(weights, cover.membership, 1) * band
    # A function of an image is sharper than the image: softened, as the optics would have.
    return scipy.ndimage.gaussian_filter(field, 0.5 * scene.spread, truncate=3.0)


def field_changes(
    scene: Scene,
    size: tuple[float, float],
    angle: float,
    reversal: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Parcels ploughed, sown, grown or cut: new levels with sharp edges, some reversed.

    Parameters
    ----------
    scene : Scene
    size : tuple of float
        Length and breadth of fields, pixels.
    angle : float
        Direction of their rows, radians.
    reversal : float
        Share of changed parcels whose inner contrast is turned round.
    rng : numpy.random.Generator
    """
    parcel = parcels(scene.cover, size, angle, rng)
    changed = rng.random(4096) < rng.uniform(0.2, 0.9)
    level = (rng.normal(0, 1, 4096) * changed).astype(np.float32)
    turned = (rng.random(4096) < reversal) & changed
    gain = np.where(turned, -2.0, rng.normal(0, 0.4, 4096) * changed).astype(np.float32)
    detail = scene.image - scipy.ndimage.uniform_filter(scene.image, 15)
    field = level[parcel] + gain[parcel] * detail
    return scipy.ndimage.gaussian_filter(field, scene.spread, truncate=3.0)


def foreign_ground(scene: Scene, rng: np.random.Generator) -> np.ndarray:
    """Real ground from elsewhere: a band of the image itself, turned by half and displaced.

    Nothing synthetic has the spectrum, the edges and the sparseness of ground;
    ground from another place has, and shares nothing with what it is laid over.
    """
    source = scene.bands[rng.integers(len(scene.bands))]
    height, width = source.shape
    roll = (
        int(rng.integers(height // 8, height - height // 8)),
        int(rng.integers(width // 8, width - width // 8)),
    )
    field = np.roll(source[::-1, ::-1], roll, axis=(0, 1))
    return field * np.float32(rng.choice([-1, 1]))


def growth(scene: Scene, rng: np.random.Generator) -> np.ndarray:
    """Texture that comes and goes within land covers: coloured noise, stronger in some."""
    noise = coloured_noise(scene.image.shape, rng.uniform(0.4, 1.8), rng)
    noise = scipy.ndimage.gaussian_filter(noise, scene.spread, truncate=3.0)
    if rng.random() < 0.4:
        # Trees and clearings have a size: a spectrum with a peak.
        noise -= scipy.ndimage.gaussian_filter(noise, rng.uniform(1.5, 5.0), truncate=2.5)
    level = np.exp(rng.normal(0, 0.8, len(scene.cover.centres))).astype(np.float32)
    return noise * np.tensordot(level, scene.cover.membership, 1)


def blobs_and_lines(scene: Scene, rng: np.random.Generator) -> np.ndarray:
    """What was built, cleared or flooded: patches and straight tracks with sharp edges."""
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
        line = np.clip(half + 0.5 - np.abs(x * normal_x + y * normal_y - np.float32(through)), 0, 1)
        field += np.float32(rng.normal(0, 1.5)) * line
    return scipy.ndimage.gaussian_filter(field, scene.spread, truncate=3.0)


def new_sun(scene: Scene, azimuths: tuple[float, float]) -> np.ndarray:
    """The difference that another azimuth of the sun makes to the shading of relief.

    Linear shape from shading (Pentland 1990): to first order, shading is the
    slope toward the sun, so its spectrum at a new azimuth is the old one times
    ``(u1 . k) / (u0 . k)``. The ratio is real: contrasts weaken, strengthen and
    reverse by direction, and nothing is displaced. It is bounded where the old
    sun lit along the slopes.

    Parameters
    ----------
    scene : Scene
    azimuths : tuple of float
        Directions to the sun at both dates, radians from the columns' axis.
    """
    height, width = scene.image.shape
    rows = scipy.fft.next_fast_len(height, real=True)
    columns = scipy.fft.next_fast_len(width, real=True)
    spectrum = scipy.fft.rfft2(scene.image, (rows, columns))
    ky = scipy.fft.fftfreq(rows).astype(np.float32)[:, None]
    kx = scipy.fft.rfftfreq(columns).astype(np.float32)[None, :]
    old, new = (np.float32(np.cos(a)) * kx + np.float32(np.sin(a)) * ky for a in azimuths)
    square = kx**2 + ky**2
    ratio = old * new / (old**2 + np.float32(0.15) * square + np.float32(1e-12))
    # Relief is in wavelengths of 4 px and more; what is coarser than 100 px is land cover.
    band = np.exp(-square * np.float32(4.0**2 / 2)) * (square > 1e-4)
    spectrum *= (ratio - 1) * band
    return scipy.fft.irfft2(spectrum, (rows, columns))[:height, :width].astype(np.float32)


def normalised(field: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Scale a field to the mean local variance of an image (32-pixel windows).

    Values beyond five deviations of the image are compressed softly.
    """
    own = float(np.mean(_window_moment(field, field)))
    aim = float(np.mean(_window_moment(image, image)))
    if own <= 1e-12 or aim <= 1e-12:
        return np.zeros_like(field)
    field = field * np.float32(np.sqrt(aim / own))
    return field / np.sqrt(1 + (field / np.float32(_LARGEST)) ** 2)


def strength_for(
    correlation: float,
    image: np.ndarray,
    common: np.ndarray,
    change: np.ndarray,
    noise: tuple[float, float],
) -> float:
    """How much change brings two dates to a mean local correlation.

    The moments of ``common + s * change`` in each window are quadratic in s, so
    they are taken once and the mean over 32-pixel windows is evaluated for many
    s; the first crossing is returned.

    Parameters
    ----------
    correlation : float
        Aim.
    image, common, change : numpy.ndarray of float32
        First date, its part in the second date, and the change.
    noise : tuple of float
        Variances of independent noise: constant, and per unit of s squared.

    Returns
    -------
    float
        s; 0 if noise alone has brought the correlation below the aim, the
        strength of least correlation if the aim is out of reach.
    """
    vii = _window_moment(image, image)
    vic, vid = _window_moment(image, common), _window_moment(image, change)
    vcc = _window_moment(common, common)
    vcd, vdd = _window_moment(common, change), _window_moment(change, change)
    kept = vii > 1e-6
    if not kept.any():
        return 0.0
    vii, vic, vid, vcc, vcd, vdd = (m[kept] for m in (vii, vic, vid, vcc, vcd, vdd))
    mean = np.empty(len(_STRENGTHS))
    for i, s in enumerate(_STRENGTHS):
        variance = vcc + 2 * s * vcd + s**2 * vdd + noise[0] + s**2 * noise[1]
        mean[i] = np.mean((vic + s * vid) / np.sqrt(vii * np.maximum(variance, 1e-12)))
    below = np.flatnonzero(mean <= correlation)
    if not below.size:
        return float(_STRENGTHS[mean.argmin()])
    i = below[0]
    if i == 0:
        return 0.0
    part = (mean[i - 1] - correlation) / (mean[i - 1] - mean[i])
    return float(_STRENGTHS[i - 1] + part * (_STRENGTHS[i] - _STRENGTHS[i - 1]))


def filled(image: np.ndarray, missing: np.ndarray | None) -> np.ndarray:
    """The image in float32, holes filled by the nearest pixel, so that filters see no edge."""
    values = np.asarray(image, np.float32)
    if missing is None:
        return values
    nearest = scipy.ndimage.distance_transform_edt(
        missing, return_distances=False, return_indices=True
    )
    return values[tuple(nearest)]


def standardised(image: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Image of zero mean and unit deviation, and its mean and deviation before.

    The deviation is that of the middle 98 % of values: a few bright roofs must
    not make all the rest flat.
    """
    sample = image[::3, ::3]
    low, high = np.quantile(sample, (0.01, 0.99))
    clipped = np.clip(sample, low, high)
    mean, deviation = float(clipped.mean()), float(clipped.std())
    if deviation <= 1e-6 * max(abs(mean), 1e-30):
        deviation = max(abs(mean), 1.0) * 1e-3  # a constant image stays one
    return (image - np.float32(mean)) / np.float32(deviation), mean, deviation


def _patch_levels(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """A level for each patch: bright or dark, from cells much larger than a patch."""
    cell = 24
    coarse = rng.normal(0, 1.5, (height // cell + 1, width // cell + 1)).astype(np.float32)
    return np.repeat(np.repeat(coarse, cell, 0), cell, 1)[:height, :width]


def _window_moment(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Covariance of two images of about zero mean in 32-pixel windows, each 16 pixels."""
    n = (2 * _BLOCK) ** 2
    return _window_sum(a * b) / n - _window_sum(a) * _window_sum(b) / n**2


def _window_sum(values: np.ndarray) -> np.ndarray:
    rows, columns = values.shape[0] // _BLOCK, values.shape[1] // _BLOCK
    blocks = values[: rows * _BLOCK, : columns * _BLOCK].reshape(rows, _BLOCK, columns, _BLOCK)
    sums = blocks.sum(axis=(1, 3), dtype=np.float64)
    return sums[1:, 1:] + sums[:-1, 1:] + sums[1:, :-1] + sums[:-1, :-1]
