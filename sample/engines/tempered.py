"""Changes to the distribution of a token that make draws more typical, and no longer exact."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

import zoo
from zoo.core.checks import kind
from zoo.foundation.arguments import convert_fields

SMALLEST = 1e-30  # a lower temperature leaves only the likeliest token in float32


@jax.tree_util.register_pytree_node_class
@dataclasses.dataclass(frozen=True)
class Tempered:
    """Temperature, top-k, top-p (nucleus) and min-p, applied in this order to the logits of a
    token.

    Draws then follow another distribution than the model's; log_prob stays the model's. The numbers
    are leaves of a pytree, so a jitted function that takes a Tempered compiles once for all
    temperatures.

    Attributes:
      temperature: divides the logits; 0 always takes the likeliest token.
      top_k: keeps exactly the k likeliest tokens; ties go to the lower token. 1 equals
        temperature 0.
      top_p: keeps the fewest likeliest tokens whose probabilities sum to at least p (Holtzman et
        al. 2020).
      min_p: keeps tokens that are at least min_p times as likely as the likeliest (Nguyen et al.
        2024).

    Raises:
      ValueError: a number is out of its range.

    Example:
      >>> import jax.numpy as jnp
      >>> import sample
      >>> sample.Tempered(temperature=0.5, top_k=2)(jnp.array([0.0, 1.0, 3.0])).tolist()
      [-inf, -4.0, 0.0]
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None

    def __post_init__(self):
        """Checks the ranges."""
        convert_fields(self)
        if not (self.temperature >= 0 and math.isfinite(self.temperature)):
            raise ValueError(
                "temperature must be a number >= 0 (0: always the likeliest token); got "
                f"{self.temperature}."
            )
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"top_k must be at least 1; got {self.top_k}.")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise ValueError(f"top_p must be in (0, 1]; got {self.top_p}.")
        if self.min_p is not None and not 0 <= self.min_p <= 1:
            raise ValueError(f"min_p must be in [0, 1]; got {self.min_p}.")

    def tree_flatten(self):
        """Returns the numbers as leaves with fixed dtypes; None is not a leaf."""
        leaves = (getattr(self, field.name) for field in dataclasses.fields(self))
        dtypes = (np.float32, np.int32, np.float32, np.float32)
        return tuple(map(_leaf, leaves, dtypes)), None

    @classmethod
    def tree_unflatten(cls, _, leaves):
        """Inverts `tree_flatten`. Leaves may be tracers, so nothing is checked here."""
        tempered = object.__new__(cls)
        for field, leaf in zip(dataclasses.fields(cls), leaves, strict=True):
            object.__setattr__(tempered, field.name, leaf)
        return tempered

    def __call__(self, logits: Float[Array, "*batch values"]) -> Float[Array, "*batch values"]:
        """Returns the logits of the changed distribution, -inf for dropped values; ties go to the
        lower value.
        """
        logits = logits.astype(jnp.float32)
        # The likeliest is exactly 0, so that no division can round it below another.
        most = logits.max(-1, keepdims=True)
        logits = jnp.where(logits == most, 0.0, logits - most)
        scaled = self._scaled(logits)
        likeliest = _indices(logits) == jnp.argmax(logits, axis=-1)[..., None]
        kept = likeliest | (self.temperature >= SMALLEST)
        if self.top_k is not None or self.top_p is not None:
            kept &= self._among_likeliest(logits)
        if self.min_p is not None:
            kept &= jnp.exp(scaled) >= self.min_p * (1 - _rounding(1))
        return jnp.where(kept, scaled, -jnp.inf)

    def _scaled(self, logits):
        return logits / jnp.maximum(self.temperature, SMALLEST)

    def _among_likeliest(self, logits):
        """Marks the values that top-k and top-p keep, bool [*batch, values]."""
        index = _indices(logits)
        # The sort is stable. It precedes the temperature, since a division can make two logits
        # equal.
        descending, values = jax.lax.sort(
            (-logits, jnp.broadcast_to(index, logits.shape)), num_keys=1
        )
        descending = -descending
        last = self._num_likeliest(self._scaled(descending))[..., None] - 1
        least, value = (jnp.take_along_axis(each, last, axis=-1) for each in (descending, values))
        return (logits > least) | ((logits == least) & (index <= value))

    def _num_likeliest(self, descending):
        """Counts the sorted logits that top-k and top-p keep, at least 1: [*batch]."""
        num = descending.shape[-1]
        num_kept = jnp.full(descending.shape[:-1], num, jnp.int32)
        if self.top_k is not None:
            num_kept = jnp.minimum(num_kept, self.top_k)
        if self.top_p is None:
            return num_kept
        mass = jnp.where(_indices(descending) < num_kept[..., None], jnp.exp(descending), 0.0)
        reached = jnp.cumsum(mass, axis=-1)
        short = reached < self.top_p * (1 - _rounding(num)) * reached[..., -1:]
        # top_p = 1 keeps all of them, however rare the last ones are.
        return jnp.where(
            self.top_p < 1, jnp.minimum(num_kept, 1 + short.sum(-1, dtype=jnp.int32)), num_kept
        )

    def check(self, model: zoo.Autoregressive) -> None:
        """Raises ValueError unless the model's sites are tokens with a logit for each value."""
        if not isinstance(model.head, zoo.Categorical):
            raise ValueError(
                f"only logits of tokens can be tempered; {kind(model)} has a {model.head} head."
            )


def _leaf(number, dtype):
    """Converts a Python number to `dtype`; None and arrays stay as they are."""
    if not isinstance(number, int | float):
        return number
    return dtype(min(number, np.iinfo(np.int32).max)) if dtype is np.int32 else dtype(number)


def _rounding(num):
    """Bounds the relative error of a sum of `num` probabilities in float32: exp, pairwise sum."""
    return (2 + math.log2(num) / 2) * float(jnp.finfo(jnp.float32).eps)


def _indices(logits):
    return jnp.arange(logits.shape[-1], dtype=jnp.int32).reshape((1,) * (logits.ndim - 1) + (-1,))
