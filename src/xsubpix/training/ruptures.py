"""Ruptures put into samples while training: where the truth jumps, as often as one likes.

In a database of earthquakes most pixels are far from a fault and most offsets
are small. What a network makes of the pixels beside a fault depends on how
often it sees them, and how large the offsets are that it meets.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from ..warp import sample_quintic

__all__ = ["Rupture", "draw_rupture", "put_rupture"]

# Steps of the fixed point that inverts the displacement; across a trace that is cut
# nearly along itself, two are enough.
_STEPS = 4


@dataclasses.dataclass(frozen=True)
class Rupture:
    """A shear across a wavy line.

    With s the distance from the trace and t the length along it, the
    displacement is ``offset / 2 * g(s) * exp(-|s| / decay)`` in the direction
    `motion`, where g is the sign of s, or ``tanh(s / zone)`` where the offset is
    spread over a zone; it tapers as ``sqrt(1 - ((t - centre) / half)^2)`` to
    the ends of the rupture.

    Parameters
    ----------
    col, row : float
        A point of the trace, pixels.
    strike, motion : float
        Directions of the trace and of the ground on its right, radians from
        the columns' axis to the rows'.
    wave, length, phase : float
        Height and length of the trace's waves, pixels, and their phase.
    offset : float
        Across the trace, pixels.
    zone, decay : float
        Half-width of the fault zone (0: sharp) and distance over which the
        displacement falls off, pixels.
    centre, half : float
        Centre and half length of the rupture along its trace, pixels; `half` may be infinite.
    """

    col: float
    row: float
    strike: float
    motion: float
    wave: float
    length: float
    phase: float
    offset: float
    zone: float
    decay: float
    centre: float
    half: float

    def at(self, cols: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Displacement dx, dy at places, pixels; NaN where a place is."""
        x, y = cols - self.col, rows - self.row
        along = x * math.cos(self.strike) + y * math.sin(self.strike)
        across = y * math.cos(self.strike) - x * math.sin(self.strike)
        across = across - self.wave * np.sin(2 * math.pi * along / self.length + self.phase)
        side = np.tanh(across / self.zone) if self.zone > 0 else np.where(across < 0, -1.0, 1.0)
        size = 0.5 * self.offset * side * np.exp(-np.abs(across) / self.decay)
        if math.isfinite(self.half):
            size = size * np.sqrt(np.clip(1 - ((along - self.centre) / self.half) ** 2, 0, None))
        return size * math.cos(self.motion), size * math.sin(self.motion)


def draw_rupture(rng: np.random.Generator, side: int) -> Rupture:
    """Draw a rupture that crosses the middle half of a square.

    Offsets are 0.1 to 4 px, small ones as often as large ones on a logarithmic
    scale; the motion is along the trace but for some 15 degrees; a third of the
    offsets is spread over a zone, and a third of the ruptures ends within reach.

    Parameters
    ----------
    rng : numpy.random.Generator
    side : int
        Side of the square, pixels.
    """
    col, row = rng.uniform(0.25, 0.75, 2) * side
    strike = rng.uniform(0, 2 * math.pi)
    length = side * math.exp(rng.uniform(math.log(0.3), math.log(3.0)))
    spread, ends = rng.random() < 1 / 3, rng.random() < 1 / 3
    return Rupture(
        col=float(col),
        row=float(row),
        strike=float(strike),
        motion=float(strike + rng.choice((0.0, math.pi)) + rng.normal(0, 0.25)),
        wave=float(rng.uniform(0, 0.04) * length),
        length=float(length),
        phase=float(rng.uniform(0, 2 * math.pi)),
        offset=math.exp(rng.uniform(math.log(0.1), math.log(4.0))),
        zone=float(rng.uniform(0.5, 6.0)) if spread else 0.0,
        decay=math.exp(rng.uniform(math.log(30.0), math.log(3000.0))),
        centre=float(rng.normal(0, 0.25) * side),
        half=float(rng.uniform(0.3, 1.0) * side) if ends else math.inf,
    )


def put_rupture(
    post: np.ndarray, flow: np.ndarray, rupture: Rupture
) -> tuple[np.ndarray, np.ndarray]:
    """Move the ground of the second image once more.

    Parameters
    ----------
    post : numpy.ndarray of float32
        Shape ``(h, w)``; NaN is missing.
    flow : numpy.ndarray of float32
        Shape ``(2, h, w)``: what `post` shows already, pixels.
    rupture : Rupture
        In the pixels of `post`.

    Returns
    -------
    post, flow : numpy.ndarray of float32
        The image moved (quintic splines), and the sum of both displacements, at
        the pixels of the first image.
    """
    places = np.indices(post.shape, dtype=np.float64)
    rows, cols = places[0], places[1]
    height, width = post.shape
    dx, dy = rupture.at(cols + flow[0], rows + flow[1])
    from_cols, from_rows = cols, rows
    for _ in range(_STEPS):
        back_x, back_y = rupture.at(from_cols, from_rows)
        from_cols, from_rows = cols - back_x, rows - back_y
    # Within half the offset of the border the ground comes from outside: continued, so that
    # no rim of missing pixels tells where a rupture is.
    from_rows, from_cols = from_rows.clip(0, height - 1), from_cols.clip(0, width - 1)
    moved = sample_quintic(post, from_rows, from_cols)
    return moved, flow + np.stack((dx, dy)).astype(np.float32)
