"""Flags are heeded: what is unsure is in no product, and every product says how much it was."""

import numpy as np
import pytest

import xsubpix
from xsubpix.displacement.flagged import UNSURE
from xsubpix.estimators import Flag

LINE = [[5.01e5, 3.999e6], [5.01e5, 3.9984e6]]


@pytest.fixture
def unsure(field):
    """A field of 1 m with 93 % of 40 m, flagged out_of_range."""
    rng = np.random.default_rng(0)
    wrong = rng.random((120, 140)) < 0.93
    shape = wrong.shape
    north = np.where(np.arange(140) < 49.5, -1.0, 1.0) * np.ones((120, 1))
    east = np.where(wrong, 40.0, rng.normal(0, 0.01, shape))
    north = np.where(wrong, -30.0, north + rng.normal(0, 0.01, shape))
    flags = np.where(wrong, Flag.OUT_OF_RANGE, 0).astype(np.uint8)
    disp = field(east, north, flags=flags, sigma=np.full(shape, 0.01))
    disp.flags.attrs = {
        "flag_masks": np.array(list(Flag.MEANINGS.values()), np.uint8),
        "flag_meanings": " ".join(Flag.MEANINGS),
    }
    return disp


def test_products_leave_it_out_and_say_so(unsure):
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
        assert "out_of_range" in text


def test_mask_without_arguments_takes_it_out(unsure):
    """Else a user must know the names of flags to be safe."""
    got = xsubpix.mask(unsure)
    np.testing.assert_array_equal(got.east.isnull(), unsure.flags == Flag.OUT_OF_RANGE)
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
    import xarray as xr

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


def test_plots_draw_it_grey(unsure):
    """Else a picture of nonsense looks like a field."""
    figure = unsure.subpix.plot()
    shown = figure.axes[0].images[0].get_array()
    assert np.isnan(np.ma.filled(shown.astype(float), np.nan)).mean() == pytest.approx(
        0.93, abs=0.01
    )
    assert "out of range" in figure.get_supxlabel()
