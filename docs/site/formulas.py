"""Formulas between dollar signs become MathML, which browsers draw without a script or a font."""

import html
import re

from latex2mathml.converter import convert

FORMULA = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.S)


def on_page_content(content, **_):
    """Converts the formulas that `pymdownx.arithmatex` has found."""

    def mathml(match):
        return convert(html.unescape(match[3]), display="inline" if match[2] == "(" else "block")

    return FORMULA.sub(mathml, content)
