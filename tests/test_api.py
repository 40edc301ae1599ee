"""What a user can get wrong in a call: each ends in one line that says what was expected, what came
and what to do.
"""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import conformance
import numpy as np
import pytest
import safetensors.numpy
import wrong_calls

import sample
import zoo

KEY, MODEL, variables = wrong_calls.KEY, wrong_calls.MODEL, wrong_calls.variables


@pytest.fixture(scope="module")
def outcomes():
    """Of all wrong calls, in a process without the type checker, which also checks what is
    converted.
    """
    path = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
    environment = os.environ | {"PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, wrong_calls.__file__],
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("index", range(len(wrong_calls.ALL)), ids=lambda i: wrong_calls.ALL[i][1])
def test_wrong_calls_end_in_one_line(outcomes, index):
    kind, message, seconds = outcomes[index]
    assert kind == "ValueError" and re.search(wrong_calls.ALL[index][1], message), (kind, message)
    assert "\n" not in message and len(message) < 500 and seconds < 10


def test_a_prefix_of_nested_lists_is_values():
    rows = [[0, 1, 0], [1, 0, 0]]
    drawn = sample.draw(MODEL, variables(), KEY, 2, prefix=rows)
    assert (np.asarray(drawn.x) == rows).all()
    known = [[True, True, False], [False, False, False]]
    pair = sample.draw(MODEL, variables(), KEY, 2, prefix=(rows, known))
    assert (np.asarray(pair.x)[:, 0, :2] == [0, 1]).all()


def test_a_mask_stands_beside_its_values():
    rows = np.array([[1, 0, 1], [9, 9, 9]])
    known = [[True, True, False], [False, False, False]]
    pair = sample.draw(MODEL, variables(), KEY, 3, prefix=(rows, known))
    for values in (rows, rows.tolist()):
        beside = sample.draw(MODEL, variables(), KEY, 3, prefix=values, known=known)
        assert (np.asarray(beside.x) == np.asarray(pair.x)).all()
    assert (np.asarray(pair.x)[:, 0, :2] == [1, 0]).all()
    wrong = (
        ({"known": known}, "pass prefix=values with known=mask"),
        ({"prefix": (rows, known), "known": known}, "given twice"),
        ({"prefix": rows, "known": rows}, "mask of known sites must be boolean; got int64"),
        ({"prefix": rows, "known": "x"}, "known must be an array of numbers"),
        ({"prefix": rows, "known": [True]}, r"must have shape \[2, 3\]"),
    )
    for options, why in wrong:
        with pytest.raises(ValueError, match=why):
            sample.draw(MODEL, variables(), KEY, 3, **options)


def test_every_source_is_found_by_every_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "made").mkdir(parents=True)
    zoo.save("runs/made/model.safetensors", MODEL, variables())
    wanted = sample.images((MODEL, variables()), 3)
    for source in (
        "made",
        "runs/made",
        tmp_path / "runs/made/model.safetensors",
        (MODEL, variables()),
    ):
        assert (sample.images(source, 3) == wanted).all()
    with pytest.raises(zoo.CheckpointError, match="train one first"):
        sample.images("nade", 3)


def test_headers_of_many_layers_are_refused_at_once(tmp_path):
    model = zoo.LSTM((4,), 3, 1, head=zoo.Categorical(4))
    zoo.save(tmp_path / "m", model, conformance.variables_of(model))
    with safetensors.safe_open(tmp_path / "m", "numpy") as file:
        header, arrays = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    for layers in (200, 10_000):
        text = json.dumps(json.loads(header["model"]) | {"layers": layers})
        signed = header | {"model": text, "digest": zoo.core.checkpoint.digest(text, arrays)}
        safetensors.numpy.save_file(arrays, tmp_path / "deep", signed)
        began = time.monotonic()
        with pytest.raises(
            zoo.CheckpointError, match="at least 200|10,000 layers, the limit is 256"
        ):
            zoo.load(tmp_path / "deep")
        assert time.monotonic() - began < 2
