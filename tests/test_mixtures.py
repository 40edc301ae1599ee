"""Real-valued heads: density, distribution function and quantile; standardisation and its Jacobian."""

import math

import conformance
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sample
import zoo
from zoo.heads import Affine

HEADS = [
    zoo.MixtureOfGaussians(1),
    zoo.MixtureOfGaussians(5, 0.1),
    zoo.MixtureOfLaplacians(1),
    zoo.MixtureOfLaplacians(5, 0.1),
]
KEY = jax.random.key(2)


def spread_out(head, num):
    return 2 * jax.random.normal(KEY, (num, head.num_params))


@pytest.mark.parametrize("head", HEADS, ids=str)
def test_density_integrates_to_one_and_to_its_cdf(head):
    params, x = spread_out(head, 6)[:, None], jnp.linspace(-60, 60, 120_001)[None]
    density = np.exp(np.asarray(head.log_prob(params, x), np.float64))
    integral = np.cumsum((density[:, 1:] + density[:, :-1]) / 2, axis=1) * 1e-3
    np.testing.assert_allclose(integral[:, -1], 1, atol=1e-4)
    np.testing.assert_allclose(integral, head.cdf(params, x[:, 1:]), atol=2e-4)


def test_densities_by_hand():
    params = jnp.array([math.log(3), 0.0, 1.0, -2.0, 0.0, 0.5])  # weights 3/4 and 1/4
    scales = [1.01, 0.01 + math.log1p((math.e - 1) * math.exp(0.5))]
    for x in (-3.0, 0.0, 1.0, 7.5):
        z = [(x - 1.0) / scales[0], (x + 2.0) / scales[1]]
        gauss = [math.exp(-0.5 * each**2) / math.sqrt(2 * math.pi) for each in z]
        laplace = [math.exp(-abs(each)) / 2 for each in z]
        for head, f in (
            (zoo.MixtureOfGaussians(2, 0.01), gauss),
            (zoo.MixtureOfLaplacians(2, 0.01), laplace),
        ):
            expected = math.log(0.75 * f[0] / scales[0] + 0.25 * f[1] / scales[1])
            assert float(head.log_prob(params, jnp.array(x))) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("head", HEADS, ids=str)
def test_quantile_inverts_the_cdf_of_the_component_it_picks(head):
    params, u = spread_out(head, 5000), jax.random.uniform(jax.random.key(4), (5000, 2))
    x = head.quantile(params, u)
    logits, means, raw = jnp.split(params, 3, axis=-1)
    picked = (jnp.cumsum(jax.nn.softmax(logits), axis=-1) <= u[:, :1]).sum(-1)
    alone = jnp.concatenate(
        [1e9 * (jax.nn.one_hot(picked, head.components) - 1), means, raw], axis=-1
    )
    assert x.dtype == head.dtype
    np.testing.assert_allclose(
        head.cdf(alone, x), u[:, 1], atol=3e-5
    )  # x is rounded, the least scale is 1e-3


@pytest.mark.parametrize("head", HEADS, ids=str)
def test_draws_follow_the_cdf(head):
    """Kolmogorov-Smirnov: the distribution function at the draws is uniform."""
    num = 50_000
    params = jnp.broadcast_to(spread_out(head, 1), (num, head.num_params))
    u = jax.random.uniform(jax.random.key(8), (num, 2))
    ranks = np.sort(np.asarray(head.cdf(params, head.quantile(params, u))))
    distance = np.abs(ranks - (np.arange(num) + 0.5) / num).max()
    assert distance * math.sqrt(num) < 2.0  # 2 is exceeded once in 1,500 times


@pytest.mark.parametrize("head", HEADS, ids=str)
@pytest.mark.parametrize("scale", [50.0, 1e4])
def test_extreme_params_and_uniforms_stay_finite(head, scale):
    params = scale * jax.random.normal(KEY, (100, head.num_params))
    u = jnp.concatenate(
        [
            jax.random.uniform(jax.random.key(1), (98, 2)),
            jnp.array([[0.0, 0.0], [1.0, 1.0]]) * (1 - 2.0**-24),
        ]
    )
    x = head.quantile(params, u)
    log_prob, gradient = jax.value_and_grad(lambda params: head.log_prob(params, x).sum())(params)
    assert jnp.isfinite(x).all() and jnp.isfinite(log_prob) and jnp.isfinite(gradient).all()


@pytest.mark.parametrize("head", HEADS, ids=str)
def test_floor_of_the_scale_bounds_the_density(head):
    params = jnp.concatenate([jnp.zeros(2 * head.components), jnp.full(head.components, -1e4)])
    peak = -math.log(head.min_scale) - (
        math.log(2) if "Lap" in str(head) else 0.5 * math.log(2 * math.pi)
    )
    assert float(head.log_prob(params, jnp.zeros(()))) == pytest.approx(peak, rel=1e-5)


def test_values_that_are_not_finite_are_refused():
    model = zoo.RNADE((2,))
    with pytest.raises(
        ValueError,
        match=r"MixtureOfGaussians head takes finite numbers; 1 of 4 values are not finite",
    ):
        zoo.init(model, KEY, jnp.array([[0, 1], [2, jnp.nan]]))
    with pytest.raises(
        ValueError, match=r"must hold floating-point numbers .MixtureOfGaussians head.; got int32"
    ):
        zoo.init(model, KEY, jnp.zeros((3, 2), jnp.int32))


STANDARDISED = zoo.Standardised(zoo.CATALOGUE["rnade"].tiny, shift=(0.5, -1.0), scale=(2.0, 0.7))


@pytest.mark.slow
@pytest.mark.parametrize(
    "check", conformance.CHECKS, ids=lambda check: check.__name__.removeprefix("check_")
)
def test_standardised_model_conforms(check):
    assert check(zoo.Entry(STANDARDISED, STANDARDISED)) is None


def test_standardised_model_is_saved_and_loaded(tmp_path):
    assert conformance.check_checkpoint(zoo.Entry(STANDARDISED, STANDARDISED), tmp_path) is None


@pytest.mark.slow
def test_laplacians_conform():
    model = zoo.RNADE((2,), hidden=5, head=zoo.MixtureOfLaplacians(3, 0.3))
    for check in (
        conformance.check_normalised,
        conformance.check_law,
        conformance.check_completion,
    ):
        assert check(zoo.Entry(model, model)) is None


def test_jacobian_is_counted():
    """The density of the data is that of the standardised data over the product of the scales."""
    inner, outer = STANDARDISED.model, conformance.variables_of(STANDARDISED)
    variables = {"params": outer["params"]["model"]}
    x = np.random.RandomState(0).normal(size=(9, 2)).astype(np.float32)
    z = (x - np.float32(STANDARDISED.shift)) / np.float32(STANDARDISED.scale)
    by_hand = zoo.log_prob(inner, variables, z) - math.log(2.0) - math.log(0.7)
    np.testing.assert_allclose(zoo.log_prob(STANDARDISED, outer, x), by_hand, rtol=1e-5)
    np.testing.assert_allclose(zoo.training_loss(STANDARDISED, outer, x), -by_hand, rtol=1e-5)
    assert STANDARDISED.log_jacobian == pytest.approx(-math.log(1.4))
    drawn, drawn_z = (
        sample.draw(model, v, KEY, 5).x for model, v in ((STANDARDISED, outer), (inner, variables))
    )
    np.testing.assert_allclose(
        drawn, np.asarray(drawn_z) * [2.0, 0.7] + [0.5, -1.0], rtol=1e-4, atol=1e-5
    )


def test_standardised_far_from_zero_keeps_its_precision():
    """In bfloat16 only the network is rounded, not the data."""
    model = zoo.Standardised(zoo.RNADE((2,), hidden=4), shift=(1000.0, 0.9967), scale=(0.1, 0.0019))
    x = np.float32([[1000.05, 0.9977]])
    variables = zoo.init(model, KEY, x)
    half = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), variables)
    np.testing.assert_allclose(
        zoo.log_prob(model, half, x), zoo.log_prob(model, variables, x), atol=0.05
    )


@pytest.mark.parametrize(
    ("shift", "scale"),
    [((), ()), ((0.0,), (1.0,)), ((0.0, 0.0), (1.0, 0.0)), ((0.0, 0.0), (1.0, -1.0))],
)
def test_unfit_standardisation_is_refused(shift, scale):
    with pytest.raises(
        ValueError, match="a finite shift and a positive scale for each of the 2 sites"
    ):
        zoo.Standardised(zoo.RNADE((2,)), shift, scale)


def test_only_real_numbers_are_standardised():
    with pytest.raises(ValueError, match="needs a model of real numbers; got a Bernoulli head"):
        zoo.Standardised(zoo.NADE((2,)), (0.5, 0.5), (0.5, 0.5))


def test_affine_head_says_what_it_wraps():
    head = Affine(zoo.MixtureOfGaussians(2))
    assert (head.num_params, head.uniforms, head.num_values, head.event_shape) == (8, 2, None, ())
    assert isinstance(head, zoo.Head)
