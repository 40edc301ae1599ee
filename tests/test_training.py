"""The recipe, the update and the evaluation."""

import dataclasses
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import train.engine.step
import zoo
from train.data import Data, DataError, Split
from train.engine.evaluation import evaluate, summarise
from train.engine.optimisers import ema_decay, optimiser, schedule
from train.engine.prepare import inputs
from train.engine.step import Metrics, initial_state, loss, make_update
from train.recipe.presets import RECIPES
from train.recipe.recipe import Recipe, differences, from_json, to_json

SHAPE = (2, 5)
MODELS = ("fvsbn", "nade", "made", "eonade")


def noisy_copies(num, shape=SHAPE, seed=0):
    """Bits that mostly copy the first one: something to learn."""
    rng = np.random.RandomState(seed)
    first = rng.randint(2, size=(num, *[1] * len(shape)))
    return (first ^ (rng.uniform(size=(num, *shape)) < 0.1)).astype(np.uint8)


@pytest.fixture
def data(tmp_path):
    """A small data set in a file, as a user would bring it."""
    path = tmp_path / "bits.npz"
    np.savez(
        path, train=noisy_copies(80), valid=noisy_copies(30, seed=1), test=noisy_copies(30, seed=2)
    )
    return Data(name="images", path=str(path))


def tiny(name="made", **changes):
    """A recipe for the catalogue's tiny model of that name."""
    model = dataclasses.replace(zoo.CATALOGUE[name].tiny, site_shape=SHAPE)
    return Recipe(model, **{"steps": 20, "batch_size": 8, "eval_every": 5, "ema": 0.9, **changes})


def run_steps(recipe, steps, x, devices=None):
    """(state, metrics of every step) after some steps on one batch."""
    update = make_update(recipe, devices)
    state, metrics = update.place(initial_state(recipe, x)), []
    for _ in range(steps):
        state, out = update.step(state, x, None)
        metrics.append(
            Metrics(*map(float, out))
        )  # waits: updates must not pile up on several CPU devices
    return jax.tree.map(np.asarray, update.fetch(state)), metrics


def test_recipe_goes_through_json_and_names_differences(data):
    for recipe in (
        tiny(data=data),
        *(preset for presets in RECIPES.values() for preset in presets.values()),
    ):
        assert from_json(to_json(recipe)) == recipe
    made = RECIPES["made"]["cpu"]
    other = dataclasses.replace(made, model=made.model.clone(hidden=(20, 20)), steps=7)
    assert differences(made, made) == {}
    assert differences(made, other) == {"model.hidden": ([500], [20, 20]), "steps": (made.steps, 7)}


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0},
        {"batch_size": 0},
        {"learning_rate": 0.0},
        {"ema": 1.0},
        {"clip": -1.0},
        {"warmup": -1},
    ],
    ids=str,
)
def test_impossible_recipes_are_refused(wrong):
    with pytest.raises(ValueError, match=f"^{next(iter(wrong))} must"):
        tiny(**wrong)


@pytest.mark.parametrize("name", MODELS)
def test_fresh_model_knows_nothing(name):
    recipe, x = tiny(name), noisy_copies(64)
    state = initial_state(recipe, x)
    nats = float(loss(recipe, state.variables, jnp.asarray(x), None, jax.random.key(0))[0])
    assert nats == pytest.approx(recipe.model.num_sites * math.log(2), rel=0.25)


@pytest.mark.parametrize("name", [name for name in MODELS if name != "eonade"])  # its loss is noisy
def test_one_batch_can_be_overfitted(name):
    x = np.unique(noisy_copies(64), axis=0)[:8]
    recipe = tiny(name, steps=300, learning_rate=0.05, warmup=0)
    _, metrics = run_steps(recipe, recipe.steps, x, jax.devices()[:1])
    assert metrics[-1].loss < metrics[0].loss - 3
    assert metrics[-1].loss < 3.2  # ln 8 = 2.08 nats if only the eight examples had probability


def test_schedule_warms_up_then_decays():
    rate = schedule(tiny(steps=100, warmup=10, learning_rate=1.0, final_rate=0.1))
    with jax.numpy_dtype_promotion("standard"):
        rates = np.asarray([rate(step) for step in range(101)])
    assert np.argmax(rates) == 10
    assert rates[10] == pytest.approx(1.0)
    assert rates[0] == pytest.approx(1 / 11, rel=1e-5)
    assert rates[55] == pytest.approx(0.55, rel=1e-5)
    assert rates[100] == pytest.approx(0.1, rel=1e-5)
    assert (np.diff(rates[:11]) > 0).all()
    assert (np.diff(rates[10:]) < 0).all()


@pytest.mark.parametrize(
    ("steps", "warmup", "peak"),
    [
        (5000, 100, 100),
        (1000, 100, 100),
        (300, 100, 100),
        (120, 100, 60),
        (300, 40, 40),
        (300, 0, 0),
        (20_000, 3000, 2000),
    ],
)
def test_warm_up_of_short_trainings(steps, warmup, peak):
    """At most a tenth of the steps, but up to 100 steps or half of a short training; never more
    than asked for.
    """
    rate = schedule(tiny(steps=steps, warmup=warmup, learning_rate=1.0))
    with jax.numpy_dtype_promotion("standard"):
        rates = np.asarray(jax.vmap(rate)(np.arange(steps)))
    assert np.argmax(rates) == peak and rates[peak] == pytest.approx(1.0)


@pytest.mark.parametrize(("name", "parallel"), [("made", "jit"), ("lstm", "jit"), ("lstm", "pmap")])
def test_donated_memory_changes_nothing(name, parallel, monkeypatch):
    """Updates in flight all at once, with and without donation: the same states, up to how sums are
    compiled.
    """
    tokens, ends = np.random.RandomState(0).randint(3, size=(30, 8, 10)), np.zeros((30, 8), bool)
    ends[[0, 7]] = True
    if name == "made":
        recipe, batches = (
            tiny(name, parallel=parallel),
            [(noisy_copies(8, seed=i), None) for i in range(30)],
        )
    else:
        model = zoo.LSTM((10,), features=24, layers=1, dropout=0.2, head=zoo.Categorical(3))
        recipe = Recipe(model, steps=30, batch_size=8, learning_rate=0.05, parallel=parallel)
        batches = list(zip(tokens, ends, strict=True))

    def states(donate):
        monkeypatch.setattr(train.engine.step, "donated", lambda _: donate)
        make = train.engine.step._by_pmap if parallel == "pmap" else train.engine.step._by_jit
        update = make.__wrapped__(recipe, tuple(jax.devices()[:1]))  # past its cache
        state, metrics = update.place(initial_state(recipe, *batches[0])), []
        for batch in batches:
            state, out = update.step(state, *batch)
            metrics.append(out)
        return jax.tree.map(np.array, (update.fetch(state), metrics))

    used, none = train.engine.step.donated(jax.devices()), ()
    for a, b in zip(*(jax.tree.leaves(states(donate)) for donate in (used, none)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("parallel", ["jit", "pmap"])
def test_a_non_finite_update_is_skipped(parallel):
    """The state stays, bit for bit, but for the step; the updates after it go on from there."""
    recipe, x = tiny("fvsbn", parallel=parallel), noisy_copies(8)
    update = make_update(recipe)
    before, _ = update.step(update.place(initial_state(recipe, x)), x, None)
    before = jax.tree.map(np.array, update.fetch(before))
    poisoned = jax.tree.map(np.copy, before)
    poisoned.variables["params"]["linear"]["bias"][0] = np.nan
    after, metrics = update.step(update.place(poisoned), x, None)
    assert not math.isfinite(float(metrics.loss))
    for new, old in zip(
        *(jax.tree.leaves(s._replace(step=0)) for s in (update.fetch(after), poisoned)), strict=True
    ):
        np.testing.assert_array_equal(new, old)
    assert int(update.fetch(after).step) == int(before.step) + 1


def test_gradients_are_clipped_to_their_global_norm():
    recipe = tiny("fvsbn", clip=0.5)
    variables = initial_state(recipe, noisy_copies(8)).variables
    grads = jax.tree.map(lambda leaf: jnp.full(leaf.shape, 3.0), variables)
    norm = 3 * math.sqrt(sum(leaf.size for leaf in jax.tree.leaves(grads)))
    with jax.numpy_dtype_promotion("standard"):
        _, clipped = optimiser(recipe).update(grads, optimiser(recipe).init(variables), variables)
        scaled = jax.tree.map(lambda leaf: leaf * (0.5 / norm), grads)
        free = optimiser(dataclasses.replace(recipe, clip=0.0))
        _, expected = free.update(scaled, free.init(variables), variables)
    assert norm > 0.5
    for ours, theirs in zip(jax.tree.leaves(clipped), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_corrected_decay_falls_with_the_rate():
    """Without a gradient an update is only the decay: rate times decay of the weights, corrected
    once
      more by the rate.
    """
    for corrected in (False, True):
        recipe = tiny(
            "fvsbn",
            steps=10,
            warmup=0,
            learning_rate=0.2,
            weight_decay=0.5,
            corrected_decay=corrected,
        )
        rate, optimise = schedule(recipe), optimiser(recipe)
        weights = {"w": jnp.ones(3)}
        with jax.numpy_dtype_promotion("standard"):
            state = optimise.init(weights)
            for step in range(10):
                change, state = optimise.update({"w": jnp.zeros(3)}, state, weights)
                expected = -rate(step) * 0.5 * (rate(step) / 0.2 if corrected else 1)
                np.testing.assert_allclose(change["w"], np.full(3, expected), rtol=1e-5)


@pytest.mark.parametrize("parallel", ["jit", "pmap"])
def test_corrected_decay_trains(parallel):
    """Its schedule is part of the state; where there is nothing to decay it changes nothing."""
    x = noisy_copies(8)
    plain, corrected = (
        tiny(parallel=parallel, corrected_decay=corrected) for corrected in (False, True)
    )
    ours, theirs = (run_steps(recipe, 5, x)[0].variables for recipe in (corrected, plain))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), ours, theirs)
    decayed = run_steps(dataclasses.replace(corrected, weight_decay=5.0), 5, x)[0].variables
    assert (
        max(
            np.abs(a - b).max() for a, b in zip(*map(jax.tree.leaves, (ours, decayed)), strict=True)
        )
        > 1e-3
    )


def test_average_of_the_weights_is_what_it_says():
    recipe, x = tiny("fvsbn", ema=0.3, learning_rate=0.1), noisy_copies(8)
    update = make_update(recipe)
    state = update.place(initial_state(recipe, x))
    average = np.asarray(jax.tree.leaves(state.variables)[0], np.float64)
    for step in range(6):
        state, _ = jax.block_until_ready(update.step(state, x, None))
        decay = min(0.3, (1 + step) / (10 + step))
        average = decay * average + (1 - decay) * np.asarray(
            jax.tree.leaves(state.variables)[0], np.float64
        )
    np.testing.assert_allclose(jax.tree.leaves(state.ema)[0], average, rtol=1e-5, atol=1e-7)
    assert float(ema_decay(recipe, jnp.int32(10**6))) == pytest.approx(0.3)


def test_without_average_the_weights_themselves_are_evaluated():
    state, _ = run_steps(tiny("fvsbn", ema=0.0), 3, noisy_copies(8))
    for ema, leaf in zip(jax.tree.leaves(state.ema), jax.tree.leaves(state.variables), strict=True):
        np.testing.assert_array_equal(ema, leaf)


@pytest.mark.parametrize("name", MODELS)
def test_bfloat16_is_close_and_keeps_float32_weights(name):
    x = noisy_copies(8)
    wide, exact = run_steps(tiny(name), 5, x, jax.devices()[:1])
    half, rounded = run_steps(tiny(name, dtype="bfloat16"), 5, x, jax.devices()[:1])
    assert all(leaf.dtype == np.float32 for leaf in jax.tree.leaves(half.variables))
    np.testing.assert_allclose([m.loss for m in rounded], [m.loss for m in exact], rtol=0.02)
    assert any(
        (a != b).any() for a, b in zip(jax.tree.leaves(half), jax.tree.leaves(wide), strict=True)
    )


@pytest.mark.parametrize("parallel", ["jit", "pmap"])
def test_update_is_compiled_once(parallel, caplog):
    recipe, x = tiny(seed=5, parallel=parallel), noisy_copies(8)
    update = make_update(recipe)
    state = update.place(initial_state(recipe, x))
    state, _ = jax.block_until_ready(update.step(state, x, None))
    with caplog.at_level("WARNING", "jax"), jax.log_compiles():
        jax.block_until_ready(update.step(state, x, None))
    assert not [record for record in caplog.records if "ompil" in record.getMessage()]


@pytest.mark.parametrize("batch_size", [1, 7, 20, 100])
def test_evaluation_against_numpy(batch_size):
    model, x = zoo.FVSBN(SHAPE), noisy_copies(23)
    variables = zoo.init(model, jax.random.key(0), jnp.asarray(x))
    nats = -np.asarray(zoo.log_prob(model, variables, jnp.asarray(x)), np.float64)
    got = evaluate(model, variables, Split(x, None), batch_size)
    assert got.num == 23
    assert got.nats == pytest.approx(nats.sum() / 23, rel=1e-5)
    assert got.standard_error == pytest.approx(
        math.sqrt(((nats - nats.mean()) ** 2).sum() / 22 / 23), rel=1e-4
    )
    assert got.bits_per_dim == pytest.approx(got.nats / math.log(2) / 10, rel=1e-6)


def test_ensemble_averages_probabilities():
    model, x = zoo.CATALOGUE["made"].tiny, noisy_copies(9)
    variables = zoo.init(model, jax.random.key(0), jnp.asarray(x))
    each = [
        np.asarray(zoo.log_prob(member, variables, jnp.asarray(x)), np.float64)
        for member in model.members()
    ]
    expected = -np.log(np.mean(np.exp(each), axis=0)).mean()
    assert len(each) == 3
    assert evaluate(model, variables, Split(x, None), 4, ensemble=True).nats == pytest.approx(
        expected, rel=1e-5
    )


@pytest.mark.parametrize(("seconds", "shown"), [(1e-4, False), (20, True)])
def test_long_scoring_shows_its_progress(seconds, shown, monkeypatch, capsys):
    clock = itertools.count(step=seconds)
    monkeypatch.setattr("tqdm.std.time", lambda: next(clock))
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    model, x = zoo.FVSBN(SHAPE), noisy_copies(23)
    evaluate(model, zoo.init(model, jax.random.key(0), jnp.asarray(x)), Split(x, None), 10)
    assert ("23/23" in capsys.readouterr().err) == shown


def test_one_example_has_no_standard_error():
    one = summarise(np.asarray([2.0]), zoo.FVSBN((1,)), np.zeros((1, 1), np.int32))
    assert math.isnan(one.standard_error)
    assert str(one) == "2.00 nats, 2.8854 bits/dim (1 example)"


def test_data_must_fit_the_model(data):
    assert inputs(tiny(data=data)).train.x.shape == (80, *SHAPE)
    with pytest.raises(
        DataError, match=r"shape \[2, 5\].*describes \[28, 28\].*--model.site-shape 2 5"
    ):
        inputs(dataclasses.replace(tiny(data=data), model=zoo.MADE()))
    grey = dataclasses.replace(tiny(data=Data("digits")), model=zoo.FVSBN((8, 8)))
    with pytest.raises(DataError, match=r"17 levels.*--model.head categorical:17"):
        inputs(grey)
    inputs(dataclasses.replace(grey, model=zoo.FVSBN((8, 8), zoo.Categorical(17))))


@pytest.mark.parametrize(
    ("model", "advice"),
    [
        (zoo.PixelCNN(), "--model.site-shape 2 3 3, or"),
        (
            zoo.PixelCNN(head=zoo.DiscretizedLogisticMixture()),
            "--model.site-shape 2 3 3 --model.head categorical:256, or",
        ),
        (
            zoo.PixelCNNpp(),
            "--model.site-shape 2 3 --model.head discretizedlogisticmixture:10:256:3, or",
        ),
        (zoo.PixelCNNpp(head=zoo.DiscretizedLogisticMixture()), "--model.site-shape 2 3, or"),
    ],
)
def test_advice_on_colours_can_be_followed(tmp_path, model, advice):
    np.save(
        tmp_path / "rgb.npy",
        np.random.RandomState(0).randint(0, 256, (30, 2, 3, 3)).astype(np.uint8),
    )
    with pytest.raises(DataError, match=advice):
        inputs(
            dataclasses.replace(
                tiny(data=Data("images", path=str(tmp_path / "rgb.npy"))), model=model
            )
        )


def test_labels_must_be_there(data):
    with pytest.raises(DataError, match="no labels"):
        inputs(tiny(data=data, conditional=True))
