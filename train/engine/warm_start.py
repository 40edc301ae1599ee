"""Starting from the weights of another run, or from its encoder, frozen or at its own rate."""

import dataclasses

import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict

import zoo
from train.recipe.recipe import Recipe
from train.runs.folder import Run, RunError
from train.update.parts import encoder_params
from zoo.core.arrays import misfit


def with_weights(recipe: Recipe, variables: zoo.Variables) -> zoo.Variables:
    """The variables of the run that `start` names, if the recipe names one.

    Raises:
      ValueError: they are not arrays of these names and shapes.
    """
    if recipe.start is None:
        return variables
    model, others = zoo.open(recipe.start)
    if why := misfit(flatten_dict(variables, sep="/"), flatten_dict(others, sep="/")):
        raise ValueError(
            f"{recipe.start} ({type(model).__name__}) cannot be the start of this "
            f"{type(recipe.model).__name__}: {why}. Give the fields of its model, or drop --start."
        )
    return others


def with_encoder(recipe: Recipe, variables: zoo.Variables) -> zoo.Variables:
    """The variables with the encoder of the run that the recipe names, if it names one.

    Raises:
      ValueError: the model has no encoder, or that run's is another.
    """
    name, own = type(recipe.model).__name__, encoder_params(variables)
    if not own:
        raise ValueError(
            f"{name} has no encoder, so there is none to begin with or to freeze: drop "
            "--encoder(-rate)."
        )
    if recipe.encoder is None:
        return variables
    model, others = _opened(recipe)
    wanted, got = (
        _encoder_config(each, of) for each, of in ((recipe.model, variables), (model, others))
    )
    if model.encoder_fields == recipe.model.encoder_fields:  # as captioners and classifiers
        got["kind"] = wanted["kind"]
    if differing := [field for field in {**wanted, **got} if wanted.get(field) != got.get(field)]:
        field = differing[0]
        if not encoder_params(others):
            raise ValueError(f"{recipe.encoder} ({type(model).__name__}) has no encoder.")
        raise ValueError(
            f"the encoder of {recipe.encoder} ({type(model).__name__}) is not that of this "
            f"{name}: {field} is "
            f"{_short(got.get(field))}, expected {_short(wanted.get(field))}."
        )
    return {**variables, "params": {**variables["params"], **encoder_params(others)}}


def configured(recipe: Recipe) -> Recipe:
    """The recipe with a model that holds the image model of the run that `encoder` names, if it
    reads the features of one.

    Raises:
      ValueError: no features of that run's model can be read.
    """
    if recipe.encoder is None or not _reads_model(recipe.model):
        return recipe
    model, _ = _opened(recipe)
    model = getattr(model, "encoder", model)
    name = type(recipe.model).__name__
    if reason := recipe.model.why_no_features(model):
        raise ValueError(f"the {name} cannot start from {recipe.encoder}: it {reason}.")
    return dataclasses.replace(recipe, model=recipe.model.clone(encoder=model))


def notes(recipe: Recipe) -> tuple[str, ...]:
    """A sentence on the classes that the encoder was trained on, if its run chose some."""
    if recipe.encoder is None or not recipe.data.classes:
        return ()
    try:
        data = Run(zoo.find(recipe.encoder).parent).name_and_recipe()[1].data
    except RunError:  # a checkpoint alone
        return ()
    if (data.name, data.path) != (recipe.data.name, recipe.data.path):
        return ()
    seen = set(recipe.data.classes) & set(data.classes) if data.classes else {*recipe.data.classes}
    known = f"classes {' '.join(map(str, data.classes))}" if data.classes else "all classes"
    shared = " ".join(map(str, sorted(seen))) or "none"
    return (f"the encoder was trained on {known}; of the classes here it has seen {shared}",)


def _reads_model(model):
    """Whether the encoder of a model is another model."""
    return isinstance(getattr(model, "encoder", None), zoo.Autoregressive)


def _opened(recipe):
    """The model of the run that `encoder` names, and its variables; of an image model whose
    features are read, all params are those of the encoder.
    """
    assert recipe.encoder is not None
    model, variables = zoo.open(recipe.encoder)
    if _reads_model(recipe.model) and not model.encoder_fields:
        params = {"encoder": variables["params"]}
        return recipe.model.clone(encoder=model), {**variables, "params": params}
    return model, variables


def _encoder_config(model, variables):
    """What two encoders must have in common, for the weights of one to mean the same in the other."""
    fields = {field: getattr(model, field) for field in model.encoder_fields}
    return {
        "kind": model.kind,
        **fields,
        **flatten_dict(jax.tree.map(jnp.shape, encoder_params(variables)), sep="/"),
    }


def _short(value):
    text = str(value)
    return text if len(text) < 60 else f"{text[:60]}..."
