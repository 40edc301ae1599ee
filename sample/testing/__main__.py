"""`python -m sample.testing FILE.py:Class` checks that a model keeps the contract.

A word is FILE.py:Class, FILE.py:NAME of a model made in the file, or a model of the catalogue. The
file is executed.
"""

import dataclasses
from typing import Annotated

import tyro

import zoo
from sample.testing.suite import ConformanceError, check
from zoo.cli import command
from zoo.core.model_files import is_own, load_file, model_class


@dataclasses.dataclass(frozen=True)
class Options:
    """Run every check of the contract on a model, with a line for each."""

    model: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")]
    """FILE.py:Class, FILE.py:NAME of a model that the file makes, or a model of the catalogue."""
    blind: int = 0
    """Pairs of an earlier and a later rank that do not depend on each other by intention."""


def subject_named(word: str) -> zoo.Generative | type[zoo.Generative]:
    """The model or class that a word on the command line means.

    Raises:
      ValueError: there is none; the message says what there is.
    """
    if not is_own(word):
        return zoo.entry(word).tiny
    path, _, name = word.rpartition(":")
    if path and isinstance(found := vars(load_file(path)).get(name), zoo.Generative):
        return found
    return model_class(word)[0]


def run(options: Options) -> None:
    """Checks what the command line asks for.

    Raises:
      ValueError: there is no such model, or some check failed.
    """
    try:
        check(subject_named(options.model), blind=options.blind)
    except ConformanceError as error:
        raise ValueError(error) from None


if __name__ == "__main__":
    command(run, Options, "python -m sample.testing")
