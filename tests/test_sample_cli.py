"""`python -m sample` and `python -m sample.bench`: what they print, write and refuse."""

import subprocess
import sys

import conformance
import numpy as np
import pytest
from PIL import Image

import sample.__main__ as cli
import zoo
from sample import bench

MODEL = zoo.CATALOGUE["gated_pixel_cnn"].tiny


@pytest.fixture
def run(tmp_path):
    zoo.save(tmp_path / "model.safetensors", MODEL, conformance.variables_of(MODEL))
    return tmp_path


def test_a_grid_and_its_figures(run, capsys):
    cli.main(cli.Options(str(run), num=10, columns=5, scale=3))
    printed = capsys.readouterr().out
    assert "nats" in printed and "samples/s" in printed and "compilation" in printed
    assert f"grid of 10: {run / 'samples.png'}" in printed
    assert np.asarray(Image.open(run / "samples.png")).shape == (3 * (2 * 4 + 1), 3 * (5 * 4 + 1))


def test_a_label_is_given_to_every_image(run, capsys):
    cli.main(cli.Options(str(run), num=9, label=2, out=run / "two.png"))
    cli.main(cli.Options(str(run), num=9, out=run / "all.png"))
    assert (np.asarray(Image.open(run / "two.png")) != np.asarray(Image.open(run / "all.png"))).any()
    with pytest.raises(ValueError, match="labels 0..2.*got values from 7 to 7"):
        cli.main(cli.Options(str(run), num=9, label=7))


@pytest.mark.parametrize(
    ("change", "message"),
    [({"num": 0}, "must be at least 1"), ({"seed": -1}, "--seed must be in"), ({"run": "absent"}, "train one first")],
)
def test_refusals(run, change, message):
    with pytest.raises(ValueError, match=message):
        cli.main(cli.Options(**({"run": str(run)} | change)))


def test_errors_are_one_line(tmp_path):
    command = [sys.executable, "-m", "sample", str(tmp_path / "absent")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("error: no trained model at") and done.stderr.count("\n") == 1


def test_bench_prints_a_row_for_each_engine_and_batch(run, capsys):
    bench.main(bench.Options(run=str(run), batch=(1, 3), repeats=2))
    rows = [line.split("|") for line in capsys.readouterr().out.splitlines() if line.startswith("| Gated")]
    assert [(row[2].strip(), row[3].strip()) for row in rows] == [
        (batch, what) for batch in ("1", "3") for what in ("log_prob", "cached", "jacobi", "recompute")
    ]
    assert all(float(row[7]) > 0 for row in rows)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"batch": (0,)}, "--batch and --repeats"), ({"repeats": 0}, "--batch and"), ({"models": ("mde",)}, "'made'")],
)
def test_bench_refuses(change, message):
    with pytest.raises(ValueError, match=message):
        bench.main(bench.Options(**change))
