"""Fields as they come from other programs: fill values, flags, dimensions of size one."""

import numpy as np
import pytest
import xarray as xr

import xsubpix
from xsubpix import DataError
from xsubpix.missing import Missing, declared_missing

FILL = -9999.0


@pytest.fixture
def metres():
    """Two metres to the right of a fault, none to its left, on 30 m pixels."""
    pixel = {"y": -30.0 * np.arange(40), "x": 30.0 * np.arange(60)}
    east = np.where(np.arange(60) < 30, 0.0, 2.0) * np.ones((40, 1))
    disp = xr.Dataset({n: (("y", "x"), e.astype("f4")) for n, e in
                       (("east", 0 * east), ("north", east))}, pixel)  # fmt: skip
    return disp.rio.write_crs("EPSG:32611")


def with_fill(disp, attrs):
    """Missing rows, as a fill value that is declared so."""
    holes = disp.copy(deep=True)
    for name in ("east", "north"):
        holes[name].values[10:20, 5:55] = FILL
        holes[name].attrs.update(attrs)
    return holes


@pytest.mark.parametrize(
    "attrs",
    [
        {"_FillValue": FILL}, {"missing_value": np.array([-1e30, FILL])}, {"nodata": FILL},
        {"valid_min": -100.0}, {"valid_range": np.array([-100.0, 100.0])},
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("lazy", [False, True])
def test_nodata_within_a_field(metres, attrs, lazy):
    """-9999 m in magnitude, profiles and strain."""
    holes = with_fill(metres, attrs)
    holes = holes.chunk({"y": 16, "x": 16}) if lazy else holes
    line = [(0.0, -450.0), (1770.0, -450.0)]
    assert float(xsubpix.magnitude(holes).max()) <= 2.0
    assert int(np.isnan(xsubpix.magnitude(holes)).sum()) == 500
    profile = xsubpix.profile(holes, line, width=900.0)
    assert float(np.abs(profile.north).max()) <= 2.0
    assert float(np.abs(xsubpix.strain(holes, scale=60.0).dilatation).max()) < 0.1
    offset = xsubpix.offsets(
        holes, [(885.0, -1170.0), (885.0, 0.0)], half_length=600.0, spacing=1170.0
    )
    assert float(offset.parallel[0]) == pytest.approx(-2.0, abs=0.1)
    assert float(np.abs(xsubpix.epe(holes, metres)).max()) == 0.0
    assert float(xsubpix.detrend(holes, 0).north.max()) <= 2.0


def test_fill_values_of_images(utm, scene):
    """Several fill values, and a valid range of packed numbers, as CF has them."""
    image = xr.DataArray(np.arange(6.0).reshape(2, 3), dims=("y", "x"))
    assert declared_missing(image) is None
    image.attrs = {"_FillValue": 0, "missing_value": [0, 5]}
    assert declared_missing(image) == Missing((0.0, 5.0))
    image.attrs = {"valid_range": [10, 40]}
    image.encoding = {"scale_factor": 0.1}
    assert declared_missing(image) == Missing((), 1.0, 4.0)
    ground = scene((96, 97)).astype("u1") | 1
    hidden = np.zeros((96, 96), bool)
    hidden[24:64, 24:64] = True
    noise = np.random.default_rng(0).integers(251, 255, (96, 96)).astype("u1")
    pair = [utm(np.where(hidden, noise, g)) for g in (ground[:, 1:], ground[:, :-1])]
    pair = [a.assign_attrs(valid_max=250) for a in pair]
    disp = xsubpix.correlate(*pair, model="phase", window=16, step=8)
    assert np.isnan(disp.east.values[4:7, 4:7]).all()


def test_flags_that_became_real_numbers(metres):
    """where() makes them float with NaN: mask crashed and summary miscounted."""
    disp = metres.copy()
    attrs = {"flag_masks": np.array([1, 2, 4], "u1"), "flag_meanings": "nodata edge low_texture"}
    flags = np.zeros((40, 60), "u1")
    flags[:9] = 4
    disp["flags"] = (("y", "x"), flags, attrs)
    part = disp.where(disp.x > 300)
    assert part.flags.dtype.kind == "f"  # what is tried
    kept = xsubpix.mask(part, flags="low_texture")
    assert int(np.isfinite(kept.north).sum()) == 31 * 49
    shares = xsubpix.summary(part).flags
    assert shares["low_texture"] == pytest.approx(9 * 49 / 2400)
    assert shares["nodata"] == pytest.approx(40 * 11 / 2400)
    mean = disp.coarsen(y=40, x=20).mean()
    mean["flags"].attrs = attrs
    with pytest.raises(DataError, match="averages of flags"):
        xsubpix.mask(mean, flags="low_texture")
    with pytest.raises(DataError, match="averages of flags"):
        xsubpix.mask(mean.chunk(), flags="low_texture").compute()


FUNCTIONS = {
    "magnitude": xsubpix.magnitude, "azimuth": xsubpix.azimuth,
    "rotate": lambda d: xsubpix.rotate(d, 10.0), "to_pixels": xsubpix.to_pixels,
    "true_north": xsubpix.true_north, "detrend": xsubpix.detrend, "destripe": xsubpix.destripe,
    "denoise": xsubpix.denoise, "filter_outliers": xsubpix.filter_outliers,
    "strain": lambda d: xsubpix.strain(d, scale=90.0), "summary": xsubpix.summary,
    "line_of_sight": lambda d: xsubpix.line_of_sight(d, incidence=30.0, azimuth=90.0),
    "profile": lambda d: xsubpix.profile(d, [(0.0, -450.0), (1770.0, -450.0)], width=90.0),
    "epe": lambda d: xsubpix.epe(d, d),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_dimensions_of_size_one(metres, name):
    """A band or a pair of one is squeezed, as for images; eleven of twelve functions refused."""
    for dim in ("band", "pair"):
        FUNCTIONS[name](metres.expand_dims(dim))


def test_cog_of_a_single_pair(metres, tmp_path):
    """Else a stack of one pair cannot be written."""
    xsubpix.to_cog(metres.expand_dims("pair"), tmp_path / "a.tif")
    assert xsubpix.open_displacement(tmp_path / "a.tif").sizes == {"y": 40, "x": 60}


def test_units_and_ground_of_the_truth(metres):
    """A truth in pixels, or 100 km away, gave a number or nothing."""
    one, two = metres.copy(), metres.copy()
    one.east.attrs["units"], two.east.attrs["units"] = "m", "cm"
    with pytest.raises(DataError, match=r"'m' and truth\.east in 'cm'"):
        xsubpix.epe(one, two)
    with pytest.raises(xsubpix.GridError, match="share no ground"):
        xsubpix.epe(metres, metres.assign_coords(x=metres.x + 1e5))
