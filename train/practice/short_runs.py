"""Trainings of a few updates, by the compiled update of the real ones."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from train.data import Dataset
from train.engine.prepare import first_values
from train.engine.step import State, initial_state, make_update
from train.recipe.recipe import Recipe
from train.recipe.schedules import FIELDS

Batch = Callable[[int], tuple[np.ndarray, PyTree]]


class Progress(NamedTuple):
    """A training after an update.

    Attributes:
      loss: nats before the update, as training reports them.
      gradient_norm: the global norm of its gradient, before clipping.
      state: the state after it; only valid until the next.
    """

    loss: float
    gradient_norm: float
    state: State


def constant_rate(recipe: Recipe, **changes: Any) -> Recipe:
    """The recipe at one learning rate from the first update to the last, on one device at a time.

    Example:
      >>> import train, zoo
      >>> constant_rate(train.Recipe(zoo.FVSBN()), learning_rate=0.1).schedule
      'constant'
    """
    shape: Any = dict.fromkeys(FIELDS)  # none of the fields of other schedules
    plain: Any = {"parallel": "jit", "warmup": 0, "ema": 0.0, "snapshots": False}
    return dataclasses.replace(recipe, schedule="constant", **shape, **(plain | changes))


def updates(
    recipe: Recipe, dataset: Dataset, batch: Batch, rate: Callable[[int], Any] | None = None
) -> Iterator[Progress]:
    """Updates from fresh weights, one after the other, as long as they are asked for.

    Args:
      recipe: what is trained; its model has the shape of the data.
      dataset: the data, to whose frequencies the output bias is fitted.
      batch: the examples and contexts of a step 0, 1, ...
      rate: a function of the step; the update's change of the weights is multiplied by it, which
        for Adam with decoupled weight decay is a learning rate without another compilation.
    """
    update = make_update(recipe)
    state = update.place(initial_state(recipe, *batch(0), values=first_values(dataset)))
    for step in range(recipe.steps):
        # The update takes the memory of its state, so the weights before it are a copy.
        before = None if rate is None else jax.tree.map(jnp.copy, state.variables)
        state, metrics = update.step(state, *batch(step))
        if rate is not None:
            state = state._replace(variables=_part(before, state.variables, rate(step)))
        yield Progress(float(metrics.loss), float(metrics.gradient_norm), state)


@jax.jit
def _part(before, after, rate):
    """So much of the way from one tree of arrays to another."""
    return jax.tree.map(lambda old, new: old + rate * (new - old), before, after)
