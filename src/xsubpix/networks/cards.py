"""Cards of weights: what a file of weights says of itself, read without torch.

A ``.safetensors`` file holds tensors and text, and nothing that runs. The card
is JSON under the key ``xsubpix`` of its metadata.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any, TypeAlias

from ..errors import ModelError

__all__ = ["KEY", "UNMATCHED_SIGMA", "Card", "read_card", "shipped_models", "weights_digest"]

#: What a card holds: ``architecture``, ``config`` (its keywords), ``calibration`` of sigma,
#: ``reach`` (largest displacement, pixels), ``training`` (settings, data, steps, digest of the
#: settings), ``figures``, ``licence``, ``version``.
Card: TypeAlias = dict[str, Any]

#: Key of the card in the metadata of a file.
KEY = "xsubpix"

#: A calibrated sigma above this says that nothing was matched, pixels: changed ground has tenths.
UNMATCHED_SIGMA = 0.5

_FOLDER = Path(__file__).parent / "weights"
_NEEDED = ("architecture", "config")
# Longer headers are not ours: 8 bytes at the start of a file say how long.
_LONGEST_HEADER = 16 * 2**20


def shipped_models() -> dict[str, Path]:
    """Weights that come with the package: model name -> file.

    Examples
    --------
    >>> from xsubpix.networks import shipped_models
    >>> "unet" in shipped_models()
    True
    """
    return {path.stem: path for path in sorted(_FOLDER.glob("*.safetensors"))}


def weights_digest(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file of weights, in hexadecimal.

    Raises
    ------
    ModelError
        There is no such file, or it cannot be read.
    """
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError as error:
        raise ModelError(f"{os.fspath(path)}: no file of weights: {error}") from error


def read_card(path: str | os.PathLike[str]) -> Card:
    """Read the card of a file of weights.

    Raises
    ------
    ModelError
        The file is absent, is not safetensors, or has no card.

    Examples
    --------
    >>> from xsubpix.networks import read_card, shipped_models
    >>> read_card(shipped_models()["unet"])["architecture"]
    'unet'
    """
    try:
        with Path(path).open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= _LONGEST_HEADER:
                raise ValueError(f"its header claims {length} bytes")
            header = json.loads(file.read(length))
        metadata = header.get("__metadata__", {})
    except OSError as error:
        raise ModelError(f"{os.fspath(path)}: no file of weights: {error}") from error
    except (ValueError, AttributeError) as error:
        raise ModelError(f"{os.fspath(path)} is not a safetensors file: {error}") from error
    try:
        card = json.loads(metadata[KEY])
        if not isinstance(card, dict) or not isinstance(card.get("config", {}), dict):
            raise TypeError("not a table")
    except (KeyError, ValueError, TypeError) as error:
        raise ModelError(
            f"{os.fspath(path)} has no card of xsubpix: give weights written by `xsubpix train`."
        ) from error
    missing = [key for key in _NEEDED if key not in card]
    if missing:
        raise ModelError(f"{os.fspath(path)}: the card lacks {', '.join(missing)}.")
    return card
