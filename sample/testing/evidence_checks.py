"""Checks of models that draw from noise: rows, parameters, and whether a bound is one."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import zoo
from sample.engines.sampler import draw
from sample.testing.spaces import assert_follows, distribution_of, space_of, volumes
from sample.testing.subject import (
    BATCH,
    example_of,
    figure_of,
    num_draws,
    same_context,
    same_values,
    variables_for,
)
from zoo.core.bounds import draw_values

WEIGHTS = 100  # of one call; and calls with different keys
CALLS = 200
SURE = 5.0  # standard errors by which right code is not off
DRAWS = 20_000
LARGEST = 2_000  # values of a space that is gone through with that many weights


def check_rows(entry: zoo.Entry) -> None:
    """Row i of draws and of evidence is a function of (key, i) alone, whatever the batch."""
    model, variables, key = entry.tiny, variables_for(entry), jax.random.key(11)
    num = num_draws(entry)
    context = entry.example(model, num)[1]
    drawn = draw(model, variables, key, num, context=context)
    first = jax.tree.map(lambda leaf: leaf[:3], context)
    alone = draw(model, variables, key, 3, context=first)
    assert same_values(model, alone.x, drawn.x[:3]), "draws depend on their number"
    cut = draw(model, variables, key, num, context=context, batch_size=7)
    assert same_values(model, cut.x, drawn.x), "draws depend on the batch"
    differ = (np.asarray(drawn.x)[1:] != np.asarray(drawn.x)[:1]).any()
    assert differ, "all draws are the same: one noise serves all rows"
    x, context = example_of(entry, 8)
    if model.knows != "exact":
        assert not _share_noise(model, variables, x, context), "equal rows share noise in training"
    whole = figure_of(model, variables, x, context)
    part = jax.tree.map(lambda leaf: leaf[:3], (x, context))
    np.testing.assert_allclose(
        figure_of(model, variables, *part), whole[:3], rtol=1e-4, err_msg="a row sees its batch"
    )


def _share_noise(model, variables, x, context):
    """Whether the loss depends on the key, but not on where in its batch an example is."""
    x, context = jax.tree.map(lambda leaf: np.repeat(leaf[:1], len(leaf), axis=0), (x, context))
    one, other = (
        np.asarray(zoo.training_loss(model, variables, x, context, key=jax.random.key(seed)))
        for seed in (0, 1)
    )
    return not np.allclose(one, other, rtol=1e-5) and np.allclose(one, one[0], rtol=1e-5)


def check_used(entry: zoo.Entry) -> None:
    """Every parameter moves a draw's params or values, or the loss."""
    model, (x, context) = entry.tiny, example_of(entry, BATCH)
    variables, key = variables_for(entry), jax.random.key(0)

    @jax.jit
    def outcome(variables):
        loss = zoo.training_loss(model, variables, x, context, key=key)
        drawn = draw_values(model, variables, key, jnp.arange(BATCH), context)
        if type(model).draw is zoo.Generative.draw:
            return loss, drawn
        params = model.apply(
            variables,
            context,
            method=lambda model, context: model.draw(model.encode(context), BATCH),
            rngs={"noise": key, "train": key},
        )
        return loss, params, drawn

    before = outcome(variables)
    flat, tree = jax.tree.flatten_with_path(variables)
    for i, (path, leaf) in enumerate(flat):
        moved = [other if j != i else other * 1.5 + 0.1 for j, (_, other) in enumerate(flat)]
        after = outcome(jax.tree.unflatten(tree, moved))
        same = jax.tree.map(lambda a, b: bool((a == b).all()), before, after)
        assert not all(jax.tree.leaves(same)), f"{jax.tree_util.keystr(path)} does nothing"
        del leaf


def check_refusals(entry: zoo.Entry) -> None:
    """What does not know its likelihood is refused where a likelihood is asked for."""
    model, (x, context) = entry.tiny, example_of(entry, 2)
    try:
        zoo.log_prob(model, variables_for(entry), x, context)
    except ValueError as error:
        assert "knows" in str(error), f"log_prob is refused because {error}"
    else:
        raise AssertionError("log_prob of a model that does not know its likelihood")


def check_bound(entry: zoo.Entry) -> None:
    """Over all x, exp(weights) sums to 1 in the mean and exp(bound) to at most 1; draws follow it.

    More draws raise the bound. Nothing is assumed of the model.
    """
    model = entry.tiny
    volume = np.log(volumes(model))
    w = _weights(entry) + volume  # [draws, space]
    low = np.exp(w.mean(0)).sum()
    # The error of a mean of logarithms lies in its exponent.
    error = np.sqrt((np.exp(2 * w.mean(0)) * w.var(0)).sum() / len(w))
    assert low <= 1 + SURE * error, f"exp(bound) sums to {low:.4f} +- {error:.4f}, more than 1"
    if not model.tightens:
        return
    total = np.exp(w).mean(0).sum()
    error = np.sqrt((np.exp(w).var(0) / len(w)).sum())
    assert abs(total - 1) < SURE * error + 1e-4, f"weights sum to {total:.4f} +- {error:.4f}"
    tens = w.reshape(-1, 10, w.shape[1])
    tighter = np.log(np.exp(tens).mean(1)).mean(0)
    assert (tighter >= w.mean(0) - 1e-6).all(), "more draws do not raise the bound"
    off = _evidence(entry, 1000) + volume - np.log(np.exp(w).mean(0))
    error = (np.exp(w).std(0) / np.exp(w).mean(0)).mean() / np.sqrt(1000)
    assert abs(off.mean()) < SURE * error, f"zoo.evidence is off by {off.mean():.3f} nats"
    context = same_context(entry, DRAWS)
    drawn = draw(model, variables_for(entry), jax.random.key(5), DRAWS, context=context)
    distribution = distribution_of(model, np.exp(w).mean(0) / total)
    variances = distribution_of(model, np.exp(w).var(0) / len(w) / total**2)
    assert_follows(model, drawn.x, distribution, np.sqrt(variances))


def _weights(entry: zoo.Entry) -> Any:
    """Log weights of every value of the space, float64 [draws, space]."""
    model, variables, x = entry.tiny, variables_for(entry), jnp.asarray(space_of(entry.tiny))
    context = same_context(entry, len(x))

    @jax.jit
    def some(key):
        return model.apply(
            variables,
            x,
            context,
            method=lambda m, x, context: m.log_weights(x, m.encode(context), WEIGHTS),
            rngs={"noise": key},
        )

    keys = jax.random.split(jax.random.key(7), CALLS)
    return np.concatenate([np.asarray(some(key), np.float64) for key in keys])


def _evidence(entry, num):
    x = space_of(entry.tiny)
    context = same_context(entry, len(x))
    return zoo.evidence(
        entry.tiny, variables_for(entry), x, context, key=jax.random.key(8), num=num
    )
