"""Checkpoints: all that is needed to go on with a run, whole or not at all."""

from __future__ import annotations

import torch

from ..atomic import replace_file
from ..errors import DataError, FileError
from .run import CHECKPOINT, Run

__all__ = ["load_checkpoint", "save_checkpoint"]

_PARTS = {"digest", "step", "network", "average", "optimiser"}


def save_checkpoint(run: Run) -> None:
    """Write the checkpoint beside the old one and put it in its place.

    Raises
    ------
    OSError
        The disk is full; the old one stays.
    """
    part = run.path(CHECKPOINT + ".part")
    state = {
        "digest": run.config.digest(),
        "step": run.step,
        "network": run.network.state_dict(),
        "average": run.average.module.state_dict(),
        "optimiser": run.optimiser.state_dict(),
    }
    try:
        torch.save(state, part)
        replace_file(part, run.path(CHECKPOINT))
    except RuntimeError as error:  # torch's own, on a disk that is full
        raise OSError(str(error).splitlines()[0]) from error
    finally:
        part.unlink(missing_ok=True)


def load_checkpoint(run: Run) -> None:
    """Bring a run to where it was stopped; nothing changes where there is no checkpoint.

    Raises
    ------
    DataError
        The folder holds a run of another configuration.
    FileError
        The checkpoint cannot be read.
    """
    path = run.path(CHECKPOINT)
    if not path.exists():
        return
    try:
        state = torch.load(path, map_location=run.device, weights_only=True)
    except Exception as error:
        raise FileError(f"{path} cannot be read: {error}. Remove it to begin again.") from error
    if not isinstance(state, dict) or not set(state) >= _PARTS:
        raise FileError(f"{path} is no checkpoint of a run. Remove it to begin again.")
    if state["digest"] != run.config.digest():
        raise DataError(
            f"{run.folder} holds a run with the digest {state['digest'][:12]}, and this "
            f"configuration has {run.config.digest()[:12]}: give another folder, or remove this "
            "one."
        )
    try:
        run.network.load_state_dict(state["network"])
        run.average.module.load_state_dict(state["average"])
        run.optimiser.load_state_dict(state["optimiser"])
        run.step = int(state["step"])
    except (RuntimeError, ValueError, TypeError, KeyError, AttributeError) as error:
        wrong = (str(error).strip() or repr(error)).splitlines()[-1].strip()
        raise FileError(
            f"{path} is not of this network: {wrong}. Remove it to begin again."
        ) from error
    run.average.n_averaged.fill_(1 + run.step)
