"""The command line of a training: which model, which recipe, and what to do around it."""

import argparse
import dataclasses
import difflib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import tyro

from train.cli.flags import read_recipe
from train.cli.own_models import own_recipe
from train.engine.prepare import chosen
from train.recipe.presets import RECIPES
from train.recipe.recipe import Recipe
from train.runs.folder import find
from zoo.core.model_files import find_run, is_own, model_class


class UsageError(ValueError):
    """A command line that asks for a model that does not exist."""


@dataclasses.dataclass(frozen=True)
class RunFlags:
    """What to do around a training."""

    run_dir: Path | None = None
    """Folder of the run (default: runs/MODEL, or runs/MODEL-2, ... when taken)."""
    resume: tyro.conf.FlagCreatePairsOff[bool] = False
    """Continue the newest run of this model, or the one in --run-dir, from its last checkpoint."""
    samples: int = 100
    """How many samples to draw to a picture at the end (0: none); of texts at most three, and of
    pairs the whole test split is translated and scored.
    """


@dataclasses.dataclass(frozen=True)
class PresetFlags(RunFlags):
    """What to do around a training of a model with presets."""

    preset: Literal["cpu", "paper"] = "cpu"
    """Where the defaults come from: cpu trains in minutes on a laptop, paper follows the
    publication.
    """


@dataclasses.dataclass(frozen=True)
class Options(RunFlags):
    """One training: the name of its run, its recipe, the fields of the model that the data must not
    change, and what to do around it.
    """

    name: str = dataclasses.field(kw_only=True)
    recipe: Recipe = dataclasses.field(kw_only=True)
    fixed: frozenset[str] = dataclasses.field(kw_only=True, default=frozenset())


def parse(model: str, args: Sequence[str], prog: str = "python -m train") -> Options:
    """The options of `python -m train MODEL ARGS`; a resumed run's defaults are its own recipe.

    Raises:
      UsageError: there is no such recipe; the message names the nearest.
      ValueError: a flag that
        this model does not have.
      ModelFileError: the file in `FILE.py:Class` cannot be used.
      RunError:
        there is no run to resume.
      SystemExit: the flags are wrong, or --help was asked for.
    """
    own, prog = is_own(model), f"{prog} {model}"
    name = model_class(model)[0].__name__ if own else model
    if not own and name not in RECIPES:
        raise UsageError(_unknown(name))
    first = _look_ahead(args)
    if first.resume and not first.preset and not {"-h", "--help"} & set(args):
        recipe = find(first.run_dir or name).name_and_recipe()[1]
    elif own:
        recipe = own_recipe(model, prog, args)
    else:
        recipe = RECIPES[name].get(first.preset or "cpu") or RECIPES[name]["cpu"]
    recipe, run = read_recipe(
        recipe,
        RunFlags if own else PresetFlags,
        prog,
        args,
        data=first.name or recipe.data.name,
        head=first.head or "",
        description=f"Train {name}: {sentence(type(recipe.model))}",
    )
    if recipe.encoder is not None and is_own(recipe.encoder):  # a run never says where a file is
        recipe = dataclasses.replace(recipe, encoder=str(find_run(recipe.encoder).parent))
    fixed = fixed_fields(name, recipe, args)
    return Options(run.run_dir, run.resume, run.samples, name=name, recipe=recipe, fixed=fixed)


def sentence(cls: type) -> str:
    """The first sentence of the docstring of a class."""
    text = " ".join((cls.__doc__ or "").strip().partition("\n\n")[0].split())
    return re.split(r"(?<=[.!?]) (?=[A-Z*])", text, maxsplit=1)[0]


def _unknown(name):
    near = difflib.get_close_matches(name, RECIPES, n=1, cutoff=0.4)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return (
        f"there is no recipe for a model {name!r}; there are {', '.join(RECIPES)}, and FILE.py:"
        f"Class for a model of your own file.{hint}"
    )


def fixed_fields(name: str, recipe: Recipe, args: Sequence[str]) -> frozenset[str]:
    """The fields of the model that the data must not change: those that flags set, such as `head`
    by --model.head, and on the recipe's own data all that the recipe sets.
    """
    words = (word.partition("=")[0].split(".") for word in args if word.startswith("--model."))
    flags = {parts[1].replace("-", "_") for parts in words}
    names = {preset.data.name for preset in RECIPES.get(name, {}).values()}
    own = recipe.data.name in names and recipe.data.path is None
    return frozenset(flags | (chosen(recipe.model) if own else set()))


def _look_ahead(args):
    """The flags that decide which other flags there are, and their defaults."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for flag in ("--preset", "--run-dir", "--run_dir"):
        parser.add_argument(flag, nargs="?")
    parser.add_argument("--data.name", dest="name", nargs="?")
    parser.add_argument("--model.head", dest="head", nargs="?")
    parser.add_argument("--resume", action="store_true")
    return parser.parse_known_args(list(args))[0]
