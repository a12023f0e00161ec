"""Sphinx extension: formulas as MathML, which browsers draw without a script from elsewhere.

Sphinx comes with MathJax, fetched by the reader's browser, and with pictures,
which need LaTeX. docutils has its own converter from TeX to MathML; this puts
it behind Sphinx's interface.
"""

from xml.etree import ElementTree

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

SPACE = "http://www.w3.org/1998/Math/MathML"
ElementTree.register_namespace("", SPACE)


def convert(tex: str, block: bool) -> str:
    """MathML of a formula."""
    root = ElementTree.fromstring(tex2mathml(tex, as_block=block))
    for over in root.iter(f"{{{SPACE}}}mover"):
        # Browsers stretch a bar only where a font for mathematics is installed;
        # xsubpix.css draws one.
        if over[-1].text == "_":
            over.remove(over[-1])
            over.tag, over.attrib = f"{{{SPACE}}}mrow", {"class": "overline"}
    return ElementTree.tostring(root, encoding="unicode")


def visit_inline(self: HTML5Translator, node: nodes.math) -> None:
    self.body.append(convert(node.astext(), block=False))
    raise nodes.SkipNode


def visit_block(self: HTML5Translator, node: nodes.math_block) -> None:
    self.body.append(f'<div class="formula">{convert(node.astext(), block=True)}</div>')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
