"""`python -m train.evaluate RUN` prints what a run's model knows of the likelihood of a split, `RUN RUN
--ensemble` that of the mixture of several runs.
"""

import dataclasses
import sys
from typing import Annotated, Literal

import tyro

import zoo
from train.cli.options import Moved
from train.engine.ensembles import Member, check_same_space, evaluation, snapshot_words
from train.engine.evaluation import (
    TEST_SCORES,
    check_draws,
    check_ensemble,
    example_scores,
    keep_scores,
    mixture,
)
from train.kinds import kind_of
from train.runs.changes import check_same
from train.runs.folder import Run
from zoo.cli import called, complaint, read_flags
from zoo.core.checks import kind
from zoo.core.model_files import find_run, take_classes
from zoo.foundation.compilation_cache import cache_compilations
from zoo.foundation.outside.ending import run_to_end
from zoo.foundation.processes import Distributed, everywhere, join, leads


@dataclasses.dataclass(frozen=True)
class Options:
    """Likelihood of a trained run, or of an ensemble of runs: exact, or a bound by random draws."""

    run: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """A run folder, a model's name for its newest run under runs/, or FILE.py:Class for the newest
    run of that class.
    """
    more: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="[RUN ...]")] = ()
    """More runs, with --ensemble."""
    classes: tuple[str, ...] = ()
    """Model files (FILE.py) that define the classes of the run; one a flag."""
    split: Literal["test", "valid", "train"] = "test"
    """Which split of the run's data."""
    ensemble: tyro.conf.FlagCreatePairsOff[bool] = False
    """Score the mixture of all that was trained: of the runs; of the snapshots of each, or its
    masks and orderings.
    """
    orderings: int | None = None
    """Score the mixture of so many orderings instead, by a model that was trained for all of them
    (EoNADE).
    """
    draws: int | None = None
    """Draws of each example that the bound of a model takes which knows a bound; more are tighter. By
    default as many as the run's recipe says.
    """
    seed: int = 0
    """Seed of these draws."""
    batch_size: int | None = None
    """Examples at a time; 500 by default, of sounds as many as in training."""
    moved: Annotated[Moved, tyro.conf.OmitArgPrefixes] = Moved()
    together: Annotated[Distributed, tyro.conf.OmitArgPrefixes] = Distributed()

    @property
    def runs(self) -> tuple[str, ...]:
        """All runs."""
        return (self.run, *self.more)


def main(args: list[str] | None = None) -> int:
    """`python -m train.evaluate RUN`."""
    return run_to_end(lambda: _code(args)) or 0


def _code(args):
    prog = called("train.evaluate")
    cache_compilations()
    try:
        args, _ = take_classes(sys.argv[1:] if args is None else args)
        join(args)
        lines = _report(*everywhere(lambda: _read(args, prog)))
    except Exception as error:
        print(f"error: {complaint(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    if leads():
        print("\n".join(lines))
    return 0


def _read(args, prog):
    """The options, and the runs that they name."""
    options = read_flags(Options, prog, args=args)
    _check(options)
    members = [_opened(options, name) for name in options.runs]
    check_same_space(members)
    return options, members


def _report(options, members):
    """The lines to print: the data, and the likelihood of the run; of several, of each and of all."""
    scored = [_scored(options, each) for each in members]
    lines = [_line(options, each, *found) for each, found in zip(members, scored, strict=True)]
    if len(members) > 1:
        whole = mixture([scores for _, scores in scored])
        lines.append(_line(options, members[0], f", ensemble of {len(members)} runs", whole))
    return [members[0].dataset.description, *lines]


def _check(options):
    for name in ("batch_size", "orderings"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise ValueError(f"--{name.replace('_', '-')} must be at least 1; got {value}.")
    if len(options.runs) > 1 and not options.ensemble:
        raise ValueError(
            f"got {len(options.runs)} runs: pass --ensemble to score their mixture, or name one."
        )


def _opened(options, word):
    """A run with its best model and its data."""
    checkpoint = find_run(word)
    run = Run(checkpoint.parent)
    name, recipe = run.name_and_recipe()
    if options.moved != Moved():
        recipe = options.moved.recipe(recipe)
        check_same(run, name, recipe)
    member = Member.of(run, recipe, checkpoint)
    if options.orderings is not None:
        if not isinstance(member.model, zoo.Autoregressive):
            raise ValueError(
                f"{kind(member.model)} draws whole examples from noise, in no ordering: drop "
                "--orderings."
            )
        member = member._replace(model=member.model.with_orderings(options.orderings))
    check_draws(member.model, options.draws)
    if options.ensemble and len(options.runs) == 1 and not recipe.snapshots:
        check_ensemble(member.model, "ensemble")
    return member


def _scored(options, member):
    """(what was scored, the scores of every example)."""
    model, split = member.model, getattr(member.dataset, options.split)
    size = options.batch_size or kind_of(model).evaluation_batch(member.recipe.batch_size)
    name = f", {member.run.folder}" if len(options.runs) > 1 else ""
    if options.ensemble and member.recipe.snapshots:
        count = member.num_snapshots(size)
        words = snapshot_words(count, len(member.recipe.cycle_ends))
        return f"{name}, ensemble of {words}", member.snapshot_mixture(split, size, count)
    several = options.orderings is not None or (options.ensemble and len(model.members()) > 1)
    noise = {"draws": options.draws or member.recipe.draws, "seed": options.seed}
    scores = example_scores(model, member.variables, split, size, ensemble=several, **noise)
    if options.split == "test" and not several and _lacks_scores(member.run):
        keep_scores(member.run.folder, scores.nats, model, split.x)
    return f"{name}, ensemble of {len(model.members())}" if several else name, scores


def _lacks_scores(run):
    """Whether the run is finished, and was so before runs kept the scores of their test split."""
    return run.results.exists() and not (run.folder / TEST_SCORES).exists()


def _line(options, member, name, scores):
    model, split = member.model, getattr(member.dataset, options.split)
    result = evaluation(scores, model, split)
    beside = kind_of(model).compare(model, result.nats, split)
    return f"{options.split}{name}: {result}{beside} ({result.num:,} {result.unit}s)"


if __name__ == "__main__":
    sys.exit(main())
