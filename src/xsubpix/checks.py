"""Checks of parameters: whole and real numbers, lengths, shares and device names.

Each returns the value as a plain Python number, or raises an error that names the
parameter, the value and what is allowed.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .errors import ModelError, SubpixError

__all__ = ["check_device", "length_in_metres", "real_number", "whole_number"]


def whole_number(
    name: str,
    value: Any,
    low: int,
    high: float = math.inf,
    *,
    error: type[SubpixError] = ModelError,
) -> int:
    """Return a whole number between bounds as an int, or refuse it.

    Parameters
    ----------
    name : str
        Name of the parameter, for the message.
    value : object
        What the user gave. A truth value is no number.
    low, high : int
        Smallest and largest value allowed; infinity for no largest.
    error : type of SubpixError
        Error to raise.

    Raises
    ------
    SubpixError
        Of the type `error`.

    Examples
    --------
    >>> whole_number("window", 32, 8, 512)
    32
    >>> whole_number("window", 4, 8, 512)
    Traceback (most recent call last):
    xsubpix.errors.ModelError: window=4: give a whole number from 8 to 512.
    """
    ok = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not ok or not low <= int(value) <= high:
        bounds = f" from {low} to {high}" if high < math.inf else f", {low} or above"
        raise error(f"{name}={value!r}: give a whole number{bounds}.")
    return int(value)


def real_number(
    name: str,
    value: Any,
    low: float,
    high: float = math.inf,
    *,
    above: bool = False,
    error: type[SubpixError] = ModelError,
) -> float:
    """Return a finite number between bounds as a float, or refuse it.

    Parameters
    ----------
    name : str
        Name of the parameter, for the message.
    value : object
        What the user gave. A truth value is no number.
    low, high : float
        Smallest and largest value allowed; infinity for no largest.
    above : bool
        Refuse `low` itself.
    error : type of SubpixError
        Error to raise.

    Raises
    ------
    SubpixError
        Of the type `error`.

    Examples
    --------
    >>> real_number("quality", 0.5, 0, 1)
    0.5
    >>> real_number("scale", 0, 0, above=True)
    Traceback (most recent call last):
    xsubpix.errors.ModelError: scale=0: give a number above 0.
    """
    if not _is_between(value, low, high, above=above):
        if high < math.inf:
            bounds = f" {'above' if above else 'from'} {low:g} to {high:g}"
        else:
            bounds = f" above {low:g}" if above else f", {low:g} or above"
        raise error(f"{name}={value!r}: give a number{bounds}.")
    return float(value)


def length_in_metres(name: str, value: Any, *, error: type[SubpixError] = ModelError) -> float:
    """Return a length in metres, finite and above 0, as a float, or refuse it.

    Raises
    ------
    SubpixError
        Of the type `error`.

    Examples
    --------
    >>> length_in_metres("spacing", 500)
    500.0
    >>> length_in_metres("spacing", -1.0)
    Traceback (most recent call last):
    xsubpix.errors.ModelError: spacing=-1.0: give metres above 0.
    """
    if not _is_between(value, 0.0, math.inf, above=True):
        raise error(f"{name}={value!r}: give metres above 0.")
    return float(value)


def check_device(device: str) -> None:
    """Refuse what is not a device name; whether it is there is seen at run time.

    Raises
    ------
    ModelError
        `device` is none of ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:N"``, ``"mps"``.

    Examples
    --------
    >>> check_device("cuda:1")
    >>> check_device("gpu")
    Traceback (most recent call last):
    xsubpix.errors.ModelError: device='gpu': give 'auto', 'cpu', 'cuda' or one GPU such as 'cuda:0'.
    """
    if not isinstance(device, str) or device.split(":")[0] not in {"auto", "cpu", "cuda", "mps"}:
        raise ModelError(
            f"device={device!r}: give 'auto', 'cpu', 'cuda' or one GPU such as 'cuda:0'."
        )


def _is_between(value: Any, low: float, high: float, *, above: bool) -> bool:
    is_number = isinstance(value, int | float | np.integer | np.floating)
    if not is_number or isinstance(value, bool) or not math.isfinite(value):
        return False
    return low <= value <= high and not (above and value == low)
