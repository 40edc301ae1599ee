"""Heads for discrete values: bits and classes."""

import dataclasses
import math
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from zoo.foundation.arguments import convert_fields
from zoo.foundation.limits import check_limits
from zoo.foundation.registry import register
from zoo.heads.base import outside_range


@register
@dataclasses.dataclass(frozen=True)
class Bernoulli:
    """A bit: P(x = 1) = sigmoid(logit / temperature). Values are integers 0 and 1.

    Attributes:
      centre: 0..1, subtracted from a bit before a network sees it. A network with biases is as
        expressive either way; near the mean of the bits, its training is better conditioned.
      temperature: what logits are divided by. Fitted after training, it calibrates the
        distribution.

    Example:
      >>> head = Bernoulli()
      >>> params = jnp.array([0.0])
      >>> round(float(head.log_prob(params, jnp.array(1))), 4)
      -0.6931
      >>> head.quantile(params, jnp.array([0.7])).item()
      1
    """

    centre: float = 0.0
    temperature: float = 1.0

    num_params: ClassVar[int] = 1
    event_shape: ClassVar[tuple[int, ...]] = ()
    uniforms: ClassVar[int] = 1
    num_features: ClassVar[int] = 1
    num_values: ClassVar[int] = 2
    dtype: ClassVar[np.dtype] = np.dtype(np.int32)

    def __post_init__(self):
        """Refuses what is no centre of bits, and no temperature."""
        convert_fields(self)
        if not 0 <= self.centre <= 1:
            raise ValueError(
                f"the centre of a Bernoulli head must be in [0, 1]; got {self.centre}."
            )
        if not (self.temperature > 0 and math.isfinite(self.temperature)):
            raise ValueError(
                f"the temperature of a Bernoulli head must be a number > 0; got {self.temperature}."
            )

    def features(self, x):
        return x[..., None].astype(jnp.float32) - self.centre

    def log_prob(self, params, x):
        logit = self._logit(params)
        return -jax.nn.softplus(jnp.where(x > 0, -logit, logit))

    def quantile(self, params, u):
        return (u[..., 0] >= self._zero(params)).astype(self.dtype)

    def interval(self, params, x):
        """Lower and upper end of the uniforms that give `x`."""
        zero = self._zero(params)
        return jnp.where(x > 0, zero, 0.0), jnp.where(x > 0, 1.0, zero)

    def fitted(self, x):
        """Params [*sites, 1] of the frequencies of `x` [num, *sites]; as smoothing, one more
        example counts half as a 0 and half as a 1.
        """
        ones = x.sum(0, dtype=np.float64)
        logit = np.log(ones + 0.5) - np.log(len(x) - ones + 0.5)
        return (self.temperature * logit)[..., None].astype(np.float32)

    def why_invalid(self, x):
        return outside_range(x, 2, "a Bernoulli head takes bits")

    complaint = why_invalid

    def _zero(self, params):
        return jax.nn.sigmoid(-self._logit(params))

    def _logit(self, params):
        return params[..., 0].astype(jnp.float32) / self.temperature


@register
@dataclasses.dataclass(frozen=True)
class Categorical:
    """One of `num_classes` values by softmax: P(x = k) = exp(a_k) / sum_j exp(a_j). Values are
    integers 0..K-1.

    Attributes:
      num_classes: K, the number of values.

    Example:
      >>> head = Categorical(4)
      >>> params = jnp.zeros(4)
      >>> head.quantile(params, jnp.array([0.6])).item()
      2
      >>> [end.round(4).item() for end in head.interval(params, jnp.array(2))]
      [0.5, 0.75]
    """

    num_classes: int = 256

    event_shape: ClassVar[tuple[int, ...]] = ()
    uniforms: ClassVar[int] = 1
    dtype: ClassVar[np.dtype] = np.dtype(np.int32)

    def __post_init__(self):
        """Refuses a head that has nothing to choose from."""
        convert_fields(self)
        check_limits(self)
        if self.num_classes < 1:
            raise ValueError(f"a Categorical head needs at least 1 class; got {self.num_classes}.")

    @property
    def num_params(self) -> int:
        return self.num_classes

    @property
    def num_features(self) -> int:
        return self.num_classes

    @property
    def num_values(self) -> int:
        return self.num_classes

    def features(self, x):
        return jax.nn.one_hot(x, self.num_classes, dtype=jnp.float32)

    def log_prob(self, params, x):
        # Entries of a canvas that are not drawn yet may be anything; only a value in range has a
        # probability.
        log_probs = jax.nn.log_softmax(params.astype(jnp.float32))
        picked = jnp.take_along_axis(
            log_probs, jnp.clip(x, 0, self.num_classes - 1)[..., None], axis=-1
        )
        return picked[..., 0]

    def quantile(self, params, u):
        return (self._cdf(params) <= u).sum(-1).astype(self.dtype)

    def interval(self, params, x):
        """Lower and upper end of the uniforms that give `x`."""
        cdf = self._cdf(params)
        low = jnp.take_along_axis(cdf, jnp.maximum(x - 1, 0)[..., None], axis=-1)[..., 0]
        return jnp.where(x > 0, low, 0.0), jnp.take_along_axis(cdf, x[..., None], axis=-1)[..., 0]

    def fitted(self, x):
        """Params [*sites, K], log frequencies of `x` [num, *sites]; as smoothing, one more example
        counts as 1/K of each value.
        """
        sites, k = x.shape[1:], self.num_classes
        cells = np.arange(math.prod(sites)) * k + x.reshape(len(x), -1)  # (site, value) as a number
        counts = np.bincount(cells.ravel(), minlength=math.prod(sites) * k).reshape(*sites, k)
        return np.log((counts + 1 / k) / (len(x) + 1)).astype(np.float32)

    def why_invalid(self, x):
        return outside_range(
            x, self.num_classes, f"a Categorical head of {self.num_classes} classes takes classes"
        )

    complaint = why_invalid

    def _cdf(self, params):
        """P(X <= k), its last entries exactly 1: a value without mass is never drawn."""
        mass = jnp.cumsum(jax.nn.softmax(params.astype(jnp.float32)), axis=-1)
        return mass / mass[..., -1:]
