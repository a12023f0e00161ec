"""What the documentation says to type is what the package takes."""

import importlib.util
import re
import shlex
from pathlib import Path

import pytest
import xarray as xr

from xsubpix.cli.main import _parser, main
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
