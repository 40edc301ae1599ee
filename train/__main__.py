"""`python -m train MODEL [flags]` trains a model; `python -m train` lists them."""

import argparse
import contextlib
import io
import os
import shlex
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import jax

from train.cli.listing import lines
from train.cli.options import UsageError, parse
from train.engine.prepare import fitted, ready, shape_notes
from train.engine.report import finish, finished
from train.engine.run_folder import load_data, train_run
from train.engine.step import make_update
from train.engine.warm_start import notes as encoder_notes
from train.kinds import kind_of
from train.practice.results_table import csv_text, markdown, read, rows
from train.practice.series import folder_of, folds_of, members
from train.runs.changes import check_same, other_ways
from train.runs.copies import pack, unpack
from train.runs.folder import Run, create, find, write
from zoo.cli import any_stdout, called, complaint, out_of_memory, python
from zoo.core.model_files import FLAG, file_of, is_own, take_classes
from zoo.derived.explanation import why_not_causal
from zoo.foundation.allocator import keep_freed_memory
from zoo.foundation.compilation_cache import cache_compilations
from zoo.foundation.outside.ending import leave, run_to_end
from zoo.foundation.processes import everywhere, join, leads, led, several

USAGE = "{0} MODEL [flags]; {0} MODEL --help explains the flags of a model."


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit code; what a user can put right ends in one line
    on stderr.
    """
    return run_to_end(lambda: _code(argv)) or 0


def _code(argv):
    argv = list(sys.argv[1:] if argv is None else argv)
    any_stdout()
    cache_compilations()
    keep_freed_memory()
    try:
        join(argv)
        return _main(argv)
    except UsageError as error:
        return _error(error, 2)
    except KeyboardInterrupt as interrupt:
        words = [word for word in interrupt.args if isinstance(word, str)]
        print(f"interrupted{''.join(words)}", file=sys.stderr)
        return 130
    except Exception as error:
        if out_of_memory(error):
            return _error(
                "out of memory: choose a smaller model, --batch-size or --data.levels.", 1
            )
        return _error(complaint(error, "--run-dir FOLDER"), 1)


def _main(argv):
    prog = called("train")
    usage = USAGE.format(prog)
    if not argv or argv[0] in ("list", "-h", "--help"):
        print("\n".join([f"usage: {usage}", "", *lines()]))
        return 0
    command = shlex.join([*prog.split(), *argv])
    argv, files, options = everywhere(lambda: _read(argv, prog, usage))
    model = argv[0]
    if options.seeds > 1 or options.folds:
        return _series(model, argv[1:], options, prog, command)
    with contextlib.ExitStack() as holding:
        trained = (_train if leads() else _follow)(model, options, command, holding)
    leave()
    if trained is not None and options.samples > 0:
        files += [file_of(model)] if is_own(model) else []
        draw(trained, kind_of(options.recipe.model).samples(options.samples), files)
    return 0


def _read(argv, prog, usage):
    """(the words, the model files among them, what the words say)."""
    argv, files = take_classes(argv)
    if not argv or argv[0].startswith("-"):
        raise UsageError(f"the model comes first, before {' '.join(argv[:1]) or FLAG}: {usage}")
    return argv, files, parse(argv[0], argv[1:] if leads() else _without_run(argv[1:]), prog)


def _series(model, args, options, prog, command):
    """A run for each seed and fold, and their table."""
    if jax.process_count() > 1:
        raise ValueError("--seeds and --folds are not for several processes: drop --distributed.")
    first = options.recipe.seed
    folds = folds_of(options.folds, options.recipe)
    folder = folder_of(options.name, options.run_dir, options.resume)
    for member in members(folder, args, range(first, first + options.seeds), folds):
        own = parse(model, member.args, prog)
        try:
            with contextlib.ExitStack() as holding:
                _train(model, own, shlex.join([*prog.split(), model, *member.args]), holding)
        except KeyboardInterrupt:
            words = [word for word in shlex.split(command) if word != "--resume"]
            words += [] if options.run_dir else ["--run-dir", str(folder)]
            again = shlex.join([*words, "--resume"])
            raise KeyboardInterrupt(f"; to continue: {again}") from None
    table = rows(read([str(folder)])[0])
    for name, text in {"table.md": markdown(table), "table.csv": csv_text(table)}.items():
        write(folder / name, text)
    print(f"{markdown(table)}table: {folder / 'table.md'}, {folder / 'table.csv'}", flush=True)
    return 0


def _train(model, options, command, holding):
    """The run, trained and tested; None where there was nothing to do. `holding` keeps others off
    the run.
    """
    name, found = options.name, None

    def packed():
        nonlocal found
        found = _opened(options, holding)
        return pack(found[0]) if found is not None and several() else b""

    led(packed)
    if found is None:
        return None
    run, stored, recipe, dataset = found
    try:
        everywhere(lambda: None)
    except ValueError:
        if not options.resume:
            run.config.unlink(missing_ok=True)  # so the same command can start again
        raise
    print(f"{name} on {dataset.description}; run folder {run.folder}", file=sys.stderr)
    for note in (
        *dataset.notes,
        *shape_notes(options.recipe, stored),
        *encoder_notes(recipe),
    ):
        print(f"note: {note}", file=sys.stderr)
    if announcement := kind_of(recipe.model).announce(recipe.model):
        print(announcement, file=sys.stderr)
    if is_own(model) and (reason := why_not_causal(recipe.model)):
        print(
            f"warning: {name} may not be causal: {reason}; its nats are then no likelihood. "
            f"Run {called('sample.testing')} {model}.",
            file=sys.stderr,
        )
    try:
        seconds = train_run(run, recipe, dataset, options.log)
        print(finish(run, recipe, dataset, seconds, command), flush=True)
    except KeyboardInterrupt:
        again = shlex.join(
            [*called("train").split(), model, "--resume", "--run-dir", str(run.folder)]
        )
        where = ", in each process with its flags of --distributed" if several() else ""
        raise KeyboardInterrupt(f"; to continue{where}: {again}") from None
    return run


def _opened(options, holding):
    """(the run, its recipe as stored, the recipe to train, the data); None if it is finished."""
    run, name = None, options.name
    if options.resume:
        run = find(options.run_dir or name)
        check_same(run, name, options.recipe)
        if said := finished(run):
            print(f"{said} There is nothing to resume.")
            return None
        holding.enter_context(run.held())
    elif options.run_dir is not None:
        Run(options.run_dir).check_free()
    if run is None:
        stored, recipe, dataset = ready(options.recipe, options.fixed)
        run = create(name, stored, options.run_dir, dataset)
        holding.enter_context(run.held())
    else:  # it was checked when it began, and needs no other run any more
        stored, dataset = options.recipe, load_data(run, options.recipe)
        recipe = fitted(stored, dataset)
        make_update(recipe)
        if said := other_ways(run.name_and_recipe()[1], stored):
            print(f"note: {said}", file=sys.stderr)
        run.take_changes(stored)
    return run, stored, recipe, dataset


def _follow(model, options, command, holding):
    """Trains what process 0 opened, in a folder that is thrown away; nothing is printed."""
    packed = led(bytes)
    if not packed:
        return
    folder = holding.enter_context(tempfile.TemporaryDirectory())

    def opened():
        run = unpack(packed, Path(folder))
        _, stored = run.name_and_recipe()
        dataset = load_data(run, stored)
        return run, fitted(stored, dataset), dataset

    run, recipe, dataset = everywhere(opened)
    nowhere = io.StringIO()
    with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        finish(run, recipe, dataset, train_run(run, recipe, dataset), command)


def _without_run(words):
    """The words without the run that is named or resumed, which process 0 alone opens."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--run-dir", "--run_dir", nargs="?")
    parser.add_argument("--resume", action="store_true")
    return parser.parse_known_args(words)[1]


def draw(run: Run, num: int | None, files: Sequence[str] = ()) -> None:
    """Becomes `python -m sample`, so that the memory of the training and its hold on the device are
    gone.

    Args:
      run: the run to draw from.
      num: how many samples; None for pairs, where every source of the test split is translated and
        scored.
      files: the model files whose classes the run names.
    """
    flags = [] if num is None else ["--num", str(num)]
    flags += [word for file in files for word in (FLAG, file)]
    os.execv(sys.executable, [*python("sample"), str(run.folder), *flags])


def _error(error, code):
    print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
