"""Displacement of every kind, drawn for training: what ground and instruments do to images.

All lengths are pixels; x points to the right (columns), y down (rows), t is the place
along a trace and s the distance to its right. A kind of motion says where the ground that
was at (x, y) went, as a function of arrays of places, so that fields can be inverted.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Protocol

import numpy as np
from scipy import ndimage

__all__ = ["Flow", "Lines", "Motion", "Rough", "Shift", "Strand", "Tongue", "draw_motion"]

# Fixed-point steps that invert a displacement; strain is at most about a third.
_STEPS = 6
# Round trips that miss by more are ground that is hidden, pixels.
_HIDDEN = 0.6


class Motion(Protocol):
    """One kind of displacement."""

    def at(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Displacement (dx, dy) of the ground at places, pixels."""


@dataclasses.dataclass(frozen=True)
class Shift:
    """One displacement everywhere."""

    dx: float
    dy: float

    def at(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See :meth:`Motion.at`."""
        return np.full(x.shape, self.dx, np.float32), np.full(x.shape, self.dy, np.float32)


@dataclasses.dataclass(frozen=True)
class Strand:
    """Slip on one strand of a rupture: a step, a shear zone, or both, in elastic ground.

    The part of the offset that is on the fault falls off as a screw dislocation that
    slips down to `depth` does (Weertman & Weertman 1964; Segall 2010)::

        u(s) = offset ((1 - share) sign(s) / 2 + share g(s) / 2 - atan(s / depth) / pi)

    with g a tanh of half-width `zone`, wider on one side by `skew`. The trace is a
    wavy line with roughness at all scales; slip tapers as an ellipse to its ends.

    Parameters
    ----------
    x, y, strike, motion : float
        A place on the trace, the direction of the trace and that of the ground on its
        right, radians from x to y.
    offset : float
        Across the strand, pixels.
    share, zone, skew : float
        Part of the offset that is off the trace, half-width of its zone (pixels), and
        by how much the zone is wider on the right than on the left (logarithm).
    depth : float
        Down to which the fault slips, pixels.
    centre, half : float
        Middle and half length of the slip along the trace, pixels.
    wiggle : numpy.ndarray
        Excursions of the trace to its right, one each two pixels, from t = -len(wiggle).
    """

    x: float
    y: float
    strike: float
    motion: float
    offset: float
    share: float
    zone: float
    skew: float
    depth: float
    centre: float
    half: float
    wiggle: np.ndarray

    def at(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See :meth:`Motion.at`."""
        c, s = np.float32(math.cos(self.strike)), np.float32(math.sin(self.strike))
        u, v = x - np.float32(self.x), y - np.float32(self.y)
        along, across = u * c + v * s, v * c - u * s
        if len(self.wiggle):
            n = len(self.wiggle)
            index = (along * np.float32(0.5) + np.float32(n / 2)).clip(0, n - 1.001)
            whole = index.astype(np.int32)
            part = index - whole
            across = across - (
                self.wiggle[whole] * (1 - part) + self.wiggle[np.minimum(whole + 1, n - 1)] * part
            )
        side = np.where(across < 0, np.float32(-0.5), np.float32(0.5))
        size = side
        if self.share > 0:
            width = np.where(
                across < 0,
                np.float32(self.zone * math.exp(-self.skew / 2)),
                np.float32(self.zone * math.exp(self.skew / 2)),
            )
            size = np.float32(1 - self.share) * side + np.float32(0.5 * self.share) * np.tanh(
                across / width
            )
        if self.depth < 2e4:
            size = size - np.arctan(across * np.float32(1 / self.depth)) * np.float32(1 / math.pi)
        if math.isfinite(self.half):
            t = (along - np.float32(self.centre)) * np.float32(1 / self.half)
            size = size * np.sqrt(np.clip(1 - t * t, 0, None))
        size = size * np.float32(self.offset)
        return size * np.float32(math.cos(self.motion)), size * np.float32(math.sin(self.motion))


@dataclasses.dataclass(frozen=True)
class Rough:
    """A random field given at nodes, cubic between them.

    Parameters
    ----------
    nodes : numpy.ndarray of float32
        Shape ``(2, h, w)``: dx and dy at nodes, pixels.
    spacing : float
        Of the nodes, pixels.
    origin : float
        Place of the first node along both axes, pixels.
    """

    nodes: np.ndarray
    spacing: float
    origin: float

    def at(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See :meth:`Motion.at`."""
        at = [(y - self.origin) / self.spacing, (x - self.origin) / self.spacing]
        order = 1 if self.spacing <= 1 else 3
        dx, dy = (
            ndimage.map_coordinates(
                part, at, output=np.float32, order=order, mode="nearest", prefilter=False
            )
            for part in self.nodes
        )
        return dx, dy


@dataclasses.dataclass(frozen=True)
class Tongue:
    """A glacier or a landslide: a body that flows, between shear margins.

    Parameters
    ----------
    x, y, direction : float
        Centre, and direction of the flow, radians from x to y.
    speed : float
        In the middle, pixels.
    half_length, half_width : float
        Of the body along and across the flow, pixels.
    margin : float
        Width of the shear margins, pixels: 0.5 is a step.
    turn : float
        Bend of the flow along the body, radians a half length.
    plug : float
        Exponent of the profile across: 2 is a parabola, large a plug.
    """

    x: float
    y: float
    direction: float
    speed: float
    half_length: float
    half_width: float
    margin: float
    turn: float
    plug: float

    def at(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See :meth:`Motion.at`."""
        c, s = math.cos(self.direction), math.sin(self.direction)
        u, v = x - np.float32(self.x), y - np.float32(self.y)
        along, across = (u * c + v * s) / self.half_length, v * c - u * s
        # A bent body: its axis is a parabola.
        across = across - np.float32(0.5 * self.turn * self.half_length) * along * along
        w = np.abs(across) / self.half_width
        profile = np.clip(1 - np.minimum(w, 1.5) ** self.plug * 0.5, 0, 1)
        edge = 0.5 * (1 - np.tanh((np.abs(across) - self.half_width) / self.margin))
        front = 0.5 * (1 - np.tanh((np.abs(along) - 1) * self.half_length / (3 * self.margin + 4)))
        size = np.float32(self.speed) * profile * edge * front
        angle = np.float32(self.direction) + np.float32(self.turn) * along.clip(-1.5, 1.5)
        return (size * np.cos(angle)).astype(np.float32), (size * np.sin(angle)).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class Lines:
    """Rows or columns that a detector or the platform's jitter puts aside.

    Parameters
    ----------
    offsets : numpy.ndarray of float32
        Shape ``(2, n)``: dx and dy of each line, pixels.
    rows : bool
        Whether lines are rows.
    origin : float
        Number of the first line.
    """

    offsets: np.ndarray
    rows: bool
    origin: float

    def at(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See :meth:`Motion.at`."""
        position = y if self.rows else x
        index = (
            (np.rint(position) - self.origin).astype(np.int32).clip(0, self.offsets.shape[1] - 1)
        )
        return self.offsets[0, index], self.offsets[1, index]


class Flow:
    """Sum of motions over a square, forth and back.

    Parameters
    ----------
    motions : sequence of Motion
    side : int
        Of the square, pixels.
    """

    def __init__(self, motions: list[Motion], side: int) -> None:
        self.motions, self.side = motions, side

    def at(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See :meth:`Motion.at`."""
        dx, dy = np.zeros(x.shape, np.float32), np.zeros(x.shape, np.float32)
        for motion in self.motions:
            u, v = motion.at(x, y)
            dx += u
            dy += v
        return dx, dy

    def fields(self) -> tuple[np.ndarray, np.ndarray]:
        """Displacement at the pixels of the first image, and back from those of the second.

        Returns
        -------
        forth : numpy.ndarray of float32
            Shape ``(2, side, side)``: where the ground at each pixel of the first image
            went; NaN where it is hidden in the second.
        back : numpy.ndarray of float32
            Same shape: what leads from each pixel of the second image to the place in
            the first that it came from; NaN where it shows ground that was hidden.
        """
        grid = np.indices((self.side, self.side), dtype=np.float32)
        y, x = grid[0], grid[1]
        forth = np.stack(self.at(x, y))
        back = np.zeros_like(forth)
        for _ in range(_STEPS):
            u, v = self.at(x + back[0], y + back[1])
            back[0], back[1] = -u, -v
        # Where the fixed point is none: between ground that parted, or under ground that met.
        u, v = self.at(x + back[0], y + back[1])
        miss = np.hypot(u + back[0], v + back[1])
        known_back = miss < 0.1
        at = [y + forth[1], x + forth[0]]
        inside = (at[0] >= 0) & (at[0] <= self.side - 1) & (at[1] >= 0) & (at[1] <= self.side - 1)
        index = tuple(np.rint(a).astype(np.int32).clip(0, self.side - 1) for a in at)
        returned = forth + back[:, index[0], index[1]]
        known_forth = ~inside | (
            (np.hypot(returned[0], returned[1]) < _HIDDEN + 0.35 * 0.7) & known_back[index]
        )
        return np.where(known_forth, forth, np.nan), np.where(known_back, back, np.nan)


# ------------------------------------------------------------------ draws


def draw_motion(rng: np.random.Generator, side: int) -> list[Motion]:
    """Draw what moved between two images of `side` x `side` pixels.

    Parameters
    ----------
    rng : numpy.random.Generator
    side : int
        Pixels.
    """
    motions: list[Motion] = []
    kind = rng.random()
    if kind < 0.08:
        pass  # still ground, but for the shift
    elif kind < 0.63:
        motions += draw_strands(rng, side)
        if rng.random() < 0.25:
            motions.append(draw_rough(rng, side, small=True))
    elif kind < 0.85:
        motions.append(draw_rough(rng, side))
        if rng.random() < 0.15:
            motions.append(draw_rough(rng, side))
    else:
        motions.append(draw_tongue(rng, side))
        if rng.random() < 0.3:
            motions.append(draw_tongue(rng, side))
    motions.append(draw_shift(rng))
    if rng.random() < 0.2:
        motions.append(draw_lines(rng, side))
    return motions


def draw_shift(rng: np.random.Generator) -> Shift:
    """Draw a shift: none, of a fraction of a pixel, of some, and of up to 64."""
    kind = rng.random()
    if kind < 0.15:
        return Shift(0.0, 0.0)
    if kind < 0.60:
        dx, dy = rng.uniform(-0.7, 0.7, 2)
    elif kind < 0.85:
        dx, dy = rng.uniform(-3.0, 3.0, 2)
    else:
        largest = math.exp(rng.uniform(math.log(4.0), math.log(64.0)))
        dx, dy = rng.uniform(-largest, largest, 2)
    return Shift(float(dx), float(dy))


def draw_strands(rng: np.random.Generator, side: int) -> list[Motion]:
    """Draw a rupture: one to five strands whose offsets add to 0.05 to 60 px."""
    offset = math.exp(rng.uniform(math.log(0.1), math.log(12.0)))
    if rng.random() < 0.45:
        offset = math.exp(rng.uniform(math.log(4.0), math.log(80.0)))
    number = int(rng.choice((1, 1, 1, 1, 2, 2, 3, 4, 5)))
    strike = rng.uniform(0, 2 * math.pi)
    sense = float(rng.choice((0.0, math.pi)))
    col, row = rng.uniform(0.2, 0.8, 2) * side
    depth = math.exp(rng.uniform(math.log(40.0), math.log(3e4)))
    parts = rng.dirichlet(np.full(number, 1.2)) if number > 1 else np.ones(1)
    roughness = float(np.exp(rng.uniform(np.log(0.002), np.log(0.06))))
    off_fault = rng.random() < 0.5
    strands: list[Motion] = []
    for k in range(number):
        turn = rng.normal(0, 0.35) if k else 0.0
        gap = 0.0 if k == 0 else float(rng.normal(0, 1) * math.exp(rng.uniform(0.7, 4.6)))
        shift_along = 0.0 if k == 0 else float(rng.normal(0, 0.3) * side)
        own = strike + turn
        ends = k > 0 or rng.random() < 0.35
        zone = math.exp(rng.uniform(math.log(0.7), math.log(120.0)))
        strands.append(
            Strand(
                x=float(col - gap * math.sin(strike) + shift_along * math.cos(strike)),
                y=float(row + gap * math.cos(strike) + shift_along * math.sin(strike)),
                strike=own,
                motion=own + sense + float(rng.normal(0, 0.25)),
                offset=float(offset * parts[k]),
                share=float(rng.choice((1.0, rng.uniform(0.1, 0.9))) if off_fault else 0.0),
                zone=zone,
                skew=float(rng.normal(0, 0.7)),
                depth=depth,
                centre=float(rng.normal(0, 0.25) * side),
                half=float(rng.uniform(0.15, 1.2) * side) if ends else math.inf,
                wiggle=_wiggle(rng, side, roughness),
            )
        )
    return strands


def _wiggle(rng: np.random.Generator, side: int, roughness: float) -> np.ndarray:
    """Self-affine excursions of a trace (Hurst exponent about 0.8), one each two pixels."""
    n = int(1.6 * side)
    exponent = rng.uniform(1.1, 1.7)
    frequency = np.fft.rfftfreq(n)
    spectrum = rng.standard_normal((2, len(frequency)))
    amplitude = np.zeros_like(frequency)
    amplitude[1:] = frequency[1:] ** (-exponent)
    line = np.fft.irfft((spectrum[0] + 1j * spectrum[1]) * amplitude, n)
    line *= roughness * side / max(float(line.std()), 1e-9)
    return (line - line[n // 2]).astype(np.float32)


def draw_rough(rng: np.random.Generator, side: int, small: bool = False) -> Rough:
    """Draw a random field: wavelengths 4 to 300 px, 0.01 to 2 px rms, strain to 0.3."""
    margin = 80
    wavelength = math.exp(rng.uniform(math.log(5.0), math.log(200.0)))
    spacing = float(max(1.0, wavelength / 8))
    n = int((side + 2 * margin) / spacing) + 4
    frequency = np.hypot(np.fft.fftfreq(n)[:, None], np.fft.rfftfreq(n)[None]) / spacing
    if rng.random() < 0.4:
        # A band around one wavelength.
        width = rng.uniform(0.1, 0.5)
        ratio = np.log(np.maximum(frequency, 1e-9) * wavelength)
        amplitude = np.exp(-0.5 * (ratio / width) ** 2)
    else:
        exponent = rng.uniform(1.0, 2.5)
        amplitude = np.maximum(frequency, 1 / 300.0) ** -exponent
        amplitude *= np.exp(-((frequency * wavelength) ** 2))
    amplitude[0, 0] = 0.0
    noise = rng.standard_normal((2, n, n))
    field = np.fft.irfft2(np.fft.rfft2(noise) * amplitude, (n, n))
    if rng.random() < 0.3:
        # One direction only, as shear along a line.
        angle = rng.uniform(0, 2 * math.pi)
        field = np.stack((math.cos(angle) * field[0], math.sin(angle) * field[0]))
    field /= max(float(field.std()), 1e-9)
    rms = math.exp(rng.uniform(math.log(0.01), math.log(0.2 if small else 2.0)))
    steepest = float(
        max(np.quantile(np.abs(np.diff(field, axis=k)), 0.999) for k in (1, 2)) / spacing
    )
    rms = min(rms, 0.3 / max(steepest, 1e-9))
    return Rough((field * rms).astype(np.float32), spacing, -float(margin))


def draw_tongue(rng: np.random.Generator, side: int) -> Tongue:
    """Draw a glacier or landslide of up to 64 px of motion."""
    half_width = math.exp(rng.uniform(math.log(6.0), math.log(0.6 * side)))
    return Tongue(
        x=float(rng.uniform(0.1, 0.9) * side),
        y=float(rng.uniform(0.1, 0.9) * side),
        direction=float(rng.uniform(0, 2 * math.pi)),
        speed=math.exp(rng.uniform(math.log(0.1), math.log(64.0))),
        half_length=float(half_width * math.exp(rng.uniform(0.0, 2.0))),
        half_width=float(half_width),
        margin=math.exp(rng.uniform(math.log(0.7), math.log(25.0))),
        turn=float(rng.normal(0, 0.3)),
        plug=float(rng.choice((2.0, 4.0, 8.0))),
    )


def draw_lines(rng: np.random.Generator, side: int) -> Lines:
    """Draw offsets of lines: of each alone, in modules of detectors, or a vibration."""
    n = side + 200
    size = math.exp(rng.uniform(math.log(0.01), math.log(0.2)))
    kind = rng.random()
    if kind < 0.4:
        module = int(rng.choice((4, 16, 16, 32, 120)))
        values = np.repeat(rng.standard_normal((2, n // module + 1)), module, axis=1)[:, :n]
    elif kind < 0.7:
        period = math.exp(rng.uniform(math.log(6.0), math.log(200.0)))
        phase = rng.uniform(0, 2 * math.pi, (2, 1))
        values = 1.4 * np.sin(2 * math.pi * np.arange(n)[None] / period + phase)
    else:
        values = ndimage.gaussian_filter1d(
            rng.standard_normal((2, n)), math.exp(rng.uniform(0, 3)), axis=1
        )
        values /= max(float(values.std()), 1e-9)
    if rng.random() < 0.5:
        values[int(rng.integers(2))] = 0.0
    return Lines((size * values).astype(np.float32), bool(rng.random() < 0.6), -100.0)
