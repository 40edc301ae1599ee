"""Causal attention over tokens, and its cached form: the keys and values of the tokens so far.

    y_t = sum_{s in A(t)} softmax_s(q_t . k_s / sqrt(d)) v_s

A(t) is everything up to t, or with a stride l (Child et al. 2019) the last l tokens and every l-th
before them. For an image whose rows are l tokens long that is the row so far, the rest of the row
above, and the column above: two layers see all.
"""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from zoo.core.model import Rank
from zoo.layers.key_value_caches import Lines, Ring
from zoo.layers.linear import Dense

Tokens = Float[Array, "_ _ _"]  # batch, tokens, features
QUERIES = 128  # at a time: their scores alone are in memory, and later keys are never multiplied
# The variance as the mean of (x - mean)^2, not of x^2 less mean^2: one kernel of a GPU, not two.
LayerNorm = functools.partial(nn.LayerNorm, use_fast_variance=False)


class CausalAttention(nn.Module):
    """Multi-head attention in which a token sees itself and those before it.

    Attributes:
      features: of a token, in all heads together.
      heads: the number of heads.
      length: the number of tokens of a whole sequence.
      stride: 0 for full attention, otherwise a divisor of `length`: a token sees the last `stride`
        tokens and every stride-th before.
      window: the number of tokens that full attention sees; 0 for all.
      rotary: rotate queries and keys by their position (Su et al. 2021), so that their products
        depend on the distance between them alone.

    Raises:
      ValueError: heads that do not divide the features (in pairs, for rotary positions), a stride
        that does not divide the length, or a negative window.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> attention = CausalAttention(features=8, heads=2, length=5)
      >>> x = jnp.ones((3, 5, 8))
      >>> y, variables = attention.init_with_output(jax.random.key(0), x)
      >>> y.shape
      (3, 5, 8)
      >>> first, state = attention.apply(variables, x[:, 0], 0, method="step", mutable=["cache"])
      >>> bool(jnp.allclose(first, y[:, 0], atol=1e-6))
      True
    """

    features: int
    heads: int
    length: int
    stride: int = 0
    window: int = 0
    rotary: bool = False

    def setup(self):
        if self.features % self.heads or (self.rotary and self.features // self.heads % 2):
            raise ValueError(
                f"{self.features} features cannot be shared equally by {self.heads} heads"
                f"{' of even size' if self.rotary else ''}."
            )
        if self.window < 0:
            raise ValueError(
                "the window of attention must be at least 1 token, or 0 for all; got "
                f"{self.window}."
            )
        if self.stride and self.length % self.stride:
            raise ValueError(
                f"the stride of attention must divide the {self.length} tokens; got {self.stride}."
            )
        self.qkv = Dense(3 * self.features)
        self.out = Dense(self.features)

    def __call__(self, x: Tokens) -> Tokens:
        """The outputs y_t of all tokens."""
        return self._attend(*self._project(x, jnp.arange(x.shape[1])))

    def prefill(self, x: Tokens) -> Tokens:
        """The outputs of the first tokens at once, which the cache then holds for `step`."""
        q, k, v = self._project(x, jnp.arange(x.shape[1]))  # [batch, tokens, heads, d]
        batch, length, heads, d = k.shape
        k_by_head, v_by_head = (
            each.swapaxes(1, 2).reshape(batch * heads, length, d) for each in (k, v)
        )
        blank = self._empty_cache(batch, x.dtype)
        self.put_variable("cache", "tokens", blank.prefill(k_by_head, v_by_head))
        return self._attend(q, k, v)

    def step(self, x: Float[Array, "batch features"], t: Rank) -> Float[Array, "batch features"]:
        """The output y_t, given token t; the cache holds those before it."""
        t = jnp.asarray(t, jnp.int32)
        query, key, value = (
            each.reshape(len(x) * self.heads, -1)  # [batch, 1, heads, d] to [batch * heads, d]
            for each in self._project(x[:, None], t[None])
        )
        cache: Any = self.get_variable("cache", "tokens", self._empty_cache(len(x), x.dtype))
        cache = cache.write(key, value, t)
        self.put_variable("cache", "tokens", cache)
        return self.out(cache.attend(query, t).reshape(x.shape))

    def _empty_cache(self, batch: int, dtype: jnp.dtype) -> Lines | Ring:
        n, d = batch * self.heads, self.features // self.heads
        if self.stride:
            return Lines.empty(n, self.stride, self.length, d, dtype)
        return Ring.empty(n, min(self.window or self.length, self.length), d, dtype)

    def _project(self, x, positions):
        """Queries, keys and values, [batch, tokens, heads, d] each."""
        qkv = self.qkv(x).reshape(*x.shape[:2], 3 * self.heads, -1)
        q, k, v = jnp.split(qkv, 3, axis=2)
        return (
            (apply_rotary(q, positions), apply_rotary(k, positions), v)
            if self.rotary
            else (q, k, v)
        )

    def _attend(self, q, k, v):
        """From queries, keys and values of whole sequences to the outputs [batch, tokens, features]."""
        y = strided(q, k, v, self.stride) if self.stride else windowed(q, k, v, self.window)
        return self.out(y.reshape(*y.shape[:2], -1))


def apply_rotary(
    x: Float[Array, "batch tokens heads d"], positions: Array
) -> Float[Array, "batch tokens heads d"]:
    """The rotary embedding: rotates the pair (x_i, x_{i + d/2}) by position * 10000^(-2i / d)."""
    half = x.shape[-1] // 2
    angles = positions[:, None].astype(jnp.float32) * 10_000.0 ** (-jnp.arange(half) / half)[None]
    # [tokens, d / 2] to [1, tokens, 1, d / 2]
    cos, sin = (f(angles)[None, :, None].astype(x.dtype) for f in (jnp.cos, jnp.sin))
    a, b = x[..., :half], x[..., half:]
    return jnp.concatenate([a * cos - b * sin, a * sin + b * cos], axis=-1)


def windowed(q: Array, k: Array, v: Array, window: int) -> Float[Array, "batch tokens heads d"]:
    """Attention over the last `window` tokens (0: over all); arrays [batch, tokens, heads, d]."""
    outputs = []
    for first in range(0, q.shape[1], QUERIES):
        end = min(first + QUERIES, q.shape[1])
        begin = max(0, first - window + 1) if window else 0
        distance = jnp.arange(first, end)[:, None] - jnp.arange(begin, end)[None, :]
        seen = (distance >= 0) & (distance < window) if window else distance >= 0
        outputs.append(
            _attend_to(q[:, first:end], k[:, begin:end], v[:, begin:end], seen[None, None])
        )
    return jnp.concatenate(outputs, axis=1)


@jax.checkpoint  # the scores are cheaper to recompute than to keep for the gradient
def _attend_to(q, k, v, seen):
    scores = jnp.einsum("bqhd,bkhd->bhqk", q, k) * q.shape[-1] ** -0.5
    return jnp.einsum("bhqk,bkhd->bqhd", _softmax(scores, seen), v)


def strided(q: Array, k: Array, v: Array, stride: int) -> Float[Array, "batch tokens heads d"]:
    """Attention over the row so far, the rest of the row above and the column above, each of them
    one matmul; arrays [batch, tokens, heads, d], in rows of `stride` tokens.
    """
    batch, _, heads, d = q.shape
    q, k, v = (a.reshape(batch, -1, stride, heads, d) for a in (q, k, v))
    rows = q.shape[1]
    k_above, v_above = (  # row r holds row r - 1, row 0 zeros
        jnp.pad(a[:, :-1], ((0, 0), (1, 0), (0, 0), (0, 0), (0, 0))) for a in (k, v)
    )
    scores = [
        jnp.einsum("brqhd,brkhd->brhqk", q, k),  # [batch, rows, heads, stride, stride]
        jnp.einsum("brqhd,brkhd->brhqk", q, k_above),  # [batch, rows, heads, stride, stride]
        jnp.einsum("brqhd,bsqhd->brhqs", q, k),  # [batch, rows, heads, stride, rows]
    ]
    seen = _strided_mask(rows, stride)[None, :, None]
    weights = _softmax(jnp.concatenate(scores, axis=-1) * d**-0.5, seen)
    in_row, in_row_above, in_column = jnp.split(weights, [stride, 2 * stride], axis=-1)
    y = (
        jnp.einsum("brhqk,brkhd->brqhd", in_row, v)
        + jnp.einsum("brhqk,brkhd->brqhd", in_row_above, v_above)
        + jnp.einsum("brhqs,bsqhd->brqhd", in_column, v)
    )
    return y.reshape(batch, rows * stride, heads, d)


def _strided_mask(rows: int, stride: int) -> Bool[Array, "rows stride keys"]:
    """Which keys a query sees: `stride` of its row, `stride` of the row above, `rows` of its column."""
    row_so_far = jnp.tri(stride, dtype=bool)[None]
    rest_of_row_above = ~row_so_far & (jnp.arange(rows) > 0)[:, None, None]
    column_above = jnp.tri(rows, k=-1, dtype=bool)[:, None]
    shape = (rows, stride)
    return jnp.concatenate(
        [
            jnp.broadcast_to(row_so_far, (*shape, stride)),
            rest_of_row_above,
            jnp.broadcast_to(column_above, (*shape, rows)),
        ],
        axis=-1,
    )


def _softmax(scores: Array, seen: Array) -> Array:
    return jax.nn.softmax(jnp.where(seen, scores, -jnp.inf), axis=-1)


class Block(nn.Module):
    """A pre-norm layer of a Transformer: h += attention(norm(h)); h += mlp(norm(h)).

    Attributes:
      attention: the attention; its `features` are those of a token.
      dropout: the rate at which both summands are dropped in training.
    """

    attention: CausalAttention
    dropout: float = 0.0

    def setup(self):
        d = self.attention.features
        self.norms = [LayerNorm(), LayerNorm()]
        self.widen, self.narrow = Dense(4 * d), Dense(d)
        self.drop = nn.Dropout(self.dropout, rng_collection="train")

    def __call__(self, h: Tokens, *, train: bool) -> Tokens:
        h = h + self.drop(self.attention(self.norms[0](h)), deterministic=not train)
        return h + self.drop(self._mlp(h), deterministic=not train)

    def prefill(self, h: Tokens) -> Tokens:
        h = h + self.attention.prefill(self.norms[0](h))
        return h + self._mlp(h)

    def step(self, h: Float[Array, "batch features"], t: Rank) -> Float[Array, "batch features"]:
        h = h + self.attention.step(self.norms[0](h), t)
        return h + self._mlp(h)

    def _mlp(self, h):
        return self.narrow(jax.nn.gelu(self.widen(self.norms[1](h))))
