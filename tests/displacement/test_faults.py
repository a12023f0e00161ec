"""Across faults: profiles, offsets with honest intervals, widths of zones, traces found."""

import numpy as np
import pytest
import xarray as xr
from scipy.ndimage import gaussian_filter

import xsubpix
from xsubpix import DataError, Fault, GridError, ModelError
from xsubpix.rupture import displacement_at

shapely = pytest.importorskip("shapely")

SIZE, PIXEL = 160, 20.0
X0 = 5e5 + PIXEL * SIZE / 2
NORTHWARD = [[X0, 4e6 - PIXEL * SIZE], [X0, 4e6]]


def step(offset=2.0):
    """North displacement of a right-lateral fault through the middle, striking north."""
    return np.where(np.arange(SIZE) < SIZE // 2, offset / 2, -offset / 2) * np.ones((SIZE, 1))


def noise(seed, correlation, scale=0.3):
    """Noise whose correlation is a Gaussian's, the same on both components in law."""
    out = np.random.default_rng(seed).normal(size=(2, SIZE, SIZE))
    if correlation:
        out = gaussian_filter(out, (0, correlation, correlation), mode="wrap")
    return out * scale / out.std()


# --------------------------------------------------------------------- profiles


def test_profile_of_a_step(field):
    """Else distances start elsewhere, or the line's sides are swapped."""
    e, n = noise(0, 0, 0.1)
    disp = field(1.0 + e, step() + n, up=np.full((SIZE, SIZE), 0.5))
    west, east = [5e5 + 200.0, 3.9984e6], [5e5 + 3000.0, 3.9984e6]
    got = xsubpix.profile(disp, [west, east], width=800.0, spacing=40.0)
    assert got.sizes == {"distance": 70}
    np.testing.assert_allclose(got.distance, 20.0 + 40.0 * np.arange(70))
    np.testing.assert_allclose(got.x, 5e5 + 200.0 + got.distance)
    # Eastward: `along` is east, `right` is south.
    np.testing.assert_allclose(got.along, 1.0, atol=0.06)
    want = np.where(got.x < X0, -1.0, 1.0)
    np.testing.assert_allclose(got.right, want, atol=0.06)
    np.testing.assert_allclose(got.right, -got.north, atol=1e-6)
    np.testing.assert_allclose(got.up, 0.5)
    assert got.n_values.values.tolist() == [80] * 70
    assert got.right_scatter.mean() == pytest.approx(0.1, rel=0.1)
    assert got.rio.crs.to_epsg() == 32611


@pytest.mark.parametrize("statistic", ["median", "mean"])
@pytest.mark.parametrize("correlation", [0, 1.5])
def test_errors_of_profiles_hold(field, statistic, correlation):
    """Else the error bars of a published profile are wrong: 1,500 bins of known value."""
    z = []
    for seed in range(20):
        disp = field(*noise(seed, correlation))
        line = [[5e5 + 20.0, 3.9984e6], [5e5 + 3180.0, 3.9984e6]]
        alike = 2 * np.sqrt(np.pi) * correlation * PIXEL
        got = xsubpix.profile(disp, line, width=1000.0, statistic=statistic, error_length=alike)
        z.append((got.along / got.along_sigma).values)
    assert 0.62 < np.mean(np.abs(z) < 1) < 0.78
    assert 0.91 < np.mean(np.abs(z) < 2) < 0.985


def test_profiles_know_gaps_and_bounds(field):
    """Else missing values become zero, or a line off the field is profiled."""
    disp = field(step(), step())
    disp = disp.where((disp.x < 500600) | (disp.x > 500800))
    got = xsubpix.profile(disp, [[5e5, 3.9984e6], [5.01e5, 3.9984e6]], width=200.0)
    assert bool(got.east.isnull().values[30:40].all())
    assert bool(got.east.notnull().values[:29].all())
    with pytest.raises(DataError, match="no value within"):
        xsubpix.profile(disp, [[5.05e5, 3.9984e6], [5.06e5, 3.9984e6]], width=100.0)
    with pytest.raises(GridError, match="away from the field"):
        xsubpix.profile(disp, [[0.0, 0.0], [1e3, 0.0]], width=100.0)
    for options, message in (({"width": 0.0}, "width"), ({"width": 9.0, "spacing": -1}, "spacing"),
                             ({"width": 9.0, "statistic": "mode"}, "mode")):  # fmt: skip
        with pytest.raises(ModelError, match=message):
            xsubpix.profile(disp, NORTHWARD, **options)


# ---------------------------------------------------------------------- offsets


def jump(fault, at, reach=1.0):
    """True offsets (parallel, perpendicular, up) a metre to either side of stations."""
    azimuth = np.radians(at.strike.values)
    s, c = np.sin(azimuth), np.cos(azimuth)
    right, left = (
        np.array(displacement_at(fault, at.x.values + k * c, at.y.values - k * s))
        for k in (reach, -reach)
    )
    east, north, up = right - left
    return -(east * s + north * c), east * c - north * s, up


def bent():
    along = np.linspace(-2e4, 2e4, 81)
    middle = np.array([5e5 + 3000.0, 4e6 - 3000.0])
    line = middle + np.column_stack([along, 800 * np.sin(along / 3000)])
    return Fault.from_trace(line, width=10e3, slip=3.0)


def straight(**options):
    return Fault.straight(5e5 + 3000, 4e6 - 3000, length=40e3, width=12e3, slip=4.0, **options)


@pytest.mark.parametrize(
    "fault",
    [
        straight(strike=30.0),
        straight(strike=100.0, rake=0.0),
        straight(strike=10.0, rake=-150.0, dip=60.0),
        bent(),
    ],
    ids=["right", "left", "oblique", "bent"],
)
def test_offsets_of_ruptures_of_known_slip(field, fault):
    """Else measured slip is biased: 2 % of it is what is promised."""
    grid = field(np.zeros((150, 150)), pixel=40.0).east
    disp = grid.subpix.synthetic_rupture(fault)
    got = xsubpix.offsets(disp, fault, spacing=500.0, half_length=1500.0)
    got = got.isel(station=got.parallel.notnull().values)
    assert got.sizes["station"] >= 10
    slip = abs(jump(fault, got)[0]).max()
    for name, true in zip(("parallel", "perpendicular", "up"), jump(fault, got), strict=True):
        np.testing.assert_allclose(got[name], true, atol=0.01 * slip, err_msg=name)
        assert abs(float((got[name] - true).mean())) < 0.005 * slip


@pytest.mark.parametrize("correlation", [0, 1.0, 2.0])
def test_intervals_are_honest(field, correlation):
    """Else intervals hold the truth less often than they say, or more: 256 offsets each."""
    in_sigma, in_interval = [], []
    for seed in range(16):
        e, n = noise(seed, correlation)
        got = xsubpix.offsets(field(e, step() + n), NORTHWARD, spacing=400.0, half_length=900.0)
        for name, true in (("parallel", 2.0), ("perpendicular", 0.0)):
            in_sigma += (np.abs(got[name] - true) <= got[f"{name}_sigma"]).values.tolist()
            inside = (got[f"{name}_low"] <= true) & (true <= got[f"{name}_high"])
            in_interval += inside.values.tolist()
    assert len(in_interval) == 256
    assert 0.60 < np.mean(in_sigma) < 0.76
    assert 0.915 < np.mean(in_interval) < 0.985


def test_direction_of_the_trace_does_not_matter(field):
    """Else a trace drawn the other way round makes a left-lateral fault."""
    e, n = noise(1, 0)
    disp = field(e + 0.5 * np.sign(step()), step() + n, up=step(1.0) + n)
    one = xsubpix.offsets(disp, NORTHWARD, spacing=800.0, half_length=1000.0)
    two = xsubpix.offsets(disp, NORTHWARD[::-1], spacing=800.0, half_length=1000.0)
    two = two.isel(station=slice(None, None, -1))
    for name in ("parallel", "perpendicular", "zone_width"):
        np.testing.assert_allclose(one[name], two[name], atol=0.01, err_msg=name)
    np.testing.assert_allclose(one.up, -two.up, atol=1e-4)
    np.testing.assert_allclose(one.parallel, 2.0, atol=0.15)
    # The west side goes east, the east side west: they close in by 1 m.
    np.testing.assert_allclose(one.perpendicular, -1.0, atol=0.15)


def test_outliers_and_sigma(field):
    """Else false matches move offsets, or values of known error are not weighed by it."""
    e, n = noise(2, 0, 1.0)
    sigma = np.where(np.arange(SIZE)[:, None] % 2, 0.05, 1.0) * np.ones(SIZE)
    disp = field(sigma * e, step() + sigma * n, sigma=sigma.astype("f4"))
    wrong = np.random.default_rng(3).random((SIZE, SIZE)) < 0.05
    disp["north"] = disp.north.where(~wrong, 8.0)
    got = xsubpix.offsets(disp, NORTHWARD, spacing=400.0, half_length=900.0)
    # A third of a deviation by the bad values alone; here the good ones decide.
    np.testing.assert_allclose(got.parallel, 2.0, atol=0.025)
    assert float(got.parallel_sigma.max()) < 0.02


@pytest.mark.parametrize("zone", [0.0, 100.0, 300.0])
def test_width_of_the_zone(field, zone):
    """Else a wide zone looks sharp, or a sharp fault wide."""
    from scipy.special import ndtr

    e, n = noise(4, 0, 0.1)
    x = PIXEL * (np.arange(SIZE) - SIZE / 2 + 0.5)
    passage = ndtr(x / (zone / 2.563)) if zone else (x > 0).astype(float)
    disp = field(e, 2.0 * (0.5 - passage) * np.ones((SIZE, 1)) + n)
    got = xsubpix.offsets(disp, NORTHWARD, spacing=800.0, half_length=1200.0, gap=400.0)
    np.testing.assert_allclose(got.parallel, 2.0, atol=0.05)
    width = float(got.zone_width.mean())
    if zone:
        assert width == pytest.approx(zone, rel=0.1)
        assert float(got.off_fault_share.mean()) == pytest.approx(
            2 * ndtr(-PIXEL / (zone / 2.563)), abs=0.03
        )
    else:
        assert width < 2 * PIXEL
        assert float(got.off_fault_share.mean()) < 0.1


def test_stations_without_ground_are_missing(field):
    """Else half an offset is extrapolated from one side."""
    disp = field(0 * step(), step())
    disp = disp.where((disp.y < 3.9984e6) | (disp.x < X0))
    got = xsubpix.offsets(disp, NORTHWARD, spacing=400.0, half_length=900.0)
    np.testing.assert_array_equal(got.parallel.isnull(), [False] * 4 + [True] * 4)
    assert got.sizes["station"] == 8
    assert bool((got.n_values[4:] == 0).all())


def test_the_gap_follows_the_window(field):
    """Else what the correlation window blurs is fitted to."""
    blurred = gaussian_filter(step(), (0, 3.0))
    disp = field(0 * blurred, blurred)
    disp.attrs |= {"model_error_length": 32.0, "model_blur": 32.0, "model_step": 4}
    got = xsubpix.offsets(disp, NORTHWARD, spacing=800.0, half_length=1200.0)
    assert got.attrs["gap"] == 160.0
    np.testing.assert_allclose(got.parallel, 2.0, rtol=0.01)


def test_the_window_of_a_network_blurs_nothing(field):
    """Else fields of the default model, whose windows have 512 px, leave nothing to fit to."""
    disp = field(0 * step(), step())
    disp.attrs |= {"model_error_length": 40.0, "model_blur": 16.0, "model_step": 2}
    got = xsubpix.offsets(disp, NORTHWARD, spacing=800.0, half_length=1200.0)
    assert got.attrs["gap"] == 8 * PIXEL
    np.testing.assert_allclose(got.parallel, 2.0, rtol=0.01)
    line = xsubpix.profile(disp, [[5e5 + 200, 3.9984e6], [5e5 + 3000, 3.9984e6]], width=800.0)
    assert line.attrs["error_length_pixels"] == 20.0


def test_offsets_refuse(field):
    """Else nonsense parameters give numbers."""
    disp = field(0 * step(), step())
    good = {"spacing": 400.0, "half_length": 900.0}
    for change, error, message in (
        ({"half_length": 50.0}, ModelError, "half_length=50"),
        ({"spacing": 0.0}, ModelError, "spacing"),
        ({"confidence": 95}, ModelError, "confidence=95"),
        ({"order": 3}, ModelError, "order=3"),
    ):
        with pytest.raises(error, match=message):
            xsubpix.offsets(disp, NORTHWARD, **{**good, **change})
    with pytest.raises(DataError, match="none of"):
        xsubpix.offsets(disp, np.array(NORTHWARD) + 4e3, **good)
    with pytest.raises(GridError, match="away from the field"):
        xsubpix.offsets(disp, np.array(NORTHWARD) + 1e5, **good)


# ----------------------------------------------------------------- detect_trace


@pytest.mark.parametrize("scale", [0.0, 0.5])
@pytest.mark.parametrize("fault", [straight(strike=30.0), bent()], ids=["straight", "bent"])
def test_a_trace_is_found_where_it_is(field, fault, scale):
    """Else a proposed trace lies beside the fault, or leaves the field."""
    grid = field(np.zeros((200, 200)), pixel=30.0)
    disp = grid.east.subpix.synthetic_rupture(fault)
    rng = np.random.default_rng(0)
    for name in ("east", "north"):
        disp[name] = disp[name] + scale * rng.normal(size=disp[name].shape).astype("f4")
    got = xsubpix.detect_trace(disp)
    box = shapely.box(5e5, 4e6 - 6000, 5e5 + 6000, 4e6)
    inside = fault.trace.intersection(box)
    away = [
        got.interpolate(f, normalized=True).distance(fault.trace) for f in np.linspace(0, 1, 99)
    ]
    assert np.median(away) < 0.3 * 30.0
    assert max(away) < 3 * 30.0
    assert got.length == pytest.approx(inside.length, rel=0.04)
    # And what one does with it works.
    found = xsubpix.offsets(disp, got, spacing=1000.0, half_length=1500.0)
    slip = abs(jump(fault, found, 100.0)[0]).mean()
    assert abs(float(found.parallel.mean())) == pytest.approx(slip, rel=0.02)


def test_no_trace_in_noise(field):
    """Else a trace is invented."""
    e, n = noise(0, 1.0)
    with pytest.raises(DataError, match="stands out"):
        xsubpix.detect_trace(field(e, n))
    with pytest.raises(DataError, match="hundred"):
        xsubpix.detect_trace(field(e * np.nan, n))


def test_results_can_be_written(field, tmp_path):
    """Else attributes do not fit a file."""
    e, n = noise(0, 0)
    disp = field(e, step() + n)
    for got in (
        xsubpix.offsets(disp, NORTHWARD, spacing=400.0, half_length=900.0),
        xsubpix.profile(disp, [[5e5, 3.9984e6], [5.03e5, 3.9984e6]], width=400.0),
    ):
        got.to_netcdf(tmp_path / "a.nc")
        with xr.open_dataset(tmp_path / "a.nc") as again:
            assert set(again.data_vars) == set(got.data_vars)


def test_lazy_fields_are_measured_once(field):
    """Else a scene is correlated anew for each component that is looked at."""
    import dask

    e, n = noise(0, 0)
    disp = field(e, step() + n, sigma=np.full_like(e, 0.3)).chunk(80)
    calls: list[int] = []

    def count(block):
        calls.append(1)
        return block

    east = disp.east.data.map_blocks(count, dtype="f4", meta=np.empty((0, 0), "f4"))
    lazy = disp.assign(east=disp.east.copy(data=east), north=disp.north.copy(data=-east))
    line = [[5e5, 3.9984e6], [5.03e5, 3.9984e6]]
    with dask.config.set(scheduler="synchronous"):
        for call in (
            lambda d: d.subpix.profile(line, width=400.0),
            lambda d: d.subpix.offsets(NORTHWARD, spacing=400.0, half_length=900.0),
            lambda d: d.subpix.plot(),
            lambda d: d.subpix.explore(),
        ):
            calls.clear()
            call(lazy)
            assert len(calls) == 4


def test_offsets_on_a_geographic_grid(field):
    """Else degrees are taken for metres: the trace from the fault, and from its longitudes."""
    grid = field(np.zeros((150, 150)), pixel=4e-4, crs="EPSG:4326", origin=(10.0, 45.0)).east
    fault = Fault.straight(0.0, 0.0, strike=30.0, length=40e3, width=12e3, slip=4.0)
    disp = grid.subpix.synthetic_rupture(fault)
    one = xsubpix.offsets(disp, fault, spacing=500.0, half_length=1500.0)
    np.testing.assert_allclose(one.parallel.dropna("station"), 4.0, atol=0.03)
    assert one.sizes["station"] == 80
    # Two stations in degrees make the same line.
    ends = np.column_stack([one.x, one.y])[[20, 59]]
    two = xsubpix.offsets(disp, ends, spacing=500.0, half_length=1500.0)
    np.testing.assert_allclose(two.parallel.dropna("station"), 4.0, atol=0.03)
    assert abs(float(two.strike.mean()) - 30.0) < 0.1
