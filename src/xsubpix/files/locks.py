"""Locks of files: one process at a time writes a result."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import FileError

__all__ = ["lock_or_refuse", "locked", "open_without_links"]


def open_without_links(path: Path) -> Any:
    """Open a file for reading and writing, made if need be; a link of that name is not followed."""
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    return os.fdopen(os.open(path, flags, 0o666), "r+")


def lock_or_refuse(file: Any, path: Path) -> None:
    """Lock an open file of this process, or raise FileError about `path`."""
    try:
        import fcntl
    except ImportError:  # a system without such locks
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise FileError(
            f"another process is writing {path.name}: wait for it, or choose another name."
        ) from error


@contextlib.contextmanager
def locked(target: Path, *, inside: bool = False) -> Iterator[None]:
    """Keep other processes from writing a result; the lock goes with the process.

    Parameters
    ----------
    target : pathlib.Path
        File or folder; the lock is the hidden file ``.NAME.lock`` beside it.
    inside : bool
        The lock is the hidden file ``.lock`` in the folder, which has to be there.

    Raises
    ------
    FileError
        Another process has it, or its folder cannot be written.
    """
    name = target / ".lock" if inside else target.parent / f".{target.name}.lock"
    try:
        file = open_without_links(name)
    except OSError as error:
        raise FileError(f"cannot write {target}: {error.strerror or error}.") from error
    with file:
        lock_or_refuse(file, target)
        try:
            yield
        finally:
            name.unlink(missing_ok=True)
