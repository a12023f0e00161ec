"""Peaks between samples: the vertex of the parabola through three of them."""

from __future__ import annotations

from typing import Any

__all__ = ["vertex_height", "vertex_offset"]

# Least curvature that is divided by.
_LEAST_BEND = 1e-30


def vertex_offset(before: Any, peak: Any, after: Any) -> Any:
    r"""Offset of a parabola's vertex from the middle one of three samples.

    .. math:: s = \frac{v_{+} - v_{-}}{2 (2 v_0 - v_{+} - v_{-})},

    held to half a sample (the parabola through three equidistant points; for instance Press
    et al. 2007, section 10.3).

    Parameters
    ----------
    before, peak, after : numpy.ndarray or torch.Tensor
        Values at -1, 0 and +1, floating point, one shape.

    Returns
    -------
    numpy.ndarray or torch.Tensor
        Offset in samples, -0.5 to 0.5, positive toward `after`. Where the three do not bend
        down, it is half a sample toward the larger neighbour, and 0 between equal ones.

    References
    ----------
    Press, W. H., Teukolsky, S. A., Vetterling, W. T. & Flannery, B. P. (2007). Numerical
    Recipes, 3rd edition. Cambridge University Press.
    """
    bend = (2 * peak - after - before).clip(min=_LEAST_BEND)
    return ((after - before) / (2 * bend)).clip(min=-0.5, max=0.5)


def vertex_height(before: Any, peak: Any, after: Any) -> Any:
    r"""Rise of a parabola's vertex above the middle one of three samples.

    .. math:: v(s) - v_0 = \frac{s}{4} (v_{+} - v_{-}),

    s the offset of :func:`vertex_offset`. The rises along two axes add up where the peak is
    a paraboloid without a mixed term.

    Parameters
    ----------
    before, peak, after : numpy.ndarray or torch.Tensor
        Values at -1, 0 and +1, floating point, one shape.

    Returns
    -------
    numpy.ndarray or torch.Tensor
        Unit of the values, not negative.
    """
    return (after - before) * (0.25 * vertex_offset(before, peak, after))
