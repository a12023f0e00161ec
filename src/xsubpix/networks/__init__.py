"""Networks: plain torch modules from normalised image pairs to flows.

They know nothing of coordinates, tiles or files; see
:mod:`xsubpix.estimators.network` for how they are applied to scenes, and
:mod:`xsubpix.training` for how they are trained. Importing this package does
not import torch; its modules do.
"""

from .cards import read_card, shipped_models
from .registry import available_networks, build_network

__all__ = ["available_networks", "build_network", "read_card", "shipped_models"]
