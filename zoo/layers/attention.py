"""Causal attention over tokens, and its cached form: the keys and values of the tokens so far.

    y_t = sum_{s in A(t)} softmax_s(q_t . k_s / sqrt(d)) v_s

A(t) is everything up to t, or with a stride l (Child et al. 2019) the last l tokens and every l-th
before them. For an image whose rows are l tokens long that is the row so far, the rest of the row
above, and the column above: two layers see all.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from zoo.core.model import Rank

Tokens = Float[Array, "_ _ _"]  # batch, tokens, features
# at a time: later keys are not even computed, and the scores of a long sequence need not be in memory
QUERIES = 128


class CausalAttention(nn.Module):
    """Multi-head attention in which a token sees itself and those before it.

    Attributes:
      features: of a token, in all heads together.
      heads: the number of heads.
      length: the number of tokens of a whole sequence.
      stride: 0 for full attention, otherwise a divisor of `length`: the last `stride` tokens and
        every stride-th before.
      window: of full attention, the number of tokens that are seen; 0 for all.
      rotary: whether queries and keys are turned by their position (Su et al. 2021), so that their
        products depend on how far they are apart.
      page: the tokens of a page of the cache, 0 for one page of all. A step reads only the pages
        begun so far, and who calls it says when a page may be full (`turn`); there is no `prefill`
        then.
    """

    features: int
    heads: int
    length: int
    stride: int = 0
    window: int = 0
    rotary: bool = False
    page: int = 0

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
        if self.page and (self.stride or self.window):
            raise ValueError("the pages of a cache are for full attention without a window.")
        if self.stride and self.length % self.stride:
            raise ValueError(
                f"the stride of attention must divide the {self.length} tokens; got {self.stride}."
            )
        self.qkv = nn.Dense(3 * self.features)
        self.out = nn.Dense(self.features)

    def __call__(self, x: Tokens) -> Tokens:
        return self._whole(x)[0]

    def prefill(self, x: Tokens) -> Tokens:
        """The first tokens of a sequence at once; `step` goes on after them."""
        y, *kv = self._whole(x)
        kept = min(x.shape[1], self._room)
        # The last of them, each where `step` would have put it.
        slots = (np.arange(x.shape[1] - kept, x.shape[1]) + self.stride) % (
            self.stride + self._room
        )
        for name, new in zip(("keys", "values"), kv, strict=True):
            by_head = new[:, -kept:].swapaxes(1, 2).reshape(-1, kept, new.shape[-1])
            self.put_variable("cache", name, self._empty(len(x), x.dtype).at[:, slots].set(by_head))
        return y

    def step(self, x: Float[Array, "batch features"], t: Rank) -> Float[Array, "batch features"]:
        """The token at t, after those before it."""
        q, *kv = (
            each.reshape(len(x) * self.heads, 1, -1)
            for each in self._split(x[:, None], jnp.asarray(t)[None])
        )
        t = jnp.asarray(t, jnp.int32)
        slot = self.stride + jax.lax.rem(t, jnp.int32(self._room))
        cached = []
        for name, new in zip(("keys", "values"), kv, strict=True):
            cache = self.get_variable("cache", name, self._empty(len(x), x.dtype))
            cached.append(jax.lax.dynamic_update_slice_in_dim(cache, new, slot, 1))
            self.put_variable("cache", name, cached[-1])
        if self.stride:
            seen, cached = self._seen(t, cached)
            y = _weighted(q[:, 0], [cached], seen)
        else:
            full: list[Any] = [
                [self.get_variable("cache", f"{name}_{i}") for name in ("keys", "values")]
                for i in self._pages
            ]
            # A ring that is full holds nothing but what is seen.
            begun = [
                lambda q, pages, t, n=i + 1: _weighted(
                    q, [*pages[: n - 1], pages[-1]], jnp.arange(n * self._room) <= t
                )
                for i in range(len(full) + 1)
            ]
            y = jax.lax.switch(
                jax.lax.div(t, jnp.int32(self._room)), begun, q[:, 0], [*full, cached], t
            )
        return self.out(y.reshape(x.shape))

    def turn(self, batch: int, t: Rank, dtype: jnp.dtype) -> None:
        """Begins the page of rank t, if one begins there: where it is a multiple of `page`."""
        empty, t = self._empty(batch, dtype), jnp.asarray(t, jnp.int32)
        for name in ("keys", "values"):
            page = self.get_variable("cache", name, empty)
            for i in self._pages:
                old = self.get_variable("cache", f"{name}_{i}", empty)
                self.put_variable(
                    "cache", f"{name}_{i}", jnp.where(t == (i + 1) * self.page, page, old)
                )

    def _empty(self, batch, dtype):
        """A cache [batch * heads, tokens, d]: batch and heads are one axis, for with one head an
        axis of their own makes the compiler copy the cache. A stride's length of zeros comes first,
        so that every window lies inside; with a window, its tokens form a ring.
        """
        return jnp.zeros(
            (batch * self.heads, self.stride + self._room, self.features // self.heads), dtype
        )

    @property
    def _room(self) -> int:
        """How many tokens are kept, or of these on a page."""
        return self.page or min(self.window or self.length, self.length)

    @property
    def _pages(self) -> range:
        """The pages that will be full before the last."""
        return range((self.length - 1) // self.page if self.page else 0)

    def _whole(self, x):
        q, k, v = self._split(x, jnp.arange(x.shape[1]))
        y = _strided(q, k, v, self.stride) if self.stride else _full(q, k, v, self.window)
        return self.out(y.reshape(x.shape)), k, v

    def _split(self, x, positions):
        """Queries, keys and values, [batch, tokens, heads, d]."""
        q, k, v = jnp.split(self.qkv(x).reshape(*x.shape[:2], 3 * self.heads, -1), 3, axis=2)
        return (_turned(q, positions), _turned(k, positions), v) if self.rotary else (q, k, v)

    def _seen(self, t, cached):
        """What a strided token sees: the window and the column, of keys and of values."""
        rows, column = (
            1 + self.length // self.stride,
            jax.lax.rem(jnp.asarray(t, jnp.int32), jnp.int32(self.stride)),
        )
        row = jax.lax.div(jnp.asarray(t, jnp.int32), jnp.int32(self.stride))
        window = jnp.arange(self.stride) + t + 1 >= self.stride
        above = (jnp.arange(rows) > 0) & (jnp.arange(rows) <= row)
        picked = []
        for cache in cached:
            lines = cache.reshape(len(cache), rows, self.stride, -1)
            last = jax.lax.dynamic_slice_in_dim(cache, t + 1, self.stride, 1)
            picked.append(
                jnp.concatenate(
                    [last, jax.lax.dynamic_index_in_dim(lines, column, 2, keepdims=False)], axis=1
                )
            )
        return jnp.concatenate([window, above]), picked


def _softmax(scores: Array, seen: Array) -> Array:
    return jax.nn.softmax(jnp.where(seen, scores, -jnp.inf), axis=-1)


def _weighted(q, pages, seen):
    """softmax(q . k / sqrt(d)) v for one token, [n, d], over pages of (keys, values), [n, tokens,
    d] each.
    """
    scores = (
        jnp.concatenate([jnp.einsum("nd,nsd->ns", q, keys) for keys, _ in pages], axis=-1)
        * q.shape[-1] ** -0.5
    )
    weights = jnp.split(_softmax(scores, seen[None]), len(pages), axis=-1)
    return sum(
        jnp.einsum("ns,nsd->nd", w, values) for w, (_, values) in zip(weights, pages, strict=True)
    )


@jax.checkpoint
def _attend(q, k, v, seen):
    scores = jnp.einsum("bqhd,bkhd->bhqk", q, k) * q.shape[-1] ** -0.5
    return jnp.einsum("bhqk,bkhd->bqhd", _softmax(scores, seen), v)


def _full(q, k, v, window):
    """Causal attention, [batch, tokens, heads, d], over the last `window` tokens (0: all)."""
    outputs = []
    for first in range(0, q.shape[1], QUERIES):
        end, begin = min(first + QUERIES, q.shape[1]), max(0, first - window + 1) if window else 0
        apart = jnp.arange(first, end)[:, None] - jnp.arange(begin, end)[None, :]
        seen = (apart >= 0) & (apart < window) if window else apart >= 0
        outputs.append(_attend(q[:, first:end], k[:, begin:end], v[:, begin:end], seen[None, None]))
    return jnp.concatenate(outputs, axis=1)


def _turned(x: Array, positions: Array) -> Array:
    """Pairs of features turned by position * 10000^(-i / d), the rotary embedding; x is [batch,
    tokens, heads, d].
    """
    half = x.shape[-1] // 2
    angles = positions[:, None].astype(jnp.float32) * 10_000.0 ** (-jnp.arange(half) / half)[None]
    cos, sin = (f(angles)[None, :, None].astype(x.dtype) for f in (jnp.cos, jnp.sin))
    a, b = x[..., :half], x[..., half:]
    return jnp.concatenate([a * cos - b * sin, a * sin + b * cos], axis=-1)


class Block(nn.Module):
    """A pre-norm layer of a Transformer: h += attention(norm(h)), then h +=
    narrow(gelu(widen(norm(h)))).

    Attributes:
      attention: its attention, which says the features of a token.
      dropout: the rate at which what is added is dropped in training.
    """

    attention: CausalAttention
    dropout: float = 0.0

    def setup(self):
        d = self.attention.features
        self.norms = [nn.LayerNorm(), nn.LayerNorm()]
        self.widen, self.narrow = nn.Dense(4 * d), nn.Dense(d)
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


def _strided(q, k, v, stride):
    """Strided causal attention, [batch, tokens, heads, d]: the row so far, the rest of the row
    above, the column above.
    """
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
