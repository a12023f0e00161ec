"""Without an optional package, one sentence says which extra brings it."""

import sys

import numpy as np
import pytest
import xarray as xr

import xsubpix
from xsubpix.cli.main import main
from xsubpix.tutorial import example_earthquake, procedural_scene


@pytest.fixture(scope="module")
def pair():
    """A scene, its second date and the true field."""
    pre = procedural_scene((64, 64))
    return (pre, *example_earthquake(pre))


def _plot(pre, post, truth):
    truth.subpix.plot()


def _explore(pre, post, truth):
    truth.subpix.explore()


def _micmac(pre, post, truth):
    pre.subpix.correlate(post, model="micmac")


def _deepflow(pre, post, truth):
    pre.subpix.correlate(post, model="deepflow")


def _geopackage(pre, post, truth):
    line = [(pre.x[4], pre.y[32]), (pre.x[-4], pre.y[32])]
    truth.subpix.profile(line, width=50.0).subpix.to_points("profile.gpkg")


def _netcdf(pre, post, truth):
    truth.subpix.to_netcdf("truth.nc")


def _database(pre, post, truth):
    from xsubpix.database import store

    store._zarr()  # what every opening and building of a store asks for


@pytest.mark.parametrize(
    ("module", "extra", "use"),
    [
        ("matplotlib", "plot", _plot),
        ("bokeh", "explore", _explore),
        ("numba", "micmac", _micmac),
        ("cv2", "opencv", _deepflow),
        ("geopandas", "geo", _geopackage),
        ("netCDF4", "netcdf", _netcdf),
        ("zarr", "database", _database),
    ],
)
def test_the_sentence_names_the_extra(pair, module, extra, use, monkeypatch, tmp_path):
    """Else a user reads a traceback of imports, and does not know what to install."""
    monkeypatch.chdir(tmp_path)
    for name in list(sys.modules):
        if name == module or name.startswith(f"{module}."):
            monkeypatch.delitem(sys.modules, name)
    for name in (
        "xsubpix.estimators.opencv",
        "xsubpix.estimators.micmac",
        "xsubpix.estimators.sgm",
    ):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, module, None)  # an import of it fails
    with pytest.raises(xsubpix.SubpixError, match=rf"pip install '?xsubpix\[{extra}\]'?"):
        use(*pair)


def test_a_cluster_needs_distributed(pair, monkeypatch, tmp_path, capsys):
    """Else ``--scheduler`` ends in a traceback."""
    monkeypatch.chdir(tmp_path)
    pre, post, _ = pair
    for image, name in ((pre, "pre.tif"), (post, "post.tif")):
        image.rio.to_raster(name)
    monkeypatch.setitem(sys.modules, "distributed", None)
    words = ["correlate", "pre.tif", "post.tif", "disp.tif", "--model", "phase"]
    assert main([*words, "--quiet", "--scheduler", "tcp://127.0.0.1:1"]) == 2
    assert "pip install" in capsys.readouterr().err


def test_the_core_measures_without_extras(pair):
    """Else the package is of no use as it is installed first."""
    pre, post, _ = pair
    disp = pre.subpix.correlate(post, model="phase", window=16, step=8)
    assert isinstance(disp, xr.Dataset)
    assert np.isfinite(disp.east).any()
