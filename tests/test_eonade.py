"""EoNADE: one network for all orderings, its loss, its ensembles and completion of any set of
sites.
"""

import itertools

import conformance
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sample
import zoo
from zoo.dense.eonade import unknown_fraction

SMALL = zoo.EoNADE((3,), hidden=4, num_orderings=4)
MODEL = zoo.CATALOGUE["eonade"].tiny
KEY = jax.random.key(0)


def by_hand(p, x, known):
    """Logits of all sites given the known ones, with numpy and float64."""
    pre = p["inward_bias"] + sum(
        (p["inward"][i, 0] * x[i] + p["inward"][i, 1] for i in np.flatnonzero(known)), 0
    )
    units = np.maximum(pre, 0)
    if "kernel_1" in p:
        units = np.maximum(units @ p["kernel_1"] + p["bias_1"], 0)
    return np.einsum("h,ihp->ip", units, p["outward"])[:, 0] + p["outward_bias"][:, 0]


def nats_by_hand(p, x, sites):
    """The sum of -log p over an ordering, each conditional given exactly what is known."""
    total = 0.0
    for t, site in enumerate(sites):
        logit = by_hand(p, x, np.isin(np.arange(len(x)), sites[:t]))[site]
        total += np.log1p(np.exp(-logit if x[site] else logit))
    return total


def arrays(model):
    return {
        name: np.asarray(leaf, np.float64)
        for name, leaf in conformance.variables_of(model)["params"].items()
    }


@pytest.mark.parametrize("layers", [1, 2])
def test_conditionals_are_those_of_what_is_known(layers):
    model = zoo.EoNADE((5,), hidden=4, layers=layers, ordering=zoo.Ordering("random", seed=3))
    x = np.random.RandomState(1).randint(2, size=(6, 5))
    expected = [-nats_by_hand(arrays(model), row, model.sites) for row in x]
    np.testing.assert_allclose(
        zoo.log_prob(model, conformance.variables_of(model), x), expected, rtol=1e-4
    )


@pytest.mark.slow
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize(
    "check", conformance.CHECKS, ids=lambda check: check.__name__.removeprefix("check_")
)
def test_any_depth_conforms(layers, check):
    model = zoo.EoNADE((2, 2), hidden=6, layers=layers, head=zoo.Categorical(3))
    assert check(zoo.Entry(model, model)) is None


def test_mixture_over_orderings_sums_to_one():
    space, variables = conformance.space_of(MODEL), conformance.variables_of(MODEL)
    members = MODEL.members()
    assert len(members) == 3 and len({member.ordering for member in members}) == 3
    assert all(member.members() == (member,) for member in members)
    mixture = zoo.ensemble_log_prob(members, variables, space)
    assert (zoo.ensemble_log_prob(MODEL, variables, space) == mixture).all()
    np.testing.assert_allclose(np.exp(mixture).sum(), 1, rtol=1e-4)


def test_loss_is_unbiased():
    """Over all orderings and numbers of known sites its mean is the mean over orderings of -log
    p(x).
    """
    x, p = np.array([1, 0, 1]), arrays(SMALL)
    orderings = list(itertools.permutations(range(3)))
    expected = np.mean([nats_by_hand(p, x, np.array(sites)) for sites in orderings])
    unknown = jnp.array([np.argsort(sites) >= number for sites in orderings for number in range(3)])
    values = jnp.repeat(jnp.asarray(x)[None], len(unknown), 0)
    losses = SMALL.apply(conformance.variables_of(SMALL), values, unknown, method="split_loss")
    assert float(losses.mean()) == pytest.approx(expected, rel=1e-5)


def test_training_loss_is_unbiased():
    """What training sees has the same mean, though it draws few unknown sites more often than many."""
    x, variables = jnp.repeat(jnp.array([[1, 0, 1]]), 40_000, 0), conformance.variables_of(SMALL)
    drawn = np.asarray(zoo.training_loss(SMALL, variables, x, key=KEY), np.float64)
    p = arrays(SMALL)
    expected = np.mean(
        [
            nats_by_hand(p, np.array([1, 0, 1]), np.array(s))
            for s in itertools.permutations(range(3))
        ]
    )
    assert abs(drawn.mean() - expected) < 4 * drawn.std() / 200
    # r + 1/3 = s^2 with s even: no site is unknown with the mean of (1 - r)^3, more often than with
    # the 1/4 of an even r
    s = np.linspace(np.sqrt(1 / 3), np.sqrt(4 / 3), 10_001)
    empty = np.mean((4 / 3 - s**2) ** 3)
    assert empty > 0.27 and abs((drawn == 0).mean() - empty) < 4 * np.sqrt(
        empty * (1 - empty) / len(drawn)
    )


@pytest.mark.parametrize("num_sites", [1, 3, 784])
def test_importance_weights_undo_the_density(num_sites):
    """The weighted mean of any function of r is its integral over (0, 1)."""
    u = (np.arange(10_000) + 0.5) / 10_000
    r, weight = unknown_fraction(u, num_sites)
    assert ((r > 0) & (r < 1)).all()
    for power in range(4):
        np.testing.assert_allclose((weight * r**power).mean(), 1 / (power + 1), rtol=1e-6)


def test_completion_of_any_sites_follows_the_posterior():
    """Known sites that are no prefix: the law is the exact posterior of the model that visits them
    first.
    """
    known = np.zeros((2, 4), bool)
    known[[0, 1, 1], [3, 0, 2]] = True
    given, variables, num = (
        np.array([[9, 9, 9, 1], [0, 9, 1, 9]]),
        conformance.variables_of(MODEL),
        20_000,
    )
    with pytest.raises(ValueError, match="no prefix of the ordering"):
        sample.draw(MODEL, variables, KEY, 1, prefix=(given * known, known))
    drawn = sample.complete(MODEL, variables, KEY, num, given, known, batch_size=5000)
    assert (np.asarray(drawn.x)[:, known] == given[known]).all()
    first = MODEL.with_known_first(known)
    assert known.reshape(-1)[first.sites[:3]].all() and first.members() == (first,)
    space = np.asarray(conformance.space_of(MODEL))
    law = np.exp(np.asarray(zoo.log_prob(first, variables, space), np.float64))
    law = np.where((space[:, known] == given[known]).all(1), law, 0)
    conformance.assert_law_of(MODEL, drawn.x, law / law.sum())
    np.testing.assert_allclose(
        drawn.log_prob[:9], zoo.log_prob(first, variables, drawn.x[:9]), rtol=1e-4
    )


def test_completion_by_other_models_needs_a_prefix():
    model = zoo.CATALOGUE["fvsbn"].tiny
    variables, known = conformance.variables_of(model), np.zeros((2, 4), bool)
    known[0, 1] = True
    with pytest.raises(ValueError, match=r"site \(0, 1\) \(rank 1\) is known, but site \(0, 0\)"):
        sample.complete(model, variables, KEY, 2, np.zeros((2, 4), int), known)
    known[0, 0] = True
    assert sample.complete(model, variables, KEY, 2, np.ones((2, 4), int), known).x[:, 0, :2].all()
    with pytest.raises(
        ValueError, match=r"boolean, of shape \[2, 4\], one mask .* got bool of shape \[1, 2, 4\]"
    ):
        sample.complete(model, variables, KEY, 2, np.ones((2, 4), int), known[None])


def test_real_values_in_any_order():
    model = zoo.Standardised(
        zoo.EoNADE((3,), hidden=4, head=zoo.MixtureOfGaussians(2)), (0.0, 1.0, 2.0), (1.0, 2.0, 3.0)
    )
    variables, known = conformance.variables_of(model), np.array([False, True, True])
    drawn = sample.complete(model, variables, KEY, 5, np.array([0.0, 0.5, -1.0]), known)
    assert (np.asarray(drawn.x)[:, 1:] == np.float32([0.5, -1.0])).all() and len(
        np.unique(drawn.x[:, 0])
    ) == 5


def test_no_hidden_layer_is_refused():
    with pytest.raises(ValueError, match="layers of at least 1; got 0"):
        zoo.init(zoo.EoNADE((2,), layers=0), KEY, jnp.zeros((1, 2), jnp.int32))


def test_members_are_different_orderings():
    model = zoo.EoNADE((2, 3), hidden=3, num_orderings=720, ordering=zoo.Ordering("random", seed=1))
    assert len({tuple(member.sites) for member in model.members()}) == 720
    with pytest.raises(
        ValueError, match="num_orderings must be at most 2, as many as 2 sites have; got 3"
    ):
        zoo.EoNADE((2,), num_orderings=3).members()
