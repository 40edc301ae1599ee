"""The root contract: what a model knows of log p(x), and that everything says so."""

import json

import jax
import jax.numpy as jnp
import latent_models
import numpy as np
import pytest
from latent_models import Cloud, Copier, Shifted

import sample
import train
import zoo
from sample import __main__ as sampling
from sample.testing import suite
from train import __main__ as training
from train.cli import evaluate as evaluation
from zoo.core import bounds

KEY = jax.random.key(1)
X = np.random.RandomState(0).randint(0, 2, (60, 2, 3))


def made(model):
    return zoo.init(model, KEY, jnp.asarray(X))


def cases():
    for model in (Cloud(), Shifted((2,)), Copier()):
        for check in suite.checks_of(model):
            yield pytest.param(model, check, id=f"{type(model).__name__}-{check.__name__}")


@pytest.mark.parametrize(("model", "check"), list(cases()))
def test_each_keeps_its_contract(model, check):
    entry = zoo.Entry(model, model)
    assert suite.why_skipped(check, entry) is None
    assert check(entry) is None


def exact(model, variables, x):
    """log p(x) of a Cloud of one latent, by quadrature over z."""
    z = np.linspace(-9, 9, 4001)
    weights = np.exp(-z * z / 2) / np.sqrt(2 * np.pi) * (z[1] - z[0])
    params = zoo.decode(model, variables, z[:, None])
    nats = zoo.score(model.head, jnp.repeat(params[:, None], len(x), 1), jnp.asarray(x))
    return np.log((weights[:, None] * np.exp(np.asarray(nats, np.float64))).sum(0))


def test_the_bound_meets_quadrature():
    model = Cloud(latents=1)
    variables = jax.tree.map(lambda leaf: 0.8 * leaf, made(model))
    truth, x = exact(model, variables, X[:8]), X[:8]

    def mean(num):
        found = [
            zoo.evidence(model, variables, x, key=jax.random.key(i), num=num) for i in range(40)
        ]
        return np.mean(found, axis=0)

    gaps = [(truth - mean(num)).mean() for num in (1, 10, 1000)]
    assert gaps[0] > gaps[1] > gaps[2] > -0.005
    assert abs(gaps[2]) < 0.01


def test_many_draws_are_taken_a_few_at_a_time():
    model = Cloud()
    variables = made(model)
    whole = zoo.evidence(model, variables, X[:4], key=KEY, num=130)
    some = zoo.evidence(model, variables, X[2:4], key=KEY, num=130, indices=np.array([2, 3]))
    np.testing.assert_allclose(some, whole[2:], rtol=1e-5)


def test_many_rows_are_taken_as_many_as_fit(monkeypatch):
    model = Cloud()
    variables, x = made(model), np.tile(X, (50, 1, 1))
    rows = (x, None, KEY, np.arange(len(x), dtype=np.uint32))

    def memory(num):
        program = bounds._evidence.lower(model, variables, *rows, num).compile()
        return program.memory_analysis().temp_size_in_bytes

    whole = zoo.evidence(model, variables, x[:7], key=KEY, num=60)
    assert memory(60) > 5 * 2**20  # 3,000 rows, 50 draws, 6 values of 4 bytes
    monkeypatch.setattr(bounds, "VALUES_AT_ONCE", 3 * 50 * 6)
    assert memory(61) < 2**20
    cut = zoo.evidence(model, variables, x[:8], key=KEY, num=60)
    np.testing.assert_allclose(cut[:7], whole, rtol=1e-5)


WRONG = [
    (lambda m, v: zoo.log_prob(m, v, X), "Cloud knows a lower bound of log p\\(x\\) only"),
    (lambda m, v: zoo.evidence(m, v, X), "pass key="),
    (lambda m, v: zoo.evidence(m, v, X, key=KEY, num=0), "num must be .* at least 1"),
    (lambda m, v: zoo.conditionals(m, v, X), "has no conditionals"),
    (lambda m, v: zoo.derive(m, v, 2), "has no conditionals"),
    (lambda m, v: zoo.ensemble_log_prob([m], v, X), "lower bound"),
    (lambda m, v: sample.draw(m, v, KEY, 2, prefix=X[0, :1]), "drop prefix"),
    (lambda m, v: sample.draw(m, v, KEY, 2, engine="jacobi"), "drop engine"),
    (lambda m, v: zoo.decode(m, v, np.zeros((2, 3))), r"codes \[batch, 2\]"),
    (lambda m, v: train.evaluate(m, v, X, ensemble=True), "no mixture"),
    (lambda m, v: train.evaluate(m, v, X, draws=0), r"in 1..16,777,216; got 0"),
    (lambda m, v: train.evaluate(m, v, X, draws=10**12), "draws must be in 1..16,777,216"),
    (lambda m, v: train.Recipe(m, draws=10**12), "draws must be at most 16,777,216"),
]


@pytest.mark.parametrize(("call", "why"), WRONG)
def test_what_has_no_meaning_is_refused(call, why):
    model = Cloud()
    with pytest.raises(ValueError, match=why) as caught:
        call(model, made(model))
    assert "\n" not in str(caught.value)


def test_evaluations_say_what_is_known():
    model = Cloud()
    variables = made(model)
    bound = train.evaluate(model, variables, X, draws=5000)
    assert (bound.knows, bound.draws) == ("bound", 5000)
    assert str(bound).startswith("<= ") and " nats (bound, 5,000 draws), " in str(bound)
    assert bound.nats < train.evaluate(model, variables, X, draws=1).nats
    copier = Copier()
    none = train.evaluate(copier, made(copier), X)
    assert str(none).startswith("no likelihood; squared error 1.5") and np.isnan(none.nats)
    assert none.judged == none.watched
    with pytest.raises(ValueError, match="has no likelihood.*drop draws"):
        train.evaluate(copier, made(copier), X, draws=3)


def test_evaluation_is_the_same_in_every_batch():
    model = Cloud()
    variables = made(model)
    whole, cut = (train.evaluate(model, variables, X, batch_size=size) for size in (60, 7))
    np.testing.assert_allclose(whole.nats, cut.nats, rtol=1e-6)


@pytest.mark.parametrize("cls", [Cloud, Copier])
def test_fit(cls):
    x = np.tile(np.array([[[1, 1, 0], [0, 0, 1]]]), (200, 1, 1))
    model, variables, history = train.fit(cls(), x, steps=150, learning_rate=0.3, eval_every=50)
    drawn = np.asarray(sample.draw(model, variables, KEY, 50).x)
    assert (drawn == x[0]).mean() > 0.9
    judged = history.valid_nats if cls is Cloud else history.valid_watched
    assert len(judged) == len(history.valid_steps) == 3 and judged[-1] < judged[0]
    assert "at step" in repr(history) and history.plot().axes


def test_commands_label_what_they_print(tmp_path, monkeypatch, capfd):
    """An own model that knows a bound: train, results, evaluate, sample, and what is refused."""
    monkeypatch.chdir(tmp_path)
    file = latent_models.__file__
    flags = [
        "--steps",
        "60",
        "--draws",
        "20",
        "--data.name",
        "digits",
        "--data.binarise",
        "threshold",
    ]
    assert training.main([f"{file}:Cloud", *flags, "--samples", "0"]) == 0
    assert "nats (bound, 20 draws)" in (out := capfd.readouterr().out) and "test: <= " in out
    results = json.loads((tmp_path / "runs/Cloud/results.json").read_text())
    assert results["knows"] == "bound" and results["draws"] == 20
    words = ["Cloud", "--draws", "50", "--classes", file, "--split", "valid"]
    assert evaluation.main(words) == 0
    out = capfd.readouterr().out
    assert "valid: <= " in out and "(bound, 50 draws)" in out
    sampling.run(["runs/Cloud", "--num", "4"])
    assert "no exact likelihood" in capfd.readouterr().out
    assert evaluation.main(["Cloud", "--orderings", "2", "--classes", file]) == 1
    assert "Cloud draws whole examples from noise, in no ordering" in capfd.readouterr().err
    with pytest.raises(ValueError, match="this Cloud takes no labels.*drop --label"):
        sampling.run(["runs/Cloud", "--label", "1"])
    for flags in (["--surprise"], ["--complete", "2"], ["--engine", "jacobi"], ["--gif"]):
        with pytest.raises(ValueError, match=f"has no conditionals: drop {flags[0]}."):
            sampling.run(["runs/Cloud", *flags])
