"""Displacement of the ground by triangular dislocations in an elastic half-space.

The solution is that of Nikkhoo & Walter (2015), Geophysical Journal
International, 201, 1119-1141, evaluated by ``cutde``, which runs on CUDA
(pycuda), on OpenCL (pyopencl) or on the CPU, whichever it finds first; the
environment variable ``CUTDE_USE_BACKEND`` (``cuda``, ``opencl`` or ``cpp``)
chooses before cutde is first imported.
"""

from __future__ import annotations

import numpy as np

from .errors import FaultError

__all__ = [
    "backend_name",
    "pair_displacement",
    "slip_components",
    "surface_displacement",
]

# Pairs of a triangle and a point that are handed to cutde at once: bounds the
# memory (150 bytes a pair) and keeps a GPU busy.
_PAIRS_AT_ONCE = 1 << 17


def backend_name() -> str:
    """Return what cutde runs on: ``"cuda"``, ``"opencl"`` or ``"cpp"`` (the CPU)."""
    import cutde.backend

    return str(cutde.backend.which_backend)


def slip_components(triangles: np.ndarray, burgers: np.ndarray) -> np.ndarray:
    """Return slip vectors in the components that cutde takes.

    Parameters
    ----------
    triangles : numpy.ndarray
        Vertices (east, north, up), shape ``(n, 3, 3)``.
    burgers : numpy.ndarray
        Displacement of the side the normal points to minus that of the other
        side, (east, north, up), shape ``(n, 3)``.

    Returns
    -------
    numpy.ndarray
        Shape ``(n, 3)``: along the strike ``up x normal`` (positive
        left-lateral), along the dip ``normal x strike`` (positive reverse for
        a normal that points up) and along the normal (positive opening).
    """
    normal = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    strike = np.column_stack([-normal[:, 1], normal[:, 0], np.zeros(len(normal))])
    size = np.linalg.norm(strike, axis=1, keepdims=True)
    # A horizontal triangle has no strike; cutde takes north for it.
    flat = size[:, 0] == 0
    strike[flat] = np.array([0.0, 1.0, 0.0]) * normal[flat, 2:]
    strike[~flat] /= size[~flat]
    dip = np.cross(normal, strike)
    return np.stack([np.sum(burgers * axis, axis=1) for axis in (strike, dip, normal)], axis=1)


def surface_displacement(
    points: np.ndarray, triangles: np.ndarray, slips: np.ndarray, poisson: float = 0.25
) -> np.ndarray:
    """Return the displacement of points on the ground by all triangles.

    Parameters
    ----------
    points : numpy.ndarray
        Positions (east, north), metres, shape ``(m, 2)``. A point exactly on
        the edge of a triangle that breaks the surface gives NaN.
    triangles : numpy.ndarray
        Vertices (east, north, up), metres, up 0 or less, shape ``(n, 3, 3)``.
    slips : numpy.ndarray
        Slip (strike, positive left-lateral; dip; tensile), metres, shape
        ``(n, 3)``; see :func:`slip_components`.
    poisson : float
        Poisson's ratio.

    Returns
    -------
    numpy.ndarray
        Displacement (east, north, up), metres, float64, shape ``(m, 3)``.
    """
    check_poisson(poisson)
    if len(triangles) == 0:
        return np.zeros((len(points), 3))
    from cutde.halfspace import disp_free

    ground = np.zeros((len(points), 3))
    ground[:, :2] = points
    triangles = np.ascontiguousarray(triangles, dtype=float)
    slips = np.ascontiguousarray(slips, dtype=float)
    return np.asarray(disp_free(ground, triangles, slips, poisson), dtype=float)


def pair_displacement(
    points: np.ndarray,
    mesh_triangles: np.ndarray,
    mesh_slips: np.ndarray,
    point_index: np.ndarray,
    triangle_index: np.ndarray,
    poisson: float = 0.25,
) -> np.ndarray:
    """Return the displacement of points, each by its own choice of triangles.

    Parameters
    ----------
    points : numpy.ndarray
        Positions (east, north), metres, shape ``(m, 2)``.
    mesh_triangles, mesh_slips : numpy.ndarray
        See :func:`surface_displacement`.
    point_index, triangle_index : numpy.ndarray of int
        Shape ``(k,)``: the pairs to evaluate.
    poisson : float
        Poisson's ratio.

    Returns
    -------
    numpy.ndarray
        Displacement (east, north, up), metres, float64, shape ``(m, 3)``: for
        each point the sum over its pairs, in their order, whatever other
        points are there.
    """
    from cutde.halfspace import disp

    total = np.zeros((len(points), 3))
    parts = np.empty((len(point_index), 3))
    for start in range(0, len(point_index), _PAIRS_AT_ONCE):
        stop = min(start + _PAIRS_AT_ONCE, len(point_index))
        ground = np.zeros((stop - start, 3))
        ground[:, :2] = points[point_index[start:stop]]
        chosen = triangle_index[start:stop]
        parts[start:stop] = disp(ground, mesh_triangles[chosen], mesh_slips[chosen], poisson)
    for axis in range(3):
        # bincount adds one by one in the order given, where a blocked sum
        # would depend on what else is in the batch.
        total[:, axis] = np.bincount(point_index, weights=parts[:, axis], minlength=len(points))
    return total


def check_poisson(poisson: float) -> None:
    """Refuse a Poisson's ratio that no elastic solid has."""
    if not -1 < poisson <= 0.5:
        raise FaultError(f"poisson={poisson!r}: give a ratio above -1 and up to 0.5.")
