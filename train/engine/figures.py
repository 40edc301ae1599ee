"""The numbers of an evaluation, and how they are said: exact, a bound, or no likelihood."""

import decimal
import math
from typing import Any, NamedTuple

import zoo


class Evaluation(NamedTuple):
    """Mean negative log likelihood of a split, or an upper bound of it.

    Attributes:
      nats: mean of -log p(x) over its examples; of texts, per token; of sounds, per sample. An
        upper bound of it if the model knows a bound; nan if it has no likelihood.
      standard_error: of that mean, over the examples (windows of a text or a sound).
      bits_per_dim: the mean in bits per dimension (token, sample).
      num: how many examples (tokens, samples).
      unit: what the nats are of: `example`, `char`, `sample`, `label`, or `token` of sequences that
        end.
      error: of labels, how many are predicted wrongly, in %; None for other data.
      error_spread: the standard error of `error`, over the examples.
      knows: `exact`, `bound` or `none`: what the model knows of log p(x).
      draws: how many draws of each example the bound took; 0 of an exact likelihood.
      watched: of a model without a likelihood, the mean of what it is watched by.
      watched_name: what that is.

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
    knows: zoo.Knows = "exact"
    draws: int = 0
    watched: float = math.nan
    watched_name: str = ""

    def numbers(self) -> dict[str, Any]:
        """The fields that mean something, by name."""
        fields = {name: value for name, value in self._asdict().items() if value is not None}
        if self.knows != "none":
            del fields["watched"], fields["watched_name"]
        return fields

    @property
    def judged(self) -> float:
        """The number by which weights are chosen: the lower, the better."""
        return self.watched if self.knows == "none" else self.nats

    @property
    def digits(self) -> int:
        """How many digits of the nats are worth printing."""
        return 2 if self.unit == "example" else 4

    def __str__(self) -> str:
        """The numbers with their units."""

        if self.knows == "none":
            error = "" if math.isnan(self.standard_error) else f" +- {self.standard_error:.4g}"
            return f"no likelihood; {self.watched_name} {self.watched:.5g}{error}"
        if self.knows == "bound":
            exact = str(self._replace(knows="exact"))
            number, unit, rest = exact.partition(f" {self._first_unit}")
            return f"<= {number}{unit} (bound, {_counted(self.draws)}){rest}"

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

    @property
    def _first_unit(self):
        return {"example": "nats", "sample": "bits/sample"}.get(self.unit, f"nats/{self.unit}")


def _counted(draws):
    return "1 draw" if draws == 1 else f"{draws:,} draws"


def perplexity(nats: float) -> str:
    """exp(nats) in words, also where no floating-point number can hold it.

    >>> perplexity(1.0), perplexity(1000.0), perplexity(float("inf"))
    ('2.718', '1.970e+434', 'exp(inf)')
    """
    if nats < 100:
        return f"{math.exp(nats):.3f}"
    return f"{decimal.Decimal(nats).exp():.3e}" if nats < 1e6 else f"exp({nats:.4g})"
