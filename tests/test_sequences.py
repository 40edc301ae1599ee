"""Sequence models beyond their tiny instances: prompts in one pass, streams in pieces, documents,
windows, ends.
"""

import conformance
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from marks import slow_but

import sample
import zoo
from zoo.layers import cells

HEAD = zoo.Categorical(5)
MODELS = {
    "rnn": zoo.RNN((40,), features=6, layers=2, head=HEAD),
    "gru": zoo.GRU((40,), features=6, embedding=4, separator=1, head=HEAD),
    "lstm": zoo.LSTM((40,), features=6, learned_start=True, head=HEAD),
    "attention_lstm": zoo.AttentionLSTM((40,), features=6, layers=2, heads=2, window=7, head=HEAD),
    "transformer": zoo.Transformer((40,), 8, 2, heads=2, window=7, dropout=0.0, head=HEAD),
    "transformer, learned positions": zoo.Transformer(
        (40,), 8, 2, heads=2, window=50, positions="learned", tied=False, dropout=0.0, head=HEAD
    ),
    "wavenet": zoo.WaveNet((40,), 6, 8, dilations=(1, 2, 5), cycles=2, kernel_size=3, head=HEAD),
}
TWINS = {
    "rnn",
    "transformer, learned positions",
}  # of others, but for what makes no difference here
RECURRENT = ("rnn", "gru", "lstm")


def variables_and_tokens(name, batch=3):
    model = MODELS[name]
    return (
        model,
        conformance.variables_of(model),
        np.random.RandomState(1).randint(0, 5, (batch, *model.site_shape)),
    )


@pytest.mark.parametrize("name", slow_but(set(MODELS) - TWINS, MODELS))
def test_a_prompt_in_one_pass_changes_nothing(name):
    model, variables, x = variables_and_tokens(name, 6)
    known = np.arange(40)[None] < np.array([33, 17, 40, 20, 16, 18])[:, None]
    drawn, oracle = (
        sample.draw(model, variables, jax.random.key(2), 6, prefix=(x, known), engine=engine)
        for engine in ("cached", "recompute")
    )
    assert (drawn.x == oracle.x).all() and (np.asarray(drawn.x)[known] == x[known]).all()
    np.testing.assert_allclose(drawn.log_prob, zoo.log_prob(model, variables, drawn.x), rtol=1e-4)


@pytest.mark.parametrize("name", slow_but(set(MODELS) - TWINS, MODELS))
def test_prefill_gives_the_params_of_the_whole_pass(name):
    model, variables, x = variables_and_tokens(name)
    decoder = zoo.decoder(model, variables, 3)
    params, cache = decoder.prefill(decoder.init(), jnp.asarray(x[:, :30]))
    whole = zoo.conditionals(model, variables, x)
    np.testing.assert_allclose(params, whole[:, :30], rtol=1e-4, atol=1e-5)
    for t in range(30, 40):
        params, cache = decoder.step(cache, jnp.asarray(x), jnp.asarray(t))
        np.testing.assert_allclose(params, whole[:, t], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("documents", slow_but({True}, (False, True)))
@pytest.mark.parametrize("cell", cells.GATES)
def test_gradients_are_those_of_the_loop(cell, documents):
    length, batch, h, gates = 6, 3, 4, 4 * cells.GATES[cell]
    random = np.random.RandomState(0)
    of_tokens, kernel, bias, weights = (
        jnp.asarray(random.randn(*shape), jnp.float32)
        for shape in ((length, batch, gates), (h, gates), (gates,), (length, batch, h))
    )
    state, first = (
        tuple(jnp.asarray(random.randn(batch, h), jnp.float32) for _ in range(1 + (cell == "lstm")))
        for _ in range(2)
    )
    anew = jnp.asarray(random.rand(length, batch) < 0.3) if documents else None

    def loop(gates, kernel, bias, state, first):
        outputs = []
        for t in range(length):
            if documents:
                state = tuple(
                    jnp.where(anew[t][:, None], a, b) for a, b in zip(first, state, strict=True)
                )
            state = cells.advance(cell, gates[t], state[0] @ kernel + bias[None], state)
            outputs.append(state[0])
        return jnp.stack(outputs), state

    def whole(gates, kernel, bias, state, first):
        return cells.unroll(cell, gates, kernel, bias, state, anew, first)

    def loss(run):
        def of(*args):
            outputs, last = run(*args)
            return (outputs * weights).sum() + sum(
                (i + 2) * each.sum() for i, each in enumerate(last)
            )

        return jax.value_and_grad(of, argnums=range(5))

    args = (of_tokens, kernel, bias, state, first)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
        loss(whole)(*args),
        loss(loop)(*args),
    )


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (MODELS["gru"].clone(separator=5), "the separator must be a token, 0..4, or None; got 5"),
        (MODELS["attention_lstm"].clone(window=-1), "at least 1 token, or 0 for all; got -1"),
    ],
)
def test_what_no_model_can_have_is_refused(model, message):
    with pytest.raises(ValueError, match=message):
        zoo.init(model, jax.random.key(0), *zoo.example(model, 2))


def test_streams_that_do_not_fit_are_refused():
    model, variables, x = variables_and_tokens("rnn")
    carry = zoo.begin(model, variables, 3)
    with pytest.raises(ValueError, match="one row a stream of the carry; got .2, 40."):
        zoo.stream_log_prob(model, variables, x[:2], carry)
    with pytest.raises(ValueError, match="outside the model's support"):
        zoo.stream_log_prob(model, variables, x + 9, carry)


@pytest.mark.parametrize("name", RECURRENT)
def test_a_stream_in_pieces_has_the_likelihood_of_one_pass(name):
    model, variables, x = variables_and_tokens(name)
    carry, nats = zoo.begin(model, variables, 3), []
    for piece in np.split(x, [9, 10, 25], axis=1):
        log_prob, carry = zoo.stream_log_prob(model, variables, piece, carry)
        nats.append(log_prob)
    np.testing.assert_allclose(sum(nats), zoo.log_prob(model, variables, x), rtol=1e-5)


def test_documents_of_a_stream_are_independent():
    """After the separator nothing depends on what came before it."""
    model, variables, x = variables_and_tokens("gru")
    x = np.where(x == model.separator, 0, x)
    x[:, 19] = model.separator
    other = x.copy()
    other[:, :19] = (x[:, :19] + 2) % 5 * ((x[:, :19] + 2) % 5 != model.separator)
    first, second = (np.asarray(zoo.conditionals(model, variables, each)) for each in (x, other))
    assert (first[:, 20:] == second[:, 20:]).all() and (first[:, 1:20] != second[:, 1:20]).any()


@pytest.mark.parametrize(
    "name",
    slow_but({"lstm", "transformer"}, [*RECURRENT, "attention_lstm", "transformer", "wavenet"]),
)
def test_the_same_weights_draw_longer_sequences(name):
    model, variables, _ = variables_and_tokens(name)
    longer = model.clone(site_shape=(90,))
    drawn = sample.draw(longer, variables, jax.random.key(0), 2)
    assert drawn.x.shape == (2, 90)
    np.testing.assert_allclose(drawn.log_prob, zoo.log_prob(longer, variables, drawn.x), rtol=1e-4)


def test_a_transformer_sees_as_far_as_its_window_in_each_layer():
    model, variables, x = variables_and_tokens("transformer")
    params = zoo.conditionals(model, variables, x)
    reach = 2 * (model.window - 1) + 1  # two layers, and the shift by one
    for far, seen in ((reach, True), (reach + 1, False)):
        moved = x.copy()
        moved[:, 39 - far] = (x[:, 39 - far] + 1) % 5
        changed = (zoo.conditionals(model, variables, moved)[:, 39] != params[:, 39]).any()
        assert bool(changed) == seen


@pytest.mark.parametrize("name", ["rnn", "lstm", "transformer"])
def test_sequences_end_once_and_are_padded(name):
    model = zoo.CATALOGUE[name].tiny
    variables = conformance.variables_of(model)
    x = np.asarray(sample.draw(model, variables, jax.random.key(0), 200).x)
    ended = np.cumsum(x == model.end, axis=1) - (x == model.end)
    assert ((x == model.pad) == (ended > 0)).all() and ended.max() == 1
    impossible = np.full((1, 4), model.pad)
    assert np.isneginf(zoo.log_prob(model, variables, impossible)).all()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (zoo.LSTM((2, 2)), "LSTM needs a site_shape .length,."),
        (zoo.GRU((4,), ordering=zoo.Ordering("reversed")), "reads it in order"),
        (
            zoo.RNN((4,), end=1),
            "end and pad must be two tokens of 0..255, or both None; got 1, None",
        ),
        (zoo.RNN((4,), end=1, pad=1), "got 1, 1"),
        (zoo.RNN((4,), end=1, pad=300), "got 1, 300"),
        (
            zoo.LSTM((4,), head=zoo.MixtureOfGaussians()),
            "reads tokens; a MixtureOfGaussians head has none",
        ),
        (
            zoo.Transformer((300,), positions="learned"),
            "at most its window of 256 tokens; got a site_shape of .300,.",
        ),
        (zoo.Transformer((4,), window=0), "a window of at least 1 token; got 0"),
        (zoo.Transformer((4,), features=10, heads=4), "cannot be shared equally by 4 heads"),
        (zoo.Transformer((4,), features=12, heads=4), "4 heads of even size"),
        (zoo.WaveNet((2, 2)), "WaveNet needs a site_shape .length,."),
        (
            zoo.WaveNet((4,), kernel_size=1),
            "at least 2 taps, 1 cycle and dilations from 1; got kernel_size=1",
        ),
        (zoo.WaveNet((4,), dilations=()), "dilations from 1"),
    ],
)
def test_configurations_that_cannot_be_are_refused(model, message):
    with pytest.raises(ValueError, match=message):
        zoo.init(model, jax.random.key(0), np.zeros((1, *model.site_shape), model.head.dtype))
