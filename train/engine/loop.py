"""The training loop. It knows no folder: a keeper keeps what it reports."""

import collections
import dataclasses
import math
import sys
import time
from typing import Any, Protocol

import jax
import numpy as np

import zoo
from train.data import Dataset
from train.engine.checkpoint import Progress
from train.engine.devices import lag, share
from train.engine.evaluation import evaluate
from train.engine.prepare import first_values, training_batches
from train.engine.progress import progress_bar
from train.engine.step import Metrics, State, initial_state, make_update
from train.recipe.recipe import Recipe
from zoo.foundation.outside.interrupts import interrupted
from zoo.foundation.processes import any_of

LOG_EVERY = 50
EVALUATE_EVERY = 25  # at least so many steps, where an epoch of a small data set has fewer
AGREE_EVERY = 20  # steps; how often several processes ask whether one was interrupted
SKIPS = 2  # updates in a row that may be infinite or nan; they are left out


class NonFiniteError(ValueError):
    """The loss, the gradient or the validation nats are no longer a number.

    Attributes:
      result: what `train.fit` would have returned so far; None in a run folder, which keeps it.

    Example:
      >>> import train
      >>> issubclass(train.NonFiniteError, ValueError)
      True
    """

    result: Any = None


class Keeper(Protocol):
    """Where a training keeps what the loop reports: a run folder, or memory.

    Attributes:
      resumes: whether there is a checkpoint to continue from.
      most_lines: about how many validations are printed at most; None: all of them.
    """

    most_lines: int | None

    @property
    def resumes(self) -> bool: ...

    def restore(self, initial: State) -> tuple[State, Progress]:
        """The state to continue from, and the progress so far; without a checkpoint `initial`."""
        ...

    def record(self, record: dict[str, Any]) -> None:
        """Keeps a line of metrics: `step`, `seconds`, and train or validation nats."""
        ...

    def keep(self, model: zoo.Generative, variables: zoo.Variables) -> None:
        """Keeps averaged weights, instead of those kept before."""
        ...

    def snapshot(self, number: int, model: zoo.Generative, variables: zoo.Variables) -> None:
        """Keeps the averaged weights at the end of cycle `number`, 1 being the first."""
        ...

    def save(self, state: State, progress: Progress) -> None:
        """Keeps a checkpoint of a fetched state."""
        ...

    def kept(self, progress: Progress) -> str:
        """Says what remains of a training that failed, in sentences; may be empty."""
        ...


def train(recipe: Recipe, dataset: Dataset, keeper: Keeper) -> float:
    """Trains from the keeper's checkpoint, or from the start, to the end of the recipe.

    The keeper then holds the metrics, and the averaged weights with the best validation nats.

    Returns:
      Seconds of training, those before a resume included.

    Raises:
      NonFiniteError: the loss or the gradient was infinite or nan in more than `SKIPS` updates in a
        row, or the validation nats are.
      KeyboardInterrupt: SIGINT or SIGTERM came (the number is its argument); the step was finished
        and a checkpoint kept first.
    """
    with interrupted() as interrupts:
        training = _Training(recipe, dataset, keeper)
        training.run_to_end(interrupts)
        if training.stopped or (interrupts and jax.process_count() == 1):
            raise KeyboardInterrupt(*interrupts)
        return training.progress.seconds


class _Training:
    """A training under way.

    Updates are dispatched ahead of the device: `pending` holds the metrics of those that are still
    in flight.
    """

    def __init__(self, recipe, dataset, keeper):
        self.recipe, self.dataset, self.keeper = recipe, dataset, keeper
        self.batches = training_batches(recipe, dataset)
        self.devices = share(recipe.part_size, parts=recipe.accumulate)
        if len(self.devices) < jax.device_count():
            print(
                f"training on {len(self.devices)} of {jax.device_count()} devices, the most that "
                f"share a batch of {recipe.part_size} equally",
                file=sys.stderr,
            )
        self.update = make_update(recipe, self.devices)
        # A resumed training has all weights in its checkpoint, and needs no other run any more.
        other = {"start": None, "encoder": None} if keeper.resumes else {}
        begin = dataclasses.replace(recipe, **other)
        values = None if keeper.resumes else first_values(dataset)
        initial = initial_state(begin, *self.batches(0), values=values)
        state, self.progress = keeper.restore(initial)
        self.step = int(state.step)
        self.state = self.update.place(state)
        self.pending: collections.deque[tuple[int, Metrics]] = collections.deque()
        self.watched: list[float] = []
        self.stopped = False
        self.next_line = 0  # the step from which on a validation is printed
        self.begun = time.monotonic() - self.progress.seconds

    def run_to_end(self, interrupts):
        eval_every = self.recipe.eval_every or max(EVALUATE_EVERY, self.batches.steps_per_epoch)
        save_every = self.recipe.checkpoint_every or eval_every
        most = lag(self.devices)
        with progress_bar(self.recipe.steps, "step", self.step) as bar:
            while not self.done:
                self.state, metrics = self.update.step(self.state, *self.batches(self.step))
                self.step += 1
                self.pending.append((self.step, metrics))
                self.wait(most, bar)
                bar.update()
                if self.step % eval_every == 0 or self.step == self.recipe.steps:
                    self.wait(0, bar)
                    self.evaluate(bar)
                if self.recipe.snapshots and self.step in self.recipe.cycle_ends:
                    self.wait(0, bar)
                    self.snapshot()
                stop = self.agreed(interrupts)  # asked once: what comes later is for the next step
                if self.step % save_every == 0 or self.done or stop:
                    self.wait(0, bar)
                    self.save()
                if stop:
                    self.stopped = True
                    break

    def agreed(self, interrupts):
        """Whether to stop after this step: all processes must, and ask each other now and then."""
        if jax.process_count() == 1:
            return bool(interrupts)
        return self.step % AGREE_EVERY == 0 and any_of(bool(interrupts))

    @property
    def done(self):
        patience = self.recipe.patience
        return self.step >= self.recipe.steps or bool(patience and self.progress.waited >= patience)

    def wait(self, most, bar):
        """Waits until at most `most` updates are under way, and keeps the metrics of those that
        have come.
        """
        while len(self.pending) > most:
            step, metrics = self.pending.popleft()
            loss, norm, rate = (float(value) for value in metrics)
            if math.isfinite(loss) and math.isfinite(norm):
                self.progress.skipped = 0
                self.progress.window.append((loss, norm))
                bar.set_postfix_str(f"{loss:.2f} {self.unit}", refresh=False)
            else:
                self.skip("gradient" if math.isfinite(loss) else "loss", loss + norm, step, bar)
            if step % LOG_EVERY == 0 and self.progress.window:
                self.log(step, rate)

    def skip(self, what, value, step, bar):
        """Says that an update was left out; gives up after too many in a row, or where the weights
        are no numbers.
        """
        self.progress.skipped += 1
        if self.progress.skipped > SKIPS or not _finite(self.update.fetch(self.state.variables)):
            self.give_up(what, value, step - self.progress.skipped + 1)
        bar.write(f"step {step:,}: {what} is {value}; this update is left out", file=sys.stderr)

    def log(self, step, rate):
        """Writes the means over the steps since the last line."""
        window, self.progress.window = self.progress.window, []
        nats, norm = (math.fsum(values) / len(window) for values in zip(*window, strict=True))
        self.keeper.record(
            {
                "step": step,
                f"train_{self.unit}": nats,
                "gradient_norm": norm,
                "learning_rate": rate,
                "seconds": self.seconds,
            }
        )

    def evaluate(self, bar):
        """Scores the averaged weights on the validation split, and keeps them if they are the best
        so far.
        """
        ema = self.update.fetch(self.state.ema)
        mixture = self.recipe.validate_ensemble
        valid = evaluate(
            self.recipe.model, ema, self.dataset.valid, self.recipe.batch_size, ensemble=mixture
        )
        judged, name = valid.judged, "valid_watched" if valid.knows == "none" else "valid_nats"
        if not math.isfinite(judged):
            self.give_up(f"validation {valid.watched_name or 'nats'}", judged, self.step)
        error = {} if valid.error is None else {"valid_error": valid.error}
        self.keeper.record({"step": self.step, name: judged, **error, "seconds": self.seconds})
        best = self.progress.best
        better = best is None or judged < best or not self.recipe.model.keeps_best
        if better:
            self.keeper.keep(self.recipe.model, ema)
            self.progress.best, self.progress.waited = judged, 0
        else:
            self.progress.waited += 1
        self.watched.append(judged)
        if reason := self.recipe.model.trouble(self.watched):
            bar.write(f"warning: step {self.step:,}: {reason}.", file=sys.stderr)
            self.watched.clear()
        if self.step >= self.next_line or self.done:
            best = "" if better else f" (best {self.progress.best:.{valid.digits}f})"
            bar.write(f"step {self.step:,}: validation {valid}{best}", file=sys.stderr)
            lines = self.keeper.most_lines
            self.next_line = self.step + (self.recipe.steps // lines if lines else 0)

    def snapshot(self):
        """Keeps the averaged weights, before the next cycle starts their average again."""
        ema = self.update.fetch(self.state.ema)
        if not _finite(ema):
            self.give_up("a weight", math.nan, self.step)
        number = 1 + self.recipe.cycle_ends.index(self.step)
        self.keeper.snapshot(number, self.recipe.model, ema)

    def save(self):
        self.progress.seconds = self.seconds
        state = self.update.fetch(self.state)
        if not _finite(state.variables):
            self.give_up("a weight", math.nan, self.step)
        if self.progress.best is None:  # not validated yet, but can be sampled
            self.keeper.keep(self.recipe.model, state.ema)
        self.keeper.save(state, self.progress)

    def give_up(self, what, value, step):
        kept = self.keeper.kept(self.progress)
        raise NonFiniteError(
            f"{what} became {value} at step {step}. {kept} Usual causes: too high a "
            "--learning-rate, too short a "
            "--warmup, no --clip, bfloat16, or a model whose parameters leave the range of its "
            "head."
        )

    @property
    def unit(self):
        """What the loss of a training is stated in."""
        return self.recipe.model.loss_unit

    @property
    def seconds(self):
        return round(time.monotonic() - self.begun, 3)


def _finite(variables):
    return all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(variables))
