"""Schedules by name: their values, their fields, and the average of the weights across restarts."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from test_training import noisy_copies, run_steps, tiny

from train.engine.optimisers import ema_decay, schedule
from train.recipe.recipe import differences, from_json, to_json
from train.recipe.schedules import OWN

STEPS, WARMUP, PEAK = 1000, 40, 0.5
REST = STEPS - WARMUP
BODIES = {  # after the warm-up, in optax's own words
    "constant": ({}, optax.constant_schedule(PEAK)),
    "linear": ({"final_rate": 0.1}, optax.linear_schedule(PEAK, 0.05, REST)),
    "cosine": ({"final_rate": 0.1}, optax.cosine_decay_schedule(PEAK, REST, 0.1)),
    "step": (
        {"drop_at": (0.3, 0.6), "drop_factor": 0.2},
        optax.piecewise_constant_schedule(PEAK, {300 - WARMUP: 0.2, 600 - WARMUP: 0.2}),
    ),
    "exponential": ({}, optax.exponential_decay(PEAK, REST, 0.01)),
    "inverse_sqrt": ({}, lambda t: PEAK * np.sqrt(WARMUP / (WARMUP + t))),
    "cyclic": (
        {"cycles": 4, "final_rate": 0.1},
        optax.join_schedules(
            [
                optax.cosine_decay_schedule(PEAK, 250 - WARMUP, 0.1),
                *[optax.cosine_decay_schedule(PEAK, 250, 0.1)] * 3,
            ],
            [250 - WARMUP, 500 - WARMUP, 750 - WARMUP],
        ),
    ),
    "one_cycle": ({}, optax.cosine_onecycle_schedule(REST, PEAK)),
}


def recipe_of(name, **changes):
    fields = {"steps": STEPS, "warmup": WARMUP, "learning_rate": PEAK, **changes}
    return tiny(schedule=name, **fields)


def test_every_schedule_has_the_values_of_optax():
    assert set(BODIES) == set(OWN)
    steps = [0, 1, 39, 40, 41, 249, 250, 299, 300, 301, 327, 328, 599, 600, 749, 750, 998, 999]
    for name, (fields, body) in BODIES.items():
        rate = schedule(recipe_of(name, **fields))
        with jax.numpy_dtype_promotion("standard"):
            first = body(0)
            rise = optax.linear_schedule(first / (WARMUP + 1), first, WARMUP)
            wanted = [rise(t) if t < WARMUP else body(t - WARMUP) for t in steps]
        np.testing.assert_allclose([rate(t) for t in steps], wanted, rtol=1e-5, err_msg=name)


def test_extreme_schedules_are_numbers():
    for name in OWN:
        for steps, warmup in [(1, 0), (1, 100), (2, 100), (3, 1), (7, 100)]:
            cycles = {"cycles": min(5, steps)} if name == "cyclic" else {}
            rate = schedule(recipe_of(name, steps=steps, warmup=warmup, **cycles))
            rates = np.array([rate(t) for t in range(steps + 1)])
            assert np.isfinite(rates).all() and (rates >= 0).all() and (rates <= PEAK).all(), name
    early = schedule(recipe_of("step", steps=1000, warmup=100, drop_at=(0.0101, 0.0102)))
    assert float(early(500)) == pytest.approx(PEAK * 0.01)  # both drops, at one step of the warm-up


def test_one_cycle_is_a_cosine():
    cosine = schedule(recipe_of("cosine"))
    cyclic = schedule(recipe_of("cyclic", cycles=1))
    for step in (0, 10, 40, 500, 999):
        assert float(cyclic(step)) == float(cosine(step))


def test_corrected_decay_follows_each_schedule():
    """With a gradient of 0, the weights shrink by decay rate_t^2 / rate_max."""
    from train.engine.optimisers import optimiser

    params, gone = {"params": {"w": jnp.ones(())}}, {"params": {"w": jnp.zeros(())}}
    for name in ("cyclic", "one_cycle", "step"):
        recipe = recipe_of(name, steps=20, weight_decay=0.5, corrected_decay=True)
        rule, rate, weight = optimiser(recipe), schedule(recipe), 1.0
        with jax.numpy_dtype_promotion("standard"):
            state, got = rule.init(params), params
            for step in range(3):
                updates, state = rule.update(gone, state, got)
                got = optax.apply_updates(got, updates)
                weight *= 1 - 0.5 * float(rate(step)) ** 2 / PEAK
        assert float(got["params"]["w"]) == pytest.approx(weight, rel=1e-5), name


def test_the_average_restarts_with_each_cycle():
    recipe = recipe_of("cyclic", steps=10, cycles=2, ema=0.9)
    decays = [float(ema_decay(recipe, jnp.asarray(step))) for step in range(10)]
    wanted = [min(0.9, (1 + t) / (10 + t)) for t in range(5)]
    np.testing.assert_allclose(decays, [*wanted, 0.0, *wanted[1:]], rtol=1e-6)
    state, _ = run_steps(recipe, 6, noisy_copies(8), jax.devices()[:1])
    for average, weight in zip(
        jax.tree.leaves(state.ema), jax.tree.leaves(state.variables), strict=True
    ):
        np.testing.assert_array_equal(average, weight)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"cycles": 5},
            "--cycles is not supported by the schedule cosine: drop it, or choose anoth",
        ),
        (
            {"schedule": "constant", "final_rate": 0.1},
            "--final-rate is not supported by the schedu",
        ),
        (
            {"schedule": "cyclic", "drop_factor": 0.5},
            r"--drop-factor is not supported.*--schedule \(step\)",
        ),
        (
            {"schedule": "linear", "drop_at": [0.5]},
            "--drop-at is not supported by the schedule lin",
        ),
        ({"schedule": "cosin"}, "unknown schedule 'cosin'; there are constant, .* mean 'cosine'"),
        (
            {"schedule": "cyclic", "cycles": 21},
            "cycles must be at least 1 and at most the 20 steps",
        ),
        ({"schedule": "cyclic", "cycles": 0}, "cycles must be at least 1"),
        ({"schedule": "step", "drop_factor": 1.5}, "drop_factor must lie between 0 and 1; got 1.5"),
        ({"schedule": "step", "drop_at": (0.7, 0.5)}, "drop_at must be fractions of all steps"),
        ({"schedule": "step", "drop_at": (1.0,)}, "drop_at must be fractions of all steps"),
        ({"schedule": "exponential", "final_rate": 0.0}, "final_rate must be positive"),
        ({"final_rate": float("nan")}, "final_rate must not be negative"),
        ({"snapshots": True}, "the schedule cosine has no cycles: pass --schedule cyclic, or drop"),
        ({"schedule": "cyclic", "snapshots": True, "patience": 3}, "pass --patience 0"),
        (
            {"schedule": "cyclic", "snapshots": True, "calibrate": True},
            "--calibrate fits one model",
        ),
    ],
    ids=str,
)
def test_fields_that_mean_nothing_are_refused(fields, message):
    with pytest.raises(ValueError, match=message) as caught:
        tiny(**fields)
    assert "\n" not in str(caught.value)


def test_old_recipes_have_the_cosine():
    """The recipe of a run from before there were schedules: it had a final rate of 0."""
    recipe = tiny()
    new = ("schedule", "cycles", "drop_at", "drop_factor", "snapshots")
    old = {name: value for name, value in to_json(recipe).items() if name not in new}
    loaded = from_json(old | {"final_rate": 0.0})
    assert loaded.schedule == "cosine" and differences(loaded, recipe) == {}
    cyclic = dataclasses.replace(recipe, schedule="step", drop_at=[0.5, 0.9])
    assert from_json(to_json(cyclic)) == cyclic
    assert "drop_at" in differences(cyclic, dataclasses.replace(cyclic, drop_at=None))
