"""One recipe for several seeds and folds: which command lines a series is made of."""

import argparse
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from train.data.sources.tables import FOLDS
from train.kinds import kind_of_data
from train.recipe.recipe import Recipe
from train.runs.folder import RUNS, Run, RunError


class Member(NamedTuple):
    """One run of a series: its folder, and the words after the model that train or resume it."""

    folder: Path
    args: list[str]


def folds_of(words: Sequence[str], recipe: Recipe) -> tuple[int, ...]:
    """The folds that --folds asks for; () without the flag.

    Raises:
      ValueError: they are none, or the data have no folds.
    """
    if not words:
        return ()
    if "fold" not in kind_of_data(recipe.data.name).flags:
        raise ValueError(f"--folds is for tables, not for {recipe.data.name}: drop it.")
    if list(words) == ["all"]:
        return tuple(range(FOLDS))
    known = {str(fold): fold for fold in range(FOLDS)}
    if strange := [word for word in words if word not in known]:
        raise ValueError(f"--folds are all, or some of 0..{FOLDS - 1}; got {strange[0]}.")
    return tuple(dict.fromkeys(known[word] for word in words))


def folder_of(name: str, given: Path | None, resume: bool) -> Path:
    """The folder of a series: `given`, or runs/NAME-series, runs/NAME-series-2, ..., the newest one
    to resume.

    Raises:
      RunError: there is nothing to resume, or the folder is taken.
    """
    if given is not None:
        if not resume and given.is_dir() and any(given.iterdir()):
            raise RunError(
                f"{given} is not empty: pass --resume to continue it, or another --run-dir."
            )
        return given
    numbers = itertools.chain([""], (f"-{i}" for i in itertools.count(2)))
    folders = (RUNS / f"{name}-series{number}" for number in numbers)
    taken = list(itertools.takewhile(Path.exists, folders))
    if resume and not taken:
        raise RunError(f"there is no {RUNS / f'{name}-series'} to resume: drop --resume.")
    return taken[-1] if resume else RUNS / f"{name}-series{f'-{len(taken) + 1}' * bool(taken)}"


def members(
    folder: Path, args: Sequence[str], seeds: Sequence[int], folds: Sequence[int]
) -> list[Member]:
    """The runs of a series, a folder for each seed and fold; those that have begun are resumed."""
    words, made = without_series(args), []
    for seed, fold in itertools.product(seeds, folds or (None,)):
        of_fold = "" if fold is None else f"-fold-{fold}"
        run = Run(folder / f"seed-{seed}{of_fold}")
        own = ["--seed", str(seed), *([] if fold is None else ["--data.fold", str(fold)])]
        own += ["--run-dir", str(run.folder), *(["--resume"] if run.config.exists() else [])]
        made.append(Member(run.folder, [*words, *own]))
    return made


def without_series(args: Sequence[str]) -> list[str]:
    """The words of a command line without those that a series says for each run."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for flag in ("--seeds", "--seed", "--run-dir", "--run_dir", "--data.fold", "--samples"):
        parser.add_argument(flag)
    parser.add_argument("--folds", nargs="*")
    parser.add_argument("--resume", action="store_true")
    return parser.parse_known_args(list(args))[1]
