"""Snapshots of one training, and ensembles of several runs."""

import json
import os
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest
from test_resume import assert_identical, contents, interrupt_at
from test_training import data, noisy_copies, tiny  # noqa: F401 (a fixture)

import train
import train.__main__ as cli
import train.cli.evaluate
import train.cli.reproduce
import zoo
from train.data import Data, Dataset, Split
from train.engine.ensembles import Member, check_same_space, evaluation
from train.engine.evaluation import Scores, mixture
from train.engine.prepare import inputs
from train.engine.run_folder import train_run
from train.recipe.comparisons import COMPARISONS, Comparison
from train.runs.folder import Run, RunError, create

CYCLIC = {"schedule": "cyclic", "cycles": 3, "snapshots": True}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Works in an empty folder, and keeps the process from becoming the sampler."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setattr(os, "execv", lambda *_: None)


def trained(data, folder, *more, name="made"):  # noqa: F811
    """Trains for a second by the command line."""
    sizes = ["--model.site-shape", "2", "5", "--data.name", "images", "--data.path", data.path]
    flags = ["--steps", "12", "--batch-size", "8", "--eval-every", "5", "--samples", "0"]
    hidden = ["--model.hidden", "6"] if name == "made" else []
    assert cli.main([name, "--run-dir", folder, *sizes, *flags, *hidden, *more]) == 0


def evaluated(capsys, *words):
    """The lines that `python -m train.evaluate` prints."""
    assert train.cli.evaluate.main(list(words)) == 0, capsys.readouterr().err
    return capsys.readouterr().out.splitlines()


def refused(capsys, *words):
    """The one line with which it ends."""
    capsys.readouterr()
    assert train.cli.evaluate.main(list(words)) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
    return error


def by_hand(files, split):
    """Mean nats of the uniform mixture of saved models, from the formula."""
    log_probs = [np.asarray(zoo.log_prob(*zoo.load(file), split.x), float) for file in files]
    return float(-np.log(np.mean(np.exp(log_probs), axis=0)).mean())


@pytest.mark.slow
def test_snapshots_resume_bit_for_bit(data, tmp_path, monkeypatch):  # noqa: F811
    """Stopped in the middle of a cycle, at its end and right after it: the same weights, snapshots, metrics."""
    recipe = tiny(data=data, steps=20, **CYCLIC)  # cycles end after 6, 13 and 20 steps
    dataset, runs = inputs(recipe), []
    for name, stops in (("straight", ()), ("stopped", (3, 5, 6))):
        run = create("made", recipe, tmp_path / name)
        interrupt_at(monkeypatch, *stops)
        for _ in stops:
            with pytest.raises(KeyboardInterrupt):
                train_run(run, recipe, dataset)
        train_run(run, recipe, dataset)
        runs.append(run)
    assert_identical(*(contents(run, recipe) for run in runs))
    weights = [[zoo.load(run.snapshot(number))[1] for number in (1, 2, 3)] for run in runs]
    assert_identical((weights[0],), (weights[1],))
    assert not np.array_equal(*(jax.tree.leaves(each)[0] for each in weights[0][1:]))


@pytest.mark.slow
def test_fit_keeps_snapshots(data, tmp_path):  # noqa: F811
    recipe = tiny(data=data, steps=20, **CYCLIC)
    dataset, run = inputs(recipe), create("made", recipe, tmp_path / "run")
    train_run(run, recipe, dataset)
    fields = {**CYCLIC, "steps": 20, "batch_size": 8, "eval_every": 5, "ema": 0.9}
    fitted = train.fit(recipe.model, dataset.train.x, valid=dataset.valid.x, **fields)
    stored = [zoo.load(run.snapshot(number))[1] for number in (1, 2, 3)]
    assert_identical((list(fitted.history.snapshots),), (stored,))


def test_snapshots_are_an_ensemble(data, capsys):  # noqa: F811
    rate = ["--learning-rate", "0.05", "--model.num-masks", "1"]
    trained(data, "run", "--schedule", "cyclic", "--cycles", "3", "--snapshots", *rate)
    report, results = capsys.readouterr().out, json.loads(Path("run/results.json").read_text())
    found, dataset = results["snapshots"], inputs(tiny(data=data))
    assert found["cycles"] == 3
    members = found["members"]
    files = [f"run/snapshots/{number}.safetensors" for number in (3, 2, 1)]
    valid = [by_hand(files[:count], dataset.valid) for count in (1, 2, 3)]
    np.testing.assert_allclose(found["valid_nats"], valid, rtol=1e-5)
    assert members == 1 + int(np.argmin(valid))
    test = by_hand(files[:members], dataset.test)
    assert found["nats"] == pytest.approx(test, rel=1e-5)
    each = [by_hand([file], dataset.test) for file in files]
    np.testing.assert_allclose(found["each"], each, rtol=1e-5)
    words = f"test, ensemble of the last {members} of 3 snapshots: {test:.2f} +- "
    assert words in report
    assert evaluated(capsys, "run", "--ensemble")[1].startswith(words)
    Path("run/results.json").unlink()  # validation chooses again
    assert evaluated(capsys, "run", "--ensemble")[1].startswith(words)
    Path(files[0]).unlink()
    assert files[0] in refused(capsys, "run", "--ensemble")


def test_runs_are_an_ensemble(data, capsys, tmp_path):  # noqa: F811
    trained(data, "made", "--learning-rate", "0.05")
    trained(data, "fvsbn", "--learning-rate", "0.05", name="fvsbn")
    capsys.readouterr()
    files = [f"{run}/model.safetensors" for run in ("made", "fvsbn")]
    split = inputs(tiny(data=data)).test
    lines = evaluated(capsys, "made", "fvsbn", "--ensemble")
    for line, run, file in zip(lines[1:], ("made", "fvsbn"), files, strict=False):
        assert line.startswith(f"test, {run}: {by_hand([file], split):.2f} +- ")
    assert lines[-1].startswith(f"test, ensemble of 2 runs: {by_hand(files, split):.2f} +- ")
    assert "got 2 runs: pass --ensemble" in refused(capsys, "made", "fvsbn")
    assert "is one model and no ensemble" in refused(capsys, "made", "--ensemble")
    assert "made is named 2 times" in refused(capsys, "made", "./made", "--ensemble")
    other = tmp_path / "other.npz"
    np.savez(other, **{part: noisy_copies(40, seed=5) for part in ("train", "valid", "test")})
    found = Data("images", path=str(other))
    shutil.copytree("made", "other")  # as if it were trained on other data
    config = json.loads(Path("made/config.json").read_text())
    config["data"], config["recipe"]["data"]["path"] = inputs(tiny(data=found)).digest, str(other)
    Path("other/config.json").write_text(json.dumps(config))
    error = refused(capsys, "made", "other", "--ensemble")
    assert "made and other make no ensemble, for they have different data: data.path is" in error


def test_the_error_of_an_ensemble_is_that_of_the_mean_probabilities():
    """One network is sure and wrong where the other is right: the mean decides, not a vote."""
    x = np.array([[0], [1], [2], [2]])
    shares = np.array(
        [
            [[0.6, 0.4, 0], [0.4, 0.5, 0.1], [0.2, 0.2, 0.6], [0.5, 0.3, 0.2]],
            [[0.1, 0.9, 0], [0.2, 0.7, 0.1], [0.4, 0.3, 0.3], [0.0, 0.1, 0.9]],
        ]
    )
    nats = [-np.log(each[np.arange(4), x[:, 0]]) for each in shares]
    scores = [Scores(one, each[:, None]) for one, each in zip(nats, shares, strict=True)]
    model = zoo.CNN(head=zoo.Categorical(3))
    errors = [evaluation(each, model, Split(x, None)).error for each in scores]
    whole = evaluation(mixture(scores), model, Split(x, None))
    assert (*errors, whole.error) == (25.0, 50.0, 25.0)
    right = shares.mean(0)[np.arange(4), x[:, 0]]
    assert whole.nats == pytest.approx(-np.log(right).mean())


def test_the_space_is_compared_field_by_field(monkeypatch):
    recipe = tiny()
    x = Split(noisy_copies(8), None)
    dataset = Dataset("x", "x", x, x, x, num_levels=2)
    first = Member(Run(Path("a")), recipe, recipe.model, {}, dataset)

    def message(model):
        with pytest.raises(RunError) as caught:
            check_same_space([first, first._replace(run=Run(Path("b")), model=model)])
        return str(caught.value)

    assert "site_shape is (2, 5) in the first but (5, 2)" in message(
        recipe.model.clone(site_shape=(5, 2))
    )
    levels = recipe.model.clone(head=zoo.Categorical(3))
    assert "the number of values of the head is 2 in the first but 3" in message(levels)
    text = zoo.LSTM((10,), vocabulary=("a", "b"), head=zoo.Categorical(2))
    assert "kind is 'images' in the first but 'text' in the second" in message(text)
    first = first._replace(model=text)
    other = text.clone(vocabulary=("a", "c"))
    assert "vocabulary is ('a', 'b') in the first but ('a', 'c')" in message(other)
    monkeypatch.setattr(zoo.FVSBN, "knows", "bound")
    bound = zoo.FVSBN((2, 5))
    with pytest.raises(ValueError, match=r"FVSBN does not know them exactly: drop --ensemble\.$"):
        check_same_space([first, first._replace(run=Run(Path("b")), model=bound)])
    sound = zoo.CATALOGUE["wavenet"].tiny
    first = first._replace(model=sound)
    assert "companding is 'mu_law'" in message(sound.clone(companding="linear"))


@pytest.mark.slow
def test_the_comparison_prints_its_table(data, capsys, monkeypatch):  # noqa: F811
    recipe = tiny("fvsbn", data=data, steps=12)
    monkeypatch.setitem(COMPARISONS, "snapshots", Comparison("fvsbn", recipe, count=2))
    assert train.cli.reproduce.main(["snapshots"]) == 0
    found = capsys.readouterr().out.splitlines()
    assert found[0].startswith("| what | steps | test | training |") and len(found) == 7
    folder = Path("runs/reproduce/snapshots")
    files = [folder / f"cosine-{seed}" / "model.safetensors" for seed in (0, 1)]
    split = inputs(recipe).test
    assert found[2].startswith(f"| one cosine | 12 | {by_hand(files[:1], split):.2f} +- ")
    whole = f"| ensemble of 2 cosines | 2 x 12 | {by_hand(files, split):.2f} +- "
    assert found[6].startswith(whole)
    last = by_hand([folder / "cyclic/snapshots/2.safetensors"], split)
    assert found[3].startswith(f"| 2 cycles: the last snapshot | 12 | {last:.2f} +- ")
    assert "of 2 snapshots | 12 |" in found[4]
    assert found[5].startswith("| ensemble of 2 short cosines | 2 x 6 | ")
