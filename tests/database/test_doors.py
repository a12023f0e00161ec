"""Scenes with masks, cut or changed; shards that are lost or damaged; two builds at once."""

import dataclasses
import os
import shutil
import signal

import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp

pytest.importorskip("zarr", minversion="3", reason="databases need zarr 3")

from xsubpix.cli import main
from xsubpix.database import (
    DatabaseReader,
    Settings,
    build_database,
    make_plan,
    open_database,
    scenes_from_names,
)
from xsubpix.errors import ClusterError, FileError
from xsubpix.files.locks import locked
from xsubpix.tutorial import procedural_scene

SMALL = Settings((2, 0, 0), frame=128, crop=64, correlation=(0.9, 0.95), cloudy=0.0)
PROFILE = {
    "driver": "GTiff", "height": 180, "width": 190, "dtype": "uint16", "crs": "EPSG:32633",
    "transform": rasterio.Affine(10, 0, 5e5, 0, -10, 4e6), "compress": "deflate",
}  # fmt: skip


@pytest.fixture
def scene_file(tmp_path):
    path = tmp_path / "scene.tif"
    with rasterio.open(path, "w", count=1, **PROFILE) as out:
        out.write(procedural_scene((180, 190), seed=0).values.round().astype("u2"), 1)
    return path


def plan_of(path):
    """Plan of a database of one scene."""
    scene = dataclasses.replace(scenes_from_names([str(path)])[0], split="train")
    return make_plan([scene], SMALL)


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    with rasterio.open(folder / "scene.tif", "w", count=1, **PROFILE) as out:
        out.write(procedural_scene((180, 190), seed=0).values.round().astype("u2"), 1)
    scenes = scenes_from_names([str(folder / "scene.tif")])
    build_database(scenes, folder / "db.zarr", SMALL, scheduler="synchronous")
    return folder / "db.zarr"


@pytest.mark.parametrize("kind", ["mask", "alpha", "nodata of a band"])
def test_masked_scenes(tmp_path, kind):
    """Ground under a mask was learned from; an alpha band was a band of the image."""
    ground = procedural_scene((180, 190), seed=0).values.round().astype("u2")
    valid = np.ones(ground.shape, bool)
    valid[:, 100:] = False
    path = tmp_path / "scene.tif"
    if kind == "alpha":
        with rasterio.open(path, "w", count=2, **PROFILE) as out:
            out.colorinterp = [ColorInterp.gray, ColorInterp.alpha]
            out.write(np.stack([ground, np.where(valid, 65535, 0).astype("u2")]))
    elif kind == "mask":
        with rasterio.open(path, "w", count=1, **PROFILE) as out:
            out.write(ground, 1)
            out.write_mask(np.where(valid, 255, 0).astype("u1"))
    else:
        with rasterio.open(path, "w", count=1, nodata=7, **PROFILE) as out:
            out.write(np.where(valid, ground, 7).astype("u2"), 1)
    plan = plan_of(path)
    patch = plan.scenes[0].read_pre(0, 0, 180, 0)
    assert len(patch.bands) == 1
    np.testing.assert_array_equal(np.isfinite(patch.bands[0]), valid[:180, :180])


def test_scene_that_is_cut_off(scene_file, tmp_path, capsys):
    """A traceback of GDAL's within one of dask's."""
    whole = scene_file.read_bytes()
    scene_file.write_bytes(whole[: len(whole) * 2 // 3])
    code = main(
        ["database", "build", str(scene_file), "--out", str(tmp_path / "db.zarr"), "--faults",
         "2,0,0", "--frame", "128", "--crop", "64", "--scheduler", "synchronous", "--quiet"]
    )  # fmt: skip
    said = capsys.readouterr().err
    assert code == 2
    assert "scene.tif" in said
    assert "Traceback" not in said


def test_scene_that_is_changed(scene_file):
    """Frames of two different images would be one scene's."""
    plan = plan_of(scene_file)
    plan.scenes[0].read_pre(0, 0, 64, 0)
    shutil.copy(scene_file, scene_file.with_name("new.tif"))
    scene_file.with_name("new.tif").replace(scene_file)
    with pytest.raises(FileError, match="changed or replaced"):
        plan.scenes[0].read_pre(0, 0, 64, 0)


def test_two_builds_at_once(scene_file, tmp_path):
    """Two processes would mix their frames, and one remove what the other works in."""
    scenes, path = scenes_from_names([str(scene_file)]), tmp_path / "db.zarr"
    with locked(path), pytest.raises(FileError, match="another process is writing"):
        build_database(scenes, path, SMALL, scheduler="synchronous")
    assert not path.exists()
    with locked(path):  # it was given back
        assert (tmp_path / ".db.zarr.lock").exists()
    assert not (tmp_path / ".db.zarr.lock").exists()


@pytest.mark.parametrize("room", [100, 3_000, 30_000])
def test_a_full_disk(scene_file, database, tmp_path, full_disk, room):
    """A traceback, exit code 1; and what was made is still there."""
    scenes, path = scenes_from_names([str(scene_file)]), tmp_path / "db.zarr"
    with (
        full_disk(room),
        pytest.raises(FileError, match=r"cannot write .* the same call") as caught,
    ):
        build_database(scenes, path, SMALL, scheduler="synchronous")
    assert "\n" not in str(caught.value)
    with pytest.raises(FileError):
        open_database(path)
    build_database(scenes, path, SMALL, scheduler="synchronous")
    one, two = (open_database(p, crops=False).load() for p in (path, database))
    assert one.drop_attrs().identical(two.drop_attrs())


def _dies(*arguments):
    """What a system without memory does to a process."""
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_that_is_killed(scene_file, tmp_path, monkeypatch):
    """A traceback of the pool's own, which says nothing of what is kept."""
    monkeypatch.setattr("xsubpix.database.build._build_frame", _dies)
    scenes = scenes_from_names([str(scene_file)])
    with pytest.raises(ClusterError, match=r"killed.*memory.*are kept"):
        build_database(scenes, tmp_path / "db.zarr", SMALL, workers=1)


@pytest.mark.parametrize("name", ["pre", "post", "displacement"])
def test_shards_that_are_lost(database, tmp_path, name):
    """They were read as zeros: ground that did not move, which was learned."""
    copy = tmp_path / "copy.zarr"
    shutil.copytree(database, copy)
    reader = DatabaseReader(str(copy), "train")
    field = {"displacement": "dx"}.get(name, name)
    reader.read(field, 12, 0)
    file = next(f for f in sorted((copy / "train" / name / "c" / "1").rglob("*")) if f.is_file())
    file.unlink()
    with pytest.raises(FileError, match=r"1 of 2 files .* are gone"):
        open_database(copy)
    with pytest.raises(FileError, match="no such file"):
        reader.read(field, 12, 0)


@pytest.mark.parametrize("name", ["pre", "post", "displacement"])
def test_shards_that_are_damaged(database, tmp_path, name):
    """Turned bits are other images, or zeros; each chunk has a checksum."""
    copy = tmp_path / "copy.zarr"
    shutil.copytree(database, copy)
    file = next(f for f in sorted((copy / "train" / name / "c" / "0").rglob("*")) if f.is_file())
    whole, rng = file.read_bytes(), np.random.default_rng(0)
    truth = open_database(database, crops=False).isel(sample=0).load()
    field = {"displacement": "dx"}.get(name, name)
    silent = 0
    for at in rng.integers(0, len(whole), 30):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        try:
            back = DatabaseReader(str(copy), "train", crops=False).read(field, 0, 3)
        except FileError:
            continue
        silent += not np.array_equal(back, truth[field][3].values, equal_nan=True)
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FileError, match="not whole"):
        DatabaseReader(str(copy), "train", crops=False).read(field, 0, 3)
    assert silent == 0
