"""The estimator that docs/contributing.rst shows is one: all that is promised comes with it."""

import ast
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import scipy.ndimage
import xarray as xr

import xsubpix
from xsubpix.estimators import Flag, registry

DOCS = Path(__file__).parents[1] / "docs"
NAME = "lucas_kanade"


@pytest.fixture(scope="module")
def snippet() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location(NAME, DOCS / "snippets" / f"{NAME}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[NAME] = module  # dask pickles by the name of the module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[NAME]


@pytest.fixture(scope="module")
def pair() -> tuple[xr.DataArray, xr.DataArray]:
    """Smooth ground, rows to the north, 10 m pixels; then moved +3 m east, -2 m north."""
    noise = np.random.default_rng(0).normal(size=(150, 170))
    ground = 1e3 * scipy.ndimage.gaussian_filter(noise, 2.5)
    moved = scipy.ndimage.shift(ground, (0.2, 0.3), order=5, mode="reflect")
    coords = {"y": 5000.0 - 10.0 * np.arange(150), "x": 10.0 * np.arange(170)}
    pre, post = (xr.DataArray(a, dims=("y", "x"), coords=coords) for a in (ground, moved))
    return pre.rio.write_crs("EPSG:32632"), post.rio.write_crs("EPSG:32632")


def test_the_page_shows_this_file() -> None:
    """If it fails, the contributing page shows something else than what is tested here."""
    assert f"snippets/{NAME}.py" in (DOCS / "contributing.rst").read_text(encoding="utf-8")


def test_it_is_thirty_lines() -> None:
    """If it fails, the page promises less work than it is."""
    source = (DOCS / "snippets" / f"{NAME}.py").read_text(encoding="utf-8")
    lines = source.splitlines()
    (whole,) = (node for node in ast.parse(source).body if isinstance(node, ast.ClassDef))
    documented = [n for n in ast.walk(whole) if isinstance(n, ast.ClassDef | ast.FunctionDef)]
    spoken = {
        line
        for node in documented
        if ast.get_docstring(node)
        for line in range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1)
    }
    code = set(range(whole.lineno, (whole.end_lineno or 0) + 1)) - spoken
    assert sum(bool(lines[n - 1].strip()) for n in code) <= 30
    assert "30 lines" in (DOCS / "contributing.rst").read_text(encoding="utf-8")


def test_every_model_is_documented() -> None:
    """If it fails, a model was registered that the documentation does not name."""
    for page in ("quickstart.rst", "citing.rst"):
        text = (DOCS / page).read_text(encoding="utf-8")
        assert [name for name in xsubpix.available_models() if f'"{name}"' not in text] == []
    listed = (DOCS / "api" / "estimators.rst").read_text(encoding="utf-8")
    for module, name in registry._REGISTRY.values():
        assert f"estimators.{module}.{name}\n" in listed


@pytest.mark.parametrize("step", [1, 4, 5])
def test_signs_and_units(
    snippet: ModuleType, pair: tuple[xr.DataArray, xr.DataArray], step: int
) -> None:
    """If it fails, a reader who copies the example gets a wrong sign, unit or place."""
    disp = xsubpix.correlate(*pair, model=snippet.LucasKanade(window=21, step=step))
    inside = disp.where((disp.flags & Flag.EDGE) == 0)
    assert float(abs(inside.east - 3.0).max()) < 0.5
    assert float(abs(inside.north + 2.0).max()) < 0.5
    assert disp.east.attrs["units"] == "m"
    assert disp.attrs["model"] == "lucas-kanade"


def test_chunks_do_not_matter(snippet: ModuleType, pair: tuple[xr.DataArray, xr.DataArray]) -> None:
    """If it fails, the example's halo is too small: its results depend on the chunking."""
    pre, post = pair
    model = snippet.LucasKanade()
    eager = xsubpix.correlate(pre, post, model=model, step=2)
    lazy = xsubpix.correlate(pre.chunk(y=37, x=41), post.chunk(y=64), model=model, step=2)
    assert lazy.east.chunks is not None
    xr.testing.assert_identical(eager, lazy.compute())


def test_missing_data_rule(snippet: ModuleType, pair: tuple[xr.DataArray, xr.DataArray]) -> None:
    """If it fails, the example breaks the rule of half a window that all models keep."""
    pre, post = pair
    holed = pre.copy()
    holed[40:90, 50:100] = np.nan
    whole = xsubpix.correlate(pre, post, model=snippet.LucasKanade())
    disp = xsubpix.correlate(holed, post, model=snippet.LucasKanade())
    share = scipy.ndimage.uniform_filter(
        np.isfinite(holed.values).astype(float), 21, mode="constant"
    )
    np.testing.assert_array_equal(np.isnan(disp.east.values), share < 0.5)
    np.testing.assert_array_equal((disp.flags & Flag.NODATA) > 0, share < 0.5)
    hole = xr.zeros_like(pre, dtype=bool)
    hole[40 - 11 : 90 + 11, 50 - 11 : 100 + 11] = True
    far = ~hole.values
    # Sums run along rows and columns: rounding alone passes beyond a window.
    np.testing.assert_allclose(disp.east.values[far], whole.east.values[far], atol=1e-3)


def test_one_registry_line_is_enough(
    snippet: ModuleType,
    pair: tuple[xr.DataArray, xr.DataArray],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """If it fails, a model takes more than the line that the page names to get a name."""
    monkeypatch.setattr(
        registry, "import_module", lambda name: snippet if name.endswith(NAME) else None
    )
    monkeypatch.setitem(registry._REGISTRY, "lucas-kanade", (NAME, "LucasKanade"))
    assert "lucas-kanade" in xsubpix.available_models()
    disp = xsubpix.correlate(*pair, model="lucas-kanade", window=15, step=8)
    assert "window=15" in disp.attrs["model_parameters"]
    with pytest.raises(xsubpix.ModelError, match="has no parameter 'search'"):
        xsubpix.correlate(*pair, model="lucas-kanade", search=4)


def test_flat_ground_is_flagged(
    snippet: ModuleType, pair: tuple[xr.DataArray, xr.DataArray]
) -> None:
    """If it fails, the example gives numbers where there is nothing to measure."""
    flat = xr.zeros_like(pair[0])
    disp = xsubpix.correlate(flat, flat, model=snippet.LucasKanade())
    inside = (disp.flags & Flag.EDGE) == 0
    assert bool(disp.east.isnull().all())
    assert bool((disp.flags.where(inside, Flag.LOW_TEXTURE) == Flag.LOW_TEXTURE).all())
