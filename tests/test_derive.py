"""Derived steps give what the network gives, whatever the future holds; and where none can be
derived, that is said."""

import functools
import re
import sys
import warnings

import conformance
import flax.linen as nn
import jax
import jax.numpy as jnp
import newcomers
import numpy as np
import pytest
from conformance import AUTOREGRESSIVE, by_rank, variables_of
from marks import slow_but
from newcomers import Image, Newcomer, before

import sample
import zoo
from sample.kinds.kind import engine_name
from zoo.cli import shell
from zoo.core.arrays import variable_shapes
from zoo.core.decoders import encode
from zoo.core.output_bias import fitted_bias
from zoo.derived import comparison, has_derived_prefill, rules
from zoo.derived.comparison import disagreement, examined_for, reads_prompts
from zoo.derived.derivation import Shapes, decoder_of, derivation
from zoo.derived.network import codes, finality, graph
from zoo.derived.network.digest import digest
from zoo.derived.network.windows import NotCausal, Refused, groups
from zoo.derived.work import memory
from zoo.derived.work.prompt import Prompt
from zoo.foundation import compilation_cache, kept_facts

KEY = jax.random.key(0)
# The rest take what these take, or longer.
QUICK = {
    "fvsbn",
    "nade",
    "made",
    "pixel_cnn",
    "lstm",
    "transformer",
    "wavenet",
    "seq2seq_attention",
}
NEW = {
    "Dilated",
    "Attending",
    "Recurring",
    "Masked",
    "UShaped",
    "Scattered",
}
LARGER = {
    "pixel_cnn_colour": zoo.PixelCNN((4, 5, 3), features=6, blocks=1, out_features=6),
    "pixel_cnn_deep": zoo.PixelCNN((4, 5), features=3, blocks=3, out_features=3),
    "gated_colour": zoo.GatedPixelCNN((4, 4, 3), features=6, layers=3, out_features=6),
    "strided": zoo.PixelTransformer((4, 4), features=4, layers=2, heads=2, attention="strided"),
    "pixel_cnn_pp": zoo.PixelCNNpp((9, 6), features=3, blocks=1),
    "chunks": zoo.Transformer((150,), 4, 1, 1, window=20, head=zoo.Categorical(3)),
    "wavenet": zoo.WaveNet((30,), 4, 5, (1, 2, 4), 2, kernel_size=3, head=zoo.Categorical(3)),
    "nade_scrambled": zoo.NADE((5, 7), hidden=4, ordering=zoo.Ordering("random", seed=2)),
    "row_lstm": zoo.RowLSTM((5, 6), features=3, layers=3, out_features=4),
}


def derived(model, variables, batch, context=None):
    found = derivation(model, Shapes.of(variables), Shapes.of(context))
    return decoder_of(found, model, variables, encode(model, variables, context), batch)


def check(model, batch=3):
    """Every derived conditional, with junk at all ranks to come, is that of the network."""
    x, context = (jax.tree.map(jnp.asarray, each) for each in zoo.example(model, batch))
    variables = variables_of(model)
    ranks = model.ordering.ranks(model.site_shape).reshape(
        1, *model.site_shape, *[1] * len(model.head.event_shape)
    )

    @jax.jit
    def steps(variables, x, context):
        decoder = derived(model, variables, batch, context)

        def body(cache, t):
            canvas = jnp.where(ranks < t, x, jnp.asarray(7, x.dtype))
            cache = jax.lax.cond(
                t % decoder.block == 0, lambda c: decoder.enter(c, canvas, t), lambda c: c, cache
            )
            params, cache = decoder.step(cache, canvas, t)
            return cache, params

        return jax.lax.scan(body, decoder.init(), jnp.arange(model.num_sites))[1].swapaxes(0, 1)

    whole = by_rank(model, zoo.conditionals(model, variables, x, context))
    np.testing.assert_allclose(steps(variables, x, context), whole, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("name", slow_but(QUICK, sorted(AUTOREGRESSIVE)))
def test_of_the_catalogue(name):
    check(zoo.entry(name).tiny)


@pytest.mark.parametrize("name", slow_but({"pixel_cnn_deep", "nade_scrambled"}, sorted(LARGER)))
def test_larger_ones(name):
    check(LARGER[name])


@pytest.mark.parametrize(
    "name, products, buffers",
    [("pixel_cnn_deep", [3], [3]), ("row_lstm", [3], [6, 3]), ("wavenet", [10], [2, 2])],
)
def test_layers_that_are_alike_share_operations(name, products, buffers):
    """What their older inputs add is one product, and what they remember one array."""
    model = LARGER[name]
    program = derivation(model, Shapes.of(variables_of(model)), Shapes.of(None)).program
    assert [len(each.ops) for each in dict.fromkeys(program.together.values())] == products
    assert [len(each.buffers) for each in program.shelves] == buffers


def test_what_layers_add_to_a_sum_is_one_product():
    """A layer of WaveNet then computes those features alone that the next one reads."""
    model = LARGER["wavenet"]
    program = derivation(model, Shapes.of(variables_of(model)), Shapes.of(None)).program
    step = [(array.op, window) for _, work in program.work["step"] for array, window, _ in work]
    products = [(op.ins[0].shape, window) for op, window in step if op.name == "dot_general"]
    features = [(shape[-1], window[-1].size) for shape, window in products]
    assert features.count((6 * 4, 5)) == 1  # of the skip outputs of 6 layers
    assert features.count((4, 4)) == 5  # of what 5 layers pass on
    assert not {(4, 5), (4, 9)} & {*features}


@pytest.mark.parametrize("name", slow_but(NEW, sorted(newcomers.MODELS)))
def test_of_newcomers(name):
    check(newcomers.MODELS[name])


PROMPTS = {
    **{name: zoo.entry(name).tiny for name in ("made", "rnade", "seq2seq_attention")},
    "transformer": zoo.Transformer((9,), 4, 2, 1, window=4, head=zoo.Categorical(3)),
    "attention_lstm": zoo.AttentionLSTM((8,), 4, 2, 2, window=5, head=zoo.Categorical(4)),
    "wavenet_16bit": zoo.entry("wavenet_16bit").tiny,
    "wavenet": LARGER["wavenet"],
    "chunks": LARGER["chunks"],
    "nade_scrambled": LARGER["nade_scrambled"],
    "lstm": zoo.LSTM((9,), 3, 2, learned_start=True, separator=1, head=zoo.Categorical(4)),
    **{name: newcomers.MODELS[name] for name in ("Dilated", "Attending", "Recurring")},
    **{name: newcomers.MODELS[name] for name in ("Masked", "RowConvLSTM", "FromTheRight")},
    **{name: LARGER[name] for name in ("gated_colour", "pixel_cnn_pp", "row_lstm")},
    "diagonal_bilstm": zoo.DiagonalBiLSTM((4, 5), features=2, layers=2, out_features=3),
}


@pytest.mark.parametrize("name", slow_but({"lstm"}, sorted(PROMPTS)))
def test_prompts_in_one_pass(name):
    """Their params are those of the network, and so are those of the steps that follow."""
    model = PROMPTS[name]
    context = jax.tree.map(lambda leaf: leaf[:1], zoo.example(model, 2)[1])
    shapes = Shapes.of(variables_of(model)), Shapes.of(context)
    found = derivation(model, *shapes)
    for number in {1, model.num_sites // 2 + 1, model.num_sites - 1}:
        assert disagreement(found, model, *shapes, number) is None


LOOPS = {
    **{name: PROMPTS[name] for name in ("lstm", "Recurring", "seq2seq_attention")},
    **{name: zoo.entry(name).tiny for name in ("gru", "nade", "rnade")},
    "row_lstm": LARGER["row_lstm"],
}


@pytest.mark.parametrize("name", LOOPS)
def test_iterations_alike_are_not_gone_through(name, monkeypatch):
    """What is known when in a loop is the same, whether or not all iterations are gone through."""
    model = LOOPS[name]
    context = jax.tree.map(lambda leaf: leaf[:1], zoo.example(model, 2)[1])
    shapes = Shapes.of(variables_of(model)), Shapes.of(context)

    def codes():
        return [each.code for op in derivation(model, *shapes).ops for each in op.outs]

    quick = codes()
    monkeypatch.setattr("zoo.derived.network.finality._growth", lambda *_: None)
    for one, other in zip(quick, codes(), strict=True):
        assert one.shape == other.shape and (one == other).all()


def test_long_loops_are_followed_soon(monkeypatch):
    """A few of a thousand iterations are gone through."""
    went = []
    run = finality._run
    monkeypatch.setattr(finality, "_run", lambda *each: (went.append(1), run(*each)))
    model = zoo.LSTM((1000,), 3, 2, head=zoo.Categorical(4))
    derivation(model, Shapes.of(variables_of(model)), Shapes.of(None))
    assert len(went) < 20


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "known"),
    [
        (newcomers.Recurring(site_shape=(50,)), 40),
        (newcomers.Masked(site_shape=(9, 8)), 5),  # rows
        (newcomers.FromTheRight(site_shape=(9, 8)), 5),
    ],
)
def test_draws_go_on_after_a_prompt_in_one_pass(model, known, monkeypatch):
    """The same draws as rank by rank, from one prompt for all and from one for each."""
    variables = zoo.init(model, KEY, np.zeros((1, *model.site_shape), np.int32))
    drawn, read, run = sample.draw(model, variables, KEY, 3), [], Prompt.run
    monkeypatch.setattr(Prompt, "run", lambda self: read.append(self.n) or run(self))
    for prefix in (drawn.x[0, :known], drawn.x[:, :known]):
        again, slow = (
            sample.draw(model, variables, KEY, 3, prefix=prefix, engine=engine)
            for engine in ("cached", "recompute")
        )
        assert (again.x == slow.x).all()
        np.testing.assert_allclose(again.log_prob, slow.log_prob, rtol=1e-4)
    assert 32 in read


def test_prompts_are_read_by_steps_where_the_check_finds_a_fault(monkeypatch):
    model = zoo.WaveNet((6,), 3, 3, (1, 1), 1, head=zoo.Categorical(3))
    variables, x = variables_of(model), np.ones((2, 6), np.int32)
    monkeypatch.setattr(Prompt, "_held", lambda self, buffer: None)
    reads_prompts.cache_clear()
    assert not has_derived_prefill(model, variables)
    decoder = zoo.derive(model, variables, 2)
    params, _ = decoder.prefill(decoder.init(), x[:, :4])
    whole = zoo.conditionals(model, variables, x)[:, :4]
    np.testing.assert_allclose(params, whole, rtol=1e-4, atol=1e-5)
    reads_prompts.cache_clear()


def test_long_sequences_are_checked_at_a_shorter_length(monkeypatch):
    """Where the weights and what is remembered are those of the shorter model; otherwise whole."""
    seen = []
    monkeypatch.setattr(
        comparison, "_difference", lambda found, model, *_: seen.append(model.site_shape)
    )
    for model in (
        zoo.LSTM((5000,), 2, 1, head=zoo.Categorical(3)),
        zoo.LSTM((9000,), 2, 1, head=zoo.Categorical(3)),
        zoo.WaveNet((5000,), 2, 2, (1, 300), 1, head=zoo.Categorical(3)),
        zoo.FVSBN((2100,)),
    ):
        assert not isinstance(examined_for(model, variables_of(model), None), Refused)
    assert seen == [(1024,), (1204,), (2100,)]


def test_axes_of_equal_length_are_told_apart():
    """Height, width, batch and channels alike."""
    check(zoo.PixelCNN((6, 6), features=6, blocks=1, out_features=6), batch=6)


class Network(Newcomer):
    """A network of one function, by its name."""

    name_of: str = ""

    @nn.compact
    def __call__(self, x, memory=None, *, train=False):
        h = nn.Dense(6)(before(x, 5))
        return nn.Dense(5)(FUNCTIONS[self.name_of](self, h))


def _reversed_twice(self, h):
    return jnp.flip(nn.Conv(6, (2,), padding=((0, 1),))(jnp.flip(h, 1)), 1)


def _interleaved(self, h):
    pairs = h.reshape(len(h), 6, 2, 6)
    firsts = jnp.repeat(pairs[:, :, :1], 2, axis=2).reshape(h.shape)
    return h + firsts


def _downsampled(self, h):
    coarse = jnp.pad(h[:, 1::3], ((0, 0), (1, 0), (0, 0)))[:, :-1]
    return h + jnp.repeat(coarse, 3, axis=1)


def _loop_over_layers(self, h):
    kernels = self.param("kernels", nn.initializers.normal(0.3), (3, 6, 6))
    return jax.lax.scan(lambda h, kernel: (jnp.tanh(h @ kernel), None), h, kernels)[0]


def _backwards_loop(self, h):
    flipped = jnp.flip(h, 1).swapaxes(0, 1)
    out = jax.lax.scan(
        lambda c, x: (jnp.tanh(c + x), c), jnp.zeros_like(flipped[0]), flipped, reverse=True
    )[1]
    return jnp.flip(out.swapaxes(0, 1), 1)


def _loop_in_a_loop(self, h):
    def outer(c, x):
        inner = jax.lax.scan(lambda d, i: (jnp.sin(d + i * x), d), c, jnp.arange(3, dtype=h.dtype))
        return inner[0], inner[1].sum(0)

    return jax.lax.scan(outer, jnp.zeros_like(h[:, 0]), h.swapaxes(0, 1))[1].swapaxes(0, 1)


def _indexed_loop(self, h):
    def body(state, t):
        return jnp.tanh(state + jax.lax.dynamic_index_in_dim(h, t, 1, keepdims=False)), state

    return jax.lax.scan(body, jnp.zeros_like(h[:, 0]), jnp.arange(12))[1].swapaxes(0, 1)


def _scaled_once_masked(self, h):
    scores = jnp.where(np.tri(12, dtype=bool), h @ h.swapaxes(1, 2), -1e9) / np.sqrt(6.0)
    return jax.nn.softmax(scores * 1.5) @ h


def _transposed_conv(self, h):
    coarse = jnp.pad(h[:, 1::2], ((0, 0), (1, 0), (0, 0)))[:, :-1]
    return h + nn.ConvTranspose(6, (2,), strides=(2,))(coarse)


def _by_products(self, h):
    return jnp.exp(-jax.lax.cumlogsumexp(h, 1)) + jax.lax.cummax(h, 1) + jnp.cumprod(jnp.tanh(h), 1)


def _picked(self, h):
    return h[:, np.array([0, 0, 1, 0, 3, 2, 5, 5, 4, 8, 9, 7])]


FUNCTIONS = {
    "reversed": _reversed_twice,
    "interleaved": _interleaved,
    "downsampled": _downsampled,
    "loop over layers": _loop_over_layers,
    "backwards loop": _backwards_loop,
    "loop in a loop": _loop_in_a_loop,
    "indexed loop": _indexed_loop,
    "scaled once masked": _scaled_once_masked,
    "transposed conv": _transposed_conv,
    "products": _by_products,
    "picked": _picked,
    "sorted": lambda self, h: jnp.sort(h, -1) + jnp.argmax(h, -1)[..., None].astype(h.dtype),
    "grouped conv": lambda self, h: nn.Conv(6, (3,), padding="CAUSAL", feature_group_count=2)(h),
    "cond": lambda self, h: jax.lax.cond(self.num_sites > 5, jnp.sin, jnp.cos, h),
    "rolled": lambda self, h: jnp.roll(h, 2, 1).at[:, :2].set(0.5),
    "tiled": lambda self, h: (
        jnp.tile(h, (1, 1, 2)) * jnp.stack([h, -h], -1).reshape(*h.shape[:2], -1)
    ),
    "normalised": lambda self, h: jax.nn.log_softmax(h) * jax.nn.standardize(h) + nn.gelu(h),
}


def _named(names):
    return [getattr(jax.lax, name) for name in names.split()]


OF_ONE = _named(
    """neg sin tan tanh sinh asin atan asinh sqrt cbrt abs sign floor ceil round expm1 log1p erf
    erf_inv square exp2 log cos cosh acos atanh rsqrt digamma lgamma erfc exp logistic"""
)
OF_TWO = _named("pow atan2 rem igamma igammac add sub mul max min div nextafter")
COMPARED = _named("eq ne lt le gt ge")
OF_BITS = _named(
    "bitwise_and bitwise_or bitwise_xor shift_left shift_right_logical shift_right_arithmetic"
)


def _every_elementwise(h):
    """The sum of all that is computed entry by entry, of values in (0, 1)."""
    lax, other, whole = jax.lax, h * 0.5 + 0.3, (h * 10).astype(jnp.int32)
    parts = [f(h) for f in OF_ONE] + [f(h, other) for f in OF_TWO]
    parts += [f(h, other) for f in COMPARED] + [f(whole, whole % 2) for f in OF_BITS]
    parts += [lax.acosh(h + 1), lax.integer_pow(h, 3), lax.clamp(0.3, h, 0.5), lax.is_finite(h)]
    parts += [lax.population_count(whole), lax.bitwise_not(whole), lax.betainc(h, other, h)]
    parts += [lax.real(lax.complex(h, other)), lax.imag(lax.complex(h, other)), jnp.copy(h)]
    parts += [lax.polygamma(1.0 + 0 * h, h), lax.zeta(h + 1.5, h), lax.clz(whole)]
    parts += [lax.bessel_i0e(h), lax.bessel_i1e(h), lax.conj(lax.complex(h, other)).imag]
    parts += [lax.reduce_precision(h, 8, 10), jnp.where(h > 0.5, h, other), lax.stop_gradient(h)]
    return sum(part.astype(h.dtype) for part in parts)


def _every_other(h):
    """What reduces, sorts, pools and turns features, [batch, sites, features] -> [..., 1]."""
    lax, bits = jax.lax, h > 0.5
    parts = [h.sum(-1), h.max(-1), h.min(-1), h.prod(-1), bits.all(-1), bits.any(-1)]
    parts += [h.argmax(-1), h.argmin(-1), lax.top_k(h, 2)[0].sum(-1), jnp.sort(h, -1)[..., 0]]
    parts += [lax.reduce_xor((h * 10).astype(jnp.int32), (2,)), lax.rev(h, (2,))[..., 0]]
    sums = (lax.cumsum, lax.cumprod, lax.cummax, lax.cummin, lax.cumlogsumexp)
    parts += [each(h, axis)[..., -1] for each in sums for axis in (1, 2)]
    parts += [
        lax.reduce_window(h, init, each, (1, 3, 1), (1, 1, 1), ((0, 0), (2, 0), (0, 0))).sum(-1)
        for init, each in ((0.0, lax.add), (-jnp.inf, lax.max), (jnp.inf, lax.min))
    ]
    parts += [
        jnp.split(h, [2], -1)[1].sum(-1),
        jnp.zeros_like(h).at[:, :, 1].add(h[..., 0])[..., 1],
    ]
    parts += [lax.dynamic_update_slice(h, h[..., :1] * 2, (0, 0, 2)).sum(-1)]
    parts += [jnp.concatenate([h[..., :1], h[..., 2:]], -1).swapaxes(1, 2).sum(1)]
    parts += [h.at[:, :, 0].set(1).sum(-1)]
    parts += [lax.dynamic_slice_in_dim(h, 1, 2, 2).sum(-1), h[..., np.array([3, 1])].sum(-1)]
    return sum(part.astype(h.dtype) for part in parts)[..., None]


class Everything(Newcomer):
    """Every operation that a rule follows."""

    @nn.compact
    def __call__(self, x, memory=None, *, train=False):
        h = before(x, 5) * 0.5 + 0.2
        h = nn.Conv(5, (2,), padding="CAUSAL")(_every_elementwise(h)) + _every_other(h)
        return nn.Dense(5)(jnp.squeeze(jnp.expand_dims(h, 1), 1) / 50)


@pytest.mark.slow
def test_every_operation_gives_what_the_network_gives():
    check(Everything(), batch=2)


def test_every_operation_that_a_rule_follows():
    """The network above has them all, is followed, and computes none whole at every rank; names of
    other releases of jax, and of what only a gradient has, aside."""
    variables, x = variables_of(Everything()), jax.ShapeDtypeStruct((1, 12), jnp.int32)
    plan = derivation(Everything(), Shapes.of(variables), Shapes.of(None)).program.plan
    assert not plan.notes
    ops, *_ = graph.trace(functools.partial(Everything().apply, variables), x)
    unseen = set(rules.RULES) - rules.LINKS - {op.name for op in ops}
    assert unseen <= {"add_any", "copy", "copy_p", "stop_gradient", "scatter-add", "scatter_add"}


ZERO, LOW = codes.ZERO, codes.LOW


@pytest.mark.parametrize(
    ("name", "given", "wanted"),
    [
        ("cumsum", [ZERO, ZERO, 3, 5, 2], [ZERO, ZERO, 3, 5, 5]),
        ("cumsum", [ZERO, LOW, 3], [ZERO, LOW, LOW]),
        ("cumlogsumexp", [LOW, ZERO, 3], [LOW, 0, 3]),
        ("cumlogsumexp", [ZERO, ZERO], [0, 0]),  # log 2
        ("cummax", [LOW, ZERO, 3, LOW], [LOW, ZERO, 3, 3]),
        ("cumprod", [ZERO, ZERO, 3], [ZERO, ZERO, 3]),
        ("cumprod", [LOW, LOW], [0, 0]),  # large
        ("reduce_sum", [ZERO, LOW], LOW),
        ("reduce_sum", [ZERO, ZERO], ZERO),
        ("reduce_sum", [LOW, 3], 3),
    ],
)
def test_zeros_and_masked_scores_in_sums(name, given, wanted):
    """What a sum of exact zeros and masked scores is; a code that says too much hides dependences."""
    params, code = {"axis": 0, "axes": (0,), "reverse": False}, np.array(given, np.int32)
    found = codes.RULES[name](params, [codes.Coded(code, code.shape, None)], [], None)
    assert np.array_equal(found, wanted)


TRUE = codes.TRUE


@pytest.mark.parametrize(
    ("name", "bools", "wanted"),
    [
        ("and", [[TRUE, TRUE, ZERO, 3, 3], [TRUE, ZERO, 5, TRUE, 5]], [TRUE, ZERO, ZERO, 3, 5]),
        ("or", [[TRUE, ZERO, ZERO, 3, 3], [5, ZERO, 5, TRUE, 5]], [TRUE, ZERO, 5, TRUE, 5]),
        ("not", [[TRUE, ZERO, 3]], [ZERO, TRUE, 3]),
        ("eq", [[ZERO, ZERO, 3], [ZERO, 0, 5]], [TRUE, 0, 5]),
        ("gt", [[ZERO, ZERO, 3], [ZERO, 0, 5]], [ZERO, 0, 5]),
        ("select_n", [[ZERO, TRUE, 3], [LOW, 4, LOW], [5, LOW, 7]], [LOW, LOW, 7]),
        ("convert_element_type", [[TRUE, ZERO, 3]], [0, ZERO, 3]),
        ("mul", [[TRUE, ZERO], [TRUE, 5]], [0, ZERO]),
    ],
)
def test_masks_that_depend_on_what_is_drawn(name, bools, wanted):
    """Where a constant mask says so, they are true or false whatever is drawn."""
    given = [np.array(each, np.int32) for each in bools]
    ins = [codes.Coded(each, each.shape, None, True) for each in given]
    found = codes.of(name, {"new_dtype": np.dtype("float32")}, ins, [given[0]], list)
    assert np.array_equal(found[0], wanted)


@pytest.mark.parametrize("name", ["Documents", "Edges"])
def test_newcomers_are_followed(name):
    """To the end: nothing is computed whole at every rank."""
    model = newcomers.MODELS[name]
    shapes = Shapes.of(variable_shapes(model, None)), Shapes.of(None)
    plan = derivation(model, *shapes).program.plan
    assert not plan.notes and plan.work()[0] < 0.1


def test_joined_to_no_causal_mask_they_are_no_masks():
    class Peeking(Newcomer):
        @nn.compact
        def __call__(self, x, memory=None, *, train=False):
            h = before(x, 5)
            seen = np.tri(12, dtype=bool)[None] | (h[..., 0] > 0)[:, None]
            return nn.softmax(jnp.where(seen, h @ h.swapaxes(1, 2), -jnp.inf)) @ nn.Dense(5)(h)

    with pytest.raises(NotCausal, match="the params at rank 0 depend on the value at rank 10"):
        derivation(Peeking(), Shapes.of(variable_shapes(Peeking(), None)), Shapes.of(None))


@pytest.mark.slow
def test_a_layer_whose_weights_have_names_with_slashes(tmp_path):
    """That of linen's weight normalisation is set up, fitted, written and read."""

    @zoo.register
    class Normalised(newcomers.Edges):
        pass

    x = np.zeros((2, 12), np.int32)
    variables = zoo.init(Normalised(), KEY, x)
    fitted = fitted_bias(variables, "Dense_0/bias", Normalised().head, x)
    zoo.save(tmp_path / "model", Normalised(), fitted)
    model, read = zoo.load(tmp_path / "model")
    assert (zoo.log_prob(model, read, x) == zoo.log_prob(Normalised(), fitted, x)).all()


class Loops(Newcomer):
    """A loop without a rule, over the first tokens; what follows reads its result."""

    @nn.compact
    def __call__(self, x, memory=None, *, train=False):
        h = nn.Dense(4)(before(x, 5))
        turn = lambda c: (c[0] + 1, jnp.tanh(c[1]) + 0.1)  # noqa: E731
        first = jax.lax.while_loop(lambda c: c[0] < 3, turn, (0, h[:, :3]))[1]
        seen = (jnp.arange(12) > 3)[:, None]
        return nn.Dense(5)(h + jnp.where(seen, first.sum(1, keepdims=True), 0))


def test_an_operation_without_a_rule_is_computed_whole():
    """Where the network is causal all the same; `explain` says so."""
    check(Loops())
    said = zoo.explain(Loops())
    assert re.search(r"while .* whole, for no rule follows it +\(tests/test_derive.py:\d+\)", said)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_of_one_function(name):
    check(Network(name_of=name))


def test_masks_count_and_trained_values_do_not():
    """A weight that happens to be 0 hides no dependence."""

    class Peeking(Newcomer):
        @nn.compact
        def __call__(self, x, memory=None, *, train=False):
            h = nn.Dense(6)(before(x, 5))
            peek = self.param("peek", nn.initializers.zeros, ()) * jnp.roll(
                jax.nn.one_hot(x, 5), -1, 1
            )
            return nn.Dense(5)(h) + peek

    model = Peeking()
    variables = zoo.init(model, KEY, np.zeros((1, 12), np.int32))
    with pytest.raises(
        ValueError,
        match=r"Peeking: .* params at rank 0 depend on the value at rank \d+; .*rank. "
        r"Its nats may be no likelihood; run sample.testing.check\(model\).$",
    ):
        zoo.derive(model, variables, 2, strict=True)


def test_where_none_can_be_derived_the_network_is_recomputed_and_one_warning_says_why():
    model = newcomers.FromTheRight()
    variables = variables_of(model)
    with pytest.raises(
        ValueError,
        match=r"FromTheRight: what its recurrence carries .*\(scan, tests/newcomers.py:\d+\); "
        r"sampling recomputes .* see docs/derived_samplers.md",
    ):
        zoo.derive(model, variables, 2, strict=True)
    with pytest.warns(UserWarning, match="sampling recomputes the network at every rank"):
        drawn = sample.draw(model, variables, KEY, 5, engine="derived")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        zoo.derive(model, variables, 2)
    assert (drawn.x == sample.draw(model, variables, KEY, 5).x).all()
    assert "recomputes" in zoo.explain(model)


def test_a_wrong_step_is_found(monkeypatch):
    """A rule that reads the wrong place is caught by the comparison with the network, and never
    used."""
    rules = sys.modules["zoo.derived.rules"]
    right = rules.RULES["pad"]

    def wrong(op, k, window, times):
        needs, compute = right(op, k, window, times)
        return (
            needs,
            lambda run, *each: (
                1.01 * compute(run, *each)
                if op.outs[0].dtype == jnp.float32
                else compute(run, *each)
            ),
        )

    monkeypatch.setitem(rules.RULES, "pad", wrong)
    model = zoo.WaveNet((6,), 3, 3, (1,), 1, head=zoo.Categorical(3))
    with pytest.raises(ValueError, match="differ from those of __call__"):
        zoo.derive(model, variables_of(model), 2, strict=True)


def _short_ring(monkeypatch):
    right = memory._ring

    def short(*arguments):
        axis, slots = right(*arguments)
        return axis, max(1, slots - 1) if axis >= 0 else slots

    monkeypatch.setattr(memory, "_ring", short)


def _final_too_early(monkeypatch):
    right = finality.propagate

    def by_a_row(ops, canvas, inputs, code):
        right(ops, canvas, inputs, np.maximum(code - 5, 0))

    monkeypatch.setattr(finality, "propagate", by_a_row)


def _final_a_rank_too_early(monkeypatch):
    right = finality.propagate

    def by_a_rank(ops, canvas, inputs, code):
        right(ops, canvas, inputs, np.maximum(code - 1, 0))

    monkeypatch.setattr(finality, "propagate", by_a_rank)


def _products_of_nothing(monkeypatch):
    nothing = lambda params, ins, outs, fn: np.zeros((1,) * len(outs[0].shape), np.int32)  # noqa: E731
    monkeypatch.setitem(codes.RULES, "dot_general", nothing)


def _masks_dropped(monkeypatch):
    all_count = lambda params, ins, outs, fn: codes.ordinary(*(each.code for each in ins))  # noqa: E731
    monkeypatch.setitem(codes.RULES, "mul", all_count)
    monkeypatch.setitem(codes.RULES, "select_n", all_count)


DILATED = zoo.WaveNet((12,), 3, 3, (1, 2), 1, head=zoo.Categorical(3))
SEEN = zoo.Transformer((6,), 4, 1, 1, head=zoo.Categorical(3))  # keys are read once final
MUTANTS = {
    "short ring": (_short_ring, DILATED, "differ from those of __call__"),
    "final too early": (_final_too_early, newcomers.MODELS["Masked"], "differ from those of"),
    "final a rank too early": (_final_a_rank_too_early, SEEN, "differ from those of"),
    "products of nothing": (_products_of_nothing, newcomers.MODELS["Mixer"], "differ from those"),
    "masks dropped": (_masks_dropped, newcomers.MODELS["Mixer"], "depend on the value at rank"),
}


@pytest.mark.parametrize(
    "name", slow_but({"short ring", "final a rank too early", "masks dropped"}, MUTANTS)
)
def test_a_wrong_plan_is_never_used(name, monkeypatch):
    """A ring without room, values taken for known too early, dependences or masks overlooked."""
    mutate, model, why = MUTANTS[name]
    mutate(monkeypatch)
    found = comparison._examined(model, Shapes.of(variables_of(model)), Shapes.of(None))
    assert isinstance(found, Refused) and why in str(found), found


def test_a_comparison_is_kept_for_the_next_command(monkeypatch, tmp_path):
    """By a digest of network, shapes, source and versions; whatever else a file holds is ignored."""
    compared, said = [], [None]

    def disagreement(found, model, *rest):
        compared.append(model)
        return said[0]

    def count(model):
        compared.clear()
        return comparison._examined(model, Shapes.of(variables_of(model)), Shapes.of(None)), len(
            compared
        )

    small = zoo.FVSBN((2, 3))

    def number(model=small):
        return count(model)[1]

    monkeypatch.setattr(comparison, "disagreement", disagreement)
    assert [number(), number()] == [1, 1] and not list(tmp_path.iterdir())  # no command
    monkeypatch.setattr(compilation_cache, "_kept_in", [tmp_path])
    said[0] = "they differ"
    assert isinstance(count(small)[0], Refused) and not list(tmp_path.rglob("*/*"))
    said[0] = None
    assert [number(), number()] == [1, 0]
    for other in (zoo.FVSBN((3, 2)), small.clone(ordering=zoo.Ordering("snake"))):
        assert number(other) == 1
    (kept, *_) = sorted(tmp_path.rglob("*/*"), key=lambda each: each.stat().st_mtime)
    for damaged in (b"", kept.read_bytes()[:-3], b"derived steps agree with __call__"):
        kept.write_bytes(damaged)
        assert [number(), number()] == [1, 0]
    monkeypatch.setattr(comparison, "_source", lambda: "another")
    assert [number(), number()] == [1, 0]
    monkeypatch.setattr(
        kept_facts, "write_whole", lambda *_: (_ for _ in ()).throw(OSError("full"))
    )
    monkeypatch.setattr(comparison, "_source", lambda: "a third")
    assert [number(), number()] == [1, 1]


def test_digests_tell_constants_apart():
    """Also those within loops and calls; gradients and the names of functions do not count."""

    def network(mask, loop=3):
        @jax.custom_vjp
        def wave(x):
            return jnp.sin(x * mask)

        wave.defvjp(lambda x: (wave(x), x), lambda x, t: (t,))
        return jax.make_jaxpr(
            lambda x: jax.lax.scan(lambda c, _: (wave(c), None), x, None, length=loop)[0]
        )(np.ones(3, np.float32))

    masks = [np.array(each, np.float32) for each in ([1, 0, 1], [1, 0, 1], [1, 1, 0])]
    first, again, other = (digest(network(mask)) for mask in masks)
    assert first == again and first is not None
    assert len({first, other, digest(network(masks[0], 4))}) == 3
    assert digest(lambda x: x) is None


def test_the_suite_finds_a_wrong_plan(monkeypatch):
    """Even if the check before its use were not there."""
    _short_ring(monkeypatch)
    monkeypatch.setattr(comparison, "disagreement", lambda *arguments: None)
    model = DILATED.clone(features=4)
    with pytest.raises(AssertionError, match="the derived step differs at rank"):
        conformance.check_derived(zoo.Entry(model, model))


def test_the_suite_says_when_it_compared_recomputing():
    """A check of a derived step does not pass in silence where there is none."""
    for model in (Plain(site_shape=(3,), name_of="weights"), Spectral((3,))):
        remark = conformance.check_step(zoo.Entry(model, model))
        assert (remark is None) == isinstance(model, Plain), remark
    assert re.match(
        r"no step could be derived, and recomputing was compared instead: .*fft", remark
    )


class Spectral(Newcomer):
    """Params that read no other site, by way of Fourier transforms, which no rule follows."""

    @nn.compact
    def __call__(self, x, memory=None, *, train=False):
        weights = self.param("weights", nn.initializers.normal(), (*self.site_shape, 5))
        nothing = jnp.minimum(jnp.abs(jnp.fft.fft(x.astype(jnp.complex64))), 0.0)  # of no power
        return weights[None] + nothing[..., None]


def test_an_operation_that_no_rule_follows_is_named():
    """A convolution by Fourier transforms is causal, but no operation shows it."""

    class Fourier(Newcomer):
        @nn.compact
        def __call__(self, x, memory=None, *, train=False):
            h = nn.Dense(4)(before(x, 5))
            kernel = self.param("kernel", nn.initializers.normal(0.3), (12, 4))
            both = jnp.fft.rfft(h, 24, axis=1) * jnp.fft.rfft(kernel, 24, axis=0)[None]
            return nn.Dense(5)(jnp.fft.irfft(both, 24, axis=1)[:, :12])

    with pytest.raises(
        ValueError,
        match=r"^Fourier: fft is not understood; were it .* \(fft, tests/test_derive.py:\d+\); "
        r"sampling recomputes .* Write step, or see docs/derived_samplers.md.$",
    ):
        zoo.derive(Fourier(), variables_of(Fourier()), 2, strict=True)


def test_a_mask_too_large_to_look_at_is_named(monkeypatch):
    monkeypatch.setattr(sys.modules["zoo.derived.network.values"], "LARGEST", 800)
    model = newcomers.Mixer()  # with masks of 30 x 30
    variables = jax.eval_shape(model.init, KEY, jnp.zeros((1, 6, 5), jnp.int32))
    with pytest.raises(
        Refused, match=r"a constant of shape \(30, 30\) is too large .*newcomers.py"
    ):
        derivation(model, Shapes.of(variables), Shapes.of(None))


def test_masks_that_are_compared_count_however_large(monkeypatch):
    """Those of a MADE between two wide layers, for example."""
    model = zoo.MADE((5, 5), hidden=(40, 40))
    shapes = Shapes.of(variable_shapes(model, None)), Shapes.of(None)

    def codes():
        arrays = [each for op in derivation(model, *shapes).ops for each in op.outs]
        return [np.broadcast_to(each.code, each.shape) for each in arrays if each.live]

    found = codes()
    monkeypatch.setattr(sys.modules["zoo.derived.network.values"], "LARGEST", 1000)
    assert all(np.array_equal(*each) for each in zip(found, codes(), strict=True))


def test_units_in_no_order_are_refused():
    """Units known one by one in no order along their axis: nothing would be gained."""

    class Scrambled(Newcomer):
        site_shape: tuple[int, ...] = (24,)

        @nn.compact
        def __call__(self, x, memory=None, *, train=False):
            h = jax.nn.one_hot(x, 5).reshape(len(x), -1)
            degrees = np.random.RandomState(0).randint(1, 24, 200)
            seen = (np.repeat(np.arange(24), 5)[:, None] < degrees).astype(np.float32)
            units = nn.relu(h @ (self.param("in", nn.initializers.normal(0.3), seen.shape) * seen))
            after = (np.repeat(np.arange(24), 5)[None] >= degrees[:, None]).astype(np.float32)
            return (
                units @ (self.param("out", nn.initializers.normal(0.3), after.shape) * after)
            ).reshape(len(x), 24, 5)

    model = Scrambled()
    variables = zoo.init(model, KEY, np.zeros((1, 24), np.int32))
    with pytest.raises(
        ValueError,
        match=r"Scrambled: its units become known in no order .*dot_general, .*test_derive.py:\d+",
    ):
        zoo.derive(model, variables, 2, strict=True)


WINDOWED = {
    "one chunk of queries": zoo.Transformer((100,), 4, 1, 1, window=20, head=zoo.Categorical(3)),
    "two chunks": zoo.Transformer((150,), 4, 2, 1, window=20, head=zoo.Categorical(3)),
    "many chunks": zoo.Transformer((500,), 4, 1, 2, window=150, head=zoo.Categorical(3)),
    "no window": zoo.Transformer((150,), 4, 1, 1, window=150, head=zoo.Categorical(3)),
    "attention_lstm": zoo.AttentionLSTM((40,), 4, 1, 1, window=7, head=zoo.Categorical(3)),
    "dilated": zoo.WaveNet((200,), 4, 4, (1, 2, 4, 8), 1, head=zoo.Categorical(3)),
    "states": zoo.LSTM((40,), 4, 1, head=zoo.Categorical(3)),
    "rows above": zoo.PixelCNN((9, 6), 4, 1, out_features=4),
    "a stack of rows": zoo.GatedPixelCNN((9, 6), 4, 1, out_features=4),
}
# Of models that have no step of their own: what one by hand remembered.
BYTES = {"dilated": 4 * 4 * (2 + 3 + 5 + 9), "states": 2 * 4 * 4, "a stack of rows": 960}


@pytest.mark.parametrize("name", WINDOWED)
def test_memory_is_that_of_a_step_by_hand(name):
    """Rings for dilations, windows of attention and rows: no more than what a step reads."""
    model = WINDOWED[name]
    cache = jax.eval_shape(zoo.decoder(model, variables_of(model), 1).init)
    by_hand = BYTES.get(
        name, sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(cache))
    )
    found = derivation(model, Shapes.of(variables_of(model)), Shapes.of(None))
    assert sum(each.bytes for each in found.program.buffers.values()) <= by_hand


@pytest.mark.slow
@pytest.mark.parametrize("name", ["one chunk of queries", "many chunks", "attention_lstm"])
def test_steps_write_into_the_ring_in_place(name):
    """No step copies the keys and values of a window."""
    model = WINDOWED[name]
    decoder = zoo.derive(model, variables_of(model), 3)
    x = jnp.zeros((3, *model.site_shape), jnp.int32)

    def draw(cache, x):
        def visit(t, carry):
            params, cache = decoder.step(*carry, t)
            return cache, carry[1].at[:, t].set(jnp.argmax(params, axis=-1).astype(jnp.int32))

        return jax.lax.fori_loop(0, model.num_sites, visit, (cache, x))

    text = jax.jit(draw).lower(decoder.init(), x).compile().as_text()
    loop = [part for part in text.split("\n\n") if not part.lstrip().startswith("ENTRY")]
    rings = {
        f"f32[{','.join(map(str, each.shape))}]"
        for each in decoder.init()
        if each.size >= 3 * 4 * 7
    }
    assert rings and all(ring in text for ring in rings)
    lines = [line for part in loop for line in part.splitlines() if " copy(" in line]
    assert not [line for line in lines if any(f"= {ring}" in line for ring in rings)]


def test_models_without_a_step_are_drawn_by_a_derived_one(monkeypatch):
    """By every sampler: draws, prefixes and several devices; none of them runs the whole network at
    every rank."""
    model = newcomers.Dilated()
    variables = zoo.init(model, KEY, np.zeros((1, 12), np.int32))
    oracle = sample.draw(model, variables, KEY, 9, engine="recompute")
    monkeypatch.setattr(sys.modules["zoo.core.decoders"], "site_params", None)
    drawn = sample.draw(model, variables, KEY, 9)
    assert (drawn.x == oracle.x).all() and drawn.x.std() > 0
    np.testing.assert_allclose(drawn.log_prob, zoo.log_prob(model, variables, drawn.x), rtol=1e-4)
    again = sample.draw(model, variables, KEY, 9, prefix=oracle.x[0, :5])
    assert (np.asarray(again.x)[:, :5] == np.asarray(oracle.x)[0, :5]).all()


def test_beam_search_by_a_derived_step():
    model = zoo.entry("seq2seq_attention").tiny
    context = zoo.example(model, 3)[1]
    found, again = (
        sample.search(model, variables_of(model), context, beam=3, engine=engine)
        for engine in ("cached", "derived")
    )
    assert (found.x == again.x).all()
    np.testing.assert_allclose(found.log_prob, again.log_prob, rtol=1e-4)


def test_the_benchmark_compares_all_engines(capsys):
    from benchmarks import derived as bench

    options = bench.Options(repeats=1)
    rows = list(bench.rows("fvsbn", zoo.FVSBN((2, 2)), 2, options))
    assert [row.engine for row in rows] == ["hand", "derived", "recompute"]
    assert all(row.same == 2 and row.run > 0 for row in rows) and rows[1].plan > 0
    assert str(rows[1]).startswith("| fvsbn | 2 | derived |") and not capsys.readouterr().out


def test_explain():
    said = zoo.explain(newcomers.Masked())
    assert (
        "rows of 5" in said
        and "Once a row (enter)" in said
        and "newcomers.py" in said
        and "bytes an example" in said
    )
    assert zoo.explain(zoo.WaveNet((8,), 4, 4, (1, 2), 1, head=zoo.Categorical(3))).startswith(
        "WaveNet: 8 ranks, one by one."
    )


def test_groups():
    """Axes of a reshape fall into the smallest groups of equal products."""
    assert groups((2, 3, 4), (6, 4)) == [([0, 1], [0]), ([2], [1])]
    assert groups((1, 12), (3, 4, 1)) == [([0, 1], [0, 1]), ([], [2])]
    assert groups((4, 1, 5), (4, 5)) == [([0], [0]), ([1, 2], [1])]
    assert groups((), (1, 1)) == [([], [0]), ([], [1])]


def test_refusals_name_their_reason():
    model = functools.partial(Image)()
    with pytest.raises(NotImplementedError, match="must define __call__"):
        derivation(model, Shapes.of({}), Shapes.of(None))
    assert issubclass(Refused, Exception)


class Plain(Newcomer):
    """Params that read no value, or few of them; `name_of` says which."""

    name_of: str = ""

    @nn.compact
    def __call__(self, x, memory=None, *, train=False):
        shape = (*self.site_shape, self.head.num_params)
        weights = self.param("weights", nn.initializers.normal(), shape)
        return WITHOUT_X[self.name_of](self, x, weights)


def _on_some_ranks(self, x, weights):
    seen = nn.Dense(weights.shape[-1])(before(x, 5))
    return jnp.where((jnp.arange(weights.shape[0]) % 3 == 1)[:, None], seen, weights)


WITHOUT_X = {
    "weights": lambda self, x, weights: jnp.broadcast_to(weights, (len(x), *weights.shape)),
    "constant": lambda self, x, weights: jnp.zeros((len(x), *weights.shape)),
    "constants": lambda self, x, weights: jnp.broadcast_to(
        np.arange(weights.size, dtype=np.float32).reshape(weights.shape), (len(x), *weights.shape)
    ),
    "one for all sites": lambda self, x, weights: jnp.broadcast_to(
        weights[0], (len(x), *weights.shape)
    ),
    "times zero": lambda self, x, weights: (
        jnp.zeros_like(weights)[None] * x[..., None].astype(weights.dtype) + weights[None]
    ),
    "some ranks": _on_some_ranks,
}


@pytest.mark.parametrize("name", WITHOUT_X)
def test_params_that_read_no_value(name):
    """They are the same for every example, or differ on some ranks only."""
    model = Plain(name_of=name)
    check(model)
    variables = variables_of(model)
    zoo.derive(model, variables, 2, strict=True)
    drawn, again = (
        sample.draw(model, variables, KEY, 5, engine=engine) for engine in ("cached", "recompute")
    )
    assert (drawn.x == again.x).all() and "12 ranks" in zoo.explain(model)


def test_params_of_the_context_alone():
    """Each example has those of its own context."""

    class Told(Newcomer):
        def encode(self, context):
            return jax.nn.one_hot(context, 3)

        def why_invalid(self, context):
            return None if context is not None else "it takes a label"

        def example(self, batch):
            return np.zeros((batch, *self.site_shape), np.int32), np.arange(batch) % 3

        @nn.compact
        def __call__(self, x, memory=None, *, train=False):
            params = nn.Dense(self.num_sites * 5)(memory)
            return params.reshape(len(x), *self.site_shape, 5)

    model = Told()
    check(model, batch=4)
    zoo.derive(model, variables_of(model), 2, np.array([0, 1]), strict=True)


def test_any_error_of_the_analysis_ends_in_recomputing(monkeypatch):
    """One warning says which error; draws are those of the network."""

    def broken(*arguments):
        raise KeyError("a fault\nof many lines")

    monkeypatch.setitem(sys.modules["zoo.derived.rules"].RULES, "pad", broken)
    model = zoo.WaveNet((5,), 3, 3, (1,), 1, head=zoo.Categorical(3))
    variables = variables_of(model)
    with pytest.raises(ValueError, match="WaveNet: its step could not be derived .KeyError: .*a f"):
        zoo.derive(model, variables, 2, strict=True)
    with pytest.warns(UserWarning, match="KeyError.*sampling recomputes") as caught:
        drawn = sample.draw(model, variables, KEY, 4, engine="derived")
    assert len(caught) == 1 and caught[0].filename == __file__
    assert "\n" not in str(caught[0].message)
    assert (drawn.x == sample.draw(model, variables, KEY, 4, engine="recompute").x).all()
    assert "KeyError" in zoo.explain(model)


def test_explain_says_what_is_wrong_with_its_model():
    """A class, or a `__call__` that returns no params of all sites, in one line."""
    with pytest.raises(ValueError, match=r"Pass an instance, Dilated\(\.\.\.\), not the class"):
        zoo.explain(newcomers.Dilated)

    class Odd(Newcomer):
        name_of: str = ""

        def __call__(self, x, memory=None, *, train=False):
            returned = {
                "no params": lambda: jnp.zeros(x.shape),
                "no batch": lambda: jnp.zeros((1, *x.shape[1:], 5)),
                "a pair": lambda: (x, x),
            }
            return returned[self.name_of]()

    for name, got in (
        ("no params", r"\[1, 12\]; expected \[1, 12, 5\]"),
        ("no batch", r"\[1, 12, 5\]; expected \[2, 12, 5\]"),
        ("a pair", "tuple; expected"),
    ):
        for ask in (zoo.explain, lambda model: sample.draw(model, {}, KEY, 3)):
            with pytest.raises(ValueError, match=rf"^Odd.__call__ returned .*{got}"):
                ask(Odd(name_of=name))


def test_commands_say_a_warning_in_one_line():
    with shell():
        said = warnings.formatwarning(UserWarning("one\n  thing"), UserWarning, __file__, 3)
    assert said == "warning: one thing\n"
    assert __file__ in warnings.formatwarning(UserWarning("one"), UserWarning, __file__, 3)


def test_commands_name_what_computed():
    """The engine, or what stands in for the step that a model lacks."""

    class Peeking(Newcomer):
        @nn.compact
        def __call__(self, x, memory=None, *, train=False):
            return nn.Dense(5)(jax.nn.one_hot(x, 5))

    own, derived_one, recomputed = zoo.MADE((2, 2), hidden=(3,)), newcomers.Dilated(), Peeking()
    for model, engine, name in (
        (own, "cached", "cached engine"),
        (own, "derived", "derived step"),
        (own, "jacobi", "jacobi engine"),
        (derived_one, "cached", "derived step"),
        (derived_one, "recompute", "recompute engine"),
        (recomputed, "cached", "recomputed"),
    ):
        assert engine_name(engine, model, variables_of(model)) == name


def test_an_error_after_the_analysis_ends_in_recomputing_too(monkeypatch):
    def broken(*arguments):
        raise IndexError

    monkeypatch.setattr(sys.modules["zoo.derived"], "decoder_of", broken)
    model = newcomers.Dilated()
    variables = variables_of(model)
    with pytest.raises(
        ValueError, match="Dilated: its step could not be derived .IndexError: no m"
    ):
        zoo.derive(model, variables, 2, strict=True)
    with pytest.warns(UserWarning, match="IndexError.*sampling recomputes"):
        drawn = sample.draw(model, variables, KEY, 7)
    assert (drawn.x == sample.draw(model, variables, KEY, 7, engine="recompute").x).all()
