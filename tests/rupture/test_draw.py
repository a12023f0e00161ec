"""Random faults, their traces and their slip."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xsubpix.rupture import Fault, FaultError, random_fault
from xsubpix.rupture.scaling import mean_slip_from_area, moment_magnitude, width_from_length
from xsubpix.rupture.slip import cosine_ramp, depth_taper, von_karman_field
from xsubpix.rupture.trace import arc_length, graded_positions, resample, self_affine_profile

EXTENT = (500e3, 3.9e6, 515.36e3, 3.91536e6)
MANY = [random_fault(seed, EXTENT, pixel_size=60.0) for seed in range(150)]


def inside(fault, extent=EXTENT):
    """Length of trace in an extent."""
    total = 0.0
    for trace in fault.traces:
        middle = 0.5 * (trace[1:] + trace[:-1])
        chosen = np.all((middle > extent[:2]) & (middle < extent[2:]), axis=1)
        total += np.hypot(*np.diff(trace, axis=0)[chosen].T).sum()
    return total


def test_a_seed_gives_one_fault():
    """Databases could not be built twice alike."""
    assert random_fault(5, EXTENT) == Fault.random(np.random.default_rng(5), EXTENT)
    assert random_fault(5, EXTENT) != random_fault(6, EXTENT)


def test_every_fault_crosses_the_extent():
    """Training frames would show no rupture."""
    lengths = np.array([inside(fault) for fault in MANY])
    assert lengths.min() > 0.25 * 15.36e3
    assert np.median(lengths) > 0.6 * 15.36e3


def test_draws_follow_the_scaling_laws():
    """Slip and width would not be those of earthquakes of that length."""
    length = np.array([fault.length for fault in MANY])
    width = np.array([fault.width for fault in MANY])
    slip = np.array([fault.mean_slip for fault in MANY])
    off_width = np.log10(width / [width_from_length(v) for v in length])
    off_slip = np.log10(slip / [mean_slip_from_area(a) for a in length * width])
    assert abs(np.median(off_width)) < 0.05
    assert 0.08 < off_width.std() < 0.2
    assert abs(np.median(off_slip)) < 0.1
    assert 0.2 < off_slip.std() < 0.36
    assert 0.1 < np.mean([fault.is_blind for fault in MANY]) < 0.3
    assert min(length) > 7e3
    assert max(length) < 200e3
    senses = np.array([abs(fault.rake) < 90 for fault in MANY])
    assert 0.35 < senses.mean() < 0.65
    assert 0.2 < np.mean([len(fault.segments) > 1 for fault in MANY]) < 0.6


def test_what_is_given_leaves_the_other_draws_alone():
    """Changing one parameter of a database would change all its faults."""
    one, other = random_fault(11, EXTENT), random_fault(11, EXTENT, dip=77.0)
    assert other.dip == 77.0
    assert (other.traces[0] == one.traces[0]).all()
    assert other.segments[0].slip == one.segments[0].slip
    scaled = random_fault(11, EXTENT, slip=5.0)
    assert scaled.mean_slip == pytest.approx(5.0, rel=0.05)
    values = {"strike": 45.0, "length": 30e3, "width": 9e3, "top_depth": 300.0, "step_overs": 0}
    fault = random_fault(11, EXTENT, curvature=0.0, roughness=1e-6, rake=170.0, **values)
    assert fault.strike == pytest.approx(45.0, abs=0.1)
    assert fault.length == pytest.approx(30e3, rel=1e-3)
    assert (fault.width, fault.top_depth, fault.rake) == (9e3, 300.0, 170.0)


@pytest.mark.parametrize("sense", ["left", "right"])
@pytest.mark.parametrize(
    ("mechanism", "vertical"),
    [("oblique-reverse", 1), ("oblique-normal", -1), ("reverse", 1), ("normal", -1)],
)
def test_mechanism_and_sense_are_those_asked_for(sense, mechanism, vertical):
    """Asking for reverse would give normal, or left would give right."""
    for seed in range(20):
        fault = random_fault(seed, EXTENT, pixel_size=200.0, mechanism=mechanism, sense=sense)
        rake = np.radians(fault.rake)
        assert -180 <= fault.rake <= 180
        assert np.sin(rake) * vertical > 0.2
        assert np.cos(rake) * (1 if sense == "left" else -1) > -1e-12
        assert 20 < fault.dip < 85


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31), steps=st.integers(0, 3), pixel=st.sampled_from([0.5, 10, 100]))
def test_any_draw_is_a_sound_fault(seed, steps, pixel):
    """Some draws would have traces that cross themselves, or slip at a tip."""
    side = 400 * pixel
    fault = random_fault(seed, (0, 0, side, side), pixel_size=pixel, step_overs=steps)
    assert len(fault.segments) == steps + 1
    along = np.array([np.sin(np.radians(fault.strike)), np.cos(np.radians(fault.strike))])
    assert sum(len(trace) for trace in fault.traces) < 3000
    for segment in fault.segments:
        slip = np.array(segment.slip)
        assert slip[:, [0, -1]].max() <= 1e-4 * fault.max_slip
        assert slip[-1].max() == 0
        chord = segment.vertices[-1] - segment.vertices[0]
        assert chord @ along > 0


def test_bad_requests_are_refused():
    """A typing error would be taken for a default."""
    with pytest.raises(FaultError, match="increasing"):
        random_fault(0, (0, 0, 0, 10))
    with pytest.raises(FaultError, match="one of strike-slip"):
        random_fault(0, EXTENT, mechanism="thrust")
    with pytest.raises(FaultError, match="'left' or 'right'"):
        random_fault(0, EXTENT, sense="dextral")
    with pytest.raises(FaultError, match="pixel_size"):
        random_fault(0, EXTENT, pixel_size=0)
    with pytest.raises(FaultError, match="step_overs"):
        random_fault(0, EXTENT, step_overs=-1)


@pytest.mark.parametrize("hurst", [0.4, 0.8])
def test_profiles_have_the_hurst_exponent(hurst):
    """Traces would be too smooth or too jagged."""
    x = np.linspace(0, 1000, 8001)
    lags = np.array([16, 32, 64, 128, 256])
    growth = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        z = self_affine_profile(x, length=1000.0, shortest=0.5, hurst=hurst, rng=rng)
        growth.append([np.mean((z[lag:] - z[:-lag]) ** 2) for lag in lags])
    slope = np.polyfit(np.log(lags), np.log(np.mean(growth, axis=0)), 1)[0]
    assert slope / 2 == pytest.approx(hurst, abs=0.08)
    with pytest.raises(FaultError, match="hurst"):
        self_affine_profile(x, length=1.0, shortest=0.5, hurst=1.5, rng=rng)
    with pytest.raises(FaultError, match="shortest"):
        self_affine_profile(x, length=1.0, shortest=5.0, hurst=0.5, rng=rng)


def test_resampling_keeps_the_line():
    """Mapped vertices would be cut off."""
    trace = np.array([[0.0, 0.0], [10.0, 0.0], [10.0, 3.0]])
    fine = resample(trace, 4.0)
    assert {tuple(v) for v in trace} <= {tuple(v) for v in fine}
    assert np.diff(arc_length(fine)).max() <= 4.0
    assert arc_length(fine)[-1] == pytest.approx(13.0)


def test_positions_are_fine_where_in_view():
    """Long ruptures would have too many triangles, or too coarse ones in the image."""
    along = np.array([1.0, 0.0])
    x = graded_positions(100e3, np.zeros(2), along, (-2e3, -1e3, 3e3, 1e3), 50.0)
    steps = np.diff(x)
    assert (x[0], x[-1]) == pytest.approx((-50e3, 50e3))
    in_view = (x[1:] < 3e3) & (x[:-1] > -2e3)
    assert steps[in_view].max() <= 51
    assert len(x) < 250


def test_von_karman_field_has_unit_variance_and_its_correlation():
    """Slip would be rougher, smoother or larger than documented."""
    x = np.linspace(0, 40.0, 100)
    z = np.linspace(0, 10.0, 50)[:, None]
    near, far, variance = [], [], []
    for seed in range(16):
        field = von_karman_field(
            x, z, correlation_length=(4.0, 1.0), hurst=0.75, rng=np.random.default_rng(seed)
        )
        variance.append(np.mean(field**2))
        near.append(np.mean(field[:, 1:] * field[:, :-1]))
        far.append(np.mean(field[:, 50:] * field[:, :-50]))
    assert np.mean(variance) == pytest.approx(1.0, abs=0.12)
    assert np.mean(near) > 0.8
    assert abs(np.mean(far)) < 0.15


def test_tapers():
    """Slip would not vanish at the bottom, or not reach the ground."""
    depth = np.linspace(0, 1, 11)
    np.testing.assert_allclose(depth_taper(depth, surface=0.6)[[0, 2, 6, 10]], [0.6, 1, 1, 0])
    np.testing.assert_allclose(cosine_ramp(np.array([-1.0, 0, 0.5, 2]), 0, 1), [0, 0, 0.5, 1])
    np.testing.assert_allclose(cosine_ramp(np.array([0.0, 1.0]), 0.5, 0.5), [0, 1])


def test_scaling_laws_at_known_earthquakes():
    """A coefficient would be mistyped: Landers 1992 was about 70 km, 15 km, 3 m, Mw 7.3."""
    assert 13e3 < width_from_length(70e3) < 22e3
    assert width_from_length(2e3) == 2e3
    assert width_from_length(4e3, strike_slip=False) == 4e3
    assert width_from_length(50e3, strike_slip=False) == pytest.approx(23.75e3, rel=0.01)
    assert 1.0 < mean_slip_from_area(70e3 * 15e3) < 1.5
    assert moment_magnitude(70e3 * 15e3, 3.0) == pytest.approx(7.28, abs=0.02)
    assert moment_magnitude(1e6, 0.0) == -np.inf


def test_strands_share_the_slip_where_they_overlap():
    """A step-over would have twice the slip of its surroundings, or none."""
    fault = random_fault(
        4, EXTENT, pixel_size=15.0, step_overs=1, strike=90.0, length=14e3, curvature=0.0,
        roughness=1e-6, heterogeneity=0.0, top_depth=0.0,
    )  # fmt: skip
    first, second = fault.segments
    assert first.vertices[-1, 0] > second.vertices[0, 0]
    x = np.linspace(second.vertices[0, 0] - 300, first.vertices[-1, 0] + 300, 40)
    total = np.zeros_like(x)
    for segment in fault.segments:
        start, end = segment.vertices[0, 0], segment.vertices[-1, 0]
        place = (x - start) / (end - start)
        inside = (place > 0) & (place < 1)
        total[inside] += segment.slip_at(place[inside], np.full(inside.sum(), 0.3))
    assert np.ptp(total) < 0.2 * total.mean()
