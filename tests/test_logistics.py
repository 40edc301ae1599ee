"""The discretised mixture of logistics: masses, the coupling of colours, and draws that follow them
exactly.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import zoo

GREY, COLOUR = zoo.DiscretizedLogisticMixture(10, 256, 1), zoo.DiscretizedLogisticMixture(3, 4, 3)
KEY = jax.random.key(3)


def values_of(head):
    return jnp.asarray(
        np.array(list(itertools.product(range(head.levels), repeat=head.channels)), np.int32)
    ).reshape(-1, *head.event_shape)


def masses(head, params):
    """P of every value, [values, ...]."""
    log_probs = jax.vmap(
        lambda x: head.log_prob(params, jnp.broadcast_to(x, (*params.shape[:-1], *x.shape)))
    )
    return np.exp(np.asarray(log_probs(values_of(head)), np.float64))


@pytest.mark.parametrize("head", [GREY, COLOUR, zoo.DiscretizedLogisticMixture(2, 2, 1)], ids=str)
@pytest.mark.parametrize("scale", [0.0, 10.0, 1e4])
def test_masses_sum_to_one(head, scale):
    params = scale * jax.random.normal(KEY, (40, head.num_params))
    np.testing.assert_allclose(masses(head, params).sum(0), 1, rtol=1e-5)


@pytest.mark.parametrize("mean", [-30.0, -1.0, 0.003, 1.0, 30.0])
@pytest.mark.parametrize("log_scale", [-30.0, -7.0, 0.0, 20.0, 200.0])
def test_masses_by_hand(mean, log_scale):
    """One component, against float64; where float64 itself cancels, its tails serve."""
    head = zoo.DiscretizedLogisticMixture(1, 256, 1)
    ours = np.asarray(
        head.log_prob(
            jnp.broadcast_to(jnp.array([0.0, mean, log_scale]), (256, 3)), jnp.arange(256)
        ),
        np.float64,
    )
    edges = (np.arange(1, 256) * 2 - 1) / 255 - 1
    z = np.concatenate(
        [[-np.inf], (edges - np.float32(mean)) * np.exp(-max(log_scale, -7.0)), [np.inf]]
    )
    log_sigmoid = lambda z: -np.logaddexp(0, -z)  # noqa: E731
    gap = np.log(-np.expm1(-np.diff(z)))
    np.testing.assert_allclose(
        ours, log_sigmoid(z[1:]) + log_sigmoid(-z[:-1]) + gap, rtol=2e-4, atol=2e-4
    )


@pytest.mark.parametrize("log_scale", [-30.0, 1.0])
def test_sixteen_bits(log_scale):
    """65,536 levels sum to 1, draws follow their masses, and no likelihood looks at more than one
    of them.
    """
    head = zoo.DiscretizedLogisticMixture(2, 2**16, 1, -12.0)
    params = jnp.array([0.3, -0.4, -0.7, 0.2, log_scale, log_scale]).reshape(3, 2).T.ravel()
    every = jnp.arange(2**16)
    mass = np.exp(
        np.asarray(head.log_prob(jnp.broadcast_to(params, (2**16, 6)), every), np.float64)
    )
    assert mass.sum() == pytest.approx(1, abs=1e-4)
    num = 50_000
    u = jnp.stack(
        [jnp.zeros(num), (jnp.arange(num, dtype=jnp.float32) + 0.5) / num], -1
    )  # of the first component
    x = np.asarray(head.quantile(jnp.broadcast_to(params, (num, 6)), u))
    one = zoo.DiscretizedLogisticMixture(1, 2**16, 1, -12.0)
    first = np.asarray(one.log_prob(jnp.broadcast_to(params[:3], (2**16, 3)), every), np.float64)
    np.testing.assert_allclose(
        np.searchsorted(np.sort(x), every, side="right") / num, np.exp(first).cumsum(), atol=2e-4
    )
    assert "65536" not in str(
        jax.make_jaxpr(head.log_prob)(params[None], jnp.zeros(1, jnp.int32))
    ).replace("65535", "")


def test_colours_depend_on_the_levels_before_them():
    """One component: the mean of G moves with the level of R, that of B with both, by the
    coefficients.
    """
    head = zoo.DiscretizedLogisticMixture(1, 256, 3)
    raw = jnp.arctanh(jnp.array([0.5, -0.25, 0.75]))
    params = jnp.concatenate([jnp.array([0.0, 0.1, 0.2, 0.0, -30.0, -30.0, -30.0]), raw])
    # at u = 1/2 the value is the mean, rounded
    x = np.asarray(head.quantile(params, jnp.full(4, 0.5)))
    scaled = x * 2 / 255 - 1
    np.testing.assert_array_equal(
        x,
        np.round(
            (np.array([0.1, 0.2 + 0.5 * scaled[0], -0.25 * scaled[0] + 0.75 * scaled[1]]) + 1)
            * 127.5
        ),
    )
    # a red that rounds to the same level gives the same green, to the last bit of the likelihood
    grey = zoo.DiscretizedLogisticMixture(1, 256, 1)
    of_green = grey.log_prob(jnp.array([0.0, 0.2 + 0.5 * scaled[0], -30.0]), jnp.asarray(x[1]))
    of_red = grey.log_prob(jnp.array([0.0, 0.1, -30.0]), jnp.asarray(x[0]))
    of_blue = grey.log_prob(
        jnp.array([0.0, -0.25 * scaled[0] + 0.75 * scaled[1], -30.0]), jnp.asarray(x[2])
    )
    np.testing.assert_allclose(
        head.log_prob(params, jnp.asarray(x)), of_red + of_green + of_blue, rtol=1e-3
    )


@pytest.mark.parametrize("scale", [0.5, 3.0])
def test_grey_draws_have_their_masses(scale):
    """The share of a fine even grid of uniforms that gives each level is its mass."""
    head, num = zoo.DiscretizedLogisticMixture(1, 32, 1), 200_000
    params = scale * jax.random.normal(KEY, (head.num_params,))
    u = jnp.stack([jnp.zeros(num), (jnp.arange(num, dtype=jnp.float32) + 0.5) / num], -1)
    x = head.quantile(jnp.broadcast_to(params, (num, head.num_params)), u)
    assert x.dtype == head.dtype
    np.testing.assert_allclose(
        np.bincount(x, minlength=32) / num, masses(head, params), atol=2 / num
    )


@pytest.mark.parametrize("head", [COLOUR, zoo.DiscretizedLogisticMixture(4, 64, 1)], ids=str)
@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_draws_follow_the_masses(head, scale):
    num = 100_000
    params = scale * jax.random.normal(KEY, (head.num_params,))
    u = jax.random.uniform(jax.random.key(5), (num, head.uniforms))
    x = np.asarray(head.quantile(jnp.broadcast_to(params, (num, head.num_params)), u)).reshape(
        num, -1
    )
    counts = np.bincount(
        x @ head.levels ** np.arange(head.channels)[::-1], minlength=head.levels**head.channels
    )
    expected = masses(head, params) * num
    often = expected > 10
    chi_square, freedom = ((counts - expected) ** 2 / expected)[often].sum(), often.sum() - 1
    assert chi_square < freedom + 6 * np.sqrt(2 * freedom)
    assert counts[~often].sum() < expected[~often].sum() + 6 * np.sqrt(expected[~often].sum() + 1)


@pytest.mark.parametrize("head", [GREY, COLOUR], ids=str)
@pytest.mark.parametrize("scale", [10.0, 1e4])
def test_extreme_params_and_uniforms_stay_finite(head, scale):
    params = scale * jax.random.normal(KEY, (200, head.num_params))
    u = (
        jax.random.uniform(jax.random.key(1), (200, head.uniforms))
        .at[:3]
        .set(jnp.array([[0.0], [0.5], [1 - 2.0**-24]]))
    )
    for x in (head.quantile(params, u), jnp.zeros((200, *head.event_shape), jnp.int32)):
        log_prob, gradient = jax.value_and_grad(lambda params, x=x: head.log_prob(params, x).sum())(
            params
        )
        assert ((x >= 0) & (x < head.levels)).all()
        assert jnp.isfinite(log_prob) and jnp.isfinite(gradient).all()


def test_it_is_a_head_and_no_other_image_is():
    assert isinstance(GREY, zoo.Head) and isinstance(COLOUR, zoo.Head)
    assert (GREY.num_params, GREY.event_shape, GREY.uniforms, GREY.num_features) == (30, (), 2, 1)
    assert (COLOUR.num_params, COLOUR.event_shape, COLOUR.uniforms, COLOUR.num_features) == (
        30,
        (3,),
        4,
        3,
    )
    np.testing.assert_allclose(GREY.features(jnp.array([0, 255])), [[-1], [1]])
    assert zoo.from_config(zoo.to_config(COLOUR)) == COLOUR
    assert "takes levels 0..3; got values from 0 to 4" in COLOUR.complaint(np.array([[0, 1, 4]]))
    for wrong in ({"channels": 2}, {"levels": 1}, {"levels": 2**17}, {"components": 0}):
        with pytest.raises(ValueError, match="1 or 3 channels"):
            zoo.DiscretizedLogisticMixture(**wrong)
    for floor in (float("nan"), 1.0, -200.0):
        with pytest.raises(ValueError, match="the floor of log s must be in"):
            zoo.DiscretizedLogisticMixture(min_log_scale=floor)
