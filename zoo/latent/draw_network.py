"""DRAW: a recurrent network that draws an image in many small strokes."""

import math
from typing import ClassVar, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from zoo.foundation.registry import register
from zoo.heads import Bernoulli, Head, expected_value, score
from zoo.latent.labelled import Labelled
from zoo.latent.windows import NUMBERS, START, window
from zoo.layers.cells import lstm


class Drawing(NamedTuple):
    """What one step of DRAW leaves to the next.

    Attributes:
      canvas: params of the head so far, float32 [batch, *site_shape, num_params].
      encoder: output and state of the encoder's LSTM, [batch, features] each.
      decoder: output and state of the decoder's LSTM.
    """

    canvas: Float[Array, "batch *sites num_params"]
    encoder: tuple[Array, Array]
    decoder: tuple[Array, Array]


class Step(NamedTuple):
    """What one step, or all steps one after the other, say of the code, in nats.

    Attributes:
      prior_over_q: log p(z_t) - log q(z_t | x, z_<t) of the z_t that was drawn, [batch].
      divergence: KL(q(z_t | x, z_<t) || p(z_t)), [batch].
      mean: of q(z_t | x, z_<t), [batch, latents].
    """

    prior_over_q: Float[Array, "*steps batch"]
    divergence: Float[Array, "*steps batch"]
    mean: Float[Array, "*steps batch latents"]


@register
class DRAW(Labelled):
    """Deep recurrent attentive writer. With h, g the outputs of the two LSTMs, for t = 1..T:

        e_t = x - E[x | c_{t-1}]                       what the canvas c still lacks
        h_t = LSTM_enc(h_{t-1}, [read(x, g_{t-1}), read(e_t, g_{t-1}), g_{t-1}])
        z_t ~ q(z_t | x, z_<t) = N(mean(h_t), scale(h_t)^2)
        g_t = LSTM_dec(g_{t-1}, z_t)
        c_t = c_{t-1} + write(g_t)

        log p(x) >= E[log p(x | c_T) - sum_t KL(q(z_t | x, z_<t) || N(0, 1))]

    A draw takes z_t ~ N(0, 1), and the encoder has no part in it. With attention, `read` and `write`
    see the image through a window whose place, size and blur g decides (`zoo.latent.windows`);
    without, they are linear maps of the whole image.

    The canvas holds the params of the head, such as logits of bits; c_0 is learned, and a training
    starts it at the frequencies of the data. The gradient recomputes all but the matmuls.

    **Reference**: K. Gregor, I. Danihelka, A. Graves, D. Rezende, D. Wierstra, DRAW: a recurrent
    neural network for image generation, ICML 2015.

    Differs from the paper: the filters are normalised by a softmax; any head for single levels;
    class labels.

    Attributes:
      site_shape: shape of the array of sites, (height, width) or (height, width, channels) with
        attention.
      glimpses: T, the number of steps.
      latents: the size of each z_t.
      features: units of each LSTM.
      read_size: n, for reading an n x n window; 0 to read the whole image.
      write_size: n, for writing an n x n window; 0 to write on the whole canvas.
      head: the distribution of one site given the canvas.
      num_classes: of the labels that the model is conditional on; 0: it takes none.

    Raises:
      ValueError: the head is not for single levels, the sites are no image although there is
        attention.

    Example:
      >>> import jax, zoo
      >>> model = zoo.DRAW((4, 4), glimpses=3, latents=2, features=8, read_size=2, write_size=2)
      >>> x, _ = zoo.example(model, 5)
      >>> variables = zoo.init(model, jax.random.key(0), x)
      >>> zoo.evidence(model, variables, x, key=jax.random.key(1), num=10).shape
      (5,)
      >>> zoo.represent(model, variables, x).shape
      (5, 6)
    """

    site_shape: tuple[int, ...] = (28, 28)
    glimpses: int = 64
    latents: int = 100
    features: int = 256
    read_size: int = 0
    write_size: int = 0
    head: Head = Bernoulli()
    num_classes: int = 0

    knows = "bound"
    joint: ClassVar[bool | None] = False
    output_bias: ClassVar[str | None] = "canvas"

    def setup(self):
        self._check()
        gates, channels = 4 * self.features, math.prod(self.site_shape[2:])
        patch = self.write_size**2 * channels or self.num_sites
        self.of_image = nn.Dense(gates, bias_init=_gate_bias)
        self.of_error = nn.Dense(gates, use_bias=False)
        self.of_states = nn.Dense(gates, use_bias=False)  # of both LSTMs, to the encoder
        self.posterior = nn.Dense(2 * self.latents)
        self.of_code = nn.Dense(gates, bias_init=_gate_bias)
        self.of_decoder = nn.Dense(gates, use_bias=False)
        self.patch = nn.Dense(patch * self.head.num_params)
        if self.read_size:
            self.reads = _windows()
        if self.write_size:
            self.writes = _windows()
        if self.num_classes:
            self.of_label = nn.Dense(2 * gates, use_bias=False)
        params = (*self.site_shape, self.head.num_params)
        self.canvas = self.param("canvas", nn.initializers.zeros, params)
        self.start = self.param("start", nn.initializers.zeros, (2, self.features))

    @property
    def num_latents(self):
        return self.glimpses * self.latents

    def log_weights(self, x, memory, num):
        rows, labels = _repeat(x, num), _repeat(memory, num)
        canvas, steps = self._infer(rows, labels, self._noise(len(rows)))
        weights = score(self.head, canvas, rows) + steps.prior_over_q.sum(0)
        return weights.reshape(num, len(x))

    def training_loss(self, x, memory=None):
        """Minus the bound with one draw of z, whose divergences are computed exactly."""
        canvas, steps = self._infer(x, memory, self._noise(len(x)))
        return steps.divergence.sum(0) - score(self.head, canvas, x)

    def represent(self, x, memory=None):
        """The means of z_1..z_T, each given those before it, [batch, glimpses * latents]."""
        zeros = jnp.zeros((self.glimpses, len(x), self.latents))
        mean = self._infer(x, memory, zeros)[1].mean  # [glimpses, batch, latents]
        return jnp.moveaxis(mean, 0, 1).reshape(len(x), -1)

    def decode(self, z, memory=None):
        codes = z.reshape(len(z), self.glimpses, self.latents)
        return self._write_all(jnp.moveaxis(codes, 1, 0), memory)[-1]

    def draw(self, memory, num):
        return self.canvases(memory, num)[-1]

    def canvases(self, memory, num):
        """c_0, ..., c_T of `num` draws; given the same noise, `draw` returns the last."""
        return self._write_all(self._noise(num), memory)

    def _infer(self, x, labels, noise):
        """The last canvas, and what all steps say of the code; noise [glimpses, batch, latents]."""
        image = x.astype(jnp.float32) / self._highest
        encoder, decoder = self._label_gates(labels)
        if not self.read_size:  # the whole image adds the same to every step
            encoder = encoder + self.of_image(self._flat(image))
        glance = nn.remat(
            DRAW._glance, prevent_cse=False, policy=jax.checkpoint_policies.dots_saveable
        )
        first = self._begin(len(x))
        drawing, steps = _scan(glance, 3)(self, first, noise, image, encoder, decoder)
        return drawing.canvas, steps

    def _write_all(self, z, labels):
        """All canvases [glimpses + 1, batch, ...], of codes [glimpses, batch, latents]."""
        first = self._begin(z.shape[1])
        _, decoder = self._label_gates(labels)
        _, canvases = _scan(DRAW._stroke, 1)(self, first, z, decoder)
        return jnp.concatenate([first.canvas[None], canvases])

    def _glance(self, drawing, noise, image, encoder, decoder):
        """One step with the encoder."""
        expected = expected_value(self.head, drawing.canvas)
        error = image - expected / self._highest
        (h, c), g = drawing.encoder, drawing.decoder[0]
        gates = encoder + self.of_states(jnp.concatenate([h, g], -1))
        if self.read_size:
            seen = self._window(self.reads, g, self.read_size)
            image, error = (seen.read(each.reshape(*each.shape[:3], -1)) for each in (image, error))
            gates = gates + self.of_image(self._flat(image))
        h, c = lstm(gates + self.of_error(self._flat(error)), c)
        posterior = self.posterior(h).astype(jnp.float32)
        mean, log_scale = jnp.split(posterior, 2, axis=-1)
        z = mean + jnp.exp(log_scale) * noise
        step = Step(
            (0.5 * (noise**2 - z**2) + log_scale).sum(-1),
            (0.5 * (mean**2 + jnp.exp(2 * log_scale) - 1) - log_scale).sum(-1),
            mean,
        )
        drawing, _ = self._stroke(drawing._replace(encoder=(h, c)), z, decoder)
        return drawing, step

    def _stroke(self, drawing, z, gates):
        """One step of the decoder, given the code."""
        g, c = drawing.decoder
        gates = gates + self.of_code(z.astype(g.dtype)) + self.of_decoder(g)
        g, c = lstm(gates, c)
        stroke = self.patch(g).astype(jnp.float32)
        if self.write_size:
            shape = (len(g), self.write_size, self.write_size, -1)
            seen = self._window(self.writes, g, self.write_size)
            stroke = seen.write(stroke.reshape(shape))
        canvas = drawing.canvas + stroke.reshape(drawing.canvas.shape)
        return drawing._replace(canvas=canvas, decoder=(g, c)), canvas

    def _begin(self, batch):
        """The state before the first step."""
        canvas = jnp.broadcast_to(self.canvas.astype(jnp.float32), (batch, *self.canvas.shape))
        h, g = jnp.broadcast_to(self.start[:, None], (2, batch, self.features))
        return Drawing(canvas, (h, jnp.zeros_like(h)), (g, jnp.zeros_like(g)))

    def _noise(self, batch):
        return jax.random.normal(
            self.make_rng("noise"), (self.glimpses, batch, self.latents), jnp.float32
        )

    def _label_gates(self, labels):
        """What labels [batch, classes] add to the gates of the encoder and of the decoder."""
        if labels is None:
            zeros = jnp.zeros((1, 4 * self.features), self.start.dtype)
            return zeros, zeros
        return tuple(jnp.split(self.of_label(labels.astype(self.start.dtype)), 2, axis=-1))

    def _window(self, numbers, g, n):
        height, width = self.site_shape[:2]
        return window(numbers(g).astype(jnp.float32), n, height, width)

    @property
    def _highest(self):
        """The highest level; at least 1, so that one can divide by it."""
        return max((self.head.num_values or 1) - 1, 1)

    def _flat(self, values):
        return values.reshape(len(values), -1).astype(self.start.dtype)

    def _check(self):
        if self.head.num_values is None or self.head.event_shape:
            raise ValueError(
                f"DRAW draws single levels; got a {type(self.head).__name__} head: pass "
                "head=zoo.Bernoulli() or zoo.Categorical(levels)."
            )
        attends = self.read_size or self.write_size
        if attends and len(self.site_shape) not in (2, 3):
            raise ValueError(
                "DRAW with attention draws images (height, width) or (height, width, channels); got "
                f"site_shape {self.site_shape}: pass read_size=0, write_size=0."
            )


def _scan(step, shared):
    """`step` for each row of its first input in turn; the inputs after it, `shared` in number, are
    the same for all.
    """
    return nn.scan(
        step,
        variable_broadcast="params",
        split_rngs={"params": False},
        in_axes=(0, *[nn.broadcast] * shared),
    )


def _windows():
    """The layer that chooses a window; at first it hardly depends on the state."""
    small = nn.initializers.variance_scaling(0.01, "fan_in", "normal")
    return nn.Dense(NUMBERS, kernel_init=small, bias_init=lambda *_: jnp.array(START))


def _gate_bias(key, shape, dtype=jnp.float32):
    """Zeros, but 1 for the forget gate."""
    quarter = shape[0] // 4
    return jnp.zeros(shape, dtype).at[quarter : 2 * quarter].set(1)


def _repeat(rows, num):
    """Rows [batch, ...], all of them `num` times: [num * batch, ...]; None stays None."""
    return None if rows is None else jnp.tile(rows, (num, *[1] * (rows.ndim - 1)))
