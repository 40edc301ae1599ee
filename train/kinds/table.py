"""Tables: rows of real numbers."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from train.data.dataset import DataError, Dataset, Split
from train.data.sources.tables import bundled, red_wine, table
from train.kinds.arrays import Arrays
from train.kinds.kind import named
from zoo.formats.arrays import read_arrays
from zoo.formats.csv_files import column_names, stream_csv


def recipe_for(rows: int) -> dict[str, Any]:
    """The recipe for a table of real numbers with so many training rows.

    The rate is high and the best weights by validation are kept, so a small table is fitted within
    a few hundred steps, before the model learns its rows by heart. Weight decay pulls each column
    towards its own Gaussian, with 1/`rows` as strongly. docs/experiments.md has the measurements.

    Example:
      >>> {name: recipe_for(300)[name] for name in ("steps", "batch_size", "weight_decay")}
      {'steps': 1200, 'batch_size': 30, 'weight_decay': 0.333}
    """
    steps = min(max(1_000, 4 * rows), 10_000)
    return {
        "steps": steps,
        "batch_size": min(rows, max(20, rows // 10), 100),
        "learning_rate": 5e-3,
        "weight_decay": round(min(1.0, 100 / rows), 3),
        "clip": 10.0,
        "ema": 0.995,
        "eval_every": max(25, steps // 100),
        "patience": 20,
    }


class Table(Arrays):
    """Rows are standardised, and nats are those of the data as given."""

    name = "table"
    holds = "a table"
    example = "wine"
    own = "table"
    published = ("red_wine",)
    flags = (
        *("fold", "header", "sep", "decimal", "columns", "one_hot", "drop"),
        *("classes", "train", "train_seed", "mutate"),
    )
    own_flags = ("header", "sep", "decimal", "columns", "one_hot", "drop")
    recipe = recipe_for(144)  # the training rows of its example, wine
    loaders = {
        "wine": bundled,
        "breast_cancer": bundled,
        "diabetes": bundled,
        "red_wine": red_wine,
        "table": table,
    }

    def whole(self, model, data, reading):
        """A .csv, whose columns are found as the run found its own, an .npy or an .npz."""
        path = Path(os.path.expanduser(data.path))
        if path.suffix in (".npy", ".npz"):
            rows = np.concatenate([np.asarray(x) for x in read_arrays(path).values()])
        else:
            _, lines = stream_csv(path, reading.for_file(column_names(path, reading)))
            rows = np.array(list(lines))
        levels = model.head.num_values
        if rows.dtype.kind not in "biuf" or not rows.size:
            raise DataError(f"{path} has no rows of numbers; expected one row of them a line.")
        if levels is not None and not (rows == np.round(rows)).all():
            raise DataError(f"{path} has real numbers, but {named(model)} describes levels.")
        whole = Split(rows.astype(np.float32 if levels is None else np.int32), None)
        return Dataset(data.name, f"{data.name}, {len(rows):,} rows", whole, whole, whole, levels)

    def suited(self, dataset):
        """The recipe follows the number of rows."""
        return {} if dataset.num_levels is not None else recipe_for(len(dataset.train.x))


KIND = Table()
