"""Heads for real numbers: mixtures of Gaussians and of Laplacians.

    p(x) = sum_k pi_k f((x - mu_k) / sigma_k) / sigma_k,    pi = softmax(a_k),    sigma_k =
    min_scale + softplus(b_k + c)

Params of a site are K logits a, K means mu and K raw scales b; c is such that b = 0 means a scale
of min_scale + 1. The floor min_scale is stated because the likelihood of a value that occurs twice
is unbounded without one; softplus because it is linear for large b, where exp leaves the range of
float32.

A draw takes two uniforms: one picks the component, the other inverts that component's distribution
  function. One uniform
would have to be split between the two, and a component of little weight would be left with few of
its 23 bits. A density is no mass, so there is no interval of uniforms for a value: real-valued
heads have no `interval`, and values must be quantised before they can be coded.
"""

import dataclasses
import math
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from zoo.foundation.arguments import convert_fields
from zoo.foundation.limits import check_limits
from zoo.foundation.registry import register

_UNIT = math.log(math.e - 1)  # softplus(_UNIT) = 1
_RECURS = 0.05  # the share of equal values from which they are no coincidence
_NEAR = 0.02  # of the least scale: how far above it a component starts
LEAST = float(np.finfo(np.float32).tiny)  # that a scale can be
HALF_STEP = 2.0**-24  # of the uniforms of float32: moves 0, 2^-23, ... to the middle of their cells


@dataclasses.dataclass(frozen=True)
class _Mixture:
    """K components of location and scale; a subclass says which.

    Attributes:
      components: K.
      min_scale: the least sigma.
    """

    components: int = 10
    min_scale: float = 1e-3

    event_shape: ClassVar[tuple[int, ...]] = ()
    uniforms: ClassVar[int] = 2
    num_features: ClassVar[int] = 1
    num_values: ClassVar[int | None] = None
    dtype: ClassVar[np.dtype] = np.dtype(np.float32)

    def __post_init__(self):
        """Refuses a mixture of nothing, and a density without a bound."""
        convert_fields(self)
        check_limits(self)
        if self.components < 1 or not LEAST <= self.min_scale < math.inf:
            raise ValueError(
                "a mixture needs at least 1 component and a min_scale above 0 in float32; got "
                f"{self}."
            )

    @property
    def num_params(self) -> int:
        return 3 * self.components

    def features(self, x):
        return x[..., None].astype(jnp.float32)

    def log_prob(self, params, x):
        logits, means, scales = self._split(params)
        components = self._log_density((x[..., None] - means) / scales) - jnp.log(scales)
        return jax.nn.logsumexp(jax.nn.log_softmax(logits) + components, axis=-1)

    def quantile(self, params, u):
        logits, means, scales = self._split(params)
        mass = jnp.cumsum(jax.nn.softmax(logits), axis=-1)
        picked = (mass / mass[..., -1:] <= u[..., :1]).sum(-1, keepdims=True)
        mean, scale = (
            jnp.take_along_axis(each, picked, axis=-1)[..., 0] for each in (means, scales)
        )
        return mean + scale * self._inverse(jnp.minimum(u[..., 1] + HALF_STEP, 1 - HALF_STEP))

    def cdf(self, params, x):
        """P(X <= x)."""
        logits, means, scales = self._split(params)
        return (jax.nn.softmax(logits) * self._cdf((x[..., None] - means) / scales)).sum(-1)

    def fitted(self, x):
        """Params [*sites, 3 K]: all components have the location and scale of `x` [num, *sites]."""
        location, scale = self._location_and_scale(x.astype(np.float64))
        excess = np.maximum(scale - self.min_scale, self.min_scale)
        raw = excess + np.log(-np.expm1(-excess)) - _UNIT  # softplus(raw + _UNIT) = excess
        each = np.stack([np.zeros_like(raw), location, raw], axis=-1)  # [*sites, 3]
        return np.repeat(each, self.components, axis=-1).astype(np.float32)

    def fitted_to_recurring(self, x):
        """As `fitted`, but a value that makes up a twentieth of a site's values has a component of its
        own, of the least scale; at most half of the components. The others fit what is left.
        """
        sites = [self._recurring_and_rest(site) for site in x.reshape(len(x), -1).T]
        return np.stack(sites).reshape(*x.shape[1:], self.num_params)

    def units(self, params):
        """What a step of each param is measured in: a mean in scales of its component, 1 otherwise."""
        scales = self._split(params)[2]
        ones = jnp.ones_like(scales)
        return jnp.concatenate([ones, scales, ones], axis=-1)

    def _recurring_and_rest(self, x):
        """Params [3 K] of one site, given its values [num]."""
        values, counts = np.unique(x, return_counts=True)
        common = np.flatnonzero(counts >= max(_RECURS * len(x), 3))
        common = common[np.argsort(-counts[common], kind="stable")][: self.components // 2]
        rest = x[~np.isin(x, values[common])]
        fit = self.fitted((rest if len(rest) > 1 else x)[:, None])[0]  # [3 K], all components alike
        logits, means, raw = np.split(fit, 3)
        others = self.components - len(common)
        logits[:] = np.log((len(rest) + 1) / others)
        logits[: len(common)], means[: len(common)] = np.log(counts[common]), values[common]
        raw[: len(common)] = math.log(math.expm1(_NEAR * self.min_scale)) - _UNIT
        return np.concatenate([logits, means, raw])

    def why_invalid(self, x):
        count = int(
            (~(np.abs(x) <= np.finfo(self.dtype).max)).sum()
        )  # nan is not, nor is what overflows float32
        if count == 0:
            return None
        name = type(self).__name__
        return f"a {name} head takes finite numbers; {count} of {x.size} values are not finite"

    complaint = why_invalid

    def _split(self, params):
        logits, means, raw = jnp.split(params.astype(jnp.float32), 3, axis=-1)
        return logits, means, self.min_scale + jax.nn.softplus(raw + _UNIT)

    def _location_and_scale(self, x):
        """The likeliest location and scale of each site, given values [num, *sites]."""
        raise NotImplementedError

    def _log_density(self, z):
        raise NotImplementedError

    def _cdf(self, z):
        raise NotImplementedError

    def _inverse(self, u):
        raise NotImplementedError


@register
@dataclasses.dataclass(frozen=True)
class MixtureOfGaussians(_Mixture):
    """A mixture of Gaussians: f(z) = exp(-z^2 / 2) / sqrt(2 pi). Values are real numbers.

    Attributes:
      components: K, the number of Gaussians.
      min_scale: the least standard deviation.

    Example:
      >>> head = MixtureOfGaussians(2, min_scale=0.1)
      >>> head.num_params
      6
      >>> params = jnp.array([0.0, 0.0, -1.0, 1.0, 0.0, 0.0])
      >>> head.cdf(params, jnp.array(0.0)).round(4).item()
      0.5
    """

    def _location_and_scale(self, x):
        return x.mean(0), x.std(0)

    def _log_density(self, z):
        return -0.5 * jnp.square(z) - 0.5 * math.log(2 * math.pi)

    def _cdf(self, z):
        return jax.scipy.special.ndtr(z)

    def _inverse(self, u):
        return jax.scipy.special.ndtri(u)


@register
@dataclasses.dataclass(frozen=True)
class MixtureOfLaplacians(_Mixture):
    """A mixture of Laplacians: f(z) = exp(-|z|) / 2. Values are real numbers.

    Attributes:
      components: K, the number of Laplacians.
      min_scale: the least scale (the standard deviation is sqrt(2) times it).

    Example:
      >>> head = MixtureOfLaplacians(1, min_scale=1.0)
      >>> params = jnp.array([0.0, 3.0, 0.0])
      >>> head.quantile(params, jnp.array([0.5, 0.5])).round(4).item()
      3.0
    """

    def _location_and_scale(self, x):
        location = np.median(x, axis=0)
        return location, np.abs(x - location).mean(0)

    def _log_density(self, z):
        return -jnp.abs(z) - math.log(2)

    def _cdf(self, z):
        tail = 0.5 * jnp.exp(-jnp.abs(z))
        return jnp.where(z < 0, tail, 1 - tail)

    def _inverse(self, u):
        return jnp.where(u < 0.5, jnp.log(2 * u), -jnp.log(2 - 2 * u))
