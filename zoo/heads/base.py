"""Heads: the distribution of one site, given the network's parameters for it.

A head is a frozen value without arrays. A discrete one owns three readings of one cumulative
distribution function: the log mass of a value (likelihood), the value at a uniform number (sampling
by inversion) and the interval of uniform numbers that give a value (coding). They agree by
construction: `quantile(params, u) == x` exactly when `low <= u < high` for `low, high =
interval(params, x)`. A head for real numbers has the first two: a density is no mass.

Arithmetic is float32 and uniforms are multiples of 2^-23, so what is rarer than that has an empty
interval and is not drawn (or, at the end of a row of values, drawn once in 2^23): a coder gives
every value at least one count.
"""

import functools
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped


@runtime_checkable
class Head(Protocol):
    """What a model and a sampler ask of the distribution of one site.

    Attributes:
      num_params: how many numbers of the network parameterise one site.
      event_shape: shape of one site's value: `()` for a scalar, `(3,)` where one site is an RGB
        pixel.
      uniforms: how many U(0, 1) numbers one draw consumes.
      num_features: how many numbers represent one site's value to a network.
      num_values: how many values a scalar takes, 0..num_values - 1; None for real numbers.
      dtype: dtype of values.

    The method `fitted(x)` is optional: params [*sites, num_params] that suit values `x` [num,
    *sites, *event_shape], numpy arrays; a training starts output biases there.

    Example:
      >>> import jax.numpy as jnp, zoo
      >>> head = zoo.Categorical(3)
      >>> isinstance(head, Head), head.num_params, head.num_values
      (True, 3, 3)
      >>> head.quantile(jnp.zeros(3), jnp.array([0.5])).item()
      1
    """

    @property
    def num_params(self) -> int: ...
    @property
    def event_shape(self) -> tuple[int, ...]: ...
    @property
    def uniforms(self) -> int: ...
    @property
    def num_features(self) -> int: ...
    @property
    def num_values(self) -> int | None: ...
    @property
    def dtype(self) -> np.dtype: ...

    def features(self, x: Shaped[Array, "..."]) -> Float[Array, "... num_features"]:
        """Values as a network sees them, float32."""
        ...

    def log_prob(
        self, params: Float[Array, "... num_params"], x: Shaped[Array, "..."]
    ) -> Float[Array, "..."]:
        """Log probability (density) of a site's value, in nats."""
        ...

    def quantile(
        self, params: Float[Array, "... num_params"], u: Float[Array, "... uniforms"]
    ) -> Shaped[Array, "..."]:
        """The value at uniforms u in [0, 1): exact inverse-transform sampling."""
        ...


def why_outside(head: Head, x: np.ndarray) -> str | None:
    """Returns an error message if some value of `x` is outside the support of `head`, else None.

    It is what the head's method `why_invalid(x)` returns; `complaint` is another name of that
    method, and of a class and its bases the first that defines either of them decides. A head
    without such a method takes all values.

    Example:
      >>> import zoo
      >>> why_outside(zoo.Bernoulli(), np.array([0, 2]))
      'a Bernoulli head takes bits 0..1; got values from 0 to 2'
      >>> why_outside(zoo.Bernoulli(), np.array([0, 1]))
    """
    for cls in type(head).__mro__:
        for name in ("why_invalid", "complaint"):
            if name in vars(cls):
                return getattr(head, name)(x)
    return None


def checked_log_prob(
    head: Head, params: Float[Array, "... num_params"], x: Shaped[Array, "..."]
) -> Float[Array, "..."]:
    """Log probability of a site's value; -inf for an invalid level, because traced code cannot
    raise.

    Example:
      >>> import zoo
      >>> nats = checked_log_prob(zoo.Bernoulli(), jnp.zeros((2, 1)), jnp.array([1, 2]))
      >>> [round(float(each), 4) for each in nats]
      [-0.6931, -inf]
    """
    nats = head.log_prob(params, x)
    if head.num_values is None:
        return nats
    inside = ((x >= 0) & (x < head.num_values)).reshape(*nats.shape, -1).all(-1)
    return jnp.where(inside, nats, -jnp.inf)


@functools.partial(jax.jit, static_argnums=0)
def values_at(
    head: Head, params: Float[Array, "... num_params"], u: Float[Array, "... uniforms"]
) -> Shaped[Array, "..."]:
    """The quantiles of a head as one compiled function, for calls outside of `jit`.

    Example:
      >>> import zoo
      >>> values_at(zoo.Bernoulli(), jnp.zeros((2, 1)), jnp.array([[0.3], [0.6]])).tolist()
      [0, 1]
    """
    return head.quantile(params, u)


def value_probabilities(
    head: Head, params: Float[Array, "*sites num_params"]
) -> Float[Array, "*sites values"]:
    """The probability of each value of a discrete head.

    Example:
      >>> import zoo
      >>> value_probabilities(zoo.Categorical(4), jnp.zeros((2, 4)))[0].tolist()
      [0.25, 0.25, 0.25, 0.25]
    """
    assert head.num_values is not None, "the head is discrete"
    shape = params.shape[:-1]
    nats = [head.log_prob(params, jnp.full(shape, k, head.dtype)) for k in range(head.num_values)]
    return jnp.exp(jnp.stack(nats, axis=-1))


def expected_value(head: Head, params: Float[Array, "*sites num_params"]) -> Float[Array, "*sites"]:
    """The mean sum_k k p(k) of a discrete head for single levels; its gradient is that of the sum.

    Example:
      >>> import zoo
      >>> expected_value(zoo.Categorical(3), jnp.zeros((2, 3))).round(3).tolist()
      [1.0, 1.0]
    """
    assert head.num_values is not None and not head.event_shape, "the head is for single levels"

    def term(k):
        mass = jnp.exp(head.log_prob(params, jnp.full(params.shape[:-1], k, head.dtype)))
        return k.astype(mass.dtype) * mass

    return jax.vmap(term)(jnp.arange(1, head.num_values)).sum(0)


def score(
    head: Head, params: Float[Array, "..."], x: Shaped[Array, "..."]
) -> Float[Array, "*more batch"]:
    """log p(x | params), nats, summed over the sites.

    Args:
      head: the distribution of a site.
      params: [..., batch, *site_shape, num_params]; axes before that of the batch are kept.
      x: [batch, *site_shape, *event_shape].

    Example:
      >>> import zoo
      >>> x = jnp.array([[0, 1, 1], [1, 1, 1]])
      >>> score(zoo.Bernoulli(), jnp.zeros((5, 2, 3, 1)), x).shape
      (5, 2)
    """
    sites = x.ndim - 1 - len(head.event_shape)
    nats = checked_log_prob(
        head, params, jnp.broadcast_to(x, (*params.shape[:-1], *head.event_shape))
    )
    return nats.sum(tuple(range(nats.ndim - sites, nats.ndim)))


def outside_range(x: np.ndarray, num_values: int, takes: str) -> str | None:
    """An error message if some value of `x` is not in 0..num_values - 1, else None.

    Example:
      >>> outside_range(np.array([0, 3]), 3, "a head takes")
      'a head takes 0..2; got values from 0 to 3'
    """
    if x.size == 0 or (x.min() >= 0 and x.max() < num_values):
        return None
    return f"{takes} 0..{num_values - 1}; got values from {x.min()} to {x.max()}"
