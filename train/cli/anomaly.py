"""`python -m train.anomaly RUN --against DATA` tells outliers from examples of a run's data."""

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from train.anomalies.comparison import Trained, compare, draw_scores, first, outliers
from train.cli.options import Moved
from train.data import DataError
from train.data.loading import data_names
from train.engine.run_folder import load_data
from train.kinds import kind_of
from train.runs.folder import Run, write
from zoo.cli import called, read_flags, shell
from zoo.core.checkpoint import load
from zoo.core.checks import check_knows, kind
from zoo.core.model_files import find_run, take_classes
from zoo.foundation.files import to_json

FOLDER = "anomaly"  # in the run's folder


@dataclasses.dataclass(frozen=True)
class Options:
    """How well the likelihood of a trained run tells outliers from its own test examples: raw, by
    typicality, by the ratio to a background model, and beside a general coder.
    """

    run: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """A run folder, a model's name for its newest run under runs/, or FILE.py:Class for the newest
    run of that class.
    """
    against: Annotated[str, tyro.conf.arg(metavar="DATA")]
    """The outliers: the test split of a data set by its name, or your own file or folder."""
    against_classes: tuple[int, ...] = ()
    """Only outliers of these classes."""
    against_dir: str | None = None
    """The folder that the original downloaded files of the outliers are in, instead of the network."""
    background: tuple[str, ...] = ()
    """Runs of the same model trained with --data.mutate. Of several the one is taken that best tells
    validation examples from examples made of them, without outliers.
    """
    num: int | None = 2_000
    """At most so many examples of each."""
    out: Path | None = None
    """The folder of the results, by default anomaly/DATA in the run's folder."""
    moved: Annotated[Moved, tyro.conf.OmitArgPrefixes] = Moved()


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    with shell():
        words, _ = take_classes(sys.argv[1:] if argv is None else argv)
        print("\n".join(report(read_flags(Options, called("train.anomaly"), args=list(words)))))
    return 0


def report(options: Options) -> list[str]:
    """Compares, writes anomaly.json, scores.csv and scores.png, and returns the lines to print.

    Raises:
      ValueError: the model knows nothing of its likelihood, or outliers or backgrounds do not fit.
    """
    if options.num is not None and options.num < 2:
        raise ValueError(f"--num must be at least 2; got {options.num}.")
    run, trained = _opened(options.run)
    check_knows(trained.model, "exact", "bound")
    recipe = options.moved.recipe(run.name_and_recipe()[1])
    other = outliers(trained, _data(options, recipe.data, trained.model))
    dataset = load_data(run, recipe)
    backgrounds = [_opened(name)[1] for name in options.background]
    valid, inside, outside = (
        first(each, options.num) for each in (dataset.valid, dataset.test, other.test)
    )
    found = compare(trained, valid, inside, outside, backgrounds)
    folder = options.out or run.folder / FOLDER / Path(options.against).name
    folder.mkdir(parents=True, exist_ok=True)
    sizes = [len(inside.x), len(outside.x)]
    numbers = {
        "run": str(run.folder),
        "data": dataset.description,
        "against": other.description,
        "examples": dict(zip(("inside", "outliers"), sizes, strict=True)),
        "knows": trained.model.knows,
        "background": found.background,
        "choice": found.choice,
        "measures": {name: each._asdict() for name, each in found.measures.items()},
    }
    write(folder / "anomaly.json", to_json(numbers, 2) + "\n")
    write(folder / "scores.csv", "\n".join(_rows(found)) + "\n")
    bound = " (by a bound)" if trained.model.knows == "bound" else ""
    lines = [
        f"{kind(trained.model)} from {run.folder}{bound}: {sizes[0]:,} test examples of "
        f"{dataset.description}",
        f"against {sizes[1]:,} of {other.description}",
        *(
            f"background {name}: AUROC {auroc:.4f} of stand-ins"
            for name, auroc in found.choice.items()
        ),
        *([f"background: {found.background}"] if found.background else []),
        "| score | AUROC | AUPRC | FPR at 95 % TPR |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {each.auroc:.4f} | {each.auprc:.4f} | {each.fpr95:.4f} |"
        for name, each in found.measures.items()
    ]
    try:
        draw_scores(folder / "scores.png", found, ("data of the run", "outliers"))
    except ImportError:
        lines.append("no picture: it needs matplotlib (pip install 'autoregressive-zoo[plots]')")
    return [*lines, f"results: {folder}"]


def _opened(word):
    """A run, and what scores examples by it."""
    checkpoint = find_run(word)
    run = Run(checkpoint.parent)
    _, recipe = run.name_and_recipe()
    model, variables = load(checkpoint)
    return run, Trained(word, model, variables, recipe.batch_size, recipe.draws, recipe.data)


def _data(options, own, model):
    """What the outliers are: a data set by its name, or a file of the run's kind, read as the run's
    data are.
    """
    names = data_names()
    how = {"classes": options.against_classes, "train": 0, "mutate": 0.0}
    how |= {"manual_dir": options.against_dir}
    if options.moved.data_dir is not None:
        how["data_dir"] = options.moved.data_dir
    if options.against in names:
        # Of a published file (red_wine) the outliers lie where the run's data do.
        path = own.path if options.against == own.name else None
        return dataclasses.replace(own, name=options.against, path=path, **how)
    if not Path(options.against).expanduser().exists():
        raise DataError(
            f"--against {options.against}: there is neither a data set nor a file of that name; "
            f"data sets are {', '.join(kind_of(model).loaders)}."
        )
    return dataclasses.replace(own, name=kind_of(model).own, path=options.against, **how)


def _rows(found):
    """The scores of each example, as lines of a .csv."""
    names = list(found.scores)
    yield ",".join(["outlier", *names])
    for is_outlier in (0, 1):
        for values in zip(*(found.scores[name][is_outlier] for name in names), strict=True):
            yield ",".join([str(is_outlier), *(f"{value:.9g}" for value in values)])


if __name__ == "__main__":
    sys.exit(main())
