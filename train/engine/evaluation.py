"""The exact likelihood of a split, in stated units."""

import decimal
import math
from typing import Any, NamedTuple

import jax
import numpy as np

import zoo
from train.data import Split, batches
from train.engine.devices import shardings, spread
from train.engine.progress import progress_bar
from train.kinds import kind_of
from zoo.core import checks

STREAMS = 16  # that a recurrent network reads a text as: only their first windows have no past


class Evaluation(NamedTuple):
    """Mean negative log likelihood of a split.

    Attributes:
      nats: mean of -log p(x) over its examples; of texts, per token; of sounds, per sample.
      standard_error: of that mean, over the examples (windows of a text or a sound).
      bits_per_dim: the mean in bits per dimension (token, sample).
      num: how many examples (tokens, samples).
      unit: what the nats are of: `example`, `char`, `sample`, `label`, or `token` of sequences that
        end.
      error: of labels, how many are predicted wrongly, in %; None for other data.
      error_spread: the standard error of `error`, over the examples.

    Example:
      >>> import train
      >>> print(train.Evaluation(90.73, 0.24, 0.1670, 10_000))
      90.73 +- 0.24 nats, 0.1670 bits/dim
    """

    nats: float
    standard_error: float
    bits_per_dim: float
    num: int
    unit: str = "example"
    error: float | None = None
    error_spread: float | None = None

    def numbers(self) -> dict[str, Any]:
        """The fields that are known, by name."""
        return {name: value for name, value in self._asdict().items() if value is not None}

    @property
    def digits(self) -> int:
        """How many digits of the nats are worth printing."""
        return 2 if self.unit == "example" else 4

    def __str__(self) -> str:
        """The numbers with their units."""

        def spread(scale=1.0):
            return "" if alone else f" +- {self.standard_error / scale:.{self.digits}f}"

        alone = math.isfinite(self.nats) and math.isnan(self.standard_error)
        what = "example" if self.unit in ("example", "token", "label") else "window"
        only = f" (1 {what})" if alone else ""
        if self.unit == "example":
            nats = f"{self.nats:.2f}{spread()} nats"
            return f"{nats}, {self.bits_per_dim:.4f} bits/dim{only}"
        if self.error is not None:
            error = f"{self.error:.2f}" + ("" if alone else f" +- {self.error_spread:.2f}")
            return f"{error} % error, {self.nats:.4f}{spread()} nats/{self.unit}{only}"
        if self.unit == "sample":
            bits = f"{self.bits_per_dim:.4f}{spread(math.log(2))} bits/sample"
            return f"{bits}, {self.nats:.4f} nats/sample{only}"
        return (
            f"{self.nats:.4f}{spread()} nats/{self.unit}, "
            f"{self.bits_per_dim:.4f} bits/{self.unit}, "
            f"perplexity {perplexity(self.nats)}{only}"
        )


def perplexity(nats: float) -> str:
    """exp(nats) in words, also where no floating-point number can hold it.

    >>> perplexity(1.0), perplexity(1000.0), perplexity(float("inf"))
    ('2.718', '1.970e+434', 'exp(inf)')
    """
    if nats < 100:
        return f"{math.exp(nats):.3f}"
    return f"{decimal.Decimal(nats).exp():.3e}" if nats < 1e6 else f"exp({nats:.4g})"


def evaluate(
    model: zoo.Autoregressive,
    variables: zoo.Variables,
    split: Split,
    batch_size: int,
    *,
    ensemble: bool = False,
) -> Evaluation:
    """Likelihood of every example of a split, over all devices.

    The last batch is filled up by repeating its last example, and the filling is not counted: one
      compilation serves
    all batches, and the mean is over exactly the examples of the split.

    Args:
      model: the model.
      variables: its variables.
      split: the examples.
      batch_size: examples at a time; rounded up to a multiple of the number of devices.
      ensemble: score the mixture of `model.members()` instead of the model itself.

    A text, cut into windows, is scored window by window, each from its beginning; by a recurrent
    network as a few streams of windows that go on from one another.
    """
    if model.streams:
        return summarise(_stream_nats(model, variables, split.x), model, split.x)
    kind = kind_of(model)
    replicated, split_sharding = shardings()
    variables = jax.device_put(variables, replicated)
    size = math.ceil(batch_size / jax.device_count()) * jax.device_count()
    scores: dict[str, list[np.ndarray]] = {}
    with progress_bar(len(split.x), "example", delay=10) as bar:
        for batch in batches(split, size):
            batch = kind.shortened(model, batch)
            count, fitting = len(batch.x), kind.of_length(model, batch.x)
            members = fitting.members() if ensemble else (fitting,)
            x, context = spread(
                jax.tree.map(lambda rows: _fill(rows, size), tuple(batch)), split_sharding
            )
            for name, values in kind.scores(members, variables, x, context).items():
                scores.setdefault(name, []).append(np.asarray(values, np.float64)[:count])
            bar.update(count)
    return summarise(
        model=model, x=split.x, **{name: np.concatenate(parts) for name, parts in scores.items()}
    )


def check_ensemble(model: zoo.Autoregressive, flag: str) -> None:
    """Raises ValueError if the model has no members besides itself."""
    if len(model.members()) == 1:
        raise ValueError(f"this {checks.kind(model)} is one model and no ensemble: drop --{flag}.")


def _stream_nats(model, variables, windows):
    """Nats of every window [windows, length], read as streams side by side, the last one perhaps
    shorter.
    """
    count = -(-len(windows) // STREAMS)
    streams = np.split(_fill(windows, count * STREAMS), STREAMS)
    carry, nats = zoo.begin(model, variables, STREAMS), []
    for pieces in zip(*streams, strict=True):
        log_prob, carry = zoo.stream_log_prob(model, variables, np.stack(pieces), carry)
        nats.append(-np.asarray(log_prob, np.float64))
    return np.stack(nats, axis=1).ravel()[: len(windows)]


def summarise(
    nats: np.ndarray, model: zoo.Autoregressive, x: np.ndarray, errors: np.ndarray | None = None
) -> Evaluation:
    """The evaluation that the nats of single examples `x` amount to: their sum, divided by what is
    scored in all of them; and the mean of their `errors`, shares of wrong labels, if there are any.
    """
    kind, num = kind_of(model), len(nats)
    sites, of = kind.scored_sites(model, x).astype(np.float64), kind.unit(model)
    mean = float(nats.sum() / sites.sum())
    error = (
        float((nats - mean * sites).std(ddof=1) / sites.mean()) / math.sqrt(num)
        if num > 1
        else math.nan
    )
    bits = zoo.bits_per_dim(-mean, model.num_dims if of == "example" else 1)
    result = Evaluation(mean, error, bits, int(sites.sum()), of)
    if errors is None:
        return result
    spread = errors.std(ddof=1) / math.sqrt(num) if num > 1 else math.nan
    return result._replace(error=100 * float(errors.mean()), error_spread=100 * float(spread))


def _fill(rows, size):
    return np.concatenate([rows, np.repeat(rows[-1:], size - len(rows), axis=0)])
