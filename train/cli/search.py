"""`python -m train.search MODEL --space NAME=LOW:HIGH ...` searches the fields of a recipe."""

import dataclasses
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from train.cli.flags import flag_types, words_of
from train.cli.options import Choice, choose, from_words
from train.engine.prepare import ready
from train.practice.pictures import importance, parallel
from train.practice.search import (
    How,
    Outcome,
    SearchError,
    Stage,
    Study,
    at_edge,
    narrowed,
    need_optuna,
    trial_nats,
)
from train.practice.space import Dimension, read_space
from train.recipe.recipe import Recipe, to_json
from train.runs.folder import Run, write
from zoo.cli import called, shell
from zoo.foundation.files import to_json as as_text

SHORTER = 10  # times: the steps of a trial, where no flag says them
LEAST = 200  # steps of a trial, unless the recipe has fewer
VALIDATIONS = 10  # of a trial, so that it can be stopped early


@dataclasses.dataclass(frozen=True)
class SearchFlags:
    """What is searched, and how."""

    space: tuple[str, ...] = ()
    """The fields that vary: NAME=LOW:HIGH for a linear range, NAME=LOW:HIGH:log for a log scale,
    NAME=A|B for choices; a tuple is written with commas, as in model.hidden=200|500,500.
    """
    how: How = "random"
    """How the points are chosen: random, a grid, or tpe, which looks where the trials before were
    good.
    """
    trials: int | None = None
    """How many trials there will be in all, those of an earlier call included (default: 16; of a
    grid all its points). Without --steps, a trial takes a tenth of the recipe's steps.
    """
    fine: int = 0
    """So many more trials in a second, narrower space around the best one of the first."""
    points: int = 4
    """How many values of each range a grid has."""
    folder: Path | None = None
    """Where the trials and pictures lie (default: runs/search/MODEL); the same folder continues a
    search.
    """

    def __post_init__(self):
        for name, least in (("trials", 1), ("fine", 0), ("points", 2)):
            if (value := getattr(self, name)) is not None and value < least:
                raise ValueError(f"--{name} must be at least {least}; got {value}.")


class _Search:
    """A search as its command line asks for it."""

    def __init__(self, words: Sequence[str], prog: str):
        self.prog, self.words = prog, list(words)
        self.choice: Choice = from_words(prog, self.words, SearchFlags, "Search the recipe of")
        self.flags = self.choice.flags
        need_optuna()
        self.space = read_space(self.flags.space, flag_types(self.choice.recipe))
        self.rest = without(self.words[1:], SearchFlags)
        self.base = _short(self.choice.recipe, self.rest, self.space)
        given = {word.partition("=")[0].removeprefix("--").replace("-", "_") for word in self.rest}
        if twice := [each.name for each in self.space if each.name in given]:
            flag = words_of(twice[0], "")[0]
            raise SearchError(f"{twice[0]} varies, and {flag} fixes it: drop one of them.")
        for dimension in self.space:  # each value, before anything is trained
            for value in dimension.choices or (dimension.low, dimension.high):
                self.recipe({dimension.name: dimension.rounded(value)})
        self.folder = self.flags.folder or Path("runs") / "search" / self.choice.name

    def command(self, values: dict[str, Any], rest: Sequence[str]) -> list[str]:
        """The words after the command that train with these values."""
        varied = [word for name, value in values.items() for word in words_of(name, value)]
        return [self.words[0], *rest, *varied]

    def recipe(self, values: dict[str, Any]) -> Choice:
        """The recipe with the values, read as `python -m train` reads them."""
        model, *words = self.command(values, self.rest)
        none = dataclasses.make_dataclass("NoFlags", [], frozen=True)
        none.__doc__ = "No flags."
        choice = choose(model, words, self.prog, none)
        return choice._replace(recipe=_short(choice.recipe, self.rest, self.space))

    def objective(self, values, trial):
        choice = self.recipe(values)
        _, recipe, dataset = ready(choice.recipe, choice.fixed)
        return trial_nats(recipe, dataset, trial)

    def run(self) -> int:
        *_, dataset = ready(self.base, self.choice.fixed)
        self.folder.mkdir(parents=True, exist_ok=True)
        print(f"{self.choice.name} on {dataset.description}", file=sys.stderr)
        trials = self.flags.trials or (10**9 if self.flags.how == "grid" else 16)
        stage = Stage("coarse", self.space, self.flags.how, trials, self.flags.points)
        with Run(self.folder).held():
            best = self.stage(stage, dataset.digest)
            if best is not None and self.flags.fine:
                space = narrowed(self.space, best)
                print(f"fine: {' '.join(map(str, space))}")
                fine = stage._replace(name="fine", space=space, trials=self.flags.fine)
                found = self.stage(fine, dataset.digest)
                best = min([best, *filter(None, [found])], key=lambda each: each.nats)
        if best is None:
            print("no trial was trained to the end: try lower rates, or look at the check.")
            return 1
        self.keep(best)
        return 0

    def stage(self, stage: Stage, digest: str) -> Outcome | None:
        """Makes the trials of a stage, draws them, and returns the best."""
        study = Study(self.folder / "search.db", stage, self.base, digest)
        try:
            for outcome in study.run(self.objective):
                print(f"{stage.name} {_line(outcome, study.total)}", flush=True)
            outcomes, best = study.outcomes(), study.best
            if best is None:
                return None
            print(f"best of {len(outcomes)}: {_line(best, study.total)}")
            for name in at_edge(stage.space, best):
                print(f"the best {name} lies at the edge of its range: search beyond it.")
            self.draw(stage, outcomes, study.importances())
            return best
        finally:
            study.close()

    def draw(self, stage, outcomes, importances):
        paths = {
            name: self.folder / f"{stage.name}-{name}.png" for name in ("parallel", "importance")
        }
        try:
            parallel(stage.space, outcomes, paths["parallel"])
            print(f"picture: {paths['parallel']}")
            if importances:
                importance(importances, paths["importance"])
                print(f"picture: {paths['importance']}")
        except ImportError:
            print("no pictures: they need matplotlib (pip install 'autoregressive-zoo[plots]')")

    def keep(self, best: Outcome) -> None:
        """Prints and writes the winner: a recipe, and the command that trains it."""
        rest = self.rest
        for name in ("steps", "eval-every", "eval_every"):
            rest = _without_flag(rest, name)
        line = shlex.join([*called("train").split(), *self.command(best.values, rest)])
        recipe = self.recipe(best.values).recipe
        kept: dict[str, Any] = {"command": line, "nats": best.nats, "steps": recipe.steps}
        kept["recipe"] = to_json(recipe)
        write(self.folder / "best.json", as_text(kept, 2) + "\n")
        said = f"# {best.nats:.5g} validation nats after {recipe.steps:,} steps"
        write(self.folder / "best.sh", f"{said}\n{line}\n")
        print(f"to train the winner with all its steps ({self.folder / 'best.sh'}):\n{line}")


def _short(recipe: Recipe, words: Sequence[str], space: Sequence[Dimension]) -> Recipe:
    """The recipe of a trial: a tenth of the steps and ten validations, where nothing says others."""
    said = {word.partition("=")[0] for word in words} | {f"--{each.name}" for each in space}
    changes: dict[str, Any] = {}
    if "--steps" not in said:
        changes["steps"] = max(recipe.steps // SHORTER, min(LEAST, recipe.steps))
    if not said & {"--eval-every", "--eval_every"}:
        changes["eval_every"] = max(1, changes.get("steps", recipe.steps) // VALIDATIONS)
    return dataclasses.replace(recipe, **changes)


def without(words: Sequence[str], flags: type) -> list[str]:
    """The words of a command line without the flags of a dataclass and their values.

    Example:
      >>> without(["--steps", "3", "--space", "a=1:2", "--how=grid"], SearchFlags)
      ['--steps', '3']
    """
    rest = list(words)
    for field in dataclasses.fields(flags):
        rest = _without_flag(rest, field.name)
    return rest


def _without_flag(words, name):
    kept, dropped = [], False
    for word in words:
        if word.startswith("--"):
            dropped = word.partition("=")[0] == f"--{name}"
        if not dropped:
            kept.append(word)
    return kept


def _line(outcome, total):
    values = " ".join(f"{name}={value}" for name, value in outcome.values.items())
    stopped = "stopped early" if outcome.last is None else f"stopped at {outcome.last:.5g} nats"
    nats = stopped if outcome.stopped else f"{outcome.nats:.5g} nats"
    return f"trial {outcome.number + 1} of {total}: {values}: {nats}"


def main(argv: Sequence[str] | None = None) -> int:
    """The command; the exit code is 1 if no trial was trained to the end."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[-2:-1] == ["--args"]:  # as make passes them, so that the shell sees no |
        words = [*words[:-2], *shlex.split(words[-1])]
    try:
        with shell("--folder FOLDER"):
            return _Search(words, called("train.search")).run()
    except SystemExit as stop:
        if stop.code == 130:
            print("interrupted; the same command continues the search.", file=sys.stderr)
        raise


if __name__ == "__main__":
    sys.exit(main())
