"""Pairs as they are downloaded: lattices, extents, zones, mosaics, and what is refused."""

import numpy as np
import pytest

import xsubpix
from xsubpix.files.images import open_image


@pytest.fixture
def tile(tmp_path, scene, utm):
    """``tile(name, rows, cols, shift=, crs=)``: write part of a scene; return its path."""
    full = utm(scene((300, 320)))

    def write(name, rows, cols, image=full):
        path = tmp_path / f"{name}.tif"
        part = image[slice(*rows), slice(*cols)]
        part.rio.to_raster(path)
        return path

    write.full = full
    return write


def test_one_lattice_is_cut_and_not_resampled(tile):
    """Else two scenes of one lattice lose contrast for nothing."""
    one = tile("one", (0, 250), (0, 260))
    two = tile("two", (30, 300), (40, 320))
    pre, post = xsubpix.open_pair(one, two)
    assert pre.shape == post.shape == (220, 220)
    assert pre.chunks is not None
    assert post.chunks is not None
    np.testing.assert_array_equal(pre.values, post.values)
    np.testing.assert_array_equal(pre.values, tile.full[30:250, 40:260].values)
    x, y = xsubpix.Grid.from_dataarray(pre).at(0, 0)
    assert (x, y) == (float(pre.x[0]), float(pre.y[0]))
    xsubpix.Grid.from_dataarray(pre).check_same(xsubpix.Grid.from_dataarray(post))
    disp = xsubpix.correlate(pre, post, model="phase", step=32)
    assert float(abs(disp.east).max()) < 1e-3


def test_the_same_grid_is_passed_on_as_it_is(tile):
    """Else a stopped run does not find its journal again."""
    one = tile("one", (0, 100), (0, 100))
    pre, post = xsubpix.open_pair(one, one)
    assert pre.data.name == post.data.name == open_image(one).data.name


def test_another_zone_is_resampled_once(tile):
    """Else scenes of neighbouring zones must go through another program."""
    one = tile("one", (0, 300), (0, 320))
    other = tile.full.rio.reproject("EPSG:32612", resampling=3)
    two = tile("two", (0, other.shape[0]), (0, other.shape[1]), other)
    pre, post = xsubpix.open_pair(one, two)
    assert pre.rio.crs == post.rio.crs
    assert pre.shape == post.shape
    difference = (post - pre).values
    inner = difference[40:-40, 40:-40]
    assert np.nanstd(inner) < 0.2 * float(pre.std())  # GDAL's cubic made `other`


def test_files_of_one_date_are_mosaicked(tile):
    """Else a rupture across a tile's border needs gdal_merge."""
    parts = [tile("left", (0, 300), (0, 180)), tile("right", (20, 300), (170, 320))]
    pre, post = xsubpix.open_pair(parts, tile("all", (0, 300), (0, 320)))
    assert pre.shape == (300, 320)
    assert pre.dtype == np.float32
    seen = np.isfinite(pre.values)
    assert not seen[:20, 180:].any()
    assert seen[20:].all()
    assert seen[:, :180].all()
    np.testing.assert_allclose(pre.values[seen], post.values[seen])
    assert pre.rio.crs == post.rio.crs


def test_align_takes_the_shift_away(tile, scene, utm):
    """Else --align does not align."""
    one = tile("one", (0, 300), (0, 320))
    moved = utm(scene((300, 320), (3.4, -5.2)))
    two = tile("two", (0, 300), (0, 320), moved)
    pre, post = xsubpix.open_pair(one, two, align={"search": 16})
    assert post.attrs["registration_x"] == pytest.approx([3.4], abs=0.01)
    assert post.attrs["registration_y"] == pytest.approx([-5.2], abs=0.01)
    assert float(abs(pre - post)[30:-30, 30:-30].max()) < 0.1 * float(pre.std())


def test_scenes_apart_are_refused(tile):
    """Else an empty result comes out, or an error of another package."""
    with pytest.raises(xsubpix.GridError, match="share no"):
        xsubpix.open_pair(tile("a", (0, 100), (0, 100)), tile("b", (150, 300), (0, 100)))
    with pytest.raises(xsubpix.DataError, match="empty list"):
        xsubpix.open_pair([], tile("c", (0, 100), (0, 100)))
    with pytest.raises(xsubpix.GridError, match="CRS"):
        xsubpix.open_pair(tile.full, tile.full.drop_vars("spatial_ref"))


def test_an_archive_is_read_where_it_lies(tile, tmp_path):
    """Else a download must be unpacked first."""
    import zipfile

    one = tile("one", (0, 100), (0, 120))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(one, "one.tif")
    pre, post = xsubpix.open_pair(one, f"/vsizip/{tmp_path}/a.zip/one.tif")
    np.testing.assert_array_equal(pre.values, post.values)
