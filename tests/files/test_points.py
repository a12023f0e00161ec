"""Offsets and profiles as points for a GIS."""

import json

import numpy as np
import pytest

import xsubpix
from xsubpix import DataError, FileError


def test_points_come_back(disp, tmp_path):
    """Else a GIS shows stations in the sea, or without their numbers."""
    geopandas = pytest.importorskip("geopandas")
    trace = [[500200.0, 3999500.0], [500700.0, 3999400.0]]
    got = disp.subpix.offsets(trace, spacing=250.0, half_length=330.0, gap=60.0)
    got["parallel"][0] = np.nan
    for name in ("a.geojson", "a.gpkg"):
        got.subpix.to_points(tmp_path / name)
        frame = geopandas.read_file(tmp_path / name)
        assert len(frame) == 2
        back = frame.to_crs(32611).geometry
        np.testing.assert_allclose(back.x, got.x, atol=1e-2)
        np.testing.assert_allclose(back.y, got.y, atol=1e-2)
        np.testing.assert_allclose(frame["parallel"].astype(float), got.parallel, rtol=1e-6)
    assert frame.crs.to_epsg() == 32611
    profile = disp.subpix.profile(trace, width=200.0)
    profile.subpix.to_points(tmp_path / "b.geojson")
    assert len(json.loads((tmp_path / "b.geojson").read_text())["features"]) == len(profile.x)
    with pytest.raises(DataError, match="offsets or a profile"):
        xsubpix.to_points(disp, tmp_path / "c.gpkg")
    with pytest.raises(FileError, match="ten letters"):
        xsubpix.to_points(got, tmp_path / "a.shp")
    assert not list(tmp_path.glob(".partial*"))
    with pytest.raises(FileError, match="overwrite"):
        xsubpix.to_points(got, tmp_path / "a.gpkg", overwrite=False)
