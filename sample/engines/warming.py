"""Compiling in advance, so that no request for samples waits for it."""

from collections.abc import Collection
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree

import zoo
from sample.engines.sampler import Engine, draw
from sample.engines.tempered import Tempered
from zoo.foundation.arguments import checked


@checked(batch_size=1)
def warm(
    model: zoo.Generative,
    variables: zoo.Variables,
    sizes: int | Collection[int],
    *,
    context: PyTree = None,
    prefix: Any = None,
    known: Any = None,
    engine: Engine = "cached",
    batch_size: int | None = None,
    tempered: Tempered | None = None,
) -> None:
    """Compiles the programs with which `draw` answers requests for these numbers of samples.

    Draws of other keys, weights and temperatures, and of other values of a prefix or a context of
    the same shape, then compile nothing. `draw` rounds numbers up, so one size serves all numbers
    that are rounded to it. Each program draws once.

    Args:
      model: the model.
      variables: its variables, or others of the same shapes and dtypes.
      sizes: the numbers of samples, such as (1, 64).
      context: of one example or more, with a leading axis, as `draw` takes it; its rows are
        repeated in turn. By default two examples of the model's own context, if it has one.
      prefix: known sites of all draws, as `draw` takes them. Its length counts, rounded down; its
        values do not. Where the rows of the context are equal, a prefix is read once for all.
      known: as `draw` takes it, with a `prefix` of all values.
      engine: which engine computes the conditionals.
      batch_size: number of samples that a device draws at once, as in `draw`.
      tempered: any instance with the same fields set as in the requests.

    Raises:
      ValueError: as `draw` does; a size below 1.

    Example:
      >>> import jax, numpy as np
      >>> import sample, zoo
      >>> model = zoo.NADE((4, 4), hidden=3)
      >>> variables = zoo.init(model, jax.random.key(0), np.zeros((1, 4, 4), np.int32))
      >>> sample.warm(model, variables, (1, 5))
      >>> sample.draw(model, variables, jax.random.key(1), 6).x.shape  # 5 and 6 are both 8
      (6, 4, 4)
    """
    if context is None:
        context = model.example(2)[1]
    ways: dict[str, Any] = {"prefix": prefix, "known": known, "engine": engine}
    ways |= {"batch_size": batch_size, "tempered": tempered}
    for num in sorted({int(num) for num in np.atleast_1d(np.asarray(sizes))}):
        rows = jax.tree.map(lambda leaf, n=num: _in_turn(np.asarray(leaf), n), context)
        draw(model, variables, jax.random.key(0), num, context=rows, **ways)


def _in_turn(rows, num):
    """`num` rows: the given ones, again and again."""
    return rows[np.arange(num) % len(rows)]
