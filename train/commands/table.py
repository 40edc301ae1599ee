"""`python -m train.table RUN ...` prints the results of finished runs as a table, with errors over
seeds or folds and over examples.
"""

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from train.practice.results_table import csv_text, markdown, read, rows
from train.runs.curves import compared
from train.runs.folder import write
from zoo.cli import called, read_flags, shell
from zoo.core.model_files import take_classes


@dataclasses.dataclass(frozen=True)
class Options:
    """The results of finished runs as a table: runs that differ in their seed and fold only are one
    row, with the standard errors over runs and over examples.
    """

    runs: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN [RUN ...]")]
    """Run folders, folders of run folders (such as those of --seeds), or models' names for their
    newest runs.
    """
    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Also write the table there: .md, or .csv with all digits."""
    curves: Annotated[Path | None, tyro.conf.arg(metavar="FILE.png")] = None
    """Also draw the validation curves of all these runs into one picture."""
    mixed: tyro.conf.FlagCreatePairsOff[bool] = False
    """Allow runs of several data sets or units in one table, with both in each row."""


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    with shell("--out FILE"):
        words, _ = take_classes(sys.argv[1:] if argv is None else argv)
        options = read_flags(Options, called("train.table"), args=list(words))
        _check(options)
        results, notes = read(options.runs)
        table = rows(results, options.mixed)
        for note in notes:
            print(f"note: {note}", file=sys.stderr)
        print(markdown(table), end="")
        if options.out is not None:
            write(options.out, csv_text(table) if options.out.suffix == ".csv" else markdown(table))
            print(f"table: {options.out}")
        if options.curves is not None:
            named = [(row.label, [each.run.records() for each in row.results]) for row in table]
            compared(named, options.curves)
            print(f"curves: {options.curves}")
    return 0


def _check(options):
    if not options.runs:
        raise ValueError(f"expected runs: {called('train.table')} RUN [RUN ...], such as runs/*")
    suffixes = {"out": (options.out, (".md", ".csv")), "curves": (options.curves, (".png",))}
    for flag, (path, allowed) in suffixes.items():
        if path is not None and path.suffix not in allowed:
            raise ValueError(f"--{flag} is a file that ends in {' or '.join(allowed)}; got {path}.")
        if path is not None and not path.parent.is_dir():
            raise ValueError(f"--{flag} {path}: there is no folder {path.parent}; make it first.")


if __name__ == "__main__":
    sys.exit(main())
