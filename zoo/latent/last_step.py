"""Where a diffusion meets a head: values on the scale of the noise, and the params of the last step."""

import math

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from zoo.heads import Bernoulli, Categorical, DiscretizedLogisticMixture, Head, MixtureOfGaussians

FEW_LEVELS = 32  # a categorical head has a parameter for each


def why_unfit(head: Head, of_levels: bool) -> str | None:
    """Returns why a diffusion cannot have the head, else None.

    Args:
      head: the distribution of x_0 given x_1.
      of_levels: whether the network predicts logits of levels.

    Example:
      >>> import zoo
      >>> why_unfit(zoo.Categorical(4), True), why_unfit(zoo.MixtureOfLaplacians(1), False)[:24]
      (None, 'it needs a head of level')
    """
    mixtures = (DiscretizedLogisticMixture, MixtureOfGaussians)
    single = isinstance(head, mixtures) and head.components == 1
    if not (single or isinstance(head, Bernoulli | Categorical)):
        return (
            "it needs a head of levels (bernoulli, categorical), or a mixture of 1 component "
            f"(discretizedlogisticmixture:1, mixtureofgaussians:1); got {head}: pass --model.head"
        )
    if of_levels and single:
        return (
            f"logits of levels need a head bernoulli or categorical; got {head}: pass "
            "--model.prediction v, x0 or eps"
        )
    return None


def preferred_head(num_levels: int | None, event_shape: tuple[int, ...]) -> Head:
    """The head for data of so many levels; None: real numbers.

    Example:
      >>> preferred_head(17, ()), preferred_head(256, (3,)).channels
      (Categorical(num_classes=17), 3)
    """
    if num_levels is None:
        return MixtureOfGaussians(1)
    if event_shape or num_levels > FEW_LEVELS:
        return DiscretizedLogisticMixture(1, num_levels, *(event_shape or (1,)))
    return Bernoulli() if num_levels == 2 else Categorical(num_levels)


def scaled(head: Head, x: Shaped[Array, "..."]) -> Float[Array, "..."]:
    """Levels as numbers from -1 to 1; real numbers as they are.

    Example:
      >>> import zoo
      >>> scaled(zoo.Categorical(3), jnp.arange(3)).tolist()
      [-1.0, 0.0, 1.0]
    """
    x = x.astype(jnp.float32)
    return x if head.num_values is None else x * (2 / (head.num_values - 1)) - 1


def params_about(
    head: Head, mean: Float[Array, "..."], deviation: float
) -> Float[Array, "... num_params"]:
    """Params of a logistic about each mean, discretised to the levels; of real numbers a Gaussian.

    Args:
      head: the distribution whose params are wanted.
      mean: on the scale of `scaled`, [*sites, *event_shape].
      deviation: the standard deviation, on that scale.

    Example:
      >>> import zoo
      >>> head = zoo.Categorical(3)
      >>> params = params_about(head, jnp.array([0.9]), 0.1)
      >>> int(head.quantile(params, jnp.array([[0.5]]))[0])
      2
    """
    if isinstance(head, MixtureOfGaussians):
        excess = max(deviation - head.min_scale, 1e-6)
        return _component(mean, _softplus_inverse(excess) - _softplus_inverse(1.0))
    log_scale = math.log(deviation * math.sqrt(3) / math.pi)  # of a logistic
    if isinstance(head, Bernoulli):  # P(a logistic about the mean > 0) = sigmoid(mean / scale)
        return (mean * (math.exp(-log_scale) * head.temperature))[..., None]
    if isinstance(head, Categorical):
        logistic = DiscretizedLogisticMixture(1, head.num_classes, 1, min(log_scale, 0.0))
        params = _component(mean, log_scale)[..., None, :]  # an axis for the levels
        levels = jnp.arange(head.num_classes).reshape(*[1] * mean.ndim, -1)
        return logistic.log_prob(params, levels)
    if not head.event_shape:
        return _component(mean, log_scale)
    # A logit, means, log scales and coefficients of the colours.
    logit = jnp.zeros((*mean.shape[:-1], 1))
    return jnp.concatenate([logit, mean, jnp.full_like(mean, log_scale), 0 * mean], axis=-1)


def posterior_of_levels(
    head: Head,
    logits: Float[Array, "... outputs"],
    z: Float[Array, "..."],
    signal: Float[Array, "..."],
    noise: Float[Array, "..."],
) -> tuple[Float[Array, "..."], Float[Array, "... outputs"]]:
    """The mean and the params of the levels x_0, given logits before z ~ N(signal x_0, noise^2).

    Example:
      >>> import zoo
      >>> one = jnp.ones(1)
      >>> mean, _ = posterior_of_levels(zoo.Bernoulli(), jnp.zeros((1, 1)), 0.3 * one, one, one)
      >>> bool(jnp.allclose(mean, jnp.tanh(0.3)))
      True
    """
    ratio = signal / jnp.square(noise)
    if isinstance(head, Bernoulli):  # log N(z; signal, noise^2) / N(z; -signal, noise^2)
        logits = logits + (2 * ratio * z)[..., None]
        return jnp.tanh(0.5 * logits[..., 0]), logits * head.temperature
    levels = jnp.linspace(-1.0, 1.0, logits.shape[-1]).reshape(*[1] * z.ndim, -1)
    of_square = (0.5 * ratio * signal)[..., None] * jnp.square(levels)
    logits = logits + (ratio * z)[..., None] * levels - of_square
    return (nn.softmax(logits) * levels).sum(-1), logits


def _component(mean, scale):
    """Params of a mixture of one component, [..., 3]."""
    return jnp.stack([jnp.zeros_like(mean), mean, jnp.full_like(mean, scale)], axis=-1)


def _softplus_inverse(y):
    return y + math.log(-math.expm1(-y))
