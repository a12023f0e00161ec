"""Granules of ITS_LIVE and autoRIFT, written and read."""

import numpy as np
import pyproj
import pytest
import xarray as xr

import xsubpix
from xsubpix import DataError


def test_its_live_names_come_back(disp, tmp_path, same_field):
    """Else velocities are per day, or their errors are lost."""
    disp.subpix.to_netcdf(tmp_path / "a.nc", names="its-live")
    with xr.open_dataset(tmp_path / "a.nc") as raw:
        assert {"vx", "vy", "v", "v_error", "img_pair_info", "mapping"} <= set(raw.variables)
        np.testing.assert_allclose(raw.vx, disp.east * 365 / 16, rtol=1e-5)
        assert raw.vx.attrs["units"] == "meter/year"
        assert raw.vx.attrs["grid_mapping"] == "mapping"
        assert raw.img_pair_info.attrs["acquisition_date_img1"] == "20200131T10:30:00"
    got = xsubpix.open_displacement(tmp_path / "a.nc")
    same_field(got, disp, ["east", "north"])
    np.testing.assert_allclose(got.sigma, disp.sigma, rtol=1e-5)
    assert got.secondary_time.values == disp.secondary_time.values
    with pytest.raises(DataError, match="reference_time"):
        xsubpix.to_netcdf(disp.drop_vars("reference_time"), tmp_path / "b.nc", names="its-live")


@pytest.mark.parametrize("days", [16.0, -16.0])
def test_an_autorift_granule(tmp_path, days):
    """Else integers with a fill value, centre-based transforms or dates without hyphens trip it."""
    nc = pytest.importorskip("netCDF4")
    wkt = pyproj.CRS.from_epsg(3413).to_wkt("WKT1_GDAL")
    with nc.Dataset(tmp_path / "a.nc", "w") as out:
        for name, start, step, n in (("x", -2e5, 240.0, 8), ("y", -2.2e6, -240.0, 6)):
            out.createDimension(name, n)
            out.createVariable(name, "f8", (name,))[:] = start + step * np.arange(n)
        mapping = out.createVariable("mapping", "S1", ())
        mapping.setncatts({"grid_mapping_name": "polar_stereographic", "spatial_ref": wkt,
                           "GeoTransform": "-200000.0 240.0 0 -2200000.0 0 -240.0"})  # fmt: skip
        info = out.createVariable("img_pair_info", "S1", ())
        info.setncatts({"date_dt": days, "acquisition_date_img1": "20170708",
                        "acquisition_date_img2": "20170724T20:41:33.1"})  # fmt: skip
        for name, value in (("vx", 365), ("vy", -730)):
            v = out.createVariable(name, "i2", ("y", "x"), fill_value=-32767)
            v.setncatts({"units": "m/y", "grid_mapping": "mapping", f"{name}_error": 36.5})
            values = np.full((6, 8), value, "i2")
            values[0, 0] = -32767
            v[:] = values
    got = xsubpix.open_displacement(tmp_path / "a.nc")
    assert np.isnan(got.east.values[0, 0])
    np.testing.assert_allclose(got.east.values[1:], days)
    np.testing.assert_allclose(got.north.values[1:], -2 * days)
    np.testing.assert_allclose(got.sigma.values[1:], 1.6, rtol=1e-6)
    assert str(got.reference_time.values)[:10] == "2017-07-08"
    assert str(got.secondary_time.values)[:16] == "2017-07-24T20:41"
    assert got.rio.crs.to_epsg() == 3413
    # Coordinates are the centres, whatever the transform in the file says.
    grid = xsubpix.Grid.from_dataarray(got.east)
    assert grid.transform[2] == pytest.approx(-2e5 - 120.0)
