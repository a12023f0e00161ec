"""Missing data: where it is, how far it reaches, and what it leaves alone."""

import itertools

import numpy as np
import pytest
import xarray as xr

import xsubpix

NODATA, EDGE, LOW_TEXTURE = 1, 2, 4
NOT_CONVERGED = 8
SHAPE = (60, 72)
SHIFT = (1.3, -0.7)


@pytest.fixture(scope="module")
def pixels(scene):
    return scene(SHAPE), scene(SHAPE, SHIFT)


def joint_pixels(valid, window, step):
    """Valid pixels in each output's window, counted one by one.

    The window is the `window` x `window` pixels nearest to the centre of the
    output's block, to the upper left where two are equally near; pixels
    beyond the image are missing.
    """
    rows, cols = valid.shape
    counts = np.zeros((rows // step, cols // step), int)

    def span(k, size):
        first = int(np.ceil(k * step + (step - 1) / 2 - window / 2))
        return slice(max(first, 0), min(first + window, size))

    for i, j in np.ndindex(counts.shape):
        counts[i, j] = valid[span(i, rows), span(j, cols)].sum()
    return counts


def holes():
    """Pairs of masks (True is missing) in pre and in post."""
    none = np.zeros(SHAPE, bool)
    block, stripe, corner, dots = (none.copy() for _ in range(4))
    block[18:33, 25:44] = True
    stripe[:, 30:41] = True
    yy, xx = np.mgrid[: SHAPE[0], : SHAPE[1]]
    corner[yy + xx < 40] = True
    dots[np.random.default_rng(0).random(SHAPE) < 0.3] = True
    wedge = xx > 40 + yy / 3
    return {
        "block in pre": (block, none),
        "block in post": (none, block),
        "stripe": (stripe, stripe),
        "corners": (corner, wedge),
        "wedge": (wedge, wedge),
        "dots": (dots, none),
        "different dots": (dots, dots[::-1, ::-1]),
    }


@pytest.mark.parametrize("where", holes())
@pytest.mark.parametrize(("window", "step"), [(16, 1), (16, 4), (13, 3)])
def test_missing_exactly_where_half_the_window_is(pixels, image, where, window, step):
    """Else nodata eats into good ground, or values are invented under it."""
    gaps = holes()[where]
    pre, post = (
        image(np.where(gap, np.float32(np.nan), p)) for gap, p in zip(gaps, pixels, strict=True)
    )
    if step == 1:  # cost, not meaning
        pre, post = pre[10:46, 12:60], post[10:46, 12:60]
    valid = (np.isfinite(pre) & np.isfinite(post)).values
    disp = xsubpix.correlate(pre, post, model="phase", window=window, step=step, search=4)
    lost = 2 * joint_pixels(valid, window, step) < window**2
    assert lost.any()
    assert not lost.all()
    for name in ("east", "north", "sigma", "quality"):
        np.testing.assert_array_equal(np.isnan(disp[name]), lost, err_msg=name)
    np.testing.assert_array_equal((disp.flags & NODATA) > 0, lost)
    right = (abs(disp.east - 1.3) < 0.3) & (abs(disp.north + 0.7) < 0.3)
    # Random gaps in both images leave half-empty windows hardly two neighbours in a row.
    assert float(right.values[~lost].mean()) > (0.7 if where == "different dots" else 0.93)


def test_clean_windows_are_those_of_the_clean_pair(pixels, image):
    """Else a hole changes results whose windows it does not touch."""
    pre, post = map(image, pixels)
    clean = xsubpix.correlate(pre, post, model="phase", window=16, step=2, search=4)
    for gap in ("block in pre", "wedge", "dots"):
        one, two = holes()[gap]
        if gap == "dots":
            one = one & (np.mgrid[: SHAPE[0], : SHAPE[1]][1] < 20)
        disp = xsubpix.correlate(
            pre.where(~one), post.where(~two), model="phase", window=16, step=2, search=4
        )
        # The window of pre, and that of post wherever the ground in it went.
        whole = joint_pixels(~(one | two), 16 + 2 * 4, 2) == joint_pixels(
            np.ones(SHAPE, bool), 16 + 2 * 4, 2
        )
        assert whole.mean() > 0.2
        for name in ("east", "north"):
            difference = abs(disp[name] - clean[name]).values[whole]
            # The iteration stops below 1e-2 px, for all windows of a batch together.
            assert np.nanmax(difference) < 4e-3, gap
            assert (np.isnan(disp[name]) == np.isnan(clean[name])).values[whole].all()
        # Rounding may tip a window that barely converges, and nothing else.
        firm = ~np.uint8(NOT_CONVERGED)
        np.testing.assert_array_equal(
            disp.flags.values[whole] & firm, clean.flags.values[whole] & firm
        )


@pytest.mark.parametrize(
    ("dtype", "key"),
    [
        *itertools.product(["u1", "u2", "i2", "i4", "f4", "f8"], ["_FillValue", "nodata"]),
        ("i2", "missing_value"),
        ("u1", "encoding"),
        ("i2", "encoding"),
    ],
)
def test_declared_nodata_is_as_good_as_nan(pixels, image, identical, dtype, key):
    """Else the fill value is correlated as ground, for integers above all."""
    one, two = holes()["wedge"]
    fill = {"u1": 0, "u2": 65535, "i2": -9999, "i4": -9999, "f4": -9999.0, "f8": -9999.0}[dtype]
    values = [np.rint(p).astype(dtype) for p in pixels]
    expected = xsubpix.correlate(
        *(image(v.astype("f8")).where(~g) for v, g in zip(values, (one, two), strict=True)),
        model="phase", window=16, step=4,
    )  # fmt: skip
    pre, post = (
        image(np.where(g, np.asarray(fill, dtype), v))
        for v, g in zip(values, (one, two), strict=True)
    )
    if key == "encoding":
        for im in (pre, post):
            im.encoding["_FillValue"] = fill
    else:
        pre.attrs[key], post.attrs[key] = np.asarray(fill, dtype), fill
    disp = xsubpix.correlate(pre, post, model="phase", window=16, step=4)
    identical(disp, expected)
    assert bool((disp.flags & NODATA).any())


def test_write_nodata_of_rioxarray(pixels, utm):
    """Else what the usual call declares is ignored."""
    pre, post = (utm(p) for p in pixels)
    pre = pre.where(~holes()["wedge"][0], -1.0).rio.write_nodata(-1.0)
    disp = xsubpix.correlate(pre, post, model="phase", window=16, step=4)
    assert float(np.isnan(disp.east).mean()) > 0.2


def test_nodata_that_float32_rounds(pixels, image):
    """Else GDAL's -3.4028234663852886e+38, a double in the attributes, is not found."""
    pre, post = map(image, pixels)
    lowest = np.finfo("f4").min
    hole = holes()["wedge"][0]
    marked = pre.where(~hole, lowest).assign_attrs(_FillValue=-3.4028235e38)
    disp = xsubpix.correlate(marked, post, model="phase", window=16, step=4)
    expected = xsubpix.correlate(pre.where(~hole), post, model="phase", window=16, step=4)
    np.testing.assert_array_equal(disp.east, expected.east)
    out_of_reach = pre.astype("u1").assign_attrs(_FillValue=-9999)
    disp = xsubpix.correlate(out_of_reach, post, model="phase", window=16, step=8)
    assert bool(np.isfinite(disp.east[1:-1, 1:-1]).all())


def test_decoded_floats_keep_values_equal_to_the_old_fill(pixels, image):
    """Else masked files lose true values that happen to equal the old fill value."""
    pre, post = (image(np.rint(p).astype("f4")) for p in pixels)
    pre.encoding["_FillValue"] = float(pre[30, 30])
    disp = xsubpix.correlate(pre, post, model="phase", window=16, step=8)
    assert int((disp.flags[1:-1, 1:-1] & NODATA).sum()) == 0


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinities_are_missing(pixels, image, identical, value):
    """Else one division by zero upstream makes a window, or a tile, infinite."""
    pre, post = map(image, pixels)
    hole = holes()["block in pre"][0]
    disp = xsubpix.correlate(pre.where(~hole, value), post, model="phase", window=16, step=4)
    identical(disp, xsubpix.correlate(pre.where(~hole), post, model="phase", window=16, step=4))


@pytest.mark.parametrize("which", ["pre", "post", "both"])
def test_all_missing(pixels, image, which):
    """Else an empty image warns, divides by zero or gives zero displacement."""
    pre, post = map(image, pixels)
    pre = pre * np.nan if which != "post" else pre
    post = post * np.nan if which != "pre" else post
    disp = xsubpix.correlate(pre, post, model="phase", window=16, step=4)
    assert bool(disp.east.isnull().all())
    assert bool(disp.quality.isnull().all())
    assert bool(((disp.flags & NODATA) > 0).all())


@pytest.mark.parametrize("constant", [0.0, 7.0])
def test_no_contrast_is_low_texture(pixels, image, constant):
    """Else a lake or a saturated cloud has a displacement."""
    pre, post = (image(p.copy()) for p in pixels)
    pre[20:50, 20:60] = constant
    post[20:50, 20:60] = constant
    disp = xsubpix.correlate(pre, post, model="phase", window=12, step=4)
    inside = disp.isel(y=slice(7, 10), x=slice(7, 12))
    assert bool(inside.east.isnull().all())
    assert bool((inside.flags == LOW_TEXTURE).all())
    assert np.isfinite(disp.east.values[1:-1, 1:3]).all()


def test_constant_images(image):
    """Else a blank pair warns or moves."""
    blank = image(np.full((40, 40), 5, np.uint8))
    disp = xsubpix.correlate(blank, blank, model="phase", window=16, step=8)
    assert bool(disp.east.isnull().all())
    assert bool(((disp.flags & LOW_TEXTURE) > 0)[1:-1, 1:-1].all())


def test_zero_is_a_value(scene, image, identical):
    """Else deep shadow, or imagery centred on zero, is dropped."""
    pre, post = (scene(SHAPE, s).round() - 100 for s in ((0, 0), SHIFT))
    assert (pre == 0).mean() > 0.01
    disp = xsubpix.correlate(image(pre), image(post), model="phase", window=16, step=4)
    assert bool(np.isfinite(disp.east[1:-1, 1:-1]).all())
    assert float(abs(disp.east - 1.3)[1:-1, 1:-1].max()) < 0.1
    flags = xsubpix.correlate(
        image(pre.astype("i2")), image(post), model="phase", window=16, step=4
    ).flags
    assert int((flags & NODATA)[1:-1, 1:-1].sum()) == 0


@pytest.mark.parametrize(
    ("gain", "offset"),
    [(3.0, 1000.0), (0.01, -5.0), (1e-12, 0.0), (1e15, 0.0), (1.0, 1e7), (1e-200, 0.0),
     (1e200, 1e200)],
)  # fmt: skip
def test_gain_and_offset_do_not_matter(pixels, image, gain, offset):
    """Else digital numbers, reflectance and radiance of one scene give different fields."""
    pre, post = (image(p.astype("f8")) for p in pixels)
    expected = xsubpix.correlate(pre, post, model="phase", window=16, step=4)
    for one, two in ((pre * gain + offset, post), (pre, post * gain + offset)):
        disp = xsubpix.correlate(one, two, model="phase", window=16, step=4)
        assert float(abs(disp.east - expected.east).max()) < 5e-3
        assert float(abs(disp.quality - expected.quality).max()) < 1e-3


def test_valid_pixels_with_huge_neighbours(pixels, image):
    """Else one wild pixel (30,000 deviations) spoils the tile it is in, beyond its windows."""
    pre, post = (image(p.copy()) for p in pixels)
    expected = xsubpix.correlate(pre, post, model="phase", window=16, step=4)
    pre[5, 5] = 6e5
    disp = xsubpix.correlate(pre, post, model="phase", window=16, step=4)
    far = slice(8, -1)
    difference = abs(disp.east - expected.east)[far, far]
    assert bool(np.isfinite(disp.east[far, far]).all())
    assert float(difference.max()) < 0.05


def test_images_are_not_modified(pixels):
    """Else measuring spoils what the user measures next."""
    for dtype in ("f4", "f8", "i2"):
        values = [np.rint(p).astype(dtype) for p in pixels]
        values[0][10:20] = -1
        before = [v.copy() for v in values]
        for v in values:
            v.setflags(write=False)
        pre, post = (xr.DataArray(v, dims=("y", "x"), attrs={"_FillValue": -1}) for v in values)
        xsubpix.correlate(pre, post, model="phase", window=16, step=8)
        for v, b in zip(values, before, strict=True):
            np.testing.assert_array_equal(v, b)
        assert pre.attrs == {"_FillValue": -1}
        assert not pre.coords
