"""Names of the architectures."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ..errors import ModelError
from .base import FlowNetwork

__all__ = ["available_networks", "build_network"]

_REGISTRY: dict[str, tuple[str, str]] = {
    "unet": ("unet", "PyramidUNet"),
}


def available_networks() -> list[str]:
    """Names that :func:`build_network` takes, sorted."""
    return sorted(_REGISTRY)


def build_network(name: str, **config: Any) -> FlowNetwork:
    """Build a network with random weights.

    Parameters
    ----------
    name : str
        One of :func:`available_networks`.
    **config
        Keywords of the architecture, `width` among them.

    Raises
    ------
    ModelError
        No such architecture, or it does not take a keyword.
    """
    if name not in _REGISTRY:
        raise ModelError(
            f"unknown architecture {name!r}; available: {', '.join(available_networks())}."
        )
    module, cls = _REGISTRY[name]
    network = getattr(import_module(f"{__package__}.{module}"), cls)
    try:
        built: FlowNetwork = network(**config)
    except TypeError as error:
        raise ModelError(f"architecture {name!r}: {error}") from error
    return built
