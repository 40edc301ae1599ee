"""Where a model with its variables comes from: one way for everything that takes a run."""

import os
from collections.abc import Mapping
from typing import Any

from zoo.core.checkpoint import find, load
from zoo.core.generative import Generative, Variables
from zoo.foundation.arguments import shown


def open(source: Any) -> tuple[Generative, Variables]:
    """The model and variables of a source: a checkpoint, a run's folder, a model's name with a run
    under runs/, or a pair.

    Args:
      source: a path, a name, or the pair (model, variables) itself.

    Raises:
      CheckpointError: there is no such run, or it cannot be read.
      ValueError: the source is none of
      these.

    Example:
      >>> import jax, numpy as np, zoo
      >>> model = zoo.MADE((2, 2), hidden=(8,))
      >>> x = np.array([[[0, 1], [1, 0]], [[1, 1], [0, 0]]])
      >>> variables = zoo.init(model, jax.random.key(0), x)
      >>> zoo.save("model.safetensors", model, variables)
      >>> zoo.open("model.safetensors")[0] == model, zoo.open((model, variables))[0] == model
      (True, True)
    """
    if isinstance(source, str | os.PathLike):
        return load(find(source))
    pair = tuple(source) if isinstance(source, tuple | list) else (source,)
    if len(pair) == 2 and isinstance(pair[0], Generative) and isinstance(pair[1], Mapping):
        model, variables = pair
        return model, variables
    raise ValueError(
        "expected a checkpoint, a run's folder, the name of a model with a run, or a pair "
        "(model, variables); "
        f"got {' and '.join(map(shown, pair))}."
    )
