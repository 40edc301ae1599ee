"""Parts of the variables that are trained apart from the rest: the encoder, and the critic."""

import jax

ENCODER = ("encoder", "source_embedding")  # the names of its params in every model that has one


def encoder_params(variables):
    """The params of the encoder; {} if the model has none."""
    return {name: params for name, params in variables["params"].items() if name in ENCODER}


def on_encoder(function, tree):
    """The tree with `function` applied to the arrays of the encoder."""
    return {**tree, "params": {**tree["params"], **jax.tree.map(function, encoder_params(tree))}}


def scale_critic(recipe, updates):
    """The updates, with those of the critic times its own rate."""
    _, critic = recipe.model.players
    params = updates["params"]
    scaled = jax.tree.map(lambda leaf: leaf * recipe.critic_rate, params[critic])
    return {**updates, "params": {**params, critic: scaled}}
