"""Reads a .csv as column names and numbers; errors name the line and the column."""

import csv
import itertools
import math
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

_HEAD = 1 << 16  # characters by which the separator is found
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)


def read_csv(
    path: Path, header: str = "auto", drop: Sequence[str] = ()
) -> tuple[list[str], np.ndarray]:
    """Column names and float64 values of a table separated by commas or semicolons, with a line of
    names or without.

    Args:
      path: the file.
      header: whether the first line holds names: yes, no, or auto, if there is a word in it and no
        number.
      drop: names of columns to leave out, which then may hold anything.

    Raises:
      ValueError: it is no table of numbers; the message names the column and the line.
    """
    names, rows = stream_csv(path, header, drop)
    return names, np.array(list(rows)).reshape(-1, len(names))


def stream_csv(
    path: Path, header: str = "auto", drop: Sequence[str] = ()
) -> tuple[list[str], Iterator[list[float]]]:
    """As `read_csv`, but the rows come one by one: a file may be larger than memory.

    Whether the first line holds names is decided by the first 1,000 lines.

    Example:
      >>> Path("two.csv").write_text("a,b\\n1,2\\n3,4\\n")
      12
      >>> names, rows = stream_csv(Path("two.csv"))
      >>> names, list(rows)
      (['a', 'b'], [[1.0, 2.0], [3.0, 4.0]])
    """
    lines = _cells(path)
    first = list(itertools.islice(lines, 1_000))
    if not first:
        raise ValueError(f"{path} is empty; expected one row of numbers a line")
    cells = first[0][1]
    if header == "auto":
        _check_numbers(path, first)
    names = [f"column {i + 1}" for i in range(len(cells))]
    if header == "yes" or (header == "auto" and _header(cells)):
        given = [cell.strip() for cell in first.pop(0)[1]]
        names = [
            f"{one} ({other})" if given.count(one) > 1 else one or other
            for one, other in zip(given, names, strict=True)
        ]
    if strange := [name for name in drop if name not in names]:
        raise ValueError(
            f"{path} has no column {strange[0]!r} to drop; its columns are "
            f"{', '.join(map(repr, names))}"
        )
    kept = [i for i, name in enumerate(names) if name not in drop]
    if not kept:
        raise ValueError(f"{path}: --data.drop leaves no column")
    rows = (_row(path, names, kept, *line) for line in itertools.chain(first, lines))
    return [names[i] for i in kept], rows


def _cells(path):
    """The lines that are not blank: the number of each, and its cells."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            bare = re.sub('"[^"]*"', "", file.read(_HEAD)).split("\n")
            first = next((line for line in bare if line.strip()), "")
            file.seek(0)
            reader = csv.reader(file, delimiter=";" if ";" in first else ",", strict=True)
            while True:
                number = reader.line_num + 1
                try:
                    cells = next(reader)
                except StopIteration:
                    return
                except csv.Error as error:
                    raise ValueError(
                        f"{path}, line {number}: {error}; is a quote not closed there?"
                    ) from None
                if any(cell.strip() for cell in cells):
                    yield number, cells
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read as text ({error})") from None


def _check_numbers(path, lines):
    """Refuses a first line of numbers that are probably names: they count, or are whole where all
    others are not.
    """
    cells = [cell.strip() for cell in lines[0][1] if not _missing(cell)]
    if not cells or not all(re.fullmatch(r"[+-]?\d+", cell, re.ASCII) for cell in cells):
        return
    steps = {int(b) - int(a) for a, b in itertools.pairwise(cells)}
    others = [cell.strip() for _, line in lines[1:] for cell in line]
    if steps == {1} or (
        others and not any(re.fullmatch(r"[+-]?\d+", cell, re.ASCII) for cell in others)
    ):
        shown = ",".join(lines[0][1][:5])
        raise ValueError(
            f"{path}: is the first line, {shown}, a line of names or a row? Pass --data.header "
            "yes or --data.header no"
        )


def _header(cells):
    """Whether a line holds names: some word and no number."""
    return not all(map(_missing, cells)) and all(_number(cell) is None for cell in cells)


def has_names(names: Sequence[str]) -> bool:
    """Whether the column names of `read_csv` come from the file, and not from counting."""
    return not all(re.fullmatch(r"column \d+", name) for name in names)


def drop_flag(name: str) -> str:
    """The flag that leaves a column out, quoted for a shell."""
    return f"--data.drop {shlex.quote(name)}"


def _row(path, names, kept, line, cells):
    if len(cells) != len(names):
        raise ValueError(f"{path}, line {line}: {len(cells)} cells, expected {len(names)}")
    names_here = (
        " (a line of names must not hold numbers, unless --data.header yes says so)"
        if line == 1
        else ""
    )
    for name, cell in ((names[i], cells[i]) for i in kept):
        if _missing(cell):
            raise ValueError(
                f"{path}, line {line}: {name!r} is missing ({cell!r}); fill it in, or drop the "
                "row or column "
                f"({drop_flag(name)}){names_here}"
            )
        if _number(cell) is None:
            advice = f"{_advice(cell)}{names_here}"
            raise ValueError(
                f"{path}, line {line}: {name!r} is {cell!r}, no finite number; {advice}"
            )
    return [float(cells[i]) for i in kept]


def _advice(cell):
    if any(_number(part) is not None for part in cell.split()[1:]):
        return "columns are separated by commas or semicolons"
    if re.fullmatch(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?", cell.strip()):
        return "write no comma between thousands, and a point for the decimal comma"
    if _number(cell.replace(",", ".")) is not None:
        return "write a point for the decimal comma"
    return "drop the column (--data.drop) or encode it"


def _number(cell):
    """The number that a cell is, if it is one as everyone writes it (Python also takes 1_000)."""
    return float(cell) if _NUMBER.fullmatch(cell.strip()) and math.isfinite(float(cell)) else None


def _missing(cell):
    return cell.strip().lower() in ("", "?", "na", "n/a", "nan", "null", "none")
