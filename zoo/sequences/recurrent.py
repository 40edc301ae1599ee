"""Recurrent networks over a sequence; their samplers are derived from `__call__`."""

from typing import ClassVar, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from zoo.core.orderings import Ordering
from zoo.heads import Categorical, Head
from zoo.layers.cells import Cell, State
from zoo.layers.linear import Dense
from zoo.layers.recurrent_layer import RecurrentLayer
from zoo.sequences.sequence import Sequence, Tokens


class Carry(NamedTuple):
    """The state of a recurrent network between two pieces of a stream.

    Attributes:
      last: the last token, [batch]; `start` before the first.
      states: the state of every layer.
    """

    last: Int[Array, " batch"]
    states: tuple[State, ...]


class RecurrentNetwork(Sequence):
    """Embedding, recurrent layers, a linear layer to the logits: p(x_t | x_<t) from the state after
    x_{t-1}.

    A final subclass sets the `cell`. The weights do not depend on the length:
    `model.clone(site_shape=(5000,))` draws longer sequences with the same variables.

    Attributes:
      site_shape: (length,).
      features: h, units of each layer.
      layers: the number of recurrent layers.
      embedding: size of the learned vector of each token; 0 for one-hot input.
      learned_start: whether the state before the first token is learned, or zero.
      dropout: the rate at which the outputs of the layers are dropped in training.
      separator: the token between the documents of a stream. The state is reset after it, so that
        documents are independent; None for a stream without documents.
      end, pad: the tokens that end a sequence and fill the rest; see `Sequence`.
      vocabulary: the text of each token, if tokens stand for text.
      head: the distribution of one token.
      ordering: from left to right.

    Example:
      >>> import zoo
      >>> issubclass(zoo.LSTM, zoo.RecurrentNetwork)
      True
    """

    streams: ClassVar[bool] = True
    output_bias: ClassVar[str | None] = "params_of/bias"

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
        self.output_layer = Dense(self.head.num_params, name="params_of")
        self.drop = nn.Dropout(self.dropout, rng_collection="train")
        if self.embedding:
            self.embed = self.param(
                "embedding", nn.initializers.normal(1.0), (self.start + 1, self.embedding)
            )
        if self.learned_start:
            shape = (self.layers, self.recur[0].num_states, self.features)
            self.start_states = self.param("start", nn.initializers.zeros, shape)

    def begin(self, batch: int) -> Carry:
        """The carry before the first token of a stream."""
        last = jnp.full((batch,), self.start, jnp.int32)
        return Carry(last, tuple(self._initial_state(i, batch) for i in range(self.layers)))

    def unroll(
        self, x: Tokens, carry: Carry, *, train: bool = False
    ) -> tuple[Float[Array, "batch length values"], Carry]:
        """The conditionals of the next tokens of a stream, and the carry after them."""
        before = jnp.concatenate([carry.last[:, None], x[:, :-1]], axis=1)
        resets = None if self.separator is None else (before == self.separator).T
        h, states = self._embed(before.T), []  # time first between layers: [length, batch, ...]
        for i, (layer, state) in enumerate(zip(self.recur, carry.states, strict=True)):
            h, state = layer(h, state, resets, self._initial_state(i, len(x)))
            h = self.drop(h, deterministic=not train)
            states.append(state)
        params = self.output_layer(h.swapaxes(0, 1))
        return self.mask_after_end(params, before), Carry(x[:, -1], tuple(states))

    def __call__(self, x, memory=None, *, train=False):
        return self.unroll(x, self.begin(len(x)), train=train)[0]

    def _embed(self, tokens):
        return self.embed[tokens] if self.embedding else tokens

    def _initial_state(self, layer, batch):
        zeros = self.recur[layer].zeros(batch)
        if not self.learned_start:
            return zeros
        return tuple(each + self.start_states[layer, i][None] for i, each in enumerate(zeros))
