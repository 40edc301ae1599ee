"""MADE: its members, and what it learns when masks and orderings are resampled."""

import itertools

import conformance
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from marks import slow_but

import sample
import zoo

TINY = zoo.CATALOGUE["made"].tiny
AGNOSTIC = zoo.MADE(
    (2, 3),
    hidden=(12, 9),
    num_masks=3,
    resample_order=True,
    masks_as_input=True,
    orders_per_batch=3,
)
SMALL = zoo.MADE((3,), hidden=(6,), num_masks=2, resample_order=True, masks_as_input=True)
KEY = jax.random.key(0)


@pytest.mark.parametrize(
    "check",
    slow_but(
        {
            conformance.check_causal,
            conformance.check_alive,
            conformance.check_step,
            conformance.check_engines,
        },
        conformance.CHECKS,
    ),
    ids=lambda check: check.__name__.removeprefix("check_"),
)
def test_masks_as_input_conform(check):
    assert check(zoo.Entry(AGNOSTIC, AGNOSTIC)) is None


@pytest.mark.slow
@pytest.mark.parametrize("check", [conformance.check_step, conformance.check_engines])
def test_members_and_other_heads_conform(check):
    model = zoo.MADE(
        (5,),
        hidden=(4, 30),
        head=zoo.Categorical(3),
        num_masks=4,
        resample_order=True,
        masks_as_input=True,
    )
    assert check(zoo.Entry(model.member(3), model.member(3))) is None
    assert check(zoo.Entry(model.clone(direct=False), model.clone(direct=False))) is None


def test_units_are_told_what_they_see():
    """By hand, in numpy: h = relu(b + (W * M) x + (U * M) 1), then the same without relu for the
    outputs.
    """
    model = SMALL.clone(ordering=zoo.Ordering("random", seed=4), direct=False)
    p = {
        name: np.asarray(leaf, np.float64)
        for name, leaf in conformance.variables_of(model)["params"].items()
    }
    x = np.random.RandomState(2).randint(2, size=(7, 3))
    ranks, degrees = model.ordering.ranks((3,)), np.arange(6) * 2 // 6
    below, above = ranks[:, None] <= degrees, degrees[:, None] < ranks
    units = np.maximum(
        p["bias_0"] + x @ (below * p["kernel_0"][:, 0]) + (below * p["told_0"]).sum(0), 0
    )
    told = (above * p["told_1"][..., 0]).sum(0)
    expected = p["bias_out"][:, 0] + units @ (above * p["kernel_out"][..., 0]) + told
    conditionals = zoo.conditionals(model, conformance.variables_of(model), x)
    np.testing.assert_allclose(conditionals[..., 0], expected, rtol=1e-5, atol=1e-5)


def test_made_members_share_variables_but_not_orderings():
    model = zoo.CATALOGUE["made"].tiny
    members = model.members()
    assert len(members) == 3 and members[0] == model and len({m.ordering for m in members}) == 3
    with pytest.raises(ValueError, match=r"k in 0..2 .* got k=3"):
        model.member(3)
    with pytest.raises(ValueError, match="of mask=1"):
        members[1].member(2)
    with pytest.raises(ValueError, match="at least one hidden layer"):
        zoo.init(zoo.MADE((2, 2), hidden=()), jax.random.key(0), jnp.zeros((1, 2, 2), jnp.int32))


@pytest.mark.parametrize(
    "model",
    [
        TINY.clone(resample_order=False),
        TINY.clone(resample_order=False, num_orderings=2),
        SMALL,
        SMALL.clone(orders_per_batch=4),
    ],
    ids=["masks", "orderings of masks", "orderings", "parts"],
)
def test_training_draws_masks_and_orderings(model):
    """Each part of a batch sees one of the masks and one of the orderings, and each of them in
    turn.
    """
    members = model.members()
    if model.resample_order:
        orderings = [zoo.Ordering(permutation=sites) for sites in itertools.permutations(range(3))]
        members = [
            model.clone(mask=k, ordering=ordering)
            for k in range(model.num_masks)
            for ordering in orderings
        ]
    assert len({member.ordering for member in members}) == (
        6 if model.resample_order else model.num_orderings
    )
    shape, variables = (4, *model.site_shape), conformance.variables_of(model)
    x = jnp.asarray(np.random.RandomState(3).randint(2, size=shape))
    nats = np.stack([zoo.log_prob(member, variables, x) for member in members])
    seen, mixed = set(), 0
    for seed in range(60):
        drawn = np.asarray(zoo.log_prob(model, variables, x, train=True, key=jax.random.key(seed)))
        fits = np.isclose(nats, drawn, rtol=1e-5)
        assert fits.any(0).all()
        mixed += not fits.all(1).any()
        seen.update(
            np.flatnonzero(fits.all(1)).tolist()
            if model.orders_per_batch == 1
            else fits.argmax(0).tolist()
        )
    assert seen >= set(range(len(members)))
    assert (mixed > 0) == (model.orders_per_batch > 1)


def test_parts_of_unequal_size():
    """5 examples, 3 orderings: none is lost, and each is scored as itself."""
    model, variables = SMALL.clone(orders_per_batch=3), conformance.variables_of(SMALL)
    x = jnp.asarray(np.random.RandomState(3).randint(2, size=(5, 3)))
    drawn = zoo.training_loss(model, variables, x, key=KEY)
    orderings = [zoo.Ordering(permutation=sites) for sites in itertools.permutations(range(3))]
    members = [SMALL.clone(mask=k, ordering=ordering) for k in range(2) for ordering in orderings]
    nats = np.stack([-zoo.log_prob(member, variables, x) for member in members])
    assert drawn.shape == (5,) and np.isclose(nats, drawn, rtol=1e-5).any(0).all()


@pytest.mark.parametrize("mask", [0, 2])
def test_completion_of_any_sites_follows_the_posterior(mask):
    """Known sites that are no prefix: the law is the exact posterior of the model that visits them
    first.
    """
    model, num = AGNOSTIC.member(mask), 20_000
    known = np.array([[False, False, True], [True, False, True]])
    given, variables = np.array([[9, 9, 1], [0, 9, 1]]), conformance.variables_of(AGNOSTIC)
    first = model.with_known_first(known)
    assert (
        known.reshape(-1)[first.sites[:3]].all()
        and first.members() == (first,)
        and first.mask == mask
    )
    drawn = sample.complete(model, variables, KEY, num, given, known, batch_size=5000)
    assert (np.asarray(drawn.x)[:, known] == given[known]).all()
    space = np.asarray(conformance.space_of(model))
    law = np.exp(np.asarray(zoo.log_prob(first, variables, space), np.float64))
    law = np.where((space[:, known] == given[known]).all(1), law, 0)
    conformance.assert_law_of(model, drawn.x, law / law.sum())
    np.testing.assert_allclose(
        drawn.log_prob[:9], zoo.log_prob(first, variables, drawn.x[:9]), rtol=1e-4
    )


def test_one_ordering_completes_prefixes_only():
    model, known = zoo.MADE((2, 3), hidden=(5,), num_masks=2), np.array([[False, True, False]] * 2)
    assert model.with_known_first(known) is model
    with pytest.raises(
        ValueError,
        match=r"site \(0, 1\) .* is known, but site \(0, 0\).*resample_order=True, completes any",
    ):
        sample.complete(
            model, conformance.variables_of(model), KEY, 2, np.zeros((2, 3), int), known
        )


@pytest.mark.parametrize("change", [{"hidden": (0,)}, {"num_masks": 0}, {"mask": 3}])
def test_impossible_made_is_refused(change):
    with pytest.raises(
        ValueError, match="at least one hidden layer, mask < num_masks|of at least 1; got"
    ):
        zoo.init(zoo.MADE((2, 2)).clone(**change), KEY, jnp.zeros((1, 2, 2), jnp.int32))


@pytest.mark.parametrize(
    "change", [{"orders_per_batch": 0, "resample_order": True}, {"orders_per_batch": 4}]
)
def test_orders_per_batch_need_resampling(change):
    with pytest.raises(
        ValueError, match="needs resample_order=True, or 1|orders_per_batch of at least 1; got 0"
    ):
        zoo.init(zoo.MADE((2, 2)).clone(**change), KEY, jnp.zeros((1, 2, 2), jnp.int32))


@pytest.mark.parametrize(
    "change",
    [
        {"num_orderings": 0},
        {"num_orderings": 3},
        {"num_orderings": 2, "mask": 1},
        {"num_orderings": 2, "resample_order": True},
    ],
)
def test_orderings_need_masks_that_they_go_with(change):
    with pytest.raises(
        ValueError, match="num_orderings=[23] needs as many masks|at least 1; got 0"
    ):
        zoo.init(zoo.MADE((2, 2), num_masks=2, **change), KEY, jnp.zeros((1, 2, 2), jnp.int32))
