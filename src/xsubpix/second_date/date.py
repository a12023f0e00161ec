"""A second date for an image that has only one.

Between two dates the same ground looks different: other plants, other sun,
other air, another instrument. A network that has only seen smooth changes of
brightness fails on real pairs, because real changes have edges, follow parcels,
reverse contrasts and have the spectrum of ground. :class:`SecondDate` draws
such changes and applies them.

The changes are made in the order in which nature makes them::

    bands --change_surface--> ground --(warp by a rupture)--> moved ground --acquire--> post

so that noise, clouds and stripes are put on after the ground has moved; noise
that is warped with the ground would be a cue that no real pair has.

How much is changed is solved for, not guessed: the change is scaled until the
mean local correlation with the first date is the one asked for. The mixture of
causes was calibrated on real pairs (``benchmarks/calibrate_second_dates.py``).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, Self

import numpy as np

from ..errors import DataError, DimensionError
from .correlation import correlation_at_gap
from .effects import (
    AcquisitionEffect,
    Cause,
    Conditions,
    Effect,
    GroundEffect,
    ImageStatistics,
    stream,
)
from .flat_record import effects_of_flat_record
from .registry import draw_effects, effect_from_dict
from .scene import Scene, draw_mix, filled, standardised
from .sharpness import noise_level
from .strength import normalised, strength_for

__all__ = ["RECORD_VERSION", "SecondDate"]

#: Version of the records that :meth:`SecondDate.to_dict` writes.
RECORD_VERSION = 2


@dataclasses.dataclass(frozen=True)
class SecondDate:
    """Effects that together turn the first date of an image into a second one.

    Use :meth:`random` to draw one. Lengths are pixels, angles radians; what
    has the unit of radiance is given in standard deviations of the image.

    Attributes
    ----------
    seed : int
        Seed of all random fields.
    correlation : float
        Mean local correlation (32 px windows) of the two dates that the surface
        change is scaled to, sensor noise included, clouds and haze not.
    before_mix : tuple of float
        Weights of the bands in the image before; their standard deviations are
        made equal first. Empty for one band.
    classes : int
        Number of land covers.
    effects : tuple of Effect
        Effects in the order in which they are applied, each name once.

    Raises
    ------
    DataError
        Two effects have one name: they would share a random stream.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.random.default_rng(0).normal(100, 10, (64, 64)).cumsum(axis=1).astype("f4")
    >>> date = SecondDate.random(np.random.default_rng(1), correlation=(0.8, 0.9))
    >>> post = date.apply(image)
    >>> post.shape, post.dtype.name
    ((64, 64), 'float32')
    >>> SecondDate.from_dict(date.to_dict()) == date
    True
    """

    seed: int
    correlation: float
    before_mix: tuple[float, ...]
    classes: int
    effects: tuple[Effect, ...]

    def __post_init__(self) -> None:
        names = [effect.name for effect in self.effects]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise DataError(
                f"effects {', '.join(twice)} are given twice: give each effect once, since its "
                "name is that of its random stream."
            )

    @classmethod
    def random(
        cls,
        rng: np.random.Generator,
        correlation: tuple[float, float] = (0.6, 0.95),
        *,
        bands: int = 1,
        days: float | None = None,
        cloudy: float = 0.15,
    ) -> Self:
        """Draw a second date.

        Parameters
        ----------
        rng : numpy.random.Generator
            Gives the seed, one number; all else follows from that.
        correlation : tuple of float
            Range of the mean local correlation to aim at, drawn uniformly.
        bands : int
            Number of bands of the images it will be applied to.
        days : float, optional
            Time between the dates: the correlation is then that of real pairs
            so far apart (:func:`correlation_at_gap`), cut to the range given,
            and clouds are a third as frequent.
        cloudy : float
            Share of dates with clouds.

        Returns
        -------
        SecondDate

        Raises
        ------
        DataError
            If the range of correlation is not within 0 to 1 and in order.

        Examples
        --------
        >>> date = SecondDate.random(np.random.default_rng(0), days=30)
        >>> 0.6 <= date.correlation <= 0.95
        True
        """
        low, high = correlation
        if not 0.0 <= low <= high < 1.0:
            raise DataError(f"correlation={correlation}: give two numbers, 0 <= low <= high < 1.")
        seed = int(rng.integers(0, 2**63))
        aim_rng = stream(seed, "draw correlation")
        if days is None:
            aim = aim_rng.uniform(low, high)
        else:
            aim = float(np.clip(correlation_at_gap(days, aim_rng), low, high))
        return cls(
            seed=seed,
            correlation=aim,
            before_mix=draw_mix(stream(seed, "draw before_mix"), bands),
            classes=int(stream(seed, "draw classes").integers(4, 13)),
            effects=draw_effects(seed, Conditions(aim, bands, days, cloudy)),
        )

    def __getitem__(self, name: str) -> Effect:
        """Effect of a name; DataError where there is none."""
        effects = {effect.name: effect for effect in self.effects}
        if name not in effects:
            raise DataError(
                f"this second date has no effect {name!r}: choose of {', '.join(effects)}."
            )
        return effects[name]

    def without(self, *names: str) -> Self:
        """The same second date, without effects of these names.

        Examples
        --------
        >>> date = SecondDate.random(np.random.default_rng(0)).without("haze", "cloud")
        >>> "cloud" in [effect.name for effect in date.effects]
        False
        """
        for name in names:
            self[name]
        kept = tuple(effect for effect in self.effects if effect.name not in names)
        return dataclasses.replace(self, effects=kept)

    def with_effect(self, changed: Effect) -> Self:
        """The same second date, the effect of this name replaced, or added at the end.

        Examples
        --------
        >>> from xsubpix.second_date import Haze
        >>> SecondDate.random(np.random.default_rng(0)).with_effect(Haze(0.1))["haze"]
        Haze(strength=0.1)
        """
        names = [effect.name for effect in self.effects]
        effects = list(self.effects)
        if changed.name in names:
            effects[names.index(changed.name)] = changed
        else:
            effects.append(changed)
        return dataclasses.replace(self, effects=tuple(effects))

    @property
    def shares(self) -> dict[str, float]:
        """Share of each cause in the variance of the change, by its name; they sum to one."""
        causes = [effect for effect in self.effects if isinstance(effect, Cause)]
        total = sum(cause.weight for cause in causes)
        return {cause.name: cause.weight / total if total else 0.0 for cause in causes}

    def to_dict(self) -> dict[str, Any]:
        """Record of the parameters, ready for JSON, with its version."""
        return {
            "version": RECORD_VERSION,
            "seed": self.seed,
            "correlation": self.correlation,
            "before_mix": list(self.before_mix),
            "classes": self.classes,
            "effects": [effect.to_dict() for effect in self.effects],
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Rebuild what :meth:`to_dict` gave, now or in an older version.

        Parameters
        ----------
        record : mapping
            Record of version 2, or of version 1: all parameters in one mapping without
            a version.

        Raises
        ------
        DataError
            The version or an effect is unknown, or parameters are missing.
        """
        version = record.get("version", 1)
        if version not in (1, RECORD_VERSION):
            raise DataError(
                f"record of a second date in version {version!r}; known are 1 and "
                f"{RECORD_VERSION}. Read it with the version of xsubpix that wrote it."
            )
        if version == 1:
            effects = effects_of_flat_record(record)
        else:
            names = {"seed", "correlation", "before_mix", "classes", "effects", "version"}
            if set(record) != names:
                raise DataError(
                    f"record of a second date with {', '.join(record)}: give exactly "
                    f"{', '.join(sorted(names))}."
                )
            effects = tuple(effect_from_dict(effect) for effect in record["effects"])
        return cls(
            seed=record["seed"],
            correlation=record["correlation"],
            before_mix=tuple(record["before_mix"]),
            classes=record["classes"],
            effects=effects,
        )

    def before(self, image: np.ndarray) -> np.ndarray:
        """The first date: a single image as it is, bands in their mixture.

        Parameters
        ----------
        image : numpy.ndarray
            ``(h, w)`` or ``(bands, h, w)``; NaN is missing.

        Returns
        -------
        numpy.ndarray of float32
            Shape ``(h, w)``, the image's units (of a mixture: the mean and
            deviation of its bands in the mixture's weights).
        """
        bands = _as_bands(image)
        if len(bands) == 1:
            return bands[0].copy()
        scene = self._scene(bands)
        return scene.in_units(scene.image)

    def change_surface(self, image: np.ndarray, before: np.ndarray | None = None) -> np.ndarray:
        """The ground at the second date, before it moves and is seen.

        Parameters
        ----------
        image : numpy.ndarray
            ``(h, w)`` or ``(bands, h, w)``; NaN is missing.
        before : numpy.ndarray, optional
            The first date ``(h, w)``, where it is another image of the same
            ground and grid (a panchromatic one); default :meth:`before`.

        Returns
        -------
        numpy.ndarray of float32
            Shape ``(h, w)``, units of the first date; NaN where any band is
            missing.

        Raises
        ------
        DimensionError
            If `image` has another number of bands than the mixtures, or is
            smaller than 32 pixels a side.
        """
        scene = self._scene(_as_bands(image), before)
        change = self._ground_effects("change", self._change(scene), scene)
        common = self._ground_effects("common", scene.image, scene)
        ground = common + np.float32(self._strength(scene, common, change)) * change
        post = scene.in_units(self._ground_effects("ground", ground, scene))
        if float(scene.image.min()) * scene.deviation >= -scene.mean * (1 + 1e-6):
            # Counts stay counts: an offset (path radiance) lifts what a stretch made negative.
            post -= np.float32(min(0.0, float(np.nanquantile(post[::3, ::3], 0.001))))
            np.maximum(post, 0, out=post)
        return post

    def acquire(self, ground: np.ndarray) -> np.ndarray:
        """See the ground through the second date's air and instrument.

        Parameters
        ----------
        ground : numpy.ndarray
            Shape ``(h, w)``: what :meth:`change_surface` gave, moved or not.
            NaN is missing.

        Returns
        -------
        numpy.ndarray of float32
            Same shape, units and missing pixels.
        """
        missing = ~np.isfinite(ground)
        if missing.all():
            return np.asarray(ground, np.float32).copy()
        image = filled(ground, missing if missing.any() else None)
        statistics = ImageStatistics.of(image)
        for effect in self._acquisition():
            image = effect.apply(image, statistics, stream(self.seed, effect.name))
        # Counts stay counts; a warp's ringing may have dipped a little below zero.
        if np.nanmin(ground) >= -0.5 * statistics.deviation:
            image = np.maximum(image, 0)
        return np.where(missing, np.float32(np.nan), image).astype(np.float32)

    def displacement(self, shape: tuple[int, int]) -> np.ndarray:
        """Displacement that the instrument puts into an image, pixels.

        Training adds it to the displacement of the ground, since it is in the
        image that :meth:`acquire` gives.

        Parameters
        ----------
        shape : (int, int)
            Rows and columns.

        Returns
        -------
        numpy.ndarray of float32
            ``(2, h, w)``: dx to the right, dy down; what is seen at a pixel comes
            from there minus the displacement.

        Examples
        --------
        >>> date = SecondDate.random(np.random.default_rng(0))
        >>> date.displacement((64, 64)).shape
        (2, 64, 64)
        """
        total = np.zeros((2, *shape), np.float32)
        for effect in self._acquisition():
            total += effect.displacement(shape, stream(self.seed, effect.name))
        return total

    def apply(self, image: np.ndarray, before: np.ndarray | None = None) -> np.ndarray:
        """The second date of ground that has not moved.

        Parameters, result and errors are those of :meth:`change_surface`, which
        is followed by :meth:`acquire`.
        """
        return self.acquire(self.change_surface(image, before))

    def _scene(self, bands: np.ndarray, before: np.ndarray | None = None) -> Scene:
        """The image in standard deviations, with the first date mixed from its bands."""
        expected = max(len(self.before_mix), 1)
        if len(bands) != expected:
            raise DimensionError(
                f"The image has {len(bands)} bands and this second date was drawn for {expected}: "
                f"draw one with SecondDate.random(rng, bands={len(bands)})."
            )
        return Scene.of(bands, self.before_mix or (1.0,), self.classes, (self.seed, 0), before)

    def _change(self, scene: Scene) -> np.ndarray:
        """Sum of all causes of change, each in its share of the variance."""
        change = np.zeros_like(scene.image)
        for name, share in self.shares.items():
            cause = self[name]
            if share > 0 and isinstance(cause, Cause):
                field = cause.apply(scene, stream(self.seed, name))
                change += np.float32(np.sqrt(share)) * normalised(field, scene.image)
        return change

    def _ground_effects(self, stage: str, image: np.ndarray, scene: Scene) -> np.ndarray:
        """Image after the ground effects of a stage."""
        for effect in self.effects:
            if isinstance(effect, GroundEffect) and effect.stage == stage:
                image = effect.apply(image, scene, stream(self.seed, effect.name))
        return image

    def _acquisition(self) -> Iterable[AcquisitionEffect]:
        """Effects of air and instrument, in order."""
        return (effect for effect in self.effects if isinstance(effect, AcquisitionEffect))

    def _strength(self, scene: Scene, common: np.ndarray, change: np.ndarray) -> float:
        """Factor of the change at which the correlation is the one aimed at."""
        own, added = noise_level(common), noise_level(change)
        _, _, spread = standardised(change)
        noise = (
            sum(effect.noise_variance(own, 1.0) for effect in self._acquisition()),
            sum(effect.noise_variance(added, spread) for effect in self._acquisition()),
        )
        for effect in self._acquisition():
            common, change = effect.smoothed(common), effect.smoothed(change)
        return strength_for(self.correlation, scene.image, common, change, noise)


def _as_bands(image: np.ndarray) -> np.ndarray:
    """Shape ``(bands, h, w)``, float32."""
    if image.ndim not in (2, 3):
        raise DimensionError(
            f"Image of shape {image.shape}: give (h, w) or (bands, h, w), for instance "
            "da.squeeze().values."
        )
    return np.asarray(image if image.ndim == 3 else image[None], np.float32)
