"""`python -m sample` and `python -m benchmarks.sampling`: what they print, write and refuse."""

import json
import subprocess
import sys
from pathlib import Path

import conformance
import jax
import numpy as np
import pytest
from commands import argv
from PIL import Image

import sample
import sample.__main__ as cli
import zoo
from benchmarks import sampling

ROOT = Path(__file__).parents[1]
MODEL = zoo.CATALOGUE["gated_pixel_cnn"].tiny


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.fixture
def run(tmp_path):
    zoo.save(tmp_path / "model.safetensors", MODEL, conformance.variables_of(MODEL))
    return tmp_path


def test_a_grid_and_its_figures(run, capsys):
    cli.run(argv(run, num=10, columns=5, scale=3))
    printed = capsys.readouterr().out
    assert "nats" in printed and "samples/s" in printed and "compilation" in printed
    assert f"grid of 10: {run / 'samples.png'}" in printed
    assert np.asarray(Image.open(run / "samples.png")).shape == (3 * (2 * 4 + 1), 3 * (5 * 4 + 1))


def test_a_label_is_given_to_every_image(run, capsys):
    cli.run(argv(run, num=9, label=2, out=run / "two.png"))
    cli.run(argv(run, num=9, out=run / "all.png"))
    assert (
        np.asarray(Image.open(run / "two.png")) != np.asarray(Image.open(run / "all.png"))
    ).any()
    with pytest.raises(ValueError, match="labels 0..2.*got values from 7 to 7"):
        cli.run(argv(run, num=9, label=7))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num": 0}, "must be at least 1"),
        ({"seed": -1}, "--seed must be in"),
        ({"run": "absent"}, "train one first"),
        (
            {"temperature": 0.5},
            r"--temperature is not supported by GatedPixelCNN \(images\): drop it",
        ),
        ({"stop": ("a",)}, "--stop is not supported"),
        ({"out": Path()}, "--out . is a folder"),
    ],
)
def test_refusals(run, change, message):
    with pytest.raises(ValueError, match=message):
        cli.run(argv(change.get("run", run), **{k: v for k, v in change.items() if k != "run"}))


@pytest.fixture(scope="module")
def tiny_runs(tmp_path_factory):
    """The tiny instance of a model, saved in a folder of its own, by name."""
    folder = tmp_path_factory.mktemp("runs")

    def saved(name):
        if not (folder / name).is_dir():
            (folder / name).mkdir()
            model = zoo.CATALOGUE[name].tiny
            zoo.save(folder / name / "model.safetensors", model, conformance.variables_of(model))
        return folder / name

    return saved


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (
            "captioner",
            {"source": ("hello",)},
            r"--source is not supported by Captioner \(captions\): drop it",
        ),
        ("captioner", {"pairs": Path("a.tsv")}, "--pairs is not supported"),
        (
            "seq2seq",
            {"images": Path("a.png")},
            r"--images is not supported by Seq2Seq \(translation\)",
        ),
        ("lstm", {"beam": 1}, r"--beam is not supported by LSTM \(text\)"),
        ("fvsbn", {"beam": 1}, r"--beam is not supported by FVSBN \(images\)"),
        ("rnade", {"gif": True}, r"--gif is not supported by RNADE \(table\)"),
        *((name, {"seconds": 2.0}, "--seconds is not supported") for name in ("lstm", "fvsbn")),
        *((name, {"scale": 3}, "--scale is not supported") for name in ("lstm", "wavenet")),
        *(
            (name, {"engine": "jacobi"}, "--engine is not supported")
            for name in ("captioner", "seq2seq")
        ),
        *((name, {"scale": 3}, "--scale is not supported") for name in ("captioner", "seq2seq")),
        *(
            (name, {"seconds": 2.0}, "--seconds is not supported")
            for name in ("captioner", "seq2seq")
        ),
        *(
            (name, {"out": Path("a.png")}, "add --attention, or drop --out")
            for name in ("captioner", "seq2seq")
        ),
        (
            "seq2seq",
            {"source": ("a",), "num": 3},
            "--num is how many pairs of a file are read.*: drop one",
        ),
        (
            "seq2seq",
            {"source": ("a",), "pairs": Path("a.tsv")},
            "--source and --pairs are both given: drop one",
        ),
    ],
)
def test_flags_for_other_models_are_refused(tiny_runs, name, change, message):
    with pytest.raises(ValueError, match=message) as caught:
        cli.run(argv(tiny_runs(name), **change))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "own", "others"),
    [
        (
            "fvsbn",
            "--complete --surprise --gif --columns --engine",
            "--prompt --seconds --beam --temperature",
        ),
        ("rnade", "--num --label --out --engine", "--gif --prompt --beam --temperature --complete"),
        (
            "lstm",
            "--prompt --length --stop --temperature --top-k",
            "--gif --seconds --beam --columns --label",
        ),
        ("wavenet", "--seconds --audio --label --top-p", "--prompt --gif --beam"),
        (
            "seq2seq",
            "--source --pairs --beam --attention",
            "--prompt --engine --images --temperature",
        ),
        ("captioner", "--images --beam --attention", "--prompt --engine --pairs --temperature"),
    ],
)
def test_help_lists_the_flags_that_apply(tiny_runs, capsys, name, own, others):
    with pytest.raises(SystemExit) as stop:
        cli.run([str(tiny_runs(name)), "--help"])
    printed = capsys.readouterr().out
    assert stop.value.code == 0
    assert all(flag in printed for flag in own.split())
    assert not any(flag in printed for flag in others.split())


def test_a_gif_beside_the_grid(run, capsys):
    """The grid stays as it is, and the last frame is the grid."""
    cli.run(argv(run, num=6, scale=3))
    alone = (run / "samples.png").read_bytes()
    cli.run(argv(run, num=6, scale=3, gif=True))
    assert (run / "samples.png").read_bytes() == alone
    assert f"drawing in 10 frames: {run / 'samples.gif'}" in capsys.readouterr().out
    with Image.open(run / "samples.gif") as image:
        assert image.n_frames == 10 and image.info["loop"] == 0
        image.seek(9)
        assert (np.asarray(image.convert("L")) == pixels(run / "samples.png")).all()


def test_surprise_of_what_it_drew(run, capsys):
    cli.run(argv(run, num=5, surprise=True, out=run / "five.png"))
    first, *_, last = capsys.readouterr().out.splitlines()[1:]
    assert last.startswith("surprise of 5 images, ") and last.endswith(
        f": {run / 'five_surprise.png'}"
    )
    assert (
        last.split(", ")[1].split(" nats")[0]
        == first.removeprefix("drawn samples: ").split(" nats")[0]
    )
    assert pixels(run / "five_surprise.png").size
    cli.run(argv(run, num=None, surprise=True))
    printed = capsys.readouterr().out
    assert "grid of 100" in printed and "surprise of 16 images" in printed


def test_surprise_of_given_images(run, capsys):
    np.save(run / "given.npy", np.arange(20)[:, None, None] % 2 * np.ones((1, 3, 3), int))
    cli.run(argv(run, surprise=True, images=run / "given.npy", label=1))
    variables = conformance.variables_of(MODEL)
    nats = -zoo.log_prob(MODEL, variables, np.load(run / "given.npy")[:16], np.ones(16, int)).mean()
    assert f"surprise of 16 images, {nats:.2f} +- " in capsys.readouterr().out
    assert (run / "surprise.png").exists() and not (run / "samples.png").exists()


def test_completions(run, capsys):
    """Original, prefix and completions in a row; the prefix is kept, and completions are not all
    the original.
    """
    cli.run(argv(run, num=5, complete=1, scale=1))
    assert (
        f"1 of 3 rows of 8 images kept, 5 completions of each: {run / 'completions.png'}"
        in capsys.readouterr().out
    )
    sheet = pixels(run / "completions.png")
    assert sheet.shape == (8 * 4 + 1, 7 * 4 + 1)
    panels = (
        sheet[1:, 1:].reshape(8, 4, 7, 4)[:, :3, :, :3].swapaxes(1, 2)
    )  # image, panel, row, column
    assert (panels[:, :, 0] == panels[:, :1, 0]).all() and (panels[:, 1, 1:] == 128).all()
    rest = panels[:, 2:, 1:] != panels[:, :1, 1:]
    assert rest.any((0, 2, 3)).all() and rest.any((1, 2, 3)).all()
    own = sample.draw(
        MODEL, conformance.variables_of(MODEL), jax.random.key(0), 8, context=np.arange(8) % 3
    ).x
    assert (panels[:, 0] == np.asarray(own) * 255).all()


def test_completions_of_given_images(run, capsys):
    (run / "folder").mkdir()
    for i in range(9):
        sample.save_png(run / "folder" / f"{i}.png", np.eye(3, k=i - 4, dtype=np.uint8) * 255)
    cli.run(argv(run, complete=2, images=run / "folder", label=0, scale=1, out=run / "c.png"))
    assert "2 of 3 rows of 8 images kept, 8 completions of each" in capsys.readouterr().out
    assert (pixels(run / "c.png")[1:4, 1:4] == np.eye(3, k=-4) * 255).all()


def test_completion_in_other_orderings(tmp_path):
    """Upper rows must be a prefix, unless the model takes any ordering."""
    folders = {}
    for model in (
        zoo.FVSBN((4, 2), ordering=zoo.Ordering("columns")),
        zoo.CATALOGUE["eonade"].tiny,
    ):
        folders[type(model)] = tmp_path / type(model).__name__
        folders[type(model)].mkdir()
        zoo.save(folders[type(model)] / "model.safetensors", model, conformance.variables_of(model))
    cli.run(argv(folders[zoo.EoNADE], complete=1))
    with pytest.raises(
        ValueError,
        match="prefix of example 0 is no prefix of the ordering.*not follow the posterior",
    ):
        cli.run(argv(folders[zoo.FVSBN], complete=2))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"complete": 0}, "--complete keeps 1..2 rows of a 3x3 image; got 0"),
        ({"complete": -1}, "got -1"),
        ({"complete": 3}, "got 3"),
        ({"complete": 1, "gif": True}, "drop --gif, --surprise and --columns"),
        ({"complete": 1, "surprise": True}, "drop --gif, --surprise and --columns"),
        ({"complete": 1, "columns": 2}, "drop --gif, --surprise and --columns"),
        ({"out": Path("absent/x.png")}, "there is no folder absent; make it first"),
        ({"images": Path("x")}, "add one of them"),
        ({"images": Path("x"), "gif": True, "surprise": True}, "--images are given: drop one"),
        ({"images": Path("absent"), "surprise": True}, "there is nothing at absent"),
        ({"images": "given", "surprise": True}, "conditional on labels: say by --label"),
        ({"images": "given", "complete": 1}, "conditional on labels: say by --label"),
        ({"images": "large", "surprise": True, "label": 0}, "describes 3x3 images .*, .*has 5x5"),
        ({"images": "large", "complete": 1, "label": 0}, "describes 3x3 images .*, .*has 5x5"),
    ],
)
def test_pictures_that_cannot_be_are_refused(run, change, message):
    for name, size in {"given": 3, "large": 5}.items():
        np.save(run / f"{name}.npy", np.zeros((2, size, size), int))
    if isinstance(change.get("images"), str):
        change = change | {"images": run / f"{change['images']}.npy"}
    with pytest.raises(ValueError, match=message) as error:
        cli.run(argv(run, **change))
    assert "\n" not in str(error.value)
    assert not list(run.glob("*.png")) and not list(run.glob("*.gif"))


def test_rows_go_to_a_csv(tiny_runs, tmp_path, capsys):
    cli.run(argv(tiny_runs("rnade"), num=5, out=tmp_path / "rows.csv"))
    assert np.loadtxt(tmp_path / "rows.csv", delimiter=",").size == 10
    with pytest.raises(
        ValueError, match=r"--out is the table of what is drawn, a \.csv; got rows\.png"
    ):
        cli.run(argv(tiny_runs("rnade"), out=Path("rows.png")))


def test_rows_have_names_and_a_report(tmp_path, capsys):
    inner = zoo.RNADE((2,), hidden=4, head=zoo.MixtureOfGaussians(2))
    model = zoo.Standardised(inner, (1.0, 2.0), (1.0, 2.0), column_names=("size", "a, b"))
    zoo.save(tmp_path / "model.safetensors", model, conformance.variables_of(model))
    columns = {"names": ["size", "a, b"], "mean": [7.5, 2.0], "deviation": [1.0, 2.0], "rows": 9}
    (tmp_path / "columns.json").write_text(json.dumps(columns))
    cli.run(argv(tmp_path, num=5, out=tmp_path / "rows.csv"))
    lines = (tmp_path / "rows.csv").read_text().splitlines()
    assert lines[0] == 'size,"a, b"' and len(lines) == 6
    rows = np.loadtxt(lines, delimiter=",", skiprows=1)
    said = capsys.readouterr().out.splitlines()
    shown = next(line for line in said if line.startswith("  size"))
    assert f"{rows[:, 0].mean():.4g} (" in shown and shown.endswith("7.5 (1)")
    with pytest.raises(ValueError, match="a name for each of the 2 sites, or none; got 1"):
        zoo.Standardised(inner, (1.0, 2.0), (1.0, 2.0), column_names=("size",))


def test_flags_and_make(run):
    """The flags that make passes, and an error of a picture in one line."""
    made = subprocess.run(
        ["make", "--dry-run", "--always-make", "sample", "RUN=x", "GIF=1", "SURPRISE=1", "ARGS=--num 3"],
        capture_output=True, text=True, cwd=ROOT, timeout=60,
    )  # fmt: skip
    assert "-m sample x  --gif --surprise --num 3\n" in made.stdout
    Image.new("L", (3, 3), 9).save(run / "grey.png")
    command = [
        sys.executable,
        "-m",
        "sample",
        str(run),
        "--surprise",
        "--images",
        str(run / "grey.png"),
        "--label",
        "0",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and done.stdout == "" and done.stderr.count("\n") == 1
    assert (
        done.stderr.startswith("error: ")
        and "but the checkpoint's Bernoulli head has 2" in done.stderr
    )


def test_errors_are_one_line(tmp_path):
    (tmp_path / "mask.png").write_bytes(b"no run")
    command = [sys.executable, "-m", "sample", str(tmp_path / "absent")]
    command += ["--known", str(tmp_path / "mask.png")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("error: no trained model at") and done.stderr.count("\n") == 1


def test_bench_prints_a_row_for_each_engine_and_batch(run, capsys):
    sampling.main(sampling.Options(run=str(run), batch=(1, 3), repeats=2))
    rows = [
        line.split("|")
        for line in capsys.readouterr().out.splitlines()
        if line.startswith("| Gated")
    ]
    assert [(row[2].strip(), row[3].strip()) for row in rows] == [
        (batch, what)
        for batch in ("1", "3")
        for what in ("log_prob", "cached", "jacobi", "recompute")
    ]
    assert all(float(row[7]) > 0 for row in rows)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch": (0,)}, "--batch and --repeats"),
        ({"repeats": 0}, "--batch and"),
        ({"models": ("mde",)}, "'made'"),
    ],
)
def test_bench_refuses(change, message):
    with pytest.raises(ValueError, match=message):
        sampling.main(sampling.Options(**change))
