"""Ctrl-C while the command line is still being loaded: a line, not thirty."""

from __future__ import annotations

import os
import sys
from types import TracebackType

__all__ = ["quiet_interrupt"]


def quiet_interrupt() -> None:
    """Say what an interrupt is in one line, where this process is the command ``xsubpix``.

    Nothing is changed in other programs.
    """
    name = os.path.basename((getattr(sys, "argv", None) or [""])[0])
    # "-m" while ``python -m xsubpix`` loads the package.
    if name not in ("-m", "xsubpix", "xsubpix.exe", "xsubpix-script.py"):
        return
    before = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            print("xsubpix: interrupted", file=sys.stderr)
        else:
            before(kind, error, trace)

    sys.excepthook = hook


quiet_interrupt()
