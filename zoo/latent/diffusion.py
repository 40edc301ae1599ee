"""Diffusion: noise is added to the data in many small steps, and a network learns to take it away."""

import functools
import math
from typing import Any, ClassVar, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from zoo.foundation.registry import register
from zoo.heads import Bernoulli, Head, score
from zoo.latent import last_step
from zoo.latent.denoisers import MLP, UNet, why_no_image
from zoo.latent.labelled import Labelled
from zoo.latent.noise_schedule import NoiseSchedule, betas_of, noise_schedule, why_no_schedule

VALIDATION_DRAWS = 10


@register
class Diffusion(Labelled):
    """Denoising diffusion in discrete time, over values scaled to [-1, 1].

        q(x_t | x_{t-1}) = N(sqrt(1 - beta_t) x_{t-1}, beta_t)
        p(x_{t-1} | x_t) = q(x_{t-1} | x_t, x_0 = f(x_t, t)),   t > 1
        log p(x) >= -L_T - sum_{t > 1} L_{t-1} - L_0
        L_T = KL(q(x_T | x_0) || N(0, 1)),   L_{t-1} = KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t)),
        L_0 = -log p(x_0 | x_1)

    f is what a network predicts. The bound is estimated at one random t a draw: L_t / P(t) has the
    sum of all L_t as its mean, whatever P. Times that are likely to cost more are drawn more often.

    p(x_0 | x_1) is a distribution of the head: a logistic about f(x_1, 1) with the variance of the
    last step, discretised to the levels; of real numbers a Gaussian. By `prediction="levels"`, the
    network gives logits of all levels instead, to which the likelihood of x_t is added: the exact
    posterior of a level, if the network knows how likely it is given all other values.

    **References**: J. Ho, A. Jain, P. Abbeel, Denoising diffusion probabilistic models, NeurIPS
    2020; A. Nichol, P. Dhariwal, Improved denoising diffusion probabilistic models, ICML 2021
    (cosine schedule); J. Song, C. Meng, S. Ermon, Denoising diffusion implicit models, ICLR 2021;
    T. Salimans, J. Ho, Progressive distillation for fast sampling of diffusion models, ICLR 2022
    (the prediction of v).

    Differs from the papers: the last step is a discretised logistic in place of a Gaussian; times
    are drawn with fixed probabilities.

    Attributes:
      site_shape: shape of the array of sites; of a U-Net (height, width) or (height, width, 3).
      timesteps: T, the number of steps.
      schedule: `linear`, from the first to the last of `betas`; or `cosine`.
      betas: beta_1 and beta_T of the linear schedule, in (0, 1).
      prediction: what the network predicts: the noise `eps`, the data `x0`, `v` = signal_t eps -
        noise_t x_0, or the logits of `levels` (Bernoulli and Categorical heads).
      loss: what training minimises: the `bound`, or `simple`, the mean squared error of what is
        predicted at times drawn alike. The bound is what is reported of both.
      denoiser: `mlp` or `unet`.
      features: units of the MLP, or channels of the U-Net at its first resolution.
      blocks: residual blocks, of the U-Net in each resolution.
      scales: resolutions of the U-Net; the sides of an image are halved once less.
      attention: whether pixels of the U-Net attend to each other, at the second resolution.
      ddim: how many steps a draw takes, spread over 1..T and free of noise after the first (DDIM);
        0: all T, with noise, as p says.
      num_classes: the number of labels that the model is conditional on; 0 for an unconditional
        model.
      head: the distribution of one site given x_1: Bernoulli, Categorical,
        DiscretizedLogisticMixture or MixtureOfGaussians, of 1 component.

    Raises:
      ValueError: the schedule has no steps or a beta outside (0, 1), `ddim` exceeds the timesteps.

    Example:
      >>> import jax, zoo
      >>> model = zoo.Diffusion((2, 3), timesteps=4, features=8, blocks=1, head=zoo.Categorical(3))
      >>> x, _ = zoo.example(model, 5)
      >>> variables = zoo.init(model, jax.random.key(0), x)
      >>> zoo.evidence(model, variables, x, key=jax.random.key(1), num=100).shape
      (5,)
    """

    site_shape: tuple[int, ...] = (28, 28)
    timesteps: int = 1000
    schedule: Literal["linear", "cosine"] = "cosine"
    betas: tuple[float, ...] = (1e-4, 0.02)
    prediction: Literal["eps", "x0", "v", "levels"] = "v"
    loss: Literal["bound", "simple"] = "bound"
    denoiser: Literal["mlp", "unet"] = "mlp"
    features: int = 256
    blocks: int = 3
    scales: int = 3
    attention: bool = False
    ddim: int = 0
    num_classes: int = 0
    head: Head = Bernoulli()

    knows = "bound"
    tightens = False
    joint: ClassVar[bool | None] = True

    def __post_init__(self):
        super().__post_init__()
        if why := why_no_schedule(self.timesteps, self.betas):
            raise ValueError(f"Diffusion: {why}.")
        sizes = (self.features, self.blocks, self.scales)
        if min(sizes) < 1:
            raise ValueError(
                f"Diffusion: features, blocks and scales must be at least 1; got {sizes}."
            )
        if not 0 <= self.ddim <= self.timesteps:
            raise ValueError(
                f"Diffusion: ddim must be in 1..{self.timesteps}, the timesteps, or 0 to take all of "
                f"them with noise; got {self.ddim}."
            )

    def setup(self):
        self.check()
        outputs = self.head.num_params if self.prediction == "levels" else 1
        self.network: nn.Module = (
            MLP(self.features, self.blocks, outputs)
            if self.denoiser == "mlp"
            else UNet(self.features, self.blocks, self.scales, self.attention, outputs)
        )

    def check(self) -> None:
        """Raises ValueError unless the head is one of the last step, and the sites fit the network."""
        if why := last_step.why_unfit(self.head, self.prediction == "levels"):
            raise ValueError(f"Diffusion: {why}.")
        if self.denoiser == "unet" and (why := why_no_image(self._shape, self.scales)):
            raise ValueError(
                f"Diffusion: {why}: pass fewer --model.scales, or --model.denoiser mlp."
            )

    @property
    def output_bias(self):  # type: ignore[override]
        """Logits of levels start at the frequencies of the data."""
        return "network/bias" if self.prediction == "levels" else None

    @property
    def draws(self):
        """How many times of each example validation looks at; training looks at one."""
        return VALIDATION_DRAWS

    @property
    def loss_unit(self):
        return "nats" if self.loss == "bound" else "loss"

    @classmethod
    def preferred_head(cls, num_levels, event_shape=()):
        return last_step.preferred_head(num_levels, event_shape)

    def log_weights(self, x, memory, num):
        """Estimates of the bound, each at one time, which are spread evenly over all draws."""

        def estimate(model, carry, u):
            return carry, -model._estimate(x, memory, u, clip=True)

        u = self._spread(num * len(x))
        return self._scan(estimate, (), u.reshape(num, len(x)))[1]

    def path(self, x: Array, memory: Array | None = None) -> Float[Array, "times batch"]:
        """All terms of minus the bound, nats: L_0, ..., L_{T-1} by one draw of noise each, and L_T.

        Their sum estimates minus the bound, by T network passes.
        """

        def term(model, carry, t):
            return carry, model._term(x, jnp.full(len(x), t), memory, clip=True)

        _, terms = self._scan(term, (), jnp.arange(1, self.timesteps + 1))
        return jnp.concatenate([terms, self._prior(self._scaled(x))[None]])

    def training_loss(self, x, memory=None):
        """Minus an estimate of the bound, nats; or the mean squared error, the simple loss."""
        u = self._spread(len(x))
        if self.loss == "bound":
            return self._estimate(x, memory, u, clip=False)
        t = jnp.minimum(1 + (u * self.timesteps).astype(jnp.int32), self.timesteps)
        x0, z = self._scaled(x), self._noisy(self._scaled(x), t)
        error = jnp.square(x0 - self._denoised(z, t, memory, clip=False)[0])
        signal, noise = self._at("signal", t), self._at("noise", t)
        # The error of eps is signal / noise times that of x_0, that of v is 1 / noise times it.
        scale = {"eps": signal / noise, "v": 1 / noise}.get(self.prediction, jnp.ones_like(noise))
        return (jnp.square(scale) * error).mean(_axes(z))

    def draw(self, memory, num):
        z = jax.random.normal(self.make_rng("noise"), (num, *self._shape))
        times = np.linspace(self.timesteps, 1, self.ddim or self.timesteps).round().astype(np.int32)

        def move(model, z, step):
            t, earlier = (jnp.full(num, each) for each in step)
            return model._earlier(z, t, earlier, memory), ()

        z, _ = self._scan(move, z, (jnp.asarray(times[:-1]), jnp.asarray(times[1:])))
        return self._denoised(z, jnp.full(num, times[-1]), memory, clip=True)[1]

    def _earlier(self, z, t, earlier, memory):
        """x at an earlier time given x_t: by p with noise (t - 1), or by DDIM without."""
        x0, _ = self._denoised(z, t, memory, clip=True)
        if self.ddim:
            eps = (z - self._at("signal", t) * x0) / self._at("noise", t)
            return self._at("signal", earlier) * x0 + self._at("noise", earlier) * eps
        mean = self._at("from_data", t) * x0 + self._at("from_noisy", t) * z
        return mean + self._at("spread", t) * jax.random.normal(self.make_rng("noise"), z.shape)

    def _estimate(self, x, memory, u, clip):
        """Minus the bound of each row, estimated at the time that the uniform number u decides."""
        t, share = self._constants.time_of(u)
        return self._prior(self._scaled(x)) + self._term(x, t, memory, clip) / share

    def _term(self, x, t, memory, clip):
        """L_{t-1} of each row, nats, by one draw of x_t."""
        data = self._scaled(x)
        x0, params = self._denoised(self._noisy(data, t), t, memory, clip)
        divergence = (self._at("kl_weight", t) * jnp.square(data - x0)).sum(_axes(data))
        return jnp.where(t == 1, -score(self.head, params, x), divergence)

    def _prior(self, data):
        """L_T of each row, nats."""
        signal, noise = (float(each[-1]) for each in self._constants[:2])
        divergence = 0.5 * (jnp.square(signal * data) + noise**2 - 1) - math.log(noise)
        return divergence.sum(_axes(data))

    def _noisy(self, data, t):
        noise = jax.random.normal(self.make_rng("noise"), data.shape)
        return self._at("signal", t) * data + self._at("noise", t) * noise

    def _denoised(self, z, t, memory, clip):
        """f(x_t, t), and the params of the head that belong to it: those of p(x_0 | x_1), if t = 1.

        Args:
          z: x_t, [batch, *sites].
          t: [batch].
          memory: labels, if there are any.
          clip: whether data that lie in [-1, 1] are predicted in there.
        """
        time = t.astype(jnp.float32) / self.timesteps
        found = self.network(z, time, memory).astype(jnp.float32)
        signal, noise = self._at("signal", t), self._at("noise", t)
        if self.prediction == "levels":
            return last_step.posterior_of_levels(self.head, found, z, signal, noise)
        found = found[..., 0]
        x0 = {
            "eps": lambda: (z - noise * found) / signal,
            "x0": lambda: found,
            "v": lambda: signal * z - noise * found,
        }[self.prediction]()
        if clip and self.head.num_values is not None:
            x0 = jnp.clip(x0, -1, 1)
        return x0, last_step.params_about(self.head, x0, float(self._constants.spread[1]))

    def _scaled(self, x):
        return last_step.scaled(self.head, x)

    def _spread(self, num: int) -> Float[Array, " num"]:
        """Uniform numbers at even distances: together they cover all times."""
        first = jax.random.uniform(self.make_rng("noise"))
        return (first + jnp.arange(num, dtype=jnp.float32) / num) % 1

    def _scan(self, body, carry, steps):
        """lax.scan of body(model, carry, step), with other noise at each step."""
        split: Any = {"params": False, "noise": True}
        return nn.scan(body, variable_broadcast="params", split_rngs=split)(self, carry, steps)

    def _at(self, name: str, t: Int[Array, " batch"]) -> Float[Array, "batch ..."]:
        """A constant of the schedule at times t, as an operand of values [batch, *sites]."""
        found = jnp.asarray(getattr(self._constants, name))[t]
        return found.reshape(-1, *[1] * len(self._shape))

    @property
    def _shape(self):
        return (*self.site_shape, *self.head.event_shape)

    @property
    def _constants(self) -> NoiseSchedule:
        return _constants(self.schedule, self.timesteps, self.betas, self.head.num_values)


@functools.lru_cache(maxsize=32)
def _constants(schedule, timesteps, ends, levels):
    return noise_schedule(betas_of(schedule, timesteps, ends), levels)


def _axes(values):
    """All axes but that of the batch."""
    return tuple(range(1, values.ndim))
