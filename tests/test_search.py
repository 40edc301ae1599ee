"""Beam search: what it finds, when it stops, and that it is the same however it is computed."""

import conformance
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from marks import slow_but

import sample
import zoo

NAMES = ("seq2seq_attention", "transformer", "lstm")


def source_of(name, seed=0, **changes):
    """A tiny instance with strong opinions, so that searches have something to lose."""
    model = zoo.CATALOGUE[name].tiny.clone(**changes)
    variables = jax.tree.map(
        lambda leaf: 6 * leaf, conformance.variables_of(zoo.CATALOGUE[name].tiny, seed)
    )
    context = zoo.example(model, 7)[1]
    return model, variables, context


def length_of(model, x):
    """Tokens with the end."""
    return np.minimum((np.asarray(x) != model.pad).sum(-1), model.num_sites)


def exhaustive(model, variables, context, penalty):
    """All sequences of the whole space, ordered by score for each context."""
    space = conformance.space_of(model)
    rows = range(1) if context is None else range(len(context))
    for row in rows:
        each = None if context is None else np.repeat(context[row : row + 1], len(space), axis=0)
        log_prob = np.asarray(zoo.log_prob(model, variables, space, each), np.float64)
        score = log_prob / length_of(model, space) ** penalty
        order = np.argsort(-score, kind="stable")
        yield np.asarray(space)[order], log_prob[order], score[order]


@pytest.mark.parametrize("penalty", slow_but({1.0}, [0.0, 1.0]))
@pytest.mark.parametrize("name", slow_but({"gru"}, ["seq2seq_attention", "gru"]))
def test_two_tokens_are_searched_exhaustively(name, penalty):
    """With as many beams as tokens nothing is left out of the first rank, so the n best are the n
    best there are.
    """
    model, variables, context = source_of(name, site_shape=(2,))
    if model.end is None:
        model = model.clone(end=0, pad=3)
    found = sample.search(model, variables, context, beam=4, length_penalty=penalty)
    for row, (x, log_prob, score) in enumerate(exhaustive(model, variables, context, penalty)):
        count = min(4, int((log_prob > -np.inf).sum()))
        np.testing.assert_allclose(found.score[row, :count], score[:count], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(
            found.log_prob[row, :count], log_prob[:count], rtol=1e-4, atol=1e-5
        )
        assert (np.asarray(found.x[row, :count]) == x[:count]).all()


@pytest.mark.parametrize("name", NAMES[:2])
def test_a_beam_of_one_is_greedy(name):
    model, variables, context = source_of(name)
    num = 1 if context is None else 7
    greedy = sample.draw(
        model,
        variables,
        jax.random.key(0),
        num,
        context=context,
        tempered=sample.Tempered(temperature=0.0),
    )
    found = sample.search(model, variables, context, beam=1)
    assert (found.x[:, 0] == greedy.x).all()
    np.testing.assert_allclose(found.log_prob[:, 0], greedy.log_prob, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_beams_are_scored_by_the_model_and_caches_follow_them(name):
    model, variables, context = source_of(name)
    found = sample.search(model, variables, context, beam=3)
    again = sample.search(model, variables, context, beam=3, engine="recompute")
    assert (found.x == again.x).all()
    for i in range(3):
        log_prob = zoo.log_prob(model, variables, found.x[:, i], context)
        np.testing.assert_allclose(found.log_prob[:, i], log_prob, rtol=1e-4, atol=1e-4)
    assert (np.diff(np.asarray(found.score), axis=1) <= 0).all()
    if model.end is not None:
        np.testing.assert_allclose(
            found.score, np.asarray(found.log_prob) / length_of(model, found.x), rtol=1e-5
        )
    flat = np.asarray(found.x).reshape(len(found.x), 3, -1)
    assert all(len({tuple(each) for each in row}) == 3 for row in flat), (
        "a sequence was found twice"
    )


def by_hand(model, variables, context, beam, penalty):
    """The same search for one context, in plain Python over lists."""
    alive, found = [(0.0, ())], []
    for t in range(model.num_sites):
        x = np.zeros((len(alive), model.num_sites), np.int32)
        for i, (_, tokens) in enumerate(alive):
            x[i, :t] = tokens
        params = zoo.conditionals(model, variables, x, np.repeat(context, len(alive), axis=0))[:, t]
        nexts = np.asarray(jax.nn.log_softmax(params))
        every = [
            (log_prob + float(nexts[i, k]), (*tokens, k))
            for i, (log_prob, tokens) in enumerate(alive)
            for k in range(model.start)
        ]
        best = sorted(every, reverse=True)[: 2 * beam if beam > 1 else 1]
        over = [
            (p, tokens) for p, tokens in best if tokens[-1] == model.end or t == model.num_sites - 1
        ]
        found += [(p / len(tokens) ** penalty, tokens) for p, tokens in over]
        alive = [each for each in best if each not in over and each[0] > -np.inf][:beam]
        if not alive:
            break
    return sorted(found, reverse=True)[:beam]


@pytest.mark.parametrize(
    "penalty",
    [pytest.param(0.0, marks=pytest.mark.slow), 0.7, pytest.param(2.0, marks=pytest.mark.slow)],
)
def test_the_search_is_that_of_plain_python(penalty):
    """Leaving early changes nothing."""
    model, variables, context = source_of("seq2seq_attention", site_shape=(6,))
    found = sample.search(model, variables, context, beam=3, length_penalty=penalty)
    for row in range(len(context)):
        wanted = by_hand(model, variables, context[row : row + 1], 3, penalty)
        for i, (score, tokens) in enumerate(wanted):
            np.testing.assert_allclose(found.score[row, i], score, rtol=1e-4, atol=1e-5)
            assert tuple(np.asarray(found.x[row, i, : len(tokens)])) == tokens
            assert (np.asarray(found.x[row, i, len(tokens) :]) == model.pad).all()


NUM_MODELS, END, PAD = 200, 0, 4


def random_models(length):
    """Many sets of variables of one tiny model whose sequences end early or late; each with log p
    of every next token.

    The table is [length, prefix, token], a prefix counted in base 5 with the last token as the
    lowest digit.
    """
    model = zoo.GRU((length,), features=6, layers=1, end=END, pad=PAD, head=zoo.Categorical(5))
    space = conformance.space_of(model)
    shapes = jax.eval_shape(lambda: zoo.init(model, jax.random.key(0), space[:1]))
    for seed in range(NUM_MODELS):
        random = np.random.RandomState(seed)
        scale = random.choice([0.7, 1.5, 3.0])

        def noise(leaf, scale=scale, random=random):
            return (scale * random.normal(size=leaf.shape)).astype(np.float32)

        variables = jax.tree.map(noise, shapes)
        logits = np.asarray(zoo.conditionals(model, variables, space), np.float64)
        log_probs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        table = [log_probs[:: 5 ** (length - t), t] for t in range(length)]
        yield seed, model, variables, table


def separate_finished(table, beam, penalty):
    """Beam search as transformers has it with early_stopping="never", in plain Python: the best
    finished, by score.

    Of 2 * beam continuations those that do not end go on, `beam` of them; an end counts if it is
    among the first `beam`.
    """
    live, finished = [(0.0, ())], []
    for t, log_probs in enumerate(table):
        candidates = []
        for total, tokens in live:
            prefix = int("".join(map(str, tokens)) or "0", 5)
            candidates += [(total + log_probs[prefix, k], (*tokens, k)) for k in range(5)]
        candidates = sorted(candidates, reverse=True)[: 2 * beam]
        ended = [tokens[-1] == END or t == len(table) - 1 for _, tokens in candidates]
        scored = [(total / (t + 1) ** penalty, tokens) for total, tokens in candidates]
        finished += [
            each
            for each, end in list(zip(scored, ended, strict=True))[:beam]
            if end and each[0] > -np.inf
        ]
        finished = sorted(finished, reverse=True)[:beam]
        live = [
            each
            for each, end in zip(candidates, ended, strict=True)
            if not end and each[0] > -np.inf
        ][:beam]
        if not live or (
            len(finished) == beam and live[0][0] / len(table) ** penalty <= finished[-1][0]
        ):
            break
    return finished


@pytest.mark.parametrize(
    "case", slow_but({(3, 1.0)}, [(2, 0.0), (3, 1.0), (3, 0.0), (4, 0.6), (2, 2.0)]), ids=str
)
def test_never_worse_than_a_search_that_keeps_finished_sequences_apart(case):
    (beam, penalty), early = case, 0
    for seed, model, variables, table in random_models(5):
        found = sample.search(model, variables, beam=beam, length_penalty=penalty)
        wanted = separate_finished(table, beam, penalty)
        for i, (score, tokens) in enumerate(wanted):
            assert found.score[0, i] > score - 1e-4 * max(1, -score), (
                f"model {seed}: rank {i} is worse"
            )
            early += len(tokens) < 5
    assert early > NUM_MODELS // 5, "the models hardly end early"


@pytest.mark.parametrize("penalty", [0.0, 1.0])
def test_a_beam_that_covers_the_space_finds_the_best_there_are(penalty):
    for _, model, variables, table in random_models(2):
        found = sample.search(model, variables, beam=5, length_penalty=penalty)
        every = [
            table[0][0, END],
            *((table[0][0, a] + table[1][a]) / 2**penalty for a in range(5) if a != END),
        ]
        best = np.sort(np.concatenate([np.atleast_1d(each) for each in every]))[::-1][:5]
        np.testing.assert_allclose(found.score[0], best, rtol=1e-4, atol=1e-4)


def test_a_search_stops_when_nothing_can_be_better(monkeypatch):
    """A model that ends at once is asked as often as its sentences are long, not as often as they
    may be.
    """
    model, variables, context = source_of("seq2seq_attention", site_shape=(50,))
    variables["params"]["params_of"]["bias"] = (
        variables["params"]["params_of"]["bias"].at[model.end].add(100.0)
    )
    asked, make = [], zoo.decoder

    def counting(*arguments):
        decoder = make(*arguments)

        def step(cache, x, t):
            jax.debug.callback(lambda t: asked.append(int(t)), t)
            return decoder.step(cache, x, t)

        return decoder._replace(step=step)

    monkeypatch.setattr(zoo, "decoder", counting)
    found = sample.search(model, variables, context, beam=1)
    jax.effects_barrier()
    assert (np.asarray(found.x)[:, 0, 0] == model.end).all() and asked == [0]


def test_more_beams_find_what_is_likelier():
    model, variables, context = source_of("seq2seq_attention", site_shape=(6,))
    best = [
        np.asarray(
            sample.search(model, variables, context, beam=beam, length_penalty=0.0).log_prob[:, 0]
        )
        for beam in (1, 4)
    ]
    assert (best[1] >= best[0] - 1e-5).all() and (best[1] > best[0] + 1e-3).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beam": 5}, "beam must be 1..4, the size of the model's vocabulary; got 5"),
        ({"beam": 0}, "beam must be 1..4"),
        ({"length_penalty": -1.0}, "length_penalty must be a number >= 0; got -1.0"),
        ({"length_penalty": float("nan")}, "length_penalty must be a number >= 0"),
        ({"engine": "jacobi"}, "engine must be cached, derived or recompute; got 'jacobi'"),
        ({"context": None}, "cannot condition on this context"),
    ],
)
def test_what_has_no_meaning_is_refused(options, message):
    model, variables, context = source_of("seq2seq_attention")
    with pytest.raises(ValueError, match=message):
        sample.search(model, variables, **{"context": context, "beam": 2, **options})


def test_no_context_at_all_is_refused():
    model = zoo.CATALOGUE["seq2seq"].tiny
    variables, (_, source) = (
        zoo.init(model, jax.random.key(0), *zoo.example(model, 2)),
        zoo.example(model, 2),
    )
    with pytest.raises(ValueError, match="beam search needs at least one context; got none"):
        sample.search(model, variables, source[:0], beam=2)


def test_only_sequences_are_searched():
    model = zoo.CATALOGUE["fvsbn"].tiny
    with pytest.raises(
        ValueError, match="beam search needs a model of sequences of tokens; got FVSBN"
    ):
        sample.search(model, conformance.variables_of(model))


def test_rows_of_a_cache_are_found_by_shape():
    tree = zoo.core.batch_axes.axes(
        lambda n: {"a": jnp.zeros((4, n)), "b": jnp.zeros((2 * n, 3)), "c": jnp.zeros(5)}
    )
    assert tree == {"a": 1, "b": 0, "c": -1}
    with pytest.raises(ValueError, match="no axis counts the rows"):
        zoo.core.batch_axes.axes(lambda n: jnp.zeros((n, n)))
    with pytest.raises(ValueError, match="no axis counts the rows"):
        zoo.core.batch_axes.axes(lambda n: jnp.zeros(n + 1))
