"""Numbers that are no coordinates are refused; metres are those of the ground, on every map."""

import numpy as np
import pyproj
import pytest
import rasterio
import rioxarray
import xarray as xr
from rasterio.control import GroundControlPoint

import xsubpix
from xsubpix import DimensionError, Grid, GridError

PHASE = {"model": "phase", "window": 16, "step": 8}


@pytest.fixture(scope="module")
def moved(scene):
    """A pair that moved a pixel to the right."""
    full = scene((48, 49))
    return full[:, 1:], full[:, :-1]


def placed(pixels, crs, x0, y0, size):
    rows, cols = pixels.shape
    coords = {"y": y0 - size * np.arange(rows), "x": x0 + size * np.arange(cols)}
    return xr.DataArray(pixels, coords, ("y", "x")).rio.write_crs(crs)


def inner(field):
    return float(np.nanmedian(field.values[1:-1, 1:-1]))


@pytest.mark.parametrize(
    ("crs", "lon", "lat"),
    [
        ("EPSG:3857", 20.0, 60.0), ("EPSG:3857", 20.0, -45.0), ("EPSG:3031", 30.0, -85.0),
        ("EPSG:3413", -45.0, 60.0), ("EPSG:4087", 10.0, 50.0), ("EPSG:32611", -117.0, 35.0),
        ("EPSG:3035", 10.0, 40.0), ("EPSG:2193", 172.0, -43.0),
    ],
)  # fmt: skip
def test_metres_of_the_ground(moved, crs, lon, lat):
    """13 m for 6.5 m at 60 degrees of Web Mercator: map metres were taken for ground metres."""
    to_map = pyproj.Transformer.from_crs("EPSG:4326", crs, always_xy=True)
    x0, y0 = to_map.transform(lon, lat)
    size = 20.0
    pre, post = (placed(p, crs, x0, y0, size) for p in moved)
    disp = xsubpix.correlate(pre, post, **PHASE)
    lons, lats = to_map.transform(
        x0 + size * np.array([24, 25]), y0 - size * np.array([24, 24]), direction="INVERSE"
    )
    ground = pyproj.Geod(ellps="WGS84").inv(lons[0], lats[0], lons[1], lats[1])[2]
    assert inner(disp.east) == pytest.approx(ground, rel=0.012)
    assert abs(inner(disp.north)) < 0.5
    assert inner(xsubpix.to_pixels(disp).dx) == pytest.approx(1 / 8, rel=0.05)
    assert inner(xsubpix.magnitude(disp)) == pytest.approx(ground, rel=0.012)


def test_products_on_a_stretched_map():
    """Strain, distances and buffers are of the ground too: 2 m over 1000 m are 2e-3."""
    x0, y0 = pyproj.Transformer.from_crs("EPSG:4326", "EPSG:3857", always_xy=True).transform(20, 60)
    east = 2e-3 * 10.0 * np.arange(60) * np.ones((50, 1))  # of pixels 10 m wide on the ground
    disp = xr.Dataset({"east": placed(east.astype("f4"), "EPSG:3857", x0, y0, 20.0)})
    disp["north"] = 0 * disp["east"]
    assert inner(xsubpix.strain(disp, scale=50.0).dilatation) == pytest.approx(2e-3, rel=0.01)
    line = [(x0 + 200.0, y0 - 500.0), (x0 + 1000.0, y0 - 500.0)]
    profile = xsubpix.profile(disp, line, width=100.0)
    assert float(profile.distance[-1]) == pytest.approx(400.0, abs=10.0)
    assert float(profile.x[0]) == pytest.approx(x0 + 200.0, abs=20.0)


def test_lazy_and_eager_agree_on_a_stretched_map(moved, identical):
    """The scale of a block is that of the whole."""
    pre, post = (placed(p, "EPSG:3857", 2e6, 8.4e6, 20.0) for p in moved)
    chunks = {"y": 17, "x": 23}
    identical(xsubpix.correlate(pre, post, **PHASE),
              xsubpix.correlate(pre.chunk(chunks), post.chunk(chunks), **PHASE))  # fmt: skip


def test_control_points_only(tmp_path, moved):
    """63,696 m for 11.9 m: pixels were degrees."""
    corners = [(0, 0, 10, 45), (0, 48, 10.01, 45), (48, 0, 10, 44.99), (48, 48, 10.01, 44.99)]
    images = []
    for name, pixels in zip(("pre", "post"), moved, strict=True):
        path = tmp_path / f"{name}.tif"
        with rasterio.open(
            path, "w", driver="GTiff", height=48, width=48, count=1, dtype="float32",
            gcps=[GroundControlPoint(*corner) for corner in corners], crs="EPSG:4326",
        ) as out:  # fmt: skip
            out.write(pixels, 1)
        images.append(path)
    for opened in (
        [xsubpix.open_image(path) for path in images],
        [rioxarray.open_rasterio(path).squeeze("band", drop=True) for path in images],
    ):
        with pytest.raises(GridError, match="neither coordinates nor an affine transform"):
            xsubpix.correlate(*opened, **PHASE)


@pytest.mark.parametrize(
    ("crs", "x0", "y0", "size", "words"),
    [
        ("EPSG:4326", 5e5, 4e6, 10.0, "no longitudes and latitudes"),  # 252,050 m for 13 m
        ("EPSG:4326", 10.0, 90.5, 0.01, "no longitudes and latitudes"),
        ("EPSG:4326", 3000.0, 45.0, 1e-4, "no longitudes and latitudes"),
        ("EPSG:32611", -117.0, 35.0, 1e-4, "look like degrees"),
        ("EPSG:2053", 5e4, 3e6, 10.0, "run south and west"),
        ("EPSG:5513", 1e6, 7e5, 10.0, "run south and west"),
    ],
)
def test_numbers_that_are_no_coordinates(moved, crs, x0, y0, size, words):
    """A number of metres comes out, and it is none of any ground."""
    pre, post = (placed(p, crs, x0, y0, size) for p in moved)
    with pytest.raises(GridError, match=words):
        xsubpix.correlate(pre, post, **PHASE)


def test_dimensions_that_contradict_their_coordinates(moved):
    """Rows called x: east would be north."""
    image = placed(moved[0], "EPSG:4326", 10.0, 45.0, 1e-4)
    image.y.attrs["standard_name"], image.x.attrs["standard_name"] = "longitude", "latitude"
    with pytest.raises(DimensionError, match="contradict"):
        xsubpix.correlate(image, image, **PHASE)


ROTATED_POLE = {
    "grid_mapping_name": "rotated_latitude_longitude", "grid_north_pole_latitude": 39.25,
    "grid_north_pole_longitude": -162.0,
}  # fmt: skip


def test_turned_globe():
    """The convergence of a derived CRS was 0, and its metres those of another latitude."""
    crs = pyproj.CRS.from_cf(ROTATED_POLE)
    image = placed(np.zeros((40, 40), "f4"), crs, 20.0, 10.0, 1e-3)
    grid = Grid.from_dataarray(image)
    to_degrees = pyproj.Transformer.from_crs(crs, crs.source_crs, always_xy=True)
    geod = pyproj.Geod(ellps="WGS84")
    x, y = image.x.values[20], image.y.values[20]
    lon, lat = to_degrees.transform(x, y)
    lon1, lat1 = to_degrees.transform(x + 1e-3, y)
    azimuth, _, width = geod.inv(lon, lat, lon1, lat1)
    one = np.ones((1, 1))
    east, north = grid.to_metres(one, 0 * one, np.array([20]), np.array([20]))
    assert float(east[0, 0]) == pytest.approx(width, rel=1e-3)
    assert float(north[0, 0]) == 0.0
    disp = xr.Dataset({"east": image + np.float32(1.0), "north": image})
    turned = xsubpix.true_north(disp)
    # The images of the axes are at right angles to 0.2 degrees on the ellipsoid.
    assert float(turned.convergence[20, 20]) == pytest.approx(azimuth - 90.0, abs=0.3)
    assert abs(float(turned.convergence[20, 20])) > 5.0
