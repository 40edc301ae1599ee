"""Models of sentences given a source: what padding may not change, where attention looks, what no source is."""

import conformance
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sample
import zoo

NAMES = ("seq2seq", "seq2seq_attention")


def instance(name, cell="gru"):
    model = zoo.CATALOGUE[name].tiny.clone(cell=cell)
    return model, conformance.variables_of(model), *zoo.example(model, 8)


@pytest.mark.parametrize(("name", "cell"), [("seq2seq", "lstm"), ("seq2seq_attention", "gru")])
def test_padding_of_a_source_changes_nothing(name, cell):
    model, variables, x, source = instance(name, cell)
    params = zoo.conditionals(model, variables, x, source)
    padded = np.pad(source, ((0, 0), (0, 7)), constant_values=model.source_pad)
    np.testing.assert_allclose(zoo.conditionals(model, variables, x, padded), params, rtol=1e-5, atol=1e-6)
    for row, each in enumerate(source[:2]):
        alone = each[None, : (each != model.source_pad).sum()]
        np.testing.assert_allclose(
            zoo.conditionals(model, variables, x[row : row + 1], alone)[0], params[row], rtol=1e-5, atol=1e-6
        )


@pytest.mark.parametrize("name", NAMES[:1])
def test_every_token_of_a_source_counts_and_so_does_its_place(name):
    model, variables, x, _ = instance(name)
    source = np.full((1, 5), 1 + (model.source_pad == 1), np.int32)
    params = zoo.conditionals(model, variables, x[:1], source)
    seen = [params]
    for place in range(5):
        moved = source.copy()
        moved[0, place] = 4
        seen.append(zoo.conditionals(model, variables, x[:1], moved))
    seen = np.nan_to_num(np.stack(seen).reshape(6, -1), neginf=0)
    assert all(np.abs(a - b).max() > 1e-6 for i, a in enumerate(seen) for b in seen[:i])


def test_weights_are_a_law_over_the_places_that_there_are():
    model, variables, x, source = instance("seq2seq_attention")
    weights = np.asarray(zoo.attention_weights(model, variables, x, source))
    there = source != model.source_pad
    assert weights.shape == (8, 4, 5) and (weights[~np.broadcast_to(there[:, None], weights.shape)] == 0).all()
    np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-5)
    assert (weights[there.sum(1) > 1].std(-1) > 1e-5).all(), "all places weigh the same"


def test_a_source_is_encoded_once_for_several_rows():
    """Consecutive rows may share a context, as the beams of a search do."""
    model, variables, x, source = instance("seq2seq_attention")
    shared = zoo.decoder(model, variables, 24, source, copies=3)
    apart = zoo.decoder(model, variables, 24, np.repeat(source, 3, axis=0))
    canvas, t = jnp.asarray(np.repeat(x, 3, axis=0)), jnp.asarray(0)
    np.testing.assert_allclose(
        shared.step(shared.init(), canvas, t)[0], apart.step(apart.init(), canvas, t)[0], rtol=1e-5, atol=1e-6
    )


def test_dropout_acts_in_training_alone():
    model, variables, x, source = instance("seq2seq_attention")
    dropped = model.clone(dropout=0.5)
    assert (zoo.log_prob(dropped, variables, x, source) == zoo.log_prob(model, variables, x, source)).all()
    losses = [zoo.training_loss(dropped, variables, x, source, key=jax.random.key(seed)) for seed in (0, 1)]
    assert (losses[0] != losses[1]).any() and np.isfinite(losses).all()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (None, "expected integer tokens 0..5, shape .batch, places.; got none"),
        (np.ones((2, 3)), "got float64 of shape .2, 3."),
        (np.ones(2, np.int32), "got int32 of shape .2."),
        (np.full((2, 3), 6), "got values from 6 to 6"),
        (np.array([[1, 2], [0, 0]]), "source 1 is empty"),
        (np.zeros((2, 0), np.int32), "source 0 is empty"),
        (np.array([[1, 0, 2]]), "padding .0. may only stand at the end of a source"),
    ],
)
def test_what_is_no_source_is_refused(source, message):
    model, variables, *_ = instance("seq2seq_attention")
    with pytest.raises(ValueError, match=f"Seq2SeqAttention cannot condition on this context: .*{message}"):
        sample.draw(model, variables, jax.random.key(0), 1 if source is None else len(source), context=source)


def test_no_attention_no_weights():
    with pytest.raises(ValueError, match="Seq2Seq has no attention"):
        zoo.attention_weights(*instance("seq2seq"))
    model, variables, x, source = instance("seq2seq_attention")
    with pytest.raises(ValueError, match="Seq2SeqAttention: context must have a row for each of"):
        zoo.attention_weights(model, variables, x, source[:1])
