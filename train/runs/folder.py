"""The run folder: where a training keeps its recipe, metrics, checkpoints, best model and results."""

import contextlib
import dataclasses
import datetime
import itertools
import json
import os
import platform
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from train.data import Dataset
from train.recipe.recipe import PLACES, WAYS, Recipe, from_json, to_json
from zoo.core.configs import UnknownClass
from zoo.foundation import files

RUNS = Path("runs")
FORMAT = "autoregressive-zoo/run/1"
NUMBERS = {
    "train_nats",
    "valid_nats",
    "valid_error",
    "gradient_norm",
    "learning_rate",
    "seconds",
}  # of a line of metrics
LOCK, HOLDER = ".lock", ".holder"  # the lock itself, and who has it


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

    def snapshot(self, number: int) -> Path:
        """The averaged weights at the end of a cycle, 1 being the first."""
        return self.folder / "snapshots" / f"{number}.safetensors"

    @property
    def results(self) -> Path:
        """The test numbers and how they came about; written last, so a folder with one is finished."""
        return self.folder / "results.json"

    @property
    def curves(self) -> Path:
        """The learning curves."""
        return self.folder / "curves.png"

    def name_and_recipe(self) -> tuple[str, Recipe]:
        """The model's name and the recipe.

        Raises:
          RunError: it is missing or cannot be read.
        """
        name, recipe, _ = self._config()
        return name, recipe

    @property
    def digest(self) -> str | None:
        """The digest of the data that the run began with; None of a run from before there was one."""
        return self._config()[2]

    def _config(self):
        """The model's name, the recipe and the digest of the data."""
        try:
            config = json.loads(self.config.read_text("utf-8"))
            if config["format"] != FORMAT:
                raise ValueError(f"format {config['format']!r}, expected {FORMAT!r}")
            name, digest = config["name"], config.get("data")
            if not (isinstance(name, str) and isinstance(digest, str | None)):
                raise ValueError("its name or its data are no text")
            return name, from_json(config["recipe"]), digest
        except FileNotFoundError:
            raise RunError(f"{self.folder} holds no run (no config.json).") from None
        except UnknownClass as error:
            raise RunError(f"{self.config}: {error}.") from None
        except (AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
            what = f"{self.config} cannot be read as the recipe of a run"
            raise RunError(f"{what}: {_short(error)}.") from None

    def check_data(self, dataset: Dataset) -> None:
        """Raises RunError unless the data are those the run began with (old runs have no digest)."""
        digest = self.digest
        if digest not in (None, dataset.digest):
            raise RunError(
                f"{self.folder} was trained on other data than {dataset.description}: they have "
                f"changed since ({dataset.digest}, the run's were {digest}). Put them back, or "
                "train again."
            )

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Locks the run for this process; the system releases the lock when the process ends.

        Raises:
          RunError: another process has it; the message names that process.
        """
        import filelock

        lock = filelock.FileLock(self.folder / LOCK)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            raise RunError(
                f"{self.folder} is being trained by {self._holder()}: wait until it ends or stop it, "
                "or choose another --run-dir."
            ) from None
        try:
            now = datetime.datetime.now().astimezone().isoformat(" ", "seconds")
            write(self.folder / HOLDER, f"process {os.getpid()} on {platform.node()} since {now}\n")
            yield
        finally:
            (self.folder / HOLDER).unlink(missing_ok=True)
            lock.release()

    def _holder(self):
        try:
            return (self.folder / HOLDER).read_text("utf-8").strip() or "another process"
        except (OSError, ValueError):  # it has just begun or ended
            return "another process"

    def check_free(self) -> None:
        """Raises RunError unless the folder is empty or does not exist."""
        if self.config.exists():
            raise RunError(
                f"{self.folder} already holds a run: pass --resume to continue it, or another "
                "--run-dir."
            )
        if self.folder.is_dir() and any(
            path.name not in (LOCK, HOLDER) for path in self.folder.iterdir()
        ):
            raise RunError(f"{self.folder} is not empty and holds no run: pass another --run-dir.")

    def append(self, record: dict[str, Any]) -> None:
        """Adds a line to the metrics."""
        with self.metrics.open("a", encoding="utf-8") as file:
            file.write(files.to_json(record) + "\n")

    def records(self) -> list[dict[str, Any]]:
        """The lines of the metrics; a last line that was cut off by a kill is left out.

        Raises:
          RunError: a line is none of a run's; the message names it.
        """
        lines = self.metrics.read_bytes().splitlines(keepends=True) if self.metrics.exists() else []
        return [self._record(i, line) for i, line in enumerate(lines, 1) if line.endswith(b"\n")]

    def _record(self, number, line):
        try:
            record = json.loads(line)
            if type(record["step"]) is not int:
                raise ValueError(f"its step is {record['step']!r}")
            if odd := [
                key for key in NUMBERS & set(record) if not isinstance(record[key], int | float)
            ]:
                raise ValueError(f"its {odd[0]} is {record[odd[0]]!r}")
            return record
        except (AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
            raise RunError(
                f"{self.metrics}, line {number} is no line of metrics ({_short(error)}): delete "
                "that line."
            ) from None

    def cut(self, step: int) -> None:
        """Drops the metrics beyond a step, which a resumed training will write again."""
        lines = [
            files.to_json(record) + "\n" for record in self.records() if record["step"] <= step
        ]
        write(self.metrics, "".join(lines))

    def take_changes(self, recipe: Recipe) -> None:
        """Notes where the data lie now, and how updates are computed from now on."""
        name, stored, digest = self._config()
        places = {place: getattr(recipe.data, place) for place in PLACES}
        ways: dict[str, Any] = {way: getattr(recipe, way) for way in WAYS}
        data = dataclasses.replace(stored.data, **places)
        if (now := dataclasses.replace(stored, data=data, **ways)) != stored:
            self._write_config(name, now, digest)

    def _write_config(self, name, recipe, digest):
        data = {} if digest is None else {"data": digest}
        write(
            self.config,
            files.to_json({"format": FORMAT, "name": name, "recipe": to_json(recipe), **data}, 2)
            + "\n",
        )


def create(
    name: str, recipe: Recipe, folder: Path | None = None, dataset: Dataset | None = None
) -> Run:
    """A new run folder: `folder`, or runs/NAME, runs/NAME-2, ..., whichever is free.

    The run will accept the data of `dataset` only.

    Raises:
      RunError: `folder` is taken.
      OSError: the folder cannot be written.
    """
    run = Run(_claim(name) if folder is None else folder)
    run.folder.mkdir(parents=True, exist_ok=True)
    with run.held():  # of several that come at once, one finds the folder free
        run.check_free()
        run._write_config(name, recipe, None if dataset is None else dataset.digest)
    return run


def find(what: str | Path) -> Run:
    """A run by its folder, or the newest run of a model by the model's name.

    Raises:
      RunError: no such run.
    """
    if (run := Run(Path(what))).config.exists():
        return run
    numbered = re.compile(rf"{re.escape(str(what))}(-\d+)?")
    all_runs = RUNS.iterdir() if RUNS.is_dir() else ()
    folders = [folder for folder in all_runs if numbered.fullmatch(folder.name)]
    runs = [run for run in map(Run, folders) if run.config.exists()]
    if not runs:
        raise RunError(
            f"no run {what}: neither a run folder nor a model with a run under {RUNS.absolute()}."
        )
    return max(runs, key=lambda run: run.config.stat().st_mtime_ns)


def write(path: Path, text: str) -> None:
    """Writes a text file, in UTF-8, whole or not at all."""
    files.write_whole(path, text.encode())


def _claim(name):
    """A new folder runs/NAME, runs/NAME-2, ...; each process that asks gets another one."""
    RUNS.mkdir(exist_ok=True)
    names = itertools.chain([name], (f"{name}-{number}" for number in itertools.count(2)))
    return next(folder for name in names if _made(folder := RUNS / name))


def _made(folder):
    try:
        folder.mkdir()
    except FileExistsError:
        return False
    return True


def _short(error):
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return text if len(text) <= 200 else f"{text[:200]}..."
