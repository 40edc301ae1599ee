"""Parts of the data, and what is learnt on others: classes, few labels, encoders, probes, the table."""

import dataclasses
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_train_cli import drawn, fails  # noqa: F401 (a fixture)

import train
import train.__main__ as cli
import train.cli.reproduce as reproducing
import train.cli.transfer as transfers
import zoo
from train.data.dataset import Data
from train.engine.step import initial_state, make_update
from train.recipe import published
from train.recipe import transfer as recipes
from train.recipe.recipe import Recipe
from zoo.classifiers.probe import averages

MADE = zoo.MADE((4, 4), hidden=(6,))
PIXELS = zoo.PixelCNN((4, 4), features=2, blocks=1, out_features=2)


def own(tmp_path, count=60, classes=4):
    """Images with labels in one file, of which the sixth part is of class 3."""
    labels = np.minimum(np.arange(count) % 6, classes - 1)
    x = np.random.RandomState(0).randint(0, 2, (count, 4, 4)).astype(np.uint8)
    arrays = {"train": x, "train_labels": labels, "test": x[:12], "test_labels": labels[:12]}
    np.savez(tmp_path / "own.npz", **arrays)
    return str(tmp_path / "own.npz")


def test_few_examples_are_even_and_nested(tmp_path):
    path = own(tmp_path)
    whole = train.data.load(Data("images", path, valid=6))
    splits = [train.data.load(Data("images", path, valid=6, train=n)).train for n in (4, 13, 20)]
    counts = [np.bincount(split.context, minlength=4).tolist() for split in splits]
    assert counts[0] == [1, 1, 1, 1] and max(counts[1]) - min(counts[1]) == 1
    assert sorted(counts[2]) == [5, 5, 5, 5]
    rows = [{each.tobytes() for each in split.x} for split in (*splits, whole.train)]
    assert rows[0] < rows[1] < rows[2] < rows[3]
    other = train.data.load(Data("images", path, valid=6, train=13, train_seed=1)).train
    assert {each.tobytes() for each in other.x} != rows[1]
    again = train.data.load(Data("images", path, valid=6, train=13))
    assert (
        again.train.x == splits[1].x
    ).all() and "13 of 54 training examples" in again.description
    assert (again.valid.x == whole.valid.x).all() and (again.test.x == whole.test.x).all()


def test_classes_are_numbered_in_the_order_given(tmp_path):
    path = own(tmp_path)
    whole, some = (train.data.load(Data("images", path, classes=c)) for c in ((), (3, 1)))
    for name in ("train", "valid", "test"):
        before, after = getattr(whole, name), getattr(some, name)
        keep = np.isin(before.context, (3, 1))
        assert (after.x == before.x[keep]).all()
        assert (after.context == (before.context[keep] == 1)).all()
    assert some.num_classes == 2 and some.class_names == ("3", "1")


@pytest.mark.slow
def test_folders_name_the_classes(drawn):  # noqa: F811
    from PIL import Image

    for name, grey in (("cat", 250), ("dog", 10)):
        Path("pets", name).mkdir(parents=True)
        for i in range(20):
            Image.new("L", (4, 4), grey - i if name == "cat" else grey + i).save(
                f"pets/{name}/{i}.png"
            )
    argv = ["cnn", "--data.path", "pets", "--steps", "2", "--batch-size", "4", "--samples", "0"]
    assert cli.main([*argv, "--model.channels", "2", "--model.halvings", "1"]) == 0
    assert zoo.open("runs/cnn")[0].class_names == ("cat", "dog")


def test_parts_of_other_kinds():
    table = train.data.load(Data("wine", train=20))
    whole = train.data.load(Data("wine"))
    assert len(table.train.x) == 20 and {*map(tuple, table.train.x)} < {*map(tuple, whole.train.x)}
    with pytest.raises(train.DataError, match=r"--data.train is not for python_docs \(text\)"):
        train.data.load(Data("python_docs", train=5))
    with pytest.raises(train.DataError, match=r"--data.classes is not for dates"):
        train.data.load(Data("dates", classes=(0, 1)))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--data.train 90", "has 54 training examples; ask for 1..54"),
        ("--data.train -1", "has 54 training examples"),
        ("--data.train 3", "leaves a class of own.npz without an example: ask for at least 4"),
        ("--data.classes 1 7", "own.npz has no class 7; it has 0..3"),
        ("--data.classes 1 1", "names a class twice"),
        ("--data.classes 2", "has one class only"),
    ],
)
def test_parts_that_there_are_not(drawn, tmp_path, capsys, flags, message):  # noqa: F811
    argv = ["cnn", "--data.path", own(tmp_path), "--steps", "1", *flags.split()]
    assert message in fails(capsys, 1, *argv) and not Path("runs").exists()


def test_averages_of_a_grid():
    grid = jnp.arange(25.0).reshape(1, 5, 5, 1)
    means = averages(grid, 2)[0, :, :, 0]  # the last row and column fill no part
    np.testing.assert_allclose(means, [[3, 5], [13, 15]])


def saved(model, path, seed=3):
    x, context = model.example(2)
    variables = zoo.init(model, jax.random.key(seed), x, context)
    noise = jax.tree.map(lambda leaf: leaf + 0.1, variables)
    zoo.save(path / "model.safetensors", model, noise)
    return str(path / "model.safetensors"), noise


def test_a_frozen_image_model_keeps_its_weights(tmp_path):
    path, given = saved(MADE, tmp_path)
    probe = zoo.Probe(image_shape=(4, 4), encoder=MADE, head=zoo.Categorical(3))
    recipe = Recipe(probe, encoder=path, encoder_rate=0.0, batch_size=4, steps=5, ema=0.9)
    x, images = probe.example(4)
    first = initial_state(recipe, x, images)
    update = make_update(recipe, jax.devices()[:1])
    state = update.place(first)
    for _ in range(2):
        state, _ = update.step(state, np.asarray(x), images)
    after = update.fetch(state)
    for variables in (after.variables, after.ema):
        jax.tree.map(np.testing.assert_array_equal, variables["params"]["encoder"], given["params"])
    moved = after.variables["params"]["linear"]["kernel"]
    assert (moved != np.asarray(first.variables["params"]["linear"]["kernel"])).any()
    # The features are what the image model computes of the nearest levels.
    levels = np.round(images / 255).astype(np.int32)
    bound = MADE.bind(given)
    hidden = np.asarray(bound.hidden_features(jnp.asarray(levels)))
    params = after.variables["params"]
    wanted = hidden @ np.asarray(params["linear"]["kernel"]) + np.asarray(params["bias"])
    got = zoo.conditionals(probe, after.variables, x, images)[:, 0]
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)


def test_the_run_decides_the_encoder_of_a_probe(drawn, tmp_path, capsys):  # noqa: F811
    path = own(tmp_path)
    flags = ["--data.path", path, "--steps", "2", "--batch-size", "5", "--samples", "0"]
    assert cli.main(["made", *flags, "--model.hidden", "7", "--data.classes", "0", "1"]) == 0
    task = [*flags, "--data.classes", "1", "2", "--encoder"]
    assert cli.main(["probe", *task, "runs/made"]) == 0
    model, variables = zoo.open("runs/probe")
    assert model.encoder.hidden == (7,) and model.encoder.site_shape == (4, 4)
    made = zoo.open("runs/made")[1]["params"]
    jax.tree.map(np.testing.assert_array_equal, variables["params"]["encoder"], made)
    said = capsys.readouterr().err
    assert "trained on classes 0 1; of the classes here it has seen 1" in said
    assert cli.main(["fvsbn", *flags, "--run-dir", "runs/logits"]) == 0
    assert "a FVSBN has none" in fails(capsys, 1, "probe", *task, "runs/logits")
    small = [*task, "runs/made", "--model.channels", "2", "--model.halvings", "1"]
    assert "runs/made (MADE) has no encoder" in fails(capsys, 1, "cnn", *small)


def test_a_training_starts_from_the_weights_of_another(tmp_path):
    path, given = saved(MADE, tmp_path)
    x = np.asarray(MADE.example(4)[0])
    state = initial_state(Recipe(MADE, start=path, batch_size=4), x, values=x)
    for variables in (state.variables, state.ema):
        jax.tree.map(np.testing.assert_array_equal, variables, given)
    for model, why in (
        (MADE.clone(hidden=(5,)), r"array 'params/.*' has shape \(6,?.*\); its model has \(5"),
        (zoo.FVSBN((4, 4)), r"array 'params/.*' is (missing|not part of)"),
    ):
        with pytest.raises(ValueError, match=rf"\(MADE\) cannot be the start of this .*: {why}"):
            initial_state(Recipe(model, start=path, batch_size=4), x)


def test_a_row_starts_from_the_run_of_another(drawn, monkeypatch, capsys):  # noqa: F811
    recipe = Recipe(MADE, Data("digits"), steps=3)
    first = published.Row("made", (recipe,), None)
    for name, row in (("first", first), ("then", dataclasses.replace(first, after="first"))):
        monkeypatch.setitem(published.ROWS, name, row)
    trained = {}

    def run(name, recipe, run, command):
        trained[run.folder.name] = recipe.start
        return {"nats": 1.0, "standard_error": 0.5, "seconds": 40.0, "data": "digits"} | {
            "seed": 0,
            "hardware": "abacus",
        }

    monkeypatch.setattr(reproducing, "run_recipe", run)
    assert reproducing.main(["then"]) == 0
    assert trained == {"first": None, "then": "runs/reproduce/first"}
    assert capsys.readouterr().out.splitlines()[-1].endswith("| abacus | 1 min 20 s |")


@pytest.mark.slow
def test_captioners_and_classifiers_share_an_encoder(tmp_path):
    captioner = zoo.Captioner(
        (4,), 5, 3, head=zoo.Categorical(4), image_shape=(6, 6), channels=(3, 4), halvings=1
    )
    path, given = saved(captioner, tmp_path)
    model = zoo.CNN(image_shape=(8, 8), channels=(3, 4), halvings=1)
    state = initial_state(Recipe(model, encoder=path, batch_size=2), *model.example(2))
    encoder = state.variables["params"]["encoder"]
    jax.tree.map(np.testing.assert_array_equal, encoder, given["params"]["encoder"])


def test_the_table(drawn, monkeypatch, capsys):  # noqa: F811
    """Each run has the recipe that its cell says; means and standard errors are over the seeds."""
    trained = {}

    def run(name, recipe, run, command):
        trained[run.folder.name] = recipe
        few = recipe.data.train or 1
        return {"error": 100 / few + recipe.seed * (1 if recipe.encoder else 2)}

    monkeypatch.setattr(reproducing, "run_recipe", run)
    assert reproducing.main(["transfer"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"| labels | {' | '.join(recipes.METHODS)} |"
    assert lines[2].startswith("| 50 | 4.00 +- 1.15 | 3.00 +- 0.58 |")
    assert Path("runs/reproduce/transfer/transfer.png").stat().st_size > 1_000
    assert len(trained) == 2 + 4 * 3 * 3
    frozen = trained["frozen_features-500-2"]
    assert (frozen.encoder_rate, frozen.data.train, frozen.data.train_seed, frozen.seed) == (
        0.0,
        500,
        2,
        2,
    )
    assert frozen.encoder == "runs/reproduce/transfer/cnn"
    assert not set(frozen.data.classes) & set(trained["cnn"].data.classes)
    assert json.loads(json.dumps(transfers.SIZES)) == [50, 500, 5000]
