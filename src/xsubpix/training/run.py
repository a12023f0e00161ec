"""A training run as one value: its network, their average, the optimiser and the step."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Self

import torch
from torch.optim.swa_utils import AveragedModel

from ..errors import DataError, FileError, ModelError
from ..networks import build_network
from ..networks.base import FlowNetwork
from ..networks.weights import load_weights
from .config import TrainConfig

__all__ = ["Run", "initial_network"]

WEIGHTS = "weights.safetensors"
CHECKPOINT = "checkpoint.pt"
PROGRESS = "progress.csv"
CURVES = "curves.png"
SAMPLES = "samples.png"


@dataclasses.dataclass
class Run:
    """State of a training run.

    Attributes
    ----------
    folder : pathlib.Path
        What the run writes to.
    config : TrainConfig
    device : torch.device
    network : FlowNetwork
        On the device; what the optimiser changes.
    average : torch.optim.swa_utils.AveragedModel
        Exponential moving average of the network's weights: what is validated
        and kept.
    optimiser : torch.optim.Optimizer
    step : int
        Updates done so far.
    """

    folder: Path
    config: TrainConfig
    device: torch.device
    network: FlowNetwork
    average: AveragedModel
    optimiser: torch.optim.Optimizer
    step: int = 0

    @classmethod
    def create(
        cls,
        config: TrainConfig,
        folder: Path,
        device: torch.device,
        start: str | os.PathLike[str] | None = None,
    ) -> Self:
        """Begin a run, with random weights or with those of a file.

        Raises
        ------
        DataError
            See :func:`initial_network`.
        FileError
            The folder holds weights that no run made there, or those to begin with.
        """
        _check_folder(folder, start)
        torch.manual_seed(config.seed)
        network = initial_network(config, start).to(device)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        optimiser = torch.optim.AdamW(
            network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        return cls(folder, config, device, network, moving_average(network, config), optimiser)

    @property
    def averaged(self) -> FlowNetwork:
        """The network with the averaged weights, in evaluation mode."""
        network = self.average.module.eval()
        assert isinstance(network, FlowNetwork)
        return network

    def path(self, name: str) -> Path:
        """Path of one of the run's files."""
        return self.folder / name


def _check_folder(folder: Path, start: str | os.PathLike[str] | None) -> None:
    """Refuse a folder in which a run would replace what it did not make."""
    weights = folder / WEIGHTS
    if start is not None and weights.exists() and os.path.exists(start) and weights.samefile(start):
        raise FileError(
            f"{folder} holds {weights.name}, which the run begins with and would replace. Give "
            "another folder."
        )
    there = [name for name in (WEIGHTS, CURVES, SAMPLES) if (folder / name).exists()]
    # A run writes its table first of all, and its checkpoint last.
    if there and not any((folder / name).exists() for name in (PROGRESS, CHECKPOINT)):
        raise FileError(
            f"{folder} holds {', '.join(there)}, which no run made there, and a new one would "
            "replace. Give another folder, or remove them."
        )


def initial_network(
    config: TrainConfig, start: str | os.PathLike[str] | None = None
) -> FlowNetwork:
    """Build the network that a configuration asks for, with the weights of a file if given.

    Parameters
    ----------
    config : TrainConfig
    start : str or path, optional
        Weights of the same architecture and sizes. Settings that have no weights, such as
        the `levels` of ``unet``, are those of the configuration.

    Raises
    ------
    DataError
        The weights do not fit into the network; the message says both.
    """
    network = build_network(config.architecture, **config.network)
    if start is not None:
        try:
            load_weights(network, start)
        except ModelError as error:
            raise DataError(
                f"the configuration asks for architecture={config.architecture!r} with "
                f"network={config.network}, and fine tuning cannot begin with the weights that "
                f"were given: {error}"
            ) from error
    return network.train()


def moving_average(network: FlowNetwork, config: TrainConfig) -> AveragedModel:
    """Average of a network's weights; short at first, so that it forgets the start."""

    def update(
        averaged: tuple[torch.Tensor, ...] | list[torch.Tensor],
        current: tuple[torch.Tensor, ...] | list[torch.Tensor],
        count: torch.Tensor | int,
    ) -> None:
        seen = int(count)
        decay = min(config.average, seen / (9 + seen))
        for mean, value in zip(averaged, current, strict=True):
            mean.lerp_(value, 1 - decay)

    average = AveragedModel(network, multi_avg_fn=update)
    # The first weights are the first that are averaged.
    average.n_averaged.fill_(1)
    return average
