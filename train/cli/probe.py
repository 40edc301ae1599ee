"""`python -m train.probe RUN` says how well a linear classifier reads labels from a run's codes."""

import dataclasses
import sys
from collections.abc import Sequence
from typing import Annotated

import numpy as np
import tyro

import zoo
from train.cli.options import Moved
from train.data import DataError
from train.data.dataset import bernoulli, generator
from train.engine.run_folder import load_data
from train.kinds import load
from train.practice.linear_probe import accuracies, check_unconditional
from train.runs.folder import Run
from zoo.cli import called, read_flags, shell
from zoo.core.bounds import check_has
from zoo.core.model_files import find_run, take_classes


@dataclasses.dataclass(frozen=True)
class Options:
    """How well a linear classifier reads labels from the codes of a trained run: a table by the number
    of labels, beside the same classifier on the values themselves.
    """

    run: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """A run folder, a model's name for its newest run under runs/, or FILE.py:Class for the newest
    run of that class.
    """
    labels: tuple[int, ...] = (100, 1_000, 10_000)
    """How many labels of the training split the classifier is given."""
    repeats: int = 3
    """How many random choices of the labels."""
    moved: Annotated[Moved, tyro.conf.OmitArgPrefixes] = Moved()


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    with shell():
        words, _ = take_classes(sys.argv[1:] if argv is None else argv)
        print("\n".join(table(read_flags(Options, called("train.probe"), args=list(words)))))
    return 0


def table(options: Options) -> list[str]:
    """The lines of the table.

    Raises:
      ValueError: the model has no code, is conditional, or its data have no labels.
    """
    if not options.labels or options.repeats < 1:
        raise ValueError("--labels needs at least one number, and --repeats at least 1.")
    checkpoint = find_run(options.run)
    model, variables = zoo.load(checkpoint)
    check_has(model, "represent")
    check_unconditional(model)
    dataset, (train, test) = _labelled(options, Run(checkpoint.parent))
    sizes = [min(size, len(train[0])) for size in options.labels]
    found = accuracies(model, variables, train, test, sizes, options.repeats)
    choices = "1 choice" if options.repeats == 1 else f"mean of {options.repeats} choices"
    lines = [
        f"{dataset.description}; linear classifier of {model.num_latents} numbers a code, test "
        f"accuracy in %, {choices} of the labels",
        "| labels | codes | values |",
        "|---|---|---|",
    ]
    return lines + [
        f"| {each.labels:,} | {_spread(each.codes, each.codes_error)} | "
        f"{_spread(each.values, each.values_error)} |"
        for each in found
    ]


def _spread(value, error):
    return f"{value:.2f}" if np.isnan(error) else f"{value:.2f} +- {error:.2f}"


def _labelled(options, run):
    """The data of a run, and (x, labels) of its training and its test split."""
    recipe = options.moved.recipe(run.name_and_recipe()[1])
    dataset, labelled = load_data(run, recipe), load(recipe.data)
    if labelled.num_classes is None:
        raise DataError(f"{dataset.name} has no labels: probe a run on other data.")
    x = bernoulli(generator(0), dataset.train.x) if dataset.dynamic else dataset.train.x
    train, test = (x, labelled.train.context), (dataset.test.x, labelled.test.context)
    return dataset, [(values, np.asarray(labels)) for values, labels in (train, test)]


if __name__ == "__main__":
    sys.exit(main())
