"""Rows that stay in their files: they are chosen and changed when they are used, never all at once."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from jaxtyping import Shaped

from zoo.formats.arrays import check_size

Rows = Any  # a numpy array, or what is indexed like one and stays in its files
BLOCK = 2**24  # bytes that are looked at together


def in_files(rows: Rows) -> bool:
    """Whether rows stay in their files until they are used.

    Example:
      >>> in_files(np.zeros((3, 2)))
      False
    """
    return isinstance(rows, np.memmap | InFiles)


def blocks(rows: Rows) -> Iterator[Shaped[np.ndarray, "..."]]:
    """The rows in order, at most `BLOCK` bytes (or one row) at a time.

    Example:
      >>> [block.tolist() for block in blocks(np.arange(3))]
      [[0, 1, 2]]
    """
    size = max(1, BLOCK // max(1, rows[:1].nbytes))
    for start in range(0, len(rows), size):
        yield np.asarray(rows[start : start + size])


def changed(rows: Rows, function: Callable[[np.ndarray], np.ndarray]) -> Rows:
    """`function(rows)`; of rows in files, it is applied to those that are used.

    Args:
      rows: the rows.
      function: changes each value or row by itself.

    Example:
      >>> changed(np.arange(3), lambda x: 2 * x).tolist()
      [0, 2, 4]
    """
    return View(rows, function=function) if in_files(rows) else function(rows)


def chosen(rows: Rows, index: Shaped[np.ndarray, " M"]) -> Rows:
    """`rows[index]`; of rows in files, those that are used are read then.

    Example:
      >>> chosen(np.arange(3) + 5, np.array([2, 0])).tolist()
      [7, 5]
    """
    return View(rows, index) if in_files(rows) else rows[index]


class InFiles:
    """Rows that stay in their files, with what an array has.

    A slice stays in the files too; an array of indices, and `np.asarray`, read.

    Attributes:
      shape: with the number of rows first.
      dtype: of the values.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of values."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def nbytes(self) -> int:
        """The bytes of all values."""
        return self.size * self.dtype.itemsize

    def __getitem__(self, index: Any) -> Any:
        raise NotImplementedError

    def __str__(self) -> str:
        return f"{len(self):,} examples of shape {list(self.shape[1:])}"

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Shaped[np.ndarray, "..."]:
        check_size(self.nbytes, str(self))
        found = self[np.arange(len(self))]
        return found if dtype is None else found.astype(dtype)

    def tobytes(self) -> bytes:
        """The values as bytes."""
        return np.asarray(self).tobytes()


class View(InFiles):
    """Some rows of others, in a given order, with a function applied to those that are used."""

    def __init__(
        self,
        rows: Rows,
        index: Shaped[np.ndarray, " M"] | None = None,
        function: Callable[[np.ndarray], np.ndarray] | None = None,
    ):
        self._rows, self._function = rows, function or np.asarray
        self._index = np.arange(len(rows)) if index is None else index
        one = self._function(np.asarray(rows[:1]))
        self.dtype, self.shape = one.dtype, (len(self._index), *one.shape[1:])

    def __getitem__(self, index: Any) -> Any:
        where = self._index[index]
        if isinstance(index, slice):
            return View(self._rows, where, self._function)
        return self._function(np.asarray(self._rows[where]))
