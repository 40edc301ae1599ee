"""The data of a recipe, checked against its model before anything is written."""

import dataclasses

import jax
import numpy as np

import zoo
from train.data import Batches, DataError, Dataset, load
from train.recipe import Recipe
from train.update import initial_state, make_update


def inputs(recipe: Recipe) -> Dataset:
    """Loads the recipe's data; labels are kept only for a conditional model.

    Raises:
      DataError: the data cannot be had, or the model cannot describe them.
    """
    dataset = load(recipe.data)
    if recipe.conditional and dataset.num_classes is None:
        raise DataError(f"{dataset.name} has no labels, so a model cannot be conditional on them: drop --conditional.")
    if not recipe.conditional:
        dataset = _each(dataset, lambda split: split._replace(context=None))
    _check(recipe.model, dataset)
    return dataset


def check_trainable(recipe: Recipe, dataset: Dataset) -> None:
    """Raises ValueError if the first step would: everything that can be found out before anything is written."""
    make_update(recipe)
    batches = Batches(dataset.train, recipe.batch_size, recipe.seed, dataset.dynamic)
    jax.eval_shape(lambda: initial_state(recipe, *batches(0)))


def _check(model, dataset):
    name, wanted = type(model).__name__, (*model.site_shape, *model.head.event_shape)
    got = dataset.train.x.shape[1:]
    if got != wanted:
        raise DataError(
            f"{dataset.name} has images of shape {list(got)}, but the {name} describes {list(wanted)}: "
            f"pass --model.site-shape {' '.join(map(str, got))}, or choose other data."
        )
    if complaint := model.head.complaint(np.asarray([0, dataset.num_levels - 1])):
        raise DataError(
            f"{dataset.name} has {dataset.num_levels} levels, but {complaint}: pass "
            f"--model.head categorical:{dataset.num_levels}, or --data.binarise dynamic."
        )
    zoo.check_values(model, dataset.valid.x, f"the validation split of {dataset.name}")
    zoo.check_values(model, dataset.test.x, f"the test split of {dataset.name}")


def _each(dataset, function):
    return dataclasses.replace(
        dataset, train=function(dataset.train), valid=function(dataset.valid), test=function(dataset.test)
    )
