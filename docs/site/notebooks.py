"""Notebooks as pages: text and code as they stand, and the outputs that they were saved with."""

import base64
import re
from pathlib import Path

import nbformat
from mkdocs.structure.files import File

ROOT = Path(__file__).parents[2]
BADGE = re.compile(r"^\[!\[Open in Colab\].*\n*", re.M)  # its picture would come from a network


def on_files(files, *, config):
    """Adds a page for each notebook, and its pictures beside it."""
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        name, pictures = path.relative_to(ROOT).as_posix(), []
        text = page_of(nbformat.read(path, as_version=4), path.stem, pictures)
        files.append(File.generated(config, f"{name}.md", content=text))
        for i, picture in enumerate(pictures):
            files.append(File.generated(config, f"notebooks/{path.stem}/{i}.png", content=picture))
    return files


def page_of(notebook, stem, pictures):
    """The Markdown of a notebook; appends the bytes of its pictures to `pictures`."""
    parts = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            parts.append(BADGE.sub("", cell.source))
        elif cell.cell_type == "code" and "remove-cell" not in cell.metadata.get("tags", ()):
            parts.append(f"```python\n{cell.source}\n```")
            parts += [shown(output, stem, pictures) for output in cell.outputs]
    return "\n\n".join(part for part in parts if part) + "\n"


def shown(output, stem, pictures):
    """One output of a cell; progress bars and warnings are left out."""
    if output.output_type == "stream":
        return fenced(output.text) if output.name == "stdout" else ""
    data = output.get("data", {})
    if "image/png" in data:
        pictures.append(base64.b64decode(data["image/png"]))
        return f"![Output of the cell above]({stem}/{len(pictures) - 1}.png)"
    if "<audio" in data.get("text/html", ""):
        return data["text/html"].strip()
    return fenced(data.get("text/plain", ""))


def fenced(text):
    """A block of output."""
    return f"````{{ .text .output .no-copy }}\n{text.rstrip()}\n````" if text.strip() else ""
