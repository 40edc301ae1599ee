"""What a device check measures: ceilings, numerics, likelihoods and draws, updates.

A process that is timed compiles first, prints READY, and waits for "go" on its standard input.
"""

import dataclasses
import functools
import statistics
import threading
import time
from collections.abc import Callable
from typing import Any

from benchmarks.on_device.children import obey
from benchmarks.on_device.results import emit, measured

SIZES = ("paper", "tiny")
# Checks that compare what this device computes; the others of `sample.testing` are of the code.
NUMERIC = (
    "step", "engines", "normalised", "causal", "distribution", "rows", "bound", "gradients",
)  # fmt: skip


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


def env(size: str) -> None:
    """Records versions, the speed of a matmul and of a copy, and the cost of a loop iteration."""
    import jax
    import jax.numpy as jnp

    devices = [device.device_kind for device in jax.devices()]
    known = ("env", "loop_16_cond") in measured()  # the last
    emit("env", "versions", jax=jax.__version__, devices=devices, size=size)
    if known:
        return
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


def numerics(name: str, precision: str) -> None:
    """Checks the tiny model on this device, and compares its likelihood with the CPU's.

    The precision is that of matmuls in the caller's setting, to which no result may yield.
    """
    import jax
    import numpy as np

    import zoo
    from sample.testing import suite
    from sample.testing.subject import example_of, figure_of, variables_for

    jax.config.update("jax_default_matmul_precision", precision)
    entry = zoo.entry(name)
    checks = [check for check in suite.checks_of(entry.tiny) if _short(check) in NUMERIC]
    outcomes = {_short(check): _outcome(suite, check, entry) for check in checks}
    variables = variables_for(entry)
    x, context = jax.device_get(example_of(entry, 32))
    here = np.asarray(figure_of(entry.tiny, variables, x, context))
    with jax.default_device(jax.devices("cpu")[0]):
        there = np.asarray(figure_of(entry.tiny, jax.device_get(variables), x, context))
    gap = float(np.abs(here - there).max())
    emit("numerics", f"{name}/{precision}", from_cpu=gap, **outcomes)


def _short(check):
    return check.__name__.removeprefix("check_")


def _outcome(suite, check, entry):
    if suite.why_skipped(check, entry):
        return "skipped"
    try:
        return check(entry) or "ok"
    except Exception as error:
        return in_one_line(error)


def in_one_line(error: Exception) -> str:
    """The class and the beginning of an error.

    Example:
      >>> in_one_line(ValueError("no  room"))
      'ValueError: no room'
    """
    return f"{type(error).__name__}: {' '.join(str(error).split())[:240]}"


def _model(name, size):
    import zoo

    if size == "paper" and name == "made":
        return zoo.MADE(hidden=(8000, 8000))
    return getattr(zoo.entry(name), size)


def bench(name: str, size: str, batches: list[int]) -> None:
    """Compiles the likelihood (or its bound) and the draw of every batch by one call each, waits,
    then times them.

    The first calls run while other processes use the device; only the later ones are timed. A batch
    that fails, such as for want of memory, ends with its error, and larger ones are not tried.
    """
    import jax

    import zoo

    model: Any = _model(name, size)
    variables = zoo.init(model, jax.random.key(0), *zoo.example(model, 1))
    calls = []
    for batch in batches:
        if ("bench", f"{name}/{batch}") in measured():
            continue
        if stopped():
            break
        try:
            calls.append((batch, *_compiled(model, variables, batch)))
        except Exception as error:
            emit("bench", f"{name}/{batch}", error=in_one_line(error))
            break
    if not calls:
        return
    wait_for_go()
    for batch, score, draw, found in calls:
        try:
            scoring, drawing = timed(score) if score else None, timed(draw)
        except Exception as error:
            emit("bench", f"{name}/{batch}", error=in_one_line(error))
            continue
        emit(
            "bench", f"{name}/{batch}", model=name, batch=batch, draw_ms=drawing * 1e3,
            score_ms=scoring and scoring * 1e3, cost=scoring and drawing / scoring,
            per_s=batch / drawing, us_per_step=drawing / model.num_sites * 1e6, **found,
        )  # fmt: skip


def _compiled(model, variables, batch):
    """(score, draw, figures) of a batch; score is None of a model without a likelihood."""
    import jax

    import sample
    import zoo

    x, context = zoo.example(model, batch)
    key = jax.random.key(1)
    score = {
        "exact": functools.partial(zoo.log_prob, model, variables, x, context),
        "bound": functools.partial(zoo.evidence, model, variables, x, context, key=key),
        "none": None,
    }[model.knows]
    draw = functools.partial(
        sample.draw, model, variables, key, batch, context=context, batch_size=batch
    )
    found: dict[str, Any] = {}
    if score is not None:
        began = time.perf_counter()
        jax.block_until_ready(score())
        found["score_first_s"] = time.perf_counter() - began
    began = time.perf_counter()
    drawn = jax.block_until_ready(draw())
    found["draw_first_s"] = time.perf_counter() - began
    if model.knows == "exact":
        again = zoo.log_prob(model, variables, drawn.x, context)
        found["nats_gap"] = float(abs(again - drawn.log_prob).max())
    return score, draw, found


def update(name: str, size: str, batch: int, dtype: str) -> None:
    """Compiles one update of the paper's recipe, waits, then times it."""
    import jax
    import numpy as np

    from train.engine.step import initial_state, make_update
    from train.recipe.presets import RECIPES

    recipe: Any = RECIPES[name].get("paper") or RECIPES[name]["cpu"]
    model = recipe.model if size == "paper" else _model(name, size)
    recipe = dataclasses.replace(
        recipe, model=model, batch_size=batch, dtype=dtype,
        accumulate=1, encoder=None, encoder_rate=1.0,
    )  # fmt: skip
    x, context = jax.tree.map(np.asarray, model.example(batch))
    context = np.zeros(batch, bool) if model.streams else context
    made = make_update(recipe, jax.devices()[:1])
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
    """Collects the commands of the parent from now on."""
    threading.Thread(target=obey, args=(_words,), daemon=True).start()
