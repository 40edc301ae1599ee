"""GANs: whose gradient is whose, the critic's optimum, and what is said of trouble."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

import sample
import train
import zoo
from sample.testing.subject import variables_of

KEY = jax.random.key(3)
X = np.random.RandomState(0).randint(0, 2, (40, 2, 3))


def losses(model, variables, x, key):
    """(critic's loss, generator's loss) of a batch, written out once more."""
    streams = {"noise": jax.random.fold_in(key, np.uint32(2**32 - 1))}

    def both(model, x):
        fake = model._fake(None, len(x))
        real = model._real(x)
        share = jax.random.uniform(model.make_rng("noise"), (len(x), 1))
        return real, fake, share

    real, fake, share = model.apply(variables, x, method=both, rngs=streams)

    def critic(examples):
        return model.apply(variables, examples, method=lambda m, x: m.critic(x)[:, 0])

    def slope(examples):
        return (jax.vmap(jax.grad(lambda row: critic(row[None])[0]))(examples) ** 2).sum(-1)

    if model.loss == "wasserstein":
        between = share * real + (1 - share) * fake
        penalty = model.penalty * (jnp.sqrt(slope(between)) - 1) ** 2
        return (critic(fake) - critic(real) + penalty).mean(), -critic(fake).mean()
    penalty = model.penalty / 2 * slope(real)
    mine = nn.softplus(-critic(real)) + nn.softplus(critic(fake)) + penalty
    return mine.mean(), nn.softplus(-critic(fake)).mean()


@pytest.mark.parametrize("loss", ["non_saturating", "wasserstein"])
def test_each_player_has_the_gradient_of_its_own_loss(loss):
    model = zoo.GAN((2, 3), latents=2, hidden=(5,), loss=loss, penalty=0.7)
    variables, x = variables_of(model), jnp.asarray(X[:8])

    @jax.jit
    def gradients(variables):
        whole = jax.grad(lambda v: zoo.training_loss(model, v, x, key=KEY).mean())(variables)
        each = [jax.grad(lambda v, i=i: losses(model, v, x, KEY)[i])(variables) for i in (0, 1)]
        return whole["params"], each

    whole, (critics, generators) = gradients(variables)
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-6)  # noqa: E731
    jax.tree.map(close, whole["critic"], critics["params"]["critic"])
    jax.tree.map(close, whole["generator"], generators["params"]["generator"])
    kernels = [leaf for leaf in jax.tree.leaves(whole) if leaf.ndim == 2]
    assert min(abs(np.asarray(leaf)).max() for leaf in kernels) > 1e-6
    # Mutant: a critic that is not frozen takes the generator's gradient as well.
    other = jax.tree.map(jnp.add, critics, generators)["params"]["critic"]
    assert not all(map(np.allclose, jax.tree.leaves(other), jax.tree.leaves(whole["critic"])))


def test_the_critic_finds_the_log_odds():
    """Against a fixed generator, the best critic is log p_data(x) / p_G(x)."""
    model = zoo.GAN((2,), latents=1, hidden=(16,), penalty=0.0)
    variables = variables_of(model)
    space = jnp.asarray(list(itertools.product([0, 1], repeat=2)), jnp.int32)
    data = np.float32([0.1, 0.2, 0.3, 0.4])
    drawn = np.asarray(sample.draw(model, variables, KEY, 50_000, batch_size=50_000).x)
    counts = np.bincount(drawn @ [2, 1], minlength=4).astype(np.float32) / np.float32(len(drawn))
    critic, adam = variables["params"]["critic"], optax.adam(0.03)

    def on(critic):
        params = {"params": {**variables["params"], "critic": critic}}
        return model.apply(params, space, method=lambda m, x: m.critic(m._real(x))[:, 0])

    @jax.jit
    def descend(critic):
        def step(carry, _):
            critic, state = carry
            loss = lambda c: (data * nn.softplus(-on(c)) + counts * nn.softplus(on(c))).sum()  # noqa: E731
            with jax.numpy_dtype_promotion("standard"):
                updates, state = adam.update(jax.grad(loss)(critic), state)
                return (optax.apply_updates(critic, updates), state), None

        return jax.lax.scan(step, (critic, adam.init(critic)), None, 800)[0][0]

    np.testing.assert_allclose(on(descend(critic)), np.log(data / counts), atol=0.02)


def test_draws_are_levels_bits_or_numbers():
    for head, values in (
        (zoo.Bernoulli(), {0, 1}),
        (zoo.Categorical(5), set(range(5))),
        (zoo.DiscretizedLogisticMixture(2, 4, 3), set(range(4))),
    ):
        model = zoo.GAN((2, 2), latents=3, hidden=(6,), head=head)
        drawn = sample.draw(model, variables_of(model), KEY, 30)
        assert set(np.unique(drawn.x)) <= values and len(np.unique(drawn.x)) > 1
        assert drawn.x.shape == (30, 2, 2, *head.event_shape) and drawn.log_prob is None
    model = zoo.GAN((2,), latents=3, hidden=(6,), head=zoo.MixtureOfGaussians(1))
    assert sample.draw(model, variables_of(model), KEY, 3).x.dtype == np.float32


def test_labels_decide_what_is_drawn():
    x = np.repeat(np.eye(2, dtype=int), 60, axis=0)
    labels = np.repeat([0, 1], 60)
    model = zoo.GAN((2,), latents=2, hidden=(16,), penalty=1.0)
    model, variables, history = train.fit(
        model, x, context=labels, steps=300, batch_size=30, learning_rate=3e-3, momentum=0.5
    )
    drawn = np.asarray(sample.draw(model, variables, KEY, 40, context=np.arange(40) % 2).x)
    assert (drawn == np.eye(2)[np.arange(40) % 2]).mean() > 0.8
    assert history.valid_watched.size and not history.valid_nats.size


def test_trouble_is_said():
    model = zoo.GAN()
    assert model.trouble([1.0, 0.01, 0.01]) is None
    assert "told all drawn examples" in model.trouble([1.0, 0.01, 0.01, 0.0])
    assert "wrong in 3 validations" in model.trouble([7.0, 8.0, 9.0])
    assert zoo.MADE().trouble([0.0] * 5) is None
    wasserstein = zoo.GAN(loss="wasserstein")  # no two images are further than 56 apart
    assert wasserstein.trouble([-60.0, -55.0, -60.0]) is None
    assert "data and draws 60 apart" in wasserstein.trouble([-60.0, -60.0, -70.0])
    assert "data and draws 57 apart" in wasserstein.trouble([-1.0, 57.0, 99.0, 58.0])
    assert wasserstein.clone(head=zoo.MixtureOfGaussians(1)).trouble([-60.0] * 3) is None


def test_each_player_is_clipped_alone():
    from train.engine.optimisers import optimiser

    recipe = train.Recipe(zoo.GAN((2,)), clip=1.0, learning_rate=1.0, warmup=0)
    grads = {"params": {"generator": {"a": jnp.full(4, 1e-3)}, "critic": {"b": jnp.full(4, 1e3)}}}
    clip = optimiser(recipe)
    with jax.numpy_dtype_promotion("standard"):  # optax relies on it
        updates, _ = clip.update(grads, clip.init(grads), grads)
    generator, critic = (np.asarray(x) for x in jax.tree.leaves(updates["params"])[::-1])
    assert abs(generator).min() > 0.1 * abs(critic).max()  # Adam of an unclipped, small gradient
