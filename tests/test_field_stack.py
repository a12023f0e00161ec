"""Products of stacks of fields are those of their fields, one by one."""

import dask
import numpy as np
import pytest
import rasterio
import xarray as xr

import xsubpix
from xsubpix.errors import DataError, DimensionError, FileError
from xsubpix.field_stack import field_stack_dim, labels_of
from xsubpix.files.journal import BlockFile

TIMES = np.array(["2020-01-01", "2020-02-01", "2020-03-01"], "datetime64[ns]")
FLAGS = {"flag_masks": np.array([1, 4], "u1"), "flag_meanings": "nodata low_texture"}


@pytest.fixture
def pairs(utm):
    """Three fields with a plane, noise, and flags that differ."""
    rng = np.random.default_rng(0)
    rows, cols = np.mgrid[:40, :50]
    parts = []
    for k in range(3):
        east = 0.01 * (k + 1) * cols + rng.normal(0, 0.1, (40, 50))
        north = -0.02 * rows + rng.normal(0, 0.1, (40, 50))
        flags = np.where(rng.random((40, 50)) < 0.1 * k, 4, 0)
        grid = utm(np.zeros((40, 50), "f4"))
        fields = {"east": (east, "f4"), "north": (north, "f4"), "flags": (flags, "u1")}
        part = xr.Dataset({n: grid.copy(data=v.astype(t)) for n, (v, t) in fields.items()})
        part["east"].attrs["units"] = part["north"].attrs["units"] = "m"
        part["flags"].attrs = dict(FLAGS)
        parts.append(part)
    out = xr.concat(parts, "pair", coords="minimal", compat="override")
    return out.assign_coords(
        reference_time=("pair", TIMES[[0, 1, 0]]), secondary_time=("pair", TIMES[[1, 2, 2]])
    )


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("product", ["mask", "detrend"])
def test_products_are_those_of_each(pairs, product, lazy):
    """Else a stack is measured in another way, or loses its times or its CRS."""
    stack = pairs.chunk({"pair": 1, "y": 20}) if lazy else pairs
    with dask.config.set(scheduler=lambda *a, **k: pytest.fail("computed")):
        out = getattr(stack.subpix, product)()
    assert (out.chunks != {}) == lazy
    assert out.east.dims == ("pair", "y", "x")
    for k in range(3):
        single = getattr(pairs.isel(pair=k).subpix, product)()
        np.testing.assert_allclose(out.east[k], single.east, atol=1e-6)
        if not lazy:
            assert single.attrs[product] in out.attrs[product]
    assert out.rio.crs == pairs.rio.crs
    xr.testing.assert_equal(out.secondary_time, pairs.secondary_time)


def test_a_mask_for_each_pair(pairs):
    """Else all fields get the mask of the first, or it is refused."""
    stable = xr.ones_like(pairs.east, dtype=bool)
    stable[1, :, :25] = False
    out = xsubpix.detrend(pairs, mask=stable)
    single = xsubpix.detrend(pairs.isel(pair=1), mask=stable[1])
    np.testing.assert_array_equal(out.east[1], single.east)


def test_summary_has_rows_for_each(pairs):
    """Else one number stands for dates that differ."""
    found = xsubpix.summary(pairs)
    assert len(found.statistics) == 6
    row = found.statistics["east 2020-02-01 to 2020-03-01"]
    single = xsubpix.summary(pairs.isel(pair=1)).statistics["east"]
    np.testing.assert_equal(row, single)
    assert found.flags["low_texture"] == pytest.approx(float((pairs.flags == 4).mean()))
    assert "3 along 'pair'" in repr(found)
    assert "low_texture" in found.facts["left out"]
    assert xsubpix.summary(pairs.chunk()).statistics == {}


@pytest.mark.parametrize("style", [False, True])
def test_a_file_for_each_pair(pairs, tmp_path, style):
    """Else a stack cannot be looked at in a GIS, or its dates are lost."""
    pairs.subpix.to_cog(tmp_path / "disp.tif", style=style)
    names = sorted(path.name for path in tmp_path.glob("*.tif"))
    assert names == [
        "disp_20200101_20200201.tif", "disp_20200101_20200301.tif", "disp_20200201_20200301.tif",
    ]  # fmt: skip
    back = xsubpix.open_displacement(tmp_path / names[1])
    np.testing.assert_array_equal(back.east, pairs.east[2])
    assert back.secondary_time.values == TIMES[2]
    with pytest.raises(FileError, match="it exists"):
        pairs.subpix.to_cog(tmp_path / "disp.tif")
    bare = pairs.drop_vars(["reference_time", "secondary_time"])
    bare.subpix.to_cog(tmp_path / "bare.tif")
    assert (tmp_path / "bare_002.tif").exists()


def test_a_stopped_stack_goes_on(pairs, tmp_path, monkeypatch, stopped_after):
    """Else what was finished is in the way, or computed again."""
    lazy, put = pairs.chunk(pair=1, y=20), BlockFile.put
    with stopped_after(3):
        lazy.subpix.to_cog(tmp_path / "disp.tif", resume=True)
    again = []
    monkeypatch.setattr(BlockFile, "put", lambda self, *a: (again.append(1), put(self, *a)))
    lazy.subpix.to_cog(tmp_path / "disp.tif", resume=True)
    assert len(again) == 3  # two blocks each, one pair and a half were there
    assert len(list(tmp_path.iterdir())) == 3
    for path in tmp_path.glob("*.tif"):
        with rasterio.open(path) as file:
            assert file.count == 3


def test_series_are_stacks_too(pairs, tmp_path):
    """Else the result of a series cannot be written or drawn."""
    series = xsubpix.series(pairs)
    assert field_stack_dim(series) == "time"
    series.subpix.to_cog(tmp_path / "series.tif")
    back = xsubpix.open_displacement(tmp_path / "series_20200301.tif")
    assert back.reference_time.values == TIMES[0]
    assert back.secondary_time.values == TIMES[2]
    np.testing.assert_array_equal(back.north, series.north[2])


@pytest.mark.parametrize("kind", ["pair", "time"])
def test_netcdf_and_back(pairs, tmp_path, kind):
    """Else the axes of the map are not known to other programs."""
    pytest.importorskip("netCDF4")
    stack = pairs if kind == "pair" else xsubpix.series(pairs)
    stack.subpix.to_netcdf(tmp_path / "disp.nc")
    back = xsubpix.open_displacement(tmp_path / "disp.nc")
    np.testing.assert_array_equal(back.east, stack.east)
    assert back.x.attrs["standard_name"] == "projection_x_coordinate"
    assert back.rio.crs == pairs.rio.crs
    if kind == "pair":
        np.testing.assert_array_equal(back.secondary_time, pairs.secondary_time)


def test_small_maps(pairs):
    """Else the fields of a stack are drawn on scales that cannot be compared."""
    figure = pairs.subpix.plot(title="three pairs")
    maps = [ax for ax in figure.axes if ax.images]
    assert len(maps) == 6
    assert len({ax.images[0].get_clim() for ax in maps}) == 1
    assert maps[2].get_title() == "2020-02-01 to 2020-03-01\neast"
    many = xr.concat([pairs] * 14, "pair")
    with pytest.raises(DataError, match="42 fields"):
        many.subpix.plot()


def test_two_dimensions_are_one_too_many(pairs):
    """Else one of them is taken by chance."""
    with pytest.raises(DimensionError, match="both"):
        field_stack_dim(pairs.expand_dims(time=2))


def test_labels_differ():
    """Else two files have one name."""
    stack = xr.Dataset(coords={
        "reference_time": ("pair", TIMES[[0, 0]]), "secondary_time": ("pair", TIMES[[1, 1]]),
    }).expand_dims()  # fmt: skip
    assert labels_of(stack, "pair")[0].startswith("0: ")
