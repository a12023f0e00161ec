"""Methods that can be compared: models of this package, and functions of other ones."""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from ..errors import DataError, ModelError
from ..kernels.nearest import fill_nearest
from .scores import Found

__all__ = ["Method", "model_method", "zero_predictor"]

#: From two images ``(h, w)`` to what was found.
Method: TypeAlias = Callable[[np.ndarray, np.ndarray], Found]

# Window correlators of every size are compared at the same pixels, whatever their own step is.
_STEP = 4


def zero_predictor(pre: np.ndarray, post: np.ndarray) -> Found:
    """Find no displacement anywhere: what every method has to beat."""
    rows, cols = (np.arange(n, dtype=float) for n in pre.shape)
    still = np.zeros(pre.shape, np.float32)
    return Found(rows, cols, still, still)


def model_method(text: str) -> Method:
    """Build a method from its name.

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

    Returns
    -------
    Method
        Function of two images ``(h, w)`` that returns the values of a field and where they lie;
        it can be pickled.

    Raises
    ------
    ModelError
        Unknown model or parameter, or the file has no such function.
    DataError
        Parameters that cannot be read.

    Examples
    --------
    >>> import numpy as np
    >>> method = model_method("phase:window=16,step=4")
    >>> image = np.random.default_rng(0).normal(size=(64, 64)).astype("f4")
    >>> method(image, image).dx.shape
    (16, 16)
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

        # Rows downwards and no unit: displacement in pixels, north along the rows.
        one, two = (xr.DataArray(i.astype(np.float32), dims=("y", "x")) for i in (pre, post))
        disp = correlate(one, two, model=self.name, **dict(self.options))
        step = int(disp.attrs["model_step"])
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
        """Load the function of two images."""
        try:
            return _maker(self.path, self.name)()
        except (OSError, ImportError, AttributeError, SyntaxError) as error:
            raise ModelError(
                f"{self.path}:{self.name}: {error}. Give FILE.py:NAME, NAME a function in it "
                "without arguments that returns a function of two images."
            ) from error

    def __call__(self, pre: np.ndarray, post: np.ndarray) -> Found:
        rows, cols, dy, dx = self.load()(*(fill_nearest(image) for image in (pre, post)))
        return Found(np.asarray(rows, float), np.asarray(cols, float), dx, dy)


@functools.lru_cache(maxsize=32)
def _maker(path: str, name: str) -> Callable[[], Any]:
    """Load the function of this name from a Python file."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: Callable[[], Any] = getattr(module, name)
    return found


def _parsed(text: str) -> tuple[str, dict[str, Any]]:
    """Split ``name:key=value,...`` into the name and its parameters."""
    name, _, rest = text.partition(":")
    options: dict[str, Any] = {}
    for part in filter(None, rest.split(",")):
        key, equals, value = part.partition("=")
        if not equals:
            raise DataError(f"{part!r} in {text!r}: give parameters as key=value.")
        options[key] = _number(value)
    return name, options


def _number(text: str) -> object:
    """Read a number, whole if it is one; the text itself if it is none."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
