"""Interpolations, reconstructions and nearest examples: what a code is good for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from commands import argv
from PIL import Image

import sample
import sample.__main__ as cli
import zoo
from sample.testing.subject import variables_of

MODEL = zoo.VAE((4, 4), latents=2, hidden=(5,), num_classes=3)
LABELS = np.array([0, 2], np.int32)
X = np.random.RandomState(0).randint(0, 2, (20, 4, 4)).astype(np.int32)


@pytest.fixture(scope="module")
def variables():
    return jax.tree.map(lambda leaf: 3 * leaf, variables_of(MODEL))


@pytest.fixture
def run(tmp_path, variables):
    zoo.save(tmp_path / "model.safetensors", MODEL, variables)
    np.save(tmp_path / "x.npy", X)
    return tmp_path


def tiles(path, rows, columns):
    """The pictures of a grid, [rows, columns, 4, 4]."""
    with Image.open(path) as image:
        sheet = np.asarray(image)
    assert sheet.shape == (5 * rows + 1, 5 * columns + 1)
    return sheet[1:, 1:].reshape(rows, 5, columns, 5)[:, :4, :, :4].swapaxes(1, 2)


def test_an_interpolation_is_a_straight_line_of_codes(variables):
    codes = zoo.represent(MODEL, variables, X[:2], LABELS)
    way = sample.interpolate(MODEL, variables, codes, codes[::-1], 5, LABELS)
    np.testing.assert_allclose(way.codes[:, 0], codes, rtol=1e-6)
    np.testing.assert_allclose(way.codes[:, -1], codes[::-1], rtol=1e-6)
    np.testing.assert_allclose(
        way.codes[:, 2], codes.mean(0, keepdims=True).repeat(2, 0), rtol=1e-5
    )
    direct = zoo.decode(MODEL, variables, way.codes[:, 3], LABELS)
    np.testing.assert_allclose(way.params[:, 3], direct, rtol=1e-5)


def test_reconstruction_is_scored_given_the_code(variables):
    params = sample.reconstruct(MODEL, variables, X[:2], LABELS)
    nats = sample.reconstruction_nats(MODEL, variables, X[:2], LABELS)
    p = 1 / (1 + np.exp(-np.asarray(params[..., 0], np.float64)))
    by_hand = -np.log(np.where(X[:2] == 1, p, 1 - p)).sum((1, 2))
    np.testing.assert_allclose(nats, by_hand, rtol=1e-4)


def test_mean_images():
    """Of levels the mean brightness, of colours the median."""
    levels = zoo.VAE((1, 1), head=zoo.Categorical(3))
    params = jnp.log(jnp.array([[[[0.5, 0.25, 0.25]]]]))
    assert sample.mean_images(levels, params).tolist() == [[[95]]]  # 0.25 * 127 + 0.25 * 255
    colour = zoo.VAE((1, 1), head=zoo.DiscretizedLogisticMixture(1, 256, 3))
    params = jnp.zeros((2, 1, 1, colour.head.num_params))
    assert sample.mean_images(colour, params).shape == (2, 1, 1, 3)


def test_nearest_finds_copies():
    found = sample.nearest(X[[7, 3]], X, k=20)
    assert found.indices[:, 0].tolist() == [7, 3] and (found.distances[:, 0] == 0).all()
    differing = (X[7][None] != X[found.indices[0]]).sum((1, 2))
    np.testing.assert_allclose(found.distances[0] ** 2, differing, atol=1e-9)
    many = np.tile(X, (130, 1, 1))  # more than are compared at once
    assert sample.nearest(X[7:8], many, k=130).indices[0].tolist() == list(range(7, 2600, 20))


def test_the_pictures(run, capsys):
    """Rows of images: ways between pairs, reconstructions, samples with the nearest images."""
    cli.run(argv(run, scale=1, interpolate=True, images=run / "x.npy", label=1, num=3))
    assert "3 pairs of images, 10 codes" in capsys.readouterr().out
    rows = tiles(run / "interpolate.png", 3, 12)
    assert (rows[:, 0] == 255 * X[:6:2]).all() and (rows[:, -1] == 255 * X[1:6:2]).all()
    assert len(np.unique(rows[:, 1:-1])) > 10
    cli.run(argv(run, scale=1, reconstruct=True, num=4))
    assert "4 images and their reconstructions" in capsys.readouterr().out
    assert (tiles(run / "reconstruct.png", 4, 2)[:, 0] % 255 == 0).all()
    cli.run(argv(run, scale=1, nearest=run / "x.npy", num=4))
    assert "4 samples and the nearest of 20 images" in capsys.readouterr().out
    rows = tiles(run / "nearest.png", 4, 6)
    differing = (rows[:, :1] != rows).sum((2, 3))
    assert (differing[:, 0] == 0).all() and (np.diff(differing[:, 1:], axis=1) >= 0).all()


def test_the_two_of_a_pair_have_one_label(run):
    """Draws come with all labels in turn, and a code means something for its label alone."""
    cli.run(argv(run, interpolate=True, num=2, scale=1))
    key = jax.random.key(0)
    drawn = sample.draw(*zoo.open(run), key, 4, context=np.array([0, 0, 1, 1], np.int32)).x
    rows = tiles(run / "interpolate.png", 2, 12)
    assert (rows[:, [0, -1]].reshape(4, 4, 4) == 255 * np.asarray(drawn)).all()


REFUSED = [
    ({"interpolate": True, "reconstruct": True}, "drop one of them"),
    ({"interpolate": True, "gif": True}, "--interpolate makes a picture of its own"),
    ({"nearest": "x.npy", "images": "x.npy"}, "drop --images"),
    ({"interpolate": True, "images": "x.npy"}, "conditional on labels: say by --label"),
    ({"nearest": "absent.npy"}, "absent.npy"),
    ({"images": "x.npy"}, "--interpolate or --reconstruct look at"),
    ({"reconstruct": True, "engine": "jacobi"}, "drop engine"),
]


@pytest.mark.parametrize(("flags", "why"), REFUSED)
def test_flags_that_make_no_sense(run, monkeypatch, flags, why):
    monkeypatch.chdir(run)
    with pytest.raises(ValueError, match=why) as caught:
        cli.run(argv(run, **flags))
    assert "\n" not in str(caught.value)


def test_models_without_a_code_are_refused(tmp_path):
    model = zoo.FVSBN((4, 4))
    zoo.save(tmp_path / "model.safetensors", model, variables_of(model))
    for flags in ({"interpolate": True}, {"reconstruct": True}):
        with pytest.raises(ValueError, match="FVSBN has no code of an example, as a VAE has"):
            cli.run(argv(tmp_path, **flags))
    np.save(tmp_path / "x.npy", X)
    cli.run(argv(tmp_path, nearest=tmp_path / "x.npy", num=2))  # any model of images can ask that


WRONG_CODES = [
    (np.zeros((2, 3)), np.zeros((2, 3)), r"first must be codes \[batch, 2\] of this VAE"),
    (
        np.zeros((2, 2)),
        np.zeros((2, 50)),
        r"last must be codes \[batch, 2\] .* got shape \[2, 50\]",
    ),
    (np.zeros((2, 2)), np.zeros((1, 2)), "as many codes; got 2 and 1"),
]


@pytest.mark.parametrize(("first", "last", "why"), WRONG_CODES)
def test_codes_of_another_model_are_refused(variables, first, last, why):
    with pytest.raises(ValueError, match=why):
        sample.interpolate(MODEL, variables, first, last, context=LABELS)
