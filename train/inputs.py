"""The data of a recipe, checked against its model before anything is written."""

import dataclasses
from typing import Any

import jax
import numpy as np

import zoo
from train.data import Batches, DataError, Dataset, Split, Streams, Windows, load
from train.recipe import Recipe, streamed
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
    name = type(recipe.model).__name__
    if bool(dataset.vocabulary) != isinstance(recipe.model, zoo.Sequence):
        what, other = ("text", "mnist_1bit") if dataset.vocabulary else ("no text", "python_docs")
        raise DataError(f"{dataset.name} is {what}, which {name} does not describe: pass --data.name, such as {other}.")
    if dataset.vocabulary:
        return _windows(dataset, recipe.model)
    _check(recipe.model, dataset)
    return dataset


def fitted(recipe: Recipe, dataset: Dataset) -> Recipe:
    """The recipe to train: the model is given what only the data know.

    Where values are real, the means and deviations of the training split; for a text, its vocabulary.
    """
    model: Any = recipe.model
    if dataset.vocabulary:
        head = zoo.Categorical(len(dataset.vocabulary))
        return dataclasses.replace(recipe, model=model.clone(head=head, vocabulary=dataset.vocabulary))
    if dataset.num_levels is not None:
        return recipe
    rows = dataset.train.x.reshape(len(dataset.train.x), -1).astype(np.float64)
    shift, scale = (tuple(float(np.float32(value)) for value in each) for each in (rows.mean(0), rows.std(0)))
    return dataclasses.replace(recipe, model=zoo.Standardised(model, shift, scale))


def training_batches(recipe: Recipe, dataset: Dataset) -> Batches | Windows | Streams:
    """The training stream, a pure function of the step: examples; or of a text, streams for a recurrent network and
    windows for any other."""
    if not dataset.vocabulary:
        return Batches(dataset.train, recipe.batch_size, recipe.seed, dataset.dynamic)
    length = recipe.model.num_sites
    if streamed(recipe.model):
        return Streams(dataset.train.x, length, recipe.batch_size)
    return Windows(dataset.train.x, length, recipe.batch_size, recipe.seed)


def check_trainable(recipe: Recipe, dataset: Dataset) -> None:
    """Raises ValueError if the first step would: everything that can be found out before anything is written."""
    make_update(recipe)
    batches = training_batches(recipe, dataset)
    jax.eval_shape(lambda: initial_state(recipe, *batches(0)))


def _windows(dataset, model):
    """A text whose validation and test splits are cut into windows as long as the model."""
    length = model.num_sites

    def cut(split, name):
        count = len(split.x) // length
        if count == 0:
            raise DataError(
                f"{dataset.name}: the {name} split has {len(split.x):,} tokens, fewer than one window of {length}: pass "
                "--model.site-shape N with a smaller N, or a longer text."
            )
        return Split(split.x[: count * length].reshape(count, length), None)

    return dataclasses.replace(dataset, valid=cut(dataset.valid, "validation"), test=cut(dataset.test, "test"))


def _check(model, dataset):
    name, wanted = type(model).__name__, (*model.site_shape, *model.head.event_shape)
    got = dataset.train.x.shape[1:]
    if got != wanted:
        last = len(got) - len(model.head.event_shape)  # what the head describes is no axis of sites
        sites = got[:last] if got[last:] == model.head.event_shape else got
        raise DataError(
            f"{dataset.name} has examples of shape {list(got)}, but the {name} describes {list(wanted)}: "
            f"pass --model.site-shape {' '.join(map(str, sites))}, or choose other data."
        )
    if (dataset.num_levels is None) != (model.head.num_values is None):
        values, head = (
            ("real values", "mixtureofgaussians:10") if dataset.num_levels is None else ("levels", "categorical")
        )
        raise DataError(
            f"{dataset.name} has {values}, but a {type(model.head).__name__} head does not describe them: pass another "
            f"--model.head, such as {head}."
        )
    if dataset.num_levels is not None and (complaint := model.head.complaint(np.asarray([0, dataset.num_levels - 1]))):
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
