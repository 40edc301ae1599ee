"""Writes the files of this version, which later versions have to read: docs/versions.md.

    python tests/checkpoints/write.py

Call it once, at a release. Each tiny model of the catalogue is saved with random weights, beside
four examples that it draws and what it knows of their log p. The folder `run` holds a training that
was interrupted, its data, and the results with and without the interruption.
"""

import contextlib
import json
import os
import shutil
import signal
import tempfile
from pathlib import Path

import jax
import numpy as np

import sample
import train
import zoo
from sample.testing.subject import variables_of
from train.data import Data
from train.engine.checkpoint import Checkpoints
from train.engine.loop import train as train_loop
from train.engine.prepare import inputs
from train.engine.run_folder import RunKeeper
from train.recipe.recipe import Recipe
from train.runs.folder import create

HERE = Path(__file__).parent
KEY, NUM, DRAWS = 3, 4, 8
STEPS, EVERY, STOP = 20, 5, 10  # of the run, between evaluations, and where it was interrupted


def scores_of(model, variables, x, context):
    """log p(x) or its bound by `DRAWS` draws, nats; an empty list where nothing is known."""
    if model.knows == "exact":
        return np.asarray(zoo.log_prob(model, variables, x, context)).tolist()
    if model.knows == "bound":
        key = jax.random.key(KEY)
        found = zoo.evidence(model, variables, x, context, key=key, num=DRAWS)
        return np.asarray(found).tolist()
    return []


class Stopping(RunKeeper):
    """Sends Ctrl-C at the evaluation of step `STOP`."""

    def record(self, record):
        super().record(record)
        if record["step"] == STOP and "valid_nats" in record:
            os.kill(os.getpid(), signal.SIGINT)


def write_run(folder):
    """An interrupted training in `folder`, its data in bits.npz, and the nats of their test split in
    expected.json: at the interruption, and at the end of a training that nothing interrupts.
    """
    random = np.random.RandomState(0)
    first = random.randint(2, size=(140, 1, 1))
    bits = (first ^ (random.uniform(size=(140, 2, 5)) < 0.1)).astype(np.uint8)
    model = zoo.CATALOGUE["made"].tiny.clone(site_shape=(2, 5))
    settings = {"steps": STEPS, "batch_size": 8, "eval_every": EVERY, "ema": 0.9}
    recipe = Recipe(model, Data("images", path="bits.npz"), learning_rate=0.03, **settings)
    with tempfile.TemporaryDirectory() as place:  # files of a checkpoint name their folder
        with contextlib.chdir(place):
            np.savez("bits.npz", train=bits[:80], valid=bits[80:110], test=bits[110:])
            whole = trained(Path("whole"), recipe, RunKeeper)
            interrupted = trained(Path("made"), recipe, Stopping)
            nats = {"interrupted": interrupted, "whole": whole}
            Path("expected.json").write_text(json.dumps(nats) + "\n")
        shutil.copytree(
            place, folder, ignore=shutil.ignore_patterns("whole", ".lock", str(STOP - EVERY))
        )


def trained(folder, recipe, keeper):
    """The test nats of a training in `folder`."""
    dataset = inputs(recipe)
    run = create("made", recipe, folder, dataset)
    with Checkpoints(run.checkpoints) as checkpoints, contextlib.suppress(KeyboardInterrupt):
        train_loop(recipe, dataset, keeper(run, checkpoints))
    return train.evaluate(*zoo.load(run.model), dataset.test.x).nats


def main():
    """Writes a folder named by the version; a folder that is there stays."""
    folder = HERE / zoo.__version__
    folder.mkdir()
    expected = {}
    for name, entry in zoo.CATALOGUE.items():
        model = entry.tiny
        variables, (_, context) = variables_of(model), zoo.example(model, NUM)
        zoo.save(folder / f"{name}.safetensors", model, variables)
        x = sample.draw(model, variables, jax.random.key(KEY), NUM, context=context).x
        scores = scores_of(model, variables, x, context)
        expected[name] = {"x": np.asarray(x).tolist(), "scores": scores}
    lines = [f"{json.dumps(name)}: {json.dumps(each)}" for name, each in expected.items()]
    (folder / "expected.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
    write_run(folder / "run")


if __name__ == "__main__":
    main()
