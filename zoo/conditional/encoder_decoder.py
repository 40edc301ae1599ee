"""Sequences from a context: an encoder reads it once, a recurrent decoder looks at that while it
writes token by token.
"""

import functools
from typing import ClassVar, Literal, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree

from zoo.core.checks import check_inputs
from zoo.core.model import Values, Variables
from zoo.core.orderings import Ordering
from zoo.foundation.arguments import checked
from zoo.foundation.precision import full_float32, narrowed, without_x64
from zoo.heads import Categorical, Head
from zoo.layers.cells import GATES, State
from zoo.layers.context_readers import AdditiveAttention, FixedContext
from zoo.layers.recurrent_layer import RecurrentLayer
from zoo.sequences.sequence import Sequence, Tokens


class Encoded(NamedTuple):
    """What an encoder made of a context.

    Attributes:
      values: its annotations, [batch, places, d]: words with their surroundings, or parts of an
        image.
      mask: which of them there are.
      summary: one vector for all of it, [batch, e].
    """

    values: Float[Array, "batch places d"]
    mask: Bool[Array, "batch places"]
    summary: Float[Array, "batch e"]


class Memory(NamedTuple):
    """A context as the decoder sees it: its state before the first token, and what the reader
    remembers.
    """

    first: State
    read: PyTree


class EncoderDecoder(Sequence):
    """A recurrent decoder conditioned on a context. With e_t the embedding of token t - 1 and s the
    decoder's states,

        c_t = what is read of the context, given s_{t-1};   s_t = cell(s_{t-1}, [e_t, c_t]),   s_0 =
        tanh(W summary) p(x_t | x_<t, context) = softmax(V tanh(U [s_t, c_t, e_t])).

    A final subclass says by what the context is read and encodes it; it needs a `width`, the size d
    of its annotations.

    Attributes:
      site_shape: (length,), of the longest sequence with its end.
      features: units of the decoder.
      embedding: size of the learned vector of each token.
      cell: of the decoder (and of an encoder that has one).
      dropout: the rate at which embeddings and what goes to the logits are dropped in training.
      end, pad: the tokens that end a sequence and fill the rest; see `Sequence`.
      unit: what a token is: a character or a word.
      vocabulary: the text of each token.
      head: the law of one token.
      ordering: from left to right.
    """

    site_shape: tuple[int, ...] = (64,)
    features: int = 256
    embedding: int = 64
    cell: Literal["gru", "lstm"] = "gru"
    dropout: float = 0.0
    end: int | None = 1
    pad: int | None = 0
    unit: Literal["char", "word"] = "char"
    vocabulary: tuple[str, ...] = ()
    head: Head = Categorical(256)
    ordering: Ordering = Ordering()

    reader: ClassVar[type[FixedContext] | type[AdditiveAttention]]

    @property
    def width(self) -> int:
        """The size d of an annotation."""
        raise NotImplementedError(f"{type(self).__name__} must say its width.")

    def encoded(self, context: PyTree) -> Encoded:
        """What the encoder makes of the context; with dropout where there is noise for it (rng
        stream "train").
        """
        raise NotImplementedError(f"{type(self).__name__} must define encoded.")

    def setup(self):
        self.check()
        self.embed = self.param(
            "embedding", nn.initializers.normal(1.0), (self.start + 1, self.embedding)
        )
        self.recur = RecurrentLayer(self.features, self.cell)
        self.read = self.reader(self.width, self.features, GATES[self.cell] * self.features)
        self.begin = nn.Dense(self.recur.num_states * self.features)
        self.join = nn.Dense(self.features)
        self.params_of = nn.Dense(self.head.num_params)
        self.drop = nn.Dropout(self.dropout, rng_collection="train")

    def encode(self, context):
        encoded = self.encoded(context)
        first = tuple(
            jnp.split(jnp.tanh(self.begin(encoded.summary)), self.recur.num_states, axis=-1)
        )
        return Memory(first, self.read.remember(*encoded))

    def unroll(
        self, x: Tokens, memory: Memory, *, train: bool = False
    ) -> tuple[
        Float[Array, "batch length values"], Float[Array, "batch length places"] | None, State
    ]:
        """All conditionals, the weights of the places (None if all of the context is read at once),
        and the last state.
        """
        before = self.tokens_before(x)
        e = self.drop(self.embed[before], deterministic=not train)
        look = self.read.over(memory.read)

        @jax.checkpoint  # cheaper than to remember the scores
        def body(state, gates):
            glimpse = look(state[0])
            state = self.recur.advance(gates + glimpse.gates, state)
            return state, (state[0], glimpse.vector, glimpse.weights)

        state, out = jax.lax.scan(body, memory.first, self.recur.of_input(e.swapaxes(0, 1)))
        h, c, weights = jax.tree.map(lambda leaf: leaf.swapaxes(0, 1), out)
        return self._leave(h, c, e, before, train), weights, state

    def __call__(self, x, memory=None, *, train=False):
        return self.unroll(x, memory, train=train)[0]

    def prefill(self, x, memory=None):
        params, _, state = self.unroll(x, memory)
        self.recur.keep(state)
        return params

    def step(self, x, t, memory=None):
        before = self.token_before(x, t)
        e, state = self.embed[before], self.recur.kept(memory.first, t)
        glimpse = self.read.over(memory.read)(state[0])
        state = self.recur.advance(self.recur.of_input(e) + glimpse.gates, state)
        self.recur.keep(state)
        return self._leave(state[0], glimpse.vector, e, before)

    def _leave(self, h, c, e, before, train=False):
        h = self.drop(
            jnp.tanh(self.join(jnp.concatenate([h, c, e], axis=-1))), deterministic=not train
        )
        return self.closed(self.params_of(h), before)


@checked()
@without_x64
def attention_weights(
    model: EncoderDecoder, variables: Variables, x: Values, context: PyTree
) -> Float[Array, "batch length places"]:
    """Where the model looks in its context when it writes each token of x: weights of the places,
      which sum to 1.

    Args:
      model: a model that attends.
      variables: its variables.
      x: sequences [batch, length].
      context: what they were written from, leading axis `batch`.

    Raises:
      ValueError: the model reads all of its context at once, or values that do not fit it.
    """
    if not model.attends:
        raise ValueError(
            f"{type(model).__name__} has no attention: it reads all of its context at once, or "
            "has none."
        )
    check_inputs(model, variables, x, context)
    return _attention_weights(model, variables, *narrowed((x, context)))


@functools.partial(jax.jit, static_argnums=0)
@full_float32
def _attention_weights(model, variables, x, context):
    def weights(model, x, context):
        return model.unroll(x, model.encode(context))[1]

    return model.apply(variables, x.astype(model.head.dtype), context, method=weights)
