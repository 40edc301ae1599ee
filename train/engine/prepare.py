"""The data of a recipe, checked against its model before anything is written."""

import dataclasses

import jax

import zoo
from train.data import DataError, Dataset
from train.engine.step import initial_state, make_update
from train.kinds import kind_of, kind_of_data, load
from train.kinds.kind import Stream
from train.recipe.checks import bernoulli
from train.recipe.recipe import Recipe
from zoo.core import checks
from zoo.foundation.limits import check_memory


def inputs(recipe: Recipe) -> Dataset:
    """Loads the recipe's data; labels are kept only for a conditional model.

    Raises:
      DataError: the data cannot be had, or the model cannot describe them.
    """
    dataset, kind = load(recipe.data), kind_of(recipe.model)
    if recipe.conditional and dataset.num_classes is None:
        raise DataError(
            f"{dataset.name} has no labels, so a model cannot be conditional on them: drop "
            "--conditional."
        )
    if not (recipe.conditional or dataset.paired):
        dataset = dataset.map(lambda split: split._replace(context=None))
    found = kind_of_data(recipe.data.name)
    if not kind.accepts(found):
        raise DataError(
            f"{dataset.name} holds {found.holds}, but {checks.kind(recipe.model)} describes "
            f"{kind.holds}: pass "
            f"--data.name, such as {kind.example}."
        )
    kind.check_chosen(recipe.model, dataset)
    dataset = kind.prepare(recipe.model, dataset)
    model = kind.with_data(recipe.model, dataset)  # which knows how many tokens a source may have
    for split in (dataset.train, dataset.valid, dataset.test):
        zoo.check_context(model, split.context)
    return dataset


def fitted(recipe: Recipe, dataset: Dataset) -> Recipe:
    """The recipe to train: the model is given what only the data know."""
    return dataclasses.replace(recipe, model=kind_of(recipe.model).with_data(recipe.model, dataset))


def training_batches(recipe: Recipe, dataset: Dataset) -> Stream:
    """The training stream, a pure function of the step."""
    return kind_of(recipe.model).batches(recipe.model, dataset, recipe.batch_size, recipe.seed)


def check_trainable(recipe: Recipe, dataset: Dataset) -> None:
    """Raises ValueError if the first step would: everything that can be found out before anything
    is
      written.
    """
    make_update(recipe)
    members = recipe.model.members()  # refuses more than there can be
    if recipe.validate_ensemble and len(members) == 1:
        raise ValueError(
            f"this {checks.kind(recipe.model)} is one model and no ensemble: drop "
            "--validate-ensemble."
        )
    if recipe.calibrate:
        bernoulli(recipe.model)
    batches = training_batches(recipe, dataset)
    check_memory(
        recipe.model, jax.eval_shape(lambda: initial_state(recipe, *batches(0))), "its training"
    )
