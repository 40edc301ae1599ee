"""`python -m train.reproduce ROW` trains and evaluates a row of docs/results.md from scratch;
without ROW it lists them.

A row is one recipe, or one for each fold. Each is trained in its own run folder, and what is
there already is resumed or taken as it is, so an interrupted row is continued by the same command.
"""

import dataclasses
import difflib
import json
import os
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from train.cli.comparison import compare
from train.cli.transfer import draw, table, transfer
from train.engine.prepare import check_trainable, fitted, inputs
from train.engine.report import duration, finish, finished
from train.engine.run_folder import load_data, train_run
from train.recipe.comparisons import COMPARISONS
from train.recipe.published import RED_WINE, ROWS, Row
from train.recipe.recipe import Recipe
from train.runs.changes import check_same
from train.runs.folder import Run, create
from zoo.cli import called, complaint, read_flags
from zoo.foundation.allocator import keep_freed_memory
from zoo.foundation.compilation_cache import cache_compilations

TRANSFER = "transfer"
HEADER = (
    "| row | data | unit | published | reached | command | seed | hardware | training |",
    "|---|---|---|---|---|---|---|---|---|",
)


@dataclasses.dataclass(frozen=True)
class Options:
    """Trains and evaluates a row of docs/results.md, or a comparison of docs/practice.md, from
    scratch.
    """

    row: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="ROW")] = None
    """Which row; all are listed without."""
    runs: Path = Path("runs/reproduce")
    """Where the run folders go, one for each recipe."""
    path: Annotated[str | None, tyro.conf.arg(aliases=["--data.path"])] = (
        None  # as `python -m train` calls it
    )
    """The row's data file, for red wine."""
    manual_dir: Annotated[str | None, tyro.conf.arg(aliases=["--data.manual-dir"])] = None
    """Folder with the original downloaded files, taken instead of the network."""
    data_dir: Annotated[str | None, tyro.conf.arg(aliases=["--data.data-dir"])] = None
    """Where tensorflow_datasets keeps prepared sets."""


def reproduce(row: Row, options: Options, command: str) -> str:
    """Runs all recipes of a row and returns its line of the table."""
    reports, start = [], None
    seconds = 0.0
    if row.after is not None:
        start = str(options.runs / row.after)
        recipe = _with_places(ROWS[row.after].recipes[0], options)
        seconds += run_recipe(ROWS[row.after].name, recipe, Run(Path(start)), command)["seconds"]
    for k, recipe in enumerate(row.recipes):
        recipe = dataclasses.replace(_with_places(recipe, options), start=start)
        folder = (
            options.runs / str(options.row) / str(k)
            if len(row.recipes) > 1
            else options.runs / str(options.row)
        )
        reports.append(run_recipe(row.name, recipe, Run(folder), command))
    scored = [report["ensemble"] if row.number == "ensemble" else report for report in reports]
    numbers = [report["nats" if row.number == "ensemble" else row.number] for report in scored]
    spread = "error_spread" if row.number == "error" else "standard_error"
    error = (
        scored[0][spread] if len(scored) == 1 else np.std(numbers, ddof=1) / np.sqrt(len(numbers))
    )
    seconds += sum(report["seconds"] for report in reports)
    data = reports[0]["data"].partition(", fold ")[0] if len(reports) > 1 else reports[0]["data"]
    return (
        f"| {options.row} | {data} | {row.unit} | {row.target} | {row.at_most}{np.mean(numbers):.2f} "
        f"+- {error:.2f} | `{command}` | "
        f"{reports[0]['seed']} | {reports[0]['hardware']} | {duration(seconds)} |"
    )


def _with_places(recipe, options):
    """The recipe with the data where the flags say."""
    given = {field: getattr(options, field) for field in ("path", "manual_dir", "data_dir")}
    changes = {field: os.path.normpath(where) for field, where in given.items() if where}
    return dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, **changes))


def run_recipe(name: str, recipe: Recipe, run: Run, command: str) -> dict[str, Any]:
    """What results.json of a run says; it is trained before, as far as it is not yet."""
    if run.config.exists():
        check_same(run, name, recipe)
    if not finished(run):
        dataset = load_data(run, recipe) if run.config.exists() else inputs(recipe)
        fit = fitted(recipe, dataset)
        check_trainable(fit, dataset)
        if not run.config.exists():
            create(name, recipe, run.folder, dataset)
        print(f"{run.folder}: {dataset.description}", file=sys.stderr)
        with run.held():
            print(finish(run, fit, dataset, train_run(run, fit, dataset), command), file=sys.stderr)
    return json.loads(run.results.read_text("utf-8"))


def main(args: list[str] | None = None) -> int:
    """`python -m train.reproduce [ROW]`."""
    prog = called("train.reproduce")
    options = read_flags(Options, prog, args=args)
    if options.row is None:
        listed = [
            (name, row.recipes[0].data.name, f"published {row.target}")
            for name, row in ROWS.items()
        ]
        listed += [
            (name, each.recipe.data.name, f"snapshots and ensembles of {each.name}")
            for name, each in COMPARISONS.items()
        ]
        listed.append((TRANSFER, "mnist_1bit", "error by how many labels there are"))
        first, second = (
            max(map(len, column)) + 2 for column in list(zip(*listed, strict=True))[:2]
        )
        lines = [f"  {name:{first}}{data:{second}}{what}" for name, data, what in listed]
        print("\n".join([f"usage: {prog} ROW", "", *lines]))
        return 0
    command = shlex.join([*prog.split(), *(sys.argv[1:] if args is None else args)])
    cache_compilations()
    keep_freed_memory()
    try:
        if options.row not in (rows := [*ROWS, *COMPARISONS, TRANSFER]):
            near = difflib.get_close_matches(options.row, rows, n=1, cutoff=0.4)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"there is no row {options.row!r}.{hint} There are {', '.join(rows)}.")
        row = ROWS.get(options.row)
        if options.path and not (row and row.recipes[0].data.name == RED_WINE.name):
            raise ValueError(
                f"--path is where red wine lies, and the row {options.row} has other data: drop it."
            )
        table = _table(options, command)
    except Exception as error:
        print(f"error: {complaint(error, '--runs FOLDER')}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; the same command continues", file=sys.stderr)
        return 130
    print("\n".join(table))
    return 0


def _table(options, command):
    """The lines of the table of a row."""
    if options.row == TRANSFER:
        return _transfer(options, command)
    if options.row not in COMPARISONS:
        return [*HEADER, reproduce(ROWS[options.row], options, command)]
    comparison = COMPARISONS[options.row]

    def trained(name, recipe):
        run = Run(options.runs / options.row / name)
        return run, run_recipe(comparison.name, recipe, run, command)["seconds"]

    return compare(_with_places(comparison.recipe, options), comparison.count, trained)


def _transfer(options, command):
    """The lines of the table of transfer learning, which is drawn as well."""
    folder = options.runs / TRANSFER
    folder.mkdir(parents=True, exist_ok=True)

    def trained(name, recipe, folder):
        return run_recipe(name, _with_places(recipe, options), Run(folder), command)

    errors = transfer(trained, folder)
    picture = (Path("docs") if Path("docs").is_dir() else folder) / f"{TRANSFER}.png"
    try:
        draw(errors, picture)
        print(f"picture: {picture}", file=sys.stderr)
    except ImportError:
        print("no picture: it needs matplotlib", file=sys.stderr)
    return table(errors).splitlines()


if __name__ == "__main__":
    sys.exit(main())
