"""Files of other programs: what is written can be read, by us and by them."""

import json

import numpy as np
import pytest
import xarray as xr

import xsubpix
from xsubpix import DataError, FileError, ModelError

CRS = {"utm": 32611, "geographic": 4326, "none": None, "south": 32719}


# -------------------------------------------------------------------------- ours


@pytest.mark.parametrize("lazy", [False, True])
def test_netcdf_comes_back(disp, tmp_path, lazy, same_field):
    """Else values, flags, times, attributes or the CRS are lost."""
    (disp.chunk(7) if lazy else disp).subpix.to_netcdf(tmp_path / "a.nc")
    got = xsubpix.open_displacement(tmp_path / "a.nc")
    assert hasattr(got.east.data, "dask")
    same_field(got, disp, disp.data_vars)
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
def test_cog_comes_back(disp, tmp_path, lazy, same_field):
    """Else what to_cog writes cannot be gone on with."""
    (disp.chunk(7) if lazy else disp).subpix.to_cog(tmp_path / "a.tif")
    got = xsubpix.open_displacement(tmp_path / "a.tif")
    assert hasattr(got.east.data, "dask")
    assert list(got.data_vars) == list(disp.data_vars)
    same_field(got, disp, disp.data_vars)
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
    for write, name in ((xsubpix.to_netcdf, "a.nc"), (xsubpix.to_cosi_corr, "a.dat")):
        with pytest.raises(FileError, match="no folder"):
            write(disp, tmp_path / "b" / name)
        write(disp, tmp_path / name)
        with pytest.raises(FileError, match="overwrite"):
            write(disp, tmp_path / name)

    def fail(*_, **__):
        raise OSError("disk full")

    before = target.read_bytes()
    monkeypatch.setattr(xr.Dataset, "to_netcdf", fail)
    with pytest.raises(FileError, match="disk full"):
        xsubpix.to_netcdf(disp, target, overwrite=True)
    assert target.read_bytes() == before
    assert not [p for p in tmp_path.iterdir() if "partial" in p.name]
    with pytest.raises(ModelError, match="names="):
        xsubpix.to_netcdf(disp, target, names="gamma")
    with pytest.raises(DataError, match="DataArray"):
        xsubpix.to_netcdf(disp.east, target)
