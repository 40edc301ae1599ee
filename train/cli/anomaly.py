"""`python -m train.anomaly RUN --against DATA` tells outliers from examples of a run's data."""

import dataclasses
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import tyro

from train.anomalies.comparison import Trained, compare, draw_scores, first, outliers
from train.cli.options import Moved
from train.data import Data, DataError
from train.data.loading import data_names
from train.engine.run_folder import load_data
from train.kinds import kind_of
from train.runs.folder import Run, write
from zoo.cli import called, read_flags, shell
from zoo.core.checkpoint import load
from zoo.core.checks import check_knows, kind
from zoo.core.model_files import find_run, take_classes
from zoo.formats.kept_reading import read_kept
from zoo.foundation.files import to_json

FOLDER = "anomaly"  # in the run's folder
CHANCE = 0.55  # an AUROC below it is near that of guessing


@dataclasses.dataclass(frozen=True)
class Table:
    """How a .csv of outliers is read, where it differs from that of the run."""

    header: Literal["auto", "yes", "no"] | None = None
    """Whether its first line holds names (auto: if there is a word in it and no number)."""
    sep: str | None = None
    """What separates its columns, as --data.sep."""
    decimal: str | None = None
    """What begins its decimals: point or comma."""
    columns: tuple[str, ...] = ()
    """The columns to read, in the order of the model's."""
    drop: tuple[str, ...] = ()
    """Columns to leave out, by their names."""


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
    binarise: Literal["threshold", "dynamic"] | None = None
    """How outliers in grey become bits, for a model of bits: threshold (grey > 127) or dynamic (drawn
    with probability grey/255, with a fixed seed); by default as in training.
    """
    table: Annotated[Table, tyro.conf.OmitArgPrefixes] = Table()
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
    with shell("--out FOLDER"):
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
    other = _outliers(options, run, recipe.data, trained)
    dataset = load_data(run, recipe)
    backgrounds = [_opened(name)[1] for name in options.background]
    valid, inside, outside = (
        first(each, options.num) for each in (dataset.valid, dataset.test, other.test)
    )
    found = compare(trained, valid, inside, outside, backgrounds)
    folder = options.out or run.folder / FOLDER / Path(options.against).expanduser().resolve().name
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
        *(f"note: {doubt}." for doubt in doubts(trained, backgrounds, found.choice)),
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


def doubts(
    trained: Trained, backgrounds: Sequence[Trained], choice: Mapping[str, float]
) -> Iterator[str]:
    """Why the ratio to a background may say little: each reason in a sentence."""
    for each in backgrounds:
        if not each.data.mutate:
            yield f"background {each.name} was trained without --data.mutate"
        if _same_data(each.data) != _same_data(trained.data):
            own = trained.data.path or trained.data.name
            other = each.data.path or each.data.name
            yield f"background {each.name} was trained on other data ({other}) than the run ({own})"
    if choice and max(choice.values()) < CHANCE:
        yield "every AUROC of stand-ins is near or below 0.5, so they do not decide which mu is best"


def _same_data(data):
    """What two runs on the same data have in common."""
    return dataclasses.replace(
        data, mutate=0.0, valid=0, train=0, train_seed=0, data_dir=None, manual_dir=None
    )


def _opened(word):
    """A run, and what scores examples by it."""
    checkpoint = find_run(word)
    run = Run(checkpoint.parent)
    _, recipe = run.name_and_recipe()
    model, variables = load(checkpoint)
    return run, Trained(word, model, variables, recipe.batch_size, recipe.draws, recipe.data)


def _outliers(options, run, own, trained):
    """The outliers: a data set by its name, or a file of the run's kind, read as the run's data are."""
    kind, columns = kind_of(trained.model), getattr(trained.model, "column_names", ())
    said = [name for name, value in vars(options.table).items() if value]
    if said and trained.model.kind != "table":
        raise ValueError(
            f"--{said[0]} says how a .csv is read, and {kind.holds} are none: drop it."
        )
    reading = read_kept(run.folder, columns, **vars(options.table))
    data = _data(options, own, kind)
    try:
        return outliers(trained, data, reading, options.binarise or own.binarise)
    except DataError as error:
        raise DataError(f"--against: {error}") from None


def _data(options, own, kind):
    """Which data the outliers are, with the flags of the run's that say how they are read."""
    changes = {"classes": options.against_classes, "train": 0, "mutate": 0.0}
    changes |= {"size": (), "grey": False, "levels": 256, "binarise": "none"}
    if options.against not in data_names():
        if not Path(options.against).expanduser().exists():
            raise DataError(
                f"--against {options.against}: there is neither a data set nor a file of that "
                f"name; data sets are {', '.join(kind.loaders)}."
            )
        return dataclasses.replace(own, name=kind.own, path=options.against, **changes)
    flags = {*kind.flags} - {*kind.own_flags}
    kept = {flag: getattr(own, flag) for flag in flags if options.against in kind.loaders}
    is_own, folder = options.against == own.name, options.against_dir
    kept |= {"data_dir": own.data_dir, "manual_dir": folder or (own.manual_dir if is_own else None)}
    if options.against in kind.published:  # files at a path, such as those of red_wine
        kept["path"] = folder or (own.path if is_own else None)
    return Data(**{**kept, "name": options.against, **changes})


def _rows(found):
    """The scores of each example, as lines of a .csv."""
    names = list(found.scores)
    yield ",".join(["outlier", *names])
    for is_outlier in (0, 1):
        for values in zip(*(found.scores[name][is_outlier] for name in names), strict=True):
            yield ",".join([str(is_outlier), *(f"{value:.9g}" for value in values)])


if __name__ == "__main__":
    sys.exit(main())
