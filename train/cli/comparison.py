"""One training with snapshots against independent trainings: the table of docs/practice.md."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

from train.engine.ensembles import (
    Member,
    evaluation,
    network_scores,
    snapshot_scores,
    snapshot_words,
)
from train.engine.evaluation import Scores, mixture
from train.engine.report import duration
from train.kinds import kind_of
from train.recipe.recipe import Recipe
from train.runs.folder import Run

HEADER = ("| what | steps | test | training |", "|---|---|---|---|")


class Scored(NamedTuple):
    """A finished run, its seconds, and the scores of every test example under each of its
    networks."""

    member: Member
    seconds: float
    networks: list[Scores]


def compare(
    recipe: Recipe, count: int, trained: Callable[[str, Recipe], tuple[Run, float]]
) -> list[str]:
    """The lines of the table: one run, cycles with snapshots, and ensembles of runs.

    Args:
      recipe: of one run, with a cosine; the others have other seeds, fewer steps or cycles.
      count: how many cycles, and how many runs of other seeds.
      trained: (name, recipe) -> (the finished run of that recipe, its seconds).
    """
    seeds = range(recipe.seed, recipe.seed + count)

    def runs(name, **changes):
        each = [dataclasses.replace(recipe, seed=seed, **changes) for seed in seeds]
        return [_run(f"{name}-{one.seed}", one, trained) for one in each]

    cyclic = dataclasses.replace(recipe, schedule="cyclic", cycles=count, snapshots=True)
    (one, *others), short = runs("cosine"), runs("short", steps=recipe.steps // count)
    cycles = _run("cyclic", cyclic, trained)
    chosen = cycles.member.num_snapshots(_size(cycles.member))
    return [
        *HEADER,
        _line("one cosine", [one], one.networks),
        _line(f"{count} cycles: the last snapshot", [cycles], cycles.networks[:1]),
        _line(
            f"{count} cycles: ensemble of {snapshot_words(chosen, count)}",
            [cycles],
            cycles.networks[:chosen],
        ),
        _line(f"ensemble of {count} short cosines", short, _all(short)),
        _line(f"ensemble of {count} cosines", [one, *others], _all([one, *others])),
    ]


def _run(name, recipe, trained):
    run, seconds = trained(name, recipe)
    member = Member.of(run, recipe)
    model, split, size = member.model, member.dataset.test, _size(member)
    if recipe.snapshots:
        networks = snapshot_scores(run, recipe, model, split, size, len(recipe.cycle_ends))
    else:
        networks = [network_scores(model, member.variables, split, size)]
    return Scored(member, seconds, networks)


def _size(member):
    return kind_of(member.model).evaluation_batch(member.recipe.batch_size)


def _all(runs):
    return [scores for run in runs for scores in run.networks]


def _line(what: str, runs: Sequence[Scored], networks: Sequence[Scores]) -> str:
    """A line of the table: the mixture of some networks, and what it took to train them."""
    member, steps = runs[0].member, [run.member.recipe.steps for run in runs]
    result = evaluation(mixture(networks), member.model, member.dataset.test)
    told = f"{len(steps)} x {steps[0]:,}" if len(steps) > 1 else f"{steps[0]:,}"
    seconds = sum(run.seconds for run in runs)
    return f"| {what} | {told} | {result} | {duration(seconds)} |"
