"""Likelihoods and samples in full float32 on devices that round the operands of a matmul; training
as the recipe says.
"""

import conformance
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax._src.lax import convolution, lax
from marks import slow_but

import sample
import zoo
from benchmarks.on_device import checks, results
from train.engine.step import initial_state, make_update
from train.recipe.recipe import Recipe

MODELS = {
    "made": zoo.MADE((8, 8), hidden=(100,)),
    "nade": zoo.NADE((8, 8), hidden=50),
    "gated": zoo.GatedPixelCNN((6, 6), features=8, layers=2, kernel_size=3, out_features=8),
    "lstm": zoo.LSTM((24,), features=32, layers=1, head=zoo.Categorical(20)),
    "transformer": zoo.Transformer(
        (24,), 32, 2, heads=2, window=24, dropout=0.0, head=zoo.Categorical(20)
    ),
}
BITS = 7  # of bfloat16's significand


@pytest.fixture
def rounding(monkeypatch):
    """Matmuls and convolutions round their operands to bfloat16, as a TPU's do, unless full float32
    is asked for.
    """
    count = []

    def rounded(primitive):
        exact = primitive.bind

        def bind(*arguments, **params):
            if not conformance.is_highest(params["precision"]):
                count.append(primitive)
                arguments = [jax.lax.reduce_precision(each, 8, BITS) for each in arguments]
            return exact(*arguments, **params)

        monkeypatch.setattr(primitive, "bind", bind)

    jax.clear_caches()
    rounded(lax.dot_general_p)
    rounded(convolution.conv_general_dilated_p)
    yield count
    jax.clear_caches()


@pytest.mark.parametrize("name", slow_but({"made", "lstm"}, MODELS))
def test_engines_agree_on_a_device_that_rounds(name, rounding):
    model, variables = MODELS[name], conformance.variables_of(MODELS[name])
    drawn = sample.draw(model, variables, jax.random.key(0), 32)
    for engine in ("recompute", "jacobi"):
        assert (
            sample.draw(model, variables, jax.random.key(0), 32, engine=engine).x == drawn.x
        ).all()
    np.testing.assert_allclose(
        drawn.log_prob, zoo.log_prob(model, variables, drawn.x), rtol=1e-5, atol=1e-4
    )
    if isinstance(model, zoo.Sequence):
        found = sample.search(model, variables, beam=2)
        scored = zoo.log_prob(model, variables, found.x[0])
        np.testing.assert_allclose(found.log_prob[0], scored, rtol=1e-5, atol=1e-4)
    assert not rounding


@pytest.mark.slow
@pytest.mark.parametrize("name", ["eonade", "vae", "cnn"])
def test_numerics_of_a_device_check_pass_on_a_device_that_rounds(
    name, rounding, tmp_path, monkeypatch
):
    monkeypatch.setenv("OUT", str(tmp_path))
    before = jax.config.jax_default_matmul_precision
    try:
        checks.numerics(name, "default")
    finally:
        jax.config.update("jax_default_matmul_precision", before)
    assert ("numerics", f"{name}/default") in results.measured() and not results.failed()
    assert results.outcomes()[f"{name}/default/gradients"] == "ok" and rounding


@pytest.mark.parametrize("precision", ["default", "highest"])
def test_training_has_the_precision_of_its_recipe(precision, rounding):
    model = zoo.MADE((3, 3), hidden=(7,))
    x = np.zeros((4, 3, 3), np.int32)
    recipe = Recipe(model, steps=4, batch_size=4, matmul_precision=precision)
    update = make_update(recipe)
    state = update.place(initial_state(recipe, x))
    rounding.clear()  # shapes of variables are found out without computing anything
    update.step(state, x, None)
    assert bool(rounding) == (precision == "default")


def test_a_likelihood_does_not_depend_on_what_jax_is_set_to(rounding):
    model, variables = MODELS["made"], conformance.variables_of(MODELS["made"])
    x = jnp.zeros((4, 8, 8), jnp.int32)
    usual = [
        scored(model, variables, x) for scored in (zoo.log_prob, zoo.conditionals, sample.surprise)
    ]
    with jax.default_matmul_precision("bfloat16"):
        again = [
            scored(model, variables, x)
            for scored in (zoo.log_prob, zoo.conditionals, sample.surprise)
        ]
    assert all(map(np.array_equal, again, usual))
    assert not rounding


def in_both_modes(function):
    usual = function()
    with zoo.foundation.precision._x64.enable_x64(True):
        wide = function()
    return usual, wide


@pytest.mark.parametrize("parallel", slow_but({"jit"}, ["jit", "pmap"]))
@pytest.mark.parametrize("name", ["made", "lstm"])
def test_training_is_the_same_with_x64(name, parallel):
    model = MODELS[name].clone(dropout=0.2) if name == "lstm" else MODELS[name].clone(num_masks=3)
    x = np.asarray(np.random.RandomState(0).randint(0, 2, (4, *model.site_shape)), np.int64)
    recipe = Recipe(
        model,
        steps=30,
        batch_size=4,
        weight_decay=0.1,
        corrected_decay=name == "made",
        parallel=parallel,
    )

    def trained():
        update = make_update(recipe)
        state = update.place(initial_state(recipe, x))
        for _ in range(3):
            state, metrics = update.step(state, x, np.zeros(4, bool) if name == "lstm" else None)
        return jax.tree.map(np.asarray, (update.fetch(state), update.fetch(metrics)._asdict()))

    usual, wide = in_both_modes(trained)
    jax.tree.map(np.testing.assert_array_equal, wide, usual)
    assert {leaf.dtype.itemsize for leaf in jax.tree.leaves(wide)} == {4}


@pytest.mark.slow
def test_texts_and_searches_are_the_same_with_x64():
    model = zoo.GRU(
        (30,), features=8, vocabulary=tuple("abcde"), end=0, pad=1, head=zoo.Categorical(5)
    )
    source = (model, conformance.variables_of(model))
    options = {
        "temperature": 0.7,
        "top_k": 4,
        "top_p": 0.9,
        "min_p": 0.01,
        "length": 40,
        "key": jax.random.key(1),
    }

    def written():
        texts = sample.text(source, ["ced", "d" * 40], **options)
        streamed = list(sample.stream(source, "ced", **options))
        found = sample.search(*source, beam=3)
        surprise = sample.surprise(*source, np.asarray(found.x[0], np.int64))
        mixture = zoo.ensemble_log_prob([model, model], source[1], np.asarray(found.x[0], np.int64))
        streams = zoo.stream_log_prob(
            *source, np.asarray(found.x[0], np.int64), zoo.begin(*source, 3)
        )
        for engine in ("recompute", "jacobi"):
            drawn = sample.draw(
                *source, jax.random.key(1), 5, engine=engine, prefix=np.array([2, 3])
            )
            yield drawn
        yield from (texts, streamed, found, surprise, mixture, streams)

    usual, wide = in_both_modes(lambda: list(written()))
    jax.tree.map(np.testing.assert_array_equal, wide, usual)
