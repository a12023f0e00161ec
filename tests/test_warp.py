"""Warping: known shifts, inverse fields across a trace, missing data, laziness, torch."""

import dask.array
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import xsubpix
from xsubpix.warp import RESIDUAL, invert_displacement, sample_quintic, warp_quintic


def texture(shape, seed=0, band=0.3):
    """Random texture without anything above `band` cycles per pixel; periodic."""
    rng = np.random.default_rng(seed)
    fy, fx = np.fft.fftfreq(shape[0])[:, None], np.fft.fftfreq(shape[1])
    keep = np.hypot(fy, fx) < band
    return np.fft.ifft2(np.fft.fft2(rng.normal(size=shape)) * keep).real


def moved(pixels, dy, dx):
    """The same texture, moved exactly."""
    fy, fx = np.fft.fftfreq(pixels.shape[0])[:, None], np.fft.fftfreq(pixels.shape[1])
    return np.fft.ifft2(np.fft.fft2(pixels) * np.exp(-2j * np.pi * (fy * dy + fx * dx))).real


def image_of(pixels, **coords):
    return xr.DataArray(pixels, dims=("y", "x"), coords=coords or None)


def strike_slip(shape, jump=3.0):
    """Ground on either side of a sloping line, moved along it in opposite senses."""
    row, col = np.indices(shape)
    side = np.where(row - 0.5 * col > 0.25 * shape[0], 0.5, -0.5)
    along = np.array([0.5, 1.0]) / np.hypot(0.5, 1.0)
    return jump * side * along[1], jump * side * along[0]


@pytest.mark.parametrize("shift", [(0.5, 0.25), (-1.3, 2.6)])
def test_forward_moves_the_ground_by_the_displacement(shift):
    """Else the sign or the interpolation is wrong."""
    dy, dx = shift
    pixels = texture((96, 90))
    field = (np.full(pixels.shape, dx), np.full(pixels.shape, dy))
    out = warp_quintic(image_of(pixels), field)
    inner = (slice(12, -12),) * 2
    error = out.values[inner] - moved(pixels, dy, dx)[inner]
    assert np.abs(error).max() < 0.01 * pixels.std()


def test_correlate_gives_back_what_warp_did():
    """Else the two halves of the library disagree on what a displacement is."""
    pre = image_of(
        texture((160, 160)), y=4e6 - 10.0 * np.arange(160), x=5e5 + 10.0 * np.arange(160)
    )
    pre = pre.rio.write_crs("EPSG:32611")
    zero = xr.zeros_like(pre, dtype=float)
    truth = xr.Dataset({"east": zero + 7.0, "north": zero - 4.0})
    post = pre.subpix.warp_quintic(truth)
    disp = pre.subpix.correlate(post, model="phase", step=16)
    assert float(disp.east.median()) == pytest.approx(7.0, abs=0.1)
    assert float(disp.north.median()) == pytest.approx(-4.0, abs=0.1)


@given(seed=st.integers(0, 99), size=st.floats(0.0, 4.0))
def test_inverse_of_a_smooth_field_meets_its_residual(seed, size):
    """Else forward warps are wrong by more than the stated 1e-3 px."""
    # Wavelengths above 40 px: a field of 4 px folds nowhere.
    dx, dy = (size * texture((48, 48), seed + k, 0.025) * 10 for k in (0, 1))
    rows, cols = invert_displacement(dx, dy)
    back = [
        sample_linear(d, rows, cols) + place - goal
        for d, place, goal in zip((dy, dx), (rows, cols), np.indices(dx.shape), strict=True)
    ]
    found = np.isfinite(rows)
    assert found[8:-8, 8:-8].mean() > 0.95
    assert np.hypot(*back)[found].max() <= RESIDUAL * 1.001


def sample_linear(field, rows, cols):
    import scipy.ndimage

    places = [np.nan_to_num(rows), np.nan_to_num(cols)]
    return scipy.ndimage.map_coordinates(field, places, order=1, mode="nearest")


def test_inverse_across_a_sharp_strike_slip_trace():
    """Else pixels at the fault are lost or wrong, where the physics is."""
    dx, dy = strike_slip((80, 80))
    rows, _ = invert_displacement(dx, dy)
    assert np.isfinite(rows).all()


def test_ground_torn_open_is_missing():
    """Else something is invented in a gap where no ground came from."""
    dx = np.where(np.arange(64) < 31.5, -4.0, 4.0) + np.zeros((64, 64))
    out = warp_quintic(image_of(texture((64, 64))), (dx, 0 * dx))
    # Ground ends at column 31 - 4 on the left and begins at 32 + 4 on the right.
    assert bool(out.isel(x=slice(29, 35)).isnull().all())
    assert bool(out.isel(x=slice(8, 27)).notnull().all())
    assert bool(out.isel(x=slice(37, 56)).notnull().all())


def test_round_trip_off_the_trace():
    """Else a measured field cannot undo the motion it measured."""
    pixels = texture((128, 128), band=0.25)
    field = strike_slip(pixels.shape)
    there = warp_quintic(image_of(pixels), field)
    back = warp_quintic(there, field, direction="backward")
    row, col = np.indices(pixels.shape)
    far = np.abs(row - 0.5 * col - 32) > 14
    far &= (np.minimum(row, col) > 12) & (np.maximum(row, col) < 116)
    gradient = np.sqrt(np.mean([g**2 for g in np.gradient(pixels)]))
    assert np.sqrt(np.mean((back.values - pixels)[far] ** 2)) / gradient < 0.005


def test_oversampling_keeps_what_is_near_nyquist():
    """Else ``oversample=2`` is no better than the plain spline, or shifted by half a pixel."""
    cols = np.indices((64, 128))[1]
    pixels, dx = np.cos(2 * np.pi * 51 / 128 * cols), 0.37
    true = np.cos(2 * np.pi * 51 / 128 * (cols - dx))
    field = (np.full(pixels.shape, dx), np.zeros(pixels.shape))
    inner = (slice(8, -8), slice(24, -24))
    error = [
        np.abs(warp_quintic(image_of(pixels), field, oversample=k).values - true)[inner].max()
        for k in (1, 2)
    ]
    assert error[1] < 0.005 < error[0]


@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize("chunks", [(128, 128), (50, 37), (7, 128)])
def test_chunked_equals_whole(direction, chunks):
    """Else results depend on the chunks: the halo is too thin."""
    pixels = texture((150, 140))
    dx, dy = strike_slip(pixels.shape)
    whole = warp_quintic(image_of(pixels), (dx, dy), direction=direction)
    lazy = warp_quintic(
        image_of(dask.array.from_array(pixels, chunks=chunks)), (dx, dy), direction=direction
    )
    assert hasattr(lazy.data, "dask")
    assert np.array_equal(lazy.isnull(), whole.isnull())
    assert float(abs(lazy - whole).max()) <= 1e-6 * np.ptp(pixels)


@pytest.mark.parametrize("oversample", [1, 2])
def test_tiles_equal_one_whole_spline(oversample):
    """Else the prefilter's reach is cut at the tiles' borders."""
    pixels = texture((300, 300))
    dx, dy = np.full(pixels.shape, 0.4), np.full(pixels.shape, -0.3)
    rows, cols = np.indices(pixels.shape).astype(float)
    reference = sample_quintic(pixels, rows + dy, cols + dx, oversample=oversample)
    tiled = warp_quintic(
        image_of(pixels), (dx, dy), direction="backward", oversample=oversample
    ).values
    assert np.array_equal(np.isnan(tiled), np.isnan(reference))
    assert np.nanmax(np.abs(tiled - reference)) <= 1e-6 * np.ptp(pixels)


def test_lazy_displacement_stays_lazy_with_a_bound():
    """Else a field too large for memory is computed behind the user's back."""
    pixels = texture((64, 64))

    def refuse(block):
        raise AssertionError("computed")

    dx = dask.array.map_blocks(
        refuse, dask.array.zeros((64, 64)), dtype=float, meta=np.empty((0, 0))
    )
    out = warp_quintic(image_of(pixels), (dx, np.zeros((64, 64))), max_displacement=2.0)
    assert out.shape == (64, 64)


def test_missing_pixels_spread_by_the_support_only():
    """Else a hole grows, or is filled with invented ground."""
    pixels = texture((80, 80))
    holed = pixels.copy()
    holed[40:44, 30:33] = np.nan
    shift = (np.full(pixels.shape, 0.5), np.full(pixels.shape, 0.0))
    clean = warp_quintic(image_of(pixels), shift)
    out = warp_quintic(image_of(holed), shift)
    lost = out.isnull() & clean.notnull()
    rows, cols = np.nonzero(lost.values)
    assert rows.min() >= 40 - 3
    assert rows.max() <= 43 + 3
    assert cols.min() >= 30 - 3
    assert cols.max() <= 32 + 3 + 1
    assert bool(lost[40:44, 31:33].all())
    assert float(abs(out - clean).max()) < 0.05 * pixels.std()


def test_declared_nodata_is_missing():
    """Else a fill value is smeared into the ground."""
    pixels = np.round(1000 + 100 * texture((48, 48))).astype(np.int16)
    pixels[10, 10] = -9999
    image = image_of(pixels)
    image.attrs["_FillValue"] = -9999
    zero = np.zeros(pixels.shape)
    out = warp_quintic(image, (zero, zero))
    assert np.isnan(out.values[10, 10])
    assert float(out.min()) > 500


def test_coarser_displacement_is_interpolated():
    """Else a field measured at a larger step cannot be used."""
    x, y = 5e5 + 10.0 * np.arange(64), 4e6 - 10.0 * np.arange(64)
    pre = image_of(texture((64, 64)), y=y, x=x).rio.write_crs("EPSG:32611")
    zero = xr.zeros_like(pre, dtype=float)
    fine = xr.Dataset({"east": zero + 1e-2 * (pre.x - 5e5), "north": zero})
    coarse = fine.coarsen(y=4, x=4).mean()
    one, two = (pre.subpix.warp_quintic(d) for d in (fine, coarse))
    both = one.notnull() & two.notnull()
    assert float(both.mean()) > 0.85
    assert float(abs(one - two).max()) < 1e-3 * float(pre.std())


def test_output_is_labelled_and_takes_nothing_over():
    """Else reflectance's name and attributes leak onto the warped image."""
    pre = image_of(texture((32, 32)), y=4e6 - 10.0 * np.arange(32), x=5e5 + 10.0 * np.arange(32))
    pre = pre.rio.write_crs("EPSG:32611").rename("B04")
    pre.attrs["scale_factor"] = 0.1
    out = pre.subpix.warp_quintic((np.zeros((32, 32)), np.zeros((32, 32))))
    assert out.name is None
    assert "scale_factor" not in out.attrs
    assert out.rio.crs == pre.rio.crs
    assert np.array_equal(out.x, pre.x)


@pytest.mark.parametrize(
    ("disp", "words"),
    [
        ("field", "Dataset with 'east' and 'north'"),
        (xr.Dataset({"up": ("y", [1.0])}), "east"),
        ((np.zeros((3, 3)), np.zeros((3, 3))), r"\(3, 3\)"),
    ],
)
def test_unusable_displacements_are_refused(disp, words):
    """Else a wrong argument ends in a message from deep inside, or a wrong field."""
    with pytest.raises(xsubpix.SubpixError, match=words):
        warp_quintic(image_of(texture((32, 32))), disp)


def test_bad_direction_and_infinite_field():
    """Else a typing error warps the other way round."""
    image, zero = image_of(texture((32, 32))), np.zeros((32, 32))
    with pytest.raises(xsubpix.DataError, match="forward"):
        warp_quintic(image, (zero, zero), direction="forwards")
    with pytest.raises(xsubpix.DataError, match="max_displacement"):
        warp_quintic(image, (zero, zero), max_displacement=np.inf)


def test_torch_has_the_numbers_of_scipy_and_gradients():
    """Else results differ between CPU and GPU, or a loss cannot reach the field."""
    pytest.importorskip("interpol", reason="torch-interpol is not installed")
    import torch

    from xsubpix.kernels.spline_torch import sample_quintic_torch

    pixels = texture((40, 44))
    rng = np.random.default_rng(1)
    rows, cols = rng.uniform(0, 39, (20, 20)), rng.uniform(0, 43, (20, 20))
    places = [torch.tensor(p, requires_grad=True) for p in (rows, cols)]
    values = sample_quintic_torch(torch.tensor(pixels), *places)
    reference = sample_quintic(pixels, rows, cols)
    assert np.abs(values.detach().numpy() - reference).max() < 1e-6 * np.ptp(pixels)
    values.sum().backward()
    step = 1e-4
    slope = (
        sample_quintic_torch(torch.tensor(pixels), places[0] + step, places[1])
        - sample_quintic_torch(torch.tensor(pixels), places[0] - step, places[1])
    ) / (2 * step)
    assert torch.allclose(places[0].grad, slope.detach(), atol=1e-5)
