"""The report, the product commands and the style for QGIS, on one small earthquake."""

import re

import numpy as np
import pytest
import rasterio

import xsubpix
from xsubpix.cli import main
from xsubpix.estimators import Flag

matplotlib = pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """disp.tif: a step of 2 m, a tenth of it wrong and flagged; trace.geojson; back.tif."""
    import json

    import pyproj
    import rioxarray  # noqa: F401  (registers .rio)
    import xarray as xr

    path = tmp_path_factory.mktemp("report")
    rng = np.random.default_rng(0)
    shape = (120, 140)
    x, y = 5e5 + 20.0 * (np.arange(140) + 0.5), 4e6 - 20.0 * (np.arange(120) + 0.5)
    wrong = rng.random(shape) < 0.1
    east = np.where(y > 3.9988e6, 1.0, -1.0)[:, None] + rng.normal(0, 0.05, shape)
    dims = ("y", "x")
    disp = xr.Dataset(
        {
            "east": (dims, np.where(wrong, 90, east).astype("f4"), {"units": "m"}),
            "north": (dims, rng.normal(0, 0.05, shape).astype("f4"), {"units": "m"}),
            "sigma": (dims, np.full(shape, 0.05, "f4"), {"units": "m"}),
            "quality": (dims, rng.random(shape).astype("f4")),
            "flags": (
                dims, np.where(wrong, Flag.OUT_OF_RANGE, 0).astype("u1"),
                {"flag_masks": np.array(list(Flag.MEANINGS.values()), "u1"),
                 "flag_meanings": " ".join(Flag.MEANINGS)},
            ),
        },
        {"y": y, "x": x},
        {"model": "phase"},
    ).rio.write_crs(32611)  # fmt: skip
    xsubpix.to_cog(disp, path / "disp.tif")
    to = pyproj.Transformer.from_crs(32611, 4326, always_xy=True)
    ends = [to.transform(5e5 - 10, 3.9988e6), to.transform(5.028e5 + 10, 3.9988e6)]
    trace = {"type": "LineString", "coordinates": ends}
    (path / "trace.geojson").write_text(json.dumps(trace))
    disp.quality.rio.to_raster(path / "back.tif")
    return path


def run(folder, name, out, *options):
    return main([name, str(folder / "disp.tif"), str(folder / out), *options])


def trace(folder):
    return ("--trace", str(folder / "trace.geojson"))


def test_report_is_one_page_without_network(folder):
    """Else it opens in the office and not in the field."""
    assert run(folder, "report", "a.html", *trace(folder), "--title", "A <test>") == 0
    page = (folder / "a.html").read_text()
    assert not re.findall(r"(?:src|href)=\"(?!data:)", page)
    assert "A &lt;test&gt;" in page
    for words in ("Offsets along the trace", "Statistics of stable ground", "Profiles across",
                  "out_of_range", "Parameters and versions", "xsubpix"):  # fmt: skip
        assert words in page
    assert page.count("data:image/png") >= 6
    assert run(folder, "report", "a.html") == 2


def test_products_at_the_command_line(folder, capsys):
    """Else a user of the command line must learn Python for the last step."""
    options = ("--spacing", "600", "--half-length", "800")
    assert run(folder, "offsets", "o.csv", *trace(folder), *options) == 0
    assert "left out: 10" in capsys.readouterr().out
    rows = (folder / "o.csv").read_text().splitlines()
    column = rows[0].split(",").index("parallel")
    values = [abs(float(row.split(",")[column])) for row in rows[1:]]
    assert values == pytest.approx([2.0] * len(values), abs=0.1)
    assert run(folder, "offsets", "o.png", *trace(folder), *options) == 0
    line = ("--line", "501000,3999500,501000,3998000", "--width", "400")
    assert run(folder, "profile", "p.csv", *line) == 0
    assert run(folder, "profile", "p.xyz", *line) == 2
    assert run(folder, "detrend", "flat.tif", *trace(folder), "--style") == 0
    flat = xsubpix.open_displacement(folder / "flat.tif").load().subpix.mask()
    assert float(flat.east[:50].median()) == pytest.approx(1.0, abs=0.05)
    assert list(flat.data_vars) == ["east", "north", "sigma", "quality", "flags"]
    assert run(folder, "destripe", "clean.tif", *trace(folder)) == 0
    for name in ("offsets", "profile", "detrend", "destripe", "plot", "report"):
        with pytest.raises(SystemExit):
            main([name, "--help"])
        assert f"example: xsubpix {name} disp.tif" in capsys.readouterr().out.replace("\n", " ")


def test_plot_with_all_that_a_map_has(folder):
    """Else a figure for a paper is drawn elsewhere."""
    options = ("--scale-bar", "--backdrop", str(folder / "back.tif"), "--vmax", "1.5",
               "--cmap", "PuOr")  # fmt: skip
    assert run(folder, "plot", "a.png", *trace(folder), *options) == 0
    disp = xsubpix.open_displacement(folder / "disp.tif")
    figure = disp.subpix.plot(vmax=1.5, map_coordinates=True, north_arrow=True, scale_bar=True)
    axes = figure.axes[0]
    assert axes.images[0].get_clim() == (-1.5, 1.5)
    assert 500 <= axes.get_xlim()[0] < 503
    assert "easting" in axes.get_xlabel()
    assert any("N" in text.get_text() for text in axes.texts)
    with pytest.raises(xsubpix.ModelError, match="lower one first"):
        disp.subpix.plot(vmin=2, vmax=1)
    with pytest.raises(xsubpix.GridError, match="backdrop"):
        disp.subpix.plot(backdrop=disp.quality.assign_coords(x=disp.x + 1e6))
    assert matplotlib.__version__


def test_style_beside_a_cog(folder):
    """Else a GIS shows the field in grey, flagged values and all."""
    import xml.etree.ElementTree as tree

    disp = xsubpix.open_displacement(folder / "disp.tif")
    disp.subpix.to_cog(folder / "styled.tif", style=True)
    with rasterio.open(folder / "styled.tif") as source:
        assert source.descriptions[-2:] == ("magnitude", "opacity")
        opacity = source.read(source.count)
    assert set(np.unique(opacity)) == {0.0, 255.0}
    np.testing.assert_array_equal(opacity == 0, disp.flags.values == Flag.OUT_OF_RANGE)
    for ending, band in (("", 1), ("_north", 2), ("_magnitude", 6)):
        style = tree.parse(folder / f"styled{ending}.qml").find(".//rasterrenderer")
        assert (style.get("band"), style.get("alphaBand")) == (str(band), "7")
        low, high = (float(style.get(f"classification{end}")) for end in ("Min", "Max"))
        assert low == (0.0 if ending == "_magnitude" else -high)
        assert 0.05 < high < 2  # 98 % of what is sure
        assert "m" in style.find(".//item").get("label")
