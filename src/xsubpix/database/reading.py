"""Scenes made ready to be read: their pixels' size, how bands and dates fit together.

What is measured here, once a scene, is part of the plan of a database; what is
read, a window at a time, goes into its frames.
"""

from __future__ import annotations

import contextlib
import dataclasses
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import scipy.ndimage

from ..errors import DataError, FileError
from ..files.checksums import check_tiles
from ..files.pixels import FileState, check_unchanged, has_mask
from ..files.sources import states_of
from ..files.writing import first_cause
from ..grid import Grid
from ..missing import is_missing
from ..warp import sample_quintic
from .pairs import find_stable_pairs
from .registration import Misregistration, measure_misregistration
from .scenes import SceneSource, digest_of, grid_of

if TYPE_CHECKING:
    import rasterio.io

__all__ = ["Patch", "PlannedScene", "StableWindow", "plan_scene"]

# Largest part of a scene, pixels a side, that its bands are registered on.
_REGISTRATION_SIDE = 2048
# Pixels around a window of the bands that its spline feels.
_CONTEXT = 18


@dataclasses.dataclass(frozen=True)
class Patch:
    """A part of a scene, with a margin as far as the scene goes.

    Attributes
    ----------
    bands : numpy.ndarray of float32
        Shape ``(bands, h, w)``; NaN is missing.
    top, left : int
        Rows and columns of margin before the part asked for.
    """

    bands: np.ndarray
    top: int
    left: int


@dataclasses.dataclass(frozen=True)
class StableWindow:
    """A window of two real dates whose ground is stable.

    Attributes
    ----------
    row, column : int
        First row and column.
    correlation : float
        Mean local correlation, after registration.
    shift : Misregistration
        From the first date to the second.
    """

    row: int
    column: int
    correlation: float
    shift: Misregistration


@dataclasses.dataclass(frozen=True)
class PlannedScene:
    """A scene and what was measured on it.

    Attributes
    ----------
    source : SceneSource
        Its files.
    shape : (int, int)
        Rows and columns.
    pixel_size : float
        Metres: the root of the area of the pixel at the centre.
    digests : tuple of str
        SHA-256 of its files.
    to_multispectral : tuple of float
        ``(a, b, c, d, e, f)``: the pixel at ``(column, row)`` lies at column
        ``a column + b row + c``, row ``d column + e row + f`` of the bands, all
        counted from pixel centres. Empty without bands.
    windows : tuple of StableWindow
        Windows of two real dates.
    states : tuple of FileState
        Of its files when they were looked at; a file that is not as it was is refused.
    """

    source: SceneSource
    shape: tuple[int, int]
    pixel_size: float
    digests: tuple[str, ...]
    to_multispectral: tuple[float, ...] = ()
    windows: tuple[StableWindow, ...] = ()
    states: tuple[FileState, ...] = ()

    def read_pre(self, row: int, column: int, size: int, margin: int) -> Patch:
        """Read the first date: its band, or all bands."""
        return self._read(self.source.path, row, column, size, margin)

    def read_post(self, row: int, column: int, size: int, margin: int) -> Patch:
        """Read the real second date."""
        assert self.source.post is not None
        return self._read(self.source.post, row, column, size, margin)

    def _read(self, path: Path, row: int, column: int, size: int, margin: int) -> Patch:
        top, left = min(margin, row), min(margin, column)
        rows = (row - top, min(row + size + margin, self.shape[0]))
        columns = (column - left, min(column + size + margin, self.shape[1]))
        with _opened(path, self.states) as file:
            return Patch(_pixels(file, self._band, rows, columns), top, left)

    @property
    def _band(self) -> int | None:
        """One band where the first date is one image."""
        source = self.source
        return source.band or (1 if source.post or source.multispectral else None)

    def read_multispectral(self, row: int, column: int, shape: tuple[int, ...]) -> np.ndarray:
        """Read the bands on the pixels of the panchromatic image, by quintic splines.

        Returns
        -------
        numpy.ndarray of float32
            Shape ``(bands, *shape)``; NaN outside of the bands.
        """
        assert self.source.multispectral is not None
        a, b, c, d, e, f = self.to_multispectral
        columns = column + np.arange(shape[1])[None, :]
        rows = row + np.arange(shape[0])[:, None]
        at_columns = a * columns + b * rows + c
        at_rows = d * columns + e * rows + f
        with _opened(self.source.multispectral, self.states) as file:
            top, left = (max(int(np.floor(v.min())) - _CONTEXT, 0) for v in (at_rows, at_columns))
            bottom, right = (
                min(int(np.ceil(v.max())) + _CONTEXT + 1, side)
                for v, side in ((at_rows, file.height), (at_columns, file.width))
            )
            bands = _pixels(file, None, (top, bottom), (left, right))
            height, width = file.height, file.width
        # Half a pixel of ground at the border is still theirs: the outermost pixels cover it.
        at_rows = np.where((at_rows > -0.75) & (at_rows < height - 0.25), at_rows, np.nan)
        at_columns = np.where(
            (at_columns > -0.75) & (at_columns < width - 0.25), at_columns, np.nan
        )
        at_rows = np.clip(at_rows, 0, height - 1) - top
        at_columns = np.clip(at_columns, 0, width - 1) - left
        return np.stack([sample_quintic(band, at_rows, at_columns) for band in bands])

    def to_dict(self) -> dict[str, Any]:
        """Description in a database: no paths, which differ between machines."""
        source = self.source
        return {
            "name": source.name,
            "files": [path.name for path in source.files],
            "sha256": list(self.digests),
            "kind": kind_of(source),
            "band": source.band,
            "location": source.location,
            "split": source.split,
            "source": source.source,
            "licence": source.licence,
            "shape": list(self.shape),
            "pixel_size": self.pixel_size,
            "to_multispectral": list(self.to_multispectral),
            "windows": [dataclasses.asdict(window) for window in self.windows],
        }

    @classmethod
    def from_dict(cls, source: SceneSource, values: dict[str, Any]) -> Self:
        """Rebuild what :meth:`to_dict` gave, with the paths of `source`."""
        windows = []
        for window in values["windows"]:
            shift: dict[str, Any] = {
                k: tuple(v) if isinstance(v, list) else v for k, v in window["shift"].items()
            }
            windows.append(StableWindow(**{**window, "shift": Misregistration(**shift)}))
        return cls(
            source,
            (values["shape"][0], values["shape"][1]),
            values["pixel_size"],
            tuple(values["sha256"]),
            tuple(values["to_multispectral"]),
            tuple(windows),
            states_of(map(str, source.files)),
        )


def kind_of(source: SceneSource) -> str:
    """Files that a scene is made of, in words."""
    if source.post is not None:
        return "two dates"
    if source.multispectral is not None:
        return "panchromatic and multispectral"
    return "one date"


def plan_scene(source: SceneSource, grid: Grid, frame: int, min_correlation: float) -> PlannedScene:
    """Look at a scene: its geometry, its bands' registration, its stable windows.

    Parameters
    ----------
    source : SceneSource
        Its files.
    grid : Grid
        Grid of its first file.
    frame : int
        Side of the frames, pixels.
    min_correlation : float
        Lowest mean local correlation of windows of two real dates.

    Returns
    -------
    PlannedScene

    Raises
    ------
    DataError
        The scene is smaller than a frame, holds no stable window, or its bands
        cannot be registered.
    GridError
        Two files of it do not lie on one grid or in one CRS.
    FileError
        A file cannot be read, or has another number of bands.

    Notes
    -----
    Bands are laid on the panchromatic image by the georeference of both, and by
    the one shift that remains, measured (Landsat-7's differ by a whole
    panchromatic pixel).
    """
    if min(grid.shape) < frame:
        raise DataError(
            f"scene {source.name} has {grid.shape[0]} x {grid.shape[1]} pixels, a frame {frame} x "
            f"{frame}: take smaller frames (frame={min(grid.shape)}), or leave the scene out."
        )
    centre = np.array([grid.shape[0] / 2]), np.array([grid.shape[1] / 2])
    jacobian = grid.jacobian(*centre)[:, :, 0, 0]
    pixel_size = round(float(np.sqrt(abs(np.linalg.det(jacobian)))), 9)
    states = states_of(map(str, source.files))
    digests = tuple(digest_of(path) for path in source.files)
    scene = PlannedScene(source, grid.shape, pixel_size, digests, states=states)
    if source.multispectral is not None:
        return _register_bands(scene, grid, grid_of(source.multispectral))
    if source.post is not None:
        grid.check_same(grid_of(source.post), (source.path.name, source.post.name))
        return _find_windows(scene, frame, min_correlation)
    return scene


def _register_bands(scene: PlannedScene, grid: Grid, bands: Grid) -> PlannedScene:
    source = scene.source
    assert source.multispectral is not None
    grid.check_same_crs(bands, (source.path.name, source.multispectral.name))
    to_bands = grid.matrix_to(bands)
    half = np.array([[1.0, 0.0, 0.5], [0.0, 1.0, 0.5], [0.0, 0.0, 1.0]])
    to_bands = np.linalg.inv(half) @ to_bands @ half
    ratio = 1.0 / np.sqrt(abs(np.linalg.det(to_bands[:2, :2])))
    side = min(*scene.shape, _REGISTRATION_SIDE)
    row, column = (scene.shape[0] - side) // 2, (scene.shape[1] - side) // 2
    pan = scene.read_pre(row, column, side, 0).bands[0]
    pan = scipy.ndimage.gaussian_filter(pan, 0.5 * float(ratio))
    scene = dataclasses.replace(scene, to_multispectral=tuple(to_bands[:2].ravel().tolist()))
    mixture = _most_like(pan, scene.read_multispectral(row, column, pan.shape), 2.0 * float(ratio))
    shift = None if mixture is None else measure_misregistration(pan, mixture, degree=0)
    if shift is None:
        raise DataError(
            f"{source.path.name} and {source.multispectral.name} cannot be registered: no part "
            "of one resembles the other. Check that they show the same ground."
        )
    # To a thousandth of a pixel, which is more than it is known to.
    moved = np.array([shift.coefficients_x[0], shift.coefficients_y[0]]).round(3)
    to_bands[:2, 2] += to_bands[:2, :2] @ moved
    return dataclasses.replace(scene, to_multispectral=tuple(to_bands[:2].ravel().tolist()))


def _most_like(pan: np.ndarray, bands: np.ndarray, sigma: float) -> np.ndarray | None:
    """The mixture of bands most like the panchromatic image.

    Fitted by least squares to images blurred by `sigma` pixels, which a shift of one changes
    little.
    """
    valid = np.isfinite(pan) & np.isfinite(bands).all(axis=0)
    if valid.sum() < 10 * len(bands):
        return None
    blurred = [
        scipy.ndimage.gaussian_filter(np.where(valid, image, image[valid].mean()), sigma)[valid]
        for image in (pan, *bands)
    ]
    goal, *terms = np.asarray(blurred, np.float64)
    columns = np.stack([*terms, np.ones_like(goal)], axis=1)
    weights = np.linalg.lstsq(columns, goal, rcond=None)[0]
    return np.tensordot(weights[:-1], bands, 1).astype(np.float32)


def _find_windows(scene: PlannedScene, frame: int, min_correlation: float) -> PlannedScene:
    source, (rows, columns) = scene.source, scene.shape
    pre, post = (
        scene._read(path, 0, 0, max(rows, columns), 0).bands[0]
        for path in (source.path, source.post)
        if path is not None
    )
    search = find_stable_pairs(
        pre, post, frame, stride=max(frame // 2, 1), min_correlation=min_correlation
    )
    if not search.accepted:
        raise DataError(
            f"scene {source.name}: {search.summary()} at a correlation of {min_correlation}. "
            "Lower min_correlation, take smaller frames, or leave the scene out."
        )
    windows = tuple(
        StableWindow(w.row, w.column, w.correlation, w.misregistration) for w in search.accepted
    )
    return dataclasses.replace(scene, windows=windows)


def _pixels(
    file: rasterio.io.DatasetReader,
    band: int | None,
    rows: tuple[int, int],
    columns: tuple[int, int],
) -> np.ndarray:
    """A window of one band or all, float32, ``(bands, h, w)``, NaN where it is missing."""
    from rasterio.windows import Window

    indexes = _colour_bands(file) if band is None else [band]
    if indexes[-1] > file.count:
        raise FileError(f"{file.name} has no band {band}; it has 1 to {file.count}.")
    window = Window.from_slices(rows, columns)
    for index in indexes:
        check_tiles(file.name, index, range(*rows), range(*columns))
    stored = file.read(indexes, window=window)
    values = stored.astype(np.float32)
    for k, index in enumerate(indexes):
        values[k][is_missing(stored[k], file.nodatavals[index - 1])] = np.nan
        if has_mask(file, index):
            values[k][file.read_masks(index, window=window) == 0] = np.nan
    return values


def _colour_bands(file: rasterio.io.DatasetReader) -> list[int]:
    """Numbers of the bands that are images: an alpha band says what is missing."""
    from rasterio.enums import ColorInterp

    uses = enumerate(file.colorinterp, 1)
    return [k for k, use in uses if use != ColorInterp.alpha] or [*file.indexes]


@contextlib.contextmanager
def _opened(path: Path, states: tuple[FileState, ...]) -> Iterator[rasterio.io.DatasetReader]:
    """Open a scene; what goes wrong while it is open is said of it."""
    import rasterio
    import rasterio.errors

    check_unchanged(states)
    with warnings.catch_warnings():
        # The grid was looked at when the database was planned.
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        try:
            with rasterio.open(path) as file:
                yield file
        except (rasterio.errors.RasterioError, OSError) as error:
            raise FileError(
                f"cannot read {path}: {first_cause(error)}. The file is damaged or out of reach: "
                "get it anew, or leave the scene out."
            ) from error
    check_unchanged(states)
