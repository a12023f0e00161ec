"""Examples in docstrings, run as tests: ``pytest --doctest-modules src``.

Each runs in an empty folder of its own with ``np``, ``xr`` and ``xsubpix`` imported, as the
documentation assumes; those of an extra that is not installed are skipped.
"""

import importlib.util
import os
import re
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
    "zarr": r"\.zarr\b|_database\(",
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


@pytest.fixture(autouse=True)
def _example(
    doctest_namespace: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    for name, value in PUBLIC.items():
        monkeypatch.setattr(xsubpix, name, value)
    doctest_namespace.update(np=np, xr=xr, xsubpix=xsubpix)
    monkeypatch.chdir(tmp_path)
    with dask.config.set(num_workers=2):
        yield
