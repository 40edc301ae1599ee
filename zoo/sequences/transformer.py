"""Transformer: attention over the tokens before."""

from typing import Literal

import flax.linen as nn
import jax.numpy as jnp

from zoo.core.orderings import Ordering
from zoo.foundation.registry import register
from zoo.heads import Categorical, Head
from zoo.layers.attention import Block, CausalAttention, LayerNorm
from zoo.layers.linear import Dense, matmul
from zoo.sequences.sequence import Sequence


@register
class Transformer(Sequence):
    """A decoder-only Transformer, pre-norm: p(x_t | x_<t) from token t of the last layer, whose input
    is x_{t-1}.

    A token sees the last `window` tokens, in training as in sampling. With rotary positions a
    sequence may be longer than the window; its cache is a ring of `window` tokens. With learned
    positions there are `window` of them, and a longer sequence raises ValueError.

    `prefill` reads a prompt in one pass.

    **References**: A. Vaswani et al., Attention is all you need, NIPS 2017; A. Radford et al.,
    Language models are unsupervised multitask learners, 2019; J. Su et al., RoFormer: enhanced
    transformer with rotary position embedding, 2021.

    Differs from the papers: decoder only (Vaswani); rotary positions by default (Radford).

    Attributes:
      site_shape: (length,).
      features: of a token, in all heads together.
      layers: attention and mlp layers.
      heads: attention heads.
      window: how many tokens a token sees, itself included.
      positions: `rotary`, or `learned`: a vector for each position.
      tied: whether the embedding of the tokens is also the kernel of the output layer.
      dropout: the rate at which embeddings and the outputs of attention and mlp are dropped in
        training.
      end, pad: the tokens that end a sequence and fill the rest; see `Sequence`.
      vocabulary: the text of each token, if tokens stand for text.
      head: the distribution of one token.
      ordering: from left to right.

    Raises:
      ValueError: a window below 1, or a sequence longer than the learned positions.

    Example:
      >>> import jax, numpy as np, zoo
      >>> model = zoo.Transformer((8,), 16, 1, heads=2, window=4, head=zoo.Categorical(5))
      >>> x = np.zeros((3, 8), np.int32)
      >>> variables = zoo.init(model, jax.random.key(0), x)
      >>> zoo.log_prob(model, variables, x).shape
      (3,)
      >>> zoo.log_prob(model.clone(site_shape=(20,)), variables, np.zeros((3, 20), np.int32)).shape
      (3,)
    """

    site_shape: tuple[int, ...] = (256,)
    features: int = 384
    layers: int = 6
    heads: int = 6
    window: int = 256
    positions: Literal["learned", "rotary"] = "rotary"
    tied: bool = True
    dropout: float = 0.2
    end: int | None = None
    pad: int | None = None
    vocabulary: tuple[str, ...] = ()
    head: Head = Categorical(256)
    ordering: Ordering = Ordering()

    def setup(self):
        self.check()
        if self.window < 1:
            raise ValueError(
                f"{type(self).__name__} needs a window of at least 1 token; got {self.window}."
            )
        if self.positions == "learned" and self.num_sites > self.window:
            raise ValueError(
                f"a {type(self).__name__} with learned positions reads at most its window of "
                f"{self.window} tokens; got a site_shape of {self.site_shape}. "
                "Use positions='rotary' for unlimited length."
            )
        d, rotary = self.features, self.positions == "rotary"
        init = nn.initializers.normal(0.02 if self.tied else 1.0)
        self.embedding = self.param("embedding", init, (self.start + 1, d))
        if not rotary:
            self.position_embedding = self.param(
                "place", nn.initializers.normal(0.02), (self.window, d)
            )
        attentions = [
            CausalAttention(d, self.heads, self.num_sites, window=self.window, rotary=rotary)
            for _ in range(self.layers)
        ]
        self.blocks = [Block(attention, self.dropout) for attention in attentions]
        self.norm = LayerNorm()
        self.drop = nn.Dropout(self.dropout, rng_collection="train")
        if not self.tied:
            self.output_layer = Dense(self.head.num_params, name="params_of")

    @property
    def output_bias(self):  # type: ignore[override]
        """None where the embedding is the output layer, which then has no bias."""
        return None if self.tied else "params_of/bias"

    @property
    def max_length(self):
        return self.window if self.positions == "learned" else None

    def encode(self, context):
        """The kernel of the output layer [features, values] where it is the embedding, so that a draw
        lays it out once and not at every token.
        """
        return self.embedding[: self.start].T if self.tied else None

    def __call__(self, x, memory=None, *, train=False):
        before = self.tokens_before(x)
        h = self.drop(self._embed(before, jnp.arange(x.shape[1])), deterministic=not train)
        for block in self.blocks:
            h = block(h, train=train)
        return self._logits(h, before, memory)

    def prefill(self, x, memory=None):
        before = self.tokens_before(x)
        h = self._embed(before, jnp.arange(x.shape[1]))
        for block in self.blocks:
            h = block.prefill(h)
        return self._logits(h, before, memory)

    def step(self, x, t, memory=None):
        before = self.token_before(x, t)
        h = self._embed(before, t)
        for block in self.blocks:
            h = block.step(h, t)
        return self._logits(h, before, memory)

    def _embed(self, before, positions):
        h = self.embedding[before]
        return h if self.positions == "rotary" else h + self.position_embedding[positions][None]

    def _logits(self, h, before, memory):
        h = self.norm(h)
        # One row takes as long in the embedding's own layout.
        kernel = self.encode(None) if memory is None or len(h) == 1 else memory
        logits = matmul(h, kernel) if self.tied else self.output_layer(h)
        return self.mask_after_end(logits, before)
