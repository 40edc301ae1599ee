"""Exact samples with their likelihood, the same for the same key whatever computes them."""

import difflib
import functools
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Int, PyTree

import zoo
from sample import prefix as prefixes
from sample.jacobi import jacobi
from sample.loop import Sample, ancestral
from sample.tempered import Tempered

Engine = Literal["cached", "recompute", "jacobi"]
_PREFILLED = 16  # known ranks are taken in one pass in multiples of this, so that not every length compiles anew


def draw(
    model: zoo.Autoregressive,
    variables: zoo.Variables,
    key: Array,
    num: int,
    *,
    context: PyTree = None,
    prefix: Any = None,
    engine: Engine = "cached",
    batch_size: int = 256,
    tempered: Tempered | None = None,
) -> Sample:
    """Draws `num` exact samples from the model, or from its posterior given a prefix.

    Sample i is a function of (key, i) alone: it does not depend on `num`, on `batch_size`, on the engine or on the
    number of devices, but for the last bit of floating-point sums, which decides where a uniform number meets a
    cumulative probability to within rounding. Work is shared by all local devices.

    Args:
      model: the model.
      variables: its variables.
      key: a key of `jax.random.key` or `jax.random.PRNGKey`; consumed.
      num: the number of samples.
      context: what the model conditions on, leading axis `num`.
      prefix: known sites to keep; the rest is drawn from the exact posterior. An array of the first rows (or tokens),
        or a pair (values, known); see `sample.prefix.resolve`.
      engine: `cached` runs the model's `step`, about one network pass a batch; `recompute` the whole network at every
        rank (the oracle); `jacobi` the whole network until nothing changes.
      batch_size: how many samples a device draws at once.
      tempered: temperature, top-k, top-p and min-p; the draws are then no exact samples of the model.

    Returns:
      A Sample: x [num, *site_shape, *event_shape], and log_prob [num], nats of each whole sample (prefix included).

    Raises:
      ValueError: a count, engine, key, context or prefix that does not fit.
    """
    if not all(isinstance(count, int | np.integer) and count >= 1 for count in (num, batch_size)):
        raise ValueError(f"num and batch_size must be whole numbers >= 1; got num={num!r}, batch_size={batch_size!r}.")
    if engine not in get_args(Engine):
        near = difflib.get_close_matches(str(engine), get_args(Engine), n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"unknown engine {engine!r}; there are {', '.join(get_args(Engine))}.{hint}")
    key = typed(key)
    for leaf in jax.tree.leaves(context):
        if np.shape(leaf)[:1] != (num,):
            raise ValueError(f"context must have a leading axis of num={num}; got shape {list(np.shape(leaf))}.")
    zoo.check_context(model, context)
    if tempered is not None:
        tempered.check(model)
    known = prefixes.resolve(model, prefix, num)
    start = 0
    if known is not None and model.prefills and engine == "cached":
        start = int(known.known.min()) // _PREFILLED * _PREFILLED

    mesh = _mesh()
    if mesh.size > 1:
        variables = jax.device_put(variables, NamedSharding(mesh, PartitionSpec()))
    chunk = mesh.size * min(batch_size, -(-num // mesh.size))
    # The last chunk is filled up with copies of the last sample, which are cut off again.
    indices = np.minimum(np.arange(-(-num // chunk) * chunk, dtype=np.int32), num - 1)
    pieces = []
    for part in indices.reshape(-1, chunk):
        rows = (context, known) if len(indices) == num == chunk else _take((context, known), part)
        pieces.append(_draw(model, engine, start, tempered, mesh, variables, key, part, *rows))
    if mesh.size > 1:  # together again by way of the host, so that what follows runs on one device
        pieces = jax.tree.map(np.asarray, pieces)
        return jax.tree.map(lambda *parts: jnp.asarray(np.concatenate(parts)[:num]), *pieces)
    if len(indices) == num == chunk:
        return pieces[0]
    return jax.tree.map(lambda *parts: jnp.concatenate(parts)[:num], *pieces)


def uniforms(
    key: Array, indices: Int[Array, " batch"], num_sites: int, per_site: int
) -> Float[Array, "num_sites batch per_site"]:
    """The noise of samples `indices`: U(0, 1) as a function of (key, sample index, rank) alone. The key is consumed."""

    def one(index):
        return jax.random.uniform(jax.random.fold_in(key, index), (num_sites, per_site))

    return jax.vmap(one, out_axes=1)(indices)


def _take(tree, rows):
    return jax.tree.map(lambda leaf: leaf[rows], tree)


@functools.partial(jax.jit, static_argnums=(0, 1, 2, 3, 4))
def _draw(model, engine, start, tempered, mesh, variables, key, indices, context, known):
    def on_device(variables, key, indices, context, known):
        u = uniforms(key, indices, model.num_sites, model.head.uniforms)
        if engine == "jacobi":
            return jacobi(model, variables, u, context, known, tempered)
        make = zoo.decoder if engine == "cached" else zoo.recompute
        return ancestral(model, make(model, variables, len(indices), context), u, known, start, tempered)

    if mesh.size == 1:
        return on_device(variables, key, indices, context, known)
    whole, split = PartitionSpec(), PartitionSpec("data")
    # Each device runs a loop of its own and none waits for another, so there is nothing to check between them.
    sharded = jax.shard_map(
        on_device, mesh=mesh, in_specs=(whole, whole, split, split, split), out_specs=split, check_vma=False
    )
    return sharded(variables, key, indices, context, known)


@functools.cache
def _mesh() -> Mesh:
    return jax.make_mesh(
        (jax.local_device_count(),), ("data",), axis_types=(AxisType.Auto,), devices=jax.local_devices()
    )


def typed(key: Any) -> Array:
    """The key as one of `jax.random.key`, also if it is an old one of `jax.random.PRNGKey`."""
    if isinstance(key, jax.Array) and jnp.issubdtype(key.dtype, jax.dtypes.prng_key) and key.ndim == 0:
        return key
    if np.shape(key) == (2,) and getattr(key, "dtype", None) == np.uint32:
        return jax.random.wrap_key_data(key)
    raise ValueError(f"key must be one jax.random.key(seed); got {type(key).__name__} of shape {list(np.shape(key))}.")
