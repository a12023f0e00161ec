"""Building: splits that share no ground, the same bytes every time, whatever stops it."""

import dataclasses
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import rasterio
import scipy.ndimage

pytest.importorskip("zarr", minversion="3", reason="databases need zarr 3")

import xsubpix
from xsubpix.cli import main
from xsubpix.database import (
    SceneSource,
    Settings,
    build_database,
    checksum,
    database_table,
    make_plan,
    open_database,
    scenes_from_names,
    split_scenes,
)
from xsubpix.database.build import _MARKERS
from xsubpix.database.reader import read_fault
from xsubpix.database.reading import plan_scene
from xsubpix.database.scenes import footprints_overlap, grid_of
from xsubpix.database.store import read_attributes
from xsubpix.errors import DataError, FileError
from xsubpix.grid import Grid
from xsubpix.tutorial import procedural_scene
from xsubpix.warp import invert_displacement

DATA = Path(os.environ.get("XSUBPIX_DATA", "../shared/data"))
SMALL = Settings((2, 1, 1), frame=128, crop=64, correlation=(0.9, 0.95), cloudy=0.0, dates=2)


def write(path, pixels, transform=(10.0, 0, 5e5, 0, -10.0, 4e6), crs="EPSG:32633", nodata=None):
    """A GeoTIFF of one band or several."""
    pixels = np.atleast_3d(pixels.T).T if pixels.ndim == 2 else pixels
    with rasterio.open(
        path, "w", driver="GTiff", dtype=pixels.dtype, count=len(pixels), height=pixels.shape[1],
        width=pixels.shape[2], transform=rasterio.Affine(*transform), crs=crs, nodata=nodata,
    ) as out:  # fmt: skip
        out.write(pixels)
    return path


def ground(shape, seed=0):
    """Whole numbers with the texture of ground."""
    return procedural_scene(shape, seed=seed).values.round().astype(np.uint16)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """Three places, 100 km apart."""
    folder = tmp_path_factory.mktemp("scenes")
    for k, name in enumerate(("north", "middle", "south")):
        write(folder / f"{name}.tif", ground((180, 190), k), (10, 0, 5e5, 0, -10, 4e6 - 1e5 * k))
    return scenes_from_names([str(folder / f"{n}.tif") for n in ("north", "middle", "south")])


SPLIT = {"validation": ["middle"], "test": ["south"]}


@pytest.fixture(scope="module")
def built(scenes, tmp_path_factory):
    """A database of four frames, and its checksum."""
    path = tmp_path_factory.mktemp("built") / "db.zarr"
    build_database(scenes, path, SMALL, split=SPLIT, scheduler="synchronous")
    return path, checksum(path)


# ------------------------------------------------------------------ same bytes


@pytest.mark.parametrize("scheduler", ["threads", "processes"])
def test_same_bytes_on_several_workers(scenes, built, tmp_path, scheduler):
    """If it failed, a database could not be made again, or its parts on several machines."""
    reports = []
    build_database(
        scenes[::-1], tmp_path / "db.zarr", SMALL, split=SPLIT, workers=3, scheduler=scheduler,
        progress=lambda *values: reports.append(values),
    )  # fmt: skip
    assert checksum(tmp_path / "db.zarr") == built[1]
    assert (tmp_path / "db.zarr/README.md").read_text() == (built[0] / "README.md").read_text()
    assert reports[-1][:2] == (4, 4)


def test_progress_after_a_stop(scenes, tmp_path, capsys, monkeypatch):
    """If it failed, nobody would know what a stopped build has kept, or logs would fill."""
    import xsubpix.database.build as build

    made, make = [], build.make_frame

    def stop(plan, split, number):
        if made:
            raise KeyboardInterrupt
        made.append(number)
        return make(plan, split, number)

    monkeypatch.setattr(build, "make_frame", stop)
    options = {"split": SPLIT, "scheduler": "synchronous", "progress": True}
    with pytest.raises(KeyboardInterrupt):
        build_database(scenes, tmp_path / "db.zarr", SMALL, **options)
    assert capsys.readouterr().err == ""
    monkeypatch.undo()
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    build_database(scenes, tmp_path / "db.zarr", SMALL, **options)
    shown = capsys.readouterr().err
    assert shown.startswith("resuming: 1 of 4 frames are there\n")
    assert "100% Completed" in shown


def test_another_seed_is_another_database(scenes, built, tmp_path):
    """If it failed, the seed would do nothing."""
    other = dataclasses.replace(SMALL, seed=1)
    build_database(scenes, tmp_path / "db.zarr", other, split=SPLIT, scheduler="synchronous")
    assert checksum(tmp_path / "db.zarr") != built[1]


def test_goes_on_after_a_kill(scenes, built, tmp_path):
    """If it failed, a night's work would be lost, or a half-written frame kept."""
    path = tmp_path / "db.zarr"
    code = (
        "import sys, xsubpix.database.build as b\n"
        "from xsubpix.cli import main\n"
        "write, count = b.write_frame, []\n"
        "def stop(path, split, number, frame):\n"
        "    if count:\n"
        # The second frame is left half written.
        "        from xsubpix.database.store import open_array\n"
        "        open_array(path, split, 'pre', 'r+')[number] = frame.pre[::-1]\n"
        "        import os, signal; os.kill(os.getpid(), signal.SIGKILL)\n"
        "    count.append(1)\n"
        "    write(path, split, number, frame)\n"
        "b.write_frame = stop\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    names = [str(scene.path) for scene in scenes]
    options = [
        "--faults", "2,1,1", "--frame", "128", "--crop", "64", "--correlation", "0.9,0.95",
        "--validation", "middle", "--test", "south", "--scheduler", "synchronous", "--quiet",
        "--dates", "2",
    ]  # fmt: skip
    command = ["database", "build", *names, "--out", str(path), *options]
    source = str(Path(xsubpix.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": source}
    killed = subprocess.run(
        [sys.executable, "-c", code, *command], env=environment, capture_output=True, check=False
    )
    assert killed.returncode == -9, killed.stderr.decode()
    with pytest.raises(FileError, match="not complete"):
        open_database(path)
    done = sorted((path / _MARKERS).rglob("*.json"))
    assert len(done) == 1
    finished = path / done[0].parent.name / "pre" / "c" / str(int(done[0].stem)) / "0" / "0"
    stamp = finished.stat().st_mtime_ns
    (path / "train" / "pre" / "leftover.partial").write_text("what a stop can leave")
    time.sleep(0.02)
    settings = dataclasses.replace(SMALL, cloudy=0.15)
    report = build_database(scenes, path, settings, split=SPLIT, scheduler="synchronous")
    assert (report.made, report.found) == (3, 1)
    assert finished.stat().st_mtime_ns == stamp
    whole = tmp_path / "whole.zarr"
    build_database(scenes, whole, settings, split=SPLIT, scheduler="synchronous")
    assert checksum(path) == checksum(whole)
    again = build_database(scenes, path, settings, split=SPLIT, scheduler="synchronous")
    assert (again.made, again.found) == (0, 4)


def test_refuses_to_go_on_with_something_else(scenes, built, tmp_path):
    """If it failed, a store could be made of two databases, or a folder be overwritten."""
    with pytest.raises(FileError, match="seed=0, not 5"):
        build_database(scenes, built[0], dataclasses.replace(SMALL, seed=5), split=SPLIT)
    with pytest.raises(FileError, match="other scenes"):
        build_database(scenes, built[0], SMALL, split={"validation": ["south"], "test": ["middle"]})
    (tmp_path / "precious").mkdir()
    with pytest.raises(FileError, match="no database of xsubpix"):
        build_database(scenes, tmp_path / "precious", SMALL, split=SPLIT)
    with pytest.raises(FileError, match="no folder"):
        build_database(scenes, tmp_path / "nowhere" / "db.zarr", SMALL, split=SPLIT)


# -------------------------------------------------------------------- contents


def test_scenes_stay_in_their_split(built):
    """If it failed, methods would be tested on ground that they were trained on."""
    for split, name in (("train", "north"), ("validation", "middle"), ("test", "south")):
        assert set(database_table(built[0], split)["scene"].values) == {name}


def test_ground_moves_as_said(scenes, tmp_path):
    """If it failed, post would not be pre moved by (dx, dy), or by minus it."""
    settings = Settings(
        (1, 0, 0), frame=160, crop=80, correlation=(0.95, 0.95), cloudy=0.0, amplitude=(1.5, 1.5)
    )
    build_database(scenes[:1], tmp_path / "db.zarr", settings, scheduler="synchronous")
    ds = open_database(tmp_path / "db.zarr", crops=False)
    sample = ds[["pre", "post", "dx", "dy"]].isel(sample=0, scaling=3).reset_coords(drop=True)
    disp = xsubpix.correlate(
        sample.pre.load(), sample.post.load(), model="phase", window=32, step=1, search=4
    )
    inner = np.s_[16:-16, 16:-16]
    # Without coordinates, north is along the rows' numbers.
    error = np.hypot(disp.east - sample.dx, disp.north - sample.dy).values[inner]
    size = np.hypot(sample.dx, sample.dy).values[inner]
    assert np.median(size) > 0.3
    assert np.median(error) < 0.25 * np.median(size)


def test_panchromatic_and_bands_are_registered(tmp_path):
    """If it failed, bands would be laid on the panchromatic image a pixel off (Landsat-7's are)."""
    fine = procedural_scene((512, 512), seed=5).values.astype(float)
    # Bands of 2 x 2 pixels whose georeference is wrong by (0.6, -0.4) panchromatic pixels.
    moved = scipy.ndimage.shift(fine, (-0.4, 0.6), order=5, mode="mirror")
    band = moved.reshape(256, 2, 256, 2).mean((1, 3))
    pan = write(tmp_path / "a_pan.tif", fine.astype(np.float32))
    rng = np.random.default_rng(0)
    bands = np.stack([band, 500 + 0.5 * band]) + rng.normal(0, 5, (2, 256, 256))
    write(tmp_path / "a_ms.tif", bands.astype(np.float32), (20, 0, 5e5, 0, -20, 4e6))
    (source,) = scenes_from_names([str(pan)], multispectral=("_pan", "_ms"))
    scene = plan_scene(source, grid_of(pan), 128, 0.9)
    a, b, c, d, e, f = scene.to_multispectral
    assert (a, b, d, e) == pytest.approx((0.5, 0, 0, 0.5))
    assert (c, f) == pytest.approx((-0.25 + 0.3, -0.25 - 0.2), abs=0.02)
    upsampled = scene.read_multispectral(100, 80, (64, 64))[0]
    smooth = scipy.ndimage.gaussian_filter(fine, 0.7)[100:164, 80:144]
    assert np.corrcoef(upsampled.ravel(), smooth.ravel())[0, 1] > 0.98


def test_two_real_dates(tmp_path):
    """If it failed, real pairs would keep their misregistration, or be refused."""
    wide = procedural_scene((420, 420), seed=6).values.astype(float)
    rng = np.random.default_rng(1)
    pre = wide[10:-10, 10:-10] + rng.normal(0, 20, (400, 400))
    post = scipy.ndimage.shift(wide, (0.3, -0.7), order=5)[10:-10, 10:-10]
    post = 1.2 * post + 50 + rng.normal(0, 20, (400, 400))
    names = [str(tmp_path / n) for n in ("first.tif", "second.tif")]
    for name, image in zip(names, (pre, post), strict=True):
        write(Path(name), image.clip(0).round().astype(np.uint16))
    scenes = scenes_from_names([",".join(names)])
    settings = Settings(
        (1, 0, 0), frame=192, crop=64, amplitude=(0.5, 0.5), scalings=(0.01, 1.0), dates=2
    )
    build_database(scenes, tmp_path / "db.zarr", settings, scheduler="synchronous")
    ds = open_database(tmp_path / "db.zarr", crops=False)
    assert (ds.aimed_correlation > 0.9).all()
    row, column = int(ds.row[0]), int(ds.column[0])
    np.testing.assert_array_equal(
        ds.pre[0, 0].values, pre.clip(0).round()[row : row + 192, column : column + 192]
    )
    # At a factor of a hundredth of half a pixel nothing is left but what registers the dates.
    still = wide[10 + row :, 10 + column :][:192, :192]
    inner = np.s_[24:-24, 24:-24]
    seen = ds.post[0, 0].values[inner].ravel()
    assert np.corrcoef(seen, still[inner].ravel())[0, 1] > 0.99


def test_missing_pixels_stay_missing(tmp_path):
    """If it failed, nodata would be ground, and a frame of nothing a sample."""
    image = ground((256, 256), 7)
    image[:, 200:] = 0
    image[60:63, 60:63] = 0
    path = write(tmp_path / "a.tif", image, nodata=0)
    settings = dataclasses.replace(SMALL, faults=(3, 0, 0))
    build_database([SceneSource(path)], tmp_path / "db.zarr", settings, scheduler="synchronous")
    ds = open_database(tmp_path / "db.zarr", crops=False)
    for k in range(3):
        row, column = int(ds.row[k]), int(ds.column[k])
        here = np.s_[row : row + 128, column : column + 128]
        hole = image[here] == 0
        assert (np.isnan(ds.pre[k, 0].values) == hole).all()
        assert hole.mean() <= settings.max_missing
        lost = np.isnan(ds.post[k, 3].values)
        assert lost[hole].mean() > 0.8
        # The spline's three pixels and the ground's one or two.
        near = scipy.ndimage.maximum_filter(image == 0, 13)[here]
        assert not (lost & ~near).any()
    nothing = dataclasses.replace(settings, frame=250, crop=64)
    with pytest.raises(DataError, match="smaller frames"):
        build_database([SceneSource(path)], tmp_path / "b.zarr", nothing, scheduler="synchronous")


def test_cracks_are_filled(tmp_path):
    """If it failed, missing pixels would draw the trace into the images, as in no real one."""
    path = write(tmp_path / "a.tif", ground((220, 220), 10))
    settings = dataclasses.replace(
        SMALL, faults=(4, 0, 0), amplitude=(3.0, 4.0), mechanisms=("normal",)
    )
    build_database([SceneSource(path)], tmp_path / "db.zarr", settings, scheduler="synchronous")
    ds = open_database(tmp_path / "db.zarr", crops=False)
    assert np.isfinite(ds.post.values).all()
    opened = [
        ~np.isfinite(invert_displacement(ds.dx[k, 3].values, ds.dy[k, 3].values)[0])
        for k in range(4)
    ]
    assert np.any(opened)  # else nothing was tested


def test_bands_are_mixed(tmp_path):
    """If it failed, multispectral files could not be used on their own grid."""
    bands = np.stack([ground((160, 160), 8), ground((160, 160), 9)])
    path = write(tmp_path / "ms.tif", bands)
    settings = dataclasses.replace(SMALL, faults=(1, 0, 0))
    build_database([SceneSource(path)], tmp_path / "db.zarr", settings, scheduler="synchronous")
    assert np.isfinite(open_database(tmp_path / "db.zarr").post.values).mean() > 0.99


# ---------------------------------------------------------------------- splits


def test_overlapping_scenes_of_two_splits_are_refused(tmp_path):
    """If it failed, ground could be in training and in test."""
    one = write(tmp_path / "one.tif", ground((160, 160), 1))
    two = write(tmp_path / "two.tif", ground((160, 160), 2), (10, 0, 5e5 + 1500, 0, -10, 4e6))
    three = write(tmp_path / "three.tif", ground((160, 160), 3), (10, 0, 5e5 + 1600, 0, -10, 4e6))
    settings = dataclasses.replace(SMALL, faults=(1, 0, 1))
    with pytest.raises(DataError, match=r"one \(train\).*two \(test\)|two \(test\).*one \(train\)"):
        make_plan(split_scenes([SceneSource(one), SceneSource(two)], {"test": ["two"]}), settings)
    # Neighbours share an edge and no ground.
    make_plan(split_scenes([SceneSource(one), SceneSource(three)], {"test": ["three"]}), settings)
    copy = tmp_path / "copy.tif"
    write(copy, ground((160, 160), 1), crs=None)
    bare = write(tmp_path / "bare.tif", ground((160, 160), 1), crs=None)
    with pytest.raises(DataError, match="the same image"):
        make_plan(
            split_scenes([SceneSource(copy), SceneSource(bare)], {"test": ["bare"]}), settings
        )


def test_outlines_are_compared_across_crss():
    """If it failed, scenes of neighbouring UTM zones, or across the date line, would not be."""
    import pyproj

    def utm(zone, east, north):
        crs = pyproj.CRS.from_epsg(32600 + zone)
        return Grid(("y", "x"), (100, 100), (30.0, 0, east, 0, -30.0, north), crs, 1.0)

    there = pyproj.Transformer.from_crs(32633, 32632, always_xy=True).transform(300000, 5e6)
    assert footprints_overlap(utm(33, 300000, 5e6), utm(32, *there))
    assert not footprints_overlap(utm(33, 300000, 5e6), utm(32, there[0] + 4000, there[1]))
    degrees = pyproj.CRS.from_epsg(4326)
    east = Grid(("y", "x"), (10, 10), (0.1, 0, 179.5, 0, -0.1, 1.0), degrees)
    west = Grid(("y", "x"), (10, 10), (0.1, 0, -180.2, 0, -0.1, 1.0), degrees)
    assert footprints_overlap(east, west)
    assert not footprints_overlap(
        east, dataclasses.replace(west, transform=(0.1, 0, 0, 0, -0.1, 1))
    )
    assert not footprints_overlap(east, dataclasses.replace(east, crs=None))


def test_splits_go_by_location(tmp_path):
    """If it failed, scenes of one WRS place could be on both sides of a split."""
    names = ["P01R02_a.tif", "P01R02_b.tif", "P03R04_a.tif"]
    for name in names:
        (tmp_path / name).write_bytes(b"")
    scenes = scenes_from_names([str(tmp_path / n) for n in names], location=r"P\d+R\d+")
    assert [s.location for s in scenes] == ["P01R02", "P01R02", "P03R04"]
    split = split_scenes(scenes, {"test": ["P03*"]})
    assert [s.split for s in split] == ["train", "train", "test"]
    with pytest.raises(DataError, match="location P01R02 is in two splits"):
        split_scenes(scenes, {"test": ["P01R02_b"]})
    with pytest.raises(DataError, match="matches none"):
        split_scenes(scenes, {"test": ["P99"]})
    with pytest.raises(DataError, match="validation"):
        split_scenes(scenes, {"test": ["P03*"], "validation": ["P03R04"]})
    with pytest.raises(DataError, match="no scene is in that split"):
        make_plan(split_scenes(scenes, {}), dataclasses.replace(SMALL, faults=(0, 1, 0)))


def test_scene_list(tmp_path):
    """If it failed, sources and licences could not be given scene by scene."""
    (tmp_path / "list.toml").write_text(
        '[default]\nlicence = "CC0"\n[[scene]]\npath = "a.tif"\nsplit = "test"\n'
        '[[scene]]\npath = "b.tif"\nmultispectral = "c.tif"\nlocation = "there"\n'
    )
    for name in "abc":
        (tmp_path / f"{name}.tif").write_bytes(b"")
    a, b = scenes_from_names([str(tmp_path / "list.toml")])
    assert (a.licence, a.split, a.location) == ("CC0", "test", "a")
    assert (b.multispectral, b.location) == (tmp_path / "c.tif", "there")
    (tmp_path / "list.toml").write_text('[[scene]]\npath = "a.tif"\nlicense = "x"\n')
    with pytest.raises(FileError, match="license"):
        scenes_from_names([str(tmp_path / "list.toml")])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"faults": (0, 0, 0)}, "three numbers"),
        ({"frame": 100, "crop": 100}, "nine crops"),
        ({"scalings": (0.1, 2.0)}, "up to 1"),
        ({"amplitude": (1.0, 100.0)}, "<= 32"),
        ({"dates": 9}, "1 to 4"),
        ({"mechanisms": ("sideways",)}, "strike-slip"),
        ({"correlation": (0.9, 0.2)}, "low <= high"),
        ({"complexity": 2.5}, "0 to 2"),
    ],
)
def test_settings_are_checked(options, message):
    """If it failed, a night's building would end in an error, or in a useless database."""
    with pytest.raises(DataError, match=message):
        dataclasses.replace(SMALL, **options)


# ----------------------------------------------------------------- command line


def test_rough_ruptures_are_asked_for_and_read_back(scenes, tmp_path):
    """If it failed, a database of real ruptures would be one of clean breaks, or not say so."""
    path = str(tmp_path / "db.zarr")
    command = ["database", "build", str(scenes[0].path), "--out", path, "--faults", "2,0,0"]
    command += ["--frame", "64", "--crop", "32", "--scalings", "1", "--complexity", "1"]
    assert main([*command, "--scheduler", "synchronous"]) == 0
    faults = [read_fault(path, "train", k) for k in range(2)]
    assert all(fault.strands or fault.is_blind for fault in faults)
    assert any(fault.strands for fault in faults)
    assert "complexity 1" in (tmp_path / "db.zarr/README.md").read_text()
    assert read_attributes(tmp_path / "db.zarr")["plan"]["settings"]["complexity"] == 1.0


def test_command_line(scenes, tmp_path, capsys):
    """If it failed, nobody could build a database without writing a script."""
    path = str(tmp_path / "db.zarr")
    names = [str(scene.path) for scene in scenes[:1]]
    command = ["database", "build", *names, "--out", path, "--faults", "1,0,0", "--frame", "128"]
    command += ["--crop", "64", "--scheduler", "synchronous"]
    assert main(command) == 0
    said = capsys.readouterr()
    assert "1 frames made" in said.out
    assert "1 of 1 frames" not in said.err
    assert main(["database", "info", path, "--checksum"]) == 0
    assert f"sha256 {checksum(path)}" in capsys.readouterr().out
    assert main(["database", "info", str(tmp_path)]) == 2
    assert "no database" in capsys.readouterr().err


def test_real_chips(tmp_path):
    """If it failed, the chips of the development data could not be used as their README says."""
    folder = DATA / "landsat7"
    if not folder.is_dir():
        pytest.skip(f"no real images in {folder}: set XSUBPIX_DATA to their folder")
    names = [str(folder / f"{n}_pan.tif") for n in ("P090R083_10", "P090R083_11")]
    scenes = scenes_from_names(names, multispectral=("_pan", "_ms"), location=r"P\d+R\d+")
    settings = Settings((0, 0, 1), frame=256, crop=128)
    plan = make_plan(split_scenes(scenes, {"test": ["P090R083"]}), settings)
    for scene in plan.scenes:
        # Bands lie half a pixel of theirs, one of the panchromatic image's, off.
        offset = (np.array(scene.to_multispectral)[[2, 5]] + 0.25) * 2
        np.testing.assert_allclose(offset, (1.0, 1.02), atol=0.06)
        assert scene.pixel_size == 15.0
    build_database(
        scenes, tmp_path / "db.zarr", settings, split={"test": ["P090R083"]},
        scheduler="synchronous",
    )  # fmt: skip
    ds = open_database(tmp_path / "db.zarr", "test")
    assert ds.sizes["sample"] == 9
    assert (ds.correlation[:, 0] > 0.3).all()
