"""The API reference: a page for each room of a package with public names, from their docstrings.

What a room holds is told by the map in docs/architecture.md, so a new name or room appears here
by itself.
"""

import ast
import re
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[2]
FACES = ("zoo", "train", "train.data", "sample", "sample.testing")


def on_files(files, *, config):
    """Adds the pages of the reference."""
    pages = {}  # {package or room: its public names, the shortest way to say each}
    for face in FACES:
        for room, names in rooms(face).items():
            page = pages.setdefault(f"{face}.{room}".strip("."), {})
            for name in names:
                page.setdefault(name, f"{face}.{name}")
    for page, names in pages.items():
        text = page_of(page, [names[name] for name in sorted(names, key=str.lower)])
        files.append(File.generated(config, f"reference/{page}.md", content=text))
    return files


def rooms(face):
    """The public names of a package by the folder below it that defines them; "" is the package."""
    tree = ast.parse((ROOT / face.replace(".", "/") / "__init__.py").read_text())
    found, public = {}, public_names(tree)
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(face):
            below = node.module.removeprefix(face).strip(".").split(".")
            is_folder = (ROOT / face.replace(".", "/") / below[0]).is_dir()
            room = below[0] if is_folder else ""
            names = [alias.asname or alias.name for alias in node.names]
            found.setdefault(room, []).extend(
                name for name in names if public is None or name in public
            )
    return {room: names for room, names in found.items() if names}


def public_names(tree):
    """What `__all__` lists; None without it."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return set(ast.literal_eval(node.value))
    return None


def page_of(room, names):
    """The page of a room: what belongs there, and its public names."""
    parts = [f"# {room}", told(room.replace(".", "/")), *(f"::: {name}" for name in names)]
    return "\n\n".join(part for part in parts if part) + "\n"


def told(room):
    """What the map of docs/architecture.md says of a room, as a sentence."""
    page = (ROOT / "docs" / "architecture.md").read_text()
    row = re.search(rf"^\| `{room}` \| ([^|]+) \|", page, re.M)
    return f"{row[1][0].upper()}{row[1][1:]}." if row else ""
