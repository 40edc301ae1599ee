"""Models of sentences given a source: what padding may not change, where attention looks, what no
source is.
"""

import conformance
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sample
import train.engine.prepare
import zoo
from train.data import Batches, Data, Split, batches, shortened
from train.engine.evaluation import evaluate
from train.engine.step import initial_state, make_update
from train.recipe.recipe import Recipe
from zoo.formats.vocabulary import trimmed

NAMES = ("seq2seq", "seq2seq_attention")


def instance(name, cell="gru"):
    model = zoo.CATALOGUE[name].tiny.clone(cell=cell)
    return model, conformance.variables_of(model), *zoo.example(model, 8)


@pytest.mark.parametrize(("name", "cell"), [("seq2seq", "lstm"), ("seq2seq_attention", "gru")])
def test_padding_of_a_source_changes_nothing(name, cell):
    model, variables, x, source = instance(name, cell)
    params = zoo.conditionals(model, variables, x, source)
    padded = np.pad(source, ((0, 0), (0, 7)), constant_values=model.source_pad)
    np.testing.assert_allclose(
        zoo.conditionals(model, variables, x, padded), params, rtol=1e-5, atol=1e-6
    )
    for row, each in enumerate(source[:2]):
        alone = each[None, : (each != model.source_pad).sum()]
        np.testing.assert_allclose(
            zoo.conditionals(model, variables, x[row : row + 1], alone)[0],
            params[row],
            rtol=1e-5,
            atol=1e-6,
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
    assert (
        weights.shape == (8, 4, 5)
        and (weights[~np.broadcast_to(there[:, None], weights.shape)] == 0).all()
    )
    np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-5)
    assert (weights[there.sum(1) > 1].std(-1) > 1e-5).all(), "all places weigh the same"


def test_a_source_is_encoded_once_for_several_rows():
    """Consecutive rows may share a context, as the beams of a search do."""
    model, variables, x, source = instance("seq2seq_attention")
    shared = zoo.decoder(model, variables, 24, source, copies=3)
    apart = zoo.decoder(model, variables, 24, np.repeat(source, 3, axis=0))
    canvas, t = jnp.asarray(np.repeat(x, 3, axis=0)), jnp.asarray(0)
    np.testing.assert_allclose(
        shared.step(shared.init(), canvas, t)[0],
        apart.step(apart.init(), canvas, t)[0],
        rtol=1e-5,
        atol=1e-6,
    )


def test_dropout_acts_in_training_alone():
    model, variables, x, source = instance("seq2seq_attention")
    dropped = model.clone(dropout=0.5)
    assert (
        zoo.log_prob(dropped, variables, x, source) == zoo.log_prob(model, variables, x, source)
    ).all()
    losses = [
        zoo.training_loss(dropped, variables, x, source, key=jax.random.key(seed))
        for seed in (0, 1)
    ]
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
    with pytest.raises(
        ValueError, match=f"Seq2SeqAttention cannot condition on this context: .*{message}"
    ):
        sample.draw(
            model,
            variables,
            jax.random.key(0),
            1 if source is None else len(source),
            context=source,
        )


def test_under_jit_a_token_that_cannot_be_gives_no_number():
    model, variables, x, source = instance("seq2seq")
    log_prob = jax.jit(lambda source: zoo.log_prob(model, variables, x, source))
    wrong = np.array(source)
    wrong[0, 0] = model.source_values
    assert np.isfinite(log_prob(source)).all() and not np.isfinite(log_prob(wrong)[0])


def test_no_attention_no_weights():
    with pytest.raises(ValueError, match="Seq2Seq has no attention"):
        zoo.attention_weights(*instance("seq2seq"))
    model, variables, x, source = instance("seq2seq_attention")
    with pytest.raises(ValueError, match="Seq2SeqAttention: context must have a row for each of"):
        zoo.attention_weights(model, variables, x, source[:1])


@pytest.mark.parametrize("longest", [1, 16, 17, 31, 32, 63, 64, 999, 1000])
def test_rows_are_trimmed_to_few_lengths(longest):
    rows = np.zeros((3, 1000), np.int32)
    rows[1, :longest] = 5
    short = trimmed(rows)
    assert (short.sum(), short.shape[0]) == (5 * longest, 3) and longest <= short.shape[1] < max(
        17, 2 * longest
    )
    assert short.shape[1] in (1000, 500, 250, 125, 63, 32, 16)


def outlier(num, length=20, places=300):
    """Sources and targets of up to 20 tokens, padded like the one source of 300."""
    random = np.random.RandomState(0)
    x, source = np.zeros((num, 64), np.int32), np.zeros((num, places), np.int32)
    for i in range(num):
        source[i, : random.randint(1, length)] = random.randint(2, 6)
        x[i, : (end := random.randint(1, 10))] = random.randint(2, 6)
        x[i, end] = 1
    source[num // 2] = 3
    return Split(x, source)


def long_model(name, **fields):
    tiny = zoo.CATALOGUE[name].tiny
    return tiny.clone(
        site_shape=(64,),
        source_values=6,
        source_pad=0,
        end=1,
        pad=0,
        head=zoo.Categorical(6),
        **fields,
    )


def test_batches_are_as_long_as_their_longest():
    split = outlier(64)
    stream = Batches(split, 8, seed=0, paired=True)
    shapes = [(x.shape[1], source.shape[1]) for x, source in (stream(step) for step in range(8))]
    assert (
        sorted(source for _, source in shapes)[:7] == [19] * 7
        and max(shapes)[1] <= 300
        and (16, 300) in shapes
    )
    assert [shortened(batch).context.shape[1] for batch in batches(split, 8)].count(300) == 1
    for step in range(8):
        (x, source), (whole_x, whole) = stream(step), Batches(split, 8, seed=0)(step)
        assert (x == whole_x[:, : x.shape[1]]).all() and (
            source == whole[:, : source.shape[1]]
        ).all()
        assert not whole_x[:, x.shape[1] :].any() and not whole[:, source.shape[1] :].any()


@pytest.mark.parametrize("name", NAMES)
def test_the_likelihood_does_not_depend_on_padding(name):
    model, split = long_model(name), outlier(16)
    variables = conformance.variables_of(model)
    nats = evaluate(model, variables, split, 4)
    whole = -np.asarray(zoo.log_prob(model, variables, *split), np.float64)
    assert nats.num == (split.x != 0).sum()
    np.testing.assert_allclose(nats.nats, whole.sum() / nats.num, rtol=1e-5)


@pytest.mark.parametrize("name", NAMES[1:])
def test_training_does_not_depend_on_padding(name):
    split, states = outlier(16), []
    recipe = Recipe(
        long_model(name), Data("pairs"), batch_size=4, steps=8, warmup=0, learning_rate=0.01
    )
    update = make_update(recipe, jax.devices()[:1])
    for paired in (False, True):
        stream = Batches(split, 4, 0, paired=paired)
        state = update.place(initial_state(recipe, *stream(0)))
        for step in range(4):
            state, metrics = update.step(state, *stream(step))
        states.append((jax.tree.map(np.asarray, state.variables), float(metrics.loss)))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4), *states)


def test_one_long_source_is_reported(tmp_path):
    lines = [f"{i} of them\tno {i}" for i in range(40)] + ["x" * 3000 + "\tlong"]
    (tmp_path / "p.tsv").write_text("\n".join(lines))
    recipe = Recipe(
        zoo.Seq2Seq((16,), 8, 4), Data("pairs", path=str(tmp_path / "p.tsv")), batch_size=4
    )
    dataset = train.engine.prepare.inputs(recipe)
    assert "sources of up to 3,000, test split" in dataset.description
    assert dataset.notes == (
        "the longest source has 3,000 chars, 99 % have at most 10: batches with it take that "
        "much longer",
    )
    stream = train.engine.prepare.training_batches(recipe, dataset)
    assert max(sorted(stream(step)[1].shape[1] for step in range(8))[:7]) <= 16
