"""Large displacements: a coarse first guess for every estimator."""

import numpy as np
import pytest
import xarray as xr

import xsubpix
from xsubpix import ModelError
from xsubpix.estimators import create
from xsubpix.estimators.pyramid import CoarseToFine
from xsubpix.estimators.registry import create_searching

OUT_OF_RANGE = 16


@pytest.fixture(scope="module")
def ground(scene):
    return scene((400, 400), seed=7)


@pytest.fixture(scope="module")
def glacier(ground):
    """Ground before and after a flow of 30 px in its middle, and the flow."""
    y, x = np.mgrid[:400, :400].astype(float)
    profile = np.exp(-(((y - 200) / 170) ** 2) - ((x - 200) / 110) ** 2)
    dx, dy = 30 * profile, -12 * profile
    pre = xr.DataArray(ground, dims=("y", "x"))
    post = xsubpix.warp_quintic(pre, (dx, dy))
    inner = {"y": slice(72, 328), "x": slice(72, 328)}
    return pre.isel(inner), post.isel(inner), dx[72:328, 72:328], dy[72:328, 72:328]


@pytest.mark.parametrize("model", ["phase", "cosi-corr", "dis", "micmac"])
def test_a_glacier_is_followed(glacier, model):
    """Else flows of tens of pixels are lost, or the strain spoils the match."""
    try:
        create(model)
    except ModelError as error:
        pytest.skip(str(error))
    pre, post, dx, dy = glacier
    disp = xsubpix.correlate(pre, post, model=model, step=8, search=40)
    true = [d.reshape(32, 8, 32, 8).mean((1, 3)) for d in (dx, dy)]
    error = np.hypot(disp.east.values - true[0], disp.north.values - true[1])[6:-6, 6:-6]
    assert np.nanmedian(error) < 0.1
    assert np.nanmean(error > 1) < 0.05
    assert np.isfinite(error).mean() > 0.98


@pytest.mark.parametrize("shift", [(45, 0), (-31, 45)])
@pytest.mark.parametrize("model", ["phase", "cosi-corr"])
def test_rigid_shifts_are_exact(ground, image, model, shift):
    """Else bringing `post` near interpolates where nothing asks for it."""
    dx, dy = shift
    pre, post = ground[60:300, 60:300], ground[60 - dy : 300 - dy, 60 - dx : 300 - dx]
    disp = xsubpix.correlate(image(pre), image(post), model=model, step=16, search=50)
    inner = disp.isel(y=slice(5, -5), x=slice(5, -5))
    assert np.abs(inner.east - dx).max() < 1e-3
    assert np.abs(inner.north - dy).max() < 1e-3
    assert not (inner.flags.values & OUT_OF_RANGE).any()


def test_chunks_do_not_matter(glacier, identical):
    """Else a first guess depends on the chunks, and the field with it."""
    pre, post = (im[:150, :170] for im in glacier[:2])
    options = {"model": "phase", "step": 8, "search": 20}
    whole = xsubpix.correlate(pre, post, **options)
    lazy = xsubpix.correlate(pre.chunk(64), post.chunk({"y": 30, "x": -1}), **options)
    identical(lazy.compute(), whole)


def test_missing_pixels_stay_where_they_are(glacier):
    """Else holes are moved by the first guess, or grow beyond a window."""
    pre, post, _, _ = glacier
    holed = pre.where(~((pre.y > 100) & (pre.y < 150) & (pre.x > 90) & (pre.x < 140)))
    disp = xsubpix.correlate(holed, post, model="phase", step=8, search=40)
    missing = np.isnan(disp.east.values)
    assert missing[14:17, 13:16].all()
    assert not missing[4:10, 6:-6].any()
    assert not missing[21:26, 6:-6].any()
    assert bool(
        np.isnan(
            xsubpix.correlate(holed * np.nan, post, model="phase", search=40, step=16).east
        ).all()
    )


def test_flat_ground_has_no_guess(image):
    """Else constant images raise or move."""
    flat = image(np.full((150, 150), 3.0, np.float32))
    assert bool(
        xsubpix.correlate(flat, flat, model="phase", search=40, step=16).east.isnull().all()
    )


def test_metres_are_pixels_of_the_grid(scene, utm):
    """Else a search in metres is one in pixels, or the reverse."""
    full = scene((160, 200), seed=2)
    pre, post = utm(full[:, 20:180]), utm(full[:, :160])  # 20 px of 10 m
    options = {"step": 16, "window": 32}
    pixels = xsubpix.correlate(pre, post, model="phase", search=25, **options)
    for search in ("250 m", "0.25km", "25 px", " 246.5 m"):
        disp = xsubpix.correlate(pre, post, model="phase", search=search, **options)
        np.testing.assert_array_equal(disp.east, pixels.east)
        assert "search=25" in disp.attrs["model_parameters"]
    assert abs(float(pixels.east[4:6, 4:6].mean()) - 200) < 0.1


@pytest.mark.parametrize("search", ["300", "30 feet", "m", "-30 m", ""])
def test_lengths_that_are_none(pair, search):
    """Else a typing error searches in some other range."""
    with pytest.raises(ModelError, match="300 m"):
        xsubpix.correlate(*pair, model="phase", search=search)


def test_metres_need_a_crs(pair):
    """Else metres are taken for pixels where nobody knows what a metre is."""
    with pytest.raises(ModelError, match="CRS"):
        xsubpix.correlate(*pair, model="phase", search="300 m")


def test_who_gets_a_first_guess():
    """Else a small search costs a pyramid, or a large one is refused."""
    assert create_searching("phase", None) == create("phase")
    assert create_searching("phase", 10) == create("phase", search=10)
    assert create_searching("phase", 16.5) == CoarseToFine(fine=create("phase"), search=17)
    wide = create_searching("cosi-corr", 60, step=4)
    assert wide == CoarseToFine(fine=create("cosi-corr", step=4), search=60)
    assert (wide.step, wide.name) == (4, "cosi-corr")
    assert create_searching(wide, 80).search == 80
    assert hash(wide) == hash(create_searching("cosi-corr", 60, step=4))


def test_bad_parameters_are_named():
    """Else they fail deep inside a tile."""
    with pytest.raises(ModelError, match="search=2000"):
        create_searching("phase", 2000)
    with pytest.raises(ModelError, match="fine="):
        CoarseToFine(fine="phase", search=20)
    with pytest.raises(ModelError, match="step=3"):
        CoarseToFine(fine=create("phase", step=4), search=20, step=3)
    with pytest.raises(ModelError, match="search=inf"):
        create_searching("phase", float("inf"))


@pytest.mark.parametrize("model", ["phase", "cosi-corr", "micmac", "dis"])
def test_a_float_is_a_search(model):
    """Else six pixels are refused by one model and taken by the next."""
    try:
        create(model)
    except ModelError as error:
        pytest.skip(str(error))
    assert create_searching(model, 6.0) == create_searching(model, 6)
    assert create_searching(model, 25.5) == create_searching(model, 26)


@pytest.fixture(scope="module")
def two_sides(scene):
    """Ground that went up and down on the two sides of a trace, and where it went."""

    def made(slip):
        ground = scene((220, 220), seed=4)
        offset = np.where(np.arange(220) < 110, slip, -slip)
        post = np.stack([np.roll(c, n) for c, n in zip(ground.T, offset, strict=True)], 1)
        noise = np.random.default_rng(0).normal(0, 8, (2, *ground.shape)).astype("f4")
        pre, post = (i[20:-20, 20:-20] for i in (ground + noise[0], post + noise[1]))
        images = [xr.DataArray(i, dims=("y", "x")) for i in (pre, post)]
        return *images, offset[20:-20].reshape(-1, 4).mean(1)

    return made


@pytest.mark.parametrize(
    ("model", "slip"), [("cosi-corr", 20), ("micmac", 12), ("phase", 12), ("unet-smooth", 12)]
)
def test_ground_beside_a_fault_keeps_its_own_guess(two_sides, model, slip):
    """Else the guess of one side, or one between both, is put onto the other."""
    try:
        create(model)
    except ModelError as error:
        pytest.skip(str(error))
    pre, post, offset = two_sides(slip)
    found = xsubpix.correlate(pre, post, model=model, step=4, search=slip + 2)
    error = np.hypot(found.north.values - offset, found.east.values)[8:-8]
    # The trace lies within column 22 of the outputs.
    near = np.r_[18:22, 23:27]
    assert error[:, near].mean() < 0.5
    assert np.median(error[:, near]) < 0.2
    silent = (error > 0.5) & (found.flags.values[8:-8] == 0)
    assert silent[:, near].mean() < 0.02


def test_both_sides_are_the_same_for_every_chunking(two_sides, identical):
    """Else which side an output is on depends on the chunks."""
    pre, post, _ = two_sides(20)
    options = {"model": "cosi-corr", "step": 8, "search": 22}
    whole = xsubpix.correlate(pre, post, **options)
    lazy = xsubpix.correlate(pre.chunk(64), post.chunk({"y": 50, "x": -1}), **options)
    assert hasattr(lazy.east.data, "dask")
    identical(lazy.compute(), whole)
