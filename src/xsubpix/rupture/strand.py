"""Strands beside a fault, which take a part of its shallow slip."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from ..errors import FaultError
from .segment import Segment
from .trace import arc_length

__all__ = ["KINDS", "Strand", "check_strands"]

#: Kinds of strands: one of several that share distributed shear, a branch, a strand that
#: links two segments, one that runs beside the fault, a short crack.
KINDS = ("zone", "splay", "link", "parallel", "crack")

# Shares of all strands may add up to more than one by rounding only.
_TOLERANCE = 1e-6


@dataclasses.dataclass(frozen=True)
class Strand:
    """A plane beside a segment of a fault, which slips in the place of a part of it.

    Above `bottom`, `shares` of the segment's slip are taken from the segment's plane and
    put on the strand; below, the segment has all of it. So the slip that the ground sees
    from afar is that of the fault without strands.

    Parameters
    ----------
    segment : int
        Index of the segment.
    kind : str
        One of ``"zone"``, ``"splay"``, ``"link"``, ``"parallel"``, ``"crack"``: how it came
        about; of no consequence for the displacement.
    positions : tuple of float
        Places along the segment, fractions of its length, increasing, from where the strand
        begins to where it ends.
    offsets : tuple of float
        Distance of the strand to the right of the segment at those places, metres, linear
        between them; across the line between the segment's ends.
    shares : tuple of float
        Share of the slip, 0 to 1, at those places, linear between them.
    top, bottom : float
        Distances down dip of the strand's edges below the fault's top edge, metres.

    Raises
    ------
    FaultError
        If a value is out of bounds.

    Examples
    --------
    >>> splay = Strand(0, "splay", (0.5, 0.6), (0.0, 400.0), (0.3, 0.0), 0.0, 600.0)
    >>> splay.kind, splay.is_smooth
    ('splay', False)
    """

    segment: int
    kind: str
    positions: tuple[float, ...]
    offsets: tuple[float, ...]
    shares: tuple[float, ...]
    top: float
    bottom: float

    def __post_init__(self) -> None:
        for name in ("positions", "offsets", "shares"):
            values = tuple(float(v) for v in getattr(self, name))
            object.__setattr__(self, name, values)
            if not np.all(np.isfinite(values)):
                raise FaultError(f"{name}={values!r}: give finite numbers.")
        for name in ("top", "bottom"):
            object.__setattr__(self, name, float(getattr(self, name)))
        if self.kind not in KINDS:
            raise FaultError(f"kind={self.kind!r}: give one of {', '.join(KINDS)}.")
        count = len(self.positions)
        if count < 2 or len(self.offsets) != count or len(self.shares) != count:
            raise FaultError(
                f"a strand has {count} positions, {len(self.offsets)} offsets and "
                f"{len(self.shares)} shares: give two or more, as many of each."
            )
        inside = self.positions[0] >= 0 and self.positions[-1] <= 1
        if not inside or np.any(np.diff(self.positions) <= 0):
            raise FaultError(f"positions={self.positions!r}: they must increase within 0 to 1.")
        if not 0 <= min(self.shares) <= max(self.shares) <= 1:
            raise FaultError(f"shares={self.shares!r}: give shares of the slip, 0 to 1.")
        if not (0 <= self.top < self.bottom and math.isfinite(self.bottom)):
            raise FaultError(
                f"top={self.top!r}, bottom={self.bottom!r}: give metres, 0 <= top < bottom."
            )

    @property
    def is_smooth(self) -> bool:
        """True where the strand ends below the fault's top edge, so that no step shows."""
        return self.top > 0

    def share_at(self, position: np.ndarray) -> np.ndarray:
        """Share of the slip at places along the segment; 0 beyond the strand's ends."""
        return np.interp(position, self.positions, self.shares, left=0.0, right=0.0)

    def vertices(self, segment: Segment) -> np.ndarray:
        """Trace of the strand beside its segment, shape ``(n, 2)``, metres.

        It bends with the segment: each of the segment's vertices along it is moved aside, and
        there is one more at each of its positions.
        """
        return self.beside(segment.vertices)[2]

    def beside(self, trace: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Places along a segment, the points there, and the strand's vertices beside them.

        Parameters
        ----------
        trace : numpy.ndarray
            Vertices of the segment, shape ``(n, 2)``, metres.

        Returns
        -------
        places : numpy.ndarray
            Fractions of the segment's length, shape ``(m,)``.
        points, vertices : numpy.ndarray
            Shape ``(m, 2)``, metres.
        """
        fraction = arc_length(trace)
        fraction = fraction / fraction[-1]
        inner = fraction[(fraction > self.positions[0]) & (fraction < self.positions[-1])]
        places = np.union1d(inner, self.positions)
        # Two vertices that all but coincide would make a needle of a triangle.
        apart = 1e-3 * (places[-1] - places[0]) / len(places)
        kept = np.concatenate([[True], np.diff(places) > apart])
        if not kept[-1]:
            kept[-2:] = len(places) == 2, True
        places = places[kept]
        points = np.stack([np.interp(places, fraction, axis) for axis in trace.T], axis=1)
        chord = trace[-1] - trace[0]
        right = np.array([chord[1], -chord[0]]) / np.hypot(*chord)
        aside = np.interp(places, self.positions, self.offsets)
        return places, points, points + aside[:, None] * right

    def to_dict(self) -> dict[str, Any]:
        """Return the strand as numbers, strings and lists."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(self).items()
        }


def check_strands(segments: tuple[Segment, ...], strands: tuple[Strand, ...]) -> None:
    """Refuse strands of segments that are not there, or that take more than all of the slip."""
    for strand in strands:
        if not isinstance(strand, Strand):
            raise FaultError(f"strands: give Strand objects; got {type(strand).__name__}.")
        if not 0 <= strand.segment < len(segments):
            raise FaultError(
                f"a strand beside segment {strand.segment} of a fault with {len(segments)}: "
                "segments count from 0."
            )
    for k in {strand.segment for strand in strands}:
        beside = [strand for strand in strands if strand.segment == k]
        places = np.unique(np.concatenate([strand.positions for strand in beside]))
        largest = float(np.max(sum(strand.share_at(places) for strand in beside)))
        if largest > 1 + _TOLERANCE:
            raise FaultError(
                f"the strands beside segment {k} take {largest:.3f} of its slip: give shares "
                "that add up to 1 at most."
            )
