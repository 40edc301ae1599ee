"""LSTM with attention to its own past outputs."""

from typing import ClassVar

import flax.linen as nn
import jax.numpy as jnp

from zoo.core.orderings import Ordering
from zoo.foundation.registry import register
from zoo.heads import Categorical, Head
from zoo.layers.attention import CausalAttention
from zoo.layers.linear import Dense
from zoo.layers.recurrent_layer import RecurrentLayer
from zoo.sequences.sequence import Sequence


@register
class AttentionLSTM(Sequence):
    """An LSTM whose output at t attends to its outputs up to t: p(x_t | x_<t) from

        tanh(W [h_t, sum_{s<=t} a_ts V h_s]),    a_ts = softmax_s(q_t . k_s / sqrt(d))

    over the last `window` outputs; q, k and v are linear in h.

    **References**: J. Cheng, L. Dong, M. Lapata, Long short-term memory-networks for machine
    reading, EMNLP 2016; M. Daniluk, T. Rocktäschel, J. Welbl, S. Riedel, Frustratingly short
    attention spans in neural language modeling, ICLR 2017.

    Differs from the papers: attention follows the recurrence and does not feed back into it (Cheng);
    dot products instead of additive scores, several heads.

    Attributes:
      site_shape: (length,).
      features: units of the LSTM.
      layers: the number of recurrent layers.
      heads: attention heads.
      window: how many outputs are attended to, h_t included; 0 for all.
      dropout: the rate at which the outputs of the recurrent layers are dropped in training.
      end, pad: the tokens that end a sequence and fill the rest; see `Sequence`.
      vocabulary: the text of each token, if tokens stand for text.
      head: the distribution of one token.
      ordering: from left to right.

    Example:
      >>> import zoo
      >>> model = zoo.AttentionLSTM((16,), features=8, heads=2, window=4, head=zoo.Categorical(5))
      >>> x, context = zoo.example(model, batch=2)
      >>> x.shape, model.kind
      ((2, 16), 'text')
    """

    site_shape: tuple[int, ...] = (256,)
    features: int = 512
    layers: int = 1
    heads: int = 4
    window: int = 256
    dropout: float = 0.0
    end: int | None = None
    pad: int | None = None
    vocabulary: tuple[str, ...] = ()
    head: Head = Categorical(256)
    ordering: Ordering = Ordering()

    output_bias: ClassVar[str | None] = "params_of/bias"

    def setup(self):
        self.check()
        self.embedding = self.param(
            "embedding", nn.initializers.normal(1.0), (self.start + 1, self.features)
        )
        self.recur = [RecurrentLayer(self.features, "lstm") for _ in range(self.layers)]
        self.attention = CausalAttention(
            self.features, self.heads, self.num_sites, window=self.window
        )
        self.join = Dense(self.features)
        self.drop = nn.Dropout(self.dropout, rng_collection="train")
        self.output_layer = Dense(self.head.num_params, name="params_of")

    def __call__(self, x, memory=None, *, train=False):
        h, _ = self._recur(x, train)
        return self._logits(h, self.attention(h), self.tokens_before(x))

    def prefill(self, x, memory=None):
        h, states = self._recur(x, False)
        for layer, state in zip(self.recur, states, strict=True):
            layer.store_state(state)
        return self._logits(h, self.attention.prefill(h), self.tokens_before(x))

    def step(self, x, t, memory=None):
        before = self.token_before(x, t)
        h = self.embedding[before]
        for layer in self.recur:
            state = layer.step(h, layer.load_state(layer.zeros(len(x)), t))
            layer.store_state(state)
            h = state[0]
        return self._logits(h, self.attention.step(h, t), before)

    def _recur(self, x, train):
        """The outputs [batch, length, features], and the last state of each layer."""
        h, states = self.embedding[self.tokens_before(x).T], []  # [length, batch, features]
        for layer in self.recur:
            zeros = layer.zeros(len(x))
            h, state = layer(h, zeros, None, zeros)
            h = self.drop(h, deterministic=not train)
            states.append(state)
        return h.swapaxes(0, 1), states

    def _logits(self, h, attended, before):
        joined = jnp.tanh(self.join(jnp.concatenate([h, attended], axis=-1)))
        return self.mask_after_end(self.output_layer(joined), before)
