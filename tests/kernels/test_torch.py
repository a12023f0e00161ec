"""Which kernels need torch."""

import ast
from pathlib import Path

import xsubpix.kernels


def test_only_files_that_say_so_import_torch():
    """Else a product of plain arrays pays a second for torch."""
    found = set()
    for path in Path(xsubpix.kernels.__path__[0]).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if any(name.split(".")[0] == "torch" for name in names):
                found.add(path.stem)
    assert found
    assert all(name.endswith("_torch") for name in found)
