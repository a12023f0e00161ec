"""Sphinx extension: formulas as MathML, which browsers draw without a script from elsewhere.

Sphinx comes with MathJax, fetched by the reader's browser, and with pictures,
which need LaTeX. docutils has its own converter from TeX to MathML; this puts
it behind Sphinx's interface.
"""

import html
import re
from xml.etree import ElementTree

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.writers.html5 import HTML5Translator

SPACE = "http://www.w3.org/1998/Math/MathML"
ElementTree.register_namespace("", SPACE)


def convert(node: nodes.Element, block: bool) -> str:
    """MathML of a formula; its TeX, and a warning, where docutils cannot read it."""
    # docutils knows \Bigl( and \Bigr), not \Big( and \Big).
    tex = re.sub(r"\\([bB]igg?)(?=[(\[])", r"\\\1l", node.astext())
    tex = re.sub(r"\\([bB]igg?)(?=[)\]])", r"\\\1r", tex)
    try:
        text = tex2mathml(tex, as_block=block)
    except MathError as error:
        logging.getLogger(__name__).warning("formula %s: %s", tex, error, location=node)
        return f"<code>{html.escape(tex)}</code>"
    # Names such as &ApplyFunction; are known to HTML, not to XML.
    text = re.sub(r"&(?!lt;|gt;|amp;)\w+;", lambda name: html.unescape(name[0]), text)
    root = ElementTree.fromstring(text)
    for over in root.iter(f"{{{SPACE}}}mover"):
        # Browsers stretch a bar only where a font for mathematics is installed;
        # xsubpix.css draws one.
        if over[-1].text == "_":
            over.remove(over[-1])
            over.tag, over.attrib = f"{{{SPACE}}}mrow", {"class": "overline"}
    return ElementTree.tostring(root, encoding="unicode")


def visit_inline(self: HTML5Translator, node: nodes.math) -> None:
    self.body.append(convert(node, block=False))
    raise nodes.SkipNode


def visit_block(self: HTML5Translator, node: nodes.math_block) -> None:
    self.body.append(f'<div class="formula">{convert(node, block=True)}</div>')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
