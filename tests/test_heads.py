"""Heads: mass, quantile and interval are three readings of one distribution."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import zoo

HEADS = [
    zoo.Bernoulli(),
    zoo.Bernoulli(temperature=0.8),
    zoo.Categorical(2),
    zoo.Categorical(5),
    zoo.Categorical(256),
]
KEY = jax.random.key(2)


@pytest.mark.parametrize("head", HEADS, ids=str)
def test_masses_sum_to_one(head):
    params = 3 * jax.random.normal(KEY, (40, head.num_params))
    values = jnp.arange(head.num_values)
    log_probs = jax.vmap(lambda x: head.log_prob(params, jnp.full(40, x)))(values)
    np.testing.assert_allclose(jnp.exp(log_probs).sum(0), 1, rtol=1e-5)


@pytest.mark.parametrize("head", HEADS, ids=str)
def test_quantile_falls_in_its_interval(head):
    params = 3 * jax.random.normal(KEY, (20_000, head.num_params))
    u = jax.random.uniform(jax.random.key(4), (20_000, head.uniforms))
    x = head.quantile(params, u)
    low, high = head.interval(params, x)
    assert x.dtype == head.dtype and ((low <= u[:, 0]) & (u[:, 0] < high)).all()
    np.testing.assert_allclose(high - low, jnp.exp(head.log_prob(params, x)), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("head", HEADS, ids=str)
def test_intervals_tile_the_unit(head):
    params = 3 * jax.random.normal(KEY, (10, head.num_params))
    ends = [head.interval(params, jnp.full(10, x)) for x in range(head.num_values)]
    assert (ends[0][0] == 0).all() and (ends[-1][1] == 1).all()
    assert all((before[1] == after[0]).all() for before, after in itertools.pairwise(ends))


@pytest.mark.parametrize("head", HEADS, ids=str)
@pytest.mark.parametrize("scale", [50.0, 1e4])
def test_extreme_params_stay_finite(head, scale):
    params = scale * jax.random.normal(KEY, (100, head.num_params))
    x = head.quantile(params, jax.random.uniform(jax.random.key(1), (100, 1)))
    assert (head.log_prob(params, x) > -20).all(), "a value without mass was drawn"
    gradient = jax.grad(lambda params: head.log_prob(params, x).sum())(params)
    assert jnp.isfinite(gradient).all()


def test_a_class_without_mass_is_never_drawn():
    params = jnp.array([0.3, -jnp.inf, 1.0, -jnp.inf])
    u = jnp.linspace(0, 1, 10_001)[:-1, None]
    x = zoo.Categorical(4).quantile(jnp.broadcast_to(params, (len(u), 4)), u)
    assert set(np.unique(x)) == {0, 2}
    assert zoo.Categorical(4).quantile(params, jnp.array([1 - 2**-24])) == 2


def test_many_values_are_drawn_by_pages():
    """A page without mass, single values without, and a last page that is not full."""
    head = zoo.Categorical(1100)
    logits = 3 * np.random.RandomState(0).randn(1100).astype(np.float32)
    logits[::3] = logits[130:400] = logits[-90:] = -np.inf
    mass = np.exp(logits.astype(np.float64))
    params = jnp.broadcast_to(logits, (1100, 1100))
    quantile = jax.jit(head.quantile)
    low, high = jax.jit(head.interval)(params, jnp.arange(1100))
    assert low[0] == 0 and high[-1] == 1 and (low[1:] == high[:-1]).all()
    assert (high >= low).all() and ((high == low) >= (mass == 0)).all()
    np.testing.assert_allclose(high - low, mass / mass.sum(), atol=2e-7)
    drawn = quantile(params, low[:, None])
    wide = np.flatnonzero(high > low)
    assert (drawn[wide] == wide).all(), "the lower end of an interval belongs to it"
    u = (np.arange(1100, dtype=np.float32) + 0.5) / 1100
    exact = np.searchsorted(np.cumsum(mass / mass.sum()), u, side="right")
    assert (quantile(params, u[:, None]) == exact).mean() > 0.998
    top = quantile(params, jnp.full((1100, 1), 1 - 2**-23))
    assert (top == np.flatnonzero(mass)[-1]).all()


def test_bernoulli_is_categorical_of_two():
    logit = jax.random.normal(KEY, (1000, 1))
    u = jax.random.uniform(jax.random.key(9), (1000, 1))
    pair = jnp.concatenate([jnp.zeros_like(logit), logit], axis=1)
    x = zoo.Bernoulli().quantile(logit, u)
    assert (x == zoo.Categorical(2).quantile(pair, u)).all()
    np.testing.assert_allclose(
        zoo.Bernoulli().log_prob(logit, x),
        zoo.Categorical(2).log_prob(pair, x),
        rtol=1e-5,
        atol=1e-6,
    )


def test_temperature_divides_the_logit():
    logit, x = jax.random.normal(KEY, (1000, 1)), jnp.arange(1000) % 2
    np.testing.assert_array_equal(
        zoo.Bernoulli(temperature=0.5).log_prob(logit, x), zoo.Bernoulli().log_prob(2 * logit, x)
    )
    for wrong in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(
            ValueError, match=f"temperature of a Bernoulli head must be a number > 0; got {wrong}"
        ):
            zoo.Bernoulli(temperature=wrong)


def test_bits_per_dim():
    assert zoo.bits_per_dim(-784 * np.log(2), 784) == pytest.approx(1)
    np.testing.assert_allclose(zoo.bits_per_dim(jnp.array([-88.33]), 784), 0.16254, rtol=1e-4)
