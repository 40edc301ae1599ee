"""VAE, IWAE and autoencoder: the bound, the heads, codes, standardised tables."""

import functools
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sample
import train
import zoo
from sample.testing import suite
from sample.testing.subject import variables_for
from train.kinds import kind_of
from zoo.latent.coder import log_normal

KEY = jax.random.key(1)
SMALL = {"latents": 2, "hidden": (5,)}


class Wrong(zoo.VAE):
    """A VAE whose weights are put together by `weight`."""

    def log_weights(self, x, memory, num):
        mean, log_scale = jnp.split(self.code(x, memory), 2, axis=-1)
        noise = self.noise((num, *mean.shape))
        z = mean[None] + jnp.exp(log_scale)[None] * noise
        likelihood = zoo.score(self.head, self.decode(z, memory), x)
        return self.weight(likelihood, log_normal(z), log_normal(noise) - log_scale.sum(-1)[None])

    def training_loss(self, x, memory=None):
        return -self.bound(x, memory, self.weights)

    def noise(self, shape):
        return jax.random.normal(self.make_rng("noise"), shape)

    def weight(self, likelihood, prior, q):
        return likelihood + prior - q


class SignOfKL(Wrong):
    def weight(self, likelihood, prior, q):
        return likelihood - prior + q


class NoPrior(Wrong):
    def weight(self, likelihood, prior, q):
        return likelihood - q


class OneNoise(Wrong):
    """One epsilon for the whole batch."""

    def noise(self, shape):
        noise = jax.random.normal(self.make_rng("noise"), (shape[0], 1, shape[2]))
        return jnp.broadcast_to(noise, shape)


MUTANTS = [
    (SignOfKL, suite.check_bound, "sums? to"),
    (NoPrior, suite.check_bound, "sums? to"),
    (OneNoise, suite.check_rows, "equal rows share noise"),
]


@pytest.mark.parametrize(("cls", "check", "why"), MUTANTS)
def test_the_suite_kills_mutants(cls, check, why):
    model = cls((1, 3), **SMALL)
    with pytest.raises(AssertionError, match=why):
        check(zoo.Entry(model, model))


@pytest.mark.slow
@pytest.mark.parametrize("check", [suite.check_bound, suite.check_rows])
def test_the_mutants_are_right_but_for_their_fault(check):
    model = Wrong((1, 3), **SMALL)
    assert check(zoo.Entry(model, model)) is None


TABLE = zoo.StandardisedGenerative(
    zoo.VAE((1,), 1, (4,), zoo.MixtureOfGaussians(2, 0.3), num_classes=3), (0.3,), (1.5,)
)
HEADS = {
    "standardised": TABLE,
    "logistic mixture": zoo.VAE((1, 1), **SMALL, head=zoo.DiscretizedLogisticMixture(2, 5, 1)),
    "colour": zoo.VAE((1, 1), **SMALL, head=zoo.DiscretizedLogisticMixture(2, 4, 3)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", HEADS)
def test_bounds_of_other_heads(name):
    model = HEADS[name]
    for check in (suite.check_bound, suite.check_rows):
        assert check(zoo.Entry(model, model)) is None


def test_standardised_values_keep_codes_and_loss():
    """Everything about x is what the inner model says of z, but for the Jacobian."""
    inner, variables = TABLE.model, variables_for(zoo.Entry(TABLE, TABLE))
    x = np.array([[0.3], [1.8], [-4.2]], np.float32)
    z, labels = (x - np.float32(0.3)) / np.float32(1.5), np.array([0, 1, 2], np.int32)
    of_x = zoo.training_loss(TABLE, variables, x, labels, key=KEY)
    of_z = zoo.training_loss(inner, variables, z, labels, key=KEY)
    np.testing.assert_allclose(of_x - of_z, np.log(1.5), rtol=1e-4)
    codes = zoo.represent(TABLE, variables, x, labels)
    np.testing.assert_allclose(codes, zoo.represent(inner, variables, z, labels), rtol=1e-5)
    params = zoo.decode(TABLE, variables, codes, labels)
    np.testing.assert_allclose(
        params[..., 2:], zoo.decode(inner, variables, codes, labels), rtol=1e-5
    )
    ours, theirs = (
        sample.draw(model, variables, KEY, 5, context=np.zeros(5, np.int32)).x
        for model in (TABLE, inner)
    )
    np.testing.assert_allclose(ours, 0.3 + 1.5 * np.asarray(theirs), rtol=1e-5)


def test_beta_changes_the_loss_alone():
    model = zoo.VAE((2, 3), **SMALL)
    other, x = model.clone(beta=3.0), model.example(4)[0]
    variables = variables_for(zoo.Entry(model, model))
    plain, heavy, free = (
        zoo.training_loss(each, variables, x, key=KEY)
        for each in (model, other, model.clone(beta=0.0))
    )
    np.testing.assert_allclose(heavy - free, 3 * (plain - free), rtol=1e-3)
    assert (
        zoo.evidence(model, variables, x, key=KEY) == zoo.evidence(other, variables, x, key=KEY)
    ).all()


def test_one_code_in_place_of_all_has_the_same_gradient_in_the_mean():
    model = zoo.VAE((2, 3), **SMALL, weights=3, beta=1.5)
    x, _ = model.example(1)
    variables, keys = variables_for(zoo.Entry(model, model)), jax.random.split(KEY, 4_000)

    @functools.partial(jax.jit, static_argnums=0)
    def gradients(model):
        def loss(variables, key):
            return zoo.training_loss(model, variables, x, key=key)[0]

        found = jax.vmap(jax.value_and_grad(loss), in_axes=(None, 0))(variables, keys)
        return found[0], jnp.concatenate(
            [g.reshape(len(g), -1) for g in jax.tree.leaves(found[1])], 1
        )

    whole, one = gradients(model), gradients(model.clone(resample=True))
    np.testing.assert_allclose(one[0], whole[0], rtol=1e-5)  # the loss itself is that of all
    off = np.asarray(one[1] - whole[1], np.float64)  # of the same noise
    error = off.std(0) / len(off) ** 0.5
    assert (abs(off.mean(0)) < 5 * error + 1e-5).all() and error.max() > 1e-4


def test_an_autoencoder_restores_and_is_no_generator():
    x = np.tile([[[1, 1, 0], [0, 0, 1]], [[0, 1, 0], [1, 0, 1]]], (60, 1, 1))
    model, variables, history = train.fit(
        zoo.Autoencoder(latents=1, hidden=(8,)), x, steps=150, learning_rate=0.05, eval_every=75
    )
    assert history.valid_watched[-1] < 0.1
    codes = zoo.represent(model, variables, x[:2])
    restored = zoo.decode(model, variables, codes)[..., 0] > 0
    assert (np.asarray(restored) == x[:2]).all()
    with pytest.raises(ValueError, match="nothing of log p"):
        zoo.evidence(model, variables, x, key=KEY)
    assert "no likelihood; reconstruction 0.0" in str(train.evaluate(model, variables, x))


@pytest.mark.slow
def test_a_table_of_real_numbers_is_standardised():
    rng = np.random.RandomState(0)
    x = (rng.normal(size=(200, 2)) * [100, 0.01] + [1000, 3]).astype(np.float32)
    small = zoo.VAE(latents=1, hidden=(4,))
    model, variables, _ = train.fit(small, x, steps=40, learning_rate=0.02)
    assert isinstance(model, zoo.StandardisedGenerative) and model.knows == "bound"
    drawn = np.asarray(sample.draw(model, variables, KEY, 300).x)
    assert abs(drawn.mean(0) - x.mean(0)).max() < 30 and 50 < drawn[:, 0].std() < 200
    entropy = np.log(2 * np.pi * np.e) + np.log(100 * 0.01)
    assert abs(train.evaluate(model, variables, x, draws=50).nats - entropy) < 0.5
    beside = kind_of(model).compare(model, 1.0, None)
    assert re.fullmatch(r" \(<= -?[\d.]+ nats of the standardised columns\)", beside)
    gan = model.clone(model=zoo.GAN((2,), head=zoo.MixtureOfGaussians(1)))
    assert kind_of(gan).compare(gan, math.nan, None) == "" and not kind_of(gan).facts(
        gan, 0.0, None
    )


WRONG = [
    (
        lambda: zoo.init(zoo.VAE(latents=0), KEY, np.zeros((1, 28, 28), int)),
        "latents of at least 1",
    ),
    (
        lambda: zoo.init(zoo.VAE(weights=0), KEY, np.zeros((1, 28, 28), int)),
        "weights of at least 1",
    ),
    (lambda: zoo.StandardisedGenerative(zoo.VAE((2,)), (0.0, 0.0), (1.0, 1.0)), "real numbers"),
    (lambda: zoo.StandardisedGenerative(TABLE.model, (0.0, 0.0), (1.0,)), "each of the 1 sites"),
    (lambda: zoo.represent(*_fresh(zoo.FVSBN((2,))), np.array([[0, 1]])), "FVSBN has no code"),
    (lambda: zoo.decode(*_fresh(TABLE), np.zeros((1, 2)), np.array([0])), "codes .*of this VAE"),
    (
        lambda: zoo.represent(*_fresh(TABLE), np.zeros((1, 1), np.float32), np.array([3])),
        "labels 0..2",
    ),
]


def _fresh(model):
    return model, zoo.init(model, KEY, *model.example(1))


@pytest.mark.parametrize(("call", "why"), WRONG)
def test_what_makes_no_sense_is_refused(call, why):
    with pytest.raises(ValueError, match=why) as caught:
        call()
    assert "\n" not in str(caught.value)
