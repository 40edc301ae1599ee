"""The training loss of a batch and its gradient, at once or in parts."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

import zoo
from train.kinds import kind_of
from train.recipe.recipe import Recipe
from train.update.parts import on_encoder
from train.update.recompute import recomputing


def gradient(
    recipe: Recipe,
    variables: zoo.Variables,
    x: Array,
    context: PyTree,
    key: Array,
    carry: PyTree = (),
    axis: str | None = None,
) -> tuple[Array, zoo.Variables, PyTree]:
    """The mean nats of a batch, their gradient, and the new carry; arguments as those of `loss`.

    With `recipe.accumulate` = N, the batch goes through the network in N equal parts, one after the
    other, and nats and gradients are averaged:

        g = 1/N sum_i grad L(part i)

    which is the gradient of the whole batch, because L is a mean over examples. Part i draws its
    own noise, by `fold_in(key, i)`. With `recipe.remat`, the backward pass keeps what passes between
    pieces of the network, and computes the inside of a piece again (`train.update.recompute`).
    """
    objective: Any = functools.partial(loss, recipe, axis=axis)
    if recipe.remat:
        objective = recomputing(objective)
    graded = jax.value_and_grad(objective, has_aux=True)
    count = recipe.accumulate
    if count == 1:
        (nats, carry), grads = graded(variables, x, context, key, carry)
        return nats, grads, carry
    sites = _mean_sites(recipe, x, axis)

    def add(total, part):
        number, rows = part
        x, context, carry = rows
        (nats, carry), grads = graded(
            variables, x, context, jax.random.fold_in(key, number), carry, sites=sites
        )
        return jax.tree.map(jnp.add, total, (nats, grads)), carry

    zero = jnp.zeros((), jnp.float32), jax.tree.map(jnp.zeros_like, variables)
    rows = jax.tree.map(lambda leaf: _parts(leaf, count), (x, context, carry))
    total, carry = jax.lax.scan(add, zero, (jnp.arange(count), rows))
    nats, grads = jax.tree.map(lambda leaf: leaf / count, total)
    return nats, grads, jax.tree.map(_joined, carry)


def _parts(leaf, count):
    """[B, ...] -> [count, B/count, ...]; part i has rows i, i + count, ...

    So each device, which has a run of rows, holds an equal share of every part, and no row moves.
    """
    cut = leaf.reshape(len(leaf) // count, count, *leaf.shape[1:])
    return jnp.swapaxes(cut, 0, 1)


def _joined(leaf):
    """The inverse of `_parts`."""
    rows = jnp.swapaxes(leaf, 0, 1)
    return rows.reshape(-1, *leaf.shape[2:])


def loss(
    recipe: Recipe,
    variables: zoo.Variables,
    x: Array,
    context: PyTree,
    key: Array,
    carry: PyTree = (),
    axis: str | None = None,
    sites: Float[Array, ""] | None = None,
) -> tuple[Array, PyTree]:
    """Mean nats of a batch, -log p(x | context) or the model's estimate of it, in the recipe's
    dtype; of texts, per token. `axis` names the devices that have the rest of the batch, if there
    are any.

    A recurrent network goes on from `carry`, or starts again where `context` says so; no gradient
    goes back there. The key is consumed. `sites` is the mean number of scored sites of an example,
    by default that of this batch; of a part of a batch it must be that of the whole.

    Returns:
      (nats, the new carry).
    """
    variables = cast(recipe, variables)
    model: Any = kind_of(recipe.model).of_length(recipe.model, x)
    if recipe.encoder_rate == 0:
        variables = on_encoder(jax.lax.stop_gradient, variables)
    if sites is None:
        sites = _mean_sites(recipe, x, axis)
    if not model.streams:
        return zoo.training_loss(model, variables, x, context, key=key).mean() / sites, carry

    def chosen(first, old):
        return jnp.where(context.reshape(-1, *[1] * (old.ndim - 1)), first, old)

    carry = jax.tree.map(chosen, zoo.begin(model, variables, len(x)), carry)
    log_prob, carry = zoo.stream_log_prob(model, variables, x, carry, train=True, key=key)
    return -log_prob.mean() / sites, carry


def _mean_sites(recipe, x, axis):
    """The mean number of sites by which the nats of an example are divided, over all devices."""
    model = kind_of(recipe.model).of_length(recipe.model, x)
    sites = kind_of(model).scored_sites(model, x).mean()
    return sites if axis is None else jax.lax.pmean(sites, axis)


def cast(recipe: Recipe, variables: zoo.Variables) -> zoo.Variables:
    """The variables in the dtype that the network computes in."""
    return jax.tree.map(lambda leaf: leaf.astype(recipe.dtype), variables)
