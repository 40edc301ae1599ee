"""Reads a .csv as column names and numbers; errors name the line and the column."""

import dataclasses
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from zoo.formats.csv_cells import Dialect, Reading, cells_of, dialect_of, is_missing

_LOOK = 1_000  # lines by which a stream decides whether the first holds names
WORDS = 100  # different ones in a column that becomes one-hot, at most


class Table(NamedTuple):
    """A table that was read.

    Attributes:
      names: of its columns; "column 1" and so on if the file names none.
      rows: its values.
      reading: how another file of the same columns is read.
    """

    names: list[str]
    rows: Float64[np.ndarray, "rows columns"]
    reading: Reading


def read_csv(path: Path, reading: Reading | None = None) -> Table:
    """Column names and float64 values of a table, with a line of names or without.

    Raises:
      ValueError: it is no table of numbers; the message names the column and the line.

    Example:
      >>> Path("two.csv").write_text("a;b\\n1,5;red\\n3;blue\\n")
      19
      >>> table = read_csv(Path("two.csv"), Reading(decimal="comma", one_hot={"b": ()}))
      >>> table.names, table.rows.tolist()
      (['a', 'b=red'], [[1.5, 1.0], [3.0, 0.0]])
    """
    names, rows, complete = _opened(path, reading or Reading(), None)
    return Table(names, np.array(list(rows), np.float64).reshape(-1, len(names)), complete)


def stream_csv(
    path: Path, reading: Reading | None = None
) -> tuple[list[str], Iterator[list[float]]]:
    """As `read_csv`, but the rows come one by one: a file may be larger than memory.

    Whether the first line holds names is decided by the first 1,000 lines, and so are the words of
    one-hot columns that `reading` does not give.

    Example:
      >>> Path("two.csv").write_text("a,b\\n1,2\\n3,4\\n")
      12
      >>> names, rows = stream_csv(Path("two.csv"))
      >>> names, list(rows)
      (['a', 'b'], [[1.0, 2.0], [3.0, 4.0]])
    """
    names, rows, _ = _opened(path, reading or Reading(), _LOOK)
    return names, rows


def column_names(path: Path, reading: Reading) -> list[str]:
    """The names of all columns in a file; "column 1" and so on if it names none.

    Example:
      >>> Path("two.csv").write_text("a,b\\n1,2\\n")
      8
      >>> column_names(Path("two.csv"), Reading())
      ['a', 'b']
    """
    dialect = dialect_of(path, reading)
    return _names(path, list(itertools.islice(cells_of(path, dialect), _LOOK)), dialect, reading)


def _opened(path, reading, look):
    """Names, rows and the completed reading; names and words are found in the first `look` lines."""
    dialect = dialect_of(path, reading)
    lines = cells_of(path, dialect)
    first = list(itertools.islice(lines, look))
    names = _names(path, first, dialect, reading)
    one_hot = {
        name: _words(path, names, name, first, words, reading)
        for name, words in reading.one_hot.items()
    }
    kept = _kept(path, names, one_hot, reading)
    reading = dataclasses.replace(reading, columns=tuple(kept), drop=(), one_hot=one_hot)
    whole = [i for i, name in enumerate(names) if name in set(reading.whole)]
    parse = _Parser(path, names, whole, kept, dialect, reading)
    return kept, itertools.starmap(parse.row, itertools.chain(first, lines)), reading


def _names(path, lines, dialect, reading):
    """The names of all columns; takes the line that holds them out of `lines`."""
    if not lines:
        raise ValueError(f"{path} is empty; expected one row of numbers a line")
    cells = lines[0][1]
    if reading.header == "auto":
        _check_numbers(path, lines, dialect, reading)
    names = [f"column {i + 1}" for i in range(len(cells))]
    if reading.header == "yes" or (reading.header == "auto" and _header(cells, dialect)):
        given = [cell.strip() for cell in lines.pop(0)[1]]
        names = [
            f"{one} ({other})" if given.count(one) > 1 else one or other
            for one, other in zip(given, names, strict=True)
        ]
    return names


def _check_numbers(path, lines, dialect, reading):
    """Refuses a first line of numbers that are probably names: they count, or are whole where all
    others are not.
    """
    cells = [cell.strip() for cell in lines[0][1] if not is_missing(cell)]
    if not cells or not all(re.fullmatch(r"[+-]?\d+", cell, re.ASCII) for cell in cells):
        return
    steps = {int(b) - int(a) for a, b in itertools.pairwise(cells)}
    others = [cell.strip() for _, line in lines[1:] for cell in line]
    if steps == {1} or (
        others and not any(re.fullmatch(r"[+-]?\d+", cell, re.ASCII) for cell in others)
    ):
        shown = dialect.separator.join(lines[0][1][:5])
        raise ValueError(
            f"{path}: is the first line, {shown}, a line of names or a row? Pass "
            f"{reading.flag('header')} yes or {reading.flag('header')} no"
        )


def _header(cells, dialect):
    """Whether a line holds names: some word and no number."""
    return not all(map(is_missing, cells)) and all(dialect.number(cell) is None for cell in cells)


def _columns(names):
    return f"its columns are {', '.join(map(repr, names))}"


def _words(path, names, name, lines, given, reading):
    """The words of a one-hot column in alphabetical order."""
    if name not in names:
        raise ValueError(
            f"{path} has no column {name!r} for {reading.flag('one-hot')}; {_columns(names)}"
        )
    i = names.index(name)
    found = given or sorted({cells[i].strip() for _, cells in lines if i < len(cells)} - {""})
    if not 2 <= len(found) <= WORDS:
        raise ValueError(
            f"{path}: {reading.flag('one-hot', name)} is for 2 to {WORDS} different words, and "
            f"there are {len(found):,}: drop the column ({reading.flag('drop', name)})"
        )
    return tuple(found)


def _kept(path, names, one_hot, reading):
    """The columns that are read, in order: of a one-hot column its words but the first."""
    inside = {name: [f"{name}={word}" for word in words[1:]] for name, words in one_hot.items()}
    every = [each for name in names for each in inside.get(name, [name])]

    def all_of(what, chosen):
        for name in chosen:
            if name not in names and name not in every:
                known = dict.fromkeys([*names, *every])
                raise ValueError(f"{path} has no column {name!r} {what}; {_columns(known)}")
        return [each for name in chosen for each in inside.get(name, [name])]

    columns, drop = (reading.flag(name) for name in ("columns", "drop"))
    if reading.columns and reading.drop:
        raise ValueError(f"{columns} and {drop} exclude each other: drop one")
    dropped = all_of("to drop", reading.drop)
    kept = all_of("to keep", reading.columns) or [name for name in every if name not in dropped]
    if not kept:
        raise ValueError(f"{path}: {drop} leaves no column")
    if len(set(kept)) < len(kept):
        raise ValueError(f"{columns} names a column twice: name each once")
    return kept


class _Parser(NamedTuple):
    """What makes rows of numbers from the cells of lines."""

    path: Path
    names: list[str]
    whole: list[int]  # the columns of the file that are read
    kept: list[str]  # the columns that they become
    dialect: Dialect
    reading: Reading

    def row(self, line: int, cells: list[str]) -> list[float]:
        """The numbers of a line."""
        path, names = self.path, self.names
        if len(cells) != len(names):
            raise ValueError(f"{path}, line {line}: {len(cells)} cells, expected {len(names)}")
        values: dict[str, float] = {}
        for name, cell in ((names[i], cells[i].strip()) for i in self.whole):
            if is_missing(cell):
                raise ValueError(
                    f"{path}, line {line}: {name!r} is missing ({cell!r}); fill it in, or drop the "
                    f"row or column ({self.reading.flag('drop', name)}){self.names_here(line)}"
                )
            words = self.reading.one_hot.get(name)
            if words is not None:
                self.check_word(line, name, cell)
                values |= {f"{name}={word}": float(cell == word) for word in words}
                continue
            value = self.dialect.number(cell)
            if value is None:
                advice = _advice(name, cell, self.dialect, self.reading)
                raise ValueError(
                    f"{path}, line {line}: {name!r} is {cell!r}, no finite number; "
                    f"{advice}{self.names_here(line)}"
                )
            values[name] = value
        return [values[name] for name in self.kept]

    def names_here(self, line: int) -> str:
        """What to do if the first line holds names that are numbers."""
        if line > 1:
            return ""
        header = self.reading.flag("header")
        return f" (a line of names must not hold numbers, unless {header} yes says so)"

    def check_word(self, line: int, name: str, cell: str) -> None:
        """Refuses a word that has no column."""
        if cell not in (words := self.reading.one_hot[name]):
            raise ValueError(
                f"{self.path}, line {line}: {name!r} is {cell!r}; expected one of the words that "
                f"the model knows: {', '.join(map(repr, words))}"
            )


def _advice(name, cell, dialect, reading):
    """What to do about a cell that is no number."""
    if len(cell.split()) > 1 and all(dialect.number(part) is not None for part in cell.split()):
        return f"pass {reading.flag('sep')} space if blanks separate columns"
    decimal = reading.flag("decimal")
    if re.fullmatch(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?", cell):
        return (
            "write no comma between thousands, and a point for the decimal comma (or pass "
            f"{decimal} comma)"
        )
    if dialect.decimal == "." and Dialect("", ",").number(cell) is not None:
        return f"write a point for the decimal comma, or pass {decimal} comma"
    if dialect.decimal == "," and Dialect("", ".").number(cell) is not None:
        return f"write a comma for the decimal point, or pass {decimal} point"
    return (
        f"a column of words is left out by {reading.flag('drop', name)}, and becomes columns of 0 "
        f"and 1 by {reading.flag('one-hot', name)}"
    )
