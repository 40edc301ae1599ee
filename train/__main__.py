"""`python -m train MODEL [flags]` trains a model; `python -m train` lists them."""

import contextlib
import os
import shlex
import sys
from collections.abc import Sequence

from train.cli.listing import lines
from train.cli.options import UsageError, parse
from train.engine.prepare import fitted, ready, shape_notes
from train.engine.report import finish, finished
from train.engine.run_folder import load_data, train_run
from train.engine.warm_start import notes as encoder_notes
from train.kinds import kind_of
from train.runs.folder import Run, check_same, create, find
from zoo.cli import any_stdout, called, complaint, out_of_memory, python
from zoo.core.model_files import FLAG, file_of, is_own, take_classes
from zoo.derived.explanation import why_not_causal

USAGE = "{0} MODEL [flags]; {0} MODEL --help explains the flags of a model."


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit code; what a user can put right ends in one line
    on stderr.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    any_stdout()
    try:
        return _main(argv)
    except UsageError as error:
        return _error(error, 2)
    except KeyboardInterrupt as interrupt:
        print(f"interrupted{interrupt}", file=sys.stderr)
        return 130
    except Exception as error:
        if out_of_memory(error):
            return _error(
                "out of memory: choose a smaller model, --batch-size or --data.levels.", 1
            )
        return _error(complaint(error), 1)


def _main(argv):
    prog = called("train")
    usage = USAGE.format(prog)
    if not argv or argv[0] in ("list", "-h", "--help"):
        print("\n".join([f"usage: {usage}", "", *lines()]))
        return 0
    command = shlex.join([*prog.split(), *argv])
    argv, files = take_classes(argv)
    if not argv or argv[0].startswith("-"):
        raise UsageError(f"the model comes first, before {' '.join(argv[:1]) or FLAG}: {usage}")
    model = argv[0]
    options = parse(model, argv[1:], prog)
    with contextlib.ExitStack() as holding:
        trained = _train(model, options, command, holding)
    if trained is not None and options.samples > 0:
        files += [file_of(model)] if is_own(model) else []
        draw(trained, kind_of(options.recipe.model).samples(options.samples), files)
    return 0


def _train(model, options, command, holding):
    """The run, trained and tested; None where there was nothing to do. `holding` keeps others off
    the run.
    """
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
    else:  # it was checked when it began, and needs the run of its encoder no more
        stored, dataset = options.recipe, load_data(run, options.recipe)
        recipe = fitted(stored, dataset)
        run.move_data(stored)
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
        seconds = train_run(run, recipe, dataset)
        print(finish(run, recipe, dataset, seconds, command), flush=True)
    except KeyboardInterrupt:
        again = shlex.join(
            [*called("train").split(), model, "--resume", "--run-dir", str(run.folder)]
        )
        raise KeyboardInterrupt(f"; to continue: {again}") from None
    return run


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
