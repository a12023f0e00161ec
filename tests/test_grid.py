"""Signs, units and places on every kind of grid, and the same-grid check."""

import dataclasses

import numpy as np
import pyproj
import pytest
import rasterio
import rioxarray
import xarray as xr
from affine import Affine

import xsubpix
from xsubpix import DimensionError, Grid, GridError

SHAPE = (64, 80)
SHIFT = (1.3, -0.7)  # pixels to the right and down
OPTIONS = {"window": 16, "step": 8}


@pytest.fixture(scope="module")
def pixels(scene):
    return scene(SHAPE), scene(SHAPE, SHIFT)


def inner(field):
    """The median away from the border."""
    return float(np.nanmedian(field.values[1:-1, 1:-1]))


# ------------------------------------------------------------ signs and units


@pytest.mark.parametrize("north_up", [True, False])
def test_signs_follow_the_rows(pixels, utm, north_up):
    """Else ground moving down the rows is reported north on a north-up grid."""
    pre, post = (utm(p, north_up=north_up, size=15.0) for p in pixels)
    disp = xsubpix.correlate(pre, post, model="phase", **OPTIONS)
    assert inner(disp.east) == pytest.approx(15 * 1.3, abs=0.3)
    assert inner(disp.north) == pytest.approx(15 * 0.7 * (1 if north_up else -1), abs=0.3)
    assert disp.east.attrs["units"] == disp.north.attrs["units"] == "m"
    assert disp.sigma.attrs["units"] == "m"
    assert 0.01 < inner(disp.sigma) < 1.5


def test_sign_is_where_the_ground_went(utm):
    """Else the convention is reversed: a bright spot moved right must give east > 0."""
    rng = np.random.default_rng(1)
    ground = rng.normal(size=(64, 70)).cumsum(0).cumsum(1)
    pre, post = utm(ground[:, 3:67]), utm(ground[:, :64])
    disp = xsubpix.correlate(pre, post, model="phase", window=16, step=8)
    assert inner(disp.east) == pytest.approx(30.0, abs=0.1)


def test_rotated_geotiff(pixels, tmp_path):
    """Else a rotated or sheared transform is read as if it were north-up."""
    angle = np.deg2rad(30.0)
    cos, sin = 15 * np.cos(angle), 15 * np.sin(angle)
    transform = Affine(cos, sin, 5e5, sin, -cos, 4e6)
    paths = []
    for name, p in zip(("pre", "post"), pixels, strict=True):
        paths.append(tmp_path / f"{name}.tif")
        with rasterio.open(
            paths[-1], "w", driver="GTiff", height=SHAPE[0], width=SHAPE[1], count=1,
            dtype="float32", crs="EPSG:32611", transform=transform,
        ) as out:  # fmt: skip
            out.write(p, 1)
    dx, dy = SHIFT
    east, north = cos * dx + sin * dy, sin * dx - cos * dy
    for parse in (True, False):
        pre, post = (rioxarray.open_rasterio(p, parse_coordinates=parse) for p in paths)
        assert ("xc" in pre.coords) == parse
        grid = Grid.from_dataarray(pre)
        np.testing.assert_allclose(grid.transform[:6], tuple(transform)[:6], rtol=1e-12, atol=1e-6)
        disp = xsubpix.correlate(pre, post, model="phase", **OPTIONS)
        assert inner(disp.east) == pytest.approx(east, abs=0.3)
        assert inner(disp.north) == pytest.approx(north, abs=0.3)
        coarse = Grid.from_dataarray(disp.east)
        expected = (8 * cos, 8 * sin, 5e5, 8 * sin, -8 * cos, 4e6)
        np.testing.assert_allclose(coarse.transform[:6], expected, rtol=1e-12, atol=1e-6)
        assert disp.rio.crs == pre.rio.crs


@pytest.mark.parametrize("latitude", [0.0, 36.5, -61.0, 85.0])
def test_geographic_metres_are_the_geodesic(latitude):
    """Else a degree of longitude is taken as 111 km at every latitude, or as a sphere's."""
    step = 1e-4
    y = latitude - step * (np.arange(6) + 0.5)
    x = 12.0 + step * (np.arange(5) + 0.5)
    image = xr.DataArray(np.zeros((6, 5)), dims=("lat", "lon"), coords={"lat": y, "lon": x})
    grid = Grid.from_dataarray(image.rio.write_crs("EPSG:4326"))
    rows, cols = np.arange(6), np.arange(5)
    one, none = np.ones((6, 5)), np.zeros((6, 5))
    geod = pyproj.Geod(ellps="WGS84")
    lon, lat = np.meshgrid(x, y)
    eastward = geod.inv(lon - step / 2, lat, lon + step / 2, lat)[2]
    northward = geod.inv(lon, lat - step / 2, lon, lat + step / 2)[2]
    east, north = grid.to_metres(one, none, rows, cols)
    np.testing.assert_allclose(east, eastward, rtol=1e-6)
    assert not north.any()
    east, north = grid.to_metres(none, one, rows, cols)
    np.testing.assert_allclose(north, -northward, rtol=1e-6)
    assert not east.any()


def test_geographic_pair(pixels):
    """Else east and north on longitude-latitude grids are in degrees, or off the ellipsoid."""
    step = 1e-4
    coords = {
        "latitude": 60.0 - step * (np.arange(SHAPE[0]) + 0.5),
        "longitude": 10.0 + step * (np.arange(SHAPE[1]) + 0.5),
    }
    pre, post = (
        xr.DataArray(p, dims=("latitude", "longitude"), coords=coords).rio.write_crs("EPSG:4326")
        for p in pixels
    )
    disp = xsubpix.correlate(pre, post, model="phase", **OPTIONS)
    geod = pyproj.Geod(ellps="WGS84")
    width = geod.inv(10.0, 59.997, 10.0 + step, 59.997)[2]
    height = geod.inv(10.0, 59.997, 10.0, 59.997 + step)[2]
    assert inner(disp.east) == pytest.approx(1.3 * width, abs=0.02 * width)
    assert inner(disp.north) == pytest.approx(0.7 * height, abs=0.02 * height)
    assert disp.east.attrs["units"] == "m"


def test_us_feet(pixels, utm):
    """Else a state-plane grid's displacement in feet is called metres."""
    pre, post = (utm(p, crs="EPSG:2225") for p in pixels)
    disp = xsubpix.correlate(pre, post, model="phase", **OPTIONS)
    assert inner(disp.east) == pytest.approx(13 * 1200 / 3937, abs=0.05)
    assert disp.east.attrs["units"] == "m"


def test_kilometres(utm):
    """Else geostationary or climate grids in km are taken as metres."""
    image = utm(np.zeros((4, 4)))
    image = image.assign_coords({d: image[d].assign_attrs(units="km") for d in ("x", "y")})
    assert Grid.from_dataarray(image).metres_per_unit == 1000.0


def test_no_crs_keeps_the_coordinates_unit(pixels, utm):
    """Else a grid without CRS claims metres, or loses the size of its pixels."""
    pre, post = (utm(p).drop_vars("spatial_ref") for p in pixels)
    disp = xsubpix.correlate(pre, post, model="phase", **OPTIONS)
    assert inner(disp.east) == pytest.approx(13.0, abs=0.3)
    assert inner(disp.north) == pytest.approx(7.0, abs=0.3)
    assert disp.east.attrs["units"] == "1"
    assert disp.rio.crs is None


def test_no_coordinates_count_pixels(pixels, image):
    """Else the pixels of a plain array are scaled by the step, or rows run up."""
    pre, post = map(image, pixels)
    for step in (1, 8):
        disp = xsubpix.correlate(pre[:32, :32], post[:32, :32], model="phase", window=16, step=step)
        assert inner(disp.east) == pytest.approx(1.3, abs=0.05)
        assert inner(disp.north) == pytest.approx(-0.7, abs=0.05)
        assert disp.east.attrs["units"] == "1"
    # At a step the blocks know their place, in pixels of the image.
    np.testing.assert_array_equal(disp.x, [3.5, 11.5, 19.5, 27.5])
    expected = Grid.from_dataarray(pre[:32, :32]).coarsen(8)
    assert Grid.from_dataarray(disp.east) == expected


def test_axis_names_and_comment_state_the_sign(pixels, utm):
    """Else a reader of the file cannot tell grid north from true north, or the direction."""
    disp = xsubpix.correlate(*(utm(p) for p in pixels), model="phase", window=16, step=32)
    assert "grid" in disp.east.attrs["comment"]
    assert "positive along +x" in disp.east.attrs["comment"]
    assert "positive along +y" in disp.north.attrs["comment"]


@pytest.mark.parametrize(
    "transform",
    [(10.0, 0.0, 5e5, 0.0, -10.0, 4e6), (10.0, 0.0, 5e5, 0.0, 10.0, 4e6),
     (8.0, 3.0, 5e5, 2.0, -9.0, 4e6)],
)  # fmt: skip
@pytest.mark.parametrize("crs", [None, "EPSG:32611"])
def test_metres_and_pixels_are_inverse(transform, crs):
    """Else a truth put in as metres comes out as other pixels."""
    grid = Grid(
        ("y", "x"), (3, 4), transform, pyproj.CRS(crs) if crs else None, 1.0 if crs else None
    )
    rng = np.random.default_rng(0)
    dx, dy = rng.normal(size=(2, 3, 4))
    rows, cols = np.arange(3), np.arange(4)
    back = grid.to_pixels(*grid.to_metres(dx, dy, rows, cols), rows, cols)
    np.testing.assert_allclose(back, (dx, dy), rtol=1e-5, atol=1e-6)


# ------------------------------------------------------------------ dimensions


@pytest.mark.parametrize(
    ("y", "x"),
    [("y", "x"), ("lat", "lon"), ("latitude", "longitude"), ("northing", "easting"), ("Y", "X")],
)
@pytest.mark.parametrize("swap", [False, True])
def test_dimensions_by_name_in_any_order(pixels, y, x, swap):
    """Else transposed images, or those of other programs, are refused or turned."""
    pre, post = (xr.DataArray(p, dims=(y, x)) for p in pixels)
    if swap:
        pre, post = pre.T, post.T
    disp = xsubpix.correlate(pre, post, model="phase", window=16, step=16)
    assert disp.east.dims == pre.dims
    assert inner(disp.east) == pytest.approx(1.3, abs=0.05)
    assert inner(disp.north) == pytest.approx(-0.7, abs=0.05)


def test_dimensions_by_cf_attributes():
    """Else CF files whose dimensions have odd names are refused."""
    image = xr.DataArray(
        np.zeros((3, 4)),
        dims=("nj", "ni"),
        coords={"nj": ("nj", [2.0, 1.0, 0.0], {"axis": "Y"}),
                "ni": ("ni", [0.0, 1, 2, 3], {"standard_name": "projection_x_coordinate"})},
    )  # fmt: skip
    assert Grid.from_dataarray(image).dims == ("nj", "ni")


def test_pre_and_post_may_differ_in_order_and_names(pixels, image, identical):
    """Else a transposed post gives a transposed field, or is aligned to nothing."""
    pre, post = map(image, pixels)
    expected = xsubpix.correlate(pre, post, model="phase", window=16, step=16)
    identical(xsubpix.correlate(pre, post.T, model="phase", window=16, step=16), expected)
    renamed = post.rename(y="lat", x="lon")
    identical(xsubpix.correlate(pre, renamed, model="phase", window=16, step=16), expected)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_band_of_size_one_is_dropped(pixels, image, identical, place):
    """Else the usual output of open_rasterio is refused, or a band leaks into the field."""
    pre, post = map(image, pixels)
    with_band = pre.expand_dims(band=[1], axis=place)
    disp = xsubpix.correlate(with_band, post, model="phase", window=16, step=16)
    assert disp.east.dims == ("y", "x")
    assert "band" not in disp.coords
    identical(disp, xsubpix.correlate(pre, post, model="phase", window=16, step=16))


def test_longer_band_is_refused_with_the_call_that_mends_it(pixels, image):
    """Else one band is picked silently, or the message does not help."""
    pre, post = map(image, pixels)
    with pytest.raises(DimensionError, match=r"3 values along 'band'.*pre\.isel\(band=0\)"):
        xsubpix.correlate(pre.expand_dims(band=3), post)
    with pytest.raises(DimensionError, match=r"post\.isel\(level=0\)"):
        xsubpix.correlate(pre, post.expand_dims(level=2))


@pytest.mark.parametrize("dims", [("a", "b"), ("y", "b"), ("north", "east"), ("time", "x")])
def test_unknown_dimensions_are_refused(dims):
    """Else rows and columns are guessed."""
    with pytest.raises(DimensionError, match="rename"):
        Grid.from_dataarray(xr.DataArray(np.zeros((3, 3)), dims=dims))


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_dimensions(n):
    """Else a profile is correlated as an image, or numpy's own error comes out."""
    with pytest.raises(DimensionError, match="rows"):
        Grid.from_dataarray(xr.DataArray(np.zeros((3,) * n), dims=("x",)[:n]))


# ----------------------------------------------------------------- coordinates


def test_uneven_coordinates_are_refused(utm):
    """Else a mosaic with a gap is measured as if it had none."""
    image = utm(np.zeros((6, 6)))
    gap = image.isel(x=[0, 1, 2, 4, 5])
    with pytest.raises(GridError, match=r"'x' of pre is not evenly spaced.*sortby"):
        Grid.from_dataarray(gap, "pre")
    with pytest.raises(GridError, match="not evenly spaced"):
        Grid.from_dataarray(image.assign_coords(y=np.zeros(6)))
    with pytest.raises(GridError, match="NaN"):
        Grid.from_dataarray(image.assign_coords(y=np.full(6, np.nan)))
    with pytest.raises(GridError, match="not numbers"):
        Grid.from_dataarray(image.assign_coords(y=list("abcdef")))
    with pytest.raises(GridError, match="along 'x' only"):
        Grid.from_dataarray(image.drop_vars("y"))


def test_float32_coordinates_are_even_enough(pixels, utm):
    """Else coordinates that some programs store as float32 (4e6 +- 0.25 m) are refused."""
    pre, post = (utm(p, size=30.0) for p in pixels)
    pre = pre.assign_coords({d: pre[d].astype(np.float32) for d in ("x", "y")})
    disp = xsubpix.correlate(pre, pre.copy(data=post.data), model="phase", window=16, step=16)
    assert inner(disp.east) == pytest.approx(39.0, abs=0.5)


def test_one_row_one_column(utm):
    """Else a strip has no pixel size and no transform."""
    image = utm(np.zeros((5, 7)), size=15.0)
    image["spatial_ref"].attrs.pop("GeoTransform", None)
    full = Grid.from_dataarray(image)
    assert Grid.from_dataarray(image[:1]).transform == full.transform
    column = Grid.from_dataarray(image[:, :1])
    assert column.transform == full.transform
    assert Grid.from_dataarray(image[:1, :1]).shape == (1, 1)


@pytest.mark.parametrize("text", ["1 2 3", "0 0 0 0 0 0", "a b c d e f", "nan 1 0 0 0 -1", 5.0])
def test_unreadable_geotransform(pixels, image, text):
    """Else numpy's or Python's own error comes out, or a pixel of no area is accepted."""
    pre, post = map(image, pixels)
    bad = pre.assign_coords(spatial_ref=xr.Variable((), 0, {"GeoTransform": text}))
    with pytest.raises(GridError, match="GeoTransform of pre"):
        xsubpix.correlate(bad, post)


def test_curvilinear_coordinates_are_refused(pixels):
    """Else 2-D coordinates of a swath are taken as an affine grid."""
    yy, xx = np.mgrid[:5, :6].astype(float)
    coords = {"yc": (("y", "x"), yy + 0.1 * xx**2), "xc": (("y", "x"), xx)}
    with pytest.raises(GridError, match="not an affine grid"):
        Grid.from_dataarray(xr.DataArray(np.zeros((5, 6)), dims=("y", "x"), coords=coords))


# ------------------------------------------------------------------------- CRS


@pytest.mark.parametrize("mapping", ["spatial_ref", "mapping", "crs", "UTM_projection"])
@pytest.mark.parametrize("lost", [False, True])
def test_grid_mapping_under_any_name(pixels, utm, mapping, lost):
    """Else the CRS vanishes when it is not called spatial_ref (ITS_LIVE: mapping), or after
    arithmetic, which drops the encoding that names it."""
    pre, post = (
        utm(p).drop_vars("spatial_ref").rio.write_crs("EPSG:32611", grid_mapping_name=mapping)
        for p in pixels
    )
    if lost:
        pre, post = pre * 2.0, post + 1.0
        assert "grid_mapping" not in pre.encoding
    disp = xsubpix.correlate(pre, post, model="phase", window=16, step=16)
    assert mapping in disp.coords
    assert [c for c in disp.coords if c not in ("x", "y")] == [mapping]
    assert disp.rio.crs.to_epsg() == 32611
    assert disp.east.rio.crs.to_epsg() == 32611
    assert disp.east.encoding["grid_mapping"] == mapping


def test_crs_from_cf_attributes_alone(utm):
    """Else CF files without WKT have no CRS."""
    image = utm(np.zeros((4, 4)))
    cf = pyproj.CRS("EPSG:32611").to_cf()
    del cf["crs_wkt"]
    bare = image.drop_vars("spatial_ref").assign_coords(mapping=xr.Variable((), 0, cf))
    assert Grid.from_dataarray(bare).metres_per_unit == 1.0


@pytest.mark.parametrize("crs", [32611, "EPSG:32611", "+proj=utm +zone=11 +datum=WGS84"])
def test_crs_from_an_attribute(crs):
    """Else images of programs that write attrs["crs"] have no CRS."""
    image = xr.DataArray(np.zeros((4, 4)), dims=("y", "x"), attrs={"crs": crs})
    assert Grid.from_dataarray(image).metres_per_unit == 1.0


@pytest.mark.filterwarnings("ignore:.*set_crs:FutureWarning")
def test_crs_set_and_not_written(pixels, image):
    """Else the CRS that rio.set_crs keeps in its accessor is lost."""
    bare = image(pixels[0]).rio.set_crs("EPSG:32611")
    disp = xsubpix.correlate(bare, bare, model="phase", window=16, step=32)
    assert disp.rio.crs.to_epsg() == 32611


def test_map_with_heights(utm):
    """Else a compound CRS, map and height, is refused as no map."""
    assert Grid.from_dataarray(utm(np.zeros((4, 4)), crs="EPSG:32611+5773")).metres_per_unit == 1.0


@pytest.mark.parametrize("crs", ["EPSG:4978", "EPSG:5773"])
def test_crs_that_is_no_map(utm, crs):
    """Else metres are made up for heights or geocentric coordinates."""
    with pytest.raises(GridError, match="no map"):
        Grid.from_dataarray(utm(np.zeros((4, 4)), crs=crs))


def test_unreadable_crs(pixels, image):
    """Else PROJ's error comes out as it is."""
    pre, post = map(image, pixels)
    bad = pre.assign_coords(spatial_ref=xr.Variable((), 0, {"crs_wkt": "PROJCS[nonsense"}))
    with pytest.raises(GridError, match=r"cannot read the CRS of pre.*write_crs"):
        xsubpix.correlate(bad, post)


# -------------------------------------------------------------- the same grid


def test_rounding_of_coordinates_passes_and_keeps_all_pixels(pixels, utm, identical):
    """Else coordinates that differ by 1e-7 m are refused, or align to an empty field."""
    pre, post = map(utm, pixels)
    near = post.assign_coords(x=post.x + 1e-7, y=post.y - 1e-7)
    disp = xsubpix.correlate(pre, near, model="phase", window=16, step=16)
    assert disp.sizes == {"y": 4, "x": 5}
    identical(disp, xsubpix.correlate(pre, post, model="phase", window=16, step=16))


@pytest.mark.parametrize(("offset", "same"), [(0.0009, True), (0.0011, False), (0.5, False)])
def test_tolerance_is_a_thousandth_of_a_pixel(pixels, utm, offset, same):
    """Else half a pixel of misplacement is measured as ground motion."""
    pre, post = map(utm, pixels)
    post = post.assign_coords(x=post.x + 10 * offset)
    if same:
        xsubpix.correlate(pre, post, model="phase", window=16, step=32)
    else:
        with pytest.raises(
            GridError, match=rf"up to {offset} px.*post\.rio\.reproject_match\(pre\)"
        ):
            xsubpix.correlate(pre, post)


def test_growing_offset_is_found_at_the_far_corner(utm):
    """Else pixels of 10.0 m and 10.001 m pass because the first corner agrees."""
    pre, post = utm(np.zeros((64, 80))), utm(np.zeros((64, 80)))
    post = post.assign_coords(x=5e5 + 10.001 * (np.arange(80) + 0.5))
    with pytest.raises(GridError, match="reproject_match"):
        xsubpix.correlate(pre, post)


def test_two_utm_zones_are_refused_with_both_names(pixels, utm):
    """Else EPSG:32611 minus EPSG:32612 'works'."""
    pre, post = utm(pixels[0]), utm(pixels[1], crs="EPSG:32612")
    with pytest.raises(GridError, match=r"EPSG:32611 and EPSG:32612.*post\.rio\.reproject_match"):
        xsubpix.correlate(pre, post)


def test_one_crs_missing(pixels, utm):
    """Else an image without CRS is silently taken to be in the other's."""
    pre, post = utm(pixels[0]), utm(pixels[1]).drop_vars("spatial_ref")
    with pytest.raises(GridError, match=r"no CRS.*post\.rio\.write_crs\(pre\.rio\.crs\)"):
        xsubpix.correlate(pre, post)
    with pytest.raises(GridError, match=r"pre\.rio\.write_crs\(post\.rio\.crs\)"):
        xsubpix.correlate(post, pre)


def test_same_crs_in_other_words(pixels, utm):
    """Else the same zone written by two programs is refused."""
    pre, post = utm(pixels[0]), utm(pixels[1])
    gdal = pyproj.CRS("EPSG:32611").to_wkt("WKT1_GDAL")
    post["spatial_ref"].attrs = {"crs_wkt": gdal}
    xsubpix.correlate(pre, post, model="phase", window=16, step=32)


def test_shapes_must_agree(pixels, image):
    """Else images of two sizes are cut or broadcast."""
    pre, post = map(image, pixels)
    with pytest.raises(GridError, match=r"\(64, 80\) and \(64, 79\).*reproject_match"):
        xsubpix.correlate(pre, post[:, :-1])
    with pytest.raises(GridError, match="different shapes"):
        xsubpix.correlate(pre, post[:1])


def test_rows_that_run_the_other_way_are_another_grid(pixels, utm):
    """Else a flipped image is correlated upside down."""
    pre, post = map(utm, pixels)
    with pytest.raises(GridError, match="reproject_match"):
        xsubpix.correlate(pre, post[::-1])


# ------------------------------------------------------------------ the output


def test_coordinates_at_step_one_are_the_images_own(pixels, utm):
    """Else pre and disp do not align in arithmetic."""
    pre, post = (utm(p[:20, :24], size=0.3) for p in pixels)
    disp = xsubpix.correlate(pre, post, model="phase", window=8, step=1)
    for dim in ("y", "x"):
        assert disp[dim].values.tobytes() == pre[dim].values.tobytes()
        assert disp[dim].attrs == pre[dim].attrs
    assert (pre + disp.east).sizes == pre.sizes


@pytest.mark.parametrize("step", [2, 3, 7])
@pytest.mark.parametrize("north_up", [True, False])
def test_coordinates_at_a_step_are_the_block_centres(pixels, utm, step, north_up):
    """Else the field is displaced by half a block on the map."""
    pre, post = (utm(p, north_up=north_up) for p in pixels)
    disp = xsubpix.correlate(pre, post, model="phase", window=16, step=step)
    rows, cols = SHAPE[0] // step, SHAPE[1] // step
    assert disp.sizes == {"y": rows, "x": cols}
    for dim, n in (("y", rows), ("x", cols)):
        centres = pre[dim].values[: n * step].reshape(n, step).mean(1)
        np.testing.assert_allclose(disp[dim], centres, rtol=0, atol=1e-6)
    a, _, c, _, e, f = disp.rio.transform(recalc=True)[:6]
    assert (a, c) == pytest.approx((10.0 * step, 5e5))
    assert (e, f) == pytest.approx((-10.0 * step if north_up else 10.0 * step, 4e6))
    assert disp.rio.transform() == disp.rio.transform(recalc=True)


@pytest.mark.parametrize("step", [1, 4, 5, 8])
def test_values_belong_to_the_block_centres(scene, image, step):
    """Else a field that grows across the image is reported at a shifted place."""
    rows, cols = 48, 64
    col = np.arange(cols + 40.0) - 20
    base = scene((rows, cols + 40), seed=4).astype(float)
    gradient = 0.02
    # post(x) = pre(u(x)), u + gradient * u = x: each column u moved right by gradient * u.
    from scipy.ndimage import map_coordinates

    source = col[20:-20] / (1 + gradient) + 20
    yy, xx = np.meshgrid(np.arange(rows), source, indexing="ij")
    post = map_coordinates(base, [yy, xx], order=5, mode="mirror")
    disp = xsubpix.correlate(
        image(base[:, 20:-20]), image(post), model="phase", window=16, step=step, search=4
    )
    centre = np.arange(cols // step) * step + (step - 1) / 2
    inside = (centre > 10) & (centre < cols - 11)
    error = disp.east.values[:, inside] - gradient * centre[inside]
    # Half a pixel of misplacement is an error of 0.01 px here.
    assert abs(np.nanmedian(error)) < 0.004


def test_nothing_leaks_from_the_images(pixels, utm):
    """Else the field claims to be reflectance, at one date, with the image's nodata."""
    pre, post = map(utm, pixels)
    pre = pre.rename("B04").assign_coords(time=np.datetime64("2019-07-04", "ns"), band=4)
    pre.attrs = {"long_name": "reflectance", "units": "DN", "_FillValue": -1.0, "scale_factor": 2.0}
    pre.encoding.update(dtype="int16", scale_factor=1e-4, zlib=True)
    post = post.assign_coords(time=np.datetime64("2019-07-20", "ns"))
    disp = xsubpix.correlate(pre, post, model="phase", window=16, step=16)
    assert set(disp.data_vars) == {"east", "north", "sigma", "quality", "flags"}
    coords = {"x", "y", "spatial_ref", "reference_time", "secondary_time"}
    assert set(disp.coords) == coords
    for variable in disp.data_vars.values():
        assert not {"_FillValue", "scale_factor"} & set(variable.attrs)
        assert "reflectance" not in variable.attrs["long_name"]
        assert set(variable.encoding) <= {"grid_mapping"}
    assert disp.reference_time.values == np.datetime64("2019-07-04")
    assert disp.secondary_time.values == np.datetime64("2019-07-20")
    assert disp.reference_time.ndim == 0


def test_times_when_only_one_image_has_one(pixels, image):
    """Else a missing date is invented or hides the other."""
    pre, post = map(image, pixels)
    dated = post.assign_coords(time=np.datetime64("2019-07-20", "ns"))
    disp = xsubpix.correlate(pre, dated, model="phase", window=16, step=32)
    assert "reference_time" not in disp.coords
    assert disp.secondary_time.values == np.datetime64("2019-07-20")
    disp_at_step_one = xsubpix.correlate(pre, dated, model="phase", window=16, step=1)
    assert "spatial_ref" not in disp_at_step_one.coords
    no_date = pre.assign_coords(time=np.datetime64("NaT", "ns"))
    assert (
        "reference_time"
        not in xsubpix.correlate(no_date, dated, model="phase", window=16, step=32).coords
    )


def test_time_as_a_dimension_of_size_one(pixels, image):
    """Else the date of a stack's slice, kept as a dimension, is lost."""
    pre, post = map(image, pixels)
    dated = pre.expand_dims(time=np.array(["2019-07-04"], "M8[ns]"))
    disp = xsubpix.correlate(dated, post, model="phase", window=16, step=32)
    assert disp.reference_time.values == np.datetime64("2019-07-04")


def test_flags_are_described_as_cf_wants(pixels, image):
    """Else readers cannot decode the bits."""
    disp = xsubpix.correlate(*map(image, pixels), model="phase", window=16, step=16)
    flags = disp.flags
    assert flags.dtype == np.uint8
    assert flags.attrs["standard_name"] == "quality_flag"
    meanings = flags.attrs["flag_meanings"].split()
    first = ["nodata", "edge", "low_texture", "not_converged", "out_of_range"]
    assert meanings == [*first, "ambiguous"]
    assert flags.attrs["flag_masks"].dtype == np.uint8
    assert flags.attrs["flag_masks"].tolist() == [1, 2, 4, 8, 16, 32]
    assert int(flags.max()) < 32


def test_edge_flag_is_where_windows_reach_beyond_the_image(pixels, image):
    """Else half-empty windows pass for whole ones."""
    disp = xsubpix.correlate(*map(image, pixels), model="phase", window=16, step=1)
    whole = np.zeros(SHAPE, bool)
    # The taper of 16 pixels, centred on p, has weight from p - 7 to p + 7.
    whole[7:-7, 7:-7] = True
    np.testing.assert_array_equal((disp.flags.values & 2) > 0, ~whole)
    # At an even step it is centred between pixels and reaches 7.5 px to either side.
    disp = xsubpix.correlate(*map(image, pixels), model="phase", window=16, step=2)
    centre = 2 * np.arange(32) + 0.5
    beyond = (centre - 7.5 < 0) | (centre + 7.5 > 63)
    np.testing.assert_array_equal((disp.flags.values[:, 20] & 2) > 0, beyond)


def test_model_and_version_are_recorded(pixels, image):
    """Else a field on disk does not say how it was made."""
    disp = xsubpix.correlate(*map(image, pixels), model="phase", window=16, step=16)
    assert disp.attrs["model"] == "phase"
    assert "window=16" in disp.attrs["model_parameters"]
    assert "step=16" in disp.attrs["model_parameters"]
    stated = [disp.attrs[f"model_{name}"] for name in ("step", "blur", "error_length")]
    assert stated == [16, 8.0, 8.0]
    assert disp.attrs["xsubpix_version"] == xsubpix.__version__


# ------------------------------------------------------------ pixels and the CRS


@pytest.mark.parametrize(
    "transform", [(10.0, 0.0, 5e5, 0.0, -10.0, 4e6), (8.0, 3.0, 5e5, 2.0, -9.0, 4e6)]
)
def test_at_and_index(transform):
    """Else a pixel's centre is taken for its corner, or rows for columns."""
    grid = Grid(("y", "x"), (30, 40), transform)
    rows, cols = np.arange(30)[:, None], np.arange(40)[None, :]
    x, y = np.broadcast_arrays(*grid.at(rows, cols))
    a, b, c, d, e, f = transform
    assert (x[3, 7], y[3, 7]) == (a * 7.5 + b * 3.5 + c, d * 7.5 + e * 3.5 + f)
    row, col = grid.index(x, y)
    np.testing.assert_allclose(row, np.broadcast_to(rows, row.shape), atol=1e-9)
    np.testing.assert_allclose(col, np.broadcast_to(cols, col.shape), atol=1e-9)
    np.testing.assert_allclose(grid.corners()[0], grid.at(-0.5, -0.5))
    assert grid.is_rotated == bool(b or d)


def test_at_is_where_the_image_says(utm):
    """Else a grid's own coordinates and those of the image are two."""
    image = utm(np.zeros((5, 7)), size=15.0)
    x, y = Grid.from_dataarray(image).at(np.arange(5), 0)
    np.testing.assert_allclose(y, image.y.values)
    assert x == pytest.approx(float(image.x[0]))


def test_matrix_to_another_grid():
    """Else a coarser grid is looked up a pixel away."""
    fine = Grid(("y", "x"), (40, 60), (5.0, 0.0, 5e5, 0.0, -5.0, 4e6))
    np.testing.assert_allclose(
        fine.matrix_to(fine.coarsen(4)) @ (8, 4, 1), (2.0, 1.0, 1.0), atol=1e-9
    )


def test_transform_is_affine_and_mapping_is_kept(utm):
    """Else a grid is a bare tuple, and its CRS is looked for again when output is built."""
    image = utm(np.zeros((4, 5))).drop_vars("spatial_ref")
    image = image.rio.write_crs("EPSG:32611", grid_mapping_name="mapping")
    grid = Grid.from_dataarray(image)
    assert isinstance(grid.transform, Affine)
    assert grid.grid_mapping == "mapping"
    assert grid == dataclasses.replace(grid, grid_mapping="crs")
    assert Grid(grid.dims, grid.shape, tuple(grid.transform)[:6]).transform == grid.transform


def test_crs_is_parsed_once(utm, monkeypatch):
    """Else each function that a field passes through spends milliseconds on the same text."""
    image = utm(np.zeros((4, 5)))
    first = Grid.from_dataarray(image)
    monkeypatch.setattr(pyproj.CRS, "from_user_input", None)
    assert Grid.from_dataarray(image + 1.0).crs is first.crs
