"""Dilated causal convolutions over a line."""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from zoo.layers.linear import Dense

Line = Float[Array, "_ _ _"]  # batch, length, features


class DilatedLayer(nn.Module):
    """A gated unit over taps d samples apart, z = tanh(W_f * h) sigmoid(W_g * h), with a residual
    output h + V z and a skip output U z.

    Attributes:
      features: channels of h and z.
      skip: channels of the skip output.
      dilation: d.
      kernel_size: k, the number of taps.
      last: whether this is the last layer, whose residual output is not needed.
    """

    features: int
    skip: int
    dilation: int
    kernel_size: int
    last: bool

    def setup(self):
        self.gates = Dense(2 * self.features)
        self.outputs = Dense(self.skip if self.last else self.features + self.skip)

    def __call__(self, h: Line, bias: Array | None) -> tuple[Line, Line]:
        """The residual and the skip output; `bias` [batch, 2 features] is what the context adds to
        the gates.
        """
        taps = shifted(h, self.kernel_size, self.dilation)  # [batch, length, k * features]
        return self._finish(h, taps, bias)

    def resume(self, h: Line, before: Line, bias: Array | None) -> tuple[Line, Line, Line]:
        """The outputs of the next ranks, given the inputs `before` them, [batch, reach, features];
        and the inputs before what follows.
        """
        line = jnp.concatenate([before, h], axis=1)
        back = range(0, self.reach + 1, self.dilation)
        taps = jnp.concatenate([line[:, i : i + h.shape[1]] for i in back], axis=-1)
        outputs = self._finish(h, taps, bias)
        return *outputs, line[:, -self.reach :]

    def _finish(self, h, taps, bias):
        gates = self.gates(taps)
        f, g = jnp.split(gates if bias is None else gates + bias[:, None], 2, axis=-1)
        out = self.outputs(jnp.tanh(f) * nn.sigmoid(g))
        return (h, out) if self.last else (h + out[..., : self.features], out[..., self.features :])

    @property
    def reach(self) -> int:
        """How many ranks the taps reach back, (k - 1) d."""
        return (self.kernel_size - 1) * self.dilation


def shifted(h: Line, taps: int, dilation: int) -> Line:
    """The features of all taps side by side: those `dilation`, 2 `dilation`, ... ranks before, oldest
    first; zeros before the first rank.
    """
    length = h.shape[1]
    back = (min(i * dilation, length) for i in range(taps - 1, -1, -1))
    return jnp.concatenate(
        [jnp.pad(h[:, : length - i], ((0, 0), (i, 0), (0, 0))) for i in back], axis=-1
    )
