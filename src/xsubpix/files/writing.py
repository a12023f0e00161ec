"""What all writers share: the name of a file, all or nothing, and errors that say why."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import FileError

__all__ = [
    "first_cause", "new_target", "reading_errors_named", "removed_at_exit", "writing_errors_named",
]  # fmt: skip


def new_target(path: str | os.PathLike[str], overwrite: bool) -> Path:
    """Path of a file to write, checked.

    Parameters
    ----------
    path : str or path
        File to be.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    FileError
        Its folder is not there, or it exists.
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise FileError(f"cannot write {target}: there is no folder {target.parent}. Make it.")
    if target.is_dir() or (target.exists() and not overwrite):
        raise FileError(f"cannot write {target}: it exists. Choose another name, or overwrite.")
    return target


@contextlib.contextmanager
def writing_errors_named(target: Path, goes_on: str = "") -> Iterator[None]:
    """Turn the errors of writing into ours."""
    import rasterio.errors

    try:
        yield
    except (rasterio.errors.RasterioError, OSError) as error:
        raise FileError(f"cannot write {target}: {first_cause(error)}.{goes_on}") from error


@contextlib.contextmanager
def reading_errors_named(goes_on: str = "") -> Iterator[None]:
    """Turn the errors of reading what a field is computed from into ours."""
    import rasterio.errors

    try:
        yield
    except (rasterio.errors.RasterioError, OSError) as error:
        raise FileError(
            f"cannot read what the field is computed from: {first_cause(error)}.{goes_on}"
        ) from error


def first_cause(error: BaseException) -> str:
    """First error of a chain, in a line: GDAL's last one is 'see previous exception'."""
    while (before := error.__cause__ or error.__context__) is not None:
        error = before
    return " ".join(str(error).split()).rstrip(".")


@contextlib.contextmanager
def removed_at_exit(*paths: Path) -> Iterator[None]:
    """Remove temporary files, also when the process is told to stop (SIGTERM)."""

    def stop(number: int, frame: Any) -> None:
        raise SystemExit(128 + number)

    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM) if main else None
    replace = main and before is signal.SIG_DFL
    if replace:
        signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        if replace:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        for path in paths:
            path.unlink(missing_ok=True)
