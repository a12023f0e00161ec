"""Evaluation: every method on the same cases, scored alike, written as a page."""

from __future__ import annotations

import dataclasses
import math
import os
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from ..errors import DataError
from .cases import Case
from .scores import Found, GroupScores, Tally

__all__ = ["Evaluation", "Method", "Worst", "evaluate", "model_method", "zero_predictor"]

#: From two images ``(h, w)`` to what was found.
Method: TypeAlias = Callable[[np.ndarray, np.ndarray], Found]

# Window correlators need not be run at every pixel for their errors to be known.
_STEP = 4


@dataclasses.dataclass(frozen=True)
class Worst:
    """One of the cases that a method was worst at."""

    case: Case
    found: Found
    error: float


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Scores of all methods.

    Attributes
    ----------
    scores : dict
        Method, then set, to its scores.
    seconds : dict
        Method to CPU seconds for a million pixels of input.
    worst : list of Worst
        Of the first method, the worst first.
    border : int
        Rows and columns left out, pixels.
    counts : dict
        Set to its number of cases.
    """

    scores: dict[str, dict[str, GroupScores]]
    seconds: dict[str, float]
    worst: list[Worst]
    border: int
    counts: dict[str, int]


def zero_predictor(pre: np.ndarray, post: np.ndarray) -> Found:
    """No displacement anywhere: what every method has to beat."""
    rows, cols = (np.arange(n, dtype=float) for n in pre.shape)
    still = np.zeros(pre.shape, np.float32)
    return Found(rows, cols, still, still)


def model_method(text: str) -> Method:
    """A model of this package, by name or file, with options: ``cosi-corr:window=64,step=4``.

    Parameters
    ----------
    text : str
        What ``model=`` takes, then a colon and parameters. Window correlators
        are run at every fourth pixel unless `step` is given.

    Raises
    ------
    ModelError
        Unknown model or parameter.
    DataError
        Parameters that cannot be read.
    """
    import xarray as xr

    from ..correlate import correlate
    from ..estimators import create

    name, options = _parsed(text)
    if name in ("phase", "cosi-corr"):
        options.setdefault("step", _STEP)
    create(name, **options)

    def run(pre: np.ndarray, post: np.ndarray) -> Found:
        # Rows downwards and no unit: displacement in pixels, north along the rows.
        one, two = (xr.DataArray(i.astype(np.float32), dims=("y", "x")) for i in (pre, post))
        disp = correlate(one, two, model=name, **options)
        step = int(options.get("step", 1))
        rows, cols = (step * np.arange(n) + (step - 1) / 2 for n in disp.east.shape)
        sigma = disp.sigma.values
        return Found(
            rows,
            cols,
            disp.east.values,
            disp.north.values,
            sigma if np.isfinite(sigma).any() else None,
        )

    return run


def evaluate(
    methods: dict[str, Method],
    cases: Iterable[Case],
    *,
    border: int = 32,
    worst: int = 5,
    report: Callable[[str], None] | None = None,
) -> Evaluation:
    """Run methods on cases.

    Parameters
    ----------
    methods : dict
        Name to method. Pictures of the worst cases are of the first. The zero
        predictor is put last by itself.
    cases : iterable of Case
        Taken one by one; none is kept but the worst.
    border : int
        Rows and columns left out at every border, pixels: at least half of the
        largest window of all methods.
    worst : int
        Worst cases to keep.
    report : callable, optional
        Called with a line of text for each case.

    Raises
    ------
    DataError
        There is no case, or one that is smaller than its border.
    """
    methods = {**methods, "zero predictor": zero_predictor}
    tallies: dict[str, dict[str, Tally]] = {name: {} for name in methods}
    seconds, pixels = dict.fromkeys(methods, 0.0), 0
    counts: dict[str, int] = {}
    kept: list[Worst] = []
    for case in cases:
        if min(case.pre.shape) <= 2 * border + 8:
            raise DataError(
                f"{case.label} has {case.pre.shape[0]} x {case.pre.shape[1]} px, and border="
                f"{border} leaves nothing of it: give a smaller border."
            )
        counts[case.group] = counts.get(case.group, 0) + 1
        correlation = case.correlation()
        pixels += case.pre.size
        line = []
        for k, (name, method) in enumerate(methods.items()):
            start = time.process_time()
            found = method(case.pre, case.post)
            seconds[name] += time.process_time() - start
            tally = tallies[name].setdefault(case.group, Tally(border))
            error = tally.add(case, found, correlation)
            line.append(f"{name} {error:.3f}")
            if k == 0:
                kept.append(Worst(case, found, error))
                kept.sort(key=lambda w: -w.error if math.isfinite(w.error) else 0.0)
                del kept[worst:]
        if report is not None:
            report(f"{case.group}, {case.label}: " + ", ".join(line))
    if not counts:
        raise DataError("nothing to evaluate on: give a database (--data) or pairs (--real).")
    return Evaluation(
        {
            name: {group: tally.scores() for group, tally in groups.items()}
            for name, groups in tallies.items()
        },
        {name: 1e6 * spent / pixels for name, spent in seconds.items()},
        kept,
        border,
        counts,
    )


def evaluate_models(
    models: Sequence[str],
    cases: Iterable[Case],
    folder: str | os.PathLike[str] | None = None,
    *,
    border: int = 32,
    report: Callable[[str], None] | None = None,
) -> Evaluation:
    """Evaluate models by name and write the page; see :func:`evaluate` and :func:`write_page`."""
    from .report import write_page

    result = evaluate({m: model_method(m) for m in models}, cases, border=border, report=report)
    if folder is not None:
        write_page(result, Path(folder))
    return result


def _parsed(text: str) -> tuple[str, dict[str, Any]]:
    name, _, rest = text.partition(":")
    options: dict[str, Any] = {}
    for part in filter(None, rest.split(",")):
        key, equals, value = part.partition("=")
        if not equals:
            raise DataError(f"{part!r} in {text!r}: give parameters as key=value.")
        options[key] = _number(value)
    return name, options


def _number(text: str) -> object:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
