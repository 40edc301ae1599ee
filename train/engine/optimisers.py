"""The optimiser of a recipe: its schedule, clipping, decay, and the average of the weights."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from train.recipe.recipe import Recipe

LEAST_WARMUP = 100  # steps, where the recipe asks for as many


def schedule(recipe: Recipe) -> optax.Schedule:
    """The learning rate of every step: a linear warm-up, then the schedule that the recipe names.

    The warm-up takes at most a tenth of all steps (of the first cycle), but in short trainings up
    to `LEAST_WARMUP` or half of them: a rate that rises within a few steps makes the gradients of
    recurrent networks jump.

    Cyclic schedules are cosines that restart (I. Loshchilov, F. Hutter, SGDR, ICLR 2017), one-cycle
    is that of L. Smith, N. Topin (Super-convergence, 2018), the inverse square root that of A.
    Vaswani et al. (Attention is all you need, 2017): peak sqrt(w / t) after a warm-up of w steps.
    """
    first = recipe.cycle_ends[0]
    warmup = min(recipe.warmup, max(first // 10, min(first // 2, LEAST_WARMUP)))
    make = _cosines if recipe.schedule in ("cosine", "cyclic") else _risen

    def rate(step):
        with jax.numpy_dtype_promotion("standard"):  # optax relies on it
            return make(recipe, warmup)(step)

    return rate


def _cosines(recipe, warmup):
    """Half a cosine for each cycle, the first one after the warm-up."""
    ends, peak = recipe.cycle_ends, recipe.learning_rate
    return optax.sgdr_schedule(
        {
            "init_value": peak / (warmup + 1),
            "peak_value": peak,
            "warmup_steps": 0 if start else warmup,
            "decay_steps": end - start,
            "end_value": peak * recipe.schedule_fields["final_rate"],
        }
        for start, end in zip((0, *ends[:-1]), ends, strict=True)
    )


def _risen(recipe, warmup):
    """The other schedules: a line to their first rate, then they themselves."""
    after = _after_warmup(recipe, warmup)
    first = after(0)
    rise = optax.linear_schedule(first / (warmup + 1), first, warmup)
    return optax.join_schedules([rise, after], [warmup])


def _after_warmup(recipe, warmup):
    """A schedule as a function of the steps since the warm-up."""
    peak, steps, fields = recipe.learning_rate, recipe.steps - warmup, recipe.schedule_fields
    match recipe.schedule:
        case "linear":
            return optax.linear_schedule(peak, peak * fields["final_rate"], steps)
        case "exponential":
            return optax.exponential_decay(peak, steps, fields["final_rate"])
        case "one_cycle":
            # optax's last rate is peak / (25 final_div_factor)
            return optax.cosine_onecycle_schedule(
                steps, peak, final_div_factor=1 / (25 * fields["final_rate"])
            )
        case "step":
            drops: dict[int, float] = {}
            for place in fields["drop_at"]:
                at = round(place * recipe.steps) - warmup
                drops[at] = drops.get(at, 1.0) * fields["drop_factor"]
            return optax.piecewise_constant_schedule(peak, drops)
        case "inverse_sqrt":
            scale = max(warmup, 1)
            return lambda step: peak * jnp.sqrt(scale / (scale + jnp.maximum(step, 0)))
    return optax.constant_schedule(peak)


def optimiser(recipe: Recipe) -> optax.GradientTransformation:
    """Clipping by global norm, then Adam with decoupled weight decay.

    With `corrected_decay` a step shrinks the weights by decay rate_t^2 / rate_max, as A. Defazio
    does for layers that are normalised (Why gradients rapidly increase near the end of training,
    2025), here all of them: what a plain decay costs in fit then lasts only as long as the rate is
    high.
    """
    clip: Any = _clipping(recipe)
    rate = schedule(recipe)
    if not recipe.corrected_decay:
        adam = optax.adamw(rate, recipe.momentum, weight_decay=recipe.weight_decay)
        return optax.chain(clip, adam)

    def corrected(step):
        return recipe.weight_decay * rate(step) / recipe.learning_rate

    decay = optax.inject_hyperparams(optax.add_decayed_weights)(corrected)
    scaled = optax.scale_by_adam(recipe.momentum)
    return optax.chain(clip, scaled, decay, optax.scale_by_learning_rate(rate))


def _clipping(recipe):
    """Clipping by the global norm; where players are trained against each other, by that of each."""
    if not recipe.clip:
        return optax.identity()
    clip: Any = optax.clip_by_global_norm(recipe.clip)
    players = recipe.model.players
    if not players:
        return clip

    def label(params):
        return {"params": {name: name for name in params["params"]}}

    return optax.multi_transform(dict.fromkeys(players, clip), label)


def ema_decay(recipe: Recipe, step: Int[Array, ""]) -> Float[Array, ""]:
    """Decay of the weights' average, t steps after the cycle began: min(ema, (1 + t) / (10 + t)).

    It is 0 where the learning rate restarts, so the average never reaches back into another cycle.
    """
    starts = jnp.asarray((0, *recipe.cycle_ends[:-1]), jnp.int32)
    start = jnp.max(jnp.where(starts <= step, starts, 0))
    t = (step - start).astype(jnp.float32)
    decay = jnp.minimum(recipe.ema, (1 + t) / (10 + t))
    return jnp.where((start > 0) & (step == start), 0.0, decay)
