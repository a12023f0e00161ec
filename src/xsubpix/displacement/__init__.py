"""What one does with a displacement field."""

from .components import epe
from .outliers import filter_outliers

__all__ = ["epe", "filter_outliers"]
