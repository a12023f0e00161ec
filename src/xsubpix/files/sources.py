"""Files that a lazy field is computed from, found in its graph."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from typing import Any

import xarray as xr

from .pixels import FileState, check_unchanged, file_state

__all__ = ["files_read_by", "sources_unchanged", "states_of"]

# Wrappers of xarray and dask around what reads a file: a dozen at most lie in each other.
_DEPTH = 12


def files_read_by(data: xr.Dataset | xr.DataArray) -> list[str]:
    """Paths of the files that the lazy variables of a field still read.

    Known are the readers of this package, of rioxarray and of xarray.

    Parameters
    ----------
    data : xarray.Dataset or xarray.DataArray
        What is in memory reads nothing.

    Returns
    -------
    list of str

    Examples
    --------
    >>> from xsubpix.tutorial import procedural_scene
    >>> procedural_scene((32, 48)).rio.to_raster("pre.tif")
    >>> [os.path.basename(path) for path in files_read_by(xsubpix.open_image("pre.tif"))]
    ['pre.tif']
    """
    graph = data.__dask_graph__()
    if graph is None:
        return []
    layers = getattr(graph, "layers", {"all": graph})
    needed = getattr(graph, "dependencies", {})
    found: dict[str, None] = {}
    for name, layer in layers.items():
        if needed.get(name):  # what computes from other layers opens no file
            continue
        for value in dict(layer).values():
            found.update(dict.fromkeys(_paths(value, 0)))
    return list(found)


def states_of(sources: Iterable[str]) -> tuple[FileState, ...]:
    """States now of those files that are on this machine."""
    return tuple(state for path in sources if (state := file_state(path)) is not None)


@contextlib.contextmanager
def sources_unchanged(sources: Iterable[str]) -> Iterator[None]:
    """Refuse what was computed from files that were changed meanwhile, whoever reads them.

    Raises
    ------
    FileError
        On leaving: a file is not as it was.
    """
    before = states_of(sources)
    yield
    check_unchanged(before)


def _paths(value: Any, depth: int) -> Iterator[str]:
    """Paths of the readers within a task, a wrapper or a variable."""
    if depth > _DEPTH or value is None or isinstance(value, str | bytes | int | float):
        return
    if isinstance(value, tuple | list):
        for part in value:
            yield from _paths(part, depth + 1)
        return
    manager = getattr(value, "manager", None)  # rioxarray's
    candidates = [
        *(getattr(manager, "_args", None) or ())[:1],
        getattr(getattr(value, "datastore", None), "_filename", None),  # xarray's
        getattr(value, "path", None),  # ours
    ]
    for candidate in candidates:
        if isinstance(candidate, str | os.PathLike):
            yield os.fspath(candidate)
    # `args`, `value`: of dask's tasks; `array`, `_data`: of what wraps an array.
    for name in ("args", "value", "array", "_data"):
        inner = getattr(value, name, None) if hasattr(type(value), "__module__") else None
        if inner is not None and not callable(inner):
            yield from _paths(inner, depth + 1)
