"""The CRS goes along, wherever it is stored; where it did not come along, an error says so."""

import numpy as np
import pytest
import rioxarray
import xarray as xr

import xsubpix
from xsubpix import DataError, GridError

STEP = 1e-4


@pytest.fixture
def degrees():
    """A field on longitude and latitude: 10 m to the east."""
    coords = {"y": 45 - STEP * np.arange(40), "x": 10 + STEP * np.arange(50)}
    east = np.full((40, 50), 10.0, "f4")
    disp = xr.Dataset({"east": (("y", "x"), east), "north": (("y", "x"), 0 * east)}, coords)
    for name in disp.data_vars:
        disp[name].attrs["units"] = "m"
    return disp.rio.write_crs("EPSG:4326")


def check_metres(disp):
    """Degrees as metres were off by 90,000: a pixel is 8 m wide here."""
    dx = xsubpix.to_pixels(disp).dx
    assert float(dx[20, 25]) == pytest.approx(10 / 7.88, rel=0.01)
    assert xsubpix.magnitude(disp).attrs["units"] == "m"


@pytest.mark.parametrize("engine", ["netcdf", "zarr", "own netcdf"])
def test_plainly_opened(degrees, tmp_path, engine):
    """Else a field of degrees is one of metres, because decode_coords was not given."""
    for module in ("netCDF4", "zarr")[: 2 if engine == "zarr" else 1]:
        pytest.importorskip(module)
    if engine == "own netcdf":
        xsubpix.to_netcdf(degrees, tmp_path / "a.nc")
        plain = xr.open_dataset(tmp_path / "a.nc")
    elif engine == "netcdf":
        degrees.to_netcdf(tmp_path / "a.nc")
        plain = xr.open_dataset(tmp_path / "a.nc")
    else:
        degrees.to_zarr(tmp_path / "a.zarr", consolidated=False, zarr_format=2)
        plain = xr.open_zarr(tmp_path / "a.zarr", consolidated=False)
    assert "spatial_ref" in plain.data_vars  # what is tried
    check_metres(plain)
    assert xsubpix.strain(plain, scale=50.0).rio.crs.to_epsg() == 4326
    xsubpix.to_cog(plain, tmp_path / "out.tif")
    assert xsubpix.open_displacement(tmp_path / "out.tif").rio.crs.to_epsg() == 4326
    xsubpix.to_netcdf(plain, tmp_path / "again.nc")
    check_metres(xsubpix.open_displacement(tmp_path / "again.nc"))
    assert float(xsubpix.epe(plain, degrees).max()) == 0.0


def test_mapping_under_another_name(degrees):
    """ITS_LIVE calls it ``mapping``, others ``crs``; and nothing may refer to it."""
    plain = degrees.rename(spatial_ref="crs").reset_coords("crs")
    for name in ("east", "north"):
        plain[name].encoding.pop("grid_mapping", None)
    check_metres(plain)


def test_image_without_its_mapping(utm, scene, tmp_path):
    """Else a pair of degrees is measured in 'units of the grid'."""
    image = utm(scene((40, 40)))
    image.to_dataset(name="band").to_netcdf(tmp_path / "image.nc")
    plain = xr.open_dataset(tmp_path / "image.nc")["band"]
    with pytest.raises(GridError, match=r"decode_coords='all'"):
        xsubpix.correlate(plain, plain, model="phase", window=16)
    whole = xr.open_dataset(tmp_path / "image.nc", decode_coords="all")["band"]
    assert xsubpix.correlate(whole, whole, model="phase", window=16).east.attrs["units"] == "m"


@pytest.fixture
def pairs(degrees):
    """Three pairs of three dates."""
    when = np.array(["2020-01-01", "2020-02-01", "2020-03-01"], "M8[ns]")
    stack = xr.concat([degrees, degrees, 2 * degrees], "pair", coords="minimal", compat="override")
    for name in stack.data_vars:
        stack[name].attrs["units"] = "m"
    stack["x"].attrs["units"] = "degrees_east"
    return stack.assign_coords(
        reference_time=("pair", when[[0, 1, 0]]), secondary_time=("pair", when[[1, 2, 2]])
    )


def test_series_keeps_the_crs(pairs, tmp_path):
    """Else a COG of a date has no CRS, and units of "1"."""
    out = xsubpix.series(pairs)
    assert out.rio.crs.to_epsg() == 4326
    assert out["x"].attrs["units"] == "degrees_east"
    assert out["spatial_ref"].attrs == pairs["spatial_ref"].attrs
    last = out.isel(time=-1)
    check_metres(last * np.float32(0.5))
    xsubpix.to_cog(last, tmp_path / "last.tif")
    assert rioxarray.open_rasterio(tmp_path / "last.tif").rio.crs.to_epsg() == 4326
    plain = xsubpix.series(pairs.reset_coords("spatial_ref"))
    assert plain.rio.crs.to_epsg() == 4326


def test_dates_equal_to_each_other(pairs, utm, scene):
    """An image with itself has not moved: series returned zeros."""
    same = pairs.assign_coords(secondary_time=pairs.reference_time)
    with pytest.raises(DataError, match="one date, 2020-01-01"):
        xsubpix.series(same)
    image = utm(scene((40, 40)))
    when = np.array(["2020-01-01", "2020-02-01"], "M8[ns]")
    stack = xr.concat([image, image], "time").assign_coords(time=when)
    with pytest.raises(DataError, match=r"pair 0 .* one time, 2020-01-01"):
        xsubpix.correlate(stack[0], stack, model="phase", window=16)


@pytest.mark.parametrize("reference", ["yesterday", "2020-13-01", object()])
def test_series_reference_that_is_no_date(pairs, reference):
    """Else NumPy's error."""
    with pytest.raises(DataError, match="is no date"):
        xsubpix.series(pairs, reference=reference)
