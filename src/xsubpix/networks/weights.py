"""Weights on disk: a network from its file, and back."""

from __future__ import annotations

import json
import math
import os
import uuid
from pathlib import Path

import torch

from ..atomic import replace_file
from ..errors import FileError, ModelError
from .base import FlowNetwork
from .cards import KEY, Card, read_card, read_header
from .registry import build_network

__all__ = ["load_network", "load_weights", "save_network"]


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
        ``*.safetensors``.
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
    FileError
        The disk is full, or the folder cannot be written; an earlier file stays.

    Examples
    --------
    >>> from xsubpix.networks import build_network
    >>> save_network("mine.safetensors", build_network("window-cnn", width=0.25))
    >>> load_network("mine.safetensors").config
    {'width': 0.25}
    """
    from safetensors import SafetensorError
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
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        save_file(tensors, part, metadata={KEY: json.dumps(whole, sort_keys=True)})
        replace_file(part, path)
    except (OSError, SafetensorError) as error:
        raise FileError(f"cannot write {path}: {error}.") from error
    finally:
        part.unlink(missing_ok=True)


def load_network(path: str | os.PathLike[str]) -> FlowNetwork:
    """Build the network of a file of weights, ready to measure.

    Parameters
    ----------
    path : str or path
        A ``.safetensors`` file written by :func:`save_network`.

    Returns
    -------
    FlowNetwork
        On the CPU, float32, in evaluation mode.

    Raises
    ------
    ModelError
        See :func:`read_card`; or the tensors are not those of the architecture.

    Examples
    --------
    >>> from xsubpix.networks import shipped_models
    >>> load_network(shipped_models()["window-cnn"]).name
    'window-cnn'
    """
    card = read_card(path)
    # Without memory first: a card may ask for gigabytes that the file does not hold.
    with torch.device("meta"):
        _check_shapes(build_network(card["architecture"], **card["config"]), path)
    network = build_network(card["architecture"], **card["config"])
    load_weights(network, path)
    return network.eval()


def _check_shapes(network: FlowNetwork, path: str | os.PathLike[str]) -> None:
    """Compare the shapes that a file's header lists with those of a network.

    Raises
    ------
    ModelError
        They differ.
    """
    header = read_header(path)
    said = f"{os.fspath(path)} does not hold the weights of {network.name!r} with {network.config}"
    there, needed = 0, 0
    for entry in header.values():
        shape = entry.get("shape") if isinstance(entry, dict) else None
        if isinstance(shape, list) and all(type(n) is int for n in shape):
            there += math.prod(shape)
    for name, tensor in network.state_dict().items():
        needed += tensor.numel()
        entry = header.get(name)  # absent where an older file has another name for it
        if isinstance(entry, dict) and entry.get("shape") != list(tensor.shape):
            raise ModelError(
                f"{said}, as it says: {name} is {entry.get('shape')!r:.80}, not "
                f"{list(tensor.shape)}. Get the file anew."
            )
    if there != needed:
        raise ModelError(f"{said}, as it says: {there} numbers, not {needed}. Get the file anew.")


def load_weights(network: FlowNetwork, path: str | os.PathLike[str]) -> None:
    """Load the weights of a file into a network that is there already.

    Settings without weights of their own, such as the `levels` of ``unet``, stay
    those of the network.

    Parameters
    ----------
    network : FlowNetwork
        Changed in place.
    path : str or path
        A ``.safetensors`` file written by :func:`save_network`.

    Raises
    ------
    ModelError
        See :func:`read_card`; or the weights are of another architecture, of other
        sizes than the network's, or not finite.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = os.fspath(path)
    card = read_card(path)
    holds = (
        f"{path} does not hold the weights of {network.name!r} with {network.config}, "
        f"but says that it holds those of {card['architecture']!r} with {card['config']}"
    )
    if network.name != card["architecture"]:
        raise ModelError(f"{holds}: give weights of the same architecture.")
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {error}") from error
    for name, tensor in tensors.items():
        total = float(tensor.float().abs().sum())
        if not math.isfinite(total):
            raise ModelError(f"{path}: the weights {name!r} are not finite.")
    try:
        missing, unexpected = network.load_state_dict(tensors, strict=False)
    except RuntimeError as error:
        wrong = str(error).splitlines()[-1].strip().rstrip(".")
    else:
        if not missing and not unexpected:
            return
        wrong = f"{', '.join(sorted([*missing, *unexpected])[:3])} differ or are missing"
    raise ModelError(f"{holds}: {wrong}. Build the network that the weights were made for.")
