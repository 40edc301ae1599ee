"""Outliers by a likelihood: scores and measures by hand, and the command on small runs."""

import json

import jax
import numpy as np
import pytest

import train.__main__ as training
import zoo
from train.anomalies.comparison import Trained, compare
from train.anomalies.measures import separation
from train.anomalies.scores import complexities, ratio, stand_ins, typicality
from train.cli import anomaly
from train.data import Data, Split


def test_measures_by_hand():
    inside, outside = np.array([0.0, 1.0, 2.0, 3.0]), np.array([1.5, 4.0])
    found = separation(inside, outside)
    assert found.auroc == (2 + 4) / 8  # 1.5 is above two of four, 4 above all
    assert found.auprc == pytest.approx(0.5 * 1 / 1 + 0.5 * 2 / 4)
    assert found.fpr95 == 2 / 4  # both outliers are reached at 1.5, as are 2 and 3
    assert separation(inside, inside + 10).fpr95 == 0
    assert separation(inside, np.array([np.inf, 5])).auroc == 1
    with pytest.raises(ValueError, match="1 of 6 scores are no numbers"):
        separation(inside, np.array([np.nan, 1]))


def test_scores_by_hand():
    nats = np.array([3.0, 5.0, 9.0])
    assert typicality(nats, 5.0).tolist() == [2, 0, 4]
    assert ratio(nats, np.array([4.0, 5.0, 1.0])).tolist() == [-1, 0, 8]
    noise = np.random.RandomState(0).randint(0, 256, (1, 16, 16)).astype(np.uint8)
    model = zoo.NADE((16, 16), head=zoo.Categorical(256))
    plain, hard = complexities(model, noise * 0), complexities(model, noise)
    assert set(plain) == {"png", "webp"}
    assert all(plain[name][0] < 1200 and hard[name][0] > 2000 for name in plain)
    text = zoo.GRU((400,), vocabulary=tuple("ab"), head=zoo.Categorical(2))
    (name,) = complexities(text, np.zeros((2, 400), np.int32))
    assert name == "zlib" and complexities(zoo.RNADE((3,)), np.zeros((1, 3), np.float32)) == {}


def test_stand_ins_keep_the_values():
    x = np.random.RandomState(0).normal(size=(50, 3)).astype(np.float32)
    made = stand_ins(zoo.RNADE((3,)), x, np.random.default_rng(0))
    np.testing.assert_array_equal(np.sort(made, axis=0), np.sort(x, axis=0))
    assert (made != x).any(1).mean() > 0.9
    image = np.arange(12).reshape(1, 2, 2, 3)
    colour = zoo.PixelCNNpp((2, 2), head=zoo.DiscretizedLogisticMixture(1, 256, 3))
    assert stand_ins(colour, image, np.random.default_rng(0))[0, 0, 0].tolist() == [9, 10, 11]


def independent(name, share):
    """A model of six independent bits, each 1 with a probability."""
    model = zoo.FVSBN((6,))
    variables = zoo.init(model, jax.random.key(0), np.zeros((1, 6), np.int32))
    odds = np.log(share / (1 - share))
    variables = jax.tree.map(
        lambda leaf: np.full(leaf.shape, odds if leaf.size == 6 else 0, np.float32), variables
    )
    return Trained(name, model, variables, 10, None, Data())


def bits(*counts):
    return Split(np.array([[1] * k + [0] * (6 - k) for k in counts], np.int32), None)


def test_scores_of_a_comparison():
    trained, background = independent("p", 0.9), independent("q", 0.5)
    valid, inside, outside = bits(5, 6), bits(6, 5, 5, 4), bits(1, 0)
    found = compare(trained, valid, inside, outside, [background])
    nats = -(np.array([6, 5, 5, 4]) * np.log(0.9) + np.array([0, 1, 1, 2]) * np.log(0.1))
    np.testing.assert_allclose(found.scores["raw"][0], nats, rtol=1e-4)
    np.testing.assert_allclose(found.scores["ratio"][0], nats - 6 * np.log(2), atol=1e-4)
    entropy = -(11 * np.log(0.9) + np.log(0.1)) / 2
    np.testing.assert_allclose(found.scores["typicality"][0], abs(nats - entropy), rtol=1e-3)
    assert found.measures["raw"].auroc == 1 and found.background == "q" and found.choice == {}
    rare, common = bits(0, 0, 1), bits(6, 6, 5)
    ramp = trained._replace(name="same")  # of which the ratio is 0
    found = compare(trained, rare, common, rare, [ramp, background])
    assert set(found.choice) == {"same", "q"} and found.choice["same"] == 0.5


def test_doubts_about_a_background():
    """Other data and a choice by chance are said; another size or place of the data is not."""
    run = independent("p", 0.9)._replace(data=Data("digits"))
    moved = run._replace(name="q", data=Data("digits", mutate=0.2, valid=7, manual_dir="elsewhere"))
    other = run._replace(name="r", data=Data("mnist", mutate=0.2))
    assert list(anomaly.doubts(run, [moved], {"q": 0.6})) == []
    (said,) = anomaly.doubts(run, [moved, other], {})
    assert said == "background r was trained on other data (mnist) than the run (digits)"
    (said,) = anomaly.doubts(run, [moved], {"q": 0.51})
    assert "near or below 0.5" in said


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    flags = "--data.name breast_cancer --data.classes 1 --steps 60 --samples 0 --model.hidden 8"
    for name, more in (("one", ""), ("mutated", "--data.mutate 0.5")):
        words = ["rnade", *flags.split(), *more.split(), "--run-dir", str(folder / name)]
        assert training.main(words) == 0
    return folder


def test_one_class_of_a_table(runs, capsys):
    words = [runs / "one", "--against", "breast_cancer", "--against-classes", "0"]
    words += ["--background", runs / "mutated", runs / "one"]
    assert anomaly.main([str(word) for word in words]) == 0
    printed = capsys.readouterr().out
    assert "| raw | 0.9" in printed and "of stand-ins" in printed and "FPR at 95 % TPR" in printed
    assert f"note: background {runs / 'one'} was trained without --data.mutate." in printed
    assert printed.count("note: background") == 1
    folder = runs / "one" / "anomaly" / "breast_cancer"
    found = json.loads((folder / "anomaly.json").read_text())
    assert set(found["measures"]) == {"raw", "typicality", "ratio"}
    assert found["measures"]["raw"]["auroc"] > 0.9  # malignant rows are far from benign ones
    assert found["background"] == max(found["choice"], key=found["choice"].get)
    header, *rows = (folder / "scores.csv").read_text().splitlines()
    assert header == "outlier,raw,typicality,ratio"
    assert len(rows) == sum(found["examples"].values())
    assert (folder / "scores.png").stat().st_size > 1000
    with np.load(runs / "one" / "test_scores.npz") as kept:
        inside = [float(row.split(",")[1]) for row in rows if row[0] == "0"]
        np.testing.assert_allclose(kept["nats"], inside, rtol=1e-4)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--against", "nothing_here"], "there is neither a data set nor a file of that name"),
        (["--against", "digits"], "digits has examples of shape [8, 8]"),
        (["--against", "python_docs"], "python_docs holds text, but RNADE describes a table"),
        (["--against", "wine"], "wine has examples of shape [13], but"),
        (["--against", "breast_cancer", "--num", "1"], "--num must be at least 2"),
        pytest.param(
            ["--against", "breast_cancer", "--background", "OTHER"],
            "FVSBN describes images of shape [8, 8]",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_refusals(runs, tmp_path, capsys, flags, message):

    if "OTHER" in flags:
        flags = [*flags[:-1], str(tmp_path / "other")]
        words = [
            "fvsbn",
            "--data.name",
            "digits",
            "--data.levels",
            "2",
            "--steps",
            "1",
            "--samples",
            "0",
            "--run-dir",
        ]
        assert training.main([*words, flags[-1]]) == 0
    before = sorted((runs / "one").rglob("*"))
    with pytest.raises(SystemExit) as caught:
        anomaly.main([str(runs / "one"), *flags])
    assert message in str(caught.value) and len(str(caught.value).splitlines()) == 1, caught.value
    assert sorted((runs / "one").rglob("*")) == before


@pytest.mark.slow
def test_what_knows_no_likelihood_is_refused(tmp_path, capsys):
    words = ["autoencoder", "--data.name", "digits", "--steps", "1", "--samples", "0", "--run-dir"]
    assert training.main([*words, str(tmp_path / "run")]) == 0
    with pytest.raises(SystemExit, match="Autoencoder knows nothing of log p"):
        anomaly.main([str(tmp_path / "run"), "--against", "digits"])


@pytest.mark.slow
def test_another_language(tmp_path, capsys):
    words = ["gru", "--data.unit", "byte", "--steps", "150", "--samples", "0", "--run-dir"]
    assert training.main([*words, str(tmp_path / "run")]) == 0
    german = "Der schnelle braune Fuchs sprang heute weit über den faulen, müden Hund. " * 400
    (tmp_path / "german.txt").write_text(german)
    anomaly.main([str(tmp_path / "run"), "--against", str(tmp_path / "german.txt"), "--num", "200"])
    found = json.loads((tmp_path / "run/anomaly/german.txt/anomaly.json").read_text())
    assert found["measures"]["raw"]["auroc"] > 0.95 and "zlib" in found["measures"]
