"""Images of several bands: measured band by band, and combined."""

import dask
import numpy as np
import pytest
import xarray as xr

import xsubpix
from xsubpix.bands import correlate_bands
from xsubpix.cli import main
from xsubpix.errors import DataError, DimensionError, ModelError
from xsubpix.estimators import Flag
from xsubpix.kernels.band_means import combine_fields

MODEL = {"model": "phase", "window": 16, "step": 8}


def drawn(shared, bands=5, side=64, sigma=0.1, seed=0):
    """East, north, sigma of fields whose errors correlate by `shared`."""
    rng = np.random.default_rng(seed)
    common, own = (
        rng.normal(0, sigma, (2, 1, side, side)),
        rng.normal(0, sigma, (2, bands, side, side)),
    )
    fields = np.sqrt(shared) * common + np.sqrt(1 - shared) * own
    return (*fields, np.full(fields.shape[1:], sigma))


@pytest.mark.parametrize("shared", [0.0, 0.5, 0.9])
def test_sigma_knows_what_bands_share(shared):
    """Else six bands look more than twice as certain as one, though they see one ground."""
    fields = drawn(shared)
    east, north, sigma, rho, _ = combine_fields(*fields, np.ones(fields[0].shape, bool), window=17)
    assert np.median(rho) == pytest.approx(shared, abs=0.06)
    held = [np.mean(np.abs(np.stack([east, north])) < k * sigma) for k in (1, 2)]
    assert 0.6 < held[0] < 0.76
    assert 0.92 < held[1] < 0.98
    assert np.std(east) < 1.02 * 0.1 * np.sqrt(shared + (1 - shared) / 5)


@pytest.mark.parametrize("off", [0.6, 50.0])
def test_a_band_that_disagrees_falls_out(off):
    """Else smoke in one band moves the field."""
    east, north, sigma = drawn(0.5)
    east[2, :, 30:] += off
    found = combine_fields(east, north, sigma, np.ones(east.shape, bool), window=17)
    assert abs(found[0][:, 40:].mean() - found[0][:, :20].mean()) < 0.05
    assert found[4][2, :, 40:].mean() < 0.05
    assert found[4][2, :, :20].mean() > 0.15
    assert np.median(found[2][:, 45:]) < 0.15


def test_half_of_the_bands_wrong_in_one_way():
    """Else haze in three of six bands moves the field, though their flags say so."""
    east, north, sigma = drawn(0.3, bands=6)
    rng = np.random.default_rng(1)
    hazy = slice(10, 40)
    east[:3, :, hazy] += 8 + rng.normal(0, 0.3, east[:3, :, hazy].shape)
    sure = rng.random(east.shape) > 0.3
    sure[:3, :, hazy] = rng.random(sure[:3, :, hazy].shape) > 0.9
    found = combine_fields(east, north, sigma, sure, window=17)
    assert np.abs(found[0]).max() < 0.5
    assert found[4][:3, :, 14:36].mean() < 0.02
    none_sure = ~sure.any(0)
    assert none_sure[:, hazy].sum() > 20
    assert np.sqrt(np.mean(found[0][none_sure] ** 2)) < 0.1
    # Where nothing around a place is sure, nothing is preferred.
    unsure = np.zeros(sure.shape, bool)
    one, two = (combine_fields(east, north, sigma, s, window=17)[0] for s in (unsure, ~unsure))
    np.testing.assert_allclose(one, two)


def test_sigma_grows_where_bands_differ():
    """Else what nobody agrees on looks as certain as the rest."""
    east, north, sigma = drawn(0.0)
    found = combine_fields(5 * east, 5 * north, sigma, np.ones(east.shape, bool), window=17)
    assert np.median(found[2]) == pytest.approx(5 * 0.1 / np.sqrt(5), rel=0.15)
    assert np.nanmax(found[3]) == 0


def test_missing_and_unsure_values():
    """Else one cloudy band makes a hole, or a wrong value counts where better ones are."""
    east, north, sigma = drawn(0.5)
    east[0, :10], sure = np.nan, np.ones(east.shape, bool)
    sure[1, :, :10] = False
    east[:, 0, 0] = np.nan
    found = combine_fields(east, north, sigma, sure, window=17)
    assert np.isfinite(found[0]).sum() == found[0].size - 1
    assert np.isnan(found[2][0, 0])
    assert (found[4][0, :10] == 0).all()
    assert (found[4][1, :, :10] == 0).all()
    nothing = combine_fields(east, north, sigma, np.zeros(sure.shape, bool), window=17)
    assert np.isfinite(nothing[0]).sum() == nothing[0].size - 1
    alone = combine_fields(east[3:4], north[3:4], sigma[3:4], sure[3:4], window=17)
    np.testing.assert_allclose(alone[0], east[3])
    np.testing.assert_allclose(alone[2][1:], sigma[3][1:])
    without = combine_fields(east, north, sigma * np.nan, sure, window=17)
    assert 0.02 < np.nanmedian(without[2]) < 0.2


@pytest.fixture
def bands(scene, utm):
    """Two dates of three bands, moved by a pixel; the third band's second date is noise."""
    rng = np.random.default_rng(1)
    pre = [utm(scene((96, 104), seed=k)) for k in range(3)]
    post = [utm(scene((96, 104), (1.0, 0.0), seed=k)) for k in range(3)]
    post[2] = post[2].copy(data=rng.normal(100, 20, (96, 104)).astype("f4"))
    return tuple(xr.concat(images, xr.Variable("band", [2, 3, 4])) for images in (pre, post))


def test_each_band(bands, identical):
    """Else bands are measured in another way than single images."""
    pre, post = bands
    disp = xsubpix.correlate(pre, post, **MODEL, bands="each")
    assert disp.east.dims == ("band", "y", "x")
    np.testing.assert_array_equal(disp.band, [2, 3, 4])
    single = xsubpix.correlate(pre[1], post[1], **MODEL)
    np.testing.assert_array_equal(disp.east[1], single.east)
    assert disp.rio.crs == single.rio.crs


def test_combined_bands(bands, identical):
    """Else a band of noise spoils the field, or a lazy one differs."""
    pre, post = bands
    disp = xsubpix.correlate(pre, post, **MODEL, bands="combine")
    assert list(disp) == [
        "east", "north", "sigma", "quality", "flags", "bands_used", "shared_error",
    ]  # fmt: skip
    assert abs(float(disp.east.median()) - 10) < 0.3
    assert disp.rio.crs == "EPSG:32611"
    assert disp.east.attrs["units"] == "m"
    assert "3 bands" in disp.attrs["bands"]
    with dask.config.set(scheduler=lambda *a, **k: pytest.fail("computed")):
        lazy = xsubpix.correlate(pre.chunk(y=40, x=50), post.chunk(y=30), **MODEL, bands="combine")
    identical(disp, lazy.compute())
    floor = xsubpix.correlate(pre, post, **MODEL, bands="combine", stable=True)
    assert bool((floor.sigma >= disp.sigma).where(disp.sigma.notnull(), True).all())


def test_flags_of_combined_bands():
    """Else a hole is no hole, or a value that most bands contradict is sure."""
    dims, shape = ("y", "x"), (20, 20)
    bits = np.zeros((4, *shape), "u1")
    bits[:, 0] = Flag.NODATA
    bits[0, 1] = Flag.LOW_TEXTURE
    bits[:, 2] = Flag.LOW_TEXTURE
    bits[1, 3] = Flag.EDGE
    rng = np.random.default_rng(0)

    def measure(pre, post):
        k = int(pre[0, 0])
        values = rng.normal(0, 0.1, shape).astype("f4")
        values[0] = np.nan
        data = dict.fromkeys(("east", "north"), (dims, values))
        data |= {n: (dims, np.full(shape, 0.1, "f4")) for n in ("sigma", "quality")}
        return xr.Dataset(data | {"flags": (dims, bits[k])}, attrs={})

    image = xr.DataArray(np.ones((4, *shape)) * np.arange(4)[:, None, None], dims=("band", *dims))
    out = correlate_bands(image, image, "combine", measure)
    flags = out.flags.values
    assert (flags[0] == Flag.NODATA).all()
    assert (flags[1] & Flag.LOW_TEXTURE == 0).all()
    assert (flags[2] & Flag.LOW_TEXTURE != 0).all()
    assert (flags[3] & Flag.EDGE != 0).mean() > 0.9
    assert (out.bands_used[1] == 3).mean() > 0.8


def test_refused(bands):
    """Else bands are matched by chance."""
    pre, post = bands
    with pytest.raises(DimensionError, match="3 bands and post 2"):
        xsubpix.correlate(pre, post[:2], **MODEL, bands="combine")
    with pytest.raises(DimensionError, match="order them alike"):
        xsubpix.correlate(pre, post[::-1], **MODEL, bands="combine")
    with pytest.raises(ModelError, match="bands='best'"):
        xsubpix.correlate(pre, post, **MODEL, bands="best")
    with pytest.raises(DimensionError, match="band"):
        xsubpix.correlate(pre, post, **MODEL)
    with pytest.raises(DataError, match="'all'"):
        xsubpix.open_pair("a.tif", "b.tif", band="every")


def test_command_line(bands, tmp_path):
    """Else who has files must write a program."""
    pre, post = (tmp_path / name for name in ("pre.tif", "post.tif"))
    for image, path in zip(bands, (pre, post), strict=True):
        image.rio.to_raster(path)
    options = ["--model", "phase", "--window", "16", "--step", "8", "--quiet"]
    out = tmp_path / "disp.tif"
    assert main(["correlate", str(pre), str(post), str(out), *options, "--bands", "combine"]) == 0
    expected = xsubpix.correlate(*bands, **MODEL, bands="combine")
    back = xsubpix.open_displacement(out)
    np.testing.assert_array_equal(back.east, expected.east)
    np.testing.assert_array_equal(back.bands_used, expected.bands_used)


def test_the_combination_ends_with_the_mean_that_its_model_ends_with(identical):
    """Else noise of single bands, which limited their own means, stays in the combination."""
    rng = np.random.default_rng(0)
    rows, cols = 300, 90
    step = np.where(np.arange(cols) < 45, 0.0, 1.0) * np.ones((rows, 1))
    noise = rng.normal(0, 0.1, (4, rows, cols)).astype("f4")
    pre = xr.DataArray(np.zeros((4, rows, cols), "f4"), dims=("band", "y", "x"))
    post = (pre + step + noise).astype("f4")
    post[:, 100:120, 30:60] = np.nan

    def measured(attrs):
        def measure(one, two):
            moved = two - one
            field = dict.fromkeys(("east", "north"), moved)
            field |= {"sigma": 0 * moved + 0.1, "quality": 0 * moved + 1}
            field["flags"] = (0 * one).astype("u1")
            return xr.Dataset(field).assign_attrs(attrs)

        return measure

    attrs = {"model_mean_over": 62, "model_step": 1}
    plain = correlate_bands(pre, post, "combine", measured({"model_step": 1}))
    disp = correlate_bands(pre, post, "combine", measured(attrs))
    assert "mean of what moves alike over 62 values" in disp.attrs["bands"]
    assert "alike" not in plain.attrs["bands"]
    errors = [float(np.abs(f.east - step).mean()) for f in (plain, disp)]
    assert errors[1] < 0.4 * errors[0]
    beside = disp.east[:90, 43:47].mean("y")
    np.testing.assert_allclose(beside, [0, 0, 1, 1], atol=0.03)
    np.testing.assert_array_equal(disp.east.isnull(), plain.east.isnull())
    np.testing.assert_array_equal(disp.sigma, plain.sigma)
    chunks = {"y": 130, "x": 40}
    lazy = correlate_bands(pre.chunk(chunks), post.chunk(chunks), "combine", measured(attrs))
    assert lazy.east.chunks
    identical(disp, lazy.compute())
