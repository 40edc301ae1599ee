"""The public functions: what they accept, what they refuse, what they mean."""

import dataclasses

import conformance
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sample
import zoo

MODEL = zoo.CATALOGUE["fvsbn"].tiny
X = jnp.zeros((3, 2, 4), jnp.int32)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (jnp.zeros((3, 2, 5), jnp.int32), r"must have shape \[batch, 2, 4\]; got \[3, 2, 5\]"),
        (jnp.zeros((2, 4), jnp.int32), r"got \[2, 4\]"),
        (
            jnp.zeros((3, 2, 4)),
            r"must hold integers .Bernoulli head.; got float32.*x.astype.int32.",
        ),
        (jnp.full((3, 2, 4), 2), r"a Bernoulli head takes bits 0..1; got values from 2 to 2"),
        (jnp.full((3, 2, 4), -1), "values from -1 to -1"),
    ],
)
def test_unfit_values_are_refused(x, message):
    with pytest.raises(ValueError, match=message) as caught:
        zoo.log_prob(MODEL, conformance.variables_of(MODEL), x)
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match=message):
        zoo.init(MODEL, jax.random.key(0), x)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.int32])
def test_any_integers_serve(dtype):
    x = np.asarray(conformance.example_of(zoo.CATALOGUE["fvsbn"], 5)[0])
    variables = conformance.variables_of(MODEL)
    assert (
        zoo.log_prob(MODEL, variables, x.astype(dtype)) == zoo.log_prob(MODEL, variables, x)
    ).all()


def test_context_for_an_unconditional_model_is_refused():
    with pytest.raises(
        ValueError, match="FVSBN cannot condition on this context: it takes no context"
    ):
        zoo.log_prob(MODEL, conformance.variables_of(MODEL), X, jnp.zeros(3))


def test_values_are_not_checked_under_a_trace():
    variables = conformance.variables_of(MODEL)
    traced = jax.jit(lambda x: zoo.log_prob(MODEL, variables, x))(X)
    np.testing.assert_allclose(traced, zoo.log_prob(MODEL, variables, X), rtol=1e-6)


def test_unknown_names_get_the_nearest():
    with pytest.raises(
        ValueError, match=r"unknown model 'mde'; the catalogue has .*Did you mean 'made'\?"
    ):
        zoo.entry("mde")


def test_likelihood_is_the_chain_rule():
    """log_prob against a sum written out by hand, with numpy and float64, for the simplest model
    there is.
    """
    variables = conformance.variables_of(MODEL)
    kernel = np.asarray(variables["params"]["linear"]["kernel"], np.float64).reshape(8, 8)
    bias = np.asarray(variables["params"]["linear"]["bias"], np.float64)[:, 0]
    x = np.asarray(conformance.example_of(zoo.CATALOGUE["fvsbn"], 6)[0]).reshape(6, 8)
    total = np.zeros(6)
    for t in range(8):
        p = 1 / (1 + np.exp(-(bias[t] + x[:, :t] @ kernel[:t, t])))
        total += np.where(x[:, t], np.log(p), np.log1p(-p))
    np.testing.assert_allclose(zoo.log_prob(MODEL, variables, x.reshape(6, 2, 4)), total, rtol=1e-5)


def test_nade_is_its_formula():
    model = zoo.NADE((5,), hidden=3, head=zoo.Categorical(4), ordering=zoo.Ordering("reversed"))
    p = {
        name: np.asarray(leaf, np.float64)
        for name, leaf in conformance.variables_of(model)["params"].items()
    }
    x = np.random.RandomState(0).randint(0, 4, (6, 5))
    total, pre = np.zeros(6), np.repeat(p["inward_bias"][None], 6, 0)
    for site in [4, 3, 2, 1, 0]:
        logits = 1 / (1 + np.exp(-pre)) @ p["outward"][site] + p["outward_bias"][site]
        total += logits[np.arange(6), x[:, site]] - np.log(np.exp(logits).sum(1))
        pre = pre + p["inward"][site][x[:, site]]
    np.testing.assert_allclose(
        zoo.log_prob(model, conformance.variables_of(model), x), total, rtol=1e-5
    )


@pytest.mark.parametrize(
    ("head", "fields", "message"),
    [
        (
            zoo.Bernoulli,
            (float("nan"),),
            r"centre of a Bernoulli head must be in \[0, 1\]; got nan",
        ),
        (zoo.Bernoulli, (2.0,), r"got 2.0"),
        (zoo.Categorical, (0,), "at least 1 class; got 0"),
        (zoo.MixtureOfGaussians, (0,), "at least 1 component"),
        (zoo.MixtureOfLaplacians, (3, 0.0), "min_scale above 0"),
        (zoo.MixtureOfLaplacians, (3, 1e-46), "min_scale above 0 in float32"),
        (zoo.MixtureOfGaussians, (3, float("nan")), "min_scale above 0"),
    ],
)
def test_heads_without_a_law_are_refused(head, fields, message):
    with pytest.raises(ValueError, match=message):
        head(*fields)


def test_numbers_beyond_float32_are_refused():
    model = zoo.CATALOGUE["rnade"].tiny
    x = np.full((2, *model.site_shape), 1e39)
    with pytest.raises(ValueError, match="finite numbers"):
        zoo.log_prob(model, conformance.variables_of(model), x)


def test_fields_that_cannot_be_are_refused():
    x = jnp.zeros((1, 2, 2), jnp.int32)
    with pytest.raises(ValueError, match="NADE needs hidden of at least 1; got 0"):
        zoo.init(zoo.NADE((2, 2), hidden=0), jax.random.key(0), x)
    model = zoo.PixelTransformer((2, 2))
    object.__setattr__(model, "attention", "half")  # past the type checker of the tests
    with pytest.raises(
        ValueError, match="PixelTransformer needs attention to be full or strided; got 'half'"
    ):
        zoo.init(model, jax.random.key(0), x)


def test_noise_needs_a_key():
    model = zoo.CATALOGUE["eonade"].tiny
    x, _ = conformance.example_of(zoo.CATALOGUE["eonade"], 3)
    with pytest.raises(
        ValueError, match=r"EoNADE draws noise in training: pass key=jax.random.key"
    ):
        zoo.training_loss(model, conformance.variables_of(model), x)


def test_ensembles_need_their_parts():
    with pytest.raises(ValueError, match="got 0 models, 1 sets"):
        zoo.ensemble_log_prob([], [{}], X)
    variables = conformance.variables_of(MODEL), conformance.variables_of(MODEL, seed=5)
    mixture = zoo.ensemble_log_prob([MODEL, MODEL], variables, X)
    each = [np.exp(zoo.log_prob(MODEL, v, X)) for v in variables]
    np.testing.assert_allclose(np.exp(mixture), np.mean(each, axis=0), rtol=1e-5)


def test_a_context_has_a_row_for_each_example():
    entry = zoo.CATALOGUE["pixel_cnn_pp"]
    model, (x, _) = entry.tiny, entry.example(entry.tiny, 2)
    variables = conformance.variables_of(model)
    for call in (zoo.log_prob, zoo.conditionals, sample.surprise):
        with pytest.raises(ValueError, match="a row for each of 2 examples; got shape .3."):
            call(model, variables, x, np.zeros(3, int))


def test_an_empty_batch_is_refused():
    with pytest.raises(ValueError, match=r"must have shape \[batch, 2, 4\]; got \[0, 2, 4\]"):
        zoo.log_prob(MODEL, conformance.variables_of(MODEL), X[:0])


BITS = [
    name for name, entry in conformance.AUTOREGRESSIVE.items() if entry.tiny.head == zoo.Bernoulli()
]
QUICK = ("fvsbn", "nade", "made")


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in BITS]
)
def test_models_of_centred_bits_step_as_a_whole(name):
    entry = zoo.CATALOGUE[name]
    centred = entry.tiny.clone(head=zoo.Bernoulli(centre=0.25))
    assert conformance.check_step(zoo.Entry(centred, centred, example=entry.example)) is None


def test_centring_is_a_change_of_biases():
    plain, centred = (zoo.FVSBN((2, 4), head=zoo.Bernoulli(centre)) for centre in (0.0, 0.25))
    variables, x = (
        conformance.variables_of(centred),
        conformance.example_of(zoo.CATALOGUE["fvsbn"], 5)[0],
    )
    linear = variables["params"]["linear"]
    earlier = jnp.triu(jnp.ones((8, 8)), 1)[:, None, :, None]
    folded = linear["bias"] - 0.25 * (linear["kernel"] * earlier).sum((0, 1))
    same = {"params": {"linear": {**linear, "bias": folded}}}
    ours, theirs = zoo.log_prob(centred, variables, x), zoo.log_prob(plain, same, x)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    assert not np.allclose(ours, zoo.log_prob(plain, variables, x), rtol=1e-3)


class OldName(zoo.FVSBN):
    """A model that defines `complaint` alone, the older name of `why_invalid`."""

    def complaint(self, context):
        return super().complaint(context) and "it takes nothing"


class NewName(OldName):
    """A subclass that goes back to the newer name."""

    def why_invalid(self, context):
        return f"{super().why_invalid(context)} here"


def test_both_names_of_why_invalid_work():
    for model, why in (
        (OldName((2,)), "it takes nothing"),
        (NewName((2,)), "it takes nothing here"),
    ):
        assert model.why_invalid(1) == model.complaint(1) == why
        with pytest.raises(ValueError, match=f"cannot condition on this context: {why}"):
            zoo.check_context(model, np.zeros(1))
    for entry in zoo.CATALOGUE.values():
        context = zoo.example(entry.tiny, 2)[1]
        assert entry.tiny.why_invalid(context) is entry.tiny.complaint(context) is None
        assert entry.tiny.why_invalid("x") == entry.tiny.complaint("x") != None  # noqa: E711


@dataclasses.dataclass(frozen=True)
class OldHead(zoo.Bernoulli):
    """A head that defines `complaint` alone."""

    def complaint(self, x):
        return "no bits, please"


class Plain:
    """A head without either, which takes all values."""

    num_params, event_shape, uniforms, num_features, num_values = 1, (), 1, 1, 2
    dtype = np.dtype(np.int32)
    features = log_prob = quantile = print


def test_heads_may_use_either_name_or_none():
    with pytest.raises(ValueError, match="outside the model's support: no bits, please"):
        zoo.check_values(zoo.FVSBN((2,), OldHead()), np.zeros((1, 2), int))
    with pytest.raises(ValueError, match="takes bits 0..1"):
        zoo.check_values(zoo.FVSBN((2,)), np.full((1, 2), 2))
    assert isinstance(Plain(), zoo.Head)
    assert zoo.heads.why_outside(Plain(), np.full((1, 2), 2)) is None
