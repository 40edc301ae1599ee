"""One update: the loss, its gradient, the optimiser and the average of the weights, on all devices
at once.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jaxlib
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PyTree

import zoo
from train.engine.devices import fetched, pieces, placed, shardings, share
from train.engine.optimisers import ema_decay, optimiser, schedule
from train.engine.warm_start import with_encoder, with_weights
from train.kinds import kind_of
from train.recipe.recipe import Recipe
from train.update.gradient import cast, gradient
from train.update.gradient import loss as loss
from train.update.parts import encoder_params, on_encoder, scale_critic
from zoo.foundation.precision import without_x64


class State(NamedTuple):
    """All arrays of a training.

    Attributes:
      step: updates made so far; with the recipe's seed it determines the batch and the noise of the
        next.
      variables: the model's, float32.
      ema: their running average, which is what gets evaluated and saved.
      opt_state: the optimiser's.
      carry: what a recurrent network remembers of its streams; empty for other models.
    """

    step: Int[Array, ""]
    variables: zoo.Variables
    ema: zoo.Variables
    opt_state: optax.OptState
    carry: PyTree = ()


class Metrics(NamedTuple):
    """What an update reports: the loss and the gradient's global norm before it, and the learning
    rate of it.

    Where the loss or the norm is infinite or nan, the update was skipped.
    """

    loss: Float[Array, ""]
    gradient_norm: Float[Array, ""]
    learning_rate: Float[Array, ""]


class Update(NamedTuple):
    """An update compiled for a set of devices.

    Attributes:
      step: (state, x, context) -> (state, metrics). The state is donated, and must not be used
        again.
      place: a copy of a state as `step` wants it on the devices.
      fetch: (any part of) a state from the devices, as plain arrays without a device axis.
    """

    step: Callable[[State, np.ndarray, PyTree], tuple[State, Metrics]]
    place: Callable[[State], State]
    fetch: Callable[[Any], Any]


@without_x64
def initial_state(
    recipe: Recipe, x: np.ndarray, context: PyTree = None, values: np.ndarray | None = None
) -> State:
    """A fresh state, shaped by an example batch; the output bias is fitted to `values`, if given."""
    key, _ = _keys(recipe)
    model: Any = recipe.model
    fitting = kind_of(model).of_length(model, x)
    variables = zoo.init(fitting, key, jnp.asarray(x), None if model.streams else context)
    variables = with_weights(recipe, variables)
    if recipe.encoder is not None or recipe.encoder_rate != 1:
        variables = with_encoder(recipe, variables)
    if values is not None and recipe.start is None:
        variables = model.fitted(variables, values)
    ema = jax.tree.map(jnp.copy, variables)
    carry = zoo.begin(model, cast(recipe, variables), len(x)) if model.streams else ()
    with jax.numpy_dtype_promotion("standard"):  # optax relies on it
        opt_state = optimiser(recipe).init(variables)
    return State(jnp.zeros((), jnp.int32), variables, ema, opt_state, carry)


def make_update(recipe: Recipe, devices: Sequence[jax.Device] | None = None) -> Update:
    """The update of `recipe` over the devices, by default all; over fewer where the batch does not
    divide among them all.
    """
    make = _by_pmap if recipe.parallel == "pmap" else _by_jit
    used = share(recipe.part_size, devices, recipe.accumulate)
    if recipe.parallel == "pmap" and jax.process_count() > 1:
        raise ValueError(
            "--parallel pmap is for one process: pass --parallel jit, or drop --distributed."
        )
    if recipe.shard != "none" and len(used) == 1:
        given = len(devices or jax.devices())
        if given == 1:
            raise ValueError(
                f"--shard {recipe.shard} cuts the weights over several devices, and there is one: "
                "pass --shard none."
            )
        raise ValueError(
            f"--shard {recipe.shard} cuts the weights over several devices, and of {given} a batch "
            f"of {recipe.part_size} uses one: pass --shard none, or a --batch-size that several "
            "devices divide."
        )
    update = make(recipe, used)
    return update._replace(step=without_x64(update.step), place=without_x64(update.place))


def _keys(recipe):
    init_key, step_key = jax.random.split(jax.random.key(recipe.seed))
    return init_key, step_key


def _step(recipe, axis, state, x, context, gather=None, scatter=None):
    """The update as one device sees it; `axis` names the devices whose gradients are averaged, if
    that is by hand.

    By hand, each device draws noise of its own, by its index. Where the loss or the gradient is
    infinite or nan the state stays as it is, but for the step. Where the devices share the weights,
    `gather` brings them together for the network, and `scatter` cuts their gradient as they are.
    """
    _, key = _keys(recipe)
    key = jax.random.fold_in(key, state.step)
    if axis is not None:
        key = jax.random.fold_in(key, jax.lax.axis_index(axis))

    whole = gather(state.variables) if gather else state.variables
    with jax.default_matmul_precision(recipe.matmul_precision):
        nats, grads, carry = gradient(recipe, whole, x, context, key, state.carry, axis)
    grads = scatter(grads) if scatter else grads
    if axis is not None:
        nats, grads = jax.lax.pmean((nats, grads), axis)
    with jax.numpy_dtype_promotion("standard"):  # optax relies on it
        updates, opt_state = optimiser(recipe).update(grads, state.opt_state, state.variables)
        if recipe.encoder_rate != 1:
            updates = on_encoder(lambda leaf: leaf * recipe.encoder_rate, updates)
        if recipe.critic_rate != 1:
            updates = scale_critic(recipe, updates)
        variables: Any = optax.apply_updates(state.variables, updates)
        rate = jnp.asarray(schedule(recipe)(state.step), jnp.float32)
    norm = jnp.sqrt(sum(jnp.square(leaf).sum() for leaf in jax.tree.leaves(grads)))
    decay = ema_decay(recipe, state.step)
    ema = jax.tree.map(
        lambda average, new: decay * average + (1 - decay) * new, state.ema, variables
    )
    if recipe.encoder_rate == 0:  # not even by rounding
        ema = {**ema, "params": {**ema["params"], **encoder_params(variables)}}
    updated = State(state.step + 1, variables, ema, opt_state, carry)
    sound = jnp.isfinite(nats) & jnp.isfinite(norm)
    kept = jax.tree.map(
        lambda new, old: jnp.where(sound, new, old), updated, state._replace(step=updated.step)
    )
    return kept, Metrics(nats, norm, rate)


def donated(devices: Sequence[jax.Device]) -> tuple[int, ...]:
    """Which arguments of `_step` give their memory to its results: the state.

    None on CPUs before jaxlib 0.8: LSTMs have diverged there by donation alone, from gradients that
      were right.
    """
    old = tuple(map(int, jaxlib.__version__.split(".")[:2])) < (0, 8)
    return () if old and devices[0].platform == "cpu" else (0,)


@functools.lru_cache(maxsize=8)  # a resumed or repeated training does not compile again
def _by_jit(recipe, devices):
    replicated, split = shardings(devices)
    constrain = jax.lax.with_sharding_constraint

    def each(sharding):
        return lambda tree: jax.tree.map(lambda _: sharding, tree)

    lie, gather, scatter = each(replicated), None, None  # how arrays of the state lie
    if recipe.shard == "fsdp":
        lie = functools.partial(pieces, devices=devices)
        gather = lambda tree: constrain(tree, each(replicated)(tree))  # noqa: E731
        scatter = lambda tree: constrain(tree, lie(tree))  # noqa: E731

    def where(state):
        return lie(state._replace(carry=()))._replace(carry=each(split)(state.carry))

    @functools.partial(jax.jit, donate_argnums=donated(devices))
    def step(state, x, context):
        state, metrics = _step(recipe, None, state, x, context, gather, scatter)
        return constrain(state, where(state)), constrain(metrics, each(replicated)(metrics))

    return Update(
        step=lambda state, x, context: step(state, *placed((x, context), split)),
        place=lambda state: placed(state, where(state), may_alias=False),
        fetch=fetched,
    )


@functools.lru_cache(maxsize=8)
def _by_pmap(recipe, devices):
    step = jax.pmap(
        functools.partial(_step, recipe, "data"),
        axis_name="data",
        out_axes=(0, None),
        devices=devices,
        donate_argnums=donated(devices),
    )
    copy = jax.pmap(lambda _, tree: tree, axis_name="data", in_axes=(0, None), devices=devices)
    share = jax.pmap(lambda tree: tree, axis_name="data", devices=devices)

    def cut(rows):
        return rows.reshape(len(devices), -1, *rows.shape[1:])

    def place(state):
        whole = copy(np.arange(len(devices)), state._replace(carry=()))
        return whole._replace(carry=share(jax.tree.map(cut, state.carry)) if state.carry else ())

    def fetch(tree):
        if not isinstance(tree, State):
            return jax.tree.map(_first_copy, tree)
        carry = jax.tree.map(lambda leaf: np.asarray(leaf).reshape(-1, *leaf.shape[2:]), tree.carry)
        return jax.tree.map(_first_copy, tree._replace(carry=()))._replace(carry=carry)

    return Update(
        step=lambda state, x, context: step(state, *jax.tree.map(cut, (x, context))),
        place=place,
        fetch=fetch,
    )


def _first_copy(leaf):
    """What the first device holds; read from there, for slicing the whole would run on all devices
    at once.
    """
    return np.asarray(leaf.addressable_data(0)).reshape(leaf.shape[1:])
