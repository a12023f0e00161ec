"""Cases that methods are judged on: pairs of images whose displacement is known."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from ..errors import DataError, FileError

__all__ = ["Case", "Pair", "Trace", "database_cases", "null_cases", "pairs_in", "real_cases"]

# Windows of the local correlation, pixels.
_CELL = 32
# Offsets across the trace of ruptures on real pairs, pixels.
JUMPS = (0.3, 1.0, 3.0)


@dataclasses.dataclass(frozen=True)
class Trace:
    """Trace of a rupture at the surface, as fields of distance and direction.

    Attributes
    ----------
    distance : numpy.ndarray of float32
        Shape ``(h, w)``: distance of each pixel from the trace, pixels,
        positive on its right.
    along : numpy.ndarray of float32
        Shape ``(2, h, w)``: unit vector (x, y) of the trace where it is nearest.
    inside : numpy.ndarray of bool
        Shape ``(h, w)``: the nearest point of the trace is not one of its ends.
    """

    distance: np.ndarray
    along: np.ndarray
    inside: np.ndarray

    @classmethod
    def of_lines(cls, lines: Sequence[np.ndarray], shape: tuple[int, int]) -> Trace:
        """Build from polylines of (column, row), pixel centres at whole numbers."""
        points, tangents, ends = [], [], []
        for line in lines:
            step = np.hypot(*np.diff(line, axis=0).T)
            at = np.concatenate(([0.0], step.cumsum()))
            places = np.linspace(0, at[-1], max(2, int(4 * at[-1]) + 1))
            dense = np.stack([np.interp(places, at, line[:, k]) for k in (0, 1)], 1)
            tangent = np.gradient(dense, axis=0)
            points.append(dense)
            tangents.append(tangent / np.maximum(np.hypot(*tangent.T), 1e-9)[:, None])
            end = np.zeros(len(dense), bool)
            end[[0, -1]] = True
            ends.append(end)
        dense, tangent, end = (np.concatenate(p) for p in (points, tangents, ends))
        rows, cols = np.indices(shape)
        places = np.stack((cols, rows), -1).reshape(-1, 2)
        length, nearest = cKDTree(dense).query(places)
        along = tangent[nearest]
        away = places - dense[nearest]
        side = np.sign(along[:, 0] * away[:, 1] - along[:, 1] * away[:, 0])
        side[side == 0] = 1
        return cls(
            (side * length).reshape(shape).astype(np.float32),
            along.T.reshape(2, *shape).astype(np.float32),
            ~end[nearest].reshape(shape),
        )


@dataclasses.dataclass(frozen=True)
class Case:
    """One pair with its truth.

    Attributes
    ----------
    group : str
        Set that the pair belongs to; each set is reported by itself.
    label : str
        Name of the pair in pictures.
    pre, post : numpy.ndarray of float32
        Shape ``(h, w)``; NaN is missing.
    flow : numpy.ndarray of float32
        Shape ``(2, h, w)``: dx and dy, pixels.
    size : str
        Size of the displacement: a scaling factor or a jump.
    trace : Trace or None
        None where there is no rupture.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> image = rng.normal(size=(96, 96)).astype("f4")
    >>> case = Case("still", "noise", image, image, np.zeros((2, 96, 96), "f4"), "0", None)
    >>> bool((case.local_correlation() > 0.99).all())
    True
    """

    group: str
    label: str
    pre: np.ndarray
    post: np.ndarray
    flow: np.ndarray
    size: str
    trace: Trace | None

    def local_correlation(self) -> np.ndarray:
        """Local correlation of `pre` with `post` brought back by the truth, 32 px squares."""
        rows, cols = np.indices(self.pre.shape, dtype=np.float64)
        known = np.isfinite(self.pre) & np.isfinite(self.post)
        images = (self.pre, self.post)
        one, two = (np.where(known, image, 0.0).astype(np.float64) for image in images)
        back = (rows + self.flow[1], cols + self.flow[0])
        two = ndimage.map_coordinates(two, back, order=1, mode="nearest")

        def mean(values: np.ndarray) -> np.ndarray:
            return ndimage.uniform_filter(values * known, _CELL) / np.maximum(share, 1e-6)

        share = ndimage.uniform_filter(known.astype(np.float64), _CELL)
        a, b = one - mean(one), two - mean(two)
        product, va, vb = mean(a * b), mean(a * a), mean(b * b)
        return (product / np.sqrt(np.maximum(va * vb, 1e-12))).astype(np.float32)


def database_cases(
    path: str | os.PathLike[str], samples: int = 100, *, side: int = 512, seed: int = 0
) -> Iterator[Case]:
    """Samples of a database's test split, each frame at most once a factor.

    Parameters
    ----------
    path : str or path
        Path of the store.
    samples : int
        Largest number of samples.
    side : int
        Side of the central square of a frame that is used, pixels.
    seed : int
        Seed of the choice.

    Yields
    ------
    Case

    Examples
    --------
    >>> [case.pre.shape for case in database_cases("db.zarr", samples=1, side=128)]
    [(128, 128)]
    """
    from ..database import database_table, read_fault
    from .samples import DatabaseFrames

    frames = DatabaseFrames(os.fspath(path), "test", memory=0.0)
    table = database_table(path, "test")
    choice = [(i, k) for i in range(len(frames)) for k in range(frames.scalings)]
    order = np.random.default_rng(seed).permutation(len(choice))[:samples]
    for index, scaling in (choice[k] for k in sorted(order)):
        frame = frames.get(index, scaling)
        size = frame.pre.shape[0]
        if size < side:
            raise DataError(
                f"{path} has frames of {size} px, and side={side}: give {size} or less."
            )
        cut = (size - side) // 2
        box = (slice(cut, cut + side), slice(cut, cut + side))
        pixel = float(table["pixel_size"][index])
        # Traces are in metres to the right and up from the frame's lower left corner.
        lines = [
            np.stack((line[:, 0] / pixel - 0.5 - cut, size - 0.5 - line[:, 1] / pixel - cut), 1)
            for line in read_fault(path, "test", index).traces
        ]
        yield Case(
            "simulated second dates",
            f"frame {index}, factor {float(table['factor'][scaling]):g}",
            frame.pre[box],
            frame.post[box],
            frame.flow[:, *box],
            f"{float(table['factor'][scaling]):g}",
            Trace.of_lines(lines, (side, side)),
        )


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two images of stable ground on one grid.

    Attributes
    ----------
    name : str
    pre, post : numpy.ndarray of float32
        Shape ``(h, w)``.
    tilt : numpy.ndarray of float32, optional
        Shape ``(2, h, w)``: what is known of their misregistration beside a shift,
        dx and dy, pixels.
    """

    name: str
    pre: np.ndarray
    post: np.ndarray
    tilt: np.ndarray | None = None

    def misregistration(self) -> np.ndarray:
        """Measure how `post` lies on `pre`, shape ``(2, h, w)``: dx and dy, pixels.

        The shift of the whole image, by
        :func:`xsubpix.database.registration.measure_misregistration`, and the tilt. It
        is part of the truth for all methods: what they find of it is no error.
        """
        shift = _field(self.name, self.pre, self.post, degree=0)
        return shift if self.tilt is None else shift + self.tilt


def _field(name: str, pre: np.ndarray, post: np.ndarray, degree: int) -> np.ndarray:
    from ..database.registration import measure_misregistration

    found = measure_misregistration(pre, post, degree=degree)
    if found is None:
        raise DataError(f"{name}: the two images have nothing in common; leave it out.")
    return np.stack(found.field()).astype(np.float32)


def _tilt(name: str, pre: np.ndarray, post: np.ndarray) -> np.ndarray:
    """Misregistration of two dates beside a shift, from all bands, shape ``(2, h, w)``.

    Dates are rectified apart: slopes of up to a tenth of a pixel over the image are
    common, and all bands share them, whereas their radiometric changes differ.
    """
    fields = [_field(name, *bands, degree=1) for bands in zip(pre, post, strict=True)]
    mean = np.mean(fields, axis=0)
    return (mean - mean.mean((1, 2), keepdims=True)).astype(np.float32)


def pairs_in(folder: str | os.PathLike[str]) -> tuple[list[Pair], list[Pair]]:
    """Real pairs of the project's development data.

    Parameters
    ----------
    folder : str or path
        With ``two_dates/`` and ``landsat7/``.

    Returns
    -------
    dates : list of Pair
        Two dates, three bands of Nanjing and two of Taizhou, the middle 512 px
        (400 of Taizhou).
    acquisitions : list of Pair
        Test chips 07 to 12 of ``P090R083``: multispectral (0.4 of the visible,
        0.6 of the near infrared) against panchromatic, averaged over the 2 x 2
        pixels that are one multispectral pixel (half of one beyond the files'
        own alignment).

    Raises
    ------
    FileError
        The folder holds none of them.
    """
    import rasterio

    folder = Path(folder)
    dates = []
    for town, bands in (("nanjing", (4, 5, 3)), ("taizhou", (4, 5))):
        files = sorted((folder / "two_dates").glob(f"{town}_*.tif"))
        if len(files) != 2:
            continue
        images = []
        for file in files:
            with rasterio.open(file) as source:
                images.append(_central_square(source.read().astype(np.float32), 512))
        tilt = _tilt(town, *images)
        dates += [
            Pair(f"{town} band {band}", images[0][band - 1], images[1][band - 1], tilt)
            for band in bands
        ]
    acquisitions = []
    for file in sorted((folder / "landsat7").glob("P090R083_*_pan.tif")):
        with rasterio.open(file) as source:
            pan = source.read(1).astype(np.float32)
        with rasterio.open(str(file).replace("_pan", "_ms")) as source:
            ms = source.read().astype(np.float32)
        mixed = 0.4 * ms[:3].mean(0) + 0.6 * ms[3]
        # Multispectral pixel i covers the panchromatic pixels 2 i - 1 and 2 i: whole pixels,
        # so that no interpolation is needed.
        height, width = (2 * (n // 2 - 1) for n in pan.shape)
        cut = pan[1 : 1 + height, 1 : 1 + width].reshape(height // 2, 2, width // 2, 2)
        inner = mixed[1 : 1 + height // 2, 1 : 1 + width // 2]
        acquisitions.append(Pair(re.sub(r"\D+$", "", file.stem), inner, cut.mean((1, 3))))
    if not dates and not acquisitions:
        raise FileError(f"{folder} holds neither two_dates/ nor landsat7/ with test chips.")
    return dates, acquisitions


def real_cases(
    pairs: Sequence[Pair], jumps: Sequence[float] = JUMPS, *, seed: int = 0
) -> Iterator[Case]:
    """Real pairs, the second date moved by elastic strike-slip ruptures of known offset.

    Parameters
    ----------
    pairs : sequence of Pair
    jumps : sequence of float
        Largest offset across the trace, pixels: twice the largest displacement.
    seed : int
        Seed of the ruptures.

    Yields
    ------
    Case

    Examples
    --------
    >>> import numpy as np
    >>> image = np.random.default_rng(0).normal(size=(64, 64)).astype("f4")
    >>> cases = real_cases([Pair("noise", image, image)], jumps=(1.0,))
    >>> next(cases).label
    'noise, offset 1 px'
    """
    import xarray as xr

    from ..rupture import Fault
    from ..rupture.synthetic import synthetic_rupture
    from ..warp import warp_quintic

    for k, pair in enumerate(pairs):
        height, width = pair.pre.shape
        pixel = 30.0
        grid = xr.DataArray(
            np.zeros(pair.pre.shape, np.float32),
            dims=("y", "x"),
            coords={
                "y": pixel * (height - np.arange(height) - 0.5),
                "x": pixel * (np.arange(width) + 0.5),
            },
        )
        truth = synthetic_rupture(
            grid, seed=seed + k, length=2 * pixel * max(height, width), top_depth=0.0, step_overs=0
        )
        dx, dy = truth.east.values / pixel, -truth.north.values / pixel
        largest = np.quantile(np.hypot(dx, dy), 0.999)
        lines = [
            np.stack((line[:, 0] / pixel - 0.5, height - 0.5 - line[:, 1] / pixel), 1)
            for line in Fault.from_json(truth.attrs["fault"]).traces
        ]
        trace = Trace.of_lines(lines, (height, width))
        ground = xr.DataArray(pair.post, dims=("y", "x"))
        offset = pair.misregistration()
        for jump in jumps:
            flow = np.stack((dx, dy)) * (jump / 2 / largest)
            post = warp_quintic(ground, (flow[0], flow[1])).values
            yield Case(
                "real second dates",
                f"{pair.name}, offset {jump:g} px",
                pair.pre,
                post.astype(np.float32),
                flow.astype(np.float32) + offset,
                f"{jump:g}",
                trace,
            )


def null_cases(group: str, pairs: Sequence[Pair]) -> Iterator[Case]:
    """Real pairs as they are: nothing has moved but one image against the other."""
    for pair in pairs:
        yield Case(group, pair.name, pair.pre, pair.post, pair.misregistration(), "0", None)


def _central_square(image: np.ndarray, side: int) -> np.ndarray:
    """Cut the central square out of the last two axes."""
    top, left = ((n - min(side, n)) // 2 for n in image.shape[-2:])
    return image[..., top : top + side, left : left + side]
