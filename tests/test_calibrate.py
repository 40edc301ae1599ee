"""The temperature that is fitted after a training."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest
from test_train_cli import cli, data, drawn, fails, flags  # noqa: F401 (fixtures)

import sample
import train.cli.evaluate
import zoo
from train.data import Split
from train.engine.calibrate import calibrated
from train.recipe.recipe import Recipe


@pytest.mark.parametrize("certain", [0.7, 1.0, 1.5])
def test_the_temperature_undoes_too_much_certainty(certain):
    """The logits of an FVSBN are linear in its variables: multiplied by a number, they are right at
    that temperature.
    """
    model = zoo.FVSBN((4, 4))
    variables = jax.tree.map(
        lambda leaf: leaf + 1.0 - leaf.mean(),
        zoo.init(model, jax.random.key(0), np.zeros((1, 4, 4), np.int32)),
    )
    x = np.asarray(sample.draw(model, variables, jax.random.key(1), 4000).x)
    wrong = jax.tree.map(lambda leaf: certain * leaf, variables)
    found = calibrated(Recipe(model, batch_size=1000), model, wrong, Split(x, None))
    assert found == model.clone(head=found.head)
    assert found.head.temperature == pytest.approx(certain, rel=0.06)
    nats = {
        t: -zoo.log_prob(model.clone(head=zoo.Bernoulli(temperature=t)), wrong, x).mean()
        for t in (0.5, 1.0, 2.0)
    }
    assert -zoo.log_prob(found, wrong, x).mean() <= min(nats.values()) + 1e-3


@pytest.mark.slow
def test_a_calibrated_run(flags, capsys):  # noqa: F811
    """The checkpoint has the temperature, so that all that comes after has the same likelihoods."""
    members = ["--model.num-masks", "2", "--model.num-orderings", "2", "--validate-ensemble"]
    assert cli.main(["made", *flags, *members, "--samples", "0", "--calibrate"]) == 0
    out = capsys.readouterr().out
    results = json.loads(Path("runs/made/results.json").read_text())
    model, _ = zoo.load("runs/made")
    assert model.head.temperature == results["temperature"] != 1
    assert f"temperature {model.head.temperature}, fitted on the validation split" in out
    assert train.cli.evaluate.main(["made", "--ensemble"]) == 0
    assert f": {results['ensemble']['nats']:.2f} +- " in capsys.readouterr().out
    records = [
        json.loads(line) for line in Path("runs/made/metrics.jsonl").read_text().splitlines()
    ]
    before = min(record["valid_nats"] for record in records if "valid_nats" in record)
    assert train.cli.evaluate.main(["made", "--ensemble", "--split", "valid"]) == 0
    after = float(capsys.readouterr().out.split("valid, ensemble of 2: ")[1].split()[0])
    assert after <= before + 0.005


def test_what_has_no_temperature(flags, capsys):  # noqa: F811
    head = ["--model.head", "categorical:2"]
    assert "this one is a Categorical: drop it" in fails(
        capsys, 1, "made", *flags, *head, "--calibrate"
    )
    assert not Path("runs").exists()
