"""Tables of real numbers, a row an example: scikit-learn's, red wine with the RNADE paper's folds,
  your own .csv.

A table is cut into ten parts of floor(N / 10) different rows (the last takes the rest), after a
fixed permutation of the rows; equal rows stay together. Part `--data.fold` is the test split, the
part after it validation, the other eight training. Values are as they are in the table;
`train.engine.prepare.fitted` makes standardisation a part of the model.
"""

import csv
import dataclasses
import itertools
import math
import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from train.data.dataset import (
    Data,
    DataError,
    Dataset,
    Split,
    content_keys,
    generator,
    groups,
    members,
)
from train.data.sources.published_files import File, read_manual

FOLDS = 10

# The RNADE paper's folds: all 1,599 rows of 11 columns as float32, shuffled by its authors; tenths
# of them in this order are the test parts of folds 1 to 10. The array lies in the file as it is: no
# HDF5 library is needed.
PAPER_FOLDS = File(
    "https://github.com/MarcCote/NADE/raw/master/deepnade/red_wine.hdf5",
    944716,
    "2c68a6970e234f1c76c21b140042fcdba21b4b34a841babaeb42cde2beed9d42",
)
_OFFSET = 2144
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_INDEX = re.compile(
    r"column \d+|unnamed.*|index|level_\d+|id|row|rows|row.?names?|rownum.*|nr|no|n|#",
    re.IGNORECASE,
)
_UCI = "https://archive.ics.uci.edu/ml/machine-learning-databases/wine-quality/winequality-red.csv"


def bundled(data: Data) -> Dataset:
    """scikit-learn's wine (178 x 13), breast_cancer (569 x 30) or diabetes (442 x 10); classes are
    left out.
    """
    try:
        from sklearn import datasets
    except ImportError as error:
        raise DataError(
            f"{data.name} needs scikit-learn: pip install 'autoregressive-zoo[data]' ({error})"
        ) from None
    bunch = getattr(datasets, f"load_{data.name}")()
    return _folded(data, f"scikit-learn {data.name}", bunch.data, bunch.feature_names)


def red_wine(data: Data) -> Dataset:
    """UCI red wine without its quality: the file of the RNADE paper with its folds, or UCI's own
    with
      seeded ones.
    """
    path = Path(os.path.expanduser(data.path or data.manual_dir or "."))
    files = [path / PAPER_FOLDS.name, path / "winequality-red.csv"] if path.is_dir() else [path]
    found = next((file for file in files if file.is_file()), None)
    if found is None:
        raise DataError(
            f"red_wine: there is no {' or '.join(file.name for file in files)} at {path}; pass "
            "--data.path FILE with "
            f"the folds of the RNADE paper ({PAPER_FOLDS.url}) or UCI's table, for other folds "
            f"({_UCI})"
        )
    if found.name == PAPER_FOLDS.name:
        content = read_manual(found.parent, found.name, PAPER_FOLDS.sha256)
        rows = np.frombuffer(content or b"", "<f4", 1599 * 11, _OFFSET).reshape(1599, 11)
        return _folded(
            data,
            "UCI red wine, folds of the RNADE paper",
            rows,
            [f"column {i}" for i in range(11)],
            False,
        )
    names, rows = read_csv(found)
    keep = [i for i, name in enumerate(names) if name != "quality"]
    return _folded(data, "UCI red wine, folds of its own", rows[:, keep], [names[i] for i in keep])


def table(data: Data) -> Dataset:
    """The user's own table at `data.path`."""
    if data.path is None:
        raise DataError("table needs your own data: pass --data.path FILE.csv")
    path = Path(os.path.expanduser(data.path))
    if not path.is_file():
        raise DataError(f"there is no file {path}; --data.path needs a .csv")
    names, rows = read_csv(path, data.header, data.drop)
    dataset = _folded(
        data, path.name if _named(names) else f"{path.name}, no line of names", rows, names
    )
    return dataclasses.replace(dataset, notes=_notes(names, rows))


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
      DataError: it is no table of numbers; the message names the column and the line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as text ({error})") from None
    lines = list(_cells(path, text))
    if not lines:
        raise DataError(f"{path} is empty; expected one row of numbers a line")
    cells = lines[0][1]
    if header == "auto":
        _check_numbers(path, lines)
    names = [f"column {i + 1}" for i in range(len(cells))]
    if header == "yes" or (header == "auto" and _header(cells)):
        given = [cell.strip() for cell in lines.pop(0)[1]]
        names = [
            f"{one} ({other})" if given.count(one) > 1 else one or other
            for one, other in zip(given, names, strict=True)
        ]
    if strange := [name for name in drop if name not in names]:
        raise DataError(
            f"{path} has no column {strange[0]!r} to drop; its columns are "
            f"{', '.join(map(repr, names))}"
        )
    kept = [i for i, name in enumerate(names) if name not in drop]
    if not kept:
        raise DataError(f"{path}: --data.drop leaves no column")
    rows = [_row(path, names, kept, *line) for line in lines]
    return [names[i] for i in kept], np.array(rows).reshape(-1, len(kept))


def _cells(path, text):
    """The lines that are not blank: the number of each, and its cells."""
    bare = re.sub('"[^"]*"', "", text).split("\n")
    first = next((line for line in bare if line.strip()), "")
    reader = csv.reader(text.split("\n"), delimiter=";" if ";" in first else ",", strict=True)
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
        raise DataError(
            f"{path}: is the first line, {shown}, a line of names or a row? Pass --data.header "
            "yes or --data.header no"
        )


def _header(cells):
    """Whether a line holds names: some word and no number."""
    return not all(map(_missing, cells)) and all(_number(cell) is None for cell in cells)


def _named(names):
    """Whether there was a line of names."""
    return not all(re.fullmatch(r"column \d+", name) for name in names)


def _counts(column):
    """Whether a column counts its rows, in steps of 1."""
    return bool((np.diff(column) == 1).all())


def _notes(names, rows):
    """What is remarkable of the columns that a model describes."""
    counting = [
        (
            f"{name!r} counts the rows, from {column[0]:g} to {column[-1]:g}; {_drop(name)} leaves "
            "it out"
        )
        for name, column in zip(names, rows.T, strict=True)
        if _counts(column)
    ]
    first = (
        ()
        if _named(names)
        else ("the first line is a row, not names; if it holds names pass --data.header yes",)
    )
    return (*first, *counting)


def _drop(name):
    return f"--data.drop {shlex.quote(name)}"


def _row(path, names, kept, line, cells):
    if len(cells) != len(names):
        raise DataError(f"{path}, line {line}: {len(cells)} cells, expected {len(names)}")
    names_here = (
        " (a line of names must not hold numbers, unless --data.header yes says so)"
        if line == 1
        else ""
    )
    for name, cell in ((names[i], cells[i]) for i in kept):
        if _missing(cell):
            raise DataError(
                f"{path}, line {line}: {name!r} is missing ({cell!r}); fill it in, or drop the "
                "row or column "
                f"({_drop(name)}){names_here}"
            )
        if _number(cell) is None:
            advice = f"{_advice(cell)}{names_here}"
            raise DataError(
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


def _check_column(title, name, train, column):
    """Refuses what float32 cannot hold or a model cannot learn of a column, float64, and its
    training part.
    """
    if train.min() == train.max():
        raise DataError(
            f"{title}: {name!r} is constant, {train[0]:g} in every training row; drop the column "
            f"({_drop(name)})"
        )
    if _counts(column) and _INDEX.fullmatch(name):
        raise DataError(
            f"{title}: {name!r} counts the rows, from {column[0]:g} to {column[-1]:g}, like an "
            "index that was written with "
            f"the table: pass {_drop(name)}, or give it another name in the first line to keep it"
        )
    most, deviation = abs(column).max(), train.std()
    if most > 1e30 or deviation < 1e-30:
        raise DataError(
            f"{title}: {name!r} has values up to {most:g} and a standard deviation of "
            f"{deviation:g}; rescale the column "
            "to within 1e-30 and 1e30"
        )
    step = float(np.spacing(np.float32(most)))
    if (column != column.astype(np.float32)).any() and step > deviation / 1000:
        raise DataError(
            f"{title}: {name!r} would be rounded to steps of {step:g} (float32), and its "
            "standard deviation is "
            f"{deviation:g}; subtract a constant from the column"
        )


def _parts(rows):
    """The rows in a fixed random order, and the tenth of each; rows that are equal as float32
    follow one another.
    """
    with np.errstate(over="ignore"):  # refused later, by name
        group = groups(content_keys(rows.astype(np.float32) + np.float32(0)))  # -0 + 0 is 0
    if group.max() + 1 < FOLDS:  # nothing can be kept apart
        group = np.arange(len(rows))
    num = int(group.max()) + 1
    order = members(group, generator(0).permutation(num))
    tenth = np.empty(num, int)
    tenth[generator(0).permutation(num)] = _tenths(num)
    return order, tenth[group[order]]


def _tenths(num):
    """Numbers of the ten parts that a line of `num` is cut into."""
    return np.minimum(np.arange(num) // (num // FOLDS), FOLDS - 1)


def _folded(data, title, rows, names, shuffle=True):
    if data.binarise != "none" or data.levels != 256:
        raise DataError(
            f"{data.name} is a table of real numbers: drop --data.binarise and --data.levels"
        )
    if not 0 <= data.fold < FOLDS:
        raise DataError(f"--data.fold must be 0..{FOLDS - 1}; got {data.fold}")
    if len(rows) < 2 * FOLDS:
        raise DataError(
            f"{title} has {len(rows)} rows; at least {2 * FOLDS} are needed to cut it into "
            f"{FOLDS} parts"
        )
    order, part = _parts(rows) if shuffle else (np.arange(len(rows)), _tenths(len(rows)))
    held = (data.fold, (data.fold + 1) % FOLDS)
    test, valid, train = (
        rows[order[mask]] for mask in (part == held[0], part == held[1], ~np.isin(part, held))
    )
    for name, part, column in zip(
        names, train.astype(np.float64).T, rows.astype(np.float64).T, strict=True
    ):
        _check_column(title, name, part, column)
    fold = f"fold {data.fold} of {FOLDS}"
    description = f"{title}, {rows.shape[1]} columns, {fold}, test split of {len(test):,}"
    train, valid, test = (
        Split(np.ascontiguousarray(each, np.float32), None) for each in (train, valid, test)
    )
    return Dataset(data.name, description, train, valid, test, num_levels=None)
