"""What the documentation says to type is what the package takes."""

import importlib.util
import re
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import xsubpix
from xsubpix.cli.main import _parser, main
from xsubpix.rupture import Fault
from xsubpix.tutorial import example_earthquake, procedural_scene

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.rst"))]


def code_of(page: Path, language: str) -> list[str]:
    """Blocks of code of a language on a page."""
    text = page.read_text(encoding="utf-8")
    if page.suffix == ".md":
        return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.M | re.S)
    pattern = rf"^( *)\.\. code-block:: {language}\n\n((?:\1   .*\n|\n)+)"
    blocks = re.findall(pattern, text, flags=re.M)
    return ["\n".join(line[len(indent) + 3 :] for line in block.split("\n"))
            for indent, block in blocks]  # fmt: skip


def commands_of(page: Path) -> list[list[str]]:
    """Commands of this package on a page, as words."""
    blocks = code_of(page, "bash") + code_of(page, "console")
    lines = "\n".join(blocks).replace("\\\n", "").splitlines()
    lines = [line.removeprefix("$ ") for line in lines]
    return [shlex.split(line, comments=True) for line in lines if line.startswith("xsubpix ")]


COMMANDS = [(page.name, words) for page in PAGES for words in commands_of(page)]


def test_pages_have_commands():
    """Else the other tests here look at nothing."""
    assert len(COMMANDS) > 6
    assert {name for name, _ in COMMANDS} >= {"quickstart.rst", "networks.rst", "clusters.rst"}


@pytest.mark.parametrize(("page", "words"), COMMANDS, ids=lambda value: str(value)[:60])
def test_commands_are_taken(page, words):
    """Else a reader who copies a line gets an error."""
    _parser().parse_args(words[1:])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_is_python(page):
    """Else a reader who copies a block gets a syntax error."""
    for block in code_of(page, "python"):
        compile(block, page.name, "exec")


def test_quickstart_runs(tmp_path, monkeypatch):
    """Else the first lines that a reader types fail."""
    monkeypatch.chdir(tmp_path)
    pre = procedural_scene((96, 96))
    pre.rio.to_raster("pre.tif")
    example_earthquake(pre)[0].rio.to_raster("post.tif")
    names: dict[str, object] = {}
    for block in code_of(ROOT / "docs" / "quickstart.rst", "python"):
        exec(compile(block, "quickstart.rst", "exec"), names)
    assert Path("disp.tif").exists()
    assert isinstance(names["good"], xr.Dataset)


def run_page(page: str, names: dict[str, object], changes: dict[str, str]) -> dict[str, object]:
    """Run all Python of a page in order, with other values where its scene is smaller."""
    text = "\n".join(code_of(ROOT / "docs" / page, "python"))
    for old, new in changes.items():
        assert old in text, f"{page} no longer says {old!r}"
        text = text.replace(old, new)
    exec(compile(text, page, "exec"), names)
    return names


def test_paper_runs(tmp_path, monkeypatch):
    """Else the way from a field to a paper ends in an error, or its slip is another."""
    pytest.importorskip("matplotlib")
    geopandas, shapely = (pytest.importorskip(name) for name in ("geopandas", "shapely"))
    monkeypatch.chdir(tmp_path)
    scene = procedural_scene((128, 128))
    x, y = scene.x.values, scene.y.values
    fault = shapely.LineString([(x[0] - 50, y[40]), (x[-1] + 50, y[70])])
    geopandas.GeoSeries([fault], crs=scene.rio.crs).to_file("fault.geojson")
    truth = scene.subpix.synthetic_rupture(
        Fault.from_trace(np.array(fault.coords), slip=6.0, dip=88.0, rake=180.0, width=3e3)
    )
    moved = scene.subpix.warp_quintic(truth)
    disp = scene.subpix.correlate(moved, model="phase", window=16, step=4)
    disp.subpix.to_cog("disp.tif")
    gnss = pd.DataFrame({"x": x[[20, 70]], "y": y[[20, 70]], "east": 1.0, "north": 0.0})

    class Greens:
        """Greens' functions of two unknowns, for as many points as there are."""

        __array_ufunc__ = None  # else numpy takes it for a number

        def __rmatmul__(self, weight):
            return weight @ np.column_stack([np.ones(len(weight)), np.arange(len(weight))])

    changes = {
        "spacing=500.0, half_length=3000.0": "spacing=200.0, half_length=250.0",
        "buffer=20e3": "buffer=200.0", "radius=300.0": "radius=30.0",
    }  # fmt: skip
    names = run_page("paper.rst", {"gnss": gnss, "green": Greens()}, changes)
    # The slip of 6 m tapers toward the ends of the fault, which are those of the scene.
    assert 3.5 < float(names["offsets"].parallel.median()) < 6.5
    assert np.isfinite(names["slip"]).all()
    written = {path.name for path in tmp_path.iterdir()}
    assert {"offsets.pdf", "field.pdf", "field.tif", "field.qml", "report.html", "offsets.gpkg",
            "points.gpkg", "points.nc", "quake_east.yml"} <= written  # fmt: skip


def test_many_bands_and_dates_run(tmp_path, monkeypatch):
    """Else whoever has several bands, or several dates, is left alone with an error."""
    monkeypatch.chdir(tmp_path)
    scene = procedural_scene((224, 224))
    later = scene.subpix.warp_quintic((np.full(scene.shape, 0.7), np.zeros(scene.shape)))
    for name, image in (("before", scene), ("after", later)):
        bands = xr.concat([image, image**0.9], xr.Variable("band", [1, 2]))
        bands.rio.to_raster(f"{name}.tif")
    files = []
    for k in range(4):
        files.append(f"{k}.tif")
        scene.rio.to_raster(files[-1])
    changes = {
        'correlate(post, bands="combine")': 'correlate(post, bands="combine", model="phase")',
        "correlate(post).subpix": 'correlate(post, model="phase").subpix',
    }
    names = run_page("many.rst", {"xsubpix": xsubpix, "files": files}, changes)
    assert names["series"].east.dims[0] == "time"
    assert float(abs(names["fit"].east_step).mean()) < 0.1


def test_first_training_runs(tmp_path, monkeypatch, capsys):
    """Else whoever follows the page of networks fails at the first command."""
    pytest.importorskip("zarr")
    monkeypatch.chdir(tmp_path)
    Path("scenes").mkdir()
    for seed, name in enumerate(("coast", "plain", "valley")):
        scene = procedural_scene((160, 160), seed=seed, pixel_size=15.0)
        scene = scene.assign_coords(y=scene.y - 1e5 * seed)
        scene.rio.to_raster(f"scenes/{name}.tif")
    page = ROOT / "docs" / "networks.rst"
    build, train = [words for words in commands_of(page) if words[1] in ("database", "train")][:2]
    # The same commands on fewer, smaller samples.
    at = build.index("scenes/*.tif")
    build[at : at + 1] = sorted(str(path) for path in Path("scenes").glob("*.tif"))
    build[build.index("--faults") + 1] = "2,1,1"
    build += ["--frame", "128", "--crop", "64", "--scheduler", "synchronous", "--quiet"]
    assert main(build[1:]) == 0
    toml = code_of(page, "toml")[0].replace("steps = 8500", "steps = 2\nbatch = 1\ncrop = 64")
    assert "steps = 2" in toml
    Path("unet.toml").write_text(toml, encoding="utf-8")
    assert main([*train[1:], "--quiet", "--threads", "1", "--workers", "0"]) == 0
    assert Path("run", "weights.safetensors").exists()


def test_readme_has_the_figures_of_the_benchmark():
    """Else the README shows figures of an earlier state: ``python docs/readme_table.py``."""
    path = ROOT / "docs" / "readme_table.py"
    spec = importlib.util.spec_from_file_location("readme_table", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert module.with_table(text) == text


def test_every_page_is_in_a_list_of_pages():
    """Else no reader finds it."""
    listed = "\n".join(
        (ROOT / "docs" / f"{name}.rst").read_text(encoding="utf-8")
        for name in ("index", "guide", "background", "about")
    )
    names = {page.stem for page in (ROOT / "docs").glob("*.rst")}
    names -= {"index", "sg_execution_times"}
    assert [name for name in sorted(names) if f"   {name}\n" not in listed] == []
