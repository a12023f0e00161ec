"""Files: what is written, that it can be read, and that it is whole or not there."""

import os
import pickle
import signal
import subprocess
import sys
import time

import dask.array as da
import numpy as np
import pytest
import rasterio
import rioxarray
import xarray as xr

import xsubpix
from xsubpix import DataError, FileError, Grid

OPTIONS = {"window": 16, "step": 4}
NAMES = ["east", "north", "sigma", "quality", "flags"]


@pytest.fixture(scope="module")
def images(scene, utm):
    pre, post = utm(scene((80, 90)), size=15.0), utm(scene((80, 90), (1.3, -0.7)), size=15.0)
    pre = pre.assign_coords(time=np.datetime64("2019-07-04T18:30:00", "ns"))
    return pre, post.assign_coords(time=np.datetime64("2019-07-20T18:30:00", "ns"))


@pytest.fixture(scope="module")
def disp(images):
    return xsubpix.correlate(*images, model="phase", **OPTIONS)


# ----------------------------------------------------------------- GeoTIFF out


@pytest.mark.parametrize("lazy", [False, True])
def test_geotiff_bands_units_place(images, disp, tmp_path, lazy):
    """Else GIS programs show bands without names, units or the right place."""
    pre, post = (im.chunk(40) if lazy else im for im in images)
    path = tmp_path / "disp.tif"
    xsubpix.to_cog(xsubpix.correlate(pre, post, model="phase", **OPTIONS), path)
    with rasterio.open(path) as file:
        assert list(file.descriptions) == NAMES
        assert list(file.units) == ["m", "m", "m", "1", None]
        assert set(file.dtypes) == {"float32"}
        assert all(np.isnan(v) for v in file.nodatavals)
        assert file.crs.to_epsg() == 32611
        assert tuple(file.transform)[:6] == (60.0, 0.0, 5e5, 0.0, -60.0, 4e6)
        assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        for k, name in enumerate(NAMES, 1):
            np.testing.assert_array_equal(file.read(k), disp[name].values.astype("f4"))
            assert file.tags(k)["long_name"] == disp[name].attrs["long_name"]
        assert "positive along +x" in file.tags(1)["comment"]
        assert file.tags(5)["flag_masks"] == "1 2 4 8 16 32"
        assert file.tags(5)["flag_meanings"].startswith("nodata edge")
        tags = file.tags()
        assert tags["model"] == "phase"
        assert tags["reference_time"] == "2019-07-04T18:30:00"
        assert tags["secondary_time"] == "2019-07-20T18:30:00"
    assert os.listdir(tmp_path) == ["disp.tif"]


def test_missing_values_are_nan_on_disk(images, tmp_path):
    """Else holes come back as zero displacement."""
    pre, post = images
    hole = xsubpix.correlate(pre.where(pre.x > 500_400), post, model="phase", **OPTIONS)
    assert bool(hole.east.isnull().any())
    hole.subpix.to_cog(tmp_path / "d.tif")
    back = rioxarray.open_rasterio(tmp_path / "d.tif", masked=True)
    np.testing.assert_array_equal(np.isnan(back[0]), np.isnan(hole.east))


def test_large_fields_have_overviews(tmp_path):
    """Else viewers read a whole scene to draw a thumbnail."""
    data = da.ones((1100, 700), chunks=300, dtype="f4")
    field = xr.Dataset({"east": (("y", "x"), data), "north": (("y", "x"), data * 2)})
    xsubpix.to_cog(field, tmp_path / "big.tif")
    with rasterio.open(tmp_path / "big.tif") as file:
        assert file.overviews(1)[0] == 2
        assert file.block_shapes[0] == (512, 512)
        np.testing.assert_array_equal(file.read(2), 2.0)


@pytest.mark.parametrize("north_up", [True, False])
@pytest.mark.parametrize("rotated", [False, True])
def test_place_survives(images, tmp_path, north_up, rotated):
    """Else ascending or rotated grids come back flipped or upright."""
    pre, post = images
    if not north_up:
        pre, post = pre[::-1], post[::-1]
    if rotated:
        pre, post = (
            im.drop_vars(["x", "y"]).assign_coords(
                spatial_ref=im.spatial_ref.assign_attrs(GeoTransform="5e5 8 3 4e6 2 -9")
            )
            for im in (pre, post)
        )
    disp = xsubpix.correlate(pre, post, model="phase", **OPTIONS)
    disp.subpix.to_cog(tmp_path / "d.tif")
    back = rioxarray.open_rasterio(tmp_path / "d.tif")
    mine, theirs = Grid.from_dataarray(disp.east), Grid.from_dataarray(back[0])
    assert mine.shape == theirs.shape
    assert mine.offset_from(theirs) < 1e-6
    np.testing.assert_array_equal(back[0], disp.east)


def test_transposed_fields_are_written_upright(images, tmp_path):
    """Else a field with dimensions (x, y) is written on its side."""
    pre, post = images
    disp = xsubpix.correlate(pre.T, post.T, model="phase", **OPTIONS)
    assert disp.east.dims == ("x", "y")
    disp.subpix.to_cog(tmp_path / "d.tif")
    back = rioxarray.open_rasterio(tmp_path / "d.tif")
    np.testing.assert_array_equal(back[0], disp.east.T)


def test_no_crs_and_no_coordinates(scene, image, tmp_path):
    """Else bare arrays cannot be saved, or saving warns."""
    pre, post = image(scene((40, 44))), image(scene((40, 44), (1.0, 0.0)))
    for step in (1, 4):
        disp = xsubpix.correlate(pre, post, model="phase", window=16, step=step)
        disp.subpix.to_cog(tmp_path / f"{step}.tif")
        with rasterio.open(tmp_path / f"{step}.tif") as file:
            assert file.crs is None
            np.testing.assert_array_equal(file.read(1), disp.east)


def test_geographic(images, tmp_path):
    """Else degrees are written as the unit, or the CRS is lost."""
    pre, post = (
        im.drop_vars("spatial_ref")
        .assign_coords(x=10 + im.x * 1e-6, y=50 + im.y * 1e-6)
        .rename(x="lon", y="lat")
        .rio.write_crs("EPSG:4326")
        for im in images
    )
    xsubpix.correlate(pre, post, model="phase", **OPTIONS).subpix.to_cog(tmp_path / "d.tif")
    with rasterio.open(tmp_path / "d.tif") as file:
        assert file.crs.to_epsg() == 4326
        assert file.units[0] == "m"


# --------------------------------------------------------------------- refused


def test_refused_places(disp, tmp_path):
    """Else GDAL's words, or a file in the wrong place."""
    with pytest.raises(FileError, match="no folder"):
        disp.subpix.to_cog(tmp_path / "nowhere" / "d.tif")
    (tmp_path / "e.tif").mkdir()
    with pytest.raises(FileError, match="is a folder"):
        disp.subpix.to_cog(tmp_path / "e.tif")
    path = tmp_path / "d.tif"
    path.write_bytes(b"precious")
    with pytest.raises(FileError, match="overwrite"):
        disp.subpix.to_cog(path)
    assert path.read_bytes() == b"precious"
    disp.subpix.to_cog(path, overwrite=True)
    assert path.read_bytes() != b"precious"


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_folder_that_cannot_be_written(disp, tmp_path):
    """Else GDAL's or Python's own error comes out, or an hour is computed for nothing."""
    folder = tmp_path / "locked"
    folder.mkdir()
    folder.chmod(0o500)
    try:
        if os.access(folder, os.W_OK):
            # The superuser may write anywhere: take a folder that nobody can.
            folder = "/proc/self"
            if not os.path.isdir(folder):
                pytest.skip("every folder can be written here")
        with pytest.raises(FileError, match="cannot write"):
            disp.subpix.to_cog(os.path.join(folder, "d.tif"))
    finally:
        (tmp_path / "locked").chmod(0o700)


def test_nothing_to_write(tmp_path):
    """Else an empty file, half a complex number, or another library's error."""
    path = tmp_path / "d.tif"
    good = (("y", "x"), np.ones((3, 4)))
    for bad, message in (
        (xr.Dataset({"a": 1.0}), "no two-dimensional variable"),
        (xr.DataArray(np.ones((3, 4)), dims=("y", "x")), r"DataArray.*to_dataset"),
        (xr.Dataset({"a": good, "b": (("y", "x"), np.ones((3, 4), complex))}), "'b'.*complex128"),
        (xr.Dataset({"a": (("y", "x"), np.array([["s"]]))}), "'a'.*<U1"),
        (xr.Dataset({"a": good, "b": (("v", "x"), np.ones((3, 4)))}), "'a' and 'b'.*two files"),
    ):
        with pytest.raises(DataError, match=message):
            xsubpix.to_cog(bad, path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", ["text", "empty", "cut", "absent"])
def test_unreadable_images(tmp_path, images, content):
    """Else rasterio's error comes out without the package's."""
    path = tmp_path / "a.tif"
    if content == "text":
        path.write_text("no image")
    elif content == "empty":
        path.touch()
    elif content == "cut":
        images[0].rio.to_raster(tmp_path / "b.tif")
        path.write_bytes((tmp_path / "b.tif").read_bytes()[:100])
    with pytest.raises(FileError, match="cannot read"):
        xsubpix.open_image(path)


# ---------------------------------------------------------------------- atomic


class Broken:
    """Raises in the middle of a computation."""

    shape, dtype, ndim = (600, 600), np.dtype("f4"), 2

    def __getitem__(self, key):
        if key[0].start >= 300:
            raise RuntimeError("the disk caught fire")
        return np.ones((600, 600), "f4")[key]


def broken():
    data = da.from_array(Broken(), chunks=300, meta=np.empty((0, 0), "f4"), name="broken")
    return xr.Dataset({"east": (("y", "x"), data)})


@pytest.mark.parametrize("before", [None, b"the earlier file"])
def test_an_error_in_the_middle_leaves_the_earlier_file(tmp_path, before):
    """Else half a field passes for a whole one."""
    path = tmp_path / "d.tif"
    if before:
        path.write_bytes(before)
    with pytest.raises(RuntimeError, match="caught fire"):
        xsubpix.to_cog(broken(), path, overwrite=True)
    assert os.listdir(tmp_path) == (["d.tif"] if before else [])
    if before:
        assert path.read_bytes() == before


SLOW = """
import sys, time, dask.array as da, numpy as np, xarray as xr, xsubpix
def slow(block):
    open(sys.argv[2], "a").write("x")
    time.sleep(2)
    return block
data = da.zeros((600, 600), chunks=300, dtype="f4").map_blocks(slow, meta=np.empty((0, 0), "f4"))
xsubpix.to_cog(xr.Dataset({"east": (("y", "x"), data)}), sys.argv[1])
"""


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_process_leaves_nothing_behind(tmp_path, number):
    """Else a killed run leaves temporary files, or half a file under the final name."""
    folder = tmp_path / "out"
    folder.mkdir()
    started = tmp_path / "started"
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, str(folder / "d.tif"), str(started)],
        stderr=subprocess.DEVNULL,
        # Shells start what runs in the background deaf to SIGINT, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        for _ in range(3000):  # a busy machine takes minutes to import
            if started.exists() or process.poll() is not None:
                break
            time.sleep(0.1)
        assert started.exists()
        assert os.listdir(folder)
        process.send_signal(number)
        assert process.wait(300) != 0
    finally:
        process.kill()
        process.wait()
    assert os.listdir(folder) == []


def test_signal_handler_is_put_back(disp, tmp_path):
    """Else the user's own handling of SIGTERM is lost after a save."""
    before = signal.getsignal(signal.SIGTERM)
    disp.subpix.to_cog(tmp_path / "d.tif")
    assert signal.getsignal(signal.SIGTERM) is before


# ------------------------------------------------------------------ images in


@pytest.fixture
def bands(tmp_path):
    path = tmp_path / "bands.tif"
    with rasterio.open(
        path, "w", driver="GTiff", height=30, width=40, count=2, dtype="int16", nodata=-9999,
        crs="EPSG:32611", transform=rasterio.Affine(30, 0, 5e5, 0, -30, 4e6),
    ) as out:  # fmt: skip
        out.write(np.arange(2400, dtype="i2").reshape(2, 30, 40))
        out.descriptions = ("red", "nir")
    return path


def test_open_image(bands):
    """Else the wrong band is measured, or its nodata is forgotten."""
    image = xsubpix.open_image(bands, band=2)
    assert isinstance(image.data, da.Array)
    assert image.dims == ("y", "x")
    assert image.dtype == np.int16
    assert image.attrs["_FillValue"] == -9999
    np.testing.assert_array_equal(image, np.arange(1200, 2400).reshape(30, 40))
    with pytest.raises(FileError, match=r"2 bands \(red, nir\).*from 1 to 2"):
        xsubpix.open_image(bands)
    for band in (0, 3, -1, "red", 1.5):
        with pytest.raises(FileError, match=f"no band {band!r}; it has 1 to 2"):
            xsubpix.open_image(bands, band=band)


def test_correlate_files(images, disp, tmp_path, identical):
    """Else files give another field than the same pixels in memory."""
    opened = []
    for name, im in zip(("pre", "post"), images, strict=True):
        im.rio.to_raster(tmp_path / f"{name}.tif", tiled=True, blockxsize=16, blockysize=16)
        opened.append(xsubpix.open_image(tmp_path / f"{name}.tif"))
    lazy = xsubpix.correlate(*opened, model="phase", **OPTIONS)
    for name in NAMES:
        np.testing.assert_array_equal(lazy[name], disp[name])


# --------------------------------------------------------------------- netCDF


@pytest.mark.parametrize("mapping", ["spatial_ref", "mapping"])
def test_netcdf_round_trip(images, tmp_path, mapping):
    """Else saving the natural way loses the CRS, the flags' type or the times."""
    pytest.importorskip("netCDF4")
    pre, post = (
        im.drop_vars("spatial_ref").rio.write_crs("EPSG:32611", grid_mapping_name=mapping)
        for im in images
    )
    disp = xsubpix.correlate(pre.chunk(40), post, model="phase", **OPTIONS)
    disp.to_netcdf(tmp_path / "d.nc")
    with xr.open_dataset(tmp_path / "d.nc", decode_coords="all") as back:
        assert back.rio.crs.to_epsg() == 32611
        assert back.flags.dtype == np.uint8
        assert back.flags.attrs["flag_masks"].dtype == np.uint8
        for name in NAMES:
            np.testing.assert_array_equal(back[name], disp[name])
            assert back[name].encoding["grid_mapping"] == mapping
        assert back.reference_time.values == disp.reference_time.values
        np.testing.assert_array_equal(back.x, disp.x)
        assert back.attrs["model"] == "phase"
        # And it is a field again.
        assert float(xsubpix.epe(back, disp).max()) == 0.0
        back.subpix.to_cog(tmp_path / "d.tif")


def test_fields_pickle(disp, identical):
    """Else a field cannot travel between processes."""
    identical(pickle.loads(pickle.dumps(disp)), disp)
