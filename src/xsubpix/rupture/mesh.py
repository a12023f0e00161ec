"""Triangles on a fault: small at the top edge, larger below, and without gaps."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from .elastic import slip_components
from .fault import Fault
from .segment import Segment
from .strand import Strand
from .trace import arc_length, unit_vectors

__all__ = ["Mesh", "fault_mesh"]

# Triangles, Burgers vectors and top edges of a plane.
_Piece = tuple[np.ndarray, np.ndarray, np.ndarray]


# Each row of triangles is this much higher than the one above it ...
_ROW_GROWTH = 1.6
# ... but no higher than this share of the width.
_LARGEST_ROW = 1 / 8
# Vertices of strands that do not break the surface are this share of their depth apart, and as
# much as the uppermost triangles are high.
_COARSE = 0.25
# The direction of slip follows the trace smoothed over this share of a segment.
_DIRECTION_WINDOW = 0.2


class Mesh(NamedTuple):
    """Triangular dislocations.

    Attributes
    ----------
    triangles : numpy.ndarray
        Vertices (east, north, up), metres, relative to `origin`, shape
        ``(n, 3, 3)``; the normal points into the hanging wall.
    slips : numpy.ndarray
        Slip of the hanging wall over the footwall in cutde's components
        (strike, positive left-lateral; dip, positive reverse; tensile,
        positive opening), metres, shape ``(n, 3)``.
    top_edges : numpy.ndarray
        Ground ends of those triangles that break the surface, relative to
        `origin`, in the direction of the strike, shape ``(n, 2, 2)``; NaN for
        the other triangles.
    origin : numpy.ndarray
        Midpoint of the fault's trace, shape ``(2,)``, metres: coordinates near
        0 keep the digits that a large northing would use up.

    Examples
    --------
    >>> import numpy as np
    >>> triangle = np.array([[[0.0, 0.0, 0.0], [0.0, 1e3, 0.0], [0.0, 0.0, -1e3]]])
    >>> mesh = Mesh(triangle, np.ones((1, 3)), np.full((1, 2, 2), np.nan), np.zeros(2))
    >>> mesh.triangles.shape
    (1, 3, 3)
    """

    triangles: np.ndarray
    slips: np.ndarray
    top_edges: np.ndarray
    origin: np.ndarray


def fault_mesh(fault: Fault) -> Mesh:
    """Cut a fault into triangles.

    The uppermost row stands on the trace's own vertices and is as high as
    ``fault.element_size`` (half of the depth of the top edge, if that is
    more). Each row below is 1.6 times higher, up to 1/8 of the width, and keeps
    only as many of the vertices above it as its height asks for. Rows share
    their vertices: there are no gaps, and no vertex lies inside of an edge.

    The slip vector is that of the smoothed trace, so it turns continuously
    along strike: with one direction per triangle, each corner of the trace
    would be a line of opening or overlap down into the ground. Where the trace
    is oblique to the slip the triangles open or close accordingly.

    Strands are planes of their own; what they have of a segment's slip is taken from the
    segment by triangles on its plane that slip the other way.

    Parameters
    ----------
    fault : Fault
        What to cut.

    Returns
    -------
    Mesh
        Triangles that slip by less than 1e-9 of the largest slip are left out.

    Examples
    --------
    >>> from xsubpix.rupture import Fault, fault_mesh
    >>> fault = Fault.straight(0.0, 0.0, strike=0.0, length=20e3, dip=90.0, rake=180.0,
    ...                        width=12e3, slip=2.0)
    >>> mesh = fault_mesh(fault)
    >>> mesh.triangles.shape[1:], bool((mesh.triangles[..., 2] <= 0).all())
    ((3, 3), True)
    """
    everything = np.concatenate(fault.traces)
    origin = np.round(0.5 * (everything.min(axis=0) + everything.max(axis=0)))
    pieces = [
        piece
        for k, segment in enumerate(fault.segments)
        for piece in (
            _segment_mesh(fault, segment, origin),
            *_strand_meshes(fault, segment, origin, [s for s in fault.strands if s.segment == k]),
        )
    ]
    triangles, burgers, edges = (np.concatenate(part) for part in zip(*pieces, strict=True))
    slipping = np.linalg.norm(burgers, axis=1) > 1e-9 * fault.max_slip
    triangles, burgers, edges = triangles[slipping], burgers[slipping], edges[slipping]
    return Mesh(triangles, slip_components(triangles, burgers), edges, origin)


def _segment_mesh(fault: Fault, segment: Segment, origin: np.ndarray) -> _Piece:
    """Return triangles, Burgers vectors and top edges of one segment."""
    trace = segment.vertices - origin
    along = arc_length(trace)
    depths = _row_positions(max(fault.element_size, 0.5 * fault.top_depth), fault.width)

    def slip_at(distance: np.ndarray, down: np.ndarray) -> np.ndarray:
        return segment.slip_at(distance / along[-1], down / fault.width)

    return _plane_mesh(fault, trace, depths, slip_at, (trace, along, 0.0))


def _strand_meshes(
    fault: Fault, segment: Segment, origin: np.ndarray, strands: list[Strand]
) -> Iterator[_Piece]:
    """Return what strands add to a segment's mesh: their planes, and what its plane lacks.

    What is taken from the segment is slip against its own direction on the part of its plane
    that is above the strands' bottom.
    """
    trace = segment.vertices - origin
    along = arc_length(trace)
    same_depth: dict[tuple[float, tuple[float, ...]], list[Strand]] = {}
    for strand in strands:
        same_depth.setdefault((strand.bottom, strand.positions), []).append(strand)
    for (bottom, _), beside in same_depth.items():
        places, points, _ = beside[0].beside(trace)
        share = np.sum([strand.share_at(places) for strand in beside], axis=0)
        row = min(_first_row(fault, strand) for strand in beside)
        slip_at = functools.partial(
            _shared_slip, fault, segment, arc_length(points), places, -share
        )
        line = trace, along, float(places[0] * along[-1])
        yield _plane_mesh(fault, points, _row_positions(row, bottom), slip_at, line)
        for strand in beside:
            places, _, vertices = strand.beside(trace)
            if strand.is_smooth:
                kept = _thinned(
                    arc_length(vertices), max(strand.top, _COARSE * bottom, fault.element_size)
                )
                places, vertices = places[kept], vertices[kept]
            length = arc_length(vertices)
            depths = strand.top + _row_positions(_first_row(fault, strand), bottom - strand.top)
            slip_at = functools.partial(
                _shared_slip, fault, segment, length, places, strand.share_at(places)
            )
            yield _plane_mesh(fault, vertices, depths, slip_at, (vertices, length, 0.0))


def _shared_slip(
    fault: Fault,
    segment: Segment,
    length: np.ndarray,
    places: np.ndarray,
    share: np.ndarray,
    along: np.ndarray,
    down: np.ndarray,
) -> np.ndarray:
    """Return a share of a segment's slip at distances along and down a plane beside it, metres.

    `places` and `share` belong to the distances `length` along that plane.
    """
    fraction = np.interp(along, length, places)
    return np.interp(along, length, share) * segment.slip_at(fraction, down / fault.width)


def _first_row(fault: Fault, strand: Strand) -> float:
    """Return the height of a strand's uppermost triangles, metres."""
    return max(fault.element_size, 0.5 * strand.top)


def _plane_mesh(
    fault: Fault,
    trace: np.ndarray,
    depths: np.ndarray,
    slip_at: Callable[[np.ndarray, np.ndarray], np.ndarray],
    line: tuple[np.ndarray, np.ndarray, float],
) -> _Piece:
    """Return triangles, Burgers vectors and top edges of the plane below a trace.

    Parameters
    ----------
    fault : Fault
        Gives dip and rake.
    trace : numpy.ndarray
        Vertices, metres from the origin, shape ``(n, 2)``.
    depths : numpy.ndarray
        Distances down dip of the rows of vertices, metres below the fault's top edge.
    slip_at : callable
        Slip, metres, at distances along the trace and at distances down dip, metres.
    line : tuple of numpy.ndarray
        Vertices and their distances along a line that gives the direction of slip, and the
        distance at which `trace` begins.
    """
    along = arc_length(trace)
    down_dip = fault.down_dip
    rows = _row_vertices(along, depths)

    corners: list[tuple[tuple[int, int], ...]] = []
    for k in range(len(rows) - 1):
        corners.extend(_strip(rows[k], rows[k + 1], along, k))
    index = np.array(corners)  # (n, 3 corners, (vertex of the trace, row))
    vertex, row = index[..., 0], index[..., 1]
    down = depths[row]
    triangles = np.empty((*vertex.shape, 3))
    triangles[..., :2] = trace[vertex] + down[..., None] * down_dip[:2]
    triangles[..., 2] = -fault.top_depth + down * down_dip[2]

    _, right = unit_vectors(fault.strike)
    dip = math.radians(fault.dip)
    hanging = np.array([*(math.sin(dip) * right), math.cos(dip)])
    normal = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    turned = normal @ hanging < 0
    triangles[turned] = triangles[turned][:, [0, 2, 1]]

    edges = np.full((len(triangles), 2, 2), np.nan)
    if not fault.is_blind and depths[0] == 0:
        # A triangle with two corners in the top row has them first: see _strip.
        surface = (row == 0).sum(axis=1) == 2
        edges[surface] = trace[vertex[surface, :2]]

    distance = along[vertex].mean(axis=1)
    slip = slip_at(distance, down.mean(axis=1))
    rake = math.radians(fault.rake)
    tangent = _smooth_tangent(line[0], line[1], line[2] + distance)
    direction = -math.sin(rake) * down_dip + math.cos(rake) * np.pad(tangent, ((0, 0), (0, 1)))
    return triangles, slip[:, None] * direction, edges


def _row_positions(height: float, width: float) -> np.ndarray:
    """Return the distances down dip of the rows of vertices, from 0 to the width."""
    height = min(height, width)
    limit = max(height, _LARGEST_ROW * width)
    heights: list[float] = []
    while sum(heights) < width * (1 - 1e-9):
        heights.append(height)
        height = min(height * _ROW_GROWTH, limit)
    positions = np.concatenate([[0.0], np.cumsum(heights)])
    return positions * (width / positions[-1])


def _thinned(along: np.ndarray, apart: float) -> np.ndarray:
    """Return which of the vertices to keep: both ends, and others `apart` or more."""
    kept = [0]
    for k in range(1, len(along) - 1):
        if along[k] - along[kept[-1]] >= apart:
            kept.append(k)
    return np.array([*kept, len(along) - 1])


def _row_vertices(along: np.ndarray, depths: np.ndarray) -> list[np.ndarray]:
    """Return which of the trace's vertices each row keeps; each a subset of the one above."""
    heights = np.diff(depths)
    rows = [np.arange(len(along))]
    for k in range(1, len(depths)):
        spacing = heights[k - 1] if k == len(heights) else 0.5 * (heights[k - 1] + heights[k])
        chosen = [0]
        for candidate in rows[-1][1:-1]:
            if along[candidate] - along[chosen[-1]] >= spacing:
                chosen.append(int(candidate))
        if len(chosen) > 1 and along[-1] - along[chosen[-1]] < 0.5 * spacing:
            chosen.pop()
        rows.append(np.array([*chosen, len(along) - 1]))
    return rows


def _strip(
    upper: np.ndarray, lower: np.ndarray, along: np.ndarray, row: int
) -> list[tuple[tuple[int, int], ...]]:
    """Return triangles between two rows, as corners (vertex of the trace, row).

    Walks along both rows at once and always steps on the one that lags behind.
    Triangles that stand on the upper row name its two corners first.
    """
    i = j = 0
    triangles: list[tuple[tuple[int, int], ...]] = []
    while i < len(upper) - 1 or j < len(lower) - 1:
        step_up = j == len(lower) - 1 or (
            i < len(upper) - 1 and along[upper[i + 1]] <= along[lower[j + 1]]
        )
        above, below = (int(upper[i]), row), (int(lower[j]), row + 1)
        if step_up:
            i += 1
            triangles.append((above, (int(upper[i]), row), below))
        else:
            j += 1
            triangles.append((below, (int(lower[j]), row + 1), above))
    return triangles


def _smooth_tangent(trace: np.ndarray, along: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """Return unit tangents of the trace seen over a window, shape ``(n, 2)``."""
    half = 0.5 * _DIRECTION_WINDOW * along[-1]
    before = np.clip(distance - half, 0, None)
    after = np.clip(distance + half, None, along[-1])
    chord = np.column_stack(
        [np.interp(after, along, axis) - np.interp(before, along, axis) for axis in trace.T]
    )
    return chord / np.linalg.norm(chord, axis=1, keepdims=True)
