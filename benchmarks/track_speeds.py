"""Ten speeds that matter, timed by pytest-benchmark: ``nox -s bench_track``.

Nothing here fails because of a time; ``track_report.py`` puts the times beside stored ones.
Scenes are procedural, so that every machine times the same work.
"""

from __future__ import annotations

from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr

import xsubpix
from xsubpix.second_date import SecondDate
from xsubpix.tutorial import procedural_scene

ROUNDS = 3


@pytest.fixture(scope="module")
def pair() -> tuple[xr.DataArray, xr.DataArray]:
    """Two images of 512 x 512 pixels, moved by (0.4, -0.3) pixels."""
    pre = procedural_scene((512, 512))
    shift = np.full(pre.shape, 4.0), np.full(pre.shape, 3.0)
    return pre, xsubpix.warp_quintic(pre, _field(pre, *shift))


@pytest.fixture(autouse=True)
def _one_thread():
    with dask.config.set(scheduler="synchronous"):
        yield


def _field(pre: xr.DataArray, east: np.ndarray, north: np.ndarray) -> xr.Dataset:
    """A displacement on an image's grid, in metres."""
    attrs = {"units": "m"}
    return xr.Dataset(
        {
            "east": (pre.dims, east.astype("f4"), attrs),
            "north": (pre.dims, north.astype("f4"), attrs),
        },
        coords=pre.coords,
    )


def _time(benchmark: Any, call: Any) -> Any:
    """Time a call, once before for what is loaded or compiled at first use."""
    return benchmark.pedantic(call, rounds=ROUNDS, iterations=1, warmup_rounds=1)


def test_machine(benchmark):
    """Work of numpy alone, by which times of two machines can be compared."""
    values = np.random.default_rng(0).normal(size=(1024, 1024))

    def work() -> np.ndarray:
        return np.sort(np.fft.irfft2(np.fft.rfft2(values)), axis=1)

    _time(benchmark, work)


MODELS = {
    "unet": {},
    "phase": {"window": 32, "step": 8},
    "cosi-corr": {"window": 32, "step": 8},
    "micmac": {"step": 2},
    "dis": {},
}


@pytest.mark.parametrize("model", MODELS)
def test_correlate(benchmark, pair, model):
    """A pair of 512 x 512 pixels, by a model."""
    pre, post = pair
    disp = _time(benchmark, lambda: xsubpix.correlate(pre, post, model=model, **MODELS[model]))
    # The right work was timed: 0.4 pixels of 10 m.
    assert abs(float(disp.east.median()) - 4.0) < 0.5


def test_graph_of_a_scene(benchmark):
    """What lazy costs before anything is read: the graph of a whole Sentinel-2 band."""
    rows = cols = 10980
    coords = {"y": 4.2e6 - 10.0 * np.arange(rows), "x": 5e5 + 10.0 * np.arange(cols)}
    image = xr.DataArray(
        da.zeros((rows, cols), chunks=1024, dtype="f4"), dims=("y", "x"), coords=coords
    )
    disp = _time(benchmark, lambda: xsubpix.correlate(image, image, model="phase"))
    assert disp.east.chunks is not None


def test_warp(benchmark, pair):
    """A quintic warp of 512 x 512 pixels by a field that differs everywhere."""
    pre, _ = pair
    bend = 10.0 * np.sin(np.linspace(0, 3, pre.size)).reshape(pre.shape)
    moved = _time(benchmark, lambda: xsubpix.warp_quintic(pre, _field(pre, bend, -bend)))
    assert moved.shape == pre.shape


def test_rupture(benchmark, pair):
    """The field of a random rupture on 512 x 512 pixels."""
    pre, _ = pair
    truth = _time(benchmark, lambda: xsubpix.synthetic_rupture(pre, seed=7))
    assert float(np.abs(truth.east).max()) > 0


def test_second_date(benchmark, pair):
    """Another season, air and instrument over 512 x 512 pixels."""
    image = pair[0].values
    date = SecondDate.random(np.random.default_rng(1), correlation=(0.8, 0.8))
    assert _time(benchmark, lambda: date.apply(image)).shape == image.shape


def test_filter_outliers(benchmark, pair):
    """A field of 512 x 512 values, cleaned."""
    pre, _ = pair
    rng = np.random.default_rng(2)
    field = _field(pre, rng.normal(size=pre.shape), rng.normal(size=pre.shape))
    assert _time(benchmark, lambda: xsubpix.filter_outliers(field).compute()) is not None
