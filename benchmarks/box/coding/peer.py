"""The usual way to code by a model in Python: one jitted step a site, and a range coder on the host.

At each site the host fetches the probabilities of all values of all rows, and gives the batch to
`constriction`, a coder in Rust with a Python face, in one call. This is the fast form: tutorials
call the coder once for each symbol. Writing and reading run the same compiled step.
"""

import functools
import operator
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int32, UInt32

import zoo

MOST_VALUES = 2**12  # whose probabilities are fetched


def why_not(model: Any) -> str | None:
    """Why this way cannot code a model, in words, or None."""
    if model.head.event_shape or model.head.num_values > MOST_VALUES:
        return f"a table of {model.head.num_values:,} values a channel is too large"
    try:
        import constriction  # noqa: F401
    except ImportError:
        return "constriction is not installed"
    return None


def _stream() -> Any:
    """The module of constriction's coders; it has no types."""
    import constriction

    return vars(constriction)["stream"]


@functools.partial(jax.jit, static_argnums=0)
def _begin(model, variables, context, x):
    decoder = zoo.decoder(model, variables, len(x), context)
    return decoder.init()


@functools.partial(jax.jit, static_argnums=0, donate_argnums=3)
def _step(model, variables, context, cache, x, t):
    """The probabilities of all values at rank t, [batch, values], and the cache after it."""
    decoder = zoo.decoder(model, variables, len(x), context)
    canvas = x.reshape(len(x), *model.site_shape)
    cache = jax.lax.cond(
        t % decoder.block == 0,
        lambda cache: decoder.enter(cache, canvas, t),
        lambda cache: cache,
        cache,
    )
    params, cache = decoder.step(cache, canvas, t)
    if isinstance(model.head, zoo.Categorical):
        return jax.nn.softmax(params), cache

    def log_prob(value):
        return model.head.log_prob(params, jnp.full(len(x), value, model.head.dtype))

    return jnp.exp(jax.vmap(log_prob, out_axes=1)(jnp.arange(model.head.num_values))), cache


def _steps(
    model: Any, variables: zoo.Variables, context: Any, x: np.ndarray
) -> Iterator[tuple[int, np.ndarray]]:
    """(site, probabilities) rank by rank; the caller writes values into `x` in between."""
    cache = _begin(model, variables, context, x)
    for t, site in enumerate(np.asarray(model.sites)):
        table, cache = _step(model, variables, context, cache, x, np.int32(t))
        yield site, np.asarray(table)


def write(
    model: Any, variables: zoo.Variables, x: np.ndarray, context: Any = None, batch: int = 256
) -> UInt32[np.ndarray, " words"]:
    """The words of values [num, *site_shape]; the last batch may be smaller."""
    stream = _stream()
    encoder, family = stream.queue.RangeEncoder(), stream.model.Categorical(perfect=False)
    for part, given, _ in _batches(model, x, context, batch):
        for site, table in _steps(model, variables, given, part):
            encoder.encode(np.ascontiguousarray(part[:, site]), family, table)
    return encoder.get_compressed()


def read(
    model: Any,
    variables: zoo.Variables,
    words: UInt32[np.ndarray, " words"],
    num: int,
    context: Any = None,
    batch: int = 256,
) -> Int32[np.ndarray, "num ..."]:
    """The values that `write` has written."""
    stream = _stream()
    decoder, family = stream.queue.RangeDecoder(words), stream.model.Categorical(perfect=False)
    x = np.zeros((num, *model.site_shape), np.int32)
    for part, given, place in _batches(model, x, context, batch):
        for site, table in _steps(model, variables, given, part):
            part[:, site] = decoder.decode(family, table)
        x[place] = part.reshape(-1, *model.site_shape)
    return x


def _batches(model, x, context, batch):
    """(values [rows, num_sites], context, slice) of each batch."""
    for first in range(0, len(x), batch):
        place = slice(first, first + batch)
        given = jax.tree.map(operator.itemgetter(place), context)
        yield np.array(x[place], np.int32).reshape(-1, model.num_sites), given, place
