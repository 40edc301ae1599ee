"""`python -m sample RUN` draws from a trained model: images, rows of a table, text, sounds,
translations, captions or labels.

The flags depend on what the model describes: `python -m sample RUN --help` lists them.
"""

import contextlib
import dataclasses
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

import zoo
from sample.kinds import kind_of, kinds
from zoo.cli import called, read_flags, shell
from zoo.core.checks import kind
from zoo.core.model_files import find_run, take_classes

USAGE = (
    "{} RUN [flags]; RUN is a run's folder, a checkpoint, a model's name (its newest run), or "
    "FILE.py:Class (the newest run of that class)."
)


def run(argv: Sequence[str]) -> None:
    """Draws what the command line asks for.

    Raises:
      ValueError: there is no such run, or the flags make no sense for its model.
    """
    prog = called("sample")
    if not argv or (argv[0].startswith("-") and {"-h", "--help"} & set(argv)):
        usage = USAGE.format(prog)
        print(f"usage: {usage}\n\n{prog} RUN --help explains the flags for that model.")
        return
    argv, _ = take_classes(argv)
    checkpoint = _run_among(argv, prog)
    model, variables = zoo.open(checkpoint)
    of = kind_of(model)
    _check_flags(argv, model, of)
    named = checkpoint.parent if checkpoint.name == zoo.core.checkpoint.FILE else checkpoint
    options = read_flags(_with_classes(of.options), f"{prog} {named}", args=list(argv))
    for group in groups_of(options):
        group.check()
    of.show(options, checkpoint, model, variables)
    if said := short_of(checkpoint):
        print(f"note: {said}")


def short_of(checkpoint: Path) -> str | None:
    """What a run says about a training that was too short; None if it says nothing."""
    with contextlib.suppress(OSError, ValueError):
        results = json.loads((checkpoint.parent / "results.json").read_text("utf-8"))
        said = results.get("short") if isinstance(results, dict) else None
        return said if isinstance(said, str) else None
    return None


def _run_among(argv, prog):
    """The checkpoint of the first word that is a run.

    Raises:
      CheckpointError: no word is one; the message is about the first that is no flag.
    """
    words = [word for word in argv if not word.startswith("-")]
    for word in words:
        with contextlib.suppress(zoo.CheckpointError):
            return find_run(word)
    if not words:
        raise ValueError(f"expected a run, got flags only: {USAGE.format(prog)}")
    return find_run(words[0])


def _with_classes(options: type) -> type:
    """The flags of a kind, and the one that every kind has."""
    help_text = "Model files (FILE.py) that define the classes of the run; one a flag."
    flag = Annotated[tuple[str, ...], tyro.conf.arg(help=help_text)]
    fields: Any = [("classes", flag, dataclasses.field(default=()))]
    return dataclasses.make_dataclass("Options", fields, bases=(options,), frozen=True)


def _check_flags(argv, model, of):
    """Names a flag that another kind has and this one has not."""
    own = set(flags_of(of.options))
    others = {flag for other in kinds().values() for flag in flags_of(other.options)} - own
    for word in argv:
        name = word.partition("=")[0].removeprefix("--").removeprefix("no-").replace("_", "-")
        if word.startswith("--") and name in others:
            raise ValueError(f"--{name} is not supported by {kind(model)} ({of.name}): drop it.")


def flags_of(options: type) -> Iterator[str]:
    """The names of the flags of a dataclass, those of its groups among them."""
    for field in dataclasses.fields(options):
        if dataclasses.is_dataclass(field.default):
            yield from flags_of(type(field.default))
        else:
            yield field.name.replace("_", "-")


def groups_of(options: Any) -> Iterator[Any]:
    """The options and the groups among them that have a `check`."""
    for group in (
        options,
        *(getattr(options, field.name) for field in dataclasses.fields(options)),
    ):
        if hasattr(group, "check"):
            yield group


def main(argv: Sequence[str] | None = None) -> None:
    """The command line. An error is one line, and exit code 1."""
    with shell("--out FILE"):
        run(list(sys.argv[1:] if argv is None else argv))


if __name__ == "__main__":
    main()
