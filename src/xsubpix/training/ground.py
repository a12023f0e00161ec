"""Samples of ground that moves in every way, made from images while training.

Scenes are pairs of surfaces at two dates that lie exactly on each other. A sample is cut
from one, moved by drawn motions (:mod:`xsubpix.training.motion`), seen by an instrument,
and comes with the displacement of each pixel, forth and back.
"""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from ..errors import DataError, FileError
from ..kernels.nearest import nearest_valid
from ..second_date import SecondDate
from .motion import Flow, draw_motion
from .samples import Frame

__all__ = ["GroundFrames", "Scene", "build_scenes", "read_scenes"]

# What a sample is made of beside a scene: shares of one image seen twice, and of other ground.
_TWICE, _OTHER = 0.3, 0.05
# Pixels around a sample that its spline sees.
_SPLINE = 12


@dataclasses.dataclass(frozen=True)
class Scene:
    """Two surfaces of the same ground on one grid.

    Attributes
    ----------
    pre, post : numpy.ndarray of float16
        Shape ``(h, w)``: standard deviations around the mean.
    date : SecondDate or None
        Instrument and air of the second date; None for a real second acquisition.
    """

    pre: np.ndarray
    post: np.ndarray
    date: SecondDate | None


def _standard(image: np.ndarray) -> np.ndarray:
    known = np.isfinite(image)
    values = image[known]
    low, high = np.quantile(values[::7], (0.002, 0.998))
    spread = max(float(np.clip(values, low, high).std()), 1e-9)
    out = (image - np.float32(values.mean())) / np.float32(spread)
    return np.where(known, out, np.float32(values.min() / spread)).clip(-60, 60)


def build_scenes(
    images: dict[str, np.ndarray],
    path: str | os.PathLike[str],
    *,
    seed: int,
    each: dict[str, int],
    side: int = 640,
    twins: dict[str, tuple[np.ndarray, np.ndarray]] | None = None,
) -> None:
    """Draw second dates of images and write them as scenes.

    Parameters
    ----------
    images : dict of str to numpy.ndarray
        Shape ``(bands, h, w)`` or ``(h, w)``, any unit; NaN is missing.
    path : str or path
        Folder to write.
    seed : int
    each : dict of str to int
        How many second dates of each image.
    side : int
        Largest side of a scene, pixels; larger images give a random part each time.
    twins : dict, optional
        Real second acquisitions: one image ``(h, w)`` and bands ``(bands, h, w)`` of the
        same ground, instant and grid.
    """
    folder = Path(path)
    folder.mkdir(parents=True, exist_ok=True)
    index: list[dict[str, Any]] = []
    with (folder / "scenes.bin").open("wb") as file:
        for name, image in images.items():
            bands = image if image.ndim == 3 else image[None]
            for k in range(each[name]):
                rng = np.random.default_rng([seed, k, *name.encode()])
                sizes = [min(side, n) for n in bands.shape[1:]]
                row, col = (
                    int(rng.integers(n - m + 1))
                    for n, m in zip(bands.shape[1:], sizes, strict=True)
                )
                part = bands[:, row : row + sizes[0], col : col + sizes[1]].astype(np.float32)
                if not np.isfinite(part).all() or part.std() == 0:
                    continue
                date = SecondDate.random(rng, (0.2, 0.98), bands=len(bands))
                given = part[0] if len(bands) == 1 else part
                pre, post = date.before(given), date.change_surface(given)
                for surface in (pre, post):
                    file.write(_standard(surface).astype(np.float16).tobytes())
                index.append({"shape": sizes, "date": date.to_dict()})
        for name, (one, bands) in (twins or {}).items():
            rng = np.random.default_rng([seed, *name.encode()])
            for _ in range(4):
                mix = rng.dirichlet(np.full(len(bands), 0.6))
                two = np.tensordot(mix, [_standard(b.astype(np.float32)) for b in bands], 1)
                for surface in (one, two):
                    file.write(_standard(surface.astype(np.float32)).astype(np.float16).tobytes())
                index.append({"shape": list(one.shape), "date": None})
    (folder / "scenes.json").write_text(json.dumps(index))


def read_scenes(path: str | os.PathLike[str]) -> list[Scene]:
    """Scenes of a folder, mapped into memory.

    Raises
    ------
    FileError
        The folder holds none.
    """
    folder = Path(path)
    try:
        index = json.loads((folder / "scenes.json").read_text())
        codes = np.memmap(folder / "scenes.bin", np.float16, "r")
    except (OSError, ValueError) as error:
        raise FileError(f"{folder} holds no scenes: {error}.") from error
    scenes, at = [], 0
    for entry in index:
        shape = tuple(entry["shape"])
        size = shape[0] * shape[1]
        pre, post = (codes[at + k * size : at + (k + 1) * size].reshape(shape) for k in (0, 1))
        date = None if entry["date"] is None else SecondDate.from_dict(entry["date"])
        scenes.append(Scene(pre, post, date))
        at += 2 * size
    return scenes


class GroundFrames:
    """Samples drawn from scenes, each with motions of its own.

    Parameters
    ----------
    scenes : list of Scene
    side : int
        Of a sample, pixels.
    """

    def __init__(self, scenes: list[Scene], side: int) -> None:
        self.side = side
        self.scenes = [scene for scene in scenes if min(scene.pre.shape) >= side]
        if not self.scenes:
            raise DataError(
                f"no scene has {side} x {side} pixels: give a smaller crop or larger images."
            )

    def __len__(self) -> int:
        """Number of scenes that are large enough."""
        return len(self.scenes)

    def draw(self, index: int, rng: np.random.Generator) -> Frame:
        """One sample of a scene, in either order of the images."""
        return self.both_orders(index, rng)[int(rng.integers(2))]

    def both_orders(self, index: int, rng: np.random.Generator) -> tuple[Frame, Frame]:
        """One sample of a scene, and the same with the second image first."""
        scene = self.scenes[index]
        side = self.side
        kind = rng.random()
        one, two, date = scene.pre, scene.post, scene.date
        if date is not None and kind < _TWICE:
            one, date = (two, None) if rng.random() < 0.3 else (one, None)
            two = one
        binned = two is one and min(one.shape) >= 2 * side and rng.random() < 0.5
        zoom = 2 if binned else 1
        motions = draw_motion(rng, side)
        if _TWICE < kind < _TWICE + _OTHER:
            other = self.scenes[int(rng.integers(len(self.scenes)))]
            two, motions = other.post, []
        flow = Flow(motions, side)
        forth, back = flow.fields()
        if _TWICE < kind < _TWICE + _OTHER:
            forth[:], back[:] = 1e3, 1e3
            moved = np.zeros_like(back)
        else:
            moved = np.where(np.isfinite(back), back, _filled(back))
        images = []
        phase = rng.uniform(-0.5, 0.5, 2) if rng.random() < 0.6 else np.zeros(2)
        origin = [int(rng.integers(n - zoom * side + 1)) for n in one.shape]
        for image, field in ((one, None), (two, moved)):
            corner = [min(a, n - zoom * side) for a, n in zip(origin, image.shape, strict=True)]
            images.append(_resampled(image, corner, side, zoom, field, phase))
        pre, post = images
        if date is not None:
            changed = dataclasses.replace(date, seed=int(rng.integers(2**62))).without("jitter")
            post = changed.acquire(post)
        pre, post = _noisy(pre, rng), _noisy(post, rng)
        return Frame(pre, post, forth), Frame(post, pre, back)


def _filled(field: np.ndarray) -> np.ndarray:
    missing = ~np.isfinite(field[0])
    if missing.all():
        return np.zeros_like(field)
    return field[:, *nearest_valid(missing)]


def _resampled(
    image: np.ndarray,
    corner: list[int],
    side: int,
    zoom: int,
    field: np.ndarray | None,
    phase: np.ndarray,
) -> np.ndarray:
    """Image at the pixels of a sample, moved by a field, at a sub-pixel phase."""
    still = field is None or not field.any()
    if field is None:
        field = np.zeros((2, side, side), np.float32)
    if still and not phase.any() and zoom == 1:
        return np.asarray(
            image[corner[0] : corner[0] + side, corner[1] : corner[1] + side], np.float32
        )
    reach = 0 if still else int(np.ceil(np.abs(field).max()))
    rim = zoom * reach + _SPLINE
    low = [max(0, c - rim) for c in corner]
    high = [min(n, c + zoom * side + rim) for c, n in zip(corner, image.shape, strict=True)]
    part = np.asarray(image[low[0] : high[0], low[1] : high[1]], np.float64)
    part = ndimage.spline_filter(part, 5, output=np.float64, mode="mirror")
    fine = (np.arange(zoom * side) - (zoom - 1) / 2) / zoom if zoom > 1 else np.arange(side)
    places = []
    for k in (0, 1):
        at = fine[:, None] if k == 0 else fine[None, :]
        at = np.broadcast_to(at + phase[k], (zoom * side, zoom * side))
        if not still:
            move = field[1 - k]
            if zoom > 1:
                move = np.repeat(np.repeat(move, zoom, 0), zoom, 1)
            at = at + move
        places.append(zoom * at + (zoom - 1) / 2 + corner[k] - low[k])
    out = ndimage.map_coordinates(
        part, places, output=np.float32, order=5, mode="mirror", prefilter=False
    )
    if zoom > 1:
        out = out.reshape(side, zoom, side, zoom).mean((1, 3))
    return out


def _noisy(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Image with noise of an instrument, little to much."""
    amount = float(np.exp(rng.uniform(np.log(0.002), np.log(0.12))))
    if rng.random() < 0.15:
        amount *= 3
    spread = float(image.std())
    noise = rng.standard_normal(image.shape, np.float32)
    if rng.random() < 0.2:
        noise = ndimage.gaussian_filter(noise, 0.6)
        noise /= max(float(noise.std()), 1e-6)
    return image + np.float32(amount * spread) * noise
