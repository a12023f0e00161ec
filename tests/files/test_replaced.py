"""Images that change while they are read, damaged fields, pipes, and rasters of absurd sizes."""

import os
import shutil

import dask
import numpy as np
import pytest
import rasterio
import xarray as xr

import xsubpix
from xsubpix.errors import FileError
from xsubpix.files.geotiff import to_cog

PROFILE = {
    "driver": "GTiff", "width": 640, "height": 600, "count": 1, "dtype": "uint16",
    "crs": "EPSG:32611", "transform": rasterio.Affine(10, 0, 5e5, 0, -10, 4e6),
    "tiled": True, "blockxsize": 128, "blockysize": 128, "compress": "deflate",
}  # fmt: skip
PHASE = {"model": "phase", "window": 16, "step": 16}


@pytest.fixture
def paths(tmp_path, scene, monkeypatch):
    """A pair of images, and another one to take the place of the second; several reads each."""
    monkeypatch.setattr("xsubpix.files.images.CHUNK", 256)
    full = np.round(1000 + 20 * scene((610, 650))).astype("u2")
    found = [tmp_path / name for name in ("pre.tif", "post.tif", "new.tif")]
    for path, k in zip(found, (4, 5, 8), strict=True):
        with rasterio.open(path, "w", **PROFILE) as out:
            out.write(full[k : k + 600, k : k + 640], 1)
    return found


def test_image_replaced_after_opening(paths, tmp_path):
    """A download renamed into place: part of the result was of the old image, part of the new."""
    pre, post, new = paths
    disp = xsubpix.correlate(xsubpix.open_image(pre), xsubpix.open_image(post), **PHASE)
    os.replace(new, post)
    with pytest.raises(FileError, match=r"post\.tif was changed or replaced"):
        to_cog(disp, tmp_path / "out.tif")
    post.unlink()
    with pytest.raises(FileError, match="is gone"):
        disp.compute()
    assert not (tmp_path / "out.tif").exists()


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("opener", ["xsubpix", "rioxarray"])
def test_image_replaced_while_it_is_read(paths, tmp_path, resume, opener):
    """Between two blocks, whoever opened it; the same call again gives the new image's field."""
    import rioxarray

    pre, post, new = paths

    def opened(path):
        if opener == "xsubpix":
            return xsubpix.open_image(path)
        return rioxarray.open_rasterio(path, chunks={"x": 256, "y": 256}).squeeze("band", drop=True)

    disp = xsubpix.correlate(opened(pre), opened(post), **PHASE)
    keep = tmp_path / "keep.tif"
    shutil.copy(new, keep)

    def replace(block, block_info=None):
        if new.exists() and block_info[0]["array-location"][0][0] > 0:
            os.replace(new, post)
        return block

    late = disp.assign(east=disp.east.copy(data=disp.east.data.map_blocks(replace, dtype="f4")))
    # On threads, all might be read before the first replaces it, and two might try to.
    with (
        dask.config.set(scheduler="synchronous"),
        pytest.raises(FileError, match=r"post\.tif was changed or replaced"),
    ):
        to_cog(late, tmp_path / "out.tif", resume=resume)
    assert not (tmp_path / "out.tif").exists()
    fresh = xsubpix.correlate(xsubpix.open_image(pre), xsubpix.open_image(post), **PHASE)
    to_cog(fresh, tmp_path / "out.tif", resume=resume)
    expected = xsubpix.correlate(xsubpix.open_image(pre), xsubpix.open_image(keep), **PHASE)
    found = xsubpix.open_displacement(tmp_path / "out.tif")
    np.testing.assert_array_equal(found.east.values, expected.east.values)


def test_damaged_fields(tmp_path):
    """184 of 200 damages were read as data, up to 3e38: now an error, or nothing that counts."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:600, :600]
    east = (np.hypot(x - 300, y - 300) / 100 + rng.normal(0, 0.1, (600, 600))).astype("f4")
    disp = xr.Dataset({"east": (("y", "x"), east), "north": (("y", "x"), -east)})
    disp = disp.assign_coords(x=5e5 + 10.0 * np.arange(600), y=4e6 - 10.0 * np.arange(600))
    disp = disp.rio.write_crs("EPSG:32611")
    path = tmp_path / "field.tif"
    to_cog(disp, path)
    whole = path.read_bytes()
    with rasterio.open(path) as file:
        first = min(
            int(file.get_tag_item(f"BLOCK_OFFSET_{j}_{i}", "TIFF", bidx=b))
            for b in (1, 2) for i in range(2) for j in range(2)
        )  # fmt: skip
    wrong = 0
    for at in rng.integers(first, len(whole), 40):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        try:
            back = xsubpix.open_displacement(path).load()
        except FileError:
            continue
        same = np.array_equal(back.east.values, east) and np.array_equal(back.north.values, -east)
        wrong += not same
    assert wrong == 0


def test_inputs_that_are_no_files(tmp_path):
    """A pipe was waited for without end; a folder was GDAL's error."""
    os.mkfifo(tmp_path / "pipe.tif")
    for function in (xsubpix.open_image, xsubpix.open_displacement):
        with pytest.raises(FileError, match="it is a pipe"):
            function(tmp_path / "pipe.tif")
        with pytest.raises(FileError, match="it is a folder"):
            function(tmp_path)


def test_raster_of_absurd_size(tmp_path):
    """2e9 x 2e9 pixels in 200 bytes took 5 GB before they were refused."""
    bands = '<VRTRasterBand dataType="Float32" band="1"></VRTRasterBand>'
    for name in ("image.vrt", "field.vrt"):
        (tmp_path / name).write_text(
            f'<VRTDataset rasterXSize="2000000000" rasterYSize="2000000000">{bands}</VRTDataset>'
        )
    with pytest.raises(FileError, match="2000000000 x 2000000000 pixels"):
        xsubpix.open_image(tmp_path / "image.vrt")
    with pytest.raises(FileError, match="2000000000 x 2000000000 pixels"):
        xsubpix.open_displacement(tmp_path / "field.vrt")
