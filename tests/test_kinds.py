"""Kinds: docs/adding_a_kind.md is run as it stands, and only the kinds' files ask what a model is."""

import ast
import json
import re
from pathlib import Path

import numpy as np
import pytest
from test_own_models import same_registry  # noqa: F401 (a fixture)
from test_train_cli import drawn, fails  # noqa: F401 (fixtures)

import sample.__main__ as sampling
import sample.kinds
import train.__main__ as cli
import train.data.loading
import zoo
from train.cli.listing import FAMILIES
from train.data import DataError
from train.data.dataset import Dataset, Split
from train.kinds import kind_of
from train.recipe.presets import RECIPES

ROOT = Path(__file__).parents[1]


@pytest.fixture
def dna(monkeypatch):
    """The file of the page; its kind is forgotten afterwards."""
    monkeypatch.setattr(train.data.loading, "_KINDS", dict(train.data.loading._KINDS))
    monkeypatch.setattr(sample.kinds, "_KINDS", dict(sample.kinds._KINDS))
    page = (ROOT / "docs" / "adding_a_kind.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    Path("dna.py").write_text(code)
    return "dna.py:Strands"


def test_the_kind_of_the_page(dna, capsys):
    assert cli.main([dna, "--steps", "20"]) == 0
    out = capsys.readouterr().out
    assert "strands of one repeated codon" in out and "nats/base" in out
    assert json.loads(Path("runs/Strands/results.json").read_text())["unit"] == "base"
    sampling.run([dna, "--num", "7"])
    lines = capsys.readouterr().out.split()
    assert len(lines) == 7 and all(re.fullmatch("[ACGT]{12}", line) for line in lines)
    Path("mine").write_text("ACGTACGTACGT\n" * 40)
    own = ["--data.name", "strands", "--data.path", "mine", "--steps", "2", "--samples", "0"]
    assert cli.main([dna, *own]) == 0
    line = fails(capsys, 1, dna, "--data.levels", "4")
    assert "--data.levels is not supported by Strands (dna): drop it" in line
    assert "holds strands of DNA" in fails(capsys, 1, "made", "--data.name", "repeats")


@pytest.mark.parametrize(
    ("name", "own", "others"),
    [
        (
            "made",
            "--steps --data.binarise --validate-ensemble --calibrate --model.hidden",
            "--data.fold --data.unit --encoder --conditional",
        ),
        (
            "lstm",
            "--data.unit --model.features --preset",
            "--data.fold --data.binarise --encoder --calibrate --conditional --model.vocabulary "
            "--model.head --model.end",
        ),
        ("wavenet", "--data.rate --conditional", "--data.unit --calibrate --model.rate"),
        ("rnade", "--data.fold --data.drop", "--data.binarise --calibrate --encoder-rate"),
        ("seq2seq", "--data.items --encoder-rate", "--data.fold --model.source-values"),
        ("captioner", "--data.blind --encoder", "--data.items --calibrate --model.unit"),
    ],
)
def test_help_shows_the_flags_that_apply(capsys, name, own, others):
    with pytest.raises(SystemExit) as caught:
        cli.main([name, "--help"])
    assert caught.value.code == 0
    words = set(re.findall(r"--[\w.-]+", capsys.readouterr().out))
    assert set(own.split()) <= words and not set(others.split()) & words


def test_flags_of_others_are_one_line(capsys):
    for argv, message in (
        (["lstm", "--data.fold", "3"], "--data.fold is not supported by LSTM (text): drop it."),
        (["lstm", "--calibrate"], "--calibrate is not supported by LSTM (text): drop it."),
        (["lstm", "--model.vocabulary", "a"], "--model.vocabulary is decided by the data"),
        (["made", "--encoder=x"], "--encoder is not supported by MADE (images)"),
        (["made", "--data.name", "digits", "--data.fold", "1"], "supported by MADE (images)"),
    ):
        assert message in fails(capsys, 1, *argv)


def test_models_are_listed_by_family():
    listed = {name: line for models in FAMILIES.values() for name, line in models.items()}
    assert set(listed) == set(RECIPES)
    assert all(line.endswith(".") and len(line) < 90 for line in listed.values())


MODELS = {
    cls.__name__
    for cls in vars(zoo).values()
    if isinstance(cls, type) and issubclass(cls, zoo.Autoregressive)
} - {"Autoregressive"}


@pytest.mark.parametrize("package", ["zoo", "train", "sample"])
def test_nobody_asks_for_a_class_of_models(package):
    """What a model can do is asked of the model, what it describes of its kind."""
    asked = []
    for path in (ROOT / package).rglob("*.py"):
        if path.parent.name == "kinds":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            called = isinstance(node, ast.Call) and ast.unparse(node.func)
            if called in ("isinstance", "issubclass"):
                classes = ast.unparse(node.args[1])
                names = set(re.findall(r"\w+", classes.replace("zoo.Sequence", "EverySequence")))
                if names & (MODELS - {"Sequence"} | {"EverySequence"}):
                    asked.append(f"{path.name}:{node.lineno}")
    assert asked == []


@pytest.mark.parametrize(
    ("levels", "models"), [(2, "fvsbn, nade, nade_categorical, eonade, made"), (None, "rnade, maf")]
)
def test_models_of_images_name_those_of_vectors(levels, models):
    split = Split(np.zeros((5, 7), np.float32 if levels is None else np.int32), None)
    dataset = Dataset("x.npy", "five vectors", split, split, split, levels)
    for model in (zoo.PixelCNN(), zoo.PixelCNNpp(), zoo.RowLSTM()):
        said = f"x.npy holds vectors of 7 values, but {type(model).__name__} describes images: "
        with pytest.raises(DataError, match=f"{said}choose a model of vectors .{models}."):
            kind_of(model).shaped(model, dataset, ())
    for name in models.split(", "):  # the advice can be followed
        model = zoo.entry(name).paper
        assert kind_of(model).shaped(model, dataset, ()).site_shape == (7,)
