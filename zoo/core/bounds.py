"""What a model of latent variables knows of an example: a bound of log p(x), and its code.

The noise of row i is a function of (key, i) alone. Draws are taken a few at a time, and rows as many
as fit, so that memory grows with neither.
"""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from zoo.core.arrays import check_variables
from zoo.core.checks import check_context, check_inputs, check_knows
from zoo.core.generative import Canvas, Generative, Values, Variables, kind
from zoo.core.likelihood import log_prob
from zoo.foundation.arguments import array, checked
from zoo.foundation.precision import full_float32, narrowed, without_x64

AT_ONCE = 50  # draws of one example
VALUES_AT_ONCE = 2**25  # of all examples and draws that are looked at together


@checked(num=1)
@without_x64
def evidence(
    model: Generative,
    variables: Variables,
    x: Values,
    context: PyTree = None,
    *,
    key: Array | None = None,
    num: int = 1,
    indices: Any = None,
) -> Float[Array, " batch"]:
    """What the model knows of log p(x | context), nats: log p(x) itself, or a lower bound of it.

        bound:  log (1/num) sum_k p(x, z_k) / q(z_k | x),   z_k ~ q(z | x)

    Its mean over keys is at most log p(x), and rises with `num` (Burda and others 2016). Where a
    model does not tighten (diffusion), `num` estimates of the same bound are averaged.

    Args:
      model: the model.
      variables: its variables.
      x: values [batch, *site_shape, *event_shape].
      context: what the model conditions on, leading axis `batch`.
      key: consumed; a model that knows log p(x) exactly needs none.
      num: how many draws of z for each example.
      indices: the number of each row, by default 0, 1, ...; its noise depends on (key, index)
        alone.

    Returns:
      nats, one per example.

    Raises:
      ValueError: the model knows nothing of log p(x), the key is missing, or an argument does not
        fit the model.

    Example:
      >>> import jax, numpy as np, zoo
      >>> model, x = zoo.FVSBN((2,)), np.array([[0, 1]])
      >>> variables = zoo.init(model, jax.random.key(0), x)
      >>> bool(zoo.evidence(model, variables, x) == zoo.log_prob(model, variables, x))
      True
    """
    check_knows(model, "exact", "bound")
    if model.knows == "exact":
        return log_prob(model, variables, x, context)
    check_inputs(model, variables, x, context)
    return _evidence(
        model, variables, *narrowed((x, context)), _key(model, key), _rows(x, indices), num
    )


@checked()
@without_x64
def watched(
    model: Generative,
    variables: Variables,
    x: Values,
    context: PyTree = None,
    *,
    key: Array,
    indices: Any = None,
) -> Float[Array, " batch"]:
    """What validation reports of a model without a likelihood: `model.watch`, a number an example.

    Arguments as for `evidence`.
    """
    check_inputs(model, variables, x, context)
    return _watched(model, variables, *narrowed((x, context)), key, _rows(x, indices))


@checked()
@without_x64
def draw_values(
    model: Generative,
    variables: Variables,
    key: Array,
    indices: Any,
    context: PyTree = None,
) -> Canvas:
    """Draws of a model from noise: row i is a function of (key, indices[i]) alone; see `sample.draw`.

    Example:
      >>> import jax, zoo
      >>> model = zoo.CATALOGUE["vae"].tiny
      >>> variables = zoo.init(model, jax.random.key(0), *model.example(1))
      >>> draw_values(model, variables, jax.random.key(1), jnp.arange(4), jnp.arange(4) % 3).shape
      (4, 2, 3)
    """
    check_context(model, context)
    check_variables(model, variables, context)
    return _values(model, variables, key, *narrowed((indices, context)))


@checked()
@without_x64
def represent(
    model: Generative, variables: Variables, x: Values, context: PyTree = None
) -> Float[Array, "batch latents"]:
    """The code of each example, such as the mean of q(z | x) of a VAE.

    Raises:
      ValueError: the model has no code, or an argument does not fit it.

    Example:
      >>> import jax, zoo
      >>> model = zoo.VAE((2, 3), latents=2, hidden=(5,))
      >>> x, _ = model.example(3)
      >>> variables = zoo.init(model, jax.random.key(0), x)
      >>> zoo.represent(model, variables, x).shape
      (3, 2)
    """
    check_has(model, "represent")
    check_inputs(model, variables, x, context)
    return _represent(model, variables, *narrowed((x, context)))


@checked()
@without_x64
def decode(
    model: Generative, variables: Variables, z: Values, context: PyTree = None
) -> Float[Array, "batch *sites num_params"]:
    """Params of the head for each code z [batch, latents]; see `represent`.

    Raises:
      ValueError: the model has no code, or codes of another size; or an argument does not fit it.

    Example:
      >>> import jax, jax.numpy as jnp, zoo
      >>> model = zoo.VAE((2, 3), latents=2, hidden=(5,))
      >>> variables = zoo.init(model, jax.random.key(0), *model.example(1))
      >>> zoo.decode(model, variables, jnp.zeros((5, 2))).shape
      (5, 2, 3, 1)
    """
    check_has(model, "decode")
    check_variables(model, variables, context)
    z = array(z, "z")
    if z.ndim != 2 or z.shape[1] != model.num_latents:
        raise ValueError(
            f"z must be codes [batch, {model.num_latents}] of this {kind(model)}; got shape "
            f"{list(z.shape)}."
        )
    check_context(model, context, len(z))
    return _decode(model, variables, jnp.asarray(z, jnp.float32), narrowed(context))


def has(model: Generative, method: str) -> bool:
    """Whether the model defines `represent`, `decode` or `canvases`.

    Example:
      >>> import zoo
      >>> has(zoo.VAE(), "represent"), has(zoo.VAE(), "canvases")
      (True, False)
    """
    own = getattr(type(getattr(model, "model", model)), method, None)
    return own is not getattr(Generative, method, None)


def check_has(model: Generative, method: str) -> None:
    """Raises ValueError, in one line, unless the model defines `represent` or `decode`."""
    if not has(model, method):
        raise ValueError(f"{kind(model)} has no code of an example, as a VAE has.")


def _key(model, key):
    if key is None:
        raise ValueError(
            f"{type(model).__name__} knows a bound by random draws: pass key=jax.random.key(...)."
        )
    return key


def _rows(x, indices):
    rows = np.arange(len(x)) if indices is None else np.asarray(indices)
    if rows.shape != (len(x),):
        raise ValueError(f"indices must be {len(x)} numbers, one for each row of x.")
    return rows.astype(np.uint32)


def by_row(model, variables, key, indices, method, *rows):
    """`method(model, *row)` for each row alone, as a batch of one, with noise of its own."""
    apply = full_float32(model.apply)

    def one(index, *row):
        key_of_row = jax.random.fold_in(key, index)
        alone = jax.tree.map(lambda leaf: leaf[None], row)
        return jax.tree.map(
            lambda leaf: leaf[0],
            apply(
                variables, *alone, method=method, rngs={"noise": key_of_row, "train": key_of_row}
            ),
        )

    return jax.vmap(one)(indices, *rows)


@functools.partial(jax.jit, static_argnums=(0, 6))
def _evidence(model, variables, x, context, key, indices, num):
    few = max(1, VALUES_AT_ONCE // (min(num, AT_ONCE) * model.num_dims))  # rows

    def bound(rows):
        x, context, indices = rows
        return _bound(model, variables, x, context, indices, key, num)

    rows = x.astype(model.head.dtype), context, indices
    if len(x) <= few:
        return bound(rows)

    def alone(row):
        return bound(jax.tree.map(lambda leaf: leaf[None], row))[0]

    return jax.lax.map(alone, rows, batch_size=few)


def _bound(model, variables, x, context, indices, key, num):
    """A lower bound of log p(x) of all rows together, by a few draws at a time."""
    size = min(num, AT_ONCE)

    def weights(model, x, context):
        return model.log_weights(x, model.encode(context), size).T  # [1, size]

    def add(total, start):
        keys = jax.random.fold_in(key, start)
        found = by_row(model, variables, keys, indices, weights, x, context).T  # [size, batch]
        counts = (start * size + jnp.arange(size) < num)[:, None]
        if model.tightens:
            found = jnp.where(counts, found, -jnp.inf)
            return jnp.logaddexp(total, jax.nn.logsumexp(found, axis=0)), None
        return total + jnp.where(counts, found, 0.0).sum(0), None

    first = jnp.full(len(x), -jnp.inf if model.tightens else 0.0)
    total, _ = jax.lax.scan(add, first, jnp.arange(-(-num // size)))
    return total - math.log(num) if model.tightens else total / num


@functools.partial(jax.jit, static_argnums=0)
def _watched(model, variables, x, context, key, indices):
    def watch(model, x, context):
        return model.watch(x, model.encode(context))

    return by_row(model, variables, key, indices, watch, x.astype(model.head.dtype), context)


@functools.partial(jax.jit, static_argnums=0)
def _values(model, variables, key, indices, context):
    def draw(model, context):
        return model.values(model.encode(context), 1)

    return by_row(model, variables, key, indices, draw, context)


@functools.partial(jax.jit, static_argnums=0)
@full_float32
def _represent(model, variables, x, context):
    def code(model, x, context):
        return model.represent(x, model.encode(context))

    return model.apply(variables, x.astype(model.head.dtype), context, method=code)


@functools.partial(jax.jit, static_argnums=0)
@full_float32
def _decode(model, variables, z, context):
    def params(model, z, context):
        return model.decode(z, model.encode(context))

    return model.apply(variables, z, context, method=params)
