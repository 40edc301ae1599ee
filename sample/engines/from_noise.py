"""Samples of models that draw a whole example from noise, at once or in steps."""

import functools
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, PyTree

import zoo
from sample.engines.ancestral_loop import Sample
from sample.engines.program_sizes import BATCH, few
from zoo.core.arrays import check_variables
from zoo.core.bounds import by_row, draw_values, has
from zoo.core.checks import check_context
from zoo.foundation.arguments import checked
from zoo.foundation.precision import narrowed, narrowed_on_host, without_x64
from zoo.foundation.processes import gathered, share_of
from zoo.heads import expected_value


def draw_from_noise(
    model: zoo.Generative,
    variables: zoo.Variables,
    key: Array,
    num: int,
    context: PyTree,
    batch_size: int | None,
    mesh: Mesh,
) -> Sample:
    """Draws `num` samples, a few sizes of batches (by default 256), over the devices of the mesh.

    Sample i is a function of (key, i) alone.
    """
    rows = NamedSharding(mesh, PartitionSpec("data"))
    variables = jax.device_put(variables, NamedSharding(mesh, PartitionSpec()))
    context = narrowed_on_host(context)
    pieces: list[Any] = []
    start, share = share_of(num)
    done = start
    while done < start + share:
        size = mesh.size * min(batch_size or BATCH, few(-(-(start + share - done) // mesh.size)))
        # The surplus rows are copies of the last sample, and are cut off again.
        part = np.minimum(np.arange(done, done + size, dtype=np.uint32), num - 1)
        given = jax.tree.map(lambda leaf: leaf[part], context)  # noqa: B023
        given, part = jax.device_put((given, part), rows)
        x = draw_values(model, variables, key, part, given)
        nats = zoo.log_prob(model, variables, x, given) if model.knows == "exact" else None
        pieces.append(jax.device_get((x, nats)))
        done += size
    own = jax.tree.map(lambda *parts: np.concatenate(parts)[:share], *pieces)
    x, nats = jax.tree.map(lambda leaf: leaf[:num], gathered(own))
    return Sample(*jax.device_put((x, nats)))


@checked()
@without_x64
def expected_canvases(
    model: zoo.Generative, variables: zoo.Variables, key: Array, indices: Any, context: Any = None
) -> Float[Array, "batch canvases *sites"]:
    """The expected level of each site after each step of draws; row i belongs to sample indices[i]
    of that key.

    Raises:
      ValueError: the model does not draw in steps, or an argument does not fit it.

    Example:
      >>> model = zoo.CATALOGUE["draw_network"].tiny  # in two steps
      >>> variables = zoo.init(model, jax.random.key(0), *model.example(1))
      >>> labels = np.zeros(4, np.int32)
      >>> expected_canvases(model, variables, jax.random.key(1), np.arange(4), labels).shape
      (4, 3, 2, 3)
    """
    if not has(model, "canvases"):
        raise ValueError(f"{type(model).__name__} does not draw in steps, as DRAW does.")
    check_context(model, context, len(indices))
    check_variables(model, variables, context)
    return _canvases(model, variables, key, *narrowed((indices, context)))


@functools.partial(jax.jit, static_argnums=0)
def _canvases(model, variables, key, indices, context):
    def expected(model, context):
        params = model.canvases(model.encode(context), 1)  # [canvases, 1, *sites, num_params]
        return expected_value(model.head, params)[:, 0][None]

    return by_row(model, variables, key, indices, expected, context)
