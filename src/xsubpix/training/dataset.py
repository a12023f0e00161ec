"""Training samples as a torch Dataset, and the loader of a run's batches."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from ..errors import DataError
from .config import TrainConfig
from .ground import GroundFrames, read_scenes
from .samples import Augmentation, DatabaseFrames, Frame, Frames, Sample, draw_batch

__all__ = ["SampleDataset", "StepSampler", "batch_loader", "training_frames"]

#: Frames of one database that are kept in memory, of all processes together, GiB.
MEMORY = 8.0


class SampleDataset(Dataset[Sample]):
    """Samples by their number: number k of a seed is always the same sample.

    Parameters
    ----------
    sources : sequence of Frames
    shares : sequence of float
        How often each source is drawn from, in any unit.
    seed : int
    crop : int or callable
        Side of a sample, pixels; or a function of the number of a sample that gives it.
    augmentation : Augmentation
    reuse : int
        See :func:`xsubpix.training.samples.draw_batch`.
    """

    def __init__(
        self,
        sources: Sequence[Frames],
        shares: Sequence[float],
        *,
        seed: int,
        crop: int | Callable[[int], int],
        augmentation: Augmentation,
        reuse: int = 1,
    ) -> None:
        self.sources = list(sources)
        self.shares = list(shares)
        self.seed = seed
        self.crop = crop
        self.augmentation = augmentation
        self.reuse = reuse
        self._frames: OrderedDict[int, Frame] = OrderedDict()

    def __getitem__(self, number: int) -> Sample:
        """Draw a sample: ``pre`` and ``post`` ``(h, w)``, ``flow`` ``(2, h, w)``, NumPy."""
        crop = self.crop(number) if callable(self.crop) else self.crop
        batch = draw_batch(
            self.sources,
            self.shares,
            [number],
            self.seed,
            crop,
            self.augmentation,
            self.reuse,
            self._frames,
        )
        return Sample(*(part[0] for part in batch))


class StepSampler(Sampler[list[int]]):
    """Numbers of the samples of each step that one of several processes prepares.

    Step s of batches of n samples takes numbers ``s n`` to ``s n + n - 1``; each
    process takes an equal part of them, so that the samples of a step do not depend
    on how many there are, nor on where a run was stopped.

    Parameters
    ----------
    first, last : int
        Steps, the last one excluded.
    batch : int
        Samples a step, of all processes together.
    rank, world : int
        Number of this process, and of all.
    wide : callable
        True for the number of a step whose samples are wide: half as many are taken.

    Raises
    ------
    DataError
        The batch cannot be shared equally.
    """

    def __init__(
        self,
        first: int,
        last: int,
        batch: int,
        rank: int = 0,
        world: int = 1,
        wide: Callable[[int], bool] = lambda step: False,
    ) -> None:
        if batch % world:
            raise DataError(f"batch={batch} for {world} processes: give a multiple of {world}.")
        self.steps = range(first, last)
        self.batch = batch
        self.rank = rank
        self.size = batch // world
        self.wide = wide

    def __len__(self) -> int:
        """Number of steps."""
        return len(self.steps)

    def __iter__(self) -> Iterator[list[int]]:
        """Numbers of the samples, step by step."""
        for step in self.steps:
            start = step * self.batch + self.rank * self.size
            size = max(1, self.size // 2) if self.wide(step) else self.size
            yield list(range(start, start + size))


def training_frames(config: TrainConfig, workers: int = 0) -> list[Frames]:
    """Open the training splits of a configuration's databases; workers share their memory."""
    memory = MEMORY / max(1, workers)
    side = max(config.crop, config.wide_crop) + 2 * config.augmentation.shift
    return [
        GroundFrames(read_scenes(Path(source.path) / "train"), side)
        if source.kind == "scenes"
        else DatabaseFrames(source.path, "train", memory, config.large_odds)
        for source in config.data
    ]


def batch_loader(
    config: TrainConfig, sources: Sequence[Frames], sampler: StepSampler, workers: int = 0
) -> DataLoader[Sample]:
    """Loader of the batches of a run, in the order of its steps.

    Parameters
    ----------
    config : TrainConfig
    sources : sequence of Frames
        What samples are cut from, in the order of ``config.data``.
    sampler : StepSampler
    workers : int
        Processes that prepare samples; 0 for this one. More than 0 needs sources that
        can be pickled.

    Returns
    -------
    torch.utils.data.DataLoader
        Gives a :class:`Sample` of tensors a step: ``pre`` and ``post``
        ``(n, h, w)``, ``flow`` ``(n, 2, h, w)``.
    """
    shares = [source.share for source in config.data] if config.data else [1.0] * len(sources)
    dataset = SampleDataset(
        sources,
        shares,
        seed=config.seed,
        crop=config.crop_of,
        augmentation=config.augmentation,
        reuse=config.reuse,
    )
    return DataLoader(
        dataset,
        batch_sampler=sampler,
        num_workers=workers,
        # A fresh interpreter each: threads of torch and of zarr do not survive a fork.
        multiprocessing_context="spawn" if workers else None,
        # One of its own, or beginning to load would move the numbers that torch draws.
        generator=torch.Generator().manual_seed(config.seed),
    )
