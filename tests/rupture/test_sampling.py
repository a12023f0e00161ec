"""The field on a grid: accurate, finite, and the same for every window."""

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xsubpix.rupture import (
    Fault,
    FaultError,
    GridSampler,
    displacement_at,
    displacement_on_grid,
    random_fault,
)

PIXEL = 15.0
SIZE = 320
AFFINE = (PIXEL, 0.0, 500e3, 0.0, -PIXEL, 4e6)
EXTENT = (500e3, 4e6 - SIZE * PIXEL, 500e3 + SIZE * PIXEL, 4e6)
WHOLE = functools.cache(lambda: np.stack(displacement_on_grid(FAULT, AFFINE, (SIZE, SIZE))))
FAULT = random_fault(1, EXTENT, pixel_size=PIXEL, length=12e3, top_depth=0.0, step_overs=1)


def ground(affine, row, column):
    a, b, c, d, e, f = affine
    return a * (column + 0.5) + b * (row + 0.5) + c, d * (column + 0.5) + e * (row + 0.5) + f


def near_and_far(fault, affine, size, rng, count):
    """Random pixels, half of them within 5 pixels of the trace."""
    a, b, c, d, e, f = affine
    inverse = np.linalg.inv([[a, b], [d, e]])
    pixels = (np.concatenate(fault.traces) - [c, f]) @ inverse.T  # (column, row)
    pixels = pixels[np.all((pixels > 0) & (pixels < size), axis=1)]
    near = pixels[rng.integers(len(pixels), size=count // 2)] + rng.uniform(-4, 4, (count // 2, 2))
    near = np.clip(near.astype(int), 0, size - 1)[:, ::-1]
    return np.concatenate([near, rng.integers(0, size, (count // 2, 2))]).T


AFFINES = {
    "north-up": AFFINE,
    "south-up": (PIXEL, 0.0, 500e3, 0.0, PIXEL, 4e6 - SIZE * PIXEL),
    "rotated": (12.0, 9.0, 500e3 - 500, 9.0, -12.0, 4e6 - 2000),
    "oblong": (PIXEL, 0.0, 500e3, 0.0, -0.7 * PIXEL, 4e6 - 500),
}


@pytest.mark.parametrize("name", AFFINES)
def test_the_grid_agrees_with_all_triangles_at_each_pixel(name):
    """The database's truth would not be the fault's field."""
    affine = AFFINES[name]
    sampler = GridSampler(FAULT, affine)
    field = sampler((0, SIZE, 0, SIZE))
    assert field.dtype == np.float32
    assert np.all(np.isfinite(field))
    row, column = near_and_far(FAULT, affine, SIZE, np.random.default_rng(0), 600)
    dense = np.stack(displacement_at(FAULT, *ground(affine, row, column)))
    error = np.linalg.norm(field[:, row, column] - dense, axis=0)
    assert error.max() < 0.003 * np.linalg.norm(field, axis=0).max()
    assert sampler.evaluations * 20 < len(sampler.mesh.triangles) * SIZE**2


@pytest.mark.parametrize("top_depth", [200.0, 2000.0])
def test_blind_faults_are_smooth_and_accurate(top_depth):
    """A buried rupture would be cut at the ground, or badly interpolated."""
    fault = random_fault(3, EXTENT, pixel_size=PIXEL, top_depth=top_depth)
    field = np.stack(displacement_on_grid(fault, AFFINE, (SIZE, SIZE)))
    largest = np.linalg.norm(field, axis=0).max()
    row, column = np.random.default_rng(0).integers(0, SIZE, (2, 300))
    dense = np.stack(displacement_at(fault, *ground(AFFINE, row, column)))
    assert np.linalg.norm(field[:, row, column] - dense, axis=0).max() < 0.003 * largest
    assert np.abs(np.diff(field, axis=2)).max() < 0.1 * largest


@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_windows_hold_the_same_bits_as_the_whole(data):
    """Chunking would change the field."""
    start = st.integers(0, SIZE - 1)
    row, column = data.draw(start), data.draw(start)
    row_stop = data.draw(st.integers(row, min(row + 90, SIZE)))
    column_stop = data.draw(st.integers(column, min(column + 90, SIZE)))
    window = (row, row_stop, column, column_stop)
    part = displacement_on_grid(FAULT, AFFINE, (SIZE, SIZE), window=window)
    np.testing.assert_array_equal(np.stack(part), WHOLE()[:, row:row_stop, column:column_stop])


def test_windows_beyond_one_root_cell_agree():
    """Images larger than 1024 pixels would have seams between tiles."""
    fault = Fault.straight(
        500e3 + 1024 * PIXEL, 4e6 - 1024 * PIXEL, strike=40, length=2e3, width=1e3, slip=1.0
    )
    sampler = GridSampler(fault, AFFINE)
    whole = sampler((980, 1060, 990, 1050))
    parts = [sampler((980, 1024, 990, 1050)), sampler((1024, 1060, 990, 1050))]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)
    assert np.ptp(whole[0]) > 0.3
    smooth = sampler((-40, 40, -30, 30))
    assert np.abs(np.diff(smooth, n=2, axis=1)).max() < 1e-4


@pytest.mark.parametrize("strike", [0.0, 45.0, 90.0, 180.0, 270.0])
@pytest.mark.parametrize("dip", [90.0, 60.0])
def test_pixel_centres_on_the_trace_take_one_side(strike, dip):
    """Pixels on the trace would be NaN, or half-way between the two sides."""
    # Through the centre of pixel (48, 48), whatever the strike.
    x, y = ground(AFFINE, 48, 48)
    fault = Fault.straight(
        x, y, strike=strike, length=60 * PIXEL, width=40 * PIXEL, slip=1.0, dip=dip, spacing=PIXEL
    )
    field = np.stack(displacement_on_grid(fault, AFFINE, (97, 97)))
    assert np.all(np.isfinite(field))
    azimuth = np.radians(strike)
    along = np.array([np.sin(azimuth), np.cos(azimuth)])
    right = np.array([along[1], -along[0]])
    sides = []
    for step in (1, -1):
        i, j = 48 - step * round(right[1]), 48 + step * round(right[0])
        sides.append(field[0, i, j] * along[0] + field[1, i, j] * along[1])
    middle = field[0, 48, 48] * along[0] + field[1, 48, 48] * along[1]
    # Right-lateral: the right side goes back, and the trace goes with it.
    assert sides[0] < -0.3 < 0.3 < sides[1]
    assert middle == pytest.approx(sides[0], abs=0.05)


def test_each_side_keeps_its_own_value_up_to_the_trace():
    """The jump would be smeared over pixels, as window correlators do."""
    x, _ = ground(AFFINE, 0, 63)
    fault = Fault.straight(
        x + 0.5 * PIXEL, 4e6 - 64 * PIXEL, strike=0, length=400 * PIXEL, width=300 * PIXEL, slip=1.0
    )
    _, north, _ = displacement_on_grid(fault, AFFINE, (128, 128))
    profile = north[64]
    assert profile[63] - profile[64] == pytest.approx(1.0, abs=0.01)
    steps = np.abs(np.diff(profile))
    assert np.delete(steps, 63).max() < 0.01


def test_corners_and_tips_are_finite():
    """NaN would appear where edges of the trace meet on a pixel centre."""
    at = [ground(AFFINE, *place) for place in [(10, 10), (30, 30), (30, 50), (40, 40), (62, 40)]]
    fault = Fault.from_trace(at, width=300.0, slip=1.0, taper=0.0, spacing=PIXEL / 3)
    field = np.stack(displacement_on_grid(fault, AFFINE, (72, 72)))
    assert np.all(np.isfinite(field))
    assert np.abs(field).max() < 1.5


def test_no_slip_is_no_displacement():
    """The zero of a scaling would be noise or an error."""
    field = displacement_on_grid(FAULT.scaled(0.0), AFFINE, (40, 30))
    assert np.all(np.stack(field) == 0)
    assert field[0].shape == (40, 30)


def test_bad_grids_are_refused():
    """A degenerate affine or a window out of bounds would give an odd shape."""
    with pytest.raises(FaultError, match="affine"):
        displacement_on_grid(FAULT, (1, 1, 0, 1, 1, 0), (5, 5))
    with pytest.raises(FaultError, match="leaves the grid"):
        displacement_on_grid(FAULT, AFFINE, (5, 5), window=(0, 6, 0, 5))
    assert displacement_on_grid(FAULT, AFFINE, (5, 5), window=(2, 2, 0, 5))[0].shape == (0, 5)
