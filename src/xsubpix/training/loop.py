"""The training loop: resumable to the bit, on one process or on several."""

from __future__ import annotations

import contextlib
import csv
import math
import os
import sys
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from .._version import __version__
from ..devices import torch_device
from ..errors import DataError, FileError
from ..networks import build_network
from ..networks.base import FlowNetwork
from ..networks.normalise import normalise
from ..networks.weights import load_network, save_network
from .config import TrainConfig
from .losses import flow_loss
from .samples import DatabaseFrames, Frames, Sample, draw_batch
from .validation import Validation, draw_curves, draw_samples, validation_samples

__all__ = ["train"]

_LOG = "progress.csv"
_CHECKPOINT = "checkpoint.pt"
_WEIGHTS = "weights.safetensors"


def train(
    config: TrainConfig,
    folder: str | os.PathLike[str],
    *,
    device: str = "auto",
    start: str | os.PathLike[str] | None = None,
    sources: list[Frames] | None = None,
    stop_at: int | None = None,
    workers: int = 1,
    quiet: bool = False,
) -> Path:
    """Train a network, or go on where the same run was stopped.

    Writes to `folder`: ``checkpoint.pt`` (all that is needed to go on),
    ``weights.safetensors`` (the averaged weights, at every validation),
    ``progress.csv``, ``curves.png`` and ``samples.png``.

    Several processes share each batch when started by ``torchrun``; samples do
    not depend on their number.

    Parameters
    ----------
    config : TrainConfig
    folder : str or path
        Made when absent. If it holds a checkpoint of the same configuration,
        training goes on from it.
    device : str
        ``"auto"`` (CUDA where there is one, else CPU) or a torch device.
    start : str or path, optional
        Weights to begin with, of the same architecture (fine tuning).
    sources : list of Frames, optional
        Instead of the databases of `config`, in their order; validation then
        sees samples of them too, of other numbers.
    stop_at : int, optional
        Stop after so many steps, to go on another time.
    workers : int
        Threads that prepare samples.
    quiet : bool
        No lines on stderr.

    Returns
    -------
    pathlib.Path
        Of the weights.

    Raises
    ------
    DataError
        The folder holds a run of another configuration; `start` is of another
        architecture; the loss is no longer finite.
    FileError
        A store cannot be read.

    Notes
    -----
    The same configuration, data, number of processes and of torch's threads
    give the same weights, stopped or not. On a GPU, sums in another order make
    last digits differ.
    """
    folder = Path(folder)
    rank, world = _join_group()
    place = _device(device)
    torch.manual_seed(config.seed)
    network = _begin(config, start).to(place)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = _Average(network, config.average)
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    first = _restore(folder, config, network, average, optimiser, place)
    frames = sources or [
        DatabaseFrames(source.path, "train", large_odds=config.large_odds) for source in config.data
    ]
    checks = validation_samples(config, sources)
    model = _prepared(network, config, world, place)
    last = min(config.steps, config.steps if stop_at is None else stop_at)
    began, rows = time.monotonic(), _Rows(folder / _LOG, first) if rank == 0 else None
    batches = _batches(config, frames, first, last, rank, world, workers)
    losses: list[float] = []
    for step, batch in zip(range(first, last), batches, strict=True):
        for group in optimiser.param_groups:
            group["lr"] = _rate(config, step)
        total, epe = _update(model, network, optimiser, batch, config, place)
        if not math.isfinite(total):
            raise DataError(
                f"the loss is {total} at step {step}: lower learning_rate={config.learning_rate}, "
                f"or look at the samples. The last checkpoint in {folder} is sound."
            )
        average.update(network, step)
        losses.append(epe)
        done = step + 1
        if rank == 0 and rows and (done % config.validate_every == 0 or done == last):
            with average.applied(network):
                found = checks.measure(network, place, config.half)
                _write(folder, network, config, done, found)
                draw_samples(folder / "samples.png", checks, network, place)
            rows.write(done, _rate(config, step), float(np.mean(losses)), found)
            draw_curves(folder / "curves.png", folder / _LOG)
            losses.clear()
            _keep(folder, config, network, average, optimiser, done)
            if not quiet:
                pace = (time.monotonic() - began) / (done - first)
                print(
                    f"step {done} of {config.steps}: training {rows.last:.4f} px, {found}, "
                    f"{pace:.2f} s a step, {pace * (last - done) / 60:.0f} min left",
                    file=sys.stderr,
                    flush=True,
                )
    if rank == 0 and first >= last:
        # Nothing was left to do: a finished run is validated again, and written.
        with average.applied(network):
            _write(folder, network, config, first, checks.measure(network, place, config.half))
    return folder / _WEIGHTS


def _write(
    folder: Path, network: FlowNetwork, config: TrainConfig, steps: int, found: Validation
) -> None:
    save_network(folder / _WEIGHTS, network, _card(config, steps, found), half=True)


def _update(
    model: nn.Module,
    network: FlowNetwork,
    optimiser: torch.optim.Optimizer,
    batch: Sample,
    config: TrainConfig,
    place: torch.device,
) -> tuple[float, float]:
    """One update of the weights; the loss and the end-point error of the batch."""
    pre, post, flow = (torch.from_numpy(part).to(place) for part in batch)
    (before, known), (after, _) = normalise(pre), normalise(post)
    # The truth under missing pixels can be guessed from around them, but should not be asked for.
    flow = torch.where(known > 0, flow, torch.nan)
    with torch.autocast(place.type, torch.bfloat16, enabled=config.half):
        predictions = model(before, after)
    loss = flow_loss(
        predictions,
        flow,
        decay=config.decay,
        spread_weight=config.spread_weight,
        near_weight=config.near_weight,
        gain_weight=config.gain_weight,
    )
    optimiser.zero_grad(set_to_none=True)
    loss.total.backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), config.clip)
    optimiser.step()
    return float(loss.total.detach()), float(loss.epe.detach())


def _rate(config: TrainConfig, step: int) -> float:
    """Learning rate of a step: a linear rise, then a cosine to a hundredth."""
    rise = min(1.0, (step + 1) / max(1, config.warmup))
    share = step / max(1, config.steps)
    return config.learning_rate * rise * (0.01 + 0.99 * (1 + math.cos(math.pi * share)) / 2)


class _Average:
    """Exponential moving average of weights; short at first, so that it forgets the start."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.state = {k: v.detach().clone() for k, v in network.state_dict().items()}

    def update(self, network: nn.Module, step: int) -> None:
        decay = min(self.decay, (1 + step) / (10 + step))
        with torch.no_grad():
            for name, value in network.state_dict().items():
                self.state[name].lerp_(value.detach(), 1 - decay)

    @contextlib.contextmanager
    def applied(self, network: nn.Module) -> Iterator[None]:
        """The network with averaged weights, in evaluation mode, for a while."""
        own = {k: v.detach().clone() for k, v in network.state_dict().items()}
        network.load_state_dict(self.state)
        network.eval()
        try:
            yield
        finally:
            network.load_state_dict(own)
            network.train()


def _batches(
    config: TrainConfig,
    frames: list[Frames],
    first: int,
    last: int,
    rank: int,
    world: int,
    workers: int,
) -> Iterator[Sample]:
    """Batches of the steps, prepared by threads while the network computes."""
    if config.batch % world:
        raise DataError(f"batch={config.batch} for {world} processes: give a multiple of {world}.")
    each = config.batch // world
    shares = [source.share for source in config.data] if config.data else [1.0] * len(frames)

    def batch(step: int) -> Sample:
        begin = step * config.batch + rank * each
        numbers = range(begin, begin + each)
        return draw_batch(frames, shares, numbers, config.seed, config.crop, config.augmentation)

    ahead: deque[Future[Sample]] = deque()
    with ThreadPoolExecutor(max(1, workers)) as pool:
        for step in range(first, last):
            while len(ahead) <= 2 * workers and step + len(ahead) < last:
                ahead.append(pool.submit(batch, step + len(ahead)))
            yield ahead.popleft().result()


def _begin(config: TrainConfig, start: str | os.PathLike[str] | None) -> FlowNetwork:
    if start is None:
        return build_network(config.architecture, **config.network)
    network = load_network(start)
    if network.name != config.architecture:
        raise DataError(
            f"{os.fspath(start)} holds weights of {network.name!r}, but the configuration asks "
            f"for {config.architecture!r}."
        )
    return network.train()


def _prepared(
    network: FlowNetwork, config: TrainConfig, world: int, place: torch.device
) -> nn.Module:
    model: nn.Module = network
    if config.compile:
        model.compile()
    if world > 1:
        ids = [place.index] if place.type == "cuda" else None
        model = nn.parallel.DistributedDataParallel(model, device_ids=ids)
    return model


def _join_group() -> tuple[int, int]:
    """Rank and number of processes that ``torchrun`` started, 0 and 1 without it."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        return 0, 1
    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    return torch.distributed.get_rank(), world


def _device(device: str) -> torch.device:
    """The device that is asked for; of several GPUs, the one of this process."""
    place = torch_device(device)
    if place.type == "cuda" and place.index is None:
        index = int(os.environ.get("LOCAL_RANK", "0")) % max(1, torch.cuda.device_count())
        torch.cuda.set_device(index)
        return torch.device("cuda", index)
    return place


def _card(config: TrainConfig, steps: int, found: Validation) -> dict[str, Any]:
    settings = config.to_dict()
    for source in settings["data"]:
        source["path"] = Path(source["path"]).name
    return {
        "version": __version__,
        "licence": "BSD-3-Clause",
        "calibration": {} if math.isnan(found.sigma) else {"sigma": found.sigma},
        "reach": config.augmentation.shift + 2,
        "training": {"settings": settings, "digest": config.digest(), "steps": steps},
        "figures": {"validation": found.to_dict()},
    }


def _keep(
    folder: Path,
    config: TrainConfig,
    network: nn.Module,
    average: _Average,
    optimiser: torch.optim.Optimizer,
    step: int,
) -> None:
    """Write the checkpoint beside the old one and put it in its place."""
    part = folder / (_CHECKPOINT + ".part")
    torch.save(
        {
            "digest": config.digest(),
            "step": step,
            "network": network.state_dict(),
            "average": average.state,
            "optimiser": optimiser.state_dict(),
        },
        part,
    )
    os.replace(part, folder / _CHECKPOINT)


def _restore(
    folder: Path,
    config: TrainConfig,
    network: nn.Module,
    average: _Average,
    optimiser: torch.optim.Optimizer,
    place: torch.device,
) -> int:
    """Load the checkpoint of a run that was stopped; the step to go on with."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / _CHECKPOINT
    if not path.exists():
        return 0
    try:
        state = torch.load(path, map_location=place, weights_only=True)
    except Exception as error:
        raise FileError(f"{path} cannot be read: {error}. Remove it to begin again.") from error
    if state["digest"] != config.digest():
        raise DataError(
            f"{folder} holds a run with the digest {state['digest'][:12]}, and this configuration "
            f"has {config.digest()[:12]}: give another folder, or remove this one."
        )
    network.load_state_dict(state["network"])
    average.state = state["average"]
    optimiser.load_state_dict(state["optimiser"])
    return int(state["step"])


class _Rows:
    """The table of progress, cut back to the step that training goes on from."""

    HEAD = ("step", "learning_rate", "training", *Validation.NAMES)

    def __init__(self, path: Path, first: int) -> None:
        self.path = path
        self.last = math.nan
        rows: list[list[str]] = []
        if path.exists():
            with path.open(newline="") as file:
                rows = [row for row in csv.reader(file) if row and row[0].isdigit()]
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(self.HEAD)
            writer.writerows(row for row in rows if int(row[0]) <= first)

    def write(self, step: int, rate: float, training: float, found: Validation) -> None:
        self.last = training
        values = [f"{rate:.3e}", f"{training:.5f}", *(f"{v:.5f}" for v in found.values())]
        with self.path.open("a", newline="") as file:
            csv.writer(file).writerow([step, *values])
