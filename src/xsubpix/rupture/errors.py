"""The error raised on a fault that cannot be."""

from ..errors import SubpixError

__all__ = ["FaultError"]


class FaultError(SubpixError):
    """A fault's geometry, slip or serialised form cannot be used."""
