"""Examples in docstrings, run as tests: ``pytest --doctest-modules src``.

Each runs in an empty folder of its own with ``np``, ``xr`` and ``xsubpix`` imported, as the
documentation assumes; those that name ``scene.tif`` or ``db.zarr`` find a small image or a small
database there. Those of an extra that is not installed are skipped.
"""

import importlib.util
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr

import xsubpix

os.environ["MPLBACKEND"] = "agg"

# pytest, importing the module xsubpix.correlate, puts it in the place of the function.
PUBLIC = {name: getattr(xsubpix, name) for name in xsubpix.__all__}
# Module of an extra: what an example that needs it says.
EXTRAS = {
    "bokeh": r"explore\(",
    "cv2": r"\b(deepflow|dis|tvl1)\b",
    "geopandas": r"\.gpkg",
    "interpol": r"\binterpol\b",
    "matplotlib": r"\.plot\b|plot_|matplotlib",
    "netCDF4": r"\.nc\b",
    "numba": r"\bmicmac\b",
    "shapely": r"\bshapely\b",
    "zarr": r"\.zarr\b|scene\.tif|_database\(",
}


def pytest_configure(config: pytest.Config) -> None:
    """Let pass what rioxarray 0.19 does with affine 3."""
    config.addinivalue_line("filterwarnings", "ignore:Use `@` matmul:PendingDeprecationWarning")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip examples of extras that are not installed."""
    lacking = [name for name in EXTRAS if importlib.util.find_spec(name) is None]
    for item in items:
        if not isinstance(item, pytest.DoctestItem):
            continue
        code = "".join(example.source for example in item.dtest.examples)
        for name in lacking:
            if re.search(EXTRAS[name], code):
                item.add_marker(pytest.mark.skip(reason=f"{name} is not installed"))


@pytest.fixture(scope="session")
def _example_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with an image and a database of one frame for training and one for tests."""
    from xsubpix.database import SceneSource, Settings, build_database
    from xsubpix.tutorial import procedural_scene

    folder = tmp_path_factory.mktemp("examples")
    scenes = []
    for seed, split in enumerate(("train", "test")):
        name = folder / ("scene.tif" if split == "train" else "other.tif")
        crs = f"EPSG:3261{8 + seed}"  # splits share no ground
        procedural_scene((192, 192), seed=seed, crs=crs).rio.to_raster(name)
        scenes.append(SceneSource(name, split=split, location=split))
    settings = Settings((1, 0, 1), frame=128, crop=64, scalings=(0.5, 1.0), dates=1)
    build_database(scenes, folder / "db.zarr", settings, scheduler="synchronous")
    return folder


@pytest.fixture(autouse=True)
def _example(
    request: pytest.FixtureRequest,
    doctest_namespace: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[None]:
    dtest = getattr(request.node, "dtest", None)
    code = "".join(example.source for example in dtest.examples) if dtest else ""
    if "scene.tif" in code or '"db.zarr"' in code:
        folder = request.getfixturevalue("_example_files")
        shutil.copy(folder / "scene.tif", tmp_path)
        shutil.copytree(folder / "db.zarr", tmp_path / "db.zarr")
    for name, value in PUBLIC.items():
        monkeypatch.setattr(xsubpix, name, value)
    doctest_namespace.update(np=np, xr=xr, xsubpix=xsubpix)
    monkeypatch.chdir(tmp_path)
    with dask.config.set(num_workers=2):
        yield
