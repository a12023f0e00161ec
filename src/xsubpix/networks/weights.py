"""Weights on disk: a network from its file, and back."""

from __future__ import annotations

import json
import math
import os
import tempfile
from pathlib import Path

import torch

from ..errors import ModelError
from .base import FlowNetwork
from .cards import KEY, Card, read_card
from .registry import build_network

__all__ = ["load_network", "save_network"]


def save_network(
    path: str | os.PathLike[str],
    network: FlowNetwork,
    card: Card | None = None,
    *,
    half: bool = True,
) -> None:
    """Write a network's weights with their card; whole or not at all.

    Parameters
    ----------
    path : str or path
        To end in ``.safetensors``.
    network : FlowNetwork
    card : dict, optional
        Further entries of the card; architecture and config are added.
    half : bool
        Whether to round the weights to half precision.

    Raises
    ------
    ModelError
        The name has another ending, or a weight is not finite, or too large
        for half precision.
    """
    from safetensors.torch import save_file

    path = Path(path)
    if path.suffix != ".safetensors":
        raise ModelError(f"{path}: give a name that ends in .safetensors.")
    tensors = {}
    for name, tensor in network.state_dict().items():
        kept = tensor.detach().cpu().contiguous()
        if half and kept.is_floating_point():
            kept = kept.half()
        if not bool(torch.isfinite(kept).all()):
            raise ModelError(f"{path}: the weights {name!r} are not finite; nothing was written.")
        tensors[name] = kept
    whole = {"architecture": network.name, "config": network.config, **(card or {})}
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, part = tempfile.mkstemp(dir=path.parent, suffix=".part")
    os.close(handle)
    try:
        save_file(tensors, part, metadata={KEY: json.dumps(whole, sort_keys=True)})
        os.chmod(part, 0o644)
        os.replace(part, path)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise


def load_network(path: str | os.PathLike[str]) -> FlowNetwork:
    """Build the network of a file of weights, ready to measure.

    Parameters
    ----------
    path : str or path
        Of a ``.safetensors`` file written by :func:`save_network`.

    Returns
    -------
    FlowNetwork
        On the CPU, float32, in evaluation mode.

    Raises
    ------
    ModelError
        See :func:`read_card`; or the tensors are not those of the architecture.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    card = read_card(path)
    network = build_network(card["architecture"], **card["config"])
    try:
        tensors = load_file(os.fspath(path))
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(f"{os.fspath(path)} cannot be read: {error}") from error
    wanted = network.state_dict()
    wrong = sorted(set(wanted) ^ set(tensors)) or [
        name for name in wanted if wanted[name].shape != tensors[name].shape
    ]
    if wrong:
        raise ModelError(
            f"{os.fspath(path)} does not hold the weights of {card['architecture']!r} with "
            f"{card['config']}: {', '.join(wrong[:3])} differ or are missing."
        )
    for name, tensor in tensors.items():
        total = float(tensor.float().abs().sum())
        if not math.isfinite(total):
            raise ModelError(f"{os.fspath(path)}: the weights {name!r} are not finite.")
    network.load_state_dict({k: v.to(wanted[k].dtype) for k, v in tensors.items()})
    return network.eval()
