"""The documents of the repository as pages of the site, under the paths that they have there.

So a link between two documents means the same in both places. A link to any other file, such as a
model's code, leads to a page that shows the file: the page of PATH is PATH.md.
"""

import posixpath
import re
from pathlib import Path, PurePosixPath

from mkdocs.structure.files import File, InclusionLevel

ROOT = Path(__file__).parents[2]
DOCUMENTS = ("*.md", "docs/**/*.md", "train/**/*.md")
MEDIA = ("docs/**/*.png", "docs/**/*.gif", "docs/**/*.wav", "docs/**/*.svg")
LINK = re.compile(r"(?<=\]\()([^)\s#]+)(?=[)#])")
LANGUAGES = {".py": "python", ".toml": "toml", ".json": "json", ".jsonl": "json"}


def on_files(files, *, config):
    """Adds the documents, their pictures and the files that they link, and fills the navigation."""
    for pattern in (*DOCUMENTS, *MEDIA):
        for path in sorted(ROOT.glob(pattern)):
            name = path.relative_to(ROOT).as_posix()
            files.append(File.generated(config, name, abs_src_path=str(path)))
    for page in list(files.documentation_pages()):
        for path in linked(page.src_uri, page.content_string):
            if (ROOT / path).exists() and not files.get_file_from_path(f"{path}.md"):
                shown = File.generated(config, f"{path}.md", content=page_of(path))
                shown.inclusion = InclusionLevel.NOT_IN_NAV
                files.append(shown)
    names = [page.src_uri for page in files.documentation_pages()]
    config.nav = expanded(config.nav, names, set(listed(config.nav)))
    return files


def on_page_markdown(markdown, *, page, config, files):
    """Leads links to files without a page of their own to the pages that show them."""

    def replace(match):
        path = resolved(page.file.src_uri, match[1])
        is_page = files.get_file_from_path(path) or not files.get_file_from_path(f"{path}.md")
        return match[1] if is_page else f"{match[1].rstrip('/')}.md"

    return LINK.sub(replace, markdown)


def linked(name, text):
    """The paths, relative to the repository, that a document links and that are no documents."""
    links = (link for link in LINK.findall(text) if not re.match(r"[a-z]+:|/", link))
    paths = {resolved(name, link) for link in links}
    return sorted(path for path in paths if not path.endswith((".md", ".png", ".gif", ".wav")))


def resolved(name, link):
    """The path that a link of the document `name` means."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(name), link))


def page_of(path):
    """A page that shows a file, or lists a folder with the first line of each file."""
    head = f"---\nsearch:\n  exclude: true\n---\n\n# {path}\n\n"
    target = ROOT / path
    if target.is_file():
        return f"{head}````{LANGUAGES.get(target.suffix, 'text')}\n{target.read_text()}\n````\n"
    files = [entry for entry in sorted(target.iterdir()) if entry.suffix == ".py"]
    lines = [f"- `{entry.name}`: {first_line(entry)}" for entry in files]
    return head + "\n".join(lines or [f"- `{entry.name}`" for entry in sorted(target.iterdir())])


def first_line(path):
    """The first line of a module's docstring."""
    return path.read_text().lstrip('"').partition("\n")[0].rstrip('"')


def listed(nav):
    """All names in a navigation that are no patterns."""
    for entry in nav:
        below = next(iter(entry.values())) if isinstance(entry, dict) else entry
        if isinstance(below, list):
            yield from listed(below)
        elif "*" not in below:
            yield below


def expanded(nav, names, taken):
    """The navigation with each pattern replaced by the pages that it matches and none names yet.

    `taken` grows by them. Sections without pages are left out.
    """
    whole = []
    for entry in nav:
        if isinstance(entry, dict):
            ((title, below),) = entry.items()
            if not isinstance(below, list):
                whole.append(entry)
            elif pages := expanded(below, names, taken):
                whole.append({title: pages})
        elif "*" in entry:
            depth = len(PurePosixPath(entry).parts)
            matches = [
                name
                for name in sorted(names)
                if PurePosixPath(name).match(entry)
                and len(PurePosixPath(name).parts) == depth
                and name not in taken
            ]
            taken.update(matches)
            whole += matches
        else:
            whole.append(entry)
    return whole
