"""The lanes of a stream on the host: how a file is written, and what is read of it between batches."""

import math
from typing import Any

import numpy as np
from jaxtyping import Int32, UInt32

from sample.coding.pushing import push_ranks
from sample.coding.streams import BITS, LEAST, TOTAL, States  # noqa: F401 (the example)

_WORD = 0xFFFFFFFF
_SEED_WORDS = 1.7  # that a new lane takes off the stream: 37 bits and 0 to 31 more


def lanes_after(steps: int, rows: int) -> int:
    """The number of lanes after so many steps of growth from 1: no more than there are rows.

    Example:
      >>> [lanes_after(steps, rows=200) for steps in range(5)]
      [1, 16, 64, 200, 200]
    """
    return min(4 ** (steps + 1), rows) if 0 < steps < 16 else min(1 if steps == 0 else rows, rows)


def ladder(rows: int) -> list[int]:
    """All numbers of lanes that a file has, from 1 to as many as there are rows.

    Example:
      >>> ladder(200), ladder(1)
      ([1, 16, 64, 200], [1])
    """
    steps = [lanes_after(step, rows) for step in range(8)]
    return sorted(set(steps))


class Writer:
    """Pushes the symbols of a file, the last ones first.

    Attributes:
      rows: of a batch.
      lanes: how many of them have a state already.
      growth: how often their number has grown.
      branches: how many other streams begin where the lanes of this one first grow. What the states
        that they begin with tell is taken off this stream, so they cost nothing.
      bases: these states, from then on.

    Example:
      >>> writer = Writer(rows=1, base=LEAST + 7)
      >>> writer.push_first([(0, TOTAL // 2)])
      >>> Reader(writer.finish(), rows=1, growth=0).state(0) == 2 * LEAST + 7
      True
    """

    def __init__(self, rows: int, base: int, branches: int = 0):
        """A stream that begins with the state `base`."""
        self.rows, self.growth, self.branches = rows, 0, branches
        self.bases: list[int] = []
        self._x = np.array([base], np.uint64)
        self._chunks: list[np.ndarray] = []  # words in the order of writing
        self._words = 0

    @property
    def lanes(self) -> int:
        """How many rows are coded at once."""
        return len(self._x)

    def push(self, parts: Int32[Any, "num_sites symbols 4 rows"], end: int) -> int:
        """Pushes the symbols of the ranks before `end`, the last ones first, until lanes may be added;
        returns the first rank that it has pushed.
        """
        x = np.pad(self._x, (0, self.rows - self.lanes))
        pushed = push_ranks(parts, x, self.lanes, end, self._until_growth())
        rank = int(pushed.rank)
        written = np.asarray(pushed.words)[rank:end][np.asarray(pushed.is_written)[rank:end]]
        self._x = np.array(pushed.x)[: self.lanes]
        self._append(written[::-1])  # read from the first lane to the last
        return rank

    def push_first(self, symbols: list[tuple[int, int]]) -> None:
        """Pushes symbols (start, count), given in the order of reading, onto the only lane."""
        state, written = int(self._x[0]), []
        for start, count in reversed(symbols):
            if state >> (64 - BITS) >= count:
                written.append(state & _WORD)
                state >>= 32
            times, rest = divmod(state, count)
            state = (times << BITS) + rest + start
        self._x = np.array([state], np.uint64)
        self._append(np.array(written, np.uint32))

    def _append(self, words):
        if len(words):
            self._chunks.append(words)
            self._words += len(words)

    def _until_growth(self):
        """How many words are missing, at least 1."""
        new = self._new_states()
        return max(1, math.ceil(_SEED_WORDS * new) - self._words) if new else _WORD >> 1

    def grow(self) -> bool:
        """Adds lanes, if there are words enough for their states; returns whether it did."""
        new = self._new_states()
        if not new or self._words < _SEED_WORDS * new:
            return False
        before = self._chunks.copy(), self._words
        stack = _Stack(self._x.tolist(), self._take)
        try:
            seeds = [stack.pop_state(i % self.lanes) for i in range(new)]
        except IndexError:  # too few words: later
            self._chunks, self._words = before
            return False
        lanes = lanes_after(self.growth + 1, self.rows)
        states = stack.x + seeds
        self._x = np.array(states[:lanes], np.uint64)
        self.bases += states[lanes:]
        self.growth += 1
        return True

    def _new_states(self):
        """How many states the next growth takes off the stream."""
        new = lanes_after(self.growth + 1, self.rows) - self.lanes
        return new + self.branches if new and not self.growth else new

    def finish(self) -> bytes:
        """The payload: the state that all lanes become, then the words as they are read."""
        stack = _Stack(self._x.tolist(), self._take, self._give)
        for lane in range(len(stack.x) - 1, 0, -1):
            stack.push_state(0, stack.x[lane])
        state = stack.x[0]
        head = state.to_bytes((state.bit_length() + 7) // 8, "big")
        words = np.concatenate([np.zeros(0, np.uint32), *self._chunks])[::-1]
        return head + words.astype("<u4").tobytes()

    def _take(self) -> int:
        last, self._words = self._chunks[-1], self._words - 1
        word = int(last[-1])
        self._chunks[-1:] = [last[:-1]] if len(last) > 1 else []
        return word

    def _give(self, word: int) -> None:
        self._chunks.append(np.array([word], np.uint32))
        self._words += 1


class Reader:
    """The payload of a `Writer`, as its reader sees it.

    Attributes:
      rows: of a batch.
      growth: how many steps of growth are still to be undone.
      branches: how many other streams have begun where the lanes of this one first grew.
      bases: the states that these have begun with, once they are known.

    Example:
      >>> payload = Writer(rows=4, base=LEAST + 5).finish()
      >>> Reader(payload, rows=4, growth=0).base() - LEAST
      5
    """

    def __init__(self, payload: bytes, rows: int, growth: int, branches: int = 0):
        """Raises ValueError for a payload that no writer makes."""
        size = 5 + (len(payload) - 1) % 4
        state = int.from_bytes(payload[:size], "big")
        if len(payload) < size or state < LEAST:
            raise ValueError("its payload is no stream of a coder")
        self.rows, self.growth, self.branches = rows, growth, branches
        self.bases: list[int] = []
        # Words in the order of reading, from `_position` on; un-read ones go back before them.
        self._words = np.frombuffer(payload, "<u4", offset=size).astype(np.uint32)
        self._position = 0
        self._front: list[int] = []
        stack = _Stack([state], self._take)
        self._x = [0, *(stack.pop_state(0) for _ in range(1, self.lanes))]
        self._x[0] = stack.x[0]

    @staticmethod
    def nothing(rows: int, capacity: int) -> tuple[States, UInt32[np.ndarray, " capacity"]]:
        """States and words of the same shapes as `load` returns, for values that are written."""
        zeros = np.zeros(rows, np.uint32)
        return States(zeros, zeros, np.int32(0)), np.zeros(capacity, np.uint32)

    @property
    def lanes(self) -> int:
        """How many rows are coded at once."""
        return lanes_after(self.growth, self.rows)

    @property
    def available(self) -> int:
        """How many words are left."""
        return len(self._words) - self._position + len(self._front)

    def state(self, lane: int) -> int:
        """The state of a lane."""
        return self._x[lane]

    def load(self, capacity: int) -> tuple[States, UInt32[np.ndarray, " capacity"]]:
        """States for the device and the next `capacity` words, filled up with zeros."""
        front = np.array(self._front[::-1], np.uint32)
        next_words = self._words[self._position : self._position + capacity - len(front)]
        words = np.zeros(capacity, np.uint32)
        words[: len(front)] = front
        words[len(front) : len(front) + len(next_words)] = next_words
        x = np.array(self._x + [0] * (self.rows - self.lanes), np.uint64)
        high, low = (x >> np.uint64(32)).astype(np.uint32), x.astype(np.uint32)
        return States(high, low, np.int32(0)), words

    def store(self, states: States) -> None:
        """Takes over what the device has made of the states.

        Raises:
          ValueError: it has read past the end.
        """
        read = int(states.position)
        taken = min(read, len(self._front))
        self._front = self._front[: len(self._front) - taken]
        self._position += read - taken
        if self._position > len(self._words):
            raise ValueError("its payload ends too early")
        high, low = (np.asarray(half).astype(np.uint64) for half in (states.high, states.low))
        self._x = ((high << np.uint64(32)) | low)[: self.lanes].tolist()
        if min(self._x) < LEAST:
            raise ValueError("its payload is no stream of a coder")

    @property
    def waits(self) -> bool:
        """Whether it cannot shrink before the bases of other streams are known."""
        return self.growth == 1 and len(self.bases) < self.branches

    def shrink(self) -> None:
        """Undoes the last `grow`: the upper lanes are pushed onto the lower ones, and before that the
        bases of other streams.
        """
        kept = lanes_after(self.growth - 1, self.rows)
        stack = _Stack(self._x[:kept], self._take, self._front.append)
        others = self._x[kept:] + (self.bases if self.growth == 1 else [])
        for i in range(len(others) - 1, -1, -1):
            stack.push_state(i % kept, others[i])
        self._x, self.growth = stack.x, self.growth - 1

    def base(self) -> int:
        """The state that the writer has begun with.

        Raises:
          ValueError: not all has been read.
        """
        if self.growth or self._front or self._position < len(self._words):
            raise ValueError("its payload goes on behind the values")
        return self._x[0]

    def _take(self) -> int:
        if self._front:
            return self._front.pop()
        if self._position >= len(self._words):
            raise ValueError("its payload ends too early")
        self._position += 1
        return int(self._words[self._position - 1])


class _Stack:
    """A few states, and evenly distributed bits pushed onto them and popped off again."""

    def __init__(self, x, take, give=None):
        self.x, self._take, self._give = x, take, give

    def pop_state(self, lane):
        """A state in 2^32..2^64 - 1, off the state of a lane: its length, then its bits."""
        more = self._pop(lane, 5)
        low = self._pop(lane, 32)
        return (1 << (32 + more)) | (self._pop(lane, more) << 32) | low

    def push_state(self, lane, state):
        """Undoes `pop_state`."""
        more = state.bit_length() - 33
        self._push(lane, (state >> 32) & ((1 << more) - 1), more)
        self._push(lane, state & _WORD, 32)
        self._push(lane, more, 5)

    def _pop(self, lane, bits):
        x = self.x[lane]
        value, x = x & ((1 << bits) - 1), x >> bits
        self.x[lane] = x if x >= LEAST else (x << 32) | self._take()
        return value

    def _push(self, lane, value, bits):
        x = self.x[lane]
        if x >> (64 - bits):
            self._give(x & _WORD)
            x >>= 32
        self.x[lane] = (x << bits) | value
