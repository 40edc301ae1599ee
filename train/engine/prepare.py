"""The data of a recipe, checked against its model before anything is written."""

import dataclasses
from collections.abc import Collection

import jax
import numpy as np

import zoo
from train.data import DataError, Dataset
from train.data.dataset import bernoulli as draw_bits
from train.data.dataset import generator, lines
from train.engine.evaluation import check_ensemble
from train.engine.step import initial_state, make_update
from train.engine.warm_start import configured
from train.kinds import kind_of, kinds, load
from train.kinds.kind import Stream
from train.recipe.checks import bernoulli, exact
from train.recipe.recipe import Recipe
from zoo.core import checks
from zoo.foundation.limits import check_memory

MOST_VALUES = 2**24  # read of the training data before the first step


def inputs(recipe: Recipe) -> Dataset:
    """Loads the recipe's data as its model reads them; see `for_model`."""
    return for_model(recipe, _load(recipe))


def shaped_inputs(recipe: Recipe, given: Collection[str]) -> tuple[Recipe, Dataset]:
    """Loads the recipe's data, and gives the model their shape.

    Args:
      recipe: the recipe.
      given: the fields of the model that stay as they are.

    Returns:
      (the recipe with the shaped model, the data as that model reads them).

    Raises:
      DataError: the data cannot be loaded, or contradict a field that stays.
    """
    dataset = _load(recipe)
    recipe = shaped(recipe, dataset, given)
    return recipe, for_model(recipe, dataset)


def chosen(model: zoo.Generative) -> set[str]:
    """The fields of a model that are not the default of its class."""
    fields = [field for field in dataclasses.fields(model) if field.name not in ("parent", "name")]
    return {field.name for field in fields if getattr(model, field.name) != field.default}


def shaped(recipe: Recipe, dataset: Dataset, given: Collection[str]) -> Recipe:
    """The recipe with its model in the shape of the data, but for the fields `given`.

    Raises:
      DataError: the model describes another kind of thing.
    """
    kind = kind_of(recipe.model)
    _check_kind(recipe, dataset)
    recipe = recipe if "encoder" in given else configured(recipe)
    model = kind.shaped(recipe.model, dataset, given)
    suited = kind_of(model).suited(dataset)
    changes = {name: value for name, value in suited.items() if f"recipe.{name}" not in given}
    return dataclasses.replace(recipe, model=model, **changes)


def shape_notes(before: Recipe, after: Recipe) -> tuple[str, ...]:
    """Sentences on what `shaped` changed of the model, and of how it is trained."""
    notes = {
        "the model has the shape of the data": _changes(before.model, after.model),
        "the recipe suits the number of examples": _changes(before, after),
    }
    return tuple(f"{what}: {', '.join(changes)}" for what, changes in notes.items() if changes)


def _changes(before, after):
    """The fields that differ, each with its new value; of a recipe without its model."""
    names = [field.name for field in dataclasses.fields(before)]
    names = [name for name in names if not (name == "model" and isinstance(before, Recipe))]
    differ = [name for name in names if getattr(before, name) != getattr(after, name)]
    return [f"{name}={getattr(after, name)}" for name in differ]


def for_model(recipe: Recipe, dataset: Dataset) -> Dataset:
    """The data as the model reads them.

    Raises:
      DataError: the model cannot describe them.
    """
    kind = kind_of(recipe.model)
    _check_kind(recipe, dataset)
    kind.check_chosen(recipe.model, dataset)
    dataset = kind.prepare(recipe.model, dataset)
    model = kind.with_data(recipe.model, dataset)  # which knows how many tokens a source may have
    for split in (dataset.train, dataset.valid, dataset.test):
        zoo.check_context(model, split.context)
    return dataset


def _load(recipe):
    """The data as those of the model's kind, with labels only for a conditional model."""
    dataset = load(recipe.data)
    _check_kind(recipe, dataset)
    dataset = kind_of(recipe.model).adopted(dataset)
    if recipe.conditional and dataset.num_classes is None:
        raise DataError(
            f"{dataset.name} has no labels, so a model cannot be conditional on them: drop "
            "--conditional."
        )
    if not (recipe.conditional or dataset.paired or kinds()[dataset.kind].needs_context):
        dataset = dataset.map(lambda split: split._replace(context=None))
    return dataset


def _check_kind(recipe, dataset):
    kind, found = kind_of(recipe.model), kinds()[dataset.kind]
    if not kind.accepts(found):
        raise DataError(
            f"{dataset.name} holds {found.holds}, but {checks.kind(recipe.model)} describes "
            f"{kind.holds}: pass --data.name, such as {kind.example}."
        )


def fitted(recipe: Recipe, dataset: Dataset) -> Recipe:
    """The recipe to train: the model is given what only the data know."""
    return dataclasses.replace(recipe, model=kind_of(recipe.model).with_data(recipe.model, dataset))


def ready(recipe: Recipe, given: Collection[str]) -> tuple[Recipe, Recipe, Dataset]:
    """Loads the data, shapes the model, and checks that it can be trained.

    Returns:
      (the recipe as a run stores it, the recipe to train, the data as its model reads them).

    Raises:
      ValueError: it cannot be trained, as for `shaped_inputs` and `check_trainable`.
    """
    stored, dataset = shaped_inputs(recipe, given)
    stored = with_batch_of(stored, dataset, given)
    recipe = fitted(stored, dataset)
    check_trainable(recipe, dataset)
    return stored, recipe, dataset


def with_batch_of(recipe: Recipe, dataset: Dataset, given: Collection[str]) -> Recipe:
    """The recipe, its batches no larger than the training data allow, unless `given` has their
    size.
    """
    most = kind_of(recipe.model).largest_batch(recipe.model, dataset)
    most -= most % recipe.accumulate
    if "recipe.batch_size" in given or not 0 < most < recipe.batch_size:
        return recipe
    return dataclasses.replace(recipe, batch_size=most)


def training_batches(recipe: Recipe, dataset: Dataset) -> Stream:
    """The training stream, a pure function of the step."""
    return kind_of(recipe.model).batches(recipe.model, dataset, recipe.batch_size, recipe.seed)


def first_values(dataset: Dataset) -> np.ndarray:
    """Training values to which the output bias is fitted: at most `MOST_VALUES`, of evenly spaced
    examples, or tokens of a text and samples of a sound.
    """
    found = lines(dataset.train)
    every = -(-sum(line.size for line in found) // MOST_VALUES)
    x = np.concatenate([line[::every] for line in found])
    return draw_bits(generator(0), x) if dataset.dynamic else x


def check_trainable(recipe: Recipe, dataset: Dataset) -> None:
    """Raises ValueError if the first step would, before anything is written."""
    make_update(recipe)
    recipe.model.members()  # refuses more than there can be
    if recipe.validate_ensemble:
        check_ensemble(recipe.model, "validate-ensemble")
    if recipe.calibrate:
        bernoulli(recipe.model)
    if recipe.snapshots:
        exact(recipe.model, "snapshots")
    batches = training_batches(recipe, dataset)
    state = jax.eval_shape(lambda: initial_state(recipe, *batches(0)))
    gradients = state.variables.get("params", {})
    check_memory(recipe.model, (state, gradients, _drawn(recipe)), "its training")


def _drawn(recipe):
    """Params of all draws of a batch, and their gradients, of a bound by several draws."""
    model = recipe.model
    if model.knows != "bound" or not model.tightens:
        return ()
    shape = (2, model.draws, recipe.part_size, model.num_sites, model.head.num_params)
    return jax.ShapeDtypeStruct(shape, np.float32)
