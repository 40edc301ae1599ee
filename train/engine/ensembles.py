"""Ensembles of trained networks: the snapshots of one run, or several runs.

Probabilities of whole examples are averaged, log (1/K) sum_k p_k(x): a likelihood. An example is a
window of a text or a sound, where nats are stated of those.

**References**: L. Hansen, P. Salamon, Neural network ensembles, PAMI 1990. G. Huang et al.,
Snapshot ensembles: train 1, get M for free, ICLR 2017.
"""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import zoo
from train.data import Dataset, Split
from train.engine.evaluation import Scores, example_scores, mixture, summarise
from train.engine.figures import Evaluation
from train.engine.run_folder import load_data
from train.kinds import kind_of
from train.recipe.checks import exact
from train.recipe.recipe import Recipe, differences
from train.runs.folder import Run, RunError

MEANING = ("vocabulary", "source_vocabulary", "unit", "end", "pad", "companding", "rate")


class Member(NamedTuple):
    """A run in an ensemble: its best model, and the data as that model reads them."""

    run: Run
    recipe: Recipe
    model: zoo.Generative
    variables: zoo.Variables
    dataset: Dataset

    @classmethod
    def of(cls, run: Run, recipe: Recipe, checkpoint: Path | None = None) -> "Member":
        """The run of that recipe, whose data may lie elsewhere now; by default its best model."""
        model, variables = zoo.load(checkpoint or run.model)
        return cls(run, recipe, model, variables, load_data(run, recipe))

    def num_snapshots(self, size: int) -> int:
        """How many snapshots its ensemble has, as validation chose."""
        if self.run.results.exists():
            return json.loads(self.run.results.read_text("utf-8"))["snapshots"]["members"]
        return choose(self.run, self.recipe, self.model, self.dataset.valid, size)[0]

    def snapshot_mixture(self, split: Split, size: int, count: int) -> Scores:
        """Scores of every example under the mixture of the newest `count` snapshots."""
        return mixture(snapshot_scores(self.run, self.recipe, self.model, split, size, count))


def network_scores(
    model: zoo.Generative, variables: zoo.Variables, split: Split, size: int
) -> Scores:
    """Scores of every example under a model; of one with members (masks, orderings), under their
    mixture.
    """
    return example_scores(model, variables, split, size, ensemble=len(model.members()) > 1)


def snapshot_scores(
    run: Run, recipe: Recipe, model: zoo.Generative, split: Split, size: int, count: int
) -> list[Scores]:
    """Scores of every example under each of the newest `count` snapshots, the newest first.

    Raises:
      zoo.CheckpointError: a snapshot is missing or corrupt.
    """
    last = len(recipe.cycle_ends)
    loaded = (zoo.load(run.snapshot(number))[1] for number in range(last, last - count, -1))
    return [network_scores(model, variables, split, size) for variables in loaded]


def choose(
    run: Run, recipe: Recipe, model: zoo.Generative, valid: Split, size: int
) -> tuple[int, list[float]]:
    """How many of the newest snapshots make the likeliest ensemble of a split.

    Returns:
      (that number, the mean nats of the newest one, of the newest two, ...).
    """
    scored = snapshot_scores(run, recipe, model, valid, size, len(recipe.cycle_ends))
    ensembles = [mixture(scored[:count]) for count in range(1, len(scored) + 1)]
    nats = [evaluation(each, model, valid).nats for each in ensembles]
    return 1 + int(np.argmin(nats)), nats


def report_snapshots(run: Run, recipe: Recipe, dataset: Dataset) -> tuple[dict[str, Any], str]:
    """The test numbers of the ensemble of snapshots that validates best.

    Returns:
      (for results.json: `members` of so many `cycles`, their evaluation, `valid_nats` of the newest
      one, two, ..., and the nats of `each` on the test split, newest first; a line of the report).
    """
    model, test, size = recipe.model, dataset.test, recipe.batch_size
    members, valid_nats = choose(run, recipe, model, dataset.valid, size)
    scored = snapshot_scores(run, recipe, model, test, size, len(valid_nats))
    whole = evaluation(mixture(scored[:members]), model, test)
    beside = kind_of(model).compare(model, whole.nats, test)
    line = f"test, ensemble of {snapshot_words(members, len(scored))}: {whole}{beside}"
    each = [evaluation(one, model, test).nats for one in scored]
    numbers = {"members": members, "cycles": len(scored), **whole.numbers()}
    return numbers | {"valid_nats": valid_nats, "each": each}, line


def evaluation(scores: Scores, model: zoo.Generative, split: Split) -> Evaluation:
    """The evaluation that the scores of the examples of a split amount to."""
    return summarise(scores.nats, model, split.x, scores.probabilities, scores.draws)


def snapshot_words(members: int, cycles: int) -> str:
    """The newest snapshots, in words.

    Example:
      >>> snapshot_words(3, 5)
      'the last 3 of 5 snapshots'
    """
    return f"the last {members} of {cycles} snapshots"


def check_same_space(members: Sequence[Member]) -> None:
    """Raises RunError unless the runs differ and describe the same examples; it names the field."""
    first, counts = members[0], Counter(each.run.folder.resolve() for each in members)
    if twice := [folder for folder, count in counts.items() if count > 1]:
        raise RunError(f"the run {twice[0]} is named {counts[twice[0]]} times: name it once.")
    if len(members) > 1:
        for member in members:
            exact(member.model, "ensemble")
    for other in members[1:]:
        ours, theirs = _space(first), _space(other)
        field = next((name for name in ours if ours[name] != theirs[name]), None)
        if field is not None:
            raise RunError(
                f"{first.run.folder} and {other.run.folder} make no ensemble: {field} is "
                f"{_short(ours[field])} in the first but {_short(theirs[field])} in the second."
            )
        if first.dataset.digest != other.dataset.digest:
            raise RunError(
                f"{first.run.folder} and {other.run.folder} make no ensemble, for they have "
                f"different data: {_differing_data(first, other)}."
            )


def _space(member):
    """What models must agree on for the probabilities of an example to mean the same."""
    model, recipe = member.model, member.recipe
    return {
        "kind": model.kind,
        "site_shape": tuple(model.site_shape),
        "the event_shape of the head": tuple(model.head.event_shape),
        "the number of values of the head": model.head.num_values,
        **{name: getattr(model, name, None) for name in MEANING},
        "conditional": recipe.conditional,
    }


def _differing_data(first, other):
    changed = differences(first.recipe, other.recipe)
    fields = [
        f"{name} is {a!r} and {b!r}" for name, (a, b) in changed.items() if name[:5] == "data."
    ]
    return ", ".join(fields) or "their contents differ"


def _short(value):
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
