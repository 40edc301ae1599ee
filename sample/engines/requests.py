"""What is refused before anything is drawn, in one line each."""

from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree

import zoo
from zoo.core.arrays import check_variables
from zoo.core.checks import kind
from zoo.foundation.limits import check_memory


def check_request(
    model: zoo.Generative, variables: zoo.Variables, num: Any, batch_size: Any, context: PyTree
) -> None:
    """Raises ValueError unless so many draws can be made of the model given the context."""
    counts = (num,) if batch_size is None else (num, batch_size)
    if not all(isinstance(count, int | np.integer) and count >= 1 for count in counts):
        raise ValueError(
            f"num and batch_size must be whole numbers >= 1; got num={num!r}, "
            f"batch_size={batch_size!r}."
        )
    event = (*model.site_shape, *model.head.event_shape)
    check_memory(model, jax.ShapeDtypeStruct((num, *event), model.head.dtype), f"{num} draws of it")
    for leaf in jax.tree.leaves(context):
        if np.shape(leaf)[:1] != (num,):
            raise ValueError(
                f"context must have a leading axis of num={num}; got shape {list(np.shape(leaf))}."
            )
    zoo.check_context(model, context)
    check_variables(model, variables, context)


def check_plain(model: zoo.Generative, **asked: Any) -> None:
    """Raises ValueError if something was asked for that needs conditionals."""
    for name, value in asked.items():
        if value is not None:
            raise ValueError(
                f"{kind(model)} draws whole examples from noise and has no conditionals: drop {name}."
            )
