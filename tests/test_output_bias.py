"""The output bias starts at the distribution of the training data."""

import math

import conformance
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict

import train
import zoo
from train.data import Dataset, Split
from train.data.dataset import generator, ragged
from train.engine.prepare import first_values
from train.engine.step import initial_state
from train.recipe.recipe import Recipe
from zoo.core.arrays import variable_shapes

NUM = 500
DISCRETE = {
    name: entry.tiny
    for name, entry in conformance.AUTOREGRESSIVE.items()
    if isinstance(entry.tiny.head, zoo.Bernoulli | zoo.Categorical)
}


def skewed(model):
    """Values [NUM, *sites] whose distribution is neither uniform nor the same at all sites; of
    sequences that may end, some do.
    """
    rng, k, pad = generator(5), model.head.num_values, getattr(model, "pad", None)
    mass = rng.dirichlet([0.4] * k, model.num_sites)
    if pad is None:
        x = [rng.choice(k, NUM, p=row) for row in mass]
        return np.stack(x, axis=-1).reshape(NUM, *model.site_shape).astype(np.int32)
    words = [token for token in range(k) if token not in (model.end, pad)]
    x = rng.choice(words, (NUM, model.num_sites), p=[0.8, 0.2]).astype(np.int32)
    x[: NUM // 2, 2], x[: NUM // 2, 3:] = model.end, pad
    return x


def zeroed(model, batch=2):
    """Variables of zeros; of normalised weights, whose norm cannot be 0, the gains are."""
    shapes = variable_shapes(model, model.example(batch)[1], batch)
    flat = flatten_dict(shapes)

    def value(path, leaf):
        is_direction = path[-1] == "kernel" and (*path[:-1], "scale") in flat
        return np.full(leaf.shape, 0.5 if is_direction else 0, np.float32)

    return unflatten_dict({path: value(path, leaf) for path, leaf in flat.items()})


def entropy(values):
    """Nats of a value by the histogram of `values` [num]."""
    mass = np.unique(values, return_counts=True)[1] / values.size
    return -(mass * np.log(mass)).sum()


def independent(model, x):
    """Mean nats of an example if sites are independent, and those that share a bias alike."""
    bias = flatten_dict(zeroed(model)["params"], sep="/")[model.output_bias]
    scored = x if getattr(model, "pad", None) is None else x[x != model.pad]
    rows = bias.size // model.head.num_params
    total = sum(entropy(row) for row in scored.reshape(-1, rows).T)
    return total * scored.size / rows / len(x)


def test_the_output_bias_of_every_model_has_the_frequencies_of_the_data():
    for name, model in DISCRETE.items():
        if model.output_bias is None:  # tied embeddings; slower training
            assert name in ("transformer", "eonade")
            continue
        x, before = skewed(model), zeroed(model)
        after = flatten_dict(model.fitted(before, x)["params"], sep="/")
        bias = after.pop(model.output_bias)
        assert not any(leaf.any() for path, leaf in after.items() if not path.endswith("kernel"))
        values = (x if getattr(model, "pad", None) is None else x[x != model.pad]).reshape(
            -1, bias.size // model.head.num_params
        )
        for params, column in zip(bias.reshape(values.shape[1], -1), values.T, strict=True):
            two = np.stack([0 * params, params], -1)[0] if len(params) == 1 else params
            mass = np.exp(two - np.logaddexp.reduce(two))
            counts = np.bincount(column, minlength=model.head.num_values)
            np.testing.assert_allclose(
                mass, counts / len(column), atol=1 / len(column), err_msg=name
            )


def first_nats(model):
    x, (_, context) = skewed(model), model.example(NUM)
    variables = model.fitted(zeroed(model), x)
    return -float(zoo.log_prob(model, variables, x, context).mean()), independent(model, x)


def test_without_other_weights_nats_are_the_entropy_of_independent_sites():
    colour = zoo.PixelCNN((2, 2, 3), features=3, blocks=1, out_features=3)
    ending = zoo.LSTM((4,), 2, 1, end=0, pad=3, head=zoo.Categorical(4))
    for model in (zoo.FVSBN((2, 4), zoo.Categorical(3)), colour, ending):
        nats, wanted = first_nats(model)
        assert nats < model.num_sites * math.log(model.head.num_values) - 0.5
        # What is certain of an ending (nothing but padding follows, after it there is no word) helps.
        assert wanted - (0.8 if model is ending else 0.02) < nats < wanted + 0.02


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in DISCRETE if name != "transformer"])
def test_without_other_weights_every_model_has_the_entropy_of_independent_sites(name):
    nats, wanted = first_nats(DISCRETE[name])
    assert nats < wanted + 0.02


def test_real_numbers_start_at_the_mean_and_deviation_of_each_site():
    rng = generator(3)
    x = (rng.normal(size=(NUM, 2)) * [0.2, 30] + [5, -70]).astype(np.float32)
    gaussian = (np.log(x.std(0)) + 0.5 * math.log(2 * math.pi * math.e)).sum()
    for inner in (zoo.RNADE((2,), 3), zoo.RNADE((2,), 3, zoo.MixtureOfLaplacians(2))):
        head, (mean, std) = inner.head, (x.mean(0), x.std(0))
        after = inner.fitted(zeroed(inner), x)["params"]["outward_bias"]
        nats = -np.asarray(head.log_prob(after[None], x)).sum(1).mean()
        assert abs(nats - gaussian) < (0.01 if isinstance(head, zoo.MixtureOfGaussians) else 0.3)
        model = zoo.Standardised(inner, tuple(map(float, mean)), tuple(map(float, std)))
        fitted = model.fitted(zeroed(model), x)["params"]["model"]["outward_bias"]
        same = np.asarray(head.log_prob(fitted[None], (x - mean) / std)).sum(1).mean()
        assert -same + np.log(std).sum() == pytest.approx(nats, abs=1e-3)


def test_logistics_start_at_the_mean_and_deviation_of_each_channel():
    rng = generator(4)
    x = np.clip(rng.normal([40, 200, 90], [30, 8, 1], (5000, 3)).round(), 0, 255).astype(np.int32)
    head = zoo.DiscretizedLogisticMixture(2, 256, 3)
    nats = -float(head.log_prob(jnp.asarray(head.fitted(x))[None], x).mean())
    assert sum(map(entropy, x.T)) < nats < sum(map(entropy, x.T)) + 0.15
    # What never varies is certain within reason, above the floor that has no gradient.
    one = zoo.DiscretizedLogisticMixture(1, 256, 1)
    constant = np.tile([0, 200, 255], (20, 1))
    params = jnp.asarray(one.fitted(constant))
    assert -one.log_prob(params, constant[0]).max() < 0.2 and params[:, 2].min() > -7


class Mine(zoo.Autoregressive):
    """Independent sites, whose bias is declared or not."""

    site_shape: tuple[int, ...] = (2,)
    head: zoo.Head = zoo.Categorical(3)
    ordering: zoo.Ordering = zoo.Ordering()

    @nn.compact
    def __call__(self, x, memory=None, *, train=False):
        return nn.Dense(self.head.num_params)(jnp.zeros((*x.shape, 1)))


def test_an_own_model_names_its_bias_or_stays_as_it_is():
    class Named(Mine):
        output_bias = "Dense_0/bias"

    class Misnamed(Mine):
        output_bias = "bias"

    x = np.array([[0, 1], [0, 0], [1, 0], [0, 0]])
    variables = zoo.init(Mine(), jax.random.key(0), x)
    assert Mine().fitted(variables, x) is variables
    bias = Named().fitted(variables, x)["params"]["Dense_0"]["bias"]
    np.testing.assert_allclose(np.exp(bias), (np.array([6, 2, 0]) + 1 / 3) / 9, rtol=1e-5)
    with pytest.raises(ValueError, match=r"output_bias is 'bias', but .*: Dense_0/bias; set it to"):
        Misnamed().fitted(variables, x)
    with pytest.raises(ValueError, match=r"cannot be fitted: .* got values from 0 to 3"):
        Named().fitted(variables, x + 2 * x)


def test_train_fit_begins_at_the_frequencies_and_init_does_not():
    x = (generator(1).random((200, 5)) < [0.0, 0.02, 0.3, 0.6, 0.99]).astype(np.uint8)
    model = zoo.FVSBN((5,))
    still = {"steps": 1, "learning_rate": 1e-9, "batch_size": 20, "ema": 0.0}
    found = train.fit(model, x, valid=x, **still).variables["params"]["linear"]
    rate = np.asarray(jax.nn.sigmoid(found["bias"][:, 0]))
    np.testing.assert_allclose(rate, (x.sum(0) + 0.5) / 201, rtol=1e-3)
    first = initial_state(Recipe(model, batch_size=20), x[:20]).variables["params"]["linear"]
    assert not first["bias"].any()
    np.testing.assert_allclose(found["kernel"], first["kernel"], atol=1e-7)


def test_values_are_read_from_the_whole_training_split_but_not_all_of_them(monkeypatch):
    grey = np.repeat(np.array([0, 51, 255], np.uint8), 400).reshape(1200, 1, 1)  # sorted
    one = Split(grey, None)
    dynamic = Dataset("x", "x", one, one, one, 2, dynamic=True)
    bits = first_values(dynamic).reshape(3, 400)
    assert bits.mean(1)[[0, 2]].tolist() == [0, 1] and abs(bits[1].mean() - 0.2) < 0.06
    sounds = Split(ragged([np.arange(10), np.arange(10, 50)]), None)
    of_sounds = Dataset("x", "x", sounds, sounds, sounds, 50, kind="sound")
    assert first_values(of_sounds).tolist() == list(range(50))
    monkeypatch.setattr("train.engine.prepare.MOST_VALUES", 30)
    assert first_values(dynamic).mean() == pytest.approx(0.4, abs=0.1)
    assert first_values(of_sounds).tolist() == list(range(0, 50, 2))


def test_values_that_recur_have_components_of_their_own():
    """A coin of two exact values or else a Gaussian: its density is known, up to the floor."""
    rng, least = generator(6), 1e-3
    coin = rng.choice(3, 4000, p=[0.3, 0.2, 0.5])
    x = np.where(coin == 2, rng.normal(3, 2, 4000), np.array([0.0, 1.0, 0.0])[coin])
    x = np.stack([x, rng.normal(size=4000)], axis=1).astype(np.float32)
    model = zoo.RNADE((2,), hidden=4, head=zoo.MixtureOfGaussians(6, least), recurring=True)
    drawn = zoo.init(model, jax.random.key(0), x[:2])
    model_bias = model.fitted(zeroed(model), x)["params"]["outward_bias"]
    nats = -np.asarray(model.head.log_prob(model_bias[None], x)).mean(0)
    at_it = math.log(least * math.sqrt(2 * math.pi))  # nats of a value at its own component
    normal = 0.5 * math.log(2 * math.pi * math.e)
    mixed = 0.5 * at_it + 0.5 * (normal + math.log(2))  # given which of the three it is
    mixed -= sum(p * math.log(p) for p in (0.3, 0.2, 0.5))
    np.testing.assert_allclose(nats, [mixed, normal], atol=0.05)
    # The random weights of a fresh network leave them where they are.
    fresh = model.fitted(drawn, x)
    assert -zoo.log_prob(model, fresh, x[coin == 0]).mean() < at_it + 2 * normal
    conformance.check_step(zoo.Entry(model, model))
    with pytest.raises(ValueError, match="recurring values need a mixture"):
        refused = zoo.RNADE((2,), head=zoo.Categorical(3), recurring=True)
        zoo.init(refused, jax.random.key(0), np.zeros((2, 2), np.int32))
