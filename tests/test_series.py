"""Several seeds and folds, tables of their results, and copies of metrics for other programs."""

import csv
import dataclasses
import io
import json
import math
import os
import sys

import numpy as np
import pytest

import train.__main__ as cli
import zoo
from train.commands.table import main as table_main
from train.data import Data
from train.practice.results_table import csv_text, markdown, read, rows
from train.practice.series import folds_of, members, without_series
from train.recipe.recipe import Recipe
from train.runs.folder import Run, create, write
from train.runs.writers import CsvWriter, writers

MADE = Recipe(zoo.MADE((2, 2), hidden=(4,)), Data("digits", size=(2,)))
RNADE = Recipe(zoo.RNADE((13,), hidden=4, head=zoo.MixtureOfGaussians(2)), Data("wine"))
FLAGS = [
    "made", *["--data.name", "digits", "--data.size", "2", "--data.binarise", "threshold", "--model.hidden", "4"],
    *["--steps", "4", "--batch-size", "8", "--eval-every", "2"],
]  # fmt: skip


def finished(folder, recipe=MADE, nats=1.0, spread=0.3, name="made", **more):
    """A run folder as a training leaves it, without the training."""
    run = create(name, recipe, folder)
    data = "digits, test split of 250"
    if recipe.data.name == "wine":
        data = f"wine, 13 columns, fold {recipe.data.fold} of 10, test split of 17"
    numbers = {
        "data": data, "split": "test", "nats": nats, "standard_error": spread, "unit": "example",
        "knows": "exact", "draws": 0, "seconds": 2.0,
    }  # fmt: skip
    write(run.results, json.dumps(numbers | more))
    return run


def seeded(seed, recipe=MADE, **fields):
    return dataclasses.replace(recipe, seed=seed, **fields)


def folded(fold, seed=0, **fields):
    return seeded(seed, RNADE, data=Data("wine", fold=fold), **fields)


def test_errors_over_seeds_and_over_examples(tmp_path):
    for seed, (nats, error) in enumerate([(1.0, 0.3), (2.0, 0.4), (6.0, 0.5)]):
        finished(tmp_path / f"{seed}", seeded(seed), nats, error)
    finished(tmp_path / "other", seeded(0, model=zoo.MADE((2, 2), hidden=(9,))), 0.5)
    (tmp_path / "empty").mkdir()
    results, notes = read([str(path) for path in sorted(tmp_path.iterdir())])
    assert notes == [f"{tmp_path / 'empty'} holds no run and is left out"]
    other, row = rows(results)
    assert (row.label, row.seeds, row.folds, row.seconds) == ("made", (0, 1, 2), (), 6.0)
    assert row.number.mean == 3.0
    assert row.number.over_runs == pytest.approx(math.sqrt(7 / 3))  # variance 7 of 3 runs
    assert row.number.over_examples == pytest.approx(math.sqrt((0.09 + 0.16 + 0.25) / 3))
    assert other.label == "made model.hidden=[9]" and math.isnan(other.number.over_runs)
    lines = markdown([other, row]).splitlines()
    assert lines[0] == "digits, test split of 250"
    assert lines[-1] == "| made | 3 seeds | 3.00 | 1.53 | 0.41 | 6 s |"
    assert lines[-2] == "| made model.hidden=[9] | 1 seed | 0.50 |  | 0.30 | 2 s |"
    first, second = csv.DictReader(io.StringIO(csv_text([other, row])))
    assert first["over_runs"] == "" and float(second["over_runs"]) == row.number.over_runs
    assert second["seeds"] == "0 1 2" and second["error_mean"] == ""


def test_errors_over_folds(tmp_path):
    """Test examples of folds differ; recipes follow the rows, of which a fold may have more."""
    for fold, error in enumerate([0.3, 0.4]):
        finished(tmp_path / f"{fold}", folded(fold, weight_decay=fold / 100), fold, error, "rnade")
    (row,) = rows(read([str(tmp_path)])[0])
    assert (row.folds, row.data, row.number.mean) == ((0, 1), "wine, 13 columns", 0.5)
    assert row.number.over_examples == pytest.approx(0.25)  # sqrt(0.09 + 0.16) / 2
    finished(tmp_path / "slow", folded(1, weight_decay=0.5), 9.0, name="rnade")
    assert len(rows(read([str(tmp_path)])[0])) == 3  # one fold twice: no row of folds


def test_what_cannot_be_compared_is_refused(tmp_path, capsys):
    finished(tmp_path / "a")
    finished(tmp_path / "b", folded(0), name="rnade")
    finished(tmp_path / "c", seeded(1), knows="bound", draws=100)
    (tmp_path / "c" / "metrics.jsonl").write_text('{"step": 1, "valid_nats": 2.0}\n')
    create("made", seeded(2), tmp_path / "d")
    a, b, c, d = (str(tmp_path / name) for name in "abcd")
    for words, message in [
        (
            [a, b],
            "cannot be compared: some are of digits, test split of 250 in nats/example, others",
        ),
        ([a, c], "others of digits, test split of 250 in nats/example, a bound of 100 draws"),
        ([d], "is a finished run. .*d is not finished"),
        (["absent"], "no run absent"),
        ([a, "--out", "x.txt"], "--out is a file that ends in .md or .csv"),
        ([a, "--out", "absent/x.md"], "there is no folder absent"),
    ]:
        with pytest.raises(SystemExit, match=message) as stop:
            table_main(words)
        assert "\n" not in str(stop.value)
    out, picture = tmp_path / "t.csv", tmp_path / "t.png"
    table_main([a, b, c, d, "--mixed", "--out", str(out), "--curves", str(picture)])
    said = capsys.readouterr()
    assert "| data | unit | model |" in said.out and "d is not finished and is left out" in said.err
    assert len(out.read_text().splitlines()) == 4 and picture.stat().st_size > 1000
    finished(tmp_path / "twin")
    with pytest.raises(SystemExit, match="one recipe, seed and fold, so they are one result"):
        table_main([a, str(tmp_path / "twin")])


def test_labels_have_their_errors_too(tmp_path):
    for seed in (0, 1):
        more = {"unit": "label", "error": 2.0 + seed, "error_spread": 0.1}
        finished(tmp_path / f"{seed}", seeded(seed), **more)
    (row,) = rows(read([str(tmp_path)])[0])
    assert row.error[:2] == (2.5, 0.5) and "% wrong" in markdown([row])


def test_members_of_a_series(tmp_path):
    args = [
        "--steps",
        "4",
        "--seed",
        "7",
        "--seeds",
        "2",
        "--folds",
        "0",
        "3",
        "--run-dir",
        "x",
        "--resume",
        "--data.name",
        "wine",
    ]
    assert without_series(args) == ["--steps", "4", "--data.name", "wine"]
    create("rnade", folded(3, 8), tmp_path / "seed-8-fold-3")
    made = members(tmp_path, args, (7, 8), (0, 3))
    assert [member.folder.name for member in made][1:] == [
        "seed-7-fold-3", "seed-8-fold-0", "seed-8-fold-3",
    ]  # fmt: skip
    assert "--resume" in made[3].args and "--resume" not in made[2].args
    assert made[3].args[4:8] == ["--seed", "8", "--data.fold", "3"]
    assert folds_of(("all",), RNADE) == tuple(range(10)) and folds_of((), MADE) == ()
    for words, recipe, message in [
        (("10",), RNADE, "some of 0..9; got 10"),
        (("0",), MADE, "--folds is for tables, not for digits"),
    ]:
        with pytest.raises(ValueError, match=message):
            folds_of(words, recipe)


def test_seeds_are_trained_resumed_and_tabled(tmp_path, monkeypatch, capsys):
    """Also: a file gets a line for each evaluation, and no control codes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "execv", None)  # a series draws no samples
    assert cli.main([*FLAGS, "--seeds", "2", "--log", "csv"]) == 0
    said = capsys.readouterr()
    assert "| made | 2 seeds | " in said.out and (tmp_path / "runs/made-series/table.csv").exists()
    assert said.err.count("validation") == 4 and not {"\r", "\x1b"} & set(said.err)
    run = Run(tmp_path / "runs/made-series/seed-1")
    metrics = list(csv.DictReader(io.StringIO((run.folder / "metrics.csv").read_text())))
    assert [line["step"] for line in metrics] == ["2", "4"] and float(metrics[1]["valid_nats"]) > 0
    before = run.model.read_bytes()
    assert cli.main([*FLAGS, "--seeds", "2", "--resume"]) == 0
    assert "| made | 2 seeds | " in capsys.readouterr().out and run.model.read_bytes() == before
    assert cli.main([*FLAGS, "--seeds", "0"]) == 1
    assert "--seeds must be at least 1; got 0" in capsys.readouterr().err
    assert cli.main([*FLAGS, "--folds", "all"]) == 1
    assert "--folds is for tables" in capsys.readouterr().err
    assert not (tmp_path / "runs/made").exists()


def test_metrics_as_csv_go_on_after_a_resume(tmp_path):
    run = Run(tmp_path)
    run.append({"step": 1, "seconds": 0.5, "train_nats": 3.0})
    writer = CsvWriter(run)
    for record in ({"step": 2, "seconds": 1.0, "valid_nats": 2.0}, {"step": 3, "train_nats": 1.0}):
        run.append(record)
        writer.write(record)
    lines = (tmp_path / "metrics.csv").read_text().splitlines()
    assert lines == ["step,seconds,train_nats,valid_nats", "1,0.5,3.0,", "2,1.0,,2.0", "3,,1.0,"]
    run.cut(2)  # as a resume from a checkpoint does
    CsvWriter(run)
    assert (tmp_path / "metrics.csv").read_text().splitlines() == lines[:3]


def test_metrics_for_tensorboard(tmp_path):
    pytest.importorskip("tensorboardX", reason="it writes the events (extra tensorboard)")
    (writer,) = writers(Run(tmp_path), ("tensorboard",))
    writer.write({"step": 2, "valid_nats": np.float64(2.0)})
    writer.close()
    (file,) = (tmp_path / "tensorboard").iterdir()
    assert b"valid_nats" in file.read_bytes()


def test_without_tensorboard(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    assert cli.main([*FLAGS, "--log", "tensorboard"]) == 1
    assert "pip install 'autoregressive-zoo[tensorboard]'" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
