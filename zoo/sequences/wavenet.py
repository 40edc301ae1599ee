"""WaveNet: dilated causal convolutions over a waveform."""

from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from zoo.core.model import Autoregressive
from zoo.core.orderings import Ordering
from zoo.formats.waveform import Companding
from zoo.foundation.registry import register
from zoo.heads import Categorical, Head, checked_log_prob
from zoo.layers import class_labels
from zoo.layers.dilated import DilatedLayer
from zoo.layers.linear import Dense
from zoo.sequences.sequence import check_line

PIECE = 2**15  # samples of all sounds together whose likelihood is computed at once ...
SHORTEST = 2**8  # ... but at least so many of each


@register
class WaveNet(Autoregressive):
    """Dilated causal convolutions: h = W * (x_{t-1}, ..., x_{t-k}), then layers of gated units with
    dilations 1, 2, 4, ... in cycles; p(x_t | x_<t) from the sum of the layers' skip outputs, through
    relu, 1x1, relu, 1x1.

    A sample sees the `receptive_field` samples before it: 1 + (k - 1)(1 + the sum of all
    dilations).

    **References**: A. van den Oord et al., WaveNet: a generative model for raw audio, 2016; the
    mixture of logistics for 16 bits: A. van den Oord et al., Parallel WaveNet: fast high-fidelity
    speech synthesis, ICML 2018.

    Differs from the papers: global conditioning on a class only.

    Attributes:
      site_shape: (samples,).
      features: channels of the layers.
      skip: channels of the skip outputs, which are summed over the layers.
      dilations: of one cycle of layers.
      cycles: the number of cycles.
      kernel_size: k, the taps of a layer.
      num_classes: the number of labels that the model is conditional on; 0 for an unconditional
        model.
      companding: how levels encode a waveform, see `zoo.formats.waveform`.
      rate: samples per second.
      head: the distribution of one sample.
      ordering: from left to right.

    Example:
      >>> import zoo
      >>> model = zoo.WaveNet((64,), dilations=(1, 2, 4), cycles=2, num_classes=3)
      >>> x, context = zoo.example(model, batch=2)
      >>> x.shape, context.tolist(), model.kind
      ((2, 64), [0, 1], 'sound')
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

    output_bias: ClassVar[str | None] = "params_of/bias"

    def setup(self):
        check_line(self)
        if self.kernel_size < 2 or self.cycles < 1 or min(self.dilations, default=0) < 1:
            raise ValueError(
                f"{type(self).__name__} needs at least 2 taps, 1 cycle and dilations from 1; got "
                f"kernel_size={self.kernel_size}, cycles={self.cycles}, "
                f"dilations={self.dilations}."
            )
        taps, c, s = self.kernel_size, self.features, self.skip
        inputs, every = self.head.num_features, self.dilations * self.cycles
        init = nn.initializers.variance_scaling(
            1.0 if inputs == 1 else inputs, "fan_in", "normal", (0, 1), 2
        )
        self.kernel = self.param("kernel", init, (taps, inputs, c))
        self.layers = [
            DilatedLayer(c, s, d, taps, i == len(every) - 1) for i, d in enumerate(every)
        ]
        self.hidden = Dense(s)
        self.output_layer = Dense(self.head.num_params, name="params_of")
        if self.num_classes:
            self.label = Dense(len(every) * 2 * c, use_bias=False)

    @property
    def receptive_field(self) -> int:
        """How many samples before it a sample depends on."""
        return 1 + (self.kernel_size - 1) * (1 + sum(self.dilations) * self.cycles)

    def encode(self, context):
        """Labels [batch] to the biases of each layer's gates, [layers, batch, 2 features]."""
        if not self.num_classes:
            return None
        biases = self.label(class_labels.one_hot(context, self.num_classes, self.kernel.dtype))
        return biases.reshape(len(biases), len(self.layers), -1).swapaxes(0, 1)

    def why_invalid(self, context):
        return class_labels.why_invalid(context, self.num_classes)

    @property
    def kind(self):
        return "sound"

    def example(self, batch):
        return super().example(batch)[0], class_labels.example(batch, self.num_classes)

    def __call__(self, x, memory=None, *, train=False):
        h = jnp.zeros((), self.kernel.dtype)
        for back in range(self.kernel_size, 0, -1):
            value = self._tap(x[:, : max(x.shape[1] - back, 0)], self.kernel_size - back)
            h = h + jnp.pad(value, ((0, 0), (x.shape[1] - value.shape[1], 0), (0, 0)))
        total = jnp.zeros((), h.dtype)
        for i, layer in enumerate(self.layers):
            h, skip = layer(h, None if memory is None else memory[i])
            total = total + skip
        return self._readout(total)

    def log_likelihood(self, x, memory=None, *, train=False):
        """log p(x), nats; outside training piece by piece along time, so that memory is needed for
        the activations of one piece, and for those that the next one reads.
        """
        batch, samples = x.shape[:2]
        length = max(PIECE // batch, SHORTEST)
        if train or samples <= length:
            return super().log_likelihood(x, memory, train=train)
        starts = jnp.arange(0, samples, length)
        taps, extra = self.kernel_size, len(starts) * length - samples
        x = jnp.pad(x, ((0, 0), (taps, extra)))

        def piece(self, before, start):
            """The nats of samples `start`, ... of each sound; `before` it, the inputs of layers."""
            t = start + jnp.arange(length)
            seen = jax.lax.dynamic_slice_in_dim(x, start, taps + length, 1)
            h = jnp.zeros((), self.kernel.dtype)
            for back in range(taps, 0, -1):
                value = self._tap(seen[:, taps - back :][:, :length], taps - back)
                h = h + jnp.where((t >= back)[None, :, None], value, 0)
            total, after = jnp.zeros((), h.dtype), []
            for i, (layer, inputs) in enumerate(zip(self.layers, before, strict=True)):
                h, skip, inputs = layer.resume(h, inputs, None if memory is None else memory[i])
                total = total + skip
                after.append(inputs)
            nats = checked_log_prob(self.head, self._readout(total), seen[:, taps:])
            return after, jnp.where((t < samples)[None], nats, 0).sum(1)

        scan = nn.scan(piece, variable_broadcast="params", split_rngs={"params": False})
        shapes = ((batch, layer.reach, self.features) for layer in self.layers)
        silence = [jnp.zeros(shape, self.kernel.dtype) for shape in shapes]
        return scan(self, silence, starts)[1].sum(0)

    def _tap(self, x, tap):
        """The values times one tap of the first convolution's kernel; one-hot values select a row."""
        if self.head.num_features == self.head.num_values:
            return self.kernel[tap].at[x].get(mode="clip")
        return self.head.features(x).astype(self.kernel.dtype) @ self.kernel[tap]

    def _readout(self, total):
        return self.output_layer(nn.relu(self.hidden(nn.relu(total))))
