"""Finished files put in their place: on the disk first, under their name then."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

__all__ = ["replace_file"]


def replace_file(part: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    """Rename a finished file to its name, once its bytes are on the disk.

    The name never holds less than a whole file, whenever the power goes. An earlier file's
    permissions are kept.

    Parameters
    ----------
    part : str or path
        Closed file in the folder of `target`.
    target : str or path
        Name to be; what is there is replaced.

    Raises
    ------
    OSError
        The disk is full, or the folder cannot be written.

    Examples
    --------
    >>> Path("a.partial").write_text("whole")
    5
    >>> replace_file("a.partial", "a.txt")
    >>> Path("a.txt").read_text()
    'whole'
    """
    _flush(part)
    if os.path.exists(target):
        shutil.copymode(target, part)
    os.replace(part, target)
    with contextlib.suppress(OSError):  # not every system opens folders
        _flush(Path(target).parent)


def _flush(path: str | os.PathLike[str]) -> None:
    """Wait until a file, or a folder's list of names, is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
