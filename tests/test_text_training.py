"""Texts: loading them, and training on them with the state carried from batch to batch."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from marks import slow_but

import train.__main__ as cli
import zoo
from train.data import Data, DataError, Split, Streams, Windows
from train.engine.checkpoint import Checkpoints
from train.engine.evaluation import evaluate
from train.engine.prepare import fitted, inputs, training_batches
from train.engine.run_folder import RunKeeper, train_run
from train.engine.step import initial_state, loss, make_update
from train.kinds import load
from train.recipe.recipe import Recipe
from train.runs.folder import Run, create

TEXT = "".join(f"{i * i % 97} is no prime; über {i}\n" for i in range(200))


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "book.txt"
    path.write_text(TEXT, encoding="utf-8")
    return Data("text", path=str(path))


def recipe_of(model, text, **changes):
    recipe = Recipe(
        model,
        text,
        **{"steps": 12, "batch_size": 4, "eval_every": 4, "ema": 0.9, "clip": 1.0, **changes},
    )
    return fitted(recipe, inputs(recipe)), inputs(recipe)


LSTM = zoo.LSTM((10,), features=8, layers=2)


def test_a_text_is_every_character_in_order(text):
    dataset = load(text)
    assert dataset.name == "book.txt" and dataset.vocabulary == tuple(sorted(set(TEXT)))
    parts = [dataset.train.x, dataset.valid.x, dataset.test.x]
    assert "".join(dataset.vocabulary[token] for token in np.concatenate(parts)) == TEXT
    assert [len(part) for part in parts] == [
        len(TEXT) * 90 // 100,
        len(parts[1]),
        len(TEXT) - len(TEXT) * 95 // 100,
    ]
    assert f"book.txt, {len(TEXT):,} characters of {len(set(TEXT))} kinds" in dataset.description


def test_a_long_text_has_no_ends(text):
    with pytest.raises(DataError, match="one long text, in which nothing ends: drop --model.end"):
        inputs(Recipe(zoo.GRU((10,), features=8, end=1, pad=0), text))


def test_a_text_as_bytes(tmp_path, text):
    (tmp_path / "any.bin").write_bytes(bytes(range(256)) * 8)
    dataset = load(Data("text", path=str(tmp_path / "any.bin"), unit="byte"))
    assert (
        np.concatenate([dataset.train.x, dataset.valid.x, dataset.test.x]).tobytes()
        == bytes(range(256)) * 8
    )
    recipe, dataset = recipe_of(zoo.GRU((10,), features=8), dataclasses.replace(text, unit="byte"))
    assert recipe.model.head.num_values == 256 == len(recipe.model.vocabulary)
    variables = zoo.init(recipe.model, jax.random.key(0), *zoo.example(recipe.model, 2))
    assert "nats/byte" in str(evaluate(recipe.model, variables, dataset.test, 4))
    with pytest.raises(DataError, match="--data.unit of a text is char or byte"):
        load(dataclasses.replace(text, unit="word"))
    with pytest.raises(DataError, match="--data.unit is char or word"):
        load(Data("digit_words", unit="byte"))


def test_characters_may_lie_across_two_pieces_of_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr("train.data.sources.texts._PIECE", 7)
    path = tmp_path / "book.txt"
    path.write_bytes(b"\xef\xbb\xbf" + ("zwölf Boxkämpfer €\U0001f600 " * 40).encode())
    dataset = load(Data("text", path=str(path)))
    tokens = np.concatenate([dataset.train.x, dataset.valid.x, dataset.test.x])
    assert (
        "".join(dataset.vocabulary[token] for token in tokens)
        == "zwölf Boxkämpfer €\U0001f600 " * 40
    )


def test_pythons_documentation_needs_no_network():
    dataset = load(Data("python_docs"))
    assert len(dataset.train.x) > 300_000 and "e" in dataset.vocabulary


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "book.txt is empty"),
        (b"\xff\xfe\x00", "book.txt is not a text in UTF-8 .*--data.unit byte"),
        (None, "there is no file "),
    ],
)
def test_what_is_no_text_is_refused(content, message, tmp_path):
    path = tmp_path / "book.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        load(Data("text", path=str(path)))


def test_models_and_data_must_fit(text, tmp_path):
    with pytest.raises(
        DataError,
        match="book.txt holds text, but MADE describes images: pass --data.name, such as mnist_1bit",
    ):
        inputs(Recipe(zoo.MADE(), text))
    with pytest.raises(
        DataError, match="mnist_1bit holds images, but LSTM describes text: .* such as python_docs"
    ):
        inputs(Recipe(zoo.LSTM()))
    with pytest.raises(
        DataError, match="the validation split has .* tokens, fewer than one window of 4000"
    ):
        inputs(Recipe(zoo.LSTM((4000,)), text))
    recipe, dataset = recipe_of(LSTM, text, batch_size=1000)
    with pytest.raises(DataError, match="1000 streams of 10 at a time need 10,000"):
        training_batches(recipe, dataset)


def test_streams_read_on_and_begin_again():
    streams = Streams(np.arange(47), 5, 4)
    assert streams.steps_per_epoch == 2
    (x, anew), (y, on), (z, again) = (streams(step) for step in (0, 1, 2))
    assert (x[:, 0] == [0, 11, 22, 33]).all() and (y == x + 5).all() and (z == x).all()
    assert anew.all() and not on.any() and again.all()


def test_windows_are_a_function_of_seed_and_step():
    tokens = np.arange(1000)
    windows, same, other = (Windows(Split(tokens, None), 8, 4, seed) for seed in (3, 3, 4))
    assert (windows(7)[0] == same(7)[0]).all() and (windows(7)[0] != windows(8)[0]).any()
    assert (windows(7)[0] != other(7)[0]).any() and (np.diff(windows(7)[0], axis=1) == 1).all()
    ends = np.concatenate(
        [Windows(Split(np.arange(9), None), 8, 64, 0)(step)[0][:, 0] for step in range(4)]
    )
    assert set(ends) == {0, 1}


def test_the_state_is_carried_and_gradients_are_not(text):
    """The loss of a piece is that of the stream given all before it, and begins anew with the text."""
    recipe, dataset = recipe_of(LSTM, text)
    batches = training_batches(recipe, dataset)
    state = initial_state(recipe, *batches(0))
    key, carry, nats = jax.random.key(0), state.carry, []
    for step in range(3):
        value, carry = loss(recipe, state.variables, *batches(step), key, carry)
        nats.append(float(value))
    whole = np.concatenate([batches(step)[0] for step in range(3)], axis=1)
    longer = recipe.model.clone(site_shape=(30,))
    expected = -zoo.log_prob(longer, state.variables, whole).mean() / 10
    assert sum(nats) == pytest.approx(float(expected), rel=1e-5)
    again, _ = loss(recipe, state.variables, batches(0)[0], np.ones(4, bool), key, carry)
    assert float(again) == pytest.approx(nats[0], rel=1e-5)


@pytest.mark.parametrize("parallel", ["jit", "pmap"])
def test_streams_over_devices_train_the_same(text, parallel):
    results = []
    for devices, how in ((1, "jit"), (min(2, jax.local_device_count()), parallel)):
        recipe, dataset = recipe_of(LSTM, text, parallel=how)
        batches, update = (
            training_batches(recipe, dataset),
            make_update(recipe, jax.devices()[:devices]),
        )
        state = update.place(initial_state(recipe, *batches(0)))
        for step in range(3):
            state, metrics = update.step(state, *batches(step))
            jax.block_until_ready(metrics)
        results.append(jax.tree.map(np.asarray, update.fetch(state)))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), *results)


@pytest.mark.parametrize("name", slow_but({"gru"}, ["gru", "transformer"]))
def test_stopped_and_resumed_is_bit_for_bit_the_same(text, tmp_path, name):
    model = (
        zoo.GRU((10,), features=8)
        if name == "gru"
        else zoo.Transformer((10,), 8, 1, heads=2, window=10)
    )
    recipe, dataset = recipe_of(model, text)
    whole, parts = (
        create(name, recipe, tmp_path / "whole"),
        create(name, recipe, tmp_path / "parts"),
    )
    train_run(whole, recipe, dataset)
    for steps in (4, 8, 12):  # a shorter training has another schedule, so only the stop is played
        train_until(parts, recipe, dataset, steps)
    states = []
    for run in (whole, parts):
        with Checkpoints(run.checkpoints) as checkpoints:
            states.append(
                checkpoints.restore(initial_state(recipe, *training_batches(recipe, dataset)(0)))[0]
            )
    jax.tree.map(np.testing.assert_array_equal, *states)


def train_until(run, recipe, dataset, step):
    """Trains on, as if it were interrupted when `step` updates are made."""
    import train.engine.loop

    with Checkpoints(run.checkpoints) as checkpoints:
        training = train.engine.loop._Training(recipe, dataset, RunKeeper(run, checkpoints))
        while training.step < step:
            training.state, _ = training.update.step(
                training.state, *training.batches(training.step)
            )
            training.step += 1
        training.save()


@pytest.mark.parametrize("name", slow_but({"lstm"}, ["lstm", "transformer"]))
def test_one_command_trains_and_says_nats_per_character(text, tmp_path, monkeypatch, capsys, name):
    words = []
    monkeypatch.setattr("os.execv", lambda program, argv: words.extend(argv))
    argv = [
        name,
        "--data.name",
        "text",
        "--data.path",
        text.path,
        "--steps",
        "6",
        "--model.features",
        "8",
    ]
    argv += [
        "--model.site-shape",
        "10",
        "--batch-size",
        "4",
        "--eval-every",
        "3",
        "--run-dir",
        str(tmp_path / "run"),
    ]
    argv += ["--model.heads", "2"] if name == "transformer" else []
    assert cli.main(argv) == 0
    out = capsys.readouterr().out
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["unit"] == "char" and f"{results['nats']:.4f}" in out
    assert "nats/char" in out and "bits/char" in out and "perplexity" in out and words[-1] == "3"
    model, variables = zoo.load(Run(tmp_path / "run").model)
    assert model.vocabulary == tuple(sorted(set(TEXT))) and model.head.num_values == len(set(TEXT))
    dataset = inputs(Recipe(model, text))
    again = evaluate(model, variables, dataset.test, 4)
    assert again.nats == pytest.approx(results["nats"]) and again.num == dataset.test.x.size
    assert np.log(len(model.vocabulary)) * 0.5 < again.nats < np.log(len(model.vocabulary)) * 1.5
    assert jnp.isfinite(again.standard_error)
