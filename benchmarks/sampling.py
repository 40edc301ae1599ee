"""`python -m benchmarks.sampling`: the cost of sampling, in units of one likelihood evaluation.

    cost = time to draw B samples / time of zoo.log_prob on B samples

Both are compiled first and measured in the same run, as the median of several repetitions. The
limit is 1; naive sampling needs as many network passes as there are sites.

    limit = operations of `log_prob` / the speed of a large matmul

is the time that the multiplications and additions of the likelihood would take at the speed of a
matmul of two 2048 x 2048 matrices in the same run; the next column reports how many times longer
each took. The last column is for sounds: seconds of sound per second, of the whole batch.
"""

import dataclasses
import functools
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import tyro

import zoo
from sample.engines.sampler import Engine, draw, read_at_once
from train.cli.own_models import own_recipe
from zoo.cli import called, read_flags, shell
from zoo.core.model_files import find_run, is_own, take_classes
from zoo.foundation.flop_counter import flops

# Sizes that the table shows beside those of the papers.
SIZES: dict[str, tuple[zoo.Generative, ...]] = {
    "made": (zoo.MADE(hidden=(500, 500)),),
    "rnade": (zoo.RNADE((63,), hidden=512),),
    "eonade": (zoo.EoNADE(layers=1),),
    "pixel_cnn_pp": (zoo.PixelCNNpp((28, 28), features=64),),
    "wavenet": (
        zoo.WaveNet((4000,), 32, 64, dilations=(1, 2, 4, 8, 16, 32, 64, 128, 256), cycles=1),
    ),
}


@dataclasses.dataclass(frozen=True)
class Options:
    """Times sampling against the likelihood."""

    models: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    """Names of the catalogue, or FILE.py:Class; the whole catalogue by default."""
    batch: tuple[int, ...] = (1, 16, 64)
    """Batch sizes."""
    engines: tuple[Engine, ...] = ("cached", "jacobi", "recompute")
    """Engines to time."""
    repeats: int = 9
    """Repetitions of each measurement; the median counts. --seconds limits slow ones."""
    seconds: float = 10.0
    """Maximum time for the repetitions of one measurement (one is always made)."""
    torch: bool = False
    """Also time the same network in PyTorch, with its state or cache, if it has a twin; needs the
    `bench` extra.
    """
    run: str | None = None
    """A trained run to time instead of fresh variables, on which Jacobi's time depends."""
    classes: tuple[str, ...] = ()
    """Model files (FILE.py) that define the classes of the run; one per flag."""


def models_of(options: Options) -> Iterator[tuple[zoo.Generative, Any]]:
    """Yields the models to time, with their variables."""
    if options.run is not None:
        yield zoo.open(find_run(options.run))
        return
    for name in options.models or zoo.CATALOGUE:
        for model in _sizes(name):
            yield model, zoo.init(model, jax.random.key(0), *zoo.example(model, 1))


def _sizes(name):
    """The models of a name: the paper's size and those of `SIZES`, or that of a user's own file."""
    if is_own(name):
        return (own_recipe(name, called("benchmarks.sampling"), []).model,)
    return (zoo.entry(name).paper, *SIZES.get(name, ()))


def measure(function: Callable[[], Any], repeats: int, seconds: float) -> tuple[float, float]:
    """Returns the compile time and the median run time of `function`, in seconds."""
    times = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        jax.block_until_ready(function())
        times.append(time.perf_counter() - began)
        if len(times) > 1 and sum(times[1:]) > seconds:
            break
    median = statistics.median(times[1:])
    return max(0.0, times[0] - median), median


def peak(size: int = 2048) -> float:
    """Returns the floating-point operations per second in a matmul of two [size, size] matrices."""
    a = jnp.ones((size, size))
    multiply = jax.jit(jnp.matmul)
    return 2 * size**3 / measure(lambda: multiply(a, a), 9, 5.0)[1]


def rows(
    model: zoo.Generative, variables: zoo.Variables, options: Options, speed: float
) -> Iterator[str]:
    """Yields one line of the table for each batch size and engine; `speed` is that of `peak`."""
    timed = functools.partial(measure, repeats=options.repeats, seconds=options.seconds)
    for batch in options.batch:
        x, context = zoo.example(model, batch)
        limit = (
            flops(lambda x, context: zoo.log_prob(model, variables, x, context), x, context) / speed
        )
        score_compile, score = timed(lambda: zoo.log_prob(model, variables, x, context))  # noqa: B023
        yield _row(model, batch, "log_prob", score_compile, score, score, limit)
        for engine in options.engines:
            run = functools.partial(
                draw, model, variables, jax.random.key(1), batch, context=context, engine=engine
            )
            compiling, seconds = timed(run)
            yield _row(model, batch, engine, compiling, seconds, score, limit)
        for what, function in _prompts(model, variables, x, context):
            yield _row(model, batch, what, *timed(function), score, limit)
        for what, function in _peers(model, variables, x, batch) if options.torch else ():
            yield _row(model, batch, what, *timed(function), score, limit)


def describe(model: zoo.Generative) -> str:
    """Returns the model's class with the fields that differ from its defaults.

    Example:
      >>> import zoo
      >>> from benchmarks.sampling import describe
      >>> describe(zoo.NADE(hidden=8))
      'NADE(hidden=8)'
    """
    changed = [
        f"{field.name}={getattr(model, field.name)}"
        for field in dataclasses.fields(model)
        if field.name not in ("parent", "name") and getattr(model, field.name) != field.default
    ]
    return f"{type(model).__name__}({', '.join(changed)})"


def _prompts(model, variables, x, context):
    """Yields the reading of a prompt as long as the sequence, in one pass and token by token, of a
    model that can read one in one pass.
    """
    if read_at_once(model, variables, context, model.num_sites) is None:
        return

    @jax.jit
    def prefill(variables):
        decoder = zoo.decoder(model, variables, len(x), context)
        assert decoder.prefill is not None
        return decoder.prefill(decoder.init(), x)

    @jax.jit
    def steps(variables):
        decoder = zoo.decoder(model, variables, len(x), context)
        return jax.lax.fori_loop(
            0, model.num_sites, lambda t, cache: decoder.step(cache, x, t)[1], decoder.init()
        )

    yield "prompt in one pass", lambda: prefill(variables)
    yield "prompt token by token", lambda: steps(variables)


def _peers(model, variables, x, batch):
    """Yields the likelihood and the draws of the same network in PyTorch."""
    from benchmarks.torch_twins.twins import twin

    theirs = twin(model, variables)
    yield "PyTorch log_prob", lambda: theirs.score(x)
    draws = theirs.draw
    if draws is not None:
        yield "PyTorch draw", lambda: draws(batch)


def _row(model, batch, what, compiling, seconds, score, limit):
    real_time = (
        f"{batch * model.num_sites / model.rate / seconds:.3f}" if model.kind == "sound" else ""
    )
    return (
        f"| {describe(model)} | {batch} | {what} | {compiling:.2f} | {seconds * 1e3:.2f} | "
        f"{batch / seconds:,.0f} "
        f"| {seconds / score:.2f} | {limit * 1e3:.2f} | {seconds / limit:.1f} | {real_time} |"
    )


def main(options: Options) -> None:
    """Prints the table, each line as soon as it is measured."""
    if min(*options.batch, options.repeats) < 1:
        raise ValueError(
            f"--batch and --repeats must be at least 1; got {options.batch} and {options.repeats}."
        )
    for name in options.models:
        _sizes(name)
    device, speed = jax.devices()[0], peak()
    print(
        f"{jax.local_device_count()} x {device.device_kind}, {speed / 1e9:,.0f} GFLOP/s in a "
        f"matmul, jax {jax.__version__}, "
        "float32, median of several runs\n"
    )
    print(
        "| model | batch | engine | compile s | ms | samples/s | cost | limit ms | x limit | x "
        "real time |\n" + "|---" * 10 + "|"
    )
    for model, variables in models_of(options):
        for row in rows(model, variables, options, speed):
            print(row, flush=True)


if __name__ == "__main__":
    with shell(keep_programs=False):
        words, _ = take_classes(sys.argv[1:])
        main(read_flags(Options, called("benchmarks.sampling"), args=words))
