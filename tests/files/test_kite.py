"""Scenes of kite: names, arrays and frame as its reader takes them."""

import numpy as np
import pyproj
import pytest
import xarray as xr
import yaml

import xsubpix
from xsubpix.errors import FileError, GridError


class Reader(yaml.SafeLoader):
    """YAML whose tags, the classes of kite, are taken as they stand."""


def tagged(loader, suffix, node):
    return {"class": suffix, **loader.construct_mapping(node, deep=True)}


Reader.add_multi_constructor("!", tagged)


@pytest.fixture
def field(utm):
    rows, cols = np.mgrid[:5, :7]
    one = utm((100.0 * rows + cols).astype("f4"))
    disp = xr.Dataset({"east": one, "north": one.copy(data=-one.values)})
    for name in disp:
        disp[name].attrs["units"] = "m"
    flags = one.copy(data=np.where(cols == 3, 4, 0).astype("u1"))
    names = {"flag_masks": np.array([4], "u1"), "flag_meanings": "low_texture"}
    disp["flags"] = flags.assign_attrs(names)
    times = {"reference_time": "2020-01-01", "secondary_time": "2020-02-03T10:11:12"}
    return disp.assign_coords({k: np.datetime64(v, "ns") for k, v in times.items()})


def test_scenes(field, tmp_path):
    """Else kite refuses the files, turns the map over, or takes north for east."""
    field.subpix.to_kite(tmp_path / "quake.npz")
    names = {p.name for p in tmp_path.iterdir()}
    assert names == {f"quake_{c}.{s}" for c in ("east", "north") for s in ("npz", "yml")}
    data = np.load(tmp_path / "quake_north.npz")
    assert set(data) == {"arr_0", "arr_1", "arr_2"}
    # South first, and what is unsure is missing.
    south_first = field.north.sortby("y").values.astype(float)
    south_first[:, 3] = np.nan
    np.testing.assert_array_equal(data["arr_0"], south_first)
    # Unit vector of the direction: cos(theta) cos(phi), cos(theta) sin(phi).
    for name, vector in (("east", (1, 0)), ("north", (0, 1))):
        data = np.load(tmp_path / f"quake_{name}.npz")
        theta, phi = data["arr_1"], data["arr_2"]
        found = np.cos(theta) * np.cos(phi), np.cos(theta) * np.sin(phi)
        np.testing.assert_allclose(found, np.ones((2, 5, 7)) * np.reshape(vector, (2, 1, 1)),
                                   atol=1e-12)  # fmt: skip
    config = yaml.load((tmp_path / "quake_east.yml").read_text(), Reader)
    assert config["class"] == "kite.scene.SceneConfig"
    assert config["meta"]["class"] == "kite.scene.Meta"
    assert str(config["meta"]["time_slave"]).startswith("2020-02-03 10:11:12")
    frame = config["frame"]
    assert frame["class"] == "kite.scene.FrameConfig"
    assert frame["spacing"] == "meter"
    assert (frame["dE"], frame["dN"]) == (10.0, 10.0)
    to = pyproj.Transformer.from_crs(4326, field.rio.crs, always_xy=True)
    x, y = to.transform(frame["llLon"], frame["llLat"])
    assert (x, y) == pytest.approx((field.x.values.min(), field.y.values.min()), abs=1e-3)
    with pytest.raises(FileError, match="exists"):
        field.subpix.to_kite(tmp_path / "quake")
    field.subpix.to_kite(tmp_path / "quake", overwrite=True, keep_unsure=True)
    assert np.isfinite(np.load(tmp_path / "quake_east.npz")["arr_0"]).all()


@pytest.mark.parametrize("degrees", [False, True])
def test_kite_opens_them(field, tmp_path, degrees):
    """Else tags, names or units are right here and wrong there."""
    scene = pytest.importorskip("kite.scene")
    given = field.drop_vars("flags")
    given = given.rio.reproject("EPSG:4326") if degrees else given
    given.subpix.to_kite(tmp_path / "quake")
    for name, unit in (("east", "unitE"), ("north", "unitN")):
        found = scene.Scene.load(str(tmp_path / f"quake_{name}.yml"))
        np.testing.assert_array_equal(found.displacement, given[name].sortby("y").values)
        assert np.allclose(getattr(found.los, unit), 1)
        assert found.frame.isDegree() == degrees
        frame = found.frame
        corner = (frame.llLon, frame.llLat) if degrees else (frame.llEutm, frame.llNutm)
        near = {"atol": 1e-9 if degrees else 0.01, "rtol": 0}
        np.testing.assert_allclose(corner[0] + frame.E, given.x.values, **near)
        np.testing.assert_allclose(corner[1] + frame.N, np.sort(given.y.values), **near)
        assert found.meta.time_slave == pytest.approx(1580724672)


def test_refused(field, tmp_path):
    """Else a scene lies nowhere."""
    bare = field.drop_vars("spatial_ref")
    for name in bare:
        bare[name].encoding = {}
    with pytest.raises(GridError, match="no CRS"):
        xsubpix.to_kite(bare, tmp_path / "a")
