"""Which examples stay in one split: equal ones, unless they are frequent."""

from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np
from jaxtyping import Int

COPIES = 20  # so many equal examples always stay in one split


def groups(keys: Sequence[Hashable]) -> Int[np.ndarray, " N"]:
    """A number for each key, counted from 0 in order of first appearance: what stays in one split.

    Equal keys have the same number, unless they are frequent: a frequent value is a mode of the
    distribution, and a split without it would be biased. So each of its examples has its own number.
    """
    often = frequent(keys)
    return numbered([(key, i if key in often else None) for i, key in enumerate(keys)])


def numbered(keys: Sequence[Hashable]) -> Int[np.ndarray, " N"]:
    """A number for each key, the same for equal ones, counted from 0 in order of first appearance."""
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], int)


def frequent(keys: Sequence[Hashable]) -> dict[Hashable, int]:
    """The keys that occur more than `COPIES` times and in more than 1 % of all examples, with how
    often; a key is frequent, too, if all are equal to it.
    """
    counts = Counter(keys)
    if len(counts) == 1:
        return dict(counts)
    most = max(COPIES, len(keys) // 100)
    return {key: count for key, count in counts.items() if count > most}


def frequent_note(keys: Sequence[Hashable], what: str) -> tuple[str, ...]:
    """A note on how many different examples are frequent, if some are."""
    if not (often := frequent(keys)):
        return ()
    values = "value occurs" if len(often) == 1 else "values occur"
    return (
        f"{len(often):,} frequent {values} in {sum(often.values()):,} of {len(keys):,} {what}, and "
        "so in several splits",
    )


def members(group: Int[np.ndarray, " N"], chosen: Int[np.ndarray, " n"]) -> Int[np.ndarray, " M"]:
    """The examples whose group is `chosen`, in the order of `chosen` and then in their own."""
    rank = np.full(int(group.max()) + 1, -1)
    rank[chosen] = np.arange(len(chosen))
    found = np.flatnonzero(rank[group] >= 0)
    return found[np.argsort(rank[group[found]], kind="stable")]
