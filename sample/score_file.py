"""`python -m sample.score_file RUN FILE` scores every example of a file by a trained model."""

import csv
import dataclasses
import heapq
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import tyro

import zoo
from sample.kinds import kind_of
from sample.kinds.kind import Run, check_counts, check_out, check_seed
from sample.kinds.places import folder_of
from sample.media.examples import rows_of
from sample.media.image_files import Binarise
from sample.pictures.histograms import save_histogram
from sample.uses.likelihoods import read_examples, stream_scores
from zoo.cli import called, read_flags, shell
from zoo.core.checks import check_knows, kind
from zoo.core.model_files import find_run, take_classes
from zoo.formats.arrays import read_arrays

TEST = "test_scores.npz"  # in the run's folder: nats and dimensions of its test examples
READING = ("binarise", "fit", "header", "sep", "decimal", "columns", "drop")  # how a file is read


@dataclasses.dataclass(frozen=True)
class Options:
    """Scores every example of a file by a trained model: a .csv, a histogram beside the run's test
    split, and the most and least likely examples.
    """

    run: Run
    """A checkpoint, a run's folder, or a model's name: its newest run."""
    file: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE")]
    """What is scored: a picture, a folder of pictures, .npy or .npz; a .csv; a .txt or .wav, or a
    folder of them; a .tsv of pairs; a folder with captions.tsv.
    """
    label: int | None = None
    """Label of every example, for a class-conditional model."""
    draws: int | None = None
    """Draws of each example that a bound takes; more are tighter. By default as many as in training."""
    seed: int = 0
    """Seed of these draws."""
    shown: int = 8
    """How many of the most and of the least likely examples are shown."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE.csv")] = None
    """Where the scores go, by default scores.csv beside the checkpoint; the pictures lie beside it."""
    batch_size: int = 256
    """How many examples are scored at once."""
    binarise: Binarise = "none"
    """Make bits of grey pictures, for a model of bits: threshold (grey > 127) or dynamic (drawn with
    probability grey/255, with a fixed seed).
    """
    fit: bool = False
    """Resize pictures to the model's size, the middle of each, and turn them into grey or colour as
    it needs them.
    """
    header: Literal["auto", "yes", "no"] | None = None
    """Whether the first line of a .csv holds names (auto: if there is a word in it and no number); by
    default as in training, like the next four.
    """
    sep: str | None = None
    """What separates the columns of a .csv, as --data.sep."""
    decimal: str | None = None
    """What begins the decimals in a .csv: point or comma."""
    columns: tuple[str, ...] = ()
    """The columns of a .csv to read, in the order of the model's."""
    drop: tuple[str, ...] = ()
    """Columns of a .csv to leave out, by their names."""
    classes: tuple[str, ...] = ()
    """Model files (FILE.py) that define the classes of the run; one a flag."""


def main(argv: Sequence[str] | None = None) -> None:
    """The command line. An error is one line, and exit code 1."""
    with shell("--out FILE.csv"):
        words, _ = take_classes(sys.argv[1:] if argv is None else argv)
        run(read_flags(Options, called("sample.score_file"), args=list(words)))


def run(options: Options) -> None:
    """Scores the file and writes the results, all or none of them.

    Raises:
      ValueError: the model knows no likelihood, the file does not fit it, or a flag makes no sense.
    """
    check_seed(options.seed)
    check_counts(shown=options.shown, draws=options.draws, batch_size=options.batch_size)
    check_out(options.out)
    checkpoint = find_run(str(options.run))
    model, variables = zoo.open(checkpoint)
    check_knows(model, "exact", "bound")
    path = options.out or folder_of(checkpoint) / "scores.csv"
    reading = {name: getattr(options, name) for name in READING}
    parts = read_examples(model, options.file, None, options.batch_size, checkpoint, **reading)
    bits, nats, extremes = _write(options, path, model, variables, parts)
    at_most = "<= " if model.knows == "bound" else ""
    print(f"{kind(model)} from {checkpoint}: {len(bits):,} examples of {options.file}")
    print(f"{at_most}{_mean(nats)} nats, {at_most}{bits.mean():.4f} bits/dim; each one: {path}")
    _histogram(path.with_suffix(".png"), checkpoint.parent / TEST, options.file, bits, at_most)
    for name, found in zip(("most", "least"), extremes, strict=True):
        print(f"{name} likely, from {found[0][0]:.4f} to {found[-1][0]:.4f} bits/dim:")
        _describe(model, found, path.with_name(f"{path.stem}_{name}_likely"))


def _write(options, path, model, variables, parts):
    """Writes the .csv, and returns bits/dim, nats and the examples at both ends."""
    import jax

    count, number = options.shown, 0
    best: list = []  # heaps of (key, number, bits/dim, name, x), the one to leave first on top
    worst: list = []
    bits, nats = [], []
    of = "_upper_bound" if model.knows == "bound" else ""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["name", f"nats{of}", f"bits_per_dim{of}"])
            for part in stream_scores(
                model,
                variables,
                parts,
                label=options.label,
                batch_size=options.batch_size,
                draws=options.draws,
                key=jax.random.key(options.seed),
            ):
                names = part.examples.names
                rows = rows_of(part.examples)
                for i, bit in enumerate(part.bits_per_dim.tolist()):
                    writer.writerow([names[i], f"{part.nats[i]:.9g}", f"{bit:.9g}"])
                    for heap, key in ((best, -bit), (worst, bit)):
                        if len(heap) == count and (key, -number) < heap[0][:2]:
                            continue
                        # A copy: a view would keep its whole batch in memory.
                        entry = (key, -number, bit, names[i], rows[i].copy())
                        push = heapq.heappush if len(heap) < count else heapq.heappushpop
                        push(heap, entry)
                    number += 1
                bits.append(part.bits_per_dim)
                nats.append(part.nats)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    ends = [[entry[2:] for entry in sorted(heap, reverse=True)] for heap in (best, worst)]
    return np.concatenate(bits), np.concatenate(nats), ends


def _mean(nats):
    error = nats.std(ddof=1) / np.sqrt(len(nats)) if len(nats) > 1 else float("nan")
    return f"{nats.mean():.2f}" + ("" if np.isnan(error) else f" +- {error:.2f}")


def _histogram(picture, kept, file, bits, at_most):
    """The histogram, beside the test split if the run keeps its scores."""
    groups = {}
    if kept.is_file():
        test = read_arrays(kept)
        groups["test split of the run"] = test["nats"] / (np.log(2) * test["dims"])
    try:
        save_histogram(picture, {**groups, str(file): bits}, f"{at_most}bits/dim".strip())
    except (ImportError, ValueError) as error:
        print(f"no histogram: {error}")
        return
    if groups:
        test = groups["test split of the run"]
        share = (test > np.median(bits)).mean()
        print(
            f"test split of the run: {at_most}{test.mean():.4f} bits/dim; {100 * share:.1f} % of it is "
            "less likely than the median of the file"
        )
    else:
        print(f"there is no {kept}: `{called('train.evaluate')} RUN` writes it, for the histogram")
    print(f"histogram: {picture}")


def _describe(model, found, path):
    names = [f"{name} ({bits:.4f})" for bits, name, _ in found]
    describe = kind_of(model).describe
    if describe is None:
        lines = names
    else:
        lines = describe(model, [x for _, _, x in found], names, path)
    for line in lines:
        print(f"  {line}")


if __name__ == "__main__":
    main()
