"""The triangles of a fault."""

from collections import Counter

import numpy as np
import pytest

from xsubpix.rupture import Fault, fault_mesh


def edges_of(triangles):
    """How often each edge occurs, by its rounded end points."""
    points = np.round(triangles, 4)
    edges = Counter()
    for triangle in points:
        corners = [tuple(c) for c in triangle]
        for k in range(3):
            edges[frozenset((corners[k], corners[(k + 1) % 3]))] += 1
    return edges


@pytest.mark.parametrize("top_depth", [0.0, 1500.0])
@pytest.mark.parametrize("dip", [90.0, 50.0])
def test_triangles_leave_no_gaps(top_depth, dip):
    """Rows would not share their vertices: cracks that the field would show."""
    rng = np.random.default_rng(4)
    trace = np.column_stack([np.linspace(0, 20e3, 80), np.cumsum(rng.normal(0, 60, 80))])
    fault = Fault.from_trace(
        trace, width=9e3, slip=1.0, dip=dip, top_depth=top_depth, taper=0, spacing=300.0
    )
    mesh = fault_mesh(fault)
    edges = edges_of(mesh.triangles)
    assert set(edges.values()) == {1, 2}
    # What occurs once is the outline: the outline alone, closed, without holes.
    outline = Counter(corner for edge, count in edges.items() if count == 1 for corner in edge)
    assert set(outline.values()) == {2}
    area = 0.5 * np.linalg.norm(
        np.cross(
            mesh.triangles[:, 1] - mesh.triangles[:, 0], mesh.triangles[:, 2] - mesh.triangles[:, 0]
        ),
        axis=1,
    )
    assert area.min() > 0
    # The top edge is the trace, vertex by vertex, at the top depth.
    top = {tuple(c) for c in np.round(mesh.triangles, 4).reshape(-1, 3) if c[2] == -top_depth}
    wanted = np.round(
        np.column_stack([fault.traces[0] - mesh.origin, np.full(len(fault.traces[0]), -top_depth)]),
        4,
    )
    assert top == {tuple(v) for v in wanted}


def test_triangles_of_a_plane_cover_it():
    """Area, and with it the moment, would be lost or counted twice."""
    fault = Fault.straight(0, 0, strike=33, length=12e3, width=7e3, slip=1, taper=0, dip=60)
    triangles = fault_mesh(fault).triangles
    cross = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    assert 0.5 * np.linalg.norm(cross, axis=1).sum() == pytest.approx(12e3 * 7e3, rel=1e-9)
    # One orientation: all normals point into the hanging wall, up and right.
    right = np.array([np.cos(np.radians(33)), -np.sin(np.radians(33))])
    assert np.all(cross[:, 2] > 0)
    assert np.all(cross[:, :2] @ right > 0)


def test_triangles_grow_with_depth():
    """Deep triangles as small as those at the ground would cost without need."""
    fault = Fault.straight(0, 0, strike=0, length=30e3, width=15e3, slip=1)
    triangles = fault_mesh(fault).triangles
    longest = np.linalg.norm(triangles - np.roll(triangles, 1, axis=1), axis=2).max(axis=1)
    depth = -triangles[:, :, 2].mean(axis=1)
    assert longest[depth < 300].max() < 0.3 * longest[depth > 9e3].min()


def test_only_surface_ruptures_have_edges_on_the_ground():
    """Blind faults would be cut at the ground, or ruptures would not be."""
    options = {"strike": 10, "length": 9e3, "width": 6e3, "slip": 1.0}
    mesh = fault_mesh(Fault.straight(0, 0, **options))
    breaking = np.isfinite(mesh.top_edges[:, 0, 0])
    assert breaking.sum() == 128
    at_ground = (mesh.triangles[:, :, 2] == 0).sum(axis=1) == 2
    np.testing.assert_array_equal(breaking, at_ground)
    assert np.all(np.isnan(fault_mesh(Fault.straight(0, 0, top_depth=1.0, **options)).top_edges))


def test_slip_turns_continuously_at_a_corner_of_the_trace():
    """A corner would be a line of opening: a spot of false displacement beside it."""
    trace = [(0, 0), (6e3, 0), (12e3, 2e3)]
    fault = Fault.from_trace(trace, width=6e3, slip=1.0, taper=0, spacing=200.0)
    mesh = fault_mesh(fault)
    top = np.isfinite(mesh.top_edges[:, 0, 0])
    order = np.argsort(mesh.top_edges[top, 0, 0])
    edges = mesh.top_edges[top][order]
    along = (edges[:, 1] - edges[:, 0]) / np.linalg.norm(edges[:, 1] - edges[:, 0], axis=1)[:, None]
    left = np.column_stack([-along[:, 1], along[:, 0]])
    slips = mesh.slips[top][order]
    # Vertical: the normal points to the right, strike is up x normal.
    vector = slips[:, :1] * along + slips[:, 2:] * -left
    turn = np.abs(np.diff(np.degrees(np.arctan2(vector[:, 1], vector[:, 0]) % (2 * np.pi))))
    assert turn.max() < 3
    assert np.ptp(np.degrees(np.arctan2(along[:, 1], along[:, 0]))) > 18
