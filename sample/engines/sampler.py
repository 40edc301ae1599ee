"""Exact samples with their likelihood: the same key gives the same samples from every engine."""

import functools
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array, PyTree

import zoo
from sample.engines import prefix as prefixes
from sample.engines.ancestral_loop import Drawing, Sample, begin, finish
from sample.engines.cores import joined, parts_of, together
from sample.engines.from_noise import draw_from_noise
from sample.engines.jacobi import jacobi
from sample.engines.noise import uniforms
from sample.engines.program_sizes import few, few_known, usual_batch
from sample.engines.requests import check_plain, check_request
from sample.engines.tempered import Tempered
from zoo.core import batch_axes
from zoo.core.decoders import has_own_step
from zoo.derived import derived_block, has_derived_prefill
from zoo.foundation.arguments import checked
from zoo.foundation.precision import narrowed_on_host, without_x64
from zoo.foundation.processes import gathered, local_mesh, share_of

Engine = Literal["cached", "derived", "recompute", "jacobi"]


def maker(engine: str) -> Callable[..., zoo.Decoder]:
    """Returns the function that makes the decoder of an engine that draws rank by rank."""
    makers = {"cached": zoo.decoder, "derived": zoo.derive, "recompute": zoo.recompute}
    return makers[engine]


@checked()
def draw(
    model: zoo.Generative,
    variables: zoo.Variables,
    key: Array,
    num: int,
    *,
    context: PyTree = None,
    prefix: Any = None,
    known: Any = None,
    engine: Engine = "cached",
    batch_size: int | None = None,
    tempered: Tempered | None = None,
) -> Sample:
    """Draws `num` exact samples from the model, or from its posterior given a prefix.

    A model that is not autoregressive draws whole examples from noise; it takes no prefix, no
    engine and no temperature.

    Sample i depends only on (key, i), not on `num`, `batch_size`, the engine or the number of
    devices. The one exception is rounding: sums that differ in the last bit can decide a tie
    between a uniform number and a cumulative probability. All local devices share the work. Of
    several processes (`jax.distributed`) all must call it, with the same arguments: each draws its
    share of the samples, and all of them get all samples.

    Few programs are compiled: `num` is rounded up to one of a few sizes (1, 2, 4, 8, 16, 32, 48,
    64, 96, 128, ...), and temperatures and prefix lengths are inputs of a program.

    Args:
      model: the model.
      variables: its variables.
      key: a key of `jax.random.key` or `jax.random.PRNGKey`; consumed.
      num: the number of samples.
      context: what the model conditions on, leading axis `num`.
      prefix: known sites to keep; the rest is drawn from the exact posterior. An array of the first
        rows (or tokens); or with `known` an array of all values, [*site_shape, *event_shape], one
        for all draws or one for each. A pair (values, known) means the same.
      known: bool [*site_shape], True at the known sites of `prefix`, one for all draws or one for
        each; they must be a prefix of the model's ordering.
      engine: `cached` runs the model's `step`, about one network pass per batch; `derived` runs a
        step derived from its `__call__`, as `cached` does for a model without a step; `recompute`
        runs the whole network at every rank (the reference); `jacobi` runs the whole network until
        nothing changes.
      batch_size: number of samples that a device draws at once; on a CPU its cores share them. By
        default 256, and up to 1,024 on an accelerator, as its memory allows.
      tempered: temperature, top-k, top-p and min-p; the draws are then no longer exact samples.

    Returns:
      A Sample: x [num, *site_shape, *event_shape], and log_prob [num], the nats of each whole
      sample (prefix included); None of a model that does not know its likelihood.

    Raises:
      ValueError: `num`, `key`, `context`, `prefix`, `variables` or another argument does not fit
        the model, or the samples would not fit into memory.

    Example:
      >>> import jax, numpy as np
      >>> import sample, zoo
      >>> model = zoo.NADE((4, 4), hidden=3)
      >>> variables = zoo.init(model, jax.random.key(0), np.zeros((1, 4, 4), np.int32))
      >>> drawn = sample.draw(model, variables, jax.random.key(1), 5)
      >>> drawn.x.shape, drawn.log_prob.shape
      ((5, 4, 4), (5,))
      >>> upper = drawn.x[0, :2]
      >>> again = sample.draw(model, variables, jax.random.key(2), 3, prefix=upper)
      >>> bool((again.x[:, :2] == upper[None]).all())
      True
    """
    if not isinstance(model, zoo.Autoregressive):
        other = None if engine == "cached" else engine
        check_plain(model, prefix=prefix, known=known, engine=other, tempered=tempered)
        return _draw_from_noise(model, variables, key, num, context, batch_size)
    prefix = prefixes.with_mask(prefix, known)
    drawn = _draw_by_rank(
        model, variables, key, num, context, prefix, engine, batch_size, tempered, None
    )
    return Sample(drawn.x, drawn.log_prob)


@checked()
def draw_by_rank(
    model: zoo.Autoregressive,
    variables: zoo.Variables,
    key: Array,
    num: int,
    *,
    context: PyTree = None,
    prefix: Any = None,
    engine: Engine = "cached",
    batch_size: int | None = None,
    tempered: Tempered | None = None,
    end: int | None = None,
) -> Any:
    """Like `draw`, but returns a Drawn, with the likelihood of each rank; ranks from `end` on may
    stay empty.
    """
    return _draw_by_rank(
        model, variables, key, num, context, prefix, engine, batch_size, tempered, end
    )


@without_x64
def _draw_by_rank(model, variables, key, num, context, prefix, engine, batch_size, tempered, end):
    check_request(model, variables, num, batch_size, context)
    if tempered is not None:
        tempered.check(model)
    known = prefixes.resolve(model, prefix, num)
    mesh, leaves = local_mesh(), jax.tree.leaves((variables, key, context))
    traced = any(isinstance(leaf, jax.core.Tracer) for leaf in leaves)
    if not traced:  # on a device, each number of rows would compile another program
        context = narrowed_on_host(context)
    first, prefilled, shared = 0, None, None
    if known is not None:
        length = int(known.known.min())
        prefilled = read_at_once(model, variables, context, length, engine)
        if prefilled is not None and not traced and _share_start(model, context, known, prefilled):
            one = _take((context, known), slice(1))
            shared = begin_shared(model, prefilled, variables, *one, engine=engine)
            first, prefilled = prefilled, 0
    if mesh.size > 1:
        variables = jax.device_put(variables, NamedSharding(mesh, PartitionSpec()))
    if batch_size is None:
        make = None if engine in ("recompute", "jacobi") else maker(engine)
        batch_size = usual_batch(mesh.devices.flat[0], model, make, variables, context)
    last, calls = None if end is None else np.int32(end), []
    start, share = (0, num) if traced else share_of(num)
    rows = min(batch_size, -(-share // mesh.size))
    cores = 1 if traced else parts_of(rows, model, variables, context, mesh)
    for done, size in _parts(start, start + share, mesh.size, batch_size, cores, exact=traced):
        # The surplus rows are copies of the last sample, and are cut off again.
        part = np.minimum(np.arange(done, done + size, dtype=np.int32), num - 1)
        whole = size == num == share
        each = (context, known) if whole else _take((context, known), part)
        dynamic = (tempered, shared, np.int32(first), last)
        arguments = (prefilled or 0, mesh, variables, key, part, *each, *dynamic)
        calls.append(functools.partial(_draw, model, engine, *arguments))
    pieces = together(calls, cores)
    if len(pieces) == 1 and whole and mesh.size == 1:
        return pieces[0]
    if traced:
        return jax.tree.map(lambda *parts: jnp.concatenate(parts)[:num], *pieces)
    if size * len(pieces) == num == share and mesh.size == 1:
        return joined(pieces)
    # Joined on the host: no program is compiled for this number of samples, and the result lies on
    # one device.
    own = jax.tree.map(lambda *parts: np.concatenate(parts)[:share], *jax.device_get(pieces))
    return jax.device_put(jax.tree.map(lambda leaf: leaf[:num], gathered(own)))


@without_x64
def _draw_from_noise(model, variables, key, num, context, batch_size):
    check_request(model, variables, num, batch_size, context)
    return draw_from_noise(model, variables, key, num, context, batch_size, local_mesh())


def read_at_once(
    model: zoo.Autoregressive,
    variables: zoo.Variables,
    context: PyTree,
    known: int,
    engine: Engine = "cached",
) -> int | None:
    """How many of the known ranks a sampler reads in one pass; None if its step reads one by one."""
    own = engine == "cached" and has_own_step(model)
    derived = engine in ("cached", "derived") and not own
    number = few_known(known)
    if own:
        return number if model.has_prefill else None
    if not (number and derived and has_derived_prefill(model, variables, context)):
        return None
    # Where the decoder goes by rows, whole rows.
    block = derived_block(model, variables, context)
    return number if block == model.num_sites else number // block * block


def _share_start(model, context, known, start):
    """Whether all examples share their context and their first ranks."""
    first = known.values.reshape(len(known.values), model.num_sites, -1)[:, model.sites[:start]]
    return all((leaf == leaf[:1]).all() for leaf in jax.tree.leaves((context, first)))


@without_x64
@functools.partial(jax.jit, static_argnums=(0, 1), static_argnames="engine")
def begin_shared(model, start, variables, context, known, engine="cached"):
    """Returns the cache after the first ranks of one example, and their log p."""
    drawing = begin(model, maker(engine)(model, variables, 1, context), 1, known, start)
    return drawing.cache, drawing.nats


def _continue(model, make, variables, context, known, shared, batch):
    """Returns the unfinished samples of a batch that shares its first ranks."""
    cache, nats = shared

    def cache_of(size):
        shaped = batch_axes.resized(context, size)
        return jax.eval_shape(
            lambda *each: make(model, each[0], size, each[1]).init(), variables, shaped
        )

    cache = batch_axes.take(cache, batch_axes.axes(cache_of), jnp.zeros(batch, jnp.int32), 1)
    x = known.values.reshape(batch, model.num_sites, *model.head.event_shape)
    return Drawing(cache, x, jnp.broadcast_to(nats, (model.num_sites, batch)))


def _parts(start, end, devices, batch_size, cores, exact):
    """The first sample and the number of samples of each part: a batch a device, or one of its
    equal parts, of one of a few sizes.
    """
    while start < end:
        needed = -(-min(batch_size, -(-(end - start) // devices)) // cores)
        size = devices * (needed if exact else min(-(-batch_size // cores), few(needed)))
        for _ in range(cores):
            if start < end:
                yield start, size
            start += size


def _take(tree, rows):
    return jax.tree.map(lambda leaf: leaf[rows], tree)


@functools.partial(jax.jit, static_argnums=(0, 1, 2, 3))
def _draw(
    model,
    engine,
    start,
    mesh,
    variables,
    key,
    indices,
    context,
    known,
    tempered,
    shared,
    first,
    end,
):
    def on_device(variables, key, tempered, shared, first, end, indices, context, known):
        batch = len(indices)
        end = model.num_sites if end is None else end  # static: the host never waits for the loop
        u = uniforms(key, indices, model.num_sites, model.head.uniforms)
        if engine == "jacobi":
            return jacobi(model, variables, u, context, known, tempered)
        decoder = maker(engine)(model, variables, batch, context)
        if shared is None:
            drawing = begin(model, decoder, batch, known, start)
            return finish(model, decoder, u, drawing, start, end, known, tempered)
        drawing = _continue(model, maker(engine), variables, context, known, shared, batch)
        return finish(model, decoder, u, drawing, first, end, known, tempered)

    arguments = (variables, key, tempered, shared, first, end), (indices, context, known)
    if mesh.size == 1:
        return on_device(*arguments[0], *arguments[1])
    # Each device runs its loop without waiting for others, so nothing is exchanged or checked.
    sharded = jax.shard_map(
        on_device,
        mesh=mesh,
        in_specs=(*[PartitionSpec()] * 6, *[PartitionSpec("data")] * 3),
        out_specs=PartitionSpec("data"),
        check_vma=False,
    )
    return sharded(*arguments[0], *arguments[1])
