"""Estimators: from two batches of tiles to pixel displacements."""

from .base import Estimate, Estimator, Flag
from .registry import available_models, create

__all__ = ["Estimate", "Estimator", "Flag", "available_models", "create"]
