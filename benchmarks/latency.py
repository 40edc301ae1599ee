"""`python -m benchmarks.latency`: how long a first and a later call take, of a score and of a draw.

A first call traces, compiles and runs; it is measured with an empty cache of programs. Later calls
are the median of several, with the 95th percentile. Arguments come as numpy arrays and results are
waited for, as a service does it.
"""

import dataclasses
import time
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import jax
import numpy as np
import tyro

import sample
import zoo
from zoo.cli import called, read_flags, shell


@dataclasses.dataclass(frozen=True)
class Options:
    """Times first and later calls."""

    models: Annotated[tuple[str, ...], tyro.conf.Positional] = ("made", "pixel_cnn", "lstm", "vae")
    """Names of the catalogue, in the paper's size with random weights."""
    batch: tuple[int, ...] = (1, 16, 64)
    """Batch sizes."""
    repeats: int = 20
    """Later calls; 10 seconds of them at most."""


def latencies(call: Callable[[], Any], repeats: int) -> tuple[float, float, float]:
    """Seconds of the first call, and the median and 95th percentile of later ones.

    Example:
      >>> from benchmarks.latency import latencies
      >>> first, median, high = latencies(lambda: np.zeros(3), 5)
      >>> 0 < median <= high
      True
    """
    jax.clear_caches()
    times: list[float] = []
    while len(times) <= repeats and (len(times) < 2 or sum(times[1:]) < 10):
        began = time.perf_counter()
        jax.block_until_ready(call())
        times.append(time.perf_counter() - began)
    return times[0], float(np.median(times[1:])), float(np.quantile(times[1:], 0.95))


def calls(model: zoo.Generative, batch: int) -> Iterator[tuple[str, Callable[[], Any]]]:
    """The score (or the bound by one draw), where something is known, and the draw."""
    x, context = jax.tree.map(np.asarray, zoo.example(model, batch))
    variables, key = zoo.init(model, jax.random.key(0), x, context), jax.random.key(1)
    if model.knows == "exact":
        yield "zoo.log_prob", lambda: zoo.log_prob(model, variables, x, context)
    if model.knows == "bound":
        yield "zoo.evidence", lambda: zoo.evidence(model, variables, x, context, key=key, num=1)
    yield "sample.draw", lambda: sample.draw(model, variables, key, batch, context=context)


def main(options: Options) -> None:
    """Prints the table, each line as soon as it is measured."""
    if min(*options.batch, options.repeats) < 1:
        raise ValueError(
            f"--batch and --repeats must be at least 1; got {options.batch} and {options.repeats}."
        )
    models = {name: zoo.entry(name).paper for name in options.models}
    print(f"{jax.devices()[0].device_kind}, jax {jax.__version__}, float32\n")
    print("| model | call | batch | first call s | later calls ms | 95 % of them within ms |")
    print("|---" * 6 + "|")
    for name, model in models.items():
        for batch in options.batch:
            for what, call in calls(model, batch):
                first, median, high = latencies(call, options.repeats)
                print(
                    f"| `{name}` | `{what}` | {batch} | {first:.1f} | {median * 1e3:.1f} "
                    f"| {high * 1e3:.1f} |",
                    flush=True,
                )


if __name__ == "__main__":
    with shell(keep_programs=False):
        main(read_flags(Options, called("benchmarks.latency")))
