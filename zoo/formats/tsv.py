"""Tab-separated files: lines, rows of columns, pairs of texts."""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

_SPACES = dict.fromkeys(map(ord, "\t\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"), " ")


def one_line(text: str) -> str:
    """A text as a column of a line holds it: tabs and ends of lines become spaces, blanks around it
    are cut off.

    Example:
      >>> one_line(" two\\nlines ")
      'two lines'
    """
    return text.translate(_SPACES).strip()


def lines_of(text: str) -> list[str]:
    """The lines of a text. They end with a line feed, behind a carriage return or not; with a
    carriage return alone if there is no line feed in the text; and with nothing else.

    Example:
      >>> lines_of("one\\ntwo\\n")
      ['one', 'two']
    """
    text = text if "\n" in text else text.replace("\r", "\n")
    return text.removesuffix("\n").split("\n")


def rows_of(rows: Iterable[Sequence[str]], names: Sequence[str] = ("source", "target")) -> str:
    """The text of a tab-separated file that `read_rows` reads as the same rows.

    Example:
      >>> rows_of([("ein Hund", "a dog")])
      'ein Hund\\ta dog\\n'
    """
    lines = [[one_line(cell) for cell in row] for row in rows]
    if lines and {cell.lower() for cell in lines[0]} >= set(names):
        lines.insert(0, list(names))  # or the first row would be read as the header
    return "".join("\t".join(line) + "\n" for line in lines)


def read_pairs(path: str | Path) -> list[tuple[str, str]]:
    """The pairs of a tab-separated file, a source and a target a line; see `read_rows`.

    Example:
      >>> Path("pairs.tsv").write_text(rows_of([("ein Hund", "a dog")]))
      15
      >>> read_pairs("pairs.tsv")
      [('ein Hund', 'a dog')]
    """
    return [(source, target) for source, target in read_rows(path, ("source", "target"))]


def read_rows(
    path: str | Path, names: Sequence[str], optional: Sequence[str] = ()
) -> list[tuple[str, ...]]:
    """The rows of a tab-separated file in UTF-8: the columns `names`, then the `optional` ones (""
    where there are none).

    Without a header there are the columns `names` in this order. A header is a first line that has
    all of these names; it may have others. Blank lines are left out.

    Raises:
      ValueError: there is none, it is no text, or a line (which is named) has another number of
        columns or an empty one.

    Example:
      >>> Path("rows.tsv").write_text("word\\tnote\\nzoo\\tnoun\\n")
      19
      >>> read_rows("rows.tsv", ("word",), optional=("note",))
      [('zoo', 'noun')]
    """
    return list(stream_rows(path, names, optional))


def stream_rows(
    path: str | Path, names: Sequence[str], optional: Sequence[str] = ()
) -> Iterator[tuple[str, ...]]:
    """As `read_rows`, but the rows come one by one: a file may be larger than memory.

    Example:
      >>> Path("rows.tsv").write_text("zoo\\tnoun\\n")
      9
      >>> next(stream_rows("rows.tsv", ("word", "kind")))
      ('zoo', 'noun')
    """
    path = Path(os.path.expanduser(path))
    expected = f"expected {' and '.join(names)} separated by a tab on each line."
    if not path.is_file():
        what = f"{path} is a folder, not a file" if path.is_dir() else f"there is no file {path}"
        raise ValueError(f"{what}; {expected}")
    cells = (
        (number, [one_line(cell) for cell in line.split("\t")])
        for number, line in enumerate(_lines(path), 1)
        if line.strip()
    )
    header, rows = list(names), 0
    for place, (number, columns) in enumerate(cells):
        if place == 0 and {cell.lower() for cell in columns} >= set(names):
            header = [cell.lower() for cell in columns]
            expected = f"expected {len(header)} as in the header: {', '.join(header)}."
            continue
        if len(columns) != len(header) or not all(columns):
            what = "an empty column" if len(columns) == len(header) else f"{len(columns)} columns"
            raise ValueError(f"{path}, line {number}: {what}; {expected}")
        found = dict(zip(header, columns, strict=True))
        yield tuple(found.get(name, "") for name in (*names, *optional))
        rows += 1
    if not rows:
        raise ValueError(f"{path} is empty; {expected}")


def _lines(path: Path) -> Iterator[str]:
    """The lines of a text as `lines_of` parts them, read one by one."""
    try:
        with path.open("rb") as file:
            first = file.readline().decode("utf-8-sig")
            if not first.endswith("\n"):  # the only line feed may be missing: all of the text
                yield from lines_of(first)
                return
            yield first[:-1]
            for line in file:
                yield line.decode().removesuffix("\n")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not a text in UTF-8 ({error.reason}); convert it first."
        ) from None
