"""Starting from the encoder of another run, frozen or at its own learning rate."""

import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict

import zoo
from train.recipe.recipe import Recipe

ENCODER = ("encoder", "source_embedding")  # the names of its params in every model that has one


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
    model, others = zoo.open(recipe.encoder)
    wanted, got = (
        _encoder_config(each, of) for each, of in ((recipe.model, variables), (model, others))
    )
    if differing := [field for field in {**wanted, **got} if wanted.get(field) != got.get(field)]:
        field = differing[0]
        raise ValueError(
            f"the encoder of {recipe.encoder} ({type(model).__name__}) is not that of this "
            f"{name}: {field} is "
            f"{_short(got.get(field))}, expected {_short(wanted.get(field))}."
        )
    return {**variables, "params": {**variables["params"], **encoder_params(others)}}


def encoder_params(variables):
    """The params of the encoder; {} if the model has none."""
    return {name: params for name, params in variables["params"].items() if name in ENCODER}


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


def on_encoder(function, tree):
    """The tree with `function` applied to the arrays of the encoder."""
    return {**tree, "params": {**tree["params"], **jax.tree.map(function, encoder_params(tree))}}
