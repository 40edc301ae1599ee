"""Range asymmetric numeral systems (rANS) with one state a row, over a shared stream of words.

A symbol that has `count` of 2^28 parts from `start` on is pushed onto a state x, and popped again:

    push   x -> (x // count) 2^28 + start + x % count
    pop    slot = x % 2^28 names the symbol;   x -> count (x // 2^28) + slot - start

States lie in 2^32..2^64 - 1: before a push that would leave this range the lower 32 bits go to the
stream as a word, and after a pop that has left it one word is read. What was pushed last is popped
first, so a file is written from its last symbol to its first and read from its first to its last.

**Lanes cost nothing.** A state holds 32 to 64 bits, which a file of short examples cannot spare for
each of its rows. So the writer begins with one lane, through which all rows go one after the other.
Once the stream is long enough, it *pops* the states of more lanes off the lanes that it has, as if
they were symbols: their number grows until each row has a lane. In the end it pushes all lanes onto
the first. The reader does the same backwards. All that a file pays is the 32 bits below the first
state, and these hold the checksum of the values.

**Streams cost nothing.** Several cores read a file, each a stream of its own with its own batches. The
states with which the other streams begin are popped off the first stream where its lanes first grow;
the reader ends them before it undoes this growth.

**Reference**: J. Duda, Asymmetric numeral systems: entropy coding combining speed of Huffman coding
  with compression rate of arithmetic coding, arXiv:1311.2540, 2013. F. Giesen, Interleaved entropy
  coders, arXiv:1402.3392, 2014.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Int32, UInt32

BITS = 28
TOTAL = 1 << BITS  # parts that the values of a symbol share
LEAST = 1 << 32  # the least state
_BLOCK = 16


class States(NamedTuple):
    """The states of all lanes on the device, in two halves, and how many words they have read.

    Attributes:
      high, low: x = high 2^32 + low, [lanes].
      position: of the next word.
    """

    high: Any
    low: Any
    position: Any


def slots(states: States) -> Int32[Array, " lanes"]:
    """The part of 2^28 that each state points at: it names the next symbol of the lane."""
    return (states.low & jnp.uint32(TOTAL - 1)).astype(jnp.int32)


def popped(
    states: States,
    starts: Int32[Array, " lanes"],
    counts: Int32[Array, " lanes"],
    active: Bool[Array, " lanes"],
    words: UInt32[Array, " capacity"],
) -> States:
    """The states after the `active` lanes have popped a symbol; they read words in their order."""
    left = (slots(states) - starts).astype(jnp.uint32)
    count = counts.astype(jnp.uint32)
    # x // 2^28 has 36 bits: 4 above and 32 below.
    above = states.high >> 28
    below = (states.high << 4) | (states.low >> 28)
    high, low = _product(count, below)
    high = high + count * above
    low = low + left
    high = high + (low < left).astype(jnp.uint32)  # the carry
    short = active & (high == 0)
    read = prefix_sums(short.astype(jnp.int32))
    place = states.position + read - 1
    word = words[jnp.clip(place, 0, len(words) - 1)]
    high, low = jnp.where(short, low, high), jnp.where(short, word, low)
    return States(
        jnp.where(active, high, states.high),
        jnp.where(active, low, states.low),
        states.position + read[-1],
    )


def prefix_sums(x: Int32[Array, "*batch n"]) -> Int32[Array, "*batch n"]:
    """x_0 + ... + x_k for each k; in blocks of 16, a few kernels where a scan of lanes has dozens.

    Example:
      >>> prefix_sums(jnp.ones(40, jnp.int32))[-3:].tolist()
      [38, 39, 40]
    """
    num = x.shape[-1]
    if num <= _BLOCK:
        return _sums_up_to(x)
    blocks = jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, -num % _BLOCK)])
    blocks = blocks.reshape(*x.shape[:-1], -1, _BLOCK)
    inside = _sums_up_to(blocks)
    totals = inside[..., -1]
    before = (_sums_up_to(totals) - totals)[..., None]
    return (inside + before).reshape(*x.shape[:-1], -1)[..., :num]


def _sums_up_to(x):
    places = jnp.arange(x.shape[-1])
    is_up_to = (places[None, :] <= places[:, None]).reshape(
        (1,) * (x.ndim - 1) + (len(places),) * 2
    )
    return jnp.where(is_up_to, x[..., None, :], 0).sum(-1)


def _product(a, b):
    """The 64 bits of the product of two numbers of 32, in two halves."""
    a_high, a_low, b_high, b_low = a >> 16, a & 0xFFFF, b >> 16, b & 0xFFFF
    low, first, second = a_low * b_low, a_low * b_high, a_high * b_low
    middle = (low >> 16) + (first & 0xFFFF) + (second & 0xFFFF)
    high = a_high * b_high + (first >> 16) + (second >> 16) + (middle >> 16)
    return high, (middle << 16) | (low & 0xFFFF)
