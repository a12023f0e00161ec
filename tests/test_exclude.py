"""Clouds, water and polygons left out, on any grid."""

import json

import numpy as np
import pytest
import xarray as xr
from scipy import ndimage

import xsubpix
from xsubpix import DataError, FileError, ModelError
from xsubpix.cli import main

OPTIONS = {"model": "phase", "window": 16, "step": 4, "search": 3}


@pytest.fixture
def scenes(scene, utm):
    """A pair that moved by (0.4, 0.2) px of 10 m, with garbage in a box of both."""
    pre, post = scene((120, 140)), scene((120, 140), (0.4, 0.2))
    for image, seed in ((pre, 1), (post, 2)):
        image[40:80, 50:100] = np.random.default_rng(seed).normal(300, 90, (40, 50))
    return utm(pre), utm(post)


def box(grid_like, rows=(40, 80), cols=(50, 100)):
    away = xr.zeros_like(grid_like, dtype=bool)
    away[slice(*rows), slice(*cols)] = True
    return away


def check(disp):
    """Nothing under the box, the rest as it is without it."""
    assert np.isnan(disp.east[13:17, 16:22]).all()
    rest = disp.east.where(np.isfinite(disp.east))
    assert float(abs(rest - 4).quantile(0.95)) < 0.5
    assert np.isfinite(disp.east).mean() > 0.7


def test_a_boolean_raster_on_the_grid_and_lazily(scenes, identical):
    """Else garbage under clouds is measured."""
    pre, post = scenes
    away = box(pre)
    disp = xsubpix.correlate(pre, post, exclude=away, **OPTIONS)
    check(disp)
    lazy = xsubpix.correlate(pre.chunk(50), post.chunk(50), exclude=away, **OPTIONS)
    again = xsubpix.correlate(pre.chunk(50), post.chunk(50), exclude=away, **OPTIONS)
    assert set(lazy.east.data.dask) == set(again.east.data.dask)
    identical(lazy, disp)


def test_classes_of_both_missions_on_other_grids(scenes):
    """Else masks must be resampled by hand, and bits looked up."""
    pre, post = scenes
    away = box(pre)
    scl = (away * 9 + (~away) * 5).astype(np.uint8)[::2, ::2]
    scl = scl.assign_coords(x=scl.x + 5, y=scl.y - 5).rio.write_crs(32611)
    check(xsubpix.correlate(pre, post, exclude=scl, exclude_values="cloud", **OPTIONS))
    check(xsubpix.correlate(pre, post, exclude=scl, exclude_values=[8, 9], **OPTIONS))
    qa = (away * (1 << 3) + (~away) * (1 << 6)).astype(np.uint16)
    other = qa.rio.reproject("EPSG:32612", resampling=0)
    check(
        xsubpix.correlate(
            pre, post, exclude=[other, scl], exclude_values=("cloud", "cloud_shadow"), **OPTIONS
        )
    )


def test_polygons_in_longitude_and_latitude(scenes, tmp_path):
    """Else a lake drawn in a GIS must be rasterised first."""
    geopandas = pytest.importorskip("geopandas")
    import shapely

    pre, post = scenes
    inside = pre[40:80, 50:100]
    x, y = inside.x.values, inside.y.values
    shape = shapely.box(x.min() - 5, y.min() - 5, x.max() + 5, y.max() + 5)
    check(xsubpix.correlate(pre, post, exclude=shape, **OPTIONS))
    frame = geopandas.GeoDataFrame(geometry=[shape], crs=32611)
    check(xsubpix.correlate(pre, post, exclude=frame, **OPTIONS))
    path = tmp_path / "lake.geojson"
    path.write_text(json.dumps(json.loads(frame.to_crs(4326).to_json())))
    check(xsubpix.correlate(pre, post, exclude=path, **OPTIONS))


def test_whole_numbers_and_nodata(scenes, utm):
    """Else an image of uint16 cannot have holes."""
    pre, post = ((10 * s).astype("u2") for s in scenes)
    pre[:20] = 0
    disp = xsubpix.correlate(pre.rio.write_nodata(0), post, exclude=box(pre), **OPTIONS)
    check(disp)
    assert np.isnan(disp.east[:3]).all()


def test_the_command_line(scenes, tmp_path):
    """Else the mask of a download is for Python only."""
    pre, post = scenes
    paths = [str(tmp_path / f"{name}.tif") for name in ("pre", "post", "scl", "out")]
    pre.rio.to_raster(paths[0])
    post.rio.to_raster(paths[1])
    (box(pre) * 9).astype(np.uint8).rio.to_raster(paths[2])
    command = ["correlate", paths[0], paths[1], paths[3], "--model", "phase", "--window", "16",
               "--step", "4", "--quiet", "--exclude", paths[2]]  # fmt: skip
    assert main([*command, "--exclude-values", "8,9"]) == 0
    check(xsubpix.open_displacement(paths[3]))
    assert main([*command, "--overwrite"]) == 2


def test_stable_ground_on_the_command_line(scenes, tmp_path, capsys):
    """Else the floor of sigma is for Python only."""
    pre, _ = scenes
    # Misfit of 0.2 px where it is stable, and more elsewhere.
    misfit = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=pre.shape), 8)
    misfit *= np.where(np.arange(140) >= 104, 0.2, 0.6) / misfit.std()
    post = xsubpix.warp_quintic(pre, (misfit, 0 * misfit))
    still = xr.zeros_like(pre, dtype=np.uint8) + ((np.arange(140) >= 104) * 5).astype(np.uint8)
    names = ("pre.tif", "post.tif", "scl.tif", "mask.tif", "rock.geojson", "out.tif")
    paths = [str(tmp_path / name) for name in names]
    for image, path in zip((pre, post, still, still // 5), paths, strict=False):
        image.rio.write_crs(32611).rio.to_raster(path)
    left, (_, low, right, high) = float(pre.x[104]) - 5, pre.rio.bounds()
    ring = [[left, low], [right, low], [right, high], [left, high], [left, low]]
    named = {"type": "name", "properties": {"name": "EPSG:32611"}}
    rock = {"type": "Polygon", "coordinates": [ring], "crs": named}
    (tmp_path / "rock.geojson").write_text(json.dumps(rock))
    command = ["correlate", *paths[:2], paths[5], "--model", "phase", "--window", "16", "--step",
               "4", "--quiet", "--overwrite"]  # fmt: skip
    expected = xsubpix.correlate(pre, post, model="phase", window=16, step=4, stable=still > 0)
    for options in ([paths[2], "--stable-values", "bare"], [paths[3]], [paths[4]]):
        assert main([*command, "--stable", *options]) == 0
        found = xsubpix.open_displacement(paths[5])
        np.testing.assert_allclose(found.sigma, expected.sigma, rtol=1e-4)
        assert float(found.sigma.min()) >= expected.attrs["sigma_floor"] > 0
    for options, words in (
        (["--stable", paths[2]], "say which are stable, stable_values="),
        (["--stable-values", "5"], "stable not: name"),
        (["--stable", str(tmp_path / "a.geojson")], "no such file"),
    ):
        assert main([*command, *options]) == 2
        assert words in capsys.readouterr().err


def test_what_is_refused(scenes, tmp_path):
    """Else a typo leaves the clouds in."""
    pre, post = scenes
    scl = box(pre).astype(np.uint8)
    for error, match, options in (
        (ModelError, "say which", {"exclude": scl}),
        (ModelError, "SCL, whose names", {"exclude": scl, "exclude_values": "clouds"}),
        (ModelError, "exclude not", {"exclude_values": 3}),
        (FileError, "no such file", {"exclude": tmp_path / "a.geojson"}),
        (FileError, "cannot read", {"exclude": tmp_path / "a.tif", "exclude_values": 3}),
        (DataError, "give polygons", {"exclude": 3.0}),
        (DataError, "LineString", {"exclude": {"type": "LineString", "coordinates": []}}),
    ):
        with pytest.raises(error, match=match):
            xsubpix.correlate(pre, post, **options, **OPTIONS)


RING = [[5e5, 4e6], [5e5, 3.9e6], [6e5, 3.9e6], [5e5, 4e6]]
ODD_POLYGONS = [
    "", "x", "{", "null", "[]", "3", "{}", '{"type": 3}', '{"type": "Polygon"}',
    '{"type": "FeatureCollection"}', '{"type": "FeatureCollection", "features": [3]}',
    '{"type": "FeatureCollection", "features": [{"geometry": null}]}',
    *(json.dumps({"type": "Polygon", "coordinates": c, **more}) for c, more in (
        (None, {}), ([], {}), (3, {}), ([[]], {}), ([RING[:2]], {}), ([[["a", "b"]] * 4], {}),
        ([[[1.0]] * 4], {}), ([RING], {"crs": {"type": "name"}}), ([RING], {"crs": 3}),
        ([RING], {"crs": {"properties": {"name": "EPSG:none"}}}),
        ([[[float("nan"), 1.0]] * 4], {}),
    )),
]  # fmt: skip


@pytest.mark.parametrize("text", [*ODD_POLYGONS, b"\xff\xfe"])
def test_odd_polygons(scenes, tmp_path, text):
    """A mask that was cut off, or is none, was a traceback."""
    pre, post = scenes
    path = tmp_path / "away.geojson"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(xsubpix.errors.SubpixError) as caught:
        xsubpix.correlate(pre, post, exclude=path, **OPTIONS)
    assert "\n" not in str(caught.value)


def test_a_folder_as_polygons(scenes, tmp_path):
    """Else it is an IsADirectoryError."""
    pre, post = scenes
    (tmp_path / "away.geojson").mkdir()
    with pytest.raises(FileError, match="it is a folder"):
        xsubpix.correlate(pre, post, exclude=tmp_path / "away.geojson", **OPTIONS)
