"""COSI-Corr's three bands, written and read."""

import numpy as np
import pytest
import rasterio

import xsubpix
from xsubpix import FileError


@pytest.mark.parametrize("extension", ["tif", "dat"])
def test_cosi_corr_bands(disp, tmp_path, extension, same_field):
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
    same_field(xsubpix.open_displacement(path), disp, ["east", "north", "quality"])


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
        said = None if any(bands) else "cosi-corr"
        if said:
            with pytest.raises(FileError, match="format='cosi-corr'"):
                xsubpix.open_displacement(tmp_path / name)
        got = xsubpix.open_displacement(tmp_path / name, format=said).load()
        assert np.isnan(got.east.values[0, 0])
        np.testing.assert_array_equal(got.north.values[1:], values[1, 1:])
        assert list(got.data_vars) == ["east", "north", "quality"]
    with rasterio.open(tmp_path / "c.tif", "w", driver="GTiff", **profile) as out:
        out.write(values)
        for k, text in enumerate(("red", "green", "blue"), 1):
            out.set_band_description(k, text)
    with pytest.raises(FileError, match="red"):
        xsubpix.open_displacement(tmp_path / "c.tif")


@pytest.mark.parametrize("names", [("", "", ""), ("Edge", "Normal", "Slope"), ("red", "", "")])
def test_photographs_are_no_fields(tmp_path, names):
    """A photograph became a field of 254 m, pixels of another program metres."""
    path = tmp_path / "photo.tif"
    with rasterio.open(
        path, "w", driver="GTiff", count=3, height=10, width=12, dtype="uint8", crs="EPSG:32611",
        transform=rasterio.Affine(20, 0, 5e5, 0, -20, 4e6),
    ) as out:  # fmt: skip
        out.write(np.full((3, 10, 12), 254, "u1"))
        out.descriptions = names
    with pytest.raises(FileError, match="no displacement field that is known here"):
        xsubpix.open_displacement(path)
    with pytest.raises(xsubpix.ModelError, match="format='photo'"):
        xsubpix.open_displacement(path, format="photo")
