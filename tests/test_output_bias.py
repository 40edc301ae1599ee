"""The output bias starts at the frequencies of the training data."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict

import train
import zoo
from train.data import Dataset, Split
from train.data.dataset import generator
from train.engine.prepare import first_values, training_batches
from train.engine.step import initial_state
from train.recipe.recipe import Recipe

NUM = 400
DISCRETE = [name for name, entry in zoo.CATALOGUE.items() if entry.tiny.head.num_values]


def skewed(model):
    """Values [NUM, *sites] whose distribution differs from uniform and from site to site."""
    rng, k = generator(5), model.head.num_values
    mass = rng.dirichlet([0.4] * k, size=model.num_sites)
    x = np.stack([rng.choice(k, NUM, p=p) for p in mass], axis=-1)
    return x.reshape(NUM, *model.site_shape).astype(np.int32)


def zeroed(tree):
    return jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), tree)


def independent(x, rows):
    """Nats of an example if all sites are independent and site i has the histogram of row
    i mod `rows`.
    """
    values = x.reshape(-1, rows)
    counts = [np.unique(column, return_counts=True)[1] / len(values) for column in values.T]
    entropy = [-(each * np.log(each)).sum() for each in counts]
    return sum(entropy) * x[0].size / rows


@pytest.mark.parametrize("name", DISCRETE)
def test_without_other_weights_a_model_has_the_entropy_of_independent_sites(name):
    model = zoo.CATALOGUE[name].tiny
    if isinstance(model.head, zoo.DiscretizedLogisticMixture) or model.output_bias is None:
        pytest.skip("tested below")
    x = skewed(model)
    if getattr(model, "pad", None) is not None:  # here nothing ends before the last site
        x[np.isin(x, (model.end, model.pad))] = next(
            k for k in range(4) if k not in (model.end, model.pad)
        )
        x[::2, -1] = model.end
    example, context = model.example(2)
    shapes = zoo.core.checks.variable_shapes(model, context, 2)
    variables = model.fitted(zeroed(shapes), x)
    bias = flatten_dict(variables["params"], sep="/")[model.output_bias]
    rows = bias.size // model.head.num_params
    contexts = None if context is None else np.resize(context, (NUM, *context.shape[1:]))
    nats = -float(zoo.log_prob(model, variables, x, contexts).mean())
    assert nats == pytest.approx(independent(x, rows), abs=0.02 * model.num_sites)
    assert nats < 0.95 * model.num_sites * np.log(model.head.num_values)
