"""Samples for training: crops of frames, turned, flipped and augmented.

Every sample follows from a seed and its number alone, so that training can
stop and go on, on one process or on many, and sees the same samples.
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from scipy import ndimage

from ..checks import real_number, whole_number
from ..errors import DataError
from ..second_date import SecondDate
from .ruptures import draw_rupture, put_rupture

__all__ = [
    "BEYOND",
    "Augmentation",
    "DatabaseFrames",
    "Frame",
    "Frames",
    "Sample",
    "cut_sample",
    "draw_batch",
    "draw_sample",
    "symmetry",
]


#: Displacements that no network here is asked to find, pixels: only that it does not know them.
BEYOND = 8.0


# Samples between two that are cut from the same frame.
_GROUP = 64


class Frame(NamedTuple):
    """Two images and what lies between them.

    Attributes
    ----------
    pre, post : numpy.ndarray of float32
        Shape ``(h, w)``; NaN is missing.
    flow : numpy.ndarray of float32
        Shape ``(2, h, w)``: dx to the right and dy down, pixels; NaN where unknown.
    """

    pre: np.ndarray
    post: np.ndarray
    flow: np.ndarray


Sample = Frame


class Frames(Protocol):
    """Source that samples are cut from."""

    def __len__(self) -> int:
        """Number of frames."""

    def draw(self, index: int, rng: np.random.Generator) -> Frame:
        """One frame; what of it is random comes from `rng`."""


class _Stored(NamedTuple):
    """Images, displacement and second dates that a database holds of a frame."""

    pre: np.ndarray
    post: np.ndarray
    displacement: np.ndarray
    dates: list[SecondDate]


class DatabaseFrames:
    """Frames of one split of a database, kept in memory after the first reading.

    Parameters
    ----------
    path : str
        Path of the store.
    split : str
        ``"train"``, ``"validation"`` or ``"test"``.
    memory : float
        GiB that frames may take; what exceeds it is read again each time.
    large_odds : float
        Factors f are drawn with odds ``f ** large_odds``.

    Examples
    --------
    >>> frames = DatabaseFrames("db.zarr", "train")
    >>> len(frames), frames.get(0, scaling=1).flow.shape
    (1, (2, 128, 128))
    """

    def __init__(self, path: str, split: str, memory: float = 8.0, large_odds: float = 0.0) -> None:
        from ..database import database_table

        self.path, self.split = path, split
        self._factors = np.asarray(database_table(path, split)["factor"].values, np.float32)
        odds = self._factors.astype(float) ** large_odds
        self._odds = odds / odds.sum()
        self._free_bytes = memory * 2**30
        self._cache: dict[int, _Stored] = {}

    def __len__(self) -> int:
        """Number of frames."""
        from ..database.store import open_array

        return int(open_array(self.path, self.split, "pre").shape[0])

    @property
    def scalings(self) -> int:
        """Factors of each frame's displacement."""
        return len(self._factors)

    def _stored(self, index: int) -> _Stored:
        from ..database.reader import read_jittered_dates
        from ..database.store import read_images

        cached = self._cache.get(index)
        if cached is None:
            pre, post, displacement = (
                read_images(self.path, self.split, name, (index,))
                for name in ("pre", "post", "displacement")
            )
            dates = read_jittered_dates(self.path, self.split, index)
            cached = _Stored(pre, post, displacement, dates)
            size = sum(array.nbytes for array in cached[:3])
            if size <= self._free_bytes:
                self._free_bytes -= size
                self._cache[index] = cached
        return cached

    def draw(self, index: int, rng: np.random.Generator) -> Frame:
        """One frame at one of its factors."""
        return self.get(index, int(rng.choice(self.scalings, p=self._odds)))

    def get(self, index: int, scaling: int) -> Frame:
        """A frame at a factor: images in codes of the store, NaN for missing."""
        from ..database.reader import decode_displacement

        stored = self._stored(index)
        images = []
        for codes in (stored.pre, stored.post[scaling]):
            image = codes.astype(np.float32)
            image[codes == 0] = np.nan
            images.append(image)
        factor = float(self._factors[scaling])
        size = stored.pre.shape[0]
        flow = decode_displacement(stored.displacement, factor, stored.dates, scaling, size)
        return Frame(images[0], images[1], flow)


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """Random changes that samples get during training.

    Parameters
    ----------
    shift : int
        Largest whole shift between the two crops, pixels; half of the samples
        get one.
    gamma : float
        Spread of the logarithm of the exponent that bends grey values.
    noise : float
        Largest white noise added to an image, of its deviation.
    invert : float
        Share of samples whose second image is turned into its negative.
    blur : float
        Share of images that are blurred, by a Gaussian of up to 0.8 px.
    missing : float
        Share of samples with a rectangle of missing pixels.
    pattern : float
        Share of samples in which pixels are missing at the same places of both images
        in a pattern: lines, a checkerboard, at random.
    rupture : float
        Share of samples that are ruptured once more, by 0.1 to 4 px; see
        :mod:`xsubpix.training.ruptures`.
    unmatched : float
        Share of samples whose second image shows other ground of the frame, more
        than 8 px away: nothing to be found there, and the network learns to say so.

    Examples
    --------
    >>> Augmentation(shift=0, noise=0.3).noise
    0.3
    """

    shift: int = 3
    gamma: float = 0.25
    noise: float = 0.15
    invert: float = 0.05
    blur: float = 0.15
    missing: float = 0.1
    rupture: float = 0.0
    unmatched: float = 0.0
    pattern: float = 0.0

    def __post_init__(self) -> None:
        whole_number("shift", self.shift, 0, 4096, error=DataError)
        for field in dataclasses.fields(self):
            # Spreads of grey values and of noise, shares of all samples.
            most = {"shift": 4096.0, "gamma": 10.0, "noise": 1e3}.get(field.name, 1.0)
            real_number(field.name, getattr(self, field.name), 0.0, most, error=DataError)


def symmetry(sample: Sample, turn: int) -> Sample:
    """One of the eight symmetries of the square, with the components' signs right.

    Parameters
    ----------
    sample : Sample
    turn : int
        0 to 7: bit 0 flips columns, bit 1 flips rows, bit 2 swaps rows and
        columns (after the flips).
    """
    pre, post, flow = sample
    if turn & 1:
        pre, post = pre[:, ::-1], post[:, ::-1]
        flow = np.stack((-flow[0, :, ::-1], flow[1, :, ::-1]))
    if turn & 2:
        pre, post = pre[::-1], post[::-1]
        flow = np.stack((flow[0, ::-1], -flow[1, ::-1]))
    if turn & 4:
        pre, post = pre.T, post.T
        flow = np.stack((flow[1].T, flow[0].T))
    return Sample(pre, post, flow)


def draw_sample(
    frames: Frames, rng: np.random.Generator, crop: int, augmentation: Augmentation
) -> Sample:
    """Draw a crop of a random frame, augmented; see :func:`cut_sample`."""
    return cut_sample(frames.draw(int(rng.integers(len(frames))), rng), rng, crop, augmentation)


def cut_sample(
    frame: Frame, rng: np.random.Generator, crop: int, augmentation: Augmentation
) -> Sample:
    """Cut a sample from a frame, turned and augmented.

    Parameters
    ----------
    frame : Frame
    rng : numpy.random.Generator
    crop : int
        Side of the crop, pixels.
    augmentation : Augmentation

    Raises
    ------
    DataError
        A frame is smaller than the crop and its shift.
    """
    reach = augmentation.shift
    spare = [n - crop - 2 * reach for n in frame.pre.shape]
    if min(spare) < 0:
        raise DataError(
            f"frames of {frame.pre.shape[0]} x {frame.pre.shape[1]} pixels, but crop={crop} and "
            f"shift={reach} need {crop + 2 * reach}: give a smaller crop or larger frames."
        )
    row, col = (reach + int(rng.integers(n + 1)) for n in spare)
    down, right = 0, 0
    if rng.random() < 0.5:
        down, right = (int(v) for v in rng.integers(-reach, reach + 1, 2))
    # Nothing is drawn where it is not asked for: older runs keep their samples.
    if augmentation.unmatched and rng.random() < augmentation.unmatched:
        down, right = _elsewhere(rng, (row, col), spare, reach)
    pre = frame.pre[row : row + crop, col : col + crop]
    post = frame.post[row + down : row + down + crop, col + right : col + right + crop]
    flow = frame.flow[:, row : row + crop, col : col + crop] - np.array(
        [right, down], np.float32
    ).reshape(2, 1, 1)
    if augmentation.rupture and rng.random() < augmentation.rupture:
        post, flow = put_rupture(post, flow, draw_rupture(rng, crop))
    sample = symmetry(Sample(pre, post, flow), int(rng.integers(8)))
    return _augmented(sample, rng, augmentation)


def _elsewhere(
    rng: np.random.Generator, corner: tuple[int, int], spare: list[int], reach: int
) -> tuple[int, int]:
    """Rows and columns to a crop of the same frame that is beyond what can be found.

    Half of these crops are within 64 px, where a search that is too short leads to.
    """
    near = rng.random() < 0.5
    for _ in range(100):
        other = [reach + int(rng.integers(n + 1)) for n in spare]
        if near:
            other = [
                int(np.clip(at + rng.integers(-64, 65), reach, n + reach))
                for at, n in zip(corner, spare, strict=True)
            ]
        apart = other[0] - corner[0], other[1] - corner[1]
        if max(abs(apart[0]), abs(apart[1])) > 1.5 * BEYOND:
            return apart
    return 0, 0  # the frame leaves no room


def draw_batch(
    sources: Sequence[Frames],
    shares: Sequence[float],
    numbers: Sequence[int],
    seed: int,
    crop: int,
    augmentation: Augmentation,
    reuse: int = 1,
    frames: OrderedDict[int, Frame] | None = None,
) -> Sample:
    """Samples of given numbers, stacked.

    Parameters
    ----------
    sources : sequence of Frames
    shares : sequence of float
        How often each source is drawn from, in any unit.
    numbers : sequence of int
        Numbers of the samples: number k of a seed is always the same sample.
    seed, crop, augmentation
        See :func:`cut_sample`.
    reuse : int
        How many samples are cut from a frame: sample number k is cut from frame
        ``k - k // 64 % reuse * 64``.
    frames : OrderedDict, optional
        Frames that were drawn lately, by their number; changed in place.

    Returns
    -------
    Sample
        ``pre``, ``post``: ``(n, crop, crop)``; ``flow``: ``(n, 2, crop, crop)``.

    Examples
    --------
    >>> frames = DatabaseFrames("db.zarr", "train")
    >>> batch = draw_batch([frames], [1.0], [0, 1], seed=0, crop=64, augmentation=Augmentation())
    >>> batch.pre.shape, batch.flow.shape
    ((2, 64, 64), (2, 2, 64, 64))
    """
    odds = np.asarray(shares, float) / np.sum(shares)
    samples = []
    for number in numbers:
        if reuse == 1:
            rng = np.random.default_rng([seed, number])
            source = sources[int(rng.choice(len(sources), p=odds))]
            samples.append(draw_sample(source, rng, crop, augmentation))
            continue
        first = number - number // _GROUP % reuse * _GROUP
        frame = None if frames is None else frames.get(first)
        if frame is None or min(frame.pre.shape) < crop:
            rng = np.random.default_rng([seed, first])
            source = sources[int(rng.choice(len(sources), p=odds))]
            frame = source.draw(int(rng.integers(len(source))), rng)
            if frames is not None:
                frames[first] = frame
                while len(frames) > _GROUP:
                    frames.popitem(last=False)
        samples.append(
            cut_sample(frame, np.random.default_rng([seed, number, 1]), crop, augmentation)
        )
    pre, post, flow = (np.stack(parts).astype(np.float32) for parts in zip(*samples, strict=True))
    return Sample(pre, post, flow)


def _augmented(sample: Sample, rng: np.random.Generator, augmentation: Augmentation) -> Sample:
    """A copy with changed grey values and a rectangle of missing pixels."""
    pre, post = (_changed(image, rng, augmentation) for image in sample[:2])
    if rng.random() < augmentation.invert:
        post = -post
    if rng.random() < augmentation.missing:
        side = pre.shape[0]
        height, width = (int(v) for v in rng.integers(side // 16, side // 2 + 1, 2))
        row, col = int(rng.integers(side)), int(rng.integers(side))
        image = pre if rng.random() < 0.5 else post
        image[row : row + height, col : col + width] = np.nan
    if augmentation.pattern and rng.random() < augmentation.pattern:
        holes = _pattern(pre.shape, rng)
        pre[holes], post[holes] = np.nan, np.nan
    return Sample(pre, post, sample.flow)


def _pattern(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Mask of missing pixels in a regular pattern, as scan-line failures and tiling leave."""
    kind, period = int(rng.integers(4)), int(rng.integers(2, 12))
    width = int(rng.integers(1, max(2, period // 2 + 1)))
    rows, cols = np.indices(shape)
    if kind == 0:
        return rows % period < width
    if kind == 1:
        return cols % period < width
    if kind == 2:
        return (rows // width + cols // width) % 2 == 0
    return rng.random(shape) < rng.uniform(0.05, 0.5)


def _changed(image: np.ndarray, rng: np.random.Generator, augmentation: Augmentation) -> np.ndarray:
    """A copy with bent grey values, blur and noise."""
    exponent = float(np.exp(augmentation.gamma * np.clip(rng.normal(), -2, 2)))
    blur = float(rng.uniform(0.2, 0.8)) if rng.random() < augmentation.blur else 0.0
    noise = float(rng.uniform(0, augmentation.noise)) if rng.random() < 0.5 else 0.0
    grains = rng.standard_normal(image.shape, np.float32) if noise else None
    known = np.isfinite(image)
    if (exponent == 1 and not blur and grains is None) or not known.any():
        return image.copy()
    low, high = np.percentile(image[known][::7], (0.5, 99.5))
    if not high > low:
        return image.copy()
    scale = np.float32(1 / (high - low))
    bent = np.clip((image - np.float32(low)) * scale, 0.01, None) ** np.float32(exponent)
    if blur and known.all():
        bent = ndimage.gaussian_filter(bent, blur)
    if grains is not None:
        bent = bent + np.float32(noise * bent[known].std()) * grains
    return bent
