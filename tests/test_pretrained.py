"""The weights that come with the project: they open from any folder, and how they are packed."""

import dataclasses
import json
import re
import shutil

import jax
import numpy as np
import pytest
import safetensors.numpy

import sample.__main__
import train
import zoo
from benchmarks import pack
from benchmarks.box import hero
from benchmarks.box.cards import index_of
from train import __main__ as training
from train.data import Data, load
from train.runs.folder import RunError
from zoo.foundation.packages import BOX

NAMES = sorted(file.parent.name for file in BOX.glob("*/model.safetensors"))


def test_the_box_is_small_and_opens_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sizes = [(BOX / name / "model.safetensors").stat().st_size for name in NAMES]
    assert {"made", "vae", "cnn"} <= set(NAMES)
    assert max(sizes) <= pack.LARGEST and sum(sizes) <= pack.WHOLE
    for name in NAMES:
        model, variables = zoo.open(f"pretrained/{name}")
        assert isinstance(model, zoo.Generative)
        assert {leaf.dtype.name for leaf in jax.tree.leaves(variables)} <= {"float32", "int32"}
    with pytest.raises(zoo.CheckpointError, match="no weights at pretrained/nade: .* has cnn"):
        zoo.open("pretrained/nade")
    for name, advice in (
        ("made", "; or take the weights that come with the project: pretrained/made."),
        ("mdae", "; or did you mean pretrained/made?"),
        ("zzz", "train MODEL."),
    ):
        with pytest.raises(zoo.CheckpointError, match=re.escape(advice)):
            zoo.open(name)


@pytest.mark.parametrize("name", NAMES)
def test_a_card_has_the_numbers_and_the_digest_of_its_weights(name, pytestconfig):
    cards = pytestconfig.rootpath / "docs" / "models"
    text = (cards / f"{name}.md").read_text()
    results = json.loads((BOX / name / "results.json").read_text())
    with safetensors.safe_open(BOX / name / "model.safetensors", "numpy") as file:
        assert f"`{file.metadata()['digest']}`" in text
    assert f"`{results['command']}`" in text and f"{results['num']:,} {results['unit']}s" in text
    rounding = results.get("rounding", {"stored": "float32"})
    assert rounding["stored"] == "float32" or abs(rounding["cost"]) < pack.COST
    assert f"| stored as | {rounding['stored']}, " in text
    config = (BOX / name / "config.json").read_text()
    for place in ("/tmp", "/work", "/home", "--run-dir", "--manual-dir"):
        assert place not in text + json.dumps(results) + config
    assert f"[{name}]({name}.md)" in index_of(cards, BOX)


def test_rounded_weights_are_restored(tmp_path):
    model = zoo.FVSBN((2, 3))
    variables = zoo.init(model, jax.random.key(0), *model.example(1))
    variables = jax.tree.map(lambda leaf: leaf + np.float32(1 / 3), variables)
    zoo.save(tmp_path / "half", model, variables, rounded=True)
    stored = safetensors.numpy.load_file(tmp_path / "half")
    assert {array.dtype.name for array in stored.values()} == {"float16"}
    for got, leaf in zip(
        *map(jax.tree.leaves, (zoo.load(tmp_path / "half")[1], variables)), strict=True
    ):
        assert got.dtype == np.float32
        np.testing.assert_array_equal(got, np.asarray(leaf).astype(np.float16).astype(np.float32))
    large = jax.tree.map(lambda leaf: leaf + np.float32(1e5), variables)
    with pytest.raises(ValueError, match="beyond 65504: do not round it"):
        zoo.save(tmp_path / "large", model, large, rounded=True)
    assert not (tmp_path / "large").exists()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run of a tiny training on bits of scikit-learn's digits."""
    folder = tmp_path_factory.mktemp("pack") / "run"
    flags = ["--data.name", "digits", "--data.binarise", "threshold", "--samples", "0"]
    words = ["fvsbn", "--steps", "20", *flags, "--run-dir", str(folder)]
    assert training.main(words) == 0
    return folder


def packed(run, tmp_path):
    return pack.Options(str(run), "small", tmp_path / "box", tmp_path / "cards")


def test_a_packed_recipe_names_no_folder():
    recipe = {
        "data": {"path": "/mine/x.npy", "manual_dir": "/mine", "data_dir": None},
        "start": "/mine/runs/first",
        "encoder": None,
    }
    kept = json.loads(pack.public_config({"recipe": recipe}))["recipe"]
    assert kept["start"] == "first" and kept["data"]["path"] == "x.npy"
    assert kept["encoder"] is None and kept["data"]["manual_dir"] is None


def test_a_run_is_packed(run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    pack.main(packed(run, tmp_path))
    assert "float16; rounding to float16 costs" in capsys.readouterr().out
    folder = tmp_path / "box" / "small"
    results = json.loads((folder / "results.json").read_text())
    assert "--run-dir" not in results["command"] and "--steps 20" in results["command"]
    # What rounding costs, measured by other means.
    (model, exact), (_, rounded) = zoo.load(run), zoo.load(folder)
    valid = load(Data("digits", binarise="threshold")).valid.x
    before, after = (train.evaluate(model, each, valid).nats for each in (exact, rounded))
    assert before != after
    np.testing.assert_allclose(results["rounding"]["cost"], after - before, atol=1e-5)
    # 16 test images are kept, and completions start from them.
    assert "its samples say little about the model yet" in results["short"]
    kept = np.load(folder / "test.npz")["x"]
    np.testing.assert_array_equal(kept, load(Data("digits", binarise="threshold")).test.x[:16])
    sample.__main__.run([str(folder), "--complete", "4", "--num", "1", "--seed", "3"])
    said = capsys.readouterr().out
    assert "note: this training saw 2,000 examples, the recipe of fvsbn 600,000" in said
    assert "4 of 8 rows of 8 test images kept" in said and "completions_seed3.png" in said
    picture = folder / "completions_seed3.png"
    from PIL import Image

    shown = np.asarray(Image.open(picture).convert("L"))[::2, ::2][1:9, 1:9]
    np.testing.assert_array_equal(shown, kept[0].reshape(8, 8) * 255)
    sample.__main__.run([str(folder), "--complete", "4", "--num", "1", "--seed", "3"])
    assert "(replaces an older one)" in capsys.readouterr().out
    card = (tmp_path / "cards" / "small.md").read_text()
    assert "16 test images (two rows), and 32 draws" in card and "## Licence" in card
    assert (tmp_path / "cards" / "small.png").exists()
    assert "[small](small.md)" in (tmp_path / "cards" / "README.md").read_text()
    # Weights that are packed already stay as they are, and their card is written again.
    before = {file.name: file.read_bytes() for file in folder.glob("*.safetensors")}
    (tmp_path / "cards" / "small.md").unlink()
    pack.main(dataclasses.replace(packed(run, tmp_path), run=str(folder)))
    assert capsys.readouterr().out == f"card: {tmp_path / 'cards' / 'small.md'}\n"
    assert before == {file.name: file.read_bytes() for file in folder.glob("*.safetensors")}
    assert (tmp_path / "cards" / "small.md").read_text() == card


def test_what_is_too_large_or_unfinished_is_refused(run, tmp_path, monkeypatch):
    options = packed(run, tmp_path)
    for limit, why in (
        ("LARGEST", "MB are the most: train a smaller"),
        ("WHOLE", "all weights"),
    ):
        with monkeypatch.context() as smaller:
            smaller.setattr(pack, limit, 100)
            with pytest.raises(ValueError, match=why) as caught:
                pack.pack(options)
        assert "\n" not in str(caught.value) and not (tmp_path / "box").exists()
    shutil.copytree(run, tmp_path / "unfinished")
    (tmp_path / "unfinished" / "results.json").unlink()
    with pytest.raises(RunError, match="is not finished"):
        pack.pack(packed(tmp_path / "unfinished", tmp_path))
    with pytest.raises(ValueError, match="small letters"):
        pack.pack(pack.Options(str(run), "../x"))


def test_pictures_of_weights_in_the_box_go_to_runs(tmp_path, monkeypatch):
    from sample.kinds.places import folder_of

    monkeypatch.chdir(tmp_path)
    assert folder_of(zoo.find("pretrained/made")).as_posix() == "runs/pretrained/made"
    assert (tmp_path / "runs/pretrained/made").is_dir()


def test_the_hero_has_real_digits_beside(run, tmp_path):
    options = hero.Options(str(run), tmp_path / "hero.png", num=5, seed=2)
    said = hero.draw_figure(options)
    model, variables = zoo.load(run)
    test = load(Data("digits", binarise="threshold")).test.x[:5]
    drawn = sample.draw(model, variables, jax.random.key(2), 5)
    for x, what in ((test, "5 test images"), (drawn.x, "5 draws of fvsbn")):
        assert f"{what}: {-np.mean(zoo.log_prob(model, variables, x)):.1f} +- " in said
    assert (tmp_path / "hero.png").exists()
    results = {name: json.loads((BOX / name / "results.json").read_text()) for name in NAMES}
    nats = {
        name: found["nats"]
        for name, found in results.items()
        if found["knows"] == "exact" and found["data"].startswith("MNIST, 1 bit")
    }
    assert hero.best().endswith(min(nats, key=nats.get))
