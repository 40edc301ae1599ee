"""WaveNet: dilated causal convolutions over a waveform."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from zoo import labels
from zoo.autoregressive import Autoregressive, Rank
from zoo.heads import Categorical, Head
from zoo.layers import place_in_block
from zoo.orderings import Ordering
from zoo.registry import register
from zoo.sequence import check_line
from zoo.waveform import Companding

Line = Float[Array, "_ _ _"]  # batch, length, features


class DilatedLayer(nn.Module):
    """A gated unit over taps d samples apart, z = tanh(W_f * h) sigmoid(W_g * h), its residual h + V z and its share U z.

    Cached, the inputs h of the last (k - 1) d ranks and of this one are a ring [slots, batch, features]: a step writes one
    slot in place, and reads its taps from what was written.

    Attributes:
      features: of h and of z.
      skip: of the share that every layer gives to the output.
      dilation: d.
      kernel_size: k, the taps.
      last: whether there is no layer after it, and so no residual.
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
        """The residual and the share; `bias` [batch, 2 features] is what the context adds to the gates."""
        return self._finish(h, shifted(h, self.kernel_size, self.dilation), None if bias is None else bias[:, None])

    def prefill(self, h: Line, bias: Array | None) -> tuple[Line, Line]:
        """The first ranks at once; `step` goes on after them."""
        kept = min(h.shape[1], self._slots)
        slots = np.arange(h.shape[1] - kept, h.shape[1]) % self._slots
        self.put_variable("cache", "ring", self._empty(h).at[slots].set(h[:, -kept:].swapaxes(0, 1)))
        return self(h, bias)

    def step(self, h: Float[Array, "batch features"], t: Rank, bias: Array | None) -> tuple[Array, Array]:
        """The rank t, after those before it."""
        ring = self.get_variable("cache", "ring", self._empty(h))
        ring = jax.lax.dynamic_update_index_in_dim(ring, h, place_in_block(t, self._slots), 0)
        self.put_variable("cache", "ring", ring)
        before = [
            jax.lax.dynamic_index_in_dim(
                ring, place_in_block(t + self._slots - back * self.dilation, self._slots), 0, keepdims=False
            )
            for back in range(self.kernel_size - 1, 0, -1)
        ]
        return self._finish(h, jnp.concatenate([*before, h], axis=-1), bias)

    def _finish(self, h, taps, bias):
        gates = self.gates(taps)
        f, g = jnp.split(gates if bias is None else gates + bias, 2, axis=-1)
        out = self.outputs(jnp.tanh(f) * nn.sigmoid(g))
        return (h, out) if self.last else (h + out[..., : self.features], out[..., self.features :])

    @property
    def _slots(self) -> int:
        return (self.kernel_size - 1) * self.dilation + 1

    def _empty(self, h):
        return jnp.zeros((self._slots, len(h), self.features), h.dtype)


def shifted(h: Line, taps: int, dilation: int) -> Line:
    """Each rank beside those `dilation`, 2 `dilation`, ... before it, oldest first; zeros before the first rank."""
    length = h.shape[1]
    back = (min(i * dilation, length) for i in range(taps - 1, -1, -1))
    return jnp.concatenate([jnp.pad(h[:, : length - i], ((0, 0), (i, 0), (0, 0))) for i in back], axis=-1)


@register
class WaveNet(Autoregressive):
    """Dilated causal convolutions: h = W * (x_{t-1}, ..., x_{t-k}), then layers of gated units with dilations 1, 2, 4, ...
    in cycles; p(x_t | x_<t) from the sum of what all layers give, through relu, 1x1, relu, 1x1.

    A sample sees the `receptive_field` samples before it: 1 + (k - 1)(1 + the sum of all dilations).

    **Reference**: A. van den Oord et al., WaveNet: a generative model for raw audio, 2016. The mixture of logistics for 16
    bits: A. van den Oord et al., Parallel WaveNet: fast high-fidelity speech synthesis, ICML 2018.

    Differs from the papers: global conditioning on a class only.

    Attributes:
      site_shape: (samples,).
      features: channels of the layers.
      skip: channels of the sum that the output is made of.
      dilations: of one cycle of layers.
      cycles: how often they are repeated.
      kernel_size: k, the taps of a layer.
      num_classes: the number of labels that the model is conditional on; 0 for an unconditional model.
      companding: how levels stand for a waveform, see `zoo.waveform`.
      rate: samples a second.
      head: the law of one sample.
      ordering: from left to right.
    """

    site_shape: tuple[int, ...] = (4000,)
    features: int = 64
    skip: int = 256
    dilations: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
    cycles: int = 3
    kernel_size: int = 2
    num_classes: int = 0
    companding: Companding = "mu_law"
    rate: int = 8000
    head: Head = Categorical(256)
    ordering: Ordering = Ordering()

    def setup(self):
        check_line(self)
        if self.kernel_size < 2 or self.cycles < 1 or min(self.dilations, default=0) < 1:
            raise ValueError(
                f"{type(self).__name__} needs at least 2 taps, 1 cycle and dilations from 1; got kernel_size="
                f"{self.kernel_size}, cycles={self.cycles}, dilations={self.dilations}."
            )
        taps, c, s = self.kernel_size, self.features, self.skip
        inputs, every = self.head.num_features, self.dilations * self.cycles
        init = nn.initializers.variance_scaling(1.0 if inputs == 1 else inputs, "fan_in", "normal", (0, 1), 2)
        self.kernel = self.param("kernel", init, (taps, inputs, c))
        self.layers = [DilatedLayer(c, s, d, taps, i == len(every) - 1) for i, d in enumerate(every)]
        self.hidden, self.params_of = nn.Dense(s), nn.Dense(self.head.num_params)
        if self.num_classes:
            self.label = nn.Dense(len(every) * 2 * c, use_bias=False)

    @property
    def receptive_field(self) -> int:
        """How many samples before it a sample's law depends on."""
        return 1 + (self.kernel_size - 1) * (1 + sum(self.dilations) * self.cycles)

    @property
    def prefills(self):
        return True

    def encode(self, context):
        """Labels [batch] to the biases of each layer's gates, [layers, batch, 2 features]."""
        if not self.num_classes:
            return None
        biases = self.label(labels.one_hot(context, self.num_classes, self.kernel.dtype))
        return biases.reshape(len(biases), len(self.layers), -1).swapaxes(0, 1)

    def complaint(self, context):
        return labels.complaint(context, self.num_classes)

    @property
    def kind(self):
        return "sound"

    def example(self, batch):
        return super().example(batch)[0], labels.example(batch, self.num_classes)

    def __call__(self, x, memory=None, *, train=False):
        return self._whole(x, memory, DilatedLayer.__call__)

    def prefill(self, x, memory=None):
        return self._whole(x, memory, DilatedLayer.prefill)

    def step(self, x, t, memory=None):
        h = jnp.zeros((), self.kernel.dtype)
        for back in range(self.kernel_size, 0, -1):
            value = jax.lax.dynamic_index_in_dim(x, jnp.maximum(t - back, 0), 1, keepdims=False)
            h = h + jnp.where(t >= back, self._look(value, self.kernel_size - back), 0)
        total = jnp.zeros((), h.dtype)
        for i, layer in enumerate(self.layers):
            h, share = layer.step(h, t, None if memory is None else memory[i])
            total = total + share
        return self._leave(total)

    def _whole(self, x, memory, visit):
        h = jnp.zeros((), self.kernel.dtype)
        for back in range(self.kernel_size, 0, -1):
            value = self._look(x[:, : max(x.shape[1] - back, 0)], self.kernel_size - back)
            h = h + jnp.pad(value, ((0, 0), (x.shape[1] - value.shape[1], 0), (0, 0)))
        total = jnp.zeros((), h.dtype)
        for i, layer in enumerate(self.layers):
            h, share = visit(layer, h, None if memory is None else memory[i])
            total = total + share
        return self._leave(total)

    def _look(self, x, tap):
        """What values give through one tap of the first convolution; a row of its kernel, where they are one-hot."""
        if self.head.num_features == self.head.num_values:
            return self.kernel[tap].at[x].get(mode="clip")
        return self.head.features(x).astype(self.kernel.dtype) @ self.kernel[tap]

    def _leave(self, total):
        return self.params_of(nn.relu(self.hidden(nn.relu(total))))
