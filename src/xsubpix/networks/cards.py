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

__all__ = [
    "KEY", "UNMATCHED_SIGMA", "Card", "read_card", "read_header", "shipped_models",
    "weights_digest",
]  # fmt: skip

#: What a card holds: ``architecture``, ``config`` (its keywords), ``calibration`` of sigma,
#: ``reach`` (largest displacement, pixels), ``training`` (settings, data, steps, digest of the
#: settings), ``figures``, ``licence``, ``version``.
Card: TypeAlias = dict[str, Any]

#: Key of the card in the metadata of a file.
KEY = "xsubpix"

#: A sigma of a network above this says that nothing was matched, pixels. Changed ground has
#: tenths. With half a pixel, 0.7 % of the values beside ruptures of 40 px were wrong by more
#: without a flag (benchmarks/bench_reach.py).
UNMATCHED_SIGMA = 0.35

_FOLDER = Path(__file__).parent / "weights"
# Largest displacement that weights may be said to find, pixels.
_FARTHEST = 4096.0
_NEEDED = ("architecture", "config")
# Longer headers are not ours: 8 bytes at the start of a file say how long.
_LONGEST_HEADER = 16 * 2**20
# The largest network of its page at twice its width has a tenth of that.
_LARGEST_FILE = 2 * 2**30


def shipped_models() -> dict[str, Path]:
    """Weights that come with the package: model name -> file.

    Returns
    -------
    dict of str to pathlib.Path

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
        size = Path(path).stat().st_size
        if size > _LARGEST_FILE:
            raise ModelError(
                f"{os.fspath(path)} has {size / 2**20:.0f} MiB, and weights have "
                f"{_LARGEST_FILE / 2**20:.0f} at most: it is no file of weights of this package."
            )
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"{os.fspath(path)}: no file of weights: {error}") from error


def read_card(path: str | os.PathLike[str]) -> Card:
    """Read the card of a file of weights.

    Parameters
    ----------
    path : str or path
        File of weights (``.safetensors``).

    Returns
    -------
    dict
        What the weights are and how they were made: ``architecture``, ``config``,
        ``calibration``, ``reach``, ``training``, ``figures``, ``version``, ``licence``.

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
    header = read_header(path)
    metadata = header.get("__metadata__")
    try:
        card = json.loads(metadata[KEY])  # type: ignore[index]
        if not isinstance(card, dict):
            raise TypeError("not a table")
    except (KeyError, ValueError, TypeError, RecursionError) as error:
        raise ModelError(
            f"{os.fspath(path)} has no card of xsubpix: give weights written by `xsubpix train`."
        ) from error
    missing = [key for key in _NEEDED if key not in card]
    if missing:
        raise ModelError(f"{os.fspath(path)}: the card lacks {', '.join(missing)}.")
    calibration = card.get("calibration", {})
    for name, sound, words in (
        ("architecture", isinstance(card["architecture"], str), "a name"),
        ("config", isinstance(card["config"], dict), "a table"),
        ("calibration", isinstance(calibration, dict), "a table"),
        ("reach", _is_number(card.get("reach", 4), _FARTHEST), f"pixels, up to {_FARTHEST:g}"),
    ):
        if not sound:
            said = repr(card[name])[:80]
            raise ModelError(
                f"{os.fspath(path)}: the card says {name}={said}; it has to be {words}."
            )
    if not _is_number(calibration.get("sigma", 1.0), 1e3):
        raise ModelError(
            f"{os.fspath(path)}: the card says calibration.sigma={calibration['sigma']!r:.80}; it "
            "has to be a number above 0."
        )
    return card


def read_header(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Header of a safetensors file: names, types and shapes of tensors, and the metadata.

    Raises
    ------
    ModelError
        The file is absent, no plain file, or no safetensors.
    """
    name = os.fspath(path)
    try:
        if not os.path.isfile(name) and os.path.exists(name):
            raise ModelError(f"{name}: no file of weights: it is a folder, a pipe or a device.")
        with open(name, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= min(_LONGEST_HEADER, os.path.getsize(name)):
                raise ValueError(f"its header claims {length} bytes")
            header = json.loads(file.read(length))
        if not isinstance(header, dict):
            raise ValueError("its header is no table")
    except OSError as error:
        raise ModelError(f"{name}: no file of weights: {error}") from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{name} is not a safetensors file: {error}") from error
    return header


def _is_number(value: Any, most: float) -> bool:
    """True for a number above 0 and up to `most`."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= most
