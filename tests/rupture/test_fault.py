"""The description of a fault."""

import dataclasses
import json
import pickle
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xsubpix.errors import SubpixError
from xsubpix.rupture import Fault, FaultError, Segment

EXTENT = (500e3, 3.9e6, 515e3, 3.915e6)


def straight(**options):
    values = {"strike": 30.0, "length": 10e3, "width": 6e3, "slip": 1.0}
    return Fault.straight(500e3, 4e6, **{**values, **options})


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_json_gives_the_same_fault_back(seed):
    """A database's faults could not be made again from its table."""
    fault = Fault.random(seed, EXTENT, pixel_size=30.0)
    text = fault.to_json()
    again = Fault.from_json(text)
    assert again == fault
    assert hash(again) == hash(fault)
    assert again.to_json() == text
    assert len(text) < 40_000


def test_a_fault_is_a_value():
    """Faults could change under a cache, or not travel to a dask worker."""
    fault = straight()
    with pytest.raises(dataclasses.FrozenInstanceError):
        fault.dip = 3.0
    assert pickle.loads(pickle.dumps(fault)) == fault
    assert fault != straight(dip=80.0)
    assert json.loads(fault.to_json())["type"] == "xsubpix.Fault"


def test_description_agrees_with_what_was_asked():
    """Strike, length or slip in the attributes would not be those of the field."""
    fault = straight(strike=210.0, dip=60.0, heterogeneity=0.0)
    assert fault.strike == pytest.approx(210)
    assert fault.length == pytest.approx(10e3)
    assert fault.max_slip == pytest.approx(1.0)
    assert 0.4 < fault.mean_slip < 0.8
    assert 5 < fault.magnitude < 7
    assert not fault.is_blind
    # Dips to the right of its strike: to the north-west, and down.
    assert fault.down_dip[0] < 0 < fault.down_dip[1]
    assert fault.down_dip[2] == pytest.approx(-np.sin(np.radians(60)))
    assert "strike 210" in repr(fault)
    assert fault.scaled(3.0).max_slip == pytest.approx(3.0)
    assert fault.scaled(3.0).traces[0].tolist() == fault.traces[0].tolist()


def test_the_trace_is_a_usable_line():
    """Users could not draw the trace, or measure distances from it."""
    shapely = pytest.importorskip("shapely")
    fault = straight()
    assert fault.trace.geom_type == "LineString"
    assert fault.trace.length == pytest.approx(10e3)
    assert shapely.from_wkt(fault.trace_wkt).equals(fault.trace)
    stepped = Fault.from_trace(
        [[(0, 0), (5e3, 0)], [(4.5e3, 800), (9e3, 900)]], width=5e3, slip=1.0
    )
    assert stepped.trace.geom_type == "MultiLineString"
    assert shapely.from_wkt(stepped.trace_wkt).equals(stepped.trace)
    assert stepped.length == pytest.approx(9500, rel=1e-2)


def test_without_shapely_the_trace_says_what_to_do(monkeypatch):
    """A user without shapely would meet an ImportError from inside."""
    monkeypatch.setitem(sys.modules, "shapely.geometry", None)
    with pytest.raises(FaultError, match="pip install shapely"):
        _ = straight().trace
    assert straight().__geo_interface__["type"] == "LineString"


def test_slip_is_tapered_and_linear_between_nodes():
    """Slip would end in a step at the tips, or be read at the wrong place."""
    slip = ((0.0, 1.0, 0.0), (0.0, 3.0, 0.0))
    segment = Segment(((0, 0), (1e3, 0)), (0.0, 0.25, 1.0), slip)
    along = np.array([0.0, 0.125, 0.25, 0.25, 1.0])
    down = np.array([0.5, 0.0, 0.0, 1.0, 0.3])
    np.testing.assert_allclose(segment.slip_at(along, down), [0, 0.5, 1, 3, 0])
    grid = np.array(straight(heterogeneity=0.5, seed=3).segments[0].slip)
    assert grid[:, [0, -1]].max() == 0
    assert grid[-1].max() == 0
    assert grid[0].max() > 0
    assert np.array(straight(top_depth=500.0).segments[0].slip)[0].max() == 0
    assert grid.tolist() != np.array(straight(seed=4).segments[0].slip).tolist()


def test_lonlat_lands_on_the_grid():
    """Mapped traces would be drawn in the wrong place."""
    fault = Fault.from_lonlat([(-117.0, 34.0), (-116.9, 34.1)], "EPSG:32611", width=6e3, slip=1.0)
    # The zone's central meridian has easting 500 km; 34 N is 3762155 m from the equator.
    assert fault.segments[0].trace[0][0] == pytest.approx(500e3, abs=0.01)
    assert fault.segments[0].trace[0][1] == pytest.approx(3762155.5, abs=1.0)
    assert fault.strike == pytest.approx(39.8, abs=0.3)
    with pytest.raises(FaultError, match="degree"):
        Fault.from_lonlat([(-117.0, 34.0), (-116.9, 34.1)], "EPSG:4326", width=6e3, slip=1.0)
    with pytest.raises(FaultError, match="longitude, latitude"):
        Fault.from_lonlat([(34.0, -117.0), (34.1, -116.9)], "EPSG:32611", width=6e3, slip=1.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dip": 0.0}, "dip=0.0"),
        ({"dip": 100.0}, "reverse the trace"),
        ({"width": -1.0}, "width=-1.0"),
        ({"width": float("nan")}, "width=nan"),
        ({"top_depth": -5.0}, "top_depth=-5.0"),
        ({"length": 0.0}, "length=0.0"),
        ({"taper": 0.7}, "taper=0.7"),
        ({"spacing": 0.0}, "spacing=0.0"),
        ({"slip": -1.0}, "the rake"),
    ],
)
def test_impossible_faults_are_refused(options, message):
    """A wrong sign or unit would give a field of nonsense."""
    with pytest.raises(FaultError, match=message) as error:
        straight(**options)
    assert isinstance(error.value, SubpixError)


@pytest.mark.parametrize(
    ("trace", "message"),
    [
        ([(0, 0)], "two or more"),
        ([(0, 0), (np.nan, 1)], "finite"),
        ([(0, 0), (5, 5), (5, 5)], "same vertex"),
        ([(0, 0, 0), (1, 1, 1)], "shape"),
    ],
)
def test_impossible_traces_are_refused(trace, message):
    """A broken trace would fail deep inside, or give NaN."""
    with pytest.raises(FaultError, match=message):
        Fault.from_trace(trace, width=5e3, slip=1.0)


def test_impossible_segments_are_refused():
    """Slip and positions that do not fit would be read out of step."""
    trace = ((0, 0), (1, 0))
    with pytest.raises(FaultError, match="increase from 0 to 1"):
        Segment(trace, (0.0, 0.5), ((1, 1), (1, 1)))
    with pytest.raises(FaultError, match="2 positions"):
        Segment(trace, (0.0, 1.0), ((1, 1), (1, 1, 1)))
    with pytest.raises(FaultError, match="one Segment or more"):
        Fault((), 90, 0, 1e3, 0, 100)


def test_what_is_not_a_fault_is_refused():
    """A table of another version would be misread without a word."""
    with pytest.raises(FaultError, match="JSON"):
        Fault.from_json("{")
    with pytest.raises(FaultError, match="complete"):
        Fault.from_json('{"dip": 90}')
    values = {**straight().to_dict(), "version": 3}
    with pytest.raises(FaultError, match="version 3"):
        Fault.from_dict(values)
