"""Dilated causal convolutions over a line, at once or sample by sample from a ring buffer."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from zoo.core.model import Rank
from zoo.layers.ranks import place_in_block

Line = Float[Array, "_ _ _"]  # batch, length, features


class DilatedLayer(nn.Module):
    """A gated unit over taps d samples apart, z = tanh(W_f * h) sigmoid(W_g * h), with a residual
    output h + V z and a skip output U z.

    Its cache is a ring of the inputs h of the last (k - 1) d ranks and of this one, [slots, batch,
    features]: a step writes one slot in place, and reads its taps from what was written.

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
        self.gates = nn.Dense(2 * self.features)
        self.outputs = nn.Dense(self.skip if self.last else self.features + self.skip)

    def __call__(self, h: Line, bias: Array | None) -> tuple[Line, Line]:
        """The residual and the skip output; `bias` [batch, 2 features] is what the context adds to
        the gates.
        """
        taps = shifted(h, self.kernel_size, self.dilation)  # [batch, length, k * features]
        return self._finish(h, taps, None if bias is None else bias[:, None])

    def resume(self, h: Line, before: Line, bias: Array | None) -> tuple[Line, Line, Line]:
        """The outputs of the next ranks, given the inputs `before` them, [batch, reach, features];
        and the inputs before what follows.
        """
        line = jnp.concatenate([before, h], axis=1)
        back = range(0, self.reach + 1, self.dilation)
        taps = jnp.concatenate([line[:, i : i + h.shape[1]] for i in back], axis=-1)
        outputs = self._finish(h, taps, None if bias is None else bias[:, None])
        return *outputs, line[:, -self.reach :]

    def prefill(self, h: Line, bias: Array | None) -> tuple[Line, Line]:
        """The first ranks at once; `step` goes on after them."""
        kept = min(h.shape[1], self._slots)
        slots = np.arange(h.shape[1] - kept, h.shape[1]) % self._slots  # where `step` puts them
        ring = self._empty(h).at[slots].set(h[:, -kept:].swapaxes(0, 1))
        self.put_variable("cache", "ring", ring)
        return self(h, bias)

    def step(
        self, h: Float[Array, "batch features"], t: Rank, bias: Array | None
    ) -> tuple[Array, Array]:
        """The rank t, after those before it."""
        ring = self.get_variable("cache", "ring", self._empty(h))
        ring = jax.lax.dynamic_update_index_in_dim(ring, h, place_in_block(t, self._slots), 0)
        self.put_variable("cache", "ring", ring)
        taps = []
        for i in range(self.kernel_size - 1, 0, -1):  # oldest first
            slot = place_in_block(t + self._slots - i * self.dilation, self._slots)
            taps.append(jax.lax.dynamic_index_in_dim(ring, slot, 0, keepdims=False))
        return self._finish(h, jnp.concatenate([*taps, h], axis=-1), bias)

    def _finish(self, h, taps, bias):
        gates = self.gates(taps)
        f, g = jnp.split(gates if bias is None else gates + bias, 2, axis=-1)
        out = self.outputs(jnp.tanh(f) * nn.sigmoid(g))
        return (h, out) if self.last else (h + out[..., : self.features], out[..., self.features :])

    @property
    def reach(self) -> int:
        """How many ranks the taps reach back, (k - 1) d."""
        return (self.kernel_size - 1) * self.dilation

    @property
    def _slots(self) -> int:
        """One more than the taps reach back, so that a slot is read before it is overwritten."""
        return self.reach + 1

    def _empty(self, h):
        return jnp.zeros((self._slots, len(h), self.features), h.dtype)


def shifted(h: Line, taps: int, dilation: int) -> Line:
    """The features of all taps side by side: those `dilation`, 2 `dilation`, ... ranks before, oldest
    first; zeros before the first rank.
    """
    length = h.shape[1]
    back = (min(i * dilation, length) for i in range(taps - 1, -1, -1))
    return jnp.concatenate(
        [jnp.pad(h[:, : length - i], ((0, 0), (i, 0), (0, 0))) for i in back], axis=-1
    )
