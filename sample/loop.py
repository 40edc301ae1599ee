"""The one loop over sites: whatever is drawn rank by rank is drawn here."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Shaped

from zoo import Autoregressive, Decoder


class Prefix(NamedTuple):
    """What is known of each example before it is drawn.

    Attributes:
      values: [batch, *site_shape, *event_shape]; entries that are not known are ignored.
      known: how many ranks of each example are known, [batch].
    """

    values: Shaped[Array, "batch ..."]
    known: Int[Array, " batch"]


class Sample(NamedTuple):
    """Draws and their likelihood.

    Attributes:
      x: values [num, *site_shape, *event_shape].
      log_prob: nats of each, [num]; equal to `zoo.log_prob` of it.
    """

    x: Shaped[Array, "num ..."]
    log_prob: Float[Array, " num"]


def ancestral(
    model: Autoregressive,
    decoder: Decoder,
    u: Float[Array, "ranks batch uniforms"],
    prefix: Prefix | None = None,
    start: int = 0,
) -> Sample:
    """Ancestral sampling: x[s_t] = quantile of p(. | x[s_<t]) at u_t, for t = 0, 1, ... in turn.

    Args:
      model: only its shapes, head and ordering are read.
      decoder: its conditionals, one rank at a time.
      u: uniforms in [0, 1) for every rank and example.
      prefix: what is known already and kept.
      start: how many ranks of every example the prefix knows; taken in one pass, if the decoder has one.
    """
    head, sites, batch = model.head, jnp.asarray(model.sites), u.shape[1]
    shape = (batch, model.num_sites, *head.event_shape)

    def canvas(x):
        return x.reshape(batch, *model.site_shape, *head.event_shape)

    def visit(t, carry):
        cache, x, log_prob = carry
        params, cache = decoder.step(cache, canvas(x), t)
        value = head.quantile(params, u[t])
        if prefix is not None:
            given = jax.lax.dynamic_index_in_dim(prefix.values.reshape(shape), sites[t], 1, keepdims=False)
            keep = (t < prefix.known).reshape(batch, *[1] * len(head.event_shape))
            value = jnp.where(keep, given, value)
        x = jax.lax.dynamic_update_index_in_dim(x, value, sites[t], 1)
        return cache, x, log_prob + head.log_prob(params, value)

    def block(first, size, carry):
        cache, x, log_prob = carry
        cache = decoder.enter(cache, canvas(x), first)
        return jax.lax.fori_loop(0, size, lambda i, carry: visit(first + i, carry), (cache, x, log_prob))

    carry = (decoder.init(), jnp.zeros(shape, head.dtype), jnp.zeros(batch))
    if decoder.prefill is not None and prefix is not None and start:
        values = prefix.values.reshape(shape)[:, sites]
        params, cache = decoder.prefill(carry[0], values[:, :start])
        carry = (cache, prefix.values.reshape(shape), head.log_prob(params, values[:, :start]).sum(1))
        x, log_prob = jax.lax.fori_loop(start, model.num_sites, visit, carry)[1:]
        return Sample(canvas(x), log_prob)
    whole, rest = divmod(model.num_sites, decoder.block)
    carry = jax.lax.fori_loop(0, whole, lambda i, carry: block(i * decoder.block, decoder.block, carry), carry)
    if rest:
        carry = block(jnp.asarray(whole * decoder.block), rest, carry)
    return Sample(canvas(carry[1]), carry[2])
