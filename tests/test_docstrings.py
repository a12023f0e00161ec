"""Docstrings of the public API: an example each, and first lines that name a thing or an act."""

import ast
import importlib
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

import xsubpix
from xsubpix import DisplacementAccessor, ImageAccessor

ROOT = Path(__file__).parents[1]
# "Of the store.", "Whether it is so.": neither a noun phrase nor a verb with its object.
PACKAGES = (
    "database", "displacement", "estimators", "files", "grid", "networks", "plot", "rupture",
    "second_date",
)  # fmt: skip
REFUSED = {"Of", "What", "Where", "How", "Whether", "When", "Which", "Who", "Why", "That"}


def resolve(name: str) -> Any:
    """Object of a dotted name below the package."""
    parts = name.split(".")
    for k in range(len(parts), -1, -1):
        try:
            found = importlib.import_module(".".join(["xsubpix", *parts[:k]]))
        except ImportError:
            continue
        # The package's function hides the file of the same name.
        found = xsubpix if not k else found
        try:
            for part in parts[k:]:
                found = getattr(found, part)
        except AttributeError:
            continue
        return found
    raise AssertionError(f"docs/api names {name}, which is not there")


def public() -> dict[str, Any]:
    """Everything a user is shown: flat names, accessors, the reference and packages' lists."""
    found = {name: getattr(xsubpix, name) for name in xsubpix.__all__}
    for accessor in (ImageAccessor, DisplacementAccessor):
        for name, member in vars(accessor).items():
            if not name.startswith("_"):
                found[f"{accessor.__name__}.{name}"] = member
    for page in sorted((ROOT / "docs/api").glob("*.rst")):
        module = ""
        for line in page.read_text(encoding="utf-8").splitlines():
            if line.startswith(".. currentmodule::"):
                module = line.split()[-1]
            elif module == "xsubpix" and re.fullmatch(r"   [\w.]+", line):
                found[line.strip()] = resolve(line.strip())
    for package in PACKAGES:
        listed = importlib.import_module(f"xsubpix.{package}")
        found |= {f"{package}.{name}": getattr(listed, name) for name in listed.__all__}
    return {
        name: item
        for name, item in sorted(found.items())
        if callable(item) or isinstance(item, property)
    }


PUBLIC = public()


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names_have_examples(name):
    """Else a reader of the reference has to guess what a call looks like."""
    text = inspect.getdoc(PUBLIC[name]) or ""
    assert re.search(r"^Examples\n-+\n(.*\n)*? *>>> ", text, re.M), f"{name} has no Examples"


def test_first_lines_name_a_thing_or_an_act():
    """Of public and private docstrings; else tables of the reference read as fragments."""
    wrong = []
    for path in sorted((ROOT / "src").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                continue
            first = (ast.get_docstring(node) or "-").splitlines()[0]
            if first.split()[0] in REFUSED:
                wrong.append(f"{path.relative_to(ROOT)}: {getattr(node, 'name', '')}: {first}")
    assert not wrong, "\n".join(wrong)
