"""DRAW: its windows, its bound against quadrature, its canvases, and their GIF."""

import itertools

import conformance
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import sample
import train
import zoo
from sample import __main__ as sampling
from sample.testing import suite
from zoo.latent.windows import window

KEY = jax.random.key(4)
PLAIN = zoo.DRAW((2, 2), 2, latents=1, features=3)
VARIANTS = {
    "without attention": PLAIN,
    "reads windows of colours": zoo.DRAW((2, 1, 2), 2, 1, 3, read_size=2, head=zoo.Categorical(3)),
    "writes windows of levels": zoo.DRAW((2, 2), 1, 2, 3, write_size=3, head=zoo.Categorical(3)),
    "a row": zoo.DRAW((3,), 2, latents=2, features=3, num_classes=2),
}


def apply(model, variables, *arguments, method, key=KEY):
    return model.apply(variables, *arguments, method=method, rngs={"noise": key})


def random_window(n, height, width, batch=3):
    numbers = jax.random.normal(KEY, (batch, 5)) * jnp.array([[0.5, 0.5, 1.0, 0.5, 0.5]])
    return window(numbers, n, height, width)


def test_filters_are_normalised_wherever_they_lie():
    wild = jnp.array([[0.0, 0, 0, 0, 0], [90, -90, -90, 0, 0], [3, 3, 90, 90, 90.0]])

    @jax.jit
    def slope(wild):
        return jax.grad(lambda wild: window(wild, 4, 5, 7).read(jnp.ones((3, 5, 7, 1))).sum())(wild)

    seen = window(wild, 4, 5, 7)
    for filters in seen[:2]:
        np.testing.assert_allclose(filters.sum(-1), 1, rtol=1e-6)
    assert np.isfinite(seen.intensity).all() and np.isfinite(slope(wild)).all()


def test_a_window_lies_where_its_numbers_say():
    """One filter in the centre; three that reach from edge to edge; and a pixel further down."""
    sharp = [-4.0, 0.0, 0.0]
    down, across, _ = window(jnp.array([[0.0, 0.0, *sharp]]), 1, 5, 7)
    assert down[0, 0].argmax() == 2 and across[0, 0].argmax() == 3
    down, across, _ = window(jnp.array([[0.0, 0.0, *sharp]]), 3, 7, 7)
    assert down[0].argmax(-1).tolist() == across[0].argmax(-1).tolist() == [0, 3, 6]
    lower = window(jnp.array([[2 / 6, 0.0, *sharp]]), 1, 5, 7)
    assert lower.down[0, 0].argmax() == 3 and lower.across[0, 0].argmax() == 3
    half = window(jnp.array([[0.0, 0.0, -4.0, np.log(0.5).astype(np.float32), 0.0]]), 3, 9, 9)
    assert half.down[0].argmax(-1).tolist() == [2, 4, 6]
    spread = window(jnp.array([[0.0, 0.0, 1.0, 0.0, 0.0]]), 1, 201, 3).down[0, 0]
    np.testing.assert_allclose(
        (np.asarray(spread) * (np.arange(201) - 100) ** 2).sum(), np.e, rtol=1e-3
    )


def test_writing_is_the_transpose_of_reading():
    seen = random_window(3, 5, 4)
    images, patches = (jax.random.normal(KEY, (3, *shape, 2)) for shape in ((5, 4), (3, 3)))
    read = (seen.read(images) * patches).sum((1, 2, 3)) / seen.intensity
    written = (images * seen.write(patches)).sum((1, 2, 3)) * seen.intensity
    np.testing.assert_allclose(read, written, rtol=1e-4)
    flat = seen._replace(intensity=jnp.ones(3)).read(jnp.ones((3, 5, 4, 2)))
    np.testing.assert_allclose(flat, 1, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_is_a_bound(name):
    model = VARIANTS[name]
    entry = zoo.Entry(model, model)
    for check in (suite.check_used, suite.check_bound):
        assert check(entry) is None


def exact(model, variables, space):
    """log p(x) of a model of two numbers z, by quadrature over them."""
    points = np.linspace(-6, 6, 61, dtype=np.float32)
    z = np.stack(np.meshgrid(points, points), -1).reshape(-1, 2)
    log_prior = -(z.astype(np.float64) ** 2).sum(-1) / 2 - np.log(2 * np.pi)
    params = zoo.decode(model, variables, z)
    nats = zoo.score(model.head, jnp.repeat(params[:, None], len(space), 1), jnp.asarray(space))
    weighted = np.exp(log_prior)[:, None] * np.exp(np.asarray(nats, np.float64))
    return np.log(weighted.sum(0) * (points[1] - points[0]) ** 2)


def far_from_the_prior():
    """Variables of PLAIN whose posteriors have means away from 0 and deviations of 1."""
    params = jax.tree.map(lambda leaf: 2.5 * leaf, conformance.variables_of(PLAIN))["params"]
    kernel, bias = params["posterior"]["kernel"], params["posterior"]["bias"]
    posterior = {"kernel": kernel.at[:, 1].set(0), "bias": bias.at[0].add(0.7).at[1].set(0)}
    return {"params": {**params, "posterior": posterior}}


def errors(model):
    """How far the mean weight of each x is from p(x), in standard errors."""
    space = np.array(list(itertools.product([0, 1], repeat=4)), np.int32).reshape(-1, 2, 2)
    variables = far_from_the_prior()
    truth = exact(model, variables, space)
    np.testing.assert_allclose(np.exp(truth).sum(), 1, rtol=1e-4)
    w = apply(model, variables, jnp.asarray(space), None, 5000, method="log_weights")
    w = np.exp(np.asarray(w, np.float64) - truth)
    return abs(w.mean(0) - 1) / (w.std(0) / 5000**0.5)


def test_the_bound_meets_quadrature():
    assert errors(PLAIN).max() < 5


def loss_errors(model):
    """How far a model's mean loss is from PLAIN's mean log weight, in standard errors."""
    x, num = jnp.asarray(zoo.example(PLAIN, 4)[0]), 4000
    variables, rows = far_from_the_prior(), jnp.repeat(x, num, axis=0)
    loss = apply(model, variables, rows, method="training_loss").reshape(4, num)
    weights = apply(PLAIN, variables, x, None, num, method="log_weights")
    return abs(loss.mean(1) + weights.mean(0)) / (weights.std(0) + loss.std(1)) * num**0.5


def test_training_maximises_the_bound():
    """With the divergences computed exactly, its mean is that of the log weights."""
    assert loss_errors(PLAIN).max() < 5


def test_the_last_canvas_is_what_is_drawn_from():
    model = zoo.DRAW((3, 4), 3, latents=2, features=4, read_size=2, write_size=2, num_classes=2)
    variables, labels = conformance.variables_of(model), np.array([0, 1, 1])
    memory = model.encode(labels)
    canvases = apply(model, variables, memory, 3, method="canvases")
    np.testing.assert_array_equal(canvases[-1], apply(model, variables, memory, 3, method="draw"))
    assert (
        canvases.shape == (4, 3, 3, 4, 1)
        and (abs(np.diff(canvases, axis=0)).max((1, 2, 3)) > 0).all()
    )
    np.testing.assert_array_equal(canvases[0], [variables["params"]["canvas"]] * 3)
    frames = sample.canvases(model, variables, KEY, 20, labels[np.arange(20) % 3])
    few = sample.canvases(model, variables, KEY, 2, labels[:2])
    np.testing.assert_array_equal(frames[:, :2], few)
    assert frames.shape == (4, 20, 3, 4) and frames.dtype == np.uint8
    ones = np.ones(500, int)
    drawn = np.asarray(sample.draw(model, variables, KEY, 500, context=ones).x)
    expected = sample.canvases(model, variables, KEY, 500, ones)[-1] / 255
    assert abs((drawn - expected).mean(0)).max() < 5 * 0.5 / 500**0.5


@pytest.mark.slow
def test_codes_lead_back_to_examples():
    """Two images are learned; their codes decode to them."""
    x = np.tile(np.array([[[1, 1, 0], [0, 0, 1]], [[0, 0, 1], [1, 1, 0]]]), (50, 1, 1))
    model = zoo.DRAW(glimpses=2, latents=2, features=16)
    model, variables, history = train.fit(
        model, x, steps=150, learning_rate=0.03, batch_size=20, eval_every=75
    )
    codes = zoo.represent(model, variables, x[:2])
    assert codes.shape == (2, model.num_latents) == (2, 4)
    assert ((zoo.decode(model, variables, codes)[..., 0] > 0) == (x[:2] > 0)).all()
    assert 0.6 < history.valid_nats[-1] < 1.2  # log 2 is the entropy of the data


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Checkpoints of an untrained DRAW and an untrained GAN."""
    folder = tmp_path_factory.mktemp("runs")
    for name, model in (("draw", zoo.DRAW((4, 5), 3, 2, 4)), ("gan", zoo.GAN((4, 5), 2, (3,)))):
        zoo.save(folder / name, model, conformance.variables_of(model))
    return folder


def test_the_gif_shows_every_step(saved):
    sampling.run([str(saved / "draw"), "--num", "6", "--gif", "--scale", "1"])
    with Image.open(saved / "samples.gif") as gif, Image.open(saved / "samples.png") as grid:
        assert gif.n_frames == 3 + 1 + 1  # the first canvas, one after each step, the draws
        gif.seek(4)
        np.testing.assert_array_equal(np.asarray(gif.convert("L")), np.asarray(grid.convert("L")))
    with pytest.raises(ValueError, match="GAN draws whole examples .* drop --gif"):
        sampling.run([str(saved / "gan"), "--gif"])


def test_what_it_cannot_draw_is_refused():
    for model, why in (
        (zoo.DRAW((3,), head=zoo.MixtureOfGaussians(1)), "draws single levels; got a MixtureOf"),
        (zoo.DRAW((3,), read_size=2), r"site_shape \(3,\): pass read_size=0, write_size=0"),
        (zoo.DRAW((3,), glimpses=0), "glimpses of at least 1; got 0"),
    ):
        with pytest.raises(ValueError, match=why) as caught:
            zoo.init(model, KEY, model.example(1)[0])
        assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="GAN does not draw in steps"):
        sample.canvases(zoo.GAN((2, 3)), {}, KEY, 1)


class LastStepFree(zoo.DRAW):
    """Leaves out the last step of log p(z) - log q(z | x)."""

    def _infer(self, *inputs):
        canvas, steps = super()._infer(*inputs)
        return canvas, jax.tree.map(lambda leaf: leaf.at[-1].set(0), steps)


class LastCanvasLost(zoo.DRAW):
    """Draws from the canvas before the last step."""

    def draw(self, memory, num):
        return self.canvases(memory, num)[-2]


@pytest.mark.slow
def test_mutants_die():
    free = LastStepFree((2, 2), 2, latents=1, features=3)
    assert errors(free).max() > 10
    assert loss_errors(free).max() > 10
    model = LastCanvasLost((2, 2), 2, latents=1, features=3)
    with pytest.raises(AssertionError, match="chi-square"):
        suite.check_bound(zoo.Entry(model, model))
