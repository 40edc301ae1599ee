"""The run folder: where a training keeps its recipe, metrics, checkpoints, best model and results."""

import dataclasses
import itertools
import json
import os
import re
from pathlib import Path
from typing import Any

from train.data import Dataset
from train.recipe import Recipe, differences, from_json, to_json

RUNS = Path("runs")
FORMAT = "autoregressive-zoo/run/1"


class RunError(ValueError):
    """A run folder that is missing, taken, foreign or of another configuration."""


@dataclasses.dataclass(frozen=True)
class Run:
    """A run folder and what lies in it."""

    folder: Path

    @property
    def config(self) -> Path:
        """The recipe; written first, so a folder with one is a run."""
        return self.folder / "config.json"

    @property
    def metrics(self) -> Path:
        """One JSON line per logging interval and evaluation."""
        return self.folder / "metrics.jsonl"

    @property
    def checkpoints(self) -> Path:
        """What `--resume` continues from."""
        return self.folder / "checkpoints"

    @property
    def model(self) -> Path:
        """The averaged weights with the best validation nats."""
        return self.folder / "model.safetensors"

    @property
    def results(self) -> Path:
        """The test numbers and how they came about; written last, so a folder with one is finished."""
        return self.folder / "results.json"

    @property
    def test_pairs(self) -> Path:
        """The test split of pairs of texts, a source and a target a line, for the sampler to translate and score."""
        return self.folder / "test.tsv"

    @property
    def test_captions(self) -> Path:
        """The test split of captions with its images, for the sampler to describe and score."""
        return self.folder / "test.npz"

    @property
    def curves(self) -> Path:
        """The learning curves."""
        return self.folder / "curves.png"

    def name_and_recipe(self) -> tuple[str, Recipe]:
        """The model's name and the recipe.

        Raises:
          RunError: there is none, or it cannot be read.
        """
        try:
            config = json.loads(self.config.read_text("utf-8"))
            if config["format"] != FORMAT:
                raise ValueError(f"format {config['format']!r}, expected {FORMAT!r}")
            return config["name"], from_json(config["recipe"])
        except FileNotFoundError:
            raise RunError(f"{self.folder} holds no run (no config.json).") from None
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(f"{self.config} cannot be read as the recipe of a run: {error!r}.") from None

    def check_data(self, dataset: Dataset) -> None:
        """Raises RunError unless the data are those that the run began with (of older runs nothing is known)."""
        digest = json.loads(self.config.read_text("utf-8")).get("data")
        if digest not in (None, dataset.digest):
            raise RunError(
                f"{self.folder} was trained on other data than {dataset.description}: they have changed since "
                f"({dataset.digest}, the run's were {digest}). Put them back, or train anew."
            )

    def check_free(self) -> None:
        """Raises RunError unless the folder is empty or does not exist."""
        if self.config.exists():
            raise RunError(f"{self.folder} already holds a run: pass --resume to continue it, or another --run-dir.")
        if self.folder.is_dir() and any(self.folder.iterdir()):
            raise RunError(f"{self.folder} is not empty and holds no run: pass another --run-dir.")

    def append(self, record: dict[str, Any]) -> None:
        """Adds a line to the metrics."""
        with self.metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def records(self) -> list[dict[str, Any]]:
        """The lines of the metrics; a last line that was cut off by a kill is left out."""
        lines = self.metrics.read_text("utf-8").splitlines(keepends=True) if self.metrics.exists() else []
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def cut(self, step: int) -> None:
        """Drops the metrics beyond a step, which a resumed training will write again."""
        lines = [json.dumps(record) + "\n" for record in self.records() if record["step"] <= step]
        write(self.metrics, "".join(lines))


def create(name: str, recipe: Recipe, folder: Path | None = None, dataset: Dataset | None = None) -> Run:
    """A new run folder: `folder`, or runs/NAME, runs/NAME-2, ..., whichever is free; `dataset` is what it will accept.

    Raises:
      RunError: `folder` is taken.
      OSError: the folder cannot be written.
    """
    if folder is None:
        run = Run(_claim(name))
    else:
        run = Run(folder)
        run.check_free()
        folder.mkdir(parents=True, exist_ok=True)
    data = {} if dataset is None else {"data": dataset.digest}
    write(run.config, json.dumps({"format": FORMAT, "name": name, "recipe": to_json(recipe), **data}, indent=2) + "\n")
    return run


def find(what: str | Path) -> Run:
    """A run by its folder, or the newest run of a model by the model's name.

    Raises:
      RunError: there is none.
    """
    if (run := Run(Path(what))).config.exists():
        return run
    numbered = re.compile(rf"{re.escape(str(what))}(-\d+)?")
    folders = [folder for folder in RUNS.iterdir() if numbered.fullmatch(folder.name)] if RUNS.is_dir() else []
    runs = [run for run in map(Run, folders) if run.config.exists()]
    if not runs:
        raise RunError(f"no run {what}: neither a run folder nor a model with a run under {RUNS.absolute()}.")
    return max(runs, key=lambda run: run.config.stat().st_mtime_ns)


def check_same(run: Run, name: str, recipe: Recipe) -> None:
    """Raises RunError, naming each field that differs, unless the run is of this model and recipe."""
    stored_name, stored = run.name_and_recipe()
    if name != stored_name:
        raise RunError(f"{run.folder} is a run of {stored_name}, not of {name}.")
    if changed := differences(stored, recipe):
        fields = ", ".join(f"{field} is {old!r} in the run but {new!r} here" for field, (old, new) in changed.items())
        raise RunError(
            f"{run.folder} cannot be resumed with another configuration: {fields}. Give what is in the run, or another "
            "run folder."
        )


def write(path: Path, text: str) -> None:
    """Writes a text file, in UTF-8, whole or not at all."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_text(text, "utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _claim(name):
    RUNS.mkdir(exist_ok=True)
    names = itertools.chain([name], (f"{name}-{number}" for number in itertools.count(2)))
    folder = next(RUNS / name for name in names if not (RUNS / name).exists())
    folder.mkdir()
    return folder
