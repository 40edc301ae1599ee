"""How a decoder reads what an encoder made of a context: the same vector at every token, or a new
look
  for each.

A reader remembers a context once (`remember`) and then looks at it (`over`), given the decoder's
state. What was read also enters the gates of the decoder.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeAlias

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree

Look: TypeAlias = Callable[[Array], "Glimpse"]


class Glimpse(NamedTuple):
    """What one look at a context gives.

    Attributes:
      gates: what it adds to the gates of the decoder, [batch, gates].
      vector: what was read, [batch, d].
      weights: of the places in it, [batch, places], sum 1; None if all of it is read at once.
    """

    gates: Float[Array, "batch gates"]
    vector: Float[Array, "batch d"]
    weights: Float[Array, "batch places"] | None


class Reader(Protocol):
    """What a decoder may ask of its reader."""

    def remember(
        self,
        values: Float[Array, "batch places d"],
        mask: Bool[Array, "batch places"],
        summary: Float[Array, "batch e"],
    ) -> PyTree:
        """What to keep of a context: its annotations, which of them there are, and one vector for
        all
          of them.
        """
        ...

    def over(self, memory: Any) -> Look:
        """From the state of the decoder, [batch, h], to a glimpse of what was remembered."""
        ...


class Fixed(NamedTuple):
    """A context as one vector, and what it adds to the gates."""

    vector: Float[Array, "batch e"]
    gates: Float[Array, "batch gates"]


class FixedContext(nn.Module):
    """The same vector at every token: all of the context must pass through it.

    Attributes:
      width: d, of an annotation.
      features: units of the decoder.
      gates: the numbers in its gates.
    """

    width: int
    features: int
    gates: int

    @nn.compact
    def remember(self, values, mask, summary):
        return Fixed(summary, nn.Dense(self.gates, use_bias=False, name="to_gates")(summary))

    def over(self, memory):
        return lambda h: Glimpse(memory.gates, memory.vector, None)


class Annotations(NamedTuple):
    """A context as annotations, what they are compared by, and which of them there are."""

    values: Float[Array, "batch places d"]
    keys: Float[Array, "batch places h"]
    mask: Bool[Array, "batch places"]


class AdditiveAttention(nn.Module):
    """Additive attention: with h the state of the decoder and v_s the annotations,

        e_s = u . tanh(h W + v_s V + b),   a = softmax(e) over the places that there are,   c =
        sum_s a_s v_s.

    **Reference**: D. Bahdanau, K. Cho, Y. Bengio, Neural machine translation by jointly learning to
      align and translate,
    ICLR 2015.

    Attributes:
      width: d, of an annotation.
      features: units of the decoder, and of the comparison.
      gates: the numbers in its gates.
    """

    width: int
    features: int
    gates: int

    def setup(self):
        init = nn.initializers.lecun_normal()
        self.key = nn.Dense(self.features)
        self.query = self.param("query", init, (self.features, self.features))
        self.score = self.param("score", init, (self.features, 1))
        self.to_gates = self.param("to_gates", init, (self.width, self.gates))

    def remember(self, values, mask, summary):
        return Annotations(values, self.key(values), mask)

    def over(self, memory):
        query, score, to_gates = (
            self.query,
            self.score[:, 0],
            self.to_gates,
        )  # bound here: a scan may call `look`

        def look(h):
            scores = jnp.tanh(memory.keys + (h @ query)[:, None]) @ score
            weights = jax.nn.softmax(jnp.where(memory.mask, scores, -jnp.inf))
            vector = jnp.einsum("bs,bsd->bd", weights, memory.values)
            return Glimpse(vector @ to_gates, vector, weights)

        return look
