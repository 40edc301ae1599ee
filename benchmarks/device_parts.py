"""What `device_check.py` measures: ceilings, numerics, likelihoods and draws, updates.

A process that benches compiles first, prints READY, and waits for "go" on its standard input.
"""

import dataclasses
import functools
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
OUT = Path(os.environ.get("OUT", "device_out")).absolute()
BEGAN = time.monotonic()


def emit(part: str, key: str, **values: Any) -> None:
    """Appends one line to the results and prints it."""
    line = {"part": part, "key": key, **values, "at": round(time.monotonic() - BEGAN, 1)}
    with (OUT / "results.jsonl").open("a") as file:
        file.write(json.dumps(line, default=float) + "\n")
    print(json.dumps(line, default=float)[:400], flush=True)


def timed(function: Callable[[], Any], repeats: int = 5, seconds: float = 3.0) -> float:
    """Returns the median seconds of a compiled call; the first call does not count."""
    import jax

    jax.block_until_ready(function())
    times: list[float] = []
    while len(times) < repeats and (not times or sum(times) < seconds):
        began = time.perf_counter()
        jax.block_until_ready(function())
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def env() -> None:
    """Records versions, the speed of a matmul and of a copy, and the cost of a loop iteration."""
    import jax
    import jax.numpy as jnp

    emit(
        "env",
        "versions",
        jax=jax.__version__,
        devices=[device.device_kind for device in jax.devices()],
    )
    n = 8192 if jax.default_backend() != "cpu" else 512
    a = jax.random.normal(jax.random.key(0), (n, n))
    for name, dtype, precision in (
        ("highest", "float32", "highest"),
        ("default", "float32", "default"),
        ("bf16", "bfloat16", "default"),
    ):
        b = a.astype(dtype)
        multiply = jax.jit(lambda x, p=precision: jnp.matmul(x, x, precision=p))
        seconds = timed(lambda: multiply(b))  # noqa: B023
        exact = jnp.matmul(b[:256].astype("float32"), b.astype("float32"), precision="highest")
        error = jnp.linalg.norm(multiply(b)[:256].astype("float32") - exact) / jnp.linalg.norm(
            exact
        )
        emit("env", f"matmul_{name}", tflops=2 * n**3 / seconds / 1e12, relative_error=float(error))
    big = jnp.ones((2**28 if n == 8192 else 2**20,), jnp.float32)
    copy = jax.jit(lambda x: x + 1)
    emit("env", "copy", gb_per_s=2 * big.nbytes / timed(lambda: copy(big)) / 1e9)
    w, x = jax.random.normal(jax.random.key(1), (256, 256)) / 16, jnp.ones((64, 256))
    for kernels in (1, 4, 16):
        for cond in (False, True):

            def iteration(i, x, kernels=kernels, cond=cond):
                for _ in range(kernels):
                    x = jnp.tanh(x @ w)
                return (
                    jax.lax.cond(i % 2 == 0, lambda x: jnp.tanh(x @ w), lambda x: x, x)
                    if cond
                    else x
                )

            loop = jax.jit(lambda x, iteration=iteration: jax.lax.fori_loop(0, 784, iteration, x))
            emit(
                "env",
                f"loop_{kernels}{'_cond' if cond else ''}",
                us_per_turn=timed(lambda: loop(x)) / 784 * 1e6,  # noqa: B023
            )


def numerics(name: str) -> None:
    """Runs the conformance suite on the tiny model, and compares its likelihood with the CPU's."""
    import jax
    import numpy as np

    sys.path.insert(0, str(ROOT / "tests"))
    import conformance as suite

    import zoo

    entry, outcomes = zoo.entry(name), {}
    for check in (
        suite.check_step,
        suite.check_engines,
        suite.check_normalised,
        suite.check_causal,
        suite.check_law,
    ):
        try:
            check(entry)
            outcomes[check.__name__] = "ok"
        except Exception as error:
            outcomes[check.__name__] = (
                f"{type(error).__name__}: {' '.join(str(error).split())[:240]}"
            )
    model, variables = entry.tiny, suite.variables_of(entry.tiny)
    x, context = zoo.example(model, 32)
    here = np.asarray(zoo.log_prob(model, variables, x, context))
    with jax.default_device(jax.devices("cpu")[0]):
        there = np.asarray(zoo.log_prob(model, *jax.device_get((variables, x, context))))
    precision = jax.config.jax_default_matmul_precision or "default"
    emit(
        "numerics",
        f"{name}/{precision}",
        nats_from_cpu=float(np.abs(here - there).max()),
        **outcomes,
    )


def bench(name: str, batches: list[int]) -> None:
    """Compiles the likelihood and the draw of every batch by one call each, waits, then times them.

    The first calls run while other processes use the device; only the later ones are timed.
    """
    import jax

    import sample
    import zoo

    model: Any = zoo.MADE(hidden=(8000, 8000)) if name == "made" else zoo.entry(name).paper
    variables = zoo.init(model, jax.random.key(0), *zoo.example(model, 1))
    calls = []
    for batch in batches:
        if stopped():
            break
        x, context = zoo.example(model, batch)
        score = functools.partial(zoo.log_prob, model, variables, x, context)
        draw = functools.partial(
            sample.draw, model, variables, jax.random.key(1), batch,
            context=context, batch_size=batch,
        )  # fmt: skip
        began = time.perf_counter()
        jax.block_until_ready(score())
        middle = time.perf_counter()
        drawn = jax.block_until_ready(draw())
        first = (middle - began, time.perf_counter() - middle)
        gap = float(abs(zoo.log_prob(model, variables, drawn.x, context) - drawn.log_prob).max())
        calls.append((batch, score, draw, gap, first))
    wait_for_go()
    for batch, score, draw, gap, first in calls:
        scoring, drawing = timed(score), timed(draw)
        emit(
            "bench", f"{name}/{batch}", model=name, batch=batch, score_ms=scoring * 1e3,
            draw_ms=drawing * 1e3, cost=drawing / scoring, per_s=batch / drawing, nats_gap=gap,
            us_per_step=drawing / model.num_sites * 1e6,
            score_first_s=first[0], draw_first_s=first[1],
        )  # fmt: skip


def update(name: str, batch: int, dtype: str) -> None:
    """Compiles one update of the paper's recipe, waits, then times it."""
    import jax
    import numpy as np

    import zoo
    from train.engine.step import initial_state, make_update
    from train.recipe.presets import RECIPES

    recipe = dataclasses.replace(RECIPES[name]["paper"], batch_size=batch, dtype=dtype)
    x, context = (
        leaf if leaf is None else np.asarray(leaf) for leaf in zoo.example(recipe.model, batch)
    )
    context = np.zeros(batch, bool) if recipe.model.streams else context
    made = make_update(recipe)
    state = made.place(initial_state(recipe, x, context))
    state, metrics = made.step(state, x, context)
    jax.block_until_ready(metrics)
    wait_for_go()
    began, steps = time.perf_counter(), 0
    while time.perf_counter() - began < 3:
        for _ in range(5):
            state, metrics = made.step(state, x, context)
        jax.block_until_ready(metrics)
        steps += 5
    seconds = (time.perf_counter() - began) / steps
    emit(
        "update",
        f"{name}/{batch}/{dtype}",
        ms=seconds * 1e3,
        examples_per_s=batch / seconds,
        loss=float(metrics.loss),
    )


_words: list[str] = []


def stopped() -> bool:
    """Whether the parent asks to stop compiling."""
    return "stop" in _words


def wait_for_go() -> None:
    """Reports that everything is compiled, and waits for the parent's command."""
    print("READY", flush=True)
    while "go" not in _words:
        time.sleep(0.02)


def listen() -> None:
    """Collects the commands of the parent."""
    for line in sys.stdin:
        _words.append(line.strip())
