"""The ``.subpix`` accessors: public functions as methods, one line each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import xarray as xr

from . import displacement, io
from .correlate import correlate
from .rupture.synthetic import synthetic_rupture
from .warp import Direction, warp_quintic

if TYPE_CHECKING:
    import os

    import numpy as np
    from numpy.typing import ArrayLike

    from .estimators import Estimator
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
        model: str | Estimator = "phase",
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

    def epe(self, truth: xr.Dataset) -> xr.DataArray:
        """End-point error against a known displacement; see :func:`xsubpix.epe`."""
        return displacement.epe(self._disp, truth)

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

    def to_cog(self, path: str | os.PathLike[str], *, overwrite: bool = True) -> None:
        """Write a Cloud Optimized GeoTIFF; see :func:`xsubpix.to_cog`."""
        io.to_cog(self._disp, path, overwrite=overwrite)
