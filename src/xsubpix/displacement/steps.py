"""Motion of the two sides of a rupture as a linear model, to be told from a trend."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..checks import real_number
from ..errors import ModelError
from ..kernels.robust import HUBER, huber_fit
from ..rupture.elastic import surface_displacement

if TYPE_CHECKING:
    from ..grid import Plane
    from .field import Field
    from .traces import Trace

__all__ = ["Steps", "depth_of_slip", "likeliest", "steps_beside", "with_depths"]

# A trace that ends nearer to the border than this share of the field goes on beyond it.
_BORDER = 0.05
# How far it then goes on, lengths of the field.
_BEYOND = 1e3
# Parts of a rupture that ends within the field; each has a slip of its own.
_PARTS = 8
# Most edges of a trace that are summed over; of dislocations, which cost more.
_EDGES, _ELASTIC_EDGES = 200, 32
# About how many pixels parts are fitted to, and dislocations.
_PART_SAMPLES, _ELASTIC_SAMPLES = 20_000, 4000
# And one pair of constants.
_SAMPLES = 200_000
# Depths that are tried where none is given, in lengths of the field; each is then halved
# about so often. Pixels that they are compared by, and how much better than constants one
# must fit for each further term, shares of the values.
_DEPTHS, _REFINED = np.geomspace(0.05, 2.0, 7), 3
_COMPARED, _PENALTY = 800, 3.0
# Pixels between the places where the model is computed, away from the trace.
_COARSE = 8


def depth_of_slip(depth: float | None, trace: Any) -> float | None:
    """Depth in metres, checked before the trace is read.

    Raises
    ------
    ModelError
        A depth without a trace, or one that is not above 0.
    """
    if depth is None:
        return None
    if trace is None:
        raise ModelError(f"depth={depth!r} is that of a fault: give its trace= too.")
    return real_number("depth", depth, 0.0, above=True)


def steps_beside(field: Field, line: Trace | None, depth: float | None) -> Steps | None:
    """Model of the motion of a trace's two sides; None without a trace."""
    return None if line is None else Steps.of(line, field.plane, field.grid.shape, depth)


def with_depths(field: Field, line: Trace, constants: Steps) -> tuple[Steps, ...]:
    """Models of a trace's two sides for an unknown depth: constants, then dislocations."""
    size = field.plane.pixel * max(field.grid.shape)
    depths = (float(size * share) for share in _DEPTHS)
    slipped = (Steps.of(line, field.plane, field.grid.shape, depth) for depth in depths)
    return constants, *slipped


def likeliest(
    models: tuple[Steps, ...],
    x: np.ndarray,
    y: np.ndarray,
    surfaces: np.ndarray,
    values: np.ndarray,
) -> Steps:
    """Model of some that fits displacement best; constants unless another is clearly better.

    Parameters
    ----------
    models : tuple of Steps
        Constants, then dislocations by depth.
    x, y : numpy.ndarray, shape (n,)
        Places on the plane.
    surfaces : numpy.ndarray, shape (terms, n)
    values : numpy.ndarray, shape (2, n)
        East and north.
    """
    if len(models) == 1:
        return models[0]
    rng = np.random.default_rng(0)
    thin = rng.choice(x.size, min(x.size, _COMPARED), replace=False)
    x, y, surfaces, values = x[thin], y[thin], surfaces[:, thin], values[:, thin]

    def misfit(model: Steps) -> np.ndarray:
        shapes = model.shapes(x, y)
        coefficients, slips = model.fit(shapes, surfaces, values)
        return values - coefficients @ surfaces - np.tensordot(slips, shapes, 1)

    residuals = [(model, misfit(model)) for model in models]
    scale = max(min(1.4826 * float(np.median(np.abs(r))) for _, r in residuals), 1e-12)

    def loss(residual: np.ndarray) -> float:
        size = np.abs(residual) / scale
        return float(np.where(size < HUBER, size**2, HUBER * (2 * size - HUBER)).mean())

    constants, *others = [(loss(r), model) for model, r in residuals]
    depths = {model.depth or 0.0: (value, model) for value, model in others}
    step = math.sqrt(_DEPTHS[1] / _DEPTHS[0])
    for _ in range(_REFINED):
        best = min(depths.values(), key=lambda pair: pair[0])[1]
        for factor in (step, 1 / step):
            near = best.at_depth((best.depth or 1.0) * factor)
            depths[near.depth or 0.0] = (loss(misfit(near)), near)
        step = math.sqrt(step)
    value, best = min(depths.values(), key=lambda pair: pair[0])
    more = 2 * int(best.part[-1] - constants[1].part[-1])
    enough = 1.0 - _PENALTY * max(more, 1) / values.size
    return best if value < enough * constants[0] else constants[1]


@dataclasses.dataclass(frozen=True, eq=False)
class Steps:
    r"""Displacement of the ground beside a rupture, by unit slip on its parts.

    Without a depth each part has a step of its own in east and in north: harmonic on the map,
    it jumps by one across the part, from -1/2 on the left of the trace to 1/2 on the right,

    .. math:: u = \theta / 2 \pi,

    with theta the angle under which the part is seen: constant on either side of a trace
    that crosses the field (one part), eight parts where it ends within. With a depth each
    part is a vertical dislocation in an elastic half-space
    (:func:`~xsubpix.rupture.elastic.surface_displacement`) that slips along strike and along
    dip; on an endless trace, along strike,

    .. math:: u = \tfrac1\pi \arctan(D / x)

    at the distance x. A trace that ends at the border of the field goes on straight; with a
    depth, one that ends farther out ends there.

    Attributes
    ----------
    edges : numpy.ndarray, shape (n, 2, 2)
        Ends (x, y) of the straight edges of the trace, metres.
    part : numpy.ndarray of int, shape (n,)
        Part that an edge belongs to, from 0.
    depth : float or None
        Metres.
    """

    edges: np.ndarray
    part: np.ndarray
    depth: float | None

    @classmethod
    def of(
        cls, trace: Trace, plane: Plane, shape: tuple[int, int], depth: float | None = None
    ) -> Steps:
        """Build the model of a trace on a field of a shape."""
        size = plane.pixel * max(shape)
        reach = _BEYOND * size if depth is None else 10 * (size + depth)
        edges: list[np.ndarray] = []
        part: list[np.ndarray] = []
        for line in trace.segments:
            tip = [_is_tip(p, plane, shape, depth is not None) for p in (line[0], line[-1])]
            parts = _PARTS if any(tip) or depth is not None else 1
            if depth is not None:
                line, own = _divided(line, plane, shape)
            else:
                line = _resampled(line, parts, _EDGES)
                count = len(line) - 1
                own = np.arange(count) * parts // count
            if not tip[0]:
                line = np.vstack([line[0] + reach * _unit(line[0] - line[1]), line])
                own = np.append(own[0], own)
            if not tip[1]:
                line = np.vstack([line, line[-1] + reach * _unit(line[-1] - line[-2])])
                own = np.append(own, own[-1])
            edges.append(np.stack([line[:-1], line[1:]], axis=1))
            part.append(own + (part[-1][-1] + 1 if part else 0))
        return cls(np.concatenate(edges), np.concatenate(part), depth)

    def __dask_tokenize__(self) -> tuple[object, ...]:
        """Key that distinguishes two models in a graph."""
        return ("Steps", self.edges.tolist(), self.part.tolist(), self.depth)

    def at_depth(self, depth: float) -> Steps:
        """The same dislocations to another depth."""
        return dataclasses.replace(self, depth=depth)

    @property
    def words(self) -> str:
        """The model in a few words, for attributes."""
        parts = int(self.part[-1]) + 1
        if self.depth is None:
            return "constants" if parts == 1 else f"slip in {parts} parts"
        return f"slip in {parts} parts to a depth of {self.depth:g}"

    def shapes(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """East and north at points of the plane by each unit of slip, shape (terms, 2, n)."""
        return self._flat(x, y) if self.depth is None else self._elastic(x, y)

    def _flat(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        seen = np.zeros((int(self.part[-1]) + 1, x.size))
        for k, (a, b) in zip(self.part, self.edges, strict=True):
            ax, ay, bx, by = a[0] - x, a[1] - y, b[0] - x, b[1] - y
            seen[k] -= np.arctan2(ax * by - ay * bx, ax * bx + ay * by) / (2 * np.pi)
        out = np.zeros((2, len(seen), 2, x.size))
        out[0, :, 0] = out[1, :, 1] = seen
        return out.reshape(2 * len(seen), 2, x.size)

    def _elastic(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        assert self.depth is not None
        # An observation on the trace itself has no displacement.
        points = np.column_stack([x, y]) + 1e-3
        out = np.zeros((int(self.part[-1]) + 1, 2, 2, x.size))
        for k in range(len(out)):
            corners = _rectangles(self.edges[self.part == k], self.depth)
            for term, slip in enumerate(np.eye(3)[:2]):
                moved = surface_displacement(points, corners, np.tile(slip, (len(corners), 1)))
                out[k, term] = moved[:, :2].T
        return np.nan_to_num(out.reshape(2 * len(out), 2, x.size))

    @property
    def samples(self) -> int:
        """About how many pixels are enough to fit to."""
        if self.depth is not None:
            return _ELASTIC_SAMPLES
        return _PART_SAMPLES if self.part[-1] > 0 else _SAMPLES

    @staticmethod
    def fit(
        shapes: np.ndarray, surfaces: np.ndarray, values: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Fit surfaces and slips to displacement together, under Huber's loss.

        Parameters
        ----------
        shapes : numpy.ndarray, shape (parts, 2, n)
        surfaces : numpy.ndarray, shape (terms, n)
        values : numpy.ndarray, shape (2, n)
            East and north.

        Returns
        -------
        surfaces : numpy.ndarray, shape (2, terms)
            Coefficients of both components.
        slips : numpy.ndarray, shape (parts,)
        """
        terms, count = surfaces.shape
        design = np.zeros((2, count, 2 * terms + len(shapes)))
        design[0, :, :terms] = design[1, :, terms : 2 * terms] = surfaces.T
        design[:, :, 2 * terms :] = shapes.transpose(1, 2, 0)
        fit = huber_fit(design.reshape(2 * count, -1), values.ravel())
        return fit.coefficients[: 2 * terms].reshape(2, terms), fit.coefficients[2 * terms :]

    def on_grid(self, plane: Plane, shape: tuple[int, int]) -> Callable[[np.ndarray], np.ndarray]:
        """East and north at all pixels as a function of slips.

        Shapes are computed pixel by pixel near the trace, where they bend or jump, and
        interpolated elsewhere.

        Parameters
        ----------
        plane : Plane
        shape : (int, int)

        Returns
        -------
        callable
            From slips (parts,) to the displacement (2, rows, cols).
        """
        from scipy.ndimage import binary_dilation, map_coordinates

        nodes = [np.append(np.arange(0, n, _COARSE), n - 1 + _COARSE) for n in shape]
        x, y = np.broadcast_arrays(*plane.at(nodes[0][:, None], nodes[1][None, :]))
        coarse = self.shapes(x.ravel(), y.ravel())
        place = [
            np.interp(np.arange(n), node, np.arange(len(node)))
            for n, node in zip(shape, nodes, strict=True)
        ]
        at = np.meshgrid(*place, indexing="ij")
        crossed = self._crossed(plane, shape)
        near = binary_dilation(crossed, np.ones((3, 3)), iterations=_COARSE)
        rows, cols = np.nonzero(near)
        exact = self.shapes(*plane.at(rows, cols))

        def displacement(slips: np.ndarray) -> np.ndarray:
            far = np.tensordot(slips, coarse, 1)
            out = np.stack([map_coordinates(c.reshape(x.shape), at, order=1) for c in far])
            out[:, rows, cols] = np.tensordot(slips, exact, 1)
            return out

        return displacement

    def _crossed(self, plane: Plane, shape: tuple[int, int]) -> np.ndarray:
        """Pixels that the trace crosses, those beside the field at its border."""
        crossed = np.zeros(shape, bool)
        for a, b in self.edges:
            rows, cols = plane.index(*np.stack([a, b], axis=1))
            ends = _clipped(np.stack([rows, cols], axis=1), shape, 2 * _COARSE)
            if ends is not None:
                count = int(np.ceil(np.abs(ends[1] - ends[0]).max())) + 2
                index = np.rint(np.linspace(ends[0], ends[1], count)).astype(int)
                crossed[tuple(i.clip(0, n - 1) for i, n in zip(index.T, shape, strict=True))] = True
        return crossed


def _rectangles(edges: np.ndarray, depth: float) -> np.ndarray:
    """Two triangles (east, north, up) below each edge, shape (2 n, 3, 3)."""
    a, b = (np.column_stack([edges[:, k], np.zeros(len(edges))]) for k in (0, 1))
    down = np.array([0.0, 0.0, -depth])
    return np.concatenate([np.stack([a, b, b + down], 1), np.stack([a, b + down, a + down], 1)])


def _unit(step: np.ndarray) -> np.ndarray:
    return np.asarray(step / np.hypot(*step))


def _is_tip(point: np.ndarray, plane: Plane, shape: tuple[int, int], outside: bool) -> bool:
    """True for an end of a trace away from the border of a field: within it, or on either side."""
    place, size = np.array(plane.index(point[0], point[1])), np.array(shape)
    margin = _BORDER * min(shape)
    within = ((place > margin) & (place < size - 1 - margin)).all()
    beyond = ((place < -margin) | (place > size - 1 + margin)).any()
    return bool(within or (outside and beyond))


def _divided(
    line: np.ndarray, plane: Plane, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Edges of a line in eight parts within the field, and one before and after it.

    Returns the vertices, and the part of each edge.
    """
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    at = np.linspace(0, along[-1], 2000)
    place = plane.index(*(np.interp(at, along, line[:, k]) for k in (0, 1)))
    inside = np.all([(p >= 0) & (p <= n - 1) for p, n in zip(place, shape, strict=True)], axis=0)
    first, last = (at[inside][0], at[inside][-1]) if inside.any() else (0.0, along[-1])
    bounds = np.linspace(first, last, _PARTS + 1)
    edges = 1 if len(line) == 2 else _ELASTIC_EDGES // _PARTS
    spans = [np.linspace(0, first, edges + 1), np.linspace(first, last, edges * _PARTS + 1),
             np.linspace(last, along[-1], edges + 1)]  # fmt: skip
    nodes = np.unique(np.round(np.concatenate(spans), 6))
    part = np.searchsorted(bounds, (nodes[1:] + nodes[:-1]) / 2)
    part = np.unique(part, return_inverse=True)[1]
    return np.column_stack([np.interp(nodes, along, line[:, k]) for k in (0, 1)]), part


def _resampled(line: np.ndarray, parts: int, most: int) -> np.ndarray:
    """A line of at most so many edges, and a multiple of so many parts."""
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    if parts == 1 and len(line) <= most:
        return line
    count = parts if len(line) == 2 else most // parts * parts
    at = np.linspace(0, along[-1], count + 1)
    return np.column_stack([np.interp(at, along, line[:, k]) for k in (0, 1)])


def _clipped(ends: np.ndarray, shape: tuple[int, int], margin: int) -> np.ndarray | None:
    """Part of an edge (row, col) within a field and a margin around it (Liang & Barsky)."""
    low, high = 0.0, 1.0
    step = ends[1] - ends[0]
    for k in (0, 1):
        lower, upper = -margin - ends[0, k], shape[k] + margin - ends[0, k]
        if step[k] == 0:
            if lower > 0 or upper < 0:
                return None
            continue
        near, far = sorted((lower / step[k], upper / step[k]))
        low, high = max(low, near), min(high, far)
    return None if low > high else ends[0] + np.outer([low, high], step)
