"""Samples from a user's own images, for fine tuning."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import xarray as xr

from ..errors import DataError
from ..grid import Grid
from .build import build_database
from .plan import Settings
from .reader import open_database
from .scenes import SceneSource

__all__ = ["training_samples"]

# Ground around a frame that what moves into it comes from, pixels.
_MARGIN = 64


def training_samples(
    pre: xr.DataArray,
    post: xr.DataArray | None = None,
    *,
    path: str | os.PathLike[str],
    faults: tuple[int, int] = (200, 20),
    frame: int = 512,
    crop: int = 256,
    amplitude: tuple[float, float] = (0.5, 1.5),
    min_correlation: float = 0.5,
    validation: float = 0.25,
    seed: int = 0,
    workers: int | None = None,
    scheduler: str = "threads",
    progress: bool | Callable[[int, int, float], None] = False,
) -> xr.Dataset:
    """Put synthetic ruptures on your own images, to adapt a network to them.

    Two dates of ground that did not move make samples whose second dates are
    real; their misregistration is measured and removed. Of a single date,
    second dates are simulated. The samples are a database, which
    ``xsubpix train --finetune`` reads.

    Parameters
    ----------
    pre : xarray.DataArray
        Image, two-dimensional.
    post : xarray.DataArray, optional
        Second date on the same grid: stable ground, or a part of the scene away
        from what moved.
    path : str or path
        Path of the database to make, ``*.zarr``; one that was begun with the same
        images and settings goes on.
    faults : (int, int)
        Frames for training and for validation, one fault each.
    frame, crop : int
        Sides of frames and of the samples in them, pixels.
    amplitude : (float, float)
        Range of the largest displacement of a frame, pixels.
    min_correlation : float
        Lowest mean local correlation of windows of two real dates.
    validation : float
        Share of the scene, at the end of its longer side, that is kept for
        validation: training never sees that ground.
    seed : int
        Seed of all that is random.
    workers : int, optional
        Threads or processes; by default the cores.
    scheduler : str
        Scheduler of dask; see :func:`xsubpix.database.build_database`.
    progress : bool or callable
        See :func:`xsubpix.database.build_database`.

    Returns
    -------
    xarray.Dataset
        The training samples, lazily; see :func:`xsubpix.database.open_database`.

    Raises
    ------
    GridError
        The images are not on one grid.
    DataError
        The scene is too small for frames of both splits, or see
        :func:`xsubpix.database.build_database`.

    Examples
    --------
    >>> samples = pre.subpix.training_samples(post, path="mine.zarr")  # doctest: +SKIP
    """
    grid = Grid.from_dataarray(pre, "pre")
    if post is not None:
        grid.check_same(Grid.from_dataarray(post, "post"))
    if not 0 < validation < 1:
        raise DataError(f"validation={validation!r}: give a share between 0 and 1.")
    along = int(grid.shape[1] > grid.shape[0])
    size, least = grid.shape[along], frame + 2 * _MARGIN
    kept = max(least, round(validation * size))
    if min(grid.shape) < least or size - kept < least:
        raise DataError(
            f"an image of {grid.shape[0]} x {grid.shape[1]} px is too small for frames of {frame} "
            f"px in two places: it needs {least} by {2 * least} px. Give a smaller frame."
        )
    dim = grid.dims[along]
    parts = {"train": slice(0, size - kept), "validation": slice(size - kept, size)}
    images = {"pre": pre} if post is None else {"pre": pre, "post": post}
    with tempfile.TemporaryDirectory(prefix="xsubpix-") as folder:
        scenes = [
            _write_scene(
                {name: image.isel({dim: part}) for name, image in images.items()},
                grid,
                Path(folder),
                split,
            )
            for split, part in parts.items()
        ]
        settings = Settings(
            faults=(*faults, 0),
            amplitude=amplitude,
            frame=frame,
            crop=crop,
            min_correlation=min_correlation,
            seed=seed,
        )
        options: dict[str, Any] = {"workers": workers, "scheduler": scheduler}
        build_database(scenes, path, settings, progress=progress, **options)
    return open_database(path, "train")


def _write_scene(
    images: dict[str, xr.DataArray], grid: Grid, folder: Path, split: str
) -> SceneSource:
    """Write one or two dates of the ground of a split, as a scene."""
    files = {
        name: _write_image(image, grid, folder / f"{split}_{name}.tif")
        for name, image in images.items()
    }
    return SceneSource(
        files["pre"],
        post=files.get("post"),
        band=1 if "post" in files else None,
        location=split,
        split=split,
        source="own images",
    )


def _write_image(image: xr.DataArray, grid: Grid, path: Path) -> Path:
    """Write a GeoTIFF that says what is missing; its path."""
    import rioxarray  # noqa: F401  (registers .rio)

    rows, cols = grid.dims
    flat = image.squeeze(drop=True).transpose(rows, cols)
    flat.rio.set_spatial_dims(cols, rows).rio.to_raster(path, compress="deflate")
    return path
