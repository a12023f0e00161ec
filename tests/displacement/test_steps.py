"""Trends and stripes beside a rupture: its own motion stays, whatever the trace does."""

import importlib

import numpy as np
import pytest

import xsubpix
from xsubpix import ModelError
from xsubpix.displacement.traces import read_trace
from xsubpix.rupture import Fault, synthetic_rupture

SIDE, PIXEL = 120, 250.0
ALONG = np.linspace(0, 1, 30)
TRACES = {
    "crosses": np.array([[4.6e5, 3.95e6], [5.7e5, 4.02e6]]),
    "ends within": np.array([[4.8e5, 3.975e6], [5.18e5, 3.987e6]]),
    "lies within": np.array([[5.07e5, 3.98e6], [5.23e5, 3.99e6]]),
    "curves": np.column_stack(
        [4.97e5 + 36e3 * ALONG, 3.978e6 + 12e3 * ALONG + 4e3 * np.sin(3 * ALONG)]
    ),
}


def plane(disp):
    """Terms of a plane, from -1 to 1."""
    y, x = np.meshgrid(np.linspace(1, -1, SIDE), np.linspace(-1, 1, SIDE), indexing="ij")
    return np.stack([np.ones_like(x), x, y])


def rms_of_plane(disp, error):
    """Root mean square of the plane in an error."""
    terms = plane(disp).reshape(3, -1)
    values = np.asarray(error, float).ravel()
    good = np.isfinite(values)
    return np.sqrt(np.mean((np.linalg.lstsq(terms[:, good].T, values[good])[0] @ terms) ** 2))


@pytest.mark.parametrize("name", TRACES)
def test_a_dislocation_beside_a_ramp_and_stripes_comes_back(field, name):
    """Else a tenth of the slip is taken for a ramp, and stripes take the fault with them."""
    slip = 5.0
    fault = Fault.from_trace(TRACES[name], slip=slip, dip=89.9, rake=180.0, width=15e3)
    bare = field(np.zeros((SIDE, SIDE)), pixel=PIXEL)
    truth = synthetic_rupture(bare.east, fault)
    rng = np.random.default_rng(0)
    stripes = 0.3 * np.sign(np.sin(np.arange(SIDE) / 5.3))
    stripes -= np.median(stripes)
    ramp = np.tensordot([[0.8, 0.9, -0.6], [-0.5, 0.4, 0.7]], plane(truth), 1)
    disp = field(
        truth.east + ramp[0] + rng.normal(0, 0.1, (SIDE, SIDE)),
        truth.north + ramp[1] + rng.normal(0, 0.1, (SIDE, SIDE)),
        pixel=PIXEL,
    )
    flat = xsubpix.detrend(disp, trace=TRACES[name], depth=15e3)
    for component in ("east", "north"):
        assert rms_of_plane(disp, flat[component] - truth[component]) < 0.02 * slip
    assert "to a depth of 15000" in flat.attrs["detrend"]
    striped = flat.copy()
    striped["east"] = flat.east + stripes.astype("f4")
    lean = xsubpix.destripe(striped, trace=TRACES[name], depth=15e3)
    for component in ("east", "north"):
        error = (lean[component] - flat[component]).values
        error -= np.median(error)
        seam = np.abs(np.diff(stripes, append=stripes[-1], prepend=stripes[0])) > 0
        keep = ~(seam[1:] | seam[:-1])
        assert np.sqrt(np.mean(error[:, keep] ** 2)) < 0.02 * slip


@pytest.mark.parametrize("name", TRACES)
def test_an_unknown_depth_is_fitted(field, name):
    """Else a sixth of an elastic slip is taken for a ramp unless somebody knows its depth."""
    slip = 5.0
    fault = Fault.from_trace(TRACES[name], slip=slip, dip=89.9, rake=180.0, width=15e3)
    truth = synthetic_rupture(field(np.zeros((SIDE, SIDE)), pixel=PIXEL).east, fault)
    noise = np.random.default_rng(0).normal(0, 0.1, (2, SIDE, SIDE))
    ramp = np.tensordot([[0.8, 0.9, -0.6], [-0.5, 0.4, 0.7]], plane(truth), 1)
    parts = (t + r + n for t, r, n in zip((truth.east, truth.north), ramp, noise, strict=True))
    flat = xsubpix.detrend(field(*parts, pixel=PIXEL), trace=TRACES[name])
    for component in ("east", "north"):
        assert rms_of_plane(truth, flat[component] - truth[component]) < 0.02 * slip
    assert "to a depth of 1" in flat.attrs["detrend"]


@pytest.mark.parametrize("lazy", [False, True])
def test_a_clean_step_is_no_ramp(field, lazy):
    """Else 3 m across the whole scene come back as 2.5 m of wrong ramp."""
    trace = np.array([[5e5, 3.9985e6], [5.03e5, 3.9985e6]])
    disp = field(np.zeros((SIDE, SIDE)))
    ramp = np.tensordot([0.5, 0.4, -0.3], plane(disp), 1)
    side = np.where(disp.y.values > 3.9985e6, 1.5, -1.5)[:, None] * np.ones(SIDE)
    disp = field(side + ramp, ramp)
    given = disp.chunk({"y": 60, "x": 70}) if lazy else disp
    flat = xsubpix.detrend(given, trace=trace)
    np.testing.assert_allclose(flat.east, side, atol=2e-3)
    np.testing.assert_allclose(flat.north, 0, atol=2e-3)
    assert float(abs(xsubpix.detrend(disp).east - side).max()) > 1.0
    across = xsubpix.destripe(field(side, 0 * side), "across", trace=trace)
    np.testing.assert_allclose(across.east, side, atol=0.05)


def test_lazy_is_equal_beside_a_trace(field):
    """Else a large field is cleaned otherwise than a small one."""
    rng = np.random.default_rng(1)
    disp = field(rng.normal(size=(90, 80)), rng.normal(size=(90, 80)), pixel=200.0)
    trace = np.array([[5.02e5, 3.99e6], [5.12e5, 3.995e6]])
    chunked = disp.chunk({"y": 40, "x": 50})
    for call in (xsubpix.detrend, xsubpix.destripe):
        for depth in (None, 8e3):
            eager = call(disp, trace=trace, depth=depth)
            lazy = call(chunked, trace=trace, depth=depth)
            again = call(chunked, trace=trace, depth=depth)
            assert lazy.chunks
            assert set(lazy.east.data.dask) == set(again.east.data.dask)
            np.testing.assert_allclose(lazy.east, eager.east, atol=1e-5)


@pytest.mark.parametrize("product", [xsubpix.detrend, xsubpix.destripe])
def test_what_is_refused(field, product):
    """Else a depth without a fault is passed over."""
    disp = field(np.zeros((40, 40)))
    for options in ({"depth": 1e3}, {"buffer": 1e3}, {"trace": [[0, 0], [1, 1]], "depth": -1}):
        with pytest.raises(ModelError):
            product(disp, **options)


@pytest.mark.parametrize("product", [xsubpix.detrend, xsubpix.destripe])
@pytest.mark.parametrize("depth", [None, 1e3])
def test_a_trace_beside_the_field(field, product, depth):
    """Else a rupture that no pixel is near to stops in a library beneath."""
    values = np.random.default_rng(0).normal(size=(40, 40))
    clean = product(field(values), trace=[[5e5, 3.9985e6], [5.03e5, 3.9985e6]], depth=depth)
    assert np.isfinite(clean.east).all()


@pytest.mark.parametrize("product", [xsubpix.detrend, xsubpix.destripe])
@pytest.mark.parametrize("options", [{"depth": -1}, {"buffer": -1}])
def test_numbers_are_checked_before_a_trace_is_read(field, product, options):
    """Else a wrong depth is found after minutes of reading, or not named at all."""
    with pytest.raises(ModelError, match=next(iter(options))):
        product(field(np.zeros((40, 40))), trace="absent.geojson", **options)


@pytest.mark.parametrize("product", [xsubpix.detrend, xsubpix.destripe])
def test_a_trace_is_read_once(field, product, monkeypatch):
    """Else of a file every reading costs as much as the fit."""
    read = []

    def counted(trace, grid):
        read.append(trace)
        return read_trace(trace, grid)

    for name in ("stable", "detrend", "destripe"):
        module = importlib.import_module(f"xsubpix.displacement.{name}")
        monkeypatch.setattr(module, "read_trace", counted)
    line = [[5e5, 3.9985e6], [5.03e5, 3.9985e6]]
    rng = np.random.default_rng(0)
    product(field(rng.normal(size=(40, 40))), trace=line, buffer=60.0, depth=1e3)
    assert sum(isinstance(trace, list) for trace in read) == 1
