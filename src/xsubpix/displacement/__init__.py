"""What one does with a displacement field."""

from .components import epe

__all__ = ["epe"]
