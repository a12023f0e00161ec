"""Alignment: an image on another's grid and registration, measured and sampled once."""

from .align import align, regrid

__all__ = ["align", "regrid"]
