"""`python -m benchmarks.box.coding.table RUN RUN ...`: how well and how fast runs compress test data.

Each run compresses the first examples of its own test split; a text or a sound its first minutes. The
tables are those of docs/uses.md.
"""

import dataclasses
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import jax
import numpy as np
import tyro

import zoo
from benchmarks.box.coding import peer
from sample.coding.benchmark import Measured, measure
from sample.coding.forms import data_files
from sample.coding.forms.contents import Contents
from sample.media.characters import raw
from train.engine.report import duration
from train.engine.run_folder import load_data
from train.runs.folder import Run
from zoo.cli import called, command
from zoo.core.checks import kind
from zoo.core.model_files import find_run

# Data, model, training, what was measured, and published numbers.
Row: TypeAlias = tuple[str, str, str, Measured, str]
PEER = "constriction"
# Bits/dim as published, of all test images, by data set and number of levels.
PUBLISHED: dict[tuple[str, int | None], str] = {
    ("mnist_1bit", 2): "BB-ANS 0.19, PixelCNN 0.150",
    ("binarized_mnist", 2): "BB-ANS 0.19, PixelCNN 0.150",
    ("mnist", 256): "BB-ANS 1.41",
    ("cifar10", 256): "PixelCNN 3.14, Gated PixelCNN 3.03, PixelCNN++ 2.92",
}


@dataclasses.dataclass(frozen=True)
class Options:
    """Tables of rates and speeds of lossless compression, in Markdown."""

    runs: Annotated[tuple[str, ...], tyro.conf.Positional]
    """Run folders, or names of models: their newest runs."""
    num: int = 1024
    """How many examples of images or rows."""
    characters: int = 100_000
    """How many tokens of a text, or samples of a sound."""
    batch_size: int = 256
    """How many examples are coded at once."""
    rounds: int = 3
    """How often each is timed."""


def contents_of(model: Any, dataset: Any, options: Options) -> Contents:
    """The beginning of a test split, as values to compress."""
    x, context = dataset.test.x, dataset.test.context
    if model.kind in ("text", "sound"):
        return _line(model, x, options.characters)
    given = jax.tree.map(lambda leaf: np.asarray(leaf[: options.num]), context)
    conditions = model.why_invalid(None) is not None
    values = np.asarray(x[: options.num]).astype(model.head.dtype)
    return Contents(model, values, model.num_sites, {}, given if conditions else None)


def _line(model, x, most):
    """A text of so many tokens, or sounds of so many samples, by way of a file."""
    with tempfile.TemporaryDirectory() as folder:
        if model.kind == "text":
            path = Path(folder) / "text.txt"
            text = raw(model, np.ravel(x)[:most])
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
        else:
            path = Path(folder) / "sound.wav"
            levels = np.concatenate([np.asarray(each) for each in x])[:most]
            wave = zoo.dequantise(levels, model.head.num_values, model.companding)
            zoo.write_wav(path, wave, model.rate)
        return data_files.read(model, path, is_rounded=True)


def measured(word: str, options: Options) -> Row:
    """A row of the tables: what a run compresses, and how well and how fast."""
    run = Run(find_run(word).parent)
    _, recipe = run.name_and_recipe()
    model, variables = zoo.load(run.model)
    dataset = load_data(run, recipe)
    contents = contents_of(model, dataset, options)
    others: dict[str, Any] = (
        {} if peer.why_not(contents.model) else _peers(variables, contents, options)
    )
    found = measure(
        variables,
        contents,
        batch_size=options.batch_size,
        rounds=options.rounds,
        others=others,
    )
    levels = model.head.num_values
    about = f"{dataset.name}, {levels:,} values"
    return about, kind(model), trained(run), found, PUBLISHED.get((dataset.name, levels), "")


def _peers(variables, contents, options):
    model, x, context = contents.model, np.asarray(contents.x), contents.context
    batch = min(options.batch_size, len(x))
    words = peer.write(model, variables, x, context, batch)
    return {
        f"{PEER} write": lambda: peer.write(model, variables, x, context, batch),
        f"{PEER} read": lambda: peer.read(model, variables, words, len(x), context, batch),
    }


def trained(run: Run) -> str:
    """How long the weights of a run were trained, in words."""
    if run.results.exists():
        results = json.loads(run.results.read_text(encoding="utf-8"))
        return f"{results['steps']:,} updates, {duration(results['seconds'])}"
    lines = [json.loads(line) for line in run.metrics.read_text(encoding="utf-8").splitlines()]
    evaluated = [line for line in lines if "valid_nats" in line]
    best = min(evaluated, key=lambda line: line["valid_nats"])
    return f"{best['step']:,} updates, unfinished"


def rates(rows: list[Row]) -> str:
    """Bits/dim of all codecs, in Markdown."""
    names = list(dict.fromkeys(name for *_, found, _ in rows for name in list(found.sizes)[1:]))
    lines = [
        f"| data | model | training | file | -log2 p | {' | '.join(names)} | published |",
        "|---" * (6 + len(names)) + "|",
    ]
    for data, model, training, found, published in rows:
        own, *_ = found.sizes.values()
        ideal = "" if found.nats is None else f"{found.nats / np.log(2) / found.dims:.4f}"
        others = [_bits(found, name) for name in names]
        cells = [data, model, training, f"**{8 * own / found.dims:.4f}**", ideal, *others]
        lines.append(f"| {' | '.join(cells)} | {published} |")
    return "\n".join(lines)


def _bits(found, name):
    return f"{8 * found.sizes[name] / found.dims:.4f}" if name in found.sizes else ""


def speeds(rows: list[Row]) -> str:
    """MB/s both ways, against drawing and against the usual way, in Markdown."""
    lines = [
        "| data | model | MB/s written | MB/s read | written / drawn | read / drawn "
        "| of writing, the device | usual way / ours, written | read |",
        "|---" * 9 + "|",
    ]
    for data, model, _, found, _ in rows:
        seconds: Mapping[str, float] = found.seconds
        share = f"{100 * seconds['network'] / seconds['write']:.0f} %"
        cells = [
            data,
            model,
            *(f"{found.speed(way):.3f}" for way in ("write", "read")),
            *(f"{found.ratios[way]:.2f}" for way in ("write", "read")),
            share,
            *(_against(seconds, way) for way in ("write", "read")),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _against(seconds, way):
    slower = seconds.get(f"{PEER} {way}")
    return "" if slower is None else f"{slower / seconds[way]:.1f}"


def main(options: Options) -> None:
    """Prints both tables."""
    if not options.runs:
        raise ValueError("name at least one run.")
    rows: list[Row] = []
    for word in options.runs:
        rows.append(measured(word, options))
        *_, found, _ = rows[-1]
        print(f"{word}: {found.num:,} examples, {found.dims:,} values, same: {found.is_same}")
    print(f"\n{rates(rows)}\n\n{speeds(rows)}")


if __name__ == "__main__":
    command(main, Options, called("benchmarks.box.coding.table"))
