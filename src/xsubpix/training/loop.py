"""The training loop: resumable to the bit, on one process or on several."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from .._version import __version__
from ..devices import torch_device
from ..errors import DataError
from ..files.locks import locked
from ..files.writing import writing_errors_named
from ..networks.weights import save_network
from .checkpoint import load_checkpoint, save_checkpoint
from .config import TrainConfig
from .dataset import StepSampler, batch_loader, training_frames
from .losses import flow_loss
from .progress import Progress
from .run import SAMPLES, WEIGHTS, Run
from .samples import BEYOND, Frames
from .validation import Validation, ValidationSamples, draw_samples, validation_samples

__all__ = ["train"]

# What an error of the disk leaves.
_GOES_ON = " The last checkpoint is kept; the same call goes on from there."


def train(
    config: TrainConfig,
    folder: str | os.PathLike[str],
    *,
    device: str = "auto",
    start: str | os.PathLike[str] | None = None,
    sources: Sequence[Frames] | None = None,
    stop_at: int | None = None,
    workers: int = 0,
    progress: bool = True,
) -> Path:
    """Train a network, or continue a run that was stopped.

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
        Weights to begin with (fine tuning): of the same architecture and sizes as
        the network that `config` asks for, and put into that network.
    sources : sequence of Frames, optional
        Instead of the databases of `config`, in their order; validation then
        sees samples of them too, of other numbers.
    stop_at : int, optional
        Stop after so many steps, to go on another time.
    workers : int
        Processes that prepare samples beside this one; 0 for this one alone. A script
        that asks for some is imported by them: guard its last lines by
        ``if __name__ == "__main__":``.
    progress : bool
        Lines on stderr: the first after ten steps, then one at each validation, with the
        seconds that a step takes and the time that is left.

    Returns
    -------
    pathlib.Path
        File of the weights.

    Raises
    ------
    DataError
        The folder holds a run of another configuration; the weights of `start` do
        not fit into the network; the loss is no longer finite.
    FileError
        A store cannot be read, the folder cannot be written (the last checkpoint is kept), or
        another process trains in it.

    Notes
    -----
    The same configuration, data, number of processes and of torch's threads
    give the same weights, stopped or not. On a GPU, sums in another order make
    last digits differ.

    Examples
    --------
    >>> from xsubpix.training.config import TrainConfig
    >>> from xsubpix.training.loop import train
    >>> path = train(TrainConfig.from_file("unet.toml"), "run")  # doctest: +SKIP
    """
    rank, world = _join_group()
    run = Run.create(config, Path(folder), _own_device(device), start)
    run.folder.mkdir(parents=True, exist_ok=True)
    # The others of a group share the folder of the first.
    with locked(run.folder, inside=True) if rank == 0 else contextlib.nullcontext():
        return _train(run, sources, stop_at, workers, progress, rank, world)


def _train(
    run: Run,
    sources: Sequence[Frames] | None,
    stop_at: int | None,
    workers: int,
    progress: bool,
    rank: int,
    world: int,
) -> Path:
    """Go on with a run from where its checkpoint is."""
    config = run.config
    load_checkpoint(run)
    frames = sources or training_frames(config, workers)
    samples = validation_samples(config, sources)
    last = min(config.steps, config.steps if stop_at is None else stop_at)
    if run.step >= last:
        # Nothing is left to do: a finished run is validated again, and written.
        if rank == 0:
            _write_weights(run, samples.measure(run.averaged, run.device, config.half))
        return run.path(WEIGHTS)
    with writing_errors_named(run.folder, _GOES_ON):
        log = Progress(run, last, shown=progress) if rank == 0 else None
    model = _prepared(run, world)
    sampler = StepSampler(run.step, last, config.batch, rank, world, wide=config.is_wide)
    errors: list[float] = []
    for batch in batch_loader(config, frames, sampler, workers):
        rate = _learning_rate(config, run.step)
        errors.append(_update(run, model, batch, rate))
        if log is not None:
            log.tell_pace()
        if run.step % config.validate_every == 0 or run.step == last:
            if log is not None:
                with writing_errors_named(run.folder, _GOES_ON):
                    found = _validate(run, samples)
                    log.add(rate, float(np.mean(errors)), found)
                    save_checkpoint(run)
            errors.clear()
    return run.path(WEIGHTS)


def _update(run: Run, model: nn.Module, batch: Sequence[torch.Tensor], rate: float) -> float:
    """Update the weights once; the mean end-point error of the batch, pixels."""
    config, device = run.config, run.device
    for group in run.optimiser.param_groups:
        group["lr"] = rate
    pre, post, flow = (part.to(device) for part in batch)
    before, after = run.network.prepare(pre), run.network.prepare(post)
    # The truth under missing pixels can be guessed from around them, but should not be asked for.
    flow = torch.where(before[0][:, 1:] > 0, flow, torch.nan)
    with torch.autocast(device.type, torch.bfloat16, enabled=config.half):
        predictions = model(run.network.inputs(before), run.network.inputs(after))
    loss = flow_loss(
        predictions,
        flow,
        decay=config.decay,
        spread_weight=config.spread_weight,
        near_weight=config.near_weight,
        gain_weight=config.gain_weight,
        power=config.power,
        reach=config.reach,
        far_weight=config.far_weight,
    )
    run.optimiser.zero_grad(set_to_none=True)
    loss.total.backward()
    torch.nn.utils.clip_grad_norm_(run.network.parameters(), config.clip)
    run.optimiser.step()
    total = float(loss.total.detach())
    if not math.isfinite(total):
        raise DataError(
            f"the loss is {total} at step {run.step}: lower learning_rate={config.learning_rate}, "
            f"or look at the samples. The last checkpoint in {run.folder} is good."
        )
    run.average.update_parameters(run.network)
    run.step += 1
    return float(loss.epe.detach())


def _validate(run: Run, samples: ValidationSamples) -> Validation:
    """Measure the averaged network, write its weights and draw what it finds."""
    found = samples.measure(run.averaged, run.device, run.config.half)
    _write_weights(run, found)
    draw_samples(run.path(SAMPLES), samples, run.averaged, run.device)
    return found


def _write_weights(run: Run, found: Validation) -> None:
    save_network(run.path(WEIGHTS), run.averaged, _card(run.config, run.step, found), half=True)


def _learning_rate(config: TrainConfig, step: int) -> float:
    """Learning rate of a step: a linear rise, then a cosine to a hundredth."""
    rise = min(1.0, (step + 1) / max(1, config.warmup))
    share = step / max(1, config.steps)
    return config.learning_rate * rise * (0.01 + 0.99 * (1 + math.cos(math.pi * share)) / 2)


def _prepared(run: Run, world: int) -> nn.Module:
    """The network, compiled and shared among processes where that is asked for."""
    model: nn.Module = run.network
    if run.config.compile:
        model.compile()
    if world > 1:
        ids = [run.device.index] if run.device.type == "cuda" else None
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


def _own_device(name: str) -> torch.device:
    """Device of a name; of several GPUs, the one of this process."""
    device = torch_device(name)
    if device.type == "cuda" and device.index is None:
        index = int(os.environ.get("LOCAL_RANK", "0")) % max(1, torch.cuda.device_count())
        torch.cuda.set_device(index)
        return torch.device("cuda", index)
    return device


def _card(config: TrainConfig, steps: int, found: Validation) -> dict[str, Any]:
    """Card of the weights: settings, data, steps and figures."""
    settings = config.to_dict()
    for source in settings["data"]:
        source["path"] = Path(source["path"]).name
    return {
        "version": __version__,
        "licence": "BSD-3-Clause",
        "calibration": {} if math.isnan(found.sigma) else {"sigma": found.sigma},
        # What is beyond 8 px was asked for only where the configuration says so.
        "reach": config.reach if config.reach > BEYOND else config.augmentation.shift + 2,
        "training": {"settings": settings, "digest": config.digest(), "steps": steps},
        "figures": {"validation": found.to_dict()},
    }
