"""What a derivation is compared on: random weights and values, and a context."""

from __future__ import annotations

import contextlib
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from zoo.core import batch_axes
from zoo.core.model import Autoregressive


def device() -> Any:
    """The processor where jax may use it, for it is compiled for soonest."""
    with contextlib.suppress(RuntimeError):
        return jax.local_devices(backend="cpu")[0]
    return jax.local_devices()[0]


def random_inputs(
    model: Autoregressive, variables: PyTree, context: PyTree, batch: int
) -> tuple[Any, Any, PyTree, PyTree]:
    """Values, others in place of the future, weights and a context, all at random; of the variables
    and the context of one example the shapes are given."""
    random = np.random.RandomState(0)
    with jax.default_device(device()):
        weights = jax.tree.map(functools.partial(_random, random), variables)
        given = _like(model.example(batch)[1], batch_axes.resized(context, batch))
        x, junk = (_values(model, batch, random) for _ in range(2))
    return x, junk, weights, given


def _like(example, wanted):
    """A context of the wanted shapes, made of the model's example."""

    def one(leaf, shape):
        for axis, n in enumerate(shape.shape):
            leaf = np.take(leaf, np.arange(n) % np.shape(leaf)[axis], axis)
        return jnp.asarray(leaf, shape.dtype)

    return jax.tree.map(one, example, wanted)


def _random(random, shape):
    if np.issubdtype(shape.dtype, np.integer):  # weights of one byte, or places in a table
        least, end = (-8, 8) if np.dtype(shape.dtype).itemsize == 1 else (0, 2)
        least = max(least, np.iinfo(shape.dtype).min)
        return jnp.asarray(random.randint(least, end, shape.shape), shape.dtype)
    fan_in = int(np.prod(shape.shape[:-1], dtype=int)) if len(shape.shape) > 1 else 1
    return jnp.asarray(random.normal(size=shape.shape) * (0.8 / max(1, fan_in) ** 0.5), shape.dtype)


def _values(model, batch, random):
    shape = (batch, *model.site_shape)
    u = jnp.asarray(random.uniform(size=(*shape, model.head.uniforms)), jnp.float32)
    params = jnp.zeros((*shape, model.head.num_params))
    return jnp.asarray(model.head.quantile(params, u)).astype(model.head.dtype)
