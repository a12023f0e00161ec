"""Displacement of the ground by triangular dislocations in an elastic half-space.

The solution is that of Nikkhoo & Walter (2015), Geophysical Journal
International, 201, 1119-1141, evaluated by ``cutde``. It runs on the CPU
unless the environment variable ``CUTDE_USE_BACKEND`` says ``cuda`` (needs
pycuda) or ``opencl`` (needs pyopencl) before the first evaluation: results are
the same to the bit on one kind of machine only if all workers use one backend,
so a GPU is asked for, not found.
"""

from __future__ import annotations

import os
import sys
import threading
from types import ModuleType

import numpy as np

from ..errors import FaultError

__all__ = [
    "backend_name",
    "pair_displacement",
    "slip_components",
    "surface_displacement",
]

# Pairs of a triangle and a point that are handed to cutde at once: bounds the
# memory (150 bytes a pair) and keeps a GPU busy.
_PAIRS_AT_ONCE = 1 << 17


_import_lock = threading.Lock()


def _halfspace() -> ModuleType:
    """Return cutde's half-space module, on the CPU unless the user says otherwise."""
    with _import_lock:
        # cutde takes OpenCL unasked wherever pyopencl is installed; in version
        # 26.3 its half-space kernels do not compile there.
        undecided = "cutde.backend" not in sys.modules and "CUTDE_USE_BACKEND" not in os.environ
        if undecided:
            os.environ["CUTDE_USE_BACKEND"] = "cpp"
        try:
            import cutde.halfspace
        finally:
            if undecided:
                del os.environ["CUTDE_USE_BACKEND"]
    return cutde.halfspace


def backend_name() -> str:
    """Return what cutde runs on: ``"cpp"`` (the CPU), ``"cuda"`` or ``"opencl"``.

    Examples
    --------
    >>> from xsubpix.rupture import backend_name
    >>> backend_name() in ("cpp", "cuda", "opencl")
    True
    """
    _halfspace()
    return str(sys.modules["cutde.backend"].which_backend)


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

    Examples
    --------
    >>> from xsubpix.rupture import Fault, fault_mesh, surface_displacement
    >>> fault = Fault.straight(0.0, 0.0, strike=0.0, length=20e3, dip=90.0, rake=180.0,
    ...                        width=12e3, slip=2.0)
    >>> mesh = fault_mesh(fault)
    >>> points = [[-100.0, 0.0]] - mesh.origin
    >>> east, north, up = surface_displacement(points, mesh.triangles, mesh.slips)[0]
    >>> bool(north > 0.5)
    True
    """
    check_poisson(poisson)
    if len(triangles) == 0 or len(points) == 0:  # cutde takes neither
        return np.zeros((len(points), 3))
    ground = np.zeros((len(points), 3))
    ground[:, :2] = points
    triangles = np.ascontiguousarray(triangles, dtype=float)
    slips = np.ascontiguousarray(slips, dtype=float)
    return np.asarray(_halfspace().disp_free(ground, triangles, slips, poisson), dtype=float)


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
    disp = _halfspace().disp
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
