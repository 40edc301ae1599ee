"""Files of every version are read, and mean the same: docs/versions.md."""

import json
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest
import safetensors.numpy

import sample
import train
import zoo
from train.engine.run_folder import load_data, train_run
from train.runs.folder import Run

SAVED = Path(__file__).parent / "checkpoints"
VERSIONS = sorted(folder.name for folder in SAVED.iterdir() if (folder / "expected.json").exists())
EXPECTED = {
    (version, name): each
    for version in VERSIONS
    for name, each in json.loads((SAVED / version / "expected.json").read_text()).items()
}
QUICK = ("nade", "lstm", "vae", "cnn")  # one of a room; the others are slow
MODELS = [
    pytest.param(*where, marks=() if where[1] in QUICK else pytest.mark.slow) for where in EXPECTED
]


def test_every_version_has_its_models():
    assert "0.2.0" in VERSIONS
    for version in VERSIONS:
        names = {name for of, name in EXPECTED if of == version}
        files = {file.stem for file in (SAVED / version).glob("*.safetensors")}
        assert names == files and len(names) > 30


@pytest.mark.parametrize(("version", "name"), MODELS)
def test_a_model_scores_and_draws_as_it_did(version, name):
    expected = EXPECTED[version, name]
    model, variables = zoo.load(SAVED / version / f"{name}.safetensors")
    x, scores = np.asarray(expected["x"], model.head.dtype), expected["scores"]
    num, (_, context) = len(x), zoo.example(model, len(x))
    if model.knows == "exact":
        found = zoo.log_prob(model, variables, x, context)
        np.testing.assert_allclose(found, scores, rtol=1e-4)
    elif model.knows == "bound":
        found = zoo.evidence(model, variables, x, context, key=jax.random.key(3), num=8)
        np.testing.assert_allclose(found, scores, rtol=1e-3)
    else:
        assert scores == []
    drawn = sample.draw(model, variables, jax.random.key(3), num, context=context)
    np.testing.assert_allclose(drawn.x, x, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("version", VERSIONS)
def test_an_interrupted_run_is_evaluated_and_resumed(version, tmp_path, monkeypatch):
    """A version that no longer resumes an older run deletes its `checkpoints` and says so in
    docs/versions.md; its model stays.
    """
    expected = json.loads((SAVED / version / "run" / "expected.json").read_text())
    shutil.copytree(SAVED / version / "run", tmp_path / "run")
    monkeypatch.chdir(tmp_path / "run")
    run = Run(Path("made"))
    _, recipe = run.name_and_recipe()
    dataset = load_data(run, recipe)

    def nats_of_test():
        return train.evaluate(*zoo.load(run.model), dataset.test.x).nats

    np.testing.assert_allclose(nats_of_test(), expected["interrupted"], rtol=1e-4)
    if run.checkpoints.exists():
        train_run(run, recipe, dataset)
        assert [each["step"] for each in run.records() if "valid_nats" in each] == [5, 10, 15, 20]
        np.testing.assert_allclose(nats_of_test(), expected["whole"], rtol=1e-3)


def test_a_newer_format_is_refused_in_one_line(tmp_path):
    file = tmp_path / "model.safetensors"
    arrays = safetensors.numpy.load_file(SAVED / "nade.safetensors")
    safetensors.numpy.save_file(arrays, file, {"format": "autoregressive-zoo/99", "model": "{}"})
    with pytest.raises(
        zoo.CheckpointError, match="not of this zoo .format 'autoregressive-zoo/99'"
    ):
        zoo.load(file)
