"""Functions as methods of an accessor, with their own parameters and documentation."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

__all__ = ["as_method", "without_first"]

_First = TypeVar("_First")
_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")


def as_method(
    function: Callable[Concatenate[_First, _Parameters], _Result],
) -> Callable[Concatenate[Any, _Parameters], _Result]:
    """Make a method that calls a function with the accessor's object as its first argument.

    Parameters
    ----------
    function : callable
        Public function whose first parameter is the object: the image or the field.

    Returns
    -------
    callable
        Method for an accessor that keeps its object as ``_object``. Its signature,
        annotations and documentation are those of `function` without the first
        parameter, for type checkers as well.

    Raises
    ------
    TypeError
        The documentation of `function` describes its first parameter together with
        others: without it, the text would be about something else.

    Examples
    --------
    >>> def scale(disp, factor=2.0):
    ...     return factor * disp
    >>> class Accessor:
    ...     def __init__(self, disp):
    ...         self._object = disp
    ...     scale = as_method(scale)
    >>> Accessor(3.0).scale(5.0)
    15.0
    >>> import inspect
    >>> inspect.signature(Accessor.scale)
    <Signature (self, factor=2.0)>
    """

    def method(self: Any, *args: _Parameters.args, **kwargs: _Parameters.kwargs) -> _Result:
        return function(self._object, *args, **kwargs)

    signature = inspect.signature(function)
    first, *others = signature.parameters.values()
    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    about: Any = method
    about.__name__ = about.__qualname__ = getattr(function, "__name__", "method")
    about.__module__ = function.__module__
    about.__doc__ = without_first(function.__doc__, first.name)
    about.__annotations__ = {
        name: kind for name, kind in function.__annotations__.items() if name != first.name
    }
    about.__signature__ = signature.replace(parameters=[own, *others])
    about.__wrapped__ = function
    return method


def without_first(doc: str | None, first: str) -> str | None:
    r"""Documentation in numpydoc form without the entry of one parameter.

    Raises
    ------
    TypeError
        The parameter shares its entry with others.

    Examples
    --------
    >>> doc = "Scale.\n\nParameters\n----------\nx : int\n    In.\nk : int\n    Factor."
    >>> without_first(doc, "x").splitlines()[2:]
    ['Parameters', '----------', 'k : int', '    Factor.']
    """
    if not doc:  # python -OO
        return None
    doc = inspect.cleandoc(doc)
    if re.search(rf"^{first}, .+ :", doc, flags=re.M):
        raise TypeError(f"{first!r} is documented together with others: give each its own entry.")
    doc = re.sub(rf"^{first} :.*\n(?: .*\n|\n(?= ))*", "", doc, count=1, flags=re.M)
    # A section that held nothing else.
    return re.sub(r"^Parameters\n-+\n\n+(?=\w)", "", doc, flags=re.M)
