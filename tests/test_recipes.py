"""The default recipes reach what the README promises, by the README's own commands. Minutes to a
quarter of an hour each.
"""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

PIXELS = (
    "pixel_cnn",
    "gated_pixel_cnn",
    "pixel_cnn_pp",
    "row_lstm",
    "diagonal_bilstm",
    "pixel_transformer",
)
REACH = {"fvsbn": 100.0, "made": 92.0, "nade": 93.0, **dict.fromkeys(PIXELS, 86.0)}


def trained(name, run):
    """The results of the default recipe, and what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "train", name, "--run-dir", str(run)],
        capture_output=True,
        text=True,
        timeout=3600,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads((run / "results.json").read_text()), done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", REACH)
def test_default_recipe(name, tmp_path):
    run = tmp_path / "run"
    results, printed = trained(name, run)
    assert results["nats"] <= REACH[name]
    for picture in ("samples.png", "curves.png"):
        assert np.asarray(Image.open(run / picture)).std() > 10
        assert str(run / picture) in printed


@pytest.mark.slow
def test_glimpses(tmp_path):
    results, printed = trained("ram", tmp_path / "run")
    assert results["error"] <= 3.0
    assert str(tmp_path / "run" / "labels.png") in printed
