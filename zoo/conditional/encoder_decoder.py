"""Sequences given a context: an encoder reads the context once, and a recurrent decoder reads the
encoding at every token.
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
from zoo.layers.linear import Dense
from zoo.layers.recurrent_layer import RecurrentLayer
from zoo.sequences.sequence import Sequence, Tokens


class Encoded(NamedTuple):
    """An encoded context.

    Attributes:
      values: its annotations, [batch, places, d]: words in context, or parts of an image.
      mask: which places hold one, [batch, places]; the others are padding.
      summary: one vector for the whole context, [batch, e].
    """

    values: Float[Array, "batch places d"]
    mask: Bool[Array, "batch places"]
    summary: Float[Array, "batch e"]


class Memory(NamedTuple):
    """A context as the decoder sees it.

    Attributes:
      initial_state: the decoder's state before the first token.
      context: what the reader precomputed.
    """

    initial_state: State
    context: PyTree


class EncoderDecoder(Sequence):
    """A recurrent decoder conditioned on a context. With e_t the embedding of token t - 1 and s the
    decoder's states,

        c_t = read(context, s_{t-1}),    s_t = cell(s_{t-1}, [e_t, c_t]),    s_0 = tanh(W summary)
        p(x_t | x_<t, context) = softmax(V tanh(U [s_t, c_t, e_t])).

    A final subclass sets the `reader`, and implements `encoded` and `width`.

    Attributes:
      site_shape: (length,), the length of the longest sequence, its end included.
      features: units of the decoder.
      embedding: size of the learned vector of each token.
      cell: of the decoder (and of an encoder that has one).
      dropout: the rate at which embeddings and the input of the logits are dropped in training.
      end, pad: the tokens that end a sequence and fill the rest; see `Sequence`.
      unit: what a token is, a character or a word.
      vocabulary: the text of each token.
      head: the distribution of one token.
      ordering: from left to right.

    Example:
      >>> import zoo
      >>> issubclass(zoo.Seq2Seq, zoo.EncoderDecoder), issubclass(zoo.Captioner, zoo.EncoderDecoder)
      (True, True)
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

    output_bias: ClassVar[str | None] = "params_of/bias"
    reader: ClassVar[type[FixedContext] | type[AdditiveAttention]]

    @property
    def width(self) -> int:
        """The size d of an annotation."""
        raise NotImplementedError(f"{type(self).__name__} must define width.")

    def encoded(self, context: PyTree) -> Encoded:
        """Encodes the context; with dropout in training (rng stream "train")."""
        raise NotImplementedError(f"{type(self).__name__} must define encoded.")

    def setup(self):
        self.check()
        self.embed = self.param(
            "embedding", nn.initializers.normal(1.0), (self.start + 1, self.embedding)
        )
        self.recur = RecurrentLayer(self.features, self.cell)
        self.read = self.reader(self.width, self.features, GATES[self.cell] * self.features)
        self.to_initial_state = Dense(self.recur.num_states * self.features, name="begin")
        self.join = Dense(self.features)
        self.output_layer = Dense(self.head.num_params, name="params_of")
        self.drop = nn.Dropout(self.dropout, rng_collection="train")

    def encode(self, context):
        encoded = self.encoded(context)
        states = jnp.tanh(self.to_initial_state(encoded.summary))  # [batch, states * features]
        initial_state = tuple(jnp.split(states, self.recur.num_states, axis=-1))
        return Memory(initial_state, self.read.precompute(*encoded))

    def unroll(
        self, x: Tokens, memory: Memory, *, train: bool = False
    ) -> tuple[Float[Array, "batch length values"], Float[Array, "batch length places"] | None]:
        """All conditionals, and the attention weights (None without attention)."""
        before = self.tokens_before(x)
        e = self.drop(self.embed[before], deterministic=not train)
        attend = self.read.attend(memory.context)

        @jax.checkpoint  # the scores are cheaper to recompute than to keep for the gradient
        def body(state, gates):
            read = attend(state[0])
            state = self.recur.advance(gates + read.gates, state)
            return state, (state[0], read.vector, read.weights)

        gates = self.recur.input_proj(e.swapaxes(0, 1))  # [length, batch, gates]
        _, out = jax.lax.scan(body, memory.initial_state, gates)
        h, c, weights = jax.tree.map(lambda leaf: leaf.swapaxes(0, 1), out)  # [batch, length, ...]
        joined = jnp.tanh(self.join(jnp.concatenate([h, c, e], axis=-1)))
        joined = self.drop(joined, deterministic=not train)
        return self.mask_after_end(self.output_layer(joined), before), weights

    def __call__(self, x, memory=None, *, train=False):
        return self.unroll(x, memory, train=train)[0]


@checked()
@without_x64
def attention_weights(
    model: EncoderDecoder, variables: Variables, x: Values, context: PyTree
) -> Float[Array, "batch length places"]:
    """The attention weights of each place of the context at each token of x; they sum to 1.

    Args:
      model: a model with attention.
      variables: its variables.
      x: sequences [batch, length].
      context: the context of each, leading axis `batch`.

    Raises:
      ValueError: the model has no attention, or x or the context does not fit it.

    Example:
      >>> import jax, zoo
      >>> model = zoo.CATALOGUE["seq2seq_attention"].tiny
      >>> x, source = model.example(2)
      >>> variables = zoo.init(model, jax.random.key(0), x, source)
      >>> weights = zoo.attention_weights(model, variables, x, source)
      >>> weights.shape, weights.sum(-1).round(3).tolist()
      ((2, 4, 5), [[1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0]])
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
