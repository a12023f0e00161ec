"""Names of the architectures."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..checks import real_number, whole_number
from ..errors import ModelError

if TYPE_CHECKING:
    from .base import FlowNetwork

__all__ = ["available_networks", "build_network", "check_config", "network_class"]

# Bounds of keywords: the widest network of all fills a GPU of 80 GiB.
_WIDEST, _MOST_LEVELS = 16.0, 16

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

    Returns
    -------
    list of str

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
    if not isinstance(name, str) or name not in _REGISTRY:
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

    Returns
    -------
    FlowNetwork
        A module of PyTorch, in training mode, on the CPU.

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
    check_config(name, config)
    try:
        return network_class(name)(**config)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(f"architecture {name!r}: {error}") from error


def check_config(name: str, config: dict[str, Any]) -> None:
    """Refuse keywords of an architecture that ask for a network beyond all bounds.

    Parameters
    ----------
    name : str
        Architecture.
    config : dict
        Its keywords: `width` up to 16, up to 16 `levels` of 1 to 64, up to 32 `iterations` of
        a `backbone` that is no iterative one itself.

    Raises
    ------
    ModelError
        A keyword is out of bounds.

    Examples
    --------
    >>> check_config("unet", {"width": 1e4})
    Traceback (most recent call last):
    xsubpix.errors.ModelError: width=10000.0: give a number above 0 to 16.
    """
    if "width" in config:
        real_number("width", config["width"], 0.0, _WIDEST, above=True)
    if "levels" in config:
        levels = config["levels"]
        if not isinstance(levels, list | tuple) or not 1 <= len(levels) <= _MOST_LEVELS:
            raise ModelError(f"levels={levels!r:.80}: give 1 to {_MOST_LEVELS} whole numbers.")
        for level in levels:
            whole_number("levels", level, 1, 64)
    if "iterations" in config:
        whole_number("iterations", config["iterations"], 1, 32)
    if "shared" in config and not isinstance(config["shared"], bool):
        raise ModelError(f"shared={config['shared']!r:.80}: give true or false.")
    if name == "microflow" and config.get("backbone") == "microflow":
        raise ModelError("backbone='microflow' of architecture 'microflow': give another one.")
