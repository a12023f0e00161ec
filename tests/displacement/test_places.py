"""Masks, fields and traces are matched by where they are, never by position, or refused."""

import itertools

import numpy as np
import pytest
import xarray as xr

import xsubpix
from xsubpix import DataError, GridError, SubpixWarning

shapely = pytest.importorskip("shapely")

ROWS, COLS = 60, 80


@pytest.fixture
def disp(field):
    """A plane, and 5 m of displacement in the upper third."""
    y, x = np.mgrid[:ROWS, :COLS]
    east = 1.0 + 0.01 * x + np.where(y < 20, 5.0, 0.0)
    return field(east)


@pytest.fixture
def mask(disp):
    """True on the lower two thirds."""
    return (disp.east * 0 + np.arange(ROWS)[:, None]) >= 20


def left_over(disp, mask):
    return float(xsubpix.detrend(disp, mask=mask).east.values[30:].mean())


@pytest.mark.parametrize("lazy", [False, True])
def test_mask_with_its_rows_the_other_way(disp, mask, lazy):
    """Stable ground ended at -2.3 m."""
    disp, mask = (disp.chunk({"y": 20}), mask.chunk({"y": 20})) if lazy else (disp, mask)
    right = left_over(disp, mask)
    assert abs(right) < 1e-3
    assert left_over(disp, mask.isel(y=slice(None, None, -1))) == right
    assert left_over(disp, mask.isel(x=slice(None, None, -1), y=slice(None, None, -1))) == right
    assert left_over(disp, mask.drop_vars(["x", "y", "spatial_ref"])) == right
    assert left_over(disp, mask.drop_vars("spatial_ref")) == right


def test_nodata_of_a_mask(disp, mask):
    """255 that means nothing is not stable ground."""
    holes = mask.astype("u1").where(mask, 255).astype("u1")
    assert abs(left_over(disp, holes.assign_attrs(_FillValue=255))) < 1e-3


def moved(x=0.0, crs=None):
    def change(mask):
        mask = mask.assign_coords(x=mask.x + x)
        return mask if crs is None else mask.drop_vars("spatial_ref").rio.write_crs(crs)

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (moved(x=1e5), "corners differ by up to 5000"),
        (moved(x=10.0), "corners differ by up to 0.5"),
        (moved(crs="EPSG:32612"), "EPSG:32611 and EPSG:32612"),
        (lambda m: m.isel(x=slice(1, None)), "different shapes"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("function", [xsubpix.detrend, xsubpix.destripe])
def test_masks_from_elsewhere(disp, mask, change, words, function):
    """Another zone, 100 km away, half a pixel: with both values."""
    with pytest.raises(GridError, match=words):
        function(disp, mask=change(mask))


def test_fields_that_move_an_image(disp, utm, scene):
    """warp_quintic took arrays with coordinates by position, and fields from far away for none."""
    image = utm(scene((40, 40)))
    dx = image * 0 + 1.0
    dx[:20] = 3.0
    with pytest.raises(GridError, match="image and dx lie on different grids"):
        xsubpix.warp_quintic(image, (dx.isel(y=slice(None, None, -1)), dx * 0))
    far = xr.Dataset({"east": dx, "north": dx}).assign_coords(x=image.x + 1e5)
    with pytest.raises(GridError, match="share no ground"):
        xsubpix.warp_quintic(image, far)


def test_pairs_in_another_order(utm, scene):
    """Stacks were paired by position whatever their coordinate said."""
    stack = xr.concat([utm(scene((40, 40), seed=k)) for k in (0, 1)], "pair")
    stack = stack.assign_coords(pair=["a", "b"])
    with pytest.raises(xsubpix.DimensionError, match=r"different pairs: 'a' and 'b' at position 0"):
        xsubpix.correlate(stack, stack.isel(pair=[1, 0]), model="phase", window=16)


USES = {
    "rotate": lambda d, t: xsubpix.rotate(d, t),
    "detrend": lambda d, t: xsubpix.detrend(d, trace=t, buffer=100.0),
    "destripe": lambda d, t: xsubpix.destripe(d, trace=t, buffer=100.0),
    "plot": lambda d, t: d.subpix.plot(trace=t),
    "explore": lambda d, t: xsubpix.explore(d, trace=t),
    "offsets": lambda d, t: xsubpix.offsets(d, t, half_length=300.0, spacing=300.0),
    "profile": lambda d, t: xsubpix.profile(d, t, width=100.0),
}


@pytest.mark.parametrize("use", USES)
def test_traces_from_elsewhere(disp, use):
    """In degrees on a UTM field, or 100 km away: they went on in silence."""
    for module, names in (("matplotlib", ["plot"]), ("bokeh", ["explore"])):
        if use in names:
            pytest.importorskip(module)
    degrees = [(-117.0, 36.14), (-116.99, 36.13)]
    with pytest.raises(GridError, match=r"look like degrees"):
        USES[use](disp, degrees)
    far = [(6e5, 4e6), (6e5, 3.999e6)]
    with pytest.raises(GridError, match=r"x 600000, y 4000000, and the field spans x 500000"):
        USES[use](disp, far)
    trace = xsubpix.read_trace(
        far, xsubpix.Grid.from_dataarray(disp.assign_coords(x=disp.x + 1e5).east)
    )
    with pytest.raises(GridError, match="away from the field"):
        USES[use](disp, trace)


def test_where_a_trace_lies_is_said_in_the_crs_of_the_field(disp):
    """One with a CRS was told that its degrees are no metres, although they were brought there."""
    far = {"type": "LineString", "coordinates": [[-116.0, 36.14], [-115.99, 36.13]]}
    with pytest.raises(GridError, match=r"begins at x 589\d{3}.*one of this ground"):
        xsubpix.rotate(disp, far)


def faulted(field, curve):
    """Two metres right-lateral across a curve y(x), on 20 m pixels."""
    shape = (100, 160)
    x, y = 5e5 + 20.0 * (np.arange(160) + 0.5), 4e6 - 20.0 * (np.arange(100) + 0.5)
    above = y[:, None] > curve(x)[None, :]
    rng = np.random.default_rng(0)
    return field(np.where(above, 1.0, -1.0) + rng.normal(0, 0.05, shape))


@pytest.mark.parametrize("bend", [0.0, 2e-5])
def test_trace_in_pieces_drawn_both_ways(field, bend):
    """Offsets of -1.90 +- 0.10 where 2.00 is right; rotate flipped piece by piece."""

    def curve(x):
        return 4e6 - 1000.0 + bend * (x - 5e5 - 1600.0) ** 2

    disp = faulted(field, curve)
    cuts = np.linspace(5e5 + 100, 5e5 + 3100, 6)
    whole = [
        np.column_stack([x := np.linspace(a + 20, b - 20, 12), curve(x)])
        for a, b in itertools.pairwise(cuts)
    ]
    shuffled = [whole[3], whole[0][::-1], whole[4][::-1], whole[2], whole[1]]
    options = {"half_length": 500.0, "spacing": 300.0}
    right = xsubpix.offsets(disp, whole, **options)
    found = xsubpix.offsets(disp, shuffled, **options)
    assert float(np.abs(right.parallel - 2.0).max()) < 0.1
    assert float(np.abs(found.parallel - 2.0).max()) < 0.1
    np.testing.assert_allclose(found.x, right.x, atol=1.0)
    turned = xsubpix.rotate(disp, shuffled, smoothing=200.0)
    np.testing.assert_allclose(turned.strike, xsubpix.rotate(disp, whole, smoothing=200.0).strike)
    multi = shapely.MultiLineString([piece.tolist() for piece in shuffled])
    np.testing.assert_allclose(xsubpix.offsets(disp, multi, **options).parallel, found.parallel)


def test_parallel_strands_and_cross_faults(field):
    """Two strands side by side go the same way; of a cross fault it is said that it is a guess."""
    disp = field(np.zeros((100, 160)))
    one = np.array([(500200.0, 3999000.0), (502800.0, 3999000.0)])
    two = np.array([(502000.0, 3998800.0), (501000.0, 3998800.0)])
    strike = xsubpix.rotate(disp, [one, two]).strike
    np.testing.assert_allclose(strike, 90.0, atol=1e-3)
    across = np.array([(501500.0, 3998900.0), (501510.0, 3998100.0)])
    with pytest.warns(SubpixWarning, match=r"meet at 8\d degrees"):
        xsubpix.rotate(disp, [one, across])


def test_a_trace_of_no_kind(disp):
    """Numbers, None, and bytes were TypeErrors of NumPy."""
    for odd in (None, True, b"LINESTRING (0 0, 1 1)", {}, {"type": "Feature"}):
        with pytest.raises(DataError):
            xsubpix.read_trace(odd, xsubpix.Grid.from_dataarray(disp.east))
