"""A recurrent layer, run over a sequence or one token at a time. The cells are in
`zoo.layers.cells`.
"""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from zoo.core.model import Rank
from zoo.layers.cells import GATES, Cell, State, advance, unroll
from zoo.layers.linear import Dense


class OneHot(nn.Module):
    """A linear layer of one-hot vectors, given as tokens: token i selects row i of the kernel, and
    the token `values` (before the first) selects zeros.

    Attributes:
      values: the number of tokens.
      features: the number of outputs.
    """

    values: int
    features: int

    @nn.compact
    def __call__(self, tokens: Int[Array, "*shape"]) -> Float[Array, "*shape features"]:
        kernel = self.param("kernel", nn.initializers.lecun_normal(), (self.values, self.features))
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        return jnp.pad(kernel, ((0, 1), (0, 0)))[tokens] + jnp.expand_dims(bias, range(tokens.ndim))


class RecurrentLayer(nn.Module):
    """A recurrent layer.

    Its sequences have time first, [length, batch, ...], so that nothing is transposed between
    layers.

    Attributes:
      features: h, the number of units.
      cell: the recurrent cell.
      tokens: the number of tokens, if the inputs are tokens (see `OneHot`); 0 for vectors.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> layer = RecurrentLayer(features=4, cell="gru")
      >>> x, zeros = jnp.ones((5, 2, 3)), (jnp.zeros((2, 4)),)
      >>> (y, state), variables = layer.init_with_output(jax.random.key(0), x, zeros, None, zeros)
      >>> y.shape, state[0].shape
      ((5, 2, 4), (2, 4))
    """

    features: int
    cell: Cell
    tokens: int = 0

    def setup(self):
        gates = GATES[self.cell] * self.features
        self.input_proj = (
            OneHot(self.tokens, gates, name="of_input")
            if self.tokens
            else Dense(gates, name="of_input")
        )
        self.kernel = self.param("kernel", nn.initializers.orthogonal(), (self.features, gates))
        if self.cell == "gru":
            self.bias = self.param("bias", nn.initializers.zeros, (self.features,))

    @property
    def num_states(self) -> int:
        """The number of arrays [batch, h] in a state."""
        return 2 if self.cell == "lstm" else 1

    def __call__(
        self,
        x: Float[Array, "length batch f"] | Int[Array, "length batch"],
        state: State,
        resets: Bool[Array, "length batch"] | None,
        initial_state: State,
    ) -> tuple[Float[Array, "length batch h"], State]:
        """The outputs of all tokens, and the state after the last. At tokens where `resets` is true
        the state is first reset to `initial_state`.
        """
        gates = self.input_proj(x)  # [length, batch, gates]
        bias = self._state_bias()
        return unroll(self.cell, gates, self.kernel, bias, state, resets, initial_state)

    def step(self, x: Float[Array, "batch f"] | Int[Array, " batch"], state: State) -> State:
        """The state after one more token; its first array is the output."""
        return self.advance(self.input_proj(x), state)

    def zeros(self, batch: int) -> State:
        """A state of zeros."""
        return (jnp.zeros((batch, self.features), self.kernel.dtype),) * self.num_states

    def store_state(self, state: State) -> None:
        """Keeps the state for the next step."""
        self.put_variable("cache", "state", state)

    def load_state(self, initial_state: State, t: Rank) -> State:
        """The state that `store_state` kept; `initial_state` at rank 0."""
        zeros = tuple(jnp.zeros_like(each) for each in initial_state)
        stored: State = self.get_variable("cache", "state", zeros)
        return tuple(
            jnp.where(t > 0, old, new) for old, new in zip(stored, initial_state, strict=True)
        )

    def advance(self, gates: Float[Array, "batch gates"], state: State) -> State:
        """The next state, from what the input adds to the gates."""
        from_state = state[0] @ self.kernel + self._state_bias()[None]
        return advance(self.cell, gates, from_state, state)

    def _state_bias(self):
        """The bias of what the state adds to the gates, [gates]: zeros, but for the candidate n of a
        GRU, where the reset gate r multiplies it. All other biases belong to the input.
        """
        bias = jnp.zeros(self.kernel.shape[1], self.kernel.dtype)
        return bias.at[2 * self.features :].set(self.bias) if self.cell == "gru" else bias
