"""Tables of real numbers, a row an example: scikit-learn's, red wine with the RNADE paper's folds,
your own .csv.

A table is cut into ten parts of floor(N / 10) different rows (the last takes the rest), after a
fixed permutation of the rows; equal rows stay together. Part `--data.fold` is the test split, the
part after it validation, the other eight training. Values are as they are in the table;
`train.engine.prepare.fitted` makes standardisation a part of the model.
"""

import dataclasses
import os
import re
from pathlib import Path

import numpy as np

from train.data.dataset import Data, DataError, Dataset, Split, content_keys, generator
from train.data.grouping import frequent_note, groups, members
from train.data.sources.published_files import File, read_manual
from zoo.formats.csv_cells import Reading, has_names
from zoo.formats.csv_files import Table, read_csv

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
_INDEX = re.compile(
    r"column \d+|unnamed.*|index|level_\d+|id|row|rows|row.?names?|rownum.*|nr|no|n|#",
    re.IGNORECASE,
)
_UCI = "https://archive.ics.uci.edu/ml/machine-learning-databases/wine-quality/winequality-red.csv"


def bundled(data: Data) -> Dataset:
    """scikit-learn's wine (178 x 13, 3 classes), breast_cancer (569 x 30, 2 classes) or diabetes
    (442 x 10).
    """
    try:
        from sklearn import datasets
    except ImportError as error:
        raise DataError(
            f"{data.name} needs scikit-learn: pip install 'autoregressive-zoo[data]' ({error})"
        ) from None
    bunch = getattr(datasets, f"load_{data.name}")()
    names = tuple(map(str, getattr(bunch, "target_names", ())))
    labels = bunch.target.astype(np.int32) if names and data.classes else None
    dataset = _folded(
        data,
        f"scikit-learn {data.name}",
        bunch.data,
        list(map(str, bunch.feature_names)),
        labels=labels,
    )
    return dataclasses.replace(
        dataset, num_classes=None if labels is None else len(names), class_names=names
    )


def red_wine(data: Data) -> Dataset:
    """UCI red wine without its quality: the file of the RNADE paper with its folds, or UCI's own
    with seeded ones.
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
    names, rows, _ = _read(found, Reading())
    keep = [i for i, name in enumerate(names) if name != "quality"]
    return _folded(data, "UCI red wine, folds of its own", rows[:, keep], [names[i] for i in keep])


def table(data: Data) -> Dataset:
    """The user's own table at `data.path`."""
    if data.path is None:
        raise DataError("table needs your own data: pass --data.path FILE.csv")
    path = Path(os.path.expanduser(data.path))
    if not path.is_file():
        raise DataError(f"there is no file {path}; --data.path needs a .csv")
    if path.suffix in (".npy", ".npz"):
        raise DataError(
            f"{path} holds arrays; a table is a .csv. For bits or levels pass --data.name images; for "
            "real numbers write a .csv: numpy.savetxt(FILE, x, delimiter=',')"
        )
    names, rows, reading = _read(
        path,
        Reading(
            data.header,
            data.sep,
            data.decimal,
            data.drop,
            data.columns,
            dict.fromkeys(data.one_hot, ()),
        ),
    )
    dataset = _folded(
        data, path.name if has_names(names) else f"{path.name}, no line of names", rows, names
    )
    bits = _bits(path, data)
    notes = (*_notes(names, rows), *bits, *dataset.notes)
    return dataclasses.replace(dataset, notes=notes, reading=reading)


def _read(path: Path, reading: Reading) -> Table:
    try:
        return read_csv(path, reading)
    except ValueError as error:
        raise DataError(str(error)) from None


def drop_flag(name: str) -> str:
    """The flag that leaves a column out, quoted for a shell."""
    return Reading().flag("drop", name)


def _bits(path, data):
    """A note on columns that have no density."""
    if not data.one_hot:
        return ()
    return (
        f"{', '.join(data.one_hot)}: columns of 0 and 1 have no density, so nats of {path.name} can "
        "fall without end; do not compare them with nats of other columns",
    )


def _counts(column):
    """Whether a column counts its rows, in steps of 1."""
    return bool((np.diff(column) == 1).all())


def _notes(names, rows):
    """What is remarkable of the columns that a model describes."""
    counting = [
        (
            f"{name!r} counts the rows, from {column[0]:g} to {column[-1]:g}; {drop_flag(name)} leaves "
            "it out"
        )
        for name, column in zip(names, rows.T, strict=True)
        if _counts(column)
    ]
    first = (
        ()
        if has_names(names)
        else ("the first line is a row, not names; if it holds names pass --data.header yes",)
    )
    return (*first, *counting)


def _check_column(title, name, train, column):
    """Refuses what float32 cannot hold or a model cannot learn of a column, float64, and its
    training part.
    """
    if train.min() == train.max():
        raise DataError(
            f"{title}: {name!r} is constant, {train[0]:g} in every training row; drop the column "
            f"({drop_flag(name)})"
        )
    if _counts(column) and _INDEX.fullmatch(name):
        raise DataError(
            f"{title}: {name!r} counts the rows, from {column[0]:g} to {column[-1]:g}, like an "
            "index that was written with "
            f"the table: pass {drop_flag(name)}, or give it another name in the first line to keep it"
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


def _keys(rows):
    """A key for each row: that of rows that are equal as float32 is the same."""
    with np.errstate(over="ignore"):  # refused later, by name
        return content_keys(rows.astype(np.float32) + np.float32(0))  # -0 + 0 is 0


def _parts(keys):
    """The rows in a fixed random order, and the tenth of each; equal rows follow one another."""
    group = groups(keys)
    if group.max() + 1 < FOLDS:  # nothing can be kept apart
        group = np.arange(len(keys))
    num = int(group.max()) + 1
    order = members(group, generator(0).permutation(num))
    tenth = np.empty(num, int)
    tenth[generator(0).permutation(num)] = _tenths(num)
    return order, tenth[group[order]]


def _tenths(num):
    """Numbers of the ten parts that a line of `num` is cut into."""
    return np.minimum(np.arange(num) // (num // FOLDS), FOLDS - 1)


def _folded(data, title, rows, names, shuffle=True, labels=None):
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
    keys = _keys(rows) if shuffle else range(len(rows))
    order, part = _parts(keys) if shuffle else (np.arange(len(rows)), _tenths(len(rows)))
    held = (data.fold, (data.fold + 1) % FOLDS)
    places = [order[mask] for mask in (~np.isin(part, held), part == held[1], part == held[0])]
    for name, part, column in zip(
        names, rows[places[0]].astype(np.float64).T, rows.astype(np.float64).T, strict=True
    ):
        _check_column(title, name, part, column)
    fold = f"fold {data.fold} of {FOLDS}"
    description = f"{title}, {rows.shape[1]} columns, {fold}, test split of {len(places[2]):,}"
    notes = frequent_note(keys, "rows")
    train, valid, test = (
        Split(np.ascontiguousarray(rows[at], np.float32), None if labels is None else labels[at])
        for at in places
    )
    columns = tuple(names) if has_names(names) else ()
    return Dataset(
        data.name, description, train, valid, test, None, notes=notes, column_names=columns
    )
