"""The ticks of a derived step: one for every rank and, where a recurrence needs them, some before
every row.

A recurrence along a row that is complete, such as Diagonal BiLSTM's from the right, has one
iteration for each place, and all of them become known at the same rank: when the next row begins.
With `extra` ticks before each row they come one after the other,

    row 0                                row 1
    extra ticks, then `block` ranks      extra ticks, then `block` ranks      ...

and what follows ranks may follow ticks in their place. `enter` runs the extra ticks of its row.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Clock(NamedTuple):
    """How ranks become ticks.

    Attributes:
      num_ranks: how many ranks there are.
      block: ranks in a row, or 0 if nothing is done by rows.
      extra: ticks before each row.

    Example:
      >>> clock = Clock(num_ranks=6, block=3, extra=2)
      >>> clock.of_ranks.tolist(), clock.first_tick(3)
      ([2, 3, 4, 7, 8, 9], 5)
    """

    num_ranks: int
    block: int
    extra: int = 0

    @property
    def period(self) -> int:
        """Ticks in a row, or 0 if nothing is done by rows."""
        return self.block + self.extra if self.block else 0

    @property
    def of_ranks(self) -> np.ndarray:
        """The tick of each rank."""
        ranks = np.arange(self.num_ranks)
        return self.tick(ranks) if self.extra else ranks

    def tick(self, t):
        """The tick of rank t."""
        return t + self.extra * (t // self.block + 1) if self.extra else t

    def first_tick(self, t):
        """The first tick of the row that begins at rank t."""
        return t // self.block * self.period if self.extra else t

    @property
    def drawn(self) -> np.ndarray:
        """For each tick, whether a value is drawn."""
        length = int(self.of_ranks[-1]) + 1
        found = np.zeros(length, bool)
        found[self.of_ranks] = True
        return found

    @property
    def rank_of_ticks(self) -> np.ndarray:
        """For each tick its rank, or the rank that comes next."""
        return np.searchsorted(self.of_ranks, np.arange(len(self.drawn)))


def clocks_of(site_shape: tuple[int, ...], sites: np.ndarray) -> list[Clock]:
    """The clocks to try: one tick a rank; then, where there are rows, as many ticks before each as
    an axis has places, or the row has sites."""
    plain = Clock(len(sites), _block(site_shape, sites))
    lengths = {n for n in (*site_shape, plain.block) if 1 < n <= plain.block}
    return [plain, *(plain._replace(extra=n) for n in sorted(lengths))]


def _block(site_shape, sites):
    """The ranks of a row or of a column, if the ordering visits one after the other; otherwise
    0."""
    if len(site_shape) < 2:
        return 0
    places = np.unravel_index(sites, site_shape)
    for axis in (0, 1):
        size = len(sites) // site_shape[axis]
        lines = places[axis].reshape(-1, size)
        if 1 < size < len(sites) and (lines == lines[:, :1]).all():
            return size
    return 0
