"""Which axis of an array counts the examples of a batch: found out by shapes alone, so for any
model.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PyTree

_FEW, _MORE = 2, 3  # sizes of two batches whose shapes are compared


def axes(shapes_of: Callable[[int], PyTree]) -> PyTree[int]:
    """For each array the axis along which it grows with the batch; -1 if it does not.

    Args:
      shapes_of: from the size of a batch to arrays, or only their shapes.

    Raises:
      ValueError: an array grows along several axes, or not in proportion.

    Example:
      >>> axes(lambda size: {"state": jnp.zeros((size, 4)), "time": jnp.zeros(())})
      {'state': 0, 'time': -1}
    """

    def axis(few, more):
        grown = [i for i, (a, b) in enumerate(zip(few.shape, more.shape, strict=True)) if a != b]
        if not grown:
            return -1
        if len(grown) > 1 or few.shape[grown[0]] * _MORE != more.shape[grown[0]] * _FEW:
            raise ValueError(
                f"an array grows with the batch from {few.shape} to {more.shape}: no axis counts "
                "the rows."
            )
        return grown[0]

    return jax.tree.map(axis, shapes_of(_FEW), shapes_of(_MORE))


def take(tree: PyTree, axes: PyTree[int], rows: Int[Array, " taken"], batch: int) -> PyTree:
    """The given rows of every array of a batch, in that order; what all rows share stays as it is.

    Where an axis holds several entries of each row, such as its attention heads, these lie side by
    side.

    Args:
      tree: the arrays.
      axes: as `axes` found them.
      rows: which rows.
      batch: how many rows there are.

    Example:
      >>> take({"state": jnp.arange(3)}, {"state": 0}, jnp.array([2, 0]), 3)["state"].tolist()
      [2, 0]
    """

    def one(leaf, axis):
        if axis < 0:
            return leaf
        each = leaf.shape[axis] // batch
        index = rows if each == 1 else (rows[:, None] * each + jnp.arange(each)[None]).ravel()
        return jnp.take(leaf, index, axis=axis, mode="clip")

    return jax.tree.map(one, tree, axes)


def resized(tree: PyTree, batch: int) -> PyTree:
    """The shapes of arrays, as if their leading axis were `batch`.

    Example:
      >>> resized(jnp.zeros((1, 5)), 3).shape
      (3, 5)
    """
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct((batch, *leaf.shape[1:]), leaf.dtype), tree
    )


def repeated(function: Callable[[PyTree], PyTree], rows: PyTree, copies: int) -> PyTree:
    """`function` of rows, each of them then repeated `copies` times.

    Example:
      >>> repeated(lambda rows: 10 * rows, jnp.array([1, 2]), 2).tolist()
      [10, 10, 20, 20]
    """
    batch = len(jax.tree.leaves(rows)[0])
    counted = axes(lambda size: jax.eval_shape(function, resized(rows, size)))
    return take(function(rows), counted, jnp.repeat(jnp.arange(batch), copies), batch)
