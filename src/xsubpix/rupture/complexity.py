"""Complexity of drawn faults as of real ruptures: roughness, shear off the trace, strands.

Lengths are metres. Shares are of the slip of the segment at the same place.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from .segment import Segment, make_segment
from .slip import cosine_ramp
from .strand import Strand
from .trace import arc_length, self_affine_profile

__all__ = ["draw_complexity"]

# Distances of the vertices of a roughened trace, pixels, and its longest wavelength.
_FINE, _LONGEST = 3.0, 200.0
# Depth of a strand or a zone over its distance or width, and of the tips of smooth strands
# over the distance of two: closer to the surface, each would be seen by itself.
_DEPTH, _TIP = 1.5, 0.75
# Largest share of the slip that cracks, splays and the like take from one place.
_MOST = 0.85
# Widest zone of distributed shear and largest distance of strands, metres.
_WIDEST = 2000.0


@dataclasses.dataclass
class _View:
    """Part of a segment that is in view, and the slip that it still has to give."""

    index: int
    length: float
    start: float  # in metres along the segment
    end: float
    pixel: float
    deepest: float
    knots: np.ndarray  # fractions of the length
    left: np.ndarray  # share that has not been given away, at the knots

    def take(self, wanted: np.ndarray) -> np.ndarray:
        """Take shares at the knots, as far as there is any left."""
        got = np.minimum(wanted, np.maximum(self.left, 0.0))
        self.left = self.left - got
        return got


def draw_complexity(
    rng: np.random.Generator,
    segments: tuple[Segment, ...],
    extent: tuple[float, float, float, float],
    *,
    pixel: float,
    width: float,
    complexity: float,
) -> tuple[tuple[Segment, ...], tuple[Strand, ...]]:
    """Roughen segments where they are in view, and draw strands beside them.

    ================ ========================================================
    quantity         distribution at complexity c
    ================ ========================================================
    roughness        rms c times log-uniform 0.2-2 pixels, wavelengths of 6 to
                     200 pixels, Hurst exponent uniform 0.6-0.9
    share off trace  c times a normal of 0.42, 0.15, kept in 0.05-0.9
                     (Milliner et al. 2016: 46 +- 10 % at Landers, 39 +- 22 %
                     at Hector Mine); along the trace times 1 + 0.4 of a
                     self-affine profile of Hurst exponent 0.37 (Milliner et
                     al. 2016b: fractal dimensions 1.68 and 1.58)
    zone's width     log-normal, median 120 m, 0.8 (Milliner et al. 2016: 154
                     and 121 m on average); odds of 0.15: log-uniform from 700 m
                     to 2 km; a pixel at least; along the trace times a
                     self-affine factor
    zone's sides     one alone (odds 0.25), else uneven by a uniform factor
    zone's profile   even or, with odds of 0.5, drag: falling off from the trace
    zone's strands   below the surface (smooth shear), or with odds of 0.2 cracks
                     at the surface
    gaps             Poisson c; log-uniform 5 pixels to 15 % of the view; there
                     the trace has no slip at the surface
    splays           Poisson c; length log-normal, median 650 m, 0.5 decades
                     (White et al. 2022: 65 % end within 1 km, few pass 8 km);
                     angle half-normal of 18 degrees, 4 to 50 (ibid.: most below
                     30); share 0.1-0.5, falling to 0 at the tip
    links            in a step-over with odds of 0.5, share 0.2-0.7
    parallel strands Poisson 0.6 c; distance log-uniform 10 pixels to 2 km; half
                     length log-uniform 0.1-0.7 of the view; share 0.1-0.6
    cracks           Poisson 8 c; length log-uniform 8 to 60 pixels, angle normal
                     15 degrees, distance exponential of half the zone's width
                     and 5 pixels, share log-uniform 0.01-0.15
    ================ ========================================================

    Numbers without a source are ours: they cover what maps of real ruptures show. Milliner
    et al. (2016, 2016b) and White et al. (2022) were looked up (abstracts); what is known of
    zones of up to 2 km is that smooth shear of that width was seen at Ridgecrest. Milliner et
    al. (2015) and Zinke et al. (2014) could not be looked up and are not relied on.

    Parameters
    ----------
    rng : numpy.random.Generator
    segments : tuple of Segment
    extent : tuple of float
        ``(xmin, ymin, xmax, ymax)``: what is in view.
    pixel, width : float
        Size of a pixel, and of the fault down dip.
    complexity : float
        0 (none) to 2; 1 is as published.

    Returns
    -------
    segments : tuple of Segment
        The same, with finer traces.
    strands : tuple of Strand

    References
    ----------
    Milliner, C. W. D., et al. (2016). Comparison of coseismic near-field and off-fault surface
    deformation patterns of the 1992 Mw 7.3 Landers and 1999 Mw 7.1 Hector Mine earthquakes.
    Geophysical Research Letters 43. Milliner, C. W. D., et al. (2016b). Resolving fine-scale
    heterogeneity of co-seismic slip and the relation to fault structure. Scientific Reports
    6, 27201. White, S., et al. (2022). How far will a rupture travel past a fault junction
    during a strike-slip event? SCEC Annual Meeting, poster 163.
    """
    rough_rng, zone_rng, gap_rng, strand_rng, crack_rng = rng.spawn(5)
    rms = complexity * pixel * _log_uniform(rough_rng, 0.2, 2.0)
    hurst = rough_rng.uniform(0.6, 0.9)
    segments = tuple(_roughened(s, extent, pixel, rms, hurst, rough_rng) for s in segments)
    views = [
        view
        for k, segment in enumerate(segments)
        if (view := _view(k, segment, extent, pixel, width)) is not None
    ]
    strands: list[Strand] = []
    wide = _draw_width(zone_rng, pixel)
    gaps = [_draw_gaps(gap_rng, view, complexity) for view in views]
    strands += _draw_links(strand_rng, segments, views)
    for view in views:
        strands += _draw_parallel(strand_rng, view, complexity)
        strands += _draw_splays(strand_rng, view, complexity)
        strands += _draw_cracks(crack_rng, view, complexity, wide)
    for view, missing in zip(views, gaps, strict=True):
        strands += _draw_zone(zone_rng, view, complexity, wide, missing)
    return segments, tuple(strands)


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(math.log(low), math.log(max(low, high)))))


def _in_view(points: np.ndarray, extent: tuple[float, float, float, float]) -> np.ndarray:
    return np.all((points > extent[:2]) & (points < extent[2:]), axis=1)


def _roughened(
    segment: Segment,
    extent: tuple[float, float, float, float],
    pixel: float,
    rms: float,
    hurst: float,
    rng: np.random.Generator,
) -> Segment:
    """Return the segment with more vertices in view, moved aside by a self-affine profile."""
    old = segment.vertices
    seen = _in_view(old, extent)
    parts = [old[:1]]
    for k in range(len(old) - 1):
        count = 1
        if seen[k] or seen[k + 1]:
            count = max(1, math.ceil(np.hypot(*(old[k + 1] - old[k])) / (_FINE * pixel) - 1e-9))
        parts.append(old[k] + np.arange(1, count + 1)[:, None] / count * (old[k + 1] - old[k]))
    trace = np.concatenate(parts)
    chord = old[-1] - old[0]
    chord = chord / np.hypot(*chord)
    right = np.array([chord[1], -chord[0]])
    longest = min(_LONGEST * pixel, segment.length)
    shortest = min(2 * _FINE * pixel, longest)
    profile = self_affine_profile(
        trace @ chord, length=longest, shortest=shortest, hurst=hurst, rng=rng
    )
    moved = trace + np.where(_in_view(trace, extent), rms * profile, 0.0)[:, None] * right
    moved = np.round(moved, 4 - math.ceil(math.log10(pixel)))
    # Slip stays where it was on the ground.
    before, after = arc_length(trace), arc_length(moved)
    places = np.interp(np.array(segment.positions) * before[-1], before, after) / after[-1]
    return make_segment(moved, places, np.array(segment.slip))


def _view(
    index: int,
    segment: Segment,
    extent: tuple[float, float, float, float],
    pixel: float,
    width: float,
) -> _View | None:
    """Return where a segment is in view, or None where it is not."""
    trace = segment.vertices
    along = arc_length(trace)[_in_view(trace, extent)]
    if len(along) < 3:
        return None
    length = segment.length
    # A margin of a quarter on both sides: what begins out of view is seen as well.
    margin = 0.25 * (along[-1] - along[0])
    start, end = max(0.0, along[0] - margin), min(length, along[-1] + margin)
    knots = np.unique(np.round(np.linspace(start, end, 65) / length, 6))
    return _View(index, length, start, end, pixel, 0.5 * width, knots, np.ones(len(knots)))


def _strand(
    view: _View, kind: str, knots: np.ndarray, offsets: np.ndarray, shares: np.ndarray, top: float,
    bottom: float,
) -> Strand:  # fmt: skip
    """Return a strand with rounded numbers: its description stays short."""
    digits = 3 - math.ceil(math.log10(view.pixel))
    return Strand(
        view.index, kind, tuple(np.round(knots, 9)), tuple(np.round(offsets, digits)),
        tuple(np.floor(shares * 1e6) / 1e6), round(top, digits), round(bottom, digits),
    )  # fmt: skip


def _draw_width(rng: np.random.Generator, pixel: float) -> float:
    """Return the width of the zone of distributed shear."""
    usual = 120.0 * math.exp(0.8 * float(np.clip(rng.normal(), -2.5, 2.5)))
    broad, wide = rng.random() < 0.15, _log_uniform(rng, 700.0, _WIDEST)
    return float(np.clip(wide if broad else usual, pixel, max(_WIDEST, pixel)))


def _draw_gaps(rng: np.random.Generator, view: _View, complexity: float) -> np.ndarray:
    """Return where the trace has no slip at the surface, 0 to 1 at the knots."""
    gap = np.zeros(len(view.knots))
    seen = view.end - view.start
    for _ in range(rng.poisson(complexity)):
        half = 0.5 * _log_uniform(rng, 5 * view.pixel, max(0.15 * seen, 6 * view.pixel))
        away = np.abs(view.knots * view.length - rng.uniform(view.start, view.end))
        # As wide as two knots at least, or it would not be described.
        half = max(half, seen / 64)
        gap = np.maximum(gap, cosine_ramp(away, 1.5 * half, 0.5 * half))
    return gap


def _draw_zone(
    rng: np.random.Generator, view: _View, complexity: float, width: float, gap: np.ndarray
) -> list[Strand]:
    """Return the strands that share what is off the trace, all along a view."""
    share = complexity * float(np.clip(rng.normal(0.42, 0.15), 0.05, 0.9))
    places = view.knots * view.length
    seen = view.end - view.start
    # A wide zone keeps its width over longer stretches: its strands bend, they do not zigzag.
    varied = [
        self_affine_profile(places, length=seen, shortest=shortest, hurst=hurst, rng=rng)
        for shortest, hurst in ((seen / 16, 0.37), (min(max(seen / 16, 2 * width), seen), 0.7))
    ]
    one_sided, even, cracked = rng.random(3) < (0.25, 0.5, 0.2)
    lean = rng.uniform(-1, 1)
    ends = cosine_ramp(places, places[0], places[0] + 0.1 * seen)
    ends *= cosine_ramp(places, places[-1], places[-1] - 0.1 * seen)
    wanted = np.clip(share * (1 + 0.4 * varied[0]), 0.0, 0.95)
    got = view.take(np.maximum(wanted, gap) * ends)
    width = min(width, 0.6 * view.deepest)
    count = 3 + 2 * int(np.searchsorted([3.0, 12.0, 60.0], width / view.pixel))
    at = width * _profile(count, lean, one_sided=bool(one_sided), even=bool(even))
    apart = np.maximum(np.gradient(at), 0.5 * width / count)
    factor = np.exp(0.35 * np.clip(varied[1], -2, 2))
    bottom = _DEPTH * width * (2.0 if one_sided else 1.0)
    bottom = min(max(bottom, 3 * view.pixel), view.deepest)
    tops = np.zeros(count) if cracked else np.minimum(_TIP * apart, 0.6 * bottom)
    return [
        _strand(view, "zone", view.knots, offset * factor, got / count, float(top), bottom)
        for offset, top in zip(at, tops, strict=True)
    ]


def _profile(count: int, lean: float, *, one_sided: bool, even: bool) -> np.ndarray:
    """Return where the strands of a zone of width 1 lie, increasing.

    At equal steps of what they add up to: an even profile, or two exponentials that fall off
    from the trace (drag) and are cut at the zone's rims. On one side of the trace alone, or
    stretched on the side to which it leans.
    """
    level = (np.arange(count) + 0.5) / count
    if not one_sided:
        level = np.abs(2 * level - 1)
    away = level if even else -np.log(1 - level * (1 - math.exp(-3))) / 3
    if one_sided:
        return away if lean > 0 else -away[::-1]
    aside = 0.5 * away * np.sign(np.arange(count) - (count - 1) / 2)
    return aside * np.where(aside * lean > 0, 1 + 0.8 * abs(lean), 1.0)


def _depth(view: _View, offset: float) -> float:
    """Return down to which depth a strand reaches that lies an offset aside."""
    return float(min(max(_DEPTH * offset, 4 * view.pixel), view.deepest))


def _draw_links(
    rng: np.random.Generator, segments: tuple[Segment, ...], views: list[_View]
) -> list[Strand]:
    """Return strands from the end of a segment to the beginning of the next."""
    found = []
    for view in views:
        linked, share, where = rng.random() < 0.5, rng.uniform(0.2, 0.7), rng.uniform(0.3, 0.7)
        if not linked or view.index + 1 >= len(segments):
            continue
        here, there = segments[view.index].vertices, segments[view.index + 1].vertices
        chord = here[-1] - here[0]
        chord = chord / np.hypot(*chord)
        right = np.array([chord[1], -chord[0]])
        step = float((there[0] - here[-1]) @ right)
        overlap = max(float((here[-1] - there[0]) @ chord), 4 * view.pixel)
        length = min(max(overlap, abs(step)), 0.5 * view.length)
        begin = max(view.length - overlap * (1 - where) - 0.5 * length, 0.0)
        knots = np.linspace(begin, min(begin + length, view.length), 9) / view.length
        inside = (knots[0] >= view.knots[0]) and (knots[-1] <= view.knots[-1])
        if not inside:
            continue
        bump = np.sin(math.pi * np.linspace(0, 1, 9)) ** 0.5
        got = _taken(view, knots, share * bump)
        found.append(
            _strand(view, "link", knots, np.linspace(0, step, 9), got, 0.0, _depth(view, abs(step)))
        )
    return found


def _taken(view: _View, knots: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Take shares at places that are not the view's own knots; never more than is left there."""
    room = np.interp(knots, view.knots, np.maximum(view.left - (1 - _MOST), 0.0))
    got = np.minimum(wanted, 0.999 * room)
    # Both are linear between their knots: where each knot of the view has less by the most
    # that is taken up to the next ones, no place between them gives more than it has.
    apart = float(np.max(np.diff(view.knots)))
    at = np.interp(view.knots, knots, got, left=0.0, right=0.0)
    near = np.abs(view.knots[:, None] - knots) <= apart
    view.left = view.left - np.maximum(at, np.where(near, got, 0.0).max(axis=1))
    return got


def _draw_parallel(rng: np.random.Generator, view: _View, complexity: float) -> list[Strand]:
    """Return strands that run beside the fault."""
    found = []
    seen = view.end - view.start
    for _ in range(rng.poisson(0.6 * complexity)):
        offset = _log_uniform(rng, 10 * view.pixel, max(_WIDEST, 20 * view.pixel))
        offset = min(offset, view.deepest / _DEPTH) * rng.choice([-1, 1])
        half = _log_uniform(rng, 0.1, 0.7) * seen
        centre, share = rng.uniform(view.start, view.end), rng.uniform(0.1, 0.6)
        low, high = max(centre - half, view.start), min(centre + half, view.end)
        knots = np.linspace(low, high, 33) / view.length
        profile = self_affine_profile(
            knots * view.length, length=2 * half, shortest=half / 8, hurst=0.75, rng=rng
        )
        taper = np.sqrt(np.clip(1 - ((knots * view.length - centre) / half) ** 2, 0, 1))
        got = _taken(view, knots, share * taper)
        aside = offset * (1 + 0.1 * np.clip(profile, -3, 3))
        found.append(_strand(view, "parallel", knots, aside, got, 0.0, _depth(view, abs(offset))))
    return found


def _draw_splays(rng: np.random.Generator, view: _View, complexity: float) -> list[Strand]:
    """Return strands that branch off."""
    found = []
    for _ in range(rng.poisson(complexity)):
        length = 650.0 * 10 ** (0.5 * float(np.clip(rng.normal(), -2, 2)))
        length = float(np.clip(length, 10 * view.pixel, 0.5 * (view.end - view.start)))
        angle = math.radians(float(np.clip(abs(18 * rng.normal()), 4, 50)))
        side, forward = rng.choice([-1, 1], 2)
        start, share = rng.uniform(view.start, view.end), rng.uniform(0.1, 0.5)
        run = length * math.cos(angle)
        low, high = (start, start + run) if forward > 0 else (start - run, start)
        low, high = max(low, view.start), min(high, view.end)
        if high - low < 5 * view.pixel:
            continue
        knots = np.linspace(low, high, 17) / view.length
        away = np.abs(knots * view.length - start)
        got = _taken(view, knots, share * np.sqrt(np.clip(1 - away / run, 0, 1)))
        # It leaves the fault at an angle that falls to two thirds towards its tip.
        aside = side * math.tan(angle) * away * (1 - away / (3 * run))
        depth = _depth(view, float(np.max(np.abs(aside))))
        found.append(_strand(view, "splay", knots, aside, got, 0.0, depth))
    return found


def _draw_cracks(
    rng: np.random.Generator, view: _View, complexity: float, width: float
) -> list[Strand]:
    """Return short cracks near the fault."""
    found = []
    for _ in range(rng.poisson(8 * complexity)):
        length = min(_log_uniform(rng, 8, 60) * view.pixel, 0.2 * (view.end - view.start))
        angle = math.radians(float(np.clip(15 * rng.normal(), -45, 45)))
        away = rng.exponential(0.5 * width + 5 * view.pixel) * rng.choice([-1, 1])
        centre = rng.uniform(view.start + length, view.end - length)
        share = _log_uniform(rng, 0.01, 0.15)
        knots = (centre + length * np.linspace(-0.5, 0.5, 7)) / view.length
        got = _taken(view, knots, share * np.sqrt(1 - np.linspace(-1, 1, 7) ** 2))
        limit = view.deepest / _DEPTH
        aside = np.clip(away, -limit, limit) + math.tan(angle) * length * np.linspace(-0.5, 0.5, 7)
        found.append(_strand(view, "crack", knots, aside, got, 0.0, max(0.5 * length, view.pixel)))
    return found
