"""Checks of the distribution: its mass, what every engine draws, and what completions follow."""

import functools

import jax
import numpy as np

import zoo
from sample.engines.sampler import draw
from sample.testing.spaces import assert_follows, distribution_of, probabilities, space_of
from sample.testing.subject import (
    num_draws,
    rank_mask,
    same_context,
    same_values,
    variables_for,
)

DRAWS = 20_000


def check_normalised(entry: zoo.Entry) -> None:
    """The probabilities of the whole space sum to 1."""
    total = probabilities(entry).sum()
    assert abs(total - 1) < 1e-4, f"probabilities sum to {total:.6f}"


def check_engines(entry: zoo.Entry) -> None:
    """A key gives the same draws from every engine, batch size and chunk, scored as `log_prob`."""
    model, variables = entry.tiny, variables_for(entry)
    key, num = jax.random.key(11), num_draws(entry)
    context = entry.example(model, num)[1]
    draws = functools.partial(draw, model, variables, key)
    cached = draws(num, context=context)
    for engine in ("recompute", "jacobi"):
        other = draws(num, context=context, engine=engine)
        same = same_values(model, cached.x, other.x)
        assert same, f"{engine} draws other values than cached"
        np.testing.assert_allclose(other.log_prob, cached.log_prob, rtol=1e-5, atol=1e-4)
    chunked = draws(num, context=context, batch_size=1)
    assert same_values(model, chunked.x, cached.x), "values depend on the chunks"
    alone = draws(1, context=jax.tree.map(lambda leaf: np.asarray(leaf)[:1], context))
    assert same_values(model, alone.x, np.asarray(cached.x)[:1]), "values depend on the batch size"
    scored = zoo.log_prob(model, variables, cached.x, context)
    np.testing.assert_allclose(
        cached.log_prob, scored, rtol=1e-5, atol=1e-4, err_msg="samples are scored wrongly"
    )


def check_distribution(entry: zoo.Entry) -> None:
    """Samples follow the model's own probabilities."""
    key, context = jax.random.key(5), same_context(entry, DRAWS)
    drawn = draw(entry.tiny, variables_for(entry), key, DRAWS, context=context, batch_size=5000)
    assert_follows(entry.tiny, drawn.x, distribution_of(entry.tiny, probabilities(entry)))


def check_completion(entry: zoo.Entry) -> None:
    """Completions keep the prefix and follow the exact posterior; what is no prefix is refused."""
    model, variables, key = entry.tiny, variables_for(entry), jax.random.key(6)
    known = rank_mask(model, max(1, model.num_sites // 3))
    space, joint = space_of(model), probabilities(entry)
    full = known.reshape(*known.shape, *[1] * len(model.head.event_shape))
    full = np.broadcast_to(full, space.shape[1:])
    possible = np.flatnonzero(joint > 0)
    given = space[possible[len(possible) // 3] if model.head.num_values else joint.argmax()]
    drawn = draw(
        model,
        variables,
        key,
        DRAWS,
        context=same_context(entry, DRAWS),
        prefix=given,
        known=known,
        batch_size=5000,
    )
    assert (np.asarray(drawn.x)[:, full] == given[full]).all(), "the prefix is not kept"
    agrees = (space[:, full] == given[full]).all(1)
    posterior = distribution_of(model, np.where(agrees, joint, 0))
    assert_follows(model, drawn.x, posterior / posterior.sum())
    try:
        context = same_context(entry, 1)
        draw(model, variables, key, 1, context=context, prefix=given, known=~known)
    except ValueError as error:
        assert "no prefix of the ordering" in str(error), f"a mask was refused because {error}"
    else:
        raise AssertionError("known sites that are no prefix were accepted")
