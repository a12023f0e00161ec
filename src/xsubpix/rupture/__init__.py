"""Synthetic ruptures: faults, and the displacement of the ground they make.

Plain arrays and numbers only; :func:`xsubpix.synthetic_rupture` puts them on
an image's grid.
"""

from ..errors import FaultError
from .draw import draw_fault
from .elastic import backend_name, surface_displacement
from .fault import Fault, random_fault
from .mesh import Mesh, fault_mesh
from .sampling import GridSampler, displacement_at, displacement_on_grid
from .segment import Segment
from .strand import Strand
from .synthetic import synthetic_rupture

__all__ = [
    "Fault",
    "FaultError",
    "GridSampler",
    "Mesh",
    "Segment",
    "Strand",
    "backend_name",
    "displacement_at",
    "displacement_on_grid",
    "draw_fault",
    "fault_mesh",
    "random_fault",
    "surface_displacement",
    "synthetic_rupture",
]
