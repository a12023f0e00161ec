"""A rupture's displacement on a pixel grid, from few evaluations.

The field of a triangle is smooth away from its edges, the more so the further
away. So the grid is cut into square cells on a fixed lattice, each of which is
halved until it is far, for its size, from a triangle; there that triangle's
field is evaluated at a few Chebyshev nodes of the cell and interpolated by the
polynomial through them. What is still close when cells are 8 pixels wide is
evaluated at each pixel. This is the interpolation that fast multipole methods
make far from sources (Fong & Darve 2009, Journal of Computational Physics,
228, 8712-8725).

A triangle is only ever interpolated over cells that it does not come near, so
nothing is interpolated across the trace: no question of sides arises, not even
at tips, corners and steps, and the jump falls where the triangles are. Deep
and buried parts are far from everything and cost next to nothing.

Which triangles are far from a cell depends on that cell only, and a pixel's
value on the cells around it: a window of the grid gives the same bits as the
whole.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import NamedTuple

import numpy as np

from ..errors import FaultError
from .elastic import check_poisson, pair_displacement, surface_displacement
from .fault import Fault
from .mesh import Mesh, fault_mesh

__all__ = ["GridSampler", "displacement_at", "displacement_on_grid"]

#: Affine coefficients (a, b, c, d, e, f), as in the package ``affine``.
Affine = tuple[float, float, float, float, float, float]

_ROOT = 1024  # pixels; the largest cell
_FLAT = 64  # pixels; the largest cell whose polynomial is turned into pixels
_LEAF = 8  # pixels; cells of this size evaluate what is near at each pixel
# Chebyshev nodes along a side of a cell, by its size. Large cells are few, so
# that more nodes cost little there; for buried faults they carry the whole field.
_ORDER = {1024: 7, 512: 7, 256: 6, 128: 5, 64: 5, 32: 5, 16: 5, 8: 5}
# A triangle is far from a cell if its distance from the cell's centre is this
# many times half of the cell's side, or more.
_FAR = 2.5
# A pixel centre this close to the trace (in pixels) is moved off it.
_NUDGE = 1e-4


def displacement_at(
    fault: Fault, x: np.ndarray, y: np.ndarray, *, poisson: float = 0.25
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the displacement at scattered points, all triangles at each.

    Parameters
    ----------
    fault : Fault
        The rupture.
    x, y : numpy.ndarray
        Positions, metres, in the fault's coordinates; same shape.
    poisson : float
        Poisson's ratio.

    Returns
    -------
    east, north, up : numpy.ndarray
        Metres, float64, the shape of `x`. NaN exactly on a trace that breaks
        the surface.

    Examples
    --------
    >>> from xsubpix.rupture import Fault, displacement_at
    >>> fault = Fault.straight(0.0, 0.0, strike=0.0, length=20e3, dip=90.0, rake=180.0,
    ...                        width=12e3, slip=2.0)
    >>> east, north, up = displacement_at(fault, [-100.0, 100.0], [0.0, 0.0])
    >>> bool(north[0] > 0.5), bool(north[1] < -0.5)  # right-lateral: the west goes north
    (True, True)
    """
    mesh = fault_mesh(fault)
    x, y = np.broadcast_arrays(np.asarray(x, float), np.asarray(y, float))
    points = np.column_stack([x.ravel(), y.ravel()]) - mesh.origin
    values = surface_displacement(points, mesh.triangles, mesh.slips, poisson)
    east, north, up = values.T.reshape(3, *x.shape)
    return east, north, up


def displacement_on_grid(
    fault: Fault,
    affine: Affine,
    shape: tuple[int, int],
    *,
    window: tuple[int, int, int, int] | None = None,
    poisson: float = 0.25,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the displacement at the pixel centres of a grid, or of a window of it.

    Parameters
    ----------
    fault : Fault
        The rupture, in the grid's coordinates.
    affine : tuple of float
        ``(a, b, c, d, e, f)``: the point ``(column, row)`` lies at
        ``x = a column + b row + c``, ``y = d column + e row + f``, metres,
        whole numbers being pixel corners. May be rotated.
    shape : tuple of int
        Rows and columns of the grid.
    window : tuple of int, optional
        ``(row_start, row_stop, column_start, column_stop)``; the whole grid by
        default. The same bits as the whole, cut.
    poisson : float
        Poisson's ratio of the half-space.

    Returns
    -------
    east, north, up : numpy.ndarray
        Metres, float32, the shape of the window: where the ground at each
        pixel's centre went. Finite everywhere. A centre within 1e-4 pixels of
        a trace that breaks the surface is moved to 1e-4 pixels of it, on its
        own side, or on the right-hand side of the strike if it lies on the
        trace exactly.

    Raises
    ------
    FaultError
        If the affine cannot be inverted, or the window leaves the grid.

    Examples
    --------
    >>> from xsubpix.rupture import Fault, displacement_on_grid
    >>> fault = Fault.straight(0.0, 0.0, strike=0.0, length=20e3, dip=90.0, rake=180.0,
    ...                        width=12e3, slip=2.0)
    >>> affine = (500.0, 0.0, -10e3, 0.0, -500.0, 10e3)
    >>> east, north, up = displacement_on_grid(fault, affine, (40, 40))
    >>> north.shape, bool(north[20, 19] > 0.5)
    ((40, 40), True)
    """
    rows, columns = shape
    window = (0, rows, 0, columns) if window is None else window
    row_start, row_stop, column_start, column_stop = window
    if not (0 <= row_start <= row_stop <= rows and 0 <= column_start <= column_stop <= columns):
        raise FaultError(f"window={window!r} leaves the grid of {rows} rows, {columns} columns.")
    coefficients = tuple(float(value) for value in tuple(affine)[:6])
    sampler = _sampler(fault, coefficients, float(poisson))  # type: ignore[arg-type]
    east, north, up = sampler(window)
    return east, north, up


class _Cells(NamedTuple):
    """Cells of one level: lattice indices, polynomials, and what is near them."""

    position: np.ndarray  # (n, 2), row and column of the cell on its level's lattice
    nodes: np.ndarray  # (n, 3, order, order), values at the Chebyshev nodes
    near_cell: np.ndarray  # (k,), sorted
    near_triangle: np.ndarray  # (k,)


@dataclasses.dataclass
class GridSampler:
    """The displacement of one fault on one grid, window by window.

    Parameters
    ----------
    fault : Fault
        The rupture.
    affine : tuple of float
        See :func:`displacement_on_grid`.
    poisson : float
        Poisson's ratio.

    Attributes
    ----------
    mesh : Mesh
        The triangles.
    evaluations : int
        Pairs of a triangle and a point evaluated so far, over all calls.

    Examples
    --------
    >>> from xsubpix.rupture import Fault, GridSampler
    >>> fault = Fault.straight(0.0, 0.0, strike=0.0, length=20e3, dip=90.0, rake=180.0,
    ...                        width=12e3, slip=2.0)
    >>> sampler = GridSampler(fault, (500.0, 0.0, -10e3, 0.0, -500.0, 10e3))
    >>> east, north, up = sampler((0, 20, 0, 40))
    >>> north.shape
    (20, 40)
    """

    fault: Fault
    affine: Affine
    poisson: float = 0.25
    mesh: Mesh = dataclasses.field(init=False, repr=False)
    evaluations: int = dataclasses.field(init=False, default=0)

    def __post_init__(self) -> None:
        check_poisson(self.poisson)
        a, b, _, d, e, _ = self.affine
        matrix = np.array([[a, b], [d, e]])
        if not np.all(np.isfinite(self.affine)) or abs(np.linalg.det(matrix)) < 1e-300:
            raise FaultError(f"affine={self.affine!r} does not map pixels to the ground.")
        self.mesh = fault_mesh(self.fault)
        # The longest ground distance that one pixel's side can span.
        self._pixel = float(np.linalg.norm(matrix, ord=2))

    def __call__(self, window: tuple[int, int, int, int]) -> np.ndarray:
        """Return (east, north, up) in a window.

        Parameters
        ----------
        window : tuple of int
            ``(row_start, row_stop, column_start, column_stop)``; may lie
            anywhere, also at negative indices.

        Returns
        -------
        numpy.ndarray
            Metres, float32, shape ``(3, rows, columns)``.
        """
        row_start, row_stop, column_start, column_stop = window
        out = np.zeros((3, row_stop - row_start, column_stop - column_start), np.float32)
        if out.size:
            # One root at a time: bounds the memory whatever the window.
            for root in _lattice(window, _ROOT):
                self._descend(root, window, out)
        return out

    def _descend(
        self, root: np.ndarray, window: tuple[int, int, int, int], out: np.ndarray
    ) -> None:
        """Fill `out` where the window meets one of the largest cells."""
        count = len(self.mesh.triangles)
        cells = _Cells(
            root[None],
            np.zeros((1, 3, _ORDER[_ROOT], _ORDER[_ROOT])),
            np.zeros(count, dtype=int),
            np.arange(count),
        )
        size = _ROOT
        while True:
            cells = self._add_far(cells, size)
            done = np.full(len(cells.position), size <= _FLAT)
            if size > _LEAF:
                done[cells.near_cell] = False
            if done.any():
                self._write(cells, size, done, window, out)
            if done.all():
                return
            cells = _halve(cells, ~done, size, window)
            size //= 2

    def _add_far(self, cells: _Cells, size: int) -> _Cells:
        """Add what is far from each cell to its polynomial; keep the rest as near."""
        centres = self._ground((cells.position + 0.5) * size)
        distance = _distance(centres[cells.near_cell], self.mesh.triangles[cells.near_triangle])
        far = distance >= _FAR * 0.5 * size * self._pixel
        if not far.any():
            return cells
        offset = 0.5 * (1 + _chebyshev_nodes(_ORDER[size])) * size
        values = self._evaluate(
            self._ground(_positions(cells.position, size, offset)),
            cells.near_cell[far],
            cells.near_triangle[far],
        )
        return cells._replace(
            nodes=cells.nodes + values,
            near_cell=cells.near_cell[~far],
            near_triangle=cells.near_triangle[~far],
        )

    def _write(
        self,
        cells: _Cells,
        size: int,
        done: np.ndarray,
        window: tuple[int, int, int, int],
        out: np.ndarray,
    ) -> None:
        """Turn the cells that are done into pixels of `out`."""
        to_pixels = _interpolation(_ORDER[size], (2 * np.arange(size) + 1) / size - 1)
        index = cells.position[done]
        values = to_pixels @ cells.nodes[done] @ to_pixels.T
        if size == _LEAF and len(cells.near_cell):
            values += self._direct(cells, size)
        row_start, row_stop, column_start, column_stop = window
        for (i, j), value in zip((index * size).tolist(), values, strict=True):
            top, bottom = max(i, row_start), min(i + size, row_stop)
            left, right = max(j, column_start), min(j + size, column_stop)
            out[
                :, top - row_start : bottom - row_start, left - column_start : right - column_start
            ] = value[:, top - i : bottom - i, left - j : right - j]

    def _direct(self, cells: _Cells, size: int) -> np.ndarray:
        """Return what is near the smallest cells, at each of their pixels."""
        positions = _positions(cells.position, size, np.arange(size) + 0.5)
        points = self._ground(positions)
        points = self._off_trace(points, cells, 1.0)
        values = self._evaluate(points, cells.near_cell, cells.near_triangle)
        reach = 2.0
        while not np.all(np.isfinite(values)) and reach < 1e4:
            # Moved off one edge of a corner, a point may have come onto another.
            again = self._evaluate(
                self._off_trace(points, cells, reach), cells.near_cell, cells.near_triangle
            )
            values = np.where(np.isfinite(values), values, again)
            reach *= 2
        return values

    def _off_trace(self, points: np.ndarray, cells: _Cells, reach: float) -> np.ndarray:
        """Move points that lie on the trace off it, to their own or the right-hand side."""
        limit = reach * _NUDGE * self._pixel
        edges = self.mesh.top_edges[cells.near_triangle]
        breaking = np.isfinite(edges[:, 0, 0])
        cell, edges = cells.near_cell[breaking], edges[breaking]
        start = edges[:, None, 0]
        along = edges[:, None, 1] - start
        length = np.linalg.norm(along, axis=-1, keepdims=True)
        along = along / length
        flat = points.reshape(len(points), -1, 2)
        offset = flat[cell] - start
        forward = np.sum(offset * along, axis=-1)
        left = along[..., 0] * offset[..., 1] - along[..., 1] * offset[..., 0]
        on = (np.abs(left) < limit) & (forward > -limit) & (forward < length[..., 0] + limit)
        if not on.any():
            return points
        flat = flat.copy()
        for pair, pixel in zip(*np.nonzero(on), strict=True):
            direction = along[pair, 0]
            to_left = np.array([-direction[1], direction[0]])
            side = 1.0 if left[pair, pixel] > 0 else -1.0
            flat[cell[pair], pixel] += (side * limit - left[pair, pixel]) * to_left
        return flat.reshape(points.shape)

    def _ground(self, position: np.ndarray) -> np.ndarray:
        """Return positions (row, column) of the grid in metres from the mesh's origin."""
        a, b, c, d, e, f = self.affine
        x, y = self.mesh.origin
        row, column = position[..., 0], position[..., 1]
        return np.stack([a * column + b * row + (c - x), d * column + e * row + (f - y)], axis=-1)

    def _evaluate(self, points: np.ndarray, cell: np.ndarray, triangle: np.ndarray) -> np.ndarray:
        """Return the field of pairs of a cell and a triangle at the points of each cell.

        Parameters
        ----------
        points : numpy.ndarray
            Shape ``(cells, m, m, 2)``, metres from the mesh's origin.
        cell, triangle : numpy.ndarray of int
            Shape ``(k,)``.

        Returns
        -------
        numpy.ndarray
            Shape ``(cells, 3, m, m)``, metres.
        """
        cells, m = points.shape[:2]
        pixels = np.arange(m * m)
        point = (cell[:, None] * (m * m) + pixels).ravel()
        self.evaluations += len(point)
        values = pair_displacement(
            points.reshape(-1, 2),
            self.mesh.triangles,
            self.mesh.slips,
            point,
            np.repeat(triangle, m * m),
            self.poisson,
        )
        return np.moveaxis(values.reshape(cells, m, m, 3), -1, 1)


@functools.lru_cache(maxsize=4)
def _sampler(fault: Fault, affine: Affine, poisson: float) -> GridSampler:
    """Return a sampler, kept so that the tiles of one image share its mesh."""
    return GridSampler(fault, affine, poisson)


def _lattice(window: tuple[int, int, int, int], size: int) -> np.ndarray:
    """Return the row and column indices of the cells of one size that meet a window."""
    row_start, row_stop, column_start, column_stop = window
    rows = np.arange(row_start // size, -(-row_stop // size))
    columns = np.arange(column_start // size, -(-column_stop // size))
    return np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1).reshape(-1, 2)


def _positions(index: np.ndarray, size: int, offset: np.ndarray) -> np.ndarray:
    """Return (row, column) of a square of points in each cell, ``(cells, m, m, 2)``."""
    m = len(offset)
    positions = np.empty((len(index), m, m, 2))
    positions[..., 0] = (index[:, 0, None] * size + offset)[:, :, None]
    positions[..., 1] = (index[:, 1, None] * size + offset)[:, None, :]
    return positions


def _halve(
    cells: _Cells, chosen: np.ndarray, size: int, window: tuple[int, int, int, int]
) -> _Cells:
    """Return those quarters of the chosen cells that meet the window."""
    half = size // 2
    nodes = _chebyshev_nodes(_ORDER[half])
    to_child = np.stack(
        [_interpolation(_ORDER[size], 0.5 * (nodes + side)) for side in (-1.0, 1.0)]
    )
    parent = np.flatnonzero(chosen)
    quarter = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    index = (2 * cells.position[parent, None] + quarter).reshape(-1, 2)
    parent, which = np.repeat(parent, 4), np.tile(quarter, (len(parent), 1))
    row_start, row_stop, column_start, column_stop = window
    low = index * half
    meets = np.all(low < [row_stop, column_stop], axis=1)
    meets &= np.all(low + half > [row_start, column_start], axis=1)
    index, parent, which = index[meets], parent[meets], which[meets]

    values = (
        to_child[which[:, 0], None]
        @ cells.nodes[parent]
        @ to_child[which[:, 1], None].swapaxes(-1, -2)
    )
    # The lists of near triangles are cut out of one array sorted by cell.
    count = np.bincount(cells.near_cell, minlength=len(cells.position))
    first = np.cumsum(count) - count
    length = count[parent]
    child = np.repeat(np.arange(len(parent)), length)
    within = np.arange(len(child)) - np.repeat(np.cumsum(length) - length, length)
    near = cells.near_triangle[first[parent][child] + within]
    return _Cells(index, values, child, near)


def _chebyshev_nodes(order: int) -> np.ndarray:
    """Return the Chebyshev nodes of the first kind, in [-1, 1], increasing."""
    return -np.cos(np.pi * (2 * np.arange(order) + 1) / (2 * order))


def _interpolation(order: int, position: np.ndarray) -> np.ndarray:
    """Return the matrix from values at the Chebyshev nodes to values at positions in [-1, 1]."""
    vander = np.polynomial.chebyshev.chebvander
    basis = vander(_chebyshev_nodes(order), order - 1)
    # The basis is orthogonal over these nodes: its inverse is its scaled transpose.
    inverse = basis.T * (2 / order)
    inverse[0] *= 0.5
    return vander(position, order - 1) @ inverse


def _distance(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Return the distance of points on the ground from triangles, pair by pair.

    Parameters
    ----------
    points : numpy.ndarray
        Shape ``(k, 2)``.
    triangles : numpy.ndarray
        Shape ``(k, 3, 3)``.

    Returns
    -------
    numpy.ndarray
        Shape ``(k,)``: to the nearest point of the triangle.
    """
    offset = -triangles
    offset[..., :2] += points[:, None]
    edges = np.roll(triangles, -1, axis=1) - triangles
    normal = np.cross(edges[:, 0], edges[:, 1])
    along = np.einsum("kij,kij->ki", offset, edges)
    along /= np.einsum("kij,kij->ki", edges, edges)
    gap = offset - np.clip(along, 0, 1)[..., None] * edges
    to_edges = np.sqrt(np.einsum("kij,kij->ki", gap, gap).min(axis=1))
    # Inside of the triangle's prism the nearest point is not on an edge.
    turn = np.einsum("kij,kj->ki", np.cross(edges, offset), normal)
    inside = np.all(turn >= 0, axis=1)
    height = np.abs(np.einsum("kj,kj->k", offset[:, 0], normal))
    height /= np.sqrt(np.einsum("kj,kj->k", normal, normal))
    return np.where(inside, height, to_edges)
