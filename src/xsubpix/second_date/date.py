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
from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from ..errors import DataError, DimensionError
from . import surface
from .atmosphere import add_cloud, add_haze
from .sensor import blur, detector_jitter, noise_level, sensor_noise, stripes
from .surface import Scene

__all__ = ["CAUSES", "CORRELATION_AT_GAP", "SecondDate", "correlation_at_gap"]

#: Causes of change on the ground, with the shape of the gamma distribution that their shares of
#: the variance are drawn from: for stable pairs, and for pairs that have changed much.
CAUSES: dict[str, tuple[float, float]] = {
    "mixing": (1.0, 1.0),
    "land cover": (0.5, 0.7),
    "fields": (0.4, 1.2),
    "foreign ground": (0.3, 0.8),
    "growth": (0.4, 1.0),
    "blobs and lines": (0.2, 0.6),
    "sun": (0.5, 0.4),
}

#: Mean local correlation (32 px) of real pairs by the days between them: quantiles 0.05, 0.25,
#: 0.5, 0.75, 0.95 of the pairs of ``sentinel2_romania.nc`` (bands B3, B4, B8, misregistration
#: removed), to 500 days; beyond that, where that place was being cleared, joined with the six
#: bands of ``nanjing`` and ``taizhou``.
CORRELATION_AT_GAP: dict[int, tuple[float, float, float, float, float]] = {
    6: (0.52, 0.81, 0.95, 0.98, 0.99),
    22: (0.46, 0.71, 0.87, 0.95, 0.98),
    52: (0.37, 0.59, 0.74, 0.87, 0.94),
    125: (0.20, 0.34, 0.58, 0.70, 0.82),
    320: (0.18, 0.36, 0.50, 0.64, 0.79),
    900: (0.12, 0.28, 0.45, 0.60, 0.75),
}


def correlation_at_gap(days: float, rng: np.random.Generator) -> float:
    """Draw the mean local correlation of a pair that is `days` apart.

    Parameters
    ----------
    days : float
        Time between the dates, days; positive.
    rng : numpy.random.Generator

    Returns
    -------
    float
        From the quantiles of :data:`CORRELATION_AT_GAP`, interpolated in the
        logarithm of the days, and held at both ends.
    """
    gaps = np.log(list(CORRELATION_AT_GAP))
    table = np.array(list(CORRELATION_AT_GAP.values()))
    quantiles = [np.interp(np.log(max(days, 1e-3)), gaps, column) for column in table.T]
    return float(np.interp(rng.uniform(0.05, 0.95), (0.05, 0.25, 0.5, 0.75, 0.95), quantiles))


@dataclasses.dataclass(frozen=True)
class SecondDate:
    """Everything that makes one second date; two equal ones make the same bytes.

    Use :meth:`random` to draw one. Lengths are pixels, angles radians; what
    has the unit of radiance is given in standard deviations of the image.

    Attributes
    ----------
    seed : int
        Of all random fields.
    correlation : float
        Mean local correlation (32 px windows) of the two dates that the surface
        change is scaled to, sensor noise included, clouds and haze not.
    before_mix, after_mix : tuple of float
        Weights of the bands in the image before and after; their standard
        deviations are made equal first. Empty for one band.
    causes : tuple of float
        Variance shares of the causes of change, in the order of
        :data:`CAUSES`.
    classes : int
        Number of land covers.
    reversal : float
        Share of land covers and parcels whose contrast is reversed.
    exposure : float
        Spread (of the logarithm) of how much each land cover changes.
    parcel_size : tuple of float
        Length and breadth of fields.
    parcel_angle : float
        Direction of their rows.
    sun : tuple of float
        Azimuth of the sun at both dates.
    gain, offset : float
        Of the whole image.
    haze : float
        Largest loss of contrast.
    cloud : float
        Share of the area under cloud.
    shadow : tuple of float
        Offset of the clouds' shadows, to the right and down.
    stale : float
        Low pass (Gaussian) of the first date before it is changed: near
        Nyquist it holds its own noise and aliasing, which no second date shows.
    blur, blur_aspect : float
        Difference of optics (:func:`xsubpix.second_date.sensor.blur`).
    jitter : float
        Misregistration of detectors: standard deviation.
    jitter_module : int
        Lines that share one.
    jitter_rows : bool
        Whether these lines are rows.
    noise : float
        White noise in units of the image's own finest detail
        (:func:`xsubpix.second_date.sensor.noise_level`).
    noise_floor : float
        White noise that is there in any case.
    grain, grain_exponent : float
        Coloured noise: standard deviation, exponent of its spectrum.
    stripes : float
        Standard deviation of the detectors' offsets.
    stripe_period : int
        Number of detectors.
    stripe_rows : bool
        Whether stripes run along rows.
    quantum : float
        Step of the counts.
    """

    seed: int
    correlation: float
    before_mix: tuple[float, ...]
    after_mix: tuple[float, ...]
    causes: tuple[float, ...]
    classes: int
    reversal: float
    exposure: float
    parcel_size: tuple[float, float]
    parcel_angle: float
    sun: tuple[float, float]
    gain: float
    offset: float
    haze: float
    cloud: float
    shadow: tuple[float, float]
    stale: float
    blur: float
    blur_aspect: float
    jitter: float
    jitter_module: int
    jitter_rows: bool
    noise: float
    noise_floor: float
    grain: float
    grain_exponent: float
    stripes: float
    stripe_period: int
    stripe_rows: bool
    quantum: float

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
            All randomness comes from it; the seed of the fields is drawn too.
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
        """
        low, high = correlation
        if not 0.0 <= low <= high < 1.0:
            raise DataError(f"correlation={correlation}: give two numbers, 0 <= low <= high < 1.")
        aim = rng.uniform(low, high)
        if days is not None:
            # The measured quantiles count clouds and haze already: fewer are added.
            cloudy = 0.3 * cloudy
            aim = float(np.clip(correlation_at_gap(days, rng), low, high))
        # Stable pairs differ by air, sun and instrument, loose ones by what grows: as measured,
        # the uncommon part of the former is haze and noise, of the latter a second image.
        loose = float(np.clip((0.98 - aim) / 0.4, 0.0, 1.0))
        shapes = np.array([(1 - loose) * a + loose * b for a, b in CAUSES.values()])
        shares = rng.gamma(shapes)
        if bands == 1:
            shares[list(CAUSES).index("mixing")] = 0.0
        shares /= shares.sum()

        calm = float(np.clip((1.0 - aim) / 0.1, 0.25, 1.0))

        def log_uniform(a: float, b: float) -> float:
            return float(np.exp(rng.uniform(np.log(a), np.log(b))))

        length = log_uniform(8, 150)
        azimuth = rng.uniform(0, 2 * np.pi)
        distance, direction = rng.uniform(10, 80), rng.uniform(0, 2 * np.pi)
        return cls(
            seed=int(rng.integers(0, 2**63)),
            correlation=float(aim),
            before_mix=_draw_mix(rng, bands),
            after_mix=_draw_mix(rng, bands),
            causes=tuple(shares.tolist()),
            classes=int(rng.integers(4, 13)),
            reversal=float(rng.uniform(0.0, 0.6) * loose),
            exposure=float(rng.uniform(0.1, 0.8)),
            parcel_size=(length, length * float(rng.uniform(0.3, 1.0))),
            parcel_angle=float(rng.uniform(0, np.pi)),
            sun=(float(azimuth), float(azimuth + rng.uniform(0.2, 1.3) * rng.choice([-1, 1]))),
            gain=log_uniform(0.6, 1.6),
            offset=float(rng.normal(0, 0.5)),
            haze=float(
                rng.uniform(0, 0.6) * calm * (rng.random() < (0.4 if days is None else 0.2))
            ),
            cloud=float(log_uniform(0.005, 0.25) * (rng.random() < cloudy)),
            shadow=(distance * float(np.cos(direction)), distance * float(np.sin(direction))),
            stale=float(rng.uniform(0.25, 0.6) * calm**0.5),
            blur=float(rng.uniform(-0.4, 0.6) * calm),
            blur_aspect=log_uniform(0.7, 1.4),
            jitter=log_uniform(0.01, 0.2) * (rng.random() < 0.6),
            jitter_module=int(rng.choice([4, 16, 16, 32, 120])),
            jitter_rows=bool(rng.random() < 0.6),
            noise=log_uniform(0.15, 0.9) * calm,
            noise_floor=log_uniform(0.002, 0.02),
            grain=log_uniform(0.003, 0.04) * calm,
            grain_exponent=float(rng.uniform(0.5, 2.0)),
            stripes=float(log_uniform(0.002, 0.04) * (rng.random() < 0.3)),
            stripe_period=int(rng.choice([4, 6, 16, 10_000])),
            stripe_rows=bool(rng.random() < 0.5),
            quantum=log_uniform(0.002, 0.1),
        )

    def to_dict(self) -> dict[str, Any]:
        """The parameters, ready for JSON."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(self).items()
        }

    @classmethod
    def from_dict(cls, parameters: Mapping[str, Any]) -> Self:
        """Rebuild what :meth:`to_dict` gave."""
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in parameters.items()
        }
        return cls(**values)

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
        change = np.zeros_like(scene.image)
        for cause, share in zip(CAUSES, self.causes, strict=True):
            if share > 0:
                field = surface.normalised(self._cause(cause, scene), scene.image)
                change += np.float32(np.sqrt(share)) * field
        change *= scene.exposure(self.exposure, self._stream("exposure"))

        common = blur(scene.image, self.stale)
        constant = self.noise_floor**2 + self.grain**2
        own, added = noise_level(common), noise_level(change)
        _, _, spread = surface.standardised(change)
        strength = surface.strength_for(
            self.correlation,
            scene.image,
            blur(common, self.blur, self.blur_aspect),
            blur(change, self.blur, self.blur_aspect),
            ((self.noise * own) ** 2 + constant, (self.noise * added) ** 2 + constant * spread**2),
        )
        ground = common + np.float32(strength) * change
        ground *= np.float32(self.gain / max(float(ground[::3, ::3].std()), 1e-6))
        ground += np.float32(self.offset)
        post = scene.in_units(ground)
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
        image = surface.filled(ground, missing if missing.any() else None)
        sample = image[::3, ::3]
        low, middle, high = (float(q) for q in np.quantile(sample, (0.01, 0.5, 0.99)))
        deviation = max(float(np.clip(sample, low, high).std()), 1e-6 * max(abs(middle), 1e-30))
        finest = noise_level(image)

        image = blur(image, self.blur, self.blur_aspect)
        image = detector_jitter(
            image, self.jitter, self.jitter_module, self.jitter_rows, self._stream("jitter")
        )
        if self.haze > 0:
            image = add_haze(image, self.haze, middle + 1.5 * deviation, self._stream("haze"))
        if self.cloud > 0:
            bright, dark = middle + 6 * deviation, low - 0.5 * deviation
            image = add_cloud(image, self.cloud, bright, dark, self.shadow, self._stream("cloud"))
        white = np.hypot(self.noise * finest, self.noise_floor * deviation)
        noise = sensor_noise(
            image, float(white), self.grain * deviation, self.grain_exponent, self._stream("noise")
        )
        image = image + noise
        if self.stripes > 0:
            image += stripes(
                image.shape,
                self.stripes * deviation,
                self.stripe_period,
                self.stripe_rows,
                self._stream("stripes"),
            )
        step = np.float32(self.quantum * deviation)
        if step > 0:
            image = np.rint(image / step) * step
        # Counts stay counts; a warp's ringing may have dipped a little below zero.
        if np.nanmin(ground) >= -0.5 * deviation:
            np.maximum(image, 0, out=image)
        image[missing] = np.nan
        return image.astype(np.float32)

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

    def _cause(self, cause: str, scene: Scene) -> np.ndarray:
        """The field of one cause of change, of any scale."""
        rng = self._stream(cause)
        if cause == "mixing":
            after = np.tensordot(np.array(self.after_mix, np.float32), scene.bands, 1)
            return after / max(float(after.std()), 1e-6) - scene.image
        if cause == "land cover":
            mix = self.before_mix or (1.0,)
            return surface.land_cover_changes(scene, mix, self.reversal, rng)
        if cause == "fields":
            return surface.field_changes(
                scene, self.parcel_size, self.parcel_angle, self.reversal, rng
            )
        if cause == "foreign ground":
            return surface.foreign_ground(scene, rng)
        if cause == "growth":
            return surface.growth(scene, rng)
        if cause == "blobs and lines":
            return surface.blobs_and_lines(scene, rng)
        return surface.new_sun(scene, self.sun)

    def _stream(self, name: str) -> np.random.Generator:
        """A generator for each purpose: what one draws does not move the others."""
        return np.random.default_rng([self.seed, *name.encode()])


def _as_bands(image: np.ndarray) -> np.ndarray:
    """Shape ``(bands, h, w)``, float32."""
    if image.ndim not in (2, 3):
        raise DimensionError(
            f"Image of shape {image.shape}: give (h, w) or (bands, h, w), for instance "
            "da.squeeze().values."
        )
    return np.asarray(image if image.ndim == 3 else image[None], np.float32)


def _draw_mix(rng: np.random.Generator, bands: int) -> tuple[float, ...]:
    """Positive weights of bands: one band, or a broad one, or any mixture."""
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
