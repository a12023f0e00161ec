"""Names of the estimators, and their construction from a user's parameters."""

from __future__ import annotations

import dataclasses
import difflib
import math
import os
from importlib import import_module

import numpy as np

from ..checks import whole_number
from ..errors import ModelError
from ..networks.cards import shipped_models
from .base import Estimator

__all__ = ["available_models", "create", "create_searching"]

# One line an estimator: name -> module and class. Modules load on first use,
# since some bring torch, numba or OpenCV with them.
_REGISTRY: dict[str, tuple[str, str]] = {
    "phase": ("phase", "Phase"),
    "cosi-corr": ("cosi_corr", "CosiCorr"),
    "micmac": ("micmac", "MicMac"),
    "deepflow": ("opencv", "DeepFlow"),
    "dis": ("opencv", "DIS"),
    "tvl1": ("opencv", "TVL1"),
}


def available_models() -> list[str]:
    """Names that ``model=`` takes, sorted: correlators, and networks with their weights.

    Returns
    -------
    list of str

    Examples
    --------
    >>> import numpy as np, xarray as xr, xsubpix
    >>> "phase" in xsubpix.available_models()
    True
    """
    return sorted({*_REGISTRY, *shipped_models()})


def create(model: str | os.PathLike[str] | Estimator, **options: object) -> Estimator:
    """Build an estimator from its name and parameters.

    Parameters
    ----------
    model : str, path or Estimator
        A name of :func:`available_models`; a file of weights, which ends in
        ``.safetensors``; or an estimator, returned as it is or, with `options`,
        as a changed copy.
    **options
        Parameters of the estimator. Those that are None keep its default.

    Raises
    ------
    ModelError
        Unknown model or parameter, or a parameter is out of bounds.

    Examples
    --------
    >>> from xsubpix.estimators import create
    >>> create("phase", window=64).default_step
    16
    """
    given = {key: value for key, value in options.items() if value is not None}
    if isinstance(model, Estimator):
        _check_names(type(model), given, str(model.name))
        return dataclasses.replace(model, **given) if given else model  # type: ignore[arg-type]
    name = os.fspath(model) if isinstance(model, str | os.PathLike) else ""
    if name in shipped_models() or name.endswith(".safetensors"):
        from .network import Network

        _check_names(Network, given, name)
        return Network(**{"weights": name, **given})  # type: ignore[arg-type]
    if name not in _REGISTRY:
        close = difflib.get_close_matches(str(model), available_models(), n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise ModelError(
            f"unknown model {model!r}; available: {', '.join(available_models())}, and files of "
            f"weights (.safetensors).{hint}"
        )
    module, class_name = _REGISTRY[name]
    cls = getattr(import_module(f"{__package__}.{module}"), class_name)
    _check_names(cls, given)
    estimator: Estimator = cls(**given)
    return estimator


def create_searching(
    model: str | os.PathLike[str] | Estimator, search: float | None, **options: object
) -> Estimator:
    """Build an estimator for a search that may exceed what the model reaches by itself.

    Parameters
    ----------
    model, **options
        As :func:`xsubpix.estimators.create`.
    search : float, optional
        Largest displacement along each axis, pixels. Up to the model's
        ``own_search`` it is the model's parameter (models without such a
        parameter reach it anyway); beyond, the model gets a first guess.

    Raises
    ------
    ModelError
        As :func:`xsubpix.estimators.create`; `search` above 1024.
    """
    plain = create(model, **options)
    own = plain.own_search
    kinds = [str(f.type) for f in dataclasses.fields(plain) if f.name == "search"]
    takes = bool(kinds)
    if search is None:
        return plain
    # Windows are searched in whole pixels: a fraction asks for the next one.
    if isinstance(search, float | np.floating) and math.isfinite(search) and "float" not in kinds:
        search = math.ceil(search)
    if own is not None and search <= own and not takes:
        whole_number("search", search, 1, 1024)
        return plain
    if own is None or search <= own:
        return create(model, search=search, **options)
    if not math.isfinite(search):
        raise ModelError(f"search={search!r}: give a number of pixels from 1 to 1024.")
    # Not with the module: it brings torch.
    from .pyramid import CoarseToFine

    return CoarseToFine(fine=plain, search=math.ceil(search))


def _check_names(cls: type[Estimator], given: dict[str, object], label: str = "") -> None:
    valid = [f.name for f in dataclasses.fields(cls)]
    for key in given:
        if key not in valid:
            raise ModelError(
                f"model {(label or cls.name)!r} has no parameter {key!r}; "
                f"it takes {', '.join(valid)}."
            )
