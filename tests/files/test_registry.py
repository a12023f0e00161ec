"""The formats that are known, and files that are of none."""

import numpy as np
import pytest
import xarray as xr

import xsubpix
from xsubpix import FileError
from xsubpix.files import registry
from xsubpix.files.base import Format, Source
from xsubpix.files.registry import FORMATS


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


def _read_toy(source):
    east, north = np.loadtxt(source.path, skiprows=1).reshape(2, 3, 4)
    return xr.Dataset({"east": (("y", "x"), east), "north": (("y", "x"), north)})


def _is_toy(source):
    return source.path.suffix == ".toy" and source.path.read_text().startswith("TOY")


def test_a_new_reader_is_one_file_and_one_line(tmp_path, monkeypatch):
    """Else a format that nobody here knows is a change in many places."""
    toy = Format("toy", "a first line TOY", _is_toy, _read_toy)
    values = np.arange(24.0)
    np.savetxt(tmp_path / "a.toy", values, header="TOY", comments="")
    with pytest.raises(FileError, match=r"cannot read .*a\.toy"):
        xsubpix.open_displacement(tmp_path / "a.toy")
    monkeypatch.setattr(registry, "FORMATS", (*registry.FORMATS, toy))
    got = xsubpix.open_displacement(tmp_path / "a.toy")
    np.testing.assert_array_equal(got.north, values.reshape(2, 3, 4)[1])
    # It is listed with the others, and the others still come first.
    xr.Dataset({"speed": (("y", "x"), np.zeros((3, 4)))}).to_netcdf(tmp_path / "a.nc")
    with pytest.raises(FileError, match="toy has a first line TOY"):
        xsubpix.open_displacement(tmp_path / "a.nc")


def test_formats_say_what_they_read_and_write(disp, tmp_path, same_field):
    """Else a format is listed that does not do what its line says."""
    assert [f.name for f in FORMATS] == ["GeoTIFF", "COSI-Corr", "CF NetCDF", "ITS_LIVE", "points"]
    for k, known in enumerate(FORMATS):
        assert (known.read is None) == (known.recognises is None)
        if known.read is None or known.write is None:
            continue
        path = tmp_path / f"{k}{known.suffixes[0]}"
        known.write(disp, path, overwrite=False)
        recognised = [f.name for f in FORMATS if f.recognises and f.recognises(Source(path))]
        assert recognised == [known.name]
        same_field(xsubpix.open_displacement(path), disp, ["east", "north"])
