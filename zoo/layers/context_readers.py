"""How a decoder reads an encoded context: the same vector at every token, or attention at each.

A reader computes what depends on the context alone once (`precompute`), and from it a function of
the decoder's state (`attend`). What was read is added to the gates of the decoder.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeAlias

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree

from zoo.layers.linear import Dense


class Read(NamedTuple):
    """What a decoder reads of a context at one token.

    Attributes:
      gates: what it adds to the gates of the decoder, [batch, gates].
      vector: the vector read, [batch, d].
      weights: the weight of each place in it, [batch, places], sum 1; None without attention.
    """

    gates: Float[Array, "batch gates"]
    vector: Float[Array, "batch d"]
    weights: Float[Array, "batch places"] | None


ReadFunction: TypeAlias = Callable[[Array], Read]  # from the decoder's state h, [batch, h]


class Reader(Protocol):
    """The interface of a reader."""

    def precompute(
        self,
        values: Float[Array, "batch places d"],
        mask: Bool[Array, "batch places"],
        summary: Float[Array, "batch e"],
    ) -> PyTree:
        """What depends on the context alone.

        Args:
          values: the annotations of the context.
          mask: which places hold one; the others are padding.
          summary: one vector for the whole context.
        """
        ...

    def attend(self, memory: Any) -> ReadFunction:
        """The function from the decoder's state to what it reads; `memory` is from `precompute`."""
        ...


class Fixed(NamedTuple):
    """A context as one vector, and what it adds to the gates.

    Attributes:
      vector: [batch, e].
      gates: [batch, gates].
    """

    vector: Float[Array, "batch e"]
    gates: Float[Array, "batch gates"]


class FixedContext(nn.Module):
    """The same vector at every token: the whole context must pass through it.

    Attributes:
      width: d, the size of an annotation.
      features: units of the decoder.
      gates: the number of channels in its gates.
    """

    width: int
    features: int
    gates: int

    @nn.compact
    def precompute(self, values, mask, summary):
        return Fixed(summary, Dense(self.gates, use_bias=False, name="to_gates")(summary))

    def attend(self, memory):
        return lambda h: Read(memory.gates, memory.vector, None)


class Annotations(NamedTuple):
    """A context as annotations.

    Attributes:
      values: the annotations v_s, [batch, places, d].
      keys: v_s V + b, which the decoder's state is compared with, [batch, places, h].
      mask: which places hold an annotation, [batch, places].
    """

    values: Float[Array, "batch places d"]
    keys: Float[Array, "batch places h"]
    mask: Bool[Array, "batch places"]


class AdditiveAttention(nn.Module):
    """Additive attention: with h the state of the decoder and v_s the annotations,

        e_s = u . tanh(h W + v_s V + b),    a = softmax(e),    c = sum_s a_s v_s

    over all places s that are no padding.

    **Reference**: D. Bahdanau, K. Cho, Y. Bengio, Neural machine translation by jointly learning to
    align and translate, ICLR 2015.

    Attributes:
      width: d, the size of an annotation.
      features: units of the decoder, and of the comparison.
      gates: the number of channels in its gates.
    """

    width: int
    features: int
    gates: int

    def setup(self):
        init = nn.initializers.lecun_normal()
        self.key = Dense(self.features)
        self.query = self.param("query", init, (self.features, self.features))
        self.score = self.param("score", init, (self.features, 1))
        self.to_gates = self.param("to_gates", init, (self.width, self.gates))

    def precompute(self, values, mask, summary):
        return Annotations(values, self.key(values), mask)

    def attend(self, memory):
        # Params are looked up here, for `read` may be called inside a scan.
        query, score, to_gates = self.query, self.score[:, 0], self.to_gates

        def read(h):
            scores = jnp.tanh(memory.keys + (h @ query)[:, None]) @ score  # [batch, places]
            weights = jax.nn.softmax(jnp.where(memory.mask, scores, -jnp.inf))
            vector = jnp.einsum("bs,bsd->bd", weights, memory.values)
            return Read(vector @ to_gates, vector, weights)

        return read
