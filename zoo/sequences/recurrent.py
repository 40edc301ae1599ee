"""Recurrent networks, run over a sequence or one token at a time."""

from typing import ClassVar, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from zoo.core.orderings import Ordering
from zoo.heads import Categorical, Head
from zoo.layers.cells import Cell, State, begun
from zoo.layers.recurrent_layer import RecurrentLayer
from zoo.sequences.sequence import Sequence, Tokens


class Carry(NamedTuple):
    """What a recurrent network remembers of a stream that goes on.

    Attributes:
      last: the last token, [batch]; `start` where the stream begins.
      states: the state of every layer.
    """

    last: Int[Array, " batch"]
    states: tuple[State, ...]


class RecurrentNetwork(Sequence):
    """Embedding, recurrent layers, a linear layer to the logits: p(x_t | x_<t) from the state after
      x_{t-1}.

    A final subclass says which cell. The length of a sequence is no part of the weights:
      `model.clone(site_shape=(5000,))`
    draws longer ones with the same variables.

    Attributes:
      site_shape: (length,).
      features: h, units of each layer.
      layers: the number of recurrent layers.
      embedding: size of the learned vector of each token; 0 for one-hot input.
      learned_start: whether the state before the first token is learned, or zero.
      dropout: the rate at which the outputs of the layers are dropped in training.
      separator: a token after which the state begins anew, so that documents of one stream are
        independent; None for none.
      end, pad: the tokens that end a sequence and fill the rest; see `Sequence`.
      vocabulary: the text of each token, if tokens stand for text.
      head: the law of one token.
      ordering: from left to right.
    """

    streams: ClassVar[bool] = True

    site_shape: tuple[int, ...] = (256,)
    features: int = 512
    layers: int = 2
    embedding: int = 0
    learned_start: bool = False
    dropout: float = 0.0
    separator: int | None = None
    end: int | None = None
    pad: int | None = None
    vocabulary: tuple[str, ...] = ()
    head: Head = Categorical(256)
    ordering: Ordering = Ordering()

    cell: ClassVar[Cell]

    def setup(self):
        self.check()
        if self.separator is not None and not 0 <= self.separator < self.start:
            raise ValueError(
                f"{type(self).__name__}: the separator must be a token, 0..{self.start - 1}, or "
                f"None; got {self.separator}."
            )
        tokens = [0 if i or self.embedding else self.start for i in range(self.layers)]
        self.recur = [RecurrentLayer(self.features, self.cell, each) for each in tokens]
        self.params_of = nn.Dense(self.head.num_params)
        self.drop = nn.Dropout(self.dropout, rng_collection="train")
        if self.embedding:
            self.embed = self.param(
                "embedding", nn.initializers.normal(1.0), (self.start + 1, self.embedding)
            )
        if self.learned_start:
            shape = (self.layers, self.recur[0].num_states, self.features)
            self.first = self.param("start", nn.initializers.zeros, shape)

    def begin(self, batch: int) -> Carry:
        """The carry before the first token of a stream."""
        last = jnp.full((batch,), self.start, jnp.int32)
        return Carry(last, tuple(self._first(i, batch) for i in range(self.layers)))

    def unroll(
        self, x: Tokens, carry: Carry, *, train: bool = False
    ) -> tuple[Float[Array, "batch length values"], Carry]:
        """The conditionals of the next tokens of a stream, and the carry after them."""
        before = jnp.concatenate([carry.last[:, None], x[:, :-1]], axis=1)
        anew = None if self.separator is None else (before == self.separator).T
        h, states = self._enter(before.T), []
        for i, (layer, state) in enumerate(zip(self.recur, carry.states, strict=True)):
            h, state = layer(h, state, anew, self._first(i, len(x)))
            h = self.drop(h, deterministic=not train)
            states.append(state)
        return self.closed(self.params_of(h.swapaxes(0, 1)), before), Carry(x[:, -1], tuple(states))

    def __call__(self, x, memory=None, *, train=False):
        return self.unroll(x, self.begin(len(x)), train=train)[0]

    def prefill(self, x, memory=None):
        params, carry = self.unroll(x, self.begin(len(x)))
        for layer, state in zip(self.recur, carry.states, strict=True):
            layer.keep(state)
        return params

    def step(self, x, t, memory=None):
        before = self.token_before(x, t)
        h = self._enter(before)
        for i, layer in enumerate(self.recur):
            first = self._first(i, len(x))
            state = layer.kept(first, t)
            if self.separator is not None:
                state = begun(before == self.separator, first, state)
            state = layer.step(h, state)
            layer.keep(state)
            h = state[0]
        return self.closed(self.params_of(h), before)

    def _enter(self, tokens):
        return self.embed[tokens] if self.embedding else tokens

    def _first(self, layer, batch):
        zeros = self.recur[layer].zeros(batch)
        return (
            tuple(each + self.first[layer, i][None] for i, each in enumerate(zeros))
            if self.learned_start
            else zeros
        )
