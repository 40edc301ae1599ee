"""`train.fit` and `train.evaluate` on arrays, and models in the shape of their data."""

import dataclasses
import doctest
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from marks import slow_but
from test_training import noisy_copies

import train
import train.__main__ as cli
import train.data
import train.engine.fitting
import train.engine.loop
import train.kinds.kind
import zoo
from train.cli.options import fixed_fields, parse
from train.recipe.presets import RECIPES
from train.recipe.wording import python_words
from train.runs.folder import Run

ROOT = Path(__file__).resolve().parents[1]
RNG = np.random.RandomState
FAST = {"steps": 2, "eval_every": 2, "batch_size": 4}


def levels(count, *shape, seed=0):
    x = RNG(seed).randint(count, size=(20, *shape)).astype(np.uint8)
    x.flat[:2] = 0, count - 1
    return x


def fit(model, x, **changes):
    return train.fit(model, x, **{**FAST, **changes})


def assert_equal(ours, theirs):
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)


@pytest.mark.parametrize("parallel", ["jit", "pmap"])
def test_fit_is_the_command_bit_for_bit(tmp_path, monkeypatch, parallel):
    """The same weights, metrics and likelihood, and no folder."""
    monkeypatch.chdir(tmp_path)
    x, valid, test = noisy_copies(80), noisy_copies(30, seed=1), noisy_copies(30, seed=2)
    np.savez("bits.npz", train=x, valid=valid, test=test)
    flags = "--model.hidden 6 --steps 60 --batch-size 8 --eval-every 7 --seed 3 --samples 0"
    words = [*flags.split(), "--data.name", "images", "--data.path", "bits.npz"]
    assert cli.main(["made", *words, "--parallel", parallel, "--learning-rate", "0.01"]) == 0
    run = Run(Path("runs/made"))
    recipe = {"steps": 60, "batch_size": 8, "eval_every": 7, "learning_rate": 0.01}
    before = set(Path().rglob("*"))
    model, variables, history = train.fit(
        zoo.MADE(hidden=(6,)), x, valid=valid, key=jax.random.key(3), parallel=parallel, **recipe
    )
    assert set(Path().rglob("*")) == before
    stored, weights = zoo.load(run.model)
    assert model == stored and model.site_shape == (2, 5)
    assert_equal(variables, weights)
    lines = [{k: v for k, v in record.items() if k != "seconds"} for record in run.records()]
    ours = [{k: v for k, v in record.items() if k != "seconds"} for record in history.records]
    assert ours[: len(lines)] == lines and len(ours) == len(lines) + 1  # the last 10 steps
    assert history.steps.tolist() == [50, 60] and (np.diff(history.learning_rate) < 0).all()
    assert history.valid_nats.min() == train.evaluate(model, variables, valid, batch_size=8).nats
    scored = train.evaluate(model, variables, test)
    nats = -np.asarray(zoo.log_prob(model, variables, test))
    assert scored.nats == pytest.approx(nats.mean(), rel=1e-6)
    assert scored.standard_error == pytest.approx(nats.std(ddof=1) / np.sqrt(30), rel=1e-5)
    assert (scored.num, scored.unit) == (30, "example")


def test_the_command_shapes_the_model_and_its_run_keeps_that(tmp_path, monkeypatch, capsys):
    """The run's recipe holds what was inferred, so it is resumed without a flag."""
    monkeypatch.chdir(tmp_path)
    np.save("levels.npy", np.tile(levels(5, 3, 4), (2, 1, 1)))
    words = (
        "--data.name images --data.path levels.npy --data.levels 32 --samples 0 --model.hidden 4"
    )
    few = ["--steps", "6", "--batch-size", "4", "--eval-every", "3", "--checkpoint-every", "3"]
    assert cli.main(["made", *words.split(), *few]) == 0
    assert "note: the model has the shape of the data: site_shape=(3, 4)" in capsys.readouterr().err
    run = Run(Path("runs/made"))
    name, recipe = run.name_and_recipe()
    assert recipe.model == zoo.MADE((3, 4), (4,), head=recipe.model.head)
    assert isinstance(recipe.model.head, zoo.Categorical)
    run.results.unlink()
    assert cli.main(["made", "--resume", "--samples", "0"]) == 0
    assert run.name_and_recipe() == (name, recipe)
    assert cli.main(["made", *words.split(), *few, "--model.head", "bernoulli"]) == 1
    assert "pass --model.head categorical:" in capsys.readouterr().err
    assert cli.main(["made", *words.split(), *few, "--model.site-shape=28", "28"]) in (1, 2)
    assert not Path("runs/made-2").exists()


def test_recipes_have_the_shape_of_their_data():
    """Nothing is inferred for a recipe on its own data, and everything if it is given others."""
    for name in ("made", "nade_categorical", "rnade", "pixel_cnn_pp"):
        recipe = RECIPES[name]["cpu"]
        for given in (fixed_fields(name, recipe, []), ()):
            assert train.engine.prepare.shaped_inputs(recipe, given)[0] == recipe


@pytest.mark.parametrize(
    ("words", "fixed"),
    [
        ("", {"site_shape", "recurring"}),
        ("--data.name diabetes", set()),
        ("--data.name diabetes --model.head mixtureofgaussians:2", {"head"}),
        ("--data.name table --data.path x.csv --model.site_shape=4", {"site_shape"}),
        ("--data.name diabetes --model.ordering.scan snake", {"ordering"}),
        (
            "--data.name diabetes --steps 7 --weight-decay=0",
            {"recipe.steps", "recipe.weight_decay"},
        ),
    ],
)
def test_what_flags_and_recipes_fix(words, fixed):
    recipe = parse("rnade", words.split()).recipe
    assert fixed_fields("rnade", recipe, words.split()) == fixed


GREY = {"features": 2, "blocks": 1}
SHAPES = {
    "bits": (zoo.MADE(hidden=(4,)), levels(2, 2, 3), (2, 3), zoo.Bernoulli()),
    "bool": (zoo.FVSBN(), levels(2, 2, 3) > 0, (2, 3), zoo.Bernoulli()),
    "few levels": (zoo.NADE(hidden=4), levels(5, 2, 3).astype(int), (2, 3), zoo.Categorical(5)),
    "grey": (
        zoo.PixelCNN(**GREY, out_features=2),
        levels(200, 2, 3),
        (2, 3),
        zoo.Categorical(256),
    ),
    "grey of PixelCNN++": (
        zoo.PixelCNNpp(**GREY, scales=1),
        levels(256, 2, 3),
        (2, 3),
        zoo.DiscretizedLogisticMixture(levels=256, channels=1),
    ),
    "colour of PixelCNN++": (
        zoo.PixelCNNpp(**GREY, scales=1),
        levels(256, 2, 3, 3),
        (2, 3),
        zoo.DiscretizedLogisticMixture(levels=256, channels=3),
    ),
    "colour": (zoo.MADE(hidden=(4,)), levels(256, 2, 2, 3), (2, 2, 3), zoo.Categorical(256)),
    "a chosen head of colours": (
        zoo.MADE(hidden=(4,), head=zoo.DiscretizedLogisticMixture(2)),
        levels(256, 2, 2, 3),
        (2, 2),
        zoo.DiscretizedLogisticMixture(2),
    ),
    "more classes than seen": (
        zoo.NADE(hidden=4, head=zoo.Categorical(9)),
        levels(5, 3),
        (3,),
        zoo.Categorical(9),
    ),
}


@pytest.mark.parametrize(
    "case", slow_but(set(SHAPES) - {"grey of PixelCNN++", "colour of PixelCNN++"}, SHAPES)
)
def test_levels_shape_the_model(case):
    model, x, shape, head = SHAPES[case]
    found = fit(model, x)
    assert (found.model.site_shape, found.model.head) == (shape, head)
    assert zoo.log_prob(found.model, found.variables, x.astype(np.int32)).shape == (20,)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_real_numbers_are_standardised(dtype):
    x = RNG(0).normal([1, -5, 100], [0.1, 1, 10], size=(40, 3)).astype(dtype)
    model, variables, _ = fit(zoo.NADE(hidden=4), x, valid=x[:10])
    assert isinstance(model, zoo.Standardised)
    assert model.model.head == zoo.MixtureOfGaussians()
    np.testing.assert_allclose(model.shift, x.mean(0), rtol=1e-5)
    again, _, _ = fit(model, x[:20])  # a model that is standardised already stays as it is
    assert again == model
    assert np.isfinite(train.evaluate(model, variables, x).nats)


@pytest.mark.slow
def test_labels_sources_texts_and_sounds():
    labels = RNG(0).randint(3, size=20)
    labels[0] = 2
    model, variables, _ = fit(zoo.PixelCNN(**GREY, out_features=2), levels(2, 2, 3), context=labels)
    assert model.num_classes == 3
    assert train.evaluate(model, variables, levels(2, 2, 3), labels).num == 20
    text = "hello world, how are you? " * 20
    model, variables, _ = fit(zoo.LSTM((8,), features=4, layers=1), text)
    assert model.vocabulary == tuple(sorted(set(text))) and model.head.num_values == 13
    assert train.evaluate(model, variables, text).unit == "char"
    tokens = RNG(0).randint(5, size=400)
    model, _, _ = fit(zoo.Transformer((8,), 4, 1, heads=2, window=8), tokens, valid=tokens[:50])
    assert model.head == zoo.Categorical(5) and model.vocabulary == ()
    waves = RNG(0).uniform(-1, 1, size=(6, 40)).astype(np.float32)
    net = zoo.WaveNet((16,), features=4, skip=4, dilations=(1, 2), cycles=1)
    model, variables, _ = fit(net, waves)
    assert train.evaluate(model, variables, list(waves)).unit == "sample"
    rows = np.array([[2, 3, 1, 0], [3, 1, 0, 0], [2, 2, 2, 1]] * 6)
    sources = RNG(0).randint(1, 7, size=(18, 5))
    sources[0, 0] = 6
    model, variables, _ = fit(
        zoo.Seq2Seq(features=4, embedding=3, end=1, pad=0), rows, context=sources
    )
    assert (model.site_shape, model.head, model.source_values) == ((4,), zoo.Categorical(4), 7)
    assert train.evaluate(model, variables, rows, sources).num == 18 // 3 * (3 + 2 + 4)


def test_the_held_out_part(capsys):
    """A tenth by the seed, other rows than those of the training; or what is asked for."""
    x = np.unique(noisy_copies(4000), axis=0)[:200]
    recipe = {"seed": 5, "batch_size": 4}
    held = {}
    for valid in (None, 0.1, 0.25):
        _, dataset = train.engine.fitting._prepared(zoo.FVSBN(), x, valid, None, dict(recipe))
        held[valid] = dataset.valid.x
        both = np.concatenate([dataset.train.x, dataset.valid.x])
        assert len(both) == len(x) and len(np.unique(both, axis=0)) == len(x)
    np.testing.assert_array_equal(held[None], held[0.1])
    assert len(held[0.1]) == 20 and len(held[0.25]) == 50
    assert "note: 20 of 200 are held out for validation." in capsys.readouterr().err
    _, dataset = train.engine.fitting._prepared(zoo.FVSBN(), x, None, None, {"seed": 6})
    assert (dataset.valid.x != held[None]).any()
    twice = np.concatenate([x, x[:20]])
    _, dataset = train.engine.fitting._prepared(zoo.FVSBN(), twice, None, None, {})
    train_rows, valid_rows = (set(map(bytes, s.x)) for s in (dataset.train, dataset.valid))
    assert not train_rows & valid_rows


def test_few_rows_make_a_smaller_batch(capsys):
    train.fit(zoo.FVSBN(), levels(2, 12), steps=2)
    assert "note: batches of 18, as there are no more examples." in capsys.readouterr().err
    with pytest.raises(train.DataError, match="a batch of 19 cannot be taken from 18"):
        fit(zoo.FVSBN(), levels(2, 12), batch_size=19)


def test_memory_of_a_training_is_that_of_gradients_too(monkeypatch):
    found = []
    monkeypatch.setattr(train.engine.prepare, "check_memory", lambda *given: found.append(given))
    recipe = train.Recipe(zoo.FVSBN((12,)), batch_size=16)
    rows = levels(2, 12)
    split = train.data.Split(rows, None)
    dataset = train.data.Dataset("x", "x", split, split, split, num_levels=2)
    train.engine.prepare.check_trainable(recipe, dataset)
    ((_, arrays, _),) = found
    weights, floats = (
        sum(leaf.size for leaf in jax.tree.leaves(tree) if leaf.dtype == np.float32)
        for tree in (arrays[0].variables["params"], arrays)
    )
    assert floats >= 5 * weights  # themselves, their average, two moments and gradients


def test_few_examples_of_a_file_make_a_smaller_batch(tmp_path):
    np.save(tmp_path / "few.npy", levels(2, 20))
    recipe = train.Recipe(zoo.FVSBN(), train.Data(path=str(tmp_path / "few.npy")), steps=2)
    for accumulate, size in ((1, 16), (5, 15)):
        stated = dataclasses.replace(recipe, batch_size=100, accumulate=accumulate)
        stored, trained, _ = train.engine.prepare.ready(stated, ())
        assert stored.batch_size == trained.batch_size == size
        assert f"batch_size={size}" in " ".join(train.engine.prepare.shape_notes(stated, stored))
    with pytest.raises(train.DataError, match="cannot be taken from 16 .* --batch-size 16 or less"):
        train.engine.prepare.ready(recipe, {"recipe.batch_size"})


class Interrupting(train.data.Batches):
    """Sends a signal while the batch of a step is fetched."""

    at, number = 0, signal.SIGINT

    def __call__(self, step):
        if step == self.at:
            os.kill(os.getpid(), self.number)
        return super().__call__(step)


@pytest.mark.parametrize("at", [1, 7])
def test_an_interrupt_returns_what_there_is(monkeypatch, capsys, at):
    recipe = {"steps": 40, "eval_every": 5, "batch_size": 4, "learning_rate": 0.1}
    monkeypatch.setattr(train.kinds.kind, "Batches", Interrupting)
    monkeypatch.setattr(Interrupting, "at", at)
    model, variables, history = train.fit(zoo.FVSBN(), levels(2, 3), **recipe)
    said = capsys.readouterr().err.splitlines()[-1]
    assert (
        said
        == f"warning: interrupted after {at + 1} of 40 steps; these are the best weights so far."
    )
    assert history.valid_steps.tolist() == ([5] if at > 5 else [])
    assert history.steps.tolist() == [at + 1]
    assert np.isfinite(train.evaluate(model, variables, levels(2, 3)).nats)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    monkeypatch.setattr(Interrupting, "number", signal.SIGTERM)
    monkeypatch.setattr(Interrupting, "at", 2)
    with pytest.raises(KeyboardInterrupt):
        train.fit(zoo.FVSBN(), levels(2, 3), **recipe)


def test_a_failed_training_gives_what_there_is():
    with pytest.raises(train.NonFiniteError) as caught:
        train.fit(
            zoo.FVSBN(),
            levels(2, 3),
            steps=200,
            learning_rate=1e38,
            warmup=0,
            clip=0.0,
            eval_every=1000,
            batch_size=4,
        )
    assert "\n" not in str(caught.value) and "--" not in str(caught.value)
    model, variables, _ = caught.value.result
    assert np.isfinite(train.evaluate(model, variables, levels(2, 3)).nats)


def test_the_best_weights_not_the_last(monkeypatch):
    scores, seen = iter([3.0, 2.0, 4.0]), []

    def fake(model, variables, split, batch_size, ensemble):
        seen.append(jax.tree.map(np.array, variables))
        return train.Evaluation(next(scores), 0.1, 0.0, 30)

    monkeypatch.setattr(train.engine.loop, "evaluate", fake)
    found = fit(zoo.FVSBN(), levels(2, 3), steps=6, learning_rate=0.1)
    assert_equal(found.variables, seen[1])
    assert repr(found.history) == "History(6 steps, best validation 2 nats at step 4)"


@pytest.mark.slow
def test_ensembles_and_temperatures():
    made = zoo.MADE(hidden=(4,), num_masks=2)
    model, variables, _ = fit(made, noisy_copies(20), validate_ensemble=True, calibrate=True)
    assert model.head.temperature != 1.0
    single = train.evaluate(model, variables, noisy_copies(20))
    mixed = train.evaluate(model, variables, noisy_copies(20), ensemble=True)
    assert mixed.nats != single.nats


BITS = levels(2, 2, 3)
REALS = RNG(0).normal(size=(20, 3))
LABELS = np.zeros(20, int)
WRONG = [
    (zoo.MADE((3, 4)), BITS, {}, r"x has examples of shape \[2, 3\].*site_shape=\(2, 3\)"),
    (zoo.MADE(head=zoo.Categorical(3)), levels(5, 3), {}, r"5 levels.*head=Categorical\(5\)\.$"),
    (zoo.MADE(head=zoo.Categorical(3)), REALS, {}, r"real values.*as MixtureOfGaussians\(10\)"),
    (zoo.RNADE(head=zoo.MixtureOfGaussians(3)), BITS, {}, r"has levels.*as Categorical\(\)\.$"),
    (
        zoo.MADE(),
        np.array([[1, None]]),
        {},
        "x must be an array of numbers; got an array of object",
    ),
    (zoo.MADE(), [[1, 2], [1]], {}, "x must be an array of numbers"),
    (zoo.MADE(), BITS * 1j, {}, "x must be an array of numbers"),
    (zoo.MADE(), np.array([[1, 2], [np.nan, 1]]), {}, r"1 values that are NaN.*at \[1, 0\]"),
    (zoo.MADE(), np.array([[1, 2], [1e300, 1]]), {}, "too large for float32"),
    (zoo.MADE(), -BITS.astype(int), {}, "whole numbers from -1 to 0"),
    (zoo.MADE(), 3, {}, "at least one row; got shape"),
    (zoo.MADE(), BITS[:0], {}, "at least one row"),
    (zoo.MADE(), LABELS, {}, r"a row for each example, \[N, ...\]; got shape \[20\]"),
    (zoo.RNADE(), np.c_[REALS, np.ones(20)], {}, "site 3 is 1 in every training example"),
    (zoo.MADE(), BITS, {"context": LABELS}, "takes no context"),
    (zoo.PixelCNN(), BITS, {"context": LABELS[:5]}, "x has 20 rows, but its context has 5 rows"),
    (zoo.PixelCNN(), BITS, {"context": LABELS, "valid": BITS}, "valid needs a context"),
    (zoo.MADE(), BITS, {"valid": BITS[:0]}, "valid must have at least one row"),
    (zoo.MADE(), BITS, {"valid": 1.0}, "valid must be a fraction between 0 and 1"),
    (zoo.MADE(), BITS, {"valid": 5}, "valid must be a fraction between 0 and 1"),
    (zoo.MADE(), BITS[:1], {}, "leaves 0 for training and 1 for validation"),
    (zoo.MADE(), BITS, {"valid": BITS[:, :1]}, "validation split of x must have shape"),
    (zoo.MADE(), BITS, {"valid": BITS * 0.5}, "both hold levels, or both real numbers"),
    (zoo.MADE(), BITS, {"steps": 0}, "steps must be at least 1; got 0"),
    (zoo.MADE(), BITS, {"seed": 1, "key": jax.random.key(0)}, "key or seed"),
    (zoo.MADE(hidden=(4,)), BITS, {"validate_ensemble": True}, "drop validate_ensemble"),
    (zoo.PixelCNN(), levels(2, 3), {}, r"but PixelCNN describes images: choose a model of vectors"),
    (zoo.LSTM(), BITS, {}, "a string, or one line of tokens"),
    (zoo.LSTM(), "hello", {}, "fewer than one window of 256: pass site_shape"),
    (zoo.LSTM(vocabulary=("a", "b")), "abc", {}, "x has the character 'c'"),
    (zoo.WaveNet(), BITS[:, 0], {}, "must hold waves"),
    (zoo.Seq2Seq(end=1, pad=0), BITS[:, 0], {}, "x needs a context"),
    (zoo.Seq2Seq(end=1, pad=3), BITS[:, 0], {}, "pass a model with end=1, pad=0"),
]


@pytest.mark.parametrize(("model", "x", "changes", "message"), WRONG)
def test_what_cannot_be_trained_is_one_line(model, x, changes, message):
    with pytest.raises(ValueError, match=message) as caught:
        train.fit(model, x, **{"batch_size": 2, "steps": 1, **changes})
    assert "\n" not in str(caught.value) and "--" not in str(caught.value)


@pytest.mark.parametrize(
    ("x", "reason"),
    [
        (levels(2, 3, 4), r"x has examples of shape \[3, 4\], but the MADE describes \[3\]"),
        (REALS, "x has real values, but a Bernoulli head does not describe them"),
        (levels(5, 3), "x has 5 levels, but a Bernoulli head takes bits 0..1.*"),
    ],
)
def test_evaluate_says_that_the_data_do_not_fit(x, reason):
    model = zoo.MADE((3,), hidden=(4,))
    variables = zoo.init(model, jax.random.key(0), levels(2, 3))
    with pytest.raises(
        ValueError, match=f"^the data do not fit the trained model: {reason}"
    ) as caught:
        train.evaluate(model, variables, x)
    assert "pass" not in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("x", "advice", "follow"),
    [
        (levels(2, 5) * 1.0, "x.astype(np.uint8)", lambda x: x.astype(np.uint8)),
        (
            (levels(256, 5) / 255).astype(np.float32),
            "(x * 255).round().astype(np.uint8)",
            lambda x: (x * 255).round().astype(np.uint8),
        ),
    ],
)
def test_levels_as_floats_are_noted(x, advice, follow, capsys):
    prepared = train.engine.fitting._prepared
    model = prepared(zoo.MADE(), x, 0.2, None, {})[0].model
    assert f"pass {advice}." in capsys.readouterr().err and model.head.num_values is None
    model = prepared(zoo.MADE(), follow(x), 0.2, None, {})[0].model
    assert "pass" not in capsys.readouterr().err and model.head.num_values in (2, 256)
    prepared(zoo.MADE(), REALS, 0.2, None, {})
    assert "astype" not in capsys.readouterr().err


@pytest.mark.parametrize(("steps", "eval_every"), [(6, 1), (100, 1)])
def test_at_most_about_twenty_validations_are_printed(steps, eval_every, capsys):
    x = levels(2, 5)
    history = train.fit(zoo.FVSBN(), x, steps=steps, eval_every=eval_every, batch_size=4)[2]
    printed = [line for line in capsys.readouterr().err.split("step ") if ": validation" in line]
    assert len(history.valid_steps) == steps
    assert len(printed) == min(steps, 21) and printed[-1].startswith(f"{steps}:")


def test_unknown_arguments_get_the_nearest():
    with pytest.raises(TypeError, match="no argument 'step'. Did you mean 'steps'?"):
        train.fit(zoo.MADE(), BITS, step=3)
    with pytest.raises(TypeError, match="no argument 'data'"):
        train.fit(zoo.MADE(), BITS, data=train.Data())


def test_keys_are_seeds():
    assert train.engine.fitting.seed_of(jax.random.key(7)) == 7
    assert train.engine.fitting.seed_of(jax.random.key(7, impl="rbg")) == 7
    first, second = map(train.engine.fitting.seed_of, jax.random.split(jax.random.key(7)))
    assert first != second and 0 <= first < 2**32


def test_flags_as_arguments():
    assert python_words("drop --model.head, --encoder(-rate)") == "drop head, encoder(-rate)"
    words = "pass --model.head categorical:17, or --data.binarise dynamic."
    assert python_words(words) == "pass head=Categorical(17)."


@pytest.mark.parametrize("how", ["import train.evaluate", "from train import evaluate"])
def test_evaluate_is_the_function_and_the_command(how):
    script = f"import train; {how}; print(train.evaluate.__doc__.split('.')[0])"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, cwd=ROOT
    )
    assert done.stdout.startswith("The exact likelihood of examples"), done.stderr


def test_curves():
    history = train.History(
        (
            {"step": 2, "train_nats": 3.0, "gradient_norm": 1.0, "learning_rate": 0.1},
            {"step": 2, "valid_nats": 2.5},
        )
    )
    assert [axes.get_title() for axes in history.plot().axes] == [
        "nats",
        "learning rate",
        "gradient norm",
    ]
    assert repr(train.History(())) == "History(0 steps, no validation)"


@pytest.mark.parametrize("what", [train.fit, train.evaluate, train.History, python_words])
def test_examples(what):
    finder, runner = doctest.DocTestFinder(), doctest.DocTestRunner()
    names = {"train": train, "History": train.History, "python_words": python_words}
    found = finder.find(what, what.__name__, module=False, globs=names)
    (example,) = [test for test in found if test.examples]
    assert runner.run(example).failed == 0


def test_the_page_runs():
    scope = {"__name__": "page"}
    for block in re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "fit.md").read_text(), re.S):
        exec(compile(block, "fit.md", "exec"), scope)
    assert scope["history"].valid_nats[-1] < 16 * np.log(2)
