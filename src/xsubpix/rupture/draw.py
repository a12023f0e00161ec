"""Faults drawn at random from observed distributions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..checks import length_in_metres, whole_number
from ..errors import FaultError
from .complexity import draw_complexity
from .scaling import (
    LOG10_SLIP_SCATTER,
    LOG10_WIDTH_SCATTER,
    mean_slip_from_area,
    width_from_length,
)
from .segment import Segment, make_segment
from .slip import correlation_lengths, cosine_ramp, depth_taper, von_karman_field
from .strand import Strand
from .trace import (
    arc_length,
    graded_positions,
    points_on_chord,
    self_affine_profile,
    unit_vectors,
)

__all__ = ["DrawnFault", "draw_fault"]

_MECHANISMS = ("strike-slip", "oblique-reverse", "oblique-normal", "reverse", "normal")
_SENSES = ("left", "right")

# In pixels: edges of the triangles where the trace is in view. Roughness of
# shorter wavelengths would be worth less than 0.1 pixel.
_VERTEX_SPACING = 5.0
# Also in pixels: height of the uppermost triangles. Twice the spacing takes a
# third off the work, and moves only pixels beside the trace's corners, by the
# little that the corners differ at depth.
_ELEMENT_SIZE = 10.0
_SLIP_ROWS = 13


class DrawnFault(NamedTuple):
    """Parameters of a fault, as :class:`xsubpix.rupture.Fault` takes them."""

    segments: tuple[Segment, ...]
    dip: float
    rake: float
    width: float
    top_depth: float
    element_size: float
    strands: tuple[Strand, ...] = ()


def draw_fault(
    rng: np.random.Generator | int | None,
    extent: tuple[float, float, float, float],
    *,
    pixel_size: float | None = None,
    mechanism: str = "strike-slip",
    sense: str | None = None,
    strike: float | None = None,
    dip: float | None = None,
    rake: float | None = None,
    length: float | None = None,
    width: float | None = None,
    top_depth: float | None = None,
    slip: float | None = None,
    curvature: float | None = None,
    roughness: float | None = None,
    hurst: float | None = None,
    step_overs: int | None = None,
    heterogeneity: float | None = None,
    complexity: float = 0.0,
) -> DrawnFault:
    """Draw the parameters of a fault whose trace crosses an extent.

    What is given replaces what would be drawn, and leaves all other draws as
    they are (those that follow from it, such as the width from the length,
    follow the given value).

    ============== ==========================================================
    quantity       distribution
    ============== ==========================================================
    strike         uniform over 0-360 degrees
    sense          left- or right-lateral, even odds
    dip            strike-slip: 90 less a half-normal of 8 degrees, 60 at
                   least; oblique: uniform 50-80; reverse: uniform 25-55;
                   normal: uniform 45-70
    rake           strike-slip: 0 or 180, normal of 8 degrees about it;
                   oblique: 15-45 degrees off it; reverse, normal: +-90,
                   normal of 15 degrees about it
    length         log-uniform from half of the extent's shorter side (8 km
                   if that is more) to six times that side (150 km if more)
    width          Leonard (2010) from the length, log10-normal scatter 0.14
                   (Wells & Coppersmith 1994)
    slip           mean over the plane: Leonard (2010) from the area,
                   log10-normal scatter 0.28 (Wells & Coppersmith 1994)
    top_depth      0 with odds of 0.8; else log-uniform from 2 to 20 % of the
                   width
    curvature      sagitta over length, normal of 0.03
    roughness      rms offset over length, log-uniform 1e-3 to 1e-2
    hurst          normal 0.75, standard deviation 0.08, kept in 0.5-0.95:
                   Candela et al. (2012) measured 0.6-0.8
    step_overs     none (odds 0.6), one (0.3) or two (0.1); widths
                   log-uniform from 10 pixels to 4 km, beyond which ruptures
                   stop (Wesnousky 2006), or to 5 % of the length if less
    slip along     falls to 0 over 10-40 % of the length at either tip; times
                   1 + a von Karman field (Mai & Beroza 2002; H normal 0.75,
                   0.1), cut at 0
    heterogeneity  standard deviation of that field, uniform 0.2-0.6
    slip at ground 50-100 % of that at depth (shallow slip deficit)
    complexity     none, unless it is asked for: see
                   :func:`xsubpix.rupture.complexity.draw_complexity`
    ============== ==========================================================

    Parameters
    ----------
    rng : numpy.random.Generator, int or None
        Source of the draws, or a seed of one.
    extent : tuple of float
        ``(xmin, ymin, xmax, ymax)``, metres: at least a third of its shorter
        side's length of trace lies inside (or as much as the fault has).
    pixel_size : float, optional
        Metres; sets how finely the trace is cut inside of the extent. By
        default 1/1024 of the extent's longer side.
    mechanism : str
        ``"strike-slip"``, ``"oblique-reverse"``, ``"oblique-normal"``,
        ``"reverse"`` or ``"normal"``.
    sense : str, optional
        ``"left"`` or ``"right"``: the lateral component.
    strike, dip, rake : float, optional
        Degrees; see :class:`xsubpix.rupture.Fault`.
    length, width, top_depth : float, optional
        Metres.
    slip : float, optional
        Slip averaged over the fault, metres.
    curvature : float, optional
        Sagitta of the trace's arc over its length, positive bulging right.
    roughness, hurst : float, optional
        Root-mean-square offset of the trace over its length, and its Hurst
        exponent.
    step_overs : int, optional
        How often the trace steps over to another strand.
    heterogeneity : float, optional
        Standard deviation of slip relative to its taper.
    complexity : float
        0 (a clean fault) to 2: how much of what real ruptures have beside a clean break it
        has (distributed shear, gaps, splays, parallel strands, cracks, roughness); 1 is as
        published. It leaves all other draws as they are. A blind fault gets none.

    Returns
    -------
    DrawnFault
        Segments with their slip, dip and rake in degrees, lengths in metres.

    Raises
    ------
    FaultError
        If the extent is empty or an argument is unknown.

    References
    ----------
    Wesnousky, S. G. (2006). Predicting the endpoints of earthquake ruptures.
    Nature, 444, 358-360. See :mod:`xsubpix.rupture.scaling`,
    :mod:`xsubpix.rupture.slip` and :mod:`xsubpix.rupture.trace` for the others.

    Examples
    --------
    >>> drawn = draw_fault(5, (0.0, 0.0, 20e3, 20e3), mechanism="reverse", dip=30.0)
    >>> drawn.dip
    30.0
    """
    rng = np.random.default_rng(rng)
    xmin, ymin, xmax, ymax = (float(value) for value in extent)
    if not (xmax > xmin and ymax > ymin):
        raise FaultError(f"extent={extent!r}: give (xmin, ymin, xmax, ymax), metres, increasing.")
    if mechanism not in _MECHANISMS:
        raise FaultError(f"mechanism={mechanism!r}: give one of {', '.join(_MECHANISMS)}.")
    if sense is not None and sense not in _SENSES:
        raise FaultError(f"sense={sense!r}: give 'left' or 'right'.")
    extent = (xmin, ymin, xmax, ymax)
    side = min(xmax - xmin, ymax - ymin)
    pixel = max(xmax - xmin, ymax - ymin) / 1024 if pixel_size is None else float(pixel_size)
    length_in_metres("pixel_size", pixel, error=FaultError)
    if not 0 <= complexity <= 2:
        raise FaultError(f"complexity={complexity!r}: give a number from 0 to 2.")

    # Everything is drawn, whether it is replaced or not, and what takes a
    # varying number of draws has its own stream.
    trace_rng, slip_rng, position_rng = rng.spawn(3)
    strike = _given_or_drawn(strike, rng.uniform(0, 360))
    sense = _given_or_drawn(sense, _SENSES[int(rng.integers(2))])
    dip = _given_or_drawn(dip, _draw_dip(mechanism, rng))
    rake = _given_or_drawn(rake, _draw_rake(mechanism, sense, rng))
    length = _given_or_drawn(length, _log_uniform(rng, max(0.5 * side, 8e3), max(6 * side, 150e3)))
    lateral = abs(math.cos(math.radians(rake))) > math.sqrt(0.5)
    width = _given_or_drawn(
        width,
        width_from_length(length, strike_slip=lateral)
        * 10 ** (LOG10_WIDTH_SCATTER * float(np.clip(rng.normal(), -2, 2))),
    )
    slip = _given_or_drawn(
        slip,
        mean_slip_from_area(length * width, strike_slip=lateral)
        * 10 ** (LOG10_SLIP_SCATTER * float(np.clip(rng.normal(), -2, 2))),
    )
    blind, share = rng.random() < 0.2, _log_uniform(rng, 0.02, 0.2)
    top_depth = _given_or_drawn(top_depth, share * width if blind else 0.0)
    curvature = _given_or_drawn(curvature, rng.normal(0, 0.03))
    roughness = _given_or_drawn(roughness, _log_uniform(rng, 1e-3, 1e-2))
    hurst = _given_or_drawn(hurst, float(np.clip(rng.normal(0.75, 0.08), 0.5, 0.95)))
    step_overs = _given_or_drawn(step_overs, int(rng.choice(3, p=[0.6, 0.3, 0.1])))
    heterogeneity = _given_or_drawn(heterogeneity, rng.uniform(0.2, 0.6))
    surface = rng.uniform(0.5, 1.0) if top_depth == 0 else 0.0

    lines = _draw_strands(length, step_overs, pixel, trace_rng)
    trace_seed = int(trace_rng.integers(2**63))
    traces = _best_seen(
        extent, min(0.35 * side, 0.9 * length), position_rng,
        lambda anchor, share: _trace(
            lines, anchor, share, length, strike, extent, pixel, curvature, roughness, hurst,
            np.random.default_rng(trace_seed),
        ),
    )  # fmt: skip
    segments = _slip_on(
        lines, traces, length, width, slip, extent, pixel, heterogeneity, surface, slip_rng
    )
    strands: tuple[Strand, ...] = ()
    if complexity > 0 and top_depth == 0:
        segments, strands = draw_complexity(
            rng.spawn(1)[0], segments, extent, pixel=pixel, width=width, complexity=complexity
        )
    return DrawnFault(segments, dip, rake, width, top_depth, _ELEMENT_SIZE * pixel, strands)


def _best_seen(
    extent: tuple[float, float, float, float],
    enough: float,
    rng: np.random.Generator,
    traces_at: Callable[[np.ndarray, float], list[np.ndarray]],
) -> list[np.ndarray]:
    """Draw positions of a trace until `enough` of it, metres, lies inside; else the best of 50.

    `traces_at` gives the trace of which a share of the length lies before a point.
    """
    xmin, ymin, xmax, ymax = extent
    best: tuple[float, list[np.ndarray]] | None = None
    for _ in range(50):
        anchor = np.array(
            [
                xmin + (xmax - xmin) * rng.uniform(0.15, 0.85),
                ymin + (ymax - ymin) * rng.uniform(0.15, 0.85),
            ]
        )
        traces = traces_at(anchor, rng.uniform(0.02, 0.98))
        inside = sum(_length_inside(trace, extent) for trace in traces)
        if best is None or inside > best[0]:
            best = inside, traces
        if inside >= enough:
            break
    assert best is not None
    return best[1]


def _given_or_drawn(value: Any, drawn: Any) -> Any:
    """Return what was given, or what was drawn."""
    return drawn if value is None else value


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw from a log-uniform distribution."""
    return float(np.exp(rng.uniform(math.log(low), math.log(high))))


def _draw_dip(mechanism: str, rng: np.random.Generator) -> float:
    """Draw a dip, degrees."""
    normal, uniform = rng.normal(), rng.random()
    if mechanism == "strike-slip":
        return max(60.0, 90 - abs(8 * normal))
    low, high = {"reverse": (25, 55), "normal": (45, 70)}.get(mechanism, (50, 80))
    return low + uniform * (high - low)


def _draw_rake(mechanism: str, sense: str, rng: np.random.Generator) -> float:
    """Draw a rake, degrees in -180 to 180."""
    normal, uniform = float(np.clip(rng.normal(), -2.5, 2.5)), rng.random()
    if mechanism in ("reverse", "normal"):
        dip_slip = 90.0 if mechanism == "reverse" else -90.0
        # The lateral part of the slip has the sense that was asked for.
        toward = -1 if sense == "left" else 1
        return dip_slip + toward * math.copysign(15 * abs(normal), dip_slip)
    if mechanism == "strike-slip":
        off = 8 * normal
    else:
        off = (15 + 30 * uniform) * (1 if mechanism == "oblique-reverse" else -1)
    rake = off if sense == "left" else 180 - off
    return rake if rake <= 180 else rake - 360


def _draw_strands(
    length: float, step_overs: int, pixel: float, rng: np.random.Generator
) -> list[tuple[float, float, float, float]]:
    """Divide a rupture into strands: (start, end, overlap, offset to the right), metres.

    Start and end are measured along the chord from its middle; neighbours
    share twice the overlap, over which slip passes from one to the other.
    """
    step_overs = whole_number("step_overs", step_overs, 0, error=FaultError)
    count = step_overs + 1
    share = 1 + rng.uniform(-0.3, 0.3, count)
    bounds = length * (np.concatenate([[0], np.cumsum(share)]) / share.sum() - 0.5)
    widest = max(min(4e3, 0.05 * length), 1e-6 * length)
    narrowest = min(10 * pixel, widest)
    strands = []
    offset = 0.0
    for k in range(count):
        step = _log_uniform(rng, narrowest, widest) * rng.choice([-1, 1])
        overlap = min(abs(step) * rng.uniform(0.5, 1.5), 0.2 * float(np.diff(bounds).min()))
        strands.append((float(bounds[k]), float(bounds[k + 1]), overlap, offset))
        offset += step
    return strands


def _trace(
    strands: list[tuple[float, float, float, float]],
    anchor: np.ndarray,
    share: float,
    length: float,
    strike: float,
    extent: tuple[float, float, float, float],
    pixel: float,
    curvature: float,
    roughness: float,
    hurst: float,
    rng: np.random.Generator,
) -> list[np.ndarray]:
    """Return the vertices of each strand, placed so that the trace passes the anchor."""
    spacing = _VERTEX_SPACING * pixel
    along, right = unit_vectors(strike)
    at = (share - 0.5) * length
    overlaps = _overlaps(strands)
    pieces = []
    for (start, end, _, offset), (before, after) in zip(strands, overlaps, strict=True):
        start, end = start - before, end + after
        midpoint = anchor + (0.5 * (start + end) - at) * along
        position = graded_positions(end - start, midpoint, along, extent, spacing)
        pieces.append((position + 0.5 * (start + end), offset))
    # One profile for all strands and for the anchor, evaluated at once: the
    # strands of a rupture wind together.
    places = np.concatenate([[at], *(position for position, _ in pieces)])
    profile = roughness * length * self_affine_profile(
        places, length=length, shortest=min(2 * spacing, length), hurst=hurst, rng=rng
    ) + curvature * length * (1 - (2 * places / length) ** 2)
    level = next((s[3] for s in strands if s[0] <= at <= s[1]), 0.0) + profile[0]
    centre = anchor - at * along - level * right
    traces = []
    first = 1
    digits = 4 - math.ceil(math.log10(pixel))
    for position, offset in pieces:
        bent = profile[first : first + len(position)] + offset
        first += len(position)
        traces.append(np.round(points_on_chord(position, bent, centre, strike), digits))
    return traces


def _overlaps(strands: list[tuple[float, float, float, float]]) -> list[tuple[float, float]]:
    """Return how far each strand reaches beyond its start and its end, metres."""
    lengths = [strand[2] for strand in strands]
    last = len(strands) - 1
    return [
        (lengths[k - 1] if k > 0 else 0.0, lengths[k] if k < last else 0.0)
        for k in range(len(strands))
    ]


def _length_inside(trace: np.ndarray, extent: tuple[float, float, float, float]) -> float:
    """Return the length of the edges whose midpoints lie in an extent, metres."""
    midpoints = 0.5 * (trace[1:] + trace[:-1])
    inside = np.all((midpoints > extent[:2]) & (midpoints < extent[2:]), axis=1)
    return float(np.hypot(*np.diff(trace, axis=0)[inside].T).sum())


def _slip_on(
    strands: list[tuple[float, float, float, float]],
    traces: list[np.ndarray],
    length: float,
    width: float,
    mean_slip: float,
    extent: tuple[float, float, float, float],
    pixel: float,
    heterogeneity: float,
    surface: float,
    rng: np.random.Generator,
) -> tuple[Segment, ...]:
    """Return segments with slip that is tapered, uneven and of the mean that is asked for."""
    tips = rng.uniform(0.1, 0.4, 2)
    hurst = float(np.clip(rng.normal(0.75, 0.1), 0.4, 0.95))
    field_seed = int(rng.integers(2**63))
    down = np.linspace(0, 1, _SLIP_ROWS)
    shapes = []
    area = total = 0.0
    for (start, end, _, _), (before, after), trace in zip(
        strands, _overlaps(strands), traces, strict=True
    ):
        along = arc_length(trace)
        # Slip is told as finely as matters in view, at every few vertices.
        view = max(extent[2] - extent[0], extent[3] - extent[1])
        knots = _thin(along, trace, extent, view / 32, (before, after))
        position = (start - before) + (end + after - start + before) * along[knots] / along[-1]
        profile = cosine_ramp(position, -0.5 * length, (tips[0] - 0.5) * length)
        profile *= cosine_ramp(position, 0.5 * length, (0.5 - tips[1]) * length)
        if before:
            profile *= cosine_ramp(position, start - before, start + before)
        if after:
            profile *= cosine_ramp(position, end + after, end - after)
        field = von_karman_field(
            position,
            down[:, None] * width,
            correlation_length=correlation_lengths(length, width),
            hurst=hurst,
            rng=np.random.default_rng(field_seed),
        )
        shape = profile * depth_taper(down, surface=surface)[:, None]
        shape *= np.maximum(0, 1 + heterogeneity * field)
        positions = along[knots] / along[-1]
        # Strands overlap, yet the rupture's area is that of its chord.
        total += float(np.trapezoid(np.trapezoid(shape, position), down))
        area += end - start
        shapes.append((trace, positions, shape))
    factor = mean_slip * area / total if total > 0 else 0.0
    return tuple(make_segment(trace, positions, factor * s) for trace, positions, s in shapes)


def _thin(
    along: np.ndarray,
    trace: np.ndarray,
    extent: tuple[float, float, float, float],
    spacing: float,
    overlaps: tuple[float, float],
) -> np.ndarray:
    """Return which vertices to give slip at: both ends, and others no closer than needed.

    Closer in view, and where slip passes to the next strand within an overlap.
    """
    away = np.maximum(np.maximum(extent[:2] - trace, 0), trace - extent[2:])
    step = np.minimum(spacing + 0.15 * np.hypot(*away.T), along[-1] / 24)
    for overlap, to_end in zip(overlaps, (along, along[-1] - along), strict=True):
        if overlap:
            step = np.minimum(step, 0.25 * (overlap + to_end))
    kept = [0]
    for k in range(1, len(along) - 1):
        if along[k] - along[kept[-1]] >= step[k]:
            kept.append(k)
    return np.array([*kept, len(along) - 1])
