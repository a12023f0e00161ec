"""What open_displacement reaches: open Datasets, cubes of pairs, names of GDAL's own."""

import zipfile

import numpy as np
import pytest
import xarray as xr

import xsubpix
from xsubpix import FileError


def test_an_archive_and_memory(disp, tmp_path, same_field):
    """Else a download must be unpacked, and a file of a server saved."""
    from rasterio.io import MemoryFile

    xsubpix.to_cog(disp, tmp_path / "a.tif")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(tmp_path / "a.tif", "in/a.tif")
    got = xsubpix.open_displacement(f"/vsizip/{tmp_path}/a.zip/in/a.tif")
    same_field(got, disp, ["east", "north", "sigma"])
    with MemoryFile((tmp_path / "a.tif").read_bytes(), filename="m.tif") as memory:
        got = xsubpix.open_displacement(memory.name)
        same_field(got.load(), disp, ["east", "north"])
    with pytest.raises(FileError, match="cannot read"):
        xsubpix.open_displacement("/vsimem/nothing.tif")


def test_an_open_dataset(disp, same_field):
    """Else a Zarr store must become a file first."""
    same_field(xsubpix.open_displacement(disp), disp, ["east", "north"])
    with pytest.raises(FileError, match="no displacement field"):
        xsubpix.open_displacement(disp[["sigma"]])


def test_a_pair_of_a_cube(disp):
    """Else ITS_LIVE's cubes, which are all that is on the web, are refused."""
    rng = np.random.default_rng(0)
    shape = (3, *disp.east.shape)
    dates = np.array(["2020-01-01", "2020-02-01", "2020-03-01"], "M8[ns]")
    cube = xr.Dataset(
        {
            "vx": (("mid_date", "y", "x"), rng.normal(size=shape).astype("f4")),
            "vy": (("mid_date", "y", "x"), rng.normal(size=shape).astype("f4")),
            "vx_error": ("mid_date", [10.0, 20.0, 30.0]),
            "vy_error": ("mid_date", [10.0, 20.0, 30.0]),
            "date_dt": ("mid_date", np.array([73, 146, 365], "m8[D]").astype("m8[ns]")),
            "acquisition_date_img1": ("mid_date", dates),
            "acquisition_date_img2": ("mid_date", dates + np.timedelta64(73, "D")),
        },
        {"mid_date": dates, "y": disp.y, "x": disp.x},
    )
    cube["mapping"] = xr.Variable((), 0, disp.spatial_ref.attrs)
    for name in ("vx", "vy"):
        cube[name].attrs["grid_mapping"] = "mapping"
    got = xsubpix.open_displacement(cube, pair=1)
    np.testing.assert_allclose(got.east, cube.vx[1] * 0.4, rtol=1e-5)
    np.testing.assert_allclose(got.sigma, 8.0, rtol=1e-5)
    assert str(got.reference_time.values)[:10] == "2020-02-01"
    assert got.rio.crs == disp.rio.crs
    np.testing.assert_allclose(
        xsubpix.open_displacement(cube, pair=-1).north, cube.vy[2], rtol=1e-5
    )
    for pair in (None, 3):
        with pytest.raises(FileError, match="3 pairs"):
            xsubpix.open_displacement(cube, pair=pair)
    with pytest.raises(FileError, match="no cube"):
        xsubpix.open_displacement(disp, pair=0)
