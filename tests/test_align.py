"""Alignment: known motions found, signs, grids of all kinds, and what is refused."""

import numpy as np
import pytest
import xarray as xr
from scipy.ndimage import fourier_shift, gaussian_filter, map_coordinates

import xsubpix
from xsubpix.align.resample import GridMap, Resampling, read_windows, resample
from xsubpix.image import Image
from xsubpix.kernels.motion import Motion, fit_motion


def motion_of(aligned):
    """The motion (dx, dy) at all pixels that the attributes tell."""
    attrs = aligned.attrs
    motion = Motion(
        attrs["registration_order"],
        tuple(attrs["registration_x"]),
        tuple(attrs["registration_y"]),
        aligned.shape,
    )
    return motion(*np.ogrid[: aligned.shape[0], : aligned.shape[1]])


@pytest.mark.parametrize("shift", [(0.1, -0.3), (7.4, 3.2), (-60.3, 41.7)])
def test_a_known_shift_is_found_and_removed(scene, utm, shift):
    """Else images are moved the wrong way, or half of the way."""
    dx, dy = shift
    large = scene((460, 480))
    moved = scene((460, 480), (dx % 1, dy % 1))
    row, col = 80, 80
    pre = utm(large[row : row + 300, col : col + 320])
    whole = row - int(np.floor(dy)), col - int(np.floor(dx))
    post = utm(moved[whole[0] : whole[0] + 300, whole[1] : whole[1] + 320])
    aligned = post.subpix.align(pre)
    assert aligned.attrs["registration_x"] == pytest.approx([dx], abs=0.01)
    assert aligned.attrs["registration_y"] == pytest.approx([dy], abs=0.01)
    assert aligned.attrs["registration_places"] > 20
    assert aligned.attrs["registration_nmad"] < 0.02
    assert aligned.attrs["registration_error"] < 0.005
    rest = abs(aligned - pre)
    assert np.isfinite(rest).mean() > 0.6
    assert float(rest.quantile(0.9)) < 0.01 * float(pre.std())
    assert aligned.rio.crs == pre.rio.crs
    assert aligned.dtype == np.float32
    np.testing.assert_array_equal(aligned.x, pre.x)


def test_an_affine_motion_is_found(scene, image):
    """Else rotation and scale between two sensors stay in the displacement."""
    pre = image(scene((300, 320)))
    rows, cols = np.mgrid[:300, :320].astype(float)
    dx = 6.3 + 0.012 * (cols - 160) - 0.02 * (rows - 150)
    dy = -4.1 + 0.02 * (cols - 160) + 0.008 * (rows - 150)
    post = pre.subpix.warp_quintic((dx, dy))
    aligned = xsubpix.align(post, pre, order=1)
    found = motion_of(aligned)
    assert np.sqrt(np.mean((found[0] - dx) ** 2)) < 0.02
    assert np.sqrt(np.mean((found[1] - dy) ** 2)) < 0.02
    # Of order 0 the mean is found all the same, and the residuals say that more is there.
    shifted = xsubpix.align(post, pre)
    assert shifted.attrs["registration_x"] == pytest.approx([dx.mean()], abs=0.3)
    assert shifted.attrs["registration_nmad"] > 0.3


def test_a_quadratic_motion_is_found(scene, image):
    """Else what a pushbroom scanner bends stays in the displacement."""
    pre = image(scene((300, 320)))
    v, u = np.meshgrid(np.linspace(-1, 1, 300), np.linspace(-1, 1, 320), indexing="ij")
    dx, dy = 2.0 + u + 1.5 * u * u - 0.7 * u * v, -1.0 + 1.2 * v * v
    aligned = xsubpix.align(pre.subpix.warp_quintic((dx, dy)), pre, order=2)
    found = motion_of(aligned)
    assert np.sqrt(np.mean((found[0] - dx) ** 2)) < 0.02
    assert np.sqrt(np.mean((found[1] - dy) ** 2)) < 0.02


def other_grid(scene_pixels, source, target, shift=(0.0, 0.0)):
    """`source`'s ground on the pixels of `target`, displaced by metres; cubic splines."""
    import pyproj

    x, y = np.meshgrid(target.x.values, target.y.values)
    to = pyproj.Transformer.from_crs(target.rio.crs, source.rio.crs, always_xy=True)
    x, y = to.transform(x, y)
    size = float(source.x[1] - source.x[0])
    cols = (x - shift[0] - float(source.x[0])) / size
    rows = (y - shift[1] - float(source.y[0])) / float(source.y[1] - source.y[0])
    values = map_coordinates(scene_pixels, [rows, cols], order=5, mode="constant", cval=np.nan)
    return target.copy(data=values.astype(np.float32))


def test_another_zone_pixel_and_extent(scene, utm):
    """Else scenes must be reprojected first, and are sampled twice."""
    pixels = scene((400, 420))
    pre = utm(pixels, crs="EPSG:32611")
    bounds = pre.rio.transform_bounds("EPSG:32612")
    size = 11.0
    x = np.arange(bounds[0] - 300, bounds[2] - 700, size)
    y = np.arange(bounds[3] + 200, bounds[1] + 400, -size)
    blank = xr.DataArray(np.zeros((y.size, x.size)), dims=("y", "x"), coords={"y": y, "x": x})
    post = other_grid(pixels, pre, blank.rio.write_crs("EPSG:32612"), shift=(35.0, -21.0))
    post = post.assign_coords(time=np.datetime64("2020-02-03", "ns"))
    aligned = post.subpix.align(pre, search=20)
    # 3.5 pixels of 10 m to the east, 2.1 to the south.
    assert aligned.attrs["registration_x"] == pytest.approx([3.5], abs=0.02)
    assert aligned.attrs["registration_y"] == pytest.approx([2.1], abs=0.02)
    rest = abs(aligned - pre)
    assert 0.5 < np.isfinite(rest).mean() < 0.95
    assert float(rest.quantile(0.95)) < 0.05 * float(pre.std())
    assert aligned.time.values == np.datetime64("2020-02-03")
    # Its own coordinates alone: one map, no motion.
    regridded = post.subpix.regrid(pre)
    found = pre.subpix.correlate(regridded, model="phase", step=16)
    assert float(found.east.median()) == pytest.approx(35, abs=0.3)


def test_fine_pixels_are_averaged(scene, utm):
    """Else what is too fine for the reference's pixels is folded into noise."""
    pixels = scene((480, 480))
    fine = utm(pixels, size=10.0)
    mean = pixels.reshape(160, 3, 160, 3).mean((1, 3))
    coarse = utm(mean, size=30.0)
    aligned = fine.subpix.regrid(coarse)
    inner = (slice(8, -8), slice(8, -8))
    np.testing.assert_allclose(aligned.values[inner], mean[inner], atol=0.02 * mean.std())
    assert "averaged over 3 x 3" in aligned.attrs["comment"]
    # And the other way: the reference is the finer one.
    registered = coarse.subpix.align(fine, search=12)
    assert registered.attrs["registration_x"] == pytest.approx([0.0], abs=0.05)


def test_lazy_and_eager_are_the_same(scene, utm):
    """Else a scene that does not fit memory is aligned otherwise, or is computed at once."""
    pre, post = utm(scene((200, 220))), utm(scene((200, 220), (2.3, -1.6)))
    eager = post.subpix.align(pre, search=10)
    lazy = post.chunk({"y": 37, "x": 61}).subpix.align(pre.chunk({"y": 90}), search=10)
    assert lazy.chunks is not None
    xr.testing.assert_identical(lazy.compute(), eager)


def test_resampling_is_once_and_missing_stays_missing(scene, image):
    """Else holes are filled with what was never seen, or shrink."""
    pixels = scene((128, 128))
    pixels[40:60, 70:80] = np.nan
    pre = image(scene((128, 128)))
    aligned = image(pixels).subpix.regrid(pre)
    missing = np.isnan(aligned.values)
    assert missing[40:60, 70:80].all()
    assert missing.sum() < 27 * 17
    known = np.isfinite(pixels) & ~missing
    np.testing.assert_allclose(aligned.values[known], pixels[known], rtol=1e-5)


def moving_block(scene, image):
    """A pair of which the left 60 % moved by (1, 0) and the rest by (4, 0)."""
    pre, one, two = (scene((260, 300), (d, 0.0)) for d in (0.0, 1.0, 4.0))
    left = np.arange(300) < 180
    return image(pre), image(np.where(left, one, two))


def test_ground_outside_of_the_mask_or_near_the_trace_has_no_say(scene, image, utm):
    """Else the earthquake is taken for misregistration."""
    pre, post = moving_block(scene, lambda p: utm(p, size=10.0))
    right = (pre.x > float(pre.x[200])).broadcast_like(pre).transpose("y", "x")
    assert post.subpix.align(pre, search=8).attrs["registration_x"][0] == pytest.approx(1, abs=0.02)
    aligned = post.subpix.align(pre, search=8, mask=right)
    assert aligned.attrs["registration_x"][0] == pytest.approx(4, abs=0.02)
    # The mask on a coarser grid, of another zone.
    coarse = right.astype("uint8")
    coarse = coarse.rio.write_crs(pre.rio.crs).rio.reproject("EPSG:32612", resolution=35.0)
    aligned = post.subpix.align(pre, search=8, mask=coarse)
    assert aligned.attrs["registration_x"][0] == pytest.approx(4, abs=0.02)
    # A buffer that covers the left.
    x = float(pre.x[60])
    line = [(x, float(pre.y[0])), (x, float(pre.y[-1]))]
    aligned = post.subpix.align(pre, search=8, trace=line, buffer=1350.0)
    assert aligned.attrs["registration_x"][0] == pytest.approx(4, abs=0.02)


def test_what_cannot_be_registered_is_an_error(scene, image, utm):
    """Else a guess is taken for a measurement."""
    pre = image(scene((260, 260)))
    with pytest.raises(
        xsubpix.DataError, match=r"0 agree on one motion.*at least \d+ must.*search="
    ):
        image(scene((260, 260), seed=5)).subpix.align(pre)
    with pytest.raises(xsubpix.DataError, match="cannot be registered"):
        image(np.full((260, 260), 7.0)).subpix.align(pre)
    far = utm(scene((64, 64)))
    with pytest.raises(xsubpix.GridError, match="share no ground"):
        far.assign_coords(x=far.x + 1e5).subpix.align(far)
    with pytest.raises(xsubpix.GridError, match="no CRS"):
        far.drop_vars("spatial_ref").subpix.align(far)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"order": 3}, "order=3"),
        ({"search": 0}, "search=0"),
        ({"window": 8}, "window=8"),
        ({"oversample": 3}, "oversample=3"),
        ({"buffer": 10.0}, "trace"),
    ],
)
def test_parameters_out_of_bounds(pair, options, words):
    """Else a typing error is found after minutes, or never."""
    with pytest.raises(xsubpix.ModelError, match=words):
        pair[1].subpix.align(pair[0], **options)


def test_masks_and_traces_that_cannot_be_meant(scene, utm):
    """Else a mask of another place silently leaves out everything."""
    pre = utm(scene((128, 128)))
    with pytest.raises(xsubpix.DataError, match="mask is float"):
        pre.subpix.align(pre, mask=pre)
    far = pre.assign_coords(x=pre.x + 1e6) > 0
    with pytest.raises(xsubpix.GridError, match="mask"):
        pre.subpix.align(pre, mask=far)
    with pytest.raises(xsubpix.GridError, match="away from the field"):
        pre.subpix.align(pre, trace=[(0, 0), (1, 1)], buffer=100.0)


def test_fit_stands_bad_matches():
    """Else clouds, shadows and water pull the image."""
    random = np.random.default_rng(1)
    rows, cols = random.uniform(0, 500, (2, 200))
    true = Motion(1, (3.0, 1.0, -2.0), (-1.0, 0.5, 0.25), (500, 500))
    shift = np.stack(true(rows, cols), axis=-1) + random.normal(0, 0.05, (200, 2))
    shift[:90] = random.uniform(-50, 50, (90, 2))
    fit = fit_motion(rows, cols, shift, np.ones(200), order=1, shape=(500, 500), tolerance=1.0)
    assert fit.motion.x == pytest.approx(true.x, abs=0.03)
    assert fit.motion.y == pytest.approx(true.y, abs=0.03)
    assert fit.agreeing[90:].mean() > 0.95
    assert fit.nmad == pytest.approx(0.05, abs=0.015)


def test_map_of_a_block_is_that_of_its_pixels(scene, utm):
    """Else pixels lie where the polynomial, not the map, puts them."""
    pre = Image.from_dataarray(utm(scene((300, 300))), "pre").grid
    other = Image.from_dataarray(utm(scene((300, 300))).rio.reproject("EPSG:4326"), "post").grid
    motion = Motion(2, (1.0, 2, 3, 4, 5, 6), (6.0, 5, 4, 3, 2, 1), pre.shape)
    grid_map = GridMap(pre, other, motion)
    rows, cols = np.arange(40, 296), np.arange(10, 200)
    block = grid_map.block(rows, cols)
    np.testing.assert_allclose(block, grid_map.points(rows[:, None], cols[None, :]), atol=1e-4)


def test_windows_of_a_lazy_image_are_read(scene, image):
    """Else windows come from other places than asked for."""
    pixels = scene((90, 80))
    lazy = image(pixels).chunk({"y": 13, "x": 29}).data
    windows = [(0, 0, 90, 80), (20, 30, 15, 25), (5, 5, 0, 3)]
    for part, (row, col, rows, cols) in zip(read_windows(lazy, windows), windows, strict=True):
        if rows:
            np.testing.assert_array_equal(part, pixels[row : row + rows, col : col + cols])
        else:
            assert part.size == 0


def test_averaging_by_whole_numbers_is_the_mean(scene, utm):
    """Else brightness or place changes with the reduction."""
    one = Image.from_dataarray(utm(scene((240, 240))), "image")
    for factor in (2, 3, 8):
        grid_map = GridMap(one.grid, one.grid, Motion.none(one.grid.shape), factor)
        got = resample(
            one.data, Resampling.of(one, grid_map), (0, 0, 240 // factor, 240 // factor), "x"
        )
        n = 240 // factor
        mean = one.data.reshape(n, factor, n, factor).mean((1, 3))
        inner = (slice(4, -4), slice(4, -4))
        np.testing.assert_allclose(got[inner], mean[inner], atol=0.05 * mean.std())


def test_folded_waves_move_nothing(image):
    """Else what pixels fold of finer ground, which moves the other way, takes a fifth away."""
    rng = np.random.default_rng(0)
    fine = gaussian_filter(rng.normal(size=(640, 640)), 0.7) + gaussian_filter(
        5 * rng.normal(size=(640, 640)), 3.0
    )
    moved = np.fft.ifft2(fourier_shift(np.fft.fft2(fine), (-0.444, 0.74))).real
    halves = (x.reshape(320, 2, 320, 2).mean((1, 3))[10:-10, 10:-10] for x in (fine, moved))
    pre, post = (image(100 + 20 * half) for half in halves)
    aligned = xsubpix.align(post, pre, order=0)
    assert aligned.attrs["registration_x"] == pytest.approx([0.37], abs=0.01)
    assert aligned.attrs["registration_y"] == pytest.approx([-0.222], abs=0.01)
