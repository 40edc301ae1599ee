"""Docstrings as Markdown: shapes such as [batch, *sites] are code, and an example is a section."""

import re

import griffe

CODE_OR_SHAPE = re.compile(r"(`+)(?:.|\n)*?\1|\[[^\[\]`]*\]")


class Docstrings(griffe.Extension):
    """Rewrites each docstring before it is parsed."""

    def on_object(self, *, obj, **_):
        """Rewrites the docstring of one object."""
        if obj.docstring:
            obj.docstring.value = as_markdown(obj.docstring.value)


def as_markdown(text):
    """A docstring with its shapes between backticks and its example under the parser's heading."""
    prose, example, code = text.partition("Example:\n")
    blocks = re.split(r"(\n[ ]*\n)", prose)
    prose = "".join(block if block.startswith("    ") else with_code(block) for block in blocks)
    return prose + example.replace("Example", "Examples") + code


def with_code(block):
    """A paragraph with each shape that is not code yet between backticks."""
    return CODE_OR_SHAPE.sub(lambda match: match[0] if match[1] else f"`{match[0]}`", block)
