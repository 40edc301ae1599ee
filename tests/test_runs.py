"""A run folder: one process at a time, data wherever they lie, files that others have touched,
numbers
  out of range.
"""

import io
import json
import math
import multiprocessing.pool
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from test_train_cli import drawn, fails, flags  # noqa: F401 (fixtures)
from test_training import data, noisy_copies, tiny  # noqa: F401 (a fixture)

import train.__main__ as cli
import train.cli.evaluate
import train.engine.loop
import train.engine.run_folder
import train.runs.folder
import zoo.cli
from train.data import Data
from train.engine.figures import Evaluation, perplexity
from train.engine.prepare import inputs
from train.engine.report import finish, finished
from train.runs.folder import Run, RunError, create
from zoo.foundation.files import to_json

ROOT = Path(__file__).resolve().parents[1]
HOLD = """
import sys, time
from pathlib import Path
from train.runs.folder import Run
with Run(Path(sys.argv[1])).held():
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a finished run and its data; not to be changed."""
    folder = tmp_path_factory.mktemp("trained")
    splits = {
        "train": noisy_copies(80),
        "valid": noisy_copies(30, seed=1),
        "test": noisy_copies(30, seed=2),
    }
    np.savez(folder / "bits.npz", **splits)
    recipe = tiny(data=Data(name="images", path=str(folder / "bits.npz")), steps=10)
    dataset = inputs(recipe)
    run = create("made", recipe, folder / "made", dataset)
    finish(run, recipe, dataset, train.engine.run_folder.train_run(run, recipe, dataset), "")
    return folder


@pytest.fixture
def run(trained):
    """A finished run that may be changed."""
    shutil.copytree(trained / "made", "runs/made")
    return Run(Path("runs/made"))


def holder(folder):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], env=environment, stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"held\n"
    return process


def test_a_run_belongs_to_one_process(run, capsys):
    run.results.unlink()
    with holder(run.folder) as process:
        files = {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()}
        line = fails(capsys, 1, "made", "--resume")
        assert (
            f"runs/made is being trained by process {process.pid} on " in line
            and " since 20" in line
        )
        assert train.cli.evaluate.main(["made"]) == 0, "to read takes no lock"
        assert files == {
            path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()
        }
        process.kill()
    assert cli.main(["made", "--resume"]) == 0, "what was killed holds nothing"
    assert not (run.folder / train.runs.folder.HOLDER).exists()


def test_a_run_is_free_again_after_an_error(run):
    run.results.unlink()
    with pytest.raises(RuntimeError), run.held():
        raise RuntimeError
    with run.held(), pytest.raises(RunError, match=f"process {os.getpid()} on"), run.held():
        pass
    assert cli.main(["made", "--resume"]) == 0


def claim(start, folder):
    start.wait()
    try:
        return str(create("made", tiny(), folder).folder)
    except RunError:
        return None


@pytest.mark.parametrize("folder", [None, Path("own")])
def test_runs_that_begin_together(folder, tmp_path, monkeypatch):
    """Each of eight gets a folder of its own; of eight that want one folder, one gets it."""
    monkeypatch.chdir(tmp_path)
    with multiprocessing.pool.ThreadPool(8) as pool:
        for attempt in range(5):
            barrier = threading.Barrier(8)
            into = None if folder is None else Path(f"{folder}{attempt}")
            got = pool.starmap(claim, [(barrier, into)] * 8)
            if folder is None:
                assert len(set(got)) == 8
            else:
                assert sorted(map(str, got)) == sorted([str(into), *["None"] * 7])
    for run in map(Run, (tmp_path / "runs").glob("*")):
        assert run.name_and_recipe()[0] == "made"


def test_a_model_is_whole_while_it_is_written(run):
    """Who reads during a training finds one model or the next."""
    model, _ = zoo.load(run.model)
    script = (
        "import sys, zoo\nmodel, variables = zoo.load(sys.argv[1])\n"
        "print('on', flush=True)\nwhile True: zoo.save(sys.argv[1], model, variables)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", script, str(run.model)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as writer:
        assert writer.stdout.readline() == b"on\n"
        until = time.monotonic() + 1
        while time.monotonic() < until:
            assert zoo.load(run.model)[0] == model
        writer.kill()


def interrupted(flags, monkeypatch):  # noqa: F811
    class Interrupting(train.data.batching.Batches):
        def __call__(self, step):
            if step == 6:
                os.kill(os.getpid(), signal.SIGINT)
            return super().__call__(step)

    with monkeypatch.context() as patch:
        patch.setattr(train.kinds.kind, "Batches", Interrupting)
        assert cli.main(["made", *flags]) == 130


def test_a_path_is_no_data(flags, data, capsys, monkeypatch, tmp_path):  # noqa: F811
    """Where they lie may change, by a relative path and from another folder too; what they are may
    not.
    """
    moved = tmp_path / "elsewhere" / "moved.npz"
    moved.parent.mkdir()
    interrupted(flags, monkeypatch)
    shutil.move(data.path, moved)
    line = fails(capsys, 1, "made", "--resume")
    assert "bits.npz" in line and "say where they are by --data.path" in line
    assert cli.main(["made", "--resume", "--data.path", "../elsewhere/moved.npz"]) == 0
    assert train.cli.evaluate.main(["made"]) == 0, "the run knows where they lie now"
    results = Path("runs/made/results.json").absolute()
    folder = str(results.parent)
    monkeypatch.chdir(moved.parent)
    moved.rename("again.npz")
    assert train.cli.evaluate.main([folder]) == 1
    assert "say where they are by --data.path" in capsys.readouterr().err.splitlines()[-1]
    assert train.cli.evaluate.main([folder, "--data.path", "again.npz"]) == 0
    nats = json.loads(results.read_text())["nats"]
    assert f"test: {nats:.2f} +-" in capsys.readouterr().out.splitlines()[-1]
    np.savez(
        "other.npz",
        train=noisy_copies(80),
        valid=noisy_copies(30, seed=1),
        test=noisy_copies(30, seed=3),
    )
    assert train.cli.evaluate.main([folder, "--data.path", "other.npz"]) == 1
    assert "was trained on other data than other.npz" in capsys.readouterr().err
    results.unlink()
    assert "was trained on other data" in fails(
        capsys, 1, "made", "--resume", "--run-dir", folder, "--data.path", "other.npz"
    )
    assert (
        json.loads((results.parent / "config.json").read_text())["recipe"]["data"]["path"]
        == "../elsewhere/moved.npz"
    )


def test_where_the_data_of_an_older_run_lie_is_part_of_it(run, trained, capsys):
    run.results.unlink()
    config = json.loads(run.config.read_text())
    run.config.write_text(
        json.dumps({key: value for key, value in config.items() if key != "data"})
    )
    shutil.copy(trained / "bits.npz", "copy.npz")
    assert "data.path is" in fails(capsys, 1, "made", "--resume", "--data.path", "copy.npz")
    assert cli.main(["made", "--resume"]) == 0


DEEP = "[" * 100_000


@pytest.mark.parametrize(
    "line",
    [
        DEEP, "no JSON", "[1, 2]", '"x"', "3", '{"step": "4"}', '{"nats": 3}', "\0\xff",
        '{"step": 3, "valid_nats": "low"}', '{"step": null}', '{"step": true}',
    ],
    ids=lambda line: line[:9],
)  # fmt: skip
def test_metrics_with_a_foreign_line(run, line, capsys):
    run.results.unlink()
    whole = run.metrics.read_bytes()
    run.metrics.write_bytes(whole + line.encode("latin-1") + b"\n")
    said = fails(capsys, 1, "made", "--resume")
    number = whole.count(b"\n") + 1
    assert (
        f"runs/made/metrics.jsonl, line {number} is no line of metrics" in said and len(said) < 500
    )
    run.metrics.write_bytes(whole)  # as advised
    assert cli.main(["made", "--resume"]) == 0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (None, DEEP), (None, "[]"), (None, '"x"'), (None, "null"), (None, "\0\xff"), (None, "{"),
        ("name", 3), ("data", []), ("recipe", []), ("recipe", None), ("recipe.steps", "x"), ("recipe.steps", 2.5),
        ("recipe.steps", True), ("recipe.batch_size", None), ("recipe.ema", "a"), ("recipe.dtype", "float8"),
        ("recipe.model", None), ("recipe.model", []), ("recipe.model", {"class": "Bernoulli"}), ("recipe.data", 3),
        ("recipe.data", {"path": 3}), ("recipe.data", {"binarise": 1}), ("recipe.seed", 10**30), ("recipe.more", 1),
        ("recipe.encoder", 7), ("recipe.model.hidden", "a"), ("recipe.model.site_shape", {"a": []}),
    ],
)  # fmt: skip
def test_configurations_of_other_kinds(run, field, value, capsys):
    run.results.unlink()
    config = json.loads(run.config.read_text())
    if field is None:
        text = value
    else:
        *within, last = field.split(".")
        part = config
        for name in within:
            part = part[name]
        part[last] = (
            {**part[last], **value} if field == "recipe.data" and isinstance(value, dict) else value
        )
        text = json.dumps(config)
    run.config.write_bytes(text.encode("latin-1"))
    said = fails(capsys, 1, "made", "--resume")
    assert "runs/made/config.json cannot be read as the recipe of a run" in said and len(said) < 500
    assert train.cli.evaluate.main(["runs/made"]) == 1
    assert "config.json cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text", [DEEP, "[]", "null", '{"steps": "x", "nats": 3}', '{"steps": 3, "nats": []}', "{"]
)
def test_results_of_other_kinds(run, text, capsys):
    run.results.write_text(text)
    said = fails(capsys, 1, "made", "--resume")
    assert "runs/made/results.json cannot be read" in said and len(said) < 500
    run.results.unlink()  # as advised
    assert cli.main(["made", "--resume"]) == 0


def test_perplexity_of_any_nats():
    assert perplexity(1.0) == "2.718"
    assert perplexity(12.0) == f"{math.exp(12):.3f}"
    assert perplexity(700.0) == f"{math.exp(700):.3e}"
    assert perplexity(1000.0) == "1.970e+434"
    assert perplexity(math.inf) == "exp(inf)" and perplexity(math.nan) == "exp(nan)"
    assert "perplexity 1.970e+434" in str(Evaluation(1000.0, 1.0, 1442.7, 5, "char"))


def test_json_has_no_nan(tmp_path):
    odd = {
        "a": math.nan,
        "b": (np.float64("inf"), [-math.inf, 1.5]),
        "c": {"d": math.nan},
        "e": None,
        "f": "nan",
    }
    expected = {"a": None, "b": [None, [None, 1.5]], "c": {"d": None}, "e": None, "f": "nan"}
    assert json.loads(to_json(odd), parse_constant=pytest.fail) == expected
    run = Run(tmp_path)
    run.append({"step": 1, "of": math.nan})
    assert run.records() == [{"step": 1, "of": None}]
    run.results.write_text(to_json({"steps": 3, "nats": math.nan}))
    assert "3 steps, test nan nats" in finished(run)


def test_nothing_but_memory_is_called_memory(flags, capsys, monkeypatch):  # noqa: F811
    monkeypatch.setattr(cli, "train_run", lambda *_: math.exp(1000))
    line = fails(capsys, 1, "made", *flags)
    assert "memory" not in line and "math range error" in line
    assert not zoo.cli.out_of_memory(OverflowError("math range error"))
    assert "memory" not in zoo.cli.complaint(OverflowError("math range error"))
    with pytest.raises(ZeroDivisionError):
        zoo.cli.complaint(ZeroDivisionError())
    assert zoo.cli.out_of_memory(MemoryError())


def test_huge_nats_are_evaluated_and_kept(tmp_path, monkeypatch, data, capsys):  # noqa: F811
    """Validation nats above 709 of a char: they are printed, and a checkpoint is written."""
    recipe = tiny(data=data, steps=5)
    run = create("made", recipe, tmp_path / "run")
    monkeypatch.setattr(
        train.engine.loop, "evaluate", lambda *_, **__: Evaluation(1e5, 1.0, 1.4e5, 30, "char")
    )
    train.engine.run_folder.train_run(run, recipe, inputs(recipe))
    assert "perplexity 2.807e+43429" in capsys.readouterr().err
    assert run.model.exists() and (run.checkpoints / "5").is_dir()


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1", "utf-8"])
def test_stdout_that_is_not_utf_8(encoding, monkeypatch):
    """What an encoding lacks is written with a backslash."""
    written = io.BytesIO()
    with io.TextIOWrapper(written, encoding=encoding) as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        zoo.cli.any_stdout()
        print("größer 中文 \U0001f600", end="", flush=True)
        got = written.getvalue()
    assert got == "größer 中文 \U0001f600".encode(encoding, "backslashreplace")


@pytest.mark.parametrize(("asked", "steps"), [(0, [25, 50, 60]), (20, [20, 40, 60])])
def test_small_data_are_not_evaluated_at_every_step(data, tmp_path, asked, steps):  # noqa: F811
    """80 examples in batches of 40 are two steps an epoch."""
    recipe = tiny("nade", data=data, steps=60, batch_size=40, eval_every=asked)
    run = create("nade", recipe, tmp_path / "run")
    train.engine.run_folder.train_run(run, recipe, inputs(recipe))
    assert [record["step"] for record in run.records() if "valid_nats" in record] == steps
