"""Version of the package, from its installed metadata; a leaf that anything may import."""

from importlib.metadata import PackageNotFoundError, version

__all__ = ["__version__"]

try:
    __version__ = version("xsubpix")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0.0.0"
