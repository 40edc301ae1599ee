"""Text: prompts, tempered draws, stops, streaming."""

import sys

import conformance
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from marks import slow_but

import sample
import zoo
from sample.engines.tempered import Tempered
from zoo.formats.vocabulary import BYTES

VOCABULARY = tuple("\n abcde")
MODELS = {
    "gru": zoo.GRU((30,), features=8, vocabulary=VOCABULARY, head=zoo.Categorical(7)),
    "transformer": zoo.Transformer(
        (30,), 8, 2, heads=2, window=12, dropout=0.0, vocabulary=VOCABULARY, head=zoo.Categorical(7)
    ),
}


class Bigram(zoo.Sequence):
    """A user's model of text, without a step: each character by the two before it."""

    site_shape: tuple[int, ...] = (30,)
    head: zoo.Head = zoo.Categorical(7)
    ordering: zoo.Ordering = zoo.Ordering()
    vocabulary: tuple[str, ...] = VOCABULARY
    end: int | None = None
    pad: int | None = None

    @nn.compact
    def __call__(self, x, memory=None, *, train=False):
        h = jnp.pad(jax.nn.one_hot(x, 7)[:, :-1], ((0, 0), (1, 0), (0, 0)))
        return nn.Dense(7)(nn.Conv(8, (2,), padding="CAUSAL")(h))


SOURCES = {name: (model, conformance.variables_of(model)) for name, model in MODELS.items()}


@pytest.mark.parametrize("name", MODELS)
def test_texts_continue_their_prompts(name):
    model, variables = SOURCES[name]
    prompts = ["abc", "", "dead beef".replace("f", "e") * 4]
    drawn = sample.text(SOURCES[name], prompts, length=50, key=jax.random.key(3))
    for prompt, each, nats in zip(prompts, drawn.texts, drawn.log_prob, strict=True):
        assert each.startswith(prompt) and len(each) == len(prompt) + 50
        tokens = np.array([[VOCABULARY.index(character) for character in each]])
        whole = float(zoo.log_prob(model.clone(site_shape=tokens.shape[1:]), variables, tokens)[0])
        begun = (
            zoo.log_prob(
                model.clone(site_shape=(len(prompt),)), variables, tokens[:, : len(prompt)]
            )
            if prompt
            else [0.0]
        )
        assert nats == pytest.approx(whole - float(begun[0]), rel=1e-4)


@pytest.mark.parametrize("name", slow_but({"gru"}, MODELS))
@pytest.mark.parametrize(
    "options",
    [{}, {"temperature": 0.5, "top_p": 0.9}, {"temperature": 0.0}, {"stop": ("ab", "ee")}],
)
def test_a_stream_says_what_text_says(name, options):
    key = jax.random.key(5)
    whole = sample.text(SOURCES[name], "abc", length=70, key=key, **options).texts[0]
    pieces = list(sample.stream(SOURCES[name], "abc", length=70, key=key, **options))
    assert "abc" + "".join(pieces) == whole and (len(pieces) > 3 or "stop" in options)


def test_a_model_without_a_step_streams_as_it_draws(monkeypatch):
    """By a derived step, which never runs the whole network at every character."""
    source, how = (Bigram(), conformance.variables_of(Bigram())), {"key": jax.random.key(5)}
    oracle = sample.text(source, "abc", length=25, engine="recompute", **how).texts[0]
    monkeypatch.setattr(sys.modules["zoo.core.decoders"], "site_params", None)
    pieces = list(sample.stream(source, "abc", length=25, **how))
    assert (
        "abc" + "".join(pieces) == oracle == sample.text(source, "abc", length=25, **how).texts[0]
    )


def test_a_stream_goes_on_after_a_long_prompt_read_rank_by_rank(monkeypatch):
    """Longer than the model's length, where no derived step reads a prompt in one pass."""
    source, how = (Bigram(), conformance.variables_of(Bigram())), {"key": jax.random.key(5)}
    prompt = "abcde" * 15
    oracle = sample.text(source, prompt, length=9, engine="recompute", **how).texts[0]
    monkeypatch.setattr(sys.modules["zoo.derived"], "reads_prompts_for", lambda *_: False)
    assert prompt + "".join(sample.stream(source, prompt, length=9, **how)) == oracle


def test_texts_end_before_the_first_stop():
    drawn = sample.text(SOURCES["gru"], "a", 40, 60, key=jax.random.key(1))
    stopped = sample.text(SOURCES["gru"], "a", 40, 60, stop=("b", "dc"), key=jax.random.key(1))
    for whole, cut in zip(drawn.texts, stopped.texts, strict=True):
        ends = [at for stop in ("b", "dc") if (at := whole.find(stop, 1)) >= 0]
        assert cut == whole[: min(ends, default=len(whole))]
    assert (stopped.log_prob >= drawn.log_prob - 1e-4).all()


def test_greedy_takes_the_likeliest_token():
    model, variables = SOURCES["transformer"]
    greedy = sample.text(SOURCES["transformer"], "b", length=40, temperature=0.0).texts[0]
    tokens = np.array([[VOCABULARY.index(character) for character in greedy]])
    params = zoo.conditionals(model.clone(site_shape=(41,)), variables, tokens)
    assert (np.asarray(params).argmax(-1)[0, 1:] == tokens[0, 1:]).all()


@pytest.mark.parametrize("engine", ["recompute", "jacobi"])
def test_engines_agree_on_tempered_draws(engine):
    options = {
        "temperature": 0.7,
        "top_k": 4,
        "top_p": 0.9,
        "min_p": 0.02,
        "key": jax.random.key(2),
    }
    drawn, other = (
        sample.text(SOURCES["gru"], "ab", 8, 20, engine=each, **options)
        for each in ("cached", engine)
    )
    assert drawn.texts == other.texts


def law(**options):
    probabilities = np.array([[0.05, 0.4, 0.25, 0.2, 0.1]])
    return np.asarray(
        jax.nn.softmax(Tempered(**options)(jnp.log(jnp.asarray(probabilities, jnp.float32))))
    )[0], probabilities[0]


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({}, [0, 1, 2, 3, 4]),
        ({"top_k": 2}, [1, 2]),
        ({"top_k": 9}, [0, 1, 2, 3, 4]),
        ({"top_p": 0.39}, [1]),
        ({"top_p": 0.41}, [1, 2]),
        ({"top_p": 1.0}, [0, 1, 2, 3, 4]),
        ({"min_p": 0.45}, [1, 2, 3]),
        ({"min_p": 1.0}, [1]),
        ({"top_k": 4, "top_p": 0.7, "min_p": 0.55}, [1, 2]),
    ],
)
def test_what_is_kept_keeps_its_proportions(options, kept):
    changed, probabilities = law(**options)
    wanted = np.where(np.isin(np.arange(5), kept), probabilities, 0)
    np.testing.assert_allclose(changed, wanted / wanted.sum(), rtol=1e-5)


@pytest.mark.parametrize("temperature", [0.0, 1e-50, 1e-20, 1e-12, 1e-6])
def test_hardly_any_temperature_is_greedy(temperature):
    greedy = sample.text(SOURCES["gru"], ["a", "bed", ""], length=40, temperature=0.0)
    assert (
        sample.text(SOURCES["gru"], ["a", "bed", ""], length=40, temperature=temperature).texts
        == greedy.texts
    )


def test_prompts_of_nearby_lengths_share_what_is_compiled():
    source = (
        MODELS["gru"].clone(features=5),
        conformance.variables_of(MODELS["gru"].clone(features=5)),
    )
    with jax.log_compiles(), conformance.compilations() as seen:
        sample.text(source, "a" * 33, length=20)
        first = len(seen)
        assert first
        for more in range(1, 8):
            sample.text(source, "a" * (33 + more), length=20)
    assert len(seen) == first


def test_bytes_are_texts_of_any_script():
    model = zoo.GRU((30,), features=8, vocabulary=BYTES)
    source = (model, conformance.variables_of(model))
    drawn = sample.text(source, ["größer", ""], length=40, key=jax.random.key(1))
    assert drawn.texts[0].startswith("größer") and np.isfinite(drawn.log_prob).all()
    pieces = "".join(sample.stream(source, "größer", length=40, key=jax.random.key(1)))
    assert (
        "größer" + pieces
        == sample.text(source, "größer", length=40, key=jax.random.key(1)).texts[0]
    )
    likely = jax.tree.map(jnp.zeros_like, source[1])
    likely["params"]["params_of"]["bias"] = (
        likely["params"]["params_of"]["bias"].at[jnp.array([0xC3, 0xB6])].set(50.0)
    )
    texts = sample.text((model, likely), num=20, length=16, stop="ö").texts
    assert any("ö" in text for text in sample.text((model, likely), num=20, length=16).texts)
    assert not any("ö" in text for text in texts)


def test_the_end_of_a_text_is_counted():
    model = MODELS["gru"].clone(end=0, pad=1, site_shape=(12,))
    variables = conformance.variables_of(model)
    drawn = sample.text((model, variables), num=50, length=12, batch_size=16)
    assert min(map(len, drawn.texts)) < 10
    for each, nats in zip(drawn.texts, drawn.log_prob, strict=True):
        tokens = [VOCABULARY.index(character) for character in each] + [0] * (len(each) < 12)
        padded = np.array([tokens + [1] * (12 - len(tokens))])
        assert nats == pytest.approx(float(zoo.log_prob(model, variables, padded)[0]), rel=1e-4)


def test_temperature_is_a_power():
    for temperature in (0.5, 2.0):
        changed, probabilities = law(temperature=temperature)
        wanted = probabilities ** (1 / temperature)
        np.testing.assert_allclose(changed, wanted / wanted.sum(), rtol=1e-5)
    assert (law(temperature=0.0)[0] == [0, 1, 0, 0, 0]).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prompt": "abz€"}, "vocabulary of 7 characters has no 'z', '€'; it has "),
        ({"length": 0}, "length must be .*at least 1; got 0"),
        ({"temperature": -1.0}, "temperature must be a number >= 0 .*; got -1.0"),
        ({"temperature": float("nan")}, "temperature must be a number"),
        ({"top_p": 0.0}, "top_p must be in .0, 1.; got 0.0"),
        ({"top_p": 1.5}, "top_p must be in .0, 1.; got 1.5"),
        ({"top_k": 0}, "top_k must be at least 1"),
        ({"min_p": 2.0}, "min_p must be in .0, 1.; got 2.0"),
        ({"prompt": ["a", "b"], "num": 3}, "one for each of num=3 texts; got 2"),
        ({"num": 0}, "expected one prompt"),
        ({"stop": ["x", ""]}, "a stop must not be empty"),
    ],
)
def test_what_has_no_meaning_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        sample.text(SOURCES["gru"], **options)


def test_models_that_cannot_write_say_so():
    model = zoo.CATALOGUE["fvsbn"].tiny
    with pytest.raises(ValueError, match="FVSBN has no vocabulary"):
        sample.text((model, conformance.variables_of(model)))
    with pytest.raises(ValueError, match="only logits of tokens can be tempered; FVSBN"):
        sample.draw(
            model, conformance.variables_of(model), jax.random.key(0), 1, tempered=Tempered(0.5)
        )


def test_learned_positions_end_with_their_window():
    model = MODELS["transformer"].clone(positions="learned", window=30)
    with pytest.raises(
        ValueError,
        match="at most 30 characters, and a prompt of 1 with length=50 makes 51: shorten",
    ):
        sample.text((model, conformance.variables_of(model)), "a", length=50)
