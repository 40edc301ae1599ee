"""The cells of a .csv, and how they are written."""

import csv
import dataclasses
import math
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

_HEAD = 1 << 16  # characters by which the separator is found
_NUMBER = {
    mark: re.compile(rf"[+-]?(\d+\{mark}?\d*|\{mark}\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
    for mark in ".,"
}
_SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t", "\\t": "\t", "space": " ", "bar": "|"}
_DECIMALS = {"point": ".", "comma": ","}


@dataclasses.dataclass(frozen=True)
class Reading:
    """How a table is read.

    Attributes:
      header: whether the first line holds names: yes, no, or auto, if there is a word in it and no
        number.
      sep: what separates columns: comma, semicolon, tab, space (any run of blanks), bar or another
        character; auto: a tab or semicolon if the first line has one, else a comma.
      decimal: what begins the decimals of a number: point or comma.
      drop: names of columns to leave out, which then may hold anything.
      columns: names of the columns to read, in this order; () reads all.
      one_hot: the words of each column of words, in alphabetical order: each but the first becomes a
        column of 0 and 1, such as "colour=red". () stands for the words of the file.
      flags: how the flags begin that messages name.
    """

    header: str = "auto"
    sep: str = "auto"
    decimal: str = "point"
    drop: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    one_hot: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    flags: str = "--data."

    def flag(self, name: str, *values: str) -> str:
        """A flag, its values quoted for a shell.

        Example:
          >>> Reading().flag("drop", "my size")
          "--data.drop 'my size'"
        """
        return " ".join([f"{self.flags}{name}", *map(shlex.quote, values)])

    @property
    def whole(self) -> tuple[str, ...]:
        """The columns of the file behind `columns`, each once.

        Example:
          >>> Reading(columns=("a", "b=x", "b=y"), one_hot={"b": ("w", "x", "y")}).whole
          ('a', 'b')
        """
        origin = {f"{name}={word}": name for name, words in self.one_hot.items() for word in words}
        return tuple(dict.fromkeys(origin.get(name, name) for name in self.columns))

    def for_file(self, names: Sequence[str]) -> "Reading":
        """The same columns of a file that calls its columns `names`.

        Columns are found by their names. Where one of the two has none, they are found by their
        places: those in the first file, or if there are only as many as are read, their order.

        Example:
          >>> Reading(columns=("size", "age")).for_file(["column 1", "column 2"]).columns
          ('column 1', 'column 2')
          >>> Reading(columns=("column 1", "column 3")).for_file(["a", "b", "c"]).columns
          ('a', 'c')
        """
        whole = self.whole or tuple(names)
        one_hot = {name: words for name, words in self.one_hot.items() if name in whole}
        known = dataclasses.replace(self, one_hot=one_hot)
        if set(self.columns) <= set(names) and not set(self.columns) & set(one_hot):
            # Columns that were made of words are there already, as in samples.csv.
            return dataclasses.replace(self, one_hot={}) if self.columns else known
        places = {f"column {i + 1}": name for i, name in enumerate(names)}
        if set(whole) <= set(names) or (has_names(whole) and has_names(names)):
            return known
        if set(whole) <= set(places):
            return known.renamed(places)
        is_whole = len(whole) == len(names)
        return known.renamed(dict(zip(whole, names, strict=True))) if is_whole else known

    def renamed(self, names: Mapping[str, str]) -> "Reading":
        """The same columns under other names."""
        made = {
            f"{name}={word}": f"{names[name]}={word}"
            for name, words in self.one_hot.items()
            for word in words
        }
        every = {**names, **made}
        return dataclasses.replace(
            self,
            columns=tuple(every[name] for name in self.columns),
            one_hot={names[name]: words for name, words in self.one_hot.items()},
        )


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


def dialect_of(path: Path, reading: Reading) -> Dialect:
    """The dialect that `reading` says, or else the first line that is not blank.

    Raises:
      ValueError: the file cannot be read, or there is no such dialect.
    """
    decimal = _DECIMALS.get(reading.decimal, reading.decimal)
    if decimal not in _NUMBER:
        raise ValueError(f"{reading.flag('decimal')} is point or comma; got {reading.decimal!r}")
    if reading.sep == "auto":
        try:
            with path.open(encoding="utf-8-sig") as file:
                bare = re.sub('"[^"]*"', "", file.read(_HEAD)).split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise _unreadable(path, error) from None
        first = next((line for line in bare if line.strip()), "")
        separator = next((mark for mark in "\t;" if mark in first.strip()), ",")
    else:
        separator = _SEPARATORS.get(reading.sep, reading.sep)
    if len(separator) != 1 or separator in '"\n\r':
        known = ", ".join(name for name in _SEPARATORS if name.isalpha())
        raise ValueError(
            f"{reading.flag('sep')} is auto, {known} or one character; got {reading.sep!r}"
        )
    if separator == decimal:
        raise ValueError(
            f"{separator!r} cannot both separate columns and begin decimals: pass "
            f"{reading.flag('sep')}, such as semicolon, tab or space"
        )
    return Dialect(separator, decimal)


def _unreadable(path, error):
    reason = getattr(error, "reason", error)
    return ValueError(f"{path} cannot be read as text ({reason}); expected a .csv in UTF-8")


def cells_of(path: Path, dialect: Dialect) -> Iterator[tuple[int, list[str]]]:
    """The lines that are not blank: the number of each, and its cells.

    Raises:
      ValueError: the file is no text, or a quote is not closed.
    """
    blanks = dialect.separator == " "
    try:
        with path.open(encoding="utf-8-sig") as file:
            lines = (line.replace("\t", " ").strip() for line in file) if blanks else file
            reader = csv.reader(
                lines, delimiter=dialect.separator, skipinitialspace=blanks, strict=True
            )
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
        raise _unreadable(path, error) from None


def is_missing(cell: str) -> bool:
    """Whether a cell holds no value.

    Example:
      >>> is_missing(" NA "), is_missing("0")
      (True, False)
    """
    return cell.strip().lower() in ("", "?", "na", "n/a", "nan", "null", "none")


def has_names(names: Sequence[str]) -> bool:
    """Whether column names come from the file, and not from counting.

    Example:
      >>> has_names(["size", "column 2"]), has_names(["column 1", "column 2=red"])
      (True, False)
    """
    return not all(re.fullmatch(r"column \d+(=.*)?", name) for name in names)
