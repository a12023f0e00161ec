"""Estimators: from two batches of tiles to pixel displacements."""

from .base import OUTPUTS, Estimate, Estimator, Flag, Output
from .registry import available_models, create

__all__ = [
    "OUTPUTS", "Estimate", "Estimator", "Flag", "Output", "available_models", "create",
]  # fmt: skip
