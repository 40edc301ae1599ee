"""The practice of training: checks, the range of rates, the search and the diagnosis."""

import dataclasses
import json
import math
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

import train.cli.check
import train.cli.diagnose
import train.cli.lr_range
import train.cli.search
import zoo
from train.data import Data
from train.data.dataset import Dataset, Split
from train.engine.loop import NonFiniteError
from train.practice import check, references, short_runs
from train.practice.lr_range import RangeTest, Tried, lr_range, rates_between
from train.practice.search import Outcome, Stage, Study, at_edge, grid, narrowed
from train.practice.space import Dimension, SpaceError, read_space
from train.recipe.recipe import Recipe
from train.runs.diagnosis import diagnose, plainly
from train.runs.findings import PASS, SKIPPED, SUSPICIOUS
from zoo.foundation import registry

RNG = np.random.RandomState
OWN = '''
import flax.linen as nn
import jax
import jax.numpy as jnp
import zoo


class Mixer(zoo.Autoregressive):
    """Each site sees the mean of those before it."""

    site_shape: tuple[int, ...] = (2, 5)
    head: zoo.Head = zoo.Bernoulli()
    ordering: zoo.Ordering = zoo.Ordering()

    @nn.compact
    def __call__(self, x, memory=None, *, train=False):
        flat = 2 * x.reshape(len(x), -1).astype(jnp.float32) - 1
        before = jnp.tril(jnp.ones((flat.shape[1],) * 2), -1)
        weights = self.param("weights", nn.initializers.normal(0.1), before.shape)
        bias = self.param("bias", nn.initializers.zeros, (1, len(before)))
        logits = self.logits(flat, weights * before, bias)
        return logits.reshape(*x.shape, 1)

    def logits(self, flat, weights, bias):
        return flat @ weights.T + bias


class Blocked(Mixer):
    """Its weights get no gradient."""

    def logits(self, flat, weights, bias):
        return flat @ jax.lax.stop_gradient(weights).T + bias


class Leaky(Mixer):
    """A site sees itself."""

    def logits(self, flat, weights, bias):
        return flat @ weights.T + bias + 6 * flat


class Loud(Mixer):
    """Its output begins far too large."""

    def logits(self, flat, weights, bias):
        return 300 * (flat @ weights.T) + bias


class Broken(Mixer):
    """The logarithm of a negative number."""

    def logits(self, flat, weights, bias):
        return jnp.log(flat @ weights.T - 50 + bias)
'''


@pytest.fixture
def work(tmp_path, monkeypatch):
    """A folder with bits.npz, whose two rows of five bits agree."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "_CLASSES", dict(registry._CLASSES))
    first = RNG(0).randint(0, 2, (150, 1, 5))
    bits = (first ^ (RNG(1).uniform(size=(150, 2, 5)) < 0.05)).astype(np.uint8)
    np.savez("bits.npz", train=bits[:90], valid=bits[90:120], test=bits[120:])
    Path("own.py").write_text(OWN)
    return tmp_path


BITS = ["--data.name", "images", "--data.path", "bits.npz", "--batch-size", "8"]
SMALL = [*BITS, "--model.hidden", "6", "--model.no-direct"]


def bits_of(work):
    with np.load(work / "bits.npz") as file:
        train, valid = Split(file["train"], None), Split(file["valid"], None)
    return Dataset("bits", "bits", train, valid, valid, kind="images", num_levels=2)


# The references.


def test_zero_params_of_every_kind_of_head():
    x = RNG(0).randint(0, 2, (3, 2, 5))
    assert references.zero_params_nats(zoo.MADE((2, 5)), x) == pytest.approx(10 * math.log(2))
    # Before the end a token is one of four, as padding is none; after it padding is certain.
    text = zoo.LSTM((4,), 3, 1, head=zoo.Categorical(5), end=1, pad=0)
    tokens = np.array([[2, 3, 1, 0], [4, 1, 0, 0]])
    nats = references.zero_params_nats(text, tokens)
    assert nats == pytest.approx(np.array([3, 2]) * math.log(4))
    table = zoo.Standardised(zoo.RNADE((2,), 3), shift=(1.0, -2.0), scale=(0.5, 4.0))
    real = RNG(1).normal(size=(3, 2)).astype(np.float32)
    variables = zoo.init(table, jax.random.key(0), real)
    zeros = jax.tree.map(np.zeros_like, variables)
    expected = -np.asarray(zoo.log_prob(table, zeros, real))
    assert references.zero_params_nats(table, real) == pytest.approx(expected, rel=1e-5)


def test_frequencies_are_the_entropy_of_independent_sites(work):
    """Of the training split itself, up to the one example that is added."""
    dataset, model = bits_of(work), zoo.MADE((2, 5))
    x = dataset.train.x
    share = x.mean(0)
    entropy = -(share * np.log(share) + (1 - share) * np.log(1 - share)).sum()
    nats = references.frequencies_nats(model, dataset, x)
    assert nats.mean() == pytest.approx(entropy, rel=2e-3)
    dynamic = dataclasses.replace(
        dataset, train=Split((x * 255).astype(np.uint8), None), dynamic=True
    )
    assert references.frequencies_nats(model, dynamic, x) == pytest.approx(nats)
    real = Dataset("t", "t", *[Split(RNG(0).normal(3, 2, (500, 2)), None)] * 3, None, kind="table")
    gaussians = references.frequencies_nats(zoo.RNADE((2,)), real, real.train.x)
    deviations = real.train.x.std(0)
    expected = (0.5 * np.log(2 * np.pi * np.e * deviations**2)).sum()
    assert gaussians.mean() == pytest.approx(expected, rel=1e-6)


def test_frequencies_of_tokens_are_shared_and_leave_padding_out():
    model = zoo.CATALOGUE["seq2seq"].tiny.clone(end=1, pad=0)
    x = np.array([[2, 1, 0], [2, 2, 1]] * 100)
    model = model.clone(site_shape=(3,))
    split = Split(x, x)
    dataset = Dataset("p", "p", split, split, split, kind="translation", num_levels=4)
    nats = references.frequencies_nats(model, dataset, x)
    share = 3 / 5, 2 / 5  # of token 2, and of the end
    wanted = [-math.log(share[0] * share[1]), -math.log(share[0] ** 2 * share[1])]
    assert nats[:2] == pytest.approx(wanted, rel=0.01)


def test_entropy_left_counts_duplicates_and_contexts():
    x = np.array([[0], [1], [2], [2]])
    mixed = -(2 * math.log(1 / 4) + 2 * math.log(2 / 4)) / 4
    assert references.entropy_left(x) == pytest.approx(mixed)
    assert references.entropy_left(x, np.array([0, 0, 1, 1])) == pytest.approx(math.log(2) / 2)
    assert references.entropy_left(np.zeros((4, 2))) == 0


# The check.


def run(main, *argv):
    return main([str(word) for word in argv])


def test_check_passes_a_sound_model(work, capsys):
    assert run(train.cli.check.main, "made", *BITS, "--model.hidden", "32") == 0
    out, err = capsys.readouterr()
    assert "zero 6.931 (= 10 ln 2)" in out and "bits.npz" in err
    assert [line.split("  ")[0] for line in out.splitlines()] == [
        "initial loss",
        "by heart",
        "gradients",
    ]
    assert out.count(" pass ") == 3 and "the entropy left is 1.386" in out


@pytest.mark.parametrize(
    ("name", "line", "words"),
    [
        ("Blocked", 2, "none ever reached weights"),
        ("Leaky", 0, "does a site see itself?"),
        ("Loud", 0, "too sure of itself"),
        ("Broken", 2, "nan"),
    ],
)
def test_check_finds_what_is_wrong(work, capsys, name, line, words):
    code = run(train.cli.check.main, f"own.py:{name}", *BITS, "--seconds", "0.5")
    found = capsys.readouterr().out.splitlines()[line]
    assert code == 1 and "suspicious" in found and words in found


def test_initial_loss_of_fitted_biases_passes():
    model = zoo.MADE((28, 28))
    plain, fitted = check.Expected(543.43, 206.3), check.Expected(543.43, 206.3, 207.0)
    for loss in (543.4, 206.3, 300.0):
        assert check.initial_loss(model, loss, plain, 4).verdict == PASS
    assert check.initial_loss(model, 230.0, fitted, 4).verdict == PASS
    found = check.initial_loss(model, 543.4, fitted, 4)  # as if they had not been fitted
    assert found.verdict == SUSPICIOUS
    assert "784 ln 2" in found.shown and "206.3" in found.shown and "207" in found.shown


def test_output_bias_alone_is_the_model_with_all_other_weights_at_zero(work):
    """By site for MADE; for a sequence that ends once for all tokens, and after the end nothing."""
    dataset, made = bits_of(work), zoo.MADE((2, 5), (6,))
    writer = zoo.LSTM((4,), 3, 1, head=zoo.Categorical(5), end=1, pad=0)
    tokens = np.array([[2, 3, 1, 0], [4, 1, 0, 0]])
    for model, x in ((made, dataset.train.x[:8]), (writer, tokens)):
        zeros = jax.tree.map(np.zeros_like, zoo.init(model, jax.random.key(0), x))
        fitted = model.fitted(zeros, x)
        nats = -np.asarray(zoo.log_prob(model, fitted, x))
        assert references.output_bias_nats(model, fitted, x) == pytest.approx(nats, rel=1e-5)


def learnt(*losses):
    return check.Learnt(list(losses), {"kernel": 1.0}, {"kernel": 1.0}, 1.0)


def test_by_heart_says_what_is_left_and_when_nothing_can_be_learnt():
    model, real = zoo.MADE((2, 5)), zoo.RNADE((3,))
    assert check.by_heart(model, learnt(6.9, 1.45), 1.386, 5.0, 4).verdict == SUSPICIOUS
    assert check.by_heart(model, learnt(*[6.9] + 5 * [1.45]), 1.386, 5.0, 4).verdict == PASS
    slow = check.by_heart(model, learnt(*np.linspace(6.9, 3.0, 50)), 1.386, 5.0, 4)
    assert slow.verdict == PASS and "still fell" in slow.shown
    stuck = check.by_heart(model, learnt(*[6.9] + 50 * [3.0]), 1.386, 5.0, 4)
    assert stuck.verdict == SUSPICIOUS
    nothing = check.by_heart(model, learnt(*[1.386] * 9), 1.386, 5.0, 4)
    assert nothing.verdict == SKIPPED and "Nothing could be learnt" in nothing.remedy
    dense = check.by_heart(real, learnt(*[4.0] + 5 * [-9.0]), None, 4.2, 4)
    assert dense.verdict == PASS and "no lower bound" in dense.shown
    assert check.by_heart(real, learnt(*[4.0] * 9), None, 4.2, 4).verdict == SUSPICIOUS


# The range of rates.


def test_a_scaled_update_is_an_update_at_that_rate(work):
    dataset = bits_of(work)
    recipe = Recipe(zoo.MADE((2, 5), (6,)), Data(), steps=8, batch_size=8, weight_decay=0.1)
    batch = lambda step: (dataset.train.x[:8], None)  # noqa: E731
    plain = short_runs.constant_rate(recipe, learning_rate=0.02)
    unit = short_runs.constant_rate(recipe, learning_rate=1.0)
    ours = [
        each.loss
        for each in short_runs.updates(unit, dataset, batch, lambda step: np.float32(0.02))
    ]
    wanted = [each.loss for each in short_runs.updates(plain, dataset, batch)]
    assert ours == pytest.approx(wanted, rel=1e-4) and ours[-1] < ours[0]


def test_lr_range_suggests_a_rate_and_draws(work, capsys):
    flags = ["--updates", "12", "--rates", "3", "--lowest", "1e-5", "--highest", "0.1"]
    assert run(train.cli.lr_range.main, "made", *SMALL, *flags) == 0
    out = capsys.readouterr().out
    assert "Try --learning-rate 0.1" in out and "extend the range by --highest" in out
    assert Path("runs/lr-range/made.png").read_bytes().startswith(b"\x89PNG")
    assert out.count("rate ") >= 3


def test_suggestions():
    rates = rates_between(1e-4, 1.0, 5)
    test = RangeTest(100.0, tuple(map(Tried, rates, (99.0, 80.0, 41.0, 40.0, math.inf))))
    assert test.suggested == 0.01 and "from 1 on it does not fall" in str(test)
    worse = RangeTest(10.0, tuple(map(Tried, rates, (11.0, 12.0, 13.0, math.inf, math.inf))))
    assert worse.suggested is None and "no rate" in str(worse)


# The space.

TYPES = {
    "learning_rate": float,
    "batch_size": int,
    "corrected_decay": bool,
    "model.hidden": tuple[int, ...],
    "model.head": zoo.Head,
}


def test_space_is_read_by_type():
    words = ["learning-rate=1e-4:1e-1:log", "batch_size=8:64", "model.hidden=200|500,500"]
    rate, batch, hidden = read_space([*words, "model.head=categorical:3|bernoulli"][:3], TYPES)
    assert rate == Dimension("learning_rate", 1e-4, 1e-1, log=True)
    assert batch.whole and batch.grid(3) == [8, 36, 64] and not rate.whole
    assert hidden.choices == ("200", "500,500")
    head = read_space(["model.head=categorical:3|bernoulli"], TYPES)[0]
    assert head.choices == ("categorical:3", "bernoulli")
    assert read_space(words, TYPES) == read_space(list(map(str, (rate, batch, hidden))), TYPES)
    assert rate.grid(4) == [1e-4, 1e-3, 1e-2, 1e-1]
    assert Dimension("x", 0.123456, 0.2).grid(2)[0] == 0.123456  # never outside


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("lerning_rate=1e-4:1e-1", "Did you mean 'learning_rate'?"),
        ("hidden=200|500", "Did you mean 'model.hidden'?"),
        ("data.levels=2|4", "nats of different data"),
        ("learning_rate", "a dimension is NAME=LOW:HIGH"),
        ("learning_rate=", "has no values"),
        ("learning_rate=0.1:0.1", "is empty.*pass --learning-rate 0.1"),
        ("learning_rate=0.1:1e-3:log", "runs backwards: write learning_rate=1e-3:0.1:log"),
        ("learning_rate=0:1:log", "a log scale has no 0"),
        ("learning_rate=-1:1:log", "a log scale has no 0"),
        ("learning_rate=0.1:1:lin", "a range is LOW:HIGH or LOW:HIGH:log"),
        ("learning_rate=a:b", "must be numbers"),
        ("learning_rate=1:inf", "must be finite"),
        ("batch_size=1.5:3", "must be whole numbers"),
        ("model.hidden=200:500", "is no number, so it has no range"),
        ("model.hidden=200|200", "must differ"),
        ("model.hidden=200||500", "must differ, none empty"),
    ],
)
def test_spaces_are_refused_in_one_line(word, message):
    with pytest.raises(SpaceError, match=message) as caught:
        read_space([word], TYPES)
    assert "\n" not in str(caught.value)


def test_the_same_field_twice_and_no_field():
    with pytest.raises(SpaceError, match="twice"):
        read_space(["batch_size=1:2", "batch-size=3:4"], TYPES)
    with pytest.raises(SpaceError, match="pass --space"):
        read_space([], TYPES)


def test_fine_space_lies_around_the_best():
    space = read_space(["learning_rate=1e-4:1:log", "model.hidden=200|500"], TYPES)
    best = Outcome(0, {"learning_rate": 0.9, "model.hidden": "500"}, 1.0, 1.0)
    rate, hidden = narrowed(space, best)
    assert 0.2 < rate.low < 0.9 and rate.high == 1.0 and hidden.choices == ("500",)
    assert at_edge(space, best) == ["learning_rate"]


# The search.

SPACE = ["--space", "learning_rate=1e-3:1e-1:log", "model.hidden=4|3,3"]
SEARCH = ["made", *BITS, "--model.no-direct", "--steps", "20", "--eval-every", "5", *SPACE]


@pytest.mark.slow
def test_search_is_continued_and_its_winner_trains(work, capsys):
    """One trial and then another are those of one search of two."""
    main = train.cli.search.main
    assert run(main, *SEARCH, "--trials", 1, "--folder", "a") == 0
    two = capsys.readouterr().out
    assert run(main, *SEARCH, "--trials", 2, "--folder", "a") == 0
    more = capsys.readouterr().out
    assert run(main, *SEARCH, "--trials", 2, "--folder", "b", "--fine", 1) == 0
    whole = capsys.readouterr().out

    def trials(text):
        lines = [line for line in text.splitlines() if line.startswith("coarse trial")]
        return [line.partition(": ")[2] for line in lines]

    assert [len(trials(text)) for text in (two, more, whole)] == [1, 1, 2]
    assert trials(two) + trials(more) == trials(whole)
    assert whole.count("fine trial") == 1
    kept = json.loads(Path("a/best.json").read_text())
    least = min(float(line.split()[-2]) for line in trials(whole) if "stopped" not in line)
    assert kept["nats"] == pytest.approx(least, rel=1e-3)
    assert "--steps" not in kept["command"] and "--eval-every" not in kept["command"]
    assert kept["recipe"]["steps"] == 20
    assert kept["command"] in Path("a/best.sh").read_text() and kept["command"] in more
    argv = kept["command"].split()[3:]
    recipe = train.cli.options.parse(argv[0], argv[1:]).recipe
    rate = kept["recipe"]["learning_rate"]
    assert recipe.learning_rate == rate and recipe.steps == 22_000
    assert Path("a/coarse-parallel.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(SystemExit) as caught:
        run(main, *SEARCH[:-1], "model.hidden=4|5", "--folder", "a")
    assert "a/search.db holds another search: its space is" in str(caught.value)
    with pytest.raises(SystemExit) as caught:
        run(main, *SEARCH, "--seed", 1, "--folder", "a")
    assert "its seed is 0, here it is 1" in str(caught.value)


def refused(*argv):
    with pytest.raises(SystemExit) as caught:
        run(train.cli.search.main, *argv)
    assert not Path("runs").exists()
    return caught.value.code


def test_wrong_searches_end_in_one_line(work, capsys, monkeypatch):
    assert "--learning-rate fixes it" in refused(*SEARCH, "--learning-rate", "0.1")
    assert "Did you mean 'model.hidden'" in refused(*SEARCH[:-1], "model.hiden=3|4")
    assert refused(*SEARCH[:-1], "model.hidden=4|x") == 2  # read as a flag of the training
    assert capsys.readouterr().err.count("error: ") == 1
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert "pip install 'autoregressive-zoo[search]'" in refused(*SEARCH)


def study(folder, how, trials, **changes):
    space = read_space(["learning_rate=0.1:0.9", "batch_size=1:4"], TYPES)
    stage = Stage("coarse", space, how, trials, 2)
    return Study(folder / f"{how}.db", stage, Recipe(zoo.FVSBN(), **changes), "digest")


def bowl(values, trial):
    return (values["learning_rate"] - 0.3) ** 2 + values["batch_size"]


def test_grid_visits_every_point_once(tmp_path):
    trials = study(tmp_path, "grid", 99)
    points = [tuple(outcome.values.values()) for outcome in trials.run(bowl)]
    assert sorted(points) == [(0.1, 1), (0.1, 4), (0.9, 1), (0.9, 4)]
    assert trials.best.values == {"learning_rate": 0.1, "batch_size": 1}
    trials.close()
    assert len(grid(trials.stage)) == 4


def test_tpe_looks_where_the_trials_were_good_and_failures_are_kept_apart(tmp_path):
    def objective(values, trial):
        if trial.number == 1:
            raise NonFiniteError("nan")
        return bowl(values, trial)

    trials = study(tmp_path, "tpe", 24)
    outcomes = list(trials.run(objective))
    assert len(outcomes) == 24 and outcomes[1].stopped and trials.best.nats < 1.05
    late = np.mean([outcome.values["batch_size"] for outcome in outcomes[-8:]])
    assert late < np.mean([outcome.values["batch_size"] for outcome in outcomes[:8]])
    assert trials.importances()["batch_size"] > 0.5
    trials.close()


def test_an_interrupted_trial_is_made_again(tmp_path):
    def stop(values, trial):
        raise KeyboardInterrupt

    trials = study(tmp_path, "random", 2)
    with pytest.raises(KeyboardInterrupt):
        list(trials.run(stop))
    first = trials.study.trials[0].params
    trials.close()
    again = study(tmp_path, "random", 2)
    outcomes = list(again.run(bowl))
    assert [outcome.number for outcome in outcomes] == [0, 1]
    assert outcomes[0].values["learning_rate"] == pytest.approx(first["learning_rate"], rel=1e-2)
    again.close()
    (tmp_path / "tpe.db").write_text("no database " * 100)
    with pytest.raises(ValueError, match="cannot be read as a search"):
        study(tmp_path, "tpe", 2)


def test_make_passes_choices_past_the_shell(tmp_path):
    """A | in ARGS is no pipe."""
    if shutil.which("make") is None:
        pytest.skip(reason="there is no make")
    venv = tmp_path / "bin"
    venv.mkdir()
    shown = tmp_path / "shown"
    python = venv / "python"
    python.write_text(f'#!/bin/sh\nfor word in "$@"; do echo "$word"; done > {shown}\n')
    python.chmod(0o755)
    args = "--space model.hidden=200|500 --how random"
    root = Path(__file__).parents[1]
    line = [
        "make",
        "-s",
        "search",
        "MODEL=made",
        f"ARGS={args}",
        f"VENV={tmp_path}",
        f"PY={python}",
    ]
    subprocess.run([*line, "-o", f"{tmp_path}/installed"], cwd=root, check=True)
    assert shown.read_text().splitlines()[-2:] == ["--args", args]


# The diagnosis.


def records(train_curve, valid_curve=None, rate=lambda share: 1 - share, steps=1000):
    """Metrics of a run: functions of the share of the steps that are over."""
    valid_curve = valid_curve or (lambda share: train_curve(share) + 3)
    lines = []
    for step in range(50, steps + 1, 50):
        share = step / steps
        lines.append(
            {
                "step": step,
                "train_nats": float(train_curve(share)),
                "gradient_norm": 1.0,
                "learning_rate": float(rate(share)),
                "seconds": 1.0,
            }
        )
        lines.append({"step": step, "valid_nats": float(valid_curve(share)), "seconds": 1.0})
    return lines


def falling(share, floor=80.0, fast=12.0):
    return floor + 120 * np.exp(-fast * share)


CURVES = {
    "flat at first": records(lambda s: 200 - 110 / (1 + np.exp(-30 * (s - 0.5)))),
    "plateau": records(falling, rate=lambda s: 1.0),
    "decayed early": records(
        lambda s: 200 - 200 * min(s, 0.3) - 2 * max(s - 0.3, 0),
        rate=lambda s: 1.0 if s < 0.3 else 0.01,
    ),
    "overfitting": records(
        lambda s: falling(s, 40, 6), lambda s: 90 + 100 * np.exp(-12 * s) + 20 * s
    ),
    "still falling": records(lambda s: 200 - 100 * s),
    "underfitting": records(falling, lambda s: falling(s) + 0.5),
    "no learning": records(lambda s: 200 - s),
}


@pytest.mark.parametrize("name", CURVES)
def test_curves_are_read(name):
    names = [finding.name for finding in diagnose(CURVES[name])]
    assert names[0] == name, names
    plain = plainly(CURVES[name])
    assert (plain is None) == (name in ("still falling", "underfitting"))


def test_a_good_run_has_no_sign_and_a_short_one_cannot_have():
    good = records(lambda s: 80 + 120 * np.exp(-8 * s), rate=lambda s: np.cos(np.pi * s / 2))
    assert [finding.verdict for finding in diagnose(good)] == [PASS] and plainly(good) is None
    short = diagnose(good[:6])
    assert short[0].verdict == SKIPPED and "3 lines of training and 3 validations" in short[0].shown
    assert plainly(good[:6]) is None and diagnose([])[0].verdict == SKIPPED
    step_decay = records(
        lambda s: falling(s, fast=20) - 10 * (s > 0.5), rate=lambda s: 1.0 if s < 0.5 else 0.1
    )
    assert "decayed early" not in [finding.name for finding in diagnose(step_decay)]


def test_diagnose_reads_a_run(work, capsys):
    with pytest.raises(SystemExit, match=r"holds no run \(no config.json\)"):
        train.cli.diagnose.main([str(work)])
    with pytest.raises(SystemExit, match="no run made"):
        train.cli.diagnose.main(["made"])
    Path("runs/made").mkdir(parents=True)
    Path("runs/made/config.json").write_text("{}")
    lines = "".join(json.dumps(record) + "\n" for record in CURVES["overfitting"])
    Path("runs/made/metrics.jsonl").write_text(lines)
    assert train.cli.diagnose.main(["made"]) == 0
    out = capsys.readouterr().out
    assert "runs/made" in out and "overfitting   suspicious" in out and "--weight-decay" in out
    Path("runs/made-series").mkdir()
    Path("runs/made").rename("runs/made-series/seed-1")  # a series by the name of its model
    Path("runs/made-series/seed-1/model.safetensors").touch()
    assert train.cli.diagnose.main(["made"]) == 0
    assert "runs/made-series/seed-1" in capsys.readouterr().out


def test_lr_range_stops_a_rate_that_diverges(work):
    recipe = Recipe(zoo.MADE((2, 5), (6,)), Data(), batch_size=8, weight_decay=0.0)
    test = lr_range(recipe, bits_of(work), [1e-2, 1e3], 20)
    assert math.isinf(test.tried[1].loss) and test.suggested == 1e-2
