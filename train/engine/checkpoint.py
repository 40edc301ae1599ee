"""Checkpoints of a training in progress, by orbax: whole ones only, whenever the process is killed."""

import contextlib
import dataclasses
import gc
import json
import logging
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

from train.engine.step import State
from zoo.core.checkpoint import digest

KEPT = 2


class CheckpointError(ValueError):
    """A checkpoint that is corrupt or belongs to another training."""


@dataclasses.dataclass
class Progress:
    """What a resumed training must know beside its arrays.

    Attributes:
      best: lowest validation nats so far; None before the first evaluation.
      waited: evaluations since then.
      seconds: training time so far.
      window: (loss, gradient norm) of every step since the last line of metrics, but for those that
        were skipped.
      skipped: updates in a row, up to the last, that were skipped because they were infinite or
        nan.
    """

    best: float | None = None
    waited: int = 0
    seconds: float = 0.0
    window: list[tuple[float, float]] = dataclasses.field(default_factory=list)
    skipped: int = 0


class Checkpoints:
    """The checkpoints in one folder, the last `KEPT` of them."""

    def __init__(self, folder: Path):
        import orbax.checkpoint as ocp

        # Of several processes the leader alone keeps checkpoints, without waiting for others.
        alone = ocp.options.MultiprocessingOptions(
            primary_host=0, active_processes={0}, barrier_sync_key_prefix="leader"
        )
        several: dict[str, Any] = {"multiprocessing_options": alone, "create": False}
        options = ocp.CheckpointManagerOptions(
            max_to_keep=KEPT,
            enable_async_checkpointing=False,
            **(several if jax.process_count() > 1 else {}),
        )
        self.folder = Path(folder).absolute()
        self.folder.mkdir(parents=True, exist_ok=True)
        with _quietly():
            self._ocp, self._manager = ocp, ocp.CheckpointManager(self.folder, options=options)

    def __enter__(self) -> "Checkpoints":
        """Itself; `with` closes it."""
        return self

    def __exit__(self, *_: Any) -> None:
        """Closes the manager."""
        self._manager.close()

    @property
    def latest(self) -> int | None:
        """The step of the newest checkpoint, if there is one."""
        return self._manager.latest_step()

    def save(self, state: State, progress: Progress) -> None:
        """Writes a checkpoint of a fetched state, with a digest of it, unless there is one of this
        step.
        """
        step = int(state.step)
        if step == self.latest:
            return
        save = self._ocp.args
        state = jax.tree.map(np.asarray, state)
        words = dataclasses.asdict(progress)
        parts = save.Composite(
            state=save.StandardSave(state),
            progress=save.JsonSave({**words, "digest": _digest(state, words)}),
        )
        self._manager.save(step, args=parts)

    def restore(self, like: State) -> tuple[State, Progress]:
        """The newest sound checkpoint, or `like` and no progress if there is none at all.

        Damaged ones that are newer are named on stderr and set aside as STEP.damaged.

        Args:
          like: a state of the same training, such as its initial one.

        Raises:
          CheckpointError: there are checkpoints, but each is corrupt or of another model or
            optimiser.
        """
        target = jax.tree.map(np.asarray, like)
        damaged: dict[int, CheckpointError] = {}
        for step in sorted(self._manager.all_steps(), reverse=True):
            try:
                found = self._read(step, target)
            except CheckpointError as error:
                damaged[step] = error
                continue
            for other, complaint in damaged.items():
                print(
                    f"warning: {complaint}; going on from the checkpoint of step {step}.",
                    file=sys.stderr,
                )
                self._set_aside(other)
            return found
        if damaged:
            raise CheckpointError(
                f"{next(iter(damaged.values()))}, and no older checkpoint is sound; to train "
                "from the first step "
                f"again, delete {self.folder}."
            )
        return like, Progress()

    def _read(self, step, target):
        where = self.folder / str(step)
        restore = self._ocp.args
        parts = restore.Composite(
            state=restore.StandardRestore(target), progress=restore.JsonRestore()
        )
        with _quietly():
            try:
                found = self._manager.restore(step, args=parts)
                state, words = found["state"], dict(found["progress"])
                written = words.pop("digest", None)  # of older checkpoints nothing is known
                progress = Progress(**words)
                leaves = jax.tree.leaves(state)
                changed = written not in (None, _digest(state, words))
            except MemoryError:
                raise
            except Exception as error:  # orbax and tensorstore raise all kinds
                raise CheckpointError(f"{where} is corrupt ({_line(error)})") from None
        for wanted, got in zip(jax.tree.leaves(target), leaves, strict=True):
            if wanted.shape != got.shape or wanted.dtype != got.dtype:
                raise CheckpointError(
                    f"{where} belongs to another training: an array of it is "
                    f"{got.dtype}{list(got.shape)}, "
                    f"expected {wanted.dtype}{list(wanted.shape)}"
                )
        if changed:
            raise CheckpointError(
                f"{where} is corrupt (its digest is another than when it was written)"
            )
        return state, progress

    def _set_aside(self, step):
        aside = self.folder / f"{step}.damaged"
        shutil.rmtree(aside, ignore_errors=True)
        (self.folder / str(step)).rename(aside)
        self._manager.reload()


def _digest(state, words):
    # Leaves by their position: the names inside an optimiser's state may change between releases.
    leaves = {f"{i:06}": np.asarray(leaf) for i, leaf in enumerate(jax.tree.leaves(state))}
    return digest(json.dumps(words, sort_keys=True), leaves)


def _line(error):
    text = " ".join(str(error).split())
    return text if len(text) <= 160 else f"{text[:160]}..."


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Keeps what orbax and tensorstore say about a damaged checkpoint off stderr; the error itself
    says it in one line.

    When one array of many cannot be read, the loop that waited for all of them ends; the others
    then report to a closed loop from threads of tensorstore, at any later time.
    """
    _ignore_closed_loops()
    loggers = [logging.getLogger(name) for name in ("absl", "asyncio")]
    before = [logger.disabled for logger in loggers]
    for logger in loggers:
        logger.disabled = True
    try:
        yield
    except Exception:
        gc.collect()  # futures whose exception nobody asked for log it when they go
        raise
    finally:
        for logger, disabled in zip(loggers, before, strict=True):
            logger.disabled = disabled


def _ignore_closed_loops():
    usual = sys.unraisablehook
    if getattr(usual, "ignores_closed_loops", False):
        return

    def hook(unraisable):
        if not (
            isinstance(unraisable.exc_value, RuntimeError)
            and str(unraisable.exc_value) == "Event loop is closed"
        ):
            usual(unraisable)

    hook.ignores_closed_loops = True  # type: ignore[attr-defined]
    sys.unraisablehook = hook
