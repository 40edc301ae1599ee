"""Flags, made from the recipe and the model itself."""

import argparse
import dataclasses
import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

import zoo
from train.recipe.presets import RECIPES
from train.recipe.recipe import Recipe
from train.runs.folder import find
from zoo.catalogue import HEADS
from zoo.cli import read_flags


class UsageError(ValueError):
    """A command line that asks for something that does not exist."""


@dataclasses.dataclass(frozen=True)
class Options:
    """One training: its recipe, and what to do around it."""

    recipe: Annotated[Recipe, tyro.conf.arg(name="")]
    preset: Literal["cpu", "paper"] = "cpu"
    """Where the defaults come from: cpu trains in minutes on a laptop, paper follows the
    publication.
    """
    run_dir: Path | None = None
    """Folder of the run (default: runs/MODEL, or runs/MODEL-2, ... when taken)."""
    resume: tyro.conf.FlagCreatePairsOff[bool] = False
    """Continue the newest run of this model, or the one in --run-dir, from its last checkpoint."""
    samples: int = 100
    """How many samples to draw to a picture at the end (0: none); of texts at most three, and of
    pairs the whole test split is translated and scored.
    """


def parse(name: str, args: Sequence[str]) -> Options:
    """The options of `python -m train NAME ARGS`; a resumed run's defaults are its own recipe.

    Raises:
      UsageError: there is no such recipe; the message names the nearest. RunError: there is no run
      to resume. SystemExit: the flags are wrong, or --help was asked for.
    """
    if name not in RECIPES:
        near = difflib.get_close_matches(name, RECIPES, n=1, cutoff=0.4)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise UsageError(
            f"there is no recipe for a model {name!r}; there are {', '.join(RECIPES)}.{hint}"
        )
    first = _look_ahead(args)
    recipe = RECIPES[name].get(first.preset or "cpu") or RECIPES[name]["cpu"]
    if first.resume and not first.preset and not {"-h", "--help"} & set(args):
        recipe = find(first.run_dir or name).name_and_recipe()[1]
    return read_flags(
        Options,
        f"python -m train {name}",
        args=list(args),
        default=Options(recipe),
        description=f"Train {name}: {describe(name)}",
        registry=_registry(),
    )


def describe(name: str) -> str:
    """A line about the model: the first of its docstring."""
    return (type(RECIPES[name]["cpu"].model).__doc__ or "").strip().splitlines()[0]


def _look_ahead(args):
    """The flags that decide where the defaults of all others come from."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for flag in ("--preset", "--run-dir", "--run_dir"):
        parser.add_argument(flag, nargs="?")
    parser.add_argument("--resume", action="store_true")
    return parser.parse_known_args(list(args))[0]


def _registry():
    """Heads as one word on the command line: `bernoulli`, `categorical:17`,
    `mixtureofgaussians:10:0.01`.
    """
    registry = tyro.constructors.ConstructorRegistry()
    names = {head.__name__.lower(): head for head in HEADS}

    def read(words):
        name, *values = words[0].split(":")
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1, cutoff=0.0)[0]
            raise ValueError(
                f"unknown head {name!r}, did you mean {near!r}? Heads: {', '.join(names)}"
            )
        kinds: list[Any] = [type(field.default) for field in dataclasses.fields(names[name])]
        if len(values) > len(kinds):
            raise ValueError(f"the head {name} takes at most {len(kinds)} values; got {words[0]!r}")
        return names[name](*(kind(value) for kind, value in zip(kinds, values, strict=False)))

    def show(head):
        values = (getattr(head, field.name) for field in dataclasses.fields(head))
        return [":".join([type(head).__name__.lower(), *map(str, values)])]

    @registry.primitive_rule
    def rule(info):
        if info.type not in (*HEADS, zoo.Head):
            return None
        return tyro.constructors.PrimitiveConstructorSpec(
            nargs=1,
            metavar="|".join(_word(head) for head in HEADS),
            instance_from_str=read,
            is_instance=lambda value: isinstance(value, HEADS),
            str_from_instance=show,
        )

    return registry


def _word(head):
    return ":".join(
        [head.__name__.lower(), *(field.name.upper() for field in dataclasses.fields(head))]
    )
