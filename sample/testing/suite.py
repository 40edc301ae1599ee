"""All checks on one model, a line for each: which failed and why, which mean nothing for it."""

from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple

import jax
import numpy as np

import zoo
from sample.testing import evidence_checks, spaces
from sample.testing.distribution_checks import (
    check_completion,
    check_distribution,
    check_engines,
    check_normalised,
)
from sample.testing.evidence_checks import check_bound, check_refusals, check_rows, check_used
from sample.testing.network_checks import (
    check_alive,
    check_causal,
    check_context,
    check_derived,
    check_gradients,
    check_initial,
    check_step,
)
from sample.testing.program_checks import (
    check_checkpoint,
    check_compiles_once,
    check_parallel,
    check_precision,
    check_wide,
)
from sample.testing.subject import subject_of
from zoo.foundation.registry import registered

Check = Callable[[zoo.Entry], str | None]  # a check that is ok may return a remark

CHECKS: tuple[Check, ...] = (
    check_initial,
    check_normalised,
    check_causal,
    check_alive,
    check_context,
    check_step,
    check_derived,
    check_engines,
    check_distribution,
    check_completion,
    check_gradients,
    check_parallel,
    check_compiles_once,
    check_precision,
    check_wide,
    check_checkpoint,
)

FROM_NOISE: tuple[Check, ...] = (
    check_initial,
    check_rows,
    check_used,
    check_gradients,
    check_parallel,
    check_compiles_once,
    check_wide,
    check_checkpoint,
)
BY_KNOWLEDGE: dict[zoo.Knows, tuple[Check, ...]] = {
    "exact": (*FROM_NOISE, check_normalised, check_distribution),
    "bound": (*FROM_NOISE, check_refusals, check_bound),
    "none": (*FROM_NOISE, check_refusals),
}
"""The checks of a model that draws from noise, by what it knows of log p(x)."""

OF_SITES = {check_completion: "to complete", check_alive: "for it to depend on"}
ENUMERATED = (check_normalised, check_distribution, check_completion, check_bound)


def checks_of(model: Any) -> tuple[Check, ...]:
    """The checks that a model has to pass."""
    return CHECKS if isinstance(model, zoo.Autoregressive) else BY_KNOWLEDGE[model.knows]


class Result(NamedTuple):
    """The outcome of one check.

    Attributes:
      name: of the check, such as "causal".
      outcome: "ok", "failed" or "skipped".
      why: what failed, or why the check means nothing for this model; "" if it is ok, or a remark
        on what was compared.

    Example:
      >>> print(Result("context", "skipped", "it takes no context"))
      skipped context: it takes no context
    """

    name: str
    outcome: Literal["ok", "failed", "skipped"]
    why: str = ""

    def __str__(self):
        return f"{self.outcome:8}{self.name}{': ' if self.why else ''}{self.why}"


class ConformanceError(AssertionError):
    """A model breaks the contract.

    Attributes:
      results: the result of every check, also of those that are ok.

    >>> issubclass(ConformanceError, AssertionError)
    True
    """

    def __init__(self, message: str, results: tuple[Result, ...]):
        super().__init__(message)
        self.results = results


def check(model: Any, example: Any = None, *, blind: int = 0) -> tuple[Result, ...]:
    """Checks that a model keeps the contract, and prints one line per check.

    The checks use the public contract alone. They compare the model with itself: its probabilities
    sum to 1, no site sees itself or a later one, each `step` gives what `__call__` gives, every
    engine draws the same values, draws and completions follow the model's own probabilities, and
    so on. Those that go through all values need a tiny model, such as a 2x3 image of bits, and are
    skipped for any other; each skipped check is named with its reason. Variables are random, from
    fixed seeds, so the outcome is the same every time.

    Args:
      model: an instance, the smaller the better; or a class. Of a class, the instance that its
        attribute or method `tiny` gives, else the catalogue's tiny instance, else that of its
        default fields.
      example: valid inputs of the model: a function (model, batch) -> (x, context), or a pair of
        arrays (x, context) with at least 2 rows, or x alone. By default `model.example`.
      blind: how many pairs of an earlier and a later rank do not depend on each other although the
        ordering allows it; 0 unless the network has a blind spot or a window by intention.

    Returns:
      The results, one per check, if no check failed.

    Raises:
      ConformanceError: some check failed (it is an AssertionError); its `results` are all of them.
      ValueError: `model` is no model, or `example` does not fit it.

    Example:
      >>> import sample, zoo
      >>> results = sample.testing.check(zoo.FVSBN((2, 2)))  # doctest: +ELLIPSIS
      ok      initial
      ok      normalised
      ...
      skipped context: it takes no context
      ...
    """
    entry = subject_of(model, example, blind)
    results = []
    for result in run(entry):
        print(result, flush=True)
        results.append(result)
    failed = [result.name for result in results if result.outcome == "failed"]
    if failed:
        of = f"{', '.join(failed)} of {len(results)} checks failed"
        message = f"{type(entry.tiny).__name__} breaks the contract: {of}."
        raise ConformanceError(message, tuple(results))
    return tuple(results)


def run(entry: zoo.Entry) -> Iterator[Result]:
    """The result of each check, as soon as it is known.

    A model that cannot even be initialised is not checked any further.
    """
    hopeless = False
    for each in checks_of(entry.tiny):
        name = each.__name__.removeprefix("check_")
        reason = "the model could not be initialised" if hopeless else why_skipped(each, entry)
        if reason:
            yield Result(name, "skipped", reason)
            continue
        try:
            remark = each(entry)
        except Exception as error:  # anybody's model can fail in any way
            hopeless = each is check_initial and not isinstance(error, AssertionError)
            yield Result(name, "failed", _one_line(error))
        else:
            yield Result(name, "ok", remark or "")


def _one_line(error: Exception) -> str:
    what = "" if isinstance(error, AssertionError) else f"{type(error).__name__}: "
    return what + (" ".join(str(error).split())[:300] or "an assertion without a message")


def why_skipped(check: Check, entry: zoo.Entry) -> str | None:
    """Why the check means nothing for the model, in words, or None if it has to hold."""
    model = entry.tiny
    largest = evidence_checks.LARGEST if check is check_bound else spaces.LARGEST
    if check in ENUMERATED and spaces.size_of(model) > largest:
        return (
            f"it goes through all values, and there are {_power(model)}; pass a tiny instance, "
            f"of at most {largest:,} values"
        )
    if check in OF_SITES and model.num_sites < 2:
        return f"there is one site, so nothing {OF_SITES[check]}"
    if check is check_derived and type(model).step is zoo.Autoregressive.step:
        return "it has no step, so that `step` checks the derived one"
    if check is check_context:
        return _why_no_context(entry)
    if check is check_checkpoint and (missing := _unregistered(model)):
        return f"the class {missing} is not registered; put @zoo.register above its definition"
    return None


def _power(model):
    base = model.head.num_values
    if base is None:
        return f"real numbers in {model.num_dims} dimensions, {spaces.POINTS} points each"
    return f"{base}^{model.num_dims}"


def _why_no_context(entry):
    context = entry.example(entry.tiny, 2)[1]
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(context)]
    if not leaves:
        return "it takes no context"
    if all((leaf[0] == leaf[1]).all() for leaf in leaves):
        return "the first two rows of the example have the same context; pass different ones"
    return None


def _unregistered(model):
    """The name of the first class in a model's configuration that is not registered, or None."""
    known = registered()

    def names(config):
        if isinstance(config, list):
            for item in config:
                yield from names(item)
        elif isinstance(config, dict):
            yield config["class"]
            for item in config.values():
                yield from names(item)

    return next((name for name in names(zoo.to_config(model)) if name not in known), None)
