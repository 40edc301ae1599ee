"""What a device check times: likelihoods and draws, updates.

A process that is timed compiles first, prints READY, and waits for "go" on its standard input.
"""

import dataclasses
import functools
import threading
import time
from collections.abc import Callable
from typing import Any

from benchmarks.on_device.ceilings import same_device, timed
from benchmarks.on_device.children import end_with_parent, is_child, obey
from benchmarks.on_device.counts import first_call, limit_of
from benchmarks.on_device.results import emit, in_one_line, measured


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

    same_device(size)
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
    knows: Callable[..., Any] | None = {
        "exact": functools.partial(zoo.log_prob, model),
        "bound": functools.partial(zoo.evidence, model, key=key),
        "none": None,
    }[model.knows]
    draw = functools.partial(
        sample.draw, model, variables, key, batch, context=context, batch_size=batch
    )
    found: dict[str, Any] = {}
    score = None
    if knows is not None:
        score = functools.partial(knows, variables, x, context)
        _, found["score_first_s"], found["score_launches"] = first_call(score)
        limit = limit_of(knows, variables, x, context)
        found["limit_ms"] = limit and limit * 1e3
    drawn, found["draw_first_s"], launches = first_call(draw)
    found["launches_per_site"] = launches and launches / model.num_sites
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

    same_device(size)
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
    (state, metrics), _, launches = first_call(lambda: made.step(state, x, context))
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
        launches=launches,
        loss=float(metrics.loss),
    )


_words: list[str] = []


def stopped() -> bool:
    """Whether the parent asks to stop compiling."""
    return "stop" in _words


def wait_for_go() -> None:
    """Reports that everything is compiled, and waits for the parent's command, if there is one."""
    if is_child():
        print("READY", flush=True)
        while "go" not in _words:
            time.sleep(0.02)


def listen() -> None:
    """Collects the commands of the parent from now on, if there is one, and ends when it does."""
    end_with_parent()
    if is_child():
        threading.Thread(target=obey, args=(_words,), daemon=True).start()
