"""End-point error: by position, on one grid or from a finer one."""

import numpy as np
import pytest
import xarray as xr

import xsubpix
from xsubpix import DataError, GridError, SubpixError


def field(utm, east, north):
    one = utm(np.asarray(east, "f4"))
    return xr.Dataset({"east": one, "north": one.copy(data=np.asarray(north, "f4"))})


@pytest.fixture
def disp(utm):
    rng = np.random.default_rng(0)
    return field(utm, *rng.normal(size=(2, 12, 16)))


def test_length_of_the_difference(utm):
    """Else components are summed or averaged."""
    one, two = (
        field(utm, np.full((3, 4), 3.0), np.zeros((3, 4))),
        field(utm, np.zeros((3, 4)), np.full((3, 4), -4.0)),
    )
    error = xsubpix.epe(one, two)
    np.testing.assert_allclose(error, 5.0)
    assert error.name == "epe"
    assert error.attrs["units"] == "m"
    assert set(error.attrs) == {"long_name", "units"}
    assert error.rio.crs.to_epsg() == 32611


def test_rounding_of_coordinates_does_not_empty_the_result(disp):
    """Else coordinates 1e-7 m apart leave nothing to compare."""
    near = disp.assign_coords(x=disp.x + 1e-7)
    assert xsubpix.epe(disp, near).shape == (12, 16)
    assert float(xsubpix.epe(disp, near).max()) == 0.0


def test_order_and_names_of_dimensions(disp):
    """Else a transposed truth is compared with the wrong pixels."""
    np.testing.assert_array_equal(xsubpix.epe(disp, disp.transpose("x", "y")), 0.0)
    turned = xsubpix.epe(disp.transpose("x", "y"), disp)
    assert turned.dims == ("x", "y")
    np.testing.assert_array_equal(turned, 0.0)
    np.testing.assert_array_equal(xsubpix.epe(disp, disp.rename(y="lat", x="lon")), 0.0)


@pytest.mark.parametrize("step", [2, 3, 4])
@pytest.mark.parametrize("flip", [False, True])
def test_finer_truth_is_read_at_the_centres(utm, step, flip):
    """Else the truth is taken at a corner of each block: half a block away."""
    yy, xx = np.mgrid[:24, :36].astype("f4")
    truth = field(utm, 0.5 * xx + yy, 2.0 * yy - xx)
    mean = truth.coarsen(y=step, x=step).mean()
    coarse = mean.assign_coords(spatial_ref=truth.spatial_ref.drop_attrs(deep=False))
    coarse = coarse.drop_vars("spatial_ref").rio.write_crs("EPSG:32611")
    if flip:
        truth = truth.isel(y=slice(None, None, -1))
    # Linear fields: the mean of a block is the value at its centre.
    np.testing.assert_allclose(xsubpix.epe(coarse, truth), 0.0, atol=1e-4)


def test_finer_truth_without_coordinates(scene, image):
    """Else a field at a step is compared with the upper left corner of its truth."""
    pre, post = image(scene((64, 64))), image(scene((64, 64), (1.3, -0.7)))
    disp = xsubpix.correlate(pre, post, model="phase", window=16, step=8)
    column = np.arange(64.0) * np.ones((64, 1))
    truth = xr.Dataset({"east": image(1.3 + column), "north": image(0 * column - 0.7)})
    centres = np.arange(8) * 8 + 3.5
    error = xsubpix.epe(disp, truth)
    np.testing.assert_allclose(error[1:-1, 1:-1], np.tile(centres, (8, 1))[1:-1, 1:-1], atol=0.1)


def test_rotated_grids(scene, image):
    """Else rotated fields, which have no 1-D coordinates, are compared by index."""

    def rotated(pixels):
        gt = {"GeoTransform": "5e5 8 3 4e6 2 -9"}
        return image(pixels).assign_coords(spatial_ref=xr.Variable((), 0, gt)).rio.write_crs(32611)

    pre, post = rotated(scene((48, 48))), rotated(scene((48, 48), (1.0, 0.0)))
    disp = xsubpix.correlate(pre, post, model="phase", window=16, step=4)
    full = xsubpix.correlate(pre, post, model="phase", window=16, step=1)
    error = xsubpix.epe(disp, full)
    assert error.shape == (12, 12)
    assert float(error[2:-2, 2:-2].max()) < 0.5
    upright = full.drop_vars("spatial_ref").rio.write_crs(32611)
    with pytest.raises(GridError, match="not parallel"):
        xsubpix.epe(disp, upright)


def test_missing_stays_missing(disp):
    """Else a hole counts as no error, or as a large one."""
    holed = disp.where(disp.x > disp.x[4])
    error = xsubpix.epe(disp, holed)
    assert bool(error[:, :5].isnull().all())
    assert bool((error[:, 5:] == 0).all())
    assert bool(xsubpix.epe(holed, disp)[:, :5].isnull().all())


def test_truth_of_other_extent(utm, disp):
    """Else a truth that covers a part is extrapolated."""
    part = disp.isel(x=slice(0, 8))
    error = xsubpix.epe(disp, part)
    assert bool(error[:, 8:].isnull().all())
    np.testing.assert_allclose(error[:, :8], 0.0, atol=1e-6)


@pytest.mark.parametrize("which", [0, 1, 2])
def test_lazy(disp, which):
    """Else a lazy field is computed, or refused."""
    one = disp.chunk(5) if which != 1 else disp
    two = disp.chunk(7) if which != 0 else disp
    error = xsubpix.epe(one, two)
    assert error.chunks is not None
    assert float(error.max()) == 0.0
    coarse = disp.isel(x=slice(0, 8)).chunk(4)
    assert xsubpix.epe(coarse, disp.chunk(4)).chunks is not None


def test_refused(disp, utm):
    """Else fields on other maps, or no fields at all, are subtracted."""
    other = disp.drop_vars("spatial_ref").rio.write_crs("EPSG:32612")
    with pytest.raises(GridError, match="EPSG:32611 and EPSG:32612"):
        xsubpix.epe(disp, other)
    with pytest.raises(GridError, match="EPSG:32611 and EPSG:32612"):
        xsubpix.epe(disp.isel(x=slice(0, 8)), other)
    with pytest.raises(DataError, match="'east' and 'north'"):
        xsubpix.epe(disp, disp.east)
    with pytest.raises(DataError, match=r"truth has \['east'\]"):
        xsubpix.epe(disp, disp[["east"]])
    with pytest.raises(SubpixError):
        xsubpix.epe(disp, disp.expand_dims(time=2))
