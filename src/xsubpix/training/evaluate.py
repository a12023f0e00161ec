"""Evaluation: every method on the same cases, scored alike, written as a page."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import functools
import importlib.util
import math
import multiprocessing
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from scipy import ndimage

from ..errors import DataError, ModelError
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
    """A method by its name.

    Parameters
    ----------
    text : str
        What ``model=`` takes, then a colon and parameters, such as
        ``cosi-corr:window=64,step=4``. Window correlators are run at every fourth
        pixel unless `step` is given. Or a method of another package:
        ``FILE.py:NAME``, where NAME in that file is a function without arguments
        that returns a function of two images; this one returns the rows and the
        columns of its values (1-D) and dy and dx there (2-D), pixels. It gets images
        in which missing pixels have the nearest value.

    Raises
    ------
    ModelError
        Unknown model or parameter, or the file has no such function.
    DataError
        Parameters that cannot be read.
    """
    from ..estimators import create

    path, _, function = text.partition(":")
    if path.endswith(".py"):
        method = _External(path, function)
        method.load()
        return method
    name, options = _parsed(text)
    if name in ("phase", "cosi-corr"):
        options.setdefault("step", _STEP)
    create(name, **options)
    return _Model(name, tuple(options.items()))


@dataclasses.dataclass(frozen=True)
class _Model:
    """A model of this package."""

    name: str
    options: tuple[tuple[str, Any], ...]

    def __call__(self, pre: np.ndarray, post: np.ndarray) -> Found:
        import xarray as xr

        from ..correlate import correlate

        options = dict(self.options)
        # Rows downwards and no unit: displacement in pixels, north along the rows.
        one, two = (xr.DataArray(i.astype(np.float32), dims=("y", "x")) for i in (pre, post))
        disp = correlate(one, two, model=self.name, **options)
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


@dataclasses.dataclass(frozen=True)
class _External:
    """A method that a Python file makes; missing pixels are filled with the nearest value."""

    path: str
    name: str

    def load(self) -> Callable[[np.ndarray, np.ndarray], Sequence[np.ndarray]]:
        """The function of two images."""
        try:
            return _maker(self.path, self.name)()
        except (OSError, ImportError, AttributeError, SyntaxError) as error:
            raise ModelError(
                f"{self.path}:{self.name}: {error}. Give FILE.py:NAME, NAME a function in it "
                "without arguments that returns a function of two images."
            ) from error

    def __call__(self, pre: np.ndarray, post: np.ndarray) -> Found:
        rows, cols, dy, dx = self.load()(*(_filled(image) for image in (pre, post)))
        return Found(np.asarray(rows, float), np.asarray(cols, float), dx, dy)


def _filled(image: np.ndarray) -> np.ndarray:
    missing = ~np.isfinite(image)
    if not missing.any() or missing.all():
        return image
    nearest = ndimage.distance_transform_edt(missing, return_distances=False, return_indices=True)
    return np.asarray(image[tuple(nearest)])


@functools.lru_cache(maxsize=32)
def _maker(path: str, name: str) -> Callable[[], Any]:
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: Callable[[], Any] = getattr(module, name)
    return found


def evaluate(
    methods: dict[str, Method],
    cases: Iterable[Case],
    *,
    border: int = 32,
    worst: int = 5,
    workers: int = 1,
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
    workers : int
        Processes that measure, one case each at a time; more than one needs
        methods that can be pickled, as those of :func:`model_method`.
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
    for case, results in _measured(methods, _checked(cases, border), workers):
        counts[case.group] = counts.get(case.group, 0) + 1
        correlation = case.correlation()
        pixels += case.pre.size
        line = []
        for k, (name, (found, spent)) in enumerate(zip(methods, results, strict=True)):
            seconds[name] += spent
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


def _checked(cases: Iterable[Case], border: int) -> Iterator[Case]:
    for case in cases:
        if min(case.pre.shape) <= 2 * border + 8:
            raise DataError(
                f"{case.label} has {case.pre.shape[0]} x {case.pre.shape[1]} px, and border="
                f"{border} leaves nothing of it: give a smaller border."
            )
        yield case


_Timed: TypeAlias = list[tuple[Found, float]]


def _measured(
    methods: dict[str, Method], cases: Iterator[Case], workers: int
) -> Iterator[tuple[Case, _Timed]]:
    """Each case with what every method found and the CPU seconds that it took, in order."""
    run = list(methods.values())
    if workers == 1:
        for case in cases:
            yield case, _run_methods(run, case.pre, case.post)
        return
    # A fresh interpreter each: threads of torch and OpenCV do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(workers, context) as pool:
        ahead: deque[tuple[Case, concurrent.futures.Future[_Timed]]] = deque()
        for case in cases:
            ahead.append((case, pool.submit(_run_methods, run, case.pre, case.post)))
            while len(ahead) > workers:
                first, future = ahead.popleft()
                yield first, future.result()
        for first, future in ahead:
            yield first, future.result()


def _run_methods(methods: list[Method], pre: np.ndarray, post: np.ndarray) -> _Timed:
    out = []
    for method in methods:
        start = time.process_time()
        found = method(pre, post)
        out.append((found, time.process_time() - start))
    return out


def evaluate_models(
    models: Sequence[str],
    cases: Iterable[Case],
    folder: str | os.PathLike[str] | None = None,
    *,
    border: int = 32,
    workers: int = 1,
    report: Callable[[str], None] | None = None,
) -> Evaluation:
    """Evaluate models by name and write the page; see :func:`evaluate` and :func:`write_page`."""
    from .report import write_page

    methods = {_shown(model): model_method(model) for model in models}
    result = evaluate(methods, cases, border=border, workers=workers, report=report)
    if folder is not None:
        write_page(result, Path(folder))
    return result


def _shown(model: str) -> str:
    """Name in the tables: of a file, what it is called."""
    path, _, function = model.partition(":")
    return function if path.endswith(".py") else model


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
