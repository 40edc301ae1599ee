"""Small models that draw from noise, for the tests of the second contract."""

import flax.linen as nn
import jax
import jax.numpy as jnp

import zoo


@zoo.register
class Cloud(zoo.Generative):
    """A bound: bits given a Gaussian z, and q(z | x) Gaussian with a learned linear mean."""

    site_shape: tuple[int, ...] = (2, 3)
    head: zoo.Head = zoo.Bernoulli()
    latents: int = 2

    def setup(self):
        self.out = nn.Dense(self.num_sites * self.head.num_params)
        self.mean, self.log_scale = nn.Dense(self.latents), nn.Dense(self.latents)

    @property
    def num_latents(self):
        return self.latents

    def draw(self, memory, num):
        return self.decode(jax.random.normal(self.make_rng("noise"), (num, self.latents)))

    def decode(self, z, memory=None):
        return self.out(z).reshape(*z.shape[:-1], *self.site_shape, self.head.num_params)

    def represent(self, x, memory=None):
        return self.mean(x.reshape(len(x), -1).astype(jnp.float32))

    def log_weights(self, x, memory, num):
        mean = self.represent(x)
        log_scale = self.log_scale(x.reshape(len(x), -1).astype(jnp.float32))
        noise = jax.random.normal(self.make_rng("noise"), (num, *mean.shape))
        z = mean[None] + jnp.exp(log_scale)[None] * noise  # [num, batch, latents]
        prior_over_q = (0.5 * (noise**2 - z**2) + log_scale[None]).sum(-1)
        return zoo.score(self.head, self.decode(z), x) + prior_over_q


@zoo.register
class Shifted(zoo.Generative):
    """Exact, but not along an ordering: a Gaussian with a learned mean."""

    site_shape: tuple[int, ...] = (3,)
    head: zoo.Head = zoo.MixtureOfGaussians(1)
    knows = "exact"

    def setup(self):
        self.shift = self.param("shift", nn.initializers.normal(1.0), self.site_shape)

    def draw(self, memory, num):
        noise = jax.random.normal(self.make_rng("noise"), (num, *self.site_shape))
        return jnp.stack([0 * noise, noise + self.shift[None], 0 * noise - 20], -1)

    def values(self, memory, num):
        return jax.random.normal(self.make_rng("noise"), (num, *self.site_shape)) + self.shift[None]

    def log_likelihood(self, x, memory=None, *, train=False):
        return (-0.5 * ((x - self.shift[None]) ** 2 + jnp.log(2 * jnp.pi))).sum(-1)


@zoo.register
class Copier(zoo.Generative):
    """No likelihood: learns one logit a site, and is watched by its squared error."""

    site_shape: tuple[int, ...] = (2, 3)
    head: zoo.Head = zoo.Bernoulli()
    knows = "none"
    watched = "squared error"

    def setup(self):
        self.logits = self.param("logits", nn.initializers.normal(0.1), (*self.site_shape, 1))

    def draw(self, memory, num):
        self.make_rng("noise")
        return jnp.broadcast_to(self.logits, (num, *self.logits.shape))

    def training_loss(self, x, memory=None):
        error = x.astype(jnp.float32) - nn.sigmoid(self.logits[None, ..., 0])
        return (error**2).sum((1, 2))
