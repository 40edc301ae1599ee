"""The check that every derivation passes before it is used: its steps against the network itself.

Commands keep that a derivation passed, by a digest of the network, of this package's source, and
of the versions and device that it was checked with; the next command need not compare again.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import jaxlib
import numpy as np
from jaxtyping import PyTree

from zoo.core import batch_axes
from zoo.core.arrays import variable_shapes
from zoo.core.decoders import encode
from zoo.core.likelihood import _conditionals
from zoo.core.model import Autoregressive, Variables
from zoo.derived.derivation import Derivation, Shapes, decoder_of, derivation
from zoo.derived.network.bodies import inside
from zoo.derived.network.digest import digest
from zoo.derived.network.windows import Refused
from zoo.derived.work.random_inputs import device, random_inputs
from zoo.foundation import kept_facts
from zoo.foundation.compilation_cache import kept_in
from zoo.foundation.precision import without_x64

BATCH = 2  # examples that are compared
_PROMPT = 8  # ranks that the check reads in one pass, at least
_SHORT = 1024  # ranks at which a long sequence is compared, at least
_TURNS = 4  # of its rings, at least


def examined_for(
    model: Autoregressive, variables: Variables, context: PyTree
) -> Derivation | Refused:
    """`examined` for the shapes of these variables and this context, whatever the batch.

    Raises:
      ValueError: `__call__` returns no params of all sites, so that recomputing fails as well.
    """
    variable_shapes(model, context, 2)
    return examined(model, Shapes.of(variables), Shapes.of(batch_axes.resized(context, 1)))


@functools.lru_cache(maxsize=64)
def examined(model: Autoregressive, variables: Shapes, context: Shapes) -> Derivation | Refused:
    """The derivation, checked against `__call__`; or why there is none."""
    # In a thread, for a draw is compiled when this is called, and what it does here must run now.
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        return thread.submit(_examined, model, variables, context).result()


@without_x64
def _examined(model, variables, context):
    try:
        found = derivation(model, variables, context)
        short = _shorter(found, model, variables, context)
        if short is not None:
            same = examined(short, variables, context)
            return same if isinstance(same, Refused) else found
        difference = _difference(found, model, variables, context)
    except Exception as error:
        return refusal(error)
    return found if difference is None else Refused(difference)


def reads_prompts_for(model: Autoregressive, variables: Variables, context: PyTree) -> bool:
    """`reads_prompts` for the shapes of these variables and this context, whatever the batch."""
    return not isinstance(examined_for(model, variables, context), Refused) and reads_prompts(
        model, Shapes.of(variables), Shapes.of(batch_axes.resized(context, 1))
    )


@functools.lru_cache(maxsize=64)
def reads_prompts(model: Autoregressive, variables: Shapes, context: Shapes) -> bool:
    """Whether a prompt read in one pass gives what the network gives, then and in later steps."""
    found = examined(model, variables, context)
    if isinstance(found, Refused):
        return False
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        return thread.submit(_reads_prompts, found, model, variables, context).result()


@without_x64
def _reads_prompts(found, model, variables, context):
    program = found.program
    slots = max((each.slots for each in program.buffers.values()), default=0)
    row = program.plan.clock.block if program.by_rows else 1
    number = max(1, min(model.num_sites - 2, max(_PROMPT, (slots + 1) * row + row // 2 + 1)))
    try:
        if (short := _shorter(found, model, variables, context)) is not None:
            return reads_prompts(short, variables, context)
        return _difference(found, model, variables, context, number) is None
    except Exception:  # a prompt is then read step by step
        return False


def _shorter(found, model, variables, context):
    """Of a long sequence, a shorter model with the same weights whose step remembers the same: it is
    compared in its place. None if there is no such model."""
    buffers = _remembered(found)
    length = max(_SHORT, _TURNS * max((slots for *_, slots in buffers), default=0))
    if len(model.site_shape) > 1 or model.num_sites < 2 * length:
        return None
    with contextlib.suppress(Exception):  # a class that takes no other length
        short = model.clone(site_shape=(length,))
        shapes = Shapes.of(variable_shapes(short, batch_axes.resized(context.structs(), 1), 1))
        alike = [shape for shape, _ in shapes.leaves] == [shape for shape, _ in variables.leaves]
        if alike and _remembered(derivation(short, variables, context)) == buffers:
            return short
    return None


def _remembered(found):
    return [(each.array.op.name, each.ring, each.slots) for each in found.program.buffers.values()]


def refusal(error: Exception) -> Refused:
    """The reason for which no step is derived; any error of the analysis is one, never the end of a
    draw."""
    if isinstance(error, Refused):
        return error.with_traceback(None)
    lines = str(error).strip().splitlines() or ["no message"]
    return Refused(f"its step could not be derived ({type(error).__name__}: {lines[0]})")


def _difference(found, model, variables, context, prompt=0):
    """`disagreement`; None at once where an earlier command compared the same."""
    fact = None
    if kept_in():
        with contextlib.suppress(Exception):  # what cannot be told is compared every time
            fact = _fact(found, model, variables, context, prompt)
    if fact is not None and kept_facts.is_known(fact):
        return None
    difference = disagreement(found, model, variables, context, prompt)
    if fact is not None and difference is None:
        kept_facts.keep(fact)
    return difference


def _fact(found, model, variables, context, prompt):
    """A line that names all that the comparison depends on; None if it cannot be told."""
    given = batch_axes.resized(context.structs(), BATCH)
    shape = (BATCH, *model.site_shape, *model.head.event_shape)
    x = jax.ShapeDtypeStruct(shape, model.head.dtype)
    jaxpr = jax.make_jaxpr(functools.partial(_conditionals, model))(variables.structs(), x, given)
    networks = found.jaxpr, jaxpr, tuple(found.axes)
    order = np.asarray(model.sites), tuple(model.site_shape), tuple(found.program.plan.clock)
    there = device()
    versions = jax.__version__, jaxlib.__version__, np.__version__
    where = there.platform, there.device_kind, _source(), prompt
    known = digest(networks, order, versions, where)
    return None if known is None else f"derived steps agree with __call__: {known}\n"


@functools.cache
def _source() -> str | None:
    """The digest of this package."""
    folder = Path(__file__).parent
    files = sorted(folder.rglob("*.py"))
    return digest(*((str(each.relative_to(folder)), each.read_text("utf-8")) for each in files))


def disagreement(
    found: Derivation, model: Autoregressive, variables: Shapes, context: Shapes, prompt: int = 0
) -> str | None:
    """Compares derived steps, with junk in the future, to `__call__`, on random weights; says where
    they differ.

    Args:
      found: the derivation.
      model: the model.
      variables: the shapes of its variables.
      context: those of its context, for one example.
      prompt: how many ranks are read in one pass, before the steps.
    """
    x, junk, weights, given = random_inputs(model, variables.structs(), context.structs(), BATCH)
    steps = functools.partial(_steps, found, model, prompt)
    # In two threads: while XLA compiles, it does not hold the interpreter.
    with concurrent.futures.ThreadPoolExecutor(2) as threads:
        network = threads.submit(_conditionals_of, model, variables, context)
        got = threads.submit(_compiled, steps, weights, x, junk, given).result()
        wanted = network.result()
    wanted = wanted[:, np.asarray(model.sites)[: got.shape[1]]]
    finite = np.isfinite(wanted)
    scale = 1e-6 + np.abs(wanted[finite]).max(initial=0)
    exact = not any(_is_rough(array.dtype) for array in _arrays(found))
    both = np.where(finite, wanted, 0), np.where(finite, got, 0)
    wrong = np.where(
        finite, np.abs(both[0] - both[1]), (got != wanted) & ~(np.isnan(got) & np.isnan(wanted))
    )
    bad = ~(wrong <= (2e-4 if exact else 0.1) * scale)
    if bad.any():
        rank = int(np.flatnonzero(bad.any((0, 2)))[0])
        most = wrong[:, rank].max()
        return f"its derived params at rank {rank} differ from those of __call__ by {most:.2g}"
    return None


@functools.lru_cache(maxsize=2)
def _conditionals_of(model, variables, context):
    """What `__call__` gives for `random_inputs`, [batch, num_sites, num_params]."""
    x, _, weights, given = random_inputs(model, variables.structs(), context.structs(), BATCH)
    found = _compiled(functools.partial(_conditionals, model), weights, x, given)
    return found.reshape(BATCH, model.num_sites, -1)


@without_x64
def _compiled(function, *arguments):
    """The result of a program that runs once: most of the time would go into making it fast."""
    with jax.default_device(device()):
        return np.asarray(jax.jit(function, compiler_options=_options())(*arguments), np.float32)


@functools.cache
def _options() -> dict[str, Any] | None:
    """Those with which a processor's programs are soonest compiled, of what this XLA knows."""
    if device().platform != "cpu":
        return None
    wanted = {
        "xla_backend_optimization_level": 0,
        "xla_llvm_disable_expensive_passes": True,
        "xla_cpu_use_fusion_emitters": False,
    }
    known = {}
    for name, value in wanted.items():
        with contextlib.suppress(Exception):
            jax.jit(lambda: 0, compiler_options={name: value}).lower().compile()
            known[name] = value
    return known


def _is_rough(dtype):
    """Whether it has fewer digits than float32."""
    return jnp.issubdtype(dtype, jnp.floating) and np.dtype(dtype).itemsize < 4


def _arrays(found):
    """All arrays of a network."""
    yield from found.inputs
    for op in found.ops:
        yield from op.outs
        if op.body is not None:
            yield from inside(op.body)


def _steps(found, model, prompt, variables, x, junk, context):
    batch = len(x)
    memory = encode(model, variables, context, 1)
    decoder = decoder_of(found, model, variables, memory, batch)
    ranks = jnp.asarray(model.ordering.ranks(model.site_shape)).reshape(
        1, *model.site_shape, *[1] * len(model.head.event_shape)
    )

    def body(cache, t):
        canvas = jnp.where(ranks < t, x, junk)
        cache = jax.lax.cond(
            t % decoder.block == 0, lambda c: decoder.enter(c, canvas, t), lambda c: c, cache
        )
        params, cache = decoder.step(cache, canvas, t)
        return cache, params

    def steps(first, end, cache):
        return jax.lax.scan(body, cache, jnp.arange(first, end))[1].swapaxes(0, 1)

    if not prompt:
        return steps(0, model.num_sites, decoder.init())
    assert decoder.prefill is not None
    by_rank = x.reshape(batch, model.num_sites, *model.head.event_shape)
    read = by_rank[:, np.asarray(model.sites)[:prompt]]
    params, cache = decoder.prefill(decoder.init(), read)
    after = steps(prompt, min(model.num_sites, 2 * prompt + _PROMPT), cache)
    return jnp.concatenate([params, after], 1)
