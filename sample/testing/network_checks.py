"""Checks of the network: its variables, what depends on what, and its steps."""

import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import zoo
from sample.testing.subject import (
    BATCH,
    by_rank,
    change_site,
    example_of,
    figure_of,
    rank_mask,
    variables_for,
)
from zoo.core.decoders import has_own_step
from zoo.derived.comparison import examined_for
from zoo.derived.network.windows import Refused
from zoo.foundation.precision import narrowed


def check_initial(entry: zoo.Entry) -> None:
    """Fresh variables are a function of the key, finite, and give finite likelihoods."""
    model, (x, context) = entry.tiny, example_of(entry, BATCH)
    first, again, other = (zoo.init(model, jax.random.key(seed), x, context) for seed in (0, 0, 1))
    finite = all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(first))
    assert finite, "an initial value is not finite"
    assert _equal(first, again), "init is not a function of its key"
    assert not _equal(first, other), "init ignores its key"
    scored = figure_of(model, first, x, context)
    assert np.isfinite(scored).all(), "the likelihood of fresh variables is not finite"


def _equal(one, other):
    return all(map(np.array_equal, jax.tree.leaves(one), jax.tree.leaves(other)))


def check_causal(entry: zoo.Entry) -> None:
    """A site changes no params at its own rank or before, and none of any other row, not a bit."""
    model, (x, context) = entry.tiny, example_of(entry, BATCH)
    variables = variables_for(entry)
    before = by_rank(model, zoo.conditionals(model, variables, x, context))
    for rank, site in enumerate(model.sites):
        moved = change_site(model, x, site, 1)
        after = by_rank(model, zoo.conditionals(model, variables, moved, context))
        changed = (after != before).any(-1)  # [batch, num_sites]
        assert not changed[1, : rank + 1].any(), f"rank {rank} is seen at or before itself"
        assert not changed[0].any() and not changed[2:].any(), "a row sees another row"


def check_alive(entry: zoo.Entry) -> None:
    """Each rank depends on every rank before it, except for the declared number of blind pairs."""
    model, (x, context) = entry.tiny, example_of(entry, BATCH)
    variables = variables_for(entry)
    before = by_rank(model, zoo.conditionals(model, variables, x, context))
    dead: list[tuple[int, int]] = []
    for rank, site in enumerate(model.sites):
        moved = change_site(model, x, site, slice(None))
        after = by_rank(model, zoo.conditionals(model, variables, moved, context))
        changed = (after != before).any((0, 2))  # [num_sites]
        dead += [(rank, later) for later in range(rank + 1, model.num_sites) if not changed[later]]
    assert len(dead) == entry.blind, (
        f"{len(dead)} pairs of ranks do not depend, {entry.blind} declared: {dead[:5]}"
    )


def check_context(entry: zoo.Entry) -> None:
    """Params depend on the context, those of each row on the context of that row."""
    model, (x, context) = entry.tiny, example_of(entry, BATCH)
    if context is None:
        return
    params = np.asarray(zoo.conditionals(model, variables_for(entry), x, context))
    rolled = jax.tree.map(lambda leaf: np.concatenate([leaf[1:2], leaf[1:]]), context)
    after = np.asarray(zoo.conditionals(model, variables_for(entry), x, rolled))
    assert (after[0] != params[0]).any(), "params do not depend on the context"
    assert (after[1:] == params[1:]).all(), "a row sees the context of another"


def check_step(entry: zoo.Entry) -> str | None:
    """`step` gives the params of `__call__` at every rank, with junk at all later ranks. For a model
    without a `step`, `check_derived`."""
    if not has_own_step(entry.tiny):
        return check_derived(entry)
    _check_decoder(entry, zoo.decoder, "step")
    return None


def check_derived(entry: zoo.Entry) -> str | None:
    """The step derived from `__call__` gives its params too. So does what stands in where none can
    be derived; the remark that is returned says so, with the reason."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _check_decoder(entry, zoo.derive, "the derived step")
    context = narrowed(example_of(entry, BATCH)[1])
    found = examined_for(entry.tiny, variables_for(entry), context)
    if isinstance(found, Refused):
        return f"no step could be derived, and recomputing was compared instead: {found}"
    return None


def _check_decoder(entry, make, name):
    model, (x, context) = entry.tiny, example_of(entry, BATCH)
    variables = variables_for(entry)
    whole = by_rank(model, zoo.conditionals(model, variables, x, context))
    decoder = make(model, variables, len(x), context)
    cache, enter, step = decoder.init(), jax.jit(decoder.enter), jax.jit(decoder.step)
    for rank in range(model.num_sites):
        known = rank_mask(model, rank)[None]
        known = known.reshape(*known.shape, *[1] * len(model.head.event_shape))
        canvas = np.where(known, x, np.asarray(7, x.dtype))
        if rank % decoder.block == 0:
            cache = enter(cache, canvas, jnp.asarray(rank))
        params, cache = step(cache, canvas, jnp.asarray(rank))
        np.testing.assert_allclose(
            params, whole[:, rank], rtol=1e-4, atol=2e-5, err_msg=f"{name} differs at rank {rank}"
        )


def gradient_of(model: Any) -> Callable[..., Any]:
    """The gradient of the mean training loss by the variables: (variables, x, context) -> tree."""

    def loss(variables, x, context):
        return zoo.training_loss(model, variables, x, context, key=jax.random.key(0)).mean()

    return jax.grad(loss)


def check_gradients(entry: zoo.Entry) -> None:
    """Gradients of the loss are finite and somewhere not zero."""
    gradient = jax.jit(gradient_of(entry.tiny))(variables_for(entry), *example_of(entry, 2))
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(gradient)]
    assert all(np.isfinite(leaf).all() for leaf in leaves), "a gradient is not finite"
    assert any((leaf != 0).any() for leaf in leaves), "all gradients are zero"
