"""Tables: rows of real numbers."""

from train.data.sources.tables import bundled, red_wine, table
from train.kinds.arrays import Arrays


class Table(Arrays):
    """Rows are standardised, and nats are those of the data as given."""

    name = "table"
    holds = "a table"
    example = "wine"
    own = "table"
    published = ("red_wine",)
    flags = ("fold", "header", "drop", "train", "train_seed")
    recipe = {
        "steps": 2_000,
        "batch_size": 24,
        "clip": 10.0,
        "weight_decay": 0.1,
        "eval_every": 20,
        "patience": 40,
    }
    loaders = {
        "wine": bundled,
        "breast_cancer": bundled,
        "diabetes": bundled,
        "red_wine": red_wine,
        "table": table,
    }


KIND = Table()
