"""Models of a user's own files and their recipes."""

import dataclasses
import inspect
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

import zoo
from train.cli.flags import read_model
from train.data import Data
from train.kinds import kind_of
from train.recipe.recipe import Recipe
from zoo.core.configs import check_savable
from zoo.core.model_files import ModelFileError, file_of, model_class, place


def own_recipe(word: str, prog: str, args: Sequence[str]) -> Recipe:
    """The recipe for the class that `FILE.py:Class` names.

    That is the one in `RECIPES` of the file, else the default of the model's kind. A constructor
    that needs arguments gets them from the flags `--model.NAME` in `args`.

    Raises:
      ModelFileError: the file, the class or the recipe cannot be used; the message says why.
      SystemExit: flags that the constructor needs are missing or wrong.
    """
    cls, module = model_class(word)
    recipe = stated_recipe(module, cls, file_of(word)) or default_recipe(_make(cls, prog, args))
    try:
        check_savable(recipe.model)
        _check_fields(recipe.model)
    except ValueError as error:
        raise ModelFileError(f"{word}: {error}") from None
    return recipe


def default_recipe(model: zoo.Generative) -> Recipe:
    """A recipe that suits the kind of a model, on data that need no network."""
    kind = kind_of(model)
    return Recipe(model, Data(kind.example), **kind.recipe)


def stated_recipe(module: ModuleType, cls: type, path: str) -> Recipe | None:
    """The recipe that a file states for one of its classes: `RECIPES = {"Class": Recipe(...)}`."""
    recipes = getattr(module, "RECIPES", {})
    recipe = recipes.get(cls.__name__) if isinstance(recipes, Mapping) else recipes
    if recipe is None:
        return None
    if not (isinstance(recipe, Recipe) and type(recipe.model) is cls):
        raise ModelFileError(
            f"RECIPES of {path} must map the name of a class to a train.recipe.recipe.Recipe of "
            f"that class; {cls.__name__} has {type(recipe).__name__}."
        )
    return recipe


def _make(cls: type, prog: str, args: Sequence[str]) -> Any:
    """The model with its defaults and, for fields without one, with the flags given."""
    needs = [
        field
        for field in dataclasses.fields(cls)
        if field.default is field.default_factory is dataclasses.MISSING
    ]
    try:
        return read_model(cls, prog, args) if needs else cls()
    except Exception as error:  # their code may raise anything
        if isinstance(error, ValueError) or place(error):
            raise
        raise ModelFileError(f"{cls.__name__}: {type(error).__name__}: {error}") from None


def _check_fields(model):
    """Raises ValueError unless a model has the fields that its kind takes from the data, and its
    `__call__` the arguments of the contract.
    """
    kind = kind_of(model)
    missing = [name for name in kind.from_data if not hasattr(model, name)]
    if missing:
        raise ValueError(
            f"a model of the kind {kind.name} needs the field {missing[0]}, which the data decide: "
            f"declare {', '.join(missing)}."
        )
    signature = inspect.signature(type(model).__call__)
    try:
        signature.bind(model, None, None, train=False)
    except TypeError:
        raise ValueError(
            f"its __call__ takes {signature}; expected (self, x, memory=None, *, train=False)."
        ) from None
