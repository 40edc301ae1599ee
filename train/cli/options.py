"""The command line of a training: which model, which recipe, and what to do around it."""

import argparse
import dataclasses
import difflib
import functools
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import tyro

from train.cli.flags import read_recipe
from train.cli.listing import lines
from train.cli.own_models import default_recipe, own_recipe
from train.engine.prepare import chosen
from train.recipe.presets import RECIPES
from train.recipe.recipe import Recipe
from train.runs.folder import find
from train.runs.writers import Log, check_tensorboard
from zoo.cli import called
from zoo.core.model_files import find_run, is_own, model_class, take_classes
from zoo.foundation.processes import Distributed


class UsageError(ValueError):
    """A command line that asks for a model that does not exist."""


@dataclasses.dataclass(frozen=True)
class Moved:
    """Where the data of a run lie now."""

    path: Annotated[str | None, tyro.conf.arg(aliases=["--data.path"])] = None
    """Where the run's own data lie now, if they were moved."""
    data_dir: Annotated[str | None, tyro.conf.arg(aliases=["--data.data-dir"])] = None
    """Where tensorflow_datasets keeps prepared sets now."""
    manual_dir: Annotated[str | None, tyro.conf.arg(aliases=["--data.manual-dir"])] = None
    """The folder that the original downloaded files are in now."""

    def recipe(self, recipe: Recipe) -> Recipe:
        """The recipe, its data where they lie now."""
        places = {name: where for name, where in vars(self).items() if where is not None}
        return dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, **places))


@dataclasses.dataclass(frozen=True)
class RunFlags:
    """What to do around a training."""

    run_dir: Path | None = None
    """Folder of the run (default: runs/MODEL, or runs/MODEL-2, ... when taken)."""
    resume: tyro.conf.FlagCreatePairsOff[bool] = False
    """Continue the newest run of this model, or the one in --run-dir, from its last checkpoint."""
    log: tuple[Log, ...] = ()
    """Copies of the metrics beside metrics.jsonl: csv (metrics.csv), tensorboard (a folder of that
    name, which TensorBoard shows).
    """
    seeds: int = 1
    """Train so many runs, of seeds --seed, --seed + 1, ..., and print their table; see
    `python -m train.table`.
    """
    folds: tuple[str, ...] = ()
    """Of a table: train a run for each of these folds, such as 0 1 2, or for all ten (all)."""
    samples: int = 100
    """How many samples to draw to a picture at the end (0: none); of texts at most three, and of
    pairs the whole test split is translated and scored.
    """
    together: Annotated[Distributed, tyro.conf.OmitArgPrefixes] = Distributed()


@dataclasses.dataclass(frozen=True)
class Options(RunFlags):
    """One training: the name of its run, its recipe, the fields of the model that the data must not
    change, and what to do around it.
    """

    name: str = dataclasses.field(kw_only=True)
    recipe: Recipe = dataclasses.field(kw_only=True)
    fixed: frozenset[str] = dataclasses.field(kw_only=True, default=frozenset())


class Choice(NamedTuple):
    """What a command line asks for: a model with its recipe, and what to do with it.

    Attributes:
      name: the model's name, of `FILE.py:Class` that of the class.
      recipe: its recipe, with the flags.
      fixed: the fields of the model that the data must not change.
      flags: an instance of the command's own dataclass of flags.
    """

    name: str
    recipe: Recipe
    fixed: frozenset[str]
    flags: Any


def parse(model: str, args: Sequence[str], prog: str = "python -m train") -> Options:
    """The options of `python -m train MODEL ARGS`; a resumed run's defaults are its own recipe.

    Raises:
      UsageError: there is no such recipe; the message names the nearest.
      ValueError: a flag that this model does not have.
      ModelFileError: the file in `FILE.py:Class` cannot be used.
      RunError: there is no run to resume.
      SystemExit: the flags are wrong, or --help was asked for.
    """
    first, stored = _look_ahead(args), None
    series = first.seeds is not None or first.folds is not None  # each of its runs has its recipe
    if first.resume and not (first.preset or series) and not {"-h", "--help"} & set(args):
        stored = find(first.run_dir or known_name(model)).name_and_recipe()[1]
    name, recipe, fixed, run = choose(model, args, prog, RunFlags, stored)
    around = {field.name: getattr(run, field.name) for field in dataclasses.fields(RunFlags)}
    if run.seeds < 1:
        raise ValueError(f"--seeds must be at least 1; got {run.seeds}.")
    if "tensorboard" in run.log:
        check_tensorboard()
    return Options(**around, name=name, recipe=recipe, fixed=fixed)


def choose(
    model: str,
    args: Sequence[str],
    prog: str,
    flags: type,
    recipe: Recipe | None = None,
    verb: str = "Train",
) -> Choice:
    """What `PROG MODEL ARGS` asks for.

    Args:
      model: a name of the list, or `FILE.py:Class`.
      args: the words after the model.
      prog: the command, for messages.
      flags: a dataclass of the command's own flags; a model with presets also has --preset.
      recipe: the defaults; None for those of the preset, or of the model's file.
      verb: what `--help` says is done with the model.

    Raises:
      UsageError, ValueError, ModelFileError, SystemExit: as for `parse`.
    """
    own, prog, name = is_own(model), f"{prog} {model}", known_name(model)
    first = _look_ahead(args)
    if recipe is None and own:
        recipe = own_recipe(model, prog, args)
    elif recipe is None:
        recipe = RECIPES[name].get(first.preset or "cpu") or RECIPES[name]["cpu"]
    stated = recipe
    recipe, rest = read_recipe(
        recipe,
        flags if own else _with_preset(flags),
        prog,
        args,
        data=first.name or recipe.data.name,
        head=first.head or "",
        description=f"{verb} {name}: {sentence(type(recipe.model))}",
    )
    for each in ("start", "encoder"):  # a run never says where a file is
        source = getattr(recipe, each)
        if source is not None and is_own(source):
            place: dict[str, Any] = {each: str(find_run(source).parent)}
            recipe = dataclasses.replace(recipe, **place)
    fixed = fixed_fields(name, recipe, args)
    if first.preset or (own and stated != default_recipe(stated.model)):
        fixed |= {f"recipe.{field.name}" for field in dataclasses.fields(Recipe)}
    return Choice(name, recipe, fixed, rest)


def from_words(prog: str, argv: Sequence[str] | None, flags: type, verb: str) -> Choice:
    """What the words of `PROG MODEL ARGS` ask for, as `choose`; without them those of the process.

    Raises:
      UsageError: the first word is no model.
      SystemExit: only help was asked for.
    """
    words, _ = take_classes(sys.argv[1:] if argv is None else argv)
    usage = f"{prog} MODEL [flags]; {prog} MODEL --help explains the flags of a model."
    if words[:1] in (["-h"], ["--help"]):
        print("\n".join([f"usage: {usage}", "", *lines()]))
        raise SystemExit(0)
    if not words or words[0].startswith("-"):
        raise UsageError(f"the model comes first: {usage}")
    return choose(words[0], words[1:], prog, flags, verb=verb)


def known_name(model: str) -> str:
    """The name of a model's runs.

    Raises:
      UsageError: no model has that name.
      ModelFileError: the file in `FILE.py:Class` cannot be used.
    """
    if is_own(model):
        return model_class(model)[0].__name__
    if model not in RECIPES:
        raise UsageError(_unknown(model))
    return model


@functools.cache
def _with_preset(flags: type) -> type:
    """A dataclass of flags, and --preset."""

    @dataclasses.dataclass(frozen=True)
    class PresetFlags(flags):
        preset: Literal["cpu", "paper"] = "cpu"
        """Where the defaults come from: cpu trains in minutes on a laptop, paper follows the
        publication.
        """

    PresetFlags.__doc__ = flags.__doc__
    return PresetFlags


def sentence(cls: type) -> str:
    """The first sentence of the docstring of a class."""
    text = " ".join((cls.__doc__ or "").strip().partition("\n\n")[0].split())
    return re.split(r"(?<=[.!?]) (?=[A-Z*])", text, maxsplit=1)[0]


def _unknown(name):
    near = difflib.get_close_matches(name, RECIPES, n=5, cutoff=0.4)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    others = (
        f" and {len(RECIPES) - len(near)} others ({called('train')} lists them)" if near else ""
    )
    return (
        f"there is no recipe for a model {name!r}.{hint} There are {', '.join(near or RECIPES)}"
        f"{others}, and FILE.py:Class for a model of your own file."
    )


def fixed_fields(name: str, recipe: Recipe, args: Sequence[str]) -> frozenset[str]:
    """The fields that the data must not change: those that flags set, such as `head` by
    --model.head and `recipe.steps` by --steps, and on the recipe's own data all fields of the model
    that the recipe sets.
    """
    flags = {_field(word) for word in args if word.startswith("--")}
    names = {preset.data.name for preset in RECIPES.get(name, {}).values()}
    data = recipe.data
    own = data.name in names and data.path is None and not (data.size or data.grey)
    return frozenset(flags - {"data"} | (chosen(recipe.model) if own else set()))


def _field(flag):
    """`--model.ordering.scan` as "ordering", `--weight-decay=0` as "recipe.weight_decay"; of other
    groups the group.
    """
    first, *rest = flag[2:].partition("=")[0].replace("-", "_").split(".")
    if first == "model" and rest:
        return rest[0]
    return first if rest else f"recipe.{first}"


def _look_ahead(args):
    """The flags that decide which other flags there are, and their defaults."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for flag in ("--preset", "--run-dir", "--run_dir"):
        parser.add_argument(flag, nargs="?")
    parser.add_argument("--data.name", dest="name", nargs="?")
    parser.add_argument("--model.head", dest="head", nargs="?")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--seeds", nargs="?")
    parser.add_argument("--folds", nargs="*")
    return parser.parse_known_args(list(args))[0]
