"""The linear classifier of codes, and `python -m train.probe`."""

import numpy as np
import pytest

import zoo
from sample.testing.subject import variables_of
from train import __main__ as training
from train.cli import probe
from train.practice.linear_probe import accuracies, classify

RNG = np.random.RandomState(0)


def test_classify_meets_the_best_linear_boundary():
    """Two Gaussians at distance 2: the best classifier is right of Phi(1) = 84.1 %."""
    labels = RNG.randint(0, 2, 4000)
    x = RNG.normal(size=(4000, 3)) + 2 * labels[:, None] * [1.0, 0.0, 0.0]
    right = (classify(x[:2000], labels[:2000], x[2000:]) == labels[2000:]).mean()
    assert abs(right - 0.841) < 0.025
    assert classify(x[:10], np.full(10, 7), x[:5]).tolist() == [7] * 5  # a single class


def test_accuracies_of_codes_and_values():
    """Codes are a linear map of two of the values, the label is told by the third."""
    model = zoo.Autoencoder((1, 3), latents=2, hidden=())
    variables = variables_of(model)
    kernel = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]], np.float32)
    variables["params"]["encoder"]["out"]["kernel"] = kernel
    x = RNG.randint(0, 2, (600, 1, 3)).astype(np.int32)
    labels = x[:, 0, 2]
    halves = (x[:300], labels[:300]), (x[300:], labels[300:])
    (few, many) = accuracies(model, variables, *halves, sizes=(30, 200), repeats=2)
    assert (few.labels, many.labels) == (30, 200) and many.values == 100
    assert abs(many.codes - 50) < 10 and many.values_error == 0
    with pytest.raises(ValueError, match="the data have 300 labels"):
        accuracies(model, variables, *halves, sizes=(301,))


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = "vae --data.name digits --data.binarise threshold --steps 60 --samples 0 --draws 1"
    assert training.main([*words.split(), "--model.hidden", "20", "--model.latents", "8"]) == 0
    return "vae"


def test_the_command(run, capsys):
    capsys.readouterr()
    assert probe.main([run, "--labels", "50", "400", "--repeats", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "8 numbers a code" in lines[0] and lines[1] == "| labels | codes | values |"
    cells = [[word.strip() for word in line.strip("|").split("|")] for line in lines[3:]]
    assert [row[0] for row in cells] == ["50", "400"]
    assert all(float(cell) > 20 for row in cells for cell in row[1:])  # no error of one choice


REFUSED = [
    (zoo.VAE((2, 2), num_classes=3), "conditional on labels"),
    (zoo.FVSBN((2, 2)), "FVSBN has no code of an example"),
]


@pytest.mark.parametrize(("model", "why"), REFUSED)
def test_what_cannot_be_probed(tmp_path, model, why):
    zoo.save(tmp_path / "model.safetensors", model, variables_of(model))
    with pytest.raises(SystemExit) as caught:
        probe.main([str(tmp_path)])
    assert str(caught.value).startswith("error: ") and why in str(caught.value)
