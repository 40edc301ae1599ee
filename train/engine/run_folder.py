"""A training in a run folder: the folder keeps what the loop reports, and the data stay the same."""

import contextlib
import dataclasses
from collections.abc import Sequence
from typing import Any

import zoo
from train.data import DataError, Dataset
from train.engine.checkpoint import Checkpoints, Progress
from train.engine.loop import train
from train.engine.prepare import inputs
from train.engine.step import State
from train.recipe.recipe import PLACES, Recipe
from train.runs.folder import Run, RunError
from train.runs.writers import Log, Writer, writers
from zoo.foundation.processes import from_leader, leads, told


class RunKeeper:
    """Keeps metrics, checkpoints and the best model in a run folder; see `loop.Keeper`."""

    most_lines: int | None = None

    def __init__(self, run: Run, checkpoints: Checkpoints, log: Sequence[Log] = ()):
        self.run, self.checkpoints, self.log = run, checkpoints, log
        self.writers: list[Writer] | None = None  # opened with the first record, once a resume cut

    @property
    def resumes(self) -> bool:
        return self.checkpoints.latest is not None

    def restore(self, initial: State) -> tuple[State, Progress]:
        state = initial

        def restored():
            nonlocal state
            state, progress = self.checkpoints.restore(initial)
            self.run.cut(int(state.step))
            return dataclasses.asdict(progress)

        return _from_leader(restored, lambda: state)

    def record(self, record: dict[str, Any]) -> None:
        if self.writers is None:
            self.writers = writers(self.run, self.log)
        self.run.append(record)
        for writer in self.writers:
            writer.write(record)

    def close(self) -> None:
        """Ends the copies of the metrics."""
        for writer in self.writers or ():
            writer.close()

    def keep(self, model: zoo.Generative, variables: zoo.Variables) -> None:
        zoo.save(self.run.model, model, variables)

    def snapshot(self, number: int, model: zoo.Generative, variables: zoo.Variables) -> None:
        path = self.run.snapshot(number)
        path.parent.mkdir(exist_ok=True)
        zoo.save(path, model, variables)

    def save(self, state: State, progress: Progress) -> None:
        self.checkpoints.save(state, progress)

    def kept(self, progress: Progress) -> str:
        last = self.checkpoints.latest
        said = (
            "There is no checkpoint yet" if last is None else f"The checkpoint of step {last} stays"
        )
        if not self.run.model.exists():
            return f"{said}."
        return f"{said}. The {'last' if progress.best is None else 'best'} model so far stays."


class Follower(RunKeeper):
    """The keeper of a process that another one leads: the leader's state, and a run folder that is
    thrown away, so that all processes evaluate and finish alike.
    """

    resumes = True

    def __init__(self, run: Run):
        self.run, self.log, self.writers = run, (), None

    def restore(self, initial: State) -> tuple[State, Progress]:
        return _from_leader(dict, lambda: initial)

    def save(self, state: State, progress: Progress) -> None:
        """The leader does."""

    def kept(self, progress: Progress) -> str:
        return ""


def _from_leader(restored, state):
    """The leader's progress, which `restored` finds as a dict, and its state, in every process."""
    progress = Progress(**told(restored))
    return from_leader(state()), progress


def train_run(run: Run, recipe: Recipe, dataset: Dataset, log: Sequence[Log] = ()) -> float:
    """Trains from the run's newest checkpoint, or from the start, to the end of the recipe.

    The run folder then holds the metrics, checkpoints, and the averaged weights with the best
    validation nats. `log` names further copies of the metrics. Returns and raises what
    `train.engine.loop.train` does.
    """
    if not leads():
        return train(recipe, dataset, Follower(run))
    with (
        Checkpoints(run.checkpoints) as checkpoints,
        contextlib.closing(RunKeeper(run, checkpoints, log)) as keeper,
    ):
        return train(recipe, dataset, keeper)


def load_data(run: Run, recipe: Recipe) -> Dataset:
    """Loads the data of an existing run, wherever they lie now.

    Raises:
      DataError, RunError: they cannot be loaded, or differ from those the run began with.
    """
    try:
        dataset = inputs(recipe)
    except (DataError, OSError) as error:
        if not any(getattr(recipe.data, place) for place in PLACES):
            raise
        raise RunError(
            f"{' '.join(str(error).split()).rstrip('.')}. If the data of {run.folder} were "
            "moved, say where they are by "
            "--data.path (--data.data-dir, --data.manual-dir)."
        ) from None
    run.check_data(dataset)
    return dataset
