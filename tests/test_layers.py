"""Layers by themselves: each kind of cache against the whole pass, and the names of parameters."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import zoo
from zoo.layers.attention import CausalAttention
from zoo.layers.key_value_caches import Lines, Ring
from zoo.layers.masked_mlp import MaskedMLP

CACHES = {
    "all": ({}, Ring),
    "window": ({"window": 4}, Ring),
    "rotary window": ({"window": 5, "rotary": True}, Ring),
    "strided": ({"stride": 4}, Lines),
}
X = jnp.asarray(np.random.RandomState(0).randn(3, 12, 8), jnp.float32)


@functools.cache
def whole_pass(name):
    """A layer with that cache, its variables, and its outputs for all tokens."""
    layer = CausalAttention(features=8, heads=2, length=12, **CACHES[name][0])
    y, variables = layer.init_with_output(jax.random.key(0), X)
    return layer, variables, y


def steps(name, cache, first):
    """The outputs of the tokens from `first` on, one by one, and the cache after them."""
    layer, variables, _ = whole_pass(name)

    def run(method, cache, *args):
        return layer.apply({**variables, **cache}, *args, method=method, mutable=["cache"])

    @jax.jit
    def step(cache, t):
        return run("step", cache, X[:, t], t)

    outputs = []
    for t in range(first, X.shape[1]):
        y, cache = step(cache, jnp.int32(t))
        outputs.append(y)
    return jnp.stack(outputs, axis=1), cache["cache"]["tokens"]


@pytest.mark.parametrize("name", CACHES)
def test_steps_with_each_cache_give_the_whole_pass(name):
    outputs, cache = steps(name, {}, 0)
    np.testing.assert_allclose(outputs, whole_pass(name)[2], rtol=1e-4, atol=1e-5)
    assert type(cache) is CACHES[name][1]


@pytest.mark.parametrize(
    ("name", "count"),
    [("all", 5), ("window", 3), ("window", 4), ("window", 7), ("strided", 4), ("strided", 8)],
)
def test_steps_continue_a_prefill(name, count):
    layer, variables, y = whole_pass(name)
    first, cache = layer.apply(variables, X[:, :count], method="prefill", mutable=["cache"])
    rest, _ = steps(name, cache, count)
    np.testing.assert_allclose(jnp.concatenate([first, rest], axis=1), y, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("window", [0, 9])
def test_a_cache_may_grow_between_steps(window):
    """Steps that read few slots, then more, then all, give what steps that read all give."""
    layer = CausalAttention(features=8, heads=2, length=12, window=window)
    y, variables = layer.init_with_output(jax.random.key(0), X)
    tokens = Ring.empty(2 * len(X), 3, 4, X.dtype)
    for t in range(12):
        if t in (3, 8):  # to 8, then to all
            tokens = tokens.with_slots(8 if t == 3 else window or 12)
        state = {"cache": {"tokens": tokens}}
        step, state = layer.apply(
            {**variables, **state}, X[:, t], t, method="step", mutable="cache"
        )
        tokens = state["cache"]["tokens"]
        np.testing.assert_allclose(step, y[:, t], rtol=1e-4, atol=1e-5)
    assert tokens.slots == (window or 12)


def test_a_strided_cache_holds_rows_after_a_row_of_zeros():
    tokens = jnp.arange(1.0, 13.0)
    cache = Lines.empty(1, 4, 12, 1, jnp.float32)
    for t in range(6):
        token = tokens[t].reshape(1, 1)
        cache = cache.write(token, -token, jnp.int32(t))
    expected = [[0, 0, 0, 0], [1, 2, 3, 4], [5, 6, 0, 0], [0, 0, 0, 0]]
    assert cache.keys[0, :, :, 0].tolist() == expected
    assert cache.values[0, :, :, 0].tolist() == (-np.array(expected)).tolist()


# The names in files that users have, where an attribute has another.
STORED = {
    "lstm": {"recur_0/of_input/kernel", "recur_0/kernel", "params_of/bias", "start"},
    "gru": {"embedding", "recur_1/of_input/kernel", "recur_0/bias", "params_of/kernel"},
    "transformer": {"embedding", "blocks_0/attention/qkv/kernel", "blocks_1/widen/kernel"},
    "attention_lstm": {"attention/out/kernel", "recur_0/of_input/bias", "params_of/kernel"},
    "wavenet": {"layers_0/gates/kernel", "hidden/kernel", "params_of/kernel", "label/kernel"},
    "pixel_transformer": {"row", "place", "blocks_0/attention/qkv/bias", "params_of/kernel"},
    "row_lstm": {"recur_0/of_input/kernel", "recur_0/kernel", "readout/params_of/kernel"},
    "diagonal_bilstm": {"recur_0/from_left/kernel", "recur_0/from_right/kernel", "recur_1/kernel"},
    "pixel_cnn_pp": {
        "first_ul/scale",
        "finest/down_0/u_1/kernel",
        "finest/up_1/across_1/scale",
        "finest/shrink_ul/bias",
        "finest/below/enlarge_u/kernel",
        "finest/below/scale/down_0/aside/kernel",
    },
    "seq2seq_attention": {"begin/kernel", "read/query", "recur/of_input/kernel", "params_of/bias"},
    "seq2seq": {"begin/bias", "read/to_gates/kernel", "encoder/left/of_input/kernel"},
    "show_attend_tell": {"place", "read/key/kernel", "encoder/Conv_0/kernel"},
}


@pytest.mark.parametrize("name", STORED)
def test_names_of_parameters_stay(name):
    model = zoo.CATALOGUE[name].tiny
    x, context = zoo.example(model, 2)
    params = jax.eval_shape(lambda key: zoo.init(model, key, x, context), jax.random.key(0))
    paths, _ = jax.tree_util.tree_flatten_with_path(params["params"])
    assert STORED[name] <= {"/".join(key.key for key in path) for path, _ in paths}


def test_former_names_of_the_contract():
    for name in ("transformer", "attention_lstm", "made"):
        model = zoo.CATALOGUE[name].tiny
        assert model.prefills == model.has_prefill == (name != "made")
    learned = zoo.Transformer((4,), window=9, positions="learned")
    assert learned.longest == learned.max_length == 9


def test_a_model_without_prefill_has_none():
    class Uniform(zoo.Sequence):
        site_shape: tuple[int, ...] = (4,)
        head: zoo.Head = zoo.Categorical(3)
        ordering: zoo.Ordering = zoo.Ordering()

        def __call__(self, x, memory=None, *, train=False):
            return jnp.zeros((*x.shape, 3))

    class Quick(Uniform):
        def prefill(self, x, memory=None):
            return self(x)

    assert not Uniform().has_prefill and Quick().has_prefill


@pytest.mark.parametrize("hidden", [(1,), (40,), (5, 60, 3)])
@pytest.mark.parametrize("masks_as_input", [False, True])
def test_masked_mlp_steps_as_its_whole_pass(hidden, masks_as_input):
    """For any degrees, unsorted, with ranks that no unit has; the last block is a short one."""
    rng, ordering, num = np.random.RandomState(len(hidden)), zoo.Ordering("random", seed=5), 14
    degrees = tuple(rng.randint(num, size=units) for units in hidden)
    layer = MaskedMLP((num,), zoo.Categorical(3), ordering, degrees, masks_as_input)
    sites, ranks = ordering.sites((num,)), ordering.ranks((num,))
    seen = [jnp.asarray(each) for each in (ranks, *degrees)]
    masks = [below[:, None] <= above[None] for below, above in itertools.pairwise(seen)]
    masks.append((seen[-1][:, None] < seen[0][None])[..., None])
    x = jnp.asarray(rng.randint(3, size=(4, num)))
    features = jax.nn.one_hot(x, 3)
    variables = layer.init(jax.random.key(0), features, masks)
    variables = jax.tree.map(
        lambda leaf: jnp.asarray(rng.uniform(-1, 1, leaf.shape), leaf.dtype), variables
    )
    expected = layer.apply(variables, features, masks)
    biases = layer.apply(variables, masks, method="biases_with")

    @functools.partial(jax.jit, static_argnums=0)
    def ask(method, cache, *arguments):
        return layer.apply({**variables, **cache}, *arguments, method=method, mutable=["cache"])

    cache, known = {}, jnp.zeros_like(x)
    assert num % layer.block
    for t, site in enumerate(sites):
        if t % layer.block == 0:
            cache = ask("enter", cache, known, t, biases)[1]
        params, cache = ask("step", cache, known, t)
        np.testing.assert_allclose(params, expected[:, site], rtol=1e-4, atol=1e-4)
        known = known.at[:, site].set(x[:, site])


def test_a_tpu_keeps_the_batch_of_a_ring_last_in_memory():
    """Its last axis is padded to 128 numbers, which would quadruple keys of 32."""
    ring = jax.ShapeDtypeStruct((128, 8, 32), jnp.float32)
    token = jax.ShapeDtypeStruct((128, 32), jnp.float32)

    def write(keys, values, token):
        return Ring(keys, values).write(token, token, jnp.int32(3))

    traced = jax.jit(write).trace(ring, ring, token)
    texts = {each: traced.lower(lowering_platforms=(each,)).as_text() for each in ("tpu", "cpu")}
    assert texts["tpu"].count("@LayoutConstraint") == 2
    assert "dense<[0, 2, 1]>" in texts["tpu"]  # from the last axis in memory to the first
    assert "LayoutConstraint" not in texts["cpu"]
