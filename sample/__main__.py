"""`python -m sample RUN` draws from a trained model: images, rows of a table, text, sounds,
translations, captions or labels.

The flags depend on what the model describes: `python -m sample RUN --help` lists them.
"""

import argparse
import contextlib
import dataclasses
import io
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

import zoo
from sample.kinds import kind_of, kinds
from zoo.cli import called, read_flags, shell
from zoo.core.checkpoint import FILE
from zoo.core.checks import kind
from zoo.core.model_files import find_run, take_classes
from zoo.foundation.outside.ending import leave, run_to_end
from zoo.foundation.processes import Distributed, everywhere, join, leads, led

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
    join(argv)
    of, options, checkpoint, model, variables = everywhere(lambda: _opened(argv, prog))
    led(lambda: _check(options))
    with contextlib.nullcontext(checkpoint) if leads() else _apart(checkpoint) as checkpoint:
        of.show(options, checkpoint, model, variables)
    leave()
    if leads() and (said := short_of(checkpoint)):
        print(f"note: {said}")


def _opened(argv, prog):
    """(the kind, the options, the checkpoint, the model, its variables) that the words name."""
    argv, _ = take_classes(argv)
    checkpoint = _run_among(argv, prog)
    model, variables = zoo.open(checkpoint)
    of = kind_of(model)
    _check_flags(argv, model, of)
    named = checkpoint.parent if checkpoint.name == FILE else checkpoint
    words = list(argv) if leads() else _without_out(argv)
    options = read_flags(_with_more(of.options), f"{prog} {named}", args=words)
    return of, options, checkpoint, model, variables


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
        if Path(word).is_file() and Path(word).suffix != ".safetensors":
            continue  # what a flag names, such as a picture
        with contextlib.suppress(zoo.CheckpointError):
            return find_run(word)
    if not words:
        raise ValueError(f"expected a run, got flags only: {USAGE.format(prog)}")
    return find_run(words[0])


def _with_more(options: type) -> type:
    """The flags of a kind, and those that every kind has."""
    help_text = "Model files (FILE.py) that define the classes of the run; one a flag."
    flag = Annotated[tuple[str, ...], tyro.conf.arg(help=help_text)]
    together = Annotated[Distributed, tyro.conf.OmitArgPrefixes]
    fields: Any = [
        ("classes", flag, dataclasses.field(default=())),
        ("together", together, dataclasses.field(default=Distributed())),
    ]
    return dataclasses.make_dataclass("Options", fields, bases=(options,), frozen=True)


def _check(options):
    """Raises ValueError for flags that make no sense; the result is for `led`."""
    for group in groups_of(options):
        group.check()
    return b""


def _without_out(argv):
    """The words without the place of what is written, where process 0 alone writes."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--out", nargs="?")
    return parser.parse_known_args(list(argv))[1]


@contextlib.contextmanager
def _apart(checkpoint: Path) -> Iterator[Path]:
    """For a process that does not lead: the checkpoint in a folder that is thrown away, with copies
    of the files beside it; what is printed is thrown away too. So the process draws its share, and
    no code below asks which process it is in.
    """
    with tempfile.TemporaryDirectory() as folder:
        for path in checkpoint.parent.iterdir():
            if path.is_file() and path.suffix != checkpoint.suffix:
                shutil.copyfile(path, Path(folder) / path.name)
        with contextlib.redirect_stdout(io.StringIO()):
            yield Path(folder) / checkpoint.name


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

    def drawn():
        with shell("--out FILE"):
            run(list(sys.argv[1:] if argv is None else argv))

    run_to_end(drawn)


if __name__ == "__main__":
    main()
