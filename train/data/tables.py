"""Tables of real numbers, a row an example: scikit-learn's, red wine with the RNADE paper's folds, your own .csv.

A table is cut into ten parts of floor(N / 10) rows (the last takes the rest), after a fixed permutation of the rows.
Part `--data.fold` is the test split, the part after it validation, the other eight training. Values are as they are in
the table; `train.inputs.fitted` makes standardisation a part of the model.
"""

import csv
import math
from pathlib import Path

import numpy as np

from train.data.dataset import Data, DataError, Dataset, Split, generator
from train.data.files import File, read_manual

FOLDS = 10

# The RNADE paper's folds: all 1,599 rows of 11 columns as float32, shuffled by its authors; tenths of them in this
# order are the test parts of folds 1 to 10. The array lies in the file as it is: no HDF5 library is needed.
PAPER_FOLDS = File(
    "https://github.com/MarcCote/NADE/raw/master/deepnade/red_wine.hdf5",
    944716,
    "2c68a6970e234f1c76c21b140042fcdba21b4b34a841babaeb42cde2beed9d42",
)
_OFFSET = 2144
_UCI = "https://archive.ics.uci.edu/ml/machine-learning-databases/wine-quality/winequality-red.csv"


def bundled(data: Data) -> Dataset:
    """scikit-learn's wine (178 x 13), breast_cancer (569 x 30) or diabetes (442 x 10); classes are left out."""
    try:
        from sklearn import datasets
    except ImportError as error:
        raise DataError(f"{data.name} needs scikit-learn: pip install 'autoregressive-zoo[data]' ({error})") from None
    bunch = getattr(datasets, f"load_{data.name}")()
    return _folded(data, f"scikit-learn {data.name}", bunch.data, bunch.feature_names)


def red_wine(data: Data) -> Dataset:
    """UCI red wine without its quality: the file of the RNADE paper with its folds, or UCI's own with seeded ones."""
    path = Path(data.path or data.manual_dir or ".").expanduser()
    files = [path / PAPER_FOLDS.name, path / "winequality-red.csv"] if path.is_dir() else [path]
    found = next((file for file in files if file.is_file()), None)
    if found is None:
        raise DataError(
            f"red_wine: there is no {' or '.join(file.name for file in files)} at {path}; pass --data.path FILE with "
            f"the folds of the RNADE paper ({PAPER_FOLDS.url}) or UCI's table, for other folds ({_UCI})"
        )
    if found.name == PAPER_FOLDS.name:
        content = read_manual(found.parent, found.name, PAPER_FOLDS.sha256)
        rows = np.frombuffer(content or b"", "<f4", 1599 * 11, _OFFSET).reshape(1599, 11)
        return _folded(data, "UCI red wine, folds of the RNADE paper", rows, [f"column {i}" for i in range(11)], False)
    names, rows = read_csv(found)
    keep = [i for i, name in enumerate(names) if name != "quality"]
    return _folded(data, "UCI red wine", rows[:, keep], [names[i] for i in keep])


def table(data: Data) -> Dataset:
    """The user's own table at `data.path`."""
    if data.path is None:
        raise DataError("table needs your own data: pass --data.path FILE.csv")
    path = Path(data.path).expanduser()
    if not path.is_file():
        raise DataError(f"there is no file {path}; --data.path needs a .csv")
    names, rows = read_csv(path)
    return _folded(data, path.name, rows, names)


def read_csv(path: Path) -> tuple[list[str], np.ndarray]:
    """Column names and float64 values of a table separated by commas or semicolons, with a line of names or without.

    Raises:
      DataError: it is no table of numbers; the message names the column and the line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as text ({error})") from None
    first = text.partition("\n")[0]
    reader = csv.reader(text.splitlines(), delimiter=";" if first.count(";") > first.count(",") else ",")
    lines = [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    if not lines:
        raise DataError(f"{path} is empty; expected one row of numbers a line")
    names = [f"column {i + 1}" for i in range(len(lines[0][1]))]
    if all(_number(cell) is None and not _missing(cell) for cell in lines[0][1]):
        names = [cell.strip() for cell in lines.pop(0)[1]]
    return names, np.array([_row(path, names, *line) for line in lines]).reshape(-1, len(names))


def _row(path, names, line, cells):
    if len(cells) != len(names):
        raise DataError(f"{path}, line {line}: {len(cells)} cells, expected {len(names)}")
    for name, cell in zip(names, cells, strict=True):
        if _missing(cell):
            raise DataError(
                f"{path}, line {line}: {name!r} is missing ({cell!r}); fill it in or drop the row or column"
            )
        if _number(cell) is None:
            raise DataError(
                f"{path}, line {line}: {name!r} is {cell!r}, no finite number; drop the column or encode it"
            )
    return [float(cell) for cell in cells]


def _number(cell):
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _missing(cell):
    return cell.strip().lower() in ("", "?", "na", "n/a", "nan", "null", "none")


def _folded(data, title, rows, names, shuffle=True):
    if data.binarise != "none" or data.levels != 256:
        raise DataError(f"{data.name} is a table of real numbers: drop --data.binarise and --data.levels")
    if not 0 <= data.fold < FOLDS:
        raise DataError(f"--data.fold must be 0..{FOLDS - 1}; got {data.fold}")
    if len(rows) < 2 * FOLDS:
        raise DataError(f"{title} has {len(rows)} rows; at least {2 * FOLDS} are needed to cut it into {FOLDS} parts")
    rows = np.asarray(rows, np.float32)
    order = generator(0).permutation(len(rows)) if shuffle else np.arange(len(rows))
    part = np.minimum(np.arange(len(rows)) // (len(rows) // FOLDS), FOLDS - 1)
    held = (data.fold, (data.fold + 1) % FOLDS)
    test, valid, train = (rows[order[mask]] for mask in (part == held[0], part == held[1], ~np.isin(part, held)))
    for name, column in zip(names, train.T, strict=True):
        if column.min() == column.max():
            raise DataError(f"{title}: {name!r} is constant, {column[0]:g} in every training row; drop the column")
    description = f"{title}, {rows.shape[1]} columns, fold {data.fold} of {FOLDS}, test split of {len(test):,}"
    train, valid, test = (Split(np.ascontiguousarray(each), None) for each in (train, valid, test))
    return Dataset(data.name, description, train, valid, test, num_levels=None)
