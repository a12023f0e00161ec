"""Traces: the same line from every source, and sides and distances on it."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import xsubpix
from xsubpix import DataError, Fault, FileError, Grid
from xsubpix.grid import Plane

shapely = pytest.importorskip("shapely")

LINE = np.array([[500100.0, 3999900.0], [500900.0, 3999500.0], [501500.0, 3999400.0]])


@pytest.fixture
def grid(field):
    return Grid.from_dataarray(field(np.zeros((50, 80)))["east"])


def lonlat():
    import pyproj

    convert = pyproj.Transformer.from_crs("EPSG:32611", "OGC:CRS84", always_xy=True)
    return np.column_stack(convert.transform(*LINE.T)).tolist()


def sources(folder):
    geopandas = pytest.importorskip("geopandas")
    feature = {"type": "Feature", "properties": {}, "geometry": None}
    feature["geometry"] = {"type": "LineString", "coordinates": lonlat()}
    degrees = {"type": "FeatureCollection", "features": [feature]}
    metres = {
        "type": "LineString",
        "coordinates": LINE.tolist(),
        "crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32611"}},
    }
    (folder / "a.geojson").write_text(json.dumps(degrees))
    frame = geopandas.GeoDataFrame(geometry=[shapely.LineString(LINE)], crs=32611)
    frame.to_file(folder / "a.gpkg")
    frame.to_crs(4326).to_file(folder / "b.gpkg")
    return {
        "array": LINE,
        "list": LINE.tolist(),
        "shapely": shapely.LineString(LINE),
        "wkt": shapely.LineString(LINE).wkt,
        "fault": Fault.from_trace(LINE, width=5e3, slip=1.0, spacing=1e6),
        "geojson, degrees": degrees,
        "geojson, metres": metres,
        "geojson file": str(folder / "a.geojson"),
        "geopackage": folder / "a.gpkg",
        "geopackage, degrees": folder / "b.gpkg",
        "frame": frame.to_crs(4326),
    }


def test_every_source_gives_the_same_line(grid, tmp_path):
    """Else degrees are taken for metres, or a CRS is overlooked."""
    for name, source in sources(tmp_path).items():
        (got,) = xsubpix.read_trace(source, grid).segments
        assert got.shape == LINE.shape, name
        np.testing.assert_allclose(got, LINE, atol=2e-3, err_msg=name)


def test_several_lines_are_walked_one_after_the_other(grid):
    """Else a step-over counts as fault."""
    two = [LINE, LINE[::-1] - np.array([0.0, 3000.0])]
    trace = xsubpix.read_trace(shapely.MultiLineString([line.tolist() for line in two]), grid)
    one = xsubpix.read_trace(LINE, grid)
    assert trace.length == pytest.approx(2 * one.length)
    assert xsubpix.read_trace(two, grid).length == trace.length


def test_places_relative_to_a_line(field):
    """Else sides are swapped, or distances run past the tips."""
    grid = Grid.from_dataarray(field(np.zeros((50, 80)), origin=(0.0, 1000.0))["east"])
    trace = xsubpix.read_trace([[0.0, 0.0], [0.0, 1000.0], [1000.0, 1000.0]], grid)
    x = np.array([50.0, -50.0, 300.0, 500.0, 0.0, 1100.0, -30.0])
    y = np.array([300.0, 300.0, 1020.0, 900.0, -200.0, 1000.0, 1030.0])
    along, right, _ = trace.locate(x, y)
    np.testing.assert_allclose(right[:6], [50, -50, -20, 100, 0, 0], atol=1e-6)
    np.testing.assert_allclose(along[:6], [300, 300, 1300, 1500, -200, 2100], atol=1e-6)
    # Off the outer side of a corner: to the left.
    assert right[6] < -30


@given(st.integers(0, 10_000), st.floats(0, 3000), st.booleans())
def test_pixels_within_reach_are_all_found(field, seed, reach, flip):
    """Else swaths lose pixels at the edges of the blocks that are looked at first."""
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 90, 2))
    disp = field(np.zeros(shape), north_up=not flip)
    grid = Grid.from_dataarray(disp["east"])
    low, high = grid.corners().min(0) - 500, grid.corners().max(0) + 500
    line = rng.uniform(low, high, (4, 2))
    # Of a small field, a line could lie so far away that it is refused.
    line[0] = line[0].clip(low + 500, high - 500)
    trace = xsubpix.read_trace(line, grid)
    plane = Plane.of(grid)
    got = np.zeros(shape, bool)
    got.flat[trace.pixels_within(plane, shape, reach)] = True
    x, y = plane.at(np.arange(shape[0])[:, None], np.arange(shape[1])[None, :])
    points = shapely.points(*np.broadcast_arrays(x, y))
    away = shapely.distance(points, shapely.LineString(line))
    # Points of the trace are half a pixel apart: what is nearer is in, what is farther out.
    assert got[away <= reach].all()
    assert not got[away > reach + trace.spacing].any()


def test_degrees_become_metres(field):
    """Else a trace on a geographic grid is measured in degrees."""
    disp = field(np.zeros((50, 80)), pixel=2e-4, crs="EPSG:4326", origin=(10.0, 60.0))
    grid = Grid.from_dataarray(disp["east"])
    trace = xsubpix.read_trace([[10.0, 59.995], [10.016, 59.995]], grid)
    assert trace.length == pytest.approx(0.016 * 111.4e3 * 0.5, rel=0.01)


@pytest.mark.parametrize(
    ("trace", "error", "message"),
    [
        ([[0.0, 0.0]], DataError, "no length"),
        ([[1.0, 1.0], [1.0, 1.0]], DataError, "no length"),
        ([1.0, 2.0], DataError, "shape"),
        ([[0.0, np.nan], [1.0, 1.0]], DataError, "not finite"),
        (shapely.Point(0, 0), DataError, "Point"),
        ("nowhere.geojson", FileError, "no such file"),
        (object(), DataError, "object"),
    ],
)
def test_what_is_no_line_is_refused(grid, trace, error, message):
    """Else the mistake shows far from its cause."""
    with pytest.raises(error, match=message):
        xsubpix.read_trace(trace, grid)


def test_a_broken_file_is_named(grid, tmp_path):
    """Else a user does not learn which file cannot be read."""
    for name in ("a.geojson", "a.gpkg"):
        (tmp_path / name).write_text("{")
        with pytest.raises(FileError, match=name):
            xsubpix.read_trace(tmp_path / name, grid)
