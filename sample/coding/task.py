"""What is coded: so many examples, in batches; and what a header says of them."""

import itertools
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import PyTree

import zoo
from sample.coding import container
from sample.coding.lanes import lanes_after
from sample.coding.single_lane import MOST_ROWS
from sample.engines.program_sizes import few
from zoo.core.checks import check_context, kind
from zoo.foundation.limits import check_memory

_DTYPES = ("bool", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)))


class Task(NamedTuple):
    """Examples to code: `num` of them, so many rows at once.

    Attributes:
      model, variables, context: as `compress` is given them; leaves of the context are numpy arrays.
      num: how many examples.
      rows: of a batch.
      last: how many ranks the last example has; all others have all.
    """

    model: zoo.Autoregressive
    variables: zoo.Variables
    context: Any
    num: int
    rows: int
    last: int

    @property
    def batches(self) -> int:
        """How many batches there are."""
        return -(-self.num // self.rows)

    def indices(self, batch: int) -> np.ndarray:
        """The examples of a batch; the surplus rows of the last one are copies."""
        first = batch * self.rows
        return np.minimum(np.arange(first, first + self.rows), self.num - 1)

    def lengths(self, batch: int) -> np.ndarray:
        """How many ranks of each row are coded."""
        rows = np.arange(batch * self.rows, (batch + 1) * self.rows)
        lengths = np.where(rows < self.num, self.model.num_sites, 0)
        return np.where(rows == self.num - 1, self.last, lengths).astype(np.int32)

    def context_of(self, batch: int) -> Any:
        """The rows of the context that a batch has."""
        return jax.tree.map(lambda leaf: leaf[self.indices(batch)], self.context)


def dtype_name(x: np.ndarray) -> str:
    """The dtype of values as a header names it, whatever their byte order.

    Raises:
      ValueError: `decompress` does not give back values of this dtype.

    Example:
      >>> dtype_name(np.zeros(2, ">i8"))
      'int64'
    """
    if x.dtype.name not in _DTYPES:
        raise ValueError(
            f"values of dtype {x.dtype} cannot be compressed: convert them to one of "
            f"{', '.join(_DTYPES)}."
        )
    return x.dtype.name


def as_coded(model: Any, header: dict[str, Any]) -> Any:
    """The model at the length of the sequences in the data.

    Raises:
      ValueError: it has sites of another shape.
    """
    shape: Any = header.get("site_shape")
    if shape == list(model.site_shape):
        return model
    any_length = (model.writes_tokens or model.kind == "sound") and isinstance(shape, list)
    if any_length and len(shape) == 1 and isinstance(shape[0], int) and 1 <= shape[0] <= 2**24:
        return model.clone(site_shape=tuple(shape))
    raise ValueError(
        f"the data have sites of shape {shape}, and this {kind(model)} {list(model.site_shape)}: "
        "take the model that they were compressed by."
    )


def task_of(model: Any, variables: zoo.Variables, header: dict[str, Any], context: PyTree) -> Task:
    """The examples that a header describes.

    Raises:
      ValueError: there cannot be such.
    """
    num: Any
    rows: Any
    last: Any
    num, rows, last = (header.get(name) for name in ("num", "batch", "last"))
    growth: Any
    sizes: Any
    growth, sizes = header.get("growth"), header.get("sizes")
    lists = isinstance(growth, list) and all(isinstance(each, list) for each in (sizes, *growth))
    counts = lists and all(
        type(each) is int for each in (num, rows, last, *sizes, *itertools.chain(*growth))
    )
    is_sound = (
        counts
        and num >= 1
        and all(len(leaf) == num for leaf in jax.tree.leaves(context))
        and 1 <= rows <= min(few(num), MOST_ROWS)
        and 1 <= last <= model.num_sites
        and header.get("dtype") in _DTYPES
        and 1 <= len(sizes) == len(growth) <= -(-num // rows)
        and min(sizes) >= 1
        and sum(sizes) == header.get("payload", sum(sizes))
        and all(_are_marks(marks, num * model.num_sites, rows) for marks in growth)
    )
    if not is_sound:
        raise ValueError("the data are damaged: their header describes no values of the model.")
    event = (num, *model.site_shape, *model.head.event_shape)
    check_memory(model, jax.ShapeDtypeStruct(event, header["dtype"]), f"{num:,} examples of it")
    return Task(model, variables, context, num, rows, last)


def _are_marks(marks, num, rows):
    """Whether the lanes of a stream of `num` ranks may have grown at these."""
    in_order = marks == sorted(marks, reverse=True) and all(0 <= mark < num for mark in marks)
    return in_order and (not marks or lanes_after(len(marks) - 1, rows) < rows)


def check_same_context(model: Any, header: dict[str, Any], context: PyTree) -> None:
    """Raises ValueError, in one line, unless the context is the one of a header."""
    found = header.get("context")
    if found is not None and context is None:
        raise ValueError(
            "the data were compressed given a context, which they do not hold: pass the same "
            f"context to decompress them by this {kind(model)}."
        )
    check_context(model, context)
    if found != container.context_digest(context):
        raise ValueError(
            "the data were compressed given another context: pass the same one, row for row."
        )
