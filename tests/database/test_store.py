"""The store: what is written is what is read, lazily, with the right signs."""

import json
import pickle
import shutil

import dask
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("zarr", minversion="3", reason="databases need zarr 3")

from xsubpix.database import (
    DatabaseReader,
    Settings,
    build_database,
    checksum,
    database_table,
    open_database,
    read_displacement,
    read_fault,
    read_second_dates,
    scenes_from_names,
    stored_bytes,
)
from xsubpix.database.frames import encode_image
from xsubpix.database.layout import STORE_VERSION, crop_corners
from xsubpix.errors import DataError, FileError
from xsubpix.rupture import GridSampler
from xsubpix.training.samples import DatabaseFrames
from xsubpix.tutorial import procedural_scene


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """Two frames of 128 px on one scene."""
    folder = tmp_path_factory.mktemp("store")
    procedural_scene((200, 180), seed=3).rio.to_raster(folder / "a.tif")
    scenes = scenes_from_names([str(folder / "a.tif")], source="made up", licence="none")
    settings = Settings((2, 0, 0), frame=128, crop=64, correlation=(0.9, 0.95), cloudy=0.0)
    build_database(scenes, folder / "db.zarr", settings, scheduler="synchronous")
    return folder / "db.zarr"


@pytest.fixture(scope="module")
def of_before(database, tmp_path_factory):
    """The same store as if of version 3, whose displacement is the ground's alone."""
    copied = tmp_path_factory.mktemp("before") / "db.zarr"
    shutil.copytree(database, copied)
    metadata = json.loads((copied / "zarr.json").read_text())
    metadata["attributes"]["plan"]["store_version"] = 3
    (copied / "zarr.json").write_text(json.dumps(metadata))
    return copied


@settings(max_examples=60)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(["counts", "signed", "real", "huge", "flat", "missing", "tiny"]),
)
def test_codes_keep_images(seed, kind):
    """If it failed, stored images would not be those that the ruptures were put on."""
    rng = np.random.default_rng(seed)
    image = {
        "counts": rng.integers(0, 256, (16, 17)),
        "signed": rng.integers(-30000, 30000, (16, 17)),
        "real": rng.normal(rng.uniform(-1e4, 1e4), 10.0 ** rng.uniform(-3, 3), (16, 17)),
        "huge": rng.integers(0, 2**31, (16, 17)),
        "flat": np.full((16, 17), 7.3),
        "missing": np.full((16, 17), np.nan),
        "tiny": rng.normal(size=(16, 17)) * 1e-12,
    }[kind].astype(np.float32)
    image[rng.random(image.shape) < 0.1] = np.nan
    codes, scale, offset = encode_image(image)
    assert codes.dtype == np.uint16
    assert ((codes == 0) == np.isnan(image)).all()
    back = (codes - 1.0) * scale + offset
    valid = np.isfinite(image)
    if not valid.any():
        return
    values = image[valid].astype(float)
    error = np.abs(back[valid] - values).max()
    if kind in ("counts", "signed"):
        assert error == 0
    else:
        coarsest = max(values.std() / 64, np.ptp(values) / 30000, 1e-30, 1e-6 * abs(values).max())
        assert error <= 0.5001 * coarsest


def test_crops_are_a_grid_of_nine():
    """If it failed, crops would not be those of FaultDeform (512 px at a stride of 256)."""
    corners = crop_corners(1024, 512)
    assert corners == [(r, c) for r in (0, 256, 512) for c in (0, 256, 512)]
    assert corners[4] == (256, 256)
    with pytest.raises(DataError, match="1023"):
        crop_corners(1023, 512)


def test_opens_lazily(database):
    """If it failed, a database larger than memory could not be opened."""
    with dask.config.set(scheduler=_refuse):
        ds = open_database(database)
        part = ds.isel(sample=4, scaling=slice(1, 3))
    assert ds.sizes == {"sample": 18, "scaling": 4, "y": 64, "x": 64}
    assert {v.dtype for v in ds.data_vars.values()} == {np.dtype(np.float32)}
    assert ds.pre.data.chunksize == (1, 1, 64, 64)
    assert np.isfinite(part.load().post).all()
    assert ds.scene.values.tolist() == ["a"] * 18
    assert ds.crop.values.tolist() == [*range(9)] * 2
    assert ds.correlation.dims == ("sample", "scaling")


def test_crops_are_cut_from_frames(database):
    """If it failed, images and displacement of a crop could be of different places."""
    crops = open_database(database)
    frames = open_database(database, crops=False)
    for k, (row, column) in enumerate(crop_corners(128, 64)):
        cut = frames.isel(sample=1, y=slice(row, row + 64), x=slice(column, column + 64))
        for name in ("pre", "post", "dx", "dy"):
            np.testing.assert_array_equal(crops[name][9 + k].values, cut[name].values)


def test_factors_scale_one_displacement(of_before):
    """If it failed, the truth of three factors in four would be wrong."""
    ds = open_database(of_before, crops=False)
    np.testing.assert_allclose(ds.factor, [0.06, 0.15, 0.4, 1.0], rtol=1e-6)
    largest = ds.dx[:, 3].values
    for k, factor in enumerate(ds.factor.values):
        np.testing.assert_allclose(ds.dx[:, k].values, largest * factor, atol=1e-6)
    length = np.hypot(ds.dx[:, 3], ds.dy[:, 3]).max(("y", "x"))
    np.testing.assert_allclose(length, ds.amplitude, atol=1e-3)
    assert ((length > 0.498) & (length < 1.502)).all()


def test_jitter_is_in_the_truth(database, of_before):
    """If it failed, networks would be told that lines of detectors out of place stand still."""
    ds, ground = (open_database(path, crops=False) for path in (database, of_before))
    largest = 0.0
    for frame, k in np.ndindex(2, 4):
        flow = read_displacement(database, "train", frame, k)
        np.testing.assert_array_equal(flow, [ds.dx[frame, k], ds.dy[frame, k]])
        np.testing.assert_array_equal(DatabaseFrames(database, "train").get(frame, k).flow, flow)
        dates = read_second_dates(database, "train", frame)
        lines = dates[k % len(dates)].displacement((128, 128))
        row, column = 70, 41
        dx, dy = (float(ground[name][frame, k, row, column]) for name in ("dx", "dy"))
        added = lines[:, round(row + dy), round(column + dx)]
        np.testing.assert_allclose(flow[:, row, column] - added, (dx, dy), atol=1e-6)
        largest = max(largest, np.abs(added).max())
    assert largest > 0.02, "these second dates have no jitter: draw others"


def test_fault_gives_the_displacement(of_before):
    """If it failed, the fault in the table would not be the one in the images."""
    ds = open_database(of_before, crops=False)
    fault = read_fault(of_before, "train", 1)
    pixel = float(ds.pixel_size[1])
    east, north, _ = GridSampler(fault, (pixel, 0, 0, 0, -pixel, 128 * pixel))((0, 128, 0, 128))
    scale = float(ds.amplitude[1] / ds.natural_amplitude[1]) / pixel
    # Half a quantum of rounding, and what float32 keeps of the scale.
    np.testing.assert_allclose(ds.dx[1, 3].values, east * scale, atol=6e-4)
    np.testing.assert_allclose(ds.dy[1, 3].values, -north * scale, atol=6e-4)


def test_second_dates_are_kept(database):
    """If it failed, nobody could say how the second dates of a sample were made."""
    dates = read_second_dates(database, "train", 0)
    table = database_table(database)
    aims = [dates[k % len(dates)].correlation for k in range(4)]
    np.testing.assert_allclose(table["aimed_correlation"][0], aims, rtol=1e-6)


def test_stores_of_other_versions(database, of_before, tmp_path):
    """If it failed, databases of before would be lost, or those of tomorrow misread."""
    copied = tmp_path / "copied.zarr"
    shutil.copytree(database, copied)
    file = copied / "zarr.json"
    metadata = json.loads(file.read_text())
    plan = metadata["attributes"]["plan"]
    assert plan.pop("store_version") == STORE_VERSION
    file.write_text(json.dumps(metadata))
    group = copied / "train" / "zarr.json"
    described = json.loads(group.read_text())
    described["attributes"]["window"] = described["attributes"].pop("crop")
    group.write_text(json.dumps(described))
    xr.testing.assert_identical(open_database(copied).load(), open_database(of_before).load())
    plan["store_version"] = STORE_VERSION + 1
    file.write_text(json.dumps(metadata))
    with pytest.raises(FileError, match=f"version {STORE_VERSION + 1}.* up to {STORE_VERSION}"):
        open_database(copied)


def test_reader_travels_and_gives_codes(database):
    """If it failed, training in several processes, or on integers, could not read samples."""
    reader = pickle.loads(pickle.dumps(DatabaseReader(str(database), "train")))
    assert reader.shape == (18, 4, 64, 64)
    codes = DatabaseReader(str(database), "train", decode=False).read("post", 5, 2)
    image = reader.read("post", 5, 2)
    table = database_table(database)
    scale, offset = (float(table[f"post_{n}"][0, 2]) for n in ("scale", "offset"))
    np.testing.assert_allclose(image, (codes - 1) * scale + offset, rtol=1e-6)


def test_xarray_opens_it_without_us(database, of_before):
    """If it failed, others could not read the store with their own tools."""
    with xr.open_zarr(database / "train", consolidated=False, chunks=None) as ds:
        assert ds.post.dims == ("frame", "scaling", "y", "x")
        assert ds.displacement.dtype == np.float64  # scale_factor is applied: pixels
        assert "of the ground" in ds.displacement.attrs["long_name"]
        ours = open_database(of_before, crops=False)
        np.testing.assert_allclose(ds.displacement[1, 0], ours.dx[1, 3], atol=1e-6)
        fault = json.loads(bytes(ds.fault[0].values).rstrip(b"\0"))
    assert fault["segments"]


def test_one_file_a_frame(database):
    """If it failed, a stop could leave a frame half written in a file shared with others."""
    meta = json.loads((database / "train" / "post" / "zarr.json").read_text())
    assert meta["zarr_format"] == 3
    assert meta["codecs"][0]["name"] == "sharding_indexed"
    files = [f for f in (database / "train" / "post" / "c").rglob("*") if f.is_file()]
    assert len(files) == 2
    assert sum(stored_bytes(database).values()) < 2 * 128 * 128 * (2 + 8 + 4) + 200_000


def test_checksum_sees_one_byte(database, tmp_path):
    """If it failed, equal checksums would not mean equal databases."""
    import shutil

    copy = tmp_path / "copy.zarr"
    shutil.copytree(database, copy)
    assert checksum(copy) == checksum(database)
    (copy / "README.md").write_text("another text")
    assert checksum(copy) == checksum(database)
    file = next(f for f in (copy / "train" / "post" / "c").rglob("*") if f.is_file())
    content = bytearray(file.read_bytes())
    content[100] ^= 1
    file.write_bytes(content)
    assert checksum(copy) != checksum(database)


def test_datasheet(database):
    """If it failed, a database would not say where its images come from, or what is in it."""
    text = (database / "README.md").read_text()
    for part in ("made up", "none", "| train | 1 | 2 | 18 | 72 |", "strike", "jump at factor"):
        assert part in text


def test_refused(database, tmp_path):
    """If it failed, a wrong path would end in an error of another library, or in silence."""
    with pytest.raises(FileError, match="no database"):
        open_database(tmp_path)
    with pytest.raises(FileError, match="it has train"):
        open_database(database, "test")


def _refuse(*args, **kwargs):
    raise AssertionError("something was computed")
