"""`python -m train` and `python -m train.evaluate` as a user meets them."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from test_training import data  # noqa: F401 (a fixture)

import sample.score_file
import train.__main__ as cli
import train.cli.evaluate
import train.data.batching
import train.kinds.kind
import zoo
from train.cli.options import parse
from train.recipe.presets import RECIPES
from train.runs.folder import Run

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def drawn(tmp_path, monkeypatch):
    """Works in an empty folder, and keeps the process from becoming the sampler."""
    calls = []
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setattr(os, "execv", lambda program, words: calls.append(words))
    return calls


@pytest.fixture
def flags(data):  # noqa: F811
    """Flags of a training that takes a second."""
    words = [
        "--data.name",
        "images",
        "--data.path",
        data.path,
        "--model.site-shape",
        "2",
        "5",
        "--model.hidden",
        "6",
    ]
    return [*words, "--steps", "10", "--batch-size", "8", "--eval-every", "5"]


def fails(capsys, code, *argv):
    """The one line of a command that ends with that exit code."""
    assert cli.main(list(argv)) == code
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("error: ")
    return line


@pytest.mark.parametrize("argv", [[], ["list"], ["--help"]], ids=str)
def test_models_are_listed(argv, capsys):
    assert cli.main(argv) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in RECIPES)
    assert "Masked autoencoder for distribution estimation" in out


def test_one_command_leaves_everything(flags, drawn, capsys):
    assert cli.main(["made", *flags, "--model.num-masks", "2"]) == 0
    out, err = capsys.readouterr()
    run = Run(Path("runs/made"))
    results = json.loads(run.results.read_text())
    assert out.startswith("bits.npz (80 training images)")
    numbers = f"{results['nats']:.2f} +- {results['standard_error']:.2f} nats, {results['bits_per_dim']:.4f} bits/dim"
    assert f"test: {numbers}" in out
    assert f"ensemble of 2: {results['ensemble']['nats']:.2f}" in out
    assert "trained 10 steps in" in out
    assert "step 5: validation" in err
    for path in (run.model, run.results, run.metrics, run.curves):
        assert path.exists()
        assert str(path) in out
    assert results["seed"] == 0
    assert results["command"].startswith("python -m train made --data.name images")
    assert results["split"] == "test"
    assert results["num"] == 30
    assert drawn == [[sys.executable, "-m", "sample", "runs/made", "--num", "100"]]
    assert zoo.load(run.folder)[0].hidden == (6,)
    assert run.curves.read_bytes().startswith(b"\x89PNG")


def test_runs_never_overwrite_each_other(flags, drawn):
    for folder in ("made", "made-2", "made-3"):
        assert cli.main(["made", *flags, "--samples", "0"]) == 0
        assert (Path("runs") / folder / "results.json").exists()
    assert drawn == []


def test_unknown_names_get_the_nearest(capsys, flags):
    said = fails(capsys, 2, "mad")
    assert "Did you mean 'made'? There are made, " in said and "lstm" not in said
    assert "the model comes first" in fails(capsys, 2, "--steps", "3", "made")
    assert "mnist_1bit" in fails(capsys, 1, "made", "--data.name", "mnist_1bits")
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("main", "argv", "message"),
    [
        (
            cli.main,
            ["made", "--step", "3"],
            "Unrecognized options: --step, 3; Perhaps you meant: --steps INT Updates",
        ),
        (
            cli.main,
            ["made", "--data.s", "5"],  # like ten others
            "Perhaps you meant: --data.size [INT",
        ),
        (cli.main, ["made", "--model.hed", "5"], r"|mixtureofgaussians:COMPONENTS:MIN_SCALE|"),
        (
            cli.main,
            ["made", "--steps", "x"],
            "Error parsing --steps: invalid literal for int() with base 10: 'x'; flags",
        ),
        (
            cli.main,
            ["made", "--model.head", "bernouli"],
            "unknown head 'bernouli', did you mean 'bernoulli'? Heads: ",
        ),
        (
            cli.main,
            ["made", "--model.head", "categorical:0"],
            "a Categorical head needs at least 1 class; got 0; flags",
        ),
        (train.cli.evaluate.main, [], "Missing from python -m train.evaluate: RUN A run folder"),
        (sample.score_file.main, ["made"], "Missing from python -m sample.score_file: FILE What"),
    ],
)
def test_wrong_flags_end_in_one_line(capsys, main, argv, message):
    with pytest.raises(SystemExit) as caught:
        main(argv)
    error = capsys.readouterr().err
    assert caught.value.code == 2 and error.count("\n") == 1
    assert error.startswith("error: ") and message in error and error.endswith(" --help\n")
    assert error.count(" --data.") <= 4, "the wrong flag and the three most like it"
    assert not Path("runs").exists()


def test_help_explains_the_flags(capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(["made", "--help"])
    assert caught.value.code == 0
    out = " ".join(capsys.readouterr().out.split())
    for words in (
        "--learning-rate",
        "--model.hidden",
        "units of each hidden layer",
        "--data.binarise",
        "(default: 500)",
    ):
        assert words in out
    assert "--model.name" not in out


def test_flags_reach_the_recipe():
    flags = "--model.hidden 500 400 --steps 200 --batch-size 128 --data.name mnist --data.binarise dynamic --samples 7"
    options = parse(
        "made",
        [*flags.split(), "--model.head", "categorical:17", "--model.ordering.scan", "spiral"],
    )
    model = options.recipe.model
    assert isinstance(model, zoo.MADE)
    assert (model.hidden, model.head, model.ordering.scan) == (
        (500, 400),
        zoo.Categorical(17),
        "spiral",
    )
    assert (options.recipe.steps, options.recipe.batch_size, options.samples) == (200, 128, 7)
    assert (options.recipe.data.name, options.recipe.data.binarise) == ("mnist", "dynamic")
    assert parse("made", ["--preset", "paper"]).recipe == RECIPES["made"]["paper"]
    assert parse("made", []).recipe == RECIPES["made"]["cpu"]


def test_bad_input_is_one_line_and_nothing_is_written(flags, capsys):
    assert "shape [2, 5]" in fails(capsys, 1, "made", *flags, "--model.site-shape", "3", "3")
    assert "learning_rate must be positive" in fails(
        capsys, 1, "made", *flags, "--learning-rate", "-1"
    )
    assert "pass --batch-size 80 or less" in fails(capsys, 1, "made", *flags, "--batch-size", "400")
    assert "at least one hidden layer" in fails(capsys, 1, "made", *flags, "--model.hidden")
    assert "17 levels" in fails(
        capsys, 1, "fvsbn", "--data.name", "digits", "--model.head", "bernoulli"
    )
    assert "nothing at" in fails(capsys, 1, "made", *flags, "--data.path", "absent.npz")
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize("parallel", ["jit", "pmap"])
def test_a_batch_that_not_all_devices_can_share(flags, capsys, parallel):
    more = ["--batch-size", "6", "--parallel", parallel]
    assert cli.main(["made", *flags, *more]) == 0
    out, err = capsys.readouterr()
    assert "training on 3 of 4 devices, the most that share a batch of 6 equally\n" in err
    assert "on 3 x cpu" in out
    assert train.cli.evaluate.main(["made", "--batch-size", "7"]) == 0
    shutil.rmtree("runs/made/checkpoints/10")
    Path("runs/made/results.json").unlink()
    assert cli.main(["made", "--resume"]) == 0


def test_folders_that_cannot_be_used(flags, capsys):
    Path("file").write_text("")
    assert "file" in fails(capsys, 1, "made", *flags, "--run-dir", "file/run")
    Path("full").mkdir()
    Path("full/thing").write_text("")
    assert "not empty" in fails(capsys, 1, "made", *flags, "--run-dir", "full")
    Path("runs").write_text("")
    assert "runs" in fails(capsys, 1, "made", *flags)
    Path("run").mkdir()
    assert cli.main(["made", *flags, "--run-dir", "run"]) == 0
    assert "already holds a run: pass --resume" in fails(
        capsys, 1, "made", *flags, "--run-dir", "run"
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_unwritable_folder(flags, capsys):
    Path("locked").mkdir(mode=0o500)
    assert "Permission denied" in fails(capsys, 1, "made", *flags, "--run-dir", "locked/run")


def test_interrupt_then_resume(flags, capsys, monkeypatch):
    class Interrupting(train.data.batching.Batches):
        def __call__(self, step):
            if step == 6:
                os.kill(os.getpid(), signal.SIGINT)
            return super().__call__(step)

    with monkeypatch.context() as patch:
        patch.setattr(train.kinds.kind, "Batches", Interrupting)
        assert cli.main(["made", *flags]) == 130
    hint = "interrupted; to continue: python -m train made --resume --run-dir runs/made"
    assert capsys.readouterr().err.splitlines()[-1] == hint
    line = fails(capsys, 1, "made", "--resume", "--batch-size", "16", "--model.hidden", "7")
    assert "model.hidden is [6] in the run but [7] here" in line
    assert "batch_size is 8 in the run but 16 here" in line
    assert "steps" not in line
    assert "is a run of made, not of fvsbn" in fails(
        capsys, 1, "fvsbn", "--resume", "--run-dir", "runs/made"
    )
    assert cli.main(["made", "--resume"]) == 0
    assert not Path("runs/made-2").exists()
    assert cli.main(["made", "--resume"]) == 0
    assert "runs/made is finished: 10 steps" in capsys.readouterr().out


def test_nothing_to_resume(capsys):
    assert "no run made" in fails(capsys, 1, "made", "--resume")
    Path("runs/made").mkdir(parents=True)
    Path("runs/made/config.json").write_text("{")
    assert "cannot be read as the recipe of a run" in fails(capsys, 1, "made", "--resume")


def test_corrupt_checkpoints_are_one_line(flags, capfd):
    assert cli.main(["made", *flags]) == 0
    run = Run(Path("runs/made"))
    results = json.loads(run.results.read_text())
    for steps in ([10], [5, 10]):
        run.results.unlink()
        for file in [file for step in steps for file in (run.checkpoints / str(step)).rglob("*")]:
            if file.is_file() and file.stat().st_size > 100:
                file.write_bytes(file.read_bytes()[:50])
        capfd.readouterr()
        code, said = cli.main(["made", "--resume"]), capfd.readouterr().err
        lines = [line for line in said.splitlines() if "corrupt" in line]
        assert (
            len(lines) == 1 and "checkpoints/10 is corrupt" in lines[0] and "Traceback" not in said
        )
        if steps == [10]:
            assert (
                code == 0
                and lines[0].startswith("warning: ")
                and lines[0].endswith("the checkpoint of step 5.")
            )
            assert json.loads(run.results.read_text())["nats"] == results["nats"]
        else:
            assert (
                code == 1
                and lines[0].startswith("error: ")
                and f"delete {run.checkpoints.absolute()}" in lines[0]
            )
    shutil.rmtree(run.checkpoints)  # as advised
    assert cli.main(["made", "--resume"]) == 0
    assert json.loads(run.results.read_text())["nats"] == results["nats"]


def test_non_finite_loss_is_one_line(flags, capsys):
    line = fails(
        capsys, 1, "made", *flags, "--learning-rate", "1e38", "--warmup", "0", "--clip", "0"
    )
    assert "at step" in line
    assert "Usual causes" in line


def test_without_matplotlib(flags, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert cli.main(["made", *flags]) == 0
    out = capsys.readouterr().out
    assert "need matplotlib (pip install" in out
    assert "curves.png" not in out


def test_the_mixture_is_validated(flags, capsys):
    """The weights that are kept are the best for what was validated, by the evaluation that any run
    can have.
    """
    members = ["--model.num-masks", "2", "--model.num-orderings", "2", "--learning-rate", "0.1"]
    for name, more in (("single", []), ("mixture", ["--validate-ensemble"])):
        assert cli.main(["made", *flags, *members, *more, "--run-dir", f"runs/{name}"]) == 0
        records = [
            json.loads(line) for line in Run(Path("runs") / name).metrics.read_text().splitlines()
        ]
        capsys.readouterr()
        assert (
            train.cli.evaluate.main(
                [f"runs/{name}", "--split", "valid", *(["--ensemble"] if more else [])]
            )
            == 0
        )
        best = min(record["valid_nats"] for record in records if "valid_nats" in record)
        assert f": {best:.2f} +- " in capsys.readouterr().out
    assert cli.main(["made", *flags, "--validate-ensemble", "--run-dir", "runs/one"]) == 1
    error = capsys.readouterr().err
    assert (
        "this MADE is one model and no ensemble: drop --validate-ensemble" in error
        and not Path("runs/one").exists()
    )


def test_evaluate_a_run(flags, capsys):
    assert cli.main(["made", *flags, "--model.num-masks", "2"]) == 0
    results = json.loads(Path("runs/made/results.json").read_text())
    capsys.readouterr()
    assert train.cli.evaluate.main(["made"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == results["data"]
    assert out[1].startswith(f"test: {results['nats']:.2f} +- {results['standard_error']:.2f} nats")
    assert train.cli.evaluate.main(["runs/made", "--ensemble", "--split", "valid"]) == 0
    assert "valid, ensemble of 2: " in capsys.readouterr().out
    assert train.cli.evaluate.main(["runs/made", "--orderings", "4"]) == 1
    assert "MADE was not trained for all orderings of its sites" in capsys.readouterr().err
    assert train.cli.evaluate.main(["nade"]) == 1
    assert capsys.readouterr().err.startswith("error: no trained model at nade")
    Path("runs/made/model.safetensors").write_bytes(b"")
    assert train.cli.evaluate.main(["made"]) == 1
    assert "is empty" in capsys.readouterr().err


def test_heavy_packages_are_imported_where_used():
    heavy = {"orbax", "matplotlib", "tensorflow_datasets", "sample"}
    check = f"import train.__main__, sys; print({heavy} & set(sys.modules))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    out = subprocess.run(
        [sys.executable, "-c", check], env=environment, capture_output=True, text=True, check=True
    )
    assert out.stdout.strip() == "set()"


def test_any_number_of_orderings_is_scored(flags, capsys):
    assert cli.main(["eonade", *flags, "--model.num-orderings", "1"]) == 0
    assert train.cli.evaluate.main(["eonade", "--orderings", "5"]) == 0
    mixture = capsys.readouterr().out.splitlines()[-1]
    assert mixture.startswith("test, ensemble of 5: ")
    assert train.cli.evaluate.main(["eonade", "--ensemble"]) == 1
    assert "is one model and no ensemble: drop --ensemble" in capsys.readouterr().err
    assert train.cli.evaluate.main(["eonade", "--orderings", "0"]) == 1
    assert "--orderings must be at least 1; got 0" in capsys.readouterr().err
