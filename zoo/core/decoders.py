"""A model as samplers see it: its conditionals one rank at a time, given an opaque cache."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from zoo.core import batch_axes
from zoo.core.arrays import check_variables
from zoo.core.checks import check_context
from zoo.core.model import Autoregressive, Canvas, Rank, Variables, site_params
from zoo.foundation.arguments import checked
from zoo.foundation.precision import full_float32, narrowed, without_x64

Cache: TypeAlias = Any  # a pytree that only the model understands


class Decoder(NamedTuple):
    """All that a sampler sees of a model: pure functions of an opaque cache, nothing of flax.

    Attributes:
      init: () -> cache before the first rank.
      enter: (cache, canvas, t) -> cache; called once per block of `block` consecutive ranks, at its
        first rank t.
      step: (cache, canvas, t) -> (params [batch, num_params] of the site at rank t, cache).
      block: ranks per block.
      prefill: (cache, values [batch, n] of the first n ranks) -> (params [batch, n, num_params],
        cache), in one pass; None if the model has no such.

    Example:
      >>> import jax, numpy as np, zoo
      >>> model = zoo.MADE((2, 2), hidden=(8,))
      >>> x = np.array([[[0, 1], [1, 0]], [[1, 1], [0, 0]]])
      >>> variables = zoo.init(model, jax.random.key(0), x)
      >>> isinstance(zoo.decoder(model, variables, batch=2), zoo.Decoder)
      True
    """

    init: Callable[[], Cache]
    enter: Callable[[Cache, Canvas, Rank], Cache]
    step: Callable[[Cache, Canvas, Rank], tuple[Float[Array, "batch num_params"], Cache]]
    block: int
    prefill: (
        Callable[[Cache, Canvas], tuple[Float[Array, "batch ranks num_params"], Cache]] | None
    ) = None


def has_own_step(model: Autoregressive) -> bool:
    """Whether the model's class defines `step`.

    Example:
      >>> import zoo
      >>> has_own_step(zoo.NADE())
      True
    """
    return type(model).step is not Autoregressive.step


WITHOUT_STEP: list[Callable[..., Decoder]] = []
"""What makes the decoder of a model without a step; `zoo.derived` puts `derive` here."""


@checked(batch=1, copies=1)
@without_x64
def decoder(
    model: Autoregressive, variables: Variables, batch: int, context: PyTree = None, copies: int = 1
) -> Decoder:
    """The model as a sampler sees it, through `enter` and `step`; the context is encoded once,
    here.

    Each row of the context serves `copies` consecutive rows of the batch. For a model without a
    `step` one is derived.

    Example:
      >>> import jax, numpy as np, zoo
      >>> model = zoo.MADE((2, 2), hidden=(8,))
      >>> x = np.array([[[0, 1], [1, 0]], [[1, 1], [0, 0]]])
      >>> variables = zoo.init(model, jax.random.key(0), x)
      >>> step = zoo.decoder(model, variables, batch=2)
      >>> cache = step.enter(step.init(), x, 0)
      >>> params, cache = step.step(cache, x, 0)
      >>> params.shape, step.block
      ((2, 1), 4)
    """
    if not has_own_step(model):
        return WITHOUT_STEP[0](model, variables, batch, context, copies)
    check_context(model, context)
    check_variables(model, variables, context)
    memory = encode(model, variables, narrowed(context), copies)

    @without_x64
    @full_float32
    def apply(method, cache, *args):
        out, state = model.apply(
            {**variables, "cache": cache}, *narrowed(args), memory, method=method, mutable=["cache"]
        )
        return out, state.get("cache", {})

    def enter(cache, x, t):
        return apply("enter", cache, x, t)[1]

    def step(cache, x, t):
        return apply("step", cache, x, t)

    @without_x64
    def init():
        x = jnp.zeros((batch, *model.site_shape, *model.head.event_shape), model.head.dtype)
        rank = jnp.zeros((), jnp.int32)
        shapes = jax.eval_shape(lambda: step(enter({}, x, rank), x, rank)[1])
        return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)

    def prefill(cache, x):
        return apply("prefill", cache, x)

    return Decoder(init, enter, step, model.block, prefill if model.has_prefill else None)


@checked(batch=1, copies=1)
@without_x64
def recompute(
    model: Autoregressive, variables: Variables, batch: int, context: PyTree = None, copies: int = 1
) -> Decoder:
    """The oracle: a decoder that runs the whole network at every rank, never through `step`.

    Example:
      >>> import jax, numpy as np, zoo
      >>> model = zoo.MADE((2, 2), hidden=(8,))
      >>> x = np.array([[[0, 1], [1, 0]], [[1, 1], [0, 0]]])
      >>> variables = zoo.init(model, jax.random.key(0), x)
      >>> oracle = zoo.recompute(model, variables, batch=2)
      >>> params, _ = oracle.step((), x, 3)
      >>> bool(np.allclose(params, zoo.conditionals(model, variables, x)[:, 1, 1], atol=1e-5))
      True
    """
    check_context(model, context)
    check_variables(model, variables, context)
    del batch  # nothing is cached
    memory, apply = (
        encode(model, variables, narrowed(context), copies),
        without_x64(full_float32(model.apply)),
    )
    return Decoder(
        init=lambda: (),
        enter=lambda cache, x, t: cache,
        step=lambda cache, x, t: (
            site_params(model, apply(variables, narrowed(x), memory), t),
            cache,
        ),
        block=model.num_sites,
    )


@without_x64
@functools.partial(jax.jit, static_argnums=(0, 3))
@full_float32
def encode(model: Autoregressive, variables: Variables, context: PyTree, copies: int = 1) -> PyTree:
    """The memory of a context, each row of it `copies` times."""
    apply = functools.partial(model.apply, variables, method="encode")
    if copies == 1 or context is None:
        return apply(context)
    return batch_axes.repeated(apply, context, copies)
