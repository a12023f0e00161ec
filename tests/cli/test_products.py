"""The command demo: table, picture, GeoTIFF."""

import pytest
import rasterio

from xsubpix.cli import main


def test_demo_makes_table_picture_and_geotiff(tmp_path, capsys):
    """Else the first command a newcomer runs fails."""
    pytest.importorskip("matplotlib")
    assert main(["demo", str(tmp_path / "demo"), "--size", "160", "--step", "8"]) == 0
    table = capsys.readouterr().out
    for word in ("mean EPE", "near fault", "zero predictor", "seconds"):
        assert word in table
    rows = [line.split() for line in table.splitlines() if line.startswith(("phase", "zero"))]
    errors = {row[0].strip(","): float(row[-8]) for row in rows}
    assert errors["phase"] < errors["zero"]
    with rasterio.open(tmp_path / "demo" / "demo.tif") as field:
        assert field.count == 5
    assert (tmp_path / "demo" / "demo.png").stat().st_size > 10_000
