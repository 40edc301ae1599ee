"""The keys and values of the tokens so far: one kind of cache for each set of tokens that is seen.

    seen by token t                           cache
    the last `slots` tokens (or all)          Ring
    a row's length of tokens and a column     Lines

Every cache has `write` (token t) and `attend` (from token t). A step writes first and reads what
was written: the compiler then updates the buffer in place, and copies it in the other order.

The leading axis n counts batch and heads together. With one head an axis of its own for the heads
makes the compiler copy the cache.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.layout import Layout, with_layout_constraint
from jaxtyping import Array, Bool, Float

from zoo.core.model import Rank

Token = Float[Array, "n d"]  # the query, key or value of one token; n = batch * heads


class Ring(NamedTuple):
    """The last `slots` tokens: token t lies in slot t mod slots.

    A full ring holds only what token t sees, so no order needs to be restored.

    Attributes:
      keys: [n, slots, d].
      values: [n, slots, d].

    Example:
      >>> ring = Ring.empty(n=1, slots=2, d=1, dtype=jnp.float32)
      >>> for t in range(3):
      ...     ring = ring.write(jnp.full((1, 1), 1.0 * t), jnp.full((1, 1), 10.0 * t), jnp.int32(t))
      >>> ring.values.ravel().tolist(), ring.attend(jnp.zeros((1, 1)), jnp.int32(2)).tolist()
      ([20.0, 10.0], [[15.0]])
    """

    keys: Float[Array, "n slots d"]
    values: Float[Array, "n slots d"]

    @classmethod
    def empty(cls, n: int, slots: int, d: int, dtype: Any) -> "Ring":
        zeros = _laid_out(jnp.zeros((n, slots, d), dtype))
        return cls(zeros, zeros)

    def write(self, key: Token, value: Token, t: Rank) -> "Ring":
        slot = _remainder(t, self.slots)
        return Ring(
            _laid_out(jax.lax.dynamic_update_slice_in_dim(self.keys, key[:, None], slot, 1)),
            _laid_out(jax.lax.dynamic_update_slice_in_dim(self.values, value[:, None], slot, 1)),
        )

    def attend(self, query: Token, t: Rank) -> Token:
        written = jnp.arange(self.slots) <= t  # [slots]: all of them once it is full
        return _attend(query, self, written)

    @property
    def slots(self) -> int:
        """The number of tokens that it has room for."""
        return self.keys.shape[1]

    def with_slots(self, slots: int) -> "Ring":
        """The ring with fewer or more slots, as long as no token at or after `slots` is written."""
        extra = max(0, slots - self.slots)
        return Ring(*(jnp.pad(each[:, :slots], ((0, 0), (0, extra), (0, 0))) for each in self))

    def prefill(self, keys: Float[Array, "n t d"], values: Float[Array, "n t d"]) -> "Ring":
        """Writes tokens 0, 1, ... at once: the last `slots` of them, where `write` puts them."""
        (_, length, _), slots = keys.shape, self.slots
        first = max(0, length - slots)
        kept = np.arange(first, length) % slots
        return Ring(
            self.keys.at[:, kept].set(keys[:, first:]),
            self.values.at[:, kept].set(values[:, first:]),
        )


class Lines(NamedTuple):
    """All tokens in rows of `stride`: token t sees the last `stride` tokens and the column above.

    Attributes:
      keys: [n, 1 + rows, stride, d]. Row r of tokens is line r + 1; line 0 stays zero, so that the
        window of an early token lies inside the array too.
      values: [n, 1 + rows, stride, d].
    """

    keys: Float[Array, "n lines stride d"]
    values: Float[Array, "n lines stride d"]

    @classmethod
    def empty(cls, n: int, stride: int, length: int, d: int, dtype: Any) -> "Lines":
        zeros = jnp.zeros((n, 1 + length // stride, stride, d), dtype)
        return cls(zeros, zeros)

    def write(self, key: Token, value: Token, t: Rank) -> "Lines":
        stride = self.keys.shape[2]
        start = (0, 1 + jax.lax.div(t, jnp.int32(stride)), _remainder(t, stride), 0)
        return Lines(
            jax.lax.dynamic_update_slice(self.keys, key[:, None, None], start),
            jax.lax.dynamic_update_slice(self.values, value[:, None, None], start),
        )

    def attend(self, query: Token, t: Rank) -> Token:
        _, lines, stride, _ = self.keys.shape
        row = jax.lax.div(t, jnp.int32(stride))
        in_window = jnp.arange(stride) + t + 1 >= stride  # [stride]: from token 0 on
        above = (jnp.arange(lines) > 0) & (jnp.arange(lines) <= row)  # [lines]: rows 0 .. row - 1
        seen = Ring(self._seen(self.keys, t), self._seen(self.values, t))
        return _attend(query, seen, jnp.concatenate([in_window, above]))

    def prefill(self, keys: Float[Array, "n t d"], values: Float[Array, "n t d"]) -> "Lines":
        """Writes tokens 0, 1, ... at once."""
        n, _, stride, d = self.keys.shape

        def fill(blank, new):
            flat = blank.reshape(n, -1, d).at[:, stride : stride + new.shape[1]].set(new)
            return flat.reshape(blank.shape)

        return Lines(fill(self.keys, keys), fill(self.values, values))

    @staticmethod
    def _seen(array, t):
        """What token t may see, [n, stride + lines, d]: the window, then its column."""
        n, _, stride, d = array.shape
        # Token t lies at stride + t, so the last `stride` tokens begin at t + 1.
        window = jax.lax.dynamic_slice_in_dim(array.reshape(n, -1, d), t + 1, stride, 1)
        column = jax.lax.dynamic_index_in_dim(array, _remainder(t, stride), 2, keepdims=False)
        return jnp.concatenate([window, column], axis=1)


def _attend(query: Token, tokens: Ring, seen: Bool[Array, " tokens"]) -> Token:
    """sum_s softmax_s(q . k_s / sqrt(d)) v_s for one token, over those that it sees."""
    scores = jnp.einsum("nd,nsd->ns", query, tokens.keys) * query.shape[-1] ** -0.5
    weights = jax.nn.softmax(jnp.where(seen[None], scores, -jnp.inf), axis=-1)
    return jnp.einsum("ns,nsd->nd", weights, tokens.values)


def _laid_out(cache):
    """A cache [n, slots, d]; in a TPU's memory n comes last, which is padded to 128 numbers there,
    as d would be, often 32 or 64.
    """

    def n_last(cache):
        return with_layout_constraint(cache, Layout((1, 2, 0)))

    return jax.lax.platform_dependent(cache, tpu=n_last, default=lambda cache: cache)


def _remainder(t, size):
    return jax.lax.rem(t, jnp.int32(size))
