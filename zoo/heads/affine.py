"""A head for real numbers, shifted and scaled."""

import dataclasses

import jax.numpy as jnp
import numpy as np

from zoo.heads.base import Head, why_outside


@dataclasses.dataclass(frozen=True)
class Affine:
    """The distribution of shift + scale z, where z follows another head; params are (shift, log scale,
    params of z).

    Attributes:
      head: the distribution of z.

    Example:
      >>> import zoo
      >>> head = Affine(zoo.MixtureOfGaussians(1, min_scale=1.0))
      >>> params = jnp.array([5.0, 0.0, 0.0, 0.0, 0.0])
      >>> head.quantile(params, jnp.array([0.5, 0.5])).round(2).item()
      5.0
    """

    head: Head

    @property
    def num_params(self) -> int:
        return 2 + self.head.num_params

    @property
    def event_shape(self) -> tuple[int, ...]:
        return self.head.event_shape

    @property
    def uniforms(self) -> int:
        return self.head.uniforms

    @property
    def num_features(self) -> int:
        return self.head.num_features

    @property
    def num_values(self) -> int | None:
        return self.head.num_values

    @property
    def dtype(self) -> np.dtype:
        return self.head.dtype

    def features(self, x):
        return self.head.features(x)

    def log_prob(self, params, x):
        shift, log_scale = params[..., 0].astype(jnp.float32), params[..., 1].astype(jnp.float32)
        return self.head.log_prob(params[..., 2:], (x - shift) * jnp.exp(-log_scale)) - log_scale

    def quantile(self, params, u):
        shift, log_scale = params[..., 0].astype(jnp.float32), params[..., 1].astype(jnp.float32)
        return shift + jnp.exp(log_scale) * self.head.quantile(params[..., 2:], u)

    def why_invalid(self, x):
        return why_outside(self.head, x)

    complaint = why_invalid
