"""Fault traces: lines on the ground, as vertex arrays.

All functions describe a trace as the graph of an offset over a straight chord,
so that whatever the roughness it cannot cross itself.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

from ..errors import FaultError

__all__ = [
    "arc_length",
    "graded_positions",
    "points_on_chord",
    "resample",
    "self_affine_profile",
    "unit_vectors",
]

_MODES_PER_OCTAVE = 4


def unit_vectors(strike: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the unit vectors along a strike and to its right.

    Parameters
    ----------
    strike : float
        Azimuth, degrees clockwise from the grid's +y.

    Returns
    -------
    along, right : numpy.ndarray
        Shape ``(2,)``, components (x, y).
    """
    azimuth = math.radians(strike)
    return (
        np.array([math.sin(azimuth), math.cos(azimuth)]),
        np.array([math.cos(azimuth), -math.sin(azimuth)]),
    )


def arc_length(trace: np.ndarray) -> np.ndarray:
    """Return the distance along a trace of each of its vertices.

    Parameters
    ----------
    trace : numpy.ndarray
        Vertices, shape ``(n, 2)``, metres.

    Returns
    -------
    numpy.ndarray
        Shape ``(n,)``, metres, starting at 0.
    """
    steps = np.hypot(*np.diff(trace, axis=0).T)
    return np.concatenate([[0.0], np.cumsum(steps)])


def resample(trace: np.ndarray, spacing: float) -> np.ndarray:
    """Cut each edge of a trace into equal parts no longer than `spacing`.

    The given vertices stay where they are.

    Parameters
    ----------
    trace : numpy.ndarray
        Vertices, shape ``(n, 2)``, metres.
    spacing : float
        Longest edge to leave, metres.

    Returns
    -------
    numpy.ndarray
        Vertices, shape ``(m, 2)``, ``m >= n``.
    """
    parts = [trace[:1]]
    for start, end in itertools.pairwise(trace):
        count = max(1, math.ceil(np.hypot(*(end - start)) / spacing - 1e-9))
        fraction = np.arange(1, count + 1)[:, None] / count
        parts.append(start + fraction * (end - start))
        parts[-1][-1] = end
    return np.concatenate(parts)


def self_affine_profile(
    position: np.ndarray,
    *,
    length: float,
    shortest: float,
    hurst: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return a self-affine profile of unit standard deviation.

    A sum of cosines of random phase whose wavelengths L_j are spread evenly in
    log from `length` to `shortest`, with amplitudes proportional to ``L_j^H``:
    its power spectral density is ``k^-(1 + 2 H)``, that of a profile which
    keeps its statistics under ``x -> c x, z -> c^H z``. Measured fault
    surfaces have H between 0.6 (along slip) and 0.8 (across it): Candela et
    al. (2012), Journal of Geophysical Research, 117, B08409.

    Parameters
    ----------
    position : numpy.ndarray
        Where to evaluate, metres along the chord; any spacing.
    length, shortest : float
        Longest and shortest wavelength, metres.
    hurst : float
        Hurst exponent, between 0 and 1.
    rng : numpy.random.Generator
        Source of phases and of the jitter of the wavelengths.

    Returns
    -------
    numpy.ndarray
        Offsets, the shape of `position`, of expected variance 1.

    Raises
    ------
    FaultError
        If `hurst` or the wavelengths are out of order.
    """
    if not 0 < hurst < 1:
        raise FaultError(f"hurst={hurst!r}: give a Hurst exponent between 0 and 1.")
    if not 0 < shortest <= length:
        raise FaultError(
            f"shortest={shortest!r} against length={length!r}: the shortest wavelength must be "
            "positive and no longer than the longest."
        )
    octaves = math.log2(length / shortest)
    modes = max(1, round(octaves * _MODES_PER_OCTAVE))
    fraction = (np.arange(modes) + rng.random(modes)) / modes
    wavelength = length * 2.0 ** (-octaves * fraction)
    amplitude = wavelength**hurst
    amplitude *= math.sqrt(2 / np.sum(amplitude**2))
    phase = rng.uniform(0, 2 * math.pi, modes)
    angle = 2 * math.pi * np.asarray(position)[..., None] / wavelength + phase
    return np.cos(angle) @ amplitude


def graded_positions(
    length: float,
    centre: np.ndarray,
    along: np.ndarray,
    extent: tuple[float, float, float, float],
    spacing: float,
    growth: float = 0.15,
) -> np.ndarray:
    """Return positions along a chord, close together where it is in view.

    Parameters
    ----------
    length : float
        Length of the chord, metres.
    centre, along : numpy.ndarray
        Its midpoint (metres) and its unit vector, shape ``(2,)``.
    extent : tuple of float
        ``(xmin, ymin, xmax, ymax)`` of what is in view, metres.
    spacing : float
        Step inside of the extent, metres.
    growth : float
        How much the step grows per metre of distance from the extent.

    Returns
    -------
    numpy.ndarray
        Increasing, from ``-length / 2`` to ``length / 2``, metres.
    """
    xmin, ymin, xmax, ymax = extent
    positions = [-length / 2]
    while positions[-1] < length / 2:
        x, y = centre + positions[-1] * along
        away = math.hypot(max(xmin - x, 0, x - xmax), max(ymin - y, 0, y - ymax))
        # A step taken from outside must not leap over the finely cut stretch.
        positions.append(positions[-1] + spacing + min(growth, 0.5) * away)
    # The last step ends at the tip; what is too short for a step joins the one before.
    last = positions.pop() - positions[-1]
    if len(positions) > 1 and length / 2 - positions[-1] < 0.5 * last:
        positions.pop()
    return np.array([*positions, length / 2])


def points_on_chord(
    position: np.ndarray, offset: np.ndarray, centre: np.ndarray, strike: float
) -> np.ndarray:
    """Return the vertices of the graph of an offset over a chord.

    Parameters
    ----------
    position : numpy.ndarray
        Distance along the chord from its midpoint, metres, shape ``(n,)``.
    offset : numpy.ndarray
        Distance to the right of the chord, metres, shape ``(n,)``.
    centre : numpy.ndarray
        The chord's midpoint, shape ``(2,)``, metres.
    strike : float
        The chord's azimuth, degrees clockwise from the grid's +y.

    Returns
    -------
    numpy.ndarray
        Vertices, shape ``(n, 2)``, metres.
    """
    along, right = unit_vectors(strike)
    return centre + position[:, None] * along + offset[:, None] * right
