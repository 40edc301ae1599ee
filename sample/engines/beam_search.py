"""Beam search: finds likely sequences by keeping the best hypotheses of every length."""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree

import zoo
from sample.engines.sampler import Engine, maker
from zoo.core import batch_axes
from zoo.core.arrays import check_variables
from zoo.foundation.arguments import checked
from zoo.foundation.precision import narrowed, without_x64


class Beams(NamedTuple):
    """The best sequences found for each context, best first.

    Attributes:
      x: sequences [batch, beam, length].
      log_prob: log p of each in nats, [batch, beam]; -inf where the model has fewer sequences than
        beams.
      score: log_prob / n ** length_penalty, where n counts the tokens including the end. Sequences
        are sorted by it.

    Example:
      >>> import jax.numpy as jnp
      >>> import sample
      >>> log_prob = jnp.array([[-2.0, -3.0]])
      >>> best = sample.Beams(jnp.zeros((1, 2, 4), jnp.int32), log_prob, log_prob / 4)
      >>> best.score.tolist()
      [[-0.5, -0.75]]
    """

    x: Int[Array, "batch beam length"]
    log_prob: Float[Array, "batch beam"]
    score: Float[Array, "batch beam"]


class Search(NamedTuple):
    """The state of a search at rank t: live hypotheses with their cache, and finished ones."""

    t: Int[Array, ""]
    cache: zoo.Cache
    x: Int[Array, "batch beam length"]
    log_prob: Float[Array, "batch beam"]
    found: Beams


@checked()
@without_x64
def search(
    model: zoo.Autoregressive,
    variables: zoo.Variables,
    context: PyTree = None,
    beam: int = 5,
    *,
    length_penalty: float = 1.0,
    engine: Engine = "cached",
) -> Beams:
    """Searches for the likeliest sequences of a model, for all contexts at once.

    At every rank the search extends the live hypotheses and looks at the 2 * beam likeliest
    continuations. The `beam` likeliest that do not end stay alive. Finished hypotheses are kept
    apart, so unfinished ones cannot evict them; they compete by score. The search stops when no
    live hypothesis can reach the worst of the `beam` best finished ones. A beam of 1 is greedy
    decoding and stops at the first end. The result is not a sample, and in general not the
    likeliest sequence of all.

    Args:
      model: a model of sequences, with or without an end token.
      variables: its variables.
      context: what the model conditions on, leading axis `batch`; None for an unconditional model
        (batch 1).
      beam: number of live hypotheses and of returned sequences, from 1 to the number of tokens.
      length_penalty: 0 compares log p, which favours short sequences; 1 compares the mean log p of
        a token.
      engine: `cached`, `derived` or `recompute`, as for `draw`.

    Returns:
      Beams: x [batch, beam, length], log_prob in nats and score [batch, beam].

    Raises:
      ValueError: the model has no sequences of tokens, `beam` or `length_penalty` is out of range,
        or `context` does not fit the model.

    Example:
      >>> import jax, numpy as np
      >>> import sample, zoo
      >>> model = zoo.GRU((6,), features=4, layers=1, head=zoo.Categorical(5), end=0, pad=1)
      >>> variables = zoo.init(model, jax.random.key(0), np.zeros((1, 6), np.int32))
      >>> best = sample.search(model, variables, beam=3)
      >>> best.x.shape
      (1, 3, 6)
      >>> bool((best.score[:, 0] >= best.score[:, 1]).all())
      True
    """
    if not model.writes_tokens or not isinstance(model.head, zoo.Categorical):
        raise ValueError(
            f"beam search needs a model of sequences of tokens; got {type(model).__name__}."
        )
    if not 1 <= beam <= model.start:
        raise ValueError(
            f"beam must be 1..{model.start}, the size of the model's vocabulary; got {beam}."
        )
    if not 0 <= length_penalty < math.inf:
        raise ValueError(f"length_penalty must be a number >= 0; got {length_penalty}.")
    if engine == "jacobi":
        raise ValueError(f"engine must be cached, derived or recompute; got {engine!r}.")
    zoo.check_context(model, context)
    if any(len(leaf) == 0 for leaf in jax.tree.leaves(context)):
        raise ValueError("beam search needs at least one context; got none.")
    check_variables(model, variables, context)
    return _search(model, beam, engine, variables, narrowed(context), jnp.float32(length_penalty))


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _search(model, beam, engine, variables, context, penalty):
    make = maker(engine)

    def decoder_of(variables, context, batch):
        return make(model, variables, batch * beam, context, beam)

    def cache_of(size):
        return jax.eval_shape(
            lambda v, c: decoder_of(v, c, size).init(), variables, batch_axes.resized(context, size)
        )

    batch = len(jax.tree.leaves(context)[0]) if context is not None else 1
    decoder, length, axes = (
        decoder_of(variables, context, batch),
        model.num_sites,
        batch_axes.axes(cache_of),
    )
    # Each hypothesis has one continuation that ends, so at least `beam` of 2 * beam stay alive.
    # Greedy decoding follows only the best.
    width = min(2 * beam, beam * model.start) if beam > 1 else 1

    def score(log_prob, n):
        return log_prob / n.astype(jnp.float32) ** penalty

    def under_way(search):
        best_possible = score(search.log_prob.max(1), jnp.asarray(length))
        return (search.t < length) & (best_possible > search.found.score.min(1)).any()

    def step(search):
        t, x = search.t, search.x.reshape(batch * beam, length)
        params, cache = decoder.step(search.cache, x, t)
        log_probs = jax.nn.log_softmax(params.astype(jnp.float32)).reshape(batch, beam, -1)
        every = (search.log_prob[:, :, None] + log_probs).reshape(batch, -1)
        log_prob, index = jax.lax.top_k(every, width)
        parent, token = index // model.start, (index % model.start).astype(x.dtype)
        x = jnp.take_along_axis(search.x, parent[:, :, None], axis=1)  # [batch, width, length]
        x = jax.lax.dynamic_update_index_in_dim(x, token, t, 2)
        ends = jnp.broadcast_to(t == length - 1, token.shape) | (
            token == (-1 if model.end is None else model.end)
        )
        found = _best(
            search.found, _mask_after_end(model, x, t), log_prob, score(log_prob, t + 1), ends
        )
        log_prob, alive = jax.lax.top_k(jnp.where(ends, -jnp.inf, log_prob), beam)
        x, parent = (
            jnp.take_along_axis(x, alive[:, :, None], axis=1),
            jnp.take_along_axis(parent, alive, axis=1),
        )
        of_rows = (parent + beam * jnp.arange(batch)[:, None]).ravel()
        return Search(
            t + 1, batch_axes.take(cache, axes, of_rows, batch * beam), x, log_prob, found
        )

    x = jnp.zeros((batch, beam, length), model.head.dtype)
    nothing = jnp.full((batch, beam), -jnp.inf)
    first = jnp.where(
        jnp.arange(beam)[None] == 0, 0.0, nothing
    )  # all beams start alike, so only one of them counts
    cache = decoder.enter(decoder.init(), x.reshape(-1, length), jnp.asarray(0))
    start = Search(jnp.asarray(0), cache, x, first, Beams(x, nothing, nothing))
    return jax.lax.while_loop(under_way, step, start).found


def _mask_after_end(
    model: zoo.Sequence, x: Int[Array, "batch width length"], t: Int[Array, ""]
) -> Int[Array, "batch width length"]:
    """Fills sequences with padding after rank t."""
    return (
        x if model.pad is None else jnp.where(jnp.arange(x.shape[2])[None, None] > t, model.pad, x)
    )


def _best(
    found: Beams,
    x: Int[Array, "batch width length"],
    log_prob: Float[Array, "batch width"],
    score: Float[Array, "batch width"],
    ends: Bool[Array, "batch width"],
) -> Beams:
    """Returns the best of the finished sequences and of those that end at this rank."""
    now = Beams(x, jnp.where(ends, log_prob, -jnp.inf), jnp.where(ends, score, -jnp.inf))
    both = jax.tree.map(lambda a, b: jnp.concatenate([a, b], axis=1), found, now)
    best, index = jax.lax.top_k(both.score, found.x.shape[1])
    return Beams(
        jnp.take_along_axis(both.x, index[:, :, None], axis=1),
        jnp.take_along_axis(both.log_prob, index, axis=1),
        best,
    )
