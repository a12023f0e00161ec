"""Networks: plain torch modules from normalised image pairs to flows.

They know nothing of coordinates, tiles or files; see
:mod:`xsubpix.estimators.network` for how they are applied to scenes, and
:mod:`xsubpix.training` for how they are trained.
"""

from .base import Flow, FlowNetwork
from .normalise import normalise
from .registry import available_networks, build_network

__all__ = ["Flow", "FlowNetwork", "available_networks", "build_network", "normalise"]
