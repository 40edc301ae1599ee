"""Changes to the law of a token that make draws more typical, and so no longer exact samples of the model."""

import dataclasses
import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

import zoo
from zoo.checks import kind

SMALLEST = 1e-30  # a temperature below it leaves nothing but the likeliest in float32


@dataclasses.dataclass(frozen=True)
class Tempered:
    """Temperature, top-k, top-p (nucleus) and min-p, applied in this order to the logits of a token.

    Draws then follow another law than the model's; their log_prob stays that of the model.

    Attributes:
      temperature: logits are divided by it; 0 takes the likeliest token always.
      top_k: only the k likeliest tokens stay.
      top_p: only the fewest likeliest tokens that have probability p together stay (Holtzman et al. 2020).
      min_p: only tokens stay that are at least min_p times as likely as the likeliest (Nguyen et al. 2024).
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None

    def __post_init__(self):
        """Refuses values that have no meaning."""
        if not (self.temperature >= 0 and math.isfinite(self.temperature)):
            raise ValueError(f"temperature must be a number >= 0 (0: the likeliest token); got {self.temperature}.")
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"top_k must be at least 1; got {self.top_k}.")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise ValueError(f"top_p must be in (0, 1]; got {self.top_p}.")
        if self.min_p is not None and not 0 <= self.min_p <= 1:
            raise ValueError(f"min_p must be in [0, 1]; got {self.min_p}.")

    def __call__(self, logits: Float[Array, "*batch values"]) -> Float[Array, "*batch values"]:
        """The logits of the changed law, -inf for what is left out."""
        logits = logits.astype(jnp.float32)
        if self.temperature < SMALLEST:
            best = jnp.argmax(logits, axis=-1)[..., None]
            return jnp.where(_indices(logits) == best, 0.0, -jnp.inf)
        # The likeliest is at 0 whatever the rounding, so that no division can take its own maximum away from it.
        logits = (logits - logits.max(-1, keepdims=True)) / self.temperature
        if self.top_k is not None and self.top_k < logits.shape[-1]:
            least = jax.lax.top_k(logits, self.top_k)[0][..., -1:]
            logits = jnp.where(logits >= least, logits, -jnp.inf)
        if self.top_p is not None:
            descending = jnp.flip(jnp.sort(jax.nn.softmax(logits), axis=-1), axis=-1)
            before = jnp.cumsum(descending, axis=-1) - descending
            least = jnp.where(before < self.top_p, descending, jnp.inf).min(-1, keepdims=True)
            logits = jnp.where(jax.nn.softmax(logits) >= least, logits, -jnp.inf)
        if self.min_p is not None:
            probabilities = jax.nn.softmax(logits)
            most = probabilities.max(-1, keepdims=True)
            logits = jnp.where(probabilities >= self.min_p * most, logits, -jnp.inf)
        return logits

    def check(self, model: zoo.Autoregressive) -> None:
        """Raises ValueError unless the model's sites are tokens with a logit for each value."""
        if not isinstance(model.head, zoo.Categorical):
            raise ValueError(f"only logits of tokens can be tempered; {kind(model)} has a {model.head} head.")


def _indices(logits):
    return jnp.arange(logits.shape[-1]).reshape((1,) * (logits.ndim - 1) + (-1,))
