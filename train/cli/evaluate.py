"""`python -m train.evaluate RUN` prints the exact likelihood of a split."""

import dataclasses
import sys
from typing import Annotated, Literal

import tyro

import zoo
from train.engine.evaluation import check_ensemble, evaluate
from train.kinds import kind_of
from train.recipe.recipe import PLACES
from zoo.cli import called, complaint, read_flags
from zoo.core.model_files import find_run, take_classes


@dataclasses.dataclass(frozen=True)
class Options:
    """Exact likelihood of a trained run."""

    run: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """A run folder, a model's name for its newest run under runs/, or FILE.py:Class for the newest
    run of that class.
    """
    classes: tuple[str, ...] = ()
    """Model files (FILE.py) that define the classes of the run; one a flag."""
    split: Literal["test", "valid", "train"] = "test"
    """Which split of the run's data."""
    ensemble: tyro.conf.FlagCreatePairsOff[bool] = False
    """Score the mixture of all members (orderings, masks) that the run trained."""
    orderings: int | None = None
    """Score the mixture of so many orderings instead, by a model that was trained for all of them
    (EoNADE).
    """
    batch_size: int | None = None
    """Examples at a time; 500 by default, of sounds as many as in training."""
    path: Annotated[str | None, tyro.conf.arg(aliases=["--data.path"])] = (
        None  # as `python -m train` calls it
    )
    """Where the run's own data lie now, if they were moved."""
    data_dir: Annotated[str | None, tyro.conf.arg(aliases=["--data.data-dir"])] = None
    """Where tensorflow_datasets keeps prepared sets now."""
    manual_dir: Annotated[str | None, tyro.conf.arg(aliases=["--data.manual-dir"])] = None
    """The folder that the original downloaded files are in now."""


def main(args: list[str] | None = None) -> int:
    """`python -m train.evaluate RUN`."""
    from train.engine.run_folder import load_data
    from train.runs.folder import Run, check_same

    prog = called("train.evaluate")
    try:
        args, _ = take_classes(sys.argv[1:] if args is None else args)
        options = read_flags(Options, prog, args=args)
        if options.batch_size is not None and options.batch_size < 1:
            raise ValueError(f"--batch-size must be at least 1; got {options.batch_size}.")
        checkpoint = find_run(options.run)
        run = Run(checkpoint.parent)
        name, recipe = run.name_and_recipe()
        if places := {
            place: where for place in PLACES if (where := getattr(options, place)) is not None
        }:
            recipe = dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, **places))
            check_same(run, name, recipe)
        model, variables = zoo.open(checkpoint)
        if options.orderings is not None:
            if options.orderings < 1:
                raise ValueError(f"--orderings must be at least 1; got {options.orderings}.")
            model = model.with_orderings(options.orderings)
        ensemble = options.ensemble or options.orderings is not None
        if options.ensemble:
            check_ensemble(model, "ensemble")
        dataset = load_data(run, recipe)
        split = getattr(dataset, options.split)
        size = options.batch_size or kind_of(model).evaluation_batch(recipe.batch_size)
        result = evaluate(model, variables, split, size, ensemble=ensemble)
    except Exception as error:
        print(f"error: {complaint(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    mixture = f", ensemble of {len(model.members())}" if ensemble else ""
    beside = kind_of(model).compare(model, result.nats, split)
    print(dataset.description)
    print(f"{options.split}{mixture}: {result}{beside} ({result.num:,} {result.unit}s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
