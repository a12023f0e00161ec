"""Progress of a run: a table on disk, pictures of it, and lines on the terminal."""

from __future__ import annotations

import csv
import os
import time
from typing import TYPE_CHECKING

from ..progress import say
from .run import CURVES, PROGRESS, Run
from .validation import Validation, draw_curves

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Progress", "read_rows"]

# Steps after which the first line comes.
_FIRST_LINE = 10
_COLUMNS = ("step", "learning_rate", "training", *Validation.NAMES)


class Progress:
    """The table of a run's progress, cut back to the step that the run goes on from.

    Parameters
    ----------
    run : Run
    last : int
        Step to which the run goes now.
    shown : bool
        Lines on stderr.
    """

    def __init__(self, run: Run, last: int, *, shown: bool) -> None:
        self._run = run
        self._first, self._last = run.step, last
        self._shown = shown
        self._began = time.monotonic()
        path = run.path(PROGRESS)
        rows = [row for row in read_rows(path) if int(row[0]) <= run.step]
        # Whole or not at all: a run may be killed at any moment.
        part = run.path(PROGRESS + ".part")
        try:
            with part.open("w", newline="") as file:
                csv.writer(file).writerows([_COLUMNS, *rows])
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
        if shown and run.step:
            say(f"resuming: {run.step} of {run.config.steps} steps are there")

    def tell_pace(self) -> None:
        """Report a line after the first steps: how long a step takes, and the rest."""
        if self._run.step == self._first + _FIRST_LINE and self._run.step < self._last:
            self._say("learning")

    def add(self, rate: float, training: float, found: Validation) -> None:
        """Add a row, draw the curves and report a line.

        Parameters
        ----------
        rate : float
            Learning rate.
        training : float
            Mean end-point error of the batches since the row before, pixels.
        found : Validation
        """
        step = self._run.step
        values = [f"{rate:.3e}", f"{training:.5f}", *(f"{v:.5f}" for v in found.values())]
        with self._run.path(PROGRESS).open("a", newline="") as file:
            csv.writer(file).writerow([step, *values])
        draw_curves(self._run.path(CURVES), self._run.path(PROGRESS))
        self._say(f"training {training:.4f} px, {found}")

    def _say(self, what: str) -> None:
        if not self._shown:
            return
        step = self._run.step
        pace = (time.monotonic() - self._began) / (step - self._first)
        say(
            f"step {step} of {self._run.config.steps}: {what}, {pace:.2f} s a step, "
            f"{pace * (self._last - step) / 60:.0f} min left"
        )


def read_rows(path: Path) -> list[list[str]]:
    """Rows of a table of progress, without its head; none where there is no file."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [row for row in csv.reader(file) if row and row[0].isdigit()]
