"""A recurrent layer, run over a sequence or one token at a time. The cells are in
`zoo.layers.cells`.
"""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from zoo.core.model import Rank
from zoo.layers.cells import GATES, Cell, State, advance, unroll


class OneHot(nn.Module):
    """A linear layer of one-hot vectors, given as tokens: each picks a row of the kernel, the token
    `values` picks none.

    Attributes:
      values: how many tokens there are.
      features: the outputs.
    """

    values: int
    features: int

    @nn.compact
    def __call__(self, tokens: Int[Array, "*shape"]) -> Float[Array, "*shape features"]:
        kernel = self.param("kernel", nn.initializers.lecun_normal(), (self.values, self.features))
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        return jnp.pad(kernel, ((0, 1), (0, 0)))[tokens] + jnp.expand_dims(bias, range(tokens.ndim))


class RecurrentLayer(nn.Module):
    """A layer of one cell.

    Attributes:
      features: units h.
      cell: which cell.
      tokens: how many tokens there are, if the input is those and no vectors; see `OneHot`.
    """

    features: int
    cell: Cell
    tokens: int = 0

    def setup(self):
        gates = GATES[self.cell] * self.features
        self.of_input = OneHot(self.tokens, gates) if self.tokens else nn.Dense(gates)
        self.kernel = self.param("kernel", nn.initializers.orthogonal(), (self.features, gates))
        if self.cell == "gru":
            self.bias = self.param("bias", nn.initializers.zeros, (self.features,))

    @property
    def num_states(self) -> int:
        """The arrays [batch, h] of a state."""
        return 2 if self.cell == "lstm" else 1

    def __call__(
        self,
        x: Float[Array, "length batch f"] | Int[Array, "length batch"],
        state: State,
        anew: Bool[Array, "length batch"] | None,
        first: State,
    ) -> tuple[Float[Array, "length batch h"], State]:
        """The outputs for all tokens, and the state after the last; before tokens marked `anew` the
        state is `first`.
        """
        return unroll(
            self.cell, self.of_input(x), self.kernel, self._own_bias(), state, anew, first
        )

    def step(self, x: Float[Array, "batch f"] | Int[Array, " batch"], state: State) -> State:
        """The state after one more token; its first array is the output."""
        return self.advance(self.of_input(x), state)

    def zeros(self, batch: int) -> State:
        """The state of a batch before anything."""
        return (jnp.zeros((batch, self.features), self.kernel.dtype),) * self.num_states

    def keep(self, state: State) -> None:
        """Remembers the state for the next step."""
        for i, values in enumerate(state):
            self.put_variable("cache", f"state_{i}", values)

    def kept(self, first: State, t: Rank) -> State:
        """What `keep` was given; `first` at rank 0."""
        kept = (
            self.get_variable("cache", f"state_{i}", jnp.zeros_like(values))
            for i, values in enumerate(first)
        )
        return tuple(jnp.where(t > 0, old, new) for old, new in zip(kept, first, strict=True))

    def advance(self, gates: Float[Array, "batch gates"], state: State) -> State:
        """The next state, from what the input adds to the gates."""
        return advance(self.cell, gates, state[0] @ self.kernel + self._own_bias()[None], state)

    def _own_bias(self):
        """Of what the state adds to the gates: the GRU has one for n, which r multiplies."""
        bias = jnp.zeros(self.kernel.shape[1], self.kernel.dtype)
        return bias.at[2 * self.features :].set(self.bias) if self.cell == "gru" else bias
