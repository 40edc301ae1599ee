"""Lossless compression: round trips bit for bit, the rate, and what is refused."""

import json
from unittest import mock

import jax
import numpy as np
import pytest
from marks import slow_but

import sample
import zoo
from sample.coding import container, symbols
from sample.coding.codec import coded
from sample.coding.lanes import Reader, Writer
from sample.coding.streams import TOTAL

MODEL = zoo.NADE((3, 4), hidden=5, ordering=zoo.Ordering("snake"))


def made(model, num, scale=1.0):
    """Values and a context that do not come from the model, and variables."""
    x, context = model.example(num)
    variables = zoo.init(model, jax.random.key(0), x, context)
    variables = jax.tree.map(lambda leaf: np.asarray(leaf) * np.float32(scale), variables)
    return np.asarray(x), context, variables


def bits_over(model, variables, x, context, payload):
    """Bits of a payload above -log2 p, and -log2 p."""
    nats = np.asarray(zoo.log_prob(model, variables, x, context), np.float64)
    ideal = -nats.sum() / np.log(2)
    return 8 * len(payload) - ideal, ideal


def check(model, num, scale=1.0, batch_size=256):
    x, context, variables = made(model, num, scale)
    header, payload = coded(model, variables, x, context, batch_size=batch_size)
    back = sample.decompress(model, variables, container.wrapped(header, payload), context)
    assert back.dtype == x.dtype and np.array_equal(back, x)
    over, ideal = bits_over(model, variables, x, context, payload)
    assert over <= 64 + 0.001 * ideal
    return header, over


@pytest.fixture(scope="module")
def nade():
    x, _, variables = made(MODEL, 250)
    return x, variables, sample.compress(MODEL, variables, x)


def test_round_trip_and_rate():
    """In one lane, in lanes that grow, and in several batches of which the last is not full."""
    header, over = check(MODEL, 90)
    assert header["batch"] == 96 and len(header["growth"][0]) == 1 and over > 0
    header, _ = check(MODEL, 900, batch_size=96)
    assert header["batch"] == 96 and len(header["growth"][0]) == 3
    assert check(MODEL, 1)[0]["growth"] == [[]]


@pytest.mark.parametrize(
    "head", [zoo.Bernoulli(temperature=0.3), zoo.Categorical(5), zoo.Categorical(1)]
)
def test_heads(head):
    check(zoo.NADE((3, 4), hidden=5, head=head), 20, 20.0)


class Sharp(zoo.Autoregressive):
    """Each site has the same params, whatever the others are."""

    site_shape: tuple[int, ...] = (6,)
    head: zoo.Head = zoo.Bernoulli()
    ordering: zoo.Ordering = zoo.Ordering()

    def __call__(self, x, memory=None, *, train=False):
        params = self.get_variable("params", "each")
        return jax.numpy.broadcast_to(params, (len(x), *params.shape))


class Given(Sharp):
    """The same, with a step."""

    def step(self, x, t, memory=None):
        params = self.get_variable("params", "each")[t]
        return jax.numpy.broadcast_to(params, (len(x), *params.shape))


MIXTURES = [
    zoo.DiscretizedLogisticMixture(2, levels, channels)
    for levels, channels in ((256, 1), (2**16, 1), (256, 3), (5, 3))
]
CODED = [
    name
    for name, entry in zoo.CATALOGUE.items()
    if isinstance(entry.tiny, zoo.Autoregressive) and entry.tiny.head.num_values is not None
]
HEADS = [zoo.Bernoulli(), zoo.Categorical(7), *MIXTURES]  # those of colour are slow


def variables_of(head, scale, seed):
    params = np.random.RandomState(seed).normal(size=(6, head.num_params)) * scale
    return {"params": {"each": params.astype(np.float32)}}


@pytest.mark.parametrize("head", slow_but(HEADS[:4], HEADS), ids=str)
def test_improbable_values_have_parts(head, monkeypatch):
    """Draws cost -log2 p, and any other value comes back as well."""
    monkeypatch.setattr(zoo.core.arrays, "_misfit", lambda *_: None)
    monkeypatch.setattr("zoo.core.decoders.check_variables", lambda *_: None)
    monkeypatch.setattr("sample.coding.codec.check_inputs", lambda *_: None)
    monkeypatch.setattr("sample.coding.codec.check_variables", lambda *_: None)
    model, random = Given(head=head), np.random.RandomState(0)
    shape = (40, 6, *head.event_shape)
    anything = random.randint(0, head.num_values, shape).astype(np.int32)
    for scale in (1.0, 300.0):
        variables = variables_of(head, scale, 1)
        u = random.uniform(size=(40, 6, head.uniforms)).astype(np.float32)
        params = np.broadcast_to(variables["params"]["each"], (40, 6, head.num_params))
        drawn = np.asarray(zoo.heads.values_at(head, params, u))
        _, payload = coded(model, variables, drawn)
        nats = np.asarray(head.log_prob(params, drawn), np.float64)
        ideal = -nats.sum() / np.log(2)
        assert 8 * len(payload) - ideal <= 64 + 0.001 * ideal
        for x in (drawn, anything, anything * 0, anything * 0 + head.num_values - 1):
            data = sample.compress(model, variables, x)
            assert np.array_equal(sample.decompress(model, variables, data), x)


@pytest.mark.parametrize("head", [zoo.Categorical(300), MIXTURES[0]], ids=str)
def test_symbols_are_those_of_each_row(head):
    """In a batch or alone, known or found, a value has the same parts to the last one."""
    params = np.random.RandomState(0).normal(size=(9, head.num_params)).astype(np.float32)
    shared = jax.tree.map(np.asarray, symbols.shares(head, jax.numpy.asarray(params), []))
    found = jax.jit(lambda *each: symbols.symbol_at(head, *each))
    known = np.random.RandomState(1).randint(0, head.num_values, 9).astype(np.int32)
    together = found(shared, np.zeros(9, np.int32), known, np.True_)
    for row in range(9):
        place = slice(row, row + 1)
        alone = jax.tree.map(lambda leaf: leaf[place], shared)  # noqa: B023
        for slot in (together.start, together.start + together.width - 1):
            symbol = found(alone, np.asarray(slot[place]), np.zeros(1, np.int32), np.False_)
            assert symbol.value.tolist() == [known[row]]
            assert symbol.start.tolist() + symbol.width.tolist() == [
                int(together.start[row]),
                int(together.width[row]),
            ]
    if isinstance(shared, symbols.Table):
        ends = shared.counts.cumsum(-1)
        assert (ends[:, -1] == TOTAL).all()
        assert together.start.tolist() == [
            int(ends[row, value] - shared.counts[row, value]) for row, value in enumerate(known)
        ]


def test_digest_of_weights():
    """Arrays that may be written to are read whenever they are used; others once."""
    variables = {"params": {"each": np.zeros((6, 1), np.float32)}}
    first = container.model_digest(Given(), variables)
    variables["params"]["each"][0] = 1
    second = container.model_digest(Given(), variables)
    fixed = jax.tree.map(jax.numpy.asarray, variables)
    assert first != second == container.model_digest(Given(), fixed)
    with mock.patch.object(container, "digest", side_effect=AssertionError("read again")):
        assert container.model_digest(Given(), fixed) == second
    other = jax.tree.map(lambda leaf: leaf + 1, fixed)
    assert container.model_digest(Given(), other) != second


def test_ends_cost_nothing():
    """Padding after the end of a sequence has no bits."""
    model = zoo.GRU((12,), 4, 1, head=zoo.Categorical(5), end=1, pad=0)
    x, context, variables = made(model, 8)
    x = np.where(np.arange(12)[None] < 3, x.clip(2), np.where(np.arange(12)[None] == 3, 1, 0))
    x = x.astype(np.int32)
    _, payload = coded(model, variables, x)
    over, ideal = bits_over(model, variables, x, context, payload)
    assert over < 64 and ideal < 8 * 4 * 5
    back = sample.decompress(
        model.clone(site_shape=(9,)), variables, sample.compress(model, variables, x)
    )
    assert np.array_equal(back, x)  # the data know their length


def test_contexts():
    model = zoo.CATALOGUE["seq2seq"].tiny
    x, context, variables = made(model, 5)
    data = sample.compress(model, variables, x, context)
    assert np.array_equal(sample.decompress(model, variables, data, context), x)
    wide = context.astype(np.int64)
    assert np.array_equal(sample.decompress(model, variables, data, wide), x)
    with pytest.raises(ValueError, match="given a context, which they do not hold"):
        sample.decompress(model, variables, data)
    with pytest.raises(ValueError, match="given another context: pass the same one"):
        sample.decompress(model, variables, data, context[::-1])


def test_keeps_the_dtype(nade):
    x, variables, _ = nade
    for dtype in (bool, np.uint8, np.int64, ">i8"):
        data = sample.compress(MODEL, variables, x[:3].astype(dtype))
        assert sample.decompress(MODEL, variables, data).dtype == np.dtype(dtype).newbyteorder("=")
    with pytest.raises(ValueError, match="dtype int4 cannot be compressed: convert them"):
        sample.compress(MODEL, variables, jax.numpy.asarray(x[:3], "int4"))


def rewrapped(data, **fields):
    """The data under a forged header, which has a right checksum."""
    header, payload = container.unwrapped(data)
    with mock.patch.object(container, "_claimed", return_value=0):
        return container.wrapped({**header, **fields}, payload)


def test_wrong_data(nade):
    _, variables, data = nade
    fixed = container._FIXED.size
    newer, older = (data[:8] + bytes([container.VERSION + i]) + data[9:] for i in (1, -1))
    here = container.surroundings()
    cases = [
        (b"", "are empty"),
        (b"PK" * 40, "no compressed values of this zoo"),
        (newer, "version 4 of the format, .* install a newer release"),
        (older, "version 2 of the format, .* by the release that wrote them"),
        (data[: fixed + 10], "their header is cut off"),
        (data[:-3], "truncated: 3 of [0-9]+ bytes are missing"),
        (data[:-1] + bytes([data[-1] ^ 1]), "damaged since they were written"),
        (rewrapped(data, surroundings={**here, "jax": "0.0"}), "with jax '0.0', and here it is"),
        (rewrapped(data, num=10**12), "bytes cannot hold 12,000,000,000,000 values"),
        (rewrapped(data, num=10**5), "damaged: its payload ends too early"),
        (rewrapped(data, batch=10**9), "describes no values of the model"),
        (rewrapped(data, growth=[[5, 6]]), "describes no values of the model"),
        (rewrapped(data, growth=[[]]), "damaged|do not decode"),
        (rewrapped(data, growth=[5]), "describes no values of the model"),
        (rewrapped(data, growth=[]), "describes no values of the model"),
        (rewrapped(data, sizes=[1]), "describes no values of the model"),
        (rewrapped(data, sizes=7), "describes no values of the model"),
        (rewrapped(data, num=249), "damaged|do not decode"),
        (rewrapped(data, model="0"), r"another model \(NADE\)"),
        (rewrapped(data, site_shape=[10**9]), "bytes cannot hold 250,000,000,000 values"),
        (rewrapped(data, site_shape=[12]), "take the model that they were compressed by"),
        (rewrapped(data, site_shape=[3.0, 4]), "their header is not readable"),
        (container.wrapped({}, b""), "the data have sites of shape None"),
        (rewrapped(data, dtype="object"), "describes no values of the model"),
    ]
    for wrong, message in cases:
        with pytest.raises(ValueError, match=message) as caught:
            sample.decompress(MODEL, variables, wrong)
        assert len(str(caught.value).splitlines()) == 1
    other = jax.tree.map(lambda leaf: leaf + np.float32(1), variables)
    with pytest.raises(ValueError, match="by another model"):
        sample.decompress(MODEL, other, data)
    with pytest.raises(ValueError, match="data must be bytes"):
        sample.decompress(MODEL, variables, "text")


def test_wrong_models_and_values(nade):
    x, variables, _ = nade
    vae, real = zoo.CATALOGUE["vae"].tiny, zoo.CATALOGUE["rnade"].tiny
    for model, message in ((vae, "has no conditionals"), (real, "so there is no lossless code")):
        with pytest.raises(ValueError, match=message):
            sample.compress(model, {}, x)
    with pytest.raises(ValueError, match="outside the model's support"):
        sample.compress(MODEL, variables, x + 1)
    with pytest.raises(ValueError, match=r"must have shape \[batch, 3, 4\]; got \[0, 3, 4\]"):
        sample.compress(MODEL, variables, x[:0])
    with pytest.raises(ValueError, match="cannot be coded; the limit is"):
        sample.compress(zoo.NADE((2,), head=zoo.Categorical(2**19)), {}, x)


def test_fuzzed_files(nade):
    """Bytes that are flipped, cut off or added end in one line, also behind a right checksum."""
    hypothesis = pytest.importorskip("hypothesis", reason="files and models are drawn by it")
    strategies = hypothesis.strategies
    x, variables, data = nade
    header, payload = container.unwrapped(data)

    @hypothesis.settings(max_examples=40, deadline=None, derandomize=True, database=None)
    @hypothesis.given(strategies.data())
    def fuzz(draw):
        whole = draw.draw(strategies.booleans())
        old = bytearray(data if whole else payload)
        for _ in range(draw.draw(strategies.integers(0, 3))):
            place = draw.draw(strategies.integers(0, len(old) - 1))
            old[place] ^= draw.draw(strategies.integers(1, 255))
        end = draw.draw(strategies.integers(0, len(old)))
        new = bytes(old[:end]) + draw.draw(strategies.binary(max_size=9))
        try:
            found = sample.decompress(
                MODEL, variables, new if whole else container.wrapped(header, new)
            )
        except ValueError as error:
            assert str(error).startswith("the data ") and len(str(error).splitlines()) == 1
        else:
            assert np.array_equal(found, x)

    fuzz()


def test_streams():
    """Random symbols through a writer and a reader on the host, while lanes come and go."""
    random = np.random.RandomState(0)
    for rows in (1, 3, 40, 100):
        writer, pushed = Writer(rows, 2**32 + 9), []
        for _ in range(40):
            ends = np.sort(random.randint(1, TOTAL - 1, (2, rows)), 0)
            starts, counts = ends[0], ends[1] - ends[0] + 1
            if writer.lanes == 1 < rows:
                writer.push_first(list(zip(starts.tolist(), counts.tolist(), strict=True)))
            else:
                parts = np.stack([starts, counts, starts, counts])[None, None]
                assert writer.push(parts.astype(np.int32), 1) == 0
            pushed.append((starts, counts, writer.lanes, writer.grow()))
        reader = Reader(writer.finish(), rows, writer.growth)
        for starts, counts, lanes, grew in pushed[::-1]:
            if grew:
                reader.shrink()
            assert reader.lanes == lanes
            for row in range(rows):
                x = reader._x[row % lanes]
                slot = x % TOTAL
                start, count = int(starts[row]), int(counts[row])
                assert start <= slot < start + count
                x = count * (x // TOTAL) + slot - start
                reader._x[row % lanes] = x if x >= 2**32 else x << 32 | reader._take()
        assert reader.base() == 2**32 + 9


@pytest.mark.slow
@pytest.mark.parametrize("name", CODED)
def test_catalogue(name):
    """The tiny version of every discrete autoregressive model: round trip and rate."""
    check(zoo.CATALOGUE[name].tiny, 21, batch_size=16)


@pytest.mark.slow
def test_random_models():
    """Random shapes, heads, orderings, scales, values and batches."""
    hypothesis = pytest.importorskip("hypothesis", reason="files and models are drawn by it")
    some = hypothesis.strategies
    heads = [zoo.Bernoulli(), zoo.Categorical(3), zoo.Categorical(40)]

    @hypothesis.settings(max_examples=25, deadline=None, derandomize=True, database=None)
    @hypothesis.given(some.data())
    def one(draw):
        shape = tuple(draw.draw(some.lists(some.integers(1, 4), min_size=1, max_size=3)))
        scans = ["raster", "random", "snake"][: 3 if len(shape) == 2 else 2]  # a snake needs rows
        ordering = zoo.Ordering(draw.draw(some.sampled_from(scans)))
        head = draw.draw(some.sampled_from(heads))
        model = zoo.NADE(shape, hidden=3, head=head, ordering=ordering)
        num, scale = draw.draw(some.integers(1, 90)), draw.draw(some.sampled_from([1.0, 9.0, 99.0]))
        x, _, variables = made(model, num, scale)
        random = np.random.RandomState(draw.draw(some.integers(0, 99)))
        x = random.randint(0, head.num_values, x.shape)
        data = sample.compress(
            model, variables, x, batch_size=draw.draw(some.sampled_from([7, 64]))
        )
        assert np.array_equal(sample.decompress(model, variables, data), x)

    one()


def test_header_is_json(nade):
    """What a file holds beside the payload is readable."""
    fixed = container._FIXED.size
    text = nade[2][fixed : fixed + int.from_bytes(nade[2][9:13], "little")]
    assert json.loads(text)["class"] == "NADE"
