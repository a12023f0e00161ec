"""Displacements that are known: sub-pixel shifts, whole pixels, far beyond the window."""

import dataclasses

import numpy as np
import pytest
import scipy.ndimage
import xarray as xr

import xsubpix
from xsubpix import Estimate, Estimator

OUT_OF_RANGE = 16


def core(field, margin=2):
    return field.values[margin:-margin, margin:-margin]


def rmse(disp, shift, margin=2):
    """RMS error per component away from the border."""
    dx, dy = shift
    error = np.stack([core(disp.east, margin) - dx, core(disp.north, margin) - dy])
    assert np.isfinite(error).all()
    return float(np.sqrt((error**2).mean()))


# ----------------------------------------------------------------- sub-pixel


@pytest.mark.parametrize("window", [16, 24, 33, 64])
@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.25, -0.5), (0.37, 1.81), (-3.5, 2.1)])
def test_fourier_shifts(scene, image, window, shift):
    """Else sub-pixel shifts are biased, quantised, or mirrored."""
    shape = (4 * window, 4 * window + 8)
    pre, post = image(scene(shape)), image(scene(shape, shift))
    disp = xsubpix.correlate(pre, post, model="phase", window=window, step=window // 2)
    bound = 0.03 if window == 16 else 0.012
    assert rmse(disp, shift) < bound


@pytest.mark.parametrize("shift", [(0.1, 0.2), (-0.45, 0.33)])
def test_zero_shift_of_identical_and_shift_of_swapped(scene, image, shift):
    """Else pre and post are not treated alike: swapping them must turn the sign."""
    pre, post = image(scene((80, 80))), image(scene((80, 80), shift))
    still = xsubpix.correlate(pre, pre, model="phase", window=24, step=8)
    assert float(abs(core(still.east)).max()) < 1e-4
    assert float(core(still.quality).min()) > 0.9999
    there = xsubpix.correlate(pre, post, model="phase", window=24, step=8)
    back = xsubpix.correlate(post, pre, model="phase", window=24, step=8)
    assert abs(core(there.east + back.east)).max() < 0.03
    assert abs(core(there.north + back.north)).max() < 0.03


def test_no_steps_of_a_fraction_of_a_pixel(scene, image):
    """Else the sub-pixel part is quantised to 1/k px."""
    found = []
    for shift in np.linspace(0, 0.02, 5):
        pre, post = image(scene((64, 64))), image(scene((64, 64), (shift, 0.0)))
        found.append(
            np.median(core(xsubpix.correlate(pre, post, model="phase", window=32, step=8).east))
        )
    np.testing.assert_allclose(np.diff(found), 0.005, atol=0.001)


@pytest.mark.parametrize("roll", [(1, 0), (0, -1), (5, 3), (-7, 7)])
def test_whole_pixels(scene, image, roll):
    """Else whole-pixel shifts are wrapped, or off by one."""
    full = scene((100, 100))
    dx, dy = roll
    pre, post = image(full[20:80, 20:80]), image(full[20 - dy : 80 - dy, 20 - dx : 80 - dx])
    assert rmse(xsubpix.correlate(pre, post, model="phase", window=16, step=8), roll) < 0.01


@pytest.mark.parametrize("shift", [(0.3, 0.6), (-1.25, 0.75)])
def test_spline_shifts(scene, image, shift):
    """Else an independent interpolator finds another displacement."""
    full = scene((120, 120)).astype("f8")
    dx, dy = shift
    moved = scipy.ndimage.shift(full, (dy, dx), order=5, mode="mirror")
    pre, post = image(full[20:-20, 20:-20]), image(moved[20:-20, 20:-20])
    assert rmse(xsubpix.correlate(pre, post, model="phase", window=32, step=8), shift) < 0.02


def test_two_halves_moving_apart(scene, image):
    """Else the field is smeared far beyond a window across a fault."""
    left, right = scene((64, 96), (0.0, 1.5)), scene((64, 96), (0.0, -1.5))
    pre = image(scene((64, 96)))
    post = image(np.hstack([left[:, :48], right[:, 48:]]))
    disp = xsubpix.correlate(pre, post, model="phase", window=16, step=4)
    assert abs(core(disp.north)[:, :7] - 1.5).max() < 0.1
    assert abs(core(disp.north)[:, -7:] + 1.5).max() < 0.1


def test_noise_and_sigma(scene, image):
    """Else sigma does not say how far off the values are."""
    rng = np.random.default_rng(3)
    shape = (160, 160)
    noise = rng.normal(0, 6.0, (2, *shape))
    pre, post = image(scene(shape) + noise[0]), image(scene(shape, (0.4, -0.2)) + noise[1])
    disp = xsubpix.correlate(pre, post, model="phase", window=32, step=8)
    measured = rmse(disp, (0.4, -0.2))
    stated = float(np.sqrt((core(disp.sigma) ** 2).mean()))
    assert measured < 0.1
    assert 0.6 < measured / stated < 1.8
    assert 0.8 < float(np.median(core(disp.quality))) < 0.97


# ------------------------------------------------------- beyond half a window


@pytest.mark.parametrize("shift", [(17, 0), (0, -24), (31, 31), (32, 0), (-33, 10), (48, -48)])
def test_larger_search_finds_what_is_beyond_the_window(scene, image, shift):
    """Else displacements of a window or more are wrapped to small ones."""
    full = scene((230, 230), seed=2)
    dx, dy = shift
    n, o = 128, 51
    pre, post = full[o : o + n, o : o + n], full[o - dy : o - dy + n, o - dx : o - dx + n]
    disp = xsubpix.correlate(image(pre), image(post), model="phase", window=32, step=16, search=50)
    # Where the ground of the whole window is still in post.
    rows = slice(int(np.ceil(max(0, -dy) / 16)) + 1, 8 - int(np.ceil(max(0, dy) / 16)) - 1)
    cols = slice(int(np.ceil(max(0, -dx) / 16)) + 1, 8 - int(np.ceil(max(0, dx) / 16)) - 1)
    error = np.hypot(disp.east - dx, disp.north - dy).values[rows, cols]
    flagged = (disp.flags.values[rows, cols] & OUT_OF_RANGE) > 0
    assert error.size >= 6
    assert ((error < 0.3) | flagged).all()
    assert (error < 0.3).mean() > 0.9


@pytest.mark.parametrize("shift", [(20, 0), (0, -24), (33, 33), (48, 0)])
def test_beyond_the_search_is_flagged(scene, image, shift):
    """Else ground that went out of the search range is measured at a chance match."""
    full = scene((460, 460), seed=7)
    dx, dy = shift
    pre, post = full[60:400, 60:400], full[60 - dy : 400 - dy, 60 - dx : 400 - dx]
    disp = xsubpix.correlate(image(pre), image(post), model="phase", window=32, step=8)
    error = np.hypot(disp.east - dx, disp.north - dy).values[4:-4, 4:-4]
    flagged = (disp.flags.values[4:-4, 4:-4] & OUT_OF_RANGE) > 0
    assert ((error > 0.3) & ~flagged).mean() < 0.03


@pytest.mark.parametrize("shift", [(0.3, -0.4), (2.2, -1.6)])
def test_published_method_without_refinement(scene, image, shift):
    """Else ``refine=False`` is not the maximum of the circular cross-correlation."""
    pre, post = image(scene((128, 128))), image(scene((128, 128), shift))
    disp = xsubpix.correlate(pre, post, model="phase", window=32, step=16, refine=False)
    assert rmse(disp, shift) < (0.04 if max(shift) < 1 else 0.1)
    assert bool((core(disp.sigma) < 0.1).all())


def test_within_half_a_window_all_is_found(scene, image):
    """Else large displacements inside of the default range are lost or flagged."""
    full = scene((170, 170), seed=5)
    for dx, dy in ((12, 0), (-9, 13), (14, -14)):
        pre, post = full[20:148, 20:148], full[20 - dy : 148 - dy, 20 - dx : 148 - dx]
        disp = xsubpix.correlate(image(pre), image(post), model="phase", window=32, step=16)
        error = np.hypot(disp.east - dx, disp.north - dy).values[2:-2, 2:-2]
        assert (error < 0.1).all()
        assert not (disp.flags.values[2:-2, 2:-2] & OUT_OF_RANGE).any()


def test_values_stay_inside_the_search(scene, image):
    """Else the parameter bounds nothing."""
    full = scene((150, 150), seed=6)
    pre, post = image(full[30:126, 30:126]), image(full[30:126, 10:106])
    for search in (0, 1, 4):
        disp = xsubpix.correlate(pre, post, model="phase", window=16, step=8, search=search)
        bound = search + 2.0  # the last sub-pixel steps may lean over, flagged
        assert float(np.nanmax(np.abs(disp.east))) <= bound
        beyond = np.abs(disp.east) > search + 0.5
        assert bool((((disp.flags & OUT_OF_RANGE) > 0) | ~beyond).all())


# ----------------------------------------------------------- the estimator's contract


@dataclasses.dataclass(frozen=True)
class Echo(Estimator):
    """Returns the mean of each output's block of `pre` and the pixel beyond its halo in `post`.

    Spoils its input afterwards: nobody else may see that.
    """

    reach: int = 3
    name = "echo"

    @property
    def halo(self):
        return self.reach

    @property
    def support(self):
        return self.reach

    @property
    def tile(self):
        return 4

    def __call__(self, pre, post):
        n, side = len(pre), 4 * self.step
        assert pre.shape == post.shape == (n, side + 2 * self.reach, side + 2 * self.reach)
        assert pre.dtype == post.dtype == np.float32
        inner = pre[:, self.reach : self.reach + side, self.reach : self.reach + side]
        blocks = inner.reshape(n, 4, self.step, 4, self.step).mean((2, 4))
        corner = np.nan_to_num(post[:, : side : self.step, : side : self.step], nan=-1.0)
        pre[:], post[:] = 0.0, 0.0
        one = np.ones_like(blocks)
        return Estimate(blocks, corner, one, one, np.zeros(blocks.shape, np.uint8))


@pytest.mark.parametrize("step", [1, 3])
@pytest.mark.parametrize("lazy", [False, True])
def test_tiles_are_where_the_contract_says(image, step, lazy):
    """Else every estimator sees ground that is shifted, halved, or touched by another tile."""
    values = np.arange(26 * 31, dtype="f4").reshape(26, 31)
    one = image(values)
    pre, post = (one.chunk(10), one.chunk(y=7)) if lazy else (one, one)
    disp = xsubpix.correlate(pre, post, model=Echo(step=step))
    expected = one.coarsen(y=step, x=step, boundary="trim").mean()
    np.testing.assert_allclose(disp.east, expected, rtol=1e-6)
    rows, cols = disp.east.shape
    padded = np.pad(values, ((3, 0), (3, 0)), constant_values=-1.0)
    np.testing.assert_array_equal(disp.north, padded[: rows * step : step, : cols * step : step])
    assert disp.attrs["model"] == "echo"
    assert "reach=3" in disp.attrs["model_parameters"]


class Twos(Echo):
    """Two pixels right and down everywhere, known to one pixel."""

    def __call__(self, pre, post):
        echo = super().__call__(pre, post)
        two = np.full_like(echo.dx, 2.0)
        return dataclasses.replace(echo, dx=two, dy=two)


def test_sigma_and_shift_scale_with_the_pixel(utm):
    """Else an estimator's pixels become metres twice, or by the step."""
    im = utm(np.zeros((24, 24)), size=15.0)
    disp = xsubpix.correlate(im, im, model=Twos(step=4))
    np.testing.assert_allclose(disp.east, 30.0)
    np.testing.assert_allclose(disp.north, -30.0)
    np.testing.assert_allclose(disp.sigma, 15.0)


# ----------------------------------------------------------------- parameters


@pytest.mark.parametrize("window", [8, 9, 15, 31])
@pytest.mark.parametrize("step", [1, 2, 5])
def test_odd_and_even_windows_are_centred(scene, image, window, step):
    """Else one parity of window or step is displaced by half a pixel of ground."""
    shape = (40, 44)
    shift = (0.4, -0.3)
    pre, post = image(scene(shape)), image(scene(shape, shift))
    disp = xsubpix.correlate(pre, post, model="phase", window=window, step=step, search=2)
    good = disp.where(disp.flags == 0)
    assert abs(float(good.east.median()) - 0.4) < 0.05
    assert abs(float(good.north.median()) + 0.3) < 0.05


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1), (3, 200), (8, 8), (17, 5)])
def test_tiny_images(image, scene, shape):
    """Else images smaller than a window raise or warn; they have no whole window."""
    pixels = scene((60, 210))[: shape[0], : shape[1]]
    disp = xsubpix.correlate(image(pixels), image(pixels), model="phase", window=16, step=1)
    assert disp.east.shape == shape
    assert bool(((disp.flags & 2) > 0).all()) or min(shape) > 15


def test_estimator_object_and_options(pair, identical):
    """Else model= takes a name only, or options do not reach the estimator."""
    from xsubpix.estimators.phase import Phase

    expected = xsubpix.correlate(*pair, model="phase", window=16, step=8, search=4)
    identical(xsubpix.correlate(*pair, model=Phase(window=16, step=8, search=4)), expected)
    identical(xsubpix.correlate(*pair, model=Phase(step=8), window=16, search=4), expected)


def test_numpy_integers_are_numbers(pair, identical):
    """Else window=np.int64(16), from a loop over an array, is refused."""
    expected = xsubpix.correlate(*pair, model="phase", window=16, step=8)
    identical(
        xsubpix.correlate(*pair, model="phase", window=np.int64(16), step=np.uint8(8)), expected
    )


def test_memory_mapped_and_lazily_opened_files(pair, tmp_path, identical):
    """Else images that live on disk, not opened with dask, are refused."""
    pre, post = pair
    expected = xsubpix.correlate(pre, post, model="phase", window=16, step=8)
    for name, im in (("pre", pre), ("post", post)):
        np.save(tmp_path / f"{name}.npy", im.values)
        im.to_netcdf(tmp_path / f"{name}.nc")
    mapped = [
        xr.DataArray(np.load(tmp_path / f"{name}.npy", mmap_mode="r"), dims=("y", "x"))
        for name in ("pre", "post")
    ]
    identical(xsubpix.correlate(*mapped, model="phase", window=16, step=8), expected)
    with (
        xr.open_dataarray(tmp_path / "pre.nc") as one,
        xr.open_dataarray(tmp_path / "post.nc") as two,
    ):
        identical(xsubpix.correlate(one, two, model="phase", window=16, step=8), expected)
