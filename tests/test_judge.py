"""The judge of drawn images: its distance, and what it refuses."""

import jax
import numpy as np
import pytest

import zoo
from benchmarks import judge
from train import __main__ as training


def test_the_distance_is_that_of_normal_distributions():
    random = np.random.RandomState(0)
    a, b = random.normal(size=(4000, 3)), random.normal(size=(4000, 3)) * [1, 2, 3] + [0, 0, 1]
    assert abs(judge.distance(a, b) - (1 + 1 + 4)) < 0.4  # |shift|^2 + sum (deviations apart)^2
    from scipy.linalg import sqrtm

    s, t = np.cov(a.T), np.cov(b.T)
    wanted = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(s + t - 2 * sqrtm(s @ t).real)
    np.testing.assert_allclose(judge.distance(a, b), wanted, rtol=1e-6)


def test_independent_pixels_keep_their_frequencies():
    images = (np.random.RandomState(0).rand(50, 4, 4) < 0.3).astype(np.uint8)
    mixed = judge.independent(images)
    np.testing.assert_array_equal(mixed.sum(0), images.sum(0))
    assert (mixed != images).any()


def test_a_run_is_judged(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    data = ["--data.name", "digits", "--data.binarise", "threshold", "--samples", "0"]
    assert training.main(["fvsbn", "--steps", "30", *data]) == 0
    cnn = zoo.CNN(image_shape=(8, 8), channels=(4, 6), halvings=1)
    zoo.save("judge", cnn, zoo.init(cnn, jax.random.key(0), *cnn.example(1)))
    judge.main(judge.Options("fvsbn", judge="judge", num=60))
    out = capsys.readouterr().out
    assert "60 images drawn" in out and "judge: CNN judge, digest " in out
    assert "distance of features to 60 test images" in out and "classes drawn" in out
    for options, why in (
        (judge.Options("fvsbn", judge="none"), "needs its judge.*train cnn"),
        (judge.Options("fvsbn", judge="fvsbn"), r"is a FVSBN; expected a CNN of images \[8, 8\]"),
        (judge.Options("fvsbn", judge="judge", num=1), "--num must be at least 2"),
    ):
        with pytest.raises(ValueError, match=why) as caught:
            judge.report(options)
        assert "\n" not in str(caught.value)


def test_the_weights_in_the_repository_are_a_judge(pytestconfig):
    model, variables = judge.opened_judge(str(pytestconfig.rootpath / judge.DEFAULT), (28, 28))
    x, images = model.example(2)
    assert zoo.log_prob(model, variables, x, images).shape == (2,)
