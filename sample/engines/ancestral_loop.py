"""The one loop over sites: every sampler that draws rank by rank uses it."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Shaped

import zoo
from sample.engines.tempered import Tempered
from zoo.foundation.precision import without_x64


class Prefix(NamedTuple):
    """The known values of each example.

    Attributes:
      values: [batch, *site_shape, *event_shape]; unknown entries are ignored.
      known: number of known ranks of each example, [batch]; they are the first ones.

    Example:
      >>> import numpy as np
      >>> import sample
      >>> sample.Prefix(values=np.ones((2, 3, 3)), known=np.array([3, 6])).known.tolist()
      [3, 6]
    """

    values: Shaped[Array | np.ndarray, "batch ..."]
    known: Int[Array | np.ndarray, " batch"]


class Sample(NamedTuple):
    """Samples and their likelihood.

    Attributes:
      x: values [num, *site_shape, *event_shape].
      log_prob: log p(x) of each sample in nats, [num]; equal to `zoo.log_prob`. None of a model
        that does not know it.

    Example:
      >>> import jax.numpy as jnp
      >>> import sample
      >>> drawn = sample.Sample(jnp.zeros((2, 3, 3), jnp.int32), jnp.array([-6.0, -8.0]))
      >>> float(drawn.log_prob.mean())
      -7.0
    """

    x: Shaped[Array, "num ..."]
    log_prob: Float[Array, " num"]


class Drawn(NamedTuple):
    """Samples with the likelihood of each rank.

    Attributes:
      x: values [num, *site_shape, *event_shape].
      log_prob: log p(x) of each sample in nats, [num].
      nats: log p(x[s_t] | x[s_<t]) of each rank, [num, num_sites].
    """

    x: Shaped[Array, "num ..."]
    log_prob: Float[Array, " num"]
    nats: Float[Array, "num num_sites"]


class Drawing(NamedTuple):
    """Unfinished samples.

    Attributes:
      cache: the decoder's cache.
      x: values so far, [batch, num_sites, *event_shape].
      nats: log p of the value at each rank, [num_sites, batch]; 0 at ranks not drawn yet.
    """

    cache: zoo.Cache
    x: Shaped[Array, "batch ..."]
    nats: Float[Array, "num_sites batch"]


@without_x64
def ancestral(
    model: zoo.Autoregressive,
    decoder: zoo.Decoder,
    u: Float[Array, "ranks batch uniforms"],
    prefix: Prefix | None = None,
    start: int = 0,
    tempered: Tempered | None = None,
) -> Sample:
    """Ancestral sampling: x[s_t] is the quantile of p(. | x[s_<t]) at u_t, for t = 0, 1, ...

    Args:
      model: the model; only its shapes, head and ordering are read.
      decoder: computes the model's conditionals, one rank at a time.
      u: uniforms in [0, 1) for every rank and example.
      prefix: known values to keep.
      start: number of known ranks to read in one pass, if the decoder has a prefill; else 0.
      tempered: changes the distribution of each site, and thus of the samples.

    Returns:
      A Sample with x [batch, *site_shape, *event_shape] and log_prob [batch] in nats.

    Example:
      >>> import jax, numpy as np
      >>> import sample, zoo
      >>> model = zoo.NADE((2, 3), hidden=4)
      >>> variables = zoo.init(model, jax.random.key(0), np.zeros((1, 2, 3), np.int32))
      >>> u = sample.uniforms(jax.random.key(1), jax.numpy.arange(5), model.num_sites, 1)
      >>> sample.ancestral(model, zoo.decoder(model, variables, 5), u).x.shape
      (5, 2, 3)
    """
    drawing = begin(model, decoder, u.shape[1], prefix, start)
    drawn = finish(model, decoder, u, drawing, start, model.num_sites, prefix, tempered)
    return Sample(drawn.x, drawn.log_prob)


def begin(
    model: zoo.Autoregressive,
    decoder: zoo.Decoder,
    batch: int,
    prefix: Prefix | None = None,
    start: int = 0,
) -> Drawing:
    """Returns empty samples, with the first `start` ranks of the prefix read in one pass."""
    shape, head = (batch, model.num_sites, *model.head.event_shape), model.head
    x = (
        jnp.zeros(shape, head.dtype)
        if prefix is None
        else jnp.asarray(prefix.values).reshape(shape)
    )
    cache, nats = decoder.init(), jnp.zeros((model.num_sites, batch), jnp.float32)
    if start:
        assert decoder.prefill is not None
        known = x[:, jnp.asarray(model.sites)[:start]]
        params, cache = decoder.prefill(cache, known)
        nats = nats.at[:start].set(head.log_prob(params, known).T)
    elif decoder.block == model.num_sites:
        cache = decoder.enter(cache, _canvas(model, x), jnp.zeros((), jnp.int32))
    return Drawing(cache, x, nats)


def finish(
    model: zoo.Autoregressive,
    decoder: zoo.Decoder,
    u: Float[Array, "ranks batch uniforms"],
    drawing: Drawing,
    first: Array | int,
    end: Array | int,
    prefix: Prefix | None = None,
    tempered: Tempered | None = None,
) -> Drawn:
    """Draws the ranks from `first` on, at least up to `end`; ranks from `end` on may stay as
    `begin` left them.

    A model with several blocks is always drawn from its first rank to its last.
    """

    def block(first, size, drawing):
        cache = decoder.enter(drawing.cache, _canvas(model, drawing.x), first)
        return advance(
            model, decoder, u, drawing._replace(cache=cache), first, size, prefix, tempered
        )

    if decoder.block == model.num_sites:
        drawing = advance(model, decoder, u, drawing, first, end - first, prefix, tempered)
    else:
        whole, rest = divmod(model.num_sites, decoder.block)
        drawing = jax.lax.fori_loop(
            0, whole, lambda i, d: block(i * decoder.block, decoder.block, d), drawing
        )
        if rest:
            drawing = block(jnp.asarray(whole * decoder.block, jnp.int32), rest, drawing)
    return Drawn(_canvas(model, drawing.x), drawing.nats.sum(0), drawing.nats.T)


def advance(
    model: zoo.Autoregressive,
    decoder: zoo.Decoder,
    u: Float[Array, "ranks batch uniforms"],
    drawing: Drawing,
    first: Array | int,
    size: Array | int,
    prefix: Prefix | None = None,
    tempered: Tempered | None = None,
) -> Drawing:
    """Draws `size` ranks from rank `first` on, all within one block."""
    head, sites = model.head, jnp.asarray(model.sites)
    shape = drawing.x.shape

    def visit(i, drawing):
        t, (cache, x, nats) = first + i, drawing
        params, cache = decoder.step(cache, _canvas(model, x), t)
        value = head.quantile(params if tempered is None else tempered(params), u[t])
        if prefix is not None:
            given = jax.lax.dynamic_index_in_dim(
                prefix.values.reshape(shape), sites[t], 1, keepdims=False
            )
            keep = (t < prefix.known).reshape(len(value), *[1] * len(head.event_shape))
            value = jnp.where(keep, given, value)
        x = jax.lax.dynamic_update_index_in_dim(x, value, sites[t], 1)
        nats = jax.lax.dynamic_update_index_in_dim(nats, head.log_prob(params, value), t, 0)
        return Drawing(cache, x, nats)

    return jax.lax.fori_loop(0, size, visit, drawing)


def _canvas(model, x):
    return x.reshape(len(x), *model.site_shape, *model.head.event_shape)
