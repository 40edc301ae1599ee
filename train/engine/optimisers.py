"""The optimiser of a recipe: its schedule, clipping, decay, and the average of the weights."""

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from train.recipe.recipe import Recipe

LEAST_WARMUP = 100  # steps, where the recipe asks for as many


def schedule(recipe: Recipe) -> optax.Schedule:
    """The learning rate of every step: linear warm-up, then half a cosine.

    The warm-up takes at most a tenth of all steps, but in short trainings up to `LEAST_WARMUP` or
    half of them: a rate that rises within a few steps makes the gradients of recurrent networks
    jump.
    """
    warmup = min(recipe.warmup, max(recipe.steps // 10, min(recipe.steps // 2, LEAST_WARMUP)))
    return optax.warmup_cosine_decay_schedule(
        init_value=recipe.learning_rate / (warmup + 1),
        peak_value=recipe.learning_rate,
        warmup_steps=warmup,
        decay_steps=recipe.steps,
        end_value=recipe.learning_rate * recipe.final_rate,
    )


def optimiser(recipe: Recipe) -> optax.GradientTransformation:
    """Clipping by global norm, then Adam with decoupled weight decay.

    With `corrected_decay` a step shrinks the weights by decay rate_t^2 / rate_max, as A. Defazio
    does for layers that are normalised (Why gradients rapidly increase near the end of training,
    2025), here all of them: what a plain decay costs in fit then lasts only as long as the rate is
    high.
    """
    clip = optax.clip_by_global_norm(recipe.clip) if recipe.clip else optax.identity()
    rate = schedule(recipe)
    if not recipe.corrected_decay:
        return optax.chain(clip, optax.adamw(rate, weight_decay=recipe.weight_decay))

    def corrected(step):
        return recipe.weight_decay * rate(step) / recipe.learning_rate

    decay = optax.inject_hyperparams(optax.add_decayed_weights)(corrected)
    return optax.chain(clip, optax.scale_by_adam(), decay, optax.scale_by_learning_rate(rate))


def ema_decay(recipe: Recipe, step: Int[Array, ""]) -> Float[Array, ""]:
    """Decay of the weights' average at a step: min(ema, (1 + t) / (10 + t))."""
    t = step.astype(jnp.float32)
    return jnp.minimum(recipe.ema, (1 + t) / (10 + t))
