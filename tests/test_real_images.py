"""Real images, where there are: known shifts of real chips, and a real stable pair."""

import glob

import numpy as np
import pytest
import rasterio
import scipy.fft
import xarray as xr

import xsubpix

pytestmark = pytest.mark.usefixtures("data_folder")


@pytest.fixture(scope="module")
def chips(data_folder):
    paths = sorted(glob.glob(str(data_folder / "landsat7" / "*_pan.tif")))[3::11]
    if not paths:
        pytest.skip(f"no chips in {data_folder / 'landsat7'}")
    return [np.asarray(xsubpix.open_image(path), "f8") for path in paths]


def moved(pixels, dx, dy):
    """Exact shift of the mirrored image (its cosine series at x - dx)."""
    mirrored = np.pad(pixels, ((0, pixels.shape[0]), (0, pixels.shape[1])), mode="symmetric")
    fy, fx = scipy.fft.fftfreq(mirrored.shape[0])[:, None], scipy.fft.rfftfreq(mirrored.shape[1])
    spectrum = scipy.fft.rfft2(mirrored) * np.exp(-2j * np.pi * (fx * dx + fy * dy))
    return scipy.fft.irfft2(spectrum, s=mirrored.shape)[: pixels.shape[0], : pixels.shape[1]]


def rms(error):
    return float(np.sqrt(np.mean(np.square(error))))


def test_sub_pixel_shifts_of_real_chips(chips):
    """Else real texture, with its aliasing and saturation, is measured worse than 0.02 px."""
    for pixels, (dx, dy) in zip(chips, [(0.37, -0.21), (-1.5, 0.8), (2.23, 1.04)], strict=False):
        cut = pixels[:240, :240]
        pre, post = (xr.DataArray(p, dims=("y", "x")) for p in (cut, moved(cut, dx, dy)))
        disp = xsubpix.correlate(pre, post, model="phase", window=32, step=16)
        inner = disp.isel(y=slice(2, -2), x=slice(2, -2))
        assert rms(inner.east - dx) < 0.02
        assert rms(inner.north - dy) < 0.02


def test_large_shifts_of_real_chips(chips):
    """Else real ground that went beyond half a window is wrapped or lost."""
    for pixels in chips:
        for dx, dy in ((20, 0), (-31, 31), (0, 60)):
            pre, post = pixels[64:320, 64:320], pixels[64 - dy : 320 - dy, 64 - dx : 320 - dx]
            disp = xsubpix.correlate(
                *(xr.DataArray(p, dims=("y", "x")) for p in (pre, post)),
                model="phase", window=32, step=32, search=64,
            )  # fmt: skip
            inner = disp.isel(y=slice(3, -3), x=slice(3, -3))
            error = np.hypot(inner.east - dx, inner.north - dy).values
            flagged = (inner.flags.values & 16) > 0
            assert ((error < 0.3) | flagged).all()
            assert (error < 0.3).mean() > 0.7


def test_stable_pair(data_folder, tmp_path):
    """Else two real dates of stable ground show motion, or the file its place wrongly."""
    paths = sorted(glob.glob(str(data_folder / "two_dates" / "nanjing_*.tif")))
    if len(paths) != 2:
        pytest.skip(f"no pair nanjing_* in {data_folder / 'two_dates'}")
    pre, post = (xsubpix.open_image(path, band=5)[:400, :400] for path in paths)
    disp = pre.subpix.correlate(post, model="phase", step=16).compute()
    good = disp.where(disp.flags == 0)
    assert abs(float(good.east.median())) < 3.0
    assert abs(float(good.north.median())) < 3.0
    assert float((disp.flags == 0).mean()) > 0.4
    disp.subpix.to_cog(tmp_path / "disp.tif")
    with rasterio.open(tmp_path / "disp.tif") as file:
        assert file.crs.to_epsg() == 32650
        assert file.units[0] == "m"
        assert file.res == (480.0, 480.0)


@pytest.mark.parametrize(("place", "band"), [("nanjing", 4), ("taizhou", 3), ("taizhou", 4)])
def test_changed_ground_of_real_dates(data_folder, place, band):
    """Two in a hundred values of `dis` were wrong without a word: its sigma is that of noise."""
    pytest.importorskip("cv2")
    dates = sorted(glob.glob(str(data_folder / "two_dates" / f"{place}_*.tif")))
    if len(dates) != 2:
        pytest.skip(f"no pair of {place} in {data_folder / 'two_dates'}")
    values = [rasterio.open(path).read(band + 1).astype("f4") for path in dates]
    pre, post = (xr.DataArray(v, dims=("y", "x")) for v in values)
    disp = xsubpix.correlate(pre, post, model="dis", step=4)
    # Nothing moved; the dates are registered to 0.1 px.
    off = np.maximum(abs(disp.east), abs(disp.north)).values
    believed = (disp.flags.values & 0b111101) == 0
    wrong = believed & (off > 0.5) & (off > 5 * disp.sigma.values)
    assert wrong.mean() < 5e-4
    if place == "nanjing":
        assert (off[believed] < 2 * disp.sigma.values[believed]).mean() > 0.9
