"""Points for models of slip, with covariances that hold; fields beside GNSS."""

import numpy as np
import pytest
import xarray as xr
from scipy.ndimage import gaussian_filter

import xsubpix
from xsubpix import DataError, FileError, ModelError
from xsubpix.displacement.quadtree import _covariance
from xsubpix.kernels.variogram import Variogram


@pytest.fixture(scope="module")
def noisy(field):
    rng = np.random.default_rng(0)

    def draw():
        smooth = gaussian_filter(rng.normal(size=(192, 192)), 3.0)
        return 0.2 * smooth / smooth.std()

    return field(draw(), draw())


def test_cells_are_dense_where_the_field_bends(noisy):
    """Else the near field has as few points as the far field."""
    noise = noisy.subpix.statistics()
    moved = noisy.copy(deep=True)
    moved["east"][:, 100:] += 4.0
    points = moved.subpix.quadtree(threshold=0.6, smallest=4, largest=64, noise=noise)
    near = abs(points.x - (5e5 + 2000)) < 200
    assert float(points.side[near].mean()) < 0.3 * float(points.side[~near].mean())
    total = float((points.side**2).sum())
    assert total == pytest.approx(192 * 192 * 400, rel=1e-6)
    left, right = points.east[points.x < 5.018e5], points.east[points.x > 5.022e5]
    assert float(right.mean() - left.mean()) == pytest.approx(4.0, abs=0.1)


def test_the_covariance_holds(noisy):
    """Else a model of slip believes its data too much, or cannot invert the matrix."""
    noise = noisy.subpix.statistics()
    points = noisy.subpix.quadtree(threshold=9.0, smallest=4, largest=16, noise=noise)
    for name in ("east", "north"):
        predicted = float(points[f"{name}_sigma"].mean())
        assert float(points[name].std()) == pytest.approx(predicted, rel=0.4)
        matrix = points[f"{name}_covariance"].values
        np.testing.assert_allclose(matrix, matrix.T)
        assert np.linalg.eigvalsh(matrix).min() > 0
    with pytest.raises(ModelError, match="power of two"):
        noisy.subpix.quadtree(threshold=1.0, smallest=4, largest=60)


def test_points_are_written(noisy, tmp_path):
    """Else the points stay in Python."""
    points = noisy.subpix.quadtree(threshold=9.0, smallest=4, largest=64)
    table = points.drop_dims("other")
    table.subpix.to_points(tmp_path / "a.geojson")
    assert (tmp_path / "a.geojson").stat().st_size > 500
    assert len(table.to_dataframe()) == points.sizes["point"] == 9


def test_a_field_beside_gnss(noisy, tmp_path):
    """Else stations are compared by hand, in the wrong CRS."""
    import pyproj

    to = pyproj.Transformer.from_crs(32611, 4326, always_xy=True)
    moved = noisy + 1.0
    moved = moved.rio.write_crs(32611)
    lon, lat = to.transform([5.01e5, 5.02e5, 5.9e5], [3.9990e6, 3.9980e6, 3.999e6])
    path = tmp_path / "gnss.csv"
    rows = [f"S{k},{a:.9f},{b:.9f},1.0,0.8" for k, (a, b) in enumerate(zip(lon, lat, strict=True))]
    path.write_text("\n".join(["name,lon,lat,east,north", *rows]))
    got = moved.subpix.sample(path, radius=300.0)
    assert list(got.station.values) == ["S0", "S1", "S2"]
    np.testing.assert_allclose(got.east_difference[:2], 0, atol=0.3)
    np.testing.assert_allclose(got.north_difference[:2], 0.2, atol=0.3)
    assert np.isnan(got.east[2])
    assert int(got.n_values[2]) == 0
    at = xsubpix.sample(moved, [[5.01e5, 3.9990e6]], radius=300.0)
    assert float(at.east[0]) == pytest.approx(float(got.east[0]), abs=1e-3)
    with pytest.raises(DataError, match="lon"):
        moved.subpix.sample({"a": [1]})
    with pytest.raises(FileError, match="cannot read"):
        moved.subpix.sample(tmp_path / "none.csv")


def test_quadtree_as_geopackage(tmp_path):
    """Else the points cannot be opened in a GIS, since their covariance has two dimensions."""
    geopandas = pytest.importorskip("geopandas")
    noise = np.random.default_rng(0).normal(0, 0.1, (2, 64, 64))
    pixel = {"y": 4e6 - 30.0 * np.arange(64), "x": 5e5 + 30.0 * np.arange(64)}
    disp = xr.Dataset(
        {n: (("y", "x"), a) for n, a in zip(("east", "north"), noise, strict=True)}, pixel
    ).rio.write_crs("EPSG:32611")
    points = xsubpix.quadtree(disp, threshold=0.5, smallest=4, largest=32)
    points.subpix.to_points(tmp_path / "points.gpkg")
    points.subpix.to_points(tmp_path / "points.csv")
    table = np.genfromtxt(tmp_path / "points.csv", delimiter=",", names=True)
    assert len(table) == points.sizes["point"]
    np.testing.assert_allclose(table["east"], points.east)
    back = geopandas.read_file(tmp_path / "points.gpkg")
    assert back.crs.to_epsg() == 32611
    np.testing.assert_allclose(back["east"], points.east)
    np.testing.assert_allclose(back.geometry.x, points.x)
    assert {"east_sigma", "north_sigma", "side", "n_values"} <= set(back.columns)


def test_samples_are_drawn():
    """Else the comparison with GNSS is a table nobody looks at."""
    pytest.importorskip("matplotlib")
    moved = (("y", "x"), np.full((40, 60), 1.5))
    pixel = {"y": -30.0 * np.arange(40), "x": 30.0 * np.arange(60)}
    disp = xr.Dataset({"east": moved, "north": moved}, pixel)
    table = {"x": [600.0, 900.0, -1e6], "y": [-600.0, -300.0, 0.0], "east": [1.2, 1.6, 0.0],
             "north": [1.5, 1.4, 0.0], "name": ["A", "B", "C"]}  # fmt: skip
    figure = xsubpix.sample(disp, table).subpix.plot(title="GNSS")
    titles = [ax.get_title() for ax in figure.axes]
    assert titles[0].startswith("east: 2 points, median 0.1")
    figure.canvas.draw()
    alone = {k: table[k] for k in ("x", "y")}
    assert len(xsubpix.sample(disp, alone).subpix.plot().axes) == 2


@pytest.mark.parametrize("power", [1.0, 2.0])
@pytest.mark.parametrize("reach", [30.0, 300.0, 3000.0])
def test_the_covariance_is_positive_definite(reach, power):
    """Else a least-squares script fails at its Cholesky factor, or a sum has no variance."""
    model = Variogram(0.01, 1.0, reach, power)
    rng = np.random.default_rng(0)
    side = np.repeat([40.0, 80.0, 320.0], [200, 50, 4])
    # Cells that touch, as a quadtree's do.
    blocks = ((20, 10, 40.0, 0.0), (10, 5, 80.0, (0, 420)), (2, 2, 320.0, 900))
    at = [
        np.stack(np.meshgrid(np.arange(n), np.arange(m)), -1).reshape(-1, 2) * width + shift
        for n, m, width, shift in blocks
    ]
    matrix = _covariance(model, np.concatenate(at), side, np.full(side.size, 16))
    assert np.linalg.eigvalsh(matrix)[0] > 0
    np.linalg.cholesky(np.linalg.inv(matrix))
    # The variance of a mean over a cell, by chance points in it.
    for k in (0, 220, 252):
        one, two = rng.uniform(0, side[k], (2, 200_000, 2))
        truth = model.covariance(np.hypot(*(one - two).T)).mean() + 0.01 / 16
        assert matrix[k, k] == pytest.approx(truth, rel=0.2, abs=0.03)
