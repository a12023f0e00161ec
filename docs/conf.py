"""Configuration of the documentation: see ``nox -s docs``."""

import argparse
import os
import re
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import sphinx_autosummary_accessors
from sphinx.application import Sphinx

import xsubpix  # noqa: F401  (registers the accessors)
from xsubpix.cli.main import _parser

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # mathml.py, measured.py, gallery_order.py

project = "xsubpix"
author = "The xsubpix developers"
copyright = author
try:
    release = metadata.version("xsubpix")
except metadata.PackageNotFoundError:  # built from a source tree that was never installed
    release = "development version"

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "numpydoc",
    "sphinx_autosummary_accessors",
    "sphinx_gallery.gen_gallery",
    "sphinxcontrib.bibtex",
    "mathml",
    "measured",
]
templates_path = ["_templates", sphinx_autosummary_accessors.templates_path]
exclude_patterns = ["_build", "snippets"]
default_role = "literal"
html_math_renderer = "mathml"

autosummary_generate = True
autodoc_preserve_defaults = True  # as the source writes them: some are tables
autodoc_typehints = "none"  # numpydoc's parameter lists give the types
numpydoc_show_class_members = False  # the templates list members
numpydoc_use_plots = False

bibtex_bibfiles = ["refs.bib"]
bibtex_default_style = "plain"
bibtex_reference_style = "author_year"

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"/plot_",
    "within_subsection_order": "gallery_order.GalleryOrder",
    "download_all_examples": False,
    "remove_config_comments": True,
    "show_memory": False,
    "min_reported_time": 1,
    "capture_repr": ("_repr_html_",),  # Datasets, not what the last plotting call returns
    "thumbnail_size": (360, 260),
}

html_theme = "pydata_sphinx_theme"
html_title = f"xsubpix {release}"
html_static_path = ["_static"]
html_css_files = ["xsubpix.css"]
html_js_files = ["break_names.js"]
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_context = {"default_mode": "light"}  # the figures have white grounds
html_logo = "_static/logo.svg"
html_favicon = "_static/favicon.svg"
html_theme_options = {
    "navigation_with_keys": False,
    "header_links_before_dropdown": 5,
    "navbar_align": "left",
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": {
        "**": ["page-toc"],
        "index": [],
        "compares": [],
        "benchmarks/scale": [],
    },
}
# The left column lists the pages of a part. Examples and tables of benchmarks need the room.
html_sidebars = {
    page: []
    for page in ("index", "search", "genindex", "gallery/*", "benchmarks/*", "sg_execution_times")
}


def skip_parameters(
    app: Sphinx, what: str, name: str, obj: object, skip: bool, options: object
) -> bool:
    """Leave out attributes that hold parameters: the docstrings list those."""
    if what not in ("class", "attribute") or callable(obj):
        return skip
    # What a model is called is worth a line; a name without a value is an empty one.
    shown: tuple[type, ...] = (property, classmethod, np.uint8)
    return skip or not isinstance(obj, (*shown, str) if name in ("name", "description") else shown)


def read_changelog(app: Sphinx, docname: str, source: list[str]) -> None:
    """Turn the changelog's little Markdown into the page of changes."""
    if docname == "changes":
        text = (HERE.parent / "CHANGELOG.md").read_text(encoding="utf-8")
        text = re.sub(r"^# .*", "Changes\n=======", text)
        text = re.sub(r"^## (.*)", lambda m: f"{m[1]}\n{'-' * len(m[1])}", text, flags=re.M)
        source[0] = re.sub(r"\[([^]]*)\]\(([^)]*)\)", r"`\1 <\2>`__", text)


def read_tables(app: Sphinx, docname: str, source: list[str]) -> None:
    """Put tables of other pages, which benchmarks write, where "@table PAGE: HEADING" asks."""

    def table(asked: re.Match[str]) -> str:
        page = (HERE / f"{asked[1]}.rst").read_text(encoding="utf-8")
        _, heading, rest = page.partition(f"\n{asked[2]}")
        rows = re.search(r"^=+  =[= ]*\n.*?\n\n", rest, flags=re.M | re.S)
        if not heading or rows is None:
            raise ValueError(
                f"{docname} asks for a table that {asked[1]} does not have: {asked[2]}"
            )
        return rows[0]

    if docname == "compares":
        source[0] = re.sub(r"^@table (\S+): (.*)$", table, source[0], flags=re.M)


def write_help(app: Sphinx, docname: str, source: list[str]) -> None:
    """Put what ``--help`` says of each command where the page of the command line asks for it."""
    if docname == "cli":
        source[0] = source[0].replace("@help", "\n".join(help_of(_parser(), "xsubpix")))


def help_of(parser: argparse.ArgumentParser, name: str) -> list[str]:
    """A section for a command, and for those below it."""
    os.environ["COLUMNS"] = "78"
    text = parser.format_help().rstrip()
    lines = [name, "-" * len(name), "", ".. code-block:: text", ""]
    lines += [f"   {line}".rstrip() for line in text.splitlines()] + [""]
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below, other in action.choices.items():
                lines += help_of(other, f"{name} {below}")
    return lines


def setup(app: Sphinx) -> None:
    app.connect("source-read", write_help)
    app.connect("source-read", read_tables)
    app.connect("autodoc-skip-member", skip_parameters)
    app.connect("source-read", read_changelog)
