"""Images in words: the scenes, own folders, encoders that are frozen or fine-tuned, captions and
where
  they look.
"""

import dataclasses
import json
import re

import conformance
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from commands import argv
from PIL import Image

import sample
import sample.__main__ as cli
import train.__main__ as training
import zoo
from sample.media.pixel_files import read_pixels
from train.data import Data, DataError
from train.data.sources import captions as made
from train.engine.prepare import fitted, inputs, training_batches
from train.engine.step import initial_state, make_update
from train.kinds import load
from train.recipe.recipe import Recipe
from zoo.conditional.image_describer import GridEncoder

TINY = {"features": 8, "embedding": 4, "channels": (4, 6), "halvings": 2}


@pytest.fixture(scope="module")
def few():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("train.data.sources.captions.TRAINED", 200)
        patch.setattr("train.data.sources.captions.HELD_OUT", 40)
        yield


def test_scenes_show_what_their_captions_say(few):
    dataset, again = load(Data("scenes")), load(Data("scenes"))
    assert (dataset.test.context == again.test.context).all() and dataset.pairs == again.pairs
    assert dataset.train.context.shape == (200, 64, 64) and set(
        np.unique(dataset.train.context)
    ) == {0, 255}
    digits = load(Data())
    counts = []
    for image, corners, (_, text) in zip(
        dataset.test.context, dataset.corners, dataset.pairs, strict=True
    ):
        phrases, there = text.split(", "), corners[corners[:, 0] >= 0]
        counts.append(len(phrases))
        assert len(there) == len(phrases) and (corners[len(there) :] == -1).all()
        for (top, left), phrase in zip(there, phrases, strict=True):
            word, place = phrase.split(" at ")
            assert (
                place == f"{('top', 'bottom')[int(top >= 32)]} {('left', 'right')[int(left >= 32)]}"
            )
            crop = image[top : top + 28, left : left + 28] // 255
            assert (
                made.NAMES[digits.test.context[(digits.test.x == crop).all((1, 2)).argmax()]]
                == word
            )
    assert set(counts) == {1, 2, 3, 4} and dataset.unit == "word" and len(dataset.vocabulary) == 19


def test_single_digits_are_named():
    dataset = load(Data("digit_words"))
    assert len(dataset.train.x) == 55_000 and dataset.train.context.shape[1:] == (28, 28)
    assert [text for _, text in dataset.pairs[:3]] == ["seven", "two", "one"]


def own(tmp_path, lines=None, size=(6, 5)):
    for i in range(12):
        pixels = np.random.RandomState(i).randint(0, 256, size[::-1]).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
    lines = (
        [f"{i}.png\tpicture of {i % 3} things" for i in range(12)] + ["0.png\tanother of it"]
        if lines is None
        else lines
    )
    (tmp_path / "captions.tsv").write_text("\n".join(lines) + "\n")
    return Data("captions", path=str(tmp_path), least=1)


def test_own_images(tmp_path):
    dataset = load(own(tmp_path))
    splits = (dataset.train, dataset.valid, dataset.test)
    assert sum(len(split.x) for split in splits) == 13 and dataset.train.context.shape[1:] == (5, 6)
    name, text = dataset.pairs[0]
    assert (
        dataset.test.context[0] == np.asarray(Image.open(tmp_path / name))
    ).all() and text.startswith(("picture", "a"))
    with pytest.raises(
        DataError,
        match=f"{tmp_path.name}: Captioner expected images, .*64, 64.; got .*--model.image-shape 5 6",
    ):
        inputs(Recipe(zoo.Captioner(), Data("captions", path=str(tmp_path))))


def test_splits_and_order_of_columns_as_the_header_says(tmp_path):
    splits = ["train"] * 10 + ["test"] * 2
    lines = [
        "split\tcaption\tImage",
        *(f"{split}\tno {i}\t{i}.png" for i, split in enumerate(splits)),
    ]
    dataset = load(own(tmp_path, lines))
    assert [len(split.x) for split in (dataset.train, dataset.valid, dataset.test)] == [9, 1, 2]
    assert dataset.pairs == (("10.png", "no 10"), ("11.png", "no 11"))
    lines[2] = lines[2].replace("train", "valid")
    named = load(own(tmp_path, lines))
    assert (
        len(named.train.x) == 9
        and (named.valid.context[0] == np.asarray(Image.open(tmp_path / "1.png"))).all()
    )


def test_blackened_images(tmp_path):
    seen, blind = (load(dataclasses.replace(own(tmp_path), blind=blind)) for blind in (False, True))
    assert (
        (seen.test.x == blind.test.x).all()
        and seen.test.context.any()
        and not blind.test.context.any()
    )
    assert "images blackened" in blind.description


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            ["image\tcaption\tsplit", "0.png\ta"],
            "captions.tsv, line 2: 2 columns; expected 3 as in the header: image",
        ),
        (
            ["image\tcaption\tsplit", *(f"{i}.png\ta\tdev" for i in range(12))],
            "has the split 'dev'; expected one of train",
        ),
        (
            ["image\tcaption\tsplit", *(f"{i}.png\ta\ttest" for i in range(12))],
            "has 0 images for training and 12 for",
        ),
        (
            [
                "image\tcaption\tsplit",
                *(f"{i % 12}.png\ta\t{'train' if i < 12 else 'test'}" for i in range(13)),
            ],
            "captions.tsv has 0.png in train and in test: give all its lines one split",
        ),
        (["image\tcaption"], "captions.tsv is empty; expected 2 as in the header"),
        (["0.png\ta\tb"], "captions.tsv, line 1: 3 columns"),
        (
            [f"{i}.png\tword" for i in range(20)],
            "captions.tsv names 12.png, which is not there: put it there or",
        ),
        ([f"{i}.png\tword" for i in range(5)], "holds 5 images; at least 10 are needed"),
    ],
)
def test_folders_that_do_not_fit_are_refused(lines, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        load(own(tmp_path, lines))


@pytest.mark.parametrize(("mode", "brightest"), [("1", 255), ("L", 1)])
def test_images_are_learned_from_as_they_are_described(mode, brightest, tmp_path):
    """Bits are black and white, and dark grey stays dark, in training as in sampling; captions.tsv
    is no image.
    """
    data = own(tmp_path)
    for i in range(12):
        image = Image.fromarray((np.eye(5, 6) > 0) if mode == "1" else np.eye(5, 6, dtype=np.uint8))
        image.save(tmp_path / f"{i}.png")
    model = zoo.Captioner((7,), **TINY, image_shape=(5, 6), head=zoo.Categorical(5))
    read = read_pixels(model, tmp_path)
    assert len(read) == 12 and read.max() == brightest
    assert (load(data).train.context[0] == read[0]).all()


def test_images_outside_the_folder_are_refused(tmp_path):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    own(tmp_path)
    data = own(tmp_path / "in")
    (tmp_path / "in" / "link.png").symlink_to(tmp_path / "3.png")
    (tmp_path / "in" / "all").symlink_to(tmp_path)
    (tmp_path / "in" / "deep" / "near.png").symlink_to("../3.png")
    (tmp_path / "seen").symlink_to(tmp_path / "in")
    lines = [f"{i}.png\tword" for i in range(12)]
    for name in (
        "../3.png",
        str(tmp_path / "3.png"),
        str(tmp_path / "in" / "3.png"),
        "link.png",
        "all/3.png",
    ):
        own(tmp_path / "in", [*lines, f"{name}\tword"])
        with pytest.raises(
            DataError, match=f"captions.tsv names {re.escape(name)}, which is outside the folder"
        ):
            load(data)
    own(tmp_path / "in", [*lines, "deep/near.png\tword", "deep/../4.png\tword"])
    assert len(load(data).train.x) > 8
    assert len(load(dataclasses.replace(data, path=str(tmp_path / "seen"))).train.x) > 8


def test_images_of_different_sizes_are_refused(tmp_path):
    data = own(tmp_path)
    Image.new("L", (7, 7)).save(tmp_path / "3.png")
    with pytest.raises(DataError, match="0.png is 6x5 L but .*3.png is 7x7 L; all must be alike"):
        load(data)


def test_a_pooled_captioner_fits_images_of_any_size():
    model = zoo.Captioner((3,), **TINY, image_shape=(8, 8), head=zoo.Categorical(5), pooled=True)
    variables = zoo.init(model, jax.random.key(0), *zoo.example(model, 2))
    assert variables["params"]["vector"]["kernel"].shape == (6, 8)
    wide = model.clone(image_shape=(8, 24))
    images = np.random.RandomState(0).randint(0, 256, (2, 8, 24))
    x = np.array([[2, 3, 1], [4, 1, 0]])
    there = zoo.log_prob(wide, variables, x, images)
    assert (abs(there - zoo.log_prob(wide, variables, x, 255 - images)) > 1e-3).all(), (
        "the image is read"
    )


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    """A checkpoint whose encoder was trained on another task (with images of another size)."""
    model = zoo.Captioner((2,), **TINY, image_shape=(28, 28), head=zoo.Categorical(13))
    path = tmp_path_factory.mktemp("encoder") / "model.safetensors"
    zoo.save(path, model, zoo.init(model, jax.random.key(5), *zoo.example(model, 2)))
    return str(path)


def trained(encoder, rate, parallel="jit", steps=3):
    """The state before and after a few updates, and that of a run whose encoder learns as fast as
    the rest.
    """
    recipe = Recipe(
        zoo.ShowAttendTell((20,), **TINY), Data("scenes"), encoder=encoder, encoder_rate=rate, batch_size=8, steps=20,
        weight_decay=0.1, ema=0.9, parallel=parallel,
    )  # fmt: skip
    dataset = inputs(recipe)
    recipe = fitted(recipe, dataset)
    batches, update = (
        training_batches(recipe, dataset),
        make_update(recipe, jax.devices()[: 1 if parallel == "jit" else 2]),
    )
    first = jax.tree.map(np.array, initial_state(recipe, *batches(0)))
    state = update.place(first)
    for step in range(steps):
        state, metrics = update.step(state, *batches(step))
        jax.block_until_ready(metrics)
    return first, jax.tree.map(np.asarray, update.fetch(state))


def encoder_of(variables):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(variables["params"]["encoder"])]


def moved(before, after):
    return max(
        np.abs(a - b).max() for a, b in zip(encoder_of(before), encoder_of(after), strict=True)
    )


@pytest.mark.parametrize("parallel", ["jit", pytest.param("pmap", marks=pytest.mark.slow)])
def test_a_frozen_encoder_really_does_not_move(few, encoder, parallel):
    first, last = trained(encoder, 0.0, parallel)
    given = zoo.load(encoder)[1]
    assert (
        moved(given, first.variables) == 0 == moved(given, last.variables) == moved(given, last.ema)
    )
    assert (last.variables["params"]["place"] != first.variables["params"]["place"]).any()


@pytest.mark.slow
def test_a_fine_tuned_encoder_moves_less(few, encoder):
    (first, full), (_, tenth) = trained(encoder, 1.0, steps=1), trained(encoder, 0.1, steps=1)
    far, near = moved(first.variables, full.variables), moved(first.variables, tenth.variables)
    assert near == pytest.approx(far / 10, rel=1e-3) and near > 0
    np.testing.assert_array_equal(
        full.variables["params"]["place"], tenth.variables["params"]["place"]
    )


def test_encoders_that_do_not_fit_are_refused(few, encoder, tmp_path):
    with pytest.raises(
        ValueError, match="FVSBN has no encoder, so there is none to begin with or to freeze"
    ):
        initial_state(Recipe(zoo.FVSBN(), encoder_rate=0.0), np.zeros((2, 28, 28), np.int32))
    other = zoo.ShowAttendTell((20,), **{**TINY, "channels": (4, 7)}, head=zoo.Categorical(19))
    with pytest.raises(
        ValueError,
        match=r"the encoder of .* of this ShowAttendTell: channels is .4, 6., expected .4, 7.",
    ):
        initial_state(Recipe(other, encoder=encoder), *zoo.example(other, 2))
    other = other.clone(channels=(4, 6), halvings=1)
    with pytest.raises(ValueError, match="halvings is 2, expected 1"):
        initial_state(Recipe(other, encoder=encoder), *zoo.example(other, 2))
    translator = zoo.CATALOGUE["seq2seq"].tiny
    with pytest.raises(
        ValueError, match="not that of this Seq2Seq: kind is captions, expected translation"
    ):
        initial_state(Recipe(translator, encoder=encoder), *zoo.example(translator, 2))
    with pytest.raises(ValueError, match="no trained model at"):
        initial_state(Recipe(other, encoder=str(tmp_path / "none")), *zoo.example(other, 2))
    with pytest.raises(ValueError, match="encoder_rate must not be negative"):
        Recipe(other, encoder_rate=-1.0)


@pytest.mark.slow
def test_the_encoder_of_a_translator_has_its_embedding(tmp_path):
    model = zoo.CATALOGUE["seq2seq"].tiny.clone(source_vocabulary=("a", "b"))
    other = zoo.init(model, jax.random.key(7), *zoo.example(model, 2))
    zoo.save(tmp_path / "model.safetensors", model, other)
    recipe = Recipe(model, encoder=str(tmp_path), encoder_rate=0.0, batch_size=2)
    batch = jax.tree.map(np.asarray, zoo.example(model, 2))
    first, update = initial_state(recipe, *batch), make_update(recipe, jax.devices()[:1])
    last = update.fetch(update.step(update.place(first), *batch)[0])
    for variables in (first.variables, last.variables, last.ema):
        assert (
            variables["params"]["source_embedding"] == other["params"]["source_embedding"]
        ).all()
        assert moved(other, variables) == 0
    assert (last.variables["params"]["embedding"] != first.variables["params"]["embedding"]).any()
    strange = dataclasses.replace(recipe, model=model.clone(source_vocabulary=("a", "c")))
    with pytest.raises(ValueError, match="source_vocabulary is .'a', 'b'., expected .'a', 'c'."):
        initial_state(strange, *batch)


def test_the_regulariser_asks_to_look_everywhere_once():
    model = zoo.CATALOGUE["show_attend_tell"].tiny
    variables, (x, images) = conformance.variables_of(model), zoo.example(model, 6)
    weights = np.asarray(zoo.attention_weights(model, variables, x, images))
    there = np.asarray(x) != model.pad
    expected = np.square(1 - (weights * there[:, :, None]).sum(1)).sum(1)
    loss = zoo.training_loss(model, variables, x, images, key=jax.random.key(0))
    extra = np.asarray(loss) + np.asarray(zoo.log_prob(model, variables, x, images))
    np.testing.assert_allclose(extra, expected, rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def run(few, tmp_path_factory):
    """A short training by the command line."""
    folder = tmp_path_factory.mktemp("runs") / "show_attend_tell"
    argv = [
        "show_attend_tell",
        "--model.features",
        "8",
        "--model.embedding",
        "4",
        "--model.channels",
        "4",
        "6",
    ]
    argv += [
        "--model.halvings",
        "2",
        "--steps",
        "4",
        "--batch-size",
        "8",
        "--eval-every",
        "4",
        "--run-dir",
        str(folder),
    ]
    assert training.main([*argv, "--samples", "0"]) == 0
    return folder


@pytest.mark.slow
def test_captions_and_where_they_look(run):
    images = load(Data("scenes")).test.context
    said = sample.caption(run, images[:5], beam=2, attention=True, batch_size=3)
    again = sample.caption(run, list(images[:5]), beam=2)
    assert said.texts == again.texts and again.attention is None
    for words, weights in zip(said.tokens, said.attention, strict=True):
        assert weights.shape == (len(words), 16, 16)
        np.testing.assert_allclose(weights.sum((1, 2)), 1, rtol=1e-4)
    with pytest.raises(
        ValueError, match="describes a list of images of shape .64, 64.; got images of .28, 28."
    ):
        sample.caption(run, images[:2, :28, :28])
    with pytest.raises(ValueError, match="Seq2Seq does not describe images"):
        sample.caption((zoo.CATALOGUE["seq2seq"].tiny, {}), images)


@pytest.mark.parametrize("shape", [(64, 64), (60, 61), (57, 66)])
def test_places_are_in_the_middle_of_what_they_see(shape):
    model = zoo.ShowAttendTell((3,), image_shape=shape, channels=(2, 2, 2, 2), halvings=3)
    encoder = GridEncoder(model.channels, model.halvings)
    blank = jnp.ones((1, *shape, 1))
    variables = jax.tree.map(
        jnp.abs, encoder.init(jax.random.key(0), blank)
    )  # so that no rectifier hides anything
    seen = jax.grad(lambda image: encoder.apply(variables, image)[0, 4, 3].sum())(blank)
    places = [each[k] for each, k in zip(model.centres, (4, 3), strict=True)]
    assert places == [
        (pixels.min() + pixels.max() + 1) / 2 for pixels in np.nonzero(seen[0, :, :, 0])
    ]
    assert tuple(map(len, model.centres)) == model.grid


def test_pointing():
    words = ["two", "at", "top", "left", ",", "one", "nine"]
    weights = np.zeros((7, 8, 8), np.float32)
    weights[0, 1, 1] = weights[5, 6, 2] = weights[6, 0, 0] = 1
    said = sample.Captions(
        ["..."], np.zeros(1), np.ones(1, bool), [words], [weights], (8.0 * np.arange(8) + 4,) * 2
    )
    corners = np.array([[[2, 3], [34, 3], [-1, -1], [-1, -1]]], np.int32)
    assert sample.pointing_accuracy(said, corners) == (pytest.approx(2 / 3), 3)
    assert sample.pointing_accuracy(said, corners + 20 * (corners > 30))[0] == pytest.approx(1 / 3)


def test_several_captions_of_an_image_are_its_references(tmp_path, capsys):
    model = zoo.Captioner(
        (3,),
        **TINY,
        image_shape=(8, 8),
        unit="word",
        vocabulary=("<pad>", "<end>", "<unk>", "a"),
        head=zoo.Categorical(4),
    )
    zoo.save(
        tmp_path / "model.safetensors",
        model,
        zoo.init(model, jax.random.key(0), *zoo.example(model, 2)),
    )
    images = np.random.RandomState(0).randint(0, 256, (3, 8, 8)).astype(np.uint8)
    said = sample.caption(tmp_path, images, beam=1).texts
    order, names = [0, 1, 0, 2], np.array(["x", "y", "x", "z"])
    captions = np.array(["no", said[1] or "-", said[0], "no"])
    np.savez(tmp_path / "test.npz", images=images[order], names=names, captions=captions)
    cli.run(argv(tmp_path, beam=1))
    out = capsys.readouterr().out
    right = 1 + (said[1] != "")
    assert (
        f"exact match {100 * right / 3:.2f} %" in out
        and "3 sentences of" in out
        and out.startswith(f"x: {said[0]}")
    )


@pytest.mark.slow
def test_the_command_line_describes(run, tmp_path, capsys):
    cli.run(argv(run, attention=True, num=6))
    out = capsys.readouterr().out
    assert "scene 0: " in out and "6 sentences of" in out and "pointing accuracy" in out
    assert not (run / "scores.json").exists(), "only a part of the test split"
    cli.run(argv(run, beam=1))
    report = json.loads((run / "scores.json").read_text())
    assert (
        report["num"] == 40
        and 0 <= report["pointing_accuracy"] <= 1
        and f"of {report['pointed']} digit words"
    )
    assert np.asarray(Image.open(run / "attention.png")).std() > 10
    Image.fromarray(load(Data("scenes")).test.context[0]).save(tmp_path / "a.png")
    cli.run(argv(run, images=tmp_path / "a.png"))
    assert "\n0: " in capsys.readouterr().out
    Image.new("L", (20, 20)).save(tmp_path / "b.png")
    with pytest.raises(
        ValueError, match="describes 64x64 images .height x width., .*b.png has 20x20"
    ):
        cli.run(argv(run, images=tmp_path / "b.png"))
