"""The command correlate: what it writes, what it refuses, what a kill leaves behind."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import rasterio

from xsubpix.cli import main


@pytest.fixture
def files(tmp_path, scene):
    """A pair of GeoTIFFs moved by (2, -1) px of 10 m, and where to write."""
    full = scene((240, 240))
    low, high = full.min(), full.max()
    full = np.round(1 + 65000 * (full - low) / (high - low)).astype(np.uint16)
    profile = {
        "driver": "GTiff", "width": 200, "height": 180, "count": 1, "dtype": "uint16",
        "crs": "EPSG:32611", "transform": rasterio.Affine(10, 0, 5e5, 0, -10, 4e6), "nodata": 0,
    }  # fmt: skip
    paths = [tmp_path / name for name in ("pre.tif", "post.tif", "disp.tif")]
    for path, (row, col) in zip(paths, ((20, 20), (21, 18)), strict=False):
        with rasterio.open(path, "w", **profile) as out:
            out.write(full[row : row + 180, col : col + 200], 1)
    return [str(path) for path in paths]


def test_correlate_writes_a_described_geotiff(files, capsys):
    """Else the field opens in no GIS, or nobody knows what its bands are."""
    assert main(["correlate", *files, "--model", "phase", "--step", "4", "--window", "32"]) == 0
    # Bars are for terminals; a log would be full of them.
    assert "%" not in capsys.readouterr().err
    with rasterio.open(files[2]) as out:
        assert out.descriptions == ("east", "north", "sigma", "quality", "flags")
        assert out.units[:3] == ("m", "m", "m")
        assert set(out.dtypes) == {"float32"}
        assert np.isnan(out.nodata)
        assert out.crs == "EPSG:32611"
        assert out.transform == rasterio.Affine(40, 0, 5e5, 0, -40, 4e6)
        assert out.shape == (45, 50)
        assert out.tags()["model"] == "phase"
        east, north = (np.nanmedian(out.read(k)) for k in (1, 2))
    # Rows of `post` begin one further down, columns two further left: the ground
    # went two columns right, one row up.
    assert east == pytest.approx(20, abs=0.1)
    assert north == pytest.approx(10, abs=0.1)


@pytest.mark.parametrize("search", ["30", "300m", "300 m", "0.3km"])
def test_search_in_pixels_or_metres(files, search):
    """Else whoever knows how far a glacier went must know the pixel too."""
    assert (
        main(
            ["correlate", *files, "--model", "phase", "--step", "16", "--search", search, "--quiet"]
        )
        == 0
    )
    with rasterio.open(files[2]) as out:
        assert "search=30," in out.tags()["model_parameters"] + ","
        assert np.nanmedian(out.read(1)) == pytest.approx(20, abs=0.2)


def test_quiet_is_quiet(files, capsys):
    """Else a batch job's log fills with bars."""
    assert main(["correlate", *files, "--step", "8", "--quiet"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert captured.out == ""


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({0: "nowhere.tif"}, "nowhere.tif"),
        ({2: "nofolder/disp.tif"}, "nofolder"),
        ({"--window": "3", "--model": "phase"}, "window=3"),
        ({"--window": "64"}, "tile_size"),
        ({"--tile-size": "3"}, "tile_size=3"),
        ({"--step": "0"}, "step=0"),
        ({"--model": "fase"}, "phase"),
        ({"--band": "2"}, "band 2"),
        ({"--device": "gpu"}, "device"),
        ({"--search": "far"}, "search='far'"),
        ({"--search": "nan"}, "search"),
    ],
)
def test_bad_input_is_one_clear_line_and_code_2(files, capsys, change, words):
    """Else a script goes on after a failure, or a user reads a traceback."""
    arguments = [change.get(k, f) for k, f in enumerate(files)]
    for key, value in change.items():
        if isinstance(key, str):
            arguments += [key, value]
    assert main(["correlate", *arguments]) == 2
    message = capsys.readouterr().err.strip()
    assert words in message
    assert "\n" not in message
    assert not os.path.exists(files[2])


def test_different_grids_are_refused(files, capsys, tmp_path):
    """Else two scenes are compared pixel by pixel that do not lie on each other."""
    with rasterio.open(files[1], "r+") as post:
        post.crs = "EPSG:32612"
    assert main(["correlate", *files]) == 2
    message = capsys.readouterr().err
    assert "EPSG:32611" in message
    assert "EPSG:32612" in message
    assert "share no ground" in message


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_command_goes_on(files, number):
    """Else a broken file is taken for a result, or hours of work are lost."""
    command = [sys.executable, "-m", "xsubpix", "correlate", *files, "--model", "phase"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    folder = os.path.dirname(files[2])
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not any("partial" in f for f in os.listdir(folder)):
        time.sleep(0.02)
    process.send_signal(number)
    assert process.wait(60) != 0
    assert not os.path.exists(files[2])
    assert main(["correlate", *files, "--model", "phase", "--quiet"]) == 0
    assert sorted(os.listdir(folder)) == ["disp.tif", "post.tif", "pre.tif"]
    assert (
        main(["correlate", *files[:2], files[2][:-4] + "2.tif", "--model", "phase", "--quiet"]) == 0
    )
    with rasterio.open(files[2]) as one, rasterio.open(files[2][:-4] + "2.tif") as two:
        np.testing.assert_array_equal(one.read(), two.read())
