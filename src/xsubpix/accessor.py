"""The ``.subpix`` accessors: public functions as methods, one line each."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any, Literal

import xarray as xr

from . import displacement, files, plot
from .correlate import correlate
from .database.own_pair import training_samples
from .explore import explore
from .rupture.synthetic import synthetic_rupture
from .warp import Direction, warp_quintic

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import ArrayLike
    from shapely.geometry import LineString

    from .displacement.summary import Summary
    from .estimators import Estimator
    from .explore import Explorer
    from .plot import Plotter
    from .rupture import Fault

__all__ = ["DisplacementAccessor", "ImageAccessor"]


@xr.register_dataarray_accessor("subpix")
class ImageAccessor:
    """What one does with an image: ``pre.subpix``."""

    def __init__(self, image: xr.DataArray) -> None:
        self._image = image

    def correlate(
        self,
        post: xr.DataArray,
        *,
        model: str | os.PathLike[str] | Estimator = "unet",
        window: int | None = None,
        step: int | None = None,
        search: float | str | None = None,
        device: str | None = None,
        **options: Any,
    ) -> xr.Dataset:
        """Measure the ground's displacement from this image to `post`.

        See :func:`xsubpix.correlate` for parameters, result and errors.
        """
        return correlate(
            self._image, post, model=model, window=window, step=step, search=search,
            device=device, **options,
        )  # fmt: skip

    def synthetic_rupture(
        self,
        fault: Fault | None = None,
        *,
        seed: int | np.random.Generator | None = None,
        poisson: float = 0.25,
        **overrides: Any,
    ) -> xr.Dataset:
        """Displacement by a synthetic earthquake on this image's grid.

        See :func:`xsubpix.synthetic_rupture`.
        """
        return synthetic_rupture(self._image, fault, seed=seed, poisson=poisson, **overrides)

    def training_samples(
        self,
        post: xr.DataArray | None = None,
        *,
        path: str | os.PathLike[str],
        faults: tuple[int, int] = (200, 20),
        frame: int = 512,
        window: int = 256,
        amplitude: tuple[float, float] = (0.5, 1.5),
        min_correlation: float = 0.5,
        validation: float = 0.25,
        seed: int = 0,
        workers: int | None = None,
        scheduler: str = "threads",
        progress: Callable[[int, int, float], None] | None = None,
    ) -> xr.Dataset:
        """Put synthetic ruptures on this image and `post`, to adapt a network to them.

        See :func:`xsubpix.training_samples`.
        """
        return training_samples(
            self._image,
            post,
            path=path,
            faults=faults,
            frame=frame,
            window=window,
            amplitude=amplitude,
            min_correlation=min_correlation,
            validation=validation,
            seed=seed,
            workers=workers,
            scheduler=scheduler,
            progress=progress,
        )

    def warp_quintic(
        self,
        disp: xr.Dataset | tuple[ArrayLike, ArrayLike],
        *,
        direction: Direction = "forward",
        max_displacement: float | None = None,
        oversample: int = 2,
        device: str = "cpu",
    ) -> xr.DataArray:
        """What this image looks like once the ground has moved by `disp`.

        See :func:`xsubpix.warp_quintic`.
        """
        return warp_quintic(
            self._image,
            disp,
            direction=direction,
            max_displacement=max_displacement,
            oversample=oversample,
            device=device,
        )


@xr.register_dataset_accessor("subpix")
class DisplacementAccessor:
    """What one does with a displacement field: ``disp.subpix``."""

    def __init__(self, disp: xr.Dataset) -> None:
        self._disp = disp

    # ----------------------------------------------------------- components

    def magnitude(self) -> xr.DataArray:
        """Length of the horizontal displacement; see :func:`xsubpix.magnitude`."""
        return displacement.magnitude(self._disp)

    def azimuth(self) -> xr.DataArray:
        """Direction, degrees clockwise from grid north; see :func:`xsubpix.azimuth`."""
        return displacement.azimuth(self._disp)

    def rotate(self, strike: Any, *, smoothing: float = 0.0) -> xr.Dataset:
        """Components along and across a fault; see :func:`xsubpix.rotate`."""
        return displacement.rotate(self._disp, strike, smoothing=smoothing)

    def to_pixels(self) -> xr.Dataset:
        """Displacement in pixels of the field's grid; see :func:`xsubpix.to_pixels`."""
        return displacement.to_pixels(self._disp)

    def true_north(self) -> xr.Dataset:
        """Displacement toward true east and north; see :func:`xsubpix.true_north`."""
        return displacement.true_north(self._disp)

    def line_of_sight(self, *, incidence: float, azimuth: float) -> xr.DataArray:
        """Displacement toward a satellite; see :func:`xsubpix.line_of_sight`."""
        return displacement.line_of_sight(self._disp, incidence=incidence, azimuth=azimuth)

    # ------------------------------------------------------------- cleaning

    def mask(
        self,
        *,
        quality: float | None = None,
        sigma: float | None = None,
        flags: str | tuple[str, ...] | list[str] = (),
    ) -> xr.Dataset:
        """Leave out values of low quality, large sigma, or flagged; see :func:`xsubpix.mask`."""
        return displacement.mask(self._disp, quality=quality, sigma=sigma, flags=flags)

    def detrend(
        self,
        order: int = 1,
        *,
        mask: xr.DataArray | None = None,
        trace: Any = None,
        buffer: float | None = None,
    ) -> xr.Dataset:
        """Take a polynomial surface away, fitted to stable ground; see :func:`xsubpix.detrend`."""
        return displacement.detrend(self._disp, order, mask=mask, trace=trace, buffer=buffer)

    def destripe(
        self,
        angle: float | Literal["along", "across"] = "along",
        *,
        wavelength: float | None = None,
        mask: xr.DataArray | None = None,
        trace: Any = None,
        buffer: float | None = None,
    ) -> xr.Dataset:
        """Take away what is the same all along a direction; see :func:`xsubpix.destripe`."""
        return displacement.destripe(
            self._disp, angle, wavelength=wavelength, mask=mask, trace=trace, buffer=buffer
        )

    def denoise(
        self,
        method: Literal["log-tv", "nlm", "median"] = "log-tv",
        *,
        strength: float = 1.0,
        radius: int | None = None,
        noise: float | None = None,
    ) -> xr.Dataset:
        """Take noise away, the fault left sharp; see :func:`xsubpix.denoise`."""
        return displacement.denoise(
            self._disp, method, strength=strength, radius=radius, noise=noise
        )

    def filter_outliers(
        self,
        *,
        quality: float | None = None,
        deviation: float | None = 3.0,
        radius: int = 2,
        noise: float | None = None,
    ) -> xr.Dataset:
        """Take out values of low quality or unlike their neighbours.

        See :func:`xsubpix.filter_outliers`.
        """
        return displacement.filter_outliers(
            self._disp, quality=quality, deviation=deviation, radius=radius, noise=noise
        )

    # --------------------------------------------------------------- faults

    def profile(
        self,
        line: Any,
        *,
        width: float,
        spacing: float | None = None,
        statistic: Literal["median", "mean"] = "median",
        correlation: float | None = None,
    ) -> xr.Dataset:
        """Stack the values of a swath onto its axis; see :func:`xsubpix.profile`."""
        return displacement.profile(
            self._disp, line, width=width, spacing=spacing, statistic=statistic,
            correlation=correlation,
        )  # fmt: skip

    def offsets(
        self,
        trace: Any,
        *,
        spacing: float,
        half_length: float,
        width: float | None = None,
        gap: float | None = None,
        order: int = 1,
        confidence: float = 0.95,
    ) -> xr.Dataset:
        """Offset of the ground across a fault, along strike; see :func:`xsubpix.offsets`."""
        return displacement.offsets(
            self._disp, trace, spacing=spacing, half_length=half_length, width=width, gap=gap,
            order=order, confidence=confidence,
        )  # fmt: skip

    def detect_trace(
        self, *, scale: float | None = None, min_length: float | None = None
    ) -> LineString:
        """Propose a fault trace from the gradient; see :func:`xsubpix.detect_trace`."""
        return displacement.detect_trace(self._disp, scale=scale, min_length=min_length)

    def series(
        self, *, reference: Any = None, weights: str = "sigma", robust: bool = True
    ) -> xr.Dataset:
        """Invert pairs of dates for the displacement at every date.

        See :func:`xsubpix.series`.
        """
        return displacement.series(self._disp, reference=reference, weights=weights, robust=robust)

    def strain(self, *, scale: float, correlation: float | None = None) -> xr.Dataset:
        """Gradient, dilatation, curl and shear with errors; see :func:`xsubpix.strain`."""
        return displacement.strain(self._disp, scale=scale, correlation=correlation)

    # ----------------------------------------------------- looking, writing

    @property
    def plot(self) -> Plotter:
        """Figures: ``plot()`` what this is, ``plot.error(truth)``; see :mod:`xsubpix.plot`."""
        return plot.Plotter(self._disp)

    def explore(
        self,
        pre: xr.DataArray | None = None,
        post: xr.DataArray | None = None,
        *,
        trace: Any = None,
        max_size: int = 700,
    ) -> Explorer:
        """A page to look at the field and its images; see :func:`xsubpix.explore`."""
        return explore(self._disp, pre, post, trace=trace, max_size=max_size)

    def summary(self) -> Summary:
        """A field in a few lines; see :func:`xsubpix.summary`."""
        return displacement.summary(self._disp)

    def epe(self, truth: xr.Dataset) -> xr.DataArray:
        """End-point error against a known displacement; see :func:`xsubpix.epe`."""
        return displacement.epe(self._disp, truth)

    def to_cog(
        self, path: str | os.PathLike[str], *, overwrite: bool = True, resume: bool = False
    ) -> None:
        """Write a Cloud Optimized GeoTIFF; see :func:`xsubpix.to_cog`."""
        files.to_cog(self._disp, path, overwrite=overwrite, resume=resume)

    def to_netcdf(
        self,
        path: str | os.PathLike[str],
        *,
        names: Literal["xsubpix", "its-live"] = "xsubpix",
        overwrite: bool = True,
    ) -> None:
        """Write CF NetCDF; see :func:`xsubpix.to_netcdf`."""
        files.to_netcdf(self._disp, path, names=names, overwrite=overwrite)

    def to_cosi_corr(self, path: str | os.PathLike[str], *, overwrite: bool = True) -> None:
        """Write the three bands of COSI-Corr; see :func:`xsubpix.to_cosi_corr`."""
        files.to_cosi_corr(self._disp, path, overwrite=overwrite)

    def to_points(self, path: str | os.PathLike[str], *, overwrite: bool = True) -> None:
        """Write offsets or a profile as points for a GIS; see :func:`xsubpix.to_points`."""
        files.to_points(self._disp, path, overwrite=overwrite)


def _own_doc(function: Any) -> str | None:
    """The docstring of a function, for the method whose `self` is its first parameter."""
    if not function.__doc__:  # python -OO
        return None
    first = next(iter(inspect.signature(function).parameters))
    doc = inspect.cleandoc(function.__doc__)
    # Two parameters described together: the second one stays.
    doc, together = re.subn(rf"^{first}, (\w+ : )", r"\1", doc, count=1, flags=re.M)
    if not together:
        doc = re.sub(rf"^{first} : .*\n(?: .*\n|\n(?= ))*", "", doc, count=1, flags=re.M)
    return re.sub(r"^Parameters\n-+\n\n+(?=\w)", "", doc, flags=re.M)


# What a notebook shows after `disp.subpix.offsets?` should be all there is to know.
_FUNCTIONS: dict[str, Any] = {
    **{name: getattr(displacement, name) for name in displacement.__all__},
    "correlate": correlate, "synthetic_rupture": synthetic_rupture, "explore": explore,
    "training_samples": training_samples, "warp_quintic": warp_quintic, "to_cog": files.to_cog,
    "to_netcdf": files.to_netcdf, "to_cosi_corr": files.to_cosi_corr,
    "to_points": files.to_points,
}  # fmt: skip
for _accessor in (ImageAccessor, DisplacementAccessor):
    for _name, _method in vars(_accessor).items():
        if _name in _FUNCTIONS:
            _method.__doc__ = _own_doc(_FUNCTIONS[_name])
