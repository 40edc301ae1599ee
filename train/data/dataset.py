"""What a data set is: its splits, what has to be said beside them, and the one error."""

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Int32, Shaped, UInt8

from train.data.grouping import groups, members
from train.data.in_files import blocks, chosen
from train.data.options import Data as Data  # it has always been found here, too
from zoo.formats.csv_cells import Reading


class DataError(ValueError):
    """The data cannot be had; the message says what was expected, what came and what to do.

    Example:
      >>> import train
      >>> try:
      ...     train.data.load(train.Data("mnist_2bit"))
      ... except train.DataError as error:
      ...     print(str(error).split("; ")[0])
      there is no data set 'mnist_2bit'
    """


class Split(NamedTuple):
    """Examples `[N, *site_shape]` or `[N, *site_shape, 3]`, integers or real numbers, and their
    labels or sources.

    A text is one line of tokens [length]; recordings of any length are an array of N such lines
    (see `ragged`).
    """

    x: Shaped[np.ndarray, "N *site"]
    context: Shaped[np.ndarray, "N ..."] | None


Redraw = Callable[[np.random.Generator, np.ndarray], Split]


def mapped(redraw: Redraw, function: Callable[[Split], Split]) -> Redraw:
    """`redraw`, and then `function`."""
    return lambda random, index: function(redraw(random, index))


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Three splits and what has to be said beside every number measured on them.

    With `dynamic`, the training images are grey (0..255) and `Batches` draws their bits;
    `num_levels` is 2. Where values are real numbers `num_levels` is None. A text has a
    `vocabulary`, and each split is one long line of tokens. Sounds have a `rate`, samples a second,
    and each split is an array of recordings of any length, int16.
    `class_names` names the classes, where they are not 0, 1, ... themselves. Of pairs each example is a
    sequence of its own, with what it is made from as context; `pairs` is the test split as it was
    written (of captions the names of the images). `corners` says where in the test images lies what
    the captions name. `kind` is the kind of thing that an example is, as `model.kind` says it.
    `notes` say what is remarkable of the data, a sentence each. `redraw` makes training examples
    again whenever they are used, from a generator and their indices. `column_names` are those of a
    table, if it has some, and `reading` says how its file was read.
    """

    name: str
    description: str
    train: Split
    valid: Split
    test: Split
    num_levels: int | None
    num_classes: int | None = None
    class_names: tuple[str, ...] = ()
    dynamic: bool = False
    vocabulary: tuple[str, ...] = ()
    rate: int | None = None
    source_vocabulary: tuple[str, ...] = ()
    unit: Literal["char", "word"] = "char"
    pairs: tuple[tuple[str, str], ...] = ()
    corners: Int32[np.ndarray, "N things 2"] | None = None
    notes: tuple[str, ...] = ()
    kind: str = "images"
    redraw: Redraw | None = None
    column_names: tuple[str, ...] = ()
    reading: Reading | None = None

    def map(self, function: Callable[[Split], Split]) -> "Dataset":
        """The data with `function` applied to every split, and to what is drawn again."""
        train, valid, test = (function(split) for split in (self.train, self.valid, self.test))
        redraw = self.redraw and mapped(self.redraw, function)
        return dataclasses.replace(self, train=train, valid=valid, test=test, redraw=redraw)

    def only(self, index: np.ndarray) -> "Dataset":
        """The data with only the training examples at `index`, in that order."""
        redraw = self.redraw

        def part(random: np.random.Generator, chosen: np.ndarray) -> Split:
            assert redraw is not None
            return redraw(random, index[chosen])

        return dataclasses.replace(
            self, train=only(self.train, index), redraw=None if redraw is None else part
        )

    @functools.cached_property
    def digest(self) -> str:
        """What tells these data from others, changed in one value or in their order: a hash of all
        splits.
        """
        whole = hashlib.blake2b(digest_size=16)
        for split in (self.train, self.valid, self.test):
            for array in (*lines(split), split.context):
                if array is None:
                    whole.update(b"none")
                    continue
                whole.update(f"{array.dtype}{array.shape}".encode())
                for block in blocks(array):
                    whole.update(block.tobytes())
        return whole.hexdigest()

    @property
    def paired(self) -> bool:
        """Whether an example is a sequence made from something else."""
        return bool(self.pairs)


def hold_out(
    split: Split, valid: int, keys: Sequence[Hashable] | None = None
) -> tuple[Split, Split]:
    """Cuts the last `valid` examples off a training split; equal `keys` stay together."""
    n = len(split.x)
    if not 0 < valid < n:
        raise DataError(
            f"cannot hold out valid={valid} of {n} training examples; pass --data.valid between "
            f"1 and {n - 1}"
        )
    train, held = split_off(range(n) if keys is None else keys, valid)
    return take(split, train), take(split, held)


def split_off(keys: Sequence[Hashable], count: int) -> tuple[np.ndarray, np.ndarray]:
    """Two disjoint sets of 0..len(keys) - 1, the second of the last `count` or a few more; equal
    keys stay together, unless they are frequent (see `groups`).
    """
    group = groups(keys)
    sizes = np.bincount(group)
    held = 1 + int(np.searchsorted(np.cumsum(sizes[::-1]), count))
    is_held = group >= max(1, len(sizes) - held)
    return np.flatnonzero(~is_held), np.flatnonzero(is_held)


def thirds(keys: Sequence[Hashable], what: str) -> list[np.ndarray]:
    """Three disjoint sets of 0..len(keys) - 1, of 80, 10 and 10 % of the different keys by a fixed
    permutation.

    Equal keys stay together, unless they are frequent (see `groups`). `what` says it if there are
    too few examples.
    """
    if len(keys) < 10:
        raise DataError(f"{what}; at least 10 are needed to split them 80/10/10")
    group = groups(keys)
    num = int(group.max()) + 1  # at least 3, as no group has more than 4 of 10 examples
    cuts = [min(num * 8 // 10, num - 2), min(num * 9 // 10, num - 1)]
    return [members(group, part) for part in np.split(generator(0).permutation(num), cuts)]


def content_keys(x: Shaped[np.ndarray, "N ..."]) -> list[bytes]:
    """A key for each example: that of equal ones is the same."""
    return [hashlib.blake2b(np.asarray(each).tobytes(), digest_size=16).digest() for each in x]


def shared(train: Sequence[Hashable], test: Sequence[Hashable], what: str) -> tuple[str, ...]:
    """A note on how many keys of the test split are in the training split too, if some are."""
    known = set(train)
    count = sum(key in known for key in test)
    return (
        (f"{count:,} of the {len(test):,} test {what} are in the training split too",)
        if count
        else ()
    )


def take(split: Split, index: np.ndarray | slice) -> Split:
    """The examples of a split at `index`, in that order."""
    return Split(split.x[index], None if split.context is None else split.context[index])


def only(split: Split, index: np.ndarray) -> Split:
    """The examples of a split at `index`, in that order; those in files stay there."""
    x, context = split
    return Split(chosen(x, index), None if context is None else chosen(context, index))


def ragged(lines: list[np.ndarray]) -> Shaped[np.ndarray, " N"]:
    """Lines of any length as one array of them, for a `Split`."""
    x = np.empty(len(lines), object)
    for i, line in enumerate(lines):
        x[i] = line
    return x


def lines(split: Split) -> list[Shaped[Any, "..."]]:
    """The recordings of a split; of a text, the whole as one line."""
    return list(split.x) if split.x.dtype == object else [split.x]


def generator(*seed: int) -> np.random.Generator:
    """A numpy generator that is a function of a tuple of integers."""
    return np.random.Generator(np.random.Philox(seed))


def bernoulli(rng: np.random.Generator, grey: UInt8[np.ndarray, "..."]) -> UInt8[np.ndarray, "..."]:
    """Exact Bernoulli(grey/255) draws, in integers: a uniform of 0..254 is below `grey` with
    probability grey/255.
    """
    return (rng.integers(255, size=grey.shape, dtype=np.uint8) < grey).astype(np.uint8)


def whole_pairs(
    name: str,
    what: str,
    split: Split,
    vocabulary: tuple[str, ...],
    pairs: tuple[tuple[str, str], ...],
) -> Dataset:
    """All pairs of foreign files as each split: `split` holds what is read, `pairs` the texts."""
    return Dataset(
        name,
        f"{name}, {len(pairs):,} {what}",
        *(split, split, split),
        len(vocabulary),
        vocabulary=vocabulary,
        pairs=pairs,
    )
