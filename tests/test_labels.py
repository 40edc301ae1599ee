"""Labels of images: data, evaluation, what is shown, and what is refused."""

import json
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_train_cli import drawn, fails  # noqa: F401 (a fixture)

import sample
import sample.__main__ as sampling
import train
import train.__main__ as cli
import zoo
from train.cli import evaluate as evaluating
from train.data.dataset import Data
from train.engine.prepare import inputs
from train.recipe.recipe import Recipe
from zoo.classifiers.shifts import shifted
from zoo.heads import value_probabilities

TINY = zoo.CNN(image_shape=(8, 8), channels=(3, 4), halvings=2)
SMALL = ["--model.channels", "4", "--model.halvings", "1", "--steps", "3", "--batch-size", "20"]


def bright(count=60, classes=3):
    """Images whose brightness is their label."""
    labels = np.arange(count) % classes
    noise = np.random.RandomState(0).randint(0, 20, (count, 8, 8))
    return labels, (noise + 80 * labels[:, None, None]).astype(np.uint8)


@pytest.fixture(scope="module")
def fitted():
    labels, images = bright()
    return train.fit(
        TINY, labels, context=images, steps=40, batch_size=20, learning_rate=3e-2, ema=0.9, clip=1.0
    )


def test_fit_takes_labels_and_images(fitted):
    labels, images = bright()
    assert fitted.model.head == zoo.Categorical(3) and fitted.model.site_shape == (1,)
    params = zoo.conditionals(fitted.model, fitted.variables, labels[:, None], images)
    wrong = np.asarray(params)[:, 0].argmax(-1) != labels
    result = train.evaluate(fitted.model, fitted.variables, labels, images)
    assert result.unit == "label" and result.num == 60
    assert result.error == pytest.approx(100 * wrong.mean())
    nats = -np.asarray(zoo.log_prob(fitted.model, fitted.variables, labels[:, None], images))
    assert result.nats == pytest.approx(nats.mean(), rel=1e-5)
    moved = train.evaluate(
        fitted.model, fitted.variables, (labels + (np.arange(60) < 15)) % 3, images
    )
    share = moved.error / 100
    assert moved.error >= 25 - result.error
    assert moved.error_spread == pytest.approx(100 * np.sqrt(share * (1 - share) / 59), rel=1e-6)
    assert re.fullmatch(r"[\d.]+ \+- [\d.]+ % error, [\d.]+ \+- [\d.]+ nats/label", str(moved))


def test_classify(fitted):
    labels, images = bright()
    made = sample.classify((fitted.model, fitted.variables), images, batch_size=7)
    np.testing.assert_allclose(made.probabilities.sum(-1), 1, rtol=1e-5)
    whole = sample.classify((fitted.model, fitted.variables), images)
    np.testing.assert_allclose(made.probabilities, whole.probabilities, rtol=1e-4, atol=1e-6)
    error = train.evaluate(fitted.model, fitted.variables, labels, images).error
    assert 100 * (made.labels[:, 0] != labels).mean() == pytest.approx(error)
    with pytest.raises(ValueError, match=r"CNN cannot .* shape \[batch, 8, 8\]; got uint8"):
        sample.classify((fitted.model, fitted.variables), np.zeros((2, 9, 8), np.uint8))
    with pytest.raises(ValueError, match="MADE gives no labels: it describes images"):
        sample.classify((zoo.MADE(), {}), images)


@pytest.mark.parametrize(
    ("x", "context", "message"),
    [
        (np.arange(60) % 3, None, "x needs a context, the images"),
        (np.arange(60) % 3, np.zeros((60, 8, 8)), r"images are integers 0..255: convert"),
        (np.arange(60) % 3, np.eye(8, dtype=int)[None].repeat(60, 0), r"white is 255: pass context"),
        (np.arange(60) % 3 * 2, np.full((60, 8, 8), 9), "class 1 occurs in no training example"),
        (np.ones((60, 2, 2), int), np.full((60, 8, 8), 9), r"whole numbers \[N\] or \[N, T\]"),
        (np.arange(60) % 3, np.full((60, 4, 8, 8), 9), r"CNN reads images \[N, height"),
        (np.arange(50) % 3, np.full((60, 8, 8), 9), "50 labels, but its context has shape"),
    ],
)  # fmt: skip
def test_arrays_that_are_no_labelled_images(x, context, message):
    with pytest.raises(ValueError, match=message):
        train.fit(TINY, x, context=context, steps=1)


def test_images_of_a_set_become_the_context():
    digits = train.data.load(Data("digits"))
    labelled = inputs(Recipe(zoo.CNN(image_shape=(8, 8)), Data("digits")))
    assert labelled.kind == "labels" and digits.kind == "images"
    assert (labelled.test.x[:, 0] == digits.test.context).all()
    shades = np.unique(labelled.test.context)
    assert (shades == np.round(np.arange(17) * 255 / 16)).all()  # 17 levels, black to white


@pytest.mark.slow
def test_a_mixture_predicts_by_its_mean_probability():
    from train.kinds import kind_of

    class Two(zoo.CNN):
        """Two models in one set of variables: as it is, and with the logits turned round."""

        turned: bool = False

        def params_of(self, images):
            return super().params_of(images) * (-3.0 if self.turned else 1.0)

        def members(self):
            return (self, self.clone(turned=True))

    model = Two(image_shape=(4, 4), channels=(3,), halvings=1, head=zoo.Categorical(3))
    x, images = model.example(50)
    variables = zoo.init(model, jax.random.key(0), x, images)
    shares = [
        value_probabilities(model.head, zoo.conditionals(member, variables, x, images))
        for member in model.members()
    ]
    scores = kind_of(model).scores(model.members(), variables, x, images)
    np.testing.assert_allclose(scores["probabilities"], sum(shares) / 2, rtol=1e-6)
    scored = train.evaluate(model, variables, x, images, ensemble=True)
    wrong = (np.argmax(sum(shares), -1) != x).mean()
    assert scored.error == pytest.approx(100 * wrong)
    assert (np.argmax(sum(shares), -1) != np.argmax(shares[0], -1)).any()


def test_images_are_moved_in_training_only():
    image = jnp.zeros((40, 5, 6, 1)).at[:, 2, 3].set(1.0)
    moved = np.asarray(shifted(image, 2, jax.random.key(0)))
    places = np.argwhere(moved[..., 0] == 1)
    assert len(places) == 40 and set(places[:, 1]) == {0, 1, 2, 3, 4}
    assert set(places[:, 2]) == {1, 2, 3, 4, 5}
    model = TINY.clone(shift=2, dropout=0.5)
    x, images = model.example(4)
    variables = zoo.init(model, jax.random.key(0), x, images)
    plain = zoo.log_prob(TINY, variables, x, images)
    assert (zoo.log_prob(model, variables, x, images) == plain).all()
    losses = [zoo.training_loss(model, variables, x, images, key=jax.random.key(i)) for i in (0, 1)]
    assert (losses[0] != losses[1]).any() and (losses[0] != -plain).any()


def test_commands(drawn, capsys):  # noqa: F811
    assert cli.main(["cnn", "--data.name", "digits", *SMALL]) == 0
    out = capsys.readouterr().out
    assert re.search(
        r"labels of scikit-learn digits .* 10 classes\ntest: .* % error, .* nats/label", out
    )
    results = json.loads(Path("runs/cnn/results.json").read_text())
    assert results["unit"] == "label" and 0 <= results["error"] <= 100
    assert "valid_error" in Path("runs/cnn/metrics.jsonl").read_text()
    assert evaluating.main(["cnn"]) == 0
    line = capsys.readouterr().out.splitlines()[-1]
    assert f"test: {results['error']:.2f} +- " in line and "(250 labels)" in line
    sampling.run(["cnn", "--num", "6"])
    out = capsys.readouterr().out
    assert len(re.findall(r"^test \d: \d \([\d.]+ %\)", out, re.M)) == 6 and "6 images, " in out
    assert Path("runs/cnn/labels.png").stat().st_size > 1_000
    Path("mine").mkdir()
    sample.save_png("mine/a.png", np.full((8, 8), 200, np.uint8))
    sampling.run(["cnn", "--images", "mine"])
    assert re.search(r"^a.png: \d \([\d.]+ %\)$", capsys.readouterr().out, re.M)
    sample.save_png("mine/a.png", np.full((9, 8), 200, np.uint8))
    sampling.run(["cnn", "--images", "mine"])
    assert "1 of 1 resized to 8x8" in capsys.readouterr().out


def test_what_is_refused_in_one_line(drawn, capsys):  # noqa: F811
    np.save("x.npy", np.arange(30, dtype=np.uint8)[:, None, None].repeat(16, 1).reshape(30, 4, 4))
    for argv, message in (
        (["--data.name", "binarized_mnist", "--data.path", "x.npy"], "has no labels"),
        (["--data.name", "python_docs"], "describes labels of images: pass --data.name"),
        (["--data.binarise", "dynamic", "--data.name", "digits"], "here images are the context"),
        (
            ["--model.image-shape", "9", "8", "--data.name", "digits"],
            "pass --model.image-shape 8 8",
        ),
        (
            ["--data.name", "digits", "--conditional"],
            "--conditional is not supported by CNN (labels)",
        ),
    ):
        assert message in fails(capsys, 1, "cnn", *SMALL, *argv)


@pytest.mark.slow
def test_frames_that_move_and_change():
    from train.data.sources import frames as source

    moving, changing = (
        train.data.load(Data(name)) for name in ("moving_digits", "changing_digits")
    )
    assert moving.train.context.shape == (6_000, 20, 24, 24) and moving.train.x.shape[1:] == (1,)
    digits, random = train.data.load(Data()).test, train.data.dataset.generator(4, 2)
    again = source._sequences(source._halved(digits), 5, random, False)
    assert len(np.unique(again.context)) == 2 and again.context.shape == (5, 20, 24, 24)
    labels = changing.test.x
    assert labels.shape == (1_000, 20)
    changes = (labels[:, 1:] != labels[:, :-1]).sum(1)
    assert changes.max() == 1 and 0.85 < changes.mean() < 0.95  # one of ten is the same digit
    first, other = (moving.redraw(np.random.default_rng(seed), np.arange(4)) for seed in (0, 1))
    assert (first.context != other.context).any() and first.context.shape == (4, 20, 24, 24)
    assert train.data.load(Data("moving_digits", train=50)).redraw is None
    share = np.bincount(moving.train.x[:, 0]) / 6_000
    assert share.min() > 0.07
    # A digit stays inside, and on average 15 % of its pixels are seen.
    whole = train.data.load(Data()).train.x.reshape(-1, 14, 2, 14, 2).max((2, 4)).mean() * 14**2
    seen = (moving.train.context > 0).mean() * 24**2
    assert seen == pytest.approx(0.15 * whole, rel=0.03)


@pytest.mark.slow
def test_own_frames_one_label_or_one_each(drawn, capsys):  # noqa: F811
    labels, images = bright(40)
    frames = images[:, None].repeat(3, 1)
    flags = ["--steps", "2", "--batch-size", "8", "--model.channels", "2", "--model.halvings", "1"]
    flags += ["--model.features", "3", "--samples", "0", "--data.name", "frames", "--data.path"]
    np.savez("each.npz", frames=frames, labels=labels[:, None].repeat(3, 1))
    assert cli.main(["frames", *flags, "each.npz"]) == 0
    assert zoo.open("frames")[0].site_shape == (3,)
    capsys.readouterr()
    sampling.run(["frames", "--num", "2"])
    said = capsys.readouterr().out
    assert re.search(r"^test 0: \d \([\d.]+ %\), \d \([\d.]+ %\), \d", said, re.M)
    assert Path("runs/frames/labels.png").stat().st_size > 1_000
    np.savez("odd.npz", frames=frames, labels=labels[:, None].repeat(2, 1))
    assert "expected integers [40] or [40, 3]" in fails(capsys, 1, "frames", *flags, "odd.npz")
    images_only = ["--data.name", "digits", "--steps", "1"]
    assert "Frames reads frames [N, T, height" in fails(capsys, 1, "frames", *images_only)
    assert "CNN reads images" in fails(capsys, 1, "cnn", *flags[:4], *flags[-3:], "each.npz")


def test_the_last_state_sees_all_frames():
    model = zoo.Frames(image_shape=(4, 4), channels=(2,), halvings=1, features=3)
    x, frames = model.example(2)
    variables = zoo.init(model, jax.random.key(0), x, frames)
    each = model.clone(site_shape=(3,))
    whole = zoo.conditionals(each, variables, np.zeros((2, 3), int), frames)
    one = zoo.conditionals(model, variables, x, frames)
    np.testing.assert_allclose(one[:, 0], whole[:, -1], rtol=1e-5, atol=1e-6)
    later = frames.copy()
    later[:, 2] = 255 - later[:, 2]
    moved = zoo.conditionals(each, variables, np.zeros((2, 3), int), later)
    assert (moved[:, :2] == whole[:, :2]).all() and (moved[:, 2] != whole[:, 2]).any()
    with pytest.raises(ValueError, match="expected 3 frames, one for each label; got 2"):
        zoo.log_prob(each, variables, np.zeros((2, 3), int), frames[:, :2])
