"""An image made ready for change: complete, in standard deviations, with its land covers."""

from __future__ import annotations

import dataclasses
from functools import cached_property
from typing import Self

import numpy as np

from ..errors import DimensionError
from ..kernels.nearest import fill_nearest
from .landcover import LandCover, land_cover
from .sharpness import point_spread

__all__ = ["Scene", "draw_mix", "filled", "standardised"]

# Least side of an image, pixels: one window of the local correlation.
_LEAST_SIDE = 32
# New edges and textures are seen through the image's own point spread, times this: the
# uncommon part of real pairs falls off toward Nyquist a little faster than the image itself.
_SPREAD = 1.2


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
        Mean and standard deviation of the first date, in its own units.
    mix : tuple of float
        Weights of the bands in the first date.
    classes : int
        Number of land covers.
    seed : tuple of int
        Seed of the land covers.
    """

    image: np.ndarray
    bands: np.ndarray
    missing: np.ndarray | None
    mean: float
    deviation: float
    mix: tuple[float, ...]
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
            Number and seed of the land covers.
        before : numpy.ndarray, optional
            The first date, where it is no mixture of `bands`.

        Raises
        ------
        DimensionError
            If the image is smaller than 32 pixels a side, or `before` is not on
            its grid.
        """
        shape = bands.shape[1:]
        if min(shape) < _LEAST_SIDE or (before is not None and before.shape != shape):
            raise DimensionError(
                f"Image of {shape} with a first date of "
                f"{None if before is None else before.shape}: give one grid of at least "
                f"{_LEAST_SIDE} x {_LEAST_SIDE} pixels."
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
        return cls(image, standard, hole, mean, deviation, mix, classes, seed)

    @cached_property
    def cover(self) -> LandCover:
        """Soft land covers, clustered on first use."""
        return land_cover(self.bands, self.classes, np.random.default_rng(self.seed))

    @cached_property
    def spread(self) -> float:
        """Point spread for what is new on the ground, pixels (standard deviation)."""
        return _SPREAD * point_spread(self.image)

    def in_units(self, standard: np.ndarray) -> np.ndarray:
        """Image in the first date's units, from standard deviations; NaN where that is missing."""
        out = (standard * np.float32(self.deviation) + np.float32(self.mean)).astype(np.float32)
        if self.missing is not None:
            out[self.missing] = np.nan
        return out


def filled(image: np.ndarray, missing: np.ndarray | None) -> np.ndarray:
    """Image in float32, holes filled by the nearest pixel, so that filters see no edge."""
    values = np.asarray(image, np.float32)
    return values if missing is None else fill_nearest(values, missing)


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


def draw_mix(rng: np.random.Generator, bands: int) -> tuple[float, ...]:
    """Draw weights of bands, which sum to one: one band, a broad one, or any mixture.

    Empty where there is one band only.
    """
    if bands == 1:
        return ()
    kind = rng.random()
    weights = np.zeros(bands)
    if kind < 0.5:
        weights[rng.integers(bands)] = 1.0
    elif kind < 0.75:
        first = int(rng.integers(bands - 1))
        weights[first : first + 3] = rng.dirichlet(np.ones(len(weights[first : first + 3])))
    else:
        weights = rng.dirichlet(np.ones(bands))
    return tuple(weights.tolist())
