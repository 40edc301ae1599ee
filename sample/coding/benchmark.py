"""`python -m sample.coding.benchmark RUN FILE`: a run's lossless compression beside general codecs.

Bits/dim of the same file, MB/s both ways (of one byte a value, warm), and where the time goes: the
network and how parts are shared, on the device; and all the rest, which is the coder and the host.
Beside it the time that `sample.draw` takes for as many examples, in batches of the same size. Drawing,
writing and reading take turns, and medians are printed. Codecs whose packages are not installed are
left out.
"""

import dataclasses
import functools
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import jax
import numpy as np
import tyro

import zoo
from sample.coding import codec, container
from sample.coding.batches import forward
from sample.coding.forms import data_files
from sample.coding.forms.contents import Contents
from sample.coding.general_codecs import codecs
from sample.coding.pack import context_of
from sample.engines.cores import parts_of, together
from sample.engines.sampler import draw
from zoo.cli import called, command
from zoo.core.checks import kind
from zoo.core.model_files import find_run
from zoo.foundation.processes import local_mesh


@dataclasses.dataclass(frozen=True)
class Options:
    """Compresses a file by a run and by general codecs."""

    run: Annotated[str, tyro.conf.Positional]
    """A checkpoint, a run's folder, or a model's name."""
    file: Annotated[Path, tyro.conf.Positional]
    """What the kind of the model reads."""
    num: int = 1024
    """How many examples of an array or folder; 0 for all."""
    batch_size: int = 256
    """How many examples are coded at once."""
    label: int | None = None
    """The label of all examples, for a class-conditional model."""
    context: Annotated[Path | None, tyro.conf.arg(metavar="FILE.npy")] = None
    """What the model conditions on, a row for each example."""
    rounds: int = 3
    """How often each is timed."""


class Measured(NamedTuple):
    """The rate and the speed of one model on one file.

    Attributes:
      num, dims: how many examples and values.
      is_same: whether the values came back.
      sizes: bytes by the name of the codec, the model's own first.
      nats: -log p of all values; None if the last example is cut off.
      seconds: medians of the rounds, by what was done: `draw`, `write`, `read`, `network`, others.
      ratios: median ratios to `draw` of the same round.
    """

    num: int
    dims: int
    is_same: bool
    sizes: dict[str, int]
    nats: float | None
    seconds: dict[str, float]
    ratios: dict[str, float]

    def speed(self, name: str) -> float:
        """MB/s, of one byte a value."""
        return self.dims / self.seconds[name] / 1e6


def measure(
    variables: zoo.Variables,
    contents: Contents,
    *,
    batch_size: int = 256,
    rounds: int = 3,
    others: Mapping[str, Callable[[], Any]] | None = None,
) -> Measured:
    """Compresses contents by their model, and by general codecs.

    Args:
      variables: of the model.
      contents: the values, and the model at their length.
      batch_size: how many examples are coded, and drawn, at once.
      rounds: how often each is timed, after one round that compiles.
      others: what else is timed in turn with them, by name.
    """
    model, x, context = contents.model, contents.x, contents.context
    num = len(x)
    dims = ((num - 1) * model.num_sites + contents.last) * model.num_dims // model.num_sites
    how: dict[str, Any] = {"batch_size": batch_size, "last": contents.last}
    header, payload = codec.coded(model, variables, x, context, **how)
    key = jax.random.key(0)
    each = {
        "draw": lambda: draw(model, variables, key, num, context=context, batch_size=batch_size),
        "write": lambda: codec.coded(model, variables, x, context, **how),
        "read": lambda: codec.decoded(model, variables, header, payload, context),
        "network": lambda: _forward(model, variables, x, context, header),
        **(others or {}),
    }
    timed = [{name: _timed(way) for name, way in each.items()} for _ in range(rounds + 1)][1:]
    seconds = {name: statistics.median(turn[name] for turn in timed) for name in each}
    ratios = {name: statistics.median(turn[name] / turn["draw"] for turn in timed) for name in each}
    back = codec.decoded(model, variables, header, payload, context)
    is_same = np.array_equal(back.reshape(-1)[:dims], np.asarray(x).reshape(-1)[:dims])
    sizes = {kind(model): len(container.wrapped(header, payload)), **dict(codecs(model, contents))}
    nats = _nats(model, variables, x, context) if contents.last == model.num_sites else None
    return Measured(num, dims, is_same, sizes, nats, seconds, ratios)


def _timed(function: Callable[[], Any]) -> float:
    began = time.perf_counter()
    jax.block_until_ready(function())
    return time.perf_counter() - began


def _forward(model, variables, x, context, header):
    """What the device does of writing."""
    task = codec.Task(model, variables, context, len(x), header["batch"], header["last"])
    flat = np.asarray(x).reshape(len(x), model.num_sites, *model.head.event_shape)
    calls = [functools.partial(forward, task, batch, flat, False) for batch in range(task.batches)]
    return together(
        calls, parts_of(task.rows * task.batches, model, variables, context, local_mesh())
    )


def _nats(model, variables, x, context):
    def nats_of(first):
        part = slice(first, first + 256)
        given = jax.tree.map(lambda leaf: leaf[part], context)
        return np.asarray(zoo.log_prob(model, variables, x[part], given), np.float64).sum()

    return -float(sum(nats_of(first) for first in range(0, len(x), 256)))


def run(options: Options) -> None:
    """Prints the table."""
    model, variables = zoo.open(find_run(options.run))
    contents = data_files.read(model, options.file, is_rounded=True)
    if options.num and "lengths" not in contents.form:
        given = jax.tree.map(lambda leaf: leaf[: options.num], contents.context)
        contents = contents._replace(x=contents.x[: options.num], context=given)
    if contents.context is None:
        context = context_of(model, len(contents.x), options.label, options.context)
        contents = contents._replace(context=context)
    found = measure(variables, contents, batch_size=options.batch_size, rounds=options.rounds)
    print(
        f"{kind(model)} on {found.num:,} examples of {options.file}, {found.dims:,} values; "
        f"same: {found.is_same}"
    )
    print(f"{'codec':16} {'bytes':>12} {'bits/dim':>9}")
    for name, size in found.sizes.items():
        print(f"{name:16} {size:12,} {8 * size / found.dims:9.4f}")
    if found.nats is not None:
        print(f"{'-log2 p':16} {'':12} {found.nats / np.log(2) / found.dims:9.4f}")
    seconds, ratios = found.seconds, found.ratios
    print(
        f"compressed at {found.speed('write'):.3f} MB/s, decompressed at {found.speed('read'):.3f}"
    )
    print(
        f"{seconds['write']:.3f} s to compress ({ratios['write']:.2f} times drawing as many), of "
        f"which the device {seconds['network']:.3f}; {seconds['read']:.3f} s to decompress "
        f"({ratios['read']:.2f} times)"
    )


if __name__ == "__main__":
    command(run, Options, called("sample.coding.benchmark"))
