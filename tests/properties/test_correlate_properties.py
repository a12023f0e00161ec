"""Invariants of correlate over shapes, chunkings, shifts and data types."""

import functools

import hypothesis.strategies as st
import numpy as np
import xarray as xr
from hypothesis import given, settings

import xsubpix

FAST = settings(max_examples=12)

DTYPES = [
    "u1", "u2", "i2", "f4", "f8", ">u2", ">i2", ">i4", ">f4", ">f8", "<i2", "u4", "i8", "u8", "i1",
    "f2", "?",
]  # fmt: skip


@st.composite
def chunks_of(draw, size):
    """A chunking of `size` pixels: from one chunk to single pixels."""
    cuts = draw(st.lists(st.integers(1, max(1, size - 1)), max_size=6, unique=True))
    edges = [0, *sorted(c for c in cuts if c < size), size]
    return tuple(np.diff(edges).tolist())


@given(
    rows=st.integers(1, 60), cols=st.integers(1, 60), data=st.data(),
    window=st.integers(8, 14), step=st.integers(1, 9), search=st.integers(0, 5),
)  # fmt: skip
@FAST
def test_chunks_never_matter(scene, rows, cols, data, window, step, search):
    """Else some chunking of some shape gives other pixels, or the wrong shape."""
    pixels = scene((60, 60))
    pre = xr.DataArray(pixels[:rows, :cols], dims=("y", "x"))
    post = pre.copy(data=scene((60, 60), (0.6, -1.2))[:rows, :cols])
    step = min(step, rows, cols)
    options = {"model": "phase", "window": window, "step": step, "search": search}
    eager = xsubpix.correlate(pre, post, **options)
    assert eager.east.shape == (rows // step, cols // step)
    lazy = xsubpix.correlate(
        pre.chunk(y=data.draw(chunks_of(rows)), x=data.draw(chunks_of(cols))),
        post.chunk(y=data.draw(chunks_of(rows)), x=data.draw(chunks_of(cols))),
        **options,
    ).compute(scheduler="synchronous")
    xr.testing.assert_identical(lazy, eager)
    for name in eager.data_vars:
        np.testing.assert_array_equal(lazy[name], eager[name])


@given(length=st.integers(1, 200), across=st.integers(1, 3), column=st.booleans())
@FAST
def test_strips(scene, length, across, column):
    """Else a profile of pixels raises, warns or gives a value without half a window."""
    pixels = scene((3, 200))[:across, :length]
    pixels = pixels.T if column else pixels
    image = xr.DataArray(pixels, dims=("y", "x"))
    disp = xsubpix.correlate(image, image, model="phase", window=8, step=1)
    assert disp.east.shape == pixels.shape
    assert bool(disp.east.isnull().all())
    assert bool((disp.flags & 1).all())


@functools.cache
def whole_numbers(make_scene, kind):
    """A moved scene as whole numbers that a kind of type holds, and what is measured on it."""
    values = []
    for shift in ((0.0, 0.0), (1.0, -2.0)):
        pixels = make_scene((48, 56), shift)
        pixels = (pixels > 100) if kind == "?" else np.rint(pixels / (2 if kind == "i1" else 1))
        values.append(pixels.clip(0, 127 if kind == "i1" else 255).astype("f8"))
    plain = xsubpix.correlate(
        *(xr.DataArray(v, dims=("y", "x")) for v in values), model="phase", window=16, step=8
    )
    return values, plain


@given(
    dtype=st.sampled_from(DTYPES),
    layout=st.sampled_from(["C", "F", "strided", "reversed", "read-only"]),
)
@settings(max_examples=20)
def test_data_type_byte_order_and_layout(scene, dtype, layout):
    """Else some file's type, byte order or memory layout is read as other numbers."""
    values, plain = whole_numbers(scene, dtype if dtype in ("?", "i1") else "")

    def laid_out(v):
        v = v.astype(dtype)
        if layout == "F":
            return np.asfortranarray(v)
        if layout == "strided":
            return np.repeat(np.repeat(v, 2, 0), 3, 1)[::2, ::3]
        if layout == "reversed":
            return np.ascontiguousarray(v[::-1, ::-1])[::-1, ::-1]
        if layout == "read-only":
            v.setflags(write=False)
        return v

    arrays = [laid_out(v) for v in values]
    before = [a.copy() for a in arrays]
    images = [xr.DataArray(a, dims=("y", "x")) for a in arrays]
    disp = xsubpix.correlate(*images, model="phase", window=16, step=8)
    for name in plain.data_vars:
        np.testing.assert_array_equal(disp[name], plain[name], err_msg=name)
    lazy = xsubpix.correlate(images[0].chunk(20), images[1], model="phase", window=16, step=8)
    np.testing.assert_array_equal(lazy.east, plain.east)
    for a, b in zip(arrays, before, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


@given(
    dx=st.floats(-6, 6), dy=st.floats(-6, 6), window=st.sampled_from([24, 31, 32]),
    seed=st.integers(0, 50),
)  # fmt: skip
@FAST
def test_any_shift_is_found(scene, dx, dy, window, seed):
    """Else some direction, size or fraction of a shift is biased or lost."""
    pre, post = (
        xr.DataArray(scene((96, 96), s, seed), dims=("y", "x")) for s in ((0, 0), (dx, dy))
    )
    disp = xsubpix.correlate(pre, post, model="phase", window=window, step=16)
    error = np.hypot(disp.east - dx, disp.north - dy).values[1:-1, 1:-1]
    assert (error < 0.1).all()
    assert np.median(error) < 0.03


@given(
    size=st.floats(1e-3, 1e4), east=st.floats(-1e6, 1e6), north=st.floats(-1e7, 1e7),
    dx=st.floats(-5, 5), dy=st.floats(-5, 5), north_up=st.booleans(),
    angle=st.floats(-180, 180),
)  # fmt: skip
@settings(max_examples=100)
def test_pixels_to_metres_and_back(size, east, north, dx, dy, north_up, angle):
    """Else some grid's metres do not lead back to its pixels."""
    c, s = size * np.cos(np.deg2rad(angle)), size * np.sin(np.deg2rad(angle))
    flip = -1 if north_up else 1
    grid = xsubpix.Grid(("y", "x"), (4, 5), (c, -s * flip, east, s, c * flip, north))
    at = np.arange(4), np.arange(5)
    ones = np.ones((4, 5))
    metres = grid.to_metres(dx * ones, dy * ones, *at)
    np.testing.assert_allclose(np.hypot(*metres), size * np.hypot(dx, dy), rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(
        grid.to_pixels(*metres, *at), [dx * ones, dy * ones], rtol=1e-4, atol=1e-5
    )


@given(
    rows=st.integers(1, 50), cols=st.integers(1, 50), step=st.integers(1, 7),
    north_up=st.booleans(), size=st.floats(0.1, 100),
)  # fmt: skip
@settings(max_examples=60)
def test_grids_read_what_they_wrote(utm, rows, cols, step, north_up, size):
    """Else a field's own grid is not the one it was built on."""
    image = utm(np.zeros((rows, cols)), north_up=north_up, size=size)
    grid = xsubpix.Grid.from_dataarray(image)
    from xsubpix.grid import labelled

    step = min(step, rows, cols)
    coarse = grid.coarsen(step)
    field = labelled(image, grid, {"a": (np.zeros(coarse.shape), {})}, {}, step=step)
    back = xsubpix.Grid.from_dataarray(field.a)
    assert back.shape == coarse.shape
    assert back.crs == grid.crs
    if min(rows, cols) > 1:
        assert back.offset_from(coarse) < 1e-6


@given(
    fraction=st.floats(0.0, 0.9), seed=st.integers(0, 100), window=st.integers(8, 17),
    step=st.integers(1, 6),
)  # fmt: skip
@FAST
def test_missing_where_half_the_window_is(scene, fraction, seed, window, step):
    """Else some pattern of gaps is filled in or eats good ground."""
    rng = np.random.default_rng(seed)
    shape = (36, 40)
    gaps = rng.random((2, *shape)) < fraction * rng.random((2, 1, shape[1]))
    pre, post = (xr.DataArray(np.where(g, np.nan, scene(shape)), dims=("y", "x")) for g in gaps)
    disp = xsubpix.correlate(pre, post, model="phase", window=window, step=step, search=3)
    valid = np.pad(~gaps.any(0), window).astype(int)
    total = np.pad(valid.cumsum(0).cumsum(1), ((1, 0), (1, 0)))

    def first(k):
        return np.ceil(np.arange(k) * step + (step - 1) / 2 - window / 2).astype(int) + window

    r, c = first(shape[0] // step)[:, None], first(shape[1] // step)
    count = (
        total[r + window, c + window] - total[r, c + window] - total[r + window, c] + total[r, c]
    )
    lost = 2 * count < window**2
    np.testing.assert_array_equal((disp.flags & 1) > 0, lost)
    np.testing.assert_array_equal(np.isnan(disp.east), lost)
    np.testing.assert_array_equal(np.isnan(disp.quality), lost)
    quality = disp.quality.values[~lost]
    assert ((quality >= 0) & (quality <= 1)).all()
