"""Exact likelihood of a split. `python -m train.evaluate RUN` prints that of a trained run."""

import dataclasses
import math
import sys
from typing import Annotated, Literal, NamedTuple

import jax
import numpy as np
import tyro

import zoo
from train.data import Split, batches
from train.devices import shardings, spread


class Evaluation(NamedTuple):
    """Mean negative log likelihood of a split.

    Attributes:
      nats: mean of -log p(x) over its examples.
      standard_error: of that mean.
      bits_per_dim: the mean in bits per dimension.
      num: how many examples.
    """

    nats: float
    standard_error: float
    bits_per_dim: float
    num: int

    def __str__(self) -> str:
        """The numbers with their units."""
        return f"{self.nats:.2f} +- {self.standard_error:.2f} nats, {self.bits_per_dim:.4f} bits/dim"


def evaluate(
    model: zoo.Autoregressive,
    variables: zoo.autoregressive.Variables,
    split: Split,
    batch_size: int,
    *,
    ensemble: bool = False,
) -> Evaluation:
    """Likelihood of every example of a split, over all devices.

    The last batch is filled up by repeating its last example, and the filling is not counted: one compilation serves
    all batches, and the mean is over exactly the examples of the split.

    Args:
      model: the model.
      variables: its variables.
      split: the examples.
      batch_size: examples at a time; rounded up to a multiple of the number of devices.
      ensemble: score the mixture of `model.members()` instead of the model itself.
    """
    replicated, split_sharding = shardings()
    variables = jax.device_put(variables, replicated)
    size = math.ceil(batch_size / jax.device_count()) * jax.device_count()
    members = model.members() if ensemble else (model,)
    nats = []
    for batch in batches(split, size):
        count = len(batch.x)
        x, context = spread(jax.tree.map(lambda rows: _fill(rows, size), tuple(batch)), split_sharding)
        nats.append(-np.asarray(zoo.ensemble_log_prob(members, variables, x, context), np.float64)[:count])
    return summarise(np.concatenate(nats), model.num_dims)


def comparable(model: zoo.Autoregressive, nats: float) -> str:
    """For a standardised model, the nats that papers on tables print: of the standardised columns; else nothing."""
    if not isinstance(model, zoo.Standardised):
        return ""
    return f" ({nats + model.log_jacobian:.2f} nats of the standardised columns)"


def summarise(nats: np.ndarray, num_dims: int) -> Evaluation:
    """The evaluation that the nats of single examples amount to."""
    mean, num = float(nats.mean()), len(nats)
    error = float(nats.std(ddof=1)) / math.sqrt(num) if num > 1 else math.nan
    return Evaluation(mean, error, zoo.bits_per_dim(-mean, num_dims), num)


def _fill(rows, size):
    return np.concatenate([rows, np.repeat(rows[-1:], size - len(rows), axis=0)])


@dataclasses.dataclass(frozen=True)
class Options:
    """Exact likelihood of a trained run."""

    run: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """A run folder, or a model's name for its newest run under runs/."""
    split: Literal["test", "valid", "train"] = "test"
    """Which split of the run's data."""
    ensemble: tyro.conf.FlagCreatePairsOff[bool] = False
    """Score the mixture of all members (orderings, masks) that the run trained."""
    batch_size: int = 500
    """Examples at a time."""


def main(args: list[str] | None = None) -> int:
    """`python -m train.evaluate RUN`."""
    from train.inputs import inputs
    from train.run import Run

    options = tyro.cli(Options, args=args, prog="python -m train.evaluate")
    try:
        if options.batch_size < 1:
            raise ValueError(f"--batch-size must be at least 1; got {options.batch_size}.")
        checkpoint = zoo.find(options.run)
        run = Run(checkpoint.parent)
        _, recipe = run.name_and_recipe()
        model, variables = zoo.load(checkpoint)
        dataset = inputs(recipe)
        split = getattr(dataset, options.split)
        result = evaluate(model, variables, split, options.batch_size, ensemble=options.ensemble)
    except (ValueError, OSError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    mixture = f", ensemble of {len(model.members())}" if options.ensemble else ""
    line = f"{options.split}{mixture}: {result}{comparable(model, result.nats)} ({result.num:,} examples)"
    print(f"{dataset.description}\n{line}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
