"""A batch of values on the device: the parts of its symbols, how they are written, and back."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int32

from sample.coding import single_lane
from sample.coding.lanes import Reader, Writer
from sample.coding.program import WRITING, Coding, Job, advance, begin
from sample.coding.pushing import checked_parts
from sample.coding.symbols import per_site
from sample.coding.task import Task
from zoo.core.checks import kind

Parts = Int32[Any, "num_sites symbols 4 rows"]


def parts_of_batch(task: Task, batch: int, x: Any, with_peaks: bool) -> Parts:
    """The parts of every symbol of a batch of `x` [num, num_sites, *event_shape].

    Raises:
      ValueError: the model gives no probability to some value.
    """
    parts = forward(task, batch, x, with_peaks).parts
    parts, is_sound = checked_parts(parts, task.lengths(batch))
    if not is_sound:
        raise ValueError(
            f"{kind(task.model)} gives no probabilities to some values: its head's log_prob is not "
            "that of a distribution."
        )
    return parts


def forward(task: Task, batch: int, x: Any, with_peaks: bool) -> Coding:
    """The parts of a batch of known values, computed on the device."""
    model, variables, context = task.model, task.variables, task.context_of(batch)
    known = x[task.indices(batch)].astype(model.head.dtype)
    states, words = Reader.nothing(task.rows, _capacity(model, task.rows))
    ranks = np.int32(0), np.int32(model.num_sites)
    lengths = task.lengths(batch)
    job = Job(known, np.int32(WRITING), lengths, *ranks, np.bool_(with_peaks), np.int32(0))
    coding = begin(model, variables, context, task.rows)
    return advance(model, variables, context, coding, job, states, words)[0]


def push(
    writer: Writer, parts: Parts, windows: bool, end: int, until_growth: bool = False
) -> tuple[int, list[int]]:
    """Pushes the symbols of the ranks before `end` of a batch, if asked for only until lanes are
    added; returns the first rank that is pushed, and those at which their number has grown.
    """
    growth: list[int] = []
    on_host = np.asarray(parts) if writer.lanes == 1 else np.zeros(0)
    while end and not (until_growth and growth):
        if writer.lanes == 1 < writer.rows:
            end -= 1
            for part in on_host[end, ::-1]:  # of a symbol, [4, rows]
                writer.push_first(_on_one_lane(part, windows))
        else:
            end = writer.push(parts, end)
        while writer.grow():
            growth.append(end)
    return end, growth


def _on_one_lane(part, windows):
    """The symbols (start, count) of all rows, one after the other."""
    return single_lane.written(*part) if windows else list(zip(*part[:2].tolist(), strict=True))


class Reading(NamedTuple):
    """A batch that is read up to some rank.

    Attributes:
      coding: what the device has of it.
      rank: the next one.
      cuts: the ranks at which the number of lanes is still to shrink, in this order.
    """

    coding: Coding
    rank: int
    cuts: list[int]


def begun(task: Task, batch: int, marks: list[int]) -> Reading:
    """A batch of which nothing is read; `marks` are the ranks of the file at which lanes grew."""
    coding: Coding = begin(task.model, task.variables, task.context_of(batch), task.rows)
    cuts = [mark - batch * task.model.num_sites for mark in reversed(marks)]
    return Reading(coding, 0, [cut for cut in cuts if 0 <= cut < task.model.num_sites])


def read(task: Task, batch: int, reader: Reader, reading: Reading) -> Reading:
    """Reads a batch to its end, or to the cut before which other streams must have ended."""
    model, variables, context = task.model, task.variables, task.context_of(batch)
    known = np.zeros((task.rows, model.num_sites, *model.head.event_shape), model.head.dtype)
    coding, first, cuts = reading
    while first < model.num_sites:
        end = cuts[0] if cuts else model.num_sites
        if end > first:
            way, lengths = np.int32(reader.growth), task.lengths(batch)
            ranks, available = (np.int32(first), np.int32(end)), min(reader.available, 2**31 - 1)
            job = Job(known, way, lengths, *ranks, np.False_, np.int32(available))
            states, words = reader.load(_capacity(model, task.rows))
            coding, states = advance(model, variables, context, coding, job, states, words)
            reader.store(states)
        first = end
        if cuts and reader.waits:
            break
        if cuts:
            reader.shrink()
            cuts = cuts[1:]
    return Reading(coding, first, cuts)


def _capacity(model, rows):
    """The most words that a batch can read: a symbol reads one at most, and seeds come back."""
    return (model.num_sites * per_site(model.head) + 8) * rows
