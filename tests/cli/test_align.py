"""The commands align and correlate --align: what they write, what they say."""

import numpy as np
import pytest
import rasterio

from xsubpix.cli import main


@pytest.fixture
def files(tmp_path, scene, utm):
    """Two scenes of other extents, (5.3, -3.6) px apart, with clouds as nodata."""
    pre = utm(scene((300, 300)))
    post = utm(scene((300, 300), (5.3, -3.6)))[10:, 20:]
    post[100:140, 60:120] = 0
    paths = [str(tmp_path / name) for name in ("pre.tif", "post.tif", "out.tif")]
    for image, path in zip((pre, post.rio.write_nodata(0)), paths, strict=False):
        image.rio.to_raster(path)
    return paths


def test_align_writes_the_image_on_the_grid_of_the_other(files, capsys):
    """Else the image that was aligned lies elsewhere, or nobody knows what was done."""
    assert main(["align", *files]) == 0
    assert "aligned: +5.30" in capsys.readouterr().err
    with rasterio.open(files[0]) as pre, rasterio.open(files[2]) as out:
        assert out.crs == pre.crs
        assert out.shape == (290, 280)
        assert out.tags()["registration_order"] == "0"
        window = rasterio.windows.Window(20, 10, 280, 290)
        rest = out.read(1)[20:-20, 20:-20] - pre.read(1, window=window)[20:-20, 20:-20]
    assert 0.9 < np.isfinite(rest).mean() < 1.0
    assert np.nanstd(rest) < 0.5
    assert main(["align", *files]) == 2
    assert "--overwrite" in capsys.readouterr().err


def test_correlate_with_align(files, capsys):
    """Else --align measures what it should have taken away."""
    options = ["--model", "phase", "--window", "32", "--align", "--align-search", "20", "--quiet"]
    assert main(["correlate", *files, *options]) == 0
    with rasterio.open(files[2]) as out:
        assert abs(np.nanmedian(out.read(1))) < 0.05
        assert abs(np.nanmedian(out.read(2))) < 0.05


def test_help_shows_an_example(capsys):
    """Else users guess at the order of the files."""
    for command in ("align", "correlate"):
        with pytest.raises(SystemExit):
            main([command, "--help"])
        assert f"example: xsubpix {command} before.tif" in capsys.readouterr().out
