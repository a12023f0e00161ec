"""Signs and sizes of the elastic solution, against independent ones."""

import subprocess
import sys

import numpy as np
import pytest

from xsubpix.rupture import Fault, FaultError, Segment, backend_name, surface_displacement
from xsubpix.rupture.elastic import pair_displacement, slip_components
from xsubpix.rupture.mesh import fault_mesh
from xsubpix.rupture.sampling import displacement_at
from xsubpix.rupture.trace import unit_vectors


def uniform_fault(*, strike, dip, rake, length, width, top_depth, slip, x=0.0, y=0.0, cuts=9):
    """A rectangle that slips evenly, which Fault.straight never makes."""
    along, _ = unit_vectors(strike)
    ends = np.linspace(-length / 2, length / 2, cuts)[:, None] * along + [x, y]
    segment = Segment(tuple(map(tuple, ends.tolist())), (0.0, 1.0), ((slip, slip), (slip, slip)))
    return Fault((segment,), dip, rake, width, top_depth, width / 4)


def test_a_long_deep_strike_slip_fault_is_a_screw_dislocation():
    """Right-lateral slip would point the wrong way, or have the wrong size."""
    top, bottom = 10e3, 40e3
    fault = uniform_fault(
        strike=0, dip=90, rake=180, length=2e7, width=bottom - top, top_depth=top, slip=2.0
    )
    x = np.array([-30e3, -10e3, -3e3, 4e3, 10e3, 40e3])
    east, north, up = displacement_at(fault, x, np.zeros_like(x))
    # Savage & Burford (1973): u = s / pi * atan(x / D) for slip on all that is
    # below D; the east side goes south.
    screw = -2.0 / np.pi * (np.arctan(x / top) - np.arctan(x / bottom))
    np.testing.assert_allclose(north, screw, atol=1e-4)
    np.testing.assert_allclose(east, 0, atol=1e-4)
    np.testing.assert_allclose(up, 0, atol=1e-4)


def test_a_surface_rupture_jumps_by_its_slip():
    """The offset across the trace would differ from the slip that was asked for."""
    fault = uniform_fault(
        strike=90, dip=90, rake=0, length=40e3, width=15e3, top_depth=0, slip=1.5, cuts=41
    )
    east, north, up = displacement_at(fault, np.array([70.0, 70.0]), np.array([0.01, -0.01]))
    # Left-lateral: seen from the south side, the north side goes to the left, west.
    np.testing.assert_allclose(east[0] - east[1], -1.5, atol=1e-4)
    np.testing.assert_allclose([north[0] - north[1], up[0] - up[1]], 0, atol=1e-4)


@pytest.mark.parametrize("strike", [0.0, 37.0, 250.0])
@pytest.mark.parametrize(("dip", "rake"), [(90, 0), (90, 180), (55, 90), (40, -90), (70, 150)])
@pytest.mark.parametrize("top_depth", [0.0, 2e3])
def test_rectangles_agree_with_okada(strike, dip, rake, top_depth):
    """Sign, frame or size of some component of slip would be wrong."""
    okada_wrapper = pytest.importorskip("okada_wrapper")
    fault = uniform_fault(
        strike=strike, dip=dip, rake=rake, length=20e3, width=8e3, top_depth=top_depth, slip=1.0
    )
    along, right = unit_vectors(strike)
    rng = np.random.default_rng(3)
    places = rng.uniform(-20e3, 20e3, (40, 2))  # (along the strike, to its left)
    points = places[:, :1] * along - places[:, 1:] * right
    east, north, up = displacement_at(fault, points[:, 0], points[:, 1])
    rake = np.radians(rake)
    slip = [np.cos(rake), np.sin(rake), 0.0]
    for k, (s, left) in enumerate(places):
        ok, u, _ = okada_wrapper.dc3dwrapper(
            2 / 3, [s, left, 0.0], top_depth, dip, [-10e3, 10e3], [-8e3, 0.0], slip
        )
        assert ok == 0
        horizontal = u[0] * along - u[1] * right
        np.testing.assert_allclose([east[k], north[k], up[k]], [*horizontal, u[2]], atol=2e-6)


def test_reverse_slip_lifts_the_hanging_wall():
    """Reverse and normal would be mixed up, or the fault would dip to the left."""
    fault = Fault.straight(0, 0, strike=0, length=30e3, width=12e3, slip=2, dip=45, rake=90)
    _, _, up = displacement_at(fault, np.array([1e3, -1e3]), np.array([0.0, 0.0]))
    assert up[0] > 0.3 > up[1]
    _, _, up = displacement_at(
        Fault.straight(0, 0, strike=0, length=30e3, width=12e3, slip=2, dip=45, rake=-90),
        np.array([1e3, -1e3]),
        np.array([0.0, 0.0]),
    )
    assert up[0] < -0.3 < up[1]


def test_slip_components_rebuild_the_burgers_vector():
    """A slip vector oblique to a triangle would lose or turn one of its parts."""
    rng = np.random.default_rng(0)
    triangles = rng.normal(size=(50, 3, 3))
    triangles[0, :, 2] = -1.0  # horizontal: cutde's special case
    burgers = rng.normal(size=(50, 3))
    slips = slip_components(triangles, burgers)
    np.testing.assert_allclose(np.linalg.norm(slips, axis=1), np.linalg.norm(burgers, axis=1))
    normal = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    np.testing.assert_allclose(slips[:, 2], np.sum(normal * burgers, axis=1))
    assert abs(slips[0, 0] - normal[0, 2] * burgers[0, 1]) < 1e-12


def test_pairs_add_up_to_the_dense_field():
    """The sampler's sums would differ from those over all triangles."""
    mesh = fault_mesh(Fault.straight(0, 0, strike=20, length=9e3, width=5e3, slip=1, spacing=1e3))
    points = np.random.default_rng(1).uniform(-8e3, 8e3, (7, 2))
    n = len(mesh.triangles)
    index = np.repeat(np.arange(7), n)
    paired = pair_displacement(points, mesh.triangles, mesh.slips, index, np.tile(np.arange(n), 7))
    dense = surface_displacement(points, mesh.triangles, mesh.slips)
    np.testing.assert_allclose(paired, dense, atol=1e-12)


def test_nothing_slips_without_triangles():
    """A fault without slip would raise instead of leaving the ground where it is."""
    fault = Fault.straight(0, 0, strike=20, length=9e3, width=5e3, slip=0.0)
    assert np.all(np.array(displacement_at(fault, np.zeros(3), np.ones(3))) == 0)


def test_poisson_ratio_is_checked():
    """A Poisson's ratio without meaning would give a field without meaning."""
    fault = Fault.straight(0, 0, strike=20, length=9e3, width=5e3, slip=1)
    with pytest.raises(FaultError, match=r"poisson=0\.7"):
        displacement_at(fault, np.zeros(1), np.ones(1), poisson=0.7)


def test_backend_is_named():
    """Users could not see whether a GPU is used."""
    assert backend_name() in {"cuda", "opencl", "cpp"}


def test_a_gpu_is_asked_for_not_found(monkeypatch):
    """Workers with and without a GPU would write different bytes into one database."""
    monkeypatch.delenv("CUTDE_USE_BACKEND", raising=False)
    code = (
        "import os; from xsubpix.rupture import backend_name; "
        "assert backend_name() == 'cpp'; assert 'CUTDE_USE_BACKEND' not in os.environ"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
