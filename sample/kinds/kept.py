"""What a training leaves beside the weights: images of the test split."""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Integer

import zoo
from zoo.core.checks import kind
from zoo.formats.arrays import read_arrays

TEST = "test.npz"  # in the run's folder


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
