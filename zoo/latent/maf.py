"""MAF: a normalising flow made of MADEs."""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from zoo.core.decoders import decoder
from zoo.core.generative import Generative
from zoo.core.orderings import Ordering
from zoo.dense.made import MADE
from zoo.foundation.registry import register
from zoo.heads import Head, MixtureOfGaussians

MOST = 5.0  # that the logarithm of a scale can be


@register
class MAF(Generative):
    """Masked autoregressive flow: real values x become noise by a stack of MADEs.

        u_0 = x,   u_l[t] = (u_{l-1}[t] - m_l[t]) exp(-s_l[t]),   m_l, s_l = MADE_l(u_{l-1})[t],
        log p(x) = log p_L(u_{L-1}) - sum_l sum_t s_l[t]

    Each MADE visits the sites in the order opposite to that of the MADE before it. The last one, L,
    is a density of its own: p_L is a MADE with the model's head. With a single Gaussian this is one
    more layer and standard normal noise; with several it is the paper's MAF MoG.

    The likelihood is exact and takes one pass. A draw inverts the MADEs one after the other, each
    rank by rank with the MADE's own cache, which evaluates each of its units once.

    **Reference**: G. Papamakarios, T. Pavlakou, I. Murray, Masked autoregressive flow for density
    estimation, NIPS 2017.

    Differs from the paper: no batch normalisation between the MADEs; |s| < 5, by 5 tanh(s / 5).

    Attributes:
      site_shape: shape of the array of sites, such as (columns,).
      layers: L, the number of MADEs.
      hidden: units of each hidden layer of a MADE.
      head: the distribution of a site in the last MADE, for real numbers.

    Raises:
      ValueError: the head is for levels, or there are no layers.

    Example:
      >>> import jax, zoo
      >>> model = zoo.MAF((3,), layers=2, hidden=(8,))
      >>> x, _ = model.example(4)
      >>> variables = zoo.init(model, jax.random.key(0), x)
      >>> zoo.log_prob(model, variables, x).shape
      (4,)
    """

    site_shape: tuple[int, ...] = (11,)
    layers: int = 5
    hidden: tuple[int, ...] = (100, 100)
    head: Head = MixtureOfGaussians(1)

    knows = "exact"
    output_bias: ClassVar[str | None] = None

    @classmethod
    def preferred_head(cls, num_levels, event_shape=()):
        """A single Gaussian for real numbers: the layers before it make the rest."""
        real = num_levels is None
        return MixtureOfGaussians(1) if real else super().preferred_head(num_levels, event_shape)

    def setup(self):
        if self.head.num_values is not None:
            raise ValueError(
                f"MAF describes real numbers; got a {type(self.head).__name__} head, which is for "
                "levels: choose data of real numbers and a mixture of Gaussians, or a MADE for levels."
            )
        self.flows = [self._made(Located(), layer) for layer in range(self.layers - 1)]
        self.base = self._made(self.head, self.layers - 1)

    def __call__(self, x, memory=None, *, train=False):
        """log p(x), nats [batch]."""
        return self.log_likelihood(x)

    def log_likelihood(self, x, memory=None, *, train=False):
        u, nats = self.represent_with_jacobian(x)
        return nats + self.base.log_likelihood(u)

    def represent_with_jacobian(
        self, x: Float[Array, "batch *sites"]
    ) -> tuple[Float[Array, "batch *sites"], Float[Array, " batch"]]:
        """u_{L-1}, and log |det du / dx|."""
        nats = jnp.zeros(len(x))
        for made in self.flows:
            mean, log_scale = Located.split(made(x))
            x = (x - mean) * jnp.exp(-log_scale)
            nats = nats - log_scale.reshape(len(x), -1).sum(-1)
        return x, nats

    def values(self, memory, num):
        shape = (num, self.num_sites, self.head.uniforms)
        u = jax.random.uniform(self.make_rng("noise"), shape)
        return self.invert(_drawn(self.base, u))

    def invert(self, u: Float[Array, "batch *sites"]) -> Float[Array, "batch *sites"]:
        """The x whose u_{L-1} is `u`."""
        for made in reversed(self.flows):
            u = _drawn(made, u.reshape(len(u), self.num_sites, 1))
        return u

    def _made(self, head, layer):
        scan: Any = ("raster", "reversed")[layer % 2]
        return MADE(self.site_shape, self.hidden, head, Ordering(scan), direct=False)


@dataclasses.dataclass(frozen=True)
class Located:
    """A site's value as mean + scale u, where u is the noise that `quantile` is given."""

    num_params: ClassVar[int] = 2
    event_shape: ClassVar[tuple[int, ...]] = ()
    uniforms: ClassVar[int] = 1
    num_features: ClassVar[int] = 1
    num_values: ClassVar[int | None] = None
    dtype: ClassVar[np.dtype] = np.dtype(np.float32)

    def features(self, x):
        return x[..., None].astype(jnp.float32)

    def log_prob(self, params, x):
        mean, log_scale = self.split(params)
        u = (x - mean) * jnp.exp(-log_scale)
        return -0.5 * (u**2 + jnp.log(2 * jnp.pi)) - log_scale

    def quantile(self, params, u):
        mean, log_scale = self.split(params)
        return mean + jnp.exp(log_scale) * u[..., 0]

    def why_invalid(self, x):
        return None

    complaint = why_invalid

    @staticmethod
    def split(params: Float[Array, "*sites 2"]) -> tuple[Any, Any]:
        """The mean and the logarithm of the scale of each site."""
        params = params.astype(jnp.float32)
        return params[..., 0], MOST * jnp.tanh(params[..., 1] / MOST)


def _drawn(
    layer: MADE, noise: Float[Array, "batch sites uniforms"]
) -> Float[Array, "batch *site_shape"]:
    """Values [batch, *site_shape] rank by rank: the head's quantile at `noise` [batch, sites, ...].

    It is the inverse of the map from values to noise that the conditionals define.
    """
    parts: Any = layer.unbind()
    model, variables = parts
    step = decoder(model, variables, len(noise))
    sites = jnp.asarray(model.sites)

    def visit(t, drawing):
        cache, x = drawing
        params, cache = step.step(cache, x.reshape(len(x), *model.site_shape), t)
        value = model.head.quantile(params, noise[:, sites[t]])
        return cache, x.at[:, sites[t]].set(value)

    def visit_block(block, drawing):
        cache, x = drawing
        first = block * step.block
        cache = step.enter(cache, x.reshape(len(x), *model.site_shape), first)
        last = jnp.minimum(first + step.block, model.num_sites)
        return jax.lax.fori_loop(first, last, visit, (cache, x))

    blocks = -(-model.num_sites // step.block)
    start = step.init(), jnp.zeros((len(noise), model.num_sites))
    _, x = jax.lax.fori_loop(0, blocks, visit_block, start)
    return x.reshape(len(x), *model.site_shape)
