"""Flags are heeded: what is unsure is in no product, and every product says how much it was."""

import numpy as np
import pytest
import rasterio
import xarray as xr

import xsubpix
from xsubpix.displacement.field import Field
from xsubpix.displacement.flagged import UNSURE
from xsubpix.estimators import Flag
from xsubpix.report import _maps

LINE = [[5.01e5, 3.999e6], [5.01e5, 3.9984e6]]


@pytest.fixture(params=UNSURE)
def flag(request):
    """Name of a flag of values that are not to be believed."""
    return request.param


@pytest.fixture
def unsure(field, flag):
    """A field of 1 m with 93 % of 40 m, which are flagged."""
    rng = np.random.default_rng(0)
    wrong = rng.random((120, 140)) < 0.93
    shape = wrong.shape
    north = np.where(np.arange(140) < 49.5, -1.0, 1.0) * np.ones((120, 1))
    east = np.where(wrong, 40.0, rng.normal(0, 0.01, shape))
    north = np.where(wrong, -30.0, north + rng.normal(0, 0.01, shape))
    flags = np.where(wrong, Flag.MEANINGS[flag], 0).astype(np.uint8)
    disp = field(east, north, flags=flags, sigma=np.full(shape, 0.01))
    disp.flags.attrs = {
        "flag_masks": np.array(list(Flag.MEANINGS.values()), np.uint8),
        "flag_meanings": " ".join(Flag.MEANINGS),
    }
    return disp


def test_products_leave_it_out_and_say_so(unsure, flag):
    """Else 93 % of nonsense makes an offset, a profile or a trend."""
    off = xsubpix.offsets(unsure, LINE, spacing=600.0, half_length=900.0)
    assert abs(float(off.parallel[0])) == pytest.approx(2.0, abs=0.05)
    line = xsubpix.profile(
        unsure, [[5.0e5, 3.9988e6], [5.02e5, 3.9988e6]], width=400.0, spacing=100
    )
    assert float(np.nanmax(abs(line.east))) < 0.1
    flat = xsubpix.detrend(unsure, 0)
    assert float(flat.east.where(unsure.flags == 0).median()) == pytest.approx(0, abs=0.01)
    bare = xsubpix.destripe(unsure)
    assert float(abs(bare.east.where(unsure.flags == 0)).max()) < 0.1
    grad = xsubpix.strain(unsure, scale=60.0)
    assert not (abs(grad.east_x) > 0.01).any()
    short = xsubpix.summary(unsure)
    assert short.statistics["east"]["valid"] == pytest.approx(0.07, abs=0.01)
    assert abs(short.statistics["east"]["median"]) < 0.01
    said = [off.attrs["left_out"], line.attrs["left_out"], grad.attrs["left_out"],
            flat.attrs["detrend_left_out"], bare.attrs["destripe_left_out"],
            short.facts["left out"]]  # fmt: skip
    for text in said:
        assert text.startswith(("93", "92"))
        assert flag in text


def test_mask_without_arguments_takes_it_out(unsure):
    """Else a user must know the names of flags to be safe."""
    got = xsubpix.mask(unsure)
    np.testing.assert_array_equal(got.east.isnull(), unsure.flags != 0)
    assert all(name in got.attrs["mask"] for name in UNSURE)


def test_it_is_kept_if_asked(unsure):
    """Else nobody can look at it."""
    assert xsubpix.summary(unsure, keep_unsure=True).statistics["east"]["median"] == 40.0
    line = xsubpix.profile(
        unsure, [[5.0e5, 3.9988e6], [5.02e5, 3.9988e6]], width=400.0, keep_unsure=True
    )
    assert float(line.east.median()) == 40.0
    assert "left_out" not in line.attrs


def test_all_unsure_is_an_error_that_says_so(unsure):
    """Else the user looks for the fault elsewhere."""
    unsure["flags"] = unsure.flags * 0 + Flag.OUT_OF_RANGE
    unsure.flags.attrs = {"flag_masks": np.array([16], np.uint8), "flag_meanings": "out_of_range"}
    with pytest.raises(xsubpix.DataError, match=r"100.00% of the values, flagged out_of_range"):
        xsubpix.offsets(unsure, LINE, spacing=600.0, half_length=900.0)


def test_series_leaves_it_out(unsure):
    """Else one wrong pair bends the series of a pixel."""
    good = xr.zeros_like(unsure[["east", "north", "sigma"]]) + 1
    good["flags"] = xr.zeros_like(unsure.flags)
    good.flags.attrs = unsure.flags.attrs
    stack = xr.concat([good, unsure], "pair", combine_attrs="override")
    when = np.array(["2020-01-01", "2020-02-01"], "datetime64[ns]")
    stack = stack.assign_coords(
        reference_time=("pair", when[[0, 0]]), secondary_time=("pair", when[[1, 1]])
    )
    out = xsubpix.series(stack, weights="none")
    assert float(out.east[1].max()) == pytest.approx(1.0)
    assert out.attrs["left_out"].startswith("46")


def test_plots_draw_it_grey(unsure, flag):
    """Else a picture of nonsense looks like a field."""
    figure = unsure.subpix.plot()
    shown = figure.axes[0].images[0].get_array()
    assert np.isnan(np.ma.filled(shown.astype(float), np.nan)).mean() == pytest.approx(
        0.93, abs=0.01
    )
    assert flag.replace("_", " ") in figure.get_supxlabel()


def test_no_trace_of_what_is_flagged(field):
    """Else the ridge of false matches is a fault."""
    rng = np.random.default_rng(0)
    x, y = np.meshgrid(np.arange(140), np.arange(120))
    north = np.where(x < 70, -1.0, 1.0) + rng.normal(0, 0.01, x.shape)
    patch = (abs(y - 30) < 8) & (x < 60)
    flags = np.where(patch, Flag.AMBIGUOUS, 0).astype("u1")
    disp = field(0 * north, np.where(patch, 30.0, north), flags=flags)
    disp.flags.attrs = {"flag_masks": np.array([32], "u1"), "flag_meanings": "ambiguous"}
    trace = xsubpix.detect_trace(disp, scale=60.0)
    across = np.array(trace.coords)[:, 0] - 5e5
    assert abs(across - 70 * 20.0).max() < 100.0


@pytest.fixture(scope="module")
def furrows():
    """Field measured on ground that repeats itself: each of its values may be another one."""
    y, x = np.indices((160, 160))
    images = []
    for shift in (0.0, 4.0):
        wave = np.sin((x - shift) * 2 * np.pi / 6) * np.sin(y * 2 * np.pi / 6)
        image = xr.DataArray((100 + 20 * wave).astype("f4"), dims=("y", "x"))
        image = image.assign_coords(y=4e6 - 10.0 * y[:, 0], x=5e5 + 10.0 * x[0])
        images.append(image.rio.write_crs("EPSG:32611"))
    return xsubpix.correlate(*images, model="phase", window=16, step=8)


def test_furrows_are_believed_in_no_product(furrows, tmp_path):
    """Two equal peaks: 48 to 94 % were wrong and believed."""
    line = [[5.008e5, 3.9997e6], [5.008e5, 3.9987e6]]
    assert float(xsubpix.mask(furrows).east.isnull().mean()) > 0.95
    assert xsubpix.summary(furrows).statistics["east"]["valid"] < 0.05
    assert xsubpix.statistics(furrows, keep_unsure=True).flagged > 0.95
    for product in (
        lambda: xsubpix.offsets(furrows, line, spacing=600.0, half_length=500.0),
        lambda: xsubpix.profile(furrows, line, width=400.0),
        lambda: xsubpix.detrend(furrows, 1),
        lambda: xsubpix.statistics(furrows),
        lambda: xsubpix.quadtree(furrows, threshold=1.0),
        lambda: xsubpix.detect_trace(furrows),
        lambda: xsubpix.calibrate_sigma(furrows),
    ):
        with pytest.raises(xsubpix.SubpixError):
            product()
    assert float(xsubpix.strain(furrows, scale=80.0).east_x.isnull().mean()) > 0.9
    shown = furrows.subpix.plot().axes[0].images[0].get_array()
    assert np.isnan(np.ma.filled(shown.astype(float), np.nan)).mean() > 0.95
    xsubpix.to_cog(furrows, tmp_path / "disp.tif", style=True)
    with rasterio.open(tmp_path / "disp.tif") as raster:
        opacity = raster.read(raster.descriptions.index("opacity") + 1)
    assert (opacity == 0).mean() > 0.95
    page = tmp_path / "report.html"
    xsubpix.report(furrows, page)
    assert "of this field is flagged as unsure" in page.read_text()


def test_every_product_says_the_same_share(unsure, flag):
    """Else 87 % here and 93 % there are said of one field, of which some has no value."""
    unsure = unsure.copy(deep=True)
    unsure["east"][:20], unsure["north"][:20] = np.nan, np.nan
    kept = unsure.flags.values[20:] > 0
    share = xsubpix.statistics(unsure).flagged
    assert share == pytest.approx(kept.mean())
    assert xsubpix.summary(unsure).facts["left out"].startswith(f"{share:.2%}")
    assert f"{share:.0%} of the values are flagged" in unsure.subpix.explore().page
    said = xsubpix.destripe(unsure).attrs["destripe"]
    assert float(said.split("RMS east ")[1].split()[0]) < 0.1


def test_what_a_model_says_of_unsure_values_is_not_drawn(unsure, flag):
    """Else their sigma and quality look as good as those of the others."""
    unsure["quality"] = unsure.east * 0 + 1
    figure = _maps(Field.of(unsure), ["sigma", "quality", "flags"], None)
    for ax in figure.axes[:2]:
        shown = np.ma.filled(ax.images[0].get_array().astype(float), np.nan)
        assert np.isnan(shown).mean() == pytest.approx(0.93, abs=0.01)
    drawn = unsure.subpix.plot().axes[2].images[0]
    assert drawn.cmap.name == "Purples"  # what is missing is grey
