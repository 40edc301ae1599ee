"""Causal attention over tokens, and its cached form: the keys and values of all tokens so far.

    y_t = sum_{s in A(t)} softmax_s(q_t . k_s / sqrt(d)) v_s

A(t) is everything up to t, or with a stride l (Child et al. 2019) the last l tokens and every l-th before them. For an image
whose rows are l tokens long that is the row so far, the rest of the row above, and the column above: two layers see all.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from zoo.autoregressive import Rank

Tokens = Float[Array, "_ _ _"]  # batch, tokens, features
QUERIES = 256  # at a time: later keys are not even computed, and the scores of a long sequence need not be in memory


class CausalAttention(nn.Module):
    """Multi-head attention in which a token sees itself and those before it.

    Attributes:
      features: of a token, in all heads together.
      heads: the number of heads.
      length: the number of tokens of a whole sequence.
      stride: 0 for full attention, otherwise a divisor of `length`: the last `stride` tokens and every stride-th before.
    """

    features: int
    heads: int
    length: int
    stride: int = 0

    def setup(self):
        if self.features % self.heads:
            raise ValueError(f"{self.features} features cannot be shared equally by {self.heads} heads.")
        if self.stride and self.length % self.stride:
            raise ValueError(f"the stride of attention must divide the {self.length} tokens; got {self.stride}.")
        self.qkv = nn.Dense(3 * self.features)
        self.out = nn.Dense(self.features)

    def __call__(self, x: Tokens) -> Tokens:
        q, k, v = jnp.split(self.qkv(x).reshape(*x.shape[:2], 3 * self.heads, -1), 3, axis=2)
        y = _strided(q, k, v, self.stride) if self.stride else _full(q, k, v)
        return self.out(y.reshape(x.shape))

    def step(self, x: Float[Array, "batch features"], t: Rank) -> Float[Array, "batch features"]:
        """The token at t, after those before it."""
        q, *kv = jnp.split(self.qkv(x).reshape(len(x), 3 * self.heads, -1), 3, axis=1)
        # A stride's length of zeros in front, so that every window lies inside.
        shape = (*q.shape[:2], self.stride + self.length, q.shape[2])
        cached = []
        for name, new in zip(("keys", "values"), kv, strict=True):
            cache = self.get_variable("cache", name, jnp.zeros(shape, x.dtype))
            cached.append(jax.lax.dynamic_update_slice_in_dim(cache, new[:, :, None], self.stride + t, 2))
            self.put_variable("cache", name, cached[-1])
        if self.stride:
            seen, cached = self._seen(t, cached)
        else:
            seen = jnp.arange(self.length) <= t
        keys, values = cached
        scores = jnp.einsum("bhd,bhsd->bhs", q, keys) * q.shape[-1] ** -0.5
        y = jnp.einsum("bhs,bhsd->bhd", _softmax(scores, seen[None, None]), values)
        return self.out(y.reshape(x.shape))

    def _seen(self, t, cached):
        """What a strided token sees: the window and the column, of keys and of values."""
        rows, column = 1 + self.length // self.stride, jax.lax.rem(jnp.asarray(t, jnp.int32), jnp.int32(self.stride))
        row = jax.lax.div(jnp.asarray(t, jnp.int32), jnp.int32(self.stride))
        window = jnp.arange(self.stride) + t + 1 >= self.stride
        above = (jnp.arange(rows) > 0) & (jnp.arange(rows) <= row)
        picked = []
        for cache in cached:
            lines = cache.reshape(*cache.shape[:2], rows, self.stride, -1)
            last = jax.lax.dynamic_slice_in_dim(cache, t + 1, self.stride, 2)
            picked.append(
                jnp.concatenate([last, jax.lax.dynamic_index_in_dim(lines, column, 3, keepdims=False)], axis=2)
            )
        return jnp.concatenate([window, above]), picked


def _softmax(scores: Array, seen: Array) -> Array:
    return jax.nn.softmax(jnp.where(seen, scores, -jnp.inf), axis=-1)


@jax.checkpoint
def _attend(q, k, v, seen):
    scores = jnp.einsum("bqhd,bkhd->bhqk", q, k) * q.shape[-1] ** -0.5
    return jnp.einsum("bhqk,bkhd->bqhd", _softmax(scores, seen), v)


def _full(q, k, v):
    """Causal attention, [batch, tokens, heads, d]."""
    outputs = []
    for first in range(0, q.shape[1], QUERIES):
        end = min(first + QUERIES, q.shape[1])
        seen = jnp.arange(end)[None, :] <= jnp.arange(first, end)[:, None]
        outputs.append(_attend(q[:, first:end], k[:, :end], v[:, :end], seen[None, None]))
    return jnp.concatenate(outputs, axis=1)


def _strided(q, k, v, stride):
    """Strided causal attention, [batch, tokens, heads, d]: the row so far, the rest of the row above, the column above."""
    q, k, v = (a.reshape(len(a), -1, stride, *a.shape[2:]) for a in (q, k, v))
    rows, scale = q.shape[1], q.shape[-1] ** -0.5
    before = [jnp.pad(a[:, :-1], ((0, 0), (1, 0), (0, 0), (0, 0), (0, 0))) for a in (k, v)]
    own = jnp.tri(stride, dtype=bool)[None]
    above = ~own & (jnp.arange(rows) > 0)[:, None, None]
    column = jnp.broadcast_to(jnp.tri(rows, k=-1, dtype=bool)[:, None], (rows, stride, rows))
    seen = jnp.concatenate([jnp.broadcast_to(own, above.shape), above, column], axis=-1)
    scores = [
        jnp.einsum("brqhd,brkhd->brhqk", q, k),
        jnp.einsum("brqhd,brkhd->brhqk", q, before[0]),
        jnp.einsum("brqhd,bsqhd->brhqs", q, k),
    ]
    weights = _softmax(jnp.concatenate(scores, axis=-1) * scale, seen[None, :, None])
    of_own, of_above, of_column = jnp.split(weights, [stride, 2 * stride], axis=-1)
    return (
        jnp.einsum("brhqk,brkhd->brqhd", of_own, v)
        + jnp.einsum("brhqk,brkhd->brqhd", of_above, before[1])
        + jnp.einsum("brhqs,bsqhd->brqhd", of_column, v)
    )
