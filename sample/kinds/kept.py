"""What a training leaves beside the weights: images of the test split, and how a table was read."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Integer

import zoo
from zoo.core.checks import kind
from zoo.formats.arrays import read_arrays
from zoo.formats.csv_cells import Reading

TEST = "test.npz"  # in the run's folder
COLUMNS = "columns.json"  # beside the checkpoint: names and moments of the test split's columns


def kept_images(
    checkpoint: Path, model: zoo.Generative, num: int
) -> tuple[Integer[np.ndarray, "num *sites_and_event"], Any] | None:
    """The first `num` test images of a run, as values of its model, and their labels if the model is
    conditional on them; None of a run that keeps none.

    Raises:
      ValueError: the file holds no images of this model.
    """
    path = checkpoint.parent / TEST
    if not path.is_file():
        return None
    arrays = read_arrays(path)
    x, event = arrays.get("x"), (*model.site_shape, *model.head.event_shape)
    labels = arrays.get("labels")
    if x is None or x.shape[1:] != event:
        found = "no x" if x is None else f"x of shape {list(x.shape)}"
        raise ValueError(
            f"{path} holds {found}, but {kind(model)} has values {list(event)}: delete it."
        )
    if model.example(1)[1] is None:
        labels = None
    elif labels is None:
        return None
    return x[:num].astype(np.int32), None if labels is None else labels[:num]


def kept_reading(checkpoint: Path | None, model: zoo.Generative, **said: Any) -> Reading:
    """How a .csv is read for a model: as its run read its own, but for what is `said`.

    Args:
      checkpoint: the model's, beside which the run keeps it; None if there is none.
      model: its `column_names` are read where the run keeps nothing.
      **said: header, sep, decimal, columns, drop; None and () stand for those of the run.

    Raises:
      ValueError: the file that the run keeps is damaged, or something else is said.
    """
    if strange := set(said) - {"header", "sep", "decimal", "columns", "drop"}:
        raise ValueError(f"{strange.pop()} says nothing about how a .csv is read: drop it.")
    found: dict[str, Any] = {"columns": tuple(getattr(model, "column_names", ()))}
    path = checkpoint.parent / COLUMNS if checkpoint else None
    if path is not None and path.is_file():
        try:
            kept = json.loads(path.read_text(encoding="utf-8")).get("reading")
            if kept:
                found = {name: tuple(x) if isinstance(x, list) else x for name, x in kept.items()}
                found["one_hot"] = {name: tuple(x) for name, x in kept["one_hot"].items()}
            Reading(**found)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise ValueError(f"{path} cannot be read ({error!r}): delete it.") from None
    said = {name: x for name, x in said.items() if x is not None and x != ()}
    if said.keys() & {"columns", "drop"}:
        found["columns"] = ()
    for name, x in said.items():
        found[name] = tuple(x) if name in ("columns", "drop") else x
    return Reading(**{**found, "flags": "--"})
