"""The recurrent attention model: what a glimpse sees, how places are learned, what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import sample
import sample.__main__ as sampling
import train
import zoo
from train.cli import reproduce
from zoo.classifiers.glimpses import glimpse

TINY = zoo.RAM(
    image_shape=(8, 8),
    glimpses=2,
    glimpse_size=2,
    features=5,
    hidden=4,
    spread=0.15,
    head=zoo.Categorical(3),
)
LOCATOR = ("locator", "locator_hidden")


def smooth_image():
    """One image without edges, so that the reward is a smooth function of the place."""
    rows, columns = np.meshgrid(np.arange(8), np.arange(8), indexing="ij")
    wave = np.sin(rows / 2.0) + np.cos(columns / 1.5 + rows / 3)
    return np.round(255 * (wave - wave.min()) / np.ptp(wave)).astype(np.uint8)[None]


def random_variables(model, scale=0.8):
    shapes = zoo.init(model, jax.random.key(0), *model.example(1))
    random = np.random.RandomState(3)
    return jax.tree.map(lambda a: jnp.asarray(random.normal(0, scale, a.shape), a.dtype), shapes)


def test_a_glimpse_is_the_mean_of_each_cell():
    """Against the mean over a grid of 20 x 20 points a pixel, also where cells cut pixels or reach
    over the border.
    """
    image = np.random.RandomState(0).rand(7, 9).astype(np.float32)
    padded = np.pad(image, 8)
    for centre in ([3.0, 4.0], [3.35, 4.9], [0.0, 9.0], [6.75, 0.25]):
        got = glimpse(jnp.asarray(image)[None, None], jnp.asarray([centre]), cells=2, scales=3)
        for s, patch in enumerate(np.asarray(got).reshape(3, 2, 2)):
            side = 2 ** (s + 1)
            points = (np.arange(20 * side) + 0.5) / 20 - side / 2
            rows, columns = (np.floor(at + points).astype(int) + 8 for at in centre)
            fine = padded[np.ix_(rows, columns)].reshape(2, 10 * side, 2, 10 * side)
            np.testing.assert_allclose(patch, fine.mean((1, 3)), atol=2e-6)


def test_colours_are_seen_apart():
    images = np.random.RandomState(0).rand(2, 3, 6, 6).astype(np.float32)
    centres = jnp.asarray([[2.0, 3.0], [4.5, 1.5]])
    whole = glimpse(jnp.asarray(images), centres, cells=2, scales=2).reshape(2, 2, 3, 4)
    for c in range(3):
        each = glimpse(jnp.asarray(images[:, c : c + 1]), centres, cells=2, scales=2)
        np.testing.assert_allclose(whole[:, :, c], each.reshape(2, 2, 4), rtol=1e-6)


def expected_reward(model, variables, image, label):
    """E[R] over the noise of the second place, by Gauss-Hermite quadrature of the forward pass."""
    points, weights = np.polynomial.hermite_e.hermegauss(24)
    noise = model.spread * np.stack(np.meshgrid(points, points), -1).reshape(-1, 2)
    weights = np.outer(weights, weights).ravel() / (2 * np.pi)
    both = np.stack([noise, np.zeros_like(noise)]).astype(np.float32)  # [glimpses, points, 2]
    images = np.repeat(image, len(noise), 0)

    def forward(model, images, noise):
        return model.look(model.encode(images), noise)[0]

    params = model.apply(variables, jnp.asarray(images), jnp.asarray(both), method=forward)
    shares = np.asarray(jax.nn.softmax(params[:, 0].astype(jnp.float32)), np.float64)[:, label]
    return float(shares @ weights)


def parts_of_gradient(model, variables, image, label, rows, parts):
    """The gradient of the mean training loss of `rows` independent trials, `parts` times."""
    x, images = np.full((rows, 1), label, np.int32), np.repeat(image, rows, 0)

    def loss(variables, key):
        return zoo.training_loss(model, variables, x, images, key=key).mean()

    gradient = jax.jit(jax.grad(loss))
    return [
        gradient(variables, key)["params"]["glance"]
        for key in jax.random.split(jax.random.key(1), parts)
    ]


def along(tree, direction):
    """The sum of products with `direction`, of the parts of the locator."""
    return float(
        sum(
            jnp.vdot(tree[name][leaf], direction[name][leaf])
            for name in LOCATOR
            for leaf in direction[name]
        )
    )


def moved(variables, direction, step):
    glance = dict(variables["params"]["glance"])
    for name in LOCATOR:
        glance[name] = jax.tree.map(lambda a, d: a + step * d, glance[name], direction[name])
    return {"params": {**variables["params"], "glance": glance}}


def test_reinforce_is_the_gradient_of_the_expected_reward():
    """The gradient by the locator's weights, along a direction, against finite differences of E[R];
    the tolerance is 5 standard errors of the mean over 200,000 trials.

    With another baseline the mean is the same, and the variance is not.
    """
    variables, image, label = random_variables(TINY), smooth_image(), 1
    glance = variables["params"]["glance"]
    random = np.random.RandomState(0)
    direction = {
        name: jax.tree.map(
            lambda a: jnp.asarray(random.normal(size=a.shape), jnp.float32), glance[name]
        )
        for name in LOCATOR
    }
    step = 1e-2
    ends = [
        expected_reward(TINY, moved(variables, direction, s), image, label) for s in (-step, step)
    ]
    wanted = (ends[1] - ends[0]) / (2 * step)
    errors = {}
    for baseline in (0.0, expected_reward(TINY, variables, image, label), 3.0):
        fixed = {
            "kernel": jnp.zeros_like(glance["baseline"]["kernel"]),
            "bias": jnp.full((1,), baseline),
        }
        own = {"params": {**variables["params"], "glance": {**glance, "baseline": fixed}}}
        parts = parts_of_gradient(TINY, own, image, label, rows=10_000, parts=20)
        slopes = np.array([-along(part, direction) for part in parts])  # of the reward
        error = errors[baseline] = slopes.std(ddof=1) / np.sqrt(len(slopes))
        assert abs(slopes.mean() - wanted) < 5 * error, (baseline, slopes.mean(), wanted, error)
    none, good, bad = errors.values()
    assert good < none < bad and 5 * good < abs(wanted) / 5, (errors, wanted)


def test_the_place_gets_no_gradient_from_the_classifier():
    """-log p moves neither locator nor baseline, not even through the places; the training loss
    moves both, has the value of -log p, and moves the rest as -log p does.
    """
    variables, image = random_variables(TINY), smooth_image()
    images, x = np.repeat(image, 16, 0), np.arange(16, dtype=np.int32)[:, None] % 3
    key = jax.random.key(4)

    def nats(variables):
        return -zoo.log_prob(TINY, variables, x, images, train=True, key=key).mean()

    def loss(variables):
        return zoo.training_loss(TINY, variables, x, images, key=key).mean()

    (value, by_nats), (same, by_loss) = (jax.value_and_grad(f)(variables) for f in (nats, loss))
    assert value == pytest.approx(float(same), rel=1e-6)
    for name, leaves in by_nats["params"]["glance"].items():
        zero = all(not np.asarray(leaf).any() for leaf in jax.tree.leaves(leaves))
        assert zero == (name in (*LOCATOR, "baseline")), name
        learned = by_loss["params"]["glance"][name]
        if zero:
            assert all(np.asarray(leaf).any() for leaf in jax.tree.leaves(learned)), name
        else:
            jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), leaves, learned)


def test_places_vary_in_training_only():
    variables, image = random_variables(TINY), smooth_image()
    images, x = np.repeat(image, 64, 0), np.ones((64, 1), np.int32)
    still = np.asarray(zoo.log_prob(TINY, variables, x, images))
    assert np.ptp(still) < 1e-6
    noisy = np.asarray(zoo.log_prob(TINY, variables, x, images, train=True, key=jax.random.key(0)))
    assert noisy.std() > 1e-3
    with pytest.raises(ValueError, match=r"pass key=jax\.random\.key"):
        zoo.training_loss(TINY, variables, x, images)


def test_glimpse_centres():
    model = zoo.RAM(image_shape=(10, 16), glimpses=4, glimpse_size=3, features=6, hidden=5)
    images = model.example(20)[1]
    variables = random_variables(model, 0.4)
    centres = np.asarray(zoo.glimpse_centres(model, variables, images))
    assert centres.shape == (20, 4, 2) and (centres[:, 0] == [5, 8]).all()
    assert (centres >= 0).all() and (centres <= [10, 16]).all()
    assert centres[:, 1:].std(0).min() > 1e-3  # they depend on the image
    with pytest.raises(ValueError, match="CNN takes no glimpses: pass a zoo.RAM"):
        cnn = zoo.CNN(image_shape=(10, 16))
        zoo.glimpse_centres(cnn, variables, images)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (
            {"glimpse_size": 9},
            "side of glimpse_size * 2^(scales - 1) = 9 pixels, more than the 8x8 image",
        ),
        (
            {"scales": 4},
            "= 16 pixels, more than the 8x8 image: choose a smaller glimpse_size (2) or",
        ),
        ({"glimpses": 0}, "RAM needs glimpses of at least 1; got 0"),
        ({"scales": 0}, "RAM needs scales of at least 1; got 0"),
        ({"glimpse_size": 0}, "RAM needs glimpse_size of at least 1; got 0"),
        ({"spread": 0.0}, "RAM needs a spread above 0"),
        ({"spread": -0.1}, "RAM needs spread to be a finite number of at least 0; got -0.1"),
        ({"site_shape": (2,)}, "RAM gives an image one label, site_shape (1,); got (2,)"),
        ({"image_shape": (8, 8, 2)}, "image_shape (height, width) or (height, width, 3)"),
    ],
)
def test_refusals(fields, words):
    model = TINY.clone(**fields)
    images = np.zeros((2, *model.image_shape), np.uint8)
    with pytest.raises(ValueError) as refused:
        zoo.init(model, jax.random.key(0), np.zeros((2, *model.site_shape), np.int32), images)
    assert words in str(refused.value) and "\n" not in str(refused.value)


def test_images_of_another_size_are_refused():
    variables = random_variables(TINY)
    with pytest.raises(ValueError) as refused:
        zoo.log_prob(TINY, variables, np.zeros((2, 1), np.int32), np.zeros((2, 9, 8), np.uint8))
    assert "[batch, 8, 8]; got uint8 of shape [2, 9, 8]" in str(refused.value)


@pytest.mark.slow
def test_it_learns_where_to_look():
    """A pixel beside the first glimpse, at one of two corners, tells the class; a pixel within it
    tells at which corner.
    """
    random = np.random.RandomState(0)
    side, labels = random.randint(0, 2, 4000), random.randint(0, 2, 4000)
    images = np.zeros((4000, 12, 12), np.uint8)
    images[:, 5, 5] = np.where(side, 255, 0)
    images[np.arange(4000), 3 + 5 * side, 3 + 5 * side] = np.where(labels, 255, 0)
    model = zoo.RAM(
        image_shape=(12, 12),
        glimpses=2,
        glimpse_size=4,
        features=32,
        hidden=32,
        spread=0.2,
        head=zoo.Categorical(2),
    )
    fitted = train.fit(
        model, labels, context=images, steps=2_000, batch_size=100, learning_rate=3e-3
    )
    assert train.evaluate(fitted.model, fitted.variables, labels, images).error < 2
    centres = np.asarray(zoo.glimpse_centres(fitted.model, fitted.variables, images))[:, 1]
    far = centres[side == 1].mean(0) - centres[side == 0].mean(0)
    assert (far > 1).all(), far


def test_a_row_of_errors(tmp_path, monkeypatch, capsys):
    """Its number is the error, with its own standard error."""
    report = {"nats": 0.05, "standard_error": 0.01, "error": 1.2345, "error_spread": 0.111}
    report |= {"data": "digits", "seed": 0, "hardware": "2 cores", "seconds": 60.0}
    monkeypatch.setattr(reproduce, "run_recipe", lambda *_: report)
    assert reproduce.main(["ram_translated", "--runs", str(tmp_path)]) == 0
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.startswith("| ram_translated | digits | % error | 1.22 | 1.23 +- 0.11 |")


def test_the_path_is_drawn(tmp_path, capsys):
    """Over the images asked for: boxes of both scales in the colours of the glimpses."""
    model = TINY.clone(scales=2, glimpses=3)
    zoo.save(tmp_path / "model.safetensors", model, random_variables(model))
    np.save(tmp_path / "own.npy", np.repeat(smooth_image(), 2, 0))
    out = tmp_path / "look.png"
    arguments = [str(tmp_path), "--images", str(tmp_path / "own.npy"), "--out", str(out)]
    sampling.main(arguments)
    assert f"picture: {out}" in capsys.readouterr().out

    def coloured(path):
        rgb = np.asarray(Image.open(path).convert("RGB")).astype(int)
        return (np.ptp(rgb, axis=2) > 60).sum()

    images, centres = np.zeros((1, 8, 8), np.uint8), np.full((1, 1, 2), 4.0)
    plain = sample.save_labelled(tmp_path / "plain.png", images, ["3"])
    small = sample.save_labelled(tmp_path / "a.png", images, ["3"], None, centres, (2,))
    both = sample.save_labelled(tmp_path / "b.png", images, ["3"], None, centres, (2, 4))
    assert coloured(plain) == 0 < coloured(small) < 0.6 * coloured(both)
    assert coloured(out) > coloured(small)
    with pytest.raises(
        ValueError, match=r"expected centres \[1, glimpses, 2\]; got shape \[1, 2\]"
    ):
        sample.save_labelled(tmp_path / "c.png", images, ["3"], None, centres[0], (2,))
