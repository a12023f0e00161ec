"""Files that say which version this is and what may be installed agree with each other."""

import json
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def _yaml_value(name: str, key: str) -> str:
    found = re.search(rf'^\s*{key}: "?([^"\n]*)"?$', (ROOT / name).read_text("utf-8"), flags=re.M)
    assert found is not None
    return found[1]


def _newest_version() -> str:
    found = re.search(r"^## (\d\S*)", (ROOT / "CHANGELOG.md").read_text("utf-8"), flags=re.M)
    assert found is not None
    return found[1]


def test_citation_and_recipe_have_the_newest_version():
    """Else a release is cited, archived and packaged as another one."""
    assert _yaml_value("CITATION.cff", "version") == _newest_version()
    assert _yaml_value("conda/recipe.yaml", "version") == _newest_version()


def test_archive_has_the_title_of_the_citation():
    """Else Zenodo and the citation name two works."""
    archive = json.loads((ROOT / ".zenodo.json").read_text("utf-8"))
    assert archive["title"] == _yaml_value("CITATION.cff", "title")
    assert archive["license"] == _yaml_value("CITATION.cff", "license") == PROJECT["license"]


CONDA_NAMES = {"torch": "pytorch", "dask[array]": "dask-core"}


@pytest.mark.parametrize("requirement", PROJECT["dependencies"])
def test_recipe_requires_what_the_package_requires(requirement):
    """Else the package of conda-forge installs, and fails at import."""
    name, bound = requirement.split(">=")
    recipe = (ROOT / "conda/recipe.yaml").read_text("utf-8")
    assert f"    - {CONDA_NAMES.get(name, name)} >={bound}\n" in recipe


def test_oldest_python_is_the_first_classifier():
    """Else installers and readers are told of different versions of Python."""
    named = [c.rpartition(" ")[2] for c in PROJECT["classifiers"] if "Python :: 3." in c]
    assert PROJECT["requires-python"] == f">={named[0]}"
    workflow = (ROOT / ".github/workflows/tests.yml").read_text("utf-8")
    assert all(f'"{version}"' in workflow for version in named)
