"""Names of the architectures."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..errors import ModelError

if TYPE_CHECKING:
    from .base import FlowNetwork

__all__ = ["available_networks", "build_network", "network_class"]

_REGISTRY: dict[str, tuple[str, str]] = {
    "unet": ("unet", "PyramidUNet"),
    "unet-smooth": ("unet_smooth", "SmoothUNet"),
    "geoflownet": ("geoflownet", "GeoFlowNet"),
    "flownet-sd": ("flownet_sd", "FlowNetSD"),
    "flownet-s": ("flownet_s", "FlowNetS"),
    "flownet-c": ("flownet_c", "FlowNetC"),
    "window-cnn": ("window_cnn", "WindowCNN"),
    "microflow": ("iterative", "Iterative"),
}


def available_networks() -> list[str]:
    """Names that :func:`build_network` takes, sorted.

    Examples
    --------
    >>> from xsubpix.networks import available_networks
    >>> "unet" in available_networks()
    True
    """
    return sorted(_REGISTRY)


def network_class(name: str) -> type[FlowNetwork]:
    """Class of an architecture.

    Raises
    ------
    ModelError
        There is none of that name.
    """
    if name not in _REGISTRY:
        raise ModelError(
            f"unknown architecture {name!r}; available: {', '.join(available_networks())}."
        )
    module, cls = _REGISTRY[name]
    found: type[FlowNetwork] = getattr(import_module(f"{__package__}.{module}"), cls)
    return found


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

    Examples
    --------
    >>> from xsubpix.networks import build_network
    >>> build_network("unet", width=0.25).config["width"]
    0.25
    """
    try:
        return network_class(name)(**config)
    except TypeError as error:
        raise ModelError(f"architecture {name!r}: {error}") from error
