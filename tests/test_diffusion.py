"""Diffusion: each term by the papers' formulas and by quadrature, the bound, draws, bad input."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sample
import train
import zoo
from sample import __main__ as sampling
from sample.testing import suite
from sample.testing.subject import variables_of
from zoo.latent.noise_schedule import betas_of, noise_schedule

KEY = jax.random.key(3)
GRID = np.linspace(-8, 8, 601)
LINEAR = betas_of("linear", 1000, (1e-4, 0.02))
COSINE = betas_of("cosine", 1000, (0.1, 0.1))


def one_site(**fields):
    """A diffusion of one level 0..2 in three steps, so that x_t is one number."""
    fields = {"head": zoo.Categorical(3), "prediction": "x0", **fields}
    return zoo.Diffusion(
        (1,), timesteps=3, schedule="linear", betas=(0.1, 0.6), features=4, blocks=1, **fields
    )


def normal(x, mean, variance):
    return np.exp(-((x - mean) ** 2) / (2 * variance)) / np.sqrt(2 * np.pi * variance)


def denoised(model, variables, z, t):
    """f(z, t) and log p(x_0 = k | x_1 = z) of every level, for numbers z [n]."""

    def call(model, z):
        mean, params = model._denoised(z[:, None], jnp.full(len(z), t), None, True)
        return mean[:, 0], params[:, 0]

    mean, params = model.apply(variables, jnp.asarray(z, jnp.float32), method=call)
    levels = jnp.broadcast_to(jnp.arange(3), (len(z), 3))
    nats = model.head.log_prob(jnp.repeat(params[:, None], 3, 1), levels)
    return np.asarray(mean, np.float64), np.asarray(nats, np.float64)


def reverse(model, variables, t):
    """Mean [grid] and variance of p(x_{t-1} | x_t) for t = 2, 3: by Ho's equations (6) and (7)."""
    beta = np.linspace(0.1, 0.6, 3)
    abar = np.concatenate([[1], np.cumprod(1 - beta)])
    x0, _ = denoised(model, variables, GRID, t)
    mean = (
        np.sqrt(abar[t - 1]) * beta[t - 1] * x0
        + np.sqrt(1 - beta[t - 1]) * (1 - abar[t - 1]) * GRID
    )
    lost = 1 - abar[t]
    return mean / lost, beta[t - 1] * (1 - abar[t - 1]) / lost


def exact(model, variables):
    """p(x_0) of the three levels, by integrating over x_1, x_2, x_3 on a grid."""
    width = GRID[1] - GRID[0]
    density = normal(GRID, 0, 1)
    for t in (3, 2):
        mean, variance = reverse(model, variables, t)
        density = normal(GRID[:, None], mean[None], variance) @ density * width
    _, nats = denoised(model, variables, GRID, 1)
    return (np.exp(nats) * density[:, None]).sum(0) * width


def exact_bound(model, variables):
    """The bound of the three levels, every KL by integrating over two numbers on a grid."""
    width = GRID[1] - GRID[0]
    beta = np.linspace(0.1, 0.6, 3)
    abar = np.concatenate([[1], np.cumprod(1 - beta)])
    bounds = []
    for k, x0 in enumerate((-1.0, 0.0, 1.0)):

        def forward(t, x0=x0):
            return normal(GRID, np.sqrt(abar[t]) * x0, 1 - abar[t])

        last, prior = forward(3), normal(GRID, 0, 1)
        bound = -(last * np.log(np.maximum(last, 1e-300) / prior)).sum() * width
        for t in (2, 3):
            # q(x_{t-1} | x_t, x_0) by Bayes, of numbers x_{t-1} (rows) and x_t (columns).
            step = normal(GRID[None], np.sqrt(1 - beta[t - 1]) * GRID[:, None], beta[t - 1])
            joint = forward(t - 1)[:, None] * step
            posterior = joint / np.maximum(joint.sum(0, keepdims=True) * width, 1e-300)
            mean, variance = reverse(model, variables, t)
            p = normal(GRID[:, None], mean[None], variance)
            ratio = np.log(np.maximum(posterior, 1e-300) / np.maximum(p, 1e-300))
            bound -= (joint * ratio).sum() * width**2
        _, nats = denoised(model, variables, GRID, 1)
        bounds.append(bound + (forward(1) * nats[:, k]).sum() * width)
    return np.array(bounds)


@functools.cache
def setting(**fields):
    """A model and variables by which its network depends on the time as much as on the values."""

    def louder(path, leaf):
        return 6 * leaf if "TimeAndLabel" in jax.tree_util.keystr(path) else leaf

    model = one_site(**fields)
    return model, jax.tree_util.tree_map_with_path(louder, variables_of(model))


def like(cls, model):
    """A model of another class, with the same fields."""
    names = (
        "site_shape",
        "timesteps",
        "schedule",
        "betas",
        "prediction",
        "features",
        "blocks",
        "head",
    )
    return cls(**{name: getattr(model, name) for name in names})


X = np.arange(3)[:, None]


def estimates(model, variables, num=1000):
    """Means of `num` estimates of the bound of the three levels, and minus the sums of 20 whole
    paths, by other keys: [20, 3] each.
    """

    def both(model, x):
        return model.log_weights(x, None, num).mean(0), -model.path(x).sum(0)

    @jax.jit
    @jax.vmap
    def some(key):
        return model.apply(variables, jnp.asarray(X), method=both, rngs={"noise": key})

    return [np.asarray(each, np.float64) for each in some(jax.random.split(KEY, 20))]


def off(found, truth):
    """By how many standard errors means are off, and the largest of the errors."""
    error = found.std(0, ddof=1) / np.sqrt(len(found))
    return abs((found.mean(0) - truth) / error).max(), error.max()


def test_the_bound_meets_quadrature():
    """The mean over random times is that over whole paths, and lies below log p(x)."""
    model, variables = setting()
    truth = exact_bound(model, variables)
    weights, paths = estimates(model, variables)
    deviations, error = off(weights, truth)
    assert deviations < 5 and error < 0.02
    assert off(paths, truth)[0] < 5
    log_p = np.log(exact(model, variables))
    assert (truth < log_p).all() and abs(np.exp(log_p).sum() - 1) < 1e-4


class EarlyWeight(zoo.Diffusion):
    """Each KL has the weight of the time before."""

    def _at(self, name, t):
        return super()._at(name, t - 1 if name == "kl_weight" else t)


class LateNoise(zoo.Diffusion):
    """The data get the noise of the next time."""

    def _noisy(self, data, t):
        return super()._noisy(data, jnp.minimum(t + 1, self.timesteps))


class EarlyTime(zoo.Diffusion):
    """The network is told the time before."""

    def _denoised(self, z, t, memory, clip):
        return super()._denoised(z, t - 1, memory, clip)


class NoDivergence(zoo.Diffusion):
    """The terms between the first and the last are left out."""

    def _term(self, x, t, memory, clip):
        return jnp.where(t == 1, super()._term(x, t, memory, clip), 0.0)


class NoPrior(zoo.Diffusion):
    """The KL to the prior is left out."""

    def _prior(self, data):
        return 0 * super()._prior(data)


class Unweighted(zoo.Diffusion):
    """Times are drawn by importance, and their terms are not divided by its probabilities."""

    def _estimate(self, x, memory, u, clip):
        t, _ = self._constants.time_of(u)
        terms = self._term(x, t, memory, clip) * self.timesteps
        return self._prior(self._scaled(x)) + terms


class EarlyDraw(zoo.Diffusion):
    """A draw takes each step as if it were the one before."""

    def _earlier(self, z, t, earlier, memory):
        return super()._earlier(z, t - 1, earlier, memory)


@pytest.mark.slow
@pytest.mark.parametrize(
    "cls", [EarlyWeight, LateNoise, EarlyTime, NoDivergence, NoPrior, Unweighted]
)
def test_mutants_die(cls):
    model, variables = setting()
    found, _ = estimates(like(cls, model), variables)
    assert off(found, exact_bound(model, variables))[0] > 10


def chi_square(model, variables):
    """Of 20,000 draws against p(x_0) by quadrature; 2 degrees of freedom."""
    drawn = np.asarray(sample.draw(model, variables, KEY, 20_000, batch_size=20_000).x)
    expected = exact(*setting(prediction="v")) * 20_000
    return ((np.bincount(drawn[:, 0], minlength=3) - expected) ** 2 / expected).sum()


def test_draws_follow_the_chain():
    assert chi_square(*setting(prediction="v")) < 25


@pytest.mark.slow
def test_wrong_draws_die():
    model, variables = setting(prediction="v")
    assert chi_square(like(EarlyDraw, model), variables) > 50


@pytest.mark.parametrize("betas", [np.array([0.1, 0.3, 0.6]), COSINE[:990], LINEAR])
def test_constants_follow_the_papers(betas):
    """q(x_{t-1} | x_t, x_0) by Bayes' rule, and its KL by the signal-to-noise ratios."""
    constants = noise_schedule(betas, 2)
    abar = np.concatenate([[1.0], np.cumprod(1 - betas)])
    np.testing.assert_allclose(constants.signal**2, abar, rtol=1e-5)
    np.testing.assert_allclose(constants.signal**2 + constants.noise**2, 1, rtol=1e-5)
    t = np.arange(2, len(abar))
    # x_{t-1} ~ N(sqrt(abar_{t-1}) x_0, 1 - abar_{t-1}) times N(x_t; sqrt(1 - beta) x_{t-1}, beta):
    # precisions add.
    beta = betas[t - 1]
    precision = (1 - beta) / beta + 1 / (1 - abar[t - 1])
    np.testing.assert_allclose(constants.spread[2:] ** 2, 1 / precision, rtol=1e-4)
    from_data = np.sqrt(abar[t - 1]) / (1 - abar[t - 1]) / precision
    np.testing.assert_allclose(constants.from_data[2:], from_data, rtol=1e-4)
    from_noisy = np.sqrt(1 - beta) / beta / precision
    np.testing.assert_allclose(constants.from_noisy[2:], from_noisy, rtol=1e-4)
    ratio = abar[1:] / (1 - abar[1:])  # Kingma and others 2021, equation (14)
    np.testing.assert_allclose(constants.kl_weight[2:], (ratio[:-1] - ratio[1:]) / 2, rtol=1e-3)
    assert constants.proposal[0] == 0 and (constants.proposal[1:] > 0.05 / len(betas)).all()


def test_the_cosine_schedule_is_the_published_one():
    found = np.cumprod(1 - COSINE)
    t = np.arange(1, 1001) / 1000
    f = np.cos((t + 0.008) / 1.008 * np.pi / 2) ** 2
    np.testing.assert_allclose(found[:998], (f / np.cos(0.008 / 1.008 * np.pi / 2) ** 2)[:998])


KINDS = {
    "unet": {"denoiser": "unet", "scales": 2, "attention": True, "features": 8},
    "levels": {"prediction": "levels", "head": zoo.Categorical(3)},
    "bits": {"prediction": "levels"},
    "logistic": {"prediction": "eps", "head": zoo.DiscretizedLogisticMixture(1, 4, 1)},
    "ddim": {"ddim": 2, "timesteps": 5},
    "one step": {"timesteps": 1},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_every_kind_keeps_the_contract(name):
    fields = {"timesteps": 3, "features": 6, "blocks": 1, **KINDS[name]}
    model = zoo.Diffusion((2, 2), **fields)
    entry = zoo.Entry(model, model)
    for check in (suite.check_rows, suite.check_used, suite.check_gradients, suite.check_bound):
        check(entry)


def test_heads_by_the_data():
    assert zoo.Diffusion.preferred_head(2) == zoo.Bernoulli()
    assert zoo.Diffusion.preferred_head(17) == zoo.Categorical(17)
    assert zoo.Diffusion.preferred_head(256) == zoo.DiscretizedLogisticMixture(1, 256, 1)


@pytest.mark.slow
def test_colours_and_real_numbers():
    """Three colours of a pixel at once, and rows of a table: the shapes, and finite numbers."""
    colour = zoo.Diffusion((2, 2), timesteps=2, features=4, blocks=1).clone(
        head=zoo.Diffusion.preferred_head(256, (3,))
    )
    real = zoo.Diffusion((3,), timesteps=2, features=4, blocks=1).clone(
        head=zoo.Diffusion.preferred_head(None)
    )
    for model in (colour, real):
        x, _ = model.example(4)
        variables = variables_of(model)
        assert sample.draw(model, variables, KEY, 4).x.shape == x.shape
        assert np.isfinite(zoo.evidence(model, variables, x, key=KEY, num=3)).all()


def test_a_perfect_network_of_levels_leaves_only_the_prior():
    """Independent bits: logits of their frequencies make f the exact posterior mean, and the bound
    meets log p(x) as the steps get many.
    """
    model = zoo.Diffusion((2,), timesteps=400, features=2, blocks=1, prediction="levels")
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    variables = jax.tree.map(jnp.zeros_like, zoo.init(model, KEY, x))
    data = np.array([[0, 0], [0, 0], [0, 1], [1, 1]])
    variables = model.fitted(variables, data)
    logit = np.asarray(variables["params"]["network"]["bias"], np.float64)
    p = 1 / (1 + np.exp(-logit))
    truth = (x * np.log(p) + (1 - x) * np.log(1 - p)).sum(1)
    bound = zoo.evidence(model, variables, x, key=KEY, num=20_000)
    np.testing.assert_allclose(bound, truth, atol=0.05)


@pytest.mark.slow
def test_the_simple_loss_is_no_likelihood():
    """Of a network that predicts 0, the mean square of the noise; validation reports the bound."""
    x = np.tile([[0, 1], [1, 0]], (30, 1))
    model = zoo.Diffusion((2,), timesteps=8, features=2, blocks=1, prediction="eps", loss="simple")
    variables = zoo.init(model, KEY, x)  # the last layer starts at 0
    losses = zoo.training_loss(model, variables, np.tile(x, (200, 1)), key=KEY)
    assert abs(losses.mean() - 1) < 0.05
    fitted = train.fit(model, x, steps=3, eval_every=3)
    record = fitted.history.records[-1]
    assert {"valid_nats", "train_loss"} <= {name for r in fitted.history.records for name in r}
    assert "train_nats" not in record and fitted.history.plot().axes[0].get_title() == "nats"


@pytest.mark.slow
def test_ddim_on_the_command_line(tmp_path, monkeypatch, capfd):
    """Fewer steps, the same for the same key; what cannot be is one line."""
    monkeypatch.chdir(tmp_path)
    model = zoo.Diffusion((2, 3), timesteps=5, features=4, blocks=1)
    variables = variables_of(model)
    zoo.save(tmp_path / "diffusion.safetensors", model, variables)
    other = zoo.FVSBN((2, 3))
    zoo.save(tmp_path / "fvsbn.safetensors", other, zoo.init(other, KEY, np.zeros((1, 2, 3), int)))
    sampling.run(["diffusion.safetensors", "--num", "4", "--ddim", "2", "--out", "a.png"])
    assert "grid of 4: a.png" in capfd.readouterr().out
    drawn = [sample.draw(model.clone(ddim=steps), variables, KEY, 50).x for steps in (0, 2, 2)]
    assert (drawn[1] == drawn[2]).all() and (drawn[0] != drawn[1]).any()
    for file, steps, why in (
        ("diffusion", "6", "--ddim must be in 1..5"),
        ("diffusion", "0", "--ddim must be in 1..5"),
        ("fvsbn", "2", "--ddim is not supported by FVSBN"),
    ):
        with pytest.raises(ValueError, match=why) as caught:
            sampling.run([f"{file}.safetensors", "--ddim", steps])
        assert "\n" not in str(caught.value)


WRONG = [
    ({"timesteps": 0}, "timesteps must be in 1..65,536; got 0"),
    ({"betas": (0.1, 1.0)}, r"betas must be two numbers in \(0, 1\)"),
    ({"betas": (0.0, 0.5)}, r"betas must be two numbers in \(0, 1\)"),
    ({"betas": (0.1,)}, "betas must be two numbers"),
    ({"timesteps": 5, "ddim": 6}, "ddim must be in 1..5, the timesteps"),
    ({"ddim": -1}, "ddim must be in"),
    ({"features": 0}, "must be at least 1; got \\(0, 3, 3"),
    ({"denoiser": "unet", "scales": 0}, "must be at least 1; got \\(256, 3, 0"),
]


@pytest.mark.parametrize(("fields", "why"), WRONG)
def test_bad_fields_are_refused(fields, why):
    with pytest.raises(ValueError, match=why) as caught:
        zoo.Diffusion((2, 2), **fields)
    assert "\n" not in str(caught.value)


UNFIT = [
    ({"head": zoo.MixtureOfLaplacians(1)}, "needs a head of levels"),
    ({"head": zoo.DiscretizedLogisticMixture(3, 4, 1)}, "a mixture of 1 component"),
    ({"head": zoo.MixtureOfGaussians(1), "prediction": "levels"}, "pass --model.prediction"),
    ({"denoiser": "unet", "scales": 3, "site_shape": (6, 8)}, "6x8 does not halve that often"),
    ({"denoiser": "unet", "site_shape": (6,)}, "a U-Net takes images"),
]


@pytest.mark.parametrize(("fields", "why"), UNFIT)
def test_what_does_not_fit_is_refused(fields, why):
    model = zoo.Diffusion(**{"site_shape": (2, 2), **fields})
    with pytest.raises(ValueError, match=why) as caught:
        zoo.init(model, KEY, model.example(1)[0])
    assert "\n" not in str(caught.value)
