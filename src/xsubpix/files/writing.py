"""Common parts of all writers: the name of a file, all or nothing, and errors that say why."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ..errors import FileError

__all__ = [
    "first_cause", "new_target", "reading_errors_named", "removed_at_exit", "writing_errors_named",
]  # fmt: skip


def new_target(
    path: str | os.PathLike[str],
    overwrite: bool,
    suffixes: Sequence[str] = (),
    *,
    sources: Iterable[str] = (),
) -> Path:
    """Path of a file to write, checked: the gate that every writer goes through.

    Parameters
    ----------
    path : str or path
        File to be. A link is followed: what it leads to is written.
    overwrite : bool
        Whether an existing file may be replaced.
    suffixes : sequence of str
        Endings of names that the format has, with the dot; any where there are none.
    sources : iterable of str
        Files that are read for what is written.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    FileError
        Its folder is not there; its name says another format; it is one of the
        sources, by whatever name; it is no plain file; or it exists and is not to be
        replaced.
    """
    given = os.fspath(path)
    target = Path(os.path.realpath(given)) if os.path.islink(given) else Path(path)
    if target.is_dir():
        raise FileError(f"cannot write {given}: it is a folder. Name a file in it.")
    own = Path(given).suffix
    if suffixes and own.lower() not in suffixes:
        ending = f"ends in {own!r}" if own else "has no ending"
        listed = ", ".join(suffix for suffix in suffixes if suffix)
        raise FileError(
            f"cannot write {given}: its name {ending}, and this format has {listed}. Name it "
            f"{Path(given).with_suffix(suffixes[0]).name}, or write the format of that name."
        )
    if not target.parent.is_dir():
        raise FileError(f"cannot write {given}: there is no folder {target.parent}. Make it.")
    if not target.exists():
        return target
    if not target.is_file():
        raise FileError(f"cannot write {given}: it is a device or a pipe. Name a plain file.")
    for source in sources:
        if os.path.exists(source) and target.samefile(source):
            also = "" if os.fspath(source) == given else f" (as {source})"
            raise FileError(
                f"cannot write {given}: it is read{also} for what is written. Choose another name."
            )
    if not overwrite:
        raise FileError(
            f"cannot write {given}: it exists. Choose another name, or say overwrite=True "
            "(--overwrite)."
        )
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
