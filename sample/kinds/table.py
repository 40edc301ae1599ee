"""Rows of a table, and other values that form no image: samples go to a .csv."""

import csv
import dataclasses
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import jax
import numpy as np
import tyro

import zoo
from sample.engines.sampler import draw
from sample.kinds.kind import (
    Computing,
    Inline,
    Kind,
    Run,
    check_counts,
    check_out,
    check_plain_flags,
    check_seed,
    engine_name,
    labels,
    mean,
    twice,
    with_ddim,
)
from sample.kinds.places import noted, place
from sample.media import examples
from zoo.core.checks import kind
from zoo.formats.kept_reading import COLUMNS

REPORTED = 12  # columns in the report


@dataclasses.dataclass(frozen=True)
class Options:
    """Draws rows from a trained model into a .csv."""

    run: Run
    """A checkpoint, a run's folder, or a model's name: its newest run."""
    num: int = 100
    """How many rows."""
    seed: int = 0
    """Seed of the key: the same seed gives the same rows whatever the engine, the batches and the
    devices.
    """
    label: int | None = None
    """Label of every row, for a class-conditional model; by default all labels in turn."""
    ddim: Annotated[int | None, tyro.conf.arg(metavar="STEPS")] = None
    """Draw a diffusion in so many steps, spread over its timesteps and without noise after the first;
    by default in all steps, with noise.
    """
    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE.csv")] = None
    """Where they go; by default samples.csv beside the checkpoint."""
    computing: Annotated[Computing, Inline] = Computing()

    def check(self) -> None:
        """Raises ValueError for values that make no sense."""
        check_seed(self.seed)
        check_counts(num=self.num)
        check_out(self.out)
        if self.out is not None and self.out.suffix != ".csv":
            raise ValueError(f"--out is the table of what is drawn, a .csv; got {self.out}.")


def show(
    options: Options, checkpoint: Path, model: zoo.Generative, variables: zoo.Variables
) -> None:
    """Writes the rows and prints their likelihood and the speed."""
    model = with_ddim(model, options.ddim)
    check_plain_flags(model, options.computing)
    drawn, _ = show_drawing(options, checkpoint, model, variables, options.num)
    path = options.out or place(
        checkpoint, "samples", ".csv", options.seed, options.computing.engine
    )
    where = noted(path)
    rows = np.asarray(drawn.x).reshape(options.num, -1)
    write_rows(path, rows, getattr(model, "column_names", ()))
    print(f"{options.num} rows: {where}")
    for line in report(checkpoint.parent / COLUMNS, rows):
        print(line)


def write_rows(path: Path, rows: np.ndarray, names: Sequence[str] = ()) -> None:
    """Writes rows to a .csv, after a line of names if there are some."""
    with path.open("w", newline="", encoding="utf-8") as file:
        if names:
            csv.writer(file, lineterminator="\n").writerow(names)
        np.savetxt(file, rows, delimiter=",", fmt="%.9g" if rows.dtype.kind == "f" else "%d")


def report(path: Path, rows: np.ndarray) -> Iterator[str]:
    """Lines that compare each column of the samples with the test split, from the file that a
    training leaves; of many columns those that differ most. None without that file.
    """
    try:
        columns = json.loads(path.read_text(encoding="utf-8"))
        names, mean, deviation = (columns[key] for key in ("names", "mean", "deviation"))
        held = int(columns["rows"])
    except (OSError, ValueError, LookupError, TypeError):  # older runs have none
        return
    if not len(names) == len(mean) == len(deviation) == rows.shape[1]:
        return
    x = rows.astype(np.float64)
    error = np.sqrt(np.square(deviation) / held + x.var(0) / len(x))
    apart = np.abs(x.mean(0) - mean) / np.maximum(error, 1e-30)
    shown = np.argsort(-apart, kind="stable")[:REPORTED]
    few = len(names) <= REPORTED
    yield (
        "columns of the samples and of the test split, mean (deviation):"
        if few
        else f"the {REPORTED} of {len(names)} columns that differ most from the test split, mean "
        "(deviation):"
    )
    width = max(len(names[i]) for i in shown)
    for i in range(len(names)) if few else shown:
        drawn = f"{x[:, i].mean():10.4g} ({x[:, i].std():.3g})"
        yield f"  {names[i]:{width}}  {drawn:22} {mean[i]:10.4g} ({deviation[i]:.3g})"


def show_drawing(
    options: Any, checkpoint: Path, model: zoo.Generative, variables: zoo.Variables, num: int
) -> tuple[Any, Any]:
    """The first `num` samples of the seed and their context; prints how likely they are and how
    fast they came.
    """
    context, computing = labels(model, options.label, num), options.computing

    def once():
        key = jax.random.key(options.seed)
        return draw(
            model,
            variables,
            key,
            num,
            context=context,
            engine=computing.engine,
            batch_size=computing.batch_size,
        )

    drawn, seconds, compiling = twice(once)
    engine = engine_name(computing.engine, model, variables, context)
    print(f"{kind(model)} from {checkpoint}, {engine}, seed {options.seed}")
    print(f"drawn samples: {_likelihood(model, drawn)}")
    print(
        f"speed: {num / seconds:,.0f} samples/s ({seconds:.3f} s; compilation {compiling:.1f} s "
        "apart)"
    )
    return drawn, context


def _likelihood(model, drawn):
    """How likely the samples are, in words."""
    if drawn.log_prob is None:
        return {"bound": "no exact likelihood (the model knows a bound)"}.get(
            model.knows, "no likelihood"
        )
    nats = -np.asarray(drawn.log_prob, np.float64)
    bits = zoo.bits_per_dim(-nats.mean(), model.num_dims)
    return f"{mean(nats)} nats, {bits:.4f} bits/dim by the model's own likelihood"


def describe(model: Any, x: Sequence[Any], names: list[str], path: Path) -> list[str]:
    """The rows, a line each."""
    rows = np.asarray(x).reshape(len(x), -1)
    return [
        f"row {name}: {', '.join(f'{value:.6g}' for value in row)}"
        for name, row in zip(names, rows, strict=True)
    ]


KIND = Kind("table", Options, show, examples.rows, describe)
