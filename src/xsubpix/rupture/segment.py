"""One unbroken piece of a fault, with its slip."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from ..errors import FaultError
from .trace import arc_length

__all__ = ["Segment", "make_segment"]


@dataclasses.dataclass(frozen=True)
class Segment:
    """One unbroken piece of a fault, with its slip.

    Parameters
    ----------
    trace : tuple of (float, float)
        Vertices (x, y) of the top edge's projection on the ground, metres, in
        the direction of the strike. The triangles use these very vertices.
    positions : tuple of float
        Places along the trace at which slip is given, as fractions of its
        length, from 0 to 1, increasing.
    slip : tuple of tuple of float
        Slip, metres, not negative; one row per depth (evenly spaced from the
        top edge to the bottom edge), one column per position. Linear between.

    Examples
    --------
    >>> slip = ((0.0, 2.0, 0.0), (0.0, 0.0, 0.0))  # metres: top edge, bottom edge
    >>> Segment(((0.0, 0.0), (0.0, 5e3)), (0.0, 0.5, 1.0), slip).length
    5000.0
    """

    trace: tuple[tuple[float, float], ...]
    positions: tuple[float, ...]
    slip: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        trace = tuple((float(x), float(y)) for x, y in self.trace)
        positions = tuple(float(p) for p in self.positions)
        slip = tuple(tuple(float(s) for s in row) for row in self.slip)
        object.__setattr__(self, "trace", trace)
        object.__setattr__(self, "positions", positions)
        object.__setattr__(self, "slip", slip)
        if len(trace) < 2 or not np.all(np.isfinite(trace)):
            raise FaultError(f"A trace needs two finite vertices or more; got {trace!r}.")
        if np.any(np.diff(arc_length(self.vertices)) <= 0):
            raise FaultError("A trace holds the same vertex twice in a row; drop one of them.")
        if (
            len(positions) < 2
            or (positions[0], positions[-1]) != (0.0, 1.0)
            or np.any(np.diff(positions) <= 0)
        ):
            raise FaultError(f"positions={positions!r}: they must increase from 0 to 1.")
        if len(slip) < 2 or any(len(row) != len(positions) for row in slip):
            raise FaultError(
                f"slip has rows of {[len(row) for row in slip]} values for {len(positions)} "
                "positions: give two rows or more, each with one value per position."
            )
        if not np.all(np.isfinite(slip)) or np.min(slip) < 0:
            raise FaultError("slip must be finite and not negative: its direction is the rake's.")

    @property
    def vertices(self) -> np.ndarray:
        """The trace as an array, shape ``(n, 2)``, metres."""
        return np.array(self.trace, dtype=float)

    @property
    def length(self) -> float:
        """Length along the trace, metres."""
        return float(arc_length(self.vertices)[-1])

    def slip_at(self, along: np.ndarray, down: np.ndarray) -> np.ndarray:
        """Return the slip at places on the segment.

        Parameters
        ----------
        along, down : numpy.ndarray
            Fractions of the length and of the width, 0 to 1, same shape.

        Returns
        -------
        numpy.ndarray
            Slip, metres, bilinear between the nodes.
        """
        grid = np.array(self.slip)
        knots = np.array(self.positions)
        column = np.clip(np.searchsorted(knots, along, side="right") - 1, 0, len(knots) - 2)
        u = (np.clip(along, 0, 1) - knots[column]) / (knots[column + 1] - knots[column])
        position = np.clip(down, 0, 1) * (len(grid) - 1)
        row = np.minimum(position.astype(int), len(grid) - 2)
        v = position - row
        top = grid[row, column] * (1 - u) + grid[row, column + 1] * u
        bottom = grid[row + 1, column] * (1 - u) + grid[row + 1, column + 1] * u
        return top * (1 - v) + bottom * v


def make_segment(vertices: np.ndarray, positions: np.ndarray, slip: np.ndarray) -> Segment:
    """Return a segment from arrays; slip is rounded to 1e-5 of its largest value.

    Positions are rounded to 1e-6 of the length: both keep the text short.
    """
    peak = float(np.max(slip))
    digits = 5 - math.ceil(math.log10(peak)) if peak > 0 else 0
    return Segment(
        tuple(map(tuple, vertices.tolist())),
        tuple(np.round(positions, 6).tolist()),
        tuple(map(tuple, np.round(slip, digits).tolist())),
    )
