"""One table of outputs: what an estimator declares arrives labelled, everywhere."""

import dataclasses
from typing import ClassVar

import numpy as np
import pytest
import rasterio
import xarray as xr

import xsubpix
from xsubpix import Estimate, Estimator, ModelError
from xsubpix.estimators import OUTPUTS, Output
from xsubpix.estimators.dense import sample_blocks

RATIO = Output(
    "second_peak", "number", "second highest over highest correlation",
    attrs={"valid_range": np.array([0, 1], np.float32)},
)  # fmt: skip
REACH = Output("match_reach", "length", "distance of the second highest correlation")
MODE = Output(
    "branch", "bits", "branches of the method that were taken", dtype="uint16",
    attrs={"flag_masks": np.array([1, 512], np.uint16), "flag_meanings": "first second"},
)  # fmt: skip
NAMES = ("second_peak", "match_reach", "branch")


@dataclasses.dataclass(frozen=True)
class Ranked(Estimator):
    """No motion, and three outputs of its own: the ground's value, two pixels, bits."""

    name: ClassVar[str] = "ranked"
    further_outputs: ClassVar[tuple[Output, ...]] = (RATIO, REACH, MODE)
    halo = property(lambda self: 2)
    support = property(lambda self: 2)
    tile = property(lambda self: max(1, 32 // self.step))
    own_search = property(lambda self: 4)  # beyond, it is given a first guess

    def __call__(self, pre: np.ndarray, post: np.ndarray) -> Estimate:
        """Batches of tiles to their estimate."""
        fields = []
        for one, two in zip(pre, post, strict=True):
            field = Estimate.missing(one.shape, self.outputs)
            valid = np.isfinite(one) & np.isfinite(two)
            for array in (field.dx, field.dy, field.sigma, field.quality):
                array[:] = np.where(valid, 0.0, np.nan)
            field.flags[:] = ~valid
            field["second_peak"][:] = one / 256
            field["match_reach"][:] = np.where(valid, 2.0, np.nan)
            field["branch"][:] = np.where(one > 100, 512, 1)
            fields.append(field)
        return sample_blocks(fields, self.halo, self.step, self.outputs)


@pytest.fixture
def ground(scene, utm):
    return utm(np.clip(scene((90, 80)), 0, 255), size=10.0)


@pytest.mark.parametrize("step", [1, 4])
@pytest.mark.parametrize("search", [None, 12])
@pytest.mark.parametrize("lazy", [False, True])
def test_further_outputs_arrive_labelled(ground, step, search, lazy):
    """Else a new output takes an edit in every file that knows the five."""
    pre = ground.chunk(x=37, y=41) if lazy else ground
    disp = xsubpix.correlate(pre, pre, model=Ranked(step=step), search=search)
    assert list(disp.data_vars) == ["east", "north", "sigma", "quality", "flags", *NAMES]
    for name, units in (("second_peak", "1"), ("match_reach", "m")):
        assert disp[name].dtype == np.float32
        assert disp[name].attrs["units"] == units
    assert disp.second_peak.attrs["long_name"] == RATIO.long_name
    assert disp.branch.dtype == np.uint16
    assert disp.branch.attrs["flag_meanings"] == "first second"
    assert all((disp[name].chunks is not None) == lazy for name in disp.data_vars)
    np.testing.assert_allclose(disp.match_reach, 20.0)
    if step == 1:
        np.testing.assert_allclose(disp.second_peak, ground / 256, rtol=1e-6)
        np.testing.assert_array_equal(disp.branch, np.where(ground > 100, 512, 1))
    else:
        assert set(np.unique(disp.branch)) == {1, 512, 513}


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("search", [None, 12])
def test_further_outputs_are_written(ground, tmp_path, lazy, search):
    """Else a file holds less than the field in memory."""
    pre = ground.chunk(x=37) if lazy else ground
    disp = xsubpix.correlate(pre, pre, model=Ranked(step=2), search=search)
    xsubpix.to_cog(disp, tmp_path / "disp.tif")
    with rasterio.open(tmp_path / "disp.tif") as file:
        assert file.descriptions == ("east", "north", "sigma", "quality", "flags", *NAMES)
        band = file.descriptions.index("branch") + 1
        assert file.tags(band)["flag_masks"] == "1 512"
        assert file.tags(band)["long_name"] == MODE.long_name
        np.testing.assert_array_equal(file.read(band), disp.branch)
        assert file.units[file.descriptions.index("match_reach")] == "m"
    again = xsubpix.open_displacement(tmp_path / "disp.tif")
    assert again.branch.attrs["flag_masks"].tolist() == [1, 512]
    xsubpix.to_netcdf(disp, tmp_path / "disp.nc")
    with xr.open_dataset(tmp_path / "disp.nc", decode_coords="all") as got:
        for name in NAMES:
            np.testing.assert_allclose(got[name], disp[name])
            assert got[name].attrs["long_name"] == disp[name].attrs["long_name"]
        assert got.branch.dtype == np.uint16


def test_products_keep_further_outputs(ground):
    """Else rotating or masking a field loses them."""
    disp = xsubpix.correlate(ground, ground, model=Ranked(step=2))
    assert set(NAMES) <= set(xsubpix.rotate(disp, 30.0).data_vars)
    assert set(NAMES) <= set(xsubpix.true_north(disp).data_vars)
    pixels = xsubpix.to_pixels(disp)
    assert {"second_peak", "branch"} <= set(pixels.data_vars)
    assert "match_reach" not in pixels
    masked = xsubpix.mask(disp, quality=0.5)
    assert bool(masked.east.isnull().all())
    assert bool(masked.match_reach.isnull().all())
    xr.testing.assert_identical(masked.second_peak, disp.second_peak)


def test_missing_where_nothing_is_measured(ground):
    """Else further outputs are invented where the others are missing."""
    pre = ground.where(ground.x > ground.x[20])
    disp = xsubpix.correlate(pre, pre, model=Ranked())
    gone = np.isnan(pre.values)
    np.testing.assert_array_equal(np.isnan(disp.second_peak), gone)
    np.testing.assert_array_equal(disp.branch.values[gone], 0)


class Silent(Ranked):
    """Declares more than it gives."""

    further_outputs: ClassVar[tuple[Output, ...]] = (*Ranked.further_outputs, Output(
        "forgotten", "number", "never given"
    ))  # fmt: skip

    def __call__(self, pre, post):
        found = super().__call__(pre, post)
        return Estimate.of({k: v for k, v in found.arrays().items() if k != "forgotten"})


def test_a_forgotten_output_is_named(ground):
    """Else the error is a KeyError from inside."""
    with pytest.raises(ModelError, match="'forgotten'"):
        xsubpix.correlate(ground, ground, model=Silent())


@pytest.mark.parametrize(
    "output",
    [
        Output("quality", "number", "another quality"),
        Output("speed", "number", "speed", label="east"),
        Output("along", "displacement", "displacement along track"),
    ],
)
def test_names_and_kinds_that_are_taken(output):
    """Else a further output replaces one of the five, or is rotated with them."""
    cls = type("Taken", (Ranked,), {"further_outputs": (output,)})
    with pytest.raises(ModelError, match="further output"):
        cls()


@pytest.mark.parametrize(
    "options",
    [
        {"name": "two words"},
        {"kind": "colour"},
        {"kind": "bits"},
        {"dtype": "uint8"},
    ],
)
def test_rows_that_make_no_sense(options):
    """Else the error comes from xarray, a screen later."""
    with pytest.raises(ModelError):
        Output(**{"name": "a", "kind": "number", "long_name": "a", **options})


def test_the_table_is_that_of_the_estimate():
    """Else the table and the class drift apart."""
    fields = [f.name for f in dataclasses.fields(Estimate)]
    assert fields == [*(output.name for output in OUTPUTS), "further"]
