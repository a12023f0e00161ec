"""Strands beside a fault: what they move, what they leave alone, and how they are drawn."""

import dataclasses

import numpy as np
import pytest

from xsubpix.rupture import Fault, FaultError, Strand, displacement_at, random_fault
from xsubpix.rupture.mesh import fault_mesh
from xsubpix.rupture.strand import KINDS

EXTENT = (0.0, 0.0, 7680.0, 7680.0)
ROUGH = [
    random_fault(seed, EXTENT, pixel_size=15.0, top_depth=0.0, complexity=1.0) for seed in range(12)
]
CLEAN = Fault.straight(
    0, 0, strike=0, length=20e3, width=10e3, slip=2.0, rake=180.0, taper=0.0, spacing=500.0
)


def zone(share=0.4, width=800.0, count=9, top=60.0):
    """A fault with a share of its slip in an even zone."""
    at = width * ((np.arange(count) + 0.5) / count - 0.5)
    return dataclasses.replace(
        CLEAN,
        strands=tuple(
            Strand(0, "zone", (0, 1), (x, x), (share / count, share / count), top, 1.5 * width)
            for x in at
        ),
    )


def across(fault, x):
    """Displacement along the strike on a line across the fault, metres."""
    return displacement_at(fault, np.asarray(x, float), np.full(len(x), 37.0))[1]


def test_far_away_strands_are_one_fault():
    """The far field would not be that of an earthquake of that moment."""
    rough = zone()
    extra = Strand(0, "parallel", (0.2, 0.8), (1500, 1500), (0.3, 0.3), 0.0, 2250)
    rough = dataclasses.replace(rough, strands=(*rough.strands, extra))
    x, y = np.array([25e3, -30e3, 40e3, 10e3]), np.array([2e3, -16e3, 9e3, 45e3])
    one, two = (np.array(displacement_at(fault, x, y)) for fault in (CLEAN, rough))
    size = np.hypot(one[0], one[1])
    assert np.all(np.abs(one[:2] - two[:2]) < 0.02 * size)
    assert rough.magnitude == CLEAN.magnitude


def test_the_stated_share_is_off_the_trace():
    """Distributed shear would be another than what is written down."""
    share, width = 0.4, 800.0
    rough = zone(share, width)
    assert rough.off_trace_share == pytest.approx(share)
    step = np.diff(across(rough, [1.0, -1.0]))[0] / np.diff(across(CLEAN, [1.0, -1.0]))[0]
    assert step == pytest.approx(1 - share, abs=0.02)
    whole = np.diff(across(rough, [-width, width]))[0] / np.diff(across(CLEAN, [-width, width]))[0]
    assert whole == pytest.approx(1, abs=0.1)


def test_shear_is_smooth_where_strands_end_below_the_surface():
    """Distributed shear would come out as a flight of steps."""
    x = np.arange(5.0, 380.0, 5.0)
    slope = np.diff(across(zone(), x))
    assert np.ptp(slope) < 0.5 * abs(np.mean(slope))
    cracked = np.diff(across(zone(top=0.0), x))
    assert np.max(np.abs(cracked)) > 5 * np.median(np.abs(cracked))


def test_a_strand_slips_in_the_place_of_the_fault():
    """Slip would be lost or doubled where strands are."""
    splay = Strand(0, "parallel", (0.3, 0.7), (600, 600), (0.5, 0.5), 0.0, 900)
    fault = dataclasses.replace(CLEAN, strands=(splay,))
    steps = [np.diff(across(fault, [at + 0.5, at - 0.5]))[0] for at in (0.0, 600.0)]
    clean = np.diff(across(CLEAN, [0.5, -0.5]))[0]
    np.testing.assert_allclose(np.array(steps) / clean, 0.5, atol=0.02)
    assert [len(t) > 1 for t in fault.strand_traces] == [True]
    assert fault.trace_wkt.startswith("MULTILINESTRING")


def test_descriptions_come_back_exactly():
    """A database's faults could not be read again."""
    for fault in ROUGH[:4]:
        again = Fault.from_json(fault.to_json())
        assert again == fault
        assert again.to_dict()["version"] == 2
    assert CLEAN.to_dict()["version"] == 1
    assert "strands" not in CLEAN.to_dict()


def test_complexity_leaves_the_other_draws_alone():
    """Databases of clean faults would change."""
    for seed, rough in enumerate(ROUGH[:6]):
        clean = random_fault(seed, EXTENT, pixel_size=15.0, top_depth=0.0)
        none = random_fault(seed, EXTENT, pixel_size=15.0, top_depth=0.0, complexity=0.0)
        assert clean.to_json() == none.to_json()
        assert not clean.strands
        for name in ("dip", "rake", "width", "element_size"):
            assert getattr(clean, name) == getattr(rough, name)
        assert rough.mean_slip == pytest.approx(clean.mean_slip, rel=0.03)
        ends = [[trace[0].tolist() for trace in fault.traces] for fault in (clean, rough)]
        np.testing.assert_allclose(*ends, atol=40)


def test_every_kind_is_drawn():
    """Training would not see what real ruptures have."""
    many = [
        random_fault(seed, EXTENT, pixel_size=15.0, top_depth=0.0, complexity=1.0, step_overs=1)
        for seed in range(100, 112)
    ]
    kinds = {strand.kind for fault in many for strand in fault.strands}
    assert kinds == set(KINDS)
    zones = [
        [abs(v) for s in fault.strands if s.kind == "zone" for v in s.offsets] for fault in ROUGH
    ]
    widths = np.array([max(offsets) for offsets in zones if offsets])
    assert widths.min() < 100 < 300 < widths.max()
    assert any(s.is_smooth for f in ROUGH for s in f.strands if s.kind == "zone")
    share = [sum(s.shares[32] for s in f.strands if s.kind == "zone") for f in ROUGH if f.strands]
    assert 0.2 < np.mean(share) < 0.7
    blind = random_fault(3, EXTENT, pixel_size=15.0, top_depth=500.0, complexity=1.0)
    assert not blind.strands


def test_meshes_are_finite_and_slip_adds_up():
    """A triangle without area would put NaN into a whole tile."""
    for fault in ROUGH:
        mesh = fault_mesh(fault)
        edges = np.diff(mesh.triangles[:, [0, 1, 2, 0]], axis=1)
        area = 0.5 * np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1)
        assert area.min() > 0
        assert np.isfinite(mesh.slips).all()
        clean = fault_mesh(dataclasses.replace(fault, strands=()))
        other = np.diff(clean.triangles[:, [0, 1, 2, 0]], axis=1)
        before = 0.5 * np.linalg.norm(np.cross(other[:, 0], other[:, 1]), axis=1)
        moments = [
            np.sum(a * m.slips[:, 0]) for a, m in ((area, mesh), (before, clean))
        ]  # along strike
        assert moments[0] == pytest.approx(moments[1], rel=0.02)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "branch"}, "kind='branch'"),
        ({"positions": (0.5, 0.4)}, "increase within 0 to 1"),
        ({"shares": (0.2, 1.2)}, "shares of the slip"),
        ({"top": 900.0}, "top < bottom"),
        ({"offsets": (1.0,)}, "1 offsets"),
        ({"offsets": (1.0, np.nan)}, "finite"),
    ],
)
def test_wrong_strands_are_named(change, message):
    """They would be meshed into nonsense."""
    values = {
        "segment": 0, "kind": "splay", "positions": (0.2, 0.4), "offsets": (0.0, 10.0),
        "shares": (0.2, 0.0), "top": 0.0, "bottom": 100.0,
    }  # fmt: skip
    with pytest.raises(FaultError, match=message):
        Strand(**{**values, **change})


def test_strands_must_fit_their_fault():
    """More slip than there is would be taken from a segment, or from none."""
    strand = Strand(0, "splay", (0.2, 0.4), (0, 10), (0.7, 0.7), 0.0, 100)
    for strands, message in (
        ((strand, strand), "take 1.400 of its slip"),
        ((dataclasses.replace(strand, segment=1),), "segment 1 of a fault with 1"),
        ((dataclasses.replace(strand, bottom=20e3),), "within the width"),
        (("splay",), "give Strand objects"),
    ):
        with pytest.raises(FaultError, match=message):
            dataclasses.replace(CLEAN, strands=strands)
    with pytest.raises(FaultError, match="complexity=3"):
        random_fault(0, EXTENT, complexity=3)
