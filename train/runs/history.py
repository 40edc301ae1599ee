"""What a training reported, as arrays."""

import dataclasses
from typing import Any

import numpy as np
from jaxtyping import Float, Int

import zoo
from train.runs.curves import figure_of


@dataclasses.dataclass(frozen=True, repr=False)
class History:
    """The metrics of a training, step by step.

    Attributes:
      records: dicts as in metrics.jsonl: `step`, `seconds`, and either `train_nats` (the mean since
        the record before), `gradient_norm` and `learning_rate`, or `valid_nats`.
      steps: the steps of the training records, [T].
      train_nats: mean loss over the steps since the record before, [T].
      gradient_norm: mean norm of the gradient over them, [T].
      learning_rate: the rate at these steps, [T].
      valid_steps: the steps of the evaluations, [V].
      valid_nats: nats of the averaged weights on the validation data, [V]; of a model that knows a
        bound, an upper bound of them.
      snapshots: the averaged weights at the end of each cycle, of a recipe with `snapshots`.

    Of a model without a likelihood the records hold `train_loss` and `valid_watched` instead, and
    so do the attributes of these names; those of nats are empty.

    Example:
      >>> history = History(({"step": 5, "valid_nats": 2.5}, {"step": 10, "valid_nats": 2.0}))
      >>> history
      History(10 steps, best validation 2 nats at step 10)
      >>> history.valid_nats.tolist()
      [2.5, 2.0]
    """

    records: tuple[dict[str, Any], ...]
    snapshots: tuple[zoo.Variables, ...] = ()

    @property
    def steps(self) -> Int[np.ndarray, " T"]:
        return self._column("step", "learning_rate").astype(int)

    @property
    def train_nats(self) -> Float[np.ndarray, " T"]:
        return self._column("train_nats", "train_nats")

    @property
    def gradient_norm(self) -> Float[np.ndarray, " T"]:
        return self._column("gradient_norm", "gradient_norm")

    @property
    def learning_rate(self) -> Float[np.ndarray, " T"]:
        return self._column("learning_rate", "learning_rate")

    @property
    def valid_steps(self) -> Int[np.ndarray, " V"]:
        evaluated = [
            record for record in self.records if {"valid_nats", "valid_watched"} & {*record}
        ]
        return np.array([record["step"] for record in evaluated], int)

    @property
    def valid_nats(self) -> Float[np.ndarray, " V"]:
        return self._column("valid_nats", "valid_nats")

    @property
    def train_loss(self) -> Float[np.ndarray, " T"]:
        return self._column("train_loss", "train_loss")

    @property
    def valid_watched(self) -> Float[np.ndarray, " V"]:
        return self._column("valid_watched", "valid_watched")

    def plot(self) -> Any:
        """A matplotlib `Figure` of all curves, which a notebook shows.

        Raises:
          ImportError: matplotlib is not installed.
        """
        return figure_of(list(self.records))

    def __repr__(self) -> str:
        """How long it was, and the best validation."""
        last = max((record["step"] for record in self.records), default=0)
        if not self.valid_steps.size:
            return f"History({last:,} steps, no validation)"
        judged, unit = (
            (self.valid_nats, " nats") if self.valid_nats.size else (self.valid_watched, "")
        )
        best = judged.argmin()
        value, step = judged[best], self.valid_steps[best]
        return f"History({last:,} steps, best validation {value:.5g}{unit} at step {step:,})"

    def _column(self, name, beside):
        return np.array([record[name] for record in self.records if beside in record], np.float64)
