"""Odd input of every kind ends in one line of this package: no error of another library."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import xarray as xr

import xsubpix
from xsubpix import DataError, FaultError, FileError, Grid, ModelError, SubpixError, SubpixWarning
from xsubpix.networks.cards import read_card, weights_digest
from xsubpix.networks.registry import build_network
from xsubpix.training.config import TrainConfig

shapely = pytest.importorskip("shapely")

LINE = [[500100.0, 3999900.0], [500900.0, 3999500.0]]
WKT = "LINESTRING (500100 3999900, 500900 3999500)"


@pytest.fixture
def grid():
    coords = {"y": 4e6 - 20.0 * np.arange(50), "x": 5e5 + 20.0 * np.arange(80)}
    image = xr.DataArray(np.zeros((50, 80), "f4"), coords, ("y", "x"))
    return Grid.from_dataarray(image.rio.write_crs("EPSG:32611"))


# ------------------------------------------------------------------------------ traces


@pytest.mark.parametrize(
    "trace",
    [
        {"type": "Feature", "geometry": None}, {"type": "FeatureCollection", "features": None},
        {"type": "FeatureCollection", "features": []}, {"type": "LineString", "coordinates": []},
        {"type": "LineString", "coordinates": None}, {"type": "LineString"},
        {"type": "LineString", "coordinates": [[0, 0], ["a", 1]]}, {"type": None}, [], [[]],
        {"type": "LineString", "coordinates": [[0], [1]]}, {"type": "GeometryCollection"},
        {"type": "LineString", "coordinates": [[0, 0], [1, 1]], "crs": {"type": "name"}},
        {"type": "LineString", "coordinates": [[0, 0], [1, 1]],
         "crs": {"properties": {"name": "EPSG:0"}}},
        "LINESTRING (1 2", "LINESTRING EMPTY", "POINT (1 2)", "SRID=x;LINESTRING (0 0, 1 1)",
        "SRID=999999;LINESTRING (0 0, 1 1)", "POLYGON ((0 0, 1 0, 1 1, 0 0))", "{", "[1, 2]",
        shapely.Point(), shapely.LineString(), shapely.Point(1, 2), None, 7, True, b"x", object(),
        np.zeros((3, 3)), np.full((3, 2), np.nan), [[1.0, 2.0]], np.zeros((2, 2), complex),
        [*LINE, [9e9, 4e6]], [*LINE, [1e300, 4e6]], [*LINE, [-1e308, 1e308]],
    ],
    # Without addresses and line breaks: workers must collect the same names.
    ids=lambda t: type(t).__name__ if type(t) is object else str(t)[:40].replace("\n", " "),
)  # fmt: skip
def test_odd_traces(grid, trace):
    """140 of 300 were errors of NumPy, shapely, json or pyproj."""
    with pytest.raises(SubpixError) as caught:
        xsubpix.read_trace(trace, grid)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfe\x00", "{\"type\": \"é\"}".encode("latin-1"), b"[]", b"null", b"3", b"{}",
     b"[" * 100_000, b'{"type": "LineString", "coordinates": [[NaN, 1], [2, 3]]}',
     b'{"type": "LineString", "coordinates": [[1e999, 1], [2, 3]]}'],
    ids=lambda c: str(c[:20]),
)  # fmt: skip
@pytest.mark.parametrize("suffix", [".geojson", ".gpkg", ".shp"])
def test_odd_trace_files(grid, tmp_path, content, suffix):
    """Empty, Latin-1, lists, nothing."""
    path = tmp_path / f"trace{suffix}"
    path.write_bytes(content)
    with pytest.raises(SubpixError) as caught:
        xsubpix.read_trace(path, grid)
    assert "\n" not in str(caught.value)


def test_traces_that_are_read(grid, tmp_path):
    """Extended WKT, a byte-order mark, a stray point beside the lines, three numbers a vertex."""
    length = pytest.approx(np.hypot(800, 400), rel=1e-3)
    assert xsubpix.read_trace(f"SRID=32611;{WKT}", grid).length == length
    assert xsubpix.read_trace(f" {WKT.lower()}", grid).length == length
    named = {"type": "name", "properties": {"name": "EPSG:32611"}}
    line = {"type": "LineString", "coordinates": [[*v, 5.0] for v in LINE], "crs": named}
    (tmp_path / "a.geojson").write_bytes(b"\xef\xbb\xbf" + json.dumps(line).encode())
    assert xsubpix.read_trace(tmp_path / "a.geojson", grid).length == length
    assert xsubpix.read_trace(json.dumps(line), grid).length == length
    mixed = shapely.GeometryCollection([shapely.Point(1, 2), shapely.LineString(LINE)])
    with pytest.warns(SubpixWarning, match="1 Point beside its lines"):
        assert xsubpix.read_trace(mixed, grid).length == length
    features = [{"type": "Feature", "geometry": g} for g in (None, line)]
    document = {"type": "FeatureCollection", "features": features, "crs": named}
    with pytest.warns(SubpixWarning, match="1 empty geometry"):
        assert xsubpix.read_trace(document, grid).length == length


def test_fault_from_shapely():
    """Else a LineString ends in a TypeError: object has no len()."""
    fault = xsubpix.Fault.from_trace(shapely.LineString(LINE), width=5e3, slip=1.0, spacing=1e6)
    np.testing.assert_allclose(fault.traces[0][[0, -1]], LINE)
    for odd in (3, None, shapely.Point(1, 2), "line", [["a", "b"], ["c", "d"]]):
        with pytest.raises(FaultError):
            xsubpix.Fault.from_trace(odd, width=5e3, slip=1.0)


# ------------------------------------------------------------------- images and fields


def test_what_is_no_image(tmp_path, grid):
    """A path, a Dataset of images, a search as long as the image, advice that can be followed."""
    with pytest.raises(DataError, match=r"xsubpix\.open_image\('pre\.tif'\)"):
        xsubpix.correlate("pre.tif", "post.tif", model="phase")
    image = xr.DataArray(np.random.default_rng(0).random((64, 64)), dims=("y", "x"))
    with pytest.raises(DataError, match=r"ds\['NAME'\]\.subpix\.correlate"):
        image.to_dataset(name="red").subpix.correlate(image)
    with pytest.raises(DataError, match="correlate two images first"):
        image.subpix.magnitude()
    assert not hasattr(image.subpix, "nothing_of_that_name")
    coords = {"y": 4e6 - 10.0 * np.arange(64), "x": 5e5 + 10.0 * np.arange(64)}
    placed = image.assign_coords(coords).rio.write_crs("EPSG:32611")
    with pytest.raises(ModelError, match="search='30km' is 3000 px on these images"):
        xsubpix.correlate(placed, placed, model="phase", search="30km")
    both = image.expand_dims(pair=2, time=3)
    with pytest.raises(xsubpix.DimensionError, match="reset_index"):
        xsubpix.correlate(both, both, model="phase")
    one = both.stack(both=("pair", "time")).reset_index("both", drop=True).rename(both="pair")
    assert xsubpix.correlate(one, one, model="phase", window=16, step=16).sizes["pair"] == 6


@pytest.mark.parametrize(
    "function", [xsubpix.open_image, xsubpix.open_displacement, read_card, weights_digest,
                 TrainConfig.from_file], ids=lambda f: f.__qualname__,
)  # fmt: skip
def test_a_folder_as_a_file(tmp_path, function):
    """Else each reader has its own IsADirectoryError."""
    with pytest.raises(SubpixError) as caught:
        function(tmp_path)
    assert "\n" not in str(caught.value)


# ----------------------------------------------------------------------------- weights


def write_weights(path, card, tensors=None):
    """A safetensors file with any card."""
    header = {"__metadata__": {"xsubpix": card if isinstance(card, str) else json.dumps(card)}}
    header |= tensors or {}
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text)
    return path


UNET = {"architecture": "unet", "config": {}}
CARDS = [
    "", "null", "[]", "3", "{", {}, {"architecture": "unet"}, {"config": {}},
    *({**UNET, "architecture": name} for name in (["unet"], None, "nothing", {}, 3)),
    *({**UNET, "config": config} for config in ([], None, "width", {"depth": 3}, {"self": 1})),
    *({**UNET, "config": {"width": w}} for w in (64, 1e4, -1, 0, "1", None, float("nan"), [1])),
    *({**UNET, "config": {"levels": n}} for n in ([], [0], [1] * 10_000, 3, ["a"], [1.5], None)),
    *(
        {"architecture": "microflow", "config": config}
        for config in ({"iterations": 10**9}, {"backbone": "microflow"}, {"backbone": []},
                       {"shared": "yes"}, {"iterations": "3"})
    ),
    {"architecture": "geoflownet", "config": {"width": 16}},
    *({**UNET, "reach": reach} for reach in ("far", -1, 1e308, None, [4])),
    *({**UNET, "calibration": c} for c in (3, {"sigma": "1"}, {"sigma": -1}, {"sigma": None})),
]  # fmt: skip


@pytest.mark.parametrize("card", CARDS, ids=lambda c: str(c)[:60])
def test_odd_cards(tmp_path, card):
    """38 kinds ended in foreign errors; some asked for gigabytes before shapes were compared."""
    import resource

    from xsubpix.networks.weights import load_network

    path = write_weights(tmp_path / "a.safetensors", card)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ModelError) as caught:
        load_network(path)
    assert "\n" not in str(caught.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # KiB


def test_a_huge_file_of_weights(tmp_path):
    """The digest read all of 6 GiB."""
    path = tmp_path / "huge.safetensors"
    with open(path, "wb") as file:
        file.truncate(6 * 2**30)
    begun = time.perf_counter()
    with pytest.raises(ModelError, match="6144 MiB"):
        weights_digest(path)
    with pytest.raises(ModelError):
        read_card(path)
    assert time.perf_counter() - begun < 1.0


def test_width_is_bounded():
    """1e4 is a network of a terabyte."""
    for width in (64, 1e4, 0, -1, "1"):
        with pytest.raises(ModelError, match="width="):
            build_network("unet", width=width)


# ----------------------------------------------------------------------- configurations


@pytest.mark.parametrize(
    "values",
    [
        {"half": "x"}, {"half": 1}, {"seed": 1e308}, {"seed": 1.5}, {"seed": -1}, {"seed": True},
        {"compile": "no"}, {"wide_share": 1e6}, {"average": "1"}, {"architecture": "x"},
        {"architecture": []}, {"network": 3}, {"network": {"width": 1e4}}, {"warmup": 1.5},
        {"data": 3}, {"data": "db.zarr"}, {"data": [3]}, {"data": [{"path": 3}]}, {"data": []},
        {"data": [{"path": "a", "share": "much"}]}, {"data": [{"path": "a", "kind": "x"}]},
        {"augmentation": 3}, {"augmentation": {"noise": "x"}}, {"augmentation": {"blur": 1e6}},
        {"augmentation": {"shift": 1.5}}, {"augmentation": {"missing": 2}}, {"unknown": 1},
        {"steps": 1e308}, {"crop": 10**9}, {"learning_rate": 1e9}, {"batch": 0},
    ],
    ids=str,
)  # fmt: skip
def test_odd_configurations(values):
    """Accepted without a word, or errors of torch an hour later."""
    with pytest.raises(DataError) as caught:
        TrainConfig.from_dict({"data": [{"path": "db.zarr"}], **values})
    assert "\n" not in str(caught.value)


def test_a_configuration_that_is_none(tmp_path):
    """Else a traceback of tomllib, or of str."""
    for content in (
        b"",
        b"\xff",
        b"data = 3",
        b"[data]\npath = 3",
        b"data = [1, 2]",
        b"a = [" * 999,
    ):
        path = tmp_path / "a.toml"
        path.write_bytes(content)
        with pytest.raises((DataError, FileError)) as caught:
            TrainConfig.from_file(path)
        assert "\n" not in str(caught.value)


# ------------------------------------------------------------------------ command line


def test_evaluate_says_that_it_runs_files(capsys):
    """FILE.py:NAME is code."""
    from xsubpix.cli import main

    with pytest.raises(SystemExit):
        main(["evaluate", "--help"])
    assert "that file is run with your rights" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("delay", [0.15, 0.4, 0.8])
def test_interrupted_while_it_loads(delay):
    """Ctrl-C in the first half second showed thirty lines."""
    code = "import sys; sys.argv = ['xsubpix', '--version']; from xsubpix.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stderr=subprocess.PIPE, stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    time.sleep(delay)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1].decode()
    # Before the package is reached, it is Python that is interrupted.
    assert len(said.splitlines()) <= 1 or "xsubpix" not in said
