"""Drawing: counts, keys, chunks, prefixes, devices, pictures, and every refusal."""

import itertools
import re
import subprocess
import sys
from typing import NamedTuple

import conformance
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from marks import slow_but
from PIL import Image

import sample
import zoo
from sample.engines import ancestral_loop, sampler, segments
from sample.engines.program_sizes import usual_batch

MADE = zoo.CATALOGUE["made"].tiny
KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def variables():
    return conformance.variables_of(MADE)


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(zoo.FVSBN((7,)), marks=pytest.mark.slow),
        pytest.param(zoo.FVSBN((1,)), marks=pytest.mark.slow),
        pytest.param(
            zoo.FVSBN((3, 5), head=zoo.Categorical(4), ordering=zoo.Ordering("spiral")),
            marks=pytest.mark.slow,
        ),
        pytest.param(zoo.NADE((17,), hidden=3), marks=pytest.mark.slow),
        zoo.NADE((3, 3, 2), hidden=4, head=zoo.Categorical(3), ordering=zoo.Ordering("random")),
        pytest.param(zoo.MADE((11,), hidden=(3,)), marks=pytest.mark.slow),
        pytest.param(zoo.MADE((1,), hidden=(3,), direct=False), marks=pytest.mark.slow),
        zoo.MADE((4, 5), hidden=(7, 90, 5), ordering=zoo.Ordering("columns")),
        zoo.MADE(
            (3, 3), hidden=(30, 8), head=zoo.Categorical(3), num_masks=4, resample_order=True
        ).member(3),
        pytest.param(
            zoo.MADE((3, 3), hidden=(30, 30), direct=False, num_masks=4).member(2),
            marks=pytest.mark.slow,
        ),
    ],
    ids=repr,
)
def test_odd_shapes_heads_and_orderings(model):
    """Whatever the shape, head, ordering and widths, the cached step is the network, and the
    engines agree.
    """
    entry = zoo.Entry(model, model)
    conformance.check_step(entry)
    variables = conformance.variables_of(model)
    drawn = {
        engine: sample.draw(model, variables, KEY, 20, engine=engine)
        for engine in ("cached", "recompute", "jacobi")
    }
    assert (drawn["cached"].x == drawn["recompute"].x).all() and (
        drawn["cached"].x == drawn["jacobi"].x
    ).all()
    np.testing.assert_allclose(
        drawn["cached"].log_prob, zoo.log_prob(model, variables, drawn["cached"].x), rtol=1e-4
    )


def test_compiled_loop_equals_python_loop(variables):
    """Without jit, op by op: a buffer that the compiler updates wrongly in place would show here."""
    compiled = sample.draw(MADE, variables, KEY, 4)
    u = sample.uniforms(KEY, jnp.arange(4), MADE.num_sites, 1)
    with jax.disable_jit():
        plain = sample.ancestral(MADE, zoo.decoder(MADE, variables, 4), u)
    assert (plain.x == compiled.x).all()
    np.testing.assert_allclose(plain.log_prob, compiled.log_prob, rtol=1e-4)


COPIES = {
    "made",
    "gated_pixel_cnn",
    "pixel_cnn_pp",
    "diagonal_bilstm",
    "pixel_transformer",
    "transformer",
    "wavenet",
}


LOOPED = [
    name for name in sorted(conformance.AUTOREGRESSIVE) if zoo.CATALOGUE[name].tiny.num_sites > 1
]


@pytest.mark.parametrize("name", slow_but(COPIES, LOOPED))
def test_no_cache_is_copied_inside_the_loop(name):
    """In the compiled loop over sites no array of a cache's shape is copied, but for states of a
    few numbers an example and layer.
    """
    model, batch = zoo.CATALOGUE[name].tiny, 3
    states = (getattr(model, "layers", 0), batch, getattr(model, "features", 0))
    x, context = zoo.example(model, batch)
    variables = conformance.variables_of(model)
    decoder = zoo.decoder(model, variables, batch, context)

    def run(cache, x):
        return jax.lax.fori_loop(
            0, decoder.block, lambda t, cache: decoder.step(cache, x, t)[1], cache
        )

    text = jax.jit(run, donate_argnums=0).lower(decoder.init(), x).compile().as_text()
    loops = [
        body
        for body in text.split("\n\n")
        if re.search(r"ROOT .* tuple\(", body) and "ENTRY" not in body
    ]
    shapes = {
        f"f32[{','.join(map(str, leaf.shape))}]"
        for leaf in jax.tree.leaves(decoder.init())
        if leaf.size > 8 * batch and leaf.shape != states
    }
    copies = [
        line for body in loops for line in body.splitlines() if re.search(r"= \S+ copy\(", line)
    ]
    assert loops and not [line for line in copies if any(shape in line for shape in shapes)]


@pytest.mark.parametrize(
    "name", slow_but(["transformer"], ["transformer", "pixel_transformer", "attention_lstm"])
)
def test_a_cache_that_grows_draws_what_a_full_one_draws(name, monkeypatch):
    """Also after a prefix that was read in one pass, and where the loop keeps no params."""
    entry = zoo.CATALOGUE[name]
    model = entry.tiny
    variables = conformance.variables_of(model)
    u = sample.uniforms(KEY, jnp.arange(5), model.num_sites, model.head.uniforms)
    decoder = zoo.decoder(model, variables, 5, entry.example(model, 5)[1])

    def drawn(*prefix):
        return jax.jit(lambda u: sample.ancestral(model, decoder, u, *prefix))(u)

    whole = drawn()
    monkeypatch.setattr(segments, "LEAST", 1)
    monkeypatch.setattr(ancestral_loop, "MOST_KEPT", 0)
    assert len(segments.segment_ends(decoder.init(), model.num_sites, decoder.block)) > 1
    half = model.num_sites // 2
    prefix = sample.Prefix(whole.x, np.full(5, half))
    for again in (drawn(), drawn(prefix, half) if model.has_prefill else drawn(prefix)):
        np.testing.assert_array_equal(again.x, whole.x)
        np.testing.assert_allclose(again.log_prob, whole.log_prob, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", slow_but(["fvsbn"], ["fvsbn", "nade", "transformer", "wavenet"]))
def test_the_host_knows_how_long_a_loop_runs(name, monkeypatch):
    """On a GPU it would otherwise wait for the loop's condition at every rank."""
    model, compiled = zoo.CATALOGUE[name].tiny, []
    draw = sampler._draw

    def recorded(*arguments):
        compiled.append(draw.lower(*arguments).compile().as_text())
        return draw(*arguments)

    monkeypatch.setattr(sampler, "_draw", recorded)
    sample.draw(model, conformance.variables_of(model), KEY, 2)
    (text,) = compiled
    loops = [line for line in text.splitlines() if " while(" in line]
    assert loops and all("known_trip_count" in line for line in loops)


def test_noise_is_a_function_of_key_sample_and_rank():
    u = sample.uniforms(KEY, jnp.arange(6), 10, 1)
    assert (sample.uniforms(KEY, jnp.array([4]), 10, 1)[:, 0] == u[:, 4]).all()
    assert (sample.uniforms(KEY, jnp.arange(6), 5, 1) == u[:5]).all()
    assert (sample.uniforms(jax.random.key(1), jnp.arange(6), 10, 1) != u).any()
    assert len(np.unique(u)) == u.size


def test_old_style_keys_serve_as_well(variables):
    old = sample.draw(MADE, variables, jax.random.PRNGKey(0), 5)
    assert (old.x == sample.draw(MADE, variables, KEY, 5).x).all()


@pytest.mark.parametrize(("num", "batch_size"), list(itertools.product([1, 4, 7, 23], [1, 3, 256])))
def test_any_number_in_any_chunks(variables, num, batch_size):
    drawn = sample.draw(MADE, variables, KEY, num, batch_size=batch_size)
    assert drawn.x.shape == (num, *MADE.site_shape) and drawn.log_prob.shape == (num,)
    assert (drawn.x == sample.draw(MADE, variables, KEY, 30).x[:num]).all()


class Accelerator(NamedTuple):
    """A device that is not there."""

    limit: int
    platform: str = "gpu"

    def memory_stats(self):
        return {"bytes_limit": self.limit}


def test_an_accelerator_draws_as_many_at_once_as_its_memory_allows():
    model = zoo.Transformer((32,), features=8, layers=1, heads=1)  # its keys and values: 2 KiB
    variables = zoo.init(model, jax.random.key(0), *model.example(1))
    batches = {2**36: 1024, 2**23: 1024, 2**22: 512, 2**21: 256, 4096: 1}
    for limit, batch in batches.items():
        assert usual_batch(Accelerator(limit), model, zoo.decoder, variables, None) == batch
    whole_network = usual_batch(Accelerator(2**36), model, None, variables, None)
    assert whole_network == 256


def test_number_of_devices_does_not_matter(tmp_path, variables):
    """A process with one device draws what this one, with four, draws."""
    zoo.save(tmp_path / "m.safetensors", MADE, variables)
    script = (
        "import sys, jax, numpy, zoo, sample; assert jax.device_count() == 1\n"
        "drawn = sample.draw(*zoo.load(sys.argv[1]), jax.random.key(0), 30)\n"
        "numpy.savez(sys.argv[2], x=drawn.x, log_prob=drawn.log_prob)"
    )
    subprocess.run(
        [sys.executable, "-c", script, tmp_path / "m.safetensors", tmp_path / "x.npz"],
        check=True,
        timeout=120,
    )
    alone, here = np.load(tmp_path / "x.npz"), sample.draw(MADE, variables, KEY, 30)
    assert jax.local_device_count() > 1
    assert (alone["x"] == here.x).all()
    np.testing.assert_allclose(alone["log_prob"], here.log_prob, rtol=1e-5)


def test_prefix_forms_agree(variables):
    model = MADE.clone(site_shape=(2, 5))
    row = np.array([[1, 0, 1, 1, 0]])
    mask = np.zeros((2, 5), bool)
    mask[0] = True
    junk = np.full((2, 5), 9)
    junk[0] = row
    drawn = [
        sample.draw(model, variables, KEY, 8, prefix=prefix, engine=engine)
        for engine in ("cached", "recompute", "jacobi")
        for prefix in (
            row,
            np.repeat(row[None], 8, 0),
            (junk, mask),
            (np.repeat(junk[None], 8, 0), mask),
        )
    ]
    assert (np.asarray(drawn[0].x[:, 0]) == row).all()
    assert all((other.x == drawn[0].x).all() for other in drawn[1:])
    np.testing.assert_allclose(
        drawn[0].log_prob, zoo.log_prob(model, variables, drawn[0].x), rtol=1e-4
    )


def test_prefixes_of_different_lengths(variables):
    x = np.asarray(sample.draw(MADE, variables, jax.random.key(9), 4).x)
    counts = np.array([0, 3, 7, 10])
    known = (np.arange(10) < counts[:, None]).reshape(4, 2, 5)
    drawn = np.asarray(sample.draw(MADE, variables, KEY, 4, prefix=(x, known)).x)
    assert (drawn[known] == x[known]).all() and (drawn[3] == x[3]).all()
    assert (drawn[0] == sample.draw(MADE, variables, KEY, 4).x[0]).all()


def test_empty_prefix_is_no_prefix(variables):
    empty = sample.draw(MADE, variables, KEY, 4, prefix=np.zeros((0, 5), int))
    assert (empty.x == sample.draw(MADE, variables, KEY, 4).x).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num": 0}, "num and batch_size must be whole numbers >= 1; got num=0"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"engine": "cahced"}, "unknown engine 'cahced'.*Did you mean 'cached'"),
        ({"key": 3}, "key must be one jax.random.key"),
        ({"context": np.zeros(4)}, "it takes no context"),
        ({"context": np.zeros(3)}, r"leading axis of num=4; got shape \[3\]"),
        (
            {"prefix": np.zeros((1, 4), int)},
            r"first n <= 2 slices of an array of shape \[2, 5\].*got shape \[1, 4\]",
        ),
        ({"prefix": np.zeros((3, 5), int)}, "first n <= 2 slices"),
        (
            {"prefix": np.full((1, 5), 2)},
            "prefix is outside the model's support: .* 0..1; got values from 0 to 2",
        ),
        ({"prefix": np.zeros((1, 5))}, "prefix must hold integers"),
        (
            {"prefix": (np.zeros((2, 5), int), np.zeros((2, 5), int))},
            "mask of known sites must be boolean; got int64",
        ),
        (
            {"prefix": (np.zeros((2, 5), int), np.eye(2, 5) > 0)},
            r"site \(1, 1\) \(rank 6\) is known, but site \(0, 1\)",
        ),
        (
            {"prefix": (np.zeros((2, 4), int), np.zeros((2, 5), bool))},
            r"values must have shape \[2, 5\]",
        ),
        ({"prefix": (np.zeros((2, 5), int),)}, "got 1 items"),
    ],
)
def test_refusals(variables, change, message):
    arguments = {"key": KEY, "num": 4} | change
    undecorated = sample.draw.__wrapped__ if hasattr(sample.draw, "__wrapped__") else sample.draw
    with pytest.raises(ValueError, match=message):
        undecorated(MADE, variables, **arguments)


def test_images_are_uint8(tmp_path, variables):
    zoo.save(tmp_path / "model.safetensors", MADE, variables)
    pictures = sample.images(tmp_path, num=6)
    assert (
        pictures.shape == (6, 2, 5)
        and pictures.dtype == np.uint8
        and set(np.unique(pictures)) <= {0, 255}
    )
    assert (pictures == sample.images((MADE, variables), num=6, key=jax.random.key(0))).all()
    assert (pictures[:, 0] == sample.images(tmp_path, 6, prefix=pictures[0, :1] // 255)[:, 0])[
        0
    ].all()


def test_levels_spread_over_the_grey_scale():
    model = zoo.FVSBN((1, 3), head=zoo.Categorical(17))
    assert sample.as_images(model, np.array([[[0, 8, 16]]])).tolist() == [[[0, 127, 255]]]
    colour = zoo.FVSBN((2, 2, 3), head=zoo.Categorical(256))
    assert sample.as_images(colour, np.full((1, 2, 2, 3), 200)).shape == (1, 2, 2, 3)
    with pytest.raises(ValueError, match="does not describe images"):
        sample.as_images(zoo.FVSBN((7,)), np.zeros((1, 7)))


def test_grid_and_png(tmp_path):
    pictures = np.arange(5, dtype=np.uint8)[:, None, None] * np.ones((1, 3, 4), np.uint8)
    sheet = sample.grid(pictures, columns=2)
    assert sheet.shape == (3 * 4 + 1, 2 * 5 + 1)
    assert (
        (sheet[1:4, 1:5] == 0).all() and (sheet[5:8, 6:10] == 3).all() and (sheet[0] == 128).all()
    )
    path = sample.save_png(tmp_path / "grid.png", sheet, scale=3)
    assert (np.asarray(Image.open(path))[::3, ::3] == sheet).all()
