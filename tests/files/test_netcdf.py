"""Files of other programs: what is written can be read, by us and by them."""

import json

import numpy as np
import pyproj
import pytest
import rasterio
import xarray as xr

import xsubpix
from xsubpix import DataError, FileError, ModelError

CRS = {"utm": 32611, "geographic": 4326, "none": None, "south": 32719}


@pytest.fixture
def disp(pair, utm):
    """A measured field on a UTM grid, with times."""
    pre, post = (
        utm(image.values).assign_coords(time=np.datetime64(day, "ns"))
        for image, day in zip(pair, ("2020-01-31T10:30:00", "2020-02-16T10:30:00"), strict=True)
    )
    return xsubpix.correlate(pre, post, model="phase", window=16, step=4)


def assert_same_field(one, two, names):
    for name in names:
        np.testing.assert_allclose(one[name].values, two[name].values, rtol=1e-6, err_msg=name)
    a, b = (xsubpix.Grid.from_dataarray(d["east"]) for d in (one, two))
    a.check_same(b)


# -------------------------------------------------------------------------- ours


@pytest.mark.parametrize("lazy", [False, True])
def test_netcdf_comes_back(disp, tmp_path, lazy):
    """Else values, flags, times, attributes or the CRS are lost."""
    (disp.chunk(7) if lazy else disp).subpix.to_netcdf(tmp_path / "a.nc")
    got = xsubpix.open_displacement(tmp_path / "a.nc")
    assert hasattr(got.east.data, "dask")
    assert_same_field(got, disp, disp.data_vars)
    assert got.flags.dtype == np.uint8
    assert got.rio.crs.to_epsg() == 32611
    assert got.reference_time.values == disp.reference_time.values
    assert got.secondary_time.values == disp.secondary_time.values
    assert got.attrs["model"] == "phase"
    assert got.attrs["model_parameters"] == disp.attrs["model_parameters"]
    assert got.flags.attrs["flag_meanings"] == disp.flags.attrs["flag_meanings"]
    assert got.east.attrs["comment"] == disp.east.attrs["comment"]
    # And it is a field like any other.
    assert "phase" in repr(got.load().subpix.detrend().subpix.summary())


@pytest.mark.parametrize("lazy", [False, True])
def test_cog_comes_back(disp, tmp_path, lazy):
    """Else what to_cog writes cannot be gone on with."""
    (disp.chunk(7) if lazy else disp).subpix.to_cog(tmp_path / "a.tif")
    got = xsubpix.open_displacement(tmp_path / "a.tif")
    assert hasattr(got.east.data, "dask")
    assert list(got.data_vars) == list(disp.data_vars)
    assert_same_field(got, disp, disp.data_vars)
    assert got.flags.dtype == np.uint8
    assert got.reference_time.values == disp.reference_time.values
    assert got.attrs["model_parameters"] == disp.attrs["model_parameters"]
    for name in ("east", "sigma", "quality"):
        assert got[name].attrs["units"] == disp[name].attrs["units"]
        assert got[name].attrs["long_name"] == disp[name].attrs["long_name"]
    np.testing.assert_array_equal(got.flags.attrs["flag_masks"], disp.flags.attrs["flag_masks"])
    assert set(disp.attrs) <= set(got.attrs)
    masked = got.subpix.mask(flags="edge")
    np.testing.assert_array_equal(
        masked.east.isnull(), disp.subpix.mask(flags="edge").east.isnull()
    )


@pytest.mark.parametrize("kind", CRS)
@pytest.mark.parametrize("extension", ["tif", "nc", "cosi.tif", "cosi.dat"])
def test_every_grid_comes_back(tmp_path, kind, extension):
    """Else fields without CRS, or in degrees, or with rows running north, come back elsewhere."""
    rng = np.random.default_rng(0)
    east, north = rng.normal(size=(2, 20, 30)).astype("f4")
    east[:3] = np.nan
    size, x0, y0 = (0.01, 10.0, 50.0) if kind == "geographic" else (10.0, 5e5, 4e6)
    dims = ("lat", "lon") if kind == "geographic" else ("y", "x")
    disp = xr.Dataset(
        {"east": (dims, east), "north": (dims, north)},
        coords={
            dims[0]: y0 - size * (np.arange(20) + 0.5), dims[1]: x0 + size * (np.arange(30) + 0.5)
        },
    )  # fmt: skip
    if CRS[kind]:
        disp = disp.rio.set_spatial_dims(*dims[::-1]).rio.write_crs(CRS[kind])
    path = tmp_path / f"a.{extension}"
    writer = {"tif": xsubpix.to_cog, "nc": xsubpix.to_netcdf}.get(extension, xsubpix.to_cosi_corr)
    writer(disp, path)
    got = xsubpix.open_displacement(path).load()
    np.testing.assert_array_equal(got.east, east)
    np.testing.assert_array_equal(got.north, north)
    here, there = (xsubpix.Grid.from_dataarray(d.east) for d in (disp, got))
    here.check_same(there)
    assert xsubpix.magnitude(got).attrs["units"] == ("m" if CRS[kind] else "1")


def test_netcdf_passes_a_cf_checker(disp, tmp_path):
    """Else "CF" is a claim: the IOOS compliance checker's errors and warnings, all of them."""
    runner = pytest.importorskip("compliance_checker.runner")
    trace = [[500200.0, 3999500.0], [500700.0, 3999400.0]]
    things = {
        "field": disp,
        "products": disp.subpix.detrend().subpix.rotate(30.0),
        "strain": disp.subpix.strain(scale=80.0),
        "profile": disp.subpix.profile(trace, width=200.0),
        "offsets": disp.subpix.offsets(trace, spacing=250.0, half_length=330.0, gap=60.0),
    }
    runner.CheckSuite.load_all_available_checkers()
    for name, thing in things.items():
        path = tmp_path / f"{name}.nc"
        xsubpix.to_netcdf(thing, path)
        _, failed = runner.ComplianceChecker.run_checker(
            str(path), ["cf:1.11"], 0, "normal", output_filename=str(tmp_path / "report.json"),
            output_format="json",
        )  # fmt: skip
        report = json.loads((tmp_path / "report.json").read_text())["cf:1.11"]
        trouble = [
            (group["name"], group["msgs"])
            for level in ("high_priorities", "medium_priorities")
            for group in report[level]
            if group["value"][0] != group["value"][1]
        ]
        assert not trouble, (name, trouble)
        assert not failed


def test_writing_is_all_or_nothing(disp, tmp_path, monkeypatch):
    """Else a full disk, or a bad parameter, leaves half a file."""
    target = tmp_path / "a.nc"
    for write in (xsubpix.to_netcdf, xsubpix.to_cosi_corr):
        with pytest.raises(FileError, match="no folder"):
            write(disp, tmp_path / "b" / "a.nc")
        write(disp, target)
        with pytest.raises(FileError, match="overwrite"):
            write(disp, target, overwrite=False)

    def fail(*_, **__):
        raise OSError("disk full")

    before = target.read_bytes()
    monkeypatch.setattr(xr.Dataset, "to_netcdf", fail)
    with pytest.raises(FileError, match="disk full"):
        xsubpix.to_netcdf(disp, target)
    assert target.read_bytes() == before
    assert not [p for p in tmp_path.iterdir() if "partial" in p.name]
    with pytest.raises(ModelError, match="names="):
        xsubpix.to_netcdf(disp, target, names="gamma")
    with pytest.raises(DataError, match="DataArray"):
        xsubpix.to_netcdf(disp.east, target)


# ---------------------------------------------------------------------- COSI-Corr


@pytest.mark.parametrize("extension", ["tif", "dat"])
def test_cosi_corr_bands(disp, tmp_path, extension):
    """Else its users find north where they expect east."""
    path = tmp_path / f"a.{extension}"
    disp.chunk(9).subpix.to_cosi_corr(path)
    with rasterio.open(path) as source:
        assert source.descriptions == ("East/West", "North/South", "SNR")
        assert source.driver == ("GTiff" if extension == "tif" else "ENVI")
        np.testing.assert_array_equal(source.read(1), disp.east)
        np.testing.assert_array_equal(source.read(2), disp.north)
        np.testing.assert_array_equal(source.read(3), disp.quality)
        assert source.crs.to_epsg() == 32611
    assert_same_field(xsubpix.open_displacement(path), disp, ["east", "north", "quality"])


def test_cosi_corr_as_others_write_it(tmp_path):
    """Else files without band names, or with a nodata value, are refused or misread."""
    values = np.random.default_rng(0).normal(size=(3, 10, 12)).astype("f4")
    values[:, 0, 0] = -9999.0
    profile = {"count": 3, "height": 10, "width": 12, "dtype": "float32", "crs": "EPSG:32611",
               "transform": rasterio.Affine(20, 0, 5e5, 0, -20, 4e6)}  # fmt: skip
    for name, driver, bands in (
        ("a.tif", "GTiff", ("East/West (m)", "North/South (m)", "SNR")),
        ("b.img", "ENVI", ("", "", "")),
    ):
        with rasterio.open(tmp_path / name, "w", driver=driver, nodata=-9999.0, **profile) as out:
            out.write(values)
            for k, text in enumerate(bands, 1):
                if text:
                    out.set_band_description(k, text)
        got = xsubpix.open_displacement(tmp_path / name).load()
        assert np.isnan(got.east.values[0, 0])
        np.testing.assert_array_equal(got.north.values[1:], values[1, 1:])
        assert list(got.data_vars) == ["east", "north", "quality"]
    with rasterio.open(tmp_path / "c.tif", "w", driver="GTiff", **profile) as out:
        out.write(values)
        for k, text in enumerate(("red", "green", "blue"), 1):
            out.set_band_description(k, text)
    with pytest.raises(FileError, match="red"):
        xsubpix.open_displacement(tmp_path / "c.tif")


# -------------------------------------------------------------- ITS_LIVE, autoRIFT


def test_its_live_names_come_back(disp, tmp_path):
    """Else velocities are per day, or their errors are lost."""
    disp.subpix.to_netcdf(tmp_path / "a.nc", names="its-live")
    with xr.open_dataset(tmp_path / "a.nc") as raw:
        assert {"vx", "vy", "v", "v_error", "img_pair_info", "mapping"} <= set(raw.variables)
        np.testing.assert_allclose(raw.vx, disp.east * 365 / 16, rtol=1e-5)
        assert raw.vx.attrs["units"] == "meter/year"
        assert raw.vx.attrs["grid_mapping"] == "mapping"
        assert raw.img_pair_info.attrs["acquisition_date_img1"] == "20200131T10:30:00"
    got = xsubpix.open_displacement(tmp_path / "a.nc")
    assert_same_field(got, disp, ["east", "north"])
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


def test_what_is_no_displacement(tmp_path):
    """Else a mosaic, or any file, is taken for a field."""
    for name, message in (("a.nc", "no such file"), ("a.tif", "no such file")):
        with pytest.raises(FileError, match=message):
            xsubpix.open_displacement(tmp_path / name)
    (tmp_path / "b.tif").write_text("no tiff")
    (tmp_path / "b.nc").write_text("no netcdf")
    for name in ("b.tif", "b.nc"):
        with pytest.raises(FileError, match=f"cannot read .*{name}"):
            xsubpix.open_displacement(tmp_path / name)
    grid = {"x": np.arange(4.0), "y": np.arange(3.0)}
    flat = (("y", "x"), np.zeros((3, 4)))
    xr.Dataset({"vx": flat, "vy": flat}, grid).to_netcdf(tmp_path / "c.nc")
    with pytest.raises(FileError, match="date_dt"):
        xsubpix.open_displacement(tmp_path / "c.nc")
    xr.Dataset({"speed": flat}, grid).to_netcdf(tmp_path / "d.nc")
    with pytest.raises(FileError, match="speed"):
        xsubpix.open_displacement(tmp_path / "d.nc")


# -------------------------------------------------------------------------- points


def test_points_come_back(disp, tmp_path):
    """Else a GIS shows stations in the sea, or without their numbers."""
    geopandas = pytest.importorskip("geopandas")
    trace = [[500200.0, 3999500.0], [500700.0, 3999400.0]]
    got = disp.subpix.offsets(trace, spacing=250.0, half_length=330.0, gap=60.0)
    got["parallel"][0] = np.nan
    for name in ("a.geojson", "a.gpkg"):
        got.subpix.to_points(tmp_path / name)
        frame = geopandas.read_file(tmp_path / name)
        assert len(frame) == 2
        back = frame.to_crs(32611).geometry
        np.testing.assert_allclose(back.x, got.x, atol=1e-2)
        np.testing.assert_allclose(back.y, got.y, atol=1e-2)
        np.testing.assert_allclose(frame["parallel"].astype(float), got.parallel, rtol=1e-6)
    assert frame.crs.to_epsg() == 32611
    profile = disp.subpix.profile(trace, width=200.0)
    profile.subpix.to_points(tmp_path / "b.geojson")
    assert len(json.loads((tmp_path / "b.geojson").read_text())["features"]) == len(profile.x)
    with pytest.raises(DataError, match="offsets or a profile"):
        xsubpix.to_points(disp, tmp_path / "c.gpkg")
    with pytest.raises(FileError, match="ten letters"):
        xsubpix.to_points(got, tmp_path / "a.shp")
    assert not list(tmp_path.glob(".partial*"))
    with pytest.raises(FileError, match="overwrite"):
        xsubpix.to_points(got, tmp_path / "a.gpkg", overwrite=False)
