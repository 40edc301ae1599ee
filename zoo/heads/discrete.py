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

PAGE = 128  # values whose masses are summed together
MANY = 1024  # values, from which on a draw first finds the page and then the value in it


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
        if self.num_classes < MANY:
            return (self._cdf(params) <= u).sum(-1).astype(self.dtype)
        ends = self._page_ends(params)
        page = (_shares(ends, ends) <= u).sum(-1)
        place = (_shares(self._ends_in_page(params, ends, page), ends) <= u).sum(-1)
        return (page * PAGE + place).astype(self.dtype)

    def interval(self, params, x):
        """Lower and upper end of the uniforms that give `x`."""
        if self.num_classes < MANY:
            return _between(self._cdf(params), x, 0.0)
        ends, page = self._page_ends(params), x // PAGE
        start = _between(_shares(ends, ends), page, 0.0)[0]
        inside = _shares(self._ends_in_page(params, ends, page), ends)
        return _between(inside, x % PAGE, start)

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

    def _page_ends(self, params):
        """The running sum of masses at the end of each page of `PAGE` values: of tens of thousands
        of values, their running sum takes several times as long as their exponentials.
        """
        mass, whole = self._mass(params, params), self.num_classes // PAGE * PAGE
        pages = mass[..., :whole].reshape(*mass.shape[:-1], -1, PAGE).sum(-1)
        if whole < self.num_classes:
            pages = jnp.concatenate([pages, mass[..., whole:].sum(-1, keepdims=True)], axis=-1)
        return _running_sum(pages)

    def _ends_in_page(self, params, ends, page):
        """The running sum at each value of one page, [..., PAGE]; exactly the page's end from the
        last value with mass on.
        """
        start, end = (each[..., None] for each in _between(ends, page, 0.0))
        places = jnp.expand_dims(jnp.arange(PAGE, dtype=page.dtype), range(page.ndim))
        values = page[..., None] * PAGE + places
        logits = jnp.take_along_axis(params, jnp.minimum(values, self.num_classes - 1), axis=-1)
        mass = jnp.where(values < self.num_classes, self._mass(params, logits), 0.0)
        inside = _running_sum(mass)
        return jnp.where(inside < inside[..., -1:], jnp.minimum(start + inside, end), end)

    def _mass(self, params, logits):
        """The masses of some logits of `params`, up to a factor."""
        return jnp.exp((logits - params.max(-1, keepdims=True)).astype(jnp.float32))


def _running_sum(mass):
    """The running sum; it never falls, and stays the same where there is no mass."""
    return jax.lax.cummax(jnp.where(mass > 0, jnp.cumsum(mass, -1), 0.0), mass.ndim - 1)


def _shares(sums, ends):
    """Running sums as shares of the whole, the last of `ends`; exactly 1 where they reach it."""
    whole = ends[..., -1:]
    return jnp.where(sums < whole, sums / whole, 1.0)


def _between(ends, k, start):
    """Lower and upper end of interval k, given all upper ends and where the first begins."""
    before = jnp.take_along_axis(ends, jnp.maximum(k - 1, 0)[..., None], axis=-1)[..., 0]
    return (
        jnp.where(k > 0, before, start),
        jnp.take_along_axis(ends, k[..., None], axis=-1)[..., 0],
    )
