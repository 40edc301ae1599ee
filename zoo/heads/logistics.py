"""A head for levels that are close where their numbers are: the discretised mixture of logistics of
PixelCNN++.

    P(k) = sum_j pi_j [ F((x_k + d/2 - mu_j) / s_j) - F((x_k - d/2 - mu_j) / s_j) ],    F = sigmoid,
    pi = softmax(a)

with x_k = -1 + k d the level k on the scale [-1, 1], d = 2 / (levels - 1); the first interval is
open to the left and the last to the right, so all levels together have mass 1. A pixel in colour is
one value: its channels share the component j, and the mean of a channel is linear in the channels
before it, as they are on the grid of levels:

    mu_G = m_G + c_0 x_R,    mu_B = m_B + c_1 x_R + c_2 x_G

The difference of the two sigmoids is computed without cancellation, F(a) - F(b) = F(a) F(-b) (1 -
exp(b - a)), so no mass vanishes, however small, and no density stands in for it (in float32: to
some thousandths of a nat where s is a fraction of one of 65,536 levels). Nothing is computed for
the other levels: 65,536 of them, a sample of 16 bits, cost what 256 do.
"""

import dataclasses
import math
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from zoo.foundation.arguments import convert_fields
from zoo.foundation.limits import check_limits
from zoo.foundation.registry import register
from zoo.heads.base import outside_range
from zoo.heads.mixtures import HALF_STEP

_LARGE = 60.0  # a log scale whose exponential float32 still holds, also when it counts levels
_SMALL = -14.0  # log w below which log(1 - exp(-w)) is log w in float32


@register
@dataclasses.dataclass(frozen=True)
class DiscretizedLogisticMixture:
    """A mixture of logistics over levels 0..levels-1, of a grey pixel or of the R, G and B of one.

    Params of a site are K logits, and for each component the means, the log scales (on the scale
    [-1, 1], floored at `min_log_scale`) and the raw coefficients c (by tanh in -1..1) of its
    channels: 3 K numbers for grey, 10 K for colour.

    A draw takes a uniform for the component and one for each channel, which inverts the logistic
    distribution function and is rounded to the nearest level: exact. The uniforms that give a value
    are no interval (each component has its own), so there is no `interval`: a coder takes one channel
    after the other, by `channel`.

    **Reference**: T. Salimans, A. Karpathy, X. Chen, D. P. Kingma, PixelCNN++: improving the
      PixelCNN with discretized
    logistic mixture likelihood and other modifications, ICLR 2017.

    Differs from the paper: no density in place of a mass that would underflow, for none does.

    Attributes:
      components: K, the number of logistics.
      levels: how many values a channel takes.
      channels: 1 for grey, whose value is a scalar; 3 for colour, whose value is (R, G, B).
      min_log_scale: the floor of log s.

    Example:
      >>> head = DiscretizedLogisticMixture(1, levels=4, channels=1)
      >>> params = jnp.zeros(3)
      >>> jnp.exp(head.log_prob(jnp.zeros((4, 3)), jnp.arange(4))).sum().round(4).item()
      1.0
    """

    components: int = 10
    levels: int = 256
    channels: int = 3
    min_log_scale: float = -7.0

    dtype: ClassVar[np.dtype] = np.dtype(np.int32)

    def __post_init__(self):
        """Refuses what is no image."""
        convert_fields(self)
        check_limits(self)
        if self.channels not in (1, 3) or not 2 <= self.levels <= 2**16 or self.components < 1:
            raise ValueError(
                "a pixel has 1 or 3 channels, 2 to 65,536 levels and at least 1 component; got "
                f"{self}."
            )
        if not -30 <= self.min_log_scale <= 0:
            raise ValueError(f"the floor of log s must be in [-30, 0]; got {self.min_log_scale}.")

    @property
    def num_params(self) -> int:
        return self.components * sum(self._sizes)

    @property
    def event_shape(self) -> tuple[int, ...]:
        return () if self.channels == 1 else (self.channels,)

    @property
    def uniforms(self) -> int:
        return 1 + self.channels

    @property
    def num_features(self) -> int:
        return self.channels

    @property
    def num_values(self) -> int:
        return self.levels

    def features(self, x):
        x = x.reshape(*x.shape[: x.ndim - len(self.event_shape)], self.channels)
        return self._scaled(x.astype(jnp.float32))

    def log_prob(self, params, x):
        logits, means, log_scales, coefficients = self._split(params)
        values = [
            self.features(x)[..., i : i + 1] for i in range(self.channels)
        ]  # one axis for all components
        total = jax.nn.log_softmax(logits)
        for i in range(self.channels):
            mean = self._mean(means, coefficients, values[:i])
            level = (x[..., i] if self.event_shape else x)[..., None].astype(jnp.float32)
            total = total + self._log_mass(self._level(mean), log_scales[..., i], level)
        return jax.nn.logsumexp(total, axis=-1)

    def quantile(self, params, u):
        logits, *rest = self._split(params)
        mass = jnp.cumsum(jax.nn.softmax(logits), axis=-1)
        picked = (mass / mass[..., -1:] <= u[..., :1]).sum(-1)[..., None, None]
        means, log_scales, coefficients = (
            jnp.take_along_axis(each, picked, axis=-2)[..., 0, :] for each in rest
        )
        scales = jnp.exp(jnp.minimum(log_scales, _LARGE)) * self._per_unit
        levels: list[Array] = []
        for i in range(self.channels):
            mean = self._mean(means, coefficients, [self._scaled(level) for level in levels])
            p = jnp.minimum(u[..., 1 + i] + HALF_STEP, 1 - HALF_STEP)
            mean = self._level(mean)
            nearest = jnp.round(
                mean
            )  # apart, so that the rest is exact to the last bits of a small scale
            value = nearest + jnp.round(
                mean - nearest + scales[..., i] * (jnp.log(p) - jnp.log1p(-p))
            )
            levels.append(jnp.clip(value, 0, self.levels - 1))
        return (jnp.stack(levels, axis=-1) if self.event_shape else levels[0]).astype(self.dtype)

    def channel(self, params, known):
        """The distribution of the next channel, given the levels `known` of the channels before it.

        Returns the log weights of its components given `known`, their means in levels, and their
        precisions (one over the scale, in levels), each [..., K]: the channel is below level k with
        probability sum_j w_j F((k - 1/2 - mean_j) precision_j), for k = 1..levels - 1.
        """
        logits, means, log_scales, coefficients = self._split(params)
        weights = jax.nn.log_softmax(logits)
        scaled = [self._scaled(level.astype(jnp.float32))[..., None] for level in known]
        for i, level in enumerate(known):
            mean = self._level(self._mean(means, coefficients, scaled[:i]))
            level = level[..., None].astype(jnp.float32)
            weights = weights + self._log_mass(mean, log_scales[..., i], level)
        mean = self._level(self._mean(means, coefficients, scaled))
        precision = jnp.exp(-log_scales[..., len(known)]) / self._per_unit
        return jax.nn.log_softmax(weights), mean, precision

    def fitted(self, x):
        """Params [*sites, num_params]: in all components a channel has the mean and the deviation
        of `x` [num, *sites, *event_shape], and does not depend on other channels.
        """
        values = x.reshape(*x.shape[: x.ndim - len(self.event_shape)], self.channels)
        mean, step = self._scaled(values.mean(0, dtype=np.float64)), 1 / self._per_unit
        # A level stands for an interval of its width, whose variance is step^2 / 12.
        variance = np.square(values.std(0, dtype=np.float64) * step) + step**2 / 12
        log_scale = 0.5 * np.log(variance * 3) - math.log(math.pi)  # of a logistic, pi^2 s^2 / 3
        # Above the floor, below which a log scale has no gradient.
        log_scale = np.maximum(log_scale, self.min_log_scale + 0.1)
        logit, coefficients = (np.zeros((*mean.shape[:-1], self._sizes[i])) for i in (0, 3))
        one = np.concatenate([logit, mean, log_scale, coefficients], axis=-1)
        return np.tile(one, self.components).astype(np.float32)

    def why_invalid(self, x):
        return outside_range(
            x, self.levels, f"a {type(self).__name__} head of {self.levels} levels takes levels"
        )

    complaint = why_invalid

    @property
    def _sizes(self) -> tuple[int, int, int, int]:
        return 1, self.channels, self.channels, self.channels * (self.channels - 1) // 2

    def _split(self, params):
        """Logits [..., K]; means and log scales [..., K, channels]; coefficients [..., K, 3 or 0]."""
        params = params.astype(jnp.float32).reshape(*params.shape[:-1], self.components, -1)
        logits, means, raw, coefficients = jnp.split(params, np.cumsum(self._sizes)[:-1], axis=-1)
        return logits[..., 0], means, jnp.maximum(raw, self.min_log_scale), jnp.tanh(coefficients)

    @property
    def _per_unit(self) -> float:
        """How many levels there are to a unit of the scale [-1, 1]."""
        return (self.levels - 1) / 2

    def _scaled(self, level):
        return level / self._per_unit - 1

    def _level(self, value):
        return (value + 1) * self._per_unit

    def _mean(self, means, coefficients, known):
        """The mean of the next channel, given the values of those before it on the scale [-1, 1]."""
        channel = len(known)
        first, mean = channel * (channel - 1) // 2, means[..., channel]
        for i, value in enumerate(known):
            mean = mean + coefficients[..., first + i] * value
        return mean

    def _log_mass(self, mean, log_scale, level):
        """log of the logistic mass of the interval about a level, [..., K]; the mean too counts
        levels, so that the edge between two of them is the same number for both however many there
        are.
        """
        precision = jnp.exp(-log_scale) / self._per_unit
        upper, lower = ((level - mean + side) * precision for side in (0.5, -0.5))
        log_width = -math.log(self._per_unit) - log_scale
        small = log_width < _SMALL
        log_gap = jnp.where(
            small, log_width, jnp.log(-jnp.expm1(-jnp.exp(jnp.where(small, 0.0, log_width))))
        )
        below, above = -jax.nn.softplus(-upper), -jax.nn.softplus(lower)
        return jnp.where(
            level < 0.5, below, jnp.where(level > self.levels - 1.5, above, below + above + log_gap)
        )
