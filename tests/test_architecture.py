"""The house stands as it is drawn: who may import whom, read from the sources.

No module is imported here; all import statements count, those inside functions and
those for annotations alone too.
"""

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "src" / "xsubpix"

# From the ground up. What stands in a storey may use its own storey and those below. A name
# is a top-level file or package; one file of a package may be named apart.
LAYERS = (
    {"errors", "_version", "_interrupt"},
    {"checks", "atomic", "progress", "vectors"},
    {"kernels", "devices", "lattice", "cluster", "blocks"},
    {"networks", "second_date"},
    {"estimators"},
    {"grid", "missing", "field_input", "field_stack", "image", "stack", "bands"},
    {"exclude"},
    {"correlate", "align", "warp", "rupture", "displacement", "files"},
    {"database", "plot"},
    {"training", "explore", "report", "tutorial"},
    {"methods"},
    {"demo", "accessor"},
    {"__init__"},
    {"cli", "__main__"},
)
# Below correlate: plain arrays. Grids, images and the labelled function of a rupture hold labels.
PLAIN = {name for layer in LAYERS[:5] for name in layer} | {"rupture"}
WITH_LABELS = {"rupture.synthetic"}
WITH_TORCH = {"networks", "training", "estimators", "devices", "kernels"}


def modules() -> dict[str, Path]:
    """File of each module, by its dotted name within the package."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts)] = path
    return found


MODULES = modules()


def imported(module: str) -> Iterator[tuple[str, int]]:
    """Names of the modules that a module imports, with the line; ours without ``xsubpix.``."""
    package = module.split(".")[:-1]
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from ((name, node.lineno) for name in resolve(alias.name.split(".")))
        elif isinstance(node, ast.ImportFrom):
            base = (node.module or "").split(".") if node.module else []
            if node.level:
                base = ["xsubpix", *package[: len(package) + 1 - node.level], *base]
            for alias in node.names:
                yield from ((name, node.lineno) for name in resolve(base, alias.name))


def resolve(base: list[str], name: str | None = None) -> Iterable[str]:
    """Module behind ``from base import name``: a submodule of that name, or `base`."""
    if base[0] != "xsubpix":
        return [base[0]]
    for parts in ([*base[1:], *([name] if name else [])], base[1:]):
        for candidate in (".".join(parts), ".".join([*parts, "__init__"])):
            if candidate in MODULES:
                return [candidate]
    raise AssertionError(f"{'.'.join(base)}: no such module")


IMPORTS = {module: dict(imported(module)) for module in MODULES}


def unit(module: str) -> str:
    """The top-level file or package that a module belongs to."""
    return module.split(".")[0]


def within(module: str, names: Iterable[str]) -> bool:
    """Whether a module is one of some files, or in one of some packages."""
    return any(module == name or module.startswith(f"{name}.") for name in names)


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Strongly connected parts of more than one member (Tarjan's algorithm)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in graph[node]:
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            part = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(part) > 1:
                found.append(sorted(part))

    for node in graph:
        if node not in index:
            visit(node)
    return found


def test_no_circle_of_files():
    """Else a file cannot be read, moved or tested without another that needs it in turn."""
    graph = {m: {n for n in names if n in MODULES} for m, names in IMPORTS.items()}
    assert circles(graph) == []


def test_no_circle_of_packages():
    """Else two rooms are one room with a wall in it."""
    graph: dict[str, set[str]] = {unit(m): set() for m in MODULES}
    for module, names in IMPORTS.items():
        graph[unit(module)] |= {unit(n) for n in names if n in MODULES} - {unit(module)}
    assert circles(graph) == []


def test_nothing_imports_the_root():
    """Else a part of the package needs the whole of it."""
    found = {m: names["__init__"] for m, names in IMPORTS.items() if "__init__" in names}
    assert found == {}


def test_layers():
    """Else arrows go up, and a change above breaks what is below."""
    level = {name: k for k, names in enumerate(LAYERS) for name in names}
    homeless = sorted({unit(m) for m in MODULES} - set(level))
    assert homeless == [], "give them a storey in LAYERS, and in the design"
    upward = [
        f"{module}:{line} imports {name}"
        for module, names in IMPORTS.items()
        for name, line in names.items()
        if name in MODULES and level[unit(name)] > level[unit(module)]
    ]
    assert upward == []


@pytest.mark.parametrize("library", ["xarray", "rioxarray"])
def test_no_labels_below_correlate(library):
    """Else an estimator depends on names and coordinates, and cannot be used without them."""
    found = [
        f"{module}:{names[library]}"
        for module, names in IMPORTS.items()
        if library in names and within(module, PLAIN) and not within(module, WITH_LABELS)
    ]
    assert found == []


def test_no_torch_above_estimators():
    """Else opening a file or drawing a figure costs a second of torch."""
    found = [
        f"{module}:{names['torch']}"
        for module, names in IMPORTS.items()
        if "torch" in names and not within(module, WITH_TORCH)
    ]
    assert found == []


def test_the_rules_see_what_they_forbid():
    """Else a rule passes because it reads nothing."""
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]
    assert "grid.__init__" in IMPORTS["correlate"]
    assert "errors" in IMPORTS["grid.grid"]
    assert "torch" in IMPORTS["networks.base"]
    assert "xarray" in IMPORTS["rupture.synthetic"]
