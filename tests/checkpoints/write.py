"""Writes the checkpoints of this version, which later versions have to read: docs/versions.md.

    python tests/checkpoints/write.py

Call it once, at a release. Each tiny model of the catalogue is saved with random weights, beside
four examples that it draws and what it knows of their log p.
"""

import json
from pathlib import Path

import jax
import numpy as np

import sample
import zoo
from sample.testing.subject import variables_of

HERE = Path(__file__).parent
KEY, NUM, DRAWS = 3, 4, 8


def scores_of(model, variables, x, context):
    """log p(x) or its bound by `DRAWS` draws, nats; an empty list where nothing is known."""
    if model.knows == "exact":
        return np.asarray(zoo.log_prob(model, variables, x, context)).tolist()
    if model.knows == "bound":
        key = jax.random.key(KEY)
        found = zoo.evidence(model, variables, x, context, key=key, num=DRAWS)
        return np.asarray(found).tolist()
    return []


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


if __name__ == "__main__":
    main()
