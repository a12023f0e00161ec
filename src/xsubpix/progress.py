"""Progress, shown where a person waits: dask's own bar, and lines."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

__all__ = ["is_watched", "progress_bar", "say"]


def is_watched() -> bool:
    """Tell a terminal or a notebook from a file or a pipe at the end of standard error."""
    return sys.stderr.isatty() or type(sys.stderr).__module__.startswith("ipykernel")


@contextlib.contextmanager
def progress_bar(shown: bool = True) -> Iterator[None]:
    """Show dask's progress bar on standard error, where that is watched.

    Parameters
    ----------
    shown : bool
        False: nothing is shown.

    Examples
    --------
    >>> from xsubpix.progress import progress_bar
    >>> with progress_bar(shown=False):
    ...     pass
    """
    if not (shown and is_watched()):
        yield
        return
    from dask.diagnostics import ProgressBar

    with ProgressBar(out=sys.stderr, dt=0.1):
        yield


def say(text: str) -> None:
    """Show a line on standard error, at once."""
    print(text, file=sys.stderr, flush=True)
