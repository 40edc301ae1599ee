"""How many programs are compiled when numbers, prompts and temperatures change, and what that costs
in memory.
"""

import conformance
import jax
import numpy as np
import pytest

import sample
import zoo
from sample.engines.program_sizes import few, few_known

VOCABULARY = tuple("abcdef ")
MODELS = {
    "gru": zoo.GRU((100,), features=7, layers=1, vocabulary=VOCABULARY, head=zoo.Categorical(7)),
    "transformer": zoo.Transformer(
        (100,),
        8,
        1,
        heads=1,
        window=64,
        dropout=0.0,
        vocabulary=VOCABULARY,
        head=zoo.Categorical(7),
    ),
}
MOST = 20


@pytest.fixture(params=[pytest.param("gru"), pytest.param("transformer", marks=pytest.mark.slow)])
def source(request):
    model = MODELS[request.param]
    variables = conformance.variables_of(model)
    jax.clear_caches()
    return model, variables


def test_few_programs_draw_any_number_after_any_prefix(source):
    """400 draws with changing numbers, prefixes and temperatures: the first half compiles all that
    there is.
    """
    model, variables = source
    random = np.random.RandomState(0)
    with jax.log_compiles(), conformance.compilations() as seen:
        for i in range(400):
            num, known = random.randint(1, 65), random.randint(1, 90)
            prefix = random.randint(0, 7, known)
            tempered = sample.Tempered(random.uniform(0.2, 2), min_p=random.uniform(0, 0.2))
            drawn = sample.draw(
                model, variables, jax.random.key(i), num, prefix=prefix, tempered=tempered
            )
            assert drawn.x.shape == (num, 100) and (np.asarray(drawn.x)[:, :known] == prefix).all()
            if i == 200:
                half = len(seen)
    assert len(seen) <= MOST, seen
    assert len(seen) == half


@pytest.mark.slow
def test_few_programs_write_any_text(source):
    random = np.random.RandomState(1)
    with jax.log_compiles(), conformance.compilations() as seen:
        for i in range(40):
            prompt = "".join(random.choice(VOCABULARY, random.randint(0, 70)))
            options = {
                "temperature": random.uniform(0.2, 2),
                "top_k": random.randint(1, 9),
                "key": jax.random.key(i),
            }
            texts = sample.text(source, prompt, random.randint(1, 7), length=50, **options).texts
            assert all(each.startswith(prompt) and len(each) == len(prompt) + 50 for each in texts)
            assert (
                "".join(sample.stream(source, prompt, length=50, **options))
                == texts[0][len(prompt) :]
            )
    assert len(seen) <= MOST, seen


def test_what_is_known_alike_is_read_once_and_changes_nothing(source):
    """A prefix that all samples share, one for each, and one that goes rank by rank give the same
    draws.
    """
    model, variables = source
    prefix = np.random.RandomState(2).randint(0, 7, (6, 70))
    each = sample.draw(model, variables, jax.random.key(0), 6, prefix=prefix)
    for row, one in enumerate(prefix):
        alike = sample.draw(model, variables, jax.random.key(0), 6, prefix=one)
        slow = sample.draw(model, variables, jax.random.key(0), 6, prefix=one, engine="recompute")
        assert (alike.x[row] == each.x[row]).all() and (alike.x == slow.x).all()
        np.testing.assert_allclose(alike.log_prob[row], each.log_prob[row], rtol=1e-5)
        np.testing.assert_allclose(alike.log_prob, slow.log_prob, rtol=1e-5)


def test_few_sizes():
    assert [few(num) for num in (1, 2, 3, 5, 9, 17, 32, 33, 48, 49, 65, 97, 200, 256)] == [
        *(1, 2, 4, 8, 16, 32, 32, 48, 48, 64, 96, 128, 256, 256)
    ]  # fmt: skip
    assert all(num <= few(num) <= 1.5 * num for num in range(32, 1000))
    assert [few_known(known) for known in (0, 31, 32, 63, 100, 255, 256, 1000)] == [
        0,
        0,
        32,
        32,
        96,
        224,
        256,
        896,
    ]
    assert all(0.8 * known < few_known(known) <= known for known in range(160, 5000))


WARMED = ["made", "pixel_cnn"]
WARMED_SLOWLY = ["transformer", "rnade", "pixel_transformer", "seq2seq_attention", "vae", "cnn"]


@pytest.mark.parametrize(
    "name", [*WARMED, *(pytest.param(each, marks=pytest.mark.slow) for each in WARMED_SLOWLY)]
)
def test_what_was_warmed_compiles_nothing(name):
    """Draws of other keys, numbers that are rounded alike, contexts and prefix values."""
    entry = zoo.entry(name)
    model = entry.tiny
    variables = conformance.variables_of(model)
    keys = list(jax.random.split(jax.random.key(1), 4))
    x, _ = entry.example(model, 1)
    tempers = isinstance(getattr(model, "head", None), zoo.Categorical)
    tempered = sample.Tempered(0.5) if tempers and name != "vae" else None
    jax.clear_caches()
    sample.warm(model, variables, [3, 40], batch_size=16, tempered=tempered)
    autoregressive = isinstance(model, zoo.Autoregressive)
    ways = {} if tempered is None else {"tempered": sample.Tempered(0.9)}
    if autoregressive:
        half = np.isin(np.arange(model.num_sites), model.sites[: model.num_sites // 2])
        known = {"prefix": np.asarray(x)[0], "known": half.reshape(model.site_shape)}
        sample.warm(model, variables, 3, **known)
    context = {num: entry.example(model, num)[1] for num in (3, 4, 40, 37)}
    with jax.log_compiles(), conformance.compilations() as seen:
        for key, num in zip(keys, context, strict=True):
            drawn = sample.draw(
                model, variables, key, num, context=context[num], batch_size=16, **ways
            )
            assert len(drawn.x) == num
        if autoregressive:
            sample.draw(model, variables, keys[0], 3, context=context[3], **known)
    assert not seen, seen
