"""Generative adversarial networks: a generator of examples, and a critic that tells them apart."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from zoo.core.generative import Canvas
from zoo.foundation.registry import register
from zoo.heads import Bernoulli, Head
from zoo.latent.labelled import Labelled

WON, LOST, PATIENCE = 0.02, 6.0, 3  # critic losses that say that one player has won, so often


@register
class GAN(Labelled):
    """A generator G of examples from noise z ~ N(0, 1), trained against a critic D.

        non_saturating  D:  softplus(-D(x)) + softplus(D(G(z))) + penalty/2 |dD/dx(x)|^2
                        G:  softplus(-D(G(z)))
        wasserstein     D:  D(G(z)) - D(x) + penalty (|dD/dx(y)| - 1)^2,   y between x and G(z)
                        G:  -D(G(z))

    Both losses are one sum, of which each player sees the gradient of its own part alone: the
    critic's has fixed examples, and the generator's a fixed critic. Nothing is known of log p(x):
    validation watches the critic's loss without its penalty, which does not say whose weights are
    best, so the last ones are kept.

    Levels are drawn as levels: bits by a coin whose logit the generator gives, others by rounding.
    The gradient goes straight through.

    **References**: I. Goodfellow and others, Generative adversarial nets, NIPS 2014. L. Mescheder,
    A. Geiger, S. Nowozin, Which training methods for GANs do actually converge?, ICML 2018 (the
    penalty). I. Gulrajani and others, Improved training of Wasserstein GANs, NIPS 2017.

    Differs from the papers: dense networks; both players take every step, at rates of their own.

    Attributes:
      site_shape: shape of the array of sites.
      latents: the size of z.
      hidden: units of each hidden layer of both networks.
      loss: which pair of losses.
      penalty: the weight of the critic's gradient penalty; 0 for none.
      num_classes: of the labels that both players are given; 0 for none.
      head: which values a site has; its own distribution is not used.

    Example:
      >>> import jax, zoo
      >>> model = zoo.GAN((2, 3), latents=2, hidden=(8,))
      >>> x, _ = model.example(4)
      >>> variables = zoo.init(model, jax.random.key(0), x)
      >>> zoo.training_loss(model, variables, x, key=jax.random.key(1)).shape
      (4,)
    """

    site_shape: tuple[int, ...] = (28, 28)
    latents: int = 64
    hidden: tuple[int, ...] = (256, 256)
    loss: Literal["non_saturating", "wasserstein"] = "non_saturating"
    penalty: float = 10.0
    num_classes: int = 0
    head: Head = Bernoulli()

    knows = "none"
    watched = "critic loss"
    keeps_best = False
    players: ClassVar[tuple[str, ...]] = ("generator", "critic")

    def setup(self):
        self.generator = LeakyMLP((*self.hidden, self.num_dims))
        self.critic = LeakyMLP((*self.hidden, 1))

    def __call__(self, x, memory=None, *, train=False):
        return self.training_loss(x, memory)

    def values(self, memory, num):
        fake = self._fake(memory, num).reshape(num, *self.site_shape, *self.head.event_shape)
        levels = self.head.num_values
        if levels is None:
            return fake
        return jnp.round((fake + 1) / 2 * (levels - 1)).astype(self.head.dtype)

    def decode_values(self, z: Float[Array, "batch latents"], memory: Any = None) -> Canvas:
        """What the generator makes of z before values are drawn: [batch, dims]."""
        return self.generator(_joined(z, memory))

    def training_loss(self, x, memory=None):
        real, fake = self._real(x), self._fake(memory, len(x))
        fixed = jax.lax.stop_gradient(fake)
        on_real = self.critic(_joined(real, memory))[:, 0]
        parts: Any = self.critic.unbind()
        critic, variables = parts
        frozen = jax.lax.stop_gradient(variables)

        def judged(variables, examples):
            return critic.apply(variables, _joined(examples, memory))[:, 0]

        on_fake, fooled = judged(variables, fixed), judged(frozen, fake)
        if self.loss == "wasserstein":
            critic_loss, generator_loss = on_fake - on_real, -fooled
            share = jax.random.uniform(self.make_rng("noise"), (len(x), 1))
            between = share * real + (1 - share) * fixed
            steepness = jnp.sqrt(1e-12 + _slope(judged, variables, between))
            penalty = self.penalty * (steepness - 1) ** 2
        else:
            critic_loss = nn.softplus(-on_real) + nn.softplus(on_fake)
            generator_loss = nn.softplus(-fooled)
            penalty = self.penalty / 2 * _slope(judged, variables, real)
        return critic_loss + penalty + generator_loss

    def watch(self, x, memory=None):
        """The critic's loss on each example and one that is drawn, without the penalty."""
        on_real = self.critic(_joined(self._real(x), memory))[:, 0]
        on_fake = self.critic(_joined(self._fake(memory, len(x)), memory))[:, 0]
        if self.loss == "wasserstein":
            return on_fake - on_real
        return nn.softplus(-on_real) + nn.softplus(on_fake)

    def trouble(self, watched: Sequence[float]) -> str | None:
        if len(watched) < PATIENCE:
            return None
        if self.loss == "wasserstein":
            return self._too_steep(min(map(abs, watched[-PATIENCE:])))
        if max(watched[-PATIENCE:]) < WON:
            return (
                f"the critic has told all drawn examples from the data in {PATIENCE} validations in a "
                "row, so the generator learns little; usual causes: too high a --critic-rate, a "
                "--model.penalty of 0, or too small a generator"
            )
        if min(watched[-PATIENCE:]) > LOST:
            return (
                f"the critic has been wrong in {PATIENCE} validations in a row, so the generator "
                "follows nothing; usual causes: too low a --critic-rate, or too high a "
                "--learning-rate"
            )
        return None

    def _too_steep(self, distance):
        """Why a critic of levels is wrong by the distance between data and draws that it reports."""
        farthest = 2 * math.sqrt(self.num_dims)  # of two examples whose values lie in [-1, 1]
        if self.head.num_values is None or distance <= farthest:
            return None
        return (
            f"the critic has put data and draws {distance:.3g} apart or more in {PATIENCE} "
            f"validations in a row, and no two examples are further apart than {farthest:.3g}, so its "
            "slope is far above 1; usual causes: too small a --model.penalty, or too high a "
            "--critic-rate or --learning-rate"
        )

    def _real(self, x):
        """Examples as the critic sees them, [batch, dims]: levels in [-1, 1], real numbers as is."""
        flat = x.reshape(len(x), -1).astype(jnp.float32)
        levels = self.head.num_values
        return flat if levels is None else 2 * flat / (levels - 1) - 1

    def _fake(self, memory, num):
        """Drawn examples as the critic sees them; to the gradient they are as smooth as the network."""
        z = jax.random.normal(self.make_rng("noise"), (num, self.latents))
        out, levels = self.decode_values(z, memory), self.head.num_values
        if levels is None:
            return out
        share = nn.sigmoid(out)  # of the greatest level
        if levels == 2:
            coins = jax.random.uniform(self.make_rng("noise"), share.shape)
            drawn = (coins < share).astype(share.dtype)
        else:
            drawn = jnp.round(share * (levels - 1)) / (levels - 1)
        return 2 * (share + jax.lax.stop_gradient(drawn - share)) - 1


class LeakyMLP(nn.Module):
    """Dense layers with leaky rectifiers between them.

    Attributes:
      units: of each layer.
    """

    units: tuple[int, ...]

    @nn.compact
    def __call__(self, x):
        for units in self.units[:-1]:
            x = nn.leaky_relu(nn.Dense(units)(x), 0.2)
        return nn.Dense(self.units[-1])(x)


def _joined(x, memory):
    """The rows of x beside those of the labels, if there are any."""
    return x if memory is None else jnp.concatenate([x, memory.astype(x.dtype)], axis=-1)


def _slope(judged, variables, x):
    """|d judged / d x|^2 of each row, [batch]."""
    gradient = jax.grad(lambda x: judged(variables, x).sum())(x)
    return (gradient**2).sum(-1)
