"""`python -m benchmarks.derived`: hand-written steps, derived ones and recomputing, side by side.

For each model and batch size all engines draw with the same key, in turns, and the median of several
turns counts; compile time is apart. A row says in how many of the samples every engine drew the same
values: all, but for ties at the last bit of a probability. `plan s` is the time of the analysis that
finds a derived step, `check s` that of its comparison to the network; both are spent once a process.
`bytes` are those of the cache, for one example.

An engine that needs longer than --slowest for one draw is left out ("-"): recomputing mostly.
"""

import dataclasses
import functools
import json
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import jax
import numpy as np
import tyro

import zoo
from sample.engines.sampler import Engine, draw
from train.cli.own_models import own_recipe
from zoo.cli import called, read_flags, shell
from zoo.core.arrays import variable_shapes
from zoo.core.model_files import is_own, take_classes
from zoo.derived.comparison import examined
from zoo.derived.derivation import Shapes, derivation
from zoo.derived.network.windows import Refused

# Sizes for a CPU; a model that is not named here is of the paper's size.
_WORDS = zoo.Categorical(1000)
SIZES: dict[str, zoo.Autoregressive] = {
    "made": zoo.MADE(hidden=(500, 500)),
    "eonade": zoo.EoNADE(layers=1),
    "pixel_cnn": zoo.PixelCNN(features=32, blocks=5, out_features=32),
    "gated_pixel_cnn": zoo.GatedPixelCNN(features=32, layers=7, out_features=32),
    "pixel_transformer": zoo.PixelTransformer(features=64, layers=4),
    "row_lstm": zoo.RowLSTM(features=16, layers=3),
    "diagonal_bilstm": zoo.DiagonalBiLSTM(features=16, layers=2),
    "pixel_cnn_pp": zoo.PixelCNNpp((28, 28), features=16, blocks=2),
    "rnn": zoo.RNN(features=256),
    "gru": zoo.GRU(features=256),
    "lstm": zoo.LSTM(features=256),
    "attention_lstm": zoo.AttentionLSTM(features=256, window=128),
    "transformer": zoo.Transformer((256,), 128, 4, 4, window=128, dropout=0.0),
    "wavenet": zoo.WaveNet((1000,), 32, 64, (1, 2, 4, 8, 16, 32, 64, 128, 256), 1),
    "wavenet_16bit": zoo.WaveNet(
        (1000,),
        32,
        64,
        (1, 2, 4, 8, 16, 32, 64, 128, 256),
        1,
        companding="linear",
        head=zoo.DiscretizedLogisticMixture(10, 65_536, 1, -12.0),
    ),
    "seq2seq": zoo.Seq2Seq((32,), 256, 64, head=_WORDS, source_values=1000),
    "seq2seq_attention": zoo.Seq2SeqAttention((32,), 256, 64, head=_WORDS, source_values=1000),
    "captioner": zoo.Captioner((20,), 256, 128, head=_WORDS, image_shape=(32, 32, 3)),
    "show_attend_tell": zoo.ShowAttendTell((20,), 256, 128, head=_WORDS, image_shape=(32, 32, 3)),
}
ENGINES: dict[str, Engine] = {"hand": "cached", "derived": "derived", "recompute": "recompute"}


@dataclasses.dataclass(frozen=True)
class Options:
    """Times hand-written steps, derived ones and recomputing."""

    models: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    """Names of the catalogue, or FILE.py:Class; the whole catalogue by default."""
    batch: tuple[int, ...] = (1, 16, 64)
    """Batch sizes."""
    repeats: int = 9
    """Turns of all engines; the median counts."""
    slowest: float = 10.0
    """Seconds that one draw may take; a slower engine is left out."""
    paper: bool = False
    """The sizes of the papers instead of those for a CPU."""
    clock: Literal["wall", "cpu"] = "wall"
    """The time of the runs: on the wall, or of the processor, for a machine that is busy."""
    coverage: bool = False
    """Time nothing: report for each model whether a step is derived and agrees with the network."""
    lines: str | None = None
    """A file to which each row is added, as a line of JSON."""


@dataclasses.dataclass
class Row:
    """One engine, with one model and batch size; times in seconds.

    Attributes:
      model, batch, engine: what was measured.
      run: the median time of a draw.
      compiling: the time of the first draw, less that and the analysis.
      plan, check: of the analysis, zero but for a derived step.
      cache: bytes an example.
      same: how many samples are those of the first engine.
      ratio: `run` over that of the hand-written step.
    """

    model: str
    batch: int
    engine: str
    run: float
    compiling: float
    plan: float
    check: float
    cache: int
    same: int
    ratio: float | None

    def __str__(self):
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        return (
            f"| {self.model} | {self.batch} | {self.engine} | {self.run * 1e3:.2f} | {ratio} | "
            f"{self.compiling:.2f} | {self.plan:.2f} | {self.check:.2f} | {self.cache:,} | "
            f"{self.same}/{self.batch} |"
        )


HEADER = (
    "| model | batch | engine | ms | x hand | compile s | plan s | check s | bytes | same |\n"
    + "|---" * 10
    + "|"
)


def model_of(name: str, paper: bool) -> Any:
    """The model of a name: of a CPU's size, of the paper's, or of a user's own file."""
    if is_own(name):
        return own_recipe(name, called("benchmarks.derived"), []).model
    return zoo.entry(name).paper if paper else SIZES.get(name, zoo.entry(name).paper)


def analysis(model: zoo.Autoregressive, variables: Any, context: Any) -> tuple[float, float, Any]:
    """Seconds of planning and of checking a derived step, and the derivation or why there is none."""
    shapes = Shapes.of(variables), Shapes.of(jax.tree.map(lambda leaf: leaf[:1], context))
    began = time.perf_counter()
    try:
        derivation(model, *shapes)
    except Refused as refused:
        return time.perf_counter() - began, 0.0, refused
    plan = time.perf_counter() - began
    examined.cache_clear()
    found = examined(model, *shapes)
    return plan, max(0.0, time.perf_counter() - began - 2 * plan), found


def coverage(name: str, model: zoo.Autoregressive) -> str:
    """A line that says whether a step is derived for a model, and agrees with it; or why not.

    Example:
      >>> coverage("fvsbn", zoo.FVSBN((2, 2))).split("|")[1:3]
      [' fvsbn ', ' derived ']
    """
    _, context = zoo.example(model, 1)
    variables = variable_shapes(model, context)
    plan, check, found = analysis(model, variables, context)
    said = f"recomputed: {found}" if isinstance(found, Refused) else "derived"
    return f"| {name} | {said} | {plan:.2f} | {check:.2f} |"


def rows(name: str, model: zoo.Autoregressive, batch: int, options: Options) -> Iterator[Row]:
    """Times all engines that a model has, in turns.

    Raises:
      RuntimeError: the engines drew different samples.
    """
    x, context = zoo.example(model, batch)
    variables = jax.block_until_ready(zoo.init(model, jax.random.key(0), x, context))
    plan, check, found = analysis(model, variables, context)
    engines = dict(ENGINES)
    if type(model).step is zoo.Autoregressive.step:
        del engines["hand"]
    if isinstance(found, Refused):
        del engines["derived"]
        print(f"{name}: {found}", flush=True)
    drawing, compiling, drawn = {}, {}, {}
    for engine, how in engines.items():
        if engine == "recompute" and _pass(model, variables, x, context) > options.slowest:
            continue
        run = functools.partial(
            draw, model, variables, jax.random.key(1), batch, context=context, engine=how
        )
        compiling[engine], drawn[engine] = _timed(run)
        drawing[engine] = run
    times: dict[str, list[float]] = {engine: [] for engine in drawing}
    for _ in range(options.repeats):
        for engine, run in drawing.items():
            if sum(times[engine]) < options.slowest:
                times[engine].append(_timed(run, options.clock)[0])
    medians = {engine: statistics.median(each) for engine, each in times.items()}
    first = np.asarray(next(iter(drawn.values())).x).reshape(batch, -1)
    for engine, median in medians.items():
        same = int((np.asarray(drawn[engine].x).reshape(batch, -1) == first).all(1).sum())
        if same < batch - 1 - batch // 8:  # more than ties explain
            raise RuntimeError(
                f"{name}: {engine} drew {same} of {batch} samples as the first engine."
            )
        made = {"hand": zoo.decoder, "derived": zoo.derive}.get(engine)
        yield Row(
            name,
            batch,
            engine,
            median,
            max(0.0, compiling[engine] - median),
            *((plan, check) if engine == "derived" else (0.0, 0.0)),
            _bytes(made, model, variables, batch, context) if made else 0,
            same,
            medians[engine] / medians["hand"] if "hand" in medians else None,
        )


def _pass(model, variables, x, context):
    """Seconds of one run of the network at every rank, from the second of two passes."""
    run = functools.partial(zoo.log_prob, model, variables, x, context)
    return min(_timed(run)[0] for _ in range(2)) * model.num_sites


def _timed(run, clock="wall"):
    now = time.process_time if clock == "cpu" else time.perf_counter
    began = now()
    result = jax.block_until_ready(run())
    return now() - began, result


def _bytes(made, model, variables, batch, context):
    cache = jax.eval_shape(made(model, variables, batch, context).init)
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(cache)) // batch


def main(options: Options) -> None:
    """Prints the table, each row as soon as it is measured."""
    if min(*options.batch, options.repeats) < 1:
        raise ValueError(
            f"--batch and --repeats must be at least 1; got {options.batch} and {options.repeats}."
        )
    names = options.models or tuple(
        name for name, each in zoo.CATALOGUE.items() if isinstance(each.paper, zoo.Autoregressive)
    )
    models = {name: model_of(name, options.paper) for name in names}
    for name, model in models.items():
        if not isinstance(model, zoo.Autoregressive):
            raise ValueError(f"{name} draws no value at a time, so it has no step.")
    if options.coverage:
        print("| model | step | plan s | check s |\n" + "|---" * 4 + "|")
        for name, model in models.items():
            print(coverage(name, model), flush=True)
        return
    device = jax.devices()[0]
    print(f"{jax.local_device_count()} x {device.device_kind}, jax {jax.__version__}, float32\n")
    print(HEADER)
    for name, model in models.items():
        for batch in options.batch:
            for row in rows(name, model, batch, options):
                print(row, flush=True)
                if options.lines is not None:
                    with Path(options.lines).open("a") as file:
                        file.write(json.dumps(dataclasses.asdict(row)) + "\n")


if __name__ == "__main__":
    with shell(keep_programs=False):
        words, _ = take_classes(sys.argv[1:])
        main(read_flags(Options, called("benchmarks.derived"), args=words))
