"""MAF: an exact flow, its Jacobian and its inverse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sample
import zoo
from sample.testing.subject import variables_of

MODEL = zoo.MAF((4,), layers=3, hidden=(9, 7), head=zoo.MixtureOfGaussians(2, 0.3))


def flow(method, *args, model=MODEL):
    return model.apply(variables_of(model), *args, method=method)


@pytest.fixture(scope="module")
def x():
    return jnp.asarray(np.random.RandomState(0).normal(size=(5, 4)).astype(np.float32))


def test_the_log_determinant_is_that_of_the_jacobian(x):
    def noise(row):
        return flow("represent_with_jacobian", row[None])[0][0]

    signs, logs = jnp.linalg.slogdet(jax.vmap(jax.jacobian(noise))(x))
    np.testing.assert_allclose(logs, flow("represent_with_jacobian", x)[1], rtol=1e-4, atol=1e-5)
    assert (signs == 1).all() and (abs(logs) > 1e-3).all()


def test_inverse_of_forward_is_the_identity(x):
    noise, _ = flow("represent_with_jacobian", x)
    assert (abs(noise - x) > 1e-3).mean() > 0.9
    np.testing.assert_allclose(flow("invert", noise), x, rtol=1e-4, atol=1e-4)


def test_many_sites_are_inverted_block_by_block():
    model = zoo.MAF((40,), layers=2, hidden=(50,))
    x = jnp.asarray(np.random.RandomState(0).normal(size=(2, 40)).astype(np.float32))
    noise, _ = flow("represent_with_jacobian", x, model=model)
    np.testing.assert_allclose(flow("invert", noise, model=model), x, rtol=1e-3, atol=1e-3)


def test_one_layer_is_a_made():
    model = zoo.MAF((3,), layers=1, hidden=(6,))
    made = zoo.MADE((3,), (6,), zoo.MixtureOfGaussians(1), direct=False)
    variables = variables_of(model)
    x, _ = model.example(4)
    of_made = zoo.log_prob(made, {"params": variables["params"]["base"]}, x)
    np.testing.assert_allclose(zoo.log_prob(model, variables, x), of_made, rtol=1e-5)


def test_draws_are_scored():
    drawn = sample.draw(MODEL, variables_of(MODEL), jax.random.key(0), 6)
    scored = zoo.log_prob(MODEL, variables_of(MODEL), drawn.x)
    np.testing.assert_allclose(drawn.log_prob, scored, rtol=1e-5)


def test_levels_are_refused():
    model = zoo.MAF((3,), head=zoo.Bernoulli())
    with pytest.raises(ValueError, match="MAF describes real numbers; got a Bernoulli head"):
        zoo.init(model, jax.random.key(0), np.zeros((1, 3), int))
