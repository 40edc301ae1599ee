"""Checkpoints of a training in progress, by orbax: whole ones only, whenever the process is killed."""

import dataclasses
from pathlib import Path
from typing import Any, Self

import jax
import numpy as np

from train.update import State

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
      window: (loss, gradient norm) of every step since the last line of metrics.
    """

    best: float | None = None
    waited: int = 0
    seconds: float = 0.0
    window: list[tuple[float, float]] = dataclasses.field(default_factory=list)


class Checkpoints:
    """The checkpoints in one folder, the last `KEPT` of them."""

    def __init__(self, folder: Path):
        import orbax.checkpoint as ocp

        options = ocp.CheckpointManagerOptions(max_to_keep=KEPT, enable_async_checkpointing=False)
        self.folder = Path(folder).absolute()
        self._ocp, self._manager = ocp, ocp.CheckpointManager(self.folder, options=options)

    def __enter__(self) -> Self:
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
        """Writes a checkpoint of a fetched state, unless there is one of this step."""
        step = int(state.step)
        if step == self.latest:
            return
        save = self._ocp.args
        parts = save.Composite(
            state=save.StandardSave(jax.tree.map(np.asarray, state)),
            progress=save.JsonSave(dataclasses.asdict(progress)),
        )
        self._manager.save(step, args=parts)

    def restore(self, like: State) -> tuple[State, Progress]:
        """The newest checkpoint, or `like` and no progress if there is none.

        Args:
          like: a state of the same training, such as its initial one.

        Raises:
          CheckpointError: the checkpoint is corrupt or of another model or optimiser.
        """
        if self.latest is None:
            return like, Progress()
        where = self.folder / str(self.latest)
        restore = self._ocp.args
        target = jax.tree.map(np.asarray, like)
        parts = restore.Composite(state=restore.StandardRestore(target), progress=restore.JsonRestore())
        try:
            found = self._manager.restore(self.latest, args=parts)
            state, progress = found["state"], Progress(**found["progress"])
        except Exception as error:  # orbax and tensorstore raise all kinds
            complaint = f"{where} is corrupt ({_line(error)}); delete it to go on from the one before."
            raise CheckpointError(complaint) from None
        for wanted, got in zip(jax.tree.leaves(target), jax.tree.leaves(state), strict=True):
            if wanted.shape != got.shape or wanted.dtype != got.dtype:
                raise CheckpointError(
                    f"{where} belongs to another training: an array of it is {got.dtype}{list(got.shape)}, "
                    f"expected {wanted.dtype}{list(wanted.shape)}."
                )
        return state, progress


def _line(error):
    text = " ".join(str(error).split())
    return text if len(text) <= 160 else f"{text[:160]}..."
