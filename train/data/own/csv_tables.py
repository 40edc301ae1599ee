"""Reads a .csv as column names and numbers; errors name the line and the column."""

import csv
import itertools
import math
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from train.data.dataset import Data, DataError

_NUMBER = {
    mark: re.compile(rf"[+-]?(\d+\{mark}?\d*|\{mark}\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
    for mark in ".,"
}
_SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t", "\\t": "\t", "space": " ", "bar": "|"}
_DECIMALS = {"point": ".", "comma": ","}
WORDS = 100  # different ones in a column that becomes one-hot, at most


class Dialect(NamedTuple):
    """How a table is written.

    Attributes:
      separator: what separates columns; a blank stands for any run of blanks and tabs.
      decimal: what begins the decimals of a number.
    """

    separator: str
    decimal: str

    def number(self, cell: str) -> float | None:
        """The number that a cell is, if it is one as everyone writes it (Python also takes 1_000).

        Example:
          >>> Dialect(";", ",").number("0,5"), Dialect(";", ",").number("0.5")
          (0.5, None)
        """
        if not _NUMBER[self.decimal].fullmatch(cell.strip()):
            return None
        value = float(cell.strip().replace(",", "."))
        return value if math.isfinite(value) else None


def read_csv(path: Path, data: Data | None = None) -> tuple[list[str], np.ndarray]:
    """Column names and float64 values of a table, with a line of names or without.

    Args:
      path: the file.
      data: says by `sep`, `decimal`, `header`, `drop`, `columns` and `one_hot` how it is read;
        columns that are left out may hold anything.

    Raises:
      DataError: it is no table of numbers; the message names the column and the line.
    """
    data = data or Data("table")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as text ({error})") from None
    dialect = _dialect(text, data)
    lines = list(_cells(path, text, dialect))
    if not lines:
        raise DataError(f"{path} is empty; expected one row of numbers a line")
    cells = lines[0][1]
    if data.header == "auto":
        _check_numbers(path, lines, dialect)
    names = [f"column {i + 1}" for i in range(len(cells))]
    if data.header == "yes" or (data.header == "auto" and _header(cells, dialect)):
        given = [cell.strip() for cell in lines.pop(0)[1]]
        names = [
            f"{one} ({other})" if given.count(one) > 1 else one or other
            for one, other in zip(given, names, strict=True)
        ]
    words = {name: _words(path, names, name, lines) for name in data.one_hot}
    kept = _kept(path, names, words, data)
    whole = [i for i, name in enumerate(names) if name in kept or name in words]
    parsed = [_row(path, names, whole, words, dialect, *line) for line in lines]
    cells_of = zip(*parsed, strict=True)
    columns: dict[str, Any] = dict(zip((names[i] for i in whole), cells_of, strict=True))
    for name, found in words.items():
        columns |= {f"{name}={word}": [cell == word for cell in columns[name]] for word in found}
    table = [np.asarray(columns.get(name, ()), np.float64) for name in kept]
    return kept, np.stack(table, axis=1)


def _dialect(text, data):
    """The dialect that the flags say, or the first line that is not blank."""
    bare = re.sub('"[^"]*"', "", text).split("\n")
    first = next((line for line in bare if line.strip()), "")
    decimal = _DECIMALS.get(data.decimal, data.decimal)
    if decimal not in _NUMBER:
        raise DataError(f"--data.decimal is point or comma; got {data.decimal!r}")
    if data.sep == "auto":
        separator = next((mark for mark in "\t;" if mark in first.strip()), ",")
    else:
        separator = _SEPARATORS.get(data.sep, data.sep)
    if len(separator) != 1 or separator in '"\n\r':
        known = ", ".join(name for name in _SEPARATORS if name.isalpha())
        raise DataError(f"--data.sep is auto, {known} or one character; got {data.sep!r}")
    if separator == decimal:
        raise DataError(
            f"{separator!r} cannot both separate columns and begin decimals: pass --data.sep, such as "
            "semicolon, tab or space"
        )
    return Dialect(separator, decimal)


def _cells(path, text, dialect):
    """The lines that are not blank: the number of each, and its cells."""
    lines, blanks = text.split("\n"), dialect.separator == " "
    if blanks:
        lines = [line.replace("\t", " ").strip() for line in lines]
    reader = csv.reader(lines, delimiter=dialect.separator, skipinitialspace=blanks, strict=True)
    while True:
        number = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise DataError(
                f"{path}, line {number}: {error}; is a quote not closed there?"
            ) from None
        if any(cell.strip() for cell in cells):
            yield number, cells


def _check_numbers(path, lines, dialect):
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
        shown = dialect.separator.join(lines[0][1][:5])
        raise DataError(
            f"{path}: is the first line, {shown}, a line of names or a row? Pass --data.header "
            "yes or --data.header no"
        )


def _words(path, names, name, lines):
    """The words of a column, in alphabetical order, but the first: a column of 0 and 1 for each, and
    all of them 0 for the first.
    """
    if name not in names:
        raise DataError(
            f"{path} has no column {name!r} for --data.one-hot; its columns are "
            f"{', '.join(map(repr, names))}"
        )
    i = names.index(name)
    found = sorted({cells[i].strip() for _, cells in lines if i < len(cells)} - {""})
    if not 2 <= len(found) <= WORDS:
        raise DataError(
            f"{path}: --data.one-hot {shlex.quote(name)} is for 2 to {WORDS} different words, and "
            f"there are {len(found):,}: drop the column ({drop_flag(name)})"
        )
    return found[1:]


def _kept(path, names, words, data):
    """The columns that the model reads, in order: of a one-hot column its words."""
    every = [
        each
        for name in names
        for each in ([f"{name}={word}" for word in words[name]] if name in words else [name])
    ]

    def all_of(flag, chosen):
        for name in chosen:
            if name not in names and name not in every:
                raise DataError(
                    f"{path} has no column {name!r} {flag}; its columns are "
                    f"{', '.join(map(repr, dict.fromkeys([*names, *every])))}"
                )
        inside = {name: [f"{name}={word}" for word in found] for name, found in words.items()}
        return [each for name in chosen for each in inside.get(name, [name])]

    if data.columns and data.drop:
        raise DataError("--data.columns and --data.drop exclude each other: drop one")
    if len(set(data.columns)) < len(data.columns):
        raise DataError("--data.columns names a column twice: name each once")
    dropped = all_of("to drop", data.drop)
    kept = all_of("to keep", data.columns) or [name for name in every if name not in dropped]
    if not kept:
        raise DataError(f"{path}: --data.drop leaves no column")
    return kept


def _header(cells, dialect):
    """Whether a line holds names: some word and no number."""
    return not all(map(_missing, cells)) and all(dialect.number(cell) is None for cell in cells)


def has_names(names: Sequence[str]) -> bool:
    """Whether the column names of `read_csv` come from the file, and not from counting."""
    return not all(re.fullmatch(r"column \d+(=.*)?", name) for name in names)


def drop_flag(name: str) -> str:
    """The flag that leaves a column out, quoted for a shell."""
    return f"--data.drop {shlex.quote(name)}"


def _row(path, names, whole, words, dialect, line, cells):
    """The numbers of a row in the columns `whole`, and the words of one-hot columns."""
    if len(cells) != len(names):
        raise DataError(f"{path}, line {line}: {len(cells)} cells, expected {len(names)}")
    names_here = (
        " (a line of names must not hold numbers, unless --data.header yes says so)"
        if line == 1
        else ""
    )
    row = []
    for name, cell in ((names[i], cells[i].strip()) for i in whole):
        value = cell if name in words else dialect.number(cell)
        if _missing(cell):
            raise DataError(
                f"{path}, line {line}: {name!r} is missing ({cell!r}); fill it in, or drop the "
                "row or column "
                f"({drop_flag(name)}){names_here}"
            )
        if value is None:
            advice = f"{_advice(name, cell, dialect)}{names_here}"
            raise DataError(
                f"{path}, line {line}: {name!r} is {cell!r}, no finite number; {advice}"
            )
        row.append(value)
    return row


def _advice(name, cell, dialect):
    """What to do about a cell that is no number."""
    if len(cell.split()) > 1 and all(dialect.number(part) is not None for part in cell.split()):
        return "pass --data.sep space if blanks separate columns"
    if re.fullmatch(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?", cell):
        return (
            "write no comma between thousands, and a point for the decimal comma (or pass "
            "--data.decimal comma)"
        )
    if dialect.decimal == "." and Dialect("", ",").number(cell) is not None:
        return "write a point for the decimal comma, or pass --data.decimal comma"
    if dialect.decimal == "," and Dialect("", ".").number(cell) is not None:
        return "write a comma for the decimal point, or drop --data.decimal"
    return (
        f"a column of words is left out by {drop_flag(name)}, and becomes columns of 0 and 1 by "
        f"--data.one-hot {shlex.quote(name)}"
    )


def _missing(cell):
    return cell.strip().lower() in ("", "?", "na", "n/a", "nan", "null", "none")
