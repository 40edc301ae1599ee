"""The one loop over sites: every sampler that draws rank by rank uses it."""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Shaped

import zoo
from sample.engines.segments import segment_ends, with_room
from sample.engines.tempered import Tempered
from zoo.foundation.precision import without_x64

FEW_PARAMS = 128  # of a site, up to which a loop keeps those of all its ranks
MOST_KEPT = 2**24  # numbers that it keeps at most, 64 MiB


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

    A model with several blocks is drawn to its last rank, and `first` begins a block.
    """
    draw_ranks: Callable[..., Drawing] = advance
    full, begun = drawing.cache, 0
    if decoder.block < model.num_sites:
        draw_ranks, end = _advance_blocks, model.num_sites
    # A cache is only cut where it is known, when the program is compiled, how much is written.
    known = isinstance(first, int)
    ends = segment_ends(full, model.num_sites, decoder.block) if known else (model.num_sites,)
    for segment_end in ends:
        start, stop = _larger(begun, first), -_larger(-segment_end, -end)
        begun = segment_end
        if known and start >= segment_end:
            continue  # the prefix that was read in one pass is longer
        drawing = drawing._replace(cache=with_room(drawing.cache, full, segment_end))
        drawing = draw_ranks(model, decoder, u, drawing, start, stop - start, prefix, tempered)
    return Drawn(_canvas(model, drawing.x), drawing.nats.sum(0), drawing.nats.T)


def _larger(a, b):
    """The larger of two numbers; static if both are, so that the loop has a static length."""
    return max(a, b) if isinstance(a, int) and isinstance(b, int) else jnp.maximum(a, b)


def _advance_blocks(model, decoder, u, drawing, first, size, prefix, tempered):
    """Draws `size` ranks from rank `first` on, block by block."""

    def block(t, size, drawing):
        cache = decoder.enter(drawing.cache, _canvas(model, drawing.x), t)
        return advance(model, decoder, u, drawing._replace(cache=cache), t, size, prefix, tempered)

    whole = size // decoder.block
    rest = (size if isinstance(size, int) else model.num_sites) % decoder.block
    drawing = jax.lax.fori_loop(
        0, whole, lambda i, d: block(first + i * decoder.block, decoder.block, d), drawing
    )
    if rest:
        last = jnp.asarray(first + whole * decoder.block, jnp.int32)
        drawing = block(last, rest, drawing)
    return drawing


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
    """Draws `size` ranks from rank `first` on, all within one block.

    A loop of few, large operations is fastest. So where sites have few params and `size` is static,
    the loop keeps the params, and the likelihood of all ranks is computed at once after it.
    """
    head, sites = model.head, jnp.asarray(model.sites)
    shape = drawing.x.shape
    kept_in_all = size * len(drawing.x) * head.num_params if isinstance(size, int) else math.inf
    later = head.num_params <= FEW_PARAMS and kept_in_all <= MOST_KEPT

    def visit(i, carry):
        t, (cache, x, kept) = first + i, carry
        params, cache = decoder.step(cache, _canvas(model, x), t)
        value = head.quantile(params if tempered is None else tempered(params), u[t])
        if prefix is not None:
            given = jax.lax.dynamic_index_in_dim(
                prefix.values.reshape(shape), sites[t], 1, keepdims=False
            )
            keep = (t < prefix.known).reshape(len(value), *[1] * len(head.event_shape))
            value = jnp.where(keep, given, value)
        x = jax.lax.dynamic_update_index_in_dim(x, value, sites[t], 1)
        if later:
            kept = jax.lax.dynamic_update_index_in_dim(kept, params.astype(kept.dtype), i, 0)
        else:
            kept = jax.lax.dynamic_update_index_in_dim(kept, head.log_prob(params, value), t, 0)
        return cache, x, kept

    if not later:
        return Drawing(*jax.lax.fori_loop(0, size, visit, tuple(drawing)))
    room = jnp.zeros((size, shape[0], head.num_params), jnp.float32)
    cache, x, params = jax.lax.fori_loop(0, size, visit, (*drawing[:2], room))
    visited = jax.lax.dynamic_slice_in_dim(sites, first, len(room))
    nats = head.log_prob(params, x[:, visited].swapaxes(0, 1))  # [size, batch]
    return Drawing(cache, x, jax.lax.dynamic_update_slice_in_dim(drawing.nats, nats, first, 0))


def _canvas(model, x):
    return x.reshape(len(x), *model.site_shape, *model.head.event_shape)
