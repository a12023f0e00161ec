"""Figures of benchmarks in the text: none is typed, so that none grows old.

The role ``measured`` with the text ``star: unet / two dates / half | .0f`` inserts one number of
``benchmarks/star.json``, by its keys, in a format of Python; ``%`` alone is a share in whole per
cent. Where there is no such file, the row and the column name a cell of the first table of the
page: ``scale: unet 8000 / seam at corners, px``, the row by its first two cells. The key ``first``
is the first there is, such as the method that a page puts first; the format ``name`` says which.
The directive ``star-table`` is the whole of ``star.json`` in a table; ``scores-table`` has some
methods and columns of ``networks.json``; ``figures-table`` with the argument ``reach: wrong | .1%``
has one figure of a file whose methods have a row each and offsets, in pixels, a column each;
``bound-table`` computes the Cramér-Rao bound of windows.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective, SphinxRole

FOLDER = Path(__file__).parent / "benchmarks"


def value(file: str, keys: str) -> tuple[Any, str]:
    """One number of a benchmark's file, by its keys, and the last of the keys."""
    if not (FOLDER / f"{file}.json").exists():
        row, _, column = (part.strip() for part in keys.partition(" / "))
        return float(cells(file)[row][column]), column
    found: Any = json.loads((FOLDER / f"{file}.json").read_text(encoding="utf-8"))
    key = ""
    for key in (part.strip() for part in keys.split(" / ")):
        if isinstance(found, dict) and key == "first":
            key = next(iter(found))
        if not isinstance(found, dict) or key not in found:
            raise KeyError(f"benchmarks/{file}.json has no {key!r} (of {keys!r})")
        found = found[key]
    return found, key


def cells(file: str) -> dict[str, dict[str, str]]:
    """The first list-table of a page: columns by name, of rows by their first two cells."""
    text = (FOLDER / f"{file}.rst").read_text(encoding="utf-8")
    rows: list[list[str]] = []
    for line in text.partition(".. list-table::")[2].splitlines()[1:]:
        item = re.match(r"   ([* ]) -(.*)", line)
        if item and item[1] == "*":
            rows.append([])
        if item:
            rows[-1].append(item[2].strip())
    head, *others = rows
    return {f"{row[0]} {row[1]}": dict(zip(head, row, strict=True)) for row in others}


def shown(text: str) -> str:
    """The number that a role asks for, as text."""
    asked, _, style = (part.strip() for part in text.partition("|"))
    file, _, keys = asked.partition(":")
    found, key = value(file, keys)
    if style == "name":
        return key
    number = float(found)
    return f"{100 * number:.0f} %" if style == "%" else f"{number:{style or '.3g'}}"


def list_table(rows: list[list[str]], title: str = "") -> str:
    """A table in reStructuredText, of rows of cells, the first of which are its heads."""
    lines = [f".. list-table:: {title}".rstrip(), "   :header-rows: 1", ""]
    for row in rows:
        lines += [f"   {'*' if k == 0 else ' '} - {cell}" for k, cell in enumerate(row)]
    return "\n".join(lines) + "\n"


class Measured(SphinxRole):
    """The role ``measured``."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        try:
            return [nodes.Text(shown(self.text))], []
        except (KeyError, OSError, ValueError) as error:
            message = self.inliner.reporter.error(f"measured: {error}", line=self.lineno)
            return [self.inliner.problematic(self.rawtext, self.rawtext, message)], [message]


class StarTable(SphinxDirective):
    """The directive ``star-table``."""

    def run(self) -> list[nodes.Node]:
        table = json.loads((FOLDER / "star.json").read_text(encoding="utf-8"))
        kinds = {"twice": "one image, with noise", "pan / MS": "two instruments",
                 "two dates": "two dates"}  # fmt: skip
        rows = [["Model", *kinds.values()]]
        for model, row in table.items():
            halves = [row[k]["half"] for k in kinds]
            said = ["beyond 160" if half is None else f"{half:.0f}" for half in halves]
            pairs = [
                f"{half}, noise {row[k]['noise']:.3f}" for half, k in zip(said, kinds, strict=True)
            ]
            rows.append([f"``{model}``", *pairs])
        title = "Wavelength at which half of the amplitude is found, and noise (px)"
        return self.parse_text_to_nodes(list_table(rows, title))


class ScoresTable(SphinxDirective):
    """The directive ``scores-table``: errors, or how often they lie within sigma."""

    required_arguments = 1
    methods: ClassVar = {
        "unet": "``unet``", "unet-smooth": "``unet-smooth``",
        "cosi-corr:window=32": "``cosi-corr``, window 32",
        "cosi-corr:window=64": "``cosi-corr``, window 64", "deepflow": "``deepflow``",
        "tvl1": "``tvl1``",
    }  # fmt: skip
    columns: ClassVar = {
        "errors": {
            "mean | .3f": "all values", "median | .3f": "median", "near | .3f": "within 8 px",
            "by_distance / 0-2 px | .3f": "0 to 2 px", "by_distance / 8-16 px | .3f": "8 to 16 px",
        },
        "sigma": {"inside_68 | %": "within 1 sigma", "inside_95 | %": "within 2 sigma"},
    }  # fmt: skip

    def run(self) -> list[nodes.Node]:
        columns = self.columns[self.arguments[0]]
        known = json.loads((FOLDER / "networks.json").read_text(encoding="utf-8"))["scores"]
        rows = [["Method", *columns.values()]]
        for method, name in self.methods.items():
            if method in known:
                keys = f"networks: scores / {method} / real second dates / "
                rows.append([name, *(shown(keys + column) for column in columns)])
        return self.parse_text_to_nodes(list_table(rows))


class FiguresTable(SphinxDirective):
    """The directive ``figures-table``: one figure of all methods, by the offset."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        asked, _, style = (part.strip() for part in self.arguments[0].partition("|"))
        file, _, figure = (part.strip() for part in asked.partition(":"))
        table = json.loads((FOLDER / f"{file}.json").read_text(encoding="utf-8"))
        offsets = list(next(iter(table.values())))
        rows = [["Method", *(f"{offset} px" for offset in offsets)]]
        for name, figures in table.items():
            method, *kind = name.split(", ")
            cells = [
                f"{figures[offset][figure]:{style}}" if offset in figures else "–"
                for offset in offsets
            ]
            rows.append([", ".join([f"``{method}``", *kind]), *cells])
        return self.parse_text_to_nodes(list_table(rows))


class BoundTable(SphinxDirective):
    """The directive ``bound-table``: gradient and correlation of the images, in this order."""

    required_arguments = 2

    def run(self) -> list[nodes.Node]:
        gradient, correlation = map(float, self.arguments)
        sides = (8, 16, 32, 64)
        # Of an image's variance of 1, noise has what the images do not share.
        noise = math.sqrt(1 - correlation)
        bounds = [math.sqrt(2) * noise / (side * gradient) for side in sides]
        rows = [["N", *map(str, sides)], ["bound (px)", *(f"{bound:.3f}" for bound in bounds)]]
        return self.parse_text_to_nodes(list_table(rows))


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_role("measured", Measured())
    app.add_directive("star-table", StarTable)
    app.add_directive("scores-table", ScoresTable)
    app.add_directive("figures-table", FiguresTable)
    app.add_directive("bound-table", BoundTable)
    return {"parallel_read_safe": True}
