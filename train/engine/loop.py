"""The training loop."""

import collections
import contextlib
import dataclasses
import math
import signal
import sys
import threading
import time
from collections.abc import Iterator

import jax
import numpy as np

import zoo
from train.data import Dataset
from train.engine.checkpoint import Checkpoints
from train.engine.devices import lag, share
from train.engine.evaluation import evaluate
from train.engine.prepare import training_batches
from train.engine.progress import progress_bar
from train.engine.step import Metrics, initial_state, make_update
from train.recipe.recipe import Recipe
from train.runs.folder import Run

LOG_EVERY = 50
EVALUATE_EVERY = 25  # at least so many steps, where an epoch of a small data set has fewer
SKIPS = 2  # updates in a row that may be infinite or nan; they are left out


class NonFiniteError(ValueError):
    """The loss, the gradient or the validation nats are no longer a number."""


def train(run: Run, recipe: Recipe, dataset: Dataset) -> float:
    """Trains from the run's newest checkpoint, or from the start, to the end of the recipe.

    The run folder then holds the metrics, checkpoints, and the averaged weights with the best
    validation nats.

    Returns:
      Seconds of training, those before a resume included.

    Raises:
      NonFiniteError: the loss or the gradient was infinite or nan in more than `SKIPS` updates in a
        row, or the validation nats are.
      KeyboardInterrupt: SIGINT or SIGTERM came; the step was finished and a checkpoint written
        first.
    """
    with Checkpoints(run.checkpoints) as checkpoints, _interrupts() as interrupts:
        training = _Training(run, recipe, dataset, checkpoints)
        training.run_to_end(interrupts)
        if interrupts:
            raise KeyboardInterrupt
        return training.progress.seconds


class _Training:
    """A training under way.

    Updates are dispatched ahead of the device: `pending` holds the metrics of those that were not
      waited for.
    """

    def __init__(self, run, recipe, dataset, checkpoints):
        self.run, self.recipe, self.dataset, self.checkpoints = run, recipe, dataset, checkpoints
        self.batches = training_batches(recipe, dataset)
        self.devices = share(recipe.batch_size)
        if len(self.devices) < jax.device_count():
            print(
                f"training on {len(self.devices)} of {jax.device_count()} devices, the most that "
                "share a batch of "
                f"{recipe.batch_size} equally",
                file=sys.stderr,
            )
        self.update = make_update(recipe, self.devices)
        begin = recipe if checkpoints.latest is None else dataclasses.replace(recipe, encoder=None)
        state, self.progress = checkpoints.restore(initial_state(begin, *self.batches(0)))
        self.step = int(state.step)
        self.state = self.update.place(state)
        self.pending: collections.deque[tuple[int, Metrics]] = collections.deque()
        self.begun = time.monotonic() - self.progress.seconds
        run.cut(self.step)

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
                stop = bool(interrupts)  # asked once: what comes later is for the next step
                if self.step % save_every == 0 or self.done or stop:
                    self.wait(0, bar)
                    self.save()
                if stop:
                    break

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
                bar.set_postfix_str(f"{loss:.2f} nats", refresh=False)
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
        self.run.append(
            {
                "step": step,
                "train_nats": nats,
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
        if not math.isfinite(valid.nats):
            self.give_up("validation nats", valid.nats, self.step)
        self.run.append({"step": self.step, "valid_nats": valid.nats, "seconds": self.seconds})
        better = self.progress.best is None or valid.nats < self.progress.best
        if better:
            zoo.save(self.run.model, self.recipe.model, ema)
            self.progress.best, self.progress.waited = valid.nats, 0
        else:
            self.progress.waited += 1
        best = "" if better else f" (best {self.progress.best:.{valid.digits}f})"
        bar.write(f"step {self.step:,}: validation {valid}{best}", file=sys.stderr)

    def save(self):
        self.progress.seconds = self.seconds
        state = self.update.fetch(self.state)
        if not _finite(state.variables):
            self.give_up("a weight", math.nan, self.step)
        if self.progress.best is None:  # not validated yet, but it can be sampled
            zoo.save(self.run.model, self.recipe.model, state.ema)
        self.checkpoints.save(state, self.progress)

    def give_up(self, what, value, step):
        last = self.checkpoints.latest
        kept = (
            "There is no checkpoint yet" if last is None else f"The checkpoint of step {last} stays"
        )
        if self.run.model.exists():
            kept += f". The {'last' if self.progress.best is None else 'best'} model so far stays"
        raise NonFiniteError(
            f"{what} became {value} at step {step}. {kept}. Usual causes: too high a "
            "--learning-rate, too short a "
            "--warmup, no --clip, bfloat16, or a model whose parameters leave the range of its "
            "head."
        )

    @property
    def seconds(self):
        return round(time.monotonic() - self.begun, 3)


def _finite(variables):
    return all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(variables))


@contextlib.contextmanager
def _interrupts() -> Iterator[list[int]]:
    """Collects SIGINT and SIGTERM, which would end the process at once; a second one still does."""
    caught: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield caught
        return

    def catch(number, frame):
        caught.append(number)
        signal.signal(number, usual[number])

    usual = {number: signal.signal(number, catch) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield caught
    finally:
        for number, handler in usual.items():
            signal.signal(number, handler)
