"""Samples of models that draw a whole example at once from noise."""

from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, PyTree

import zoo
from sample.engines.ancestral_loop import Sample
from sample.engines.program_sizes import few
from zoo.core.bounds import draw_values
from zoo.foundation.precision import narrowed


def draw_from_noise(
    model: zoo.Generative,
    variables: zoo.Variables,
    key: Array,
    num: int,
    context: PyTree,
    batch_size: int,
    mesh: Mesh,
) -> Sample:
    """Draws `num` samples, a few sizes of batches, over the devices of the mesh.

    Sample i is a function of (key, i) alone.
    """
    rows = NamedSharding(mesh, PartitionSpec("data"))
    variables = jax.device_put(variables, NamedSharding(mesh, PartitionSpec()))
    context = jax.tree.map(np.asarray, narrowed(context))
    pieces: list[Any] = []
    done = 0
    while done < num:
        size = mesh.size * min(batch_size, few(-(-(num - done) // mesh.size)))
        # The surplus rows are copies of the last sample, and are cut off again.
        part = np.minimum(np.arange(done, done + size, dtype=np.uint32), num - 1)
        given = jax.tree.map(lambda leaf: leaf[part], context)  # noqa: B023
        given, part = jax.device_put((given, part), rows)
        x = draw_values(model, variables, key, part, given)
        nats = zoo.log_prob(model, variables, x, given) if model.knows == "exact" else None
        pieces.append(jax.device_get((x, nats)))
        done += size
    x, nats = jax.tree.map(lambda *parts: np.concatenate(parts)[:num], *pieces)
    return Sample(*jax.device_put((x, nats)))
