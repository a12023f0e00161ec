"""What GDAL says is missing is missing: masks, alpha bands, nodata of each band, packed numbers."""

import numpy as np
import pytest
import rasterio
import rioxarray
from rasterio.enums import ColorInterp

import xsubpix
from xsubpix.errors import FileError

TRANSFORM = rasterio.Affine(10, 0, 5e5, 0, -10, 4e6)
PHASE = {"model": "phase", "window": 16, "step": 8}


@pytest.fixture
def pixels(scene):
    """A pair that moved one column, of bytes, and what is clouded in both."""
    full = np.clip(scene((96, 97)), 1, 254).astype("u1")
    hidden = np.zeros((96, 96), bool)
    hidden[24:64, 24:64] = True
    return full[:, 1:], full[:, :-1], hidden


def write(path, bands, **options):
    profile = {
        "driver": "GTiff", "height": 96, "width": 96, "count": len(bands), "dtype": bands[0].dtype,
        "crs": "EPSG:32611", "transform": TRANSFORM, **options,
    }  # fmt: skip
    return rasterio.open(path, "w", **profile)


@pytest.mark.parametrize("kind", ["internal mask", "side file", "alpha", "vrt", "nodata of a band"])
def test_masks_of_images(pixels, tmp_path, kind):
    """A cloud that does not move would be measured: 0 m where the ground moved 10 m."""
    images = []
    for name, values in zip(("pre", "post"), pixels[:2], strict=True):
        path, hidden = tmp_path / f"{name}.tif", pixels[2]
        clouded = np.where(hidden, np.indices(hidden.shape).sum(0) * 37 % 251, values).astype("u1")
        shown = np.where(hidden, 0, 255).astype("u1")
        if kind == "alpha":
            with write(path, [clouded, shown]) as out:
                out.colorinterp = [ColorInterp.gray, ColorInterp.alpha]
                out.write(np.stack([clouded, shown]))
        elif kind in ("internal mask", "side file"):
            with (
                rasterio.Env(GDAL_TIFF_INTERNAL_MASK=kind == "internal mask"),
                write(path, [clouded]) as out,
            ):
                out.write(clouded, 1)
                out.write_mask(shown)
        else:
            with write(path, [clouded]) as out:
                out.write(np.where(hidden, 255, values).astype("u1"), 1)
            vrt = tmp_path / f"{name}.vrt"
            band = (
                '<VRTRasterBand dataType="Byte" band="{k}"><NoDataValue>{nodata}</NoDataValue>'
                "<SimpleSource><SourceFilename>{path}</SourceFilename><SourceBand>1</SourceBand>"
                "</SimpleSource></VRTRasterBand>"
            )
            text = (
                '<VRTDataset rasterXSize="96" rasterYSize="96"><SRS>EPSG:32611</SRS>'
                "<GeoTransform>500000, 10, 0, 4000000, 0, -10</GeoTransform>"
                + "".join(band.format(k=k, nodata=n, path=path) for k, n in ((1, 0), (2, 255)))
                + "</VRTDataset>"
            )
            vrt.write_text(text)
            path = vrt
        band = 2 if path.suffix == ".vrt" else None
        images.append(xsubpix.open_image(path, band=band))
    disp = xsubpix.correlate(*images, **PHASE).compute()
    assert np.isnan(disp.east.values[4:7, 4:7]).all()
    np.testing.assert_allclose(disp.east.values[1:2, 1:-1], 10.0, atol=1.0)
    assert (disp.flags.values[4:7, 4:7] & 1).all()


def test_masks_that_did_not_come_along(pixels, tmp_path):
    """Opened by rioxarray without masked=True an image does not know its mask."""
    path = tmp_path / "pre.tif"
    with write(path, [pixels[0]]) as out:
        out.write(pixels[0], 1)
        out.write_mask(np.where(pixels[2], 0, 255).astype("u1"))
    plain = rioxarray.open_rasterio(path).squeeze("band", drop=True)
    with pytest.warns(xsubpix.SubpixWarning, match="masked=True"):
        xsubpix.correlate(plain, plain, **PHASE)
    masked = rioxarray.open_rasterio(path, masked=True).squeeze("band", drop=True)
    assert np.isnan(xsubpix.correlate(masked, masked, **PHASE).east.values[4:7, 4:7]).all()


def test_packed_displacement(tmp_path):
    """Else metres are off by the scale, and nodata of the second band is ground that moved."""
    east, north = (np.full((96, 96), v, "i2") for v in (150, -50))
    east[:4], north[:4] = -32768, -32768
    path = tmp_path / "packed.tif"
    with write(path, [east, north], nodata=-32768) as out:
        out.write(np.stack([east, north]))
        out.descriptions = ["east", "north"]
        out.scales, out.offsets = (0.01, 0.02), (0.0, 1.0)
    disp = xsubpix.open_displacement(path)
    assert np.isnan(disp.east.values[:4]).all()
    assert np.isnan(disp.north.values[:4]).all()
    np.testing.assert_allclose(disp.east.values[4:], 1.5, rtol=1e-6)
    np.testing.assert_allclose(disp.north.values[4:], 0.0, atol=1e-6)


def test_averaged_flags_of_a_file(disp, tmp_path):
    """A field resampled by another program has flags of 2.5, which mean nothing."""
    xsubpix.to_cog(disp, tmp_path / "a.tif")
    with rasterio.open(tmp_path / "a.tif") as source:
        values, profile, names = source.read(), source.profile, source.descriptions
    values[names.index("flags")] = 2.5
    with rasterio.open(tmp_path / "b.tif", "w", **profile) as out:
        out.write(values)
        out.descriptions = names
    with pytest.raises(FileError, match="no flags"):
        xsubpix.open_displacement(tmp_path / "b.tif").compute()
