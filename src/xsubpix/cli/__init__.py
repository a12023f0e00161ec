"""The command line, ``xsubpix``."""

from .main import main

__all__ = ["main"]
